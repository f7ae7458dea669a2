//! Padding.

use super::raw::{self, Indexed, Visit};
use super::*;
use crate::MemoryFormat;
use crate::autograd::Meta;
use crate::layout::{Dims, Layout};
use crate::op::OpDef;
use crate::storage::access;
use crate::supported::{inexact, numbers, require};
use crate::{DType, Result, Scalar, Tensor, bail, ensure, op_list};
use cresset_kernels::index::{Border, Combine, pad as pad_rows};
use cresset_kernels::strided::Operand;
use cresset_macros::op;
use smallvec::SmallVec;

pub(crate) static OPS: &[&OpDef] = op_list![
    pad,
    constant_pad_nd,
    _pad_circular,
    reflection_pad1d,
    reflection_pad1d_backward,
    reflection_pad2d,
    reflection_pad2d_backward,
    reflection_pad3d,
    reflection_pad3d_backward,
    replication_pad1d,
    replication_pad1d_backward,
    replication_pad2d,
    replication_pad2d_backward,
    replication_pad3d,
    replication_pad3d_backward,
];

/// Elements added before (negative: taken away) and after each dimension, from a list that starts at the last one.
fn amounts(pad: &[i64], rank: usize) -> Vec<(i64, i64)> {
    (0..rank).map(|d| pad.get(2 * (rank - 1 - d)..2 * (rank - d)).map_or((0, 0), |p| (p[0], p[1]))).collect()
}

/// Adds elements of one value around the last dimensions, or takes elements away.
#[op("constant_pad_nd(Tensor self, SymInt[] pad, Scalar value=0) -> Tensor", out = "out", tags(core))]
mod constant_pad_nd {
    fn kernel(this: &Tensor, pad: &[i64], value: Scalar) -> Result<Tensor> {
        let rank = this.dim();
        ensure!(
            pad.len().is_multiple_of(2),
            "Length of pad must be even but instead it equals {}",
            pad.len()
        );
        ensure!(
            pad.len() / 2 <= rank,
            "Length of pad should be no more than twice the number of dimensions of the input. Pad length is {} while the input has {rank} dimensions.",
            pad.len()
        );
        let (amounts, from) = (amounts(pad, rank), this.layout());
        let mut sizes = from.sizes.clone();
        for (d, (before, after)) in amounts.iter().enumerate() {
            // PyTorch cuts one end after the other before it adds anything.
            let cut = sizes[d].saturating_add((*before).min(0)).saturating_add((*after).min(0));
            let first = sizes[d].saturating_add((*before).min(0));
            ensure!(first >= 0 && cut >= 0, "narrow(): length must be non-negative.");
            sizes[d] = before.checked_add(*after).and_then(|n| n.checked_add(sizes[d])).unwrap_or(i64::MIN);
        }
        let format = from.suggested_format();
        let out = crate::copy::empty_of_format(&sizes, this.dtype(), this.device(), format)?;
        let edge = Tensor::empty_of(&[], this.dtype(), this.device())?;
        crate::copy::fill(&edge, value);
        write_padded(Border::Constant, &out, this, &amounts, &edge);
        Ok(out)
    }
    fn grad_this(g: &Tensor, pad: &[i64]) -> Result<Tensor> {
        let back: Vec<i64> = pad.iter().map(|p| -p).collect();
        constant_pad_nd::call(g, &back, Scalar::Int(0))
    }
}

