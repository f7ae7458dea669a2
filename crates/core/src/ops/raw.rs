//! Between operators and the kernels that move elements: tensors in, raw operands out.
//!
//! Nothing here is recorded or differentiated. Shapes are the callers' to check; indices are checked here, in the same
//! lock as the kernel that uses them.

use cresset_kernels::index::{self, Combine, Index, Part};
use smallvec::SmallVec;

use crate::MemoryFormat;
use crate::layout::{Dims, Layout, contiguous_strides};
use crate::op::Out;
use crate::promotion::result_type;
use crate::storage::{access, access_lists};
use crate::{DType, Device, Result, Tensor, bail};

/// Another layout over the storage of `t`, unknown to autograd.
pub(crate) fn window(t: &Tensor, layout: Layout) -> Result<Tensor> {
    Tensor::from_storage(t.storage(), layout, t.dtype())
}

/// Overwrites `dst` with `src`, converted and broadcast.
pub(crate) fn copy(dst: &Tensor, src: &Tensor) -> Result<()> {
    crate::copy::copy_into(dst, src)
}

/// A row-major copy.
pub(crate) fn dense_copy(t: &Tensor) -> Result<Tensor> {
    cast(t, t.dtype())
}

/// `t` itself if it is row-major, else a copy that is.
pub(crate) fn dense(t: &Tensor) -> Result<Tensor> {
    if t.is_contiguous() { window(t, t.layout()) } else { dense_copy(t) }
}

/// The dtype that all of them promote to.
pub(crate) fn common_dtype(tensors: &[Tensor]) -> DType {
    result_type(&tensors.iter().collect::<SmallVec<[&Tensor; 8]>>())
}

/// `windows += src`, where elements of `windows` may coincide.
pub(crate) fn add_overlapping(windows: &Tensor, src: &Tensor) -> Result<()> {
    let (dst, src) = (windows.raw(), src.raw());
    access([&dst], [&src], |[dst], [src]| {
        // SAFETY: both are locked views of one shape and dtype, in different storages.
        unsafe { index::accumulate(Combine::Sum, dst.sizes, dst.operand(), src.operand(), None) }
    });
    Ok(())
}

/// Writes the tensors one after another along `dim` to `out`, which has the size of them all.
pub(crate) fn cat(out: &Tensor, tensors: &[Tensor], dim: usize) -> Result<()> {
    let joined = |t: &&Tensor| t.dim() == out.dim();
    // Short rows are copied across, all of one tensor at a time.
    let long = |t: &Tensor| t.sizes()[dim..].iter().product::<i64>() as usize * t.dtype().size() >= 64;
    let plain = |t: &Tensor| t.dtype() == out.dtype() && t.is_contiguous() && (dim == 0 || long(t));
    if out.is_contiguous() && tensors.iter().filter(joined).all(plain) {
        let sizes = out.sizes();
        let rows = sizes[..dim].iter().product::<i64>() as usize;
        let views: Vec<_> = tensors.iter().filter(joined).map(Tensor::raw).collect();
        let target = out.raw();
        access_lists(&[&target], &views.iter().collect::<Vec<_>>(), |dst, srcs| {
            let bytes = |sizes: &[i64]| sizes[dim..].iter().product::<i64>() as usize * target.dtype.size();
            let parts: Vec<Part> = srcs.iter().map(|s| Part { ptr: s.ptr, bytes: bytes(s.sizes) }).collect();
            // SAFETY: contiguous locked views; the output is as long as all of them.
            unsafe { index::cat(dst[0].ptr, rows, &parts) }
        });
        return Ok(());
    }
    let mut start = 0;
    for t in tensors.iter().filter(joined) {
        let mut place = out.layout();
        let size = t.sizes()[dim];
        place.offset += (start * place.strides[dim]) as usize;
        place.sizes[dim] = size;
        start += size;
        if t.numel() > 0 {
            copy(&window(out, place)?, t)?;
        }
    }
    Ok(())
}

/// A copy with the order of some dimensions reversed, its strides in the order of those of `this`.
pub(crate) fn flip(this: &Tensor, dims: &[usize]) -> Result<Tensor> {
    let out = crate::copy::empty_like(this, this.dtype())?;
    if out.numel() == 0 {
        return Ok(out);
    }
    if this.dim() == 0 {
        return dense_copy(this);
    }
    let (dst, src) = (out.raw(), this.raw());
    access([&dst], [&src], |[dst], [src]| {
        let mut strides = Dims::from_slice(src.strides);
        let mut last = 0;
        for &d in dims {
            last += (src.sizes[d] - 1) * strides[d];
            strides[d] = -strides[d];
        }
        let ptr = src.ptr.wrapping_offset(last as isize * src.dtype.size() as isize);
        let reversed = cresset_kernels::strided::Operand::new(ptr, src.dtype, &strides);
        // SAFETY: the reversed operand visits the elements of the locked view from the other end.
        unsafe { cresset_kernels::copy::copy(dst.sizes, dst.operand(), reversed) }
    });
    Ok(out)
}

