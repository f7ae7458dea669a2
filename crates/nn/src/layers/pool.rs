//! Pooling over windows: the largest element ([`MaxPool`]) or the mean ([`AvgPool`]), over one to three dimensions.

use cresset_core::value::OptIntList;
use cresset_core::{IntList, Result, Tensor, bail, ops, options};

use crate::module::{Forward, Module, boolean, int_or_tuple, tuple};

options! {
    /// Optional settings of [`MaxPool`].
    MaxPoolOptions {
        /// Step of the window (default: its size).
        stride: OptIntList = None.into(),
        /// How far windows reach over the ends (default: 0).
        padding: IntList = 0.into(),
        /// Distance of the window's elements (default: 1).
        dilation: IntList = 1.into(),
        /// Whether an incomplete window at the far end counts (default: no).
        ceil_mode: bool = false,
    }
}

/// The largest element of each window, as `torch.nn.MaxPool2d` and its siblings.
///
/// ```
/// # use cresset_nn::{Forward, MaxPool2d};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let layer = MaxPool2d::with(3, |o| o.stride(2).padding(1));
/// assert_eq!(layer.forward(&ops::randn([1, 3, 8, 8])?)?.sizes()[..], [1, 3, 4, 4]);
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// `[N, C, spatial…]` or `[C, spatial…]` -> the same with fewer elements.
#[derive(Clone, Debug, Module)]
#[module(name = format!("MaxPool{D}d"), repr = self.text())]
pub struct MaxPool<const D: usize> {
    #[module(skip)]
    kernel_size: IntList,
    #[module(skip)]
    stride: IntList,
    #[module(skip)]
    padding: IntList,
    #[module(skip)]
    dilation: IntList,
    #[module(skip)]
    ceil_mode: bool,
}

/// The largest element of windows over one dimension.
pub type MaxPool1d = MaxPool<1>;
/// The largest element of windows over two dimensions.
pub type MaxPool2d = MaxPool<2>;
/// The largest element of windows over three dimensions.
pub type MaxPool3d = MaxPool<3>;

impl<const D: usize> MaxPool<D> {
    /// Windows side by side.
    pub fn new(kernel_size: impl Into<IntList>) -> Self {
        Self::with(kernel_size, |o| o)
    }

    /// With optional settings.
    pub fn with(
        kernel_size: impl Into<IntList>,
        options: impl FnOnce(MaxPoolOptions) -> MaxPoolOptions,
    ) -> Self {
        let (o, kernel_size) = (options(MaxPoolOptions::default()), kernel_size.into());
        let stride = o.stride.as_deref().map_or_else(|| kernel_size.clone(), IntList::from);
        MaxPool { kernel_size, stride, padding: o.padding, dilation: o.dilation, ceil_mode: o.ceil_mode }
    }

    /// The largest elements and their positions in each plane.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit.
    pub fn forward_with_indices(&self, input: &Tensor) -> Result<(Tensor, Tensor)> {
        macro_rules! run {
            ($with:ident) => {
                ops::$with(input, &self.kernel_size[..], |o| {
                    let o = o.stride(&self.stride[..]).padding(&self.padding[..]);
                    o.dilation(&self.dilation[..]).ceil_mode(self.ceil_mode)
                })
            };
        }
        match D {
            1 => run!(max_pool1d_with_indices_with),
            2 => run!(max_pool2d_with_indices_with),
            3 => run!(max_pool3d_with_indices_with),
            _ => bail!(Value, "MaxPool{D}d: expected 1 to 3 dimensions"),
        }
    }

    fn text(&self) -> String {
        format!(
            "kernel_size={}, stride={}, padding={}, dilation={}, ceil_mode={}",
            int_or_tuple(&self.kernel_size),
            int_or_tuple(&self.stride),
            int_or_tuple(&self.padding),
            int_or_tuple(&self.dilation),
            boolean(self.ceil_mode)
        )
    }
}

