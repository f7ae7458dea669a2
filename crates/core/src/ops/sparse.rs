//! Sparse tensors made, taken apart, and converted from and to strided ones.

use cresset_macros::op;

use super::raw;
use crate::autograd::Meta;
use crate::layout::{Dims, checked_numel};
use crate::op::OpDef;
use crate::promotion::get_default_dtype;
use crate::sparse::{self, Sparse};
use crate::{DType, Device, Result, StorageLayout, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    sparse_coo_tensor_size,
    sparse_coo_tensor,
    sparse_coo_tensor_indices_size,
    _sparse_coo_tensor_unsafe,
    _sparse_coo_tensor_with_dims,
    _sparse_coo_tensor_with_dims_and_tensors,
    is_coalesced,
    _nnz,
    sparse_dim,
    dense_dim,
    _indices,
    _values,
    indices,
    values,
    coalesce,
    _coalesce,
    _coalesced_,
    to_dense,
    _to_dense,
    to_sparse_sparse_dim,
    to_sparse,
    _to_sparse_sparse_dim,
    sparse_mask,
];

/// An all-zero sparse tensor.
#[op(
    "sparse_coo_tensor.size(int[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument"
)]
mod sparse_coo_tensor_size {
    fn kernel(size: &[i64], dtype: Option<DType>, device: Option<Device>) -> Result<Tensor> {
        let dtype = dtype.unwrap_or_else(get_default_dtype);
        without_elements(size.len(), size, dtype, device.unwrap_or_default())
    }
}

/// A sparse tensor without elements, of those sizes of which the first `sparse_dim` are sparse.
pub(crate) fn without_elements(
    sparse_dim: usize,
    sizes: &[i64],
    dtype: DType,
    device: Device,
) -> Result<Tensor> {
    ensure!(
        sizes.iter().all(|n| *n >= 0),
        "Trying to create tensor with negative dimension: {}",
        crate::layout::shape(sizes)
    );
    let mut value_sizes = Dims::from_elem(0, 1);
    value_sizes.extend(sizes[sparse_dim..].iter().copied());
    let indices = Tensor::empty_of(&[sparse_dim as i64, 0], DType::I64, device)?;
    let values = Tensor::empty_of(&value_sizes, dtype, device)?;
    Sparse { indices, values, coalesced: true }.into_tensor(sizes)
}

/// A sparse tensor from coordinates `[sparse_dim, nnz]` and values `[nnz, …]`, as large as the coordinates reach.
#[op(
    "sparse_coo_tensor.indices(Tensor indices, Tensor values, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool? is_coalesced=None) -> Tensor",
    composite
)]
mod sparse_coo_tensor {
    fn kernel(
        indices: &Tensor,
        values: &Tensor,
        dtype: Option<DType>,
        device: Option<Device>,
        is_coalesced: Option<bool>,
    ) -> Result<Tensor> {
        let indices = checked_indices(indices)?;
        let sizes = sparse::inferred_sizes(&indices, values)?;
        sparse_coo_tensor_indices_size::kernel(&indices, values, &sizes, dtype, device, is_coalesced)
    }
}

/// A sparse tensor of the given sizes from coordinates `[sparse_dim, nnz]` and values `[nnz, …]`.
#[op(
    "sparse_coo_tensor.indices_size(Tensor indices, Tensor values, int[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool? is_coalesced=None) -> Tensor",
    composite
)]
mod sparse_coo_tensor_indices_size {
    pub(super) fn kernel(
        indices: &Tensor,
        values: &Tensor,
        size: &[i64],
        dtype: Option<DType>,
        device: Option<Device>,
        is_coalesced: Option<bool>,
    ) -> Result<Tensor> {
        let values = match dtype {
            Some(dtype) => values.to_dtype(dtype)?,
            None => values.clone(),
        };
        _sparse_coo_tensor_unsafe::kernel(indices, &values, size, None, device, is_coalesced)
    }
}

