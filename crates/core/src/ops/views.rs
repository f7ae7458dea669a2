//! Operators whose result shares its elements with the argument: another shape, order or part of the same storage.

use super::raw;
use super::view_layout as plan;
use super::*;
use crate::autograd::Meta;
use crate::layout::{Dims, Layout, wrap_dim};
use crate::op::OpDef;
use crate::{Result, Tensor, bail, ensure, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    view,
    _unsafe_view,
    _reshape_alias,
    alias,
    expand,
    permute,
    transpose,
    t,
    squeeze,
    squeeze_dim,
    squeeze_dims,
    unsqueeze,
    select,
    slice,
    diagonal,
    unfold,
    as_strided,
    unbind,
    split,
    split_with_sizes,
];

/// The same elements with other sizes, one of which may be -1.
#[op("view(Tensor(a) self, SymInt[] size) -> Tensor(a)", view, tags(core))]
mod view {
    fn kernel(this: &Tensor, size: &[i64]) -> Result<Tensor> {
        let layout = this.layout();
        let size = plan::infer_size(size, layout.numel())?;
        let Some(strides) = plan::view_strides(&layout, &size) else {
            bail!(
                "view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead."
            )
        };
        this.alias_with(Layout { sizes: size, strides, offset: layout.offset })
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        g.reshape(this.sizes())
    }
}

/// [`view`] of a fresh tensor, to autograd not a view.
#[op("_unsafe_view(Tensor self, SymInt[] size) -> Tensor")]
mod _unsafe_view {
    fn kernel(this: &Tensor, size: &[i64]) -> Result<Tensor> {
        let layout = this.layout();
        let size = plan::infer_size(size, layout.numel())?;
        let Some(strides) = plan::view_strides(&layout, &size) else {
            bail!(
                "view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead."
            )
        };
        Tensor::from_storage(
            this.storage(),
            Layout { sizes: size, strides, offset: layout.offset },
            this.dtype(),
        )
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        g.reshape(this.sizes())
    }
}

/// [`view`] with strides that the caller knows to be right.
#[op("_reshape_alias(Tensor(a) self, SymInt[] size, SymInt[] stride) -> Tensor(a)", view)]
mod _reshape_alias {
    fn kernel(this: &Tensor, size: &[i64], stride: &[i64]) -> Result<Tensor> {
        ensure!(size.len() == stride.len(), "mismatch in length of strides and shape");
        this.alias_with(Layout::new(size, stride, this.storage_offset()))
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        g.reshape(this.sizes())
    }
}

/// The same elements under another tensor object.
#[op("alias(Tensor(a) self) -> Tensor(a)", view)]
mod alias {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        this.alias_with(this.layout())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
}

/// Broadcasts dimensions of size 1 (and new leading ones) without copying; -1 keeps a size.
#[op(
    "expand(Tensor(a) self, SymInt[] size, *, bool implicit=False) -> Tensor(a)",
    view,
    tags(core),
    onnx = "Expand"
)]
mod expand {
    fn kernel(this: &Tensor, size: &[i64], implicit: bool) -> Result<Tensor> {
        let _ = implicit;
        let typename = format!("torch.{}Tensor", this.dtype().scalar_type());
        this.alias_with(plan::expand(&this.layout(), size, &typename)?)
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        g.sum_to_size(this.sizes())
    }
}

/// The dimensions in another order.
#[op("permute(Tensor(a) self, int[] dims) -> Tensor(a)", view, tags(core))]
mod permute {
    fn kernel(this: &Tensor, dims: &[i64]) -> Result<Tensor> {
        this.alias_with(plan::permute(&this.layout(), dims)?)
    }
    fn sparse(this: &Tensor, dims: &[i64]) -> Result<Tensor> {
        crate::sparse::shape::permute(this, dims)
    }
    fn grad_this(g: &Tensor, dims: &[i64]) -> Result<Tensor> {
        let n = dims.len();
        let mut inverse = vec![0; n];
        for (to, &from) in dims.iter().enumerate() {
            inverse[wrap_dim(from, n)?] = to as i64;
        }
        g.permute(inverse)
    }
}

