//! Which dtypes an operator has a loop for, and PyTorch's words where it has none.

use crate::{DType, Error, Result, Tensor};

/// `"name" not implemented for 'Type'`.
#[cold]
pub(crate) fn not_implemented(name: &str, dtype: DType) -> Error {
    Error::not_implemented(format!("\"{name}\" not implemented for '{}'", dtype.scalar_type()))
}

/// Checks that `supported` holds of the tensor's dtype.
///
/// # Errors
/// `NotImplemented`, naming `name`, otherwise.
pub(crate) fn require(name: &str, t: &Tensor, supported: fn(DType) -> bool) -> Result<()> {
    if supported(t.dtype()) { Ok(()) } else { Err(not_implemented(name, t.dtype())) }
}

/// Floating point of any width.
pub(crate) fn floats(dtype: DType) -> bool {
    dtype.is_floating_point()
}

/// `float32` and `float64`.
pub(crate) fn wide_floats(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64)
}

/// Floating point of any width and complex numbers.
pub(crate) fn inexact(dtype: DType) -> bool {
    !dtype.is_integral_or_bool()
}

/// Integers and floats, without booleans and complex numbers.
pub(crate) fn reals(dtype: DType) -> bool {
    !dtype.is_complex() && dtype != DType::Bool
}

/// All but booleans.
pub(crate) fn numbers(dtype: DType) -> bool {
    dtype != DType::Bool
}

/// All but the half types.
pub(crate) fn not_half(dtype: DType) -> bool {
    !matches!(dtype, DType::F16 | DType::BF16)
}
