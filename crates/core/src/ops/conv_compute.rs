//! From tensors to the convolution kernels: dense copies, and the type that each dtype is computed in.

use cresset_kernels::conv::{Conv, Number};

use super::conv_shape::Shape;
use super::matmul::conj;
use crate::layout::Dims;
use crate::storage::{Raw, access_lists};
use crate::{C32, C64, DType, MemoryFormat, Result, Tensor, bail, copy};

/// Which of the three sums over a convolution's products is computed.
#[derive(Clone, Copy)]
enum Sum {
    /// For each output; the operands are input and weight.
    Output,
    /// For each input; the operands are gradient and weight.
    Input,
    /// For each weight; the operands are gradient and input.
    Weight,
}

pub(super) fn forward(
    shape: &Shape,
    input: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let sum = if shape.transposed { Sum::Input } else { Sum::Output };
    let out = compute(shape.conv(), sum, [input, weight], bias, &shape.output())?;
    let layouts = [input.layout(), weight.layout()];
    let last = if out.dim() == 4 { MemoryFormat::ChannelsLast } else { MemoryFormat::ChannelsLast3d };
    if layouts.iter().any(|l| l.suggested_format() == last) {
        let ordered = copy::empty_in_format(&out, out.dtype(), last)?;
        copy::copy_into(&ordered, &out)?;
        return Ok(ordered);
    }
    Ok(out)
}

pub(super) fn backward_input(shape: &Shape, grad: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let sum = if shape.transposed { Sum::Output } else { Sum::Input };
    compute(shape.conv(), sum, [grad, &conj(weight)?], None, shape.input())
}

pub(super) fn backward_weight(shape: &Shape, grad: &Tensor, input: &Tensor) -> Result<Tensor> {
    if shape.transposed {
        return compute(shape.conv(), Sum::Weight, [&conj(input)?, grad], None, shape.weight());
    }
    compute(shape.conv(), Sum::Weight, [grad, &conj(input)?], None, shape.weight())
}

/// The sum of the gradient over all but the channels.
pub(super) fn backward_bias(grad: &Tensor) -> Result<Tensor> {
    let mut sizes = Dims::from_elem(1, grad.dim());
    sizes[1] = grad.size(1)?;
    grad.sum_to_size(&sizes)?.reshape([sizes[1]])
}

/// The type that a dtype is computed in.
fn computed(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        DType::U8 | DType::I8 | DType::I16 | DType::I32 => DType::I64,
        other => other,
    }
}

fn compute(
    conv: Conv,
    sum: Sum,
    operands: [&Tensor; 2],
    bias: Option<&Tensor>,
    sizes: &[i64],
) -> Result<Tensor> {
    let dtype = operands[0].dtype();
    if dtype == DType::Bool {
        bail!(NotImplemented, "\"slow_conv2d_cpu\" not implemented for 'Bool'");
    }
    let working = computed(dtype);
    let dense = |t: &Tensor| copy::contiguous_copy(&t.to_dtype(working)?);
    let [a, b] = [dense(operands[0])?, dense(operands[1])?];
    let bias = bias.map(dense).transpose()?;
    let out = Tensor::empty_of(sizes, working, operands[0].device())?;
    let (o, a, b, bias) = (out.raw(), a.raw(), b.raw(), bias.map(|t| t.raw()));
    let mut ins = vec![&a, &b];
    ins.extend(bias.iter());
    access_lists(&[&o], &ins, |out, ins| match working {
        DType::F32 => sums::<f32>(&conv, sum, ins, &out[0]),
        DType::F64 => sums::<f64>(&conv, sum, ins, &out[0]),
        DType::Complex64 => sums::<C32>(&conv, sum, ins, &out[0]),
        DType::Complex128 => sums::<C64>(&conv, sum, ins, &out[0]),
        _ => sums::<i64>(&conv, sum, ins, &out[0]),
    });
    out.to_dtype(dtype)
}

/// The elements of a row-major operand.
fn elements<'a, T>(raw: &'a Raw<'a>) -> &'a [T] {
    let n = raw.sizes.iter().product::<i64>() as usize;
    // SAFETY: the operand is locked, of type `T`, and was made row-major.
    unsafe { std::slice::from_raw_parts(raw.cast::<T>(), n) }
}

/// The elements of the fresh result.
#[allow(clippy::mut_from_ref)]
fn result<'a, T>(raw: &'a Raw<'a>) -> &'a mut [T] {
    let n = raw.sizes.iter().product::<i64>() as usize;
    // SAFETY: as in `elements`; the result is fresh, so nothing else refers to its bytes.
    unsafe { std::slice::from_raw_parts_mut(raw.cast::<T>(), n) }
}

fn sums<T: Number>(conv: &Conv, sum: Sum, ins: &[Raw], out: &Raw) {
    let (a, b, bias) = (elements::<T>(&ins[0]), elements::<T>(&ins[1]), ins.get(2).map(elements::<T>));
    match sum {
        Sum::Output => T::forward(conv, a, b, bias, result(out)),
        Sum::Input => T::backward_input(conv, a, b, bias, result(out)),
        Sum::Weight => T::backward_weight(conv, a, b, result(out)),
    }
}
