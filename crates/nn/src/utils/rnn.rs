//! Sequences of different lengths: packed for recurrent layers, padded for others, as `torch.nn.utils.rnn`.

use cresset_core::{DType, Result, Scalar, Tensor, bail, ensure, ops};

use crate::options::options;

/// The steps of sequences of different lengths: all first ones, longest sequence first, then all second ones of those long
/// enough, and so on.
#[derive(Clone, Debug)]
pub struct PackedSequence {
    /// The steps.
    pub data: Tensor,
    /// How many sequences have each step.
    pub batch_sizes: Tensor,
    /// Where each sequence came from; none if they were sorted already.
    pub sorted_indices: Option<Tensor>,
    /// Where each sequence went.
    pub unsorted_indices: Option<Tensor>,
}

impl PackedSequence {
    /// Number of sequences.
    pub(crate) fn batch(&self) -> Result<i64> {
        match self.batch_sizes.to_vec::<i64>()?.first() {
            Some(n) => Ok(*n),
            None => bail!("a packed sequence has at least one step"),
        }
    }

    /// The same lengths with other steps.
    pub(crate) fn with_data(&self, data: Tensor) -> PackedSequence {
        PackedSequence { data, ..self.clone() }
    }

    /// States `[layers, batch, size]` in the order of the packed sequences.
    pub(crate) fn sorted(&self, state: &Tensor) -> Result<Tensor> {
        self.sorted_indices.as_ref().map_or_else(|| Ok(state.clone()), |i| state.index_select(1, i))
    }

    /// States in the order that the sequences came in.
    pub(crate) fn unsorted(&self, state: &Tensor) -> Result<Tensor> {
        self.unsorted_indices.as_ref().map_or_else(|| Ok(state.clone()), |i| state.index_select(1, i))
    }
}

/// The permutation that undoes `permutation`.
///
/// # Errors
/// `Runtime` unless it is a vector of indices.
pub fn invert_permutation(permutation: &Tensor) -> Result<Tensor> {
    let order = permutation.to_dtype(DType::I64)?.to_vec::<i64>()?;
    let mut inverse = vec![-1; order.len()];
    for (i, to) in order.iter().enumerate() {
        match usize::try_from(*to).ok().and_then(|to| inverse.get_mut(to)) {
            Some(place) if *place < 0 => *place = i as i64,
            _ => bail!("expected a permutation, got {order:?}"),
        }
    }
    Tensor::from_slice(&inverse, [inverse.len() as i64])
}

options! {
    /// Optional settings of [`pack_padded_sequence`].
    PackOptions {
        /// Whether inputs are `[batch, time, ..]` (default: no).
        batch_first: bool = false,
        /// Whether the longest sequence comes first already (default: yes).
        enforce_sorted: bool = true,
    }
}

/// Packs padded sequences `[time, batch, ..]` of those lengths.
///
/// # Errors
/// `Runtime` when lengths do not fit, are not positive, or not sorted though they should be.
pub fn pack_padded_sequence(
    input: &Tensor,
    lengths: &[i64],
    options: impl FnOnce(PackOptions) -> PackOptions,
) -> Result<PackedSequence> {
    let o = options(PackOptions::default());
    let mut lengths = lengths.to_vec();
    let (mut input, mut orders) = (input.clone(), None);
    if !o.enforce_sorted {
        let mut order: Vec<i64> = (0..lengths.len() as i64).collect();
        order.sort_by_key(|i| std::cmp::Reverse(lengths[*i as usize]));
        lengths = order.iter().map(|i| lengths[*i as usize]).collect();
        let sorted = Tensor::from_slice(&order, [order.len() as i64])?;
        input = input.index_select(i64::from(!o.batch_first), &sorted)?;
        orders = Some((sorted.clone(), invert_permutation(&sorted)?));
    }
    let lengths = Tensor::from_slice(&lengths, [lengths.len() as i64])?;
    let (data, batch_sizes) = ops::_pack_padded_sequence(&input, &lengths, o.batch_first)?;
    let (sorted_indices, unsorted_indices) = orders.unzip();
    Ok(PackedSequence { data, batch_sizes, sorted_indices, unsorted_indices })
}