impl<const D: usize> Forward for MaxPool<D> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        macro_rules! run {
            ($with:ident) => {
                ops::$with(input, &self.kernel_size[..], |o| {
                    let o = o.stride(&self.stride[..]).padding(&self.padding[..]);
                    o.dilation(&self.dilation[..]).ceil_mode(self.ceil_mode)
                })
            };
        }
        match D {
            1 => run!(max_pool1d_with),
            2 => run!(max_pool2d_with),
            3 => run!(max_pool3d_with),
            _ => bail!(Value, "MaxPool{D}d: expected 1 to 3 dimensions"),
        }
    }
}

options! {
    /// Optional settings of [`AvgPool`].
    AvgPoolOptions {
        /// Step of the window (default: its size).
        stride: OptIntList = None.into(),
        /// How far windows reach over the ends (default: 0).
        padding: IntList = 0.into(),
        /// Whether an incomplete window at the far end counts (default: no).
        ceil_mode: bool = false,
        /// Whether the zeros of the padding count (default: yes).
        count_include_pad: bool = true,
        /// What the sum is divided by instead of the number of elements; not over one dimension.
        divisor_override: Option<i64> = None,
    }
}

/// The mean of each window, as `torch.nn.AvgPool2d` and its siblings.
///
/// ```
/// # use cresset_nn::{AvgPool2d, Forward};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let layer = AvgPool2d::new(2);
/// assert_eq!(layer.forward(&ops::ones([1, 1, 4, 4])?)?.to_vec::<f32>()?, [1.0; 4]);
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// `[N, C, spatial…]` or `[C, spatial…]` -> the same with fewer elements.
#[derive(Clone, Debug, Module)]
#[module(name = format!("AvgPool{D}d"), repr = self.text())]
pub struct AvgPool<const D: usize> {
    #[module(skip)]
    kernel_size: IntList,
    #[module(skip)]
    options: AvgPoolOptions,
}

/// The mean of windows over one dimension.
pub type AvgPool1d = AvgPool<1>;
/// The mean of windows over two dimensions.
pub type AvgPool2d = AvgPool<2>;
/// The mean of windows over three dimensions.
pub type AvgPool3d = AvgPool<3>;

impl<const D: usize> AvgPool<D> {
    /// Windows side by side.
    pub fn new(kernel_size: impl Into<IntList>) -> Self {
        Self::with(kernel_size, |o| o)
    }

    /// With optional settings.
    pub fn with(
        kernel_size: impl Into<IntList>,
        options: impl FnOnce(AvgPoolOptions) -> AvgPoolOptions,
    ) -> Self {
        AvgPool { kernel_size: kernel_size.into(), options: options(AvgPoolOptions::default()) }
    }

    fn stride(&self) -> &[i64] {
        self.options.stride.as_deref().unwrap_or(&self.kernel_size)
    }

    fn text(&self) -> String {
        // PyTorch keeps tuples in one dimension.
        let print = if D == 1 { tuple } else { int_or_tuple };
        let (k, s, p) = (print(&self.kernel_size), print(self.stride()), print(&self.options.padding));
        format!("kernel_size={k}, stride={s}, padding={p}")
    }
}

impl<const D: usize> Forward for AvgPool<D> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let o = &self.options;
        macro_rules! run {
            ($with:ident $(, $divisor:ident)?) => {
                ops::$with(input, &self.kernel_size[..], |f| {
                    f.stride(self.stride())
                        .padding(&o.padding[..])
                        .ceil_mode(o.ceil_mode)
                        .count_include_pad(o.count_include_pad)
                        $(.$divisor(o.divisor_override))?
                })
            };
        }
        match D {
            1 => run!(avg_pool1d_with),
            2 => run!(avg_pool2d_with, divisor_override),
            3 => run!(avg_pool3d_with, divisor_override),
            _ => bail!(Value, "AvgPool{D}d: expected 1 to 3 dimensions"),
        }
    }
}
