//! The losses as modules.

use cresset_core::{Result, Tensor};

use super::functional as f;
use crate::module::{Buffer, Module};

/// A loss whose settings are the options of the function of the same name, and that function with the default ones. Where
/// settings can be wrong, what is `checked` of them comes behind.
macro_rules! loss_module {
    (@with $name:ident($options:ident)) => {
        impl $name {
            /// With optional settings.
            pub fn with(options: impl FnOnce($options) -> $options) -> Self {
                $name { options: options($options::default()) }
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
                Ok($name { options })
            }
        }
    };
    (
        $(#[$doc:meta])* $name:ident($options:ident) = $plain:ident, $function:ident($($input:ident),*)
        $(, checked $check:path)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Module)]
        pub struct $name {
            #[module(skip)]
            options: $options,
        }

        loss_module! { @with $name($options) $($check)? }

        impl $name {
            /// With PyTorch's defaults.
            pub fn new() -> Self {
                Self::default()
            }

            /// The loss.
            ///
            /// # Errors
            /// As the function of the same name.
            pub fn forward(&self, $($input: &Tensor),*) -> Result<Tensor> {
                $function($($input,)* |_| self.options.clone())
            }
        }

        #[doc = concat!("[`", stringify!($function), "`] with PyTorch's defaults.")]
        ///
        /// # Errors
        /// As there.
        pub fn $plain($($input: &Tensor),*) -> Result<Tensor> {
            $function($($input,)* |o| o)
        }
    };
}
pub(super) use loss_module;

/// The same for functions that are elsewhere.
macro_rules! losses {
    ($($(#[$doc:meta])* $name:ident($options:ident): $function:ident($($input:ident),*);)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Module)]
        pub struct $name {
            #[module(skip)]
            options: f::$options,
        }

        impl $name {
            /// With PyTorch's defaults.
            pub fn new() -> Self {
                Self::default()
            }

            /// With optional settings.
            pub fn with(options: impl FnOnce(f::$options) -> f::$options) -> Self {
                $name { options: options(f::$options::default()) }
            }

            /// The loss.
            ///
            /// # Errors
            /// As the function of the same name.
            pub fn forward(&self, $($input: &Tensor),*) -> Result<Tensor> {
                f::$function($($input,)* |_| self.options.clone())
            }
        }
    )* };
}

losses! {
    /// Squared differences, as `torch.nn.MSELoss`.
    MSELoss(LossOptions): mse_loss_with(input, target);
    /// Absolute differences, as `torch.nn.L1Loss`.
    L1Loss(LossOptions): l1_loss_with(input, target);
    /// Quadratic for small differences, absolute for large ones, as `torch.nn.SmoothL1Loss`.
    SmoothL1Loss(SmoothL1Options): smooth_l1_loss_with(input, target);
    /// Quadratic for small differences, `delta` times absolute for large ones, as `torch.nn.HuberLoss`.
    HuberLoss(HuberOptions): huber_loss_with(input, target);
    /// The divergence of Kullback and Leibler, as `torch.nn.KLDivLoss`.
    KLDivLoss(KLDivOptions): kl_div_with(input, target);
    /// `log(1 + exp(-target input))`, as `torch.nn.SoftMarginLoss`.
    SoftMarginLoss(LossOptions): soft_margin_loss_with(input, target);
    /// `max(0, -target (input1 - input2) + margin)`, as `torch.nn.MarginRankingLoss`.
    MarginRankingLoss(MarginRankingOptions): margin_ranking_loss_with(input1, input2, target);
    /// Margins between several right classes and the wrong ones, as `torch.nn.MultiLabelMarginLoss`.
    MultiLabelMarginLoss(LossOptions): multilabel_margin_loss_with(input, target);
}

/// Cross entropy of scores and classes (or probabilities), as
/// [`torch.nn.CrossEntropyLoss`](https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html).
///
/// ```
/// # use cresset_nn::{CrossEntropyLoss};
/// # use cresset_core::{Result, ops, tensor};
/// # fn main() -> Result<()> {
/// let loss = CrossEntropyLoss::with(|o| o.label_smoothing(0.1).ignore_index(0));
/// let (scores, classes) = (ops::randn([3, 5])?, tensor![1, 0, 4]); // the second one does not count
/// assert!(loss.forward(&scores, &classes)?.item()?.to_f64() > 0.0);
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// `input [N, C, *]` or `[C]`; `target [N, *]` or `[]` of classes, or as `input` of probabilities.
#[derive(Clone, Debug, Default, Module)]
pub struct CrossEntropyLoss {
    /// The factor per class.
    pub weight: Option<Buffer>,
    #[module(skip)]
    options: f::CrossEntropyOptions,
}

impl CrossEntropyLoss {
    /// With PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// With optional settings.
    pub fn with(options: impl FnOnce(f::CrossEntropyOptions) -> f::CrossEntropyOptions) -> Self {
        let options = options(f::CrossEntropyOptions::default());
        CrossEntropyLoss { weight: options.weight.clone().map(Buffer::new), options }
    }

    /// The loss.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit, `Index` for a target that is no class.
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        f::cross_entropy_with(input, target, |_| self.options.clone())
    }
}

