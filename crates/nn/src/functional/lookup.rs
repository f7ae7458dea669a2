//! Rows of tables by index: `embedding`, `embedding_bag`.

use cresset_core::{Result, Tensor, bail, ensure, no_grad, ops, options};

options! {
    /// Optional settings of [`embedding`].
    EmbeddingSettings {
        /// The row that gets no gradient; negative counts from the end (default: none).
        padding_idx: Option<i64> = None,
        /// Rows that are looked up are first scaled down, in place, to this norm (default: no limit).
        max_norm: Option<f64> = None,
        /// The order of that norm (default: 2).
        norm_type: f64 = 2.0,
        /// Whether gradients are divided by how often a row is looked up (default: no).
        scale_grad_by_freq: bool = false,
        /// Whether the gradient is a sparse tensor with the rows that were looked up (default: no).
        sparse: bool = false,
    }
}

/// The rows of `weight` at the indices `input`.
///
/// ```
/// # use cresset_core::{tensor, Result};
/// # fn main() -> Result<()> {
/// let table = tensor![[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]];
/// let rows = cresset_nn::functional::embedding(&tensor![2, 0], &table)?;
/// assert_eq!(rows.to_vec::<f32>()?, [4.0, 5.0, 0.0, 1.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Shapes
/// `input [*]`, `weight [V, D]` -> `[*, D]`.
/// # Errors
/// `Index` for an index that is no row.
pub fn embedding(input: &Tensor, weight: &Tensor) -> Result<Tensor> {
    embedding_with(input, weight, |o| o)
}

/// [`embedding`] with optional settings.
///
/// # Errors
/// As [`embedding`], and `Value` for a padding that is no row.
pub fn embedding_with(
    input: &Tensor,
    weight: &Tensor,
    options: impl FnOnce(EmbeddingSettings) -> EmbeddingSettings,
) -> Result<Tensor> {
    let o = options(EmbeddingSettings::default());
    let padding = match o.padding_idx {
        Some(index) => row(index, weight.size(0)?, "Padding_idx must be within num_embeddings")?,
        None => -1,
    };
    renormalise(weight, input, o.max_norm, o.norm_type)?;
    ops::embedding_with(weight, input, |e| {
        e.padding_idx(padding).scale_grad_by_freq(o.scale_grad_by_freq).sparse(o.sparse)
    })
}

/// The number of a row, counted from the start.
pub(crate) fn row(index: i64, rows: i64, text: &str) -> Result<i64> {
    ensure!((-rows..rows).contains(&index), Assertion, "{text}");
    Ok(index.rem_euclid(rows))
}

fn renormalise(weight: &Tensor, input: &Tensor, max_norm: Option<f64>, norm_type: f64) -> Result<()> {
    let Some(max_norm) = max_norm else { return Ok(()) };
    let _guard = no_grad();
    weight.detach().embedding_renorm_(input, max_norm, norm_type).map(|_| ())
}

/// What becomes of the rows of a bag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BagMode {
    /// Their sum.
    Sum,
    /// Their mean.
    #[default]
    Mean,
    /// The largest of each column.
    Max,
}

impl BagMode {
    /// The one of PyTorch's name: `sum`, `mean` or `max`.
    ///
    /// # Errors
    /// `Value` for another name.
    pub fn parse(name: &str) -> Result<BagMode> {
        match name {
            "sum" => Ok(BagMode::Sum),
            "mean" => Ok(BagMode::Mean),
            "max" => Ok(BagMode::Max),
            _ => bail!(Value, "mode has to be one of sum, mean or max"),
        }
    }

    /// PyTorch's name.
    pub fn name(self) -> &'static str {
        match self {
            BagMode::Sum => "sum",
            BagMode::Mean => "mean",
            BagMode::Max => "max",
        }
    }
}

options! {
    /// Optional settings of [`embedding_bag`].
    BagLookupSettings {
        /// Where each bag starts in a vector of indices (default: none, for a matrix with a row for each bag).
        offsets: Option<Tensor> = None,
        /// Rows that are looked up are first scaled down, in place, to this norm (default: no limit).
        max_norm: Option<f64> = None,
        /// The order of that norm (default: 2).
        norm_type: f64 = 2.0,
        /// Whether gradients are divided by how often a row is looked up (default: no).
        scale_grad_by_freq: bool = false,
        /// What becomes of the rows of a bag (default: their mean).
        mode: BagMode = BagMode::Mean,
        /// Whether the gradient is a sparse tensor (default: no).
        sparse: bool = false,
        /// Factors of the rows, for sums (default: none).
        per_sample_weights: Option<Tensor> = None,
        /// Whether the last offset is the end of the last bag (default: no).
        include_last_offset: bool = false,
        /// The row that counts for nothing; negative counts from the end (default: none).
        padding_idx: Option<i64> = None,
    }
}

