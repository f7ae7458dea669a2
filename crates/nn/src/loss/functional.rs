//! The losses as functions: `cross_entropy(input, target)`, `cross_entropy_with(input, target, |o| …)`.

use cresset_core::{Result, Tensor, bail, ensure, ops, options};

pub use super::distance::{
    cosine_embedding_loss, cosine_embedding_loss_with, hinge_embedding_loss, hinge_embedding_loss_with,
    triplet_margin_loss, triplet_margin_loss_with, triplet_margin_with_distance_loss,
    triplet_margin_with_distance_loss_with,
};
pub use super::likelihood::{
    gaussian_nll_loss, gaussian_nll_loss_with, multi_margin_loss, multi_margin_loss_with,
    multilabel_margin_loss, multilabel_margin_loss_with, multilabel_soft_margin_loss,
    multilabel_soft_margin_loss_with, poisson_nll_loss, poisson_nll_loss_with,
};
pub use super::sequence::{
    LinearCrossEntropySettings, ctc_loss, ctc_loss_with, linear_cross_entropy, linear_cross_entropy_with,
};

/// What becomes of the losses of the elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// They are returned.
    None,
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

impl Reduction {
    /// The one of PyTorch's name: `none`, `mean` or `sum`.
    ///
    /// # Errors
    /// `Value` for another name.
    pub fn parse(name: &str) -> Result<Reduction> {
        match name {
            "none" => Ok(Reduction::None),
            "mean" => Ok(Reduction::Mean),
            "sum" => Ok(Reduction::Sum),
            other => bail!(Value, "{other} is not a valid value for reduction"),
        }
    }

    /// The number that stands for it in schemas.
    pub(crate) fn code(self) -> i64 {
        match self {
            Reduction::None => 0,
            Reduction::Mean => 1,
            Reduction::Sum => 2,
        }
    }

    pub(crate) fn apply(self, losses: &Tensor) -> Result<Tensor> {
        match self {
            Reduction::None => Ok(losses.clone()),
            Reduction::Mean => losses.mean(),
            Reduction::Sum => losses.sum(),
        }
    }
}

options! {
    /// Optional settings of [`cross_entropy`].
    CrossEntropyOptions {
        /// A factor per class (default: none).
        weight: Option<Tensor> = None,
        /// Targets of this value do not count (default: -100).
        ignore_index: i64 = -100,
        /// What becomes of the losses of the samples (default: their mean).
        reduction: Reduction = Reduction::Mean,
        /// How much of the target is spread over all classes (default: 0).
        label_smoothing: f64 = 0.0,
    }
}

/// Cross entropy of scores and targets, which are classes or probabilities.
///
/// ```
/// # use cresset_nn::{functional as F};
/// # use cresset_core::{Result, tensor};
/// # fn main() -> Result<()> {
/// let loss = F::cross_entropy(&tensor![[0.0, 0.0]], &tensor![1])?;
/// assert!((loss.item()?.to_f64() - 2_f64.ln()).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// `input [N, C, *]` or `[C]`; `target [N, *]` or `[]` of classes, or as `input` of probabilities.
/// # Errors
/// `Runtime` when shapes do not fit, `Index` for a target that is no class.
pub fn cross_entropy(input: &Tensor, target: &Tensor) -> Result<Tensor> {
    cross_entropy_with(input, target, |o| o)
}

/// [`cross_entropy`] with optional settings.
///
/// # Errors
/// As [`cross_entropy`].
pub fn cross_entropy_with(
    input: &Tensor,
    target: &Tensor,
    options: impl FnOnce(CrossEntropyOptions) -> CrossEntropyOptions,
) -> Result<Tensor> {
    let o = options(CrossEntropyOptions::default());
    ops::cross_entropy_loss_with(input, target, |f| {
        let f = f.weight(o.weight.as_ref()).reduction(o.reduction.code());
        f.ignore_index(o.ignore_index).label_smoothing(o.label_smoothing)
    })
}

options! {
    /// Optional settings of [`nll_loss`].
    NLLOptions {
        /// A factor per class (default: none).
        weight: Option<Tensor> = None,
        /// Targets of this value do not count (default: -100).
        ignore_index: i64 = -100,
        /// What becomes of the losses of the samples (default: their mean).
        reduction: Reduction = Reduction::Mean,
    }
}

/// The negative log-probability of the target class.
///
/// # Shapes
/// `input [N, C, *]` or `[C]` of log-probabilities; `target [N, *]` or `[]` of classes.
/// # Errors
/// `Runtime` when shapes do not fit, `Index` for a target that is no class.
pub fn nll_loss(input: &Tensor, target: &Tensor) -> Result<Tensor> {
    nll_loss_with(input, target, |o| o)
}

