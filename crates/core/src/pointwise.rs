//! Elementwise calls: promotion, broadcasting, the strides of the result, and the checks on where it is written.

use cresset_kernels::dtype::DType;
use cresset_kernels::pointwise::{self as kernels, Binary, Unsupported};
use cresset_kernels::strided::Operand;

use crate::layout::{Dims, Layout, broadcast_shapes, checked_numel};
use crate::op::Out;
use crate::promotion::{can_cast, result_type};
use crate::storage::{Fresh, Raw, View, access};
use crate::{Error, Result, Tensor, bail, copy};

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
            let views: smallvec::SmallVec<[&View; 3]> = views.iter().collect();
            Ok(fresh(sizes, dtype, &views)?.into_tensor())
        }
        Out::Inplace(_) | Out::Into(_) => given(out, sizes, dtype),
    }
}

/// A new tensor with the strides of the first input of that shape, if that is dense; else row-major.
fn fresh(sizes: &[i64], dtype: DType, inputs: &[&View]) -> Result<Fresh> {
    let device = inputs[0].storage.device();
    let model = inputs.iter().map(|v| &v.layout).find(|l| l.sizes.as_slice() == sizes);
    let layout = match model {
        Some(l) if l.is_contiguous() => {
            Layout { sizes: l.sizes.clone(), strides: l.strides.clone(), offset: 0 }
        }
        Some(l) => Layout { sizes: l.sizes.clone(), strides: copy::preserved_strides(l), offset: 0 },
        None => Layout::contiguous(sizes),
    };
    checked_numel(sizes, dtype.size())?;
    Fresh::new(layout, dtype, device)
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

/// Runs an elementwise kernel: `inputs` are broadcast against each other, and the result has dtype `dtype`.
///
/// `kernel` gets the sizes, the output and the inputs; it says with `Err` that it has no loop for the dtype.
///
/// # Errors
/// `Runtime` when the shapes do not broadcast or the place to write to does not suit; `NotImplemented`, naming `name`
/// and `dtype`, when the kernel has no such loop.
pub(crate) fn launch<const N: usize>(
    name: &str,
    out: Out,
    dtype: DType,
    inputs: [&Tensor; N],
    kernel: impl FnOnce(&[i64], Operand<'_>, [Operand<'_>; N]) -> Result<(), Unsupported>,
) -> Result<Tensor> {
    let views: [_; N] = std::array::from_fn(|i| inputs[i].read_view());
    let mut same = true;
    for v in &views[1..] {
        same &= v.layout.sizes == views[0].layout.sizes;
    }
    if same {
        return run(name, out, dtype, &views[0].layout.sizes, std::array::from_fn(|i| &*views[i]), kernel);
    }
    let mut sizes: Dims = views[0].layout.sizes.clone();
    for v in &views[1..] {
        sizes = broadcast_shapes(&sizes, &v.layout.sizes)?;
    }
    let mut expanded = views.map(|v| (*v).clone());
    for v in &mut expanded {
        if v.layout.sizes != sizes {
            v.layout = copy::expanded(&v.layout, &sizes)?;
        }
    }
    run(name, out, dtype, &sizes, expanded.each_ref(), kernel)
}

/// [`launch`] with inputs that have the shape of the result.
fn run<const N: usize>(
    name: &str,
    out: Out,
    dtype: DType,
    sizes: &[i64],
    inputs: [&View; N],
    kernel: impl FnOnce(&[i64], Operand<'_>, [Operand<'_>; N]) -> Result<(), Unsupported>,
) -> Result<Tensor> {
    let unsupported =
        |_| Error::not_implemented(format!("\"{name}\" not implemented for '{}'", dtype.scalar_type()));
    let call = |o: Raw<'_>, ins: [Raw<'_>; N]| {
        Some(kernel(o.sizes, o.operand(), std::array::from_fn(|i| ins[i].operand())))
    };
    if matches!(out, Out::New) {
        let mut result = fresh(sizes, dtype, &inputs)?;
        result.fill(inputs, call).unwrap_or(Ok(())).map_err(unsupported)?;
        return Ok(result.into_tensor());
    }
    let result = given(out, sizes, dtype)?;
    let view = result.raw();
    access([&view], inputs, |[o], ins| call(o, ins)).unwrap_or(Ok(())).map_err(unsupported)?;
    Ok(result)
}

/// Applies a binary operation with promotion and broadcasting.
///
/// # Errors
/// As [`launch`].
pub(crate) fn binary(op: Binary, a: &Tensor, b: &Tensor, out: Out) -> Result<Tensor> {
    let dtype = result_type(&[a, b]);
    launch(binary_name(op), out, dtype, [a, b], |sizes, o, [x, y]| {
        // SAFETY: `launch` passes locked operands of these sizes; the output is dense or was given.
        unsafe { kernels::binary(op, compute_type(dtype), sizes, o, x, y) }
    })
}

/// The name of PyTorch's kernel, for its "not implemented for" text.
fn binary_name(op: Binary) -> &'static str {
    match op {
        Binary::Add { .. } => "add_stub",
        Binary::Mul => "mul_cpu",
        _ => "binary",
    }
}
