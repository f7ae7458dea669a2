//! Pooling to a given size of the result.

use cresset_kernels::pool as kernels;
use cresset_kernels::rows::by_rows;
use cresset_macros::op;

use crate::MemoryFormat;
use crate::autograd::Meta;
use crate::dense::{cast, dense, rows, slice, slice_mut};
use crate::layout::Dims;
use crate::op::OpDef;
use crate::ops::pool::check_1d;
use crate::pooling::{self, average_type, ordered_type};
use crate::storage::access;
use crate::supported::{floats, require};
use crate::{DType, Result, Tensor, bail, op_list, with_float};

pub(crate) static OPS: &[&OpDef] = op_list![
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    _adaptive_avg_pool2d,
    _adaptive_avg_pool2d_backward,
    adaptive_avg_pool3d,
    _adaptive_avg_pool3d,
    _adaptive_avg_pool3d_backward,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool2d_backward,
    adaptive_max_pool3d,
    adaptive_max_pool3d_backward,
];

/// Sizes of an input plane, padded in front to three.
fn plane(sizes: &[i64], n: usize) -> [usize; 3] {
    let mut all = [1; 3];
    all[3 - n..].iter_mut().zip(&sizes[sizes.len() - n..]).for_each(|(a, s)| *a = *s as usize);
    all
}

/// The sizes of the result, after PyTorch's checks.
fn result_sizes(name: &str, this: &Tensor, output: &[i64], n: usize) -> Result<Dims> {
    if output.len() != n {
        if name.contains("max") {
            bail!("{name}(): internal error: output_size.size() must be {n}");
        }
        bail!("{name}: output_size must be {n}");
    }
    let shape = this.sizes();
    let (low, high) = (n + 1, n + 2);
    if name.contains("avg") && output.iter().any(|o| *o < 0) {
        let (first, rest) = (output[0], &output[1..]);
        let rest = rest.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        bail!(
            "{name}: elements of output_size must be greater than or equal to 0 but received {{{first}, {rest}}}"
        );
    }
    if shape.len() != low && shape.len() != high {
        let colon = if name.contains("max") { ":" } else { "" };
        bail!("{name}(): Expected {low}D or {high}D tensor, but got{colon} {:?}", shape.as_slice());
    }
    // PyTorch counts the channels of a batch too, but for this average.
    let channels = usize::from(name != "adaptive_avg_pool2d");
    for d in (shape.len() - n - channels).max(1)..shape.len() {
        if shape[d] == 0 {
            bail!(
                "{name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes {:?} with dimension {d} being empty",
                shape.as_slice()
            );
        }
    }
    let mut sizes = Dims::from_slice(&shape[..shape.len() - n]);
    sizes.extend_from_slice(output);
    if let Some(bad) = output.iter().find(|o| **o < 0) {
        bail!("Trying to create tensor with negative dimension {bad}: {:?}", sizes.as_slice());
    }
    Ok(sizes)
}

fn average(name: &str, this: &Tensor, output: &[i64], n: usize) -> Result<Tensor> {
    let sizes = result_sizes(name, this, output, n)?;
    let compute = average_type(this)?;
    let x = dense(this, this.dtype())?;
    let y = Tensor::empty_of(&sizes, x.dtype(), x.device())?;
    if y.numel() == 0 {
        return Ok(y);
    }
    let (input, output) = (plane(&x.sizes(), n), plane(&sizes, n));
    let (o, i, planes) = (y.raw(), x.raw(), x.numel() / input.iter().product::<usize>());
    access([&o], [&i], |[y], [x]| {
        let (x, y) = (rows(&x, planes), rows(&y, planes));
        // SAFETY: both are locked and row-major; the output is fresh.
        with_float!(compute, T => unsafe {
            by_rows::<T, 1, 1>(planes, [x], [y], |_, [x], [y]| kernels::adaptive_average(input, output, x, y));
        })
    });
    // As in PyTorch, only images keep channels last.
    if n == 2 { crate::copy::like_format(y, this) } else { Ok(y) }
}

