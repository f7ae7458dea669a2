//! Losses of pairs and triples of vectors: how near those that belong together are.

use cresset_core::{Result, Tensor, ensure, ops, options};

use super::functional::Reduction;
use super::modules::loss_module;
use crate::module::{Module, float};

options! {
    /// Optional settings of [`hinge_embedding_loss`].
    HingeEmbeddingOptions {
        /// The distance from which unlike pairs cost nothing (default: 1).
        margin: f64 = 1.0,
        /// What becomes of the losses of the elements (default: their mean).
        reduction: Reduction = Reduction::Mean,
    }
}

/// The distance itself where `target` is 1, how far it falls short of the margin where it is -1.
///
/// # Errors
/// `Runtime` when shapes do not fit.
pub fn hinge_embedding_loss_with(
    input: &Tensor,
    target: &Tensor,
    options: impl FnOnce(HingeEmbeddingOptions) -> HingeEmbeddingOptions,
) -> Result<Tensor> {
    let o = options(HingeEmbeddingOptions::default());
    ops::hinge_embedding_loss_with(input, target, |f| f.margin(o.margin).reduction(o.reduction.code()))
}

loss_module! {
    /// Distances of like and unlike pairs, as `torch.nn.HingeEmbeddingLoss`.
    HingeEmbeddingLoss(HingeEmbeddingOptions) = hinge_embedding_loss, hinge_embedding_loss_with(input, target)
}

options! {
    /// Optional settings of [`cosine_embedding_loss`].
    CosineEmbeddingOptions {
        /// The cosine up to which unlike pairs cost nothing (default: 0).
        margin: f64 = 0.0,
        /// What becomes of the losses of the pairs (default: their mean).
        reduction: Reduction = Reduction::Mean,
    }
}

/// One less the cosine where `target` is 1, the cosine above the margin where it is -1.
///
/// # Shapes
/// `input1`, `input2` `[N, D]` or `[D]`; `target` `[N]` or `[]`.
/// # Errors
/// `Runtime` when shapes do not fit.
pub fn cosine_embedding_loss_with(
    input1: &Tensor,
    input2: &Tensor,
    target: &Tensor,
    options: impl FnOnce(CosineEmbeddingOptions) -> CosineEmbeddingOptions,
) -> Result<Tensor> {
    let o = options(CosineEmbeddingOptions::default());
    let set = |f: ops::CosineEmbeddingLossOptions| f.margin(o.margin).reduction(o.reduction.code());
    ops::cosine_embedding_loss_with(input1, input2, target, set)
}

loss_module! {
    /// Cosines of like and unlike pairs, as `torch.nn.CosineEmbeddingLoss`.
    CosineEmbeddingLoss(CosineEmbeddingOptions) = cosine_embedding_loss, cosine_embedding_loss_with(input1, input2, target)
}

options! {
    /// Optional settings of [`triplet_margin_loss`].
    TripletMarginOptions {
        /// How much farther the negative should be (default: 1).
        margin: f64 = 1.0,
        /// The order of the norm (default: 2).
        p: f64 = 2.0,
        /// Added to differences (default: 1e-6).
        eps: f64 = 1e-6,
        /// Whether the positive may stand for the anchor (Balntas et al. 2016; default: no).
        swap: bool = false,
        /// What becomes of the losses of the triples (default: their mean).
        reduction: Reduction = Reduction::Mean,
    }
}

fn check_margin(margin: f64) -> Result<()> {
    ensure!(margin > 0.0, Value, "margin must be greater than 0, got {}", float(margin));
    Ok(())
}

/// How far the negative fails to be farther from the anchor than the positive by the margin.
///
/// # Errors
/// `Runtime` when shapes do not fit, `Value` unless the margin is positive.
pub fn triplet_margin_loss_with(
    anchor: &Tensor,
    positive: &Tensor,
    negative: &Tensor,
    options: impl FnOnce(TripletMarginOptions) -> TripletMarginOptions,
) -> Result<Tensor> {
    let o = options(TripletMarginOptions::default());
    check_margin(o.margin)?;
    ops::triplet_margin_loss_with(anchor, positive, negative, |f| {
        f.margin(o.margin).p(o.p).eps(o.eps).swap(o.swap).reduction(o.reduction.code())
    })
}

loss_module! {
    /// Distances of triples, as `torch.nn.TripletMarginLoss`.
    TripletMarginLoss(TripletMarginOptions) = triplet_margin_loss, triplet_margin_loss_with(anchor, positive, negative),
    checked TripletMarginOptions::check
}

impl TripletMarginOptions {
    fn check(&self, name: &str) -> Result<()> {
        check_expected_margin(self.margin, name)
    }
}

/// What the losses say of their margin when they are made; the functions have words of their own ([`check_margin`]).
fn check_expected_margin(margin: f64, name: &str) -> Result<()> {
    ensure!(
        margin > 0.0,
        Value,
        "{name}: expected margin to be greater than 0, got {} instead",
        float(margin)
    );
    Ok(())
}

