//! Rarer pools: norms of windows ([`LPPool`]), windows at random places ([`FractionalMaxPool`]), and the way back
//! ([`MaxUnpool`]).

use cresset_core::value::OptIntList;
use cresset_core::{IntList, Result, Scalar, Tensor, bail, ensure, options};

use super::expand;
use crate::functional::{ScaleFactor, check_norm_type, fractional_max_pool, lp_pool, max_unpool};
use crate::module::{Buffer, Forward, Module, boolean, float, int_or_tuple, number, tuple};

options! {
    /// Optional settings of [`LPPool`].
    LPPoolOptions {
        /// Step of the window (default: its size).
        stride: OptIntList = None.into(),
        /// Whether an incomplete window at the far end counts (default: no).
        ceil_mode: bool = false,
    }
}

/// The `p`-norm of each window, as `torch.nn.LPPool2d` and its siblings.
///
/// # Shapes
/// `[N, C, spatial…]` or `[C, spatial…]` -> the same with fewer elements.
#[derive(Clone, Debug, Module)]
#[module(name = format!("LPPool{D}d"), repr = self.text())]
pub struct LPPool<const D: usize> {
    #[module(skip)]
    norm_type: Scalar,
    #[module(skip)]
    kernel_size: IntList,
    #[module(skip)]
    options: LPPoolOptions,
}

/// The norm of windows over one dimension.
pub type LPPool1d = LPPool<1>;
/// The norm of windows over two dimensions.
pub type LPPool2d = LPPool<2>;
/// The norm of windows over three dimensions.
pub type LPPool3d = LPPool<3>;

