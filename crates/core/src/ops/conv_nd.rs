//! `conv1d` and its kin: `convolution` for inputs with or without a batch dimension, and padding by name.

use cresset_macros::op;

use super::conv::convolution;
use super::conv_shape::{check_types, expand_list};
use super::padding::constant_pad_nd;
use crate::op::OpDef;
use crate::{Result, Scalar, Tensor, bail, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    conv1d,
    conv2d,
    conv3d,
    conv1d_padding,
    conv2d_padding,
    conv3d_padding,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    conv_tbc
];

/// Lists of a convolution: stride, padding, dilation, output padding.
type Lists<'a> = [&'a [i64]; 4];

/// The input with a batch dimension, and whether it had one.
fn batched(input: &Tensor, dims: usize, name: &str) -> Result<(Tensor, bool)> {
    let had = input.dim() == dims + 2;
    if !had && input.dim() != dims + 1 {
        bail!(
            "Expected {}D (unbatched) or {}D (batched) input to {name}{dims}d, but got input of size: {:?}",
            dims + 1,
            dims + 2,
            input.sizes().as_slice()
        );
    }
    Ok((if had { input.clone() } else { input.unsqueeze(0)? }, had))
}

fn convolve(
    (input, weight, bias): (&Tensor, &Tensor, Option<&Tensor>),
    [stride, padding, dilation, output_padding]: Lists,
    (dims, transposed): (usize, bool),
    groups: i64,
) -> Result<Tensor> {
    let (x, had_batch) = batched(input, dims, if transposed { "conv_transpose" } else { "conv" })?;
    check_types(input, weight, bias, transposed)?;
    let out =
        convolution::call(&x, weight, bias, stride, padding, dilation, transposed, output_padding, groups)?;
    if had_batch { Ok(out) } else { out.squeeze_dim(0) }
}

/// Convolution whose padding is `valid` (none) or `same` (the output has the size of the input).
fn convolve_named(
    (input, weight, bias): (&Tensor, &Tensor, Option<&Tensor>),
    (stride, padding, dilation): (&[i64], &str, &[i64]),
    dims: usize,
    groups: i64,
) -> Result<Tensor> {
    if groups <= 0 {
        bail!("non-positive groups is not supported");
    }
    let (x, had_batch) = batched(input, dims, "conv")?;
    check_types(input, weight, bias, false)?;
    let tensors = (&x, weight, bias);
    let out = match padding {
        "same" => convolve_same(tensors, stride, dilation, groups)?,
        "valid" => convolution::call(&x, weight, bias, stride, &[0], dilation, false, &[0], groups)?,
        other => bail!("Invalid padding string: '{other}'"),
    };
    if had_batch { Ok(out) } else { out.squeeze_dim(0) }
}

fn convolve_same(
    (x, weight, bias): (&Tensor, &Tensor, Option<&Tensor>),
    stride: &[i64],
    dilation: &[i64],
    groups: i64,
) -> Result<Tensor> {
    let (k, sizes) = (weight.dim(), weight.sizes());
    if k != x.dim() {
        bail!(
            "Expected {k}-dimensional input for {k}-dimensional weight{:?}, but got {}-dimensional input of size {:?} instead",
            sizes.as_slice(),
            x.dim(),
            x.sizes().as_slice()
        );
    }
    if stride.iter().any(|s| *s != 1) {
        bail!("padding='same' is not supported for strided convolutions");
    }
    let dilation = expand_list(dilation, k - 2, "dilation")?;
    let totals: Vec<i64> = (0..k - 2).map(|d| dilation[d] * (sizes[d + 2] - 1)).collect();
    let padding: Vec<i64> = totals.iter().map(|t| t / 2).collect();
    if totals.iter().all(|t| t % 2 == 0) {
        return convolution::call(x, weight, bias, stride, &padding, &dilation, false, &[0], groups);
    }
    // What does not divide evenly is padded on the right; the last dimension comes first in the list.
    let extra: Vec<i64> = totals.iter().rev().flat_map(|t| [0, t % 2]).collect();
    let padded = constant_pad_nd::call(x, &extra, Scalar::Int(0))?;
    convolution::call(&padded, weight, bias, stride, &padding, &dilation, false, &[0], groups)
}