/// One tensor of indices in a loop: for each dimension of the loop its stride (0 where it does not vary).
pub(crate) struct Indexed<'a> {
    /// `int64` indices.
    pub indices: &'a Tensor,
    /// Their strides over the loop.
    pub strides: Dims,
    /// Size of the dimension that they index.
    pub size: i64,
    /// Stride of that dimension.
    pub stride: i64,
    /// The first index that is allowed: 0, or `-size`.
    pub low: i64,
}

/// What to do at the indexed places.
#[derive(Clone, Copy)]
pub(crate) enum Visit {
    /// Read them: the source is indexed.
    Get,
    /// Overwrite them: the target is indexed.
    Put,
    /// Combine them with the source: the target is indexed.
    Combine(Combine),
}

/// Runs a loop of `sizes` over `dst` and `src` with strides of their own, one of them indexed.
///
/// Returns the position in `indexed` of the tensor with an index out of range and the index; nothing is read or
/// written then.
pub(crate) fn visit(
    how: Visit,
    sizes: &[i64],
    (dst, dst_strides): (&Tensor, &[i64]),
    (src, src_strides): (&Tensor, &[i64]),
    indexed: &[Indexed<'_>],
) -> Option<(usize, i64)> {
    assert_eq!(dst.dtype(), src.dtype());
    let (dst, src) = (dst.raw(), src.raw());
    let indices: SmallVec<[_; 4]> = indexed.iter().map(|i| i.indices.raw()).collect();
    let ins: SmallVec<[_; 4]> = std::iter::once(&src).chain(&indices).collect();
    access_lists(&[&dst], &ins, |dst, ins| {
        let of = |i: usize| Index {
            ptr: ins[i + 1].ptr.cast(),
            strides: &indexed[i].strides,
            size: indexed[i].size,
            stride: indexed[i].stride,
        };
        for (i, spec) in indexed.iter().enumerate() {
            let index = of(i);
            // SAFETY: the strides are those of the locked tensor of indices, 0 where it is broadcast.
            let bad = unsafe { index::first_outside(index.ptr, sizes, index.strides, spec.low, spec.size) };
            if let Some(bad) = bad {
                return Some((i, bad));
            }
        }
        let dst = cresset_kernels::strided::Operand::new(dst[0].ptr, dst[0].dtype, dst_strides);
        let src = cresset_kernels::strided::Operand::new(ins[0].ptr, ins[0].dtype, src_strides);
        match indexed.len() {
            0 => run(how, sizes, dst, src, None),
            1 => run(how, sizes, dst, src, Some(of(0))),
            n => with_folded(sizes, &(0..n).map(of).collect::<Vec<_>>(), |index| {
                run(how, sizes, dst, src, Some(index))
            }),
        }
        None
    })
}

fn run(
    how: Visit,
    sizes: &[i64],
    dst: cresset_kernels::strided::Operand,
    src: cresset_kernels::strided::Operand,
    index: Option<Index>,
) {
    static NONE: i64 = 0;
    let zeros = Dims::from_elem(0, sizes.len());
    let nothing = Index { ptr: &raw const NONE, strides: &zeros, size: 1, stride: 0 };
    // SAFETY: operands are locked, the loop's strides stay inside them for the indices checked by `visit`.
    unsafe {
        match how {
            Visit::Get => index::get(sizes, dst, src, index.unwrap_or(nothing)),
            Visit::Put => index::put(sizes, dst, src, index.unwrap_or(nothing)),
            Visit::Combine(combine) => index::accumulate(combine, sizes, dst, src, index),
        }
    }
}

/// Several indices as one of element offsets over the dimensions along which any of them varies.
fn with_folded(sizes: &[i64], indices: &[Index], f: impl FnOnce(Index)) {
    let varies = |d: usize| sizes[d] != 1 && indices.iter().any(|i| i.strides[d] != 0);
    let dims: SmallVec<[usize; 5]> = (0..sizes.len()).filter(|&d| varies(d)).collect();
    let pick = |x: &[i64]| -> Dims { dims.iter().map(|&d| x[d]).collect() };
    let grid = pick(sizes);
    let strides: Vec<Dims> = indices.iter().map(|i| pick(i.strides)).collect();
    let picked: Vec<Index> =
        indices.iter().zip(&strides).map(|(i, strides)| Index { strides, ..*i }).collect();
    // SAFETY: the indices were checked over all of `sizes`.
    let offsets = unsafe { index::fold(&grid, &picked) };
    let mut spread = Dims::from_elem(0, sizes.len());
    dims.iter().zip(contiguous_strides(&grid)).for_each(|(&d, s)| spread[d] = s);
    f(Index { ptr: offsets.as_ptr(), strides: &spread, size: 0, stride: 1 });
}

/// A boolean tensor's elements in row-major order, for the kernels that look at masks.
pub(crate) fn mask_bits(mask: &Tensor) -> Result<Vec<bool>> {
    mask.to_vec::<bool>()
}

/// Those elements of row-major `src` where the mask is true.
pub(crate) fn mask_select(src: &Tensor, mask: &[bool]) -> Result<Tensor> {
    let src = dense(src)?;
    let out = Tensor::empty_of(&[index::count_true(mask) as i64], src.dtype(), src.device())?;
    let (dst, from) = (out.raw(), src.raw());
    access([&dst], [&from], |[dst], [from]| {
        // SAFETY: one element for each of the mask, locked; the output holds as many as are true.
        unsafe { index::mask_select(from.dtype, dst.ptr, from.ptr, mask) }
    });
    Ok(out)
}

/// Overwrites the elements of row-major `dst` where the mask is true with those of row-major `src`, in order.
pub(crate) fn mask_scatter(dst: &Tensor, src: &Tensor, mask: &[bool]) -> Result<()> {
    let (needed, given) = (index::count_true(mask), src.numel());
    if needed > given {
        bail!(
            "masked_scatter: expected self.nelement() >= mask.nelement(), but got {given} source elements for {needed} masked elements"
        );
    }
    let (dst, src) = (dst.raw(), dense(src)?.raw());
    access([&dst], [&src], |[dst], [src]| {
        // SAFETY: one element for each of the mask, locked; the source holds at least as many as are true.
        unsafe { index::mask_scatter(dst.dtype, dst.ptr, src.ptr, mask) }
    });
    Ok(())
}

/// The positions of the `true` elements of a mask of `sizes`, as rows, which as in PyTorch lie one dimension after the other.
pub(crate) fn positions(mask: &[bool], sizes: &[i64]) -> Result<Tensor> {
    let (count, rank) = (index::count_true(mask) as i64, sizes.len() as i64);
    let out = Tensor::empty_strided_of(&[count, rank], &[1, count.max(1)], DType::I64, Device::Cpu)?;
    if out.numel() > 0 {
        let view = out.raw();
        access([&view], [], |[columns], []| {
            // SAFETY: a fresh tensor of as many rows as the mask has true elements, and of at least one column.
            unsafe { index::nonzero(columns.cast(), mask, sizes) }
        });
    }
    Ok(out)
}

/// Zeroes what lies outside a triangle of each matrix of a row-major tensor.
pub(crate) fn triangle(t: &Tensor, side: index::Side, diagonal: i64) {
    let view = t.raw();
    access([&view], [], |[t], []| {
        let [batch @ .., rows, columns] = t.sizes else { return };
        let batch = batch.iter().product::<i64>() as usize;
        // SAFETY: a locked row-major tensor of that many matrices.
        unsafe { index::triangle(side, diagonal, t.dtype, t.ptr, batch, [*rows as usize, *columns as usize]) }
    });
}

/// Writes `f(i)` to element `i` of a fresh row-major tensor.
pub(crate) fn generate<T: crate::Element>(sizes: &[i64], f: impl Fn(usize) -> T + Sync) -> Result<Tensor> {
    let out = Tensor::empty_of(sizes, T::DTYPE, Device::Cpu)?;
    let (view, n) = (out.raw(), out.numel());
    access([&view], [], |[t], []| {
        if n > 0 {
            // SAFETY: `n` locked contiguous elements of type `T`, all of them about to be written.
            let slice = unsafe { std::slice::from_raw_parts_mut(t.cast::<std::mem::MaybeUninit<T>>(), n) };
            index::fill_with(slice, f);
        }
    });
    Ok(out)
}

/// A row-major copy in another dtype.
pub(crate) fn cast(t: &Tensor, dtype: DType) -> Result<Tensor> {
    let out = Tensor::empty_of(&t.sizes(), dtype, t.device())?;
    copy(&out, t)?;
    Ok(out)
}

/// An `out` tensor has the dtype of the result.
pub(crate) fn check_out_dtype(out: &Tensor, dtype: DType) -> Result<()> {
    if out.dtype() != dtype {
        bail!("Expected out tensor to have dtype {}, but got {} instead", c_name(dtype), c_name(out.dtype()));
    }
    Ok(())
}

/// What C++ calls the elements.
pub(crate) fn c_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "bool",
        DType::U8 => "unsigned char",
        DType::I8 => "signed char",
        DType::I16 => "short",
        DType::I32 => "int",
        DType::I64 => "long int",
        DType::F16 => "c10::Half",
        DType::BF16 => "c10::BFloat16",
        DType::F32 => "float",
        DType::F64 => "double",
        DType::Complex64 => "c10::complex<float>",
        DType::Complex128 => "c10::complex<double>",
    }
}

