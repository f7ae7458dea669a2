//! Elementwise calls: promotion, broadcasting, the strides of the result, and the checks on where it is written.

use cresset_kernels::dtype::DType;
use cresset_kernels::pointwise::{
    self as kernels, Activation, ActivationGrad, Binary, Compare, Ternary, Test, Unary, Unsupported,
};
use cresset_kernels::strided::Operand;

use crate::door::{check_castable, check_inplace_shape};
use crate::layout::{Dims, Layout, broadcast_shapes, checked_numel};
use crate::op::Out;
use crate::promotion::{get_default_dtype, result_type};
use crate::storage::{Fresh, Raw, View, access};
use crate::{Device, Error, Result, Tensor, bail, copy};

/// The type in which elements of `dtype` are computed.
pub(crate) fn compute_type(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        DType::U8 | DType::I8 | DType::I16 | DType::I32 => DType::I64,
        other => other,
    }
}

/// As [`compute_type`], for loops that narrow integers also have.
fn loop_type(dtype: DType) -> DType {
    if dtype.is_integral_or_bool() { dtype } else { compute_type(dtype) }
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

/// A new tensor with the strides of the first input, if that has the shape and is dense; else in the order of all inputs.
fn fresh(sizes: &[i64], dtype: DType, inputs: &[&View]) -> Result<Fresh> {
    // A number among the inputs is in main memory wherever the others are.
    let on_meta = inputs.iter().any(|v| v.storage.device() == Device::Meta);
    let device = if on_meta { Device::Meta } else { Device::Cpu };
    let layout = match inputs.first().map(|v| &v.layout) {
        Some(l) if l.sizes.as_slice() == sizes && l.is_contiguous() => {
            Layout { sizes: l.sizes.clone(), strides: l.strides.clone(), offset: 0 }
        }
        Some(l) if l.sizes.as_slice() == sizes && l.is_non_overlapping_and_dense() => {
            Layout { sizes: l.sizes.clone(), strides: l.strides.clone(), offset: 0 }
        }
        Some(_) => merged(sizes, inputs),
        None => Layout::contiguous(sizes),
    };
    checked_numel(sizes, dtype.size())?;
    Fresh::new(layout, dtype, device)
}

/// The dense layout whose dimensions are in the order of those of all inputs, the first ones deciding.
fn merged(sizes: &[i64], inputs: &[&View]) -> Layout {
    let all: Vec<Layout> = inputs.iter().filter_map(|v| copy::expanded(&v.layout, sizes).ok()).collect();
    if all.is_empty() {
        return Layout::contiguous(sizes);
    }
    let strides = copy::dense_strides_like(&all.iter().collect::<Vec<_>>());
    Layout { sizes: Dims::from_slice(sizes), strides, offset: 0 }
}

fn given(out: Out, sizes: &[i64], dtype: DType) -> Result<Tensor> {
    let target = match out {
        Out::Inplace(t) => t,
        Out::Into([t, ..]) => t,
        _ => bail!("expected a tensor to write to"),
    };
    check_castable(dtype, target)?;
    match out {
        Out::Inplace(_) => check_inplace_shape(sizes, target)?,
        _ => copy::resize_output(target, sizes)?,
    }
    copy::check_internal_overlap(&target.layout())?;
    Ok(target.clone())
}

/// Runs an elementwise kernel: `inputs` are broadcast against each other; `types` are the dtype of the result and the one
/// that the inputs are taken as.
///
/// `kernel` gets the sizes, the output and the inputs; it says with `Err` that it has no loop for the dtype.
///
/// # Errors
/// `Runtime` when the shapes do not broadcast or the place to write to does not suit; `NotImplemented`, naming `name`
/// and the second of `types`, when the kernel has no such loop.
pub(crate) fn launch<const N: usize>(
    name: &str,
    out: Out,
    types: (DType, DType),
    inputs: [&Tensor; N],
    kernel: impl FnOnce(&[i64], Operand<'_>, [Operand<'_>; N]) -> Result<(), Unsupported>,
) -> Result<Tensor> {
    let views: [_; N] = std::array::from_fn(|i| inputs[i].read_view());
    let mut same = true;
    for v in &views[1..] {
        same &= v.layout.sizes == views[0].layout.sizes;
    }
    if same {
        return run(name, out, types, &views[0].layout.sizes, std::array::from_fn(|i| &*views[i]), kernel);
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
    run(name, out, types, &sizes, expanded.each_ref(), kernel)
}

/// [`launch`] with inputs that have the shape of the result.
fn run<const N: usize>(
    name: &str,
    out: Out,
    types: (DType, DType),
    sizes: &[i64],
    inputs: [&View; N],
    kernel: impl FnOnce(&[i64], Operand<'_>, [Operand<'_>; N]) -> Result<(), Unsupported>,
) -> Result<Tensor> {
    let unsupported =
        |_| Error::not_implemented(format!("\"{name}\" not implemented for '{}'", types.1.scalar_type()));
    let call = |o: Raw<'_>, ins: [Raw<'_>; N]| {
        Some(kernel(o.sizes, o.operand(), std::array::from_fn(|i| ins[i].operand())))
    };
    if matches!(out, Out::New) {
        let mut result = fresh(sizes, types.0, &inputs)?;
        result.fill(inputs, call).unwrap_or(Ok(())).map_err(unsupported)?;
        return Ok(result.into_tensor());
    }
    let result = given(out, sizes, types.0)?;
    let view = result.raw();
    let mut inputs = inputs.map(View::clone);
    for input in &mut inputs {
        separate(input, &view)?;
    }
    access([&view], inputs.each_ref(), |[o], ins| call(o, ins)).unwrap_or(Ok(())).map_err(unsupported)?;
    Ok(result)
}

