//! Copies, fills and output resizing below autograd: what other modules need without naming an operator.

use cresset_kernels::copy;
use cresset_kernels::pointwise::Number;

use crate::layout::{Dims, Layout, checked_numel, contiguous_strides};
use crate::storage::access;
use crate::{DType, Device, MemoryFormat, Result, Scalar, Tensor, bail};

/// A number as kernels take it.
pub(crate) fn number(s: Scalar) -> Number {
    Number { real: s.to_f64(), int: s.to_i64(), complex: s.to_complex() }
}

/// Writes `src`, which broadcasts, to the elements of `dst` with conversion. Handles overlap by a temporary copy.
pub(crate) fn copy_into(dst: &Tensor, src: &Tensor) -> Result<()> {
    let src = expand_to(src, &dst.sizes())?;
    let (d, mut s) = (dst.raw(), src);
    check_internal_overlap(&d.layout)?;
    if d.storage.id() == s.storage.id() {
        if d.layout == s.layout && d.dtype == s.dtype {
            return Ok(());
        }
        s = dense_copy(&Tensor::from_view(s, None, None))?.raw();
    }
    access([&d], [&s], |[d], [s]| {
        // SAFETY: both are locked and reach only their elements; they lie in different storages.
        unsafe { copy::copy(d.sizes, d.operand(), s.operand()) }
    });
    Ok(())
}

/// Refuses to write to a layout that names one element twice because a dimension has stride 0.
///
/// # Errors
/// `Runtime` with PyTorch's text.
pub(crate) fn check_internal_overlap(layout: &Layout) -> Result<()> {
    if layout.sizes.iter().zip(&layout.strides).any(|(n, s)| *n > 1 && *s == 0) && layout.numel() > 0 {
        bail!(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. Please clone() the tensor before performing the operation."
        );
    }
    Ok(())
}

/// The elements of `t` repeated along broadcast dimensions, as a plain view.
pub(crate) fn expand_to(t: &Tensor, sizes: &[i64]) -> Result<crate::storage::View> {
    let mut view = t.raw();
    if view.layout.sizes.as_slice() != sizes {
        view.layout = expanded(&view.layout, sizes)?;
    }
    Ok(view)
}

/// The layout of a tensor expanded to larger sizes.
///
/// # Errors
/// `Runtime` with PyTorch's text when a size is neither equal nor 1.
pub(crate) fn expanded(layout: &Layout, sizes: &[i64]) -> Result<Layout> {
    let missing = match sizes.len().checked_sub(layout.dim()) {
        Some(n) => n,
        None => bail!(
            "The expanded size of the tensor ({}) must match the existing size ({}) at non-singleton dimension {}.  Target sizes: {sizes:?}.  Tensor sizes: {:?}",
            sizes.first().copied().unwrap_or(0),
            layout.sizes[0],
            0,
            layout.sizes.as_slice()
        ),
    };
    let mut strides = Dims::from_elem(0, sizes.len());
    for d in missing..sizes.len() {
        let (have, want) = (layout.sizes[d - missing], sizes[d]);
        if have == want {
            strides[d] = layout.strides[d - missing];
        } else if have != 1 {
            bail!(
                "The expanded size of the tensor ({want}) must match the existing size ({have}) at non-singleton dimension {d}.  Target sizes: {sizes:?}.  Tensor sizes: {:?}",
                layout.sizes.as_slice()
            );
        }
    }
    Ok(Layout { sizes: Dims::from_slice(sizes), strides, offset: layout.offset })
}

fn dense_copy(t: &Tensor) -> Result<Tensor> {
    let out = Tensor::empty_of(&t.sizes(), t.dtype(), t.device())?;
    let (d, s) = (out.raw(), t.raw());
    access([&d], [&s], |[d], [s]| {
        // SAFETY: the output is fresh; both reach only their elements.
        unsafe { copy::copy(d.sizes, d.operand(), s.operand()) }
    });
    Ok(out)
}