impl<const D: usize> LPPool<D> {
    /// Windows side by side.
    ///
    /// # Errors
    /// `Value` when `norm_type` is 0.
    pub fn new(norm_type: impl Into<Scalar>, kernel_size: impl Into<IntList>) -> Result<Self> {
        Self::with(norm_type, kernel_size, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Value` when `norm_type` is 0.
    pub fn with(
        norm_type: impl Into<Scalar>,
        kernel_size: impl Into<IntList>,
        options: impl FnOnce(LPPoolOptions) -> LPPoolOptions,
    ) -> Result<Self> {
        let (norm_type, kernel_size) = (norm_type.into(), kernel_size.into());
        check_norm_type(norm_type)?;
        Ok(LPPool { norm_type, kernel_size, options: options(LPPoolOptions::default()) })
    }

    fn text(&self) -> String {
        let stride = self.options.stride.as_deref().map_or("None".into(), int_or_tuple);
        format!(
            "norm_type={}, kernel_size={}, stride={stride}, ceil_mode={}",
            number(self.norm_type),
            int_or_tuple(&self.kernel_size),
            boolean(self.options.ceil_mode)
        )
    }
}

impl<const D: usize> Forward for LPPool<D> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let o = &self.options;
        lp_pool(input, D, self.norm_type, &self.kernel_size, o.stride.as_deref(), o.ceil_mode)
    }
}

options! {
    /// Settings of [`FractionalMaxPool`]: exactly one of `output_size` and `output_ratio` is needed.
    FractionalMaxPoolOptions {
        /// Size of the result.
        output_size: OptIntList = None.into(),
        /// Size of the result in parts of that of the input, between 0 and 1.
        output_ratio: ScaleFactor = ScaleFactor(None),
        /// The random numbers of all planes, to repeat a call (default: drawn for each call).
        random_samples: Option<Tensor> = None,
    }
}

/// The largest element of windows at random places, as `torch.nn.FractionalMaxPool2d` and its sibling (Graham 2014).
///
/// # Shapes
/// `[N, C, spatial…]` or `[C, spatial…]` -> the same of the given size.
#[derive(Clone, Debug, Module)]
#[module(name = format!("FractionalMaxPool{D}d"))]
pub struct FractionalMaxPool<const D: usize> {
    /// The random numbers, if they are fixed.
    pub _random_samples: Option<Buffer>,
    #[module(skip)]
    kernel_size: IntList,
    #[module(skip)]
    output_size: OptIntList,
    #[module(skip)]
    output_ratio: Option<Vec<f64>>,
}

/// The largest element of windows at random places of images.
pub type FractionalMaxPool2d = FractionalMaxPool<2>;
/// The largest element of windows at random places of volumes.
pub type FractionalMaxPool3d = FractionalMaxPool<3>;

impl<const D: usize> FractionalMaxPool<D> {
    /// With a size or a ratio.
    ///
    /// # Errors
    /// `Value` with PyTorch's texts unless exactly one is given, and for a ratio that is not between 0 and 1.
    pub fn with(
        kernel_size: impl Into<IntList>,
        options: impl FnOnce(FractionalMaxPoolOptions) -> FractionalMaxPoolOptions,
    ) -> Result<Self> {
        let o = options(FractionalMaxPoolOptions::default());
        match (&o.output_ratio.0, o.output_size.as_deref()) {
            (None, None) => bail!(
                Value,
                "FractionalMaxPool{D}d requires specifying either an output size, or a pooling ratio"
            ),
            (Some(_), Some(_)) => {
                bail!(Value, "only one of output_size and output_ratio may be specified")
            }
            (Some(ratio), None) => ensure!(
                ratio.iter().all(|r| 0.0 < *r && *r < 1.0),
                Value,
                "output_ratio must be between 0 and 1 (got {})",
                if let [one] = ratio[..] { float(one) } else { format!("{ratio:?}") }
            ),
            _ => {}
        }
        Ok(FractionalMaxPool {
            _random_samples: o.random_samples.map(Buffer::new),
            kernel_size: kernel_size.into(),
            output_size: o.output_size,
            output_ratio: o.output_ratio.0,
        })
    }

    /// The largest elements and their positions in each plane.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit.
    pub fn forward_with_indices(&self, input: &Tensor) -> Result<(Tensor, Tensor)> {
        let samples = self._random_samples.as_deref();
        let (size, ratio) = (self.output_size.as_deref(), self.output_ratio.as_deref());
        fractional_max_pool(D, input, &self.kernel_size, size, ratio, samples)
    }
}

impl<const D: usize> Forward for FractionalMaxPool<D> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(self.forward_with_indices(input)?.0)
    }
}

options! {
    /// Optional settings of [`MaxUnpool`].
    MaxUnpoolOptions {
        /// Step of the window (default: its size).
        stride: OptIntList = None.into(),
        /// The padding that the pool had (default: 0).
        padding: IntList = 0.into(),
    }
}

/// Puts the results of a max pool back to where they were, zeros elsewhere, as `torch.nn.MaxUnpool2d` and its siblings.
///
/// # Shapes
/// `[N, C, spatial…]` or `[C, spatial…]`, with indices of the same shape -> the size that the pool's input had.
#[derive(Clone, Debug, Module)]
#[module(name = format!("MaxUnpool{D}d"), repr = self.text())]
pub struct MaxUnpool<const D: usize> {
    #[module(skip)]
    kernel_size: [i64; D],
    #[module(skip)]
    stride: [i64; D],
    #[module(skip)]
    padding: [i64; D],
}

/// The opposite of a max pool over one dimension.
pub type MaxUnpool1d = MaxUnpool<1>;
/// The opposite of a max pool over two dimensions.
pub type MaxUnpool2d = MaxUnpool<2>;
/// The opposite of a max pool over three dimensions.
pub type MaxUnpool3d = MaxUnpool<3>;

impl<const D: usize> MaxUnpool<D> {
    /// For windows side by side.
    ///
    /// # Errors
    /// `Value` for a list of another length than `D`.
    pub fn new(kernel_size: impl Into<IntList>) -> Result<Self> {
        Self::with(kernel_size, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Value` for a list of another length than `D`.
    pub fn with(
        kernel_size: impl Into<IntList>,
        options: impl FnOnce(MaxUnpoolOptions) -> MaxUnpoolOptions,
    ) -> Result<Self> {
        let (o, kernel) = (options(MaxUnpoolOptions::default()), kernel_size.into());
        let kernel_size = expand("kernel_size", &kernel)?;
        let stride = o.stride.as_deref().map_or(Ok(kernel_size), |s| expand("stride", s))?;
        Ok(MaxUnpool { kernel_size, stride, padding: expand("padding", &o.padding)? })
    }

    /// Puts the elements of `input` where `indices` say.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit or an index lies outside.
    pub fn forward(&self, input: &Tensor, indices: &Tensor) -> Result<Tensor> {
        max_unpool(D, input, indices, [&self.kernel_size, &self.stride, &self.padding], None)
    }

    /// As [`MaxUnpool::forward`], to one of the sizes that the pool's input may have had.
    ///
    /// # Errors
    /// As [`MaxUnpool::forward`], and `Value` for another size.
    pub fn forward_to(&self, input: &Tensor, indices: &Tensor, output_size: &[i64]) -> Result<Tensor> {
        let windows: [&[i64]; 3] = [&self.kernel_size, &self.stride, &self.padding];
        max_unpool(D, input, indices, windows, Some(output_size))
    }

    fn text(&self) -> String {
        let (k, s, p) = (tuple(&self.kernel_size), tuple(&self.stride), tuple(&self.padding));
        format!("kernel_size={k}, stride={s}, padding={p}")
    }
}
