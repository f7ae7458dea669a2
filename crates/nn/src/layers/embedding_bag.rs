//! [`EmbeddingBag`]: bags of rows of a table, each made one row.

use cresset_core::{DType, Result, Tensor, bail, ensure, no_grad, ops};

use super::{parameter, size};
use crate::init;
use crate::module::{Module, Parameter, float};
use crate::options::options;

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
}

options! {
    /// Optional settings of [`EmbeddingBag`].
    EmbeddingBagOptions {
        /// Rows that are looked up are first scaled down to this norm (default: no limit).
        max_norm: Option<f64> = None,
        /// The order of that norm (default: 2).
        norm_type: f64 = 2.0,
        /// Whether gradients are divided by how often a row is looked up (default: no).
        scale_grad_by_freq: bool = false,
        /// What becomes of the rows of a bag (default: their mean).
        mode: BagMode = BagMode::Mean,
        /// Whether the last offset is the end of the last bag (default: no).
        include_last_offset: bool = false,
        /// The row that counts for nothing; negative counts from the end (default: none).
        padding_idx: Option<i64> = None,
        /// The element type (default: `float32`).
        dtype: DType = DType::F32,
    }
}

/// Bags of rows of a table, as [`torch.nn.EmbeddingBag`](https://pytorch.org/docs/stable/generated/torch.nn.EmbeddingBag.html).
///
/// # Shapes
/// Indices `[B, N]`, or `[N]` with offsets `[B]` -> `[B, embedding_dim]`; `weight [num_embeddings, embedding_dim]`.
#[derive(Clone, Debug, Module)]
#[module(repr = self.text())]
pub struct EmbeddingBag {
    /// The vectors, drawn from `N(0, 1)`.
    pub weight: Parameter,
    #[module(skip)]
    options: EmbeddingBagOptions,
}

impl EmbeddingBag {
    /// Of that many vectors of that many elements.
    ///
    /// # Errors
    /// `Runtime` for negative sizes.
    pub fn new(num_embeddings: i64, embedding_dim: i64) -> Result<EmbeddingBag> {
        EmbeddingBag::with(num_embeddings, embedding_dim, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Runtime` for negative sizes, `Value` when `padding_idx` is no row.
    pub fn with(
        num_embeddings: i64,
        embedding_dim: i64,
        options: impl FnOnce(EmbeddingBagOptions) -> EmbeddingBagOptions,
    ) -> Result<EmbeddingBag> {
        let mut o = options(EmbeddingBagOptions::default());
        let weight = parameter(&[num_embeddings, embedding_dim], o.dtype)?;
        init::normal_(&weight, 0.0, 1.0)?;
        if let Some(index) = &mut o.padding_idx {
            let rows = -num_embeddings..num_embeddings;
            ensure!(rows.contains(index), Value, "padding_idx must be within num_embeddings");
            *index = index.rem_euclid(num_embeddings);
            let _guard = no_grad();
            weight.select(0, *index)?.zero_()?;
        }
        Ok(EmbeddingBag { weight, options: o })
    }

    /// One row for each bag. Bag `i` is row `i` of a matrix of indices, or `input[offsets[i]..offsets[i + 1]]`; with
    /// [`BagMode::Sum`] indices may have weights.
    ///
    /// # Errors
    /// `Value` when offsets are missing or superfluous, `Runtime` when shapes or indices do not fit.
    pub fn forward(
        &self,
        input: &Tensor,
        offsets: Option<&Tensor>,
        per_sample_weights: Option<&Tensor>,
    ) -> Result<Tensor> {
        let o = &self.options;
        if let Some(w) = per_sample_weights.filter(|w| w.sizes() != input.sizes()) {
            bail!(
                Value,
                "embedding_bag: If per_sample_weights ({:?}) is not None, then it must have the same shape as the input ({:?})",
                w.sizes().as_slice(),
                input.sizes().as_slice()
            );
        }
        let (input, offsets) = flattened(input, offsets)?;
        let weights = per_sample_weights.map(|w| w.reshape(-1)).transpose()?;
        if let Some(max_norm) = o.max_norm {
            let _guard = no_grad();
            self.weight.embedding_renorm_(&input, max_norm, o.norm_type)?;
        }
        let mode = match o.mode {
            BagMode::Sum => 0,
            BagMode::Mean => 1,
            BagMode::Max => 2,
        };
        let (weights, last) = (weights.as_ref(), o.include_last_offset);
        let by_frequency = o.scale_grad_by_freq;
        let (weight, padding) = (&self.weight, o.padding_idx);
        let all = ops::embedding_bag_padding_idx(
            weight,
            &input,
            &offsets,
            by_frequency,
            mode,
            false,
            weights,
            last,
            padding,
        )?;
        Ok(all.0)
    }

    fn text(&self) -> String {
        let o = &self.options;
        let mut text = format!("{}, {}", size(&self.weight, 0), size(&self.weight, 1));
        if let Some(norm) = o.max_norm {
            text += &format!(", max_norm={}", float(norm));
        }
        if o.norm_type != 2.0 {
            text += &format!(", norm_type={}", float(o.norm_type));
        }
        if o.scale_grad_by_freq {
            text += ", scale_grad_by_freq=True";
        }
        text += match o.mode {
            BagMode::Sum => ", mode='sum'",
            BagMode::Mean => ", mode='mean'",
            BagMode::Max => ", mode='max'",
        };
        if let Some(index) = o.padding_idx {
            text += &format!(", padding_idx={index}");
        }
        text
    }
}

/// Indices in one row, and where each bag starts.
fn flattened(input: &Tensor, offsets: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
    match (input.dim(), offsets) {
        (2, None) => {
            let [rows, columns] = [input.size(0)?, input.size(1)?];
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
