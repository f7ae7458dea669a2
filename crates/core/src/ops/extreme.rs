//! Largest and smallest elements over dimensions, and where they are.

use cresset_kernels::reduce::{Reduce, extreme_index};
use cresset_kernels::strided::Operand;
use cresset_macros::op;

use crate::autograd::Meta;
use crate::layout::wrap_dim;
use crate::op::{Grad, Grads, Needs, OpDef, Out};
use crate::reduction::{given_dtype, mask, place, reduce, reduced_sizes, share, spread_strides};
use crate::storage::access_lists;
use crate::{DType, Result, Tensor, bail, op_list};

pub(crate) static OPS: &[&OpDef] =
    op_list![amax, amin, aminmax, max, min, max_dim, min_dim, argmax, argmin, max_other, min_other];

/// Refuses to reduce nothing, which has no largest or smallest element.
fn check_not_empty(name: &str, this: &Tensor, dims: &[i64]) -> Result<()> {
    if this.numel() > 0 {
        return Ok(());
    }
    if dims.is_empty() {
        bail!(
            "{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
        );
    }
    for dim in dims {
        let d = wrap_dim(*dim, this.dim())?;
        if this.dim() > 0 && this.sizes()[d] == 0 {
            bail!(Index, "{name}(): Expected reduction dim {dim} to have non-zero size.");
        }
    }
    Ok(())
}

fn check_ordered(name: &str, this: &Tensor) -> Result<()> {
    if this.is_complex() {
        bail!(NotImplemented, "\"{name}\" not implemented for '{}'", this.dtype().scalar_type());
    }
    Ok(())
}

/// `amax` and `amin`.
fn extremes(name: &str, op: Reduce, this: &Tensor, dim: &[i64], keepdim: bool, out: Out) -> Result<Tensor> {
    check_ordered(name, this)?;
    if let Some(dtype) = given_dtype(&out).filter(|d| *d != this.dtype()) {
        bail!(
            "Expected the dtype for input and out to match, but got {} for input's dtype and {} for out's dtype.",
            this.dtype().scalar_type(),
            dtype.scalar_type()
        );
    }
    mask(Some(dim), this.dim())?;
    check_not_empty(name, this, dim)?;
    reduce(op, this, Some(dim), keepdim, this.dtype(), out)
}

/// Largest element over the given dimensions (all, if none are given); NaN if there is one.
#[op("amax(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor", out = "out", tags(core, reduction))]
mod amax {
    fn kernel(this: &Tensor, dim: &[i64], keepdim: bool, out: Out) -> Result<Tensor> {
        extremes("amax", Reduce::Max, this, dim, keepdim, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, dim: &[i64], keepdim: bool, out: &Tensor) -> Result<Tensor> {
        share(g, this, out, Some(dim), keepdim, false)
    }
}

/// Smallest element over the given dimensions (all, if none are given); NaN if there is one.
#[op("amin(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor", out = "out", tags(core, reduction))]
mod amin {
    fn kernel(this: &Tensor, dim: &[i64], keepdim: bool, out: Out) -> Result<Tensor> {
        extremes("amin", Reduce::Min, this, dim, keepdim, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, dim: &[i64], keepdim: bool, out: &Tensor) -> Result<Tensor> {
        share(g, this, out, Some(dim), keepdim, false)
    }
}

/// Smallest and largest element over one dimension or all.
#[op(
    "aminmax(Tensor self, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)",
    wrt(this),
    out("out", min, max),
    tags(reduction)
)]
mod aminmax {
    fn kernel(this: &Tensor, dim: Option<i64>, keepdim: bool, out: Out) -> Result<(Tensor, Tensor)> {
        if this.is_complex() {
            bail!(Type, "aminmax not implemented for {}", this.dtype().scalar_type());
        }
        if let Out::Into([min, max]) = out
            && let Some(t) = [min, max].into_iter().find(|t| t.dtype() != this.dtype())
        {
            bail!(
                "Expected out tensor to have dtype {}, but got {} instead",
                crate::reduction::c_name(this.dtype()),
                crate::reduction::c_name(t.dtype())
            );
        }
        let dims = dim.map_or(vec![], |d| vec![d]);
        check_aminmax(this, dim, &dims)?;
        let (low, high) = match out {
            Out::Into([min, max]) => {
                (Out::Into(std::slice::from_ref(min)), Out::Into(std::slice::from_ref(max)))
            }
            _ => (Out::New, Out::New),
        };
        let min = reduce(Reduce::Min, this, Some(&dims), keepdim, this.dtype(), low)?;
        Ok((min, reduce(Reduce::Max, this, Some(&dims), keepdim, this.dtype(), high)?))
    }
    fn grad(
        g0: Option<&Tensor>,
        g1: Option<&Tensor>,
        this: &Tensor,
        dim: Option<i64>,
        keepdim: bool,
        out0: &Tensor,
        out1: &Tensor,
        needs: Needs,
    ) -> Result<Grads> {
        let dims = dim.map_or(vec![], |d| vec![d]);
        let part = |g: Option<&Tensor>, out: &Tensor| {
            g.map(|g| share(g, this, out, Some(&dims), keepdim, false)).transpose()
        };
        let _ = needs;
        let sum = match (part(g0, out0)?, part(g1, out1)?) {
            (Some(a), Some(b)) => Some(a.add(&b)?),
            (a, b) => a.or(b),
        };
        Ok(vec![Grad::from(sum)])
    }
}

