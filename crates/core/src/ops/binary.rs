//! Elementwise arithmetic on two tensors, with broadcasting and type promotion.

use cresset_kernels::pointwise::Binary;
use cresset_macros::op;

use crate::op::{OpDef, Out};
use crate::{Result, Scalar, Tensor, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![add, mul];

/// Adds elementwise: `self + alpha * other`.
#[op(
    "add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
    inplace,
    out = "out",
    tags(pointwise, core)
)]
mod add {
    fn kernel(this: &Tensor, other: &Tensor, alpha: Scalar, out: Out) -> Result<Tensor> {
        pointwise::binary(Binary::Add { alpha: crate::copy::number(alpha) }, this, other, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
    fn grad_other(g: &Tensor, alpha: Scalar) -> Result<Tensor> {
        if alpha == Scalar::Int(1) { Ok(g.clone()) } else { g.mul(&Tensor::wrapped(alpha)?) }
    }
}

/// Multiplies elementwise: `self * other`.
#[op(
    "mul.Tensor(Tensor self, Tensor other) -> Tensor",
    inplace,
    out = "out",
    tags(pointwise, core),
    onnx = "Mul"
)]
mod mul {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::binary(Binary::Mul, this, other, out)
    }
    fn grad_this(g: &Tensor, other: &Tensor) -> Result<Tensor> {
        g.mul(other)
    }
    fn grad_other(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(this)
    }
}
