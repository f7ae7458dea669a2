//! Pooling to a given size: windows are as large as they must be ([`AdaptiveAvgPool`], [`AdaptiveMaxPool`]).

use cresset_core::{Result, Tensor, bail, ops};

use crate::functional::OutputSize;
use crate::module::{Forward, Module};

/// Means over windows that divide the input evenly, as `torch.nn.AdaptiveAvgPool2d` and its siblings.
///
/// ```
/// # use cresset_nn::{AdaptiveAvgPool2d, Forward};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let layer = AdaptiveAvgPool2d::new([1, 1]); // the mean of each channel, whatever the size
/// assert_eq!(layer.forward(&ops::randn([2, 3, 7, 5])?)?.sizes()[..], [2, 3, 1, 1]);
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// `[N, C, spatial…]` or `[C, spatial…]` -> the same with the given spatial sizes.
#[derive(Clone, Debug, Module)]
#[module(name = format!("AdaptiveAvgPool{D}d"), repr = self.output_size.text())]
pub struct AdaptiveAvgPool<const D: usize> {
    #[module(skip)]
    output_size: OutputSize,
}

/// Means over one dimension.
pub type AdaptiveAvgPool1d = AdaptiveAvgPool<1>;
/// Means over two dimensions.
pub type AdaptiveAvgPool2d = AdaptiveAvgPool<2>;
/// Means over three dimensions.
pub type AdaptiveAvgPool3d = AdaptiveAvgPool<3>;

impl<const D: usize> AdaptiveAvgPool<D> {
    /// To that size.
    pub fn new(output_size: impl Into<OutputSize>) -> Self {
        AdaptiveAvgPool { output_size: output_size.into() }
    }
}

impl<const D: usize> Forward for AdaptiveAvgPool<D> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let size = self.output_size.of(input, D)?;
        match D {
            1 => ops::adaptive_avg_pool1d(input, size),
            2 => ops::adaptive_avg_pool2d(input, size),
            3 => ops::adaptive_avg_pool3d(input, size),
            _ => bail!(Value, "AdaptiveAvgPool{D}d: expected 1 to 3 dimensions"),
        }
    }
}

/// Largest elements of windows that divide the input evenly, as `torch.nn.AdaptiveMaxPool2d` and its siblings.
///
/// # Shapes
/// `[N, C, spatial…]` or `[C, spatial…]` -> the same with the given spatial sizes.
#[derive(Clone, Debug, Module)]
#[module(name = format!("AdaptiveMaxPool{D}d"), repr = self.output_size.text())]
pub struct AdaptiveMaxPool<const D: usize> {
    #[module(skip)]
    output_size: OutputSize,
}

/// Largest elements over one dimension.
pub type AdaptiveMaxPool1d = AdaptiveMaxPool<1>;
/// Largest elements over two dimensions.
pub type AdaptiveMaxPool2d = AdaptiveMaxPool<2>;
/// Largest elements over three dimensions.
pub type AdaptiveMaxPool3d = AdaptiveMaxPool<3>;

impl<const D: usize> AdaptiveMaxPool<D> {
    /// To that size.
    pub fn new(output_size: impl Into<OutputSize>) -> Self {
        AdaptiveMaxPool { output_size: output_size.into() }
    }

    /// The largest elements and their positions in each plane.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit.
    pub fn forward_with_indices(&self, input: &Tensor) -> Result<(Tensor, Tensor)> {
        let size = self.output_size.of(input, D)?;
        match D {
            1 => ops::adaptive_max_pool1d(input, size),
            2 => ops::adaptive_max_pool2d(input, size),
            3 => ops::adaptive_max_pool3d(input, size),
            _ => bail!(Value, "AdaptiveMaxPool{D}d: expected 1 to 3 dimensions"),
        }
    }
}

impl<const D: usize> Forward for AdaptiveMaxPool<D> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(self.forward_with_indices(input)?.0)
    }
}
