//! Negative log likelihoods of distributions, and margins between classes.

use cresset_core::{Result, Scalar, Tensor, ensure, no_grad, ops, options};

use super::functional::{LossOptions, Reduction};
use super::modules::loss_module;
use crate::module::{Buffer, Module};

options! {
    /// Optional settings of [`gaussian_nll_loss`].
    GaussianNLLOptions {
        /// Whether the constant `ln(2 pi) / 2` is added (default: no).
        full: bool = false,
        /// Smallest variance (default: 1e-6).
        eps: f64 = 1e-6,
        /// What becomes of the losses of the elements (default: their mean).
        reduction: Reduction = Reduction::Mean,
    }
}

/// Negative log likelihood of `target` under normal distributions of mean `input` and variance `var`.
///
/// # Shapes
/// `var` as `input`, or without its last dimension, or with one dimension of size 1.
/// # Errors
/// `Value` when `var` has another shape or a negative element.
pub fn gaussian_nll_loss_with(
    input: &Tensor,
    target: &Tensor,
    var: &Tensor,
    options: impl FnOnce(GaussianNLLOptions) -> GaussianNLLOptions,
) -> Result<Tensor> {
    let o = options(GaussianNLLOptions::default());
    let (x, v) = (input.sizes(), var.sizes());
    let head = &x[..x.len().saturating_sub(1)];
    let var = if v != x && v[..] == *head {
        var.unsqueeze(-1)?
    } else {
        let others: i64 = x.iter().zip(&v).filter(|(x, v)| x != v).map(|(_, v)| *v).sum();
        let shared = v.len() == x.len() && others == 1;
        ensure!(v == x || shared, Value, "var is of incorrect size");
        var.clone()
    };
    ensure!(!var.lt_scalar(0)?.any()?.item()?.to_bool(), Value, "var has negative entry/entries");
    let var = var.clone_tensor()?;
    {
        let _guard = no_grad();
        var.clamp_min_(o.eps)?;
    }
    let distance = input.sub(target)?;
    let mut loss = var.log()?.add(&distance.mul(&distance)?.div(&var)?)?.mul_scalar(0.5)?;
    if o.full {
        loss = loss.add_scalar(0.5 * std::f64::consts::TAU.ln())?;
    }
    o.reduction.apply(&loss)
}

loss_module! {
    /// Of normal distributions, as `torch.nn.GaussianNLLLoss`.
    GaussianNLLLoss(GaussianNLLOptions) = gaussian_nll_loss, gaussian_nll_loss_with(input, target, var)
}

options! {
    /// Optional settings of [`poisson_nll_loss`].
    PoissonNLLOptions {
        /// Whether the input is the logarithm of the rate (default: yes).
        log_input: bool = true,
        /// Whether Stirling's approximation of the factorial is added (default: no).
        full: bool = false,
        /// Added to the rate before its logarithm (default: 1e-8).
        eps: f64 = 1e-8,
        /// What becomes of the losses of the elements (default: their mean).
        reduction: Reduction = Reduction::Mean,
    }
}

/// Negative log likelihood of counts under Poisson rates.
///
/// # Errors
/// `Runtime` when shapes do not fit.
pub fn poisson_nll_loss_with(
    input: &Tensor,
    target: &Tensor,
    options: impl FnOnce(PoissonNLLOptions) -> PoissonNLLOptions,
) -> Result<Tensor> {
    let o = options(PoissonNLLOptions::default());
    ops::poisson_nll_loss(input, target, o.log_input, o.full, o.eps, o.reduction.code())
}

loss_module! {
    /// Of Poisson distributions, as `torch.nn.PoissonNLLLoss`.
    PoissonNLLLoss(PoissonNLLOptions) = poisson_nll_loss, poisson_nll_loss_with(input, target)
}

/// How far the scores of wrong classes come within 1 of those of the right ones, which `target` lists up to the first -1.
///
/// # Shapes
/// `input`, `target` `[N, C]` or `[C]`.
/// # Errors
/// `Runtime` when shapes do not fit or a target is no class.
pub fn multilabel_margin_loss_with(
    input: &Tensor,
    target: &Tensor,
    options: impl FnOnce(LossOptions) -> LossOptions,
) -> Result<Tensor> {
    let o = options(LossOptions::default());
    ops::multilabel_margin_loss_with(input, target, |f| f.reduction(o.reduction.code()))
}

/// [`multilabel_margin_loss_with`] with PyTorch's defaults.
///
/// # Errors
/// As there.
pub fn multilabel_margin_loss(input: &Tensor, target: &Tensor) -> Result<Tensor> {
    multilabel_margin_loss_with(input, target, |o| o)
}

options! {
    /// Optional settings of [`multi_margin_loss`].
    MultiMarginOptions {
        /// The power, 1 or 2 (default: 1).
        p: Scalar = Scalar::Int(1),
        /// The distance that costs nothing (default: 1).
        margin: Scalar = Scalar::Float(1.0),
        /// A factor per class (default: none).
        weight: Option<Tensor> = None,
        /// What becomes of the losses of the samples (default: their mean).
        reduction: Reduction = Reduction::Mean,
    }
}

