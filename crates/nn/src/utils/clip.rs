//! Clipping of gradients, in place.

use cresset_core::{DType, Result, Scalar, Tensor, ensure, no_grad, ops};

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

/// Scales all gradients so that their total norm is at most `max_norm`; returns the norm before.
///
/// # Errors
/// `Runtime` when `error_if_nonfinite` and the norm is not finite.
pub fn clip_grad_norm_(
    parameters: &[Parameter],
    max_norm: f64,
    norm_type: f64,
    error_if_nonfinite: bool,
) -> Result<Tensor> {
    let _guard = no_grad();
    let grads = gradients(parameters);
    let total_norm = get_total_norm(&grads, norm_type)?;
    ensure!(
        !error_if_nonfinite || total_norm.item()?.to_f64().is_finite(),
        "The total norm of order {} for gradients from `parameters` is non-finite, so it cannot be clipped. To disable this error and scale the gradients by the non-finite norm anyway, set `error_if_nonfinite=False`",
        float(norm_type)
    );
    let factor = total_norm.add_scalar(1e-6)?.reciprocal()?.mul_scalar(max_norm)?.clamp_max(1.0)?;
    grads.iter().try_for_each(|g| g.mul_(&factor).map(|_| ()))?;
    Ok(total_norm)
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
