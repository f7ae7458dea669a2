//! Dropout with the checks that PyTorch makes before its operators run.

use cresset_core::{Result, Tensor, ensure, ops};

use crate::module::float;

fn check(p: f64) -> Result<()> {
    let text = "dropout probability has to be between 0 and 1, but got";
    ensure!((0.0..=1.0).contains(&p), Value, "{text} {}", float(p));
    Ok(())
}

/// An input without batch is a batch of one.
fn by_channel(input: &Tensor, p: f64, training: bool, unbatched: bool) -> Result<Tensor> {
    if unbatched {
        return ops::feature_dropout(&input.unsqueeze(0)?, p, training)?.squeeze_dim(0);
    }
    ops::feature_dropout(input, p, training)
}

macro_rules! dropouts {
    ($($(#[$doc:meta])* $name:ident |$input:ident, $p:ident, $training:ident| $call:expr;)*) => { $(
        $(#[$doc])*
        /// Nothing unless `training`.
        ///
        /// # Errors
        /// `Value` unless `p` lies between 0 and 1, `Runtime` for an input of other dimensions.
        pub fn $name($input: &Tensor, $p: f64, $training: bool) -> Result<Tensor> {
            check($p)?;
            $call
        }
    )* };
}

dropouts! {
    /// Zeroes each element with probability `p` and divides the others by `1 - p`.
    dropout |input, p, training| ops::dropout(input, p, training);
    /// [`dropout`] of whole channels of `[N, C, L]` or `[C, L]`.
    dropout1d |input, p, training| {
        let dims = input.dim();
        ensure!(
            dims == 2 || dims == 3,
            "dropout1d: Expected 2D or 3D input, but received a {dims}D input. Note that dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        );
        by_channel(input, p, training, dims == 2)
    };
    /// [`dropout`] of whole channels of `[N, C, H, W]`.
    dropout2d |input, p, training| ops::feature_dropout(input, p, training);
    /// [`dropout`] of whole channels of `[N, C, D, H, W]` or `[C, D, H, W]`.
    dropout3d |input, p, training| by_channel(input, p, training, input.dim() != 5);
    /// Dropout that keeps mean and variance, for [`selu`](crate::functional::selu) (Klambauer et al. 2017).
    alpha_dropout |input, p, training| ops::alpha_dropout(input, p, training);
    /// [`alpha_dropout`] of whole channels.
    feature_alpha_dropout |input, p, training| ops::feature_alpha_dropout(input, p, training);
}
