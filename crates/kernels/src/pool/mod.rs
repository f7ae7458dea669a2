//! Pooling over one to three trailing dimensions of contiguous planes; fewer than three are padded with sizes of 1 in front.
//!
//! A row of output is made one window position at a time, so the inner loop runs along the row and vectorises for every
//! kernel size.

mod adaptive;
mod average;
mod fractional;
mod max;
#[cfg(test)]
mod tests;

pub use adaptive::{adaptive_average, adaptive_average_backward, adaptive_max};
pub use average::{Average, average_pool, average_pool_backward};
pub use fractional::{Fractional, fractional_max};
pub use max::{max_pool, scatter_gradient, unpool};

use std::ops::Range;

/// Windows over a plane `[D, H, W]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Windows {
    /// Size of an input plane.
    pub input: [usize; 3],
    /// Size of an output plane.
    pub output: [usize; 3],
    /// Size of the window.
    pub kernel: [usize; 3],
    /// Step from window to window.
    pub stride: [usize; 3],
    /// Padding before the plane.
    pub padding: [usize; 3],
    /// Step inside the window.
    pub dilation: [usize; 3],
}

impl Windows {
    /// Elements of an input plane.
    pub fn plane(&self) -> usize {
        self.input.iter().product()
    }

    /// Elements of an output plane.
    pub fn results(&self) -> usize {
        self.output.iter().product()
    }

    /// Input index along `axis` of window position `k` of window `o`, if it is inside.
    #[inline]
    fn at(&self, axis: usize, o: usize, k: usize) -> Option<usize> {
        let i = (o * self.stride[axis] + k * self.dilation[axis]).checked_sub(self.padding[axis])?;
        (i < self.input[axis]).then_some(i)
    }

    /// The windows along the row whose position `k` is inside, and the input index for the first of them.
    fn inside(&self, k: usize) -> (Range<usize>, usize) {
        let (stride, shift) = (self.stride[2], k * self.dilation[2]);
        let first = self.padding[2].saturating_sub(shift).div_ceil(stride);
        let end =
            (self.input[2] + self.padding[2]).saturating_sub(shift).div_ceil(stride).min(self.output[2]);
        let start = (first * stride + shift).saturating_sub(self.padding[2]);
        (first.min(end)..end, start)
    }
}
