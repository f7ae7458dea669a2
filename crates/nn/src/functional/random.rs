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
/// ```
/// # use cresset_core::{random::manual_seed, tensor, Result};
/// # use cresset_nn::functional as F;
/// # fn main() -> Result<()> {
/// let logits = tensor![[0.1, 0.5, 0.2], [1.0, 2.0, 3.0]].requires_grad_(true)?;
/// manual_seed(0); // the samples are PyTorch's
/// let soft = F::gumbel_softmax_with(&logits, |o| o.tau(0.5))?;
/// soft.select(1, 0)?.sum()?.backward()?;
/// manual_seed(0);
/// let hard = F::gumbel_softmax_with(&logits, |o| o.hard(true))?;
/// assert_eq!(hard.detach().to_vec::<f32>()?, [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
/// # let near = |t: &cresset_core::Tensor, want: &[f32]| {
/// #     let got = t.detach().to_vec::<f32>().unwrap();
/// #     assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5), "{got:?}");
/// # };
/// # near(&soft, &[0.016_996_257, 0.307_543_8, 0.675_459_9, 0.005_309_808, 0.235_067_04, 0.759_623_2]);
/// # let want = [0.033_414_77, -0.010_454_187, -0.022_960_58, 0.010_563_227, -0.002_496_321_5, -0.008_066_906];
/// # near(&logits.grad().unwrap(), &want);
/// # Ok(())
/// # }
/// ```
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
