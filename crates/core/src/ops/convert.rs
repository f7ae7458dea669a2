//! Copies, casts and changes of size.

use super::raw;
use crate::autograd::Meta;
use crate::layout::{Layout, broadcast_shapes, channels_last_strides};
use crate::op::{OpDef, Out};
use crate::sparse;
use crate::{DType, Device, MemoryFormat, Result, Scalar, Tensor, bail, copy, ensure, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    copy_,
    copy_from,
    zero,
    fill,
    fill_tensor,
    fill_diagonal_,
    clone_tensor,
    contiguous,
    to_dtype,
    to_device,
    to_other,
    to_dtype_layout,
    _to_copy,
    type_as,
    resize_,
    resize_as_,
];

/// Overwrites the elements with those of `src`, which broadcasts, converting them.
#[op("copy_(Tensor(a!) self, Tensor src, bool non_blocking=False) -> Tensor(a!)")]
mod copy_ {
    fn kernel(this: &Tensor, src: &Tensor, non_blocking: bool) -> Result<Tensor> {
        // Copies within main memory are always finished on return.
        let _ = non_blocking;
        check_broadcast(this, src)?;
        copy::copy_into(this, src)?;
        Ok(this.clone())
    }
    fn sparse(this: &Tensor, src: &Tensor, non_blocking: bool) -> Result<Tensor> {
        let _ = non_blocking;
        sparse::store(this, src)?;
        Ok(this.clone())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        copy::zeros(&g.sizes(), g.dtype(), g.device())
    }
    fn grad_src(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
}

/// Checks that `src` broadcasts to the sizes of `this`.
fn check_broadcast(this: &Tensor, src: &Tensor) -> Result<()> {
    let (to, from) = (this.sizes(), src.sizes());
    let common = broadcast_shapes(&to, &from)?;
    ensure!(
        common == to,
        "output with shape {:?} doesn't match the broadcast shape {:?}",
        to.as_slice(),
        common.as_slice()
    );
    Ok(())
}

/// A sparse tensor like `this` without elements.
pub(super) fn sparse_zeros(this: &Tensor, dtype: DType) -> Result<Tensor> {
    let parts = sparse::expect(this, "zeros_like")?;
    super::sparse::without_elements(parts.sparse_dim(), &this.sizes(), dtype, this.device())
}

/// Zeros of the same shape; in place, overwrites the elements with zeros.
#[op("zero(Tensor self) -> Tensor", inplace, out = "out")]
mod zero {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        let t = crate::pointwise::output(out, &this.sizes(), this.dtype(), &[this])?;
        copy::fill(&t, Scalar::Int(0));
        Ok(t)
    }
    fn sparse(this: &Tensor) -> Result<Tensor> {
        sparse_zeros(this, this.dtype())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        copy::zeros(&g.sizes(), g.dtype(), g.device())
    }
}

/// A copy with storage of its own, as `torch.clone`; Rust's `clone` is another handle to the same tensor.
#[op("clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor")]
mod clone_tensor {
    fn kernel(this: &Tensor, memory_format: Option<MemoryFormat>) -> Result<Tensor> {
        let out = copy::empty_in_format(this, this.dtype(), memory_format.unwrap_or(MemoryFormat::Preserve))?;
        copy::copy_into(&out, this)?;
        Ok(out)
    }
    fn sparse(this: &Tensor, memory_format: Option<MemoryFormat>) -> Result<Tensor> {
        ensure!(
            memory_format.is_none_or(|f| f == MemoryFormat::Preserve),
            "unsupported memory format option {:?}",
            memory_format.unwrap_or_default()
        );
        let parts = sparse::expect(this, "clone")?;
        let (indices, values) = (parts.indices.clone_tensor()?, parts.values.clone_tensor()?);
        sparse::Sparse { indices, values, ..parts }.into_tensor(&this.sizes())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
}

/// Whether `format` asks for nothing that the tensor is not already.
fn is_in_format(this: &Tensor, format: MemoryFormat) -> bool {
    match format {
        MemoryFormat::Preserve => true,
        MemoryFormat::Contiguous => this.is_contiguous(),
        MemoryFormat::ChannelsLast | MemoryFormat::ChannelsLast3d => this.layout().is_channels_last(),
    }
}

/// The tensor itself if its elements lie in that order without gaps, else a copy that does.
#[op("contiguous(Tensor(a) self, *, MemoryFormat memory_format=0) -> Tensor(a)", composite)]
mod contiguous {
    fn kernel(this: &Tensor, memory_format: MemoryFormat) -> Result<Tensor> {
        if memory_format != MemoryFormat::Preserve && is_in_format(this, memory_format) {
            return Ok(this.clone());
        }
        ensure!(
            memory_format != MemoryFormat::Preserve,
            "preserve memory format is unsupported by the contiguous operator"
        );
        clone_tensor::call(this, Some(memory_format))
    }
}

/// What all forms of `to` do: the tensor itself if nothing changes and no copy is asked for.
fn converted(
    this: &Tensor,
    dtype: Option<DType>,
    device: Option<Device>,
    copy: bool,
    memory_format: Option<MemoryFormat>,
) -> Result<Tensor> {
    let format = memory_format.unwrap_or(MemoryFormat::Preserve);
    let same = dtype.is_none_or(|d| d == this.dtype()) && device.is_none_or(|d| d == this.device());
    // Any strides but channels-last ones count as contiguous here, as in PyTorch.
    let kept = match format {
        MemoryFormat::Contiguous => this.is_contiguous() || !this.layout().is_channels_last(),
        other => is_in_format(this, other),
    };
    if same && !copy && kept {
        return Ok(this.clone());
    }
    _to_copy::call(this, dtype, device, false, Some(format))
}

/// A copy in another dtype; the tensor itself if it has that dtype already.
#[op(
    "to.dtype(Tensor(a) self, ScalarType dtype, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor(a)",
    composite
)]
mod to_dtype {
    fn kernel(
        this: &Tensor,
        dtype: DType,
        non_blocking: bool,
        copy: bool,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        let _ = non_blocking;
        converted(this, Some(dtype), None, copy, memory_format)
    }
}