/// Copies an input that shares memory with the output, unless it is the output index by index.
///
/// # Errors
/// `Runtime` with PyTorch's text where it refuses such a call: when both are dense and overlap in part.
fn separate(input: &mut View, out: &View) -> Result<()> {
    let same = input.layout.offset == out.layout.offset && input.layout.strides == out.layout.strides;
    if input.storage.id() != out.storage.id() || (same && input.dtype == out.dtype) {
        return Ok(());
    }
    let range = |v: &View| v.layout.offset * v.dtype.size()..v.layout.end() * v.dtype.size();
    let (a, b) = (range(input), range(out));
    if a.end <= b.start || b.end <= a.start {
        return Ok(());
    }
    if input.layout.is_non_overlapping_and_dense() && out.layout.is_non_overlapping_and_dense() {
        bail!(
            "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. Please clone() the tensor before performing the operation."
        );
    }
    let view = std::mem::replace(input, out.clone());
    *input = copy::duplicate(&Tensor::from_view(view, None, None))?.raw();
    Ok(())
}

/// The dtype of a function that makes integers floating point.
pub(crate) fn float_type(dtype: DType) -> DType {
    if dtype.is_integral_or_bool() { get_default_dtype() } else { dtype }
}

/// Applies a function of one tensor that keeps its dtype.
pub(crate) fn unary(op: Unary, name: &str, a: &Tensor, out: Out) -> Result<Tensor> {
    unary_as(op, name, (a.dtype(), a.dtype()), a, out)
}

/// Applies a function of one tensor that makes integers floating point.
pub(crate) fn float_unary(op: Unary, name: &str, a: &Tensor, out: Out) -> Result<Tensor> {
    let dtype = float_type(a.dtype());
    unary_as(op, name, (dtype, dtype), a, out)
}

/// Applies a function of one tensor with a real result (`abs`, `angle` of complex numbers).
pub(crate) fn real_unary(op: Unary, name: &str, a: &Tensor, out: Out) -> Result<Tensor> {
    unary_as(op, name, (a.dtype().to_real(), a.dtype()), a, out)
}

/// Applies a function of one tensor: dtypes of the result and of the computation.
pub(crate) fn unary_as(op: Unary, name: &str, types: (DType, DType), a: &Tensor, out: Out) -> Result<Tensor> {
    launch(name, out, types, [a], |sizes, o, [x]| {
        // SAFETY: the operands are locked and have the output's sizes; they overlap index by index if at all.
        unsafe { kernels::unary(op, loop_type(types.1), sizes, o, x) }
    })
}

