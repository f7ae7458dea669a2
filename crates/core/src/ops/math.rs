//! Functions of two tensors: extremes, angles, logarithms of sums.

use cresset_kernels::pointwise::Binary;
use cresset_macros::op;

use super::unary::zero_grad;
use super::where_self;
use crate::op::{OpDef, Out};
use crate::promotion::{get_default_dtype, result_type};
use crate::supported::not_implemented;
use crate::{Result, Scalar, Tensor, bail, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![
    atan2,
    maximum,
    minimum,
    fmax,
    fmin,
    hypot,
    logaddexp,
    logaddexp2,
    nextafter,
    heaviside,
    copysign,
    copysign_scalar,
    xlogy,
    xlogy_scalar_other,
    xlogy_scalar_self,
    special_xlog1py,
    special_xlog1py_scalar_other,
    special_xlog1py_scalar_self,
    ldexp,
    ldexp_,
];

/// Angle of the point `(other, self)`, in radians.
#[op("atan2(Tensor self, Tensor other) -> Tensor", inplace, out, tags(pointwise))]
mod atan2 {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_binary(Binary::Atan2, "atan2_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        g.mul(&other.div(&squares(this, other)?)?)
    }
    fn grad_other(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        g.mul(&this.neg()?.div(&squares(this, other)?)?)
    }
}

/// Larger of two elements, NaN if either is.
#[op("maximum(Tensor self, Tensor other) -> Tensor", out, tags(pointwise), onnx = "Max")]
mod maximum {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        if this.is_complex() || other.is_complex() {
            bail!(Type, "maximum not implemented for complex tensors.");
        }
        pointwise::binary(Binary::Maximum, "max_elementwise_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        of_larger(g, this, other)
    }
    fn grad_other(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        of_larger(g, other, this)
    }
}

/// Smaller of two elements, NaN if either is.
#[op("minimum(Tensor self, Tensor other) -> Tensor", out, tags(pointwise), onnx = "Min")]
mod minimum {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        if this.is_complex() || other.is_complex() {
            bail!(Type, "minimum not implemented for complex tensors.");
        }
        pointwise::binary(Binary::Minimum, "min_elementwise_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        of_smaller(g, this, other)
    }
    fn grad_other(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        of_smaller(g, other, this)
    }
}

/// Larger of two elements, NaN only if both are.
#[op("fmax(Tensor self, Tensor other) -> Tensor", out, tags(pointwise))]
mod fmax {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        if this.is_complex() || other.is_complex() {
            bail!(Type, "fmax not implemented for complex tensors.");
        }
        pointwise::binary(Binary::Fmax, "fmax_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        share(g, this, other)?.masked_fill(&first_wins(&this.ge(other)?, other)?.logical_not()?, 0)
    }
    fn grad_other(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        share(g, this, other)?.masked_fill(&first_wins(&this.gt(other)?, other)?, 0)
    }
}

/// Smaller of two elements, NaN only if both are.
#[op("fmin(Tensor self, Tensor other) -> Tensor", out, tags(pointwise))]
mod fmin {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        if this.is_complex() || other.is_complex() {
            bail!(Type, "fmin not implemented for complex tensors.");
        }
        pointwise::binary(Binary::Fmin, "fmin_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        share(g, this, other)?.masked_fill(&first_wins(&this.le(other)?, other)?.logical_not()?, 0)
    }
    fn grad_other(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        share(g, this, other)?.masked_fill(&first_wins(&this.lt(other)?, other)?, 0)
    }
}

/// Length of the hypotenuse: `sqrt(self^2 + other^2)`.
#[op("hypot(Tensor self, Tensor other) -> Tensor", inplace, out, tags(pointwise))]
mod hypot {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::binary(Binary::Hypot, "hypot_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Tensor> {
        g.mul(this)?.div(out)
    }
    fn grad_other(g: &Tensor, other: &Tensor, out: &Tensor) -> Result<Tensor> {
        g.mul(other)?.div(out)
    }
}

/// Neither integers nor booleans have a loop.
fn check_inexact(name: &str, this: &Tensor, other: &Tensor) -> Result<()> {
    let common = result_type(&[this, other]);
    if common.is_integral_or_bool() { Err(not_implemented(name, common)) } else { Ok(()) }
}

/// `log(e^self + e^other)`.
#[op("logaddexp(Tensor self, Tensor other) -> Tensor", out, tags(pointwise))]
mod logaddexp {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        check_inexact("logaddexp_cpu", this, other)?;
        pointwise::float_binary(Binary::Logaddexp, "logaddexp_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        g.div(&other.sub(this)?.exp()?.add_scalar(1)?.conj()?)
    }
    fn grad_other(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        g.div(&this.sub(other)?.exp()?.add_scalar(1)?.conj()?)
    }
}

/// `log2(2^self + 2^other)`.
#[op("logaddexp2(Tensor self, Tensor other) -> Tensor", out, tags(pointwise))]
mod logaddexp2 {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        check_inexact("logaddexp2_cpu", this, other)?;
        pointwise::float_binary(Binary::Logaddexp2, "logaddexp2_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        g.div(&other.sub(this)?.exp2()?.add_scalar(1)?)
    }
    fn grad_other(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        g.div(&this.sub(other)?.exp2()?.add_scalar(1)?)
    }
}

/// Next representable number from `self` towards `other`.
#[op("nextafter(Tensor self, Tensor other) -> Tensor", inplace, out, tags(pointwise))]
mod nextafter {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::binary(Binary::Nextafter, "nextafter_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        g.masked_fill(&this.eq(other)?, 0)
    }
    fn grad_other(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Step function: 0 below 0, 1 above, `values` at 0.
#[op(
    "heaviside(Tensor self, Tensor values) -> Tensor",
    inplace,
    out,
    tags(pointwise),
    no_grad = "heaviside is not differentiable"
)]
mod heaviside {
    fn kernel(this: &Tensor, values: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::binary(Binary::Heaviside, "heaviside_cpu", this, values, out)
    }
}

/// Absolute value of `self` with the sign of `other`.
#[op("copysign.Tensor(Tensor self, Tensor other) -> Tensor", inplace, out = "out", tags(pointwise))]
mod copysign {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_binary(Binary::Copysign, "copysign_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Tensor> {
        g.mul(&out.div(this)?.masked_fill(&this.eq_scalar(0)?, 0)?)
    }
    fn grad_other(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Absolute value of `self` with the sign of a number.
#[op("copysign.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, composite)]
mod copysign_scalar {
    fn kernel(this: &Tensor, other: Scalar) -> Result<Tensor> {
        this.copysign(&Tensor::wrapped(other)?)
    }
}

/// `self * log(other)`, 0 where `self` is 0.
#[op("xlogy.Tensor(Tensor self, Tensor other) -> Tensor", inplace, out = "OutTensor", tags(pointwise))]
mod xlogy {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        let common = result_type(&[this, other]);
        if common.is_complex() {
            return Err(not_implemented("xlogy_cpu", common));
        }
        pointwise::float_binary(Binary::Xlogy, "xlogy_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        let edge = this.eq_scalar(0)?.logical_and(&other.le_scalar(0)?)?;
        g.mul(&other.log()?.masked_fill(&edge, 0)?)
    }
    fn grad_other(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        g.mul(&this.div(other)?)
    }
}

/// `self * log(other)`, 0 where `self` is 0.
#[op("xlogy.Scalar_Other(Tensor self, Scalar other) -> Tensor", inplace, out = "OutScalar_Other", composite)]
mod xlogy_scalar_other {
    fn kernel(this: &Tensor, other: Scalar) -> Result<Tensor> {
        this.xlogy(&Tensor::wrapped(other)?)
    }
}

/// `self * log(other)`, 0 where `self` is 0.
#[op("xlogy.Scalar_Self(Scalar self, Tensor other) -> Tensor", out = "OutScalar_Self", composite)]
mod xlogy_scalar_self {
    fn kernel(this: Scalar, other: &Tensor) -> Result<Tensor> {
        Tensor::wrapped(this)?.xlogy(other)
    }
}

/// `self * log(1 + other)`, 0 where `self` is 0.
#[op("special_xlog1py(Tensor self, Tensor other) -> Tensor", out = "out", tags(pointwise))]
mod special_xlog1py {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_binary(Binary::Xlog1py, "xlog1py_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        let edge = this.eq_scalar(0)?.logical_and(&other.le_scalar(-1)?)?;
        g.mul(&other.log1p()?.masked_fill(&edge, 0)?)
    }
    fn grad_other(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        g.mul(&this.div(&other.add_scalar(1)?)?)
    }
}

/// `self * log(1 + other)`, 0 where `self` is 0.
#[op(
    "special_xlog1py.other_scalar(Tensor self, Scalar other) -> Tensor",
    out = "other_scalar_out",
    composite
)]
mod special_xlog1py_scalar_other {
    fn kernel(this: &Tensor, other: Scalar) -> Result<Tensor> {
        this.special_xlog1py(&Tensor::wrapped(other)?)
    }
}

/// `self * log(1 + other)`, 0 where `self` is 0.
#[op("special_xlog1py.self_scalar(Scalar self, Tensor other) -> Tensor", out = "self_scalar_out", composite)]
mod special_xlog1py_scalar_self {
    fn kernel(this: Scalar, other: &Tensor) -> Result<Tensor> {
        Tensor::wrapped(this)?.special_xlog1py(other)
    }
}

/// `self * 2^other`.
#[op("ldexp.Tensor(Tensor self, Tensor other) -> Tensor", out = "out", composite)]
mod ldexp {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        this.mul(&power_of_two(this, other)?)
    }
}

