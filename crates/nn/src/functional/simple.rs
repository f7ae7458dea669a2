//! Functions that PyTorch has no operator for.

use cresset_core::{Result, Tensor, ops};

/// `log(1 / (1 + exp(-x)))`.
///
/// # Errors
/// `Runtime` for dtypes without logarithm.
pub fn logsigmoid(input: &Tensor) -> Result<Tensor> {
    input.log_sigmoid()
}

/// `softmax(-x)` along a dimension.
///
/// # Errors
/// `Index` without such a dimension.
pub fn softmin(input: &Tensor, dim: i64) -> Result<Tensor> {
    ops::softmax(&input.neg()?, dim)
}

/// `x / (1 + |x|)`.
///
/// # Errors
/// `Runtime` for dtypes that cannot be divided.
pub fn softsign(input: &Tensor) -> Result<Tensor> {
    input.div(&input.abs()?.add_scalar(1)?)
}

/// `x - tanh(x)`.
///
/// # Errors
/// `Runtime` for dtypes without it.
pub fn tanhshrink(input: &Tensor) -> Result<Tensor> {
    input.sub(&input.tanh()?)
}