/// Tests each element.
pub(crate) fn test(op: Test, name: &str, a: &Tensor, out: Out) -> Result<Tensor> {
    launch(name, out, (DType::Bool, a.dtype()), [a], |sizes, o, [x]| {
        // SAFETY: as in `unary_as`.
        unsafe { kernels::test(op, compute_type(a.dtype()), sizes, o, x) }
    })
}

/// Applies a function of two tensors with promotion.
pub(crate) fn binary(op: Binary, name: &str, a: &Tensor, b: &Tensor, out: Out) -> Result<Tensor> {
    binary_as(op, name, result_type(&[a, b]), a, b, out)
}

/// Applies a function of two tensors with promotion that makes integers floating point.
pub(crate) fn float_binary(op: Binary, name: &str, a: &Tensor, b: &Tensor, out: Out) -> Result<Tensor> {
    binary_as(op, name, float_type(result_type(&[a, b])), a, b, out)
}

/// Applies a function of two tensors, computing in `dtype`.
pub(crate) fn binary_as(
    op: Binary,
    name: &str,
    dtype: DType,
    a: &Tensor,
    b: &Tensor,
    out: Out,
) -> Result<Tensor> {
    let (a, b) = (&narrowed(a, dtype)?, &narrowed(b, dtype)?);
    launch(name, out, (dtype, dtype), [a, b], |sizes, o, [x, y]| {
        // SAFETY: as in `unary_as`.
        unsafe { kernels::binary(op, loop_type(dtype), sizes, o, x, y) }
    })
}

/// Compares two tensors with promotion.
pub(crate) fn compare(op: Compare, name: &str, a: &Tensor, b: &Tensor, out: Out) -> Result<Tensor> {
    let dtype = result_type(&[a, b]);
    let (a, b) = (&narrowed(a, dtype)?, &narrowed(b, dtype)?);
    launch(name, out, (DType::Bool, dtype), [a, b], |sizes, o, [x, y]| {
        // SAFETY: as in `unary_as`.
        unsafe { kernels::compare(op, loop_type(dtype), sizes, o, x, y) }
    })
}

/// Loops load operands in the wide type that they compute in; one that does not fit the narrow type in which the result is
/// defined (a number beside a `uint8` tensor) must be cut to it first.
fn narrowed(t: &Tensor, dtype: DType) -> Result<Tensor> {
    let narrow = matches!(dtype, DType::U8 | DType::I8 | DType::I16 | DType::I32);
    if !narrow || t.dtype() == dtype || t.dtype() == DType::Bool {
        return Ok(t.clone());
    }
    let cut = copy::empty_like(t, dtype)?;
    copy::copy_into(&cut, t)?;
    Ok(cut)
}

/// Applies a function of three tensors with promotion.
pub(crate) fn ternary(op: Ternary, name: &str, inputs: [&Tensor; 3], out: Out) -> Result<Tensor> {
    let dtype = result_type(&inputs);
    let [a, b, c] = inputs;
    let (a, b, c) = (&narrowed(a, dtype)?, &narrowed(b, dtype)?, &narrowed(c, dtype)?);
    launch(name, out, (dtype, dtype), [a, b, c], |sizes, o, ins| {
        // SAFETY: as in `unary_as`.
        unsafe { kernels::ternary(op, compute_type(dtype), sizes, o, ins) }
    })
}

/// Takes elements of `a` where `condition` holds and of `b` elsewhere, as `dtype`.
pub(crate) fn select(condition: &Tensor, a: &Tensor, b: &Tensor, dtype: DType, out: Out) -> Result<Tensor> {
    launch("where_cpu", out, (dtype, dtype), [condition, a, b], |sizes, o, [c, x, y]| {
        // SAFETY: as in `unary_as`.
        unsafe { kernels::select(dtype, sizes, o, c, x, y) };
        Ok(())
    })
}

/// Applies an activation function.
pub(crate) fn activation(op: Activation, name: &str, x: &Tensor, out: Out) -> Result<Tensor> {
    let dtype = x.dtype();
    launch(name, out, (dtype, dtype), [x], |sizes, o, [x]| {
        // SAFETY: as in `unary_as`.
        unsafe { kernels::activation(op, compute_type(dtype), sizes, o, x) }
    })
}

