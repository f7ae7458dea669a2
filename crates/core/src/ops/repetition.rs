//! Elements repeated one by one, sequences padded to one length.

use super::*;
use crate::layout::wrap_dim;
use crate::op::OpDef;
use crate::supported::require;
use crate::{DType, Result, Scalar, Tensor, bail, ensure, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    repeat_interleave,
    repeat_interleave_tensor,
    repeat_interleave_indices,
    _chunk_cat,
    pad_sequence
];

/// Each position of `dim` `repeats` times; of all elements in one dimension without `dim`.
#[op(
    "repeat_interleave.self_int(Tensor self, SymInt repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor",
    composite
)]
mod repeat_interleave {
    fn kernel(this: &Tensor, repeats: i64, dim: Option<i64>, output_size: Option<i64>) -> Result<Tensor> {
        ensure!(repeats >= 0, "Repeats must be non-negative");
        let Some(dim) = dim else {
            return repeat_interleave::call(&this.reshape(-1)?, repeats, Some(0), output_size);
        };
        let this = atleast_1d::call(this)?;
        let d = wrap_dim(dim, this.dim())?;
        let mut sizes = this.sizes();
        let Some(n) = sizes[d].checked_mul(repeats) else {
            bail!("Storage size calculation overflowed with repeats={repeats}")
        };
        if let Some(given) = output_size {
            ensure!(given == n, "repeat_interleave: Invalid output_size, expected {n} but got {given}");
        }
        sizes.insert(d + 1, repeats);
        let wide = this.unsqueeze(d as i64 + 1)?.expand(&sizes)?;
        sizes.remove(d + 1);
        sizes[d] = n;
        clone_tensor::call(&wide, Some(crate::MemoryFormat::Contiguous))?.reshape(sizes)
    }
}

/// Each position of `dim` as often as `repeats` says for it.
#[op(
    "repeat_interleave.self_Tensor(Tensor self, Tensor repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor",
    composite
)]
mod repeat_interleave_tensor {
    fn kernel(this: &Tensor, repeats: &Tensor, dim: Option<i64>, output_size: Option<i64>) -> Result<Tensor> {
        let Some(dim) = dim else {
            return repeat_interleave_tensor::call(&this.reshape(-1)?, repeats, Some(0), output_size);
        };
        let this = atleast_1d::call(this)?;
        let d = wrap_dim(dim, this.dim())?;
        let size = this.sizes()[d];
        let repeats = match (repeats.dim(), repeats.numel() as i64) {
            (0 | 1, 1) => repeats.reshape(-1)?.expand([size])?,
            (1, n) if n == size => repeats.clone(),
            (1, n) => bail!(
                "repeats must have the same size as input along dim, but got repeats.size(0) = {n} and input.size({d}) = {size}"
            ),
            _ => bail!("repeats must be 0-dim or 1-dim tensor"),
        };
        this.index_select(dim, &repeat_interleave_indices::call(&index::long(&repeats)?, output_size)?)
    }
}

/// Each position as often as `repeats` says for it.
#[op(
    "repeat_interleave.Tensor(Tensor repeats, *, SymInt? output_size=None) -> Tensor",
    no_grad = "integers",
    no_method
)]
mod repeat_interleave_indices {
    fn kernel(repeats: &Tensor, output_size: Option<i64>) -> Result<Tensor> {
        ensure!(repeats.dim() == 1, "repeat_interleave only accept 1D vector as repeat");
        require("repeat_interleave_cpu", repeats, |d| d.is_integral_or_bool() && d != DType::Bool)?;
        let counts = index::long(repeats)?.to_vec::<i64>()?;
        ensure!(counts.iter().all(|n| *n >= 0), "repeats can not be negative");
        let total = counts.iter().try_fold(0_i64, |sum, n| sum.checked_add(*n));
        let total = total.ok_or_else(|| crate::Error::runtime("repeats overflow when summed"))?;
        if let Some(given) = output_size {
            ensure!(given == total || counts.is_empty(), "allocated size does not match required size");
        }
        // The result is allocated first, so that absurd repeats are an error and not the end of the process.
        crate::copy::check_room(total)?;
        let places: Vec<i64> =
            counts.iter().enumerate().flat_map(|(i, &n)| std::iter::repeat_n(i as i64, n as usize)).collect();
        raw::cast(&Tensor::from_vec(places, [total])?, repeats.dtype())
    }
}