/// As `sparse_coo_tensor`. The coordinates are checked here too: what PyTorch leaves undefined is an error.
#[op(
    "_sparse_coo_tensor_unsafe(Tensor indices, Tensor values, SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool? is_coalesced=None) -> Tensor",
    composite
)]
mod _sparse_coo_tensor_unsafe {
    pub(super) fn kernel(
        indices: &Tensor,
        values: &Tensor,
        size: &[i64],
        dtype: Option<DType>,
        device: Option<Device>,
        is_coalesced: Option<bool>,
    ) -> Result<Tensor> {
        let indices = checked_indices(indices)?;
        let sparse_dim = indices.sizes()[0];
        let dense_dim = size.len() as i64 - sparse_dim;
        _sparse_coo_tensor_with_dims_and_tensors::call(
            sparse_dim,
            dense_dim,
            size,
            &indices,
            values,
            dtype,
            device,
            is_coalesced,
        )
    }
}

/// An all-zero sparse tensor, `sparse_dim` of whose dimensions are sparse.
#[op(
    "_sparse_coo_tensor_with_dims(int sparse_dim, int dense_dim, int[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=False) -> Tensor",
    no_grad = "has no tensor argument"
)]
mod _sparse_coo_tensor_with_dims {
    fn kernel(
        sparse_dim: i64,
        dense_dim: i64,
        size: &[i64],
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        check_dims(sparse_dim, dense_dim, size)?;
        let dtype = dtype.unwrap_or_else(get_default_dtype);
        without_elements(sparse_dim as usize, size, dtype, device.unwrap_or_default())
    }
}

/// A sparse tensor from its parts, which it shares.
#[op(
    "_sparse_coo_tensor_with_dims_and_tensors(int sparse_dim, int dense_dim, SymInt[] size, Tensor indices, Tensor values, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=False, bool? is_coalesced=None) -> Tensor",
    nondiff(indices)
)]
mod _sparse_coo_tensor_with_dims_and_tensors {
    fn kernel(
        sparse_dim: i64,
        dense_dim: i64,
        size: &[i64],
        indices: &Tensor,
        values: &Tensor,
        dtype: Option<DType>,
        device: Option<Device>,
        is_coalesced: Option<bool>,
    ) -> Result<Tensor> {
        let _ = (dtype, device);
        check_dims(sparse_dim, dense_dim, size)?;
        check_parts(indices, values, size)?;
        let coalesced = is_coalesced.unwrap_or(false);
        Sparse { indices: indices.detach(), values: values.detach(), coalesced }.into_tensor(size)
    }
    fn grad_values(g: &Tensor, indices: &Tensor) -> Result<Tensor> {
        sparse::values_at(g, indices)
    }
}

/// Coordinates as a matrix of `int64`.
fn checked_indices(indices: &Tensor) -> Result<Tensor> {
    ensure!(
        indices.dim() == 2,
        "indices must be sparse_dim x nnz, but got: {}",
        crate::layout::shape(&indices.sizes())
    );
    indices.to_dtype(DType::I64)
}

fn check_dims(sparse_dim: i64, dense_dim: i64, size: &[i64]) -> Result<()> {
    ensure!(
        sparse_dim >= 0 && dense_dim >= 0 && sparse_dim.checked_add(dense_dim) == Some(size.len() as i64),
        "'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = {}, sparse_dim = {sparse_dim}, dense_dim = {}",
        size.len(),
        dense_dim.max(0)
    );
    Ok(())
}

