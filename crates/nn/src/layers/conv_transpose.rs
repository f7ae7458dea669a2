//! Transposed convolutions of one to three dimensions: `ConvTranspose1d`, `ConvTranspose2d`, `ConvTranspose3d`.
//!
//! The gradient of a convolution with respect to its input, used as a layer of its own.

use cresset_core::{DType, IntList, Result, Tensor, bail, ensure, ops, options};

use super::conv::{check_channels, settings};
use super::{expand, kernel_sizes, parameter, size};
use crate::init;
use crate::module::{Forward, Module, Parameter, tuple};

options! {
    /// Optional settings of a transposed convolution.
    ConvTransposeOptions {
        /// Step of the kernel over the output (default: 1).
        stride: IntList = 1.into(),
        /// What is cut from each end of the output (default: nothing).
        padding: IntList = 0.into(),
        /// What is added at the far end of the output (default: nothing).
        output_padding: IntList = 0.into(),
        /// Number of groups of channels that do not see each other (default: 1).
        groups: i64 = 1,
        /// Whether a bias is added (default: yes).
        bias: bool = true,
        /// Distance of the kernel's elements (default: 1).
        dilation: IntList = 1.into(),
        /// The element type (default: `float32`).
        dtype: DType = DType::F32,
    }
}

/// A transposed convolution over `D` spatial dimensions, as `torch.nn.ConvTranspose2d` and its siblings.
///
/// ```
/// # use cresset_nn::{ConvTranspose2d, Forward};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let layer = ConvTranspose2d::with(16, 3, 4, |o| o.stride(2).padding(1))?;
/// assert_eq!(layer.forward(&ops::randn([1, 16, 8, 8])?)?.sizes()[..], [1, 3, 16, 16]);
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// `input [N, in_channels, spatial…]` or without `N` -> `[N, out_channels, spatial…]`;
/// `weight [in_channels, out_channels / groups, kernel…]`; `bias [out_channels]`.
#[derive(Clone, Debug, Module)]
#[module(name = format!("ConvTranspose{D}d"), repr = self.text())]
pub struct ConvTranspose<const D: usize> {
    /// The kernels, drawn as those of a convolution.
    pub weight: Parameter,
    /// One number per output channel, drawn likewise.
    pub bias: Option<Parameter>,
    #[module(skip)]
    stride: [i64; D],
    #[module(skip)]
    padding: [i64; D],
    #[module(skip)]
    output_padding: [i64; D],
    #[module(skip)]
    dilation: [i64; D],
    #[module(skip)]
    groups: i64,
}

/// Transposed convolution over one spatial dimension.
pub type ConvTranspose1d = ConvTranspose<1>;
/// Transposed convolution over two spatial dimensions.
pub type ConvTranspose2d = ConvTranspose<2>;
/// Transposed convolution over three spatial dimensions.
pub type ConvTranspose3d = ConvTranspose<3>;

impl<const D: usize> ConvTranspose<D> {
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
        options: impl FnOnce(ConvTransposeOptions) -> ConvTransposeOptions,
    ) -> Result<Self> {
        let o = options(ConvTransposeOptions::default());
        let kernel: [i64; D] = expand("kernel_size", &kernel_size.into())?;
        check_channels(in_channels, out_channels, o.groups)?;
        let sizes: Vec<i64> = [in_channels, out_channels / o.groups].into_iter().chain(kernel).collect();
        let layer = ConvTranspose {
            weight: parameter(&sizes, o.dtype)?,
            bias: if o.bias { Some(parameter(&[out_channels], o.dtype)?) } else { None },
            stride: expand("stride", &o.stride)?,
            padding: expand("padding", &o.padding)?,
            output_padding: expand("output_padding", &o.output_padding)?,
            dilation: expand("dilation", &o.dilation)?,
            groups: o.groups,
        };
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

    /// The output of that spatial size, where several sizes are possible.
    ///
    /// # Errors
    /// `Value` for a size that is not possible, naming the range.
    pub fn forward_to(&self, input: &Tensor, output_size: &[i64]) -> Result<Tensor> {
        let (sizes, kernel) = (input.sizes(), kernel_sizes(&self.weight));
        let other = if sizes.len() == D + 2 { 2 } else { 1 };
        let wanted = if output_size.len() == other + D { &output_size[other..] } else { output_size };
        ensure!(
            wanted.len() == D && sizes.len() == other + D && kernel.len() == D,
            Value,
            "ConvTranspose{D}D: for {}D input, output_size must have {D} or {} elements (got {})",
            sizes.len(),
            other + D,
            wanted.len()
        );
        let least: [i64; D] = std::array::from_fn(|d| {
            (sizes[d + other] - 1) * self.stride[d] - 2 * self.padding[d]
                + self.dilation[d] * (kernel[d] - 1)
                + 1
        });
        let most: [i64; D] = std::array::from_fn(|d| least[d] + self.stride[d] - 1);
        if (0..D).any(|d| wanted[d] < least[d] || wanted[d] > most[d]) {
            bail!(
                Value,
                "requested an output size of {wanted:?}, but valid sizes range from {least:?} to {most:?} (for an input of torch.Size({:?}))",
                &sizes[2..]
            );
        }
        self.convolve(input, &std::array::from_fn(|d| wanted[d] - least[d]))
    }

    fn convolve(&self, input: &Tensor, output_padding: &[i64; D]) -> Result<Tensor> {
        let (w, b) = (&*self.weight, self.bias.as_deref());
        macro_rules! run {
            ($with:ident) => {
                ops::$with(input, w, |o| {
                    let o =
                        o.bias(b).stride(&self.stride).padding(&self.padding).output_padding(output_padding);
                    o.groups(self.groups).dilation(&self.dilation)
                })
            };
        }
        match D {
            1 => run!(conv_transpose1d_with),
            2 => run!(conv_transpose2d_with),
            3 => run!(conv_transpose3d_with),
            _ => bail!(Value, "ConvTranspose{D}d: expected 1 to 3 dimensions"),
        }
    }

    fn text(&self) -> String {
        let (w, groups) = (&self.weight, self.groups);
        let mut text = format!(
            "{}, {}, kernel_size={}, stride={}",
            size(w, 0),
            size(w, 1) * groups,
            tuple(&kernel_sizes(w)),
            tuple(&self.stride)
        );
        if self.padding.iter().any(|p| *p != 0) {
            text += &format!(", padding={}", tuple(&self.padding));
        }
        // PyTorch prints the dilation before the output padding.
        text += &settings(&self.dilation, 1, true);
        if self.output_padding.iter().any(|p| *p != 0) {
            text += &format!(", output_padding={}", tuple(&self.output_padding));
        }
        text + &settings(&[], groups, self.bias.is_some())
    }
}

impl<const D: usize> Forward for ConvTranspose<D> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.convolve(input, &self.output_padding)
    }
}
