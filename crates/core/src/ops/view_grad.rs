//! Parts written back into a whole: the gradients of views, the `*_scatter` operators and the `*_copy` ones.

use super::raw;
use super::view_layout as plan;
use super::*;
use crate::autograd::Meta;
use crate::layout::Layout;
use crate::op::OpDef;
use crate::{MemoryFormat, Result, Tensor, bail, ensure, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    select_backward,
    slice_backward,
    diagonal_backward,
    unfold_backward,
    select_scatter,
    slice_scatter,
    diagonal_scatter,
    as_strided_scatter,
    _put_strided,
    alias_copy,
    view_copy,
    as_strided_copy,
    expand_copy,
    permute_copy,
    transpose_copy,
    t_copy,
    squeeze_copy,
    squeeze_copy_dim,
    squeeze_copy_dims,
    unsqueeze_copy,
    select_copy,
    slice_copy,
    narrow_copy,
    diagonal_copy,
    unfold_copy,
    unbind_copy,
    split_with_sizes_copy,
    unbind_copy_out,
    split_with_sizes_copy_out,
];

/// `src` at the place of a view in zeros of `sizes`.
fn embed(src: &Tensor, sizes: &[i64], place: impl FnOnce(&Layout) -> Result<Layout>) -> Result<Tensor> {
    let whole = crate::copy::zeros(sizes, src.dtype(), src.device())?;
    let part = raw::window(&whole, place(&whole.layout())?)?;
    raw::copy(&part, &src.detach().expand(part.sizes())?)?;
    Ok(whole)
}

/// `whole` with the elements of one of its views replaced by `src`.
fn overwrite(whole: Tensor, src: &Tensor, place: impl FnOnce(&Layout) -> Result<Layout>) -> Result<Tensor> {
    let part = raw::window(&whole, place(&whole.layout())?)?;
    ensure!(
        part.sizes() == src.sizes(),
        "expected src to have a size equal to the slice of self. src size = {:?}, slice size = {:?}",
        src.sizes().as_slice(),
        part.sizes().as_slice()
    );
    raw::copy(&part, src)?;
    Ok(whole)
}

/// A copy of `this` with its strides and everything else that its storage holds; row-major if elements share a place.
fn clone_storage(this: &Tensor) -> Result<Tensor> {
    if this.sizes().iter().zip(&this.strides()).any(|(n, s)| *n > 1 && *s == 0) {
        return raw::dense_copy(this);
    }
    let all = Layout::contiguous(&[(this.storage().nbytes() / this.dtype().size()) as i64]);
    let copy = Tensor::empty_of(&all.sizes, this.dtype(), this.device())?;
    raw::copy(&copy, &raw::window(this, all)?)?;
    raw::window(&copy, this.layout())
}

/// Gradient of [`select`]: `grad_output` at one position of zeros.
#[op("select_backward(Tensor grad_output, SymInt[] input_sizes, int dim, SymInt index) -> Tensor")]
mod select_backward {
    fn kernel(grad_output: &Tensor, input_sizes: &[i64], dim: i64, index: i64) -> Result<Tensor> {
        embed(grad_output, input_sizes, |l| plan::select(l, dim, index))
    }
    fn grad_grad_output(g: &Tensor, dim: i64, index: i64) -> Result<Tensor> {
        g.select(dim, index)
    }
}

/// Gradient of [`slice`]: `grad_output` at a slice of zeros.
#[op(
    "slice_backward(Tensor grad_output, SymInt[] input_sizes, int dim, SymInt start, SymInt end, SymInt step) -> Tensor"
)]
mod slice_backward {
    fn kernel(
        grad_output: &Tensor,
        input_sizes: &[i64],
        dim: i64,
        start: i64,
        end: i64,
        step: i64,
    ) -> Result<Tensor> {
        embed(grad_output, input_sizes, |l| plan::slice(l, dim, Some(start), Some(end), step))
    }
    fn grad_grad_output(g: &Tensor, dim: i64, start: i64, end: i64, step: i64) -> Result<Tensor> {
        slice::call(g, dim, Some(start), Some(end), step)
    }
}

/// Gradient of [`diagonal`]: `grad_output` on a diagonal of zeros.
#[op("diagonal_backward(Tensor grad_output, SymInt[] input_sizes, int offset, int dim1, int dim2) -> Tensor")]
mod diagonal_backward {
    fn kernel(
        grad_output: &Tensor,
        input_sizes: &[i64],
        offset: i64,
        dim1: i64,
        dim2: i64,
    ) -> Result<Tensor> {
        embed(grad_output, input_sizes, |l| plan::diagonal(l, offset, dim1, dim2))
    }
    fn grad_grad_output(g: &Tensor, offset: i64, dim1: i64, dim2: i64) -> Result<Tensor> {
        diagonal::call(g, offset, dim1, dim2)
    }
}