fn check_parts(indices: &Tensor, values: &Tensor, size: &[i64]) -> Result<()> {
    ensure!(
        indices.dim() == 2,
        "indices must be sparse_dim x nnz, but got: {}",
        crate::layout::shape(&indices.sizes())
    );
    ensure!(
        indices.sizes()[0] as usize <= size.len(),
        "number of dimensions must be sparse_dim ({}) + dense_dim, but got {}",
        indices.sizes()[0],
        size.len()
    );
    let (nnz, sparse_dim) = (indices.sizes()[1], indices.sizes()[0] as usize);
    let found = values.sizes().first().copied().unwrap_or(1);
    ensure!(
        found == nnz && values.dim() > 0,
        "indices and values must have same nnz, but got nnz from indices: {nnz}, nnz from values: {found}"
    );
    let mut expected = Dims::from_elem(nnz, 1);
    expected.extend(size[sparse_dim..].iter().copied());
    ensure!(
        values.sizes() == expected,
        "values has incorrect size, expected {:?}, got {:?}",
        expected.as_slice(),
        values.sizes().as_slice()
    );
    let data = indices.to_vec::<i64>()?;
    for (d, row) in data.chunks(nnz.max(1) as usize).enumerate() {
        for &i in row {
            ensure!(i >= 0, "found negative index {i} for dim {d}");
            ensure!(
                i < size[d],
                "size is inconsistent with indices: for dim {d}, size is {} but found index {i}",
                size[d]
            );
        }
    }
    Ok(())
}

/// Whether the coordinates are sorted and none appears twice.
#[op("is_coalesced(Tensor self) -> bool", no_grad = "not a tensor")]
mod is_coalesced {
    fn kernel(this: &Tensor) -> Result<bool> {
        sparse::expect(this, "is_coalesced").map(|parts| parts.coalesced)
    }
    fn sparse(this: &Tensor) -> Result<bool> {
        kernel(this)
    }
}

/// The number of stored elements.
#[op("_nnz(Tensor self) -> int", no_grad = "not a tensor")]
mod _nnz {
    fn kernel(this: &Tensor) -> Result<i64> {
        let _ = this;
        bail!(NotImplemented, "Could not run 'aten::_nnz' with arguments from the 'CPU' backend.")
    }
    fn sparse(this: &Tensor) -> Result<i64> {
        sparse::expect(this, "_nnz").map(|parts| parts.nnz())
    }
}

/// The number of dimensions that the coordinates have; 0 for a strided tensor.
#[op("sparse_dim(Tensor self) -> int", no_grad = "not a tensor")]
mod sparse_dim {
    fn kernel(this: &Tensor) -> Result<i64> {
        Ok(this.sparse().map_or(0, |parts| parts.sparse_dim() as i64))
    }
    fn sparse(this: &Tensor) -> Result<i64> {
        kernel(this)
    }
}

/// The number of dimensions of each value.
#[op("dense_dim(Tensor self) -> int", no_grad = "not a tensor")]
mod dense_dim {
    fn kernel(this: &Tensor) -> Result<i64> {
        Ok(this.dim() as i64 - this.sparse().map_or(0, |parts| parts.sparse_dim() as i64))
    }
    fn sparse(this: &Tensor) -> Result<i64> {
        kernel(this)
    }
}

/// The coordinates, shared with the tensor, coalesced or not.
#[op("_indices(Tensor self) -> Tensor", no_grad = "integers")]
mod _indices {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        sparse::expect(this, "_indices").map(|parts| parts.indices)
    }
    fn sparse(this: &Tensor) -> Result<Tensor> {
        kernel(this)
    }
}

/// The values, shared with the tensor, coalesced or not; autograd does not see them.
#[op("_values(Tensor self) -> Tensor", no_grad = "outside of autograd, as in PyTorch")]
mod _values {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        sparse::expect(this, "_values").map(|parts| parts.values)
    }
    fn sparse(this: &Tensor) -> Result<Tensor> {
        kernel(this)
    }
}

/// The coordinates of a coalesced tensor.
#[op("indices(Tensor self) -> Tensor", no_grad = "integers")]
mod indices {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        let parts = sparse::expect(this, "indices")?;
        ensure!(
            parts.coalesced,
            "Cannot get indices on an uncoalesced tensor, please call .coalesce() first"
        );
        Ok(parts.indices)
    }
    fn sparse(this: &Tensor) -> Result<Tensor> {
        kernel(this)
    }
}