fn check_aminmax(this: &Tensor, dim: Option<i64>, dims: &[i64]) -> Result<()> {
    mask(Some(dims), this.dim())?;
    match dim {
        None if this.numel() == 0 => {
            bail!(
                "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
            )
        }
        Some(d) if this.dim() > 0 && this.size(d)? == 0 => {
            bail!(Index, "aminmax: Expected reduction dim {d} to have non-zero size.")
        }
        _ => Ok(()),
    }
}

/// Largest element; NaN if there is one.
#[op("max(Tensor self) -> Tensor", out = "unary_out", tags(reduction))]
mod max {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        check_ordered("max_all", this)?;
        check_not_empty("max", this, &[])?;
        reduce(Reduce::Max, this, None, false, this.dtype(), out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Tensor> {
        share(g, this, out, None, false, true)
    }
}

/// Smallest element; NaN if there is one.
#[op("min(Tensor self) -> Tensor", out = "unary_out", tags(reduction))]
mod min {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        check_ordered("min_all", this)?;
        check_not_empty("min", this, &[])?;
        reduce(Reduce::Min, this, None, false, this.dtype(), out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Tensor> {
        share(g, this, out, None, false, true)
    }
}

/// Values (if wanted) and indices of the extremes along `dim`, or along the flattened tensor.
fn located(
    max: bool,
    this: &Tensor,
    dim: Option<i64>,
    keepdim: bool,
    values: bool,
) -> Result<(Tensor, Tensor)> {
    let flat = dim.is_none();
    let source = if flat { this.contiguous_copy()? } else { this.clone() };
    let mut x = source.raw();
    if flat {
        x.layout = crate::layout::Layout {
            offset: x.layout.offset,
            ..crate::layout::Layout::contiguous(&[this.numel() as i64])
        };
    }
    let d = wrap_dim(dim.unwrap_or(0), x.layout.dim())?;
    let reduced: Vec<bool> = (0..x.layout.dim()).map(|i| i == d).collect();
    let sizes = match (flat, keepdim) {
        (true, true) => crate::layout::Dims::from_elem(1, this.dim()),
        _ => reduced_sizes(&x.layout.sizes, &reduced, keepdim),
    };
    let indices = Tensor::empty_of(&sizes, DType::I64, this.device())?;
    let found = if values { Tensor::empty_of(&sizes, this.dtype(), this.device())? } else { indices.clone() };
    let (i, v) = (indices.raw(), found.raw());
    let strides = if flat { [0].into() } else { spread_strides(&i.layout.strides, &reduced, keepdim) };
    let dim = (!reduced.is_empty()).then_some(d);
    let outs = [&i, &v];
    access_lists(&outs[..1 + usize::from(values)], &[&x], |o, ins| {
        let to = |k: usize| o.get(k).map(|o| Operand { strides: &strides, ..o.operand() });
        // SAFETY: all are locked; the outputs have an element for each kept index.
        unsafe { extreme_index(max, ins[0].sizes, dim, ins[0].operand(), to(1), to(0)) }
    });
    Ok((found, indices))
}

/// `max.dim` and `min.dim`.
fn along_dim(name: &str, max: bool, this: &Tensor, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
    let d = wrap_dim(dim, this.dim())?;
    check_ordered(name, this)?;
    check_not_empty(name, this, &[d as i64])?;
    located(max, this, Some(dim), keepdim, true)
}

/// Largest elements along `dim` and the index of the first of each.
#[op(
    "max.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
    out("dim_max", max, max_values),
    tags(core, reduction)
)]
mod max_dim {
    fn kernel(this: &Tensor, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
        along_dim("max", true, this, dim, keepdim)
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: i64, keepdim: bool, out1: &Tensor) -> Result<Tensor> {
        place(g, dim, out1, this.sizes(), keepdim)
    }
}

