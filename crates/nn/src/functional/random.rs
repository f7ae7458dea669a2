//! Functions that draw random numbers: dropout of channels, samples of classes.

use cresset_core::ops::feature_dropout;
use cresset_core::{Result, Tensor, ensure, ops};

use crate::options::options;

/// Whole channels of `[N, C, L]` or `[C, L]` are zeroed with probability `p` in training, and the rest is scaled.
///
/// # Errors
/// `Runtime` for another number of dimensions or unless `p` lies between 0 and 1.
pub fn dropout1d(input: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    let dims = input.dim();
    ensure!(
        dims == 2 || dims == 3,
        "dropout1d: Expected 2D or 3D input, but received a {dims}D input. Note that dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
    );
    by_channel(input, p, training, dims == 2)
}

/// Whole channels of `[N, C, H, W]` are zeroed with probability `p` in training, and the rest is scaled.
///
/// As in PyTorch, three dimensions are `[N, C, L]`.
///
/// # Errors
/// `Runtime` unless `p` lies between 0 and 1.
pub fn dropout2d(input: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    feature_dropout(input, p, training)
}

/// Whole channels of `[N, C, D, H, W]` or `[C, D, H, W]` are zeroed with probability `p` in training, and the rest is
/// scaled.
///
/// # Errors
/// `Runtime` unless `p` lies between 0 and 1.
pub fn dropout3d(input: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    by_channel(input, p, training, input.dim() != 5)
}

/// An input without batch is a batch of one.
fn by_channel(input: &Tensor, p: f64, training: bool, unbatched: bool) -> Result<Tensor> {
    if unbatched {
        return feature_dropout(&input.unsqueeze(0)?, p, training)?.squeeze_dim(0);
    }
    feature_dropout(input, p, training)
}

options! {
    /// Optional settings of [`gumbel_softmax`].
    GumbelSoftmaxSettings {
        /// The temperature (default: 1).
        tau: f64 = 1.0,
        /// Whether the result is one-hot, with the gradient of the soft sample (default: no).
        hard: bool = false,
        /// The dimension of the classes (default: -1).
        dim: i64 = -1,
    }
}

/// A sample from the classes with those logits, soft enough to be differentiated (Jang et al. 2017).
///
/// ```
/// # use cresset_core::{ops, Result};
/// # fn main() -> Result<()> {
/// let sample = cresset_nn::functional::gumbel_softmax_with(&ops::randn([4, 3])?, |o| o.hard(true))?;
/// assert_eq!(sample.sum_dim([1])?.to_vec::<f32>()?, [1.0; 4]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Index` without such a dimension, `Runtime` for dtypes without logarithm.
pub fn gumbel_softmax(logits: &Tensor) -> Result<Tensor> {
    gumbel_softmax_with(logits, |o| o)
}

/// [`gumbel_softmax`] with optional settings.
///
/// # Errors
/// As [`gumbel_softmax`].
pub fn gumbel_softmax_with(
    logits: &Tensor,
    options: impl FnOnce(GumbelSoftmaxSettings) -> GumbelSoftmaxSettings,
) -> Result<Tensor> {
    let o = options(GumbelSoftmaxSettings::default());
    let empty = Tensor::empty_of(&logits.sizes(), logits.dtype(), logits.device())?;
    let gumbel = empty.exponential_()?.log()?.neg()?;
    let soft = ops::softmax(&logits.add(&gumbel)?.div_scalar(o.tau)?, o.dim)?;
    if !o.hard {
        return Ok(soft);
    }
    let index = soft.detach().argmax_with(|a| a.dim(o.dim).keepdim(true))?;
    let hard = logits.detach().zeros_like()?.scatter_value(o.dim, &index, 1.0)?;
    hard.sub(&soft.detach())?.add(&soft)
}
