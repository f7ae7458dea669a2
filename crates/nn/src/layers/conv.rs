//! Convolutions of one to three dimensions: `Conv1d`, `Conv2d`, `Conv3d`.
//!
//! One type serves all: the number of dimensions is a parameter of it. `y[n, o] = b[o] + sum_i W[o, i] * x[n, i]`, where
//! `*` is the cross-correlation over the spatial dimensions.

use cresset_core::{DType, IntList, Result, Tensor, bail, ensure, ops, options};

use super::{expand, kernel_sizes, parameter, size};
use crate::functional::{PaddingMode, pad};
use crate::init;
use crate::module::{Forward, Module, Parameter, tuple};

/// How much is added around the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    /// So much at each end of each dimension.
    Sizes(IntList),
    /// As much as keeps the size.
    Same,
    /// Nothing.
    Valid,
}

impl Padding {
    /// The one of PyTorch's name: `same` or `valid`.
    ///
    /// # Errors
    /// `Value` for another name.
    pub fn parse(name: &str) -> Result<Padding> {
        match name {
            "same" => Ok(Padding::Same),
            "valid" => Ok(Padding::Valid),
            other => bail!(Value, "Invalid padding string '{other}', should be one of {{'same', 'valid'}}"),
        }
    }
}

impl<T: Into<IntList>> From<T> for Padding {
    fn from(sizes: T) -> Self {
        Padding::Sizes(sizes.into())
    }
}

options! {
    /// Optional settings of a convolution.
    ConvOptions {
        /// Step of the kernel (default: 1).
        stride: IntList = 1.into(),
        /// What is added around the input (default: nothing).
        padding: Padding = Padding::Sizes(0.into()),
        /// Distance of the kernel's elements (default: 1).
        dilation: IntList = 1.into(),
        /// Number of groups of channels that do not see each other (default: 1).
        groups: i64 = 1,
        /// Whether a bias is added (default: yes).
        bias: bool = true,
        /// What stands in the padding (default: zeros).
        padding_mode: PaddingMode = PaddingMode::Zeros,
        /// The element type (default: `float32`).
        dtype: DType = DType::F32,
    }
}

/// A convolution over `D` spatial dimensions, as [`torch.nn.Conv2d`](https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html)
/// and its siblings.
///
/// ```
/// # use cresset_nn::{Conv2d, Forward};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let layer = Conv2d::with(3, 16, 3, |o| o.stride(2).padding(1).bias(false))?;
/// assert_eq!(layer.forward(&ops::randn([1, 3, 32, 32])?)?.sizes()[..], [1, 16, 16, 16]);
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// `input [N, in_channels, spatial…]` or without `N` -> `[N, out_channels, spatial…]`;
/// `weight [out_channels, in_channels / groups, kernel…]`; `bias [out_channels]`.
#[derive(Clone, Debug, Module)]
#[module(name = format!("Conv{D}d"), repr = self.text())]
pub struct Conv<const D: usize> {
    /// The kernels, drawn from `U(-k, k)` with `k = 1/sqrt(in_channels / groups * kernel size)`.
    pub weight: Parameter,
    /// One number per output channel, drawn likewise.
    pub bias: Option<Parameter>,
    #[module(skip)]
    stride: [i64; D],
    #[module(skip)]
    padding: Padding,
    #[module(skip)]
    dilation: [i64; D],
    #[module(skip)]
    groups: i64,
    #[module(skip)]
    padding_mode: PaddingMode,
}

/// Convolution over one spatial dimension.
pub type Conv1d = Conv<1>;
/// Convolution over two spatial dimensions.
pub type Conv2d = Conv<2>;
/// Convolution over three spatial dimensions.
pub type Conv3d = Conv<3>;

