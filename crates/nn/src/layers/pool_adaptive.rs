//! Pooling to a given size: windows are as large as they must be ([`AdaptiveAvgPool`], [`AdaptiveMaxPool`]).

use cresset_core::{Result, Tensor, bail, ensure, ops};

use crate::module::{Forward, Module};

/// The size of the output in each dimension; `None` keeps that of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputSize(Vec<Option<i64>>);

impl From<i64> for OutputSize {
    fn from(size: i64) -> Self {
        OutputSize(vec![Some(size)])
    }
}

impl<const N: usize> From<[i64; N]> for OutputSize {
    fn from(sizes: [i64; N]) -> Self {
        OutputSize(sizes.map(Some).to_vec())
    }
}

impl<const N: usize> From<[Option<i64>; N]> for OutputSize {
    fn from(sizes: [Option<i64>; N]) -> Self {
        OutputSize(sizes.to_vec())
    }
}

impl From<Vec<Option<i64>>> for OutputSize {
    fn from(sizes: Vec<Option<i64>>) -> Self {
        OutputSize(sizes)
    }
}

impl OutputSize {
    /// The sizes for an input whose last `dims` dimensions are pooled.
    fn of(&self, input: &Tensor, dims: usize) -> Result<Vec<i64>> {
        let sizes = input.sizes();
        ensure!(
            sizes.len() > dims,
            "adaptive pooling: expected {} or {} dimensions, got input of size {:?}",
            dims + 1,
            dims + 2,
            &sizes[..]
        );
        let spatial = &sizes[sizes.len() - dims..];
        match &self.0[..] {
            [one] => Ok(spatial.iter().map(|n| one.unwrap_or(*n)).collect()),
            many if many.len() == dims => {
                Ok(many.iter().zip(spatial).map(|(size, n)| size.unwrap_or(*n)).collect())
            }
            many => bail!(
                Value,
                "adaptive pooling: expected output_size of one number or {dims}, got {}",
                many.len()
            ),
        }
    }

    fn text(&self) -> String {
        let size = |s: &Option<i64>| s.map_or("None".to_string(), |s| s.to_string());
        match &self.0[..] {
            [one] => format!("output_size={}", size(one)),
            many => format!("output_size=({})", many.iter().map(size).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// Means over windows that divide the input evenly, as `torch.nn.AdaptiveAvgPool2d` and its siblings.
///
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