/// The tensor itself if it is row-major, else a row-major copy (not recorded).
pub(crate) fn contiguous_copy(t: &Tensor) -> Result<Tensor> {
    if t.is_contiguous() { Ok(t.clone()) } else { dense_copy(t) }
}

/// The strides that a result of those sizes has when it keeps the order of a dense `layout`, else row-major ones.
pub(crate) fn preserved_strides(layout: &Layout) -> Dims {
    if layout.is_non_overlapping_and_dense() {
        return layout.strides.clone();
    }
    dense_strides_like(&[layout])
}

/// Dense strides in the order of the strides of `layouts`, which have the same sizes: the first that tells two dimensions
/// apart decides. PyTorch's `infer_dense_strides` for one layout, its `TensorIterator` for several.
pub(crate) fn dense_strides_like(layouts: &[&Layout]) -> Dims {
    let (n, sizes) = (layouts[0].dim(), &layouts[0].sizes);
    let mut order: Vec<usize> = (0..n).rev().collect();
    // Insertion sort that leaves dimensions of stride 0 or equal stride where they are, smallest stride first.
    for i in 1..n {
        let mut at = i;
        for below in (0..i).rev() {
            match is_outer(layouts, order[below], order[at]) {
                Some(true) => {
                    order.swap(below, at);
                    at = below;
                }
                Some(false) => break,
                None => {}
            }
        }
    }
    let mut strides = contiguous_strides(sizes);
    let mut step = 1;
    for d in order {
        strides[d] = step;
        step *= sizes[d].max(1);
    }
    strides
}

/// Whether dimension `a` lies outside of `b` in memory; `None` if no layout tells.
fn is_outer(layouts: &[&Layout], a: usize, b: usize) -> Option<bool> {
    for layout in layouts {
        let (x, y) = (layout.strides[a], layout.strides[b]);
        if x != 0 && y != 0 && x != y {
            return Some(x > y);
        }
        if x != 0 && y != 0 && layout.sizes[a] > layout.sizes[b] {
            return Some(true);
        }
    }
    None
}

/// A row-major result in the memory format of `model`: channels last where that is.
pub(crate) fn like_format(t: Tensor, model: &Tensor) -> Result<Tensor> {
    match model.layout().suggested_format() {
        MemoryFormat::Contiguous => Ok(t),
        format if t.dim() == model.dim() => {
            let out = empty_in_format(&t, t.dtype(), format)?;
            copy_into(&out, &t)?;
            Ok(out)
        }
        _ => Ok(t),
    }
}

/// An uninitialised tensor like `t` that keeps its order of dimensions.
pub(crate) fn empty_like(t: &Tensor, dtype: DType) -> Result<Tensor> {
    let layout = t.layout();
    if layout.is_contiguous() {
        return Tensor::empty_of(&layout.sizes, dtype, t.device());
    }
    Tensor::empty_strided_of(&layout.sizes, &preserved_strides(&layout), dtype, t.device())
}

/// A copy with storage of its own, in the order of dimensions of `t` (not recorded).
pub(crate) fn duplicate(t: &Tensor) -> Result<Tensor> {
    let out = empty_like(t, t.dtype())?;
    copy_into(&out, t)?;
    Ok(out)
}

/// Overwrites all elements with a number (not recorded, version not counted).
pub(crate) fn fill(t: &Tensor, value: Scalar) {
    let view = t.raw();
    access([&view], [], |[out], []| {
        // SAFETY: the tensor is locked for writing and reaches only its elements.
        unsafe { copy::fill(out.sizes, out.operand(), number(value)) }
    });
}

/// A row-major tensor of one number.
pub(crate) fn full(sizes: &[i64], value: Scalar, dtype: DType, device: Device) -> Result<Tensor> {
    let t = Tensor::empty_of(sizes, dtype, device)?;
    fill(&t, value);
    Ok(t)
}

