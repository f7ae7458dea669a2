//! Maximum pooling over windows at random places.

use cresset_kernels::pool::{Fractional, fractional_max};
use cresset_macros::op;

use crate::autograd::Meta;
use crate::dense::{cast, dense, float_type, slice, slice_mut};
use crate::layout::Dims;
use crate::op::OpDef;
use crate::storage::access;
use crate::{DType, Result, Tensor, bail, ensure, op_list, pooling, with_float};

pub(crate) static OPS: &[&OpDef] = op_list![
    fractional_max_pool2d,
    fractional_max_pool2d_backward,
    fractional_max_pool3d,
    fractional_max_pool3d_backward,
];

/// What a dimension is called in PyTorch's errors.
const NAMES: [&str; 3] = ["time", "height", "width"];

/// Checks input and sizes; gives those of the loop.
fn sizes(rank: usize, this: &Tensor, kernel: &[i64], output: &[i64]) -> Result<Fractional> {
    let (op, ints) = (format!("fractional_max_pool{rank}d"), ["", "", "Ints", "three Ints"][rank]);
    for (name, list) in [("kernel_size", kernel), ("output_size", output)] {
        ensure!(list.len() == rank, "{op}: {name} must either be a single Int or tuple of {ints}");
    }
    let name = if rank == 2 { format!("{op}()") } else { format!("{op}_out()") };
    let shape = this.sizes();
    ensure!(
        shape.len() == rank + 1 || shape.len() == rank + 2,
        "{name}: Expected {}D or {}D tensor, but got: {:?}",
        rank + 1,
        rank + 2,
        shape.as_slice()
    );
    if let Some(d) = (shape.len() - rank - 1..shape.len()).find(|d| shape[*d] == 0) {
        bail!(
            "{name}: Expected input to have non-zero size for non-batch dimensions, but got{:?} with dimension {d} being empty.",
            shape.as_slice()
        );
    }
    if kernel.iter().any(|k| *k <= 0) {
        let list: Vec<String> = kernel.iter().map(i64::to_string).collect();
        bail!("{op}(): kernel size should be greater than zero, but got {}", list.join("x"));
    }
    let mut all = Fractional { input: [1; 3], output: [1; 3], kernel: [1; 3], dtype: this.dtype() };
    for d in 0..rank {
        let (n, k, o, axis) = (shape[shape.len() - rank + d], kernel[d], output[d], 3 - rank + d);
        ensure!(
            o.saturating_add(k).saturating_sub(1) <= n,
            "{name}: pool {} {k} too large relative to input {} {n}",
            NAMES[axis],
            NAMES[axis]
        );
        (all.input[axis], all.kernel[axis], all.output[axis]) = (n as usize, k as usize, o.max(0) as usize);
    }
    Ok(all)
}

/// Checks the random numbers of `[n, c]` planes.
fn check_samples(rank: usize, this: &Tensor, samples: &Tensor) -> Result<()> {
    let (shape, s) = (this.sizes(), samples.sizes());
    let (n, c) = (if shape.len() == rank + 2 { shape[0] } else { 1 }, shape[shape.len() - rank - 1]);
    ensure!(this.dtype() == samples.dtype(), "Expect _random_samples to have the same dtype as input");
    ensure!(s.len() == 3, "Expect _random_samples to have 3 dimensions, got {}", s.len());
    ensure!(s[0] >= n, "Expect _random_samples.size(0) no less then input batch size.");
    ensure!(s[1] == c, "Expect _random_samples.size(1) equals to input channel size.");
    ensure!(s[2] == rank as i64, "Expect _random_samples.size(2) equals to {rank}; got {}.", s[2]);
    Ok(())
}

fn result_sizes(rank: usize, this: &Tensor, output: &[i64]) -> Dims {
    let shape = this.sizes();
    Dims::from_slice(&[&shape[..shape.len() - rank], output].concat())
}

fn forward(
    rank: usize,
    this: &Tensor,
    kernel: &[i64],
    output: &[i64],
    samples: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let all = sizes(rank, this, kernel, output)?;
    check_samples(rank, this, samples)?;
    if !this.is_floating_point() {
        let name = this.dtype().scalar_type();
        bail!(NotImplemented, "\"fractional_max_pool{rank}d_out_frame\" not implemented for '{name}'");
    }
    let compute = float_type(this.dtype());
    let (x, random) = (dense(this, compute)?, dense(samples, compute)?);
    let shape = result_sizes(rank, this, output);
    let values = Tensor::empty_of(&shape, compute, this.device())?;
    let indices = Tensor::empty_of(&shape, DType::I64, this.device())?;
    let (v, i, x, r) = (values.raw(), indices.raw(), x.raw(), random.raw());
    access([&v, &i], [&x, &r], |[v, i], [x, r]| {
        // SAFETY: all are locked and row-major; the outputs are fresh.
        with_float!(compute, T => unsafe {
            fractional_max::<T>(all, rank, slice(&x), slice(&r), slice_mut(&v), slice_mut(&i));
        })
    });
    Ok((cast(values, this.dtype())?, indices))
}