/// Gradient of [`unfold`]: the windows summed back.
#[op("unfold_backward(Tensor grad_in, SymInt[] input_sizes, int dim, int size, int step) -> Tensor")]
mod unfold_backward {
    fn kernel(grad_in: &Tensor, input_sizes: &[i64], dim: i64, size: i64, step: i64) -> Result<Tensor> {
        let whole = crate::copy::zeros(input_sizes, grad_in.dtype(), grad_in.device())?;
        let windows = raw::window(&whole, plan::unfold(&whole.layout(), dim, size, step)?)?;
        raw::add_overlapping(&windows, &grad_in.detach().expand(windows.sizes())?)?;
        Ok(whole)
    }
    fn grad_grad_in(g: &Tensor, dim: i64, size: i64, step: i64) -> Result<Tensor> {
        g.unfold(dim, size, step)
    }
}

/// A copy of `self` with position `index` of `dim` replaced by `src`.
#[op("select_scatter(Tensor self, Tensor src, int dim, SymInt index) -> Tensor", out = "out")]
mod select_scatter {
    fn kernel(this: &Tensor, src: &Tensor, dim: i64, index: i64) -> Result<Tensor> {
        overwrite(clone_storage(this)?, src, |l| plan::select(l, dim, index))
    }
    fn grad_this(g: &Tensor, src: &Meta, dim: i64, index: i64) -> Result<Tensor> {
        g.select_scatter(&src.zeros()?, dim, index)
    }
    fn grad_src(g: &Tensor, dim: i64, index: i64) -> Result<Tensor> {
        g.select(dim, index)
    }
}

/// A copy of `self` with a slice replaced by `src`.
#[op(
    "slice_scatter(Tensor self, Tensor src, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor",
    out = "out"
)]
mod slice_scatter {
    fn kernel(
        this: &Tensor,
        src: &Tensor,
        dim: i64,
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
    ) -> Result<Tensor> {
        overwrite(clone_storage(this)?, src, |l| plan::slice(l, dim, start, end, step))
    }
    fn grad_this(
        g: &Tensor,
        src: &Meta,
        dim: i64,
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
    ) -> Result<Tensor> {
        slice_scatter::call(g, &src.zeros()?, dim, start, end, step)
    }
    fn grad_src(g: &Tensor, dim: i64, start: Option<i64>, end: Option<i64>, step: i64) -> Result<Tensor> {
        slice::call(g, dim, start, end, step)
    }
}

/// A copy of `self` with a diagonal replaced by `src`.
#[op(
    "diagonal_scatter(Tensor self, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor",
    out = "out"
)]
mod diagonal_scatter {
    fn kernel(this: &Tensor, src: &Tensor, offset: i64, dim1: i64, dim2: i64) -> Result<Tensor> {
        overwrite(clone_storage(this)?, src, |l| plan::diagonal(l, offset, dim1, dim2))
    }
    fn grad_this(g: &Tensor, src: &Meta, offset: i64, dim1: i64, dim2: i64) -> Result<Tensor> {
        diagonal_scatter::call(g, &src.zeros()?, offset, dim1, dim2)
    }
    fn grad_src(g: &Tensor, offset: i64, dim1: i64, dim2: i64) -> Result<Tensor> {
        diagonal::call(g, offset, dim1, dim2)
    }
}

/// A copy of `self` with the elements that sizes, strides and offset name in the storage replaced by `src`.
#[op(
    "as_strided_scatter(Tensor self, Tensor src, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor",
    out = "out"
)]
mod as_strided_scatter {
    fn kernel(
        this: &Tensor,
        src: &Tensor,
        size: &[i64],
        stride: &[i64],
        storage_offset: Option<i64>,
    ) -> Result<Tensor> {
        overwrite(clone_storage(this)?, src, |_| strided_layout(this, size, stride, storage_offset))
    }
    /// Only what was overwritten passes a gradient on: that is PyTorch's formula.
    fn grad_this(
        g: &Tensor,
        this: &Meta,
        size: &[i64],
        stride: &[i64],
        storage_offset: Option<i64>,
    ) -> Result<Tensor> {
        let part = as_strided::call(&g.contiguous()?, size, stride, storage_offset)?;
        as_strided_scatter::call(&this.zeros()?, &part, size, stride, storage_offset)
    }
    fn grad_src(g: &Tensor, size: &[i64], stride: &[i64], storage_offset: Option<i64>) -> Result<Tensor> {
        as_strided::call(&g.contiguous()?, size, stride, storage_offset)
    }
}

