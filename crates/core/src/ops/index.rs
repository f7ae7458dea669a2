//! Elements chosen by tensors of indices.

use super::raw::{self, Indexed, Visit};
use super::where_self;
use crate::autograd::Meta;
use crate::layout::{Dims, wrap_dim};
use crate::op::{OpDef, Out};
use crate::{DType, Result, Tensor, bail, copy, ensure, op_list};
use cresset_kernels::index::Combine;
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![index_select, gather, take, take_along_dim, put,];

/// The tensor that a call writes to: `this` in place, else a row-major copy of it.
pub(crate) fn target(this: &Tensor, out: Out) -> Result<Tensor> {
    match out {
        Out::Inplace(t) => writable(t),
        Out::New => raw::dense_copy(this),
        Out::Into(outs) => {
            copy::resize_output(&outs[0], &this.sizes())?;
            copy::copy_into(&outs[0], this)?;
            writable(&outs[0])
        }
    }
}

/// [`target`], the copy having its dimensions in the order of those of `this`.
pub(crate) fn target_in_order(this: &Tensor, out: Out) -> Result<Tensor> {
    if matches!(out, Out::New) { copy::duplicate(this) } else { target_as(this, out) }
}

/// [`target`] that an `out` tensor of another dtype is an error for, in PyTorch's words.
pub(crate) fn target_as(this: &Tensor, out: Out) -> Result<Tensor> {
    if let Out::Into([t, ..]) = out {
        raw::check_out_dtype(t, this.dtype())?;
    }
    target(this, out)
}

/// `t`, unless several of its elements are one place in memory.
pub(crate) fn writable(t: &Tensor) -> Result<Tensor> {
    let layout = t.layout();
    if layout.sizes.iter().zip(&layout.strides).any(|(n, s)| *n > 1 && *s == 0) {
        bail!(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. Please clone() the tensor before performing the operation."
        );
    }
    Ok(t.clone())
}

/// `src`, copied if it shares memory with `dst`.
pub(crate) fn apart(src: &Tensor, dst: &Tensor) -> Result<Tensor> {
    if src.shares_storage_with(dst) { copy::duplicate(src) } else { Ok(src.clone()) }
}

/// Indices as `int64`.
pub(crate) fn long(index: &Tensor) -> Result<Tensor> {
    if index.dtype() == DType::I64 { Ok(index.clone()) } else { raw::cast(index, DType::I64) }
}

pub(crate) fn is_index(dtype: DType) -> bool {
    matches!(dtype, DType::I32 | DType::I64)
}

/// The loop of a vector of indices along one dimension: sizes and the strides of the indexed operand without it.
pub(crate) struct Along {
    pub dim: usize,
    pub sizes: Dims,
    pub strides: Dims,
}

impl Along {
    /// `whole` is the indexed tensor, `n` the number of indices.
    pub fn new(whole: &Tensor, dim: usize, n: i64) -> Along {
        let (mut sizes, mut strides) = (whole.sizes(), whole.strides());
        if sizes.is_empty() {
            (sizes, strides) = (Dims::from_elem(1, 1), Dims::from_elem(1, 1));
        }
        sizes[dim] = n;
        strides[dim] = 0;
        Along { dim, sizes, strides }
    }

    /// The indices of the loop; 0-dim ones count as one.
    pub fn index<'a>(&self, whole: &Tensor, indices: &'a Tensor, negative: bool) -> Indexed<'a> {
        let mut strides = Dims::from_elem(0, self.sizes.len());
        strides[self.dim] = indices.strides().first().copied().unwrap_or(0);
        let size = whole.sizes().get(self.dim).copied().unwrap_or(1);
        let stride = whole.strides().get(self.dim).copied().unwrap_or(1);
        Indexed { indices, strides, size, stride, low: if negative { -size } else { 0 } }
    }
}

/// Strides of `t` over a loop of one dimension where `t` has none.
pub(crate) fn strides_of(t: &Tensor) -> Dims {
    if t.dim() == 0 { Dims::from_elem(1, 1) } else { t.strides() }
}

/// Positions `index` of dimension `dim`.
#[op("index_select(Tensor self, int dim, Tensor index) -> Tensor", out = "out", nondiff(index), tags(core))]
mod index_select {
    pub(crate) fn kernel(this: &Tensor, dim: i64, index: &Tensor, out: Out) -> Result<Tensor> {
        let d = wrap_dim(dim, this.dim())?;
        ensure!(index.dim() <= 1, Index, "index_select(): Index is supposed to be a vector");
        ensure!(is_index(index.dtype()), "index_select(): Expected dtype int32 or int64 for index");
        let n = index.numel() as i64;
        ensure!(
            this.dim() > 0 || n == 1,
            "index_select(): Index to scalar can have only 1 value, got {n} value(s)"
        );
        let (index, along) = (long(index)?, Along::new(this, d, n));
        let sizes = if this.dim() == 0 { Dims::new() } else { along.sizes.clone() };
        let result = raw::output(out, &sizes, this)?;
        let indexed = [along.index(this, &index, false)];
        match raw::visit(
            Visit::Get,
            &along.sizes,
            (&result, &strides_of(&result)),
            (this, &along.strides),
            &indexed,
        ) {
            Some(_) => bail!(Index, "index out of range in self"),
            None => Ok(result),
        }
    }
    fn sparse(this: &Tensor, dim: i64, index: &Tensor) -> Result<Tensor> {
        crate::sparse::shape::index_select(this, dim, index)
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: i64, index: &Tensor) -> Result<Tensor> {
        this.zeros()?.index_add(dim, index, g)
    }
}