/// Writes the original to `out`, `amounts` after its start, and the border around it; `edge` is the value of a constant one.
fn write_padded(border: Border, out: &Tensor, this: &Tensor, amounts: &[(i64, i64)], edge: &Tensor) {
    let (to, from, edge) = (out.raw(), this.raw(), edge.raw());
    // Dimensions in the order in which the result lies in memory.
    let mut order: SmallVec<[usize; 5]> = (0..to.layout.sizes.len()).collect();
    order.sort_by_key(|d| std::cmp::Reverse(to.layout.strides[*d]));
    let ordered = |values: &[i64]| -> Dims { order.iter().map(|d| values[*d]).collect() };
    let before: Dims = order.iter().map(|d| amounts[*d].0).collect();
    if out.numel() == 0 {
        return;
    }
    access([&to], [&from, &edge], |[to], [from, edge]| {
        let strides = ordered(from.strides);
        let src = Operand::new(from.ptr, from.dtype, &strides);
        let (to_sizes, from_sizes) = (ordered(to.sizes), ordered(from.sizes));
        // SAFETY: locked views; the result is fresh and dense in that order, its sizes fit the border's width.
        unsafe { pad_rows(border, &to_sizes, to.ptr, &from_sizes, src, &before, edge.ptr) }
    });
}

/// Pads the last dimensions in one of the modes `constant`, `reflect`, `replicate` and `circular`.
#[op(
    "pad(Tensor self, SymInt[] pad, str mode=\"constant\", float? value=None) -> Tensor",
    composite,
    onnx = "Pad"
)]
mod pad {
    fn kernel(this: &Tensor, pad: &[i64], mode: &str, value: Option<f64>) -> Result<Tensor> {
        let n = this.dim();
        ensure!(pad.len().is_multiple_of(2), "Padding length must be divisible by 2");
        ensure!(
            pad.len() <= 2 * n,
            "Padding length should be less than or equal to two times the input dimension but got padding length {} and input of dimension {n}",
            pad.len()
        );
        if mode == "constant" {
            return constant_pad_nd::call(this, pad, value.map_or(Scalar::Int(0), Scalar::Float));
        }
        ensure!(value.is_none_or(|v| v == 0.0), "Padding mode \"{mode}\" doesn't take in value argument");
        let fits = |k: usize| pad.len() == 2 * k && (n == k + 1 || n == k + 2);
        match (mode, pad.len() / 2) {
            ("reflect", 1) if fits(1) => reflection_pad1d::call(this, pad),
            ("reflect", 2) if fits(2) => reflection_pad2d::call(this, pad),
            ("reflect", 3) if fits(3) => reflection_pad3d::call(this, pad),
            ("replicate", 1) if fits(1) => replication_pad1d::call(this, pad),
            ("replicate", 2) if fits(2) => replication_pad2d::call(this, pad),
            ("replicate", 3) if fits(3) => replication_pad3d::call(this, pad),
            ("circular", 1..=3) if fits(pad.len() / 2) => _pad_circular::call(this, pad),
            ("reflect" | "replicate" | "circular", _) => bail!(
                NotImplemented,
                "Padding size {} is not supported for {n}D input tensor.\nSupported combinations for non-constant padding:\n  - 2D or 3D input: padding size = 2 (pads last dimension)\n  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)",
                pad.len()
            ),
            _ => bail!(NotImplemented, "Unrecognised padding mode {mode}"),
        }
    }
}

/// Pads the last dimensions with what is at their other end.
#[op("_pad_circular(Tensor self, SymInt[] pad) -> Tensor", composite, no_method)]
mod _pad_circular {
    fn kernel(this: &Tensor, pad: &[i64]) -> Result<Tensor> {
        let rank = this.dim();
        ensure!(
            pad.len() / 2 < rank,
            "Invalid padding size, expected {} but got {}",
            2 * rank.saturating_sub(2),
            pad.len()
        );
        let mut result = this.clone();
        for (d, (before, after)) in amounts(pad, rank).into_iter().enumerate() {
            let size = this.sizes()[d];
            ensure!(before <= size && after <= size, "Padding value causes wrapping around more than once.");
            ensure!(size + before + after >= 0, "Negative padding value is resulting in an empty dimension");
            if (before, after) != (0, 0) {
                result = wrap_around(&result, d as i64, size, before, after)?;
            }
        }
        result.contiguous()
    }
}

