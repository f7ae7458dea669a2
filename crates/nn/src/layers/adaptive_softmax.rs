//! Softmax over many classes of which few are frequent: [`AdaptiveLogSoftmaxWithLoss`].

use cresset_core::{Result, Tensor, bail, ensure, ops};

use super::Linear;
use crate::module::{Forward, Module, Sequential};
use crate::options::options;

options! {
    /// Optional settings of [`AdaptiveLogSoftmaxWithLoss`].
    AdaptiveLogSoftmaxOptions {
        /// By how much the features shrink from one cluster to the next (default: 4).
        div_value: f64 = 4.0,
        /// Whether the head has a bias (default: no).
        head_bias: bool = false,
    }
}

/// Log-softmax whose rare classes lie in clusters with fewer features, as `torch.nn.AdaptiveLogSoftmaxWithLoss`
/// (Grave et al. 2017). Classes are numbered from the most frequent on.
///
/// # Shapes
/// `[N, in_features]` and classes `[N]` -> log-probabilities `[N]` of the classes, and the mean loss; or both without `N`.
#[derive(Debug, Module)]
pub struct AdaptiveLogSoftmaxWithLoss {
    /// The frequent classes, and one output for each cluster.
    pub head: Linear,
    /// The clusters.
    pub tail: Vec<Sequential>,
    #[module(skip)]
    cutoffs: Vec<i64>,
}

impl AdaptiveLogSoftmaxWithLoss {
    /// Clusters that begin at `cutoffs`, with PyTorch's defaults.
    ///
    /// # Errors
    /// `Value` unless `cutoffs` are ascending, positive and below `n_classes`.
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
        let Some(&first) = cutoffs.first() else {
            bail!(Value, "cutoffs should be a sequence of length larger than 0")
        };
        let ascending = cutoffs.windows(2).all(|w| w[0] < w[1]);
        ensure!(
            ascending && first > 0 && cutoffs.iter().all(|c| *c < n_classes),
            Value,
            "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each value is between 1 and n_classes-1"
        );
        let ends: Vec<i64> = cutoffs.iter().copied().chain([n_classes]).collect();
        let clusters = ends.len() as i64 - 1;
        let head = Linear::with(in_features, first + clusters, |l| l.bias(o.head_bias))?;
        let mut tail = Vec::new();
        for (i, range) in ends.windows(2).enumerate() {
            let hidden = (in_features as f64 / o.div_value.powi(i as i32 + 1)).floor() as i64;
            let shrink = Linear::with(in_features, hidden, |l| l.bias(false))?;
            let classes = Linear::with(hidden, range[1] - range[0], |l| l.bias(false))?;
            tail.push(Sequential::new().push(shrink).push(classes));
        }
        Ok(AdaptiveLogSoftmaxWithLoss { head, tail, cutoffs: ends })
    }

    fn shortlist(&self) -> i64 {
        self.cutoffs[0]
    }

    /// The log-probability of each target class, and the mean loss.
    ///
    /// # Errors
    /// `Runtime` with PyTorch's texts when shapes do not fit or a class is out of range.
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        check(input, target)?;
        let batched = target.dim() > 0;
        let (x, t) = if batched {
            (input.clone(), target.clone())
        } else {
            (input.unsqueeze(0)?, target.unsqueeze(0)?)
        };
        let classes = t.to_vec::<i64>()?;
        let n_classes = self.cutoffs.last().copied().unwrap_or(0);
        if classes.iter().any(|c| !(0..n_classes).contains(c)) {
            let (least, most) = (classes.iter().min(), classes.iter().max());
            bail!(
                "Target values should be in [0, {}], but values in range [{}, {}] were found. ",
                n_classes - 1,
                least.copied().unwrap_or(0),
                most.copied().unwrap_or(0)
            );
        }
        let n = classes.len() as i64;
        let cluster = |c: i64| self.cutoffs.iter().position(|end| c < *end).unwrap_or(0);
        let columns: Vec<i64> = classes
            .iter()
            .map(|&c| if cluster(c) == 0 { c } else { self.shortlist() + cluster(c) as i64 - 1 })
            .collect();
        let head = ops::log_softmax(&self.head.forward(&x)?, 1)?;
        let mut output = head.gather(1, &Tensor::from_slice(&columns, [n, 1])?)?.squeeze_dim(1)?;
        for (i, part) in self.tail.iter().enumerate() {
            let rows: Vec<i64> = (0..n).filter(|r| cluster(classes[*r as usize]) == i + 1).collect();
            if rows.is_empty() {
                continue;
            }
            let local: Vec<i64> = rows.iter().map(|r| classes[*r as usize] - self.cutoffs[i]).collect();
            let count = rows.len() as i64;
            let rows = Tensor::from_slice(&rows, [count])?;
            let logits = ops::log_softmax(&part.forward(&x.index_select(0, &rows)?)?, 1)?;
            let own = logits.gather(1, &Tensor::from_slice(&local, [count, 1])?)?.squeeze_dim(1)?;
            output = output.index_add(0, &rows, &own)?;
        }
        let loss = output.neg()?.mean()?;
        Ok((if batched { output } else { output.squeeze_dim(0)? }, loss))
    }

    /// The log-probabilities of all classes, `[N, n_classes]`.
    ///
    /// # Errors
    /// `Runtime` when the shape does not fit.
    pub fn log_prob(&self, input: &Tensor) -> Result<Tensor> {
        let head = ops::log_softmax(&self.head.forward(input)?, 1)?;
        let mut parts = vec![head.narrow(1, 0, self.shortlist())?];
        for (i, part) in self.tail.iter().enumerate() {
            let within = ops::log_softmax(&part.forward(input)?, 1)?;
            parts.push(within.add(&head.narrow(1, self.shortlist() + i as i64, 1)?)?);
        }
        ops::cat_with(&parts, |o| o.dim(1))
    }

    /// The most likely class of each sample.
    ///
    /// # Errors
    /// `Runtime` when the shape does not fit.
    pub fn predict(&self, input: &Tensor) -> Result<Tensor> {
        self.log_prob(input)?.argmax_with(|o| o.dim(1))
    }
}

/// Checks the shapes of a call.
fn check(input: &Tensor, target: &Tensor) -> Result<()> {
    let expects = |rank: usize| -> Result<()> {
        ensure!(
            input.dim() == rank,
            "{}D target tensor expects {rank}D input tensors, but found inputs with size torch.Size({:?})",
            rank - 1,
            &input.sizes()[..]
        );
        Ok(())
    };
    match target.dim() {
        0 => expects(1),
        1 => {
            ensure!(
                input.sizes().first() == target.sizes().first(),
                "Input and target should have the same size in the batch dimension."
            );
            expects(2)
        }
        _ => bail!("0D or 1D target tensor expected, multi-target not supported"),
    }
}
