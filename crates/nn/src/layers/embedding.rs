//! [`Embedding`]: a table of vectors, looked up by index.

use cresset_core::{DType, Result, Tensor, ensure, no_grad, options};

use super::{parameter, size};
use crate::functional::{embedding_with, row};
use crate::init;
use crate::module::{Forward, Module, Parameter, float};

options! {
    /// Optional settings of [`Embedding`].
    EmbeddingOptions {
        /// The row that is zero and gets no gradient; negative counts from the end (default: none).
        padding_idx: Option<i64> = None,
        /// Rows that are looked up are first scaled down to this norm (default: no limit).
        max_norm: Option<f64> = None,
        /// The order of that norm (default: 2).
        norm_type: f64 = 2.0,
        /// Whether gradients are divided by how often a row is looked up (default: no).
        scale_grad_by_freq: bool = false,
        /// Whether gradients are sparse tensors with the rows that were looked up (default: no).
        sparse: bool = false,
        /// The element type (default: `float32`).
        dtype: DType = DType::F32,
    }
}

/// A table of vectors, as [`torch.nn.Embedding`](https://pytorch.org/docs/stable/generated/torch.nn.Embedding.html).
///
/// ```
/// # use cresset_nn::{Embedding, Forward};
/// # use cresset_core::{Result, tensor};
/// # fn main() -> Result<()> {
/// let table = Embedding::with(10, 3, |o| o.padding_idx(0))?;
/// let words = tensor![[1, 2, 0], [4, 5, 6]];
/// assert_eq!(table.forward(&words)?.sizes()[..], [2, 3, 3]);
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// Indices `[*]` -> `[*, embedding_dim]`; `weight [num_embeddings, embedding_dim]`.
#[derive(Clone, Debug, Module)]
#[module(repr = self.text())]
pub struct Embedding {
    /// The vectors, drawn from `N(0, 1)`.
    pub weight: Parameter,
    #[module(skip)]
    options: EmbeddingOptions,
}

impl Embedding {
    /// Of that many vectors of that many elements.
    ///
    /// # Errors
    /// `Runtime` for negative sizes.
    pub fn new(num_embeddings: i64, embedding_dim: i64) -> Result<Embedding> {
        Embedding::with(num_embeddings, embedding_dim, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Runtime` for negative sizes, `Assertion` when `padding_idx` is no row.
    pub fn with(
        num_embeddings: i64,
        embedding_dim: i64,
        options: impl FnOnce(EmbeddingOptions) -> EmbeddingOptions,
    ) -> Result<Embedding> {
        let o = options(EmbeddingOptions::default());
        let weight = parameter(&[num_embeddings, embedding_dim], o.dtype)?;
        init::normal_(&weight)?;
        Embedding::assemble(weight, o)
    }

    /// With given vectors `[num_embeddings, embedding_dim]`, which are trained unless `freeze`.
    ///
    /// # Errors
    /// `Assertion` unless there are two dimensions.
    pub fn from_pretrained(vectors: &Tensor, freeze: bool) -> Result<Embedding> {
        ensure!(vectors.dim() == 2, Assertion, "Embeddings parameter is expected to be 2-dimensional");
        let weight = Parameter::new(vectors.detach())?;
        weight.set_requires_grad(!freeze)?;
        Ok(Embedding { weight, options: EmbeddingOptions::default() })
    }

    fn assemble(weight: Parameter, mut options: EmbeddingOptions) -> Result<Embedding> {
        if let Some(index) = &mut options.padding_idx {
            *index = row(*index, weight.size(0)?, "Padding_idx must be within num_embeddings")?;
            let _guard = no_grad();
            weight.select(0, *index)?.zero_()?;
        }
        Ok(Embedding { weight, options })
    }

    fn text(&self) -> String {
        let o = &self.options;
        let mut text = format!("{}, {}", size(&self.weight, 0), size(&self.weight, 1));
        if let Some(index) = o.padding_idx {
            text += &format!(", padding_idx={index}");
        }
        if let Some(norm) = o.max_norm {
            text += &format!(", max_norm={}", float(norm));
        }
        if o.norm_type != 2.0 {
            text += &format!(", norm_type={}", float(o.norm_type));
        }
        if o.scale_grad_by_freq {
            text += ", scale_grad_by_freq=True";
        }
        if o.sparse {
            text += ", sparse=True";
        }
        text
    }
}

impl Forward for Embedding {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let o = &self.options;
        embedding_with(input, &self.weight, |e| {
            let e = e.padding_idx(o.padding_idx).max_norm(o.max_norm).norm_type(o.norm_type);
            e.scale_grad_by_freq(o.scale_grad_by_freq).sparse(o.sparse)
        })
    }
}