/// Smallest elements along `dim` and the index of the first of each.
#[op(
    "min.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
    out("dim_min", min, min_indices),
    tags(core, reduction)
)]
mod min_dim {
    fn kernel(this: &Tensor, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
        along_dim("min", false, this, dim, keepdim)
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: i64, keepdim: bool, out1: &Tensor) -> Result<Tensor> {
        place(g, dim, out1, this.sizes(), keepdim)
    }
}

fn position(name: &str, max: bool, this: &Tensor, dim: Option<i64>, keepdim: bool) -> Result<Tensor> {
    if this.is_complex() {
        bail!(Type, "{name}(): does not support complex input");
    }
    if this.dtype() == DType::Bool {
        bail!(NotImplemented, "\"{name}_cpu\" not implemented for '{}'", this.dtype().scalar_type());
    }
    match dim {
        None if this.numel() == 0 => {
            bail!(Index, "{name}(): Expected reduction dim to be specified for input.numel() == 0.")
        }
        Some(d) => check_not_empty(name, this, &[wrap_dim(d, this.dim())? as i64])?,
        None => {}
    }
    Ok(located(max, this, dim, keepdim, false)?.1)
}

/// Index of the (first) largest element along `dim`, or in the flattened tensor.
#[op(
    "argmax(Tensor self, int? dim=None, bool keepdim=False) -> Tensor",
    no_grad = "integers",
    out = "out",
    tags(core, reduction)
)]
mod argmax {
    fn kernel(this: &Tensor, dim: Option<i64>, keepdim: bool) -> Result<Tensor> {
        position("argmax", true, this, dim, keepdim)
    }
}

/// Index of the (first) smallest element along `dim`, or in the flattened tensor.
#[op(
    "argmin(Tensor self, int? dim=None, bool keepdim=False) -> Tensor",
    no_grad = "integers",
    out = "out",
    tags(core, reduction)
)]
mod argmin {
    fn kernel(this: &Tensor, dim: Option<i64>, keepdim: bool) -> Result<Tensor> {
        position("argmin", false, this, dim, keepdim)
    }
}

/// As [`crate::ops::maximum`].
#[op("max.other(Tensor self, Tensor other) -> Tensor", composite, out = "out")]
mod max_other {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        this.maximum(other)
    }
}

/// As [`crate::ops::minimum`].
#[op("min.other(Tensor self, Tensor other) -> Tensor", composite, out = "out")]
mod min_other {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        this.minimum(other)
    }
}
