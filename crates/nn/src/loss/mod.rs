//! Losses: how far an output is from its target, as one number or one per element.

#![allow(clippy::upper_case_acronyms)] // PyTorch's names.

mod adaptive;
mod distance;
pub mod functional;
mod likelihood;
mod modules;
mod sequence;

pub use adaptive::{AdaptiveLogSoftmaxOptions, AdaptiveLogSoftmaxWithLoss};
pub use distance::{
    CosineEmbeddingLoss, CosineEmbeddingOptions, Distance, HingeEmbeddingLoss, HingeEmbeddingOptions,
    PairwiseDistance, PairwiseDistanceOptions, TripletDistanceOptions, TripletMarginLoss,
    TripletMarginOptions, TripletMarginWithDistanceLoss,
};
pub use functional::{
    BCEOptions, BCEWithLogitsOptions, CrossEntropyOptions, HuberOptions, KLDivOptions, LossOptions,
    MarginRankingOptions, NLLOptions, Reduction, SmoothL1Options,
};
pub use likelihood::{
    GaussianNLLLoss, GaussianNLLOptions, MultiLabelSoftMarginLoss, MultiLabelSoftMarginOptions,
    MultiMarginLoss, MultiMarginOptions, PoissonNLLLoss, PoissonNLLOptions,
};
pub use modules::*;
pub use sequence::{CTCLoss, CTCOptions, LinearCrossEntropyLoss, LinearCrossEntropyOptions};
