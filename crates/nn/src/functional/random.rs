//! Samples of classes that have gradients.

use cresset_core::{Result, Tensor, ops, options};

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