fn backward(
    rank: usize,
    g: &Tensor,
    this: &Tensor,
    kernel: &[i64],
    output: &[i64],
    indices: &Tensor,
) -> Result<Tensor> {
    sizes(rank, this, kernel, output)?;
    let (shape, got) = (result_sizes(rank, this, output), g.sizes());
    if got != shape {
        if rank == 2 {
            bail!("fractional_max_pool2d_backward(): gradOutput sizes unexpected");
        }
        let d = (0..3).find(|d| got.iter().rev().nth(2 - d) != shape.iter().rev().nth(2 - d)).unwrap_or(0);
        bail!("fractional_max_pool3d_backward_out(): gradOutput {} unexpected", NAMES[d]);
    }
    pooling::max_backward(g, this, indices, rank)
}

/// Largest element of every window over the last two dimensions, windows at random places; and its index in the plane.
#[op(
    "fractional_max_pool2d(Tensor self, int[2] kernel_size, int[2] output_size, Tensor random_samples) -> (Tensor, Tensor)",
    autocast = "fp32",
    nondiff(random_samples),
    out("output", output, indices),
    no_method
)]
mod fractional_max_pool2d {
    fn kernel(
        this: &Tensor,
        kernel_size: &[i64],
        output_size: &[i64],
        random_samples: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        forward(2, this, kernel_size, output_size, random_samples)
    }
    fn grad_this(
        g: &Tensor,
        this: &Tensor,
        kernel_size: &[i64],
        output_size: &[i64],
        out1: &Tensor,
    ) -> Result<Tensor> {
        fractional_max_pool2d_backward::call(g, this, kernel_size, output_size, out1)
    }
}

/// Gradient of [`fractional_max_pool2d`] from that of its values.
#[op(
    "fractional_max_pool2d_backward(Tensor grad_output, Tensor self, int[2] kernel_size, int[2] output_size, Tensor indices) -> Tensor",
    nondiff(indices),
    out = "grad_input",
    no_method
)]
mod fractional_max_pool2d_backward {
    fn kernel(
        grad_output: &Tensor,
        this: &Tensor,
        kernel_size: &[i64],
        output_size: &[i64],
        indices: &Tensor,
    ) -> Result<Tensor> {
        backward(2, grad_output, this, kernel_size, output_size, indices)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
    fn grad_grad_output(g: &Tensor, indices: &Tensor) -> Result<Tensor> {
        pooling::pick(g, indices, 2)
    }
}

/// Largest element of every window over the last three dimensions, windows at random places; and its index in the plane.
#[op(
    "fractional_max_pool3d(Tensor self, int[3] kernel_size, int[3] output_size, Tensor random_samples) -> (Tensor, Tensor)",
    autocast = "fp32",
    nondiff(random_samples),
    out("output", output, indices),
    no_method
)]
mod fractional_max_pool3d {
    fn kernel(
        this: &Tensor,
        kernel_size: &[i64],
        output_size: &[i64],
        random_samples: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        forward(3, this, kernel_size, output_size, random_samples)
    }
    fn grad_this(
        g: &Tensor,
        this: &Tensor,
        kernel_size: &[i64],
        output_size: &[i64],
        out1: &Tensor,
    ) -> Result<Tensor> {
        fractional_max_pool3d_backward::call(g, this, kernel_size, output_size, out1)
    }
}

/// Gradient of [`fractional_max_pool3d`] from that of its values.
#[op(
    "fractional_max_pool3d_backward(Tensor grad_output, Tensor self, int[3] kernel_size, int[3] output_size, Tensor indices) -> Tensor",
    nondiff(indices),
    out = "grad_input",
    no_method
)]
mod fractional_max_pool3d_backward {
    fn kernel(
        grad_output: &Tensor,
        this: &Tensor,
        kernel_size: &[i64],
        output_size: &[i64],
        indices: &Tensor,
    ) -> Result<Tensor> {
        backward(3, grad_output, this, kernel_size, output_size, indices)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
    fn grad_grad_output(g: &Tensor, indices: &Tensor) -> Result<Tensor> {
        pooling::pick(g, indices, 3)
    }
}
