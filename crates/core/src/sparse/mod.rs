//! Sparse tensors: coordinates and values instead of a storage.
//!
//! A sparse tensor of sizes `[s…, d…]` holds `indices [sparse_dim, nnz]` and `values [nnz, d…]`; elements that no
//! coordinate names are 0, and those that several name are their sum. Its view has sizes and a dtype but no bytes, so
//! a kernel that was not written for it has nothing to read. The door sends calls with a sparse argument to the
//! operator's `fn sparse`, or computes the values alone where the operator maps 0 to 0, and refuses the others.

pub(crate) mod math;
pub(crate) mod shape;
#[cfg(test)]
mod tests;

use crate::layout::{Dims, Layout, checked_numel};
use crate::op::{OpDef, Out};
use crate::storage::{Storage, View};
use crate::value::{Args, Outputs, Value};
use crate::{DType, Device, Error, Result, StorageLayout, Tensor, bail, ensure};

/// Coordinates and values.
#[derive(Clone)]
pub(crate) struct Sparse {
    /// `[sparse_dim, nnz]`, of `int64`.
    pub indices: Tensor,
    /// `[nnz, …]`, the rest being the sizes of the dense dimensions.
    pub values: Tensor,
    /// Whether the coordinates are sorted and none appears twice.
    pub coalesced: bool,
}

impl Sparse {
    /// The number of dimensions that the coordinates have.
    pub fn sparse_dim(&self) -> usize {
        self.indices.sizes()[0] as usize
    }

    /// The number of stored elements.
    pub fn nnz(&self) -> i64 {
        self.indices.sizes()[1]
    }

    /// The coordinates as positions in a row-major tensor of the sparse sizes.
    ///
    /// # Errors
    /// Those of reading the coordinates.
    pub fn positions(&self, sizes: &[i64]) -> Result<Vec<i64>> {
        let (n, rows) = (self.nnz() as usize, self.indices.to_vec::<i64>()?);
        let mut positions = vec![0; n];
        for (size, row) in sizes.iter().zip(rows.chunks(n.max(1))) {
            positions.iter_mut().zip(row).for_each(|(p, i)| *p = *p * size + i);
        }
        Ok(positions)
    }

    /// The tensor of those sizes.
    ///
    /// # Errors
    /// `Runtime` when the number of elements overflows.
    pub fn into_tensor(self, sizes: &[i64]) -> Result<Tensor> {
        let dtype = self.values.dtype();
        if checked_numel(sizes, 1).is_err() {
            bail!("numel: integer multiplication overflow");
        }
        // No bytes are behind the sizes: kernels find nothing to read.
        let storage = Storage::new(0, Device::Meta)?;
        Ok(Tensor::from_sparse(View { storage, layout: Layout::contiguous(sizes), dtype }, self, None))
    }
}

impl Tensor {
    /// How the elements are stored, `layout` in PyTorch.
    pub fn storage_layout(&self) -> StorageLayout {
        if self.is_sparse() { StorageLayout::SparseCoo } else { StorageLayout::Strided }
    }
}

/// Coordinates and values of `t`, which `what` asks for.
///
/// # Errors
/// `Runtime` for a strided tensor.
pub(crate) fn expect(t: &Tensor, what: &str) -> Result<Sparse> {
    match t.sparse() {
        Some(parts) => Ok(parts),
        None => bail!("{what} expected sparse coordinate tensor layout but got Strided"),
    }
}

/// As [`expect`], with sorted coordinates of which none appears twice.
///
/// # Errors
/// As [`expect`].
pub(crate) fn coalesced(t: &Tensor, what: &str) -> Result<Sparse> {
    let parts = expect(t, what)?;
    if parts.coalesced { Ok(parts) } else { coalesce(&parts, &t.sizes()) }
}

/// Sorts the coordinates and adds up the values of equal ones.
///
/// # Errors
/// `OutOfMemory` when the system refuses.
pub(crate) fn coalesce(parts: &Sparse, sizes: &[i64]) -> Result<Sparse> {
    let sparse_sizes = &sizes[..parts.sparse_dim()];
    let positions = parts.positions(sparse_sizes)?;
    if positions.is_sorted_by(|a, b| a < b) {
        return Ok(Sparse { coalesced: true, ..parts.clone() });
    }
    let mut order: Vec<u32> = (0..positions.len() as u32).collect();
    order.sort_by_key(|i| positions[*i as usize]);
    let (mut unique, mut rows) = (Vec::new(), vec![0_i64; positions.len()]);
    for i in order {
        let position = positions[i as usize];
        if unique.last() != Some(&position) {
            unique.push(position);
        }
        rows[i as usize] = unique.len() as i64 - 1;
    }
    let values = summed(&parts.values, rows, unique.len() as i64)?;
    Ok(Sparse { indices: coordinates(&unique, sparse_sizes)?, values, coalesced: true })
}

/// The rows of `values`, each added to that row of `n` rows of zeros that `rows` names. Truth adds up to truth.
///
/// # Errors
/// `OutOfMemory` when the system refuses.
pub(crate) fn summed(values: &Tensor, rows: Vec<i64>, n: i64) -> Result<Tensor> {
    let mut sizes = values.sizes();
    sizes[0] = n;
    let out = crate::copy::zeros(&sizes, values.dtype(), values.device())?;
    add_rows(&out, rows, values)?;
    Ok(out)
}

/// Adds each row of `values` to the row of `out` that `rows` names.
///
/// # Errors
/// `Index` when there is no such row.
pub(crate) fn add_rows(out: &Tensor, rows: Vec<i64>, values: &Tensor) -> Result<()> {
    let n = rows.len() as i64;
    let rows = Tensor::from_vec(rows, [n])?;
    match out.dtype() {
        DType::Bool => {
            let sum = out.to_dtype(DType::I64)?.index_add(0, &rows, &values.to_dtype(DType::I64)?)?;
            out.copy_(&sum)
        }
        _ => out.index_add_(0, &rows, values),
    }?;
    Ok(())
}

