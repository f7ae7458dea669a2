//! Shapes by other operators: reshaping, moving and splitting dimensions.

use super::view_layout as plan;
use super::*;
use crate::layout::{Dims, wrap_dim};
use crate::op::OpDef;
use crate::{DType, MemoryFormat, Result, Tensor, bail, ensure, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    reshape,
    reshape_as,
    sum_to_size,
    view_as,
    expand_as,
    broadcast_to,
    broadcast_tensors,
    flatten,
    unflatten,
    ravel,
    movedim,
    movedim_list,
    moveaxis,
    moveaxis_list,
    swapaxes,
    swapdims,
    numpy_t,
    mt,
    adjoint,
    narrow,
    narrow_tensor,
    atleast_1d,
    atleast_2d,
    atleast_3d,
    atleast_1d_sequence,
    atleast_2d_sequence,
    atleast_3d_sequence,
];

/// The same elements with other sizes: a view where strides allow it, else a copy.
#[op("reshape(Tensor(a) self, SymInt[] shape) -> Tensor(a)", composite, onnx = "Reshape")]
mod reshape {
    fn kernel(this: &Tensor, shape: &[i64]) -> Result<Tensor> {
        let layout = this.layout();
        let sizes = plan::infer_size(shape, layout.numel())?;
        match plan::view_strides(&layout, &sizes) {
            Some(_) => view::call(this, &sizes),
            None => _unsafe_view::call(&clone_tensor::call(this, Some(MemoryFormat::Contiguous))?, &sizes),
        }
    }
}

/// [`reshape`] to the sizes of `other`.
#[op("reshape_as(Tensor(a) self, Tensor other) -> Tensor(a)", composite)]
mod reshape_as {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        reshape::call(this, &other.sizes())
    }
}

/// [`view`] with the sizes of `other`.
#[op("view_as(Tensor(a) self, Tensor other) -> Tensor(a)", composite)]
mod view_as {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        view::call(this, &other.sizes())
    }
}

/// [`expand`] to the sizes of `other`.
#[op("expand_as(Tensor(a) self, Tensor other) -> Tensor(a)", composite)]
mod expand_as {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        expand::call(this, &other.sizes(), false)
    }
}

/// [`expand`] under NumPy's name.
#[op("broadcast_to(Tensor(a) self, SymInt[] size) -> Tensor(a)", composite)]
mod broadcast_to {
    fn kernel(this: &Tensor, size: &[i64]) -> Result<Tensor> {
        expand::call(this, size, false)
    }
}

/// Tensors broadcast to their common shape.
#[op("broadcast_tensors(Tensor[] tensors) -> Tensor[]", composite)]
mod broadcast_tensors {
    fn kernel(tensors: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut sizes = Dims::new();
        for t in tensors {
            sizes = crate::layout::broadcast_shapes(&sizes, &t.sizes())?;
        }
        tensors.iter().map(|t| expand::call(t, &sizes, false)).collect()
    }
}

/// Dimensions `start_dim` to `end_dim` merged into one.
#[op("flatten.using_ints(Tensor(a) self, int start_dim=0, int end_dim=-1) -> Tensor(a)", composite)]
mod flatten {
    fn kernel(this: &Tensor, start_dim: i64, end_dim: i64) -> Result<Tensor> {
        let n = this.dim();
        let (start, end) = (wrap_dim(start_dim, n)?, wrap_dim(end_dim, n)?);
        ensure!(start <= end, "flatten() has invalid args: start_dim cannot come after end_dim");
        if n == 0 {
            return reshape::call(this, &[1]);
        }
        if start == end {
            return Ok(this.clone());
        }
        let mut sizes = this.sizes();
        let merged = sizes[start..=end].iter().product();
        (start..end).for_each(|_| {
            sizes.remove(start);
        });
        sizes[start] = merged;
        reshape::call(this, &sizes)
    }
}

/// Dimension `dim` split into several.
#[op("unflatten.int(Tensor(a) self, int dim, SymInt[] sizes) -> Tensor(a)", composite)]
mod unflatten {
    fn kernel(this: &Tensor, dim: i64, sizes: &[i64]) -> Result<Tensor> {
        let d = wrap_dim(dim, this.dim())?;
        ensure!(!sizes.is_empty(), "unflatten: sizes must be non-empty");
        ensure!(this.dim() > 0, Index, "Dimension specified as {dim} but tensor has no dimensions");
        let mut shape = this.sizes();
        let old = shape.remove(d);
        let known = sizes.iter().filter(|s| **s != -1).try_fold(1_i64, |n, s| n.checked_mul(*s));
        let fits = known.is_some_and(|known| match sizes.contains(&-1) {
            true => known != 0 && old.checked_rem(known) == Some(0),
            false => known == old,
        });
        if !fits {
            bail!(
                "unflatten: Provided sizes {sizes:?} don't multiply up to the size of dim {dim} ({old}) in the input tensor"
            );
        }
        for (i, &n) in plan::infer_size(sizes, old as usize)?.iter().enumerate() {
            shape.insert(d + i, n);
        }
        view::call(this, &shape)
    }
}

