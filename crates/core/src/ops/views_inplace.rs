//! Views that a tensor turns itself into: `t_`, `squeeze_` and kin change sizes and strides, no element.

use super::view_layout as plan;
use super::views::strided_layout;
use super::*;
use crate::autograd::Meta;
use crate::layout::{Layout, wrap_dim, wrap_dims};
use crate::op::OpDef;
use crate::{Result, Tensor, ensure, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    t_,
    transpose_,
    swapaxes_,
    swapdims_,
    squeeze_,
    squeeze_dim_,
    squeeze_dims_,
    unsqueeze_,
    as_strided_,
];

fn become_view(this: &Tensor, layout: Layout) -> Result<Tensor> {
    this.set_view(this.storage(), layout)?;
    Ok(this.clone())
}

/// In-place [`t`].
#[op("t_(Tensor(a!) self) -> Tensor(a!)", tags(view))]
mod t_ {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        let n = this.dim();
        ensure!(n <= 2, "t_() expects a tensor with <= 2 dimensions, but self is {n}D");
        if n == 2 { become_view(this, plan::transpose(&this.layout(), 0, 1)?) } else { Ok(this.clone()) }
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        g.t()
    }
}

/// In-place [`transpose`].
#[op("transpose_(Tensor(a!) self, int dim0, int dim1) -> Tensor(a!)", tags(view))]
mod transpose_ {
    fn kernel(this: &Tensor, dim0: i64, dim1: i64) -> Result<Tensor> {
        become_view(this, plan::transpose(&this.layout(), dim0, dim1)?)
    }
    fn grad_this(g: &Tensor, dim0: i64, dim1: i64) -> Result<Tensor> {
        g.transpose(dim0, dim1)
    }
}

/// In-place [`swapaxes`].
#[op("swapaxes_(Tensor(a!) self, int axis0, int axis1) -> Tensor(a!)", tags(view))]
mod swapaxes_ {
    fn kernel(this: &Tensor, axis0: i64, axis1: i64) -> Result<Tensor> {
        become_view(this, plan::transpose(&this.layout(), axis0, axis1)?)
    }
    fn grad_this(g: &Tensor, axis0: i64, axis1: i64) -> Result<Tensor> {
        g.transpose(axis0, axis1)
    }
}

/// In-place [`swapdims`].
#[op("swapdims_(Tensor(a!) self, int dim0, int dim1) -> Tensor(a!)", tags(view))]
mod swapdims_ {
    fn kernel(this: &Tensor, dim0: i64, dim1: i64) -> Result<Tensor> {
        become_view(this, plan::transpose(&this.layout(), dim0, dim1)?)
    }
    fn grad_this(g: &Tensor, dim0: i64, dim1: i64) -> Result<Tensor> {
        g.transpose(dim0, dim1)
    }
}

/// In-place [`squeeze`].
#[op("squeeze_(Tensor(a!) self) -> Tensor(a!)", tags(view))]
mod squeeze_ {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        become_view(this, plan::squeeze(&this.layout(), |_| true))
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        g.reshape(this.sizes())
    }
}

/// In-place [`squeeze_dim`].
#[op("squeeze_.dim(Tensor(a!) self, int dim) -> Tensor(a!)", tags(view))]
mod squeeze_dim_ {
    fn kernel(this: &Tensor, dim: i64) -> Result<Tensor> {
        let dim = wrap_dim(dim, this.dim())?;
        become_view(this, plan::squeeze(&this.layout(), |d| d == dim))
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        g.reshape(this.sizes())
    }
}

/// In-place [`squeeze_dims`].
#[op("squeeze_.dims(Tensor(a!) self, int[] dim) -> Tensor(a!)", tags(view))]
mod squeeze_dims_ {
    fn kernel(this: &Tensor, dim: &[i64]) -> Result<Tensor> {
        let dims = wrap_dims(dim, this.dim())?;
        become_view(this, plan::squeeze(&this.layout(), |d| dims.contains(&d)))
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        g.reshape(this.sizes())
    }
}

/// In-place [`unsqueeze`].
#[op("unsqueeze_(Tensor(a!) self, int dim) -> Tensor(a!)", tags(view))]
mod unsqueeze_ {
    fn kernel(this: &Tensor, dim: i64) -> Result<Tensor> {
        become_view(this, plan::unsqueeze(&this.layout(), dim)?)
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        g.reshape(this.sizes())
    }
}

/// In-place [`as_strided`].
#[op(
    "as_strided_(Tensor(a!) self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor(a!)",
    tags(view)
)]
mod as_strided_ {
    fn kernel(this: &Tensor, size: &[i64], stride: &[i64], storage_offset: Option<i64>) -> Result<Tensor> {
        become_view(this, strided_layout(this, size, stride, storage_offset)?)
    }
    fn grad_this(
        g: &Tensor,
        this: &Meta,
        size: &[i64],
        stride: &[i64],
        storage_offset: Option<i64>,
    ) -> Result<Tensor> {
        super::views::strided_grad(g, this, size, stride, storage_offset)
    }
}
