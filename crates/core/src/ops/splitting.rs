//! A dimension cut into several tensors.

use super::*;
use crate::layout::wrap_dim;
use crate::op::OpDef;
use crate::{DType, Result, Tensor, bail, ensure, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
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
];

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
    let each = size / chunks + i64::from(size % chunks != 0);
    if each == 0 {
        crate::copy::check_room(chunks.saturating_mul(64))?;
        Ok(vec![0; chunks as usize])
    } else {
        equal_parts(this, each, dim)
    }
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
        // Every section has a view, so that an absurd number of them is an allocation that fails.
        crate::copy::check_room(sections.saturating_mul(64))?;
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
