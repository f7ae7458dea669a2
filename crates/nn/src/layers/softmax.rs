//! Probabilities along a dimension: [`Softmax`], [`LogSoftmax`], [`Softmin`], [`Softmax2d`].

use cresset_core::{Result, Tensor, ensure};

use crate::functional::softmin;
use crate::module::{Forward, Module};

macro_rules! along_dim {
    ($($(#[$doc:meta])* $name:ident: |$x:ident, $dim:ident| $forward:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Module)]
        #[module(repr = format!("dim={}", self.dim))]
        pub struct $name {
            #[module(skip)]
            dim: i64,
        }

        impl $name {
            /// Along that dimension.
            pub fn new(dim: i64) -> Self {
                $name { dim }
            }
        }

        impl Forward for $name {
            fn forward(&self, $x: &Tensor) -> Result<Tensor> {
                let $dim = self.dim;
                $forward
            }
        }
    )* };
}

along_dim! {
    /// `exp(x) / sum exp(x)` along a dimension, as `torch.nn.Softmax`.
    Softmax: |x, dim| x.softmax(dim);
    /// `log softmax(x)` along a dimension, as `torch.nn.LogSoftmax`.
    LogSoftmax: |x, dim| x.log_softmax(dim);
    /// `softmax(-x)` along a dimension, as `torch.nn.Softmin`.
    Softmin: |x, dim| softmin(x, dim);
}

/// Softmax over the channels of `[N, C, H, W]` or `[C, H, W]`, as `torch.nn.Softmax2d`.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct Softmax2d;

impl Forward for Softmax2d {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let dims = input.dim();
        ensure!(
            dims == 3 || dims == 4,
            Value,
            "Softmax2d: expected input to be 3D or 4D, got {dims}D instead"
        );
        input.softmax(-3)
    }
}
