//! Channels and pixels exchanged, sliding blocks, one-hot vectors.

use super::raw;
use super::*;
use crate::autograd::Meta;
use crate::layout::Dims;
use crate::op::OpDef;
use crate::storage::access;
use crate::supported::require;
use crate::{DType, MemoryFormat, Result, Scalar, Tensor, bail, ensure, op_list};
use cresset_kernels::index::{self, Columns};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    pixel_shuffle,
    pixel_unshuffle,
    channel_shuffle,
    native_channel_shuffle,
    one_hot,
    im2col,
    col2im
];

/// `result` with channels last where `this` has them so.
fn in_format_of(this: &Tensor, result: Tensor) -> Result<Tensor> {
    match this.layout().suggested_format() {
        MemoryFormat::Contiguous => Ok(result),
        format => result.contiguous_with(|o| o.memory_format(format)),
    }
}

/// `[*, C r^2, H, W]` as `[*, C, H r, W r]`.
#[op("pixel_shuffle(Tensor self, int upscale_factor) -> Tensor", composite)]
mod pixel_shuffle {
    fn kernel(this: &Tensor, upscale_factor: i64) -> Result<Tensor> {
        let (n, r, sizes) = (this.dim(), upscale_factor, this.sizes());
        ensure!(
            n >= 3,
            "pixel_shuffle expects input to have at least 3 dimensions, but got input with {n} dimension(s)"
        );
        ensure!(r > 0, "pixel_shuffle expects a positive upscale_factor, but got {r}");
        let [c, h, w] = [sizes[n - 3], sizes[n - 2], sizes[n - 1]];
        let square = r.checked_mul(r);
        let Some(square) = square else {
            bail!("upscale factor is too large, (upscale_factor)^2 overflowed: upscale_factor={r}")
        };
        ensure!(
            c % square == 0,
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but input.size(-3)={c} is not divisible by {square}"
        );
        let batch = &sizes[..n - 3];
        let spread = this.reshape([batch, &[c / square, r, r, h, w]].concat())?;
        let b = batch.len() as i64;
        let order: Vec<i64> = (0..b).chain([b, b + 3, b + 1, b + 4, b + 2]).collect();
        let dense =
            spread.permute(order)?.clone_tensor_with(|o| o.memory_format(MemoryFormat::Contiguous))?;
        in_format_of(this, dense.view([batch, &[c / square, h * r, w * r]].concat())?)
    }
}

/// `[*, C, H r, W r]` as `[*, C r^2, H, W]`.
#[op("pixel_unshuffle(Tensor self, int downscale_factor) -> Tensor", composite)]
mod pixel_unshuffle {
    fn kernel(this: &Tensor, downscale_factor: i64) -> Result<Tensor> {
        let (n, r, sizes) = (this.dim(), downscale_factor, this.sizes());
        ensure!(
            n >= 3,
            "pixel_unshuffle expects input to have at least 3 dimensions, but got input with {n} dimension(s)"
        );
        ensure!(r > 0, "pixel_unshuffle expects a positive downscale_factor, but got {r}");
        let [c, h, w] = [sizes[n - 3], sizes[n - 2], sizes[n - 1]];
        for (name, at, size) in [("height", -2, h), ("width", -1, w)] {
            ensure!(
                size % r == 0,
                "pixel_unshuffle expects {name} to be divisible by downscale_factor, but input.size({at})={size} is not divisible by {r}"
            );
        }
        if this.numel() == 0 {
            return this.clone_tensor();
        }
        let batch = &sizes[..n - 3];
        let spread = this.reshape([batch, &[c, h / r, r, w / r, r]].concat())?;
        let b = batch.len() as i64;
        let order: Vec<i64> = (0..b).chain([b, b + 2, b + 4, b + 1, b + 3]).collect();
        let dense =
            spread.permute(order)?.clone_tensor_with(|o| o.memory_format(MemoryFormat::Contiguous))?;
        in_format_of(this, dense.view([batch, &[c * r * r, h / r, w / r]].concat())?)
    }
}

fn shuffled(this: &Tensor, groups: i64) -> Result<Tensor> {
    let sizes = this.sizes();
    ensure!(
        sizes.len() > 2,
        "channel_shuffle expects input with > 2 dims, but got input with sizes {:?}",
        sizes.as_slice()
    );
    let c = sizes[1];
    ensure!(groups > 0, "Number of groups to divide channels in must be positive. Value of groups:{groups}");
    ensure!(
        c % groups == 0,
        "Number of channels must be divisible by groups. Got {c} channels and {groups} groups."
    );
    let rest = sizes[2..].iter().product();
    let grouped = this.reshape([sizes[0], groups, c / groups, rest])?;
    in_format_of(this, grouped.permute([0, 2, 1, 3])?.reshape(sizes)?)
}

