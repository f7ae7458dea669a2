//! [`AdaptiveLogSoftmaxWithLoss`]: softmax over many classes of which few are frequent.

use cresset_core::{DType, Result, Tensor, bail, ensure, ops, options};

use crate::layers::Linear;
use crate::module::{Forward, Module, Sequential};

options! {
    /// Optional settings of [`AdaptiveLogSoftmaxWithLoss`].
    AdaptiveLogSoftmaxOptions {
        /// Each cluster has so many times fewer features than the one before (default: 4).
        div_value: f64 = 4.0,
        /// Whether the head has a bias (default: no).
        head_bias: bool = false,
    }
}

/// Log likelihood of classes that are sorted by frequency (Grave et al. 2016), as `torch.nn.AdaptiveLogSoftmaxWithLoss`: the
/// frequent ones and the clusters of the others compete in the head, the members of a cluster in its tail.
///
/// ```
/// # use cresset_nn::{AdaptiveLogSoftmaxWithLoss};
/// # use cresset_core::{Result, ops, tensor};
/// # fn main() -> Result<()> {
/// let head = AdaptiveLogSoftmaxWithLoss::new(16, 1000, &[10, 100])?;
/// let (log_probs, loss) = head.forward(&ops::randn([4, 16])?, &tensor![3, 50, 999, 7])?;
/// assert_eq!((&log_probs.sizes()[..], loss.dim()), (&[4][..], 0));
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// `input [N, in_features]` or `[in_features]`; `target [N]` or `[]` -> log likelihoods as the target, and the mean loss.
#[derive(Clone, Debug, Module)]
pub struct AdaptiveLogSoftmaxWithLoss {
    /// Scores of the frequent classes and of the clusters.
    pub head: Linear,
    /// Scores within each cluster.
    pub tail: Vec<Sequential>,
    #[module(skip)]
    cutoffs: Vec<i64>,
}

impl AdaptiveLogSoftmaxWithLoss {
    /// Of that many classes, cut into clusters.
    ///
    /// # Errors
    /// `Value` unless the cutoffs rise from 1 to below `n_classes`.
    pub fn new(in_features: i64, n_classes: i64, cutoffs: &[i64]) -> Result<Self> {
        Self::with(in_features, n_classes, cutoffs, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// As [`AdaptiveLogSoftmaxWithLoss::new`].
    pub fn with(
        in_features: i64,
        n_classes: i64,
        cutoffs: &[i64],
        options: impl FnOnce(AdaptiveLogSoftmaxOptions) -> AdaptiveLogSoftmaxOptions,
    ) -> Result<Self> {
        let o = options(AdaptiveLogSoftmaxOptions::default());
        ensure!(!cutoffs.is_empty(), Value, "cutoffs should be a sequence of length larger than 0");
        let rising = cutoffs.windows(2).all(|w| w[0] < w[1]);
        ensure!(
            rising && cutoffs[0] > 0 && cutoffs[cutoffs.len() - 1] < n_classes,
            Value,
            "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each value is between 1 and n_classes-1"
        );
        let clusters = cutoffs.len() as i64;
        let head = Linear::with(in_features, cutoffs[0] + clusters, |l| l.bias(o.head_bias))?;
        let mut ends = cutoffs.to_vec();
        ends.push(n_classes);
        let plain = |from, to| Linear::with(from, to, |l| l.bias(false));
        let mut tail = Vec::new();
        for (i, w) in ends.windows(2).enumerate() {
            let hidden = (in_features as f64 / o.div_value.powi(i as i32 + 1)).floor() as i64;
            let layers = Sequential::new().push(plain(in_features, hidden)?);
            tail.push(layers.push(plain(hidden, w[1] - w[0])?));
        }
        Ok(AdaptiveLogSoftmaxWithLoss { head, tail, cutoffs: ends })
    }

    /// The log likelihood of each target, and the mean of their negatives.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit or a target is no class.
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        let single = target.dim() == 0;
        let (dims, sizes) = (target.dim(), input.sizes());
        ensure!(dims < 2, "0D or 1D target tensor expected, multi-target not supported");
        ensure!(
            dims == 0 || input.size(0)? == target.size(0)?,
            "Input and target should have the same size in the batch dimension."
        );
        ensure!(
            sizes.len() == dims + 1,
            "{dims}D target tensor expects {}D input tensors, but found inputs with size torch.Size({:?})",
            dims + 1,
            &sizes[..]
        );
        let input = if single { input.unsqueeze(0)? } else { input.clone() };
        let targets = target.reshape(-1)?.to_dtype(DType::I64)?.to_vec::<i64>()?;
        let (first, last) = (self.cutoffs[0], self.cutoffs[self.cutoffs.len() - 1]);
        if let Some(bad) = targets.iter().find(|t| !(0..last).contains(*t)) {
            bail!(
                "Target values should be in [0, {}], but values in range [{bad}, {bad}] were found. ",
                last - 1
            );
        }
        let cluster = |t: i64| self.cutoffs.partition_point(|end| *end <= t);
        let heads: Vec<i64> =
            targets.iter().map(|t| if *t < first { *t } else { first + cluster(*t) as i64 - 1 }).collect();
        let mut output = picked(&ops::log_softmax(&self.head.forward(&input)?, 1)?, &heads)?;
        for (i, tail) in self.tail.iter().enumerate() {
            let rows: Vec<i64> =
                (0..targets.len()).filter(|r| cluster(targets[*r]) == i + 1).map(|r| r as i64).collect();
            if rows.is_empty() {
                continue;
            }
            let within: Vec<i64> = rows.iter().map(|r| targets[*r as usize] - self.cutoffs[i]).collect();
            let index = Tensor::from_slice(&rows, [rows.len() as i64])?;
            let scores = tail.forward(&input.index_select(0, &index)?)?;
            output = output.index_add(0, &index, &picked(&ops::log_softmax(&scores, 1)?, &within)?)?;
        }
        let loss = output.neg()?.mean()?;
        Ok((if single { output.squeeze_dim(0)? } else { output }, loss))
    }

    /// The log likelihood of every class, `[N, n_classes]`.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit.
    pub fn log_prob(&self, input: &Tensor) -> Result<Tensor> {
        let first = self.cutoffs[0];
        let head = ops::log_softmax(&self.head.forward(input)?, 1)?;
        let mut parts = vec![head.narrow(1, 0, first)?];
        for (i, tail) in self.tail.iter().enumerate() {
            let within = ops::log_softmax(&tail.forward(input)?, 1)?;
            parts.push(within.add(&head.narrow(1, first + i as i64, 1)?)?);
        }
        ops::cat_with(&parts, |o| o.dim(1))
    }

    /// The likeliest class of each row.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit.
    pub fn predict(&self, input: &Tensor) -> Result<Tensor> {
        ops::argmax_with(&self.log_prob(input)?, |o| o.dim(1))
    }
}

/// One element of each row.
fn picked(rows: &Tensor, columns: &[i64]) -> Result<Tensor> {
    let index = Tensor::from_slice(columns, [columns.len() as i64, 1])?;
    rows.gather(1, &index)?.squeeze_dim(1)
}
