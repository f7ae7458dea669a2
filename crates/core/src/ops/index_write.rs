//! Writing to the positions that a vector of indices names along one dimension.

use cresset_kernels::index::Combine;
use cresset_macros::op;

use super::index::*;
use super::raw::{self, Visit};
use crate::autograd::Meta;
use crate::layout::{Dims, wrap_dim};
use crate::op::{OpDef, Out};
use crate::{DType, Result, Scalar, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![index_add, index_copy, index_fill, index_fill_tensor];

/// Checks of `index_add` and `index_reduce`.
pub(crate) fn check_index_source(
    name: &str,
    this: &Tensor,
    d: usize,
    index: &Tensor,
    source: &Tensor,
) -> Result<()> {
    ensure!(
        this.dim() <= 1 || source.dim() > 0,
        Index,
        "Dimension specified as {d} but tensor has no dimensions"
    );
    ensure!(
        index.dim() <= 1,
        Index,
        "{name}: Index is supposed to be a vector, but got dim: {} with type: {} and size: {:?}",
        index.dim(),
        index.dtype().scalar_type(),
        index.sizes().as_slice()
    );
    ensure!(
        is_index(index.dtype()),
        "{name}: Expected dtype int32/int64 for index but got: {}",
        index.dtype().scalar_type()
    );
    ensure!(
        this.dtype() == source.dtype(),
        "{name}: self ({}) and source ({}) must have the same scalar type",
        this.dtype().scalar_type(),
        source.dtype().scalar_type()
    );
    let (n, given) = (index.numel() as i64, source.sizes().get(d).copied().unwrap_or(1));
    let (a, b) = (this.sizes(), source.sizes());
    let others =
        |s: &Dims| -> Vec<i64> { s.iter().enumerate().filter(|(i, _)| *i != d).map(|(_, n)| *n).collect() };
    ensure!(
        a.is_empty() || b.is_empty() || others(&a) == others(&b),
        "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = {:?} source.shape = {:?}",
        a.as_slice(),
        b.as_slice()
    );
    ensure!(
        n == given,
        "{name}: Number of indices ({n}) should be equal to source.size(dim): ({given}), for dim: {d}"
    );
    Ok(())
}

/// Adds `alpha * source` to positions `index` of dimension `dim`.
#[op(
    "index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor",
    inplace,
    out = "out",
    nondiff(index)
)]
mod index_add {
    fn kernel(
        this: &Tensor,
        dim: i64,
        index: &Tensor,
        source: &Tensor,
        alpha: Scalar,
        out: Out,
    ) -> Result<Tensor> {
        let d = wrap_dim(dim, this.dim())?;
        check_index_source("index_add_()", this, d, index, source)?;
        let result = target_as(this, out)?;
        let source = match alpha {
            Scalar::Int(1) => source.clone(),
            _ => source.mul(&Tensor::wrapped(alpha)?)?.to_dtype(this.dtype())?,
        };
        let (index, source) = (long(index)?, apart(&source, &result)?);
        let along = Along::new(&result, d, index.numel() as i64);
        let indexed = [along.index(&result, &index, false)];
        let how = Visit::Combine(Combine::Sum);
        let bad = raw::visit(
            how,
            &along.sizes,
            (&result, &along.strides),
            (&source, &strides_of(&source)),
            &indexed,
        );
        match bad {
            Some((_, i)) => {
                bail!("index {i} is out of bounds for dimension {d} with size {}", indexed[0].size)
            }
            None => Ok(result),
        }
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
    fn grad_source(g: &Tensor, dim: i64, index: &Tensor, source: &Meta, alpha: Scalar) -> Result<Tensor> {
        let part = g.index_select(dim, index)?;
        let part = if source.dim() == 0 { part.reshape(source.sizes())? } else { part };
        if alpha == Scalar::Int(1) { Ok(part) } else { part.mul(&Tensor::wrapped(alpha)?) }
    }
}

/// Overwrites positions `index` of dimension `dim` with those of `source`.
#[op(
    "index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor",
    autocast = "promote",
    inplace,
    out = "out",
    nondiff(index)
)]
mod index_copy {
    pub(crate) fn kernel(
        this: &Tensor,
        dim: i64,
        index: &Tensor,
        source: &Tensor,
        out: Out,
    ) -> Result<Tensor> {
        let d = wrap_dim(dim, this.dim())?;
        check_index_copy(this, d, index, source)?;
        let result = target_as(this, out)?;
        let source = apart(source, &result)?;
        let along = Along::new(&result, d, index.numel() as i64);
        let indexed = [along.index(&result, index, false)];
        let strides =
            if source.dim() == 0 { Dims::from_elem(0, along.sizes.len()) } else { source.strides() };
        match raw::visit(Visit::Put, &along.sizes, (&result, &along.strides), (&source, &strides), &indexed) {
            Some((_, i)) => {
                bail!(
                    Index,
                    "index_copy_(): index {i} is out of bounds for dimension {d} with size {}",
                    indexed[0].size
                )
            }
            None => Ok(result),
        }
    }
    fn grad_this(g: &Tensor, dim: i64, index: &Tensor) -> Result<Tensor> {
        g.index_fill(dim, index, 0)
    }
    fn grad_source(g: &Tensor, dim: i64, index: &Tensor, source: &Meta) -> Result<Tensor> {
        let part = g.index_select(dim, index)?;
        if source.dim() == 0 { part.reshape(source.sizes()) } else { Ok(part) }
    }
}