fn average_backward(g: &Tensor, this: &Tensor, n: usize) -> Result<Tensor> {
    let name = format!("adaptive_avg_pool{n}d_backward()");
    check_gradient(&name, g, this, n)?;
    let compute = average_type(this)?;
    let g = dense(g, g.dtype())?;
    let result = Tensor::empty_of(&this.sizes(), this.dtype(), this.device())?;
    let (input, output) = (plane(&this.sizes(), n), plane(&g.sizes(), n));
    let (o, g, planes) = (result.raw(), g.raw(), this.numel() / input.iter().product::<usize>().max(1));
    access([&o], [&g], |[o], [g]| {
        let (g, o) = (rows(&g, planes), rows(&o, planes));
        // SAFETY: both are locked and row-major; the output is fresh.
        with_float!(compute, T => unsafe {
            by_rows::<T, 1, 1>(planes, [g], [o], |_, [g], [o]| kernels::adaptive_average_backward(input, output, g, o));
        })
    });
    Ok(result)
}

/// A gradient has the batch and channels of the input.
fn check_gradient(name: &str, g: &Tensor, this: &Tensor, n: usize) -> Result<()> {
    let (sizes, shape) = (g.sizes(), this.sizes());
    if sizes.len() != n + 1 && sizes.len() != n + 2 {
        bail!("{name}: Expected {}D or {}D tensor, but got {:?}", n + 1, n + 2, sizes.as_slice());
    }
    if let Some(d) = (1..sizes.len()).find(|d| sizes[*d] == 0) {
        bail!(
            "{name}: Expected grad_output to have non-zero size for non-batch dimensions, but grad_output has sizes {:?} with dimension {d} being empty",
            sizes.as_slice()
        );
    }
    if shape.len() != sizes.len() || shape[..shape.len() - n] != sizes[..sizes.len() - n] {
        bail!("{name}: grad_output {:?} does not fit input {:?}", sizes.as_slice(), shape.as_slice());
    }
    Ok(())
}

fn largest(name: &str, this: &Tensor, output: &[i64], n: usize) -> Result<(Tensor, Tensor)> {
    let sizes = result_sizes(name, this, output, n)?;
    require(if n == 3 { "adaptive_max_pool3d_cpu" } else { "adaptive_max_pool2d" }, this, floats)?;
    let compute = ordered_type(this.dtype());
    let x = dense(this, compute)?;
    let values = Tensor::empty_of(&sizes, compute, x.device())?;
    let indices = Tensor::empty_of(&sizes, DType::I64, x.device())?;
    if values.numel() == 0 {
        return Ok((cast(values, this.dtype())?, indices));
    }
    let (input, output) = (plane(&x.sizes(), n), plane(&sizes, n));
    let (v, i, from) = (values.raw(), indices.raw(), x.raw());
    access([&v, &i], [&from], |[v, i], [x]| {
        // SAFETY: all are locked and row-major; the outputs are fresh.
        unsafe {
            let (x, at) = (&x, slice_mut(&i));
            match compute {
                DType::F32 => kernels::adaptive_max::<f32>(input, output, slice(x), slice_mut(&v), at),
                DType::F64 => kernels::adaptive_max::<f64>(input, output, slice(x), slice_mut(&v), at),
                _ => kernels::adaptive_max::<i64>(input, output, slice(x), slice_mut(&v), at),
            }
        }
    });
    let values = cast(values, this.dtype())?;
    if n != 2 {
        return Ok((values, indices));
    }
    Ok((crate::copy::like_format(values, this)?, crate::copy::like_format(indices, this)?))
}

