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
    chunk,
    unsafe_chunk,
    unsafe_split,
    unsafe_split_with_sizes,
    split_sizes,
    tensor_split,
    tensor_split_indices,
    tensor_split_tensor,
    hsplit,
    hsplit_array,
    vsplit,
    vsplit_array,
    dsplit,
    dsplit_array,
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
        let mut shape = this.sizes();
        let old = shape.remove(d);
        let known: i64 = sizes.iter().filter(|s| **s != -1).product();
        let fits = if sizes.contains(&-1) { known != 0 && old % known == 0 } else { known == old };
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
        ensure!(n >= 2, "tensor.mT is only supported on matrices or batches of matrices. Got {n}-D tensor.");
        transpose::call(this, -2, -1)
    }
}

/// Each matrix transposed and conjugated.
#[op("adjoint(Tensor(a) self) -> Tensor(a)", composite)]
mod adjoint {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        let n = this.dim();
        ensure!(
            n >= 2,
            "tensor.adjoint() is only supported on matrices or batches of matrices. Got {n}-D tensor."
        );
        let swapped = transpose::call(this, -2, -1)?;
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

/// A dimension cut into at most `chunks` parts of equal length.
#[op("chunk(Tensor(a -> *) self, int chunks, int dim=0) -> Tensor(a)[]", composite)]
mod chunk {
    fn kernel(this: &Tensor, chunks: i64, dim: i64) -> Result<Vec<Tensor>> {
        let lengths = chunk_lengths(this, chunks, dim)?;
        match lengths.iter().all(|n| *n == 0) {
            true => split_with_sizes::call(this, &lengths, dim),
            false => split::call(this, lengths[0], dim),
        }
    }
}

fn chunk_lengths(this: &Tensor, chunks: i64, dim: i64) -> Result<Vec<i64>> {
    ensure!(this.dim() > 0, "chunk expects at least a 1-dimensional tensor");
    ensure!(chunks > 0, "chunk expects `chunks` to be greater than 0, got: {chunks}");
    let size = this.sizes()[wrap_dim(dim, this.dim())?];
    let each = (size + chunks - 1) / chunks;
    if each == 0 { Ok(vec![0; chunks as usize]) } else { equal_parts(this, each, dim) }
}

/// [`chunk`] whose results are not views to autograd.
#[op("unsafe_chunk(Tensor self, int chunks, int dim=0) -> Tensor[]", composite)]
mod unsafe_chunk {
    fn kernel(this: &Tensor, chunks: i64, dim: i64) -> Result<Vec<Tensor>> {
        unsafe_split_with_sizes::call(this, &chunk_lengths(this, chunks, dim)?, dim)
    }
}

/// [`split`] whose results are not views to autograd.
#[op("unsafe_split.Tensor(Tensor self, SymInt split_size, int dim=0) -> Tensor[]", composite)]
mod unsafe_split {
    fn kernel(this: &Tensor, split_size: i64, dim: i64) -> Result<Vec<Tensor>> {
        split::call(this, split_size, dim)
    }
}

/// [`split_with_sizes`] whose results are not views to autograd.
#[op("unsafe_split_with_sizes(Tensor self, SymInt[] split_sizes, int dim=0) -> Tensor[]", composite)]
mod unsafe_split_with_sizes {
    fn kernel(this: &Tensor, split_sizes: &[i64], dim: i64) -> Result<Vec<Tensor>> {
        split_with_sizes::call(this, split_sizes, dim)
    }
}

/// [`split_with_sizes`] under the name that Python's `split` has for lists.
#[op("split.sizes(Tensor(a -> *) self, SymInt[] split_size, int dim=0) -> Tensor(a)[]", composite)]
mod split_sizes {
    fn kernel(this: &Tensor, split_size: &[i64], dim: i64) -> Result<Vec<Tensor>> {
        split_with_sizes::call(this, split_size, dim)
    }
}

/// A dimension cut into exactly `sections` parts whose lengths differ by at most one.
#[op("tensor_split.sections(Tensor(a -> *) self, SymInt sections, int dim=0) -> Tensor(a)[]", composite)]
mod tensor_split {
    fn kernel(this: &Tensor, sections: i64, dim: i64) -> Result<Vec<Tensor>> {
        ensure!(
            this.dim() > 0,
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        );
        ensure!(sections > 0, "number of sections must be larger than 0, got {sections}");
        let size = this.sizes()[wrap_dim(dim, this.dim())?];
        let cut = |i: i64| i * (size / sections) + i.min(size % sections);
        (0..sections).map(|i| slice::call(this, dim, Some(cut(i)), Some(cut(i + 1)), 1)).collect()
    }
}

/// A dimension cut before each of `indices`.
#[op("tensor_split.indices(Tensor(a -> *) self, SymInt[] indices, int dim=0) -> Tensor(a)[]", composite)]
mod tensor_split_indices {
    fn kernel(this: &Tensor, indices: &[i64], dim: i64) -> Result<Vec<Tensor>> {
        ensure!(
            this.dim() > 0,
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        );
        let size = this.sizes()[wrap_dim(dim, this.dim())?];
        let starts = std::iter::once(0).chain(indices.iter().copied());
        let ends = indices.iter().copied().chain([size]);
        starts.zip(ends).map(|(start, end)| slice::call(this, dim, Some(start), Some(end), 1)).collect()
    }
}

/// [`tensor_split`] by a 0-dim tensor, [`tensor_split_indices`] by a 1-dim one.
#[op(
    "tensor_split.tensor_indices_or_sections(Tensor(a -> *) self, Tensor tensor_indices_or_sections, int dim=0) -> Tensor(a)[]",
    composite
)]
mod tensor_split_tensor {
    fn kernel(this: &Tensor, tensor_indices_or_sections: &Tensor, dim: i64) -> Result<Vec<Tensor>> {
        let cuts = tensor_indices_or_sections;
        ensure!(
            this.dim() > 0,
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        );
        ensure!(
            cuts.dtype() == DType::I64,
            "tensor_split expected tensor_indices_or_sections to have dtype of long, but got {}",
            cuts.dtype().scalar_type()
        );
        match cuts.dim() {
            0 => tensor_split::call(this, cuts.item()?.to_i64(), dim),
            1 => tensor_split_indices::call(this, &cuts.to_vec::<i64>()?, dim),
            n => bail!(
                "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor, but got a tensor with {n} dims"
            ),
        }
    }
}

