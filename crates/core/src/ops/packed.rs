//! Sequences of different lengths, packed: all first steps, then all second steps, of those that are long enough.

use cresset_macros::op;

use super::{cat, constant_pad_nd, narrow, transpose};
use crate::dense::dense;
use crate::op::OpDef;
use crate::scalar::Scalar;
use crate::{DType, Result, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![_pack_padded_sequence, _pad_packed_sequence];

/// Runs of equal numbers: the number and how often it comes.
fn runs(numbers: &[i64]) -> Vec<(i64, i64)> {
    numbers.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as i64)).collect()
}

fn check_lengths(lengths: &Tensor, batch: i64) -> Result<Vec<i64>> {
    if lengths.dim() != 1 || lengths.dtype() != DType::I64 {
        bail!(
            "'lengths' argument should be a 1D CPU int64 tensor, but got {}D cpu {} tensor",
            lengths.dim(),
            lengths.dtype().scalar_type()
        );
    }
    let lengths: Vec<i64> = dense(lengths, DType::I64)?.to_vec()?;
    if lengths.len() as i64 != batch {
        bail!(
            "Expected `len(lengths)` to be equal to batch_size, but got {} (batch_size={batch})",
            lengths.len()
        );
    }
    if lengths.last().is_some_and(|n| *n <= 0) {
        bail!(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        );
    }
    if !lengths.is_sorted_by(|a, b| a >= b) {
        bail!(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you do not need ONNX exportability."
        );
    }
    Ok(lengths)
}

/// Packs padded sequences `[time, batch, ..]` (`[batch, time, ..]` if `batch_first`), longest first: the steps, and how many
/// sequences have each step.
#[op(
    "_pack_padded_sequence(Tensor input, Tensor lengths, bool batch_first) -> (Tensor, Tensor)",
    composite,
    no_method
)]
mod _pack_padded_sequence {
    fn kernel(input: &Tensor, lengths: &Tensor, batch_first: bool) -> Result<(Tensor, Tensor)> {
        let input = if batch_first { transpose::call(input, 0, 1)? } else { input.clone() };
        ensure!(input.numel() > 0, "Cannot pack empty tensors.");
        let lengths = check_lengths(lengths, input.size(1)?)?;
        let steps = lengths.first().copied().unwrap_or(0);
        let with_step = |t: i64| lengths.iter().filter(|n| **n > t).count() as i64;
        let batch_sizes: Vec<i64> = (0..steps).map(with_step).collect();
        let (mut parts, mut start) = (Vec::new(), 0);
        for (batch, steps) in runs(&batch_sizes) {
            let part = narrow::call(&narrow::call(&input, 0, start, steps)?, 1, 0, batch)?;
            let mut sizes = vec![batch * steps];
            sizes.extend_from_slice(&input.sizes()[2..]);
            parts.push(part.reshape(sizes)?);
            start += steps;
        }
        Ok((cat::call(&parts, 0)?, Tensor::from_vec(batch_sizes, [steps])?))
    }
}

/// The padded sequences of a packed one, and their lengths; `total_length` steps, or as many as the longest has if that is not
/// positive.
#[op(
    "_pad_packed_sequence(Tensor data, Tensor batch_sizes, bool batch_first, Scalar padding_value, int total_length) -> (Tensor, Tensor)",
    composite,
    no_method
)]
mod _pad_packed_sequence {
    fn kernel(
        data: &Tensor,
        batch_sizes: &Tensor,
        batch_first: bool,
        padding_value: Scalar,
        total_length: i64,
    ) -> Result<(Tensor, Tensor)> {
        let sizes = batch_sizes_of(data, batch_sizes)?;
        let (longest, batch) = (sizes.len() as i64, sizes[0]);
        if total_length > 0 && total_length < longest {
            bail!(
                "Expected total_length to be at least the length of the longest sequence in input, but got total_length={total_length} and max sequence length being {longest}"
            );
        }
        let mut parts = Vec::new();
        let mut start = 0;
        for (number, steps) in runs(&sizes) {
            let mut shape = vec![steps, number];
            shape.extend_from_slice(&data.sizes()[1..]);
            let part = narrow::call(data, 0, start, steps * number)?.reshape(shape)?;
            parts.push(padded(&part, 1, batch - number, padding_value)?);
            start += steps * number;
        }
        let output = padded(&cat::call(&parts, 0)?, 0, total_length.max(longest) - longest, padding_value)?;
        let output = if batch_first { transpose::call(&output, 0, 1)? } else { output };
        let length = |b: i64| sizes.iter().filter(|n| **n > b).count() as i64;
        Ok((output, Tensor::from_vec((0..batch).map(length).collect::<Vec<_>>(), [batch])?))
    }
}

/// `t` with `by` more rows of `value` at the end of `dim`.
fn padded(t: &Tensor, dim: usize, by: i64, value: Scalar) -> Result<Tensor> {
    if by == 0 {
        return Ok(t.clone());
    }
    let mut pad = vec![0; 2 * (t.dim() - dim)];
    *pad.last_mut().expect("a tensor has the dimension that is padded") = by;
    constant_pad_nd::call(t, &pad, value)
}

/// How many sequences have each step, checked against the packed steps.
pub(super) fn batch_sizes_of(data: &Tensor, batch_sizes: &Tensor) -> Result<Vec<i64>> {
    ensure!(batch_sizes.dim() == 1, "batch_sizes tensor should be 1D");
    let sizes: Vec<i64> = dense(batch_sizes, DType::I64)?.to_vec()?;
    let total = sizes.iter().fold(0_i64, |sum, n| sum.saturating_add(*n));
    let decreasing = sizes.is_sorted_by(|a, b| a >= b) && sizes.last().is_some_and(|n| *n > 0);
    if !decreasing || data.dim() == 0 || total != data.sizes()[0] {
        bail!("Expected batch_sizes to decrease and to add up to the rows of {:?}", data.sizes().as_slice());
    }
    Ok(sizes)
}
