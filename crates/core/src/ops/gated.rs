//! Gated linear units.

use cresset_macros::op;

use super::cat;
use crate::layout::wrap_dim;
use crate::op::OpDef;
use crate::supported::{floats, require};
use crate::{Result, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![glu, glu_backward];

/// The halves of `this` along `dim`.
fn halves(this: &Tensor, dim: i64) -> Result<(Tensor, Tensor)> {
    ensure!(this.dim() > 0, "glu does not support scalars because halving size must be even");
    let d = wrap_dim(dim, this.dim())?;
    let n = this.sizes()[d];
    if n % 2 != 0 {
        bail!("Halving dimension must be even, but dimension {d} is size {n}");
    }
    Ok((this.narrow(dim, 0, n / 2)?, this.narrow(dim, n / 2, n / 2)?))
}

/// The first half along `dim` times the sigmoid of the second.
#[op("glu(Tensor self, int dim=-1) -> Tensor", out = "out")]
mod glu {
    fn kernel(this: &Tensor, dim: i64) -> Result<Tensor> {
        require("glu_cpu", this, floats)?;
        let (first, second) = halves(&this.detach(), dim)?;
        first.mul(&second.sigmoid()?)
    }
    fn grad_this(g: &Tensor, this: &Tensor, dim: i64) -> Result<Tensor> {
        glu_backward::call(g, this, dim)
    }
}

/// Gradient of [`glu`].
#[op(
    "glu_backward(Tensor grad_output, Tensor self, int dim) -> Tensor",
    composite,
    out("grad_input", grad_input),
    no_method
)]
mod glu_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, dim: i64) -> Result<Tensor> {
        let (first, second) = halves(this, dim)?;
        let gate = second.sigmoid()?;
        let slope = gate.mul(&gate.rsub_scalar(1)?)?;
        let grads = [gate.mul(grad_output)?, first.mul(grad_output)?.mul(&slope)?];
        cat::call(&grads, dim)
    }
}
