//! Normalisation over rows (layer norm, group norm) and over channels (batch norm), forward and backward.
//!
//! Statistics are kept in `f64`: their sums run over whole batches, and PyTorch's do too where it matters.

mod batch;
mod group;
mod layer;
mod sums;
#[cfg(test)]
mod tests;

pub use batch::{BatchShape, batch_norm, batch_norm_backward, batch_statistics};
pub use group::{GroupShape, group_norm, group_norm_backward};
pub use layer::{layer_norm, layer_norm_backward};