/// A measure of distance that a [`TripletMarginWithDistanceLoss`] can hold.
pub trait Distance {
    /// The distance of each pair of vectors.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit.
    fn distance(&self, x1: &Tensor, x2: &Tensor) -> Result<Tensor>;
}

options! {
    /// Optional settings of [`PairwiseDistance`].
    PairwiseDistanceOptions {
        /// The order of the norm (default: 2).
        p: f64 = 2.0,
        /// Added to differences (default: 1e-6).
        eps: f64 = 1e-6,
        /// Whether the last dimension is kept with size 1 (default: no).
        keepdim: bool = false,
    }
}

/// Norm of differences along the last dimension, as `torch.nn.PairwiseDistance`.
///
/// # Shapes
/// `[N, D]` or `[D]`, twice -> `[N]` or `[]`.
#[derive(Clone, Debug, Default, Module)]
pub struct PairwiseDistance {
    #[module(skip)]
    options: PairwiseDistanceOptions,
}

impl PairwiseDistance {
    /// Of order 2.
    pub fn new() -> Self {
        Self::default()
    }

    /// With optional settings.
    pub fn with(options: impl FnOnce(PairwiseDistanceOptions) -> PairwiseDistanceOptions) -> Self {
        PairwiseDistance { options: options(PairwiseDistanceOptions::default()) }
    }

    /// The distance of each pair.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit.
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Result<Tensor> {
        let PairwiseDistanceOptions { p, eps, keepdim } = self.options;
        ops::pairwise_distance_with(x1, x2, |o| o.p(p).eps(eps).keepdim(keepdim))
    }
}

impl Distance for PairwiseDistance {
    fn distance(&self, x1: &Tensor, x2: &Tensor) -> Result<Tensor> {
        self.forward(x1, x2)
    }
}

options! {
    /// Optional settings of [`triplet_margin_with_distance_loss_with`].
    TripletDistanceOptions {
        /// How much farther the negative should be (default: 1).
        margin: f64 = 1.0,
        /// Whether the positive may stand for the anchor (default: no).
        swap: bool = false,
        /// What becomes of the losses of the triples (default: their mean).
        reduction: Reduction = Reduction::Mean,
    }
}

/// [`triplet_margin_loss`] of anchor, positive and negative with a distance of one's own.
///
/// # Errors
/// As [`triplet_margin_loss`].
pub fn triplet_margin_with_distance_loss(
    vectors: [&Tensor; 3],
    distance: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    triplet_margin_with_distance_loss_with(vectors, distance, |o| o)
}

/// [`triplet_margin_with_distance_loss`] with optional settings.
///
/// # Errors
/// As [`triplet_margin_loss`].
pub fn triplet_margin_with_distance_loss_with(
    [anchor, positive, negative]: [&Tensor; 3],
    distance: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
    options: impl FnOnce(TripletDistanceOptions) -> TripletDistanceOptions,
) -> Result<Tensor> {
    let o = options(TripletDistanceOptions::default());
    check_margin(o.margin)?;
    let [a, p, n] = [anchor, positive, negative].map(Tensor::dim);
    ensure!(
        a == p && p == n,
        "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor {a}D, positive {p}D, and negative {n}D inputs"
    );
    let near = distance(anchor, positive)?;
    let mut far = distance(anchor, negative)?;
    if o.swap {
        far = far.minimum(&distance(positive, negative)?)?;
    }
    o.reduction.apply(&near.sub(&far)?.add_scalar(o.margin)?.clamp_min(0)?)
}

/// Distances of triples by a measure of one's own, as `torch.nn.TripletMarginWithDistanceLoss`.
#[derive(Clone, Debug, Default, Module)]
pub struct TripletMarginWithDistanceLoss<D: Module + Distance = PairwiseDistance> {
    /// The measure.
    pub distance_function: D,
    #[module(skip)]
    options: TripletDistanceOptions,
}

impl<D: Module + Distance> TripletMarginWithDistanceLoss<D> {
    /// With that measure.
    pub fn new(distance_function: D) -> Self {
        TripletMarginWithDistanceLoss { distance_function, options: TripletDistanceOptions::default() }
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Value` unless the margin is positive.
    pub fn with(
        distance_function: D,
        options: impl FnOnce(TripletDistanceOptions) -> TripletDistanceOptions,
    ) -> Result<Self> {
        let options = options(TripletDistanceOptions::default());
        check_expected_margin(options.margin, "TripletMarginWithDistanceLoss")?;
        Ok(TripletMarginWithDistanceLoss { distance_function, options })
    }

    /// The loss.
    ///
    /// # Errors
    /// As [`triplet_margin_loss`].
    pub fn forward(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Result<Tensor> {
        let distance = |a: &Tensor, b: &Tensor| self.distance_function.distance(a, b);
        triplet_margin_with_distance_loss_with([anchor, positive, negative], distance, |_| {
            self.options.clone()
        })
    }
}
