//! Clipping of gradients, in place.

use cresset_core::{DType, Result, Scalar, Tensor, ensure, no_grad, ops, options};

use crate::module::{Parameter, float};

/// The norm of the norms of the tensors.
///
/// # Errors
/// `Runtime` for dtypes without a norm.
pub fn get_total_norm(tensors: &[Tensor], norm_type: f64) -> Result<Tensor> {
    let _guard = no_grad();
    if tensors.is_empty() {
        return Tensor::scalar(Scalar::Float(0.0), DType::F32);
    }
    let norm = |t: &Tensor| t.linalg_vector_norm_with(|o| o.ord(norm_type));
    let norms: Vec<Tensor> = tensors.iter().map(norm).collect::<Result<_>>()?;
    norm(&ops::stack(&norms)?)
}

fn gradients(parameters: &[Parameter]) -> Vec<Tensor> {
    parameters.iter().filter_map(|p| p.grad()).collect()
}

options! {
    /// Optional settings of [`clip_grad_norm_`].
    ClipOptions {
        /// The order of the norm (default: 2).
        norm_type: f64 = 2.0,
        /// Whether a total norm that is not finite is an error (default: no).
        error_if_nonfinite: bool = false,
    }
}

/// Scales all gradients so that their total norm is at most `max_norm`; returns the norm before.
///
/// ```
/// # use cresset_nn::{Forward, Linear, Module, utils::clip_grad_norm_};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let layer = Linear::new(8, 2)?;
/// layer.forward(&ops::randn([4, 8])?)?.sum()?.backward()?;
/// let before = clip_grad_norm_(&layer.parameters(), 1.0)?;
/// let after = clip_grad_norm_(&layer.parameters(), 1.0)?;
/// assert!(after.item()?.to_f64() <= before.item()?.to_f64().min(1.001));
/// # Ok(())
/// # }
/// ```
/// # Errors
/// `Runtime` for dtypes without a norm.
pub fn clip_grad_norm_(parameters: &[Parameter], max_norm: f64) -> Result<Tensor> {
    clip_grad_norm_with_(parameters, max_norm, |o| o)
}

/// [`clip_grad_norm_`] with optional settings.
///
/// # Errors
/// `Runtime` when `error_if_nonfinite` and the norm is not finite.
pub fn clip_grad_norm_with_(
    parameters: &[Parameter],
    max_norm: f64,
    options: impl FnOnce(ClipOptions) -> ClipOptions,
) -> Result<Tensor> {
    let _guard = no_grad();
    let ClipOptions { norm_type, error_if_nonfinite } = options(ClipOptions::default());
    let total_norm = get_total_norm(&gradients(parameters), norm_type)?;
    ensure!(
        !error_if_nonfinite || total_norm.item()?.to_f64().is_finite(),
        "The total norm of order {} for gradients from `parameters` is non-finite, so it cannot be clipped. To disable this error and scale the gradients by the non-finite norm anyway, set `error_if_nonfinite=False`",
        float(norm_type)
    );
    clip_grads_with_norm_(parameters, max_norm, &total_norm)?;
    Ok(total_norm)
}

/// Scales all gradients, whose total norm is given, so that it is at most `max_norm`.
///
/// # Errors
/// None for gradients that can be written.
pub fn clip_grads_with_norm_(parameters: &[Parameter], max_norm: f64, total_norm: &Tensor) -> Result<()> {
    let _guard = no_grad();
    let factor = total_norm.add_scalar(1e-6)?.reciprocal()?.mul_scalar(max_norm)?.clamp_max(1.0)?;
    gradients(parameters).iter().try_for_each(|g| g.mul_(&factor).map(|_| ()))
}

/// Cuts all gradients to `[-clip_value, clip_value]`.
///
/// # Errors
/// None for gradients that can be written.
pub fn clip_grad_value_(parameters: &[Parameter], clip_value: f64) -> Result<()> {
    let _guard = no_grad();
    gradients(parameters)
        .iter()
        .try_for_each(|g| g.clamp_with_(|o| o.min(-clip_value).max(clip_value)).map(|_| ()))
}
