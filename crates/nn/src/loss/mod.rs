//! Losses: how far an output is from its target, as one number or one per element.

#![allow(clippy::upper_case_acronyms)] // PyTorch's names.

pub mod functional;
mod modules;

pub use functional::{
    BCEOptions, BCEWithLogitsOptions, CrossEntropyOptions, HuberOptions, KLDivOptions, NLLOptions, Reduction,
    SmoothL1Options,
};
pub use modules::*;