/// Chunks of the tensors side by side: each is cut into `num_chunks` along `dim`, short ones filled up with zeros, and
/// flattened from there on.
#[op("_chunk_cat(Tensor[] tensors, int dim, int num_chunks) -> Tensor", composite, out = "out", no_method)]
mod _chunk_cat {
    fn kernel(tensors: &[Tensor], dim: i64, num_chunks: i64) -> Result<Tensor> {
        ensure!(!tensors.is_empty(), "_chunk_cat expects a non-empty input tensor list");
        ensure!(num_chunks >= 1, "_chunk_cat expects positive num_chunks");
        let first = &tensors[0];
        ensure!(
            dim >= 0 || tensors.iter().all(|t| t.dim() == first.dim()),
            "_chunk_cat expects non-negative dim when input tensors have different ndims"
        );
        let d = wrap_dim(dim, first.dim())?;
        let part = |t: &Tensor| {
            ensure!(t.numel() > 0, "_chunk_cat expects non-empty tensor");
            ensure!(t.dtype() == first.dtype(), "_chunk_cat expects all input tensors to have same dtype");
            ensure!(t.dim() > d, "_chunk_cat expects dim < ndim for all input tensors");
            ensure!(
                t.sizes()[..d] == first.sizes()[..d],
                "_chunk_cat expects same sizes of 0,...,dim-1 dimensions for all tensors"
            );
            let size = t.sizes()[d];
            let whole = (size / num_chunks + i64::from(size % num_chunks != 0)).checked_mul(num_chunks);
            let Some(whole) = whole else {
                bail!("Storage size calculation overflowed with num_chunks={num_chunks}")
            };
            let missing = whole - size;
            let mut pad = vec![0; 2 * (t.dim() - d)];
            pad[2 * (t.dim() - d) - 1] = missing;
            let whole = constant_pad_nd::call(t, &pad, Scalar::Int(0))?;
            whole.reshape([&t.sizes()[..d], &[num_chunks, -1]].concat())
        };
        cat::call(&tensors.iter().map(part).collect::<Result<Vec<_>>>()?, d as i64 + 1)
    }
}

/// Sequences of different lengths filled up to the longest and stacked.
#[op(
    "pad_sequence(Tensor[] sequences, bool batch_first=False, float padding_value=0., str padding_side=\"right\") -> Tensor",
    composite,
    no_method
)]
mod pad_sequence {
    fn kernel(
        sequences: &[Tensor],
        batch_first: bool,
        padding_value: f64,
        padding_side: &str,
    ) -> Result<Tensor> {
        ensure!(!sequences.is_empty(), "received an empty list of sequences");
        ensure!(
            matches!(padding_side, "left" | "right"),
            "Expected padding_side to be one of left or right, but got {padding_side}."
        );
        let longest =
            sequences.iter().map(|s| s.size(0)).collect::<Result<Vec<_>>>()?.into_iter().max().unwrap_or(0);
        let fill = |s: &Tensor| {
            let mut pad = vec![0; 2 * s.dim()];
            let side = if padding_side == "left" { 2 } else { 1 };
            pad[2 * s.dim() - side] = longest - s.sizes()[0];
            constant_pad_nd::call(s, &pad, Scalar::Float(padding_value))
        };
        let filled = sequences.iter().map(fill).collect::<Result<Vec<_>>>()?;
        stack::call(&filled, i64::from(!batch_first))
    }
}
