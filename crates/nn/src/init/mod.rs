//! `torch.nn.init`: fills tensors in place; under the same seed the values are PyTorch's.
//!
//! Nothing here is recorded for gradients. All functions return a handle to the tensor that they filled.

mod fan;
mod structured;

use cresset_core::{DType, Result, Tensor, ensure, no_grad, ops};

pub use fan::{Fan, Nonlinearity, calculate_fan_in_and_fan_out, calculate_gain};
pub use structured::{dirac_, eye_, orthogonal_, sparse_};

/// Uniform values between `a` and `b`.
///
/// # Errors
/// `Runtime` for an empty interval.
pub fn uniform_(tensor: &Tensor, a: f64, b: f64) -> Result<Tensor> {
    let _guard = no_grad();
    tensor.uniform_with_(|o| o.from(a).to(b))
}

/// Normal values.
///
/// # Errors
/// `Runtime` for a negative `std`.
pub fn normal_(tensor: &Tensor, mean: f64, std: f64) -> Result<Tensor> {
    let _guard = no_grad();
    tensor.normal_with_(|o| o.mean(mean).std(std))
}

/// The number `value` everywhere.
///
/// # Errors
/// `Runtime` when the number does not fit into the dtype.
pub fn constant_(tensor: &Tensor, value: f64) -> Result<Tensor> {
    let _guard = no_grad();
    tensor.fill_(value)
}

/// Ones.
///
/// # Errors
/// None for tensors that can be written.
pub fn ones_(tensor: &Tensor) -> Result<Tensor> {
    constant_(tensor, 1.0)
}

/// Zeros.
///
/// # Errors
/// None for tensors that can be written.
pub fn zeros_(tensor: &Tensor) -> Result<Tensor> {
    let _guard = no_grad();
    tensor.zero_()
}

/// Uniform values with the variance of Glorot and Bengio (2010).
///
/// # Errors
/// `Value` with fewer than two dimensions.
pub fn xavier_uniform_(tensor: &Tensor, gain: f64) -> Result<Tensor> {
    let a = 3.0_f64.sqrt() * xavier_std(tensor, gain)?;
    uniform_(tensor, -a, a)
}

/// Normal values with the variance of Glorot and Bengio (2010).
///
/// # Errors
/// `Value` with fewer than two dimensions.
pub fn xavier_normal_(tensor: &Tensor, gain: f64) -> Result<Tensor> {
    normal_(tensor, 0.0, xavier_std(tensor, gain)?)
}

fn xavier_std(tensor: &Tensor, gain: f64) -> Result<f64> {
    let (fan_in, fan_out) = calculate_fan_in_and_fan_out(tensor)?;
    Ok(gain * (2.0 / (fan_in + fan_out) as f64).sqrt())
}

/// Uniform values with the variance of He et al. (2015); `a` is the slope of a leaky ReLU.
///
/// # Errors
/// `Value` with fewer than two dimensions.
pub fn kaiming_uniform_(tensor: &Tensor, a: f64, mode: Fan, nonlinearity: Nonlinearity) -> Result<Tensor> {
    if tensor.numel() == 0 {
        return Ok(tensor.clone());
    }
    let bound = 3.0_f64.sqrt() * kaiming_std(tensor, a, mode, nonlinearity)?;
    uniform_(tensor, -bound, bound)
}

/// Normal values with the variance of He et al. (2015); `a` is the slope of a leaky ReLU.
///
/// # Errors
/// `Value` with fewer than two dimensions.
pub fn kaiming_normal_(tensor: &Tensor, a: f64, mode: Fan, nonlinearity: Nonlinearity) -> Result<Tensor> {
    if tensor.numel() == 0 {
        return Ok(tensor.clone());
    }
    normal_(tensor, 0.0, kaiming_std(tensor, a, mode, nonlinearity)?)
}