/// The coordinates of positions in a row-major tensor of those sizes.
///
/// # Errors
/// `OutOfMemory` when the system refuses.
pub(crate) fn coordinates(positions: &[i64], sizes: &[i64]) -> Result<Tensor> {
    let n = positions.len();
    let mut rows = vec![0; n * sizes.len()];
    let mut left = positions.to_vec();
    for (d, &size) in sizes.iter().enumerate().rev() {
        for (row, p) in rows[d * n..].iter_mut().zip(&mut left) {
            *row = *p % size.max(1);
            *p /= size.max(1);
        }
    }
    Tensor::from_vec(rows, [sizes.len() as i64, n as i64])
}

/// Replaces the content of `target` by that of `result`, both sparse or both strided.
///
/// # Errors
/// `Runtime` when one is sparse and the other is not.
pub(crate) fn store(target: &Tensor, result: &Tensor) -> Result<()> {
    match (target.is_sparse(), result.sparse()) {
        (false, None) => {
            crate::copy::resize_output(target, &result.sizes())?;
            crate::copy::copy_into(target, result)
        }
        (true, Some(mut parts)) => {
            if target.sizes() != result.sizes() {
                target.set_view(target.storage(), Layout::contiguous(&result.sizes()))?;
            }
            parts.values = parts.values.to_dtype(target.dtype())?;
            target.set_sparse(parts);
            Ok(())
        }
        _ => bail!(
            "copy_() between dense and sparse Tensors is not implemented! Found self type = {} and src type = {}",
            type_name(target),
            type_name(result)
        ),
    }
}

fn type_name(t: &Tensor) -> String {
    let sparse = if t.is_sparse() { "sparse." } else { "" };
    format!("torch.{sparse}{}Tensor", t.dtype().scalar_type())
}

/// An elementwise operator that maps 0 to 0, on the values of a sparse first argument.
///
/// # Errors
/// Those of the operator, and `NotImplemented` when other arguments are sparse.
pub(crate) fn on_values(op: &'static OpDef, args: &[Value]) -> Result<Outputs> {
    let Some(this) = args.first().and_then(Value::as_tensor).filter(|t| t.is_sparse()) else {
        return Err(unsupported(op));
    };
    ensure!(args[1..].iter().all(|v| v.as_tensor().is_none()), NotImplemented, "{}", missing(op));
    let parts = coalesced(this, op.name)?;
    let mut args: Args = args.iter().cloned().collect();
    args[0] = Value::Tensor(parts.values.clone());
    let mut outputs = (op.kernel)(&args, Out::New)?;
    for output in &mut outputs {
        if let Value::Tensor(values) = output {
            let parts = Sparse { values: values.clone(), ..parts.clone() };
            *output = Value::Tensor(parts.into_tensor(&this.sizes())?);
        }
    }
    Ok(outputs)
}

/// What an operator without a body for sparse tensors answers.
#[cold]
pub(crate) fn unsupported(op: &'static OpDef) -> Error {
    Error::not_implemented(missing(op))
}

fn missing(op: &OpDef) -> String {
    format!(
        "Could not run '{}' with arguments from the 'SparseCPU' backend. This could be because the operator doesn't exist for this backend, or was omitted during the selective/custom build process (if using custom build).",
        op.qualified_name()
    )
}

/// The sizes of a tensor of coordinates and values without duplicates removed: as many as the coordinates reach.
///
/// # Errors
/// `Runtime` for negative coordinates.
pub(crate) fn inferred_sizes(indices: &Tensor, values: &Tensor) -> Result<Dims> {
    let n = indices.sizes()[1] as usize;
    let data = indices.to_vec::<i64>()?;
    let mut sizes = Dims::new();
    for d in 0..indices.sizes()[0] as usize {
        let row = &data[d * n..(d + 1) * n];
        if let Some(negative) = row.iter().find(|i| **i < 0) {
            bail!("found negative index {negative} for dim {d}");
        }
        sizes.push(row.iter().max().map_or(0, |i| i + 1));
    }
    values.sizes().iter().skip(1).for_each(|n| sizes.push(*n));
    Ok(sizes)
}

/// The values of `g`, sparse or not, at coordinates.
pub(crate) fn values_at(g: &Tensor, indices: &Tensor) -> Result<Tensor> {
    let sparse_dim = indices.sizes()[0] as usize;
    let sizes = g.sizes();
    let at = Sparse { indices: indices.clone(), values: indices.clone(), coalesced: false };
    let mut rows = at.positions(&sizes[..sparse_dim])?;
    let table = match g.sparse() {
        None => {
            let mut flat = Dims::from_elem(checked_numel(&sizes[..sparse_dim], 1)? as i64, 1);
            flat.extend(sizes[sparse_dim..].iter().copied());
            g.reshape(flat)?
        }
        Some(_) => {
            let g = g.coalesce()?;
            let parts = expect(&g, "values")?;
            let known = parts.positions(&sizes[..sparse_dim])?;
            rows.iter_mut().for_each(|p| *p = known.binary_search(p).map_or(known.len(), |i| i) as i64);
            // What is not stored is the row of zeros behind the stored ones.
            let values = g.values()?;
            let mut zero = values.sizes();
            zero[0] = 1;
            crate::ops::cat::call(
                &[values.clone(), crate::copy::zeros(&zero, values.dtype(), values.device())?],
                0,
            )?
        }
    };
    let n = rows.len() as i64;
    table.index_select(0, &Tensor::from_vec(rows, [n])?)
}