/// Two dimensions swapped.
#[op("transpose.int(Tensor(a) self, int dim0, int dim1) -> Tensor(a)", view)]
mod transpose {
    fn kernel(this: &Tensor, dim0: i64, dim1: i64) -> Result<Tensor> {
        this.alias_with(plan::transpose(&this.layout(), dim0, dim1)?)
    }
    fn sparse(this: &Tensor, dim0: i64, dim1: i64) -> Result<Tensor> {
        crate::sparse::shape::transpose(this, dim0, dim1)
    }
    fn grad_this(g: &Tensor, dim0: i64, dim1: i64) -> Result<Tensor> {
        g.transpose(dim0, dim1)
    }
}

/// A matrix transposed; vectors and scalars as they are.
#[op("t(Tensor(a) self) -> Tensor(a)", view)]
mod t {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        let n = this.dim();
        ensure!(n <= 2, "t() expects a tensor with <= 2 dimensions, but self is {n}D");
        let layout = if n == 2 { plan::transpose(&this.layout(), 0, 1)? } else { this.layout() };
        this.alias_with(layout)
    }
    fn sparse(this: &Tensor) -> Result<Tensor> {
        let n = this.dim() as i64;
        ensure!(n <= 2, "t() expects a tensor with <= 2 dimensions, but self is {n}D");
        crate::sparse::shape::transpose(this, 0, (n - 1).max(0))
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        g.t()
    }
}

/// Without its dimensions of size 1.
#[op("squeeze(Tensor(a) self) -> Tensor(a)", view)]
mod squeeze {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        this.alias_with(plan::squeeze(&this.layout(), |_| true))
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        g.reshape(this.sizes())
    }
}

/// Without dimension `dim` if that has size 1.
#[op("squeeze.dim(Tensor(a) self, int dim) -> Tensor(a)", view)]
mod squeeze_dim {
    fn kernel(this: &Tensor, dim: i64) -> Result<Tensor> {
        let dim = wrap_dim(dim, this.dim())?;
        this.alias_with(plan::squeeze(&this.layout(), |d| d == dim))
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        g.reshape(this.sizes())
    }
}

/// Without those of the dimensions `dim` that have size 1.
#[op("squeeze.dims(Tensor(a) self, int[] dim) -> Tensor(a)", view, tags(core))]
mod squeeze_dims {
    fn kernel(this: &Tensor, dim: &[i64]) -> Result<Tensor> {
        let dims = crate::layout::wrap_dims(dim, this.dim())?;
        this.alias_with(plan::squeeze(&this.layout(), |d| dims.contains(&d)))
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        g.reshape(this.sizes())
    }
}

/// With a dimension of size 1 before `dim`.
#[op("unsqueeze(Tensor(a) self, int dim) -> Tensor(a)", view, tags(core))]
mod unsqueeze {
    fn kernel(this: &Tensor, dim: i64) -> Result<Tensor> {
        this.alias_with(plan::unsqueeze(&this.layout(), dim)?)
    }
    fn sparse(this: &Tensor, dim: i64) -> Result<Tensor> {
        crate::sparse::shape::unsqueeze(this, dim)
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        g.reshape(this.sizes())
    }
}

/// Position `index` of dimension `dim`.
#[op("select.int(Tensor(a) self, int dim, SymInt index) -> Tensor(a)", view, tags(core))]
mod select {
    fn kernel(this: &Tensor, dim: i64, index: i64) -> Result<Tensor> {
        this.alias_with(plan::select(&this.layout(), dim, index)?)
    }
    fn sparse(this: &Tensor, dim: i64, index: i64) -> Result<Tensor> {
        crate::sparse::shape::select(this, dim, index)
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: i64, index: i64) -> Result<Tensor> {
        select_backward::call(g, this.sizes(), dim, index)
    }
}

/// Every `step`-th position from `start` to before `end` of dimension `dim`, as a Python slice.
#[op(
    "slice.Tensor(Tensor(a) self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor(a)",
    view,
    tags(core)
)]
mod slice {
    fn kernel(this: &Tensor, dim: i64, start: Option<i64>, end: Option<i64>, step: i64) -> Result<Tensor> {
        this.alias_with(plan::slice(&this.layout(), dim, start, end, step)?)
    }
    fn grad_this(
        g: &Tensor,
        this: &Meta,
        dim: i64,
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
    ) -> Result<Tensor> {
        slice_backward::call(g, this.sizes(), dim, start.unwrap_or(0), end.unwrap_or(i64::MAX), step)
    }
}

