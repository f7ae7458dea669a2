//! Losses of label sequences, and cross entropy that ends with its own linear layer.

use cresset_core::{Result, Tensor, bail, ensure, ops, options};

use super::functional::{Reduction, cross_entropy_with};
use crate::layers::Linear;
use crate::module::{Buffer, Module, boolean, float, tuple};

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
///
/// ```
/// # use cresset_nn::{CTCLoss};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let log_probs = ops::randn([50, 2, 20])?.log_softmax(2)?; // time, batch, classes; 0 is the blank
/// let targets = ops::randint_low(1, 20, [2, 10])?;
/// let loss = CTCLoss::new().forward(&log_probs, &targets, &[50, 50], &[10, 8])?;
/// assert!(loss.item()?.to_f64() > 0.0);
/// # Ok(())
/// # }
/// ```
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
    /// Optional settings of [`linear_cross_entropy`].
    LinearCrossEntropySettings {
        /// The summand of the scores, `[C, *]` (default: none).
        linear_bias: Option<Tensor> = None,
        /// A factor per class (default: none).
        weight: Option<Tensor> = None,
        /// What becomes of the losses (default: their mean).
        reduction: Reduction = Reduction::Mean,
        /// Targets of this value do not count (default: -100); not for targets of probabilities.
        ignore_index: Option<i64> = None,
        /// How much of the target is spread over all classes (default: 0).
        label_smoothing: f64 = 0.0,
    }
}

/// Cross entropy of the scores `linear(input, linear_weight)`.
///
/// # Shapes
/// `input [N, F]` or `[F]`; `linear_weight [C, *, F]`; `target [N, *]` of classes or `[N, C, *]` of probabilities.
/// # Errors
/// `Runtime` when shapes do not fit, `Index` for a target that is no class.
pub fn linear_cross_entropy(input: &Tensor, linear_weight: &Tensor, target: &Tensor) -> Result<Tensor> {
    linear_cross_entropy_with(input, linear_weight, target, |o| o)
}

/// [`linear_cross_entropy`] with optional settings.
///
/// # Errors
/// As [`linear_cross_entropy`].
pub fn linear_cross_entropy_with(
    input: &Tensor,
    linear_weight: &Tensor,
    target: &Tensor,
    options: impl FnOnce(LinearCrossEntropySettings) -> LinearCrossEntropySettings,
) -> Result<Tensor> {
    let o = options(LinearCrossEntropySettings::default());
    let (x, w) = (input.sizes(), linear_weight.sizes());
    let sizes = score_sizes(&x, &w, o.linear_bias.as_ref())?;
    ensure!(
        o.ignore_index.is_none() || target.sizes()[..] != sizes,
        "ignore_index cannot be specified when target contains probabilities"
    );
    let rows = linear_weight.reshape([w[..w.len() - 1].iter().product(), x[x.len() - 1]])?;
    let bias = o.linear_bias.as_ref().map(Tensor::flatten).transpose()?;
    let scores = ops::linear_with(input, &rows, |l| l.bias(bias.as_ref()))?.reshape(sizes)?;
    cross_entropy_with(&scores, target, |c| {
        let c = c.weight(o.weight).reduction(o.reduction).label_smoothing(o.label_smoothing);
        c.ignore_index(o.ignore_index.unwrap_or(-100))
    })
}

/// The sizes of the scores of a linear layer whose weight is `[C, *, F]`, with PyTorch's checks.
fn score_sizes(x: &[i64], w: &[i64], bias: Option<&Tensor>) -> Result<Vec<i64>> {
    let dims = x.len();
    ensure!(dims == 1 || dims == 2, "expected input with dimensionality 1 or 2, got {dims}");
    ensure!(w.len() >= 2, "expected linear_weight with dimensionality at least 2, got {}", w.len());
    let (features, wanted, outputs) = (x[dims - 1], w[w.len() - 1], &w[..w.len() - 1]);
    ensure!(
        features == wanted,
        "expected equal input and linear_weight last dimensions (in_features), got {features} and {wanted}, respectively"
    );
    if let Some(sizes) = bias.map(Tensor::sizes).filter(|b| b[..] != *outputs) {
        bail!("expected linear_bias shape {}, got {}", tuple(outputs), tuple(&sizes));
    }
    ensure!(
        outputs.len() == 1 || dims == 2,
        "K-dimensional loss defined by linear_weight shape {} requires batched input, (N, {features}), got unbatched input with shape {}",
        tuple(w),
        tuple(x)
    );
    Ok([&x[..dims - 1], outputs].concat())
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
    /// As [`linear_cross_entropy`].
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let o = &self.options;
        let outputs = [&[self.num_classes], &o.out_features[..]].concat();
        let features = self.linear.weight.size(-1)?;
        let linear_weight = self.linear.weight.reshape([&outputs[..], &[features]].concat())?;
        let bias = self.linear.bias.as_ref().map(|b| b.reshape(outputs)).transpose()?;
        let weight = self.weight.as_ref().map(|b| (**b).clone());
        linear_cross_entropy_with(input, &linear_weight, target, |c| {
            let c = c.linear_bias(bias).weight(weight).reduction(o.reduction);
            c.ignore_index(o.ignore_index).label_smoothing(o.label_smoothing)
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
