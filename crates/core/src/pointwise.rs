//! Elementwise calls: promotion, broadcasting, the strides of the result, and the checks on where it is written.

use cresset_kernels::dtype::DType;
use cresset_kernels::pointwise::{self as kernels, Binary};

use crate::layout::{Dims, Layout, broadcast_shapes};
use crate::op::Out;
use crate::promotion::{can_cast, result_type};
use crate::storage::access;
use crate::{Result, Tensor, bail, copy};

/// The type in which elements of `dtype` are computed.
pub(crate) fn compute_type(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        DType::U8 | DType::I8 | DType::I16 | DType::I32 => DType::I64,
        other => other,
    }
}

/// The tensor that an elementwise result of that shape and dtype is written to.
///
/// # Errors
/// `Runtime` with PyTorch's texts when the place has another shape or cannot hold the dtype.
pub(crate) fn output(out: Out, sizes: &[i64], dtype: DType, inputs: &[&Tensor]) -> Result<Tensor> {
    let target = match out {
        Out::New => {
            let device = inputs[0].device();
            return match strides_like(sizes, inputs) {
                None => Tensor::empty_of(sizes, dtype, device),
                Some(strides) => Tensor::empty_strided_of(sizes, &strides, dtype, device),
            };
        }
        Out::Inplace(t) => t,
        Out::Into(list) => &list[0],
    };
    if !can_cast(dtype, target.dtype()) {
        bail!(
            "result type {} can't be cast to the desired output type {}",
            dtype.scalar_type(),
            target.dtype().scalar_type()
        );
    }
    if target.sizes().as_slice() != sizes {
        if matches!(out, Out::Inplace(_)) {
            bail!(
                "output with shape {:?} doesn't match the broadcast shape {sizes:?}",
                target.sizes().as_slice()
            );
        }
        copy::resize_output(target, sizes)?;
    }
    Ok(target.clone())
}

/// The strides of the result if they are not row-major: those of the first input of that shape that is dense.
fn strides_like(sizes: &[i64], inputs: &[&Tensor]) -> Option<Dims> {
    let layout = inputs.iter().map(|t| t.layout()).find(|l| l.sizes.as_slice() == sizes)?;
    if layout.is_contiguous() {
        return None;
    }
    Some(copy::preserved_strides(&Layout { offset: 0, ..layout }))
}

/// Applies a binary operation with promotion and broadcasting.
///
/// # Errors
/// `Runtime` when the shapes do not broadcast or the operation does not exist for the dtype.
pub(crate) fn binary(op: Binary, a: &Tensor, b: &Tensor, out: Out) -> Result<Tensor> {
    let dtype = result_type(&[a, b]);
    let (sa, sb) = (a.sizes(), b.sizes());
    let sizes = if sa == sb { sa } else { broadcast_shapes(&sa, &sb)? };
    let result = output(out, &sizes, dtype, &[a, b])?;
    let (o, x, y) = (result.raw(), copy::expand_to(a, &sizes)?, copy::expand_to(b, &sizes)?);
    let done = access([&o], [&x, &y], |[o], [x, y]| {
        // SAFETY: all operands are locked and have the shape `sizes`; the output is dense or was given.
        Some(unsafe {
            kernels::binary(op, compute_type(dtype), o.sizes, o.operand(), x.operand(), y.operand())
        })
    });
    match done {
        Some(Err(_)) => bail!(NotImplemented, "\"{op:?}\" not implemented for '{}'", dtype.scalar_type()),
        _ => Ok(result),
    }
}
