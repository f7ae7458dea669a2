//! How far vectors are apart: [`CosineSimilarity`].

use cresset_core::{Result, Tensor, ops};

use crate::module::Module;

/// The cosine of the angle between vectors, as `torch.nn.CosineSimilarity`.
///
/// # Shapes
/// Two tensors that broadcast -> the same without `dim`.
#[derive(Clone, Copy, Debug, Module)]
pub struct CosineSimilarity {
    #[module(skip)]
    dim: i64,
    #[module(skip)]
    eps: f64,
}

impl CosineSimilarity {
    /// Along dimension 1.
    pub fn new() -> CosineSimilarity {
        CosineSimilarity::with(1, 1e-8)
    }

    /// Along `dim`, with norms of at least `eps`.
    pub fn with(dim: i64, eps: f64) -> CosineSimilarity {
        CosineSimilarity { dim, eps }
    }

    /// Compares two tensors.
    ///
    /// # Errors
    /// `Runtime` when the shapes do not fit.
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Result<Tensor> {
        ops::cosine_similarity_with(x1, x2, |o| o.dim(self.dim).eps(self.eps))
    }
}

impl Default for CosineSimilarity {
    fn default() -> Self {
        CosineSimilarity::new()
    }
}
