//! How far vectors are apart: [`CosineSimilarity`].

use cresset_core::{Result, Tensor, ops, options};

use crate::module::Module;

/// The cosine of the angle between vectors, as `torch.nn.CosineSimilarity`.
///
/// # Shapes
/// Two tensors that broadcast -> the same without `dim`.
#[derive(Clone, Debug, Default, Module)]
pub struct CosineSimilarity {
    #[module(skip)]
    options: CosineSimilarityOptions,
}

options! {
    /// Optional settings of [`CosineSimilarity`].
    CosineSimilarityOptions {
        /// The dimension of the vectors (default: 1).
        dim: i64 = 1,
        /// Least product of the norms (default: 1e-8).
        eps: f64 = 1e-8,
    }
}

impl CosineSimilarity {
    /// Along dimension 1.
    pub fn new() -> CosineSimilarity {
        CosineSimilarity::default()
    }

    /// With optional settings.
    pub fn with(
        options: impl FnOnce(CosineSimilarityOptions) -> CosineSimilarityOptions,
    ) -> CosineSimilarity {
        CosineSimilarity { options: options(CosineSimilarityOptions::default()) }
    }

    /// Compares two tensors.
    ///
    /// # Errors
    /// `Runtime` when the shapes do not fit.
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Result<Tensor> {
        let CosineSimilarityOptions { dim, eps } = self.options;
        ops::cosine_similarity_with(x1, x2, |o| o.dim(dim).eps(eps))
    }
}