/// A copy on another device and in another dtype.
#[op(
    "to.device(Tensor(a) self, Device device, ScalarType dtype, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor(a)",
    composite
)]
mod to_device {
    fn kernel(
        this: &Tensor,
        device: Device,
        dtype: DType,
        non_blocking: bool,
        copy: bool,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        let _ = non_blocking;
        converted(this, Some(dtype), Some(device), copy, memory_format)
    }
}

/// A copy with the dtype and on the device of `other`.
#[op(
    "to.other(Tensor(a) self, Tensor other, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor(a)",
    composite
)]
mod to_other {
    fn kernel(
        this: &Tensor,
        other: &Tensor,
        non_blocking: bool,
        copy: bool,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        let _ = non_blocking;
        converted(this, Some(other.dtype()), Some(other.device()), copy, memory_format)
    }
}

/// A copy in another dtype or on another device, where given.
#[op(
    "to.dtype_layout(Tensor(a) self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor(a)",
    composite
)]
mod to_dtype_layout {
    fn kernel(
        this: &Tensor,
        dtype: Option<DType>,
        device: Option<Device>,
        non_blocking: bool,
        copy: bool,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        let _ = non_blocking;
        converted(this, dtype, device, copy, memory_format)
    }
}

/// A copy in another dtype or memory format.
#[op(
    "_to_copy(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool non_blocking=False, MemoryFormat? memory_format=None) -> Tensor",
    no_method,
    no_fn
)]
mod _to_copy {
    fn kernel(
        this: &Tensor,
        dtype: Option<DType>,
        device: Option<Device>,
        non_blocking: bool,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        // Copies within main memory are always finished on return.
        let _ = non_blocking;
        let format = memory_format.unwrap_or(MemoryFormat::Preserve);
        let out = copy::empty_in_format(this, dtype.unwrap_or(this.dtype()), format)?;
        match device {
            Some(device) if device != this.device() => moved(&out, device),
            _ => copy::copy_into(&out, this).map(|()| out),
        }
    }
    fn sparse(
        this: &Tensor,
        dtype: Option<DType>,
        device: Option<Device>,
        non_blocking: bool,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        let parts = sparse::expect(this, "to")?;
        let values = kernel(&parts.values, dtype, device, non_blocking, memory_format)?;
        sparse::Sparse { values, ..parts }.into_tensor(&this.sizes())
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        g.to_dtype(this.dtype())
    }
}

/// A tensor like `t` on another device; there is nothing to copy from or to the meta device.
fn moved(t: &Tensor, device: Device) -> Result<Tensor> {
    ensure!(device == Device::Meta, NotImplemented, "Cannot copy out of meta tensor; no data!");
    Tensor::empty_strided_of(&t.sizes(), &t.strides(), t.dtype(), device)
}

/// `self` in the dtype of `other`.
#[op("type_as(Tensor self, Tensor other) -> Tensor", composite)]
mod type_as {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        converted(this, Some(other.dtype()), Some(other.device()), false, None)
    }
}