/// [`nll_loss`] with optional settings.
///
/// # Errors
/// As [`nll_loss`].
pub fn nll_loss_with(
    input: &Tensor,
    target: &Tensor,
    options: impl FnOnce(NLLOptions) -> NLLOptions,
) -> Result<Tensor> {
    let o = options(NLLOptions::default());
    ops::nll_loss_nd_with(input, target, |f| {
        f.weight(o.weight.as_ref()).reduction(o.reduction.code()).ignore_index(o.ignore_index)
    })
}

options! {
    /// Optional settings of losses that have no others.
    LossOptions {
        /// What becomes of the losses of the elements (default: their mean).
        reduction: Reduction = Reduction::Mean,
    }
}

/// Squared differences.
///
/// # Errors
/// `Runtime` when the shapes do not broadcast.
pub fn mse_loss_with(
    input: &Tensor,
    target: &Tensor,
    options: impl FnOnce(LossOptions) -> LossOptions,
) -> Result<Tensor> {
    let (input, target) = together(input, target)?;
    let o = options(LossOptions::default());
    ops::mse_loss_with(&input, &target, |f| f.reduction(o.reduction.code()))
}

/// Absolute differences.
///
/// # Errors
/// `Runtime` when the shapes do not broadcast.
pub fn l1_loss_with(
    input: &Tensor,
    target: &Tensor,
    options: impl FnOnce(LossOptions) -> LossOptions,
) -> Result<Tensor> {
    let (input, target) = together(input, target)?;
    let o = options(LossOptions::default());
    ops::l1_loss_with(&input, &target, |f| f.reduction(o.reduction.code()))
}

fn together(a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    if a.sizes() == b.sizes() {
        return Ok((a.clone(), b.clone()));
    }
    let sizes = cresset_core::layout::broadcast_shapes(&a.sizes(), &b.sizes())?;
    Ok((a.expand(&sizes[..])?, b.expand(&sizes[..])?))
}

options! {
    /// Optional settings of [`smooth_l1_loss_with`].
    SmoothL1Options {
        /// What becomes of the losses of the elements (default: their mean).
        reduction: Reduction = Reduction::Mean,
        /// Below this difference the loss is quadratic (default: 1).
        beta: f64 = 1.0,
    }
}

/// Quadratic for small differences, absolute for large ones.
///
/// # Errors
/// `Runtime` when the shapes do not broadcast or `beta` is negative.
pub fn smooth_l1_loss_with(
    input: &Tensor,
    target: &Tensor,
    options: impl FnOnce(SmoothL1Options) -> SmoothL1Options,
) -> Result<Tensor> {
    let o = options(SmoothL1Options::default());
    if o.beta == 0.0 {
        return l1_loss_with(input, target, |l| l.reduction(o.reduction));
    }
    let (input, target) = together(input, target)?;
    ops::smooth_l1_loss_with(&input, &target, |f| f.reduction(o.reduction.code()).beta(o.beta))
}

options! {
    /// Optional settings of [`huber_loss_with`].
    HuberOptions {
        /// What becomes of the losses of the elements (default: their mean).
        reduction: Reduction = Reduction::Mean,
        /// Below this difference the loss is quadratic (default: 1).
        delta: f64 = 1.0,
    }
}

/// Quadratic for small differences, `delta` times absolute for large ones.
///
/// # Errors
/// `Runtime` when the shapes do not broadcast or `delta` is not positive.
pub fn huber_loss_with(
    input: &Tensor,
    target: &Tensor,
    options: impl FnOnce(HuberOptions) -> HuberOptions,
) -> Result<Tensor> {
    let o = options(HuberOptions::default());
    let (input, target) = together(input, target)?;
    ops::huber_loss_with(&input, &target, |f| f.reduction(o.reduction.code()).delta(o.delta))
}

options! {
    /// Optional settings of [`binary_cross_entropy_with`].
    BCEOptions {
        /// A factor per element (default: none).
        weight: Option<Tensor> = None,
        /// What becomes of the losses of the elements (default: their mean).
        reduction: Reduction = Reduction::Mean,
    }
}

/// Cross entropy of probabilities and targets between 0 and 1.
///
/// # Errors
/// `Value` unless both have the same shape, `Runtime` for an input outside of 0 to 1.
pub fn binary_cross_entropy_with(
    input: &Tensor,
    target: &Tensor,
    options: impl FnOnce(BCEOptions) -> BCEOptions,
) -> Result<Tensor> {
    let o = options(BCEOptions::default());
    let (have, want) = (target.sizes(), input.sizes());
    ensure!(
        have == want,
        Value,
        "Using a target size (torch.Size({:?})) that is different to the input size (torch.Size({:?})) is deprecated. Please ensure they have the same size.",
        &have[..],
        &want[..]
    );
    let weight = match o.weight {
        Some(w) => Some(w.expand(&cresset_core::layout::broadcast_shapes(&have, &w.sizes())?[..])?),
        None => None,
    };
    ops::binary_cross_entropy_with(input, target, |f| f.weight(weight.as_ref()).reduction(o.reduction.code()))
}