/// Cuts what negative widths take away, then repeats the ends of what is left.
fn wrap_around(t: &Tensor, d: i64, size: i64, before: i64, after: i64) -> Result<Tensor> {
    let end = size + after.min(0);
    let middle = slice::call(t, d, Some((-before).max(0)), Some(end), 1)?;
    let left = middle.size(d)?;
    ensure!(before <= left && after <= left, "Padding value causes wrapping around more than once.");
    let mut parts = Vec::new();
    if before > 0 {
        parts.push(slice::call(&middle, d, Some(left - before), None, 1)?);
    }
    parts.push(middle.clone());
    if after > 0 {
        parts.push(slice::call(&middle, d, Some(0), Some(after), 1)?);
    }
    cat::call(&parts, d)
}

/// For each padded dimension the position in the original that each of its positions shows.
struct Maps {
    sizes: Dims,
    maps: Vec<(usize, Tensor)>,
}

impl Maps {
    fn new(border: Border, sizes: &[i64], pad: &[i64], spatial: usize) -> Result<Maps> {
        let padded = padded(border, sizes, pad, spatial)?;
        let amounts = amounts(pad, sizes.len());
        let mut maps = Vec::new();
        for d in sizes.len() - spatial..sizes.len() {
            let (before, _) = amounts[d];
            // Allocated as a tensor first, so that an absurd size is an error and not the end of the process.
            drop(Tensor::empty_of(&[padded[d]], DType::I64, crate::Device::Cpu)?);
            let map: Vec<i64> = (0..padded[d]).filter_map(|i| border.place(i - before, sizes[d])).collect();
            maps.push((d, Tensor::from_slice(&map, [padded[d]])?));
        }
        Ok(Maps { sizes: padded, maps })
    }

    /// The strides of the original in the loop over the padded sizes, and the maps as indices into it.
    fn indexed<'a>(&'a self, original: &Layout) -> (Dims, Vec<Indexed<'a>>) {
        let mut strides = original.strides.clone();
        let of = |(d, map): &'a (usize, Tensor)| {
            let mut own = Dims::from_elem(0, self.sizes.len());
            own[*d] = 1;
            Indexed {
                indices: map,
                strides: own,
                size: original.sizes[*d],
                stride: original.strides[*d],
                low: 0,
            }
        };
        let indexed = self.maps.iter().map(of).collect();
        self.maps.iter().for_each(|(d, _)| strides[*d] = 0);
        (strides, indexed)
    }
}

/// The sizes with `pad` added.
fn padded(border: Border, sizes: &[i64], pad: &[i64], spatial: usize) -> Result<Dims> {
    check(border, sizes, pad, spatial)?;
    let (mut padded, start) = (Dims::from_slice(sizes), sizes.len() - spatial);
    for (d, (before, after)) in amounts(pad, sizes.len()).into_iter().enumerate().skip(start) {
        padded[d] = before.checked_add(after).and_then(|n| n.checked_add(sizes[d])).unwrap_or(i64::MIN);
    }
    check_padded(&sizes[start..], &padded[start..])?;
    Ok(padded)
}

/// Refuses results without elements.
fn check_padded(sizes: &[i64], padded: &[i64]) -> Result<()> {
    if padded.iter().all(|n| *n >= 1) {
        return Ok(());
    }
    if let ([size], [out]) = (sizes, padded) {
        bail!("input (W: {size}) is too small. Calculated output W: {out}");
    }
    let named = |list: &[i64], between: &str| {
        let names = &["D", "H", "W"][3 - list.len()..];
        names.iter().zip(list).map(|(n, x)| format!("{n}: {x}")).collect::<Vec<_>>().join(between)
    };
    bail!(
        "Calculated output {} must be >= 1 in every dimension (input {})",
        named(padded, " "),
        named(sizes, ", ")
    )
}

