//! Dropout: in training, random elements or whole channels are zeroed and the rest is scaled.

use cresset_core::ops::{alpha_dropout, dropout, feature_alpha_dropout, feature_dropout};
use cresset_core::{Result, Tensor, ensure};

use crate::module::{Forward, Module, Training, boolean, float};

/// Whole channels of `[N, C, L]` or `[C, L]`.
fn dropout1d(input: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    let dims = input.dim();
    ensure!(
        dims == 2 || dims == 3,
        "dropout1d: Expected 2D or 3D input, but received a {dims}D input. Note that dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
    );
    by_channel(input, p, training, dims == 2)
}

/// Whole channels of `[N, C, D, H, W]` or `[C, D, H, W]`.
fn dropout3d(input: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    by_channel(input, p, training, input.dim() != 5)
}

/// An input without batch is a batch of one.
fn by_channel(input: &Tensor, p: f64, training: bool, unbatched: bool) -> Result<Tensor> {
    if unbatched {
        return feature_dropout(&input.unsqueeze(0)?, p, training)?.squeeze_dim(0);
    }
    feature_dropout(input, p, training)
}

macro_rules! dropouts {
    ($($(#[$doc:meta])* $name:ident: $op:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Module)]
        #[module(repr = format!("p={}, inplace={}", float(self.p), boolean(self.inplace)))]
        pub struct $name {
            training: Training,
            #[module(skip)]
            p: f64,
            #[module(skip)]
            inplace: bool,
        }

        impl $name {
            /// With that probability of dropping.
            ///
            /// # Errors
            /// `Value` unless it lies between 0 and 1.
            pub fn new(p: f64) -> Result<Self> {
                ensure!((0.0..=1.0).contains(&p), Value, "dropout probability has to be between 0 and 1, but got {}", float(p));
                Ok($name { training: Training::new(), p, inplace: false })
            }

            /// The same, overwriting the input.
            #[must_use]
            pub fn inplace(mut self) -> Self {
                self.inplace = true;
                self
            }
        }

        impl Forward for $name {
            fn forward(&self, input: &Tensor) -> Result<Tensor> {
                let training = self.training.is_on();
                if self.inplace { input.copy_(&$op(input, self.p, training)?) } else { $op(input, self.p, training) }
            }
        }
    )* };
}

dropouts! {
    /// Zeroes elements with probability `p` and scales the rest by `1 / (1 - p)`, as `torch.nn.Dropout`.
    ///
    /// # Shapes
    /// Any -> the same.
    Dropout: dropout;
    /// Zeroes whole channels of `[N, C, L]` or `[C, L]`, as `torch.nn.Dropout1d`.
    Dropout1d: dropout1d;
    /// Zeroes whole channels of `[N, C, H, W]`, as `torch.nn.Dropout2d`.
    Dropout2d: feature_dropout;
    /// Zeroes whole channels of `[N, C, D, H, W]` or `[C, D, H, W]`, as `torch.nn.Dropout3d`.
    Dropout3d: dropout3d;
    /// Sets elements to the negative saturation of SELU and keeps mean and variance, as `torch.nn.AlphaDropout`.
    AlphaDropout: alpha_dropout;
    /// [`AlphaDropout`] of whole channels, as `torch.nn.FeatureAlphaDropout`.
    FeatureAlphaDropout: feature_alpha_dropout;
}
