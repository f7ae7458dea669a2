//! New tensors.

use super::convert;
use super::raw;
use super::*;
use crate::layout::{Dims, checked_numel};
use crate::op::{OpDef, Out};
use crate::promotion::get_default_dtype;
use crate::{DType, Device, MemoryFormat, Result, Scalar, Tensor, bail, copy, ensure, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    empty,
    empty_strided,
    empty_permuted,
    empty_like,
    new_empty,
    new_empty_strided,
    zeros,
    zeros_like,
    new_zeros,
    ones,
    ones_like,
    new_ones,
    full,
    full_like,
    new_full,
    scalar_tensor,
    eye,
    eye_m,
    tril_indices,
    triu_indices,
];

/// The tensor that a factory fills: a fresh one, or the given one brought to those sizes.
pub(crate) fn blank(out: Out, sizes: &[i64], dtype: DType, device: Option<Device>) -> Result<Tensor> {
    match out {
        Out::Into(outs) => {
            checked_numel(sizes, 1)?;
            copy::resize_output(&outs[0], sizes)?;
            Ok(outs[0].clone())
        }
        _ => Tensor::empty_of(sizes, dtype, device.unwrap_or_default()),
    }
}

/// [`blank`], filled with one number.
fn filled(out: Out, sizes: &[i64], value: Scalar, dtype: DType, device: Option<Device>) -> Result<Tensor> {
    let t = blank(out, sizes, dtype, device)?;
    value.check_fits(t.dtype())?;
    copy::fill(&t, value);
    Ok(t)
}

/// A new tensor in the order of dimensions of `this`, or in a memory format.
fn like(
    this: &Tensor,
    dtype: Option<DType>,
    device: Option<Device>,
    format: Option<MemoryFormat>,
) -> Result<Tensor> {
    let dtype = dtype.unwrap_or(this.dtype());
    let t = copy::empty_in_format(this, dtype, format.unwrap_or(MemoryFormat::Preserve))?;
    match device {
        Some(device) if device != t.device() => {
            Tensor::empty_strided_of(&t.sizes(), &t.strides(), dtype, device)
        }
        _ => Ok(t),
    }
}

fn filled_like(
    this: &Tensor,
    value: Scalar,
    dtype: Option<DType>,
    device: Option<Device>,
    format: Option<MemoryFormat>,
) -> Result<Tensor> {
    let t = like(this, dtype, device, format)?;
    value.check_fits(t.dtype())?;
    copy::fill(&t, value);
    Ok(t)
}

/// A tensor of unspecified content.
#[op(
    "empty.memory_format(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "out",
    tags(factory)
)]
mod empty {
    fn kernel(
        size: &[i64],
        dtype: Option<DType>,
        device: Option<Device>,
        memory_format: Option<MemoryFormat>,
        out: Out,
    ) -> Result<Tensor> {
        let t = blank(out, size, dtype.unwrap_or_else(get_default_dtype), device)?;
        match memory_format {
            None | Some(MemoryFormat::Contiguous) => Ok(t),
            Some(MemoryFormat::Preserve) => bail!("unsupported memory format Preserve"),
            Some(format) => copy::empty_in_format(&t, t.dtype(), format),
        }
    }
}

/// A tensor of unspecified content with those strides.
#[op(
    "empty_strided(SymInt[] size, SymInt[] stride, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    tags(factory)
)]
mod empty_strided {
    fn kernel(size: &[i64], stride: &[i64], dtype: Option<DType>, device: Option<Device>) -> Result<Tensor> {
        ensure!(
            size.len() == stride.len(),
            "dimensionality of sizes ({}) must match dimensionality of strides ({})",
            size.len(),
            stride.len()
        );
        Tensor::empty_strided_of(
            size,
            stride,
            dtype.unwrap_or_else(get_default_dtype),
            device.unwrap_or_default(),
        )
    }
}

/// A dense tensor of unspecified content with its dimensions in memory in the order `physical_layout`.
#[op(
    "empty_permuted(SymInt[] size, int[] physical_layout, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    tags(factory)
)]
mod empty_permuted {
    fn kernel(
        size: &[i64],
        physical_layout: &[i64],
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        let n = size.len();
        ensure!(
            n == physical_layout.len(),
            "Number of dimensions in size does not match the length of the physical_layout; i.e. len(size) = {n} is not equal to len(physical_layout) = {}",
            physical_layout.len()
        );
        let mut seen = vec![false; n];
        for (i, &d) in physical_layout.iter().enumerate() {
            ensure!(
                (0..n as i64).contains(&d),
                "Dimension out of range (expected to be between 0 and {}, but got {d} at index {i}).  NB: negative dims not currently supported; file an issue if you want it.",
                n as i64 - 1
            );
            ensure!(!std::mem::replace(&mut seen[d as usize], true), "Duplicate dim not allowed");
        }
        let mut strides = Dims::from_elem(1, n);
        let mut step = 1;
        for &d in physical_layout.iter().rev() {
            strides[d as usize] = step;
            step *= size[d as usize].max(1);
        }
        Tensor::empty_strided_of(
            size,
            &strides,
            dtype.unwrap_or_else(get_default_dtype),
            device.unwrap_or_default(),
        )
    }
}