/// For each position, the element whose coordinate along `dim` is the index there.
#[op(
    "gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor",
    out = "out",
    nondiff(index),
    tags(core),
    onnx = "GatherElements"
)]
mod gather {
    fn kernel(this: &Tensor, dim: i64, index: &Tensor, sparse_grad: bool, out: Out) -> Result<Tensor> {
        // Only backward looks at it.
        let _ = sparse_grad;
        let d = wrap_dim(dim, this.dim())?;
        check_gather(this, d, index)?;
        let result = raw::output(out, &index.sizes(), this)?;
        if index.numel() == 0 {
            return Ok(result);
        }
        let (index, grid) = (long(index)?, Grid::new(this, d, index));
        let indexed = [grid.index(this, &index)];
        let bad = raw::visit(
            Visit::Get,
            &grid.sizes,
            (&result, &strides_of(&result)),
            (this, &grid.strides),
            &indexed,
        );
        grid.check(this, bad).map(|()| result)
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: i64, index: &Tensor, sparse_grad: bool) -> Result<Tensor> {
        if sparse_grad && this.dim() > 0 {
            return sparse_gather_grad(g, this.sizes(), wrap_dim(dim, this.dim())?, index);
        }
        this.zeros()?.scatter_add(dim, index, g)
    }
}

/// The gradient of [`gather`] with one coordinate per position of the index.
fn sparse_gather_grad(g: &Tensor, sizes: &[i64], d: usize, index: &Tensor) -> Result<Tensor> {
    let positions: Vec<i64> = (0..index.numel() as i64).collect();
    let coordinates = crate::sparse::coordinates(&positions, &index.sizes())?;
    coordinates.select(0, d as i64)?.copy_(&index.reshape(-1)?)?;
    crate::ops::sparse_coo_tensor_indices_size(&coordinates, &g.reshape(-1)?, sizes)
}

fn check_gather(this: &Tensor, d: usize, index: &Tensor) -> Result<()> {
    ensure!(is_index(index.dtype()) || index.numel() == 0, "gather(): Expected dtype int32/int64 for index");
    if index.numel() == 0 {
        return Ok(());
    }
    let (sizes, limits) = (index.sizes(), this.sizes());
    ensure!(
        sizes.len().max(1) == limits.len().max(1),
        "Index tensor must have the same number of dimensions as input tensor"
    );
    if let Some(i) = (0..sizes.len().min(limits.len())).find(|&i| i != d && sizes[i] > limits[i]) {
        bail!(
            "Size does not match at dimension {i} expected index {:?} to be no larger than self {:?} apart from dimension {d}",
            sizes.as_slice(),
            limits.as_slice()
        );
    }
    Ok(())
}

/// The loop of a tensor of indices that has all dimensions of the indexed tensor.
pub(crate) struct Grid {
    pub dim: usize,
    pub sizes: Dims,
    pub strides: Dims,
}

impl Grid {
    pub fn new(whole: &Tensor, dim: usize, index: &Tensor) -> Grid {
        let sizes = if index.dim() == 0 { Dims::from_elem(1, 1) } else { index.sizes() };
        let mut strides = strides_of(whole);
        strides[dim] = 0;
        Grid { dim, sizes, strides }
    }

    pub fn index<'a>(&self, whole: &Tensor, indices: &'a Tensor) -> Indexed<'a> {
        let size = whole.sizes().get(self.dim).copied().unwrap_or(1);
        let stride = whole.strides().get(self.dim).copied().unwrap_or(1);
        Indexed { indices, strides: strides_of(indices), size, stride, low: 0 }
    }

    pub fn check(&self, whole: &Tensor, bad: Option<(usize, i64)>) -> Result<()> {
        let size = whole.sizes().get(self.dim).copied().unwrap_or(1);
        match bad {
            Some((_, i)) => bail!("index {i} is out of bounds for dimension {} with size {size}", self.dim),
            None => Ok(()),
        }
    }
}