/// Declares the convolutions over so many dimensions: with numbers as padding, with `same` or `valid`, and transposed.
macro_rules! convolutions {
    ($($dims:literal $what:literal: $conv:ident, $named:ident, $transposed:ident:
        $schema:literal, $named_schema:literal, $transposed_schema:literal;)*) => { $(
        #[doc = concat!("Convolution over ", $what, ".")]
        #[op($schema, autocast = "lower", composite)]
        mod $conv {
            fn kernel(
                input: &Tensor,
                weight: &Tensor,
                bias: Option<&Tensor>,
                stride: &[i64],
                padding: &[i64],
                dilation: &[i64],
                groups: i64,
            ) -> Result<Tensor> {
                convolve((input, weight, bias), [stride, padding, dilation, &[0]], ($dims, false), groups)
            }
        }

        #[doc = concat!("Convolution over ", $what, ", padded as `same` or `valid` says.")]
        #[op($named_schema, autocast = "lower", composite)]
        mod $named {
            fn kernel(
                input: &Tensor,
                weight: &Tensor,
                bias: Option<&Tensor>,
                stride: &[i64],
                padding: &str,
                dilation: &[i64],
                groups: i64,
            ) -> Result<Tensor> {
                convolve_named((input, weight, bias), (stride, padding, dilation), $dims, groups)
            }
        }

        #[doc = concat!("Transposed convolution over ", $what, ": the gradient of a convolution for its input.")]
        #[op($transposed_schema, autocast = "lower", composite)]
        mod $transposed {
            fn kernel(
                input: &Tensor,
                weight: &Tensor,
                bias: Option<&Tensor>,
                stride: &[i64],
                padding: &[i64],
                output_padding: &[i64],
                groups: i64,
                dilation: &[i64],
            ) -> Result<Tensor> {
                let steps = [stride, padding, dilation, output_padding];
                convolve((input, weight, bias), steps, ($dims, true), groups)
            }
        }
    )* };
}

convolutions! {
    1 "one dimension": conv1d, conv1d_padding, conv_transpose1d:
        "conv1d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=[1], SymInt[1] padding=[0], SymInt[1] dilation=[1], SymInt groups=1) -> Tensor",
        "conv1d.padding(Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=[1], str padding=\"valid\", SymInt[1] dilation=[1], SymInt groups=1) -> Tensor",
        "conv_transpose1d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=[1], SymInt[1] padding=[0], SymInt[1] output_padding=[0], SymInt groups=1, SymInt[1] dilation=[1]) -> Tensor";
    2 "two dimensions": conv2d, conv2d_padding, conv_transpose2d:
        "conv2d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], SymInt[2] padding=[0, 0], SymInt[2] dilation=[1, 1], SymInt groups=1) -> Tensor",
        "conv2d.padding(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], str padding=\"valid\", SymInt[2] dilation=[1, 1], SymInt groups=1) -> Tensor",
        "conv_transpose2d.input(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], SymInt[2] padding=[0, 0], SymInt[2] output_padding=[0, 0], SymInt groups=1, SymInt[2] dilation=[1, 1]) -> Tensor";
    3 "three dimensions": conv3d, conv3d_padding, conv_transpose3d:
        "conv3d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=[1, 1, 1], SymInt[3] padding=[0, 0, 0], SymInt[3] dilation=[1, 1, 1], SymInt groups=1) -> Tensor",
        "conv3d.padding(Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=[1, 1, 1], str padding=\"valid\", SymInt[3] dilation=[1, 1, 1], SymInt groups=1) -> Tensor",
        "conv_transpose3d.input(Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=[1, 1, 1], SymInt[3] padding=[0, 0, 0], SymInt[3] output_padding=[0, 0, 0], SymInt groups=1, SymInt[3] dilation=[1, 1, 1]) -> Tensor";
}

/// Convolution over time of `[time, batch, channels]` with a weight of `[width, in_channels, out_channels]`.
#[op("conv_tbc(Tensor self, Tensor weight, Tensor bias, int pad=0) -> Tensor", autocast = "lower", composite)]
mod conv_tbc {
    fn kernel(this: &Tensor, weight: &Tensor, bias: &Tensor, pad: i64) -> Result<Tensor> {
        if this.dim() != 3 {
            bail!("Input must have 3 dims: time, batch, in_channel");
        }
        if weight.dim() != 3 {
            bail!("Weight tensor must have 3 dims: kernel_width, in_channels, out_channels.");
        }
        if bias.dim() != 1 {
            bail!("Bias must be 1-D");
        }
        let (x, w) = (this.permute([1, 2, 0])?, weight.permute([2, 1, 0])?);
        let out = convolution::call(&x, &w, Some(bias), &[1], &[pad], &[1], false, &[0], 1)?;
        out.permute([2, 0, 1])?.contiguous()
    }
}
