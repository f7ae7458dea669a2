//! Values sent to places that a tensor of indices names.

use super::index::{Grid, apart, long, strides_of, target_as};
use super::raw::{self, Visit};
use crate::layout::{Dims, wrap_dim};
use crate::op::{OpDef, Out};
use crate::{DType, Result, Scalar, Tensor, bail, ensure, op_list};
use cresset_kernels::index::Combine;
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] =
    op_list![scatter, scatter_value, scatter_reduce_src, scatter_reduce_value, scatter_add];

fn check_index(this: &Tensor, d: usize, index: &Tensor, src: Option<&Tensor>) -> Result<()> {
    let long = matches!(index.dtype(), DType::I32 | DType::I64);
    ensure!(long || index.numel() == 0, "scatter(): Expected dtype int32/int64 for index");
    if let Some(src) = src {
        ensure!(this.dtype() == src.dtype(), "scatter(): Expected self.dtype to be equal to src.dtype");
    }
    if index.numel() == 0 {
        return Ok(());
    }
    let shape = |t: &Tensor| if t.dim() == 0 { Dims::from_elem(1, 1) } else { t.sizes() };
    let (sizes, limits) = (shape(index), shape(this));
    ensure!(
        sizes.len() == limits.len(),
        "Index tensor must have the same number of dimensions as self tensor"
    );
    let given = src.map(shape);
    if let Some(given) = &given {
        ensure!(
            sizes.len() == given.len(),
            "Index tensor must have the same number of dimensions as src tensor"
        );
    }
    let beyond =
        |i: usize| (i != d && sizes[i] > limits[i]) || given.as_ref().is_some_and(|g| sizes[i] > g[i]);
    if (0..sizes.len()).any(beyond) {
        let also =
            given.map_or(String::new(), |g| format!(" and to be no larger size than src {:?}", g.as_slice()));
        bail!(
            "Expected index {:?} to be no larger than self {:?} apart from dimension {d}{also}",
            index.sizes().as_slice(),
            this.sizes().as_slice()
        );
    }
    Ok(())
}

/// Writes or combines `src` (`None`: the number in `value`) at the indexed places of a copy of `this`, or in place.
pub(crate) fn send(
    how: Visit,
    this: &Tensor,
    dim: i64,
    index: &Tensor,
    src: Source,
    out: Out,
) -> Result<Tensor> {
    let d = wrap_dim(dim, this.dim())?;
    check_index(this, d, index, src.tensor())?;
    let result = target_as(this, out)?;
    if index.numel() == 0 {
        return Ok(result);
    }
    let (index, src, strides) = match src {
        Source::Number(value) => (long(index)?, Tensor::scalar(value, this.dtype())?, None),
        Source::Tensor(src) => (long(index)?, apart(src, &result)?, Some(strides_of(src))),
    };
    let grid = Grid::new(&result, d, &index);
    let strides = match strides {
        Some(_) => strides_of(&src),
        None => Dims::from_elem(0, grid.sizes.len()),
    };
    let indexed = [grid.index(&result, &index)];
    let bad = raw::visit(how, &grid.sizes, (&result, &grid.strides), (&src, &strides), &indexed);
    grid.check(&result, bad).map(|()| result)
}

pub(crate) enum Source<'a> {
    Number(Scalar),
    Tensor(&'a Tensor),
}

impl Source<'_> {
    fn tensor(&self) -> Option<&Tensor> {
        match self {
            Source::Number(_) => None,
            Source::Tensor(t) => Some(t),
        }
    }
}

/// Writes `src` at the places whose coordinate along `dim` is the index.
#[op(
    "scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor",
    inplace,
    out = "src_out",
    nondiff(index),
    tags(core),
    onnx = "ScatterElements"
)]
mod scatter {
    fn kernel(this: &Tensor, dim: i64, index: &Tensor, src: &Tensor, out: Out) -> Result<Tensor> {
        send(Visit::Put, this, dim, index, Source::Tensor(src), out)
    }
    fn grad_this(g: &Tensor, dim: i64, index: &Tensor) -> Result<Tensor> {
        g.scatter_value(dim, index, 0)
    }
    fn grad_src(g: &Tensor, dim: i64, index: &Tensor) -> Result<Tensor> {
        g.gather(dim, index)
    }
}

/// Writes a number at the places whose coordinate along `dim` is the index.
#[op(
    "scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor",
    inplace,
    out = "value_out",
    nondiff(index),
    tags(core)
)]
mod scatter_value {
    fn kernel(this: &Tensor, dim: i64, index: &Tensor, value: Scalar, out: Out) -> Result<Tensor> {
        send(Visit::Put, this, dim, index, Source::Number(value), out)
    }
    fn grad_this(g: &Tensor, dim: i64, index: &Tensor) -> Result<Tensor> {
        g.scatter_value(dim, index, 0)
    }
}

fn legacy_combine(reduce: &str) -> Result<Combine> {
    match reduce {
        "add" => Ok(Combine::Sum),
        "multiply" => Ok(Combine::Prod),
        _ => bail!("reduce argument must be either add or multiply."),
    }
}

/// Adds or multiplies `src` into the places whose coordinate along `dim` is the index.
#[op(
    "scatter.reduce(Tensor self, int dim, Tensor index, Tensor src, *, str reduce) -> Tensor",
    inplace,
    out = "reduce_out",
    no_grad = "deprecated form without a derivative in PyTorch; scatter_reduce has one"
)]
mod scatter_reduce_src {
    fn kernel(
        this: &Tensor,
        dim: i64,
        index: &Tensor,
        src: &Tensor,
        reduce: &str,
        out: Out,
    ) -> Result<Tensor> {
        send(Visit::Combine(legacy_combine(reduce)?), this, dim, index, Source::Tensor(src), out)
    }
}

/// Adds or multiplies a number into the places whose coordinate along `dim` is the index.
#[op(
    "scatter.value_reduce(Tensor self, int dim, Tensor index, Scalar value, *, str reduce) -> Tensor",
    inplace,
    out = "value_reduce_out",
    no_grad = "deprecated form without a derivative in PyTorch; scatter_reduce has one"
)]
mod scatter_reduce_value {
    fn kernel(
        this: &Tensor,
        dim: i64,
        index: &Tensor,
        value: Scalar,
        reduce: &str,
        out: Out,
    ) -> Result<Tensor> {
        send(Visit::Combine(legacy_combine(reduce)?), this, dim, index, Source::Number(value), out)
    }
}

/// Adds `src` into the places whose coordinate along `dim` is the index.
#[op(
    "scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor",
    inplace,
    out = "out",
    nondiff(index),
    tags(core)
)]
mod scatter_add {
    fn kernel(this: &Tensor, dim: i64, index: &Tensor, src: &Tensor, out: Out) -> Result<Tensor> {
        send(Visit::Combine(Combine::Sum), this, dim, index, Source::Tensor(src), out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
    fn grad_src(g: &Tensor, dim: i64, index: &Tensor) -> Result<Tensor> {
        g.gather(dim, index)
    }
}