/// The negative log-probability of the target class, as `torch.nn.NLLLoss`.
#[derive(Clone, Debug, Default, Module)]
pub struct NLLLoss {
    /// The factor per class.
    pub weight: Option<Buffer>,
    #[module(skip)]
    options: f::NLLOptions,
}

impl NLLLoss {
    /// With PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// With optional settings.
    pub fn with(options: impl FnOnce(f::NLLOptions) -> f::NLLOptions) -> Self {
        let options = options(f::NLLOptions::default());
        NLLLoss { weight: options.weight.clone().map(Buffer::new), options }
    }

    /// The loss.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit, `Index` for a target that is no class.
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        f::nll_loss_with(input, target, |_| self.options.clone())
    }
}

/// Cross entropy of probabilities and targets between 0 and 1, as `torch.nn.BCELoss`.
#[derive(Clone, Debug, Default, Module)]
pub struct BCELoss {
    /// The factor per element.
    pub weight: Option<Buffer>,
    #[module(skip)]
    options: f::BCEOptions,
}

impl BCELoss {
    /// With PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// With optional settings.
    pub fn with(options: impl FnOnce(f::BCEOptions) -> f::BCEOptions) -> Self {
        let options = options(f::BCEOptions::default());
        BCELoss { weight: options.weight.clone().map(Buffer::new), options }
    }

    /// The loss.
    ///
    /// # Errors
    /// `Value` unless both have the same shape.
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        f::binary_cross_entropy_with(input, target, |_| self.options.clone())
    }
}

/// Cross entropy of `sigmoid(input)` and targets between 0 and 1, as `torch.nn.BCEWithLogitsLoss`.
///
/// ```
/// # use cresset_nn::{BCEWithLogitsLoss};
/// # use cresset_core::{Result, ops, tensor};
/// # fn main() -> Result<()> {
/// let loss = BCEWithLogitsLoss::with(|o| o.pos_weight(tensor![2.0]));
/// let value = loss.forward(&ops::zeros([4, 1])?, &ops::ones([4, 1])?)?;
/// assert!((value.item()?.to_f64() - 2.0 * 2_f64.ln()).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, Module)]
pub struct BCEWithLogitsLoss {
    /// The factor per element.
    pub weight: Option<Buffer>,
    /// The factor of positive targets per class.
    pub pos_weight: Option<Buffer>,
    #[module(skip)]
    options: f::BCEWithLogitsOptions,
}

impl BCEWithLogitsLoss {
    /// With PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// With optional settings.
    pub fn with(options: impl FnOnce(f::BCEWithLogitsOptions) -> f::BCEWithLogitsOptions) -> Self {
        let options = options(f::BCEWithLogitsOptions::default());
        let buffer = |t: &Option<Tensor>| t.clone().map(Buffer::new);
        BCEWithLogitsLoss {
            weight: buffer(&options.weight),
            pos_weight: buffer(&options.pos_weight),
            options,
        }
    }

    /// The loss.
    ///
    /// # Errors
    /// `Value` unless both have the same shape.
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        f::binary_cross_entropy_with_logits_with(input, target, |_| self.options.clone())
    }
}
