//! [`EmbeddingBag`]: bags of rows of a table, each made one row.

use cresset_core::{DType, Result, Tensor, no_grad, options};

use super::{parameter, size};
use crate::functional::{BagMode, embedding_bag_with, row};
use crate::init;
use crate::module::{Forward, Module, Parameter, float};

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

options! {
    /// The bags of a call of [`EmbeddingBag`].
    BagOptions {
        /// Where each bag starts in an input of one dimension (default: rows of a matrix are bags).
        offsets: Option<Tensor> = None,
        /// A weight for each index, with [`BagMode::Sum`] (default: none).
        per_sample_weights: Option<Tensor> = None,
    }
}

/// Bags of rows of a table, as [`torch.nn.EmbeddingBag`](https://pytorch.org/docs/stable/generated/torch.nn.EmbeddingBag.html).
///
/// ```
/// # use cresset_nn::{EmbeddingBag, Forward};
/// # use cresset_core::{Result, tensor};
/// # fn main() -> Result<()> {
/// let table = EmbeddingBag::new(10, 3)?; // the mean of each bag
/// let bags = table.forward(&tensor![[1, 2], [4, 5]])?;
/// assert_eq!(bags.sizes()[..], [2, 3]);
/// let of_any_length = table.forward_with(&tensor![1, 2, 4, 5, 4], |o| o.offsets(tensor![0, 2]))?;
/// assert!(bags.select(0, 0)?.equal(&of_any_length.select(0, 0)?)?);
/// # Ok(())
/// # }
/// ```
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

impl Forward for EmbeddingBag {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.forward_with(input, |o| o)
    }
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

    /// One row for each bag: bag `i` is row `i` of a matrix of indices, or `input[offsets[i]..offsets[i + 1]]`.
    ///
    /// # Errors
    /// `Value` when offsets are missing or superfluous, `Runtime` when shapes or indices do not fit.
    pub fn forward_with(
        &self,
        input: &Tensor,
        bags: impl FnOnce(BagOptions) -> BagOptions,
    ) -> Result<Tensor> {
        let (o, bags) = (&self.options, bags(BagOptions::default()));
        embedding_bag_with(input, &self.weight, |e| {
            let e = e.offsets(bags.offsets).per_sample_weights(bags.per_sample_weights);
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
