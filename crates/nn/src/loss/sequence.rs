//! Losses of label sequences, and cross entropy that ends with its own linear layer.

use cresset_core::{Result, Tensor, ensure, ops};

use super::functional::{Reduction, cross_entropy_with};
use crate::layers::Linear;
use crate::module::{Buffer, Module, boolean, float, tuple};
use crate::options::options;

options! {
    /// Optional settings of [`ctc_loss`].
    CTCOptions {
        /// The class that stands for no label (default: 0).
        blank: i64 = 0,
        /// What becomes of the losses of the sequences: the mean is over losses divided by lengths (default).
        reduction: Reduction = Reduction::Mean,
        /// Whether infinite losses, of targets too long for their input, count as 0 (default: no).
        zero_infinity: bool = false,
    }
}

/// [`ctc_loss_with`] with PyTorch's defaults.
///
/// # Errors
/// As there.
pub fn ctc_loss(
    log_probs: &Tensor,
    targets: &Tensor,
    input_lengths: &[i64],
    target_lengths: &[i64],
) -> Result<Tensor> {
    ctc_loss_with(log_probs, targets, input_lengths, target_lengths, |o| o)
}

/// Connectionist temporal classification: the loss of label sequences, summed over all ways to stretch them.
///
/// # Shapes
/// `log_probs [T, N, C]` or `[T, C]`; `targets [N, S]`, or all one after another.
/// # Errors
/// `Runtime` when shapes or lengths do not fit.
pub fn ctc_loss_with(
    log_probs: &Tensor,
    targets: &Tensor,
    input_lengths: &[i64],
    target_lengths: &[i64],
    options: impl FnOnce(CTCOptions) -> CTCOptions,
) -> Result<Tensor> {
    let o = options(CTCOptions::default());
    ops::ctc_loss_with(log_probs, targets, input_lengths, target_lengths, |f| {
        f.blank(o.blank).reduction(o.reduction.code()).zero_infinity(o.zero_infinity)
    })
}

/// The loss of label sequences, as [`torch.nn.CTCLoss`](https://pytorch.org/docs/stable/generated/torch.nn.CTCLoss.html).
#[derive(Clone, Debug, Default, Module)]
pub struct CTCLoss {
    #[module(skip)]
    options: CTCOptions,
}

impl CTCLoss {
    /// With PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// With optional settings.
    pub fn with(options: impl FnOnce(CTCOptions) -> CTCOptions) -> Self {
        CTCLoss { options: options(CTCOptions::default()) }
    }

    /// The loss.
    ///
    /// # Errors
    /// As [`ctc_loss`].
    pub fn forward(
        &self,
        log_probs: &Tensor,
        targets: &Tensor,
        input_lengths: &[i64],
        target_lengths: &[i64],
    ) -> Result<Tensor> {
        ctc_loss_with(log_probs, targets, input_lengths, target_lengths, |_| self.options.clone())
    }
}

options! {
    /// Optional settings of [`LinearCrossEntropyLoss`].
    LinearCrossEntropyOptions {
        /// Sizes after the classes, for several targets a sample (default: none).
        out_features: Vec<i64> = Vec::new(),
        /// Whether the layer has a bias (default: no).
        bias: bool = false,
        /// What becomes of the losses (default: their mean).
        reduction: Reduction = Reduction::Mean,
        /// A factor per class (default: none).
        weight: Option<Tensor> = None,
        /// Targets of this value do not count (default: -100).
        ignore_index: Option<i64> = None,
        /// How much of the target is spread over all classes (default: 0).
        label_smoothing: f64 = 0.0,
    }
}

/// Cross entropy of the scores that its own linear layer gives, as `torch.nn.LinearCrossEntropyLoss`.
///
/// # Shapes
/// `input [N, in_features]` or `[in_features]`; `target [N, *out_features]` of classes or `[N, C, *out_features]` of
/// probabilities.
#[derive(Clone, Debug, Module)]
#[module(repr = self.text())]
pub struct LinearCrossEntropyLoss {
    /// The factor per class.
    pub weight: Option<Buffer>,
    /// The layer.
    pub linear: Linear,
    #[module(skip)]
    num_classes: i64,
    #[module(skip)]
    options: LinearCrossEntropyOptions,
}

impl LinearCrossEntropyLoss {
    /// From inputs of that size to that many classes.
    ///
    /// # Errors
    /// `Runtime` for negative sizes.
    pub fn new(in_features: i64, num_classes: i64) -> Result<Self> {
        Self::with(in_features, num_classes, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Runtime` for negative sizes, a weight of another size, or smoothing outside 0 to 1.
    pub fn with(
        in_features: i64,
        num_classes: i64,
        options: impl FnOnce(LinearCrossEntropyOptions) -> LinearCrossEntropyOptions,
    ) -> Result<Self> {
        let o = options(LinearCrossEntropyOptions::default());
        if let Some(weight) = o.weight.as_ref().filter(|w| w.sizes()[..] != [num_classes]) {
            cresset_core::bail!(
                "expected weight shape to be ({num_classes},), got {}",
                tuple(&weight.sizes())
            );
        }
        ensure!(
            (0.0..=1.0).contains(&o.label_smoothing),
            "expected label_smoothing to be in range [0, 1], got {}",
            float(o.label_smoothing)
        );
        let outputs = o.out_features.iter().fold(num_classes, |n, size| n.saturating_mul(*size));
        let linear = Linear::with(in_features, outputs, |l| l.bias(o.bias))?;
        let weight = o.weight.clone().map(Buffer::new);
        Ok(LinearCrossEntropyLoss { weight, linear, num_classes, options: o })
    }

    /// The loss.
    ///
    /// # Errors
    /// As [`cross_entropy`](super::functional::cross_entropy).
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        use crate::module::Forward;
        let o = &self.options;
        let mut sizes = input.sizes()[..input.dim().saturating_sub(1)].to_vec();
        sizes.push(self.num_classes);
        sizes.extend_from_slice(&o.out_features);
        let scores = self.linear.forward(input)?.reshape(sizes)?;
        let weight = self.weight.as_ref().map(|b| (**b).clone());
        cross_entropy_with(&scores, target, |c| {
            let c = c.weight(weight).reduction(o.reduction).label_smoothing(o.label_smoothing);
            c.ignore_index(o.ignore_index.unwrap_or(-100))
        })
    }

    fn text(&self) -> String {
        let o = &self.options;
        let reduction = match o.reduction {
            Reduction::None => "none",
            Reduction::Mean => "mean",
            Reduction::Sum => "sum",
        };
        format!(
            "in_features={}, num_classes={}, out_features={}, bias={}, reduction={reduction}, ignore_index={}, label_smoothing={}, options=None",
            self.linear.weight.sizes().get(1).copied().unwrap_or(0),
            self.num_classes,
            tuple(&o.out_features),
            boolean(o.bias),
            o.ignore_index.map_or_else(|| "None".to_string(), |i| i.to_string()),
            float(o.label_smoothing)
        )
    }
}
