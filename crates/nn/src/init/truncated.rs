//! Normal values within bounds.

use cresset_core::random::Generator;
use cresset_core::{DType, Device, Result, Tensor, ensure, no_grad, ops, options};

use super::{around, between};

options! {
    /// Optional settings of [`trunc_normal_with_`].
    TruncNormalOptions {
        /// The mean of the distribution that is cut (default: 0).
        mean: f64 = 0.0,
        /// Its standard deviation (default: 1).
        std: f64 = 1.0,
        /// The smallest value (default: -2).
        a: f64 = -2.0,
        /// The largest value (default: 2).
        b: f64 = 2.0,
        /// What to draw from (default: the one of all).
        generator: Option<Generator> = None,
    }
}

/// Values of the standard normal distribution that are drawn again until they lie between -2 and 2.
///
/// # Errors
/// None for floating-point tensors that can be written.
pub fn trunc_normal_(tensor: &Tensor) -> Result<Tensor> {
    trunc_normal_with_(tensor, |o| o)
}

/// Normal values that are drawn again until they lie between `a` and `b`.
///
/// # Errors
/// `Value` for a `std` that is not positive, `Runtime` for an empty interval.
pub fn trunc_normal_with_(
    tensor: &Tensor,
    options: impl FnOnce(TruncNormalOptions) -> TruncNormalOptions,
) -> Result<Tensor> {
    let o = options(TruncNormalOptions::default());
    ensure!(o.std > 0.0, Value, "trunc_normal_: expected std > 0, got {}", o.std);
    if tensor.device() == Device::Meta {
        return Ok(tensor.clone());
    }
    let _guard = no_grad();
    let cdf = |x: f64| (1.0 + libm::erf((x - o.mean) / o.std / 2.0_f64.sqrt())) / 2.0;
    if cdf(o.b) - cdf(o.a) > 0.3 { o.draw_again(tensor) } else { o.accept(tensor) }
}

impl TruncNormalOptions {
    /// Most draws are within bounds: those that are not are drawn again.
    fn draw_again(&self, tensor: &Tensor) -> Result<Tensor> {
        let normal = |t: &Tensor| around(t, self.mean, self.std, self.generator.as_ref());
        let (low, high) = (representable(self.a, tensor.dtype())?, representable(self.b, tensor.dtype())?);
        let mut result = normal(tensor)?;
        loop {
            let outside = result.lt_scalar(low)?.logical_or(&result.gt_scalar(high)?)?;
            if !outside.any()?.item()?.to_bool() {
                return if result.same(tensor) { Ok(result) } else { tensor.copy_(&result) };
            }
            let again = normal(&result.empty_like()?)?;
            result = ops::where_self(&outside, &again, &result)?;
        }
    }

    /// Few normal draws would be within bounds: uniform candidates are accepted with the density at them.
    fn accept(&self, tensor: &Tensor) -> Result<Tensor> {
        let uniform = |t: &Tensor, a, b| between(t, a, b, self.generator.as_ref());
        let mode = self.a.max(self.mean.min(self.b));
        let log_peak = -0.5 * ((mode - self.mean) / self.std).powi(2);
        let rejected = |candidates: &Tensor| {
            let z = candidates.sub_scalar(self.mean)?.div_scalar(self.std)?;
            let log_pdf = z.pow_scalar(2)?.mul_scalar(-0.5)?.sub_scalar(log_peak)?;
            uniform(&candidates.empty_like()?, 0.0, 1.0)?.log_()?.gt(&log_pdf)
        };
        let mut result = uniform(tensor, self.a, self.b)?.clone_tensor()?;
        let mut pending = rejected(&result)?;
        while pending.any()?.item()?.to_bool() {
            let candidates = uniform(&result.empty_like()?, self.a, self.b)?;
            result = ops::where_self(&pending, &candidates, &result)?;
            pending = pending.logical_and(&rejected(&candidates)?)?;
        }
        tensor.copy_(&result)
    }
}

/// The value that a bound has in the dtype of the tensor.
fn representable(x: f64, dtype: DType) -> Result<f64> {
    Ok(Tensor::scalar(x, dtype)?.item()?.to_f64())
}