/// The dimension that `hsplit` and kin cut, after their checks.
fn split_axis(name: &str, this: &Tensor, least: usize) -> Result<i64> {
    let n = this.dim();
    ensure!(
        n >= least,
        "torch.{name} requires a tensor with at least {least} dimension, but got a tensor with {n} dimensions!"
    );
    Ok(if name == "hsplit" && n == 1 {
        0
    } else {
        least.max(if name == "hsplit" { 2 } else { 1 }) as i64 - 1
    })
}

fn split_evenly(name: &str, this: &Tensor, sections: i64, axis: i64) -> Result<Vec<Tensor>> {
    let size = this.sizes()[axis as usize];
    ensure!(
        sections != 0 && size % sections == 0,
        "torch.{name} attempted to split along dimension {axis}, but the size of the dimension {size} is not divisible by the split_size {sections}!"
    );
    tensor_split::call(this, sections, axis)
}

/// Cuts columns into `sections` equal parts.
#[op("hsplit.int(Tensor(a -> *) self, int sections) -> Tensor(a)[]", composite)]
mod hsplit {
    fn kernel(this: &Tensor, sections: i64) -> Result<Vec<Tensor>> {
        split_evenly("hsplit", this, sections, split_axis("hsplit", this, 1)?)
    }
}

/// Cuts columns before each of `indices`.
#[op("hsplit.array(Tensor(a -> *) self, int[] indices) -> Tensor(a)[]", composite)]
mod hsplit_array {
    fn kernel(this: &Tensor, indices: &[i64]) -> Result<Vec<Tensor>> {
        tensor_split_indices::call(this, indices, split_axis("hsplit", this, 1)?)
    }
}

/// Cuts rows into `sections` equal parts.
#[op("vsplit.int(Tensor(a -> *) self, int sections) -> Tensor(a)[]", composite)]
mod vsplit {
    fn kernel(this: &Tensor, sections: i64) -> Result<Vec<Tensor>> {
        split_axis("vsplit", this, 2)?;
        split_evenly("vsplit", this, sections, 0)
    }
}

/// Cuts rows before each of `indices`.
#[op("vsplit.array(Tensor(a -> *) self, int[] indices) -> Tensor(a)[]", composite)]
mod vsplit_array {
    fn kernel(this: &Tensor, indices: &[i64]) -> Result<Vec<Tensor>> {
        split_axis("vsplit", this, 2)?;
        tensor_split_indices::call(this, indices, 0)
    }
}

/// Cuts the third dimension into `sections` equal parts.
#[op("dsplit.int(Tensor(a -> *) self, int sections) -> Tensor(a)[]", composite)]
mod dsplit {
    fn kernel(this: &Tensor, sections: i64) -> Result<Vec<Tensor>> {
        split_evenly("dsplit", this, sections, split_axis("dsplit", this, 3)?)
    }
}

/// Cuts the third dimension before each of `indices`.
#[op("dsplit.array(Tensor(a -> *) self, int[] indices) -> Tensor(a)[]", composite)]
mod dsplit_array {
    fn kernel(this: &Tensor, indices: &[i64]) -> Result<Vec<Tensor>> {
        tensor_split_indices::call(this, indices, split_axis("dsplit", this, 3)?)
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