/// Averages of `output_size` windows along the last dimension.
#[op("adaptive_avg_pool1d(Tensor self, int[1] output_size) -> Tensor", composite, out = "out")]
mod adaptive_avg_pool1d {
    fn kernel(this: &Tensor, output_size: &[i64]) -> Result<Tensor> {
        let [n] = output_size else {
            bail!(
                "adaptive_avg_pool1d() argument 'output_size' should contain one int (got {})",
                output_size.len()
            );
        };
        check_1d("adaptive_avg_pool1d", this)?;
        adaptive_avg_pool2d::call(&this.unsqueeze(-2)?, &[1, *n])?.squeeze_dim(-2)
    }
}

/// Largest elements of `output_size` windows along the last dimension, and their indices.
#[op("adaptive_max_pool1d(Tensor self, int[1] output_size) -> (Tensor, Tensor)", composite)]
mod adaptive_max_pool1d {
    fn kernel(this: &Tensor, output_size: &[i64]) -> Result<(Tensor, Tensor)> {
        let [n] = output_size else {
            bail!(
                "adaptive_max_pool1d() argument 'output_size' should contain one int (got {})",
                output_size.len()
            );
        };
        check_1d("adaptive_max_pool1d", this)?;
        let shape = this.sizes();
        if let Some(d) = (1..shape.len()).find(|d| shape[*d] == 0) {
            bail!(
                "adaptive_max_pool1d(): Expected input to have non-zero size for non-batch dimensions, but input has sizes {:?} with dimension {d} being empty",
                shape.as_slice()
            );
        }
        let (values, indices) = adaptive_max_pool2d::call(&this.unsqueeze(-2)?, &[1, *n])?;
        Ok((values.squeeze_dim(-2)?, indices.squeeze_dim(-2)?))
    }
}

/// Whether one average of all is the mean, as PyTorch takes it: also of complex numbers, and of nothing.
fn is_mean(this: &Tensor, spatial: usize) -> bool {
    let rank = spatial + 1..=spatial + 2;
    let dense = rank.contains(&this.dim()) && this.layout().suggested_format() == MemoryFormat::Contiguous;
    this.is_complex() && this.dim() > spatial || this.is_floating_point() && dense
}

/// Averages of `output_size` windows over the last two dimensions.
#[op("adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor", composite, out = "out")]
mod adaptive_avg_pool2d {
    fn kernel(this: &Tensor, output_size: &[i64]) -> Result<Tensor> {
        if is_mean(this, 2) && *output_size == [1; 2] {
            return crate::ops::mean_dim::call(this, Some(&[-2, -1]), true, None);
        }
        _adaptive_avg_pool2d::call(this, output_size)
    }
}

/// The operator behind [`adaptive_avg_pool2d`].
#[op("_adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor", tags(core), no_method, no_fn)]
mod _adaptive_avg_pool2d {
    fn kernel(this: &Tensor, output_size: &[i64]) -> Result<Tensor> {
        require("adaptive_avg_pool2d", this, floats)?;
        average("adaptive_avg_pool2d", this, output_size, 2)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        _adaptive_avg_pool2d_backward::call(g, this)
    }
}

/// Gradient of [`adaptive_avg_pool2d`].
#[op("_adaptive_avg_pool2d_backward(Tensor grad_output, Tensor self) -> Tensor", no_method, no_fn)]
mod _adaptive_avg_pool2d_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor) -> Result<Tensor> {
        require("adaptive_avg_pool2d_backward", this, floats)?;
        average_backward(grad_output, this, 2)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
    fn grad_grad_output(g: &Tensor, grad_output: &Meta) -> Result<Tensor> {
        let sizes = grad_output.sizes();
        _adaptive_avg_pool2d::call(g, &sizes[sizes.len() - 2..])
    }
}

/// Largest elements of `output_size` windows over the last two dimensions, and their indices in the plane.
#[op("adaptive_max_pool2d(Tensor self, int[2] output_size) -> (Tensor, Tensor)", out("out", out, indices))]
mod adaptive_max_pool2d {
    fn kernel(this: &Tensor, output_size: &[i64]) -> Result<(Tensor, Tensor)> {
        largest("adaptive_max_pool2d", this, output_size, 2)
    }
    fn grad_this(g: &Tensor, this: &Tensor, out1: &Tensor) -> Result<Tensor> {
        adaptive_max_pool2d_backward::call(g, this, out1)
    }
}