fn check(border: Border, sizes: &[i64], pad: &[i64], spatial: usize) -> Result<()> {
    ensure!(
        pad.len() == 2 * spatial,
        "padding size is expected to be {}, but got: {}",
        2 * spatial,
        pad.len()
    );
    let n = sizes.len();
    let lead = n.saturating_sub(spatial);
    if !(lead == 1 || lead == 2) || sizes[n - spatial - 1..].contains(&0) {
        let which = format!("{}D or {}D", spatial + 1, spatial + 2);
        bail!(
            "Expected {which} (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, but got: {sizes:?}"
        );
    }
    if border == Border::Reflect {
        for (k, p) in pad.chunks(2).enumerate() {
            let d = n - 1 - k;
            ensure!(
                p[0] < sizes[d] && p[1] < sizes[d],
                "Argument #{}: Padding size should be less than the corresponding input dimension, but got: padding ({}, {}) at dimension {d} of input {sizes:?}",
                4 + 2 * k,
                p[0],
                p[1]
            );
        }
    }
    Ok(())
}

fn extend(border: Border, this: &Tensor, pad: &[i64], spatial: usize) -> Result<Tensor> {
    let sizes = padded(border, &this.sizes(), pad, spatial)?;
    let format = if spatial > 1 { this.layout().suggested_format() } else { MemoryFormat::Contiguous };
    let out = crate::copy::empty_of_format(&sizes, this.dtype(), this.device(), format)?;
    write_padded(border, &out, this, &amounts(pad, this.dim()), this);
    Ok(out)
}

fn fold_back(border: Border, grad: &Tensor, sizes: &[i64], pad: &[i64], spatial: usize) -> Result<Tensor> {
    let maps = Maps::new(border, sizes, pad, spatial)?;
    ensure!(
        grad.sizes() == maps.sizes,
        "gradOutput sizes unexpected. Expected: {:?}, Got: {:?}",
        maps.sizes.as_slice(),
        grad.sizes().as_slice()
    );
    let out = crate::copy::zeros(sizes, grad.dtype(), grad.device())?;
    let (strides, indexed) = maps.indexed(&out.layout());
    raw::visit(
        Visit::Combine(Combine::Sum),
        &maps.sizes,
        (&out, &strides),
        (grad, &grad.strides()),
        &indexed,
    );
    Ok(out)
}

/// Pads the last dimension with elements mirrored at the edge.
#[op("reflection_pad1d(Tensor self, SymInt[2] padding) -> Tensor", autocast = "fp32", out = "out")]
mod reflection_pad1d {
    fn kernel(this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        require("reflection_pad1d", this, numbers)?;
        extend(Border::Reflect, this, padding, 1)
    }
    fn grad_this(g: &Tensor, this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        reflection_pad1d_backward::call(g, this, padding)
    }
}

/// Gradient of [`reflection_pad1d`].
#[op("reflection_pad1d_backward(Tensor grad_output, Tensor self, SymInt[2] padding) -> Tensor", no_method)]
mod reflection_pad1d_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        require("reflection_pad1d_backward", grad_output, inexact)?;
        fold_back(Border::Reflect, grad_output, &this.sizes(), padding, 1)
    }
    fn grad_grad_output(g: &Tensor, padding: &[i64]) -> Result<Tensor> {
        reflection_pad1d::call(g, padding)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
}

/// Pads the last two dimensions with elements mirrored at the edge.
#[op("reflection_pad2d(Tensor self, SymInt[4] padding) -> Tensor", autocast = "fp32", out = "out")]
mod reflection_pad2d {
    fn kernel(this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        require("reflection_pad2d", this, numbers)?;
        extend(Border::Reflect, this, padding, 2)
    }
    fn grad_this(g: &Tensor, this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        reflection_pad2d_backward::call(g, this, padding)
    }
}