options! {
    /// Optional settings of [`pad_packed_sequence`].
    PadOptions {
        /// Whether the result is `[batch, time, ..]` (default: no).
        batch_first: bool = false,
        /// What stands after the end of a sequence (default: 0).
        padding_value: f64 = 0.0,
        /// Steps of the result (default: those of the longest sequence).
        total_length: Option<i64> = None,
    }
}

/// The padded sequences, in the order that they came in, and their lengths.
///
/// # Errors
/// `Value` when the total length is below that of the longest sequence.
pub fn pad_packed_sequence(
    sequence: &PackedSequence,
    options: impl FnOnce(PadOptions) -> PadOptions,
) -> Result<(Tensor, Tensor)> {
    let o = options(PadOptions::default());
    let longest = sequence.batch_sizes.numel() as i64;
    let total = o.total_length.unwrap_or(longest);
    ensure!(
        total >= longest,
        Value,
        "Expected total_length to be at least the length of the longest sequence in input, but got total_length={total} and max sequence length being {longest}"
    );
    let value = Scalar::Float(o.padding_value);
    let (data, sizes) = (&sequence.data, &sequence.batch_sizes);
    let (padded, lengths) = ops::_pad_packed_sequence(data, sizes, o.batch_first, value, total)?;
    match &sequence.unsorted_indices {
        Some(order) => {
            let batch = i64::from(!o.batch_first);
            Ok((padded.index_select(batch, order)?, lengths.index_select(0, order)?))
        }
        None => Ok((padded, lengths)),
    }
}

/// Stacks sequences `[length, ..]`, padded at the end to the longest, as `[time, batch, ..]` or `[batch, time, ..]`.
///
/// # Errors
/// `Runtime` unless they agree in the dimensions after the first.
pub fn pad_sequence(sequences: &[Tensor], batch_first: bool, padding_value: f64) -> Result<Tensor> {
    let length = |t: &Tensor| t.sizes().first().copied().unwrap_or(0);
    let longest = sequences.iter().map(length).max().unwrap_or(0);
    let pad = |t: &Tensor| -> Result<Tensor> {
        ensure!(t.dim() > 0, "pad_sequence: expected sequences of at least one dimension");
        let mut by = vec![0; 2 * t.dim()];
        by[2 * t.dim() - 1] = longest - length(t);
        ops::constant_pad_nd_with(t, by, |o| o.value(padding_value))
    };
    let padded = sequences.iter().map(pad).collect::<Result<Vec<_>>>()?;
    ops::stack_with(&padded, |o| o.dim(i64::from(!batch_first)))
}

/// The sequences out of padded ones of those lengths.
///
/// # Errors
/// `Runtime` when there are not as many lengths as sequences.
pub fn unpad_sequence(padded: &Tensor, lengths: &[i64], batch_first: bool) -> Result<Vec<Tensor>> {
    let batch = i64::from(!batch_first);
    ensure!(
        padded.size(batch)? == lengths.len() as i64,
        "unpad_sequence: expected {} lengths, got {}",
        padded.size(batch)?,
        lengths.len()
    );
    let one = |(i, n): (usize, &i64)| padded.select(batch, i as i64)?.narrow(0, 0, *n);
    lengths.iter().enumerate().map(one).collect()
}

/// Packs sequences `[length, ..]`.
///
/// # Errors
/// As [`pack_padded_sequence`].
pub fn pack_sequence(sequences: &[Tensor], enforce_sorted: bool) -> Result<PackedSequence> {
    let lengths: Vec<i64> = sequences.iter().map(|t| t.sizes().first().copied().unwrap_or(0)).collect();
    let padded = pad_sequence(sequences, false, 0.0)?;
    pack_padded_sequence(&padded, &lengths, |o| o.enforce_sorted(enforce_sorted))
}

/// The sequences of a packed one, in the order that they came in.
///
/// # Errors
/// None for what was packed here.
pub fn unpack_sequence(sequence: &PackedSequence) -> Result<Vec<Tensor>> {
    let (padded, lengths) = pad_packed_sequence(sequence, |o| o)?;
    unpad_sequence(&padded, &lengths.to_vec::<i64>()?, false)
}