/// Multiplies a gradient with an activation's derivative.
pub(crate) fn activation_grad(
    op: ActivationGrad,
    name: &str,
    grad: &Tensor,
    x: &Tensor,
    out: Out,
) -> Result<Tensor> {
    let dtype = result_type(&[grad, x]);
    launch(name, out, (dtype, dtype), [grad, x], |sizes, o, [g, x]| {
        // SAFETY: as in `unary_as`.
        unsafe { kernels::activation_grad(op, compute_type(dtype), sizes, o, g, x) }
    })
}

/// Applies a rare function of one real tensor, computed in double precision, that makes integers floating point.
pub(crate) fn float_map1(name: &str, a: &Tensor, out: Out, f: impl Fn(f64) -> f64 + Sync) -> Result<Tensor> {
    let dtype = float_type(a.dtype());
    launch(name, out, (dtype, dtype), [a], |sizes, o, [x]| {
        if dtype.is_complex() {
            return Err(Unsupported);
        }
        // SAFETY: as in `unary_as`.
        unsafe { kernels::map1::<f64, f64>(sizes, o, x, f) };
        Ok(())
    })
}

/// Applies a rare function of two real tensors likewise.
pub(crate) fn float_map2(
    name: &str,
    a: &Tensor,
    b: &Tensor,
    out: Out,
    f: impl Fn(f64, f64) -> f64 + Sync,
) -> Result<Tensor> {
    let dtype = float_type(result_type(&[a, b]));
    launch(name, out, (dtype, dtype), [a, b], |sizes, o, [x, y]| {
        if dtype.is_complex() {
            return Err(Unsupported);
        }
        // SAFETY: as in `unary_as`.
        unsafe { kernels::map2::<f64, f64, f64>(sizes, o, x, y, f) };
        Ok(())
    })
}

type Map1<T> = fn(T) -> T;
type Map2<T> = fn(T, T) -> T;

/// Applies a rare function of one real tensor, given in both precisions, that makes integers floating point.
///
/// # Errors
/// `NotImplemented` for half precision and complex numbers.
pub(crate) fn real_map1(
    name: &str,
    a: &Tensor,
    out: Out,
    (single, double): (Map1<f32>, Map1<f64>),
) -> Result<Tensor> {
    let dtype = float_type(a.dtype());
    launch(name, out, (dtype, dtype), [a], |sizes, o, [x]| {
        match dtype {
            // SAFETY: as in `unary_as`.
            DType::F32 => unsafe { kernels::map1(sizes, o, x, single) },
            // SAFETY: as in `unary_as`.
            DType::F64 => unsafe { kernels::map1(sizes, o, x, double) },
            _ => return Err(Unsupported),
        }
        Ok(())
    })
}

/// Applies a rare function of two real tensors likewise.
///
/// # Errors
/// `NotImplemented` for half precision and complex numbers.
pub(crate) fn real_map2(
    name: &str,
    a: &Tensor,
    b: &Tensor,
    out: Out,
    (single, double): (Map2<f32>, Map2<f64>),
) -> Result<Tensor> {
    let dtype = float_type(result_type(&[a, b]));
    launch(name, out, (dtype, dtype), [a, b], |sizes, o, [x, y]| {
        match dtype {
            // SAFETY: as in `unary_as`.
            DType::F32 => unsafe { kernels::map2(sizes, o, x, y, single) },
            // SAFETY: as in `unary_as`.
            DType::F64 => unsafe { kernels::map2(sizes, o, x, y, double) },
            _ => return Err(Unsupported),
        }
        Ok(())
    })
}

/// Applies a function of one real tensor whose results are `int32`.
pub(crate) fn map_to_int(a: &Tensor, f: impl Fn(f64) -> i64 + Sync) -> Result<Tensor> {
    launch("map", Out::New, (DType::I32, a.dtype()), [a], |sizes, o, [x]| {
        // SAFETY: as in `unary_as`.
        unsafe { kernels::map1::<f64, i64>(sizes, o, x, f) };
        Ok(())
    })
}

/// Whether any element is zero; `false` on the meta device.
pub(crate) fn contains_zero(t: &Tensor) -> bool {
    let view = t.raw();
    access([], [&view], |[], [x]| {
        // SAFETY: the operand is locked and reaches only its elements.
        unsafe { kernels::contains_zero(x.sizes, x.operand()) }
    })
}
