//! Reductions of consecutive segments.

use std::ops::Range;

use cresset_kernels::segment::{Reduction, Segments};
use cresset_macros::op;

use super::margin_loss::underivable;
use crate::dense::{along, cast, dense, float_type, slice, slice_mut};
use crate::layout::wrap_dim;
use crate::op::OpDef;
use crate::storage::access;
use crate::{DType, Result, Scalar, Tensor, bail, ensure, op_list, with_float};

pub(crate) static OPS: &[&OpDef] = op_list![segment_reduce, _segment_reduce_backward];

/// A checked call: the dimension, its reduction, and the segments of each part.
struct Call {
    dim: usize,
    reduction: Reduction,
    /// Sizes of the lengths: those of the parts, and the number of segments.
    sizes: Vec<i64>,
    segments: Vec<Range<usize>>,
}

impl Call {
    fn new(
        data: &Tensor,
        reduce: &str,
        lengths: Option<&Tensor>,
        offsets: Option<&Tensor>,
        axis: i64,
        unsafe_: bool,
    ) -> Result<Call> {
        let dim = wrap_dim(axis, data.dim())?;
        ensure!(data.numel() > 0 || data.dim() > 0, "segment_reduce(): expected data with dimensions");
        let reduction = reduction(reduce)?;
        let Some(given) = offsets.or(lengths) else {
            bail!("segment_reduce(): Either lengths or offsets must be defined.");
        };
        let name = if offsets.is_some() { "offsets" } else { "lengths" };
        let mut sizes = given.sizes().to_vec();
        ensure!(
            dim + 1 == sizes.len(),
            "segment_reduce(): Expected axis to be the last dimension of {name} but got {dim}."
        );
        ensure!(
            data.dim() >= sizes.len() && data.sizes()[..dim] == sizes[..dim],
            "segment_reduce(): Expected {name} to have the sizes of data before the axis, {:?}, got {sizes:?}",
            &data.sizes()[..dim]
        );
        if !matches!(given.dtype(), DType::I32 | DType::I64) {
            let (kind, dtype) = (format!("_segment_reduce_{name}_cpu_kernel1"), given.dtype().scalar_type());
            bail!(NotImplemented, "\"{kind}\" not implemented for '{dtype}'");
        }
        let numbers: Vec<i64> = dense(given, DType::I64)?.to_vec()?;
        let n = data.sizes()[dim];
        let width = sizes[dim] as usize;
        let segments = if offsets.is_some() {
            ensure!(width > 0, "segment_reduce(): expected at least one offset");
            sizes[dim] -= 1;
            numbers.chunks(width).map(|row| from_offsets(row, n)).collect::<Result<Vec<_>>>()?.concat()
        } else {
            let rows = numbers.chunks(width.max(1));
            rows.map(|row| from_lengths(row, n, unsafe_)).collect::<Result<Vec<_>>>()?.concat()
        };
        Ok(Call { dim, reduction, sizes, segments })
    }

    fn result_sizes(&self, data: &Tensor) -> Vec<i64> {
        [&self.sizes[..], &data.sizes()[self.dim + 1..]].concat()
    }

    fn kernel(&self, data: &Tensor) -> Segments<'_> {
        let shape = along(&data.sizes(), self.dim);
        let (segments, reduction) = (&self.segments[..], self.reduction);
        let count = self.sizes[self.dim].max(1) as usize;
        Segments { n: shape.n, inner: shape.inner, count, segments, reduction }
    }
}

fn reduction(name: &str) -> Result<Reduction> {
    Ok(match name {
        "sum" => Reduction::Sum,
        "mean" => Reduction::Mean,
        "max" => Reduction::Max,
        "min" => Reduction::Min,
        "prod" => Reduction::Prod,
        _ => bail!("reduce argument must be either sum, prod, mean, amax or amin, got {name}"),
    })
}

fn from_lengths(lengths: &[i64], n: i64, unsafe_: bool) -> Result<Vec<Range<usize>>> {
    ensure!(lengths.iter().all(|l| *l >= 0), "lengths contains negative value!");
    let total = lengths.iter().fold(0_i64, |sum, l| sum.saturating_add(*l));
    // What `unsafe` leaves unchecked in PyTorch is out of bounds if it is more than there is.
    ensure!(
        total == n || unsafe_ && total < n,
        "segment_reduce(): Expected all rows of lengths along axis to sum to data.size(lengths.dim()-1) when !unsafe."
    );
    let mut start = 0;
    let next = |l: &i64| {
        let range = start..start + *l as usize;
        start = range.end;
        range
    };
    Ok(lengths.iter().map(next).collect())
}

