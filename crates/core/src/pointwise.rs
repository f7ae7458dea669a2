//! Elementwise calls: promotion, broadcasting, the strides of the result, and the checks on where it is written.

use cresset_kernels::dtype::DType;
use cresset_kernels::pointwise::{self as kernels, Binary};

use crate::layout::{Dims, broadcast_shapes};
use crate::op::Out;
use crate::promotion::{can_cast, result_type};
use crate::storage::{View, access};
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
    match out {
        Out::New => {
            let views: smallvec::SmallVec<[View; 3]> = inputs.iter().map(|t| t.raw()).collect();
            fresh(sizes, dtype, &views)
        }
        Out::Inplace(_) | Out::Into(_) => given(out, sizes, dtype),
    }
}

/// As [`output`], for inputs whose views are at hand.
fn output_for(out: Out, sizes: &[i64], dtype: DType, inputs: &[View]) -> Result<Tensor> {
    if matches!(out, Out::New) { fresh(sizes, dtype, inputs) } else { given(out, sizes, dtype) }
}

/// A new tensor with the strides of the first input of that shape, if that is dense; else row-major.
fn fresh(sizes: &[i64], dtype: DType, inputs: &[View]) -> Result<Tensor> {
    let device = inputs[0].storage.device();
    let model = inputs.iter().map(|v| &v.layout).find(|l| l.sizes.as_slice() == sizes);
    match model {
        Some(layout) if !layout.is_contiguous() => {
            let strides: Dims = copy::preserved_strides(layout);
            Tensor::empty_strided_of(sizes, &strides, dtype, device)
        }
        _ => Tensor::empty_of(sizes, dtype, device),
    }
}

fn given(out: Out, sizes: &[i64], dtype: DType) -> Result<Tensor> {
    let target = match out {
        Out::Inplace(t) => t,
        Out::Into([t, ..]) => t,
        _ => bail!("expected a tensor to write to"),
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

/// Gives the view the layout of its tensor expanded to `sizes`.
fn broadcast(view: &mut View, sizes: &[i64]) -> Result<()> {
    if view.layout.sizes.as_slice() != sizes {
        view.layout = copy::expanded(&view.layout, sizes)?;
    }
    Ok(())
}

/// Applies a binary operation with promotion and broadcasting.
///
/// # Errors
/// `Runtime` when the shapes do not broadcast or the operation does not exist for the dtype.
pub(crate) fn binary(op: Binary, a: &Tensor, b: &Tensor, out: Out) -> Result<Tensor> {
    let dtype = result_type(&[a, b]);
    let mut views = [a.raw(), b.raw()];
    let result = if views[0].layout.sizes == views[1].layout.sizes {
        output_for(out, &views[0].layout.sizes, dtype, &views)?
    } else {
        let sizes: Dims = broadcast_shapes(&views[0].layout.sizes, &views[1].layout.sizes)?;
        let result = output_for(out, &sizes, dtype, &views)?;
        broadcast(&mut views[0], &sizes)?;
        broadcast(&mut views[1], &sizes)?;
        result
    };
    let (o, [x, y]) = (result.raw(), views);
    let done = access([&o], [&x, &y], |[o], [x, y]| {
        // SAFETY: all operands are locked and have the output's sizes; the output is dense or was given.
        Some(unsafe {
            kernels::binary(op, compute_type(dtype), o.sizes, o.operand(), x.operand(), y.operand())
        })
    });
    match done {
        Some(Err(_)) => bail!(NotImplemented, "\"{op:?}\" not implemented for '{}'", dtype.scalar_type()),
        _ => Ok(result),
    }
}
