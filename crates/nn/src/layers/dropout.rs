//! Dropout: in training, random elements or whole channels are zeroed and the rest is scaled.

use cresset_core::{Result, Tensor, ensure, options};

use crate::functional::{alpha_dropout, dropout, dropout1d, dropout2d, dropout3d, feature_alpha_dropout};
use crate::module::{Forward, Module, Training, boolean, float};

options! {
    /// Optional settings of the dropouts.
    DropoutOptions {
        /// Whether the input is overwritten (default: no).
        inplace: bool = false,
    }
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
                Self::with(p, |o| o)
            }

            /// With optional settings.
            ///
            /// # Errors
            /// `Value` unless the probability lies between 0 and 1.
            pub fn with(p: f64, options: impl FnOnce(DropoutOptions) -> DropoutOptions) -> Result<Self> {
                ensure!((0.0..=1.0).contains(&p), Value, "dropout probability has to be between 0 and 1, but got {}", float(p));
                Ok($name { training: Training::new(), p, inplace: options(DropoutOptions::default()).inplace })
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
    Dropout2d: dropout2d;
    /// Zeroes whole channels of `[N, C, D, H, W]` or `[C, D, H, W]`, as `torch.nn.Dropout3d`.
    Dropout3d: dropout3d;
    /// Sets elements to the negative saturation of SELU and keeps mean and variance, as `torch.nn.AlphaDropout`.
    AlphaDropout: alpha_dropout;
    /// [`AlphaDropout`] of whole channels, as `torch.nn.FeatureAlphaDropout`.
    FeatureAlphaDropout: feature_alpha_dropout;
}