fn from_offsets(offsets: &[i64], n: i64) -> Result<Vec<Range<usize>>> {
    ensure!(
        offsets.is_sorted() && offsets[0] >= 0 && offsets[offsets.len() - 1] <= n,
        "segment_reduce(): expected offsets that rise within 0 to {n}, got {offsets:?}"
    );
    Ok(offsets.windows(2).map(|w| w[0] as usize..w[1] as usize).collect())
}

fn check_data(data: &Tensor) -> Result<()> {
    if !data.is_floating_point() {
        bail!(NotImplemented, "\"_segment_reduce_cpu\" not implemented for '{}'", data.dtype().scalar_type());
    }
    Ok(())
}

/// Reduces consecutive segments of `axis`, given by their lengths or by where they start (and the last ends); `initial` takes
/// part in each.
#[op(
    "segment_reduce(Tensor data, str reduce, *, Tensor? lengths=None, Tensor? indices=None, Tensor? offsets=None, int axis=0, bool unsafe=False, Scalar? initial=None) -> Tensor",
    nondiff(lengths, indices, offsets),
    no_method
)]
mod segment_reduce {
    fn kernel(
        data: &Tensor,
        reduce: &str,
        lengths: Option<&Tensor>,
        indices: Option<&Tensor>,
        offsets: Option<&Tensor>,
        axis: i64,
        unsafe_: bool,
        initial: Option<Scalar>,
    ) -> Result<Tensor> {
        ensure!(indices.is_none(), "segment_reduce(): indices based reduction is not supported yet.");
        let call = Call::new(data, reduce, lengths, offsets, axis, unsafe_)?;
        check_data(data)?;
        let compute = float_type(data.dtype());
        let x = dense(data, compute)?;
        let result = Tensor::empty_of(&call.result_sizes(data), compute, data.device())?;
        access([&result.raw()], [&x.raw()], |[o], [x]| {
            // SAFETY: both are locked, row-major and of the type that they are read as; the output is fresh.
            with_float!(compute, T => unsafe {
                let initial = initial.map(|s| s.to_f64() as T);
                call.kernel(data).forward(initial, slice(&x), slice_mut(&o));
            });
        });
        cast(result, data.dtype())
    }
    fn grad_data(
        g: &Tensor,
        data: &Tensor,
        reduce: &str,
        lengths: Option<&Tensor>,
        offsets: Option<&Tensor>,
        axis: i64,
        initial: Option<Scalar>,
        out: &Tensor,
    ) -> Result<Tensor> {
        _segment_reduce_backward::call(g, out, data, reduce, lengths, offsets, axis, initial)
    }
}

/// Gradient of [`segment_reduce`]; has none itself, as in PyTorch.
#[op(
    "_segment_reduce_backward(Tensor grad, Tensor output, Tensor data, str reduce, *, Tensor? lengths=None, Tensor? offsets=None, int axis=0, Scalar? initial=None) -> Tensor",
    nondiff(lengths, offsets),
    no_method,
    no_fn
)]
mod _segment_reduce_backward {
    fn kernel(
        grad: &Tensor,
        output: &Tensor,
        data: &Tensor,
        reduce: &str,
        lengths: Option<&Tensor>,
        offsets: Option<&Tensor>,
        axis: i64,
        initial: Option<Scalar>,
    ) -> Result<Tensor> {
        let call = Call::new(data, reduce, lengths, offsets, axis, true)?;
        check_data(data)?;
        ensure!(
            grad.sizes() == output.sizes(),
            "segment_reduce_backward: expected gradients {:?}, got {:?}",
            output.sizes().as_slice(),
            grad.sizes().as_slice()
        );
        ensure!(
            output.sizes()[..] == call.result_sizes(data)[..],
            "segment_reduce_backward: expected results {:?}, got {:?}",
            call.result_sizes(data),
            output.sizes().as_slice()
        );
        let compute = float_type(data.dtype());
        let (g, y, x) = (dense(grad, compute)?, dense(output, compute)?, dense(data, compute)?);
        let result = Tensor::empty_of(&data.sizes(), compute, data.device())?;
        access([&result.raw()], [&g.raw(), &y.raw(), &x.raw()], |[o], [g, y, x]| {
            // SAFETY: as in the forward.
            with_float!(compute, T => unsafe {
                let initial = initial.map(|s| s.to_f64() as T);
                call.kernel(data).backward(initial, slice(&g), slice(&y), slice(&x), slice_mut(&o));
            });
        });
        cast(result, data.dtype())
    }
    fn grad_grad(g: &Tensor) -> Result<Tensor> {
        underivable(g, "_segment_reduce_backward")
    }
    fn grad_output(g: &Tensor) -> Result<Tensor> {
        underivable(g, "_segment_reduce_backward")
    }
    fn grad_data(g: &Tensor) -> Result<Tensor> {
        underivable(g, "_segment_reduce_backward")
    }
}
