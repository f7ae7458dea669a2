//! [`EmbeddingBag`]: bags of rows of a table, each made one row.

use cresset_core::{DType, Result, Tensor, no_grad};

use super::{parameter, size};
use crate::functional::{BagMode, embedding_bag_with, row};
use crate::init;
use crate::module::{Module, Parameter, float};
use crate::options::options;

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
        /// Whether gradients are sparse tensors with the rows that were looked up (default: no).
        sparse: bool = false,
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
    /// `Runtime` for negative sizes, `Assertion` when `padding_idx` is no row.
    pub fn with(
        num_embeddings: i64,
        embedding_dim: i64,
        options: impl FnOnce(EmbeddingBagOptions) -> EmbeddingBagOptions,
    ) -> Result<EmbeddingBag> {
        let mut o = options(EmbeddingBagOptions::default());
        let weight = parameter(&[num_embeddings, embedding_dim], o.dtype)?;
        init::normal_(&weight)?;
        if let Some(index) = &mut o.padding_idx {
            *index = row(*index, num_embeddings, "padding_idx must be within num_embeddings")?;
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
        embedding_bag_with(input, &self.weight, |e| {
            let e = e.offsets(offsets.cloned()).per_sample_weights(per_sample_weights.cloned());
            let e = e.max_norm(o.max_norm).norm_type(o.norm_type).scale_grad_by_freq(o.scale_grad_by_freq);
            let e = e.mode(o.mode).sparse(o.sparse).padding_idx(o.padding_idx);
            e.include_last_offset(o.include_last_offset)
        })
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
        text += &format!(", mode='{}'", o.mode.name());
        if let Some(index) = o.padding_idx {
            text += &format!(", padding_idx={index}");
        }
        text
    }
}