/// `2^other`, the 2 being a number of the dtype of `this`, if that is inexact.
fn power_of_two(this: &Tensor, other: &Tensor) -> Result<Tensor> {
    let dtype = if this.dtype().is_integral_or_bool() { get_default_dtype() } else { this.dtype() };
    let two = crate::copy::full(&[], Scalar::Float(2.0), dtype, this.device())?;
    two.pow(other)
}

/// `self * 2^other`, in place.
#[op("ldexp_(Tensor(a!) self, Tensor other) -> Tensor(a!)", composite)]
mod ldexp_ {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        this.mul_(&power_of_two(this, other)?)
    }
}

fn squares(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.mul(a)?.add(&b.mul(b)?)
}

/// The gradient, halved where both elements are the same.
pub(super) fn share(g: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    where_self(&a.eq(b)?, &g.div_scalar(2)?, g)
}

/// The gradient of the first of two elements of which the larger one is taken; NaN is neither larger nor smaller.
pub(super) fn of_larger(g: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    share(g, a, b)?.masked_fill(&a.lt(b)?, 0)
}

/// The gradient of the first of two elements of which the smaller one is taken.
pub(super) fn of_smaller(g: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    share(g, a, b)?.masked_fill(&a.gt(b)?, 0)
}

/// Where the first of two elements is taken: it compares so, or the second is NaN.
fn first_wins(compared: &Tensor, second: &Tensor) -> Result<Tensor> {
    compared.logical_or(&second.isnan()?)
}