fn check_index_copy(this: &Tensor, d: usize, index: &Tensor, source: &Tensor) -> Result<()> {
    let (m, n) = (source.dim(), this.dim());
    ensure!(
        index.dim() < 2,
        Index,
        "index_copy_(): Index should have dimension 1 or 0 (got {})",
        index.dim()
    );
    let count = index.numel() as i64;
    ensure!(
        m > 0 || count == 1,
        Index,
        "index_copy_(): When source is scalar, index should have one element (got {count})"
    );
    ensure!(
        m == n || m == 0 || n == 0,
        Index,
        "index_copy_(): When source and destination are not scalars, their dimensionality must match. Source dimensionality ({m}), destination dimensionality ({n})"
    );
    ensure!(
        index.dtype() == DType::I64,
        "index_copy_(): Expected a long tensor for index, but got {}",
        index.dtype().scalar_type()
    );
    ensure!(
        this.dtype() == source.dtype(),
        "index_copy_(): self and source expected to have the same dtype, but got (self) {} and (source) {}",
        this.dtype().scalar_type(),
        source.dtype().scalar_type()
    );
    let rest = |t: &Tensor| -> Dims {
        t.sizes().iter().enumerate().filter(|(i, _)| *i != d).map(|(_, n)| *n).collect()
    };
    let (to, from) = (rest(this), rest(source));
    if m > 0 && to != from {
        let join = |s: &Dims| s.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
        bail!(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: {} at dimension {d} and source slice shape: {} at dimension 0.",
            join(&to),
            join(&from)
        );
    }
    let given = source.sizes().get(d).copied().unwrap_or(1);
    ensure!(
        m == 0 || count == given,
        Index,
        "index_copy_(): Number of indices ({count}) should be equal to source.size(dim) ({given})"
    );
    Ok(())
}

/// Overwrites positions `index` of dimension `dim` with a number.
#[op(
    "index_fill.int_Scalar(Tensor self, int dim, Tensor index, Scalar value) -> Tensor",
    inplace,
    nondiff(index)
)]
mod index_fill {
    pub(super) fn kernel(this: &Tensor, dim: i64, index: &Tensor, value: Scalar, out: Out) -> Result<Tensor> {
        let d = wrap_dim(dim, this.dim())?;
        ensure!(index.dtype() == DType::I64, Index, "index_fill_(): Expected dtype int64 for index.");
        ensure!(index.dim() <= 1, "Index has to be a vector/scalar");
        if value.is_complex() && !this.is_complex() {
            bail!("index_fill_(): Converting complex Scalar to non-complex type is not supported");
        }
        let result = target_in_order(this, out)?;
        let value = Tensor::scalar(value, this.dtype())?;
        let along = Along::new(&result, d, index.numel() as i64);
        let indexed = [along.index(&result, index, true)];
        let zeros = Dims::from_elem(0, along.sizes.len());
        match raw::visit(Visit::Put, &along.sizes, (&result, &along.strides), (&value, &zeros), &indexed) {
            Some((_, i)) => {
                bail!(Index, "index {i} is out of bounds for dimension {d} with size {}", indexed[0].size)
            }
            None => Ok(result),
        }
    }
    fn grad_this(g: &Tensor, dim: i64, index: &Tensor) -> Result<Tensor> {
        g.index_fill(dim, index, 0)
    }
}

/// Overwrites positions `index` of dimension `dim` with the number in a 0-dim tensor.
#[op(
    "index_fill.int_Tensor(Tensor self, int dim, Tensor index, Tensor value) -> Tensor",
    inplace,
    nondiff(index)
)]
mod index_fill_tensor {
    fn kernel(this: &Tensor, dim: i64, index: &Tensor, value: &Tensor, out: Out) -> Result<Tensor> {
        ensure!(
            value.dim() == 0,
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with {} dimension(s).",
            value.dim()
        );
        index_fill::kernel(this, dim, index, value.item()?, out)
    }
    fn grad_this(g: &Tensor, dim: i64, index: &Tensor) -> Result<Tensor> {
        g.index_fill(dim, index, 0)
    }
    fn grad_value(g: &Tensor, dim: i64, index: &Tensor) -> Result<Tensor> {
        // A place that is named twice is filled once.
        let size = g.sizes().get(wrap_dim(dim, g.dim())?).copied().unwrap_or(1);
        let mut places: Vec<i64> = index.to_vec::<i64>()?.iter().map(|i| i.rem_euclid(size.max(1))).collect();
        places.sort_unstable();
        places.dedup();
        g.index_select(dim, &Tensor::from_slice(&places, [places.len() as i64])?)?.sum_to_size([])
    }
}