/// The values of a coalesced tensor.
#[op("values(Tensor self) -> Tensor")]
mod values {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        let parts = sparse::expect(this, "values")?;
        ensure!(parts.coalesced, "Cannot get values on an uncoalesced tensor, please call .coalesce() first");
        Ok(parts.values.detach())
    }
    fn sparse(this: &Tensor) -> Result<Tensor> {
        kernel(this)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        let indices = sparse::expect(this, "values")?.indices;
        _sparse_coo_tensor_unsafe::kernel(&indices, g, &this.sizes(), None, None, Some(true))
    }
}

/// The same tensor with sorted coordinates, the values of equal ones added up.
#[op("coalesce(Tensor(a) self) -> Tensor(a)", composite)]
mod coalesce {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        match sparse::expect(this, "coalesce")?.coalesced {
            true => Ok(this.clone()),
            false => _coalesce::call(this),
        }
    }
}

/// [`coalesce`] of a tensor that is not coalesced.
#[op("_coalesce(Tensor self) -> Tensor")]
mod _coalesce {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        sparse::coalesced(this, "coalesce")?.into_tensor(&this.sizes())
    }
    fn sparse(this: &Tensor) -> Result<Tensor> {
        kernel(this)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
}

/// Declares the tensor coalesced, or not. What is not sorted is not believed.
#[op("_coalesced_(Tensor(a!) self, bool coalesced) -> Tensor(a!)", no_grad = "changes no element")]
mod _coalesced_ {
    fn kernel(this: &Tensor, coalesced: bool) -> Result<Tensor> {
        let parts = sparse::expect(this, "_coalesced_")?;
        this.set_sparse(Sparse { coalesced, ..parts });
        Ok(this.clone())
    }
    fn sparse(this: &Tensor, coalesced: bool) -> Result<Tensor> {
        kernel(this, coalesced)
    }
}

/// The tensor with strides; a strided one is returned itself.
#[op("to_dense(Tensor self, ScalarType? dtype=None, *, bool? masked_grad=None) -> Tensor", composite)]
mod to_dense {
    fn kernel(this: &Tensor, dtype: Option<DType>, masked_grad: Option<bool>) -> Result<Tensor> {
        match (this.is_sparse(), dtype) {
            (true, _) => _to_dense::call(this, dtype, masked_grad),
            (false, Some(dtype)) => this.to_dtype(dtype),
            (false, None) => Ok(this.clone()),
        }
    }
}

/// [`to_dense`] of a sparse tensor.
#[op("_to_dense(Tensor self, ScalarType? dtype=None, bool? masked_grad=None) -> Tensor", no_method, no_fn)]
mod _to_dense {
    fn kernel(this: &Tensor, dtype: Option<DType>, masked_grad: Option<bool>) -> Result<Tensor> {
        let _ = masked_grad;
        let parts = sparse::expect(this, "to_dense")?;
        let sizes = this.sizes();
        let positions = parts.positions(&sizes[..parts.sparse_dim()])?;
        let rows = checked_numel(&sizes[..parts.sparse_dim()], 1)? as i64;
        let dense = sparse::summed(&parts.values.to_dtype(dtype.unwrap_or(this.dtype()))?, positions, rows)?;
        raw::reshaped(&dense, &sizes)
    }
    fn sparse(this: &Tensor, dtype: Option<DType>, masked_grad: Option<bool>) -> Result<Tensor> {
        kernel(this, dtype, masked_grad)
    }
    fn grad_this(g: &Tensor, this: &Tensor, masked_grad: Option<bool>) -> Result<Tensor> {
        match masked_grad {
            Some(false) => g.to_sparse_sparse_dim(this.sparse_dim()?),
            _ => g.sparse_mask(&this.detach().coalesce()?),
        }
    }
}