impl MultiMarginOptions {
    fn check(&self, name: &str) -> Result<()> {
        self.check_order()?;
        let dims = self.weight.as_ref().map_or(1, Tensor::dim);
        ensure!(dims == 1, Value, "{name}: expected weight to be None or 1D tensor, got {dims}D instead");
        Ok(())
    }

    fn check_order(&self) -> Result<()> {
        ensure!(matches!(self.p.to_f64(), 1.0 | 2.0), Value, "only p == 1 and p == 2 supported");
        Ok(())
    }
}

/// How far the scores of other classes come within the margin of the target's.
///
/// # Shapes
/// `input [N, C]` or `[C]`; `target [N]` or `[]`.
/// # Errors
/// `Runtime` when shapes do not fit or a target is no class, `Value` unless the weight has one dimension and `p` is 1 or 2.
pub fn multi_margin_loss_with(
    input: &Tensor,
    target: &Tensor,
    options: impl FnOnce(MultiMarginOptions) -> MultiMarginOptions,
) -> Result<Tensor> {
    let o = options(MultiMarginOptions::default());
    o.check_order()?;
    ensure!(o.weight.as_ref().is_none_or(|w| w.dim() == 1), Value, "weight must be one-dimensional");
    ops::multi_margin_loss_with(input, target, |f| {
        f.p(o.p).margin(o.margin).weight(o.weight.as_ref()).reduction(o.reduction.code())
    })
}

options! {
    /// Optional settings of [`multilabel_soft_margin_loss`].
    MultiLabelSoftMarginOptions {
        /// A factor per class (default: none).
        weight: Option<Tensor> = None,
        /// What becomes of the losses of the samples (default: their mean).
        reduction: Reduction = Reduction::Mean,
    }
}

/// Mean over the classes of the cross entropy of `sigmoid(input)` with targets of 0 and 1.
///
/// # Shapes
/// `input`, `target` `[N, C]` or `[C]`.
/// # Errors
/// `Runtime` when shapes do not fit.
pub fn multilabel_soft_margin_loss_with(
    input: &Tensor,
    target: &Tensor,
    options: impl FnOnce(MultiLabelSoftMarginOptions) -> MultiLabelSoftMarginOptions,
) -> Result<Tensor> {
    let o = options(MultiLabelSoftMarginOptions::default());
    let yes = target.mul(&input.log_sigmoid()?)?;
    let no = target.rsub_scalar(1)?.mul(&input.neg()?.log_sigmoid()?)?;
    let mut loss = yes.add(&no)?.neg()?;
    if let Some(weight) = &o.weight {
        loss = loss.mul(weight)?;
    }
    let classes = input.size(-1)?;
    let loss = ops::sum_dim(&loss, [-1])?.div_scalar(classes)?;
    o.reduction.apply(&loss)
}

/// A loss whose factor per class is part of its state; `checked` as in `loss_module!`.
macro_rules! weighted {
    (@with $name:ident($options:ident)) => {
        impl $name {
            /// With optional settings.
            pub fn with(options: impl FnOnce($options) -> $options) -> Self {
                let options = options($options::default());
                $name { weight: options.weight.clone().map(Buffer::new), options }
            }
        }
    };
    (@with $name:ident($options:ident) $check:path) => {
        impl $name {
            /// With optional settings.
            ///
            /// # Errors
            /// `Value` for settings that the loss cannot have.
            pub fn with(options: impl FnOnce($options) -> $options) -> Result<Self> {
                let options = options($options::default());
                $check(&options, stringify!($name))?;
                Ok($name { weight: options.weight.clone().map(Buffer::new), options })
            }
        }
    };
    ($($(#[$doc:meta])* $name:ident($options:ident) = $plain:ident, $function:ident $(, checked $check:path)?;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Module)]
        pub struct $name {
            /// The factor per class.
            pub weight: Option<Buffer>,
            #[module(skip)]
            options: $options,
        }

        weighted! { @with $name($options) $($check)? }

        impl $name {
            /// With PyTorch's defaults.
            pub fn new() -> Self {
                Self::default()
            }

            /// The loss.
            ///
            /// # Errors
            /// As the function of the same name.
            pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
                let weight = self.weight.as_ref().map(|b| (**b).clone());
                $function(input, target, |_| self.options.clone().weight(weight))
            }
        }

        #[doc = concat!("[`", stringify!($function), "`] with PyTorch's defaults.")]
        ///
        /// # Errors
        /// As there.
        pub fn $plain(input: &Tensor, target: &Tensor) -> Result<Tensor> {
            $function(input, target, |o| o)
        }
    )* };
}

weighted! {
    /// Margins between the right class and the others, as `torch.nn.MultiMarginLoss`.
    MultiMarginLoss(MultiMarginOptions) = multi_margin_loss, multi_margin_loss_with, checked MultiMarginOptions::check;
    /// Cross entropy of each class by itself, as `torch.nn.MultiLabelSoftMarginLoss`.
    MultiLabelSoftMarginLoss(MultiLabelSoftMarginOptions) = multilabel_soft_margin_loss, multilabel_soft_margin_loss_with;
}