/// A copy of `self` with the elements that sizes, strides and offset name in the storage replaced by `src`, with the true
/// gradient: [`as_strided_scatter`] has PyTorch's.
#[op(
    "_put_strided(Tensor self, Tensor src, SymInt[] size, SymInt[] stride, SymInt storage_offset) -> Tensor",
    no_method
)]
mod _put_strided {
    fn kernel(
        this: &Tensor,
        src: &Tensor,
        size: &[i64],
        stride: &[i64],
        storage_offset: i64,
    ) -> Result<Tensor> {
        overwrite(clone_storage(this)?, src, |_| strided_layout(this, size, stride, Some(storage_offset)))
    }
    fn grad_this(
        g: &Tensor,
        this: &Meta,
        src: &Meta,
        size: &[i64],
        stride: &[i64],
        storage_offset: i64,
    ) -> Result<Tensor> {
        _put_strided::call(&in_geometry(g, this)?, &src.zeros()?, size, stride, storage_offset)
    }
    fn grad_src(
        g: &Tensor,
        this: &Meta,
        size: &[i64],
        stride: &[i64],
        storage_offset: i64,
    ) -> Result<Tensor> {
        as_strided::call(&in_geometry(g, this)?, size, stride, Some(storage_offset))
    }
}

/// `g` in the strides of `like`, from the start of its storage.
fn in_geometry(g: &Tensor, like: &Meta) -> Result<Tensor> {
    if g.storage_offset() == 0 && g.strides().as_slice() == like.strides() {
        return Ok(g.clone());
    }
    if like.layout.is_contiguous() {
        return clone_tensor::call(g, Some(MemoryFormat::Contiguous));
    }
    Tensor::empty_strided_of(like.sizes(), like.strides(), g.dtype(), g.device())?.copy_(g)
}

/// A contiguous copy of a view.
fn copied(view: Result<Tensor>) -> Result<Tensor> {
    clone_tensor::call(&view?, Some(MemoryFormat::Contiguous))
}

/// [`alias`], copied.
#[op("alias_copy(Tensor self) -> Tensor", composite, out = "out")]
mod alias_copy {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        clone_tensor::call(this, None)
    }
}

/// [`view`], copied.
#[op("view_copy(Tensor self, SymInt[] size) -> Tensor", composite, out = "out")]
mod view_copy {
    fn kernel(this: &Tensor, size: &[i64]) -> Result<Tensor> {
        copied(reshape::call(this, size))
    }
}

/// [`as_strided`], copied.
#[op(
    "as_strided_copy(Tensor self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor",
    composite,
    out = "out"
)]
mod as_strided_copy {
    fn kernel(this: &Tensor, size: &[i64], stride: &[i64], storage_offset: Option<i64>) -> Result<Tensor> {
        copied(as_strided::call(this, size, stride, storage_offset))
    }
}

/// [`expand`], copied.
#[op("expand_copy(Tensor self, SymInt[] size, *, bool implicit=False) -> Tensor", composite, out = "out")]
mod expand_copy {
    fn kernel(this: &Tensor, size: &[i64], implicit: bool) -> Result<Tensor> {
        copied(expand::call(this, size, implicit))
    }
}

/// [`permute`], copied.
#[op("permute_copy(Tensor self, int[] dims) -> Tensor", composite, out = "out")]
mod permute_copy {
    fn kernel(this: &Tensor, dims: &[i64]) -> Result<Tensor> {
        copied(permute::call(this, dims))
    }
}

/// [`transpose`], copied.
#[op("transpose_copy.int(Tensor self, int dim0, int dim1) -> Tensor", composite, out = "int_out")]
mod transpose_copy {
    fn kernel(this: &Tensor, dim0: i64, dim1: i64) -> Result<Tensor> {
        copied(transpose::call(this, dim0, dim1))
    }
}

/// [`t`], copied.
#[op("t_copy(Tensor self) -> Tensor", composite, out = "out")]
mod t_copy {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        copied(t::call(this))
    }
}

/// [`squeeze`], copied.
#[op("squeeze_copy(Tensor self) -> Tensor", composite, out = "out")]
mod squeeze_copy {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        copied(squeeze::call(this))
    }
}

/// [`squeeze_dim`], copied.
#[op("squeeze_copy.dim(Tensor self, int dim) -> Tensor", composite, out = "dim_out")]
mod squeeze_copy_dim {
    fn kernel(this: &Tensor, dim: i64) -> Result<Tensor> {
        copied(squeeze_dim::call(this, dim))
    }
}

/// [`squeeze_dims`], copied.
#[op("squeeze_copy.dims(Tensor self, int[] dim) -> Tensor", composite, out = "dims_out")]
mod squeeze_copy_dims {
    fn kernel(this: &Tensor, dim: &[i64]) -> Result<Tensor> {
        copied(squeeze_dims::call(this, dim))
    }
}

