#![doc = include_str!("../../../README.md")]
#![forbid(unsafe_code)]

pub use cresset_core::*;
/// Datasets, samplers, loaders.
pub use cresset_data as data;
/// Files: PyTorch's checkpoints and safetensors.
pub use cresset_io as io;
/// Layers, losses, initialisation.
pub use cresset_nn as nn;
/// Optimizers and learning-rate schedules.
pub use cresset_optim as optim;
pub use cresset_optim::GradScaler;

pub mod prelude;

/// The cheat sheet: compiled and run as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../CHEATSHEET.md")]
pub struct CheatSheet;