/// Elements by their position in row-major order.
#[op("take(Tensor self, Tensor index) -> Tensor", out = "out", nondiff(index))]
mod take {
    fn kernel(this: &Tensor, index: &Tensor, out: Out) -> Result<Tensor> {
        ensure!(
            index.dtype() == DType::I64,
            "take(): Expected a long tensor for index, but got {}",
            index.dtype().scalar_type()
        );
        ensure!(this.numel() > 0 || index.numel() == 0, Index, "take(): tried to take from an empty tensor");
        let result = raw::output(out, &index.sizes(), this)?;
        let (flat, n) = (raw::dense(this)?, this.numel() as i64);
        let (sizes, zeros) = (index.sizes(), Dims::from_elem(0, index.dim()));
        let indexed = [Indexed { indices: index, strides: index.strides(), size: n, stride: 1, low: -n }];
        let bad = raw::visit(Visit::Get, &sizes, (&result, &result.strides()), (&flat, &zeros), &indexed);
        flat_range(bad, n).map(|()| result)
    }
    fn grad_this(g: &Tensor, this: &Meta, index: &Tensor) -> Result<Tensor> {
        this.zeros()?.put_with(index, g, |o| o.accumulate(true))
    }
}

fn flat_range(bad: Option<(usize, i64)>, n: i64) -> Result<()> {
    match bad {
        Some((_, i)) => bail!(Index, "out of range: tried to access index {i} on a tensor of {n} elements."),
        None => Ok(()),
    }
}

/// Overwrites, or adds to, elements by their position in row-major order.
#[op(
    "put(Tensor self, Tensor index, Tensor source, bool accumulate=False) -> Tensor",
    inplace,
    out = "out",
    nondiff(index)
)]
mod put {
    fn kernel(this: &Tensor, index: &Tensor, source: &Tensor, accumulate: bool) -> Result<Tensor> {
        ensure!(
            index.dtype() == DType::I64,
            "put_(): Expected a long tensor for index, but got {}",
            index.dtype().scalar_type()
        );
        ensure!(
            this.dtype() == source.dtype(),
            "put_(): self and source expected to have the same dtype, but got self.dtype = {} and source.dtype = {}",
            this.dtype().scalar_type(),
            source.dtype().scalar_type()
        );
        let (n, given) = (index.numel() as i64, source.numel());
        ensure!(
            n as usize == given,
            Index,
            "put_(): Expected source and index to have the same number of elements, but got source.numel() = {given}, index.numel() = {n}"
        );
        let (result, index, source) = (raw::dense_copy(this)?, raw::dense(index)?, raw::dense(source)?);
        let size = this.numel() as i64;
        let indexed =
            [Indexed { indices: &index, strides: Dims::from_elem(1, 1), size, stride: 1, low: -size }];
        let how = if accumulate { Visit::Combine(Combine::Sum) } else { Visit::Put };
        flat_range(raw::visit(how, &[n], (&result, &[0]), (&source, &[1]), &indexed), size).map(|()| result)
    }
    fn grad_this(g: &Tensor, index: &Tensor, source: &Meta, accumulate: bool) -> Result<Tensor> {
        if accumulate { Ok(g.clone()) } else { g.put(index, &source.zeros()?) }
    }
    fn grad_source(g: &Tensor, index: &Tensor, source: &Meta) -> Result<Tensor> {
        g.take(index)?.reshape(source.sizes())
    }
}

/// [`gather`] with broadcasting; without `dim` by position in row-major order.
#[op("take_along_dim(Tensor self, Tensor indices, int? dim=None) -> Tensor", composite, out = "out")]
mod take_along_dim {
    fn kernel(this: &Tensor, indices: &Tensor, dim: Option<i64>) -> Result<Tensor> {
        ensure!(
            is_index(indices.dtype()),
            "torch.take_along_dim(): dtype of indices should be Long but got {}",
            indices.dtype().scalar_type()
        );
        let Some(dim) = dim else { return this.reshape(-1)?.gather(0, &indices.reshape(-1)?) };
        let (n, m) = (this.dim(), indices.dim());
        ensure!(
            n == m,
            "torch.take_along_dim(): input and indices should have the same number of dimensions, but got {n} dimensions for input, and {m} dimensions for indices"
        );
        let d = wrap_dim(dim, n)?;
        let (mut from, mut to) = (this.sizes(), indices.sizes());
        if n > 0 {
            (from[d], to[d]) = (1, 1);
        }
        let mut common = crate::layout::broadcast_shapes(&from, &to)?;
        let with = |common: &mut Dims, size: i64| {
            if n > 0 {
                common[d] = size
            }
        };
        with(&mut common, this.sizes().get(d).copied().unwrap_or(1));
        let this = this.expand(&common)?;
        with(&mut common, indices.sizes().get(d).copied().unwrap_or(1));
        // Unlike `gather` it counts negative indices from the end.
        let size = this.sizes().get(d).copied().unwrap_or(1);
        let indices = where_self(&indices.lt_scalar(0)?, &indices.add_scalar(size)?, indices)?;
        this.gather(dim, &indices.expand(&common)?)
    }
}