/// The mean of the rows of each bag; a bag is a row of the matrix of indices `input`.
///
/// # Shapes
/// `input [B, N]`, `weight [V, D]` -> `[B, D]`.
/// # Errors
/// As [`embedding_bag_with`].
pub fn embedding_bag(input: &Tensor, weight: &Tensor) -> Result<Tensor> {
    embedding_bag_with(input, weight, |o| o)
}

/// [`embedding_bag`] with optional settings. With offsets, bag `i` is `input[offsets[i]..offsets[i + 1]]`.
///
/// # Errors
/// `Value` when offsets are missing or superfluous or settings contradict each other, `NotImplemented` for factors in
/// another mode than sums, `Runtime` when shapes or indices do not fit.
pub fn embedding_bag_with(
    input: &Tensor,
    weight: &Tensor,
    options: impl FnOnce(BagLookupSettings) -> BagLookupSettings,
) -> Result<Tensor> {
    let o = options(BagLookupSettings::default());
    check_bags(input, weight, &o)?;
    let include_last = o.include_last_offset && input.dim() == 1;
    let (input, offsets) = flattened(input, o.offsets.as_ref())?;
    ensure!(
        o.mode != BagMode::Max || !o.scale_grad_by_freq,
        Value,
        "max mode does not support scaling the gradient by the frequency"
    );
    ensure!(o.mode != BagMode::Max || !o.sparse, Value, "max mode does not support sparse weights");
    renormalise(weight, &input, o.max_norm, o.norm_type)?;
    let factors = o.per_sample_weights.as_ref().map(|w| w.reshape(-1)).transpose()?;
    ensure!(
        factors.is_none() || o.mode == BagMode::Sum,
        NotImplemented,
        "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' (got mode='{}'). Please open a feature request on GitHub.",
        o.mode.name()
    );
    let (by_frequency, sparse, padding) = (o.scale_grad_by_freq, o.sparse, o.padding_idx);
    let mode = o.mode as i64;
    let all = ops::embedding_bag_padding_idx(
        weight,
        &input,
        &offsets,
        by_frequency,
        mode,
        sparse,
        factors.as_ref(),
        include_last,
        padding,
    )?;
    Ok(all.0)
}

fn check_bags(input: &Tensor, weight: &Tensor, o: &BagLookupSettings) -> Result<()> {
    if let Some(w) = o.per_sample_weights.as_ref().filter(|w| w.sizes() != input.sizes()) {
        bail!(
            Value,
            "embedding_bag: If per_sample_weights (torch.Size({:?})) is not None, then it must have the same shape as the input (torch.Size({:?}))",
            w.sizes().as_slice(),
            input.sizes().as_slice()
        );
    }
    ensure!(
        weight.dim() == 2,
        Value,
        "weight has to be a 2D Tensor, but got Tensor of dimension {}",
        weight.dim()
    );
    Ok(())
}

/// Indices in one row, and where each bag starts.
fn flattened(input: &Tensor, offsets: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
    match (input.dim(), offsets) {
        (2, None) => {
            let [rows, columns] = [input.size(0)?, input.size(1)?];
            ensure!(columns > 0, "step must be nonzero");
            let starts: Vec<i64> = (0..rows).map(|row| row * columns).collect();
            let starts = Tensor::from_vec(starts, [rows])?.to_dtype(input.dtype())?;
            Ok((input.reshape(-1)?, starts))
        }
        (2, Some(_)) => bail!(
            Value,
            "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length sequences. However, found offsets of type <class 'torch.Tensor'>"
        ),
        (1, Some(offsets)) => {
            ensure!(offsets.dim() == 1, Value, "offsets has to be a 1D Tensor");
            Ok((input.clone(), offsets.clone()))
        }
        (1, None) => bail!(Value, "offsets has to be a 1D Tensor but got None"),
        (n, _) => bail!(Value, "input has to be 1D or 2D Tensor, but got Tensor of dimension {n}"),
    }
}
