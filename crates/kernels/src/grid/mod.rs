//! Sampling of planes at given positions (`grid_sample`), in two or three dimensions.
//!
//! Points are taken a block at a time: first which elements of a plane each is made of, with weights and their slopes;
//! then the sums for every channel, as the elements are the same for all.

mod axis;
mod sample;
#[cfg(test)]
mod tests;

pub use sample::{Grid, sample, sample_grid_grad, sample_input_grad};

/// How the elements around a position are weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// By the distances to the two neighbours along each dimension.
    Linear,
    /// The nearest one; halves go to the even one.
    Nearest,
    /// Cubic convolution of four neighbours along each dimension.
    Cubic,
}

/// What lies beyond the edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Zeros.
    Zeros,
    /// The element at the edge.
    Border,
    /// The plane, mirrored.
    Reflection,
}

/// How positions between -1 and 1 become elements.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    /// How elements are weighed.
    pub interpolation: Interpolation,
    /// What lies beyond the edges.
    pub padding: Padding,
    /// Whether -1 and 1 are the centres of the first and last elements; else their outer edges.
    pub align_corners: bool,
    /// Dimensions of a plane, 2 or 3.
    pub rank: usize,
}