/// A row-major tensor of zeros.
pub(crate) fn zeros(sizes: &[i64], dtype: DType, device: Device) -> Result<Tensor> {
    full(sizes, Scalar::Int(0), dtype, device)
}

/// Ones like `t`.
pub(crate) fn ones_like(t: &Tensor) -> Result<Tensor> {
    let out = empty_like(t, t.dtype())?;
    fill(&out, Scalar::Int(1));
    Ok(out)
}

/// Gives an `out=` tensor the sizes of the result, as PyTorch resizes it: in place, row-major, storage kept if it is
/// large enough.
pub(crate) fn resize_output(out: &Tensor, sizes: &[i64]) -> Result<()> {
    if out.sizes().as_slice() == sizes {
        return Ok(());
    }
    resize(out, Layout { offset: out.storage_offset(), ..Layout::contiguous(sizes) })
}

/// Changes the layout of `t` in place, growing its storage where needed.
pub(crate) fn resize(t: &Tensor, layout: Layout) -> Result<()> {
    checked_numel(&layout.sizes, t.dtype().size())?;
    let storage = t.storage();
    storage.grow(layout.end().saturating_mul(t.dtype().size()))?;
    t.set_view(storage, layout)
}

/// The tensor itself if it is dense in that format and of that dtype, else a copy that is (not recorded).
pub(crate) fn to_format(t: &Tensor, dtype: DType, format: MemoryFormat) -> Result<Tensor> {
    let fits = match format {
        MemoryFormat::Contiguous => t.is_contiguous(),
        MemoryFormat::Preserve => true,
        _ => t.layout().is_channels_last(),
    };
    if fits && t.dtype() == dtype {
        return Ok(t.clone());
    }
    let out = empty_in_format(t, dtype, format)?;
    copy_into(&out, t)?;
    Ok(out)
}

/// An uninitialised tensor of those sizes in a memory format.
///
/// # Errors
/// `Runtime` when the sizes are absurd.
pub(crate) fn empty_of_format(
    sizes: &[i64],
    dtype: DType,
    device: Device,
    format: MemoryFormat,
) -> Result<Tensor> {
    match format {
        MemoryFormat::ChannelsLast | MemoryFormat::ChannelsLast3d => {
            checked_numel(sizes, dtype.size())?;
            let strides = crate::layout::channels_last_strides(sizes);
            Tensor::empty_strided_of(sizes, &strides, dtype, device)
        }
        _ => Tensor::empty_of(sizes, dtype, device),
    }
}

/// An uninitialised tensor with the sizes of `t` in a memory format.
///
/// # Errors
/// `Runtime` when the format is for another number of dimensions.
pub(crate) fn empty_in_format(t: &Tensor, dtype: DType, format: MemoryFormat) -> Result<Tensor> {
    let sizes = t.sizes();
    match format {
        MemoryFormat::Preserve => return empty_like(t, dtype),
        MemoryFormat::Contiguous => return Tensor::empty_of(&sizes, dtype, t.device()),
        _ => check_rank(&sizes, format)?,
    }
    Tensor::empty_strided_of(&sizes, &crate::layout::channels_last_strides(&sizes), dtype, t.device())
}

/// Channels-last formats are for four dimensions (with depth five).
pub(crate) fn check_rank(sizes: &[i64], format: MemoryFormat) -> Result<()> {
    let (wanted, name) = match format {
        MemoryFormat::ChannelsLast => (4, "channels_last"),
        MemoryFormat::ChannelsLast3d => (5, "channels_last_3d"),
        _ => return Ok(()),
    };
    if sizes.len() != wanted {
        bail!("required rank {wanted} tensor to use {name} format");
    }
    Ok(())
}

/// Fails as an allocation of that many `int64` would: for results that are put together in a list before they become a
/// tensor, so that an absurd number is an error and not the end of the process.
pub(crate) fn check_room(n: i64) -> Result<()> {
    Tensor::empty_of(&[n], DType::I64, Device::Cpu).map(|_| ())
}
