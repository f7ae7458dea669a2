//! Sequences of different lengths: packed for recurrent layers, padded for others, as `torch.nn.utils.rnn`.

use cresset_core::{DType, Result, Scalar, Tensor, bail, ensure, ops, options};

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
/// ```
/// # use cresset_nn::{LSTM, utils::rnn::{pack_padded_sequence, pad_packed_sequence}};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let lstm = LSTM::new(3, 5)?;
/// let batch = ops::randn([4, 2, 3])?; // time, batch, features; the second sequence has 2 steps
/// let packed = pack_padded_sequence(&batch, &[4, 2])?;
/// let (output, _) = lstm.forward_packed(&packed, None)?;
/// let (padded, lengths) = pad_packed_sequence(&output)?;
/// assert_eq!((&padded.sizes()[..], &lengths.to_vec::<i64>()?[..]), (&[4, 2, 5][..], &[4, 2][..]));
/// # Ok(())
/// # }
/// ```
/// # Errors
/// `Runtime` when lengths do not fit, are not positive, or not sorted though they should be.
pub fn pack_padded_sequence(input: &Tensor, lengths: &[i64]) -> Result<PackedSequence> {
    pack_padded_sequence_with(input, lengths, |o| o)
}

/// [`pack_padded_sequence`] with optional settings.
///
/// # Errors
/// As there.
pub fn pack_padded_sequence_with(
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
pub fn pad_packed_sequence(sequence: &PackedSequence) -> Result<(Tensor, Tensor)> {
    pad_packed_sequence_with(sequence, |o| o)
}

/// [`pad_packed_sequence`] with optional settings.
///
/// # Errors
/// As there.
pub fn pad_packed_sequence_with(
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
/// ```
/// # use cresset_nn::{utils::rnn::pad_sequence};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let padded = pad_sequence(&[ops::ones([3])?, ops::ones([2])?])?; // time, batch
/// assert_eq!(padded.to_vec::<f32>()?, [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
/// # Ok(())
/// # }
/// ```
/// # Errors
/// `Runtime` unless they agree in the dimensions after the first.
pub fn pad_sequence(sequences: &[Tensor]) -> Result<Tensor> {
    pad_sequence_with(sequences, |o| o)
}

/// [`pad_sequence`] with optional settings.
///
/// # Errors
/// As there.
pub fn pad_sequence_with(
    sequences: &[Tensor],
    options: impl FnOnce(ops::PadSequenceOptions) -> ops::PadSequenceOptions,
) -> Result<Tensor> {
    ops::pad_sequence_with(sequences, options)
}

options! {
    /// Optional settings of [`unpad_sequence_with`].
    UnpadOptions {
        /// Whether the padded sequences are `[batch, time, ..]` (default: no).
        batch_first: bool = false,
    }
}

/// The sequences out of padded ones, `[time, batch, ..]`, of those lengths.
///
/// # Errors
/// `Runtime` when there are not as many lengths as sequences.
pub fn unpad_sequence(padded: &Tensor, lengths: &[i64]) -> Result<Vec<Tensor>> {
    unpad_sequence_with(padded, lengths, |o| o)
}

/// [`unpad_sequence`] with optional settings.
///
/// # Errors
/// As there.
pub fn unpad_sequence_with(
    padded: &Tensor,
    lengths: &[i64],
    options: impl FnOnce(UnpadOptions) -> UnpadOptions,
) -> Result<Vec<Tensor>> {
    let batch = i64::from(!options(UnpadOptions::default()).batch_first);
    ensure!(
        padded.size(batch)? == lengths.len() as i64,
        "unpad_sequence: expected {} lengths, got {}",
        padded.size(batch)?,
        lengths.len()
    );
    let one = |(i, n): (usize, &i64)| padded.select(batch, i as i64)?.narrow(0, 0, *n);
    lengths.iter().enumerate().map(one).collect()
}

/// Packs sequences `[length, ..]`, the longest first.
///
/// # Errors
/// As [`pack_padded_sequence`].
pub fn pack_sequence(sequences: &[Tensor]) -> Result<PackedSequence> {
    pack_sequence_with(sequences, |o| o)
}

/// [`pack_sequence`] with optional settings, of which `enforce_sorted` applies.
///
/// # Errors
/// As there.
pub fn pack_sequence_with(
    sequences: &[Tensor],
    options: impl FnOnce(PackOptions) -> PackOptions,
) -> Result<PackedSequence> {
    let lengths: Vec<i64> = sequences.iter().map(|t| t.sizes().first().copied().unwrap_or(0)).collect();
    pack_padded_sequence_with(&pad_sequence(sequences)?, &lengths, |o| options(o).batch_first(false))
}

/// The sequences of a packed one, in the order that they came in.
///
/// # Errors
/// None for what was packed here.
pub fn unpack_sequence(sequence: &PackedSequence) -> Result<Vec<Tensor>> {
    let (padded, lengths) = pad_packed_sequence(sequence)?;
    unpad_sequence(&padded, &lengths.to_vec::<i64>()?)
}