/// The diagonal of two dimensions, as the last dimension.
#[op("diagonal(Tensor(a) self, int offset=0, int dim1=0, int dim2=1) -> Tensor(a)", view, tags(core))]
mod diagonal {
    fn kernel(this: &Tensor, offset: i64, dim1: i64, dim2: i64) -> Result<Tensor> {
        this.alias_with(plan::diagonal(&this.layout(), offset, dim1, dim2)?)
    }
    fn grad_this(g: &Tensor, this: &Meta, offset: i64, dim1: i64, dim2: i64) -> Result<Tensor> {
        diagonal_backward::call(g, this.sizes(), offset, dim1, dim2)
    }
}

/// Windows of `size` every `step` positions of a dimension, as a new last dimension.
#[op("unfold(Tensor(a) self, int dimension, int size, int step) -> Tensor(a)", view)]
mod unfold {
    fn kernel(this: &Tensor, dimension: i64, size: i64, step: i64) -> Result<Tensor> {
        this.alias_with(plan::unfold(&this.layout(), dimension, size, step)?)
    }
    fn grad_this(g: &Tensor, this: &Meta, dimension: i64, size: i64, step: i64) -> Result<Tensor> {
        unfold_backward::call(g, this.sizes(), dimension, size, step)
    }
}

/// The elements that sizes, strides and an offset name in the storage.
#[op(
    "as_strided(Tensor(a) self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor(a)",
    view,
    tags(core)
)]
mod as_strided {
    fn kernel(this: &Tensor, size: &[i64], stride: &[i64], storage_offset: Option<i64>) -> Result<Tensor> {
        this.alias_with(strided_layout(this, size, stride, storage_offset)?)
    }
    fn grad_this(
        g: &Tensor,
        this: &Meta,
        size: &[i64],
        stride: &[i64],
        storage_offset: Option<i64>,
    ) -> Result<Tensor> {
        strided_grad(g, this, size, stride, storage_offset)
    }
}

pub(crate) fn strided_layout(
    this: &Tensor,
    size: &[i64],
    stride: &[i64],
    offset: Option<i64>,
) -> Result<Layout> {
    ensure!(size.len() == stride.len(), "mismatch in length of strides and shape");
    if stride.iter().any(|s| *s < 0) {
        bail!("as_strided: Negative strides are not supported at the moment, got strides: {stride:?}");
    }
    let offset = offset.unwrap_or(this.storage_offset() as i64);
    ensure!(offset >= 0, "Tensor: invalid storage offset {offset}");
    crate::layout::checked_numel(size, this.dtype().size())?;
    Ok(Layout::new(size, stride, offset as usize))
}

/// Sums the gradient into a flat stand-in for the storage and reads that with the argument's layout.
pub(crate) fn strided_grad(
    g: &Tensor,
    this: &Meta,
    size: &[i64],
    stride: &[i64],
    offset: Option<i64>,
) -> Result<Tensor> {
    let offset = offset.unwrap_or(this.layout.offset as i64) as usize;
    let (to, from) = (Layout::new(size, stride, offset), this.layout.clone());
    let n = to.end().max(from.end()) as i64;
    let places = raw::generate(&[n], |i| i as i64)?;
    let at = |l: &Layout| as_strided::call(&places, &l.sizes, &l.strides, Some(l.offset as i64))?.reshape(-1);
    let flat = crate::copy::zeros(&[n], g.dtype(), g.device())?.index_add(0, &at(&to)?, &g.reshape(-1)?)?;
    let flat =
        if from.is_non_overlapping_and_dense() { flat } else { flat.mul(&shares(&at(&from)?, n, g)?)? };
    as_strided::call(&flat, &from.sizes, &from.strides, Some(from.offset as i64))
}

/// For each place of a storage of `n`, one over how many of `places` it is, as the dtype of `g`.
fn shares(places: &Tensor, n: i64, g: &Tensor) -> Result<Tensor> {
    let mut counts = vec![0_i64; n as usize];
    places.to_vec::<i64>()?.iter().for_each(|p| counts[*p as usize] += 1);
    let shares: Vec<f64> = counts.iter().map(|c| 1.0 / (*c).max(1) as f64).collect();
    raw::cast(&Tensor::from_slice(&shares, [n])?, g.dtype())
}

/// The positions of a dimension, one tensor each.
#[op("unbind.int(Tensor(a -> *) self, int dim=0) -> Tensor(a)[]", view)]
mod unbind {
    fn kernel(this: &Tensor, dim: i64) -> Result<Vec<Tensor>> {
        let d = wrap_existing(dim, this)?;
        (0..this.sizes()[d]).map(|i| this.alias_with(plan::select(&this.layout(), d as i64, i)?)).collect()
    }
    fn grad_this(grads: &[Option<Tensor>], this: &Meta, dim: i64) -> Result<Tensor> {
        let mut part = Dims::from_slice(this.sizes());
        part.remove(wrap_dim(dim, part.len())?);
        stack::call(&filled(grads, this, |_| part.clone())?, dim)
    }
}