/// `src`, which broadcasts, in the shape and dtype of `self`.
#[op("copy(Tensor self, Tensor src, bool non_blocking=False) -> Tensor", out = "out")]
mod copy_from {
    fn kernel(this: &Tensor, src: &Tensor, non_blocking: bool) -> Result<Tensor> {
        let _ = non_blocking;
        check_broadcast(this, src)?;
        let out = copy::empty_like(this, this.dtype())?;
        copy::copy_into(&out, src)?;
        Ok(out)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
    fn grad_src(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
}

/// One number in the shape of `self`; in place, overwrites the elements.
#[op("fill.Scalar(Tensor self, Scalar value) -> Tensor", inplace, out = "Scalar_out")]
mod fill {
    pub(super) fn kernel(this: &Tensor, value: Scalar, out: Out) -> Result<Tensor> {
        let t = crate::pointwise::output(out, &this.sizes(), this.dtype(), &[this])?;
        value.check_fits(t.dtype())?;
        copy::fill(&t, value);
        Ok(t)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
}

/// The number in a 0-dim tensor in the shape of `self`; in place, overwrites the elements.
#[op("fill.Tensor(Tensor self, Tensor value) -> Tensor", inplace, out = "Tensor_out")]
mod fill_tensor {
    fn kernel(this: &Tensor, value: &Tensor, out: Out) -> Result<Tensor> {
        ensure!(
            value.dim() == 0,
            "fill_ only supports 0-dimension value tensor but got tensor with {} dimensions.",
            value.dim()
        );
        fill::kernel(this, value.item()?, out)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
    fn grad_value(g: &Tensor) -> Result<Tensor> {
        g.sum_to_size([])
    }
}

/// Overwrites the main diagonal with a number; with `wrap`, that of tall matrices starts again after a gap of one row.
#[op("fill_diagonal_(Tensor(a!) self, Scalar fill_value, bool wrap=False) -> Tensor(a!)")]
mod fill_diagonal_ {
    fn kernel(this: &Tensor, fill_value: Scalar, wrap: bool) -> Result<Tensor> {
        fill_value.check_fits(this.dtype())?;
        for part in main_diagonal(&this.layout(), wrap)? {
            copy::fill(&raw::window(this, part)?, fill_value);
        }
        Ok(this.clone())
    }
    fn grad_this(g: &Tensor, wrap: bool) -> Result<Tensor> {
        fill_diagonal_::call(&clone_tensor::call(g, None)?, Scalar::Int(0), wrap)
    }
}

/// The diagonal and, when it wraps, what comes after the gap.
fn main_diagonal(layout: &Layout, wrap: bool) -> Result<Vec<Layout>> {
    let n = layout.dim();
    ensure!(n >= 2, "dimensions must larger than 1");
    let (rows, columns) = (layout.sizes[0], layout.sizes[1]);
    ensure!(
        n == 2 || layout.sizes.iter().all(|s| *s == rows),
        "all dimensions of input must be of equal length"
    );
    let (size, step) = (rows.min(columns), layout.strides.iter().sum::<i64>());
    let mut parts = vec![Layout::new(&[size], &[step], layout.offset)];
    if wrap && n == 2 && rows > columns + 1 {
        let skip = columns + 1;
        let rest = (rows * columns + skip - 1) / skip - size;
        parts.push(Layout::new(&[rest], &[step], layout.offset + (layout.strides[0] * skip) as usize));
    }
    Ok(parts)
}

/// Changes sizes in place, keeping the storage where it is large enough; new elements are unspecified.
#[op(
    "resize_(Tensor(a!) self, SymInt[] size, *, MemoryFormat? memory_format=None) -> Tensor(a!)",
    no_grad = "changes the shape in place, as in PyTorch"
)]
mod resize_ {
    fn kernel(this: &Tensor, size: &[i64], memory_format: Option<MemoryFormat>) -> Result<Tensor> {
        ensure!(!this.requires_grad(), "cannot resize variables that require grad");
        let mut layout = Layout { offset: this.storage_offset(), ..Layout::contiguous(size) };
        match memory_format {
            Some(format @ (MemoryFormat::ChannelsLast | MemoryFormat::ChannelsLast3d)) => {
                copy::check_rank(size, format)?;
                layout.strides = channels_last_strides(size)
            }
            Some(MemoryFormat::Preserve) => bail!("Unsupported memory format Preserve"),
            _ if this.sizes().as_slice() == size => return Ok(this.clone()),
            _ => {}
        }
        copy::resize(this, layout)?;
        Ok(this.clone())
    }
}

/// [`resize_`] to the sizes of `the_template`.
#[op(
    "resize_as_(Tensor(a!) self, Tensor the_template, *, MemoryFormat? memory_format=None) -> Tensor(a!)",
    no_grad = "changes the shape in place, as in PyTorch"
)]
mod resize_as_ {
    fn kernel(this: &Tensor, the_template: &Tensor, memory_format: Option<MemoryFormat>) -> Result<Tensor> {
        ensure!(!this.requires_grad(), "cannot resize variables that require grad");
        let sizes = the_template.sizes();
        let layout = match memory_format {
            Some(MemoryFormat::Preserve) => Layout { offset: this.storage_offset(), ..the_template.layout() },
            Some(format @ (MemoryFormat::ChannelsLast | MemoryFormat::ChannelsLast3d)) => {
                copy::check_rank(&sizes, format)?;
                Layout::new(&sizes, &channels_last_strides(&sizes), this.storage_offset())
            }
            _ if this.sizes() == sizes => return Ok(this.clone()),
            _ => Layout { offset: this.storage_offset(), ..Layout::contiguous(&sizes) },
        };
        copy::resize(this, layout)?;
        Ok(this.clone())
    }
}