/// Where a result of those sizes and the dtype of `like` goes: a fresh row-major tensor, or the given one.
pub(crate) fn output(out: Out, sizes: &[i64], like: &Tensor) -> Result<Tensor> {
    match out {
        Out::New => Tensor::empty_of(sizes, like.dtype(), like.device()),
        Out::Inplace(t) => Ok(t.clone()),
        Out::Into(outs) => {
            let t = &outs[0];
            check_out_dtype(t, like.dtype())?;
            let t = super::index::writable(t)?;
            crate::copy::resize_output(&t, sizes)?;
            Ok(t)
        }
    }
}

/// The elements with other sizes, copied if need be.
pub(crate) fn reshaped(t: &Tensor, sizes: &[i64]) -> Result<Tensor> {
    let layout = t.layout();
    match super::view_layout::view_strides(&layout, sizes) {
        Some(strides) => window(t, Layout { sizes: Dims::from_slice(sizes), strides, offset: layout.offset }),
        None => window(&dense_copy(t)?, Layout::contiguous(sizes)),
    }
}

/// All elements in one dimension, copied if need be.
pub(crate) fn flat(t: &Tensor) -> Result<Tensor> {
    reshaped(t, &[t.numel() as i64])
}

/// See [`index::embedding_backward`]; `indices` are row-major.
pub(crate) fn embedding_backward(
    grad: &Tensor,
    indices: &Tensor,
    rows: i64,
    padding: Option<i64>,
    by_frequency: bool,
) -> Result<Tensor> {
    let width = grad.sizes()[1];
    let out = Tensor::empty_of(&[rows, width], grad.dtype(), grad.device())?;
    let (dst, grad, indices) = (out.raw(), grad.raw(), indices.raw());
    let bad = access([&dst], [&grad, &indices], |[dst], [grad, at]| {
        let n = at.sizes.iter().product::<i64>() as usize;
        let start = if n == 0 { std::ptr::NonNull::dangling().as_ptr() } else { at.cast::<i64>() };
        // SAFETY: `n` locked contiguous indices.
        let indices = unsafe { std::slice::from_raw_parts(start.cast_const(), n) };
        if let Some(bad) = indices.iter().find(|i| !(0..rows).contains(*i)) {
            return Some(*bad);
        }
        let spec = index::EmbeddingGrad {
            indices,
            rows: rows as usize,
            width: width as usize,
            padding,
            by_frequency,
        };
        // SAFETY: `dst` is fresh and of that size, the gradient has a row for each index, all of them just checked.
        unsafe { index::embedding_backward(dst.ptr, grad.operand(), &spec) };
        None
    });
    match bad {
        Some(_) => bail!(Index, "index out of range in self"),
        None => Ok(out),
    }
}

/// A fresh row-major tensor, or the given one brought to those sizes.
pub(crate) fn place(out: Out, sizes: &[i64], dtype: DType, device: Device) -> Result<Tensor> {
    place_in_format(out, sizes, dtype, device, MemoryFormat::Contiguous)
}

/// [`place`], a new tensor in a memory format.
pub(crate) fn place_in_format(
    out: Out,
    sizes: &[i64],
    dtype: DType,
    device: Device,
    format: MemoryFormat,
) -> Result<Tensor> {
    match out {
        Out::New => crate::copy::empty_of_format(sizes, dtype, device, format),
        Out::Inplace(t) => Ok(t.clone()),
        Out::Into(outs) => {
            let to = outs[0].dtype();
            if !crate::promotion::can_cast(dtype, to) {
                bail!(
                    "result type {} can't be cast to the desired output type {}",
                    dtype.scalar_type(),
                    to.scalar_type()
                );
            }
            let t = super::index::writable(&outs[0])?;
            crate::copy::resize_output(&t, sizes)?;
            Ok(t)
        }
    }
}