/// Gradient of [`reflection_pad2d`].
#[op("reflection_pad2d_backward(Tensor grad_output, Tensor self, SymInt[4] padding) -> Tensor", no_method)]
mod reflection_pad2d_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        require("reflection_pad2d_backward", grad_output, inexact)?;
        fold_back(Border::Reflect, grad_output, &this.sizes(), padding, 2)
    }
    fn grad_grad_output(g: &Tensor, padding: &[i64]) -> Result<Tensor> {
        reflection_pad2d::call(g, padding)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
}

/// Pads the last three dimensions with elements mirrored at the edge.
#[op("reflection_pad3d(Tensor self, SymInt[6] padding) -> Tensor", out = "out")]
mod reflection_pad3d {
    fn kernel(this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        extend(Border::Reflect, this, padding, 3)
    }
    fn grad_this(g: &Tensor, this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        reflection_pad3d_backward::call(g, this, padding)
    }
}

/// Gradient of [`reflection_pad3d`].
#[op("reflection_pad3d_backward(Tensor grad_output, Tensor self, SymInt[6] padding) -> Tensor", no_method)]
mod reflection_pad3d_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        fold_back(Border::Reflect, grad_output, &this.sizes(), padding, 3)
    }
    fn grad_grad_output(g: &Tensor, padding: &[i64]) -> Result<Tensor> {
        reflection_pad3d::call(g, padding)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
}

/// Pads the last dimension with elements repeated from the edge.
#[op("replication_pad1d(Tensor self, SymInt[2] padding) -> Tensor", autocast = "fp32", out = "out")]
mod replication_pad1d {
    fn kernel(this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        require("replication_pad1d", this, numbers)?;
        extend(Border::Replicate, this, padding, 1)
    }
    fn grad_this(g: &Tensor, this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        replication_pad1d_backward::call(g, this, padding)
    }
}

/// Gradient of [`replication_pad1d`].
#[op("replication_pad1d_backward(Tensor grad_output, Tensor self, SymInt[2] padding) -> Tensor", no_method)]
mod replication_pad1d_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        fold_back(Border::Replicate, grad_output, &this.sizes(), padding, 1)
    }
    fn grad_grad_output(g: &Tensor, padding: &[i64]) -> Result<Tensor> {
        replication_pad1d::call(g, padding)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
}

/// Pads the last two dimensions with elements repeated from the edge.
#[op("replication_pad2d(Tensor self, SymInt[4] padding) -> Tensor", autocast = "fp32", out = "out")]
mod replication_pad2d {
    fn kernel(this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        require("replication_pad2d", this, numbers)?;
        extend(Border::Replicate, this, padding, 2)
    }
    fn grad_this(g: &Tensor, this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        replication_pad2d_backward::call(g, this, padding)
    }
}

/// Gradient of [`replication_pad2d`].
#[op("replication_pad2d_backward(Tensor grad_output, Tensor self, SymInt[4] padding) -> Tensor", no_method)]
mod replication_pad2d_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        fold_back(Border::Replicate, grad_output, &this.sizes(), padding, 2)
    }
    fn grad_grad_output(g: &Tensor, padding: &[i64]) -> Result<Tensor> {
        replication_pad2d::call(g, padding)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
}

/// Pads the last three dimensions with elements repeated from the edge.
#[op("replication_pad3d(Tensor self, SymInt[6] padding) -> Tensor", autocast = "fp32", out = "out")]
mod replication_pad3d {
    fn kernel(this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        extend(Border::Replicate, this, padding, 3)
    }
    fn grad_this(g: &Tensor, this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        replication_pad3d_backward::call(g, this, padding)
    }
}

/// Gradient of [`replication_pad3d`].
#[op("replication_pad3d_backward(Tensor grad_output, Tensor self, SymInt[6] padding) -> Tensor", no_method)]
mod replication_pad3d_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, padding: &[i64]) -> Result<Tensor> {
        fold_back(Border::Replicate, grad_output, &this.sizes(), padding, 3)
    }
    fn grad_grad_output(g: &Tensor, padding: &[i64]) -> Result<Tensor> {
        replication_pad3d::call(g, padding)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
}
