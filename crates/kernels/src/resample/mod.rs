//! Resampling along one to three dimensions: interpolation, antialiased resizing, and the gradients of both.
//!
//! Every mode is a sparse matrix along each dimension ([`Taps`]): which inputs an output is made of, and with what
//! weights. One loop applies the matrices of all dimensions; a gradient is the same loop with the matrices transposed.

mod apply;
mod bytes;
mod taps;
#[cfg(test)]
mod tests;

pub use apply::{pick, resample};
pub use bytes::resample_bytes;
pub use taps::{Filter, Scale, Taps};

/// Tensors of shape `[batch, D, H, W, inner]`, row-major; the taps resample the three in the middle.
#[derive(Clone, Copy, Debug)]
pub struct Planes {
    /// Elements before the resampled dimensions.
    pub batch: usize,
    /// Elements after them: channels, where those come last in memory.
    pub inner: usize,
}