/// A tensor of unspecified content like `self`.
#[op(
    "empty_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor",
    no_grad = "the content is unspecified"
)]
mod empty_like {
    fn kernel(
        this: &Tensor,
        dtype: Option<DType>,
        device: Option<Device>,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        like(this, dtype, device, memory_format)
    }
    fn sparse(
        this: &Tensor,
        dtype: Option<DType>,
        device: Option<Device>,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        let _ = (device, memory_format);
        convert::sparse_zeros(this, dtype.unwrap_or(this.dtype()))
    }
}

/// A tensor of unspecified content with the dtype of `self`.
#[op(
    "new_empty(Tensor self, SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "the content is unspecified"
)]
mod new_empty {
    fn kernel(this: &Tensor, size: &[i64], dtype: Option<DType>, device: Option<Device>) -> Result<Tensor> {
        Tensor::empty_of(size, dtype.unwrap_or(this.dtype()), device.unwrap_or(this.device()))
    }
}

/// A tensor of unspecified content with the dtype of `self` and those strides.
#[op(
    "new_empty_strided(Tensor self, SymInt[] size, SymInt[] stride, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "the content is unspecified"
)]
mod new_empty_strided {
    fn kernel(
        this: &Tensor,
        size: &[i64],
        stride: &[i64],
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        empty_strided::call(
            size,
            stride,
            Some(dtype.unwrap_or(this.dtype())),
            Some(device.unwrap_or(this.device())),
        )
    }
}

/// Zeros.
#[op(
    "zeros(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "out",
    tags(factory)
)]
mod zeros {
    fn kernel(size: &[i64], dtype: Option<DType>, device: Option<Device>, out: Out) -> Result<Tensor> {
        ensure!(size.iter().all(|n| *n >= 0), "zeros: Dimension size must be non-negative.");
        filled(out, size, Scalar::Int(0), dtype.unwrap_or_else(get_default_dtype), device)
    }
}

/// Ones.
#[op(
    "ones(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "out",
    tags(factory)
)]
mod ones {
    fn kernel(size: &[i64], dtype: Option<DType>, device: Option<Device>, out: Out) -> Result<Tensor> {
        filled(out, size, Scalar::Int(1), dtype.unwrap_or_else(get_default_dtype), device)
    }
}

/// One number everywhere; its kind gives the dtype unless that is given.
#[op(
    "full(SymInt[] size, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "out",
    tags(factory)
)]
mod full {
    fn kernel(
        size: &[i64],
        fill_value: Scalar,
        dtype: Option<DType>,
        device: Option<Device>,
        out: Out,
    ) -> Result<Tensor> {
        let natural = match fill_value {
            Scalar::Bool(_) => DType::Bool,
            Scalar::Int(_) => DType::I64,
            Scalar::Float(_) => get_default_dtype(),
            Scalar::Complex(_) => get_default_dtype().to_complex(),
        };
        filled(out, size, fill_value, dtype.unwrap_or(natural), device)
    }
}

/// Zeros like `self`.
#[op(
    "zeros_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor",
    no_grad = "constant"
)]
mod zeros_like {
    fn kernel(
        this: &Tensor,
        dtype: Option<DType>,
        device: Option<Device>,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        filled_like(this, Scalar::Int(0), dtype, device, memory_format)
    }
    fn sparse(
        this: &Tensor,
        dtype: Option<DType>,
        device: Option<Device>,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        let _ = (device, memory_format);
        convert::sparse_zeros(this, dtype.unwrap_or(this.dtype()))
    }
}

/// Zeros with the dtype of `self`.
#[op(
    "new_zeros(Tensor self, SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "constant"
)]
mod new_zeros {
    fn kernel(this: &Tensor, size: &[i64], dtype: Option<DType>, device: Option<Device>) -> Result<Tensor> {
        filled(
            Out::New,
            size,
            Scalar::Int(0),
            dtype.unwrap_or(this.dtype()),
            Some(device.unwrap_or(this.device())),
        )
    }
}

/// Ones like `self`.
#[op(
    "ones_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor",
    no_grad = "constant"
)]
mod ones_like {
    fn kernel(
        this: &Tensor,
        dtype: Option<DType>,
        device: Option<Device>,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        filled_like(this, Scalar::Int(1), dtype, device, memory_format)
    }
}

