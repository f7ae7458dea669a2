//! Row-major operands for kernels that take slices.

use cresset_kernels::dtype::Element;
use cresset_kernels::rows::Rows;
use cresset_kernels::softmax::Along;

use crate::storage::Raw;
use crate::{DType, Result, Tensor, copy};

/// `t` itself if it is row-major and of `dtype`, else a converted copy (not recorded).
pub(crate) fn dense(t: &Tensor, dtype: DType) -> Result<Tensor> {
    if t.dtype() == dtype {
        return copy::contiguous_copy(t);
    }
    let out = Tensor::empty_of(&t.sizes(), dtype, t.device())?;
    copy::copy_into(&out, t)?;
    Ok(out)
}

/// As [`dense`], of an optional tensor.
pub(crate) fn dense_option(t: Option<&Tensor>, dtype: DType) -> Result<Option<Tensor>> {
    t.map(|t| dense(t, dtype)).transpose()
}

/// The type in which floating-point kernels on slices compute.
pub(crate) fn float_type(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

/// `t` in another dtype (not recorded).
pub(crate) fn cast(t: Tensor, dtype: DType) -> Result<Tensor> {
    if t.dtype() == dtype { Ok(t) } else { dense(&t, dtype) }
}

/// The elements of a row-major operand.
///
/// # Safety
/// The operand is row-major, of `T`'s dtype, locked for as long as the slice lives, and not written meanwhile.
pub(crate) unsafe fn slice<'a, T: Element>(raw: &Raw<'_>) -> &'a [T] {
    let n = raw.sizes.iter().product::<i64>() as usize;
    // SAFETY: as the caller promises; an empty tensor may have no address.
    if n == 0 { &[] } else { unsafe { std::slice::from_raw_parts(raw.ptr.cast(), n) } }
}

/// The elements of a row-major operand, to be written.
///
/// # Safety
/// As [`slice`], and nobody else reads them.
pub(crate) unsafe fn slice_mut<'a, T: Element>(raw: &Raw<'_>) -> &'a mut [T] {
    let n = raw.sizes.iter().product::<i64>() as usize;
    // SAFETY: as the caller promises.
    if n == 0 { &mut [] } else { unsafe { std::slice::from_raw_parts_mut(raw.ptr.cast(), n) } }
}

/// A row-major operand as `n` rows.
pub(crate) fn rows(raw: &Raw<'_>, n: usize) -> Rows {
    let width = raw.sizes.iter().product::<i64>() as usize / n.max(1);
    Rows { ptr: raw.ptr, dtype: raw.dtype, width }
}

/// A tensor seen from dimension `dim`; a 0-dim one has one dimension of size 1.
pub(crate) fn along(sizes: &[i64], dim: usize) -> Along {
    let product = |part: &[i64]| part.iter().product::<i64>() as usize;
    match sizes.get(dim) {
        None => Along { outer: 1, n: 1, inner: 1 },
        Some(n) => Along { outer: product(&sizes[..dim]), n: *n as usize, inner: product(&sizes[dim + 1..]) },
    }
}

/// Runs `$body` with `$T` bound to `f32` or `f64`.
#[macro_export]
#[doc(hidden)]
macro_rules! with_float {
    ($dtype:expr, $T:ident => $body:expr) => {
        if $dtype == $crate::DType::F64 {
            type $T = f64;
            $body
        } else {
            type $T = f32;
            $body
        }
    };
}