/// The non-zero elements, the first `sparse_dim` dimensions of which become coordinates.
#[op("to_sparse.sparse_dim(Tensor self, int sparse_dim) -> Tensor", composite)]
mod to_sparse_sparse_dim {
    fn kernel(this: &Tensor, sparse_dim: i64) -> Result<Tensor> {
        match this.sparse() {
            None => _to_sparse_sparse_dim::call(this, sparse_dim),
            Some(parts) if parts.sparse_dim() as i64 == sparse_dim => Ok(this.clone()),
            Some(_) => bail!(
                "to_sparse: conversion from Sparse to Sparse with sparse_dim argument !=self.sparse_dim() is not supported"
            ),
        }
    }
}

/// The non-zero elements as a sparse tensor.
#[op(
    "to_sparse(Tensor self, *, Layout? layout=None, int[2]? blocksize=None, int? dense_dim=None) -> Tensor",
    composite
)]
mod to_sparse {
    fn kernel(
        this: &Tensor,
        layout: Option<StorageLayout>,
        blocksize: Option<&[i64]>,
        dense_dim: Option<i64>,
    ) -> Result<Tensor> {
        ensure!(
            layout != Some(StorageLayout::Strided),
            "to_sparse: conversion from Strided to Strided is not supported"
        );
        ensure!(
            blocksize.is_none(),
            "to_sparse: conversion from Strided to Sparse with blocksize argument given is not supported"
        );
        match this.is_sparse() {
            true => Ok(this.clone()),
            false => _to_sparse_sparse_dim::call(this, this.dim() as i64 - dense_dim.unwrap_or(0)),
        }
    }
}

/// [`to_sparse_sparse_dim`] of a strided tensor.
#[op("_to_sparse.sparse_dim(Tensor self, int sparse_dim) -> Tensor")]
mod _to_sparse_sparse_dim {
    fn kernel(this: &Tensor, sparse_dim: i64) -> Result<Tensor> {
        let n = this.dim() as i64;
        ensure!(
            sparse_dim > 0 || n == 0,
            "dense_to_sparse: sparse_dim argument must be in >0 when self.dim()>0"
        );
        ensure!(
            (0..=n).contains(&sparse_dim),
            "dense_to_sparse: sparse_dim argument must be in [0,{n}] range, but {sparse_dim} is given"
        );
        let (dense, split) = (this.contiguous_copy()?, sparse_dim as usize);
        let sizes = this.sizes();
        let rows = checked_numel(&sizes[..split], 1)? as i64;
        let mut flat = Dims::from_elem(rows, 1);
        flat.extend(sizes[split..].iter().copied());
        let table = raw::reshaped(&dense, &flat)?;
        let filled = raw::reshaped(&table, &[rows, table.numel() as i64 / rows.max(1)])?;
        let filled = filled.ne_scalar(0)?.any_dim(1)?.to_vec::<bool>()?;
        let positions: Vec<i64> = (0..rows).filter(|p| filled[*p as usize]).collect();
        let nnz = positions.len() as i64;
        let indices = sparse::coordinates(&positions, &sizes[..split])?;
        let values = table.index_select(0, &Tensor::from_vec(positions, [nnz])?)?;
        Sparse { indices, values, coalesced: true }.into_tensor(&sizes)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        g.to_dense()
    }
}

/// The elements of `self` at the coordinates of the sparse tensor `mask`.
#[op("sparse_mask(Tensor self, Tensor mask) -> Tensor", nondiff(mask))]
mod sparse_mask {
    fn kernel(this: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let _ = (this, mask);
        bail!("sparse_mask(): mask must be sparse")
    }
    fn sparse(this: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let Some(at) = mask.sparse() else { return kernel(this, mask) };
        ensure!(
            this.sizes() == mask.sizes(),
            "sparse_mask(): operands have incompatible sizes; self has size {:?} but mask has size {:?}",
            this.sizes().as_slice(),
            mask.sizes().as_slice()
        );
        Sparse { values: sparse::values_at(this, &at.indices)?, ..at }.into_tensor(&this.sizes())
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        let _ = this;
        g.to_dense()
    }
}
