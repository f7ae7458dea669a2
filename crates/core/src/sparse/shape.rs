//! Sparse tensors with other dimensions: reordered, inserted, picked from and joined.

use super::math::{index, sum_over};
use super::{Sparse, expect};
use crate::layout::{Dims, wrap_dim, wrap_dims};
use crate::{DType, Result, Tensor, bail, ensure};

/// The dimensions in another order: sparse ones stay before dense ones.
pub(crate) fn permute(this: &Tensor, dims: &[i64]) -> Result<Tensor> {
    let parts = expect(this, "permute")?;
    let (split, n) = (parts.sparse_dim(), this.dim());
    ensure!(
        dims.len() == n,
        "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = {n} is not equal to len(dims) = {}",
        dims.len()
    );
    let order: Vec<i64> = wrap_dims(dims, n)?.iter().map(|d| *d as i64).collect();
    ensure!(
        order.iter().take(split).all(|d| *d < split as i64),
        "transpose(sparse_coo): a sparse dimension and a dense one cannot change places"
    );
    let sizes: Dims = order.iter().map(|d| this.sizes()[*d as usize]).collect();
    let sorted = order[..split].is_sorted();
    let indices = if sorted {
        parts.indices
    } else {
        parts.indices.index_select(0, &index(order[..split].to_vec())?)?
    };
    let inner = |d: &i64| d - split as i64 + 1;
    let values_order: Vec<i64> = std::iter::once(0).chain(order[split..].iter().map(inner)).collect();
    let values = parts.values.permute(values_order)?;
    Sparse { indices, values, coalesced: parts.coalesced && sorted }.into_tensor(&sizes)
}

/// Two dimensions swapped.
pub(crate) fn transpose(this: &Tensor, dim0: i64, dim1: i64) -> Result<Tensor> {
    let n = this.dim();
    let mut order: Vec<i64> = (0..n as i64).collect();
    if n > 0 {
        order.swap(wrap_dim(dim0, n)?, wrap_dim(dim1, n)?);
    }
    permute(this, &order)
}

/// With a dimension of size 1 before `dim`.
pub(crate) fn unsqueeze(this: &Tensor, dim: i64) -> Result<Tensor> {
    let parts = expect(this, "unsqueeze")?;
    let d = wrap_dim(dim, this.dim() + 1)?;
    let mut sizes = this.sizes();
    sizes.insert(d, 1);
    if d > parts.sparse_dim() {
        let values = parts.values.unsqueeze((d - parts.sparse_dim() + 1) as i64)?;
        return Sparse { values, ..parts }.into_tensor(&sizes);
    }
    let row = crate::copy::zeros(&[1, parts.nnz()], DType::I64, this.device())?;
    let (before, after) = (
        parts.indices.narrow(0, 0, d as i64)?,
        parts.indices.narrow(0, d as i64, parts.sparse_dim() as i64 - d as i64)?,
    );
    Sparse { indices: crate::ops::cat::call(&[before, row, after], 0)?, ..parts }.into_tensor(&sizes)
}

/// Positions `wanted` of dimension `dim`.
pub(crate) fn index_select(this: &Tensor, dim: i64, wanted: &Tensor) -> Result<Tensor> {
    let parts = expect(this, "index_select")?;
    let (d, split) = (wrap_dim(dim, this.dim())?, parts.sparse_dim());
    let mut sizes = this.sizes();
    let n = std::mem::replace(&mut sizes[d], wanted.numel() as i64);
    if d >= split {
        let values = parts.values.index_select((d - split + 1) as i64, wanted)?;
        return Sparse { values, ..parts }.into_tensor(&sizes);
    }
    let mut places: Vec<Vec<i64>> = vec![Vec::new(); n as usize];
    for (to, from) in wanted.to_dtype(DType::I64)?.to_vec::<i64>()?.into_iter().enumerate() {
        let at = if from < 0 { from + n } else { from };
        ensure!(
            (0..n).contains(&at),
            Index,
            "index_select(): index contains {from} that is out of range for tensor of size {:?} at dimension {d}",
            this.sizes().as_slice()
        );
        places[at as usize].push(to as i64);
    }
    let nnz = parts.nnz() as usize;
    let data = parts.indices.to_vec::<i64>()?;
    let (mut elements, mut row) = (Vec::new(), Vec::new());
    for (element, from) in data[d * nnz..(d + 1) * nnz].iter().enumerate() {
        for &to in &places[*from as usize] {
            elements.push(element as i64);
            row.push(to);
        }
    }
    let elements = index(elements)?;
    let indices = parts.indices.index_select(1, &elements)?;
    indices.select(0, d as i64)?.copy_(&index(row)?)?;
    Sparse { indices, values: parts.values.index_select(0, &elements)?, coalesced: false }.into_tensor(&sizes)
}

/// Position `at` of dimension `dim`.
pub(crate) fn select(this: &Tensor, dim: i64, at: i64) -> Result<Tensor> {
    let d = wrap_dim(dim, this.dim())?;
    let n = this.sizes()[d];
    ensure!(
        (-n..n).contains(&at),
        Index,
        "select(): index {at} out of range for tensor of size {:?} at dimension {d}",
        this.sizes().as_slice()
    );
    let picked = index_select(this, dim, &index(vec![if at < 0 { at + n } else { at }])?)?;
    let parts = expect(&picked, "select")?;
    let (split, mut sizes) = (parts.sparse_dim(), picked.sizes());
    sizes.remove(d);
    if d >= split {
        return Sparse { values: parts.values.squeeze_dim((d - split + 1) as i64)?, ..parts }
            .into_tensor(&sizes);
    }
    if split == 1 {
        return sum_over(&parts.values, &[0], Some(this.dtype()));
    }
    let rows = (0..split as i64).filter(|row| *row != d as i64).collect();
    Sparse { indices: parts.indices.index_select(0, &index(rows)?)?, ..parts }.into_tensor(&sizes)
}

/// Sparse tensors one after another along `dim`.
pub(crate) fn cat(tensors: &[Tensor], dim: i64) -> Result<Tensor> {
    let Some(first) = tensors.first() else {
        bail!(Value, "torch.cat(): expected a non-empty list of Tensors")
    };
    ensure!(
        tensors.iter().all(Tensor::is_sparse),
        "Concatenating sparse tensors, but a dense tensor was found at position {}.",
        tensors.iter().position(|t| !t.is_sparse()).unwrap_or(0)
    );
    let d = wrap_dim(dim, first.dim())?;
    let split = expect(first, "cat")?.sparse_dim();
    let mut sizes = first.sizes();
    sizes[d] = 0;
    let (mut indices, mut values) = (Vec::new(), Vec::new());
    for t in tensors {
        let parts = expect(t, "cat")?;
        let alike = t.dim() == first.dim()
            && parts.sparse_dim() == split
            && (0..t.dim()).all(|i| i == d || t.sizes()[i] == sizes[i]);
        ensure!(
            alike,
            "All tensors must have the same shape: {:?} (except in the concatenating dimension), but found shape: {:?}",
            first.sizes().as_slice(),
            t.sizes().as_slice()
        );
        let own = parts.indices.clone_tensor()?;
        if d < split {
            own.select(0, d as i64)?.add_scalar_(sizes[d])?;
        }
        indices.push(own);
        values.push(parts.values);
        sizes[d] += t.sizes()[d];
    }
    ensure!(d < split, NotImplemented, "cat: sparse tensors are not joined along a dense dimension");
    Sparse {
        indices: crate::ops::cat::call(&indices, 1)?,
        values: crate::ops::cat::call(&values, 0)?,
        coalesced: false,
    }
    .into_tensor(&sizes)
}