fn kaiming_std(tensor: &Tensor, a: f64, mode: Fan, nonlinearity: Nonlinearity) -> Result<f64> {
    let (fan_in, fan_out) = calculate_fan_in_and_fan_out(tensor)?;
    let fan = if mode == Fan::In { fan_in } else { fan_out };
    Ok(calculate_gain(nonlinearity, Some(a)) / (fan as f64).sqrt())
}

/// The default of `Linear` and the convolutions: `U(-1/sqrt(fan_in), 1/sqrt(fan_in))` for weight and bias.
///
/// PyTorch writes the weight's bound as Kaiming's with `a = sqrt(5)`
/// (<https://github.com/pytorch/pytorch/issues/57109>); the same arithmetic gives the same bits.
pub(crate) fn reset_affine(weight: &Tensor, bias: Option<&Tensor>) -> Result<()> {
    kaiming_uniform_(weight, 5.0_f64.sqrt(), Fan::In, Nonlinearity::LeakyRelu)?;
    let Some(bias) = bias else { return Ok(()) };
    let (fan_in, _) = calculate_fan_in_and_fan_out(weight)?;
    let bound = if fan_in > 0 { 1.0 / (fan_in as f64).sqrt() } else { 0.0 };
    uniform_(bias, -bound, bound).map(|_| ())
}

/// Normal values that are drawn again until they lie between `a` and `b`.
///
/// # Errors
/// `Value` for a `std` that is not positive.
pub fn trunc_normal_(tensor: &Tensor, mean: f64, std: f64, a: f64, b: f64) -> Result<Tensor> {
    ensure!(std > 0.0, Value, "trunc_normal_: expected std > 0, got {std}");
    let _guard = no_grad();
    let cdf = |x: f64| (1.0 + libm::erf((x - mean) / std / 2.0_f64.sqrt())) / 2.0;
    if cdf(b) - cdf(a) > 0.3 {
        truncate_normal(tensor, mean, std, a, b)
    } else {
        reject_uniform(tensor, mean, std, a, b)
    }
}

/// Most draws are accepted: those outside are drawn again.
fn truncate_normal(tensor: &Tensor, mean: f64, std: f64, a: f64, b: f64) -> Result<Tensor> {
    let (low, high) = (representable(a, tensor.dtype())?, representable(b, tensor.dtype())?);
    let mut result = normal_(tensor, mean, std)?;
    loop {
        let outside = result.lt_scalar(low)?.logical_or(&result.gt_scalar(high)?)?;
        if !outside.any()?.item()?.to_bool() {
            return if result.same(tensor) { Ok(result) } else { tensor.copy_(&result) };
        }
        let again = normal_(&result.empty_like()?, mean, std)?;
        result = ops::where_self(&outside, &again, &result)?;
    }
}

/// The value that a bound has in the dtype of the tensor.
fn representable(x: f64, dtype: DType) -> Result<f64> {
    Ok(Tensor::scalar(x, dtype)?.item()?.to_f64())
}

/// Few normal draws would be accepted: uniform candidates are accepted with the density at them.
fn reject_uniform(tensor: &Tensor, mean: f64, std: f64, a: f64, b: f64) -> Result<Tensor> {
    let mode = a.max(mean.min(b));
    let log_peak = -0.5 * ((mode - mean) / std).powi(2);
    let rejected = |candidates: &Tensor| {
        let z = candidates.sub_scalar(mean)?.div_scalar(std)?;
        let log_pdf = z.pow_scalar(2)?.mul_scalar(-0.5)?.sub_scalar(log_peak)?;
        uniform_(&candidates.empty_like()?, 0.0, 1.0)?.log_()?.gt(&log_pdf)
    };
    let mut result = uniform_(tensor, a, b)?.clone_tensor()?;
    let mut pending = rejected(&result)?;
    while pending.any()?.item()?.to_bool() {
        let candidates = uniform_(&result.empty_like()?, a, b)?;
        result = ops::where_self(&pending, &candidates, &result)?;
        pending = pending.logical_and(&rejected(&candidates)?)?;
    }
    tensor.copy_(&result)
}