/// [`unsqueeze`], copied.
#[op("unsqueeze_copy(Tensor self, int dim) -> Tensor", composite, out = "out")]
mod unsqueeze_copy {
    fn kernel(this: &Tensor, dim: i64) -> Result<Tensor> {
        copied(unsqueeze::call(this, dim))
    }
}

/// [`select`], copied.
#[op("select_copy.int(Tensor self, int dim, SymInt index) -> Tensor", composite, out = "int_out")]
mod select_copy {
    fn kernel(this: &Tensor, dim: i64, index: i64) -> Result<Tensor> {
        copied(select::call(this, dim, index))
    }
}

/// [`slice`], copied.
#[op(
    "slice_copy.Tensor(Tensor self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor",
    composite,
    out = "Tensor_out"
)]
mod slice_copy {
    fn kernel(this: &Tensor, dim: i64, start: Option<i64>, end: Option<i64>, step: i64) -> Result<Tensor> {
        copied(slice::call(this, dim, start, end, step))
    }
}

/// [`narrow`], copied.
#[op("narrow_copy(Tensor self, int dim, SymInt start, SymInt length) -> Tensor", composite, out = "out")]
mod narrow_copy {
    fn kernel(this: &Tensor, dim: i64, start: i64, length: i64) -> Result<Tensor> {
        if length < 0 {
            let size = this.size(dim)?;
            bail!("start ({start}) + length ({length}) exceeds dimension size ({size}).");
        }
        ensure!(
            this.dim() == 0 || dim < this.dim() as i64,
            "Expected dim < static_cast<int64_t>(self_sizes.size()) to be true, but got false.  (Could this error message be improved?  If so, please report an enhancement request to PyTorch.)"
        );
        copied(narrow::call(this, dim, start, length))
    }
}

/// [`diagonal`], copied.
#[op("diagonal_copy(Tensor self, int offset=0, int dim1=0, int dim2=1) -> Tensor", composite, out = "out")]
mod diagonal_copy {
    fn kernel(this: &Tensor, offset: i64, dim1: i64, dim2: i64) -> Result<Tensor> {
        copied(diagonal::call(this, offset, dim1, dim2))
    }
}

/// [`unfold`], copied.
#[op("unfold_copy(Tensor self, int dimension, int size, int step) -> Tensor", composite, out = "out")]
mod unfold_copy {
    fn kernel(this: &Tensor, dimension: i64, size: i64, step: i64) -> Result<Tensor> {
        copied(unfold::call(this, dimension, size, step))
    }
}

/// [`unbind`], copied.
#[op("unbind_copy.int(Tensor self, int dim=0) -> Tensor[]", composite)]
mod unbind_copy {
    fn kernel(this: &Tensor, dim: i64) -> Result<Vec<Tensor>> {
        unbind::call(this, dim)?.into_iter().map(|t| copied(Ok(t))).collect()
    }
}

/// [`split_with_sizes`], copied.
#[op("split_with_sizes_copy(Tensor self, SymInt[] split_sizes, int dim=0) -> Tensor[]", composite)]
mod split_with_sizes_copy {
    fn kernel(this: &Tensor, split_sizes: &[i64], dim: i64) -> Result<Vec<Tensor>> {
        split_with_sizes::call(this, split_sizes, dim)?.into_iter().map(|t| copied(Ok(t))).collect()
    }
}

/// Checks the number of given outputs and writes a copy of each view to its output.
fn write_each(name: &str, views: &[Tensor], outs: &[Tensor]) -> Result<()> {
    let (n, given) = (views.len(), outs.len());
    ensure!(n == given, "{name} expected an out= argument of size {n}, got size {given}");
    for (view, out) in views.iter().zip(outs) {
        crate::copy::resize_output(out, &view.sizes())?;
        raw::copy(out, view)?;
        out.bump_version();
    }
    Ok(())
}

/// [`unbind_copy`] into given tensors.
#[op(
    "unbind_copy.int_out(Tensor self, int dim=0, *, Tensor(a!)[] out) -> ()",
    no_grad = "writes to given tensors",
    no_method
)]
mod unbind_copy_out {
    fn kernel(this: &Tensor, dim: i64, out: &[Tensor]) -> Result<()> {
        write_each("unbind_copy_int_out", &unbind::call(this, dim)?, out)
    }
}

/// [`split_with_sizes_copy`] into given tensors.
#[op(
    "split_with_sizes_copy.out(Tensor self, SymInt[] split_sizes, int dim=0, *, Tensor(a!)[] out) -> ()",
    no_grad = "writes to given tensors",
    no_method
)]
mod split_with_sizes_copy_out {
    fn kernel(this: &Tensor, split_sizes: &[i64], dim: i64, out: &[Tensor]) -> Result<()> {
        write_each("split_with_sizes_copy_out()", &split_with_sizes::call(this, split_sizes, dim)?, out)
    }
}