/// Gradient of [`adaptive_max_pool2d`] from that of its values.
#[op(
    "adaptive_max_pool2d_backward(Tensor grad_output, Tensor self, Tensor indices) -> Tensor",
    nondiff(indices),
    no_method
)]
mod adaptive_max_pool2d_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, indices: &Tensor) -> Result<Tensor> {
        require("adaptive_max_pool2d_backward", grad_output, floats)?;
        pooling::max_backward(grad_output, this, indices, 2)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
    fn grad_grad_output(g: &Tensor, indices: &Tensor) -> Result<Tensor> {
        pooling::pick(g, indices, 2)
    }
}

/// Averages of `output_size` windows over the last three dimensions.
#[op(
    "adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor",
    autocast = "fp32",
    composite,
    out = "out"
)]
mod adaptive_avg_pool3d {
    fn kernel(this: &Tensor, output_size: &[i64]) -> Result<Tensor> {
        if is_mean(this, 3) && *output_size == [1; 3] {
            return crate::ops::mean_dim::call(this, Some(&[-3, -2, -1]), true, None);
        }
        _adaptive_avg_pool3d::call(this, output_size)
    }
}

/// The operator behind [`adaptive_avg_pool3d`].
#[op("_adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor", tags(core), no_method, no_fn)]
mod _adaptive_avg_pool3d {
    fn kernel(this: &Tensor, output_size: &[i64]) -> Result<Tensor> {
        require("adaptive_avg_pool3d_cpu", this, floats)?;
        average("adaptive_avg_pool3d", this, output_size, 3)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        _adaptive_avg_pool3d_backward::call(g, this)
    }
}

/// Gradient of [`adaptive_avg_pool3d`].
#[op("_adaptive_avg_pool3d_backward(Tensor grad_output, Tensor self) -> Tensor", no_method, no_fn)]
mod _adaptive_avg_pool3d_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor) -> Result<Tensor> {
        require("adaptive_avg_pool3d_backward_cpu", this, floats)?;
        average_backward(grad_output, this, 3)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
    fn grad_grad_output(g: &Tensor, grad_output: &Meta) -> Result<Tensor> {
        let sizes = grad_output.sizes();
        _adaptive_avg_pool3d::call(g, &sizes[sizes.len() - 3..])
    }
}

/// Largest elements of `output_size` windows over the last three dimensions, and their indices in the plane.
#[op(
    "adaptive_max_pool3d(Tensor self, int[3] output_size) -> (Tensor, Tensor)",
    autocast = "fp32",
    out("out", out, indices)
)]
mod adaptive_max_pool3d {
    fn kernel(this: &Tensor, output_size: &[i64]) -> Result<(Tensor, Tensor)> {
        largest("adaptive_max_pool3d", this, output_size, 3)
    }
    fn grad_this(g: &Tensor, this: &Tensor, out1: &Tensor) -> Result<Tensor> {
        adaptive_max_pool3d_backward::call(g, this, out1)
    }
}

/// Gradient of [`adaptive_max_pool3d`] from that of its values.
#[op(
    "adaptive_max_pool3d_backward(Tensor grad_output, Tensor self, Tensor indices) -> Tensor",
    nondiff(indices),
    no_method
)]
mod adaptive_max_pool3d_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, indices: &Tensor) -> Result<Tensor> {
        require("adaptive_max_pool3d_backward", grad_output, floats)?;
        pooling::max_backward(grad_output, this, indices, 3)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
    fn grad_grad_output(g: &Tensor, indices: &Tensor) -> Result<Tensor> {
        pooling::pick(g, indices, 3)
    }
}