impl<const D: usize> Conv<D> {
    /// With stride 1, no padding and a bias.
    ///
    /// # Errors
    /// `Value` for sizes that are no convolution.
    pub fn new(in_channels: i64, out_channels: i64, kernel_size: impl Into<IntList>) -> Result<Self> {
        Self::with(in_channels, out_channels, kernel_size, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Value` for sizes that are no convolution.
    pub fn with(
        in_channels: i64,
        out_channels: i64,
        kernel_size: impl Into<IntList>,
        options: impl FnOnce(ConvOptions) -> ConvOptions,
    ) -> Result<Self> {
        let o = options(ConvOptions::default());
        let kernel: [i64; D] = expand("kernel_size", &kernel_size.into())?;
        let stride = expand("stride", &o.stride)?;
        check_channels(in_channels, out_channels, o.groups)?;
        let padding = checked_padding::<D>(o.padding, &stride)?;
        let sizes: Vec<i64> = [out_channels, in_channels / o.groups].into_iter().chain(kernel).collect();
        let weight = parameter(&sizes, o.dtype)?;
        let bias = if o.bias { Some(parameter(&[out_channels], o.dtype)?) } else { None };
        let dilation = expand("dilation", &o.dilation)?;
        let layer =
            Conv { weight, bias, stride, padding, dilation, groups: o.groups, padding_mode: o.padding_mode };
        layer.reset_parameters()?;
        Ok(layer)
    }

    /// Draws weight and bias anew.
    ///
    /// # Errors
    /// None for tensors that can be written.
    pub fn reset_parameters(&self) -> Result<()> {
        init::reset_affine(&self.weight, self.bias.as_deref())
    }

    /// The padding of `pad`, last dimension first, both ends.
    fn explicit_padding(&self) -> Vec<i64> {
        let kernel = kernel_sizes(&self.weight);
        let ends = |d: usize| match &self.padding {
            Padding::Sizes(p) => (p[d], p[d]),
            Padding::Valid => (0, 0),
            Padding::Same => {
                let total = self.dilation[d] * (kernel.get(d).unwrap_or(&1) - 1);
                (total / 2, total - total / 2)
            }
        };
        (0..D).rev().map(ends).flat_map(|(left, right)| [left, right]).collect()
    }

    fn convolve(&self, input: &Tensor, padding: &Padding) -> Result<Tensor> {
        let (w, b, s, d, g) = (&*self.weight, self.bias.as_deref(), self.stride, self.dilation, self.groups);
        macro_rules! run {
            ($with_sizes:ident, $with_text:ident) => {
                match padding {
                    Padding::Sizes(p) => ops::$with_sizes(input, w, |o| {
                        o.bias(b).stride(&s).padding(&p[..]).dilation(&d).groups(g)
                    }),
                    Padding::Same => ops::$with_text(input, w, |o| {
                        o.bias(b).stride(&s).padding("same").dilation(&d).groups(g)
                    }),
                    Padding::Valid => ops::$with_text(input, w, |o| {
                        o.bias(b).stride(&s).padding("valid").dilation(&d).groups(g)
                    }),
                }
            };
        }
        match D {
            1 => run!(conv1d_with, conv1d_padding_with),
            2 => run!(conv2d_with, conv2d_padding_with),
            3 => run!(conv3d_with, conv3d_padding_with),
            _ => bail!(Value, "Conv{D}d: expected 1 to 3 dimensions"),
        }
    }

    pub(super) fn groups(&self) -> i64 {
        self.groups
    }

    fn text(&self) -> String {
        let (w, groups) = (&self.weight, self.groups);
        let mut text = format!(
            "{}, {}, kernel_size={}, stride={}",
            size(w, 1) * groups,
            size(w, 0),
            tuple(&kernel_sizes(w)),
            tuple(&self.stride)
        );
        match &self.padding {
            Padding::Sizes(p) if p.iter().any(|p| *p != 0) => text += &format!(", padding={}", tuple(p)),
            Padding::Sizes(_) => {}
            Padding::Same => text += ", padding=same",
            Padding::Valid => text += ", padding=valid",
        }
        text += &settings(&self.dilation, groups, self.bias.is_some());
        if self.padding_mode != PaddingMode::Zeros {
            text += &format!(", padding_mode={}", self.padding_mode.name());
        }
        text
    }
}

/// What the printed forms of both kinds of convolution end with.
pub(super) fn settings(dilation: &[i64], groups: i64, bias: bool) -> String {
    let mut text = String::new();
    if dilation.iter().any(|d| *d != 1) {
        text += &format!(", dilation={}", tuple(dilation));
    }
    if groups != 1 {
        text += &format!(", groups={groups}");
    }
    if !bias {
        text += ", bias=False";
    }
    text
}

pub(super) fn check_channels(in_channels: i64, out_channels: i64, groups: i64) -> Result<()> {
    ensure!(groups > 0, Value, "groups must be a positive integer");
    ensure!(in_channels % groups == 0, Value, "in_channels must be divisible by groups");
    ensure!(out_channels % groups == 0, Value, "out_channels must be divisible by groups");
    Ok(())
}

fn checked_padding<const D: usize>(padding: Padding, stride: &[i64; D]) -> Result<Padding> {
    match padding {
        Padding::Sizes(p) => Ok(Padding::Sizes(expand::<D>("padding", &p)?.into())),
        Padding::Same if stride.iter().any(|s| *s != 1) => {
            bail!(Value, "padding='same' is not supported for strided convolutions")
        }
        other => Ok(other),
    }
}

impl<const D: usize> Forward for Conv<D> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        if self.padding_mode == PaddingMode::Zeros {
            return self.convolve(input, &self.padding);
        }
        let padded = pad(input, &self.explicit_padding(), self.padding_mode)?;
        self.convolve(&padded, &Padding::Sizes([0; D].into()))
    }
}