/// All elements in one dimension.
#[op("ravel(Tensor(a) self) -> Tensor(a)", composite)]
mod ravel {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        reshape::call(&this.contiguous()?, &[-1])
    }
}

/// Dimension `source` moved to position `destination`.
#[op("movedim.int(Tensor(a) self, int source, int destination) -> Tensor(a)", composite)]
mod movedim {
    fn kernel(this: &Tensor, source: i64, destination: i64) -> Result<Tensor> {
        movedim_list::call(this, &[source], &[destination])
    }
}

/// Dimensions `source` moved to positions `destination`.
#[op("movedim.intlist(Tensor(a) self, int[] source, int[] destination) -> Tensor(a)", composite)]
mod movedim_list {
    fn kernel(this: &Tensor, source: &[i64], destination: &[i64]) -> Result<Tensor> {
        let n = this.dim();
        ensure!(
            source.len() == destination.len(),
            "movedim: Invalid source or destination dims: source ({source:?} dims) should contain the same number of dims as destination ({destination:?} dims)"
        );
        let wrap = |dims: &[i64]| dims.iter().map(|d| wrap_dim(*d, n)).collect::<Result<Vec<_>>>();
        let (from, to) = (wrap(source)?, wrap(destination)?);
        let repeated = |dims: &[usize]| (1..dims.len()).any(|i| dims[..i].contains(&dims[i]));
        ensure!(!repeated(&from), "movedim: repeated dim in `source` ({source:?})");
        ensure!(!repeated(&to), "movedim: repeated dim in `destination` ({destination:?})");
        if n == 0 {
            return Ok(this.clone());
        }
        let mut order = vec![-1; n];
        to.iter().zip(&from).for_each(|(&to, &from)| order[to] = from as i64);
        let mut rest = (0..n).filter(|d| !from.contains(d));
        for slot in order.iter_mut().filter(|o| **o < 0) {
            *slot = rest.next().unwrap_or(0) as i64;
        }
        permute::call(this, &order)
    }
}

/// [`movedim`] under NumPy's name.
#[op("moveaxis.int(Tensor(a) self, int source, int destination) -> Tensor(a)", composite)]
mod moveaxis {
    fn kernel(this: &Tensor, source: i64, destination: i64) -> Result<Tensor> {
        movedim_list::call(this, &[source], &[destination])
    }
}

/// [`movedim_list`] under NumPy's name.
#[op("moveaxis.intlist(Tensor(a) self, int[] source, int[] destination) -> Tensor(a)", composite)]
mod moveaxis_list {
    fn kernel(this: &Tensor, source: &[i64], destination: &[i64]) -> Result<Tensor> {
        movedim_list::call(this, source, destination)
    }
}

/// [`transpose`] under NumPy's name.
#[op("swapaxes(Tensor(a) self, int axis0, int axis1) -> Tensor(a)", composite)]
mod swapaxes {
    fn kernel(this: &Tensor, axis0: i64, axis1: i64) -> Result<Tensor> {
        transpose::call(this, axis0, axis1)
    }
}

/// [`transpose`] under another name.
#[op("swapdims(Tensor(a) self, int dim0, int dim1) -> Tensor(a)", composite)]
mod swapdims {
    fn kernel(this: &Tensor, dim0: i64, dim1: i64) -> Result<Tensor> {
        transpose::call(this, dim0, dim1)
    }
}

/// The dimensions in reverse order (`x.T`).
#[op("numpy_T(Tensor(a) self) -> Tensor(a)", composite)]
mod numpy_t {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        permute::call(this, &(0..this.dim() as i64).rev().collect::<Vec<_>>())
    }
}

/// Each matrix transposed (`x.mT`).
#[op("mT(Tensor(a) self) -> Tensor(a)", composite)]
mod mt {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        let n = this.dim();
        ensure!(n != 1, "tensor.mT is only supported on matrices or batches of matrices. Got {n}-D tensor.");
        if n == 0 { Ok(this.clone()) } else { transpose::call(this, -2, -1) }
    }
}

/// Each matrix transposed and conjugated.
#[op("adjoint(Tensor(a) self) -> Tensor(a)", composite)]
mod adjoint {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        let n = this.dim();
        ensure!(
            n != 1,
            "tensor.adjoint() is only supported on matrices or batches of matrices. Got {n}-D tensor."
        );
        let swapped = if n == 0 { this.clone() } else { transpose::call(this, -2, -1)? };
        if this.is_complex() { swapped.conj() } else { Ok(swapped) }
    }
}