fn wrap_existing(dim: i64, this: &Tensor) -> Result<usize> {
    ensure!(this.dim() > 0, Index, "Dimension specified as {dim} but tensor has no dimensions");
    wrap_dim(dim, this.dim())
}

/// The gradients with zeros of those sizes for absent ones.
fn filled(grads: &[Option<Tensor>], this: &Meta, sizes: impl Fn(usize) -> Dims) -> Result<Vec<Tensor>> {
    let zeros = |i| crate::copy::zeros(&sizes(i), this.dtype(), this.device);
    grads.iter().enumerate().map(|(i, g)| g.clone().map_or_else(|| zeros(i), Ok)).collect()
}

/// Consecutive parts of a dimension, `split_size` long each but perhaps the last.
#[op("split.Tensor(Tensor(a -> *) self, SymInt split_size, int dim=0) -> Tensor(a)[]", view)]
mod split {
    fn kernel(this: &Tensor, split_size: i64, dim: i64) -> Result<Vec<Tensor>> {
        parts(this, &equal_parts(this, split_size, dim)?, dim)
    }
    fn grad_this(grads: &[Option<Tensor>], this: &Meta, split_size: i64, dim: i64) -> Result<Tensor> {
        let d = wrap_dim(dim, this.sizes().len())?;
        let size = this.sizes()[d];
        let part = |i: usize| with_size(this, d, split_size.min(size - i as i64 * split_size).max(0));
        cat::call(&filled(grads, this, part)?, dim)
    }
}

/// Consecutive parts of a dimension, with those lengths.
#[op("split_with_sizes(Tensor(a -> *) self, SymInt[] split_sizes, int dim=0) -> Tensor(a)[]", view)]
mod split_with_sizes {
    fn kernel(this: &Tensor, split_sizes: &[i64], dim: i64) -> Result<Vec<Tensor>> {
        let d = wrap_existing(dim, this)?;
        let size = this.sizes()[d];
        if split_sizes.iter().any(|n| *n < 0) {
            bail!(
                "split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={split_sizes:?}"
            );
        }
        if split_sizes.iter().try_fold(0_i64, |sum, n| sum.checked_add(*n)) != Some(size) {
            bail!(
                "split_with_sizes expects split_sizes to sum exactly to {size} (input tensor's size at dimension {dim}), but got split_sizes={split_sizes:?}"
            );
        }
        parts(this, split_sizes, dim)
    }
    fn grad_this(grads: &[Option<Tensor>], this: &Meta, split_sizes: &[i64], dim: i64) -> Result<Tensor> {
        let d = wrap_dim(dim, this.sizes().len())?;
        cat::call(&filled(grads, this, |i| with_size(this, d, split_sizes[i]))?, dim)
    }
}

fn with_size(this: &Meta, dim: usize, size: i64) -> Dims {
    let mut sizes = Dims::from_slice(this.sizes());
    sizes[dim] = size;
    sizes
}

/// Lengths of the parts of [`split`].
pub(crate) fn equal_parts(this: &Tensor, split_size: i64, dim: i64) -> Result<Vec<i64>> {
    ensure!(this.dim() > 0, "split expects at least a 1-dimensional tensor");
    ensure!(split_size >= 0, "split expects split_size be non-negative, but got split_size={split_size}");
    let size = this.sizes()[wrap_dim(dim, this.dim())?];
    if split_size == 0 {
        ensure!(
            size == 0,
            "split_size can only be 0 if dimension size is 0, but got dimension size of {size}"
        );
        return Ok(vec![0]);
    }
    let n = (size / split_size + i64::from(size % split_size != 0)).max(1);
    Ok((0..n).map(|i| split_size.min(size - i * split_size)).collect())
}

fn parts(this: &Tensor, lengths: &[i64], dim: i64) -> Result<Vec<Tensor>> {
    let mut start = 0;
    let part = |&n: &i64| {
        let layout = plan::slice(&this.layout(), dim, Some(start), Some(start + n), 1)?;
        start += n;
        this.alias_with(layout)
    };
    lengths.iter().map(part).collect()
}