/// Ones with the dtype of `self`.
#[op(
    "new_ones(Tensor self, SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "constant"
)]
mod new_ones {
    fn kernel(this: &Tensor, size: &[i64], dtype: Option<DType>, device: Option<Device>) -> Result<Tensor> {
        filled(
            Out::New,
            size,
            Scalar::Int(1),
            dtype.unwrap_or(this.dtype()),
            Some(device.unwrap_or(this.device())),
        )
    }
}

/// One number everywhere, like `self`.
#[op(
    "full_like(Tensor self, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor",
    no_grad = "constant"
)]
mod full_like {
    fn kernel(
        this: &Tensor,
        fill_value: Scalar,
        dtype: Option<DType>,
        device: Option<Device>,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        filled_like(this, fill_value, dtype, device, memory_format)
    }
}

/// One number everywhere, with the dtype of `self`.
#[op(
    "new_full(Tensor self, SymInt[] size, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "constant"
)]
mod new_full {
    fn kernel(
        this: &Tensor,
        size: &[i64],
        fill_value: Scalar,
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        filled(
            Out::New,
            size,
            fill_value,
            dtype.unwrap_or(this.dtype()),
            Some(device.unwrap_or(this.device())),
        )
    }
}

/// A 0-dim tensor of a number.
#[op(
    "scalar_tensor(Scalar s, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    tags(factory)
)]
mod scalar_tensor {
    fn kernel(s: Scalar, dtype: Option<DType>, device: Option<Device>) -> Result<Tensor> {
        filled(Out::New, &[], s, dtype.unwrap_or_else(get_default_dtype), device)
    }
}

/// The identity matrix of `n` rows.
#[op(
    "eye(SymInt n, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "out",
    tags(factory)
)]
mod eye {
    fn kernel(n: i64, dtype: Option<DType>, device: Option<Device>, out: Out) -> Result<Tensor> {
        eye_m::kernel(n, n, dtype, device, out)
    }
}

/// Ones on the diagonal of `n` rows and `m` columns of zeros.
#[op(
    "eye.m(SymInt n, SymInt m, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "m_out",
    tags(factory)
)]
mod eye_m {
    pub(super) fn kernel(
        n: i64,
        m: i64,
        dtype: Option<DType>,
        device: Option<Device>,
        out: Out,
    ) -> Result<Tensor> {
        ensure!(n >= 0, "n must be greater or equal to 0, got {n}");
        ensure!(m >= 0, "m must be greater or equal to 0, got {m}");
        let t = filled(out, &[n, m], Scalar::Int(0), dtype.unwrap_or_else(get_default_dtype), device)?;
        copy::fill(&raw::window(&t, view_layout::diagonal(&t.layout(), 0, 0, 1)?)?, Scalar::Int(1));
        Ok(t)
    }
}

/// Row and column numbers of one triangle, those of row `i` before those of row `i + 1`.
fn triangle_indices(
    name: &str,
    row: i64,
    col: i64,
    columns: impl Fn(i64) -> (i64, i64),
    dtype: Option<DType>,
) -> Result<Tensor> {
    ensure!(row >= 0, "row must be non-negative, got{row}");
    ensure!(col >= 0, "col must be non-negative, got{col}");
    let dtype = dtype.unwrap_or(DType::I64);
    if !matches!(dtype, DType::I64 | DType::I32) {
        bail!(NotImplemented, "\"{name}\" not implemented for '{}'", dtype.scalar_type());
    }
    // Rows are looked at one by one, so no more of them than can be named in memory.
    crate::copy::check_room(row)?;
    let (mut rows, mut cols) = (Vec::new(), Vec::new());
    for i in 0..row {
        let (start, end) = columns(i);
        crate::copy::check_room(end.min(col).saturating_sub(start.max(0)).max(0).saturating_mul(2))?;
        for j in start.clamp(0, col)..end.clamp(0, col) {
            rows.push(i);
            cols.push(j);
        }
    }
    let n = rows.len() as i64;
    rows.extend(cols);
    raw::cast(&Tensor::from_vec(rows, [2, n])?, dtype)
}

/// Coordinates of the elements on and below a diagonal.
#[op(
    "tril_indices(int row, int col, int offset=0, *, ScalarType? dtype=4, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    tags(factory)
)]
mod tril_indices {
    fn kernel(row: i64, col: i64, offset: i64, dtype: Option<DType>) -> Result<Tensor> {
        triangle_indices("tril_indices", row, col, |i| (0, i.saturating_add(offset).saturating_add(1)), dtype)
    }
}

/// Coordinates of the elements on and above a diagonal.
#[op(
    "triu_indices(int row, int col, int offset=0, *, ScalarType? dtype=4, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    tags(factory)
)]
mod triu_indices {
    fn kernel(row: i64, col: i64, offset: i64, dtype: Option<DType>) -> Result<Tensor> {
        triangle_indices("triu_indices", row, col, |i| (i.saturating_add(offset), col), dtype)
    }
}