options! {
    /// Optional settings of [`binary_cross_entropy_with_logits_with`].
    BCEWithLogitsOptions {
        /// A factor per element (default: none).
        weight: Option<Tensor> = None,
        /// A factor of positive targets per class (default: none).
        pos_weight: Option<Tensor> = None,
        /// What becomes of the losses of the elements (default: their mean).
        reduction: Reduction = Reduction::Mean,
    }
}

/// Cross entropy of `sigmoid(input)` and targets between 0 and 1, without overflow.
///
/// # Errors
/// `Value` unless both have the same shape.
pub fn binary_cross_entropy_with_logits_with(
    input: &Tensor,
    target: &Tensor,
    options: impl FnOnce(BCEWithLogitsOptions) -> BCEWithLogitsOptions,
) -> Result<Tensor> {
    let o = options(BCEWithLogitsOptions::default());
    let (have, want) = (target.sizes(), input.sizes());
    ensure!(
        have == want,
        Value,
        "Target size (torch.Size({:?})) must be the same as input size (torch.Size({:?}))",
        &have[..],
        &want[..]
    );
    ops::binary_cross_entropy_with_logits_with(input, target, |f| {
        f.weight(o.weight.as_ref()).pos_weight(o.pos_weight.as_ref()).reduction(o.reduction.code())
    })
}

options! {
    /// Optional settings of [`kl_div_with`].
    KLDivOptions {
        /// What becomes of the losses of the elements (default: their mean).
        reduction: Reduction = Reduction::Mean,
        /// Divides the sum by the number of samples, whatever `reduction` says (default: no).
        batchmean: bool = false,
        /// Whether the target holds logarithms (default: no).
        log_target: bool = false,
    }
}

/// The divergence of Kullback and Leibler of log-probabilities from a target.
///
/// # Errors
/// `Runtime` when the shapes do not broadcast.
pub fn kl_div_with(
    input: &Tensor,
    target: &Tensor,
    options: impl FnOnce(KLDivOptions) -> KLDivOptions,
) -> Result<Tensor> {
    let o = options(KLDivOptions::default());
    let reduction = if o.batchmean { Reduction::Sum } else { o.reduction };
    let loss = ops::kl_div_with(input, target, |f| f.reduction(reduction.code()).log_target(o.log_target))?;
    if o.batchmean && input.dim() != 0 { loss.div_scalar(input.size(0)?) } else { Ok(loss) }
}

options! {
    /// Optional settings of [`margin_ranking_loss_with`].
    MarginRankingOptions {
        /// How much apart the inputs should be (default: 0).
        margin: f64 = 0.0,
        /// What becomes of the losses of the elements (default: their mean).
        reduction: Reduction = Reduction::Mean,
    }
}

/// `max(0, -target (input1 - input2) + margin)`.
///
/// # Errors
/// `Runtime` when the shapes do not fit.
pub fn margin_ranking_loss_with(
    input1: &Tensor,
    input2: &Tensor,
    target: &Tensor,
    options: impl FnOnce(MarginRankingOptions) -> MarginRankingOptions,
) -> Result<Tensor> {
    let o = options(MarginRankingOptions::default());
    let (a, b, t) = (input1.sizes(), input2.sizes(), target.sizes());
    ensure!(
        a.len() == b.len() && a.len() == t.len(),
        "margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: torch.Size({:?}), input2: torch.Size({:?}), target: torch.Size({:?}) ",
        &a[..],
        &b[..],
        &t[..]
    );
    ops::margin_ranking_loss_with(input1, input2, target, |f| {
        f.margin(o.margin).reduction(o.reduction.code())
    })
}

/// `log(1 + exp(-target input))`.
///
/// # Errors
/// `Runtime` when the shapes do not fit.
pub fn soft_margin_loss_with(
    input: &Tensor,
    target: &Tensor,
    options: impl FnOnce(LossOptions) -> LossOptions,
) -> Result<Tensor> {
    let o = options(LossOptions::default());
    ops::soft_margin_loss_with(input, target, |f| f.reduction(o.reduction.code()))
}

/// The functions with PyTorch's defaults.
macro_rules! defaults {
    ($($plain:ident = $with:ident($($input:ident),*);)*) => { $(
        #[doc = concat!("[`", stringify!($with), "`] with PyTorch's defaults.")]
        ///
        /// # Errors
        /// As there.
        pub fn $plain($($input: &Tensor),*) -> Result<Tensor> {
            $with($($input,)* |o| o)
        }
    )* };
}

defaults! {
    mse_loss = mse_loss_with(input, target);
    l1_loss = l1_loss_with(input, target);
    smooth_l1_loss = smooth_l1_loss_with(input, target);
    huber_loss = huber_loss_with(input, target);
    binary_cross_entropy = binary_cross_entropy_with(input, target);
    binary_cross_entropy_with_logits = binary_cross_entropy_with_logits_with(input, target);
    kl_div = kl_div_with(input, target);
    margin_ranking_loss = margin_ranking_loss_with(input1, input2, target);
    soft_margin_loss = soft_margin_loss_with(input, target);
}