/// Channels dealt out: those of each group in turn.
#[op("channel_shuffle(Tensor self, SymInt groups) -> Tensor", composite)]
mod channel_shuffle {
    fn kernel(this: &Tensor, groups: i64) -> Result<Tensor> {
        shuffled(this, groups)
    }
}

/// [`channel_shuffle`] under its name below autograd.
#[op("native_channel_shuffle(Tensor self, SymInt groups) -> Tensor", composite)]
mod native_channel_shuffle {
    fn kernel(this: &Tensor, groups: i64) -> Result<Tensor> {
        shuffled(this, groups)
    }
}

/// Class numbers as vectors with a 1 at the class.
#[op("one_hot(Tensor self, int num_classes=-1) -> Tensor", composite, onnx = "OneHot")]
mod one_hot {
    fn kernel(this: &Tensor, num_classes: i64) -> Result<Tensor> {
        ensure!(this.dtype() == DType::I64, "one_hot is only applicable to index tensor of type LongTensor.");
        let mut sizes = this.sizes();
        if this.numel() == 0 {
            ensure!(num_classes > 0, "Can not infer total number of classes from empty tensor.");
            sizes.push(num_classes);
            return crate::copy::zeros(&sizes, DType::I64, this.device());
        }
        let classes = this.to_vec::<i64>()?;
        ensure!(classes.iter().all(|c| *c >= 0), "Class values must be non-negative.");
        let most = classes.iter().max().map_or(0, |c| c + 1);
        ensure!(num_classes != 0 && num_classes >= -1, "num_classes should be positive");
        ensure!(num_classes == -1 || num_classes >= most, "Class values must be smaller than num_classes.");
        sizes.push(if num_classes == -1 { most } else { num_classes });
        let zeros = crate::copy::zeros(&sizes, DType::I64, this.device())?;
        scatter_value::call(&zeros, -1, &unsqueeze::call(this, -1)?, Scalar::Int(1))
    }
}

fn pair(name: &str, list: &[i64], least: i64) -> Result<[usize; 2]> {
    match *list {
        [a, b] if a >= least && b >= least => Ok([a as usize, b as usize]),
        [a, b] => {
            let rule = if least > 0 { "greater than zero" } else { "non-negative" };
            bail!("{name} should be {rule}, but got {name}_height: {a} {name}_width: {b}")
        }
        _ => bail!("It is expected {name} equals to 2, but got size {}", list.len()),
    }
}

/// The geometry of sliding blocks over images of those sizes.
fn geometry(
    batch: i64,
    channels: i64,
    image: [i64; 2],
    kernel: &[i64],
    dilation: &[i64],
    padding: &[i64],
    stride: &[i64],
) -> Result<Columns> {
    let (k, d) = (pair("kernel_size", kernel, 1)?, pair("dilation", dilation, 1)?);
    let (p, s) = (pair("padding", padding, 0)?, pair("stride", stride, 1)?);
    let size = image.map(|n| n as usize);
    let Some(blocks) = Columns::blocks(size, k, d, p, s) else {
        bail!(
            "Given input with spatial size ({}, {}), kernel_size=({}, {}), dilation=({}, {}), padding=({}, {}), calculated shape of the array of sliding blocks is too small: its components must be at least one.",
            image[0],
            image[1],
            k[0],
            k[1],
            d[0],
            d[1],
            p[0],
            p[1]
        )
    };
    Ok(Columns {
        batch: batch as usize,
        channels: channels as usize,
        image: size,
        kernel: k,
        dilation: d,
        padding: p,
        stride: s,
        blocks,
    })
}