/// `length` positions from `start` of dimension `dim`.
#[op("narrow(Tensor(a) self, int dim, SymInt start, SymInt length) -> Tensor(a)", composite)]
mod narrow {
    fn kernel(this: &Tensor, dim: i64, start: i64, length: i64) -> Result<Tensor> {
        ensure!(this.dim() > 0, "narrow() cannot be applied to a 0-dim tensor.");
        ensure!(length >= 0, "narrow(): length must be non-negative.");
        let size = this.sizes()[wrap_dim(dim, this.dim())?];
        ensure!(
            (-size..=size).contains(&start),
            Index,
            "start out of range (expected to be in range of [{}, {size}], but got {start})",
            -size
        );
        let start = if start < 0 { start + size } else { start };
        ensure!(
            length <= size - start,
            "start ({start}) + length ({length}) exceeds dimension size ({size})."
        );
        slice::call(this, dim, Some(start), Some(start + length), 1)
    }
}

/// [`narrow`] from a start given as a 0-dim integer tensor.
#[op("narrow.Tensor(Tensor(a) self, int dim, Tensor start, SymInt length) -> Tensor(a)", composite)]
mod narrow_tensor {
    fn kernel(this: &Tensor, dim: i64, start: &Tensor, length: i64) -> Result<Tensor> {
        let integral = start.dtype().is_integral_or_bool() && start.dtype() != DType::Bool;
        ensure!(start.dim() == 0 && integral, "start must be an 0-dim integral Tensor.");
        narrow::call(this, dim, start.item()?.to_i64(), length)
    }
}

/// At least one dimension.
#[op("atleast_1d(Tensor self) -> Tensor", composite)]
mod atleast_1d {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        if this.dim() == 0 { reshape::call(this, &[1]) } else { Ok(this.clone()) }
    }
}

/// At least two dimensions, new ones in front.
#[op("atleast_2d(Tensor self) -> Tensor", composite)]
mod atleast_2d {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        match this.dim() {
            0 => reshape::call(this, &[1, 1]),
            1 => unsqueeze::call(this, 0),
            _ => Ok(this.clone()),
        }
    }
}

/// At least three dimensions: a vector becomes `[1, n, 1]`, a matrix `[n, m, 1]`.
#[op("atleast_3d(Tensor self) -> Tensor", composite)]
mod atleast_3d {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        match this.dim() {
            0 => reshape::call(this, &[1, 1, 1]),
            1 => unsqueeze::call(&unsqueeze::call(this, 0)?, -1),
            2 => unsqueeze::call(this, -1),
            _ => Ok(this.clone()),
        }
    }
}

/// [`atleast_1d`] of each tensor.
#[op("atleast_1d.Sequence(Tensor[] tensors) -> Tensor[]", composite)]
mod atleast_1d_sequence {
    fn kernel(tensors: &[Tensor]) -> Result<Vec<Tensor>> {
        tensors.iter().map(atleast_1d::call).collect()
    }
}

/// [`atleast_2d`] of each tensor.
#[op("atleast_2d.Sequence(Tensor[] tensors) -> Tensor[]", composite)]
mod atleast_2d_sequence {
    fn kernel(tensors: &[Tensor]) -> Result<Vec<Tensor>> {
        tensors.iter().map(atleast_2d::call).collect()
    }
}

/// [`atleast_3d`] of each tensor.
#[op("atleast_3d.Sequence(Tensor[] tensors) -> Tensor[]", composite)]
mod atleast_3d_sequence {
    fn kernel(tensors: &[Tensor]) -> Result<Vec<Tensor>> {
        tensors.iter().map(atleast_3d::call).collect()
    }
}

/// Sums the dimensions that a broadcast from `size` would have added or repeated.
#[op("sum_to_size(Tensor self, SymInt[] size) -> Tensor", composite)]
mod sum_to_size {
    fn kernel(this: &Tensor, size: &[i64]) -> Result<Tensor> {
        let sizes = this.sizes();
        if size.is_empty() {
            return sum::call(this, None);
        }
        if sizes.as_slice() == size {
            return views::alias::call(this);
        }
        let added = match sizes.len().checked_sub(size.len()) {
            Some(n) if (n..sizes.len()).all(|d| size[d - n] == sizes[d] || size[d - n] == 1) => n,
            _ => bail!("size {{{size:?}}} is not expandable to size {{{:?}}}.", sizes.as_slice()),
        };
        let repeated = |d: &usize| *d < added || (size[*d - added] == 1 && sizes[*d] != 1);
        let dims: Vec<i64> = (0..sizes.len()).filter(repeated).map(|d| d as i64).collect();
        let sum = if dims.is_empty() { this.clone() } else { sum_dim::call(this, Some(&dims), true, None)? };
        if added == 0 { Ok(sum) } else { sum.view(size) }
    }
}
