//! Normalisation by neighbouring channels: [`LocalResponseNorm`].

use cresset_core::{Result, Tensor};

use crate::functional::local_response_norm;
use crate::module::{Forward, Module, float};
use crate::options::options;

options! {
    /// Optional settings of [`LocalResponseNorm`].
    LocalResponseNormOptions {
        /// Factor of the mean square (default: 1e-4).
        alpha: f64 = 1e-4,
        /// The power (default: 0.75).
        beta: f64 = 0.75,
        /// Added to the mean square (default: 1).
        k: f64 = 1.0,
    }
}

/// `x / (k + alpha mean(x^2))^beta`, the mean over neighbouring channels, as `torch.nn.LocalResponseNorm`.
///
/// # Shapes
/// `[N, C, *]` -> the same.
#[derive(Clone, Debug, Module)]
#[module(repr = self.text())]
pub struct LocalResponseNorm {
    #[module(skip)]
    size: i64,
    #[module(skip)]
    options: LocalResponseNormOptions,
}

impl LocalResponseNorm {
    /// Over `size` channels, with PyTorch's defaults.
    pub fn new(size: i64) -> LocalResponseNorm {
        LocalResponseNorm::with(size, |o| o)
    }

    /// With optional settings.
    pub fn with(
        size: i64,
        options: impl FnOnce(LocalResponseNormOptions) -> LocalResponseNormOptions,
    ) -> LocalResponseNorm {
        LocalResponseNorm { size, options: options(LocalResponseNormOptions::default()) }
    }

    fn text(&self) -> String {
        let o = &self.options;
        format!("{}, alpha={}, beta={}, k={}", self.size, float(o.alpha), float(o.beta), float(o.k))
    }
}

impl Forward for LocalResponseNorm {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let o = &self.options;
        local_response_norm(input, self.size, o.alpha, o.beta, o.k)
    }
}