/// Sliding blocks of images `[N, C, H, W]` as columns `[N, C kh kw, L]`.
#[op(
    "im2col(Tensor self, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor",
    out = "out"
)]
mod im2col {
    fn kernel(
        this: &Tensor,
        kernel_size: &[i64],
        dilation: &[i64],
        padding: &[i64],
        stride: &[i64],
    ) -> Result<Tensor> {
        require("im2col_out_cpu", this, |d| !d.is_integral_or_bool() || d == DType::Bool)?;
        let sizes = this.sizes();
        let (batch, rest) = match sizes.len() {
            4 if !sizes[1..].contains(&0) => (sizes[0], &sizes[1..]),
            3 if !sizes.contains(&0) => (1, &sizes[..]),
            _ => bail!(
                "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, but got: {:?}",
                sizes.as_slice()
            ),
        };
        let c = geometry(batch, rest[0], [rest[1], rest[2]], kernel_size, dilation, padding, stride)?;
        let (rows, blocks) =
            (rest[0] * (c.kernel[0] * c.kernel[1]) as i64, (c.blocks[0] * c.blocks[1]) as i64);
        let shape = Dims::from_slice(&[batch, rows, blocks][4 - sizes.len()..]);
        let (out, src) = (Tensor::empty_of(&shape, this.dtype(), this.device())?, raw::dense(this)?);
        let (dst, from) = (out.raw(), src.raw());
        access([&dst], [&from], |[dst], [from]| {
            // SAFETY: locked row-major tensors of the sizes in `c`.
            unsafe { index::im2col(dst.dtype, dst.ptr, from.ptr, &c) }
        });
        Ok(out)
    }
    fn grad_this(
        g: &Tensor,
        this: &Meta,
        kernel_size: &[i64],
        dilation: &[i64],
        padding: &[i64],
        stride: &[i64],
    ) -> Result<Tensor> {
        let image = &this.sizes()[this.dim() - 2..];
        col2im::call(g, image, kernel_size, dilation, padding, stride)
    }
}

/// Columns `[N, C kh kw, L]` summed to images `[N, C, H, W]`.
#[op(
    "col2im(Tensor self, SymInt[2] output_size, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor",
    out = "out",
    tags(core)
)]
mod col2im {
    fn kernel(
        this: &Tensor,
        output_size: &[i64],
        kernel_size: &[i64],
        dilation: &[i64],
        padding: &[i64],
        stride: &[i64],
    ) -> Result<Tensor> {
        require("col2im_out_cpu", this, |d| !d.is_integral_or_bool() || d == DType::Bool)?;
        let sizes = this.sizes();
        let size = pair("output_size", output_size, 1)?.map(|n| n as i64);
        let (batch, rows, blocks) = match *sizes.as_slice() {
            [n, rows, blocks] if rows > 0 && blocks > 0 => (n, rows, blocks),
            [rows, blocks] if rows > 0 && blocks > 0 => (1, rows, blocks),
            _ => bail!(
                "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for input, but got: {:?}",
                sizes.as_slice()
            ),
        };
        let area: i64 = kernel_size.iter().fold(1, |a, n| a.saturating_mul(*n));
        ensure!(
            area > 0 && rows % area == 0,
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got input.size(1)={rows} and kernel_size=({}, {}).",
            kernel_size.first().copied().unwrap_or(0),
            kernel_size.get(1).copied().unwrap_or(0)
        );
        let c = geometry(batch, rows / area, size, kernel_size, dilation, padding, stride)?;
        let expected = c.blocks[0].saturating_mul(c.blocks[1]) as i64;
        ensure!(
            blocks == expected,
            "Given output_size=({}, {}), kernel_size=({}, {}), dilation=({}, {}), padding=({}, {}), stride=({}, {}), expected size of input's dimension 2 to match the calculated number of sliding blocks {} * {} = {expected}, but got input.size(2)={blocks}.",
            size[0],
            size[1],
            c.kernel[0],
            c.kernel[1],
            c.dilation[0],
            c.dilation[1],
            c.padding[0],
            c.padding[1],
            c.stride[0],
            c.stride[1],
            c.blocks[0],
            c.blocks[1]
        );
        let shape = Dims::from_slice(&[batch, rows / area, size[0], size[1]][3 - sizes.len()..]);
        let (out, src) = (Tensor::empty_of(&shape, this.dtype(), this.device())?, raw::dense(this)?);
        let (dst, from) = (out.raw(), src.raw());
        access([&dst], [&from], |[dst], [from]| {
            // SAFETY: locked row-major tensors of the sizes in `c`.
            unsafe { index::col2im(dst.dtype, dst.ptr, from.ptr, &c) }
        });
        Ok(out)
    }
    fn grad_this(
        g: &Tensor,
        kernel_size: &[i64],
        dilation: &[i64],
        padding: &[i64],
        stride: &[i64],
    ) -> Result<Tensor> {
        im2col::call(g, kernel_size, dilation, padding, stride)
    }
}
