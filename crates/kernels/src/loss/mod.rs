//! Losses: elementwise ones with their sum and slope, margins between classes, and connectionist temporal
//! classification.

pub mod ctc;
mod elementwise;
pub mod margin;

pub use elementwise::{Loss, losses, slopes, total};
