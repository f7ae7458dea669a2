//! Arithmetic on two tensors, or a tensor and a number, with broadcasting and type promotion.

use cresset_kernels::pointwise::Binary;
use cresset_macros::op;

use super::unary::zero_grad;
use crate::copy::number;
use crate::op::{OpDef, Out};
use crate::promotion::result_type;
use crate::{DType, Result, Scalar, Tensor, bail, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![
    add,
    add_scalar,
    sub,
    sub_scalar,
    rsub,
    rsub_scalar,
    mul,
    mul_scalar,
    div,
    div_scalar,
    div_tensor_mode,
    div_scalar_mode,
    floor_divide,
    floor_divide_scalar,
    floor_divide_,
    remainder,
    remainder_scalar,
    fmod,
    fmod_scalar,
    remainder_scalar_tensor,
];

/// Adds elementwise: `self + alpha * other`.
#[op(
    "add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
    inplace,
    out = "out",
    tags(pointwise, core)
)]
mod add {
    pub(super) fn kernel(this: &Tensor, other: &Tensor, alpha: Scalar, out: Out) -> Result<Tensor> {
        let dtype = result_type(&[this, other]);
        check_alpha(alpha, dtype)?;
        pointwise::binary_as(Binary::Add { alpha: number(alpha) }, "add_stub", dtype, this, other, out)
    }
    fn sparse(this: &Tensor, other: &Tensor, alpha: Scalar, out: Out) -> Result<Tensor> {
        crate::sparse::math::add(this, other, alpha, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
    fn grad_other(g: &Tensor, alpha: Scalar) -> Result<Tensor> {
        scaled(g, alpha)
    }
}

/// Adds a number: `self + alpha * other`.
#[op("add.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", inplace, out, tags(pointwise))]
mod add_scalar {
    fn kernel(this: &Tensor, other: Scalar, alpha: Scalar, out: Out) -> Result<Tensor> {
        add::kernel(this, &Tensor::wrapped(other)?, alpha, out)
    }
    fn sparse(this: &Tensor, other: Scalar, alpha: Scalar, out: Out) -> Result<Tensor> {
        crate::sparse::math::add(this, &Tensor::wrapped(other)?, alpha, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
}

fn negative(alpha: Scalar) -> Scalar {
    match alpha {
        Scalar::Bool(b) => Scalar::Int(-i64::from(b)),
        Scalar::Int(i) => Scalar::Int(i.wrapping_neg()),
        Scalar::Float(x) => Scalar::Float(-x),
        Scalar::Complex(z) => Scalar::Complex(-z),
    }
}

/// Subtracts elementwise: `self - alpha * other`.
#[op(
    "sub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
    inplace,
    out = "out",
    tags(pointwise, core)
)]
mod sub {
    pub(super) fn kernel(this: &Tensor, other: &Tensor, alpha: Scalar, out: Out) -> Result<Tensor> {
        let dtype = result_type(&[this, other]);
        check_subtraction(this, other)?;
        check_alpha(alpha, dtype)?;
        let op = Binary::Add { alpha: number(alpha).negated() };
        pointwise::binary_as(op, "sub_stub", dtype, this, other, out)
    }
    fn sparse(this: &Tensor, other: &Tensor, alpha: Scalar, out: Out) -> Result<Tensor> {
        crate::sparse::math::add(this, other, negative(alpha), out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
    fn grad_other(g: &Tensor, alpha: Scalar) -> Result<Tensor> {
        scaled(&g.neg()?, alpha)
    }
}

/// Subtracts a number: `self - alpha * other`.
#[op("sub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", inplace, out, tags(pointwise))]
mod sub_scalar {
    fn kernel(this: &Tensor, other: Scalar, alpha: Scalar, out: Out) -> Result<Tensor> {
        sub::kernel(this, &Tensor::wrapped(other)?, alpha, out)
    }
    fn sparse(this: &Tensor, other: Scalar, alpha: Scalar, out: Out) -> Result<Tensor> {
        crate::sparse::math::add(this, &Tensor::wrapped(other)?, alpha, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
}

/// Subtracts the other way round: `other - alpha * self`.
#[op("rsub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", out, tags(pointwise))]
mod rsub {
    fn kernel(this: &Tensor, other: &Tensor, alpha: Scalar, out: Out) -> Result<Tensor> {
        sub::kernel(other, this, alpha, out)
    }
    fn grad_this(g: &Tensor, alpha: Scalar) -> Result<Tensor> {
        scaled(&g.neg()?, alpha)
    }
    fn grad_other(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
}

/// Subtracts from a number: `other - alpha * self`.
#[op("rsub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", out, tags(pointwise))]
mod rsub_scalar {
    fn kernel(this: &Tensor, other: Scalar, alpha: Scalar, out: Out) -> Result<Tensor> {
        sub::kernel(&Tensor::wrapped(other)?, this, alpha, out)
    }
    fn grad_this(g: &Tensor, alpha: Scalar) -> Result<Tensor> {
        scaled(&g.neg()?, alpha)
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
    pub(super) fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::binary(Binary::Mul, "mul_cpu", this, other, out)
    }
    fn sparse(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        crate::sparse::math::mul(this, other)
    }
    fn grad_this(g: &Tensor, other: &Tensor) -> Result<Tensor> {
        g.mul(&other.conj()?)
    }
    fn grad_other(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&this.conj()?)
    }
}

/// Multiplies by a number.
#[op("mul.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, tags(pointwise))]
mod mul_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        mul::kernel(this, &Tensor::wrapped(other)?, out)
    }
    fn sparse(this: &Tensor, other: Scalar) -> Result<Tensor> {
        crate::sparse::math::with_values(this, |v| v.mul_scalar(other))
    }
    fn grad_this(g: &Tensor, other: Scalar) -> Result<Tensor> {
        g.mul_scalar(conj(other))
    }
}

/// Divides elementwise: `self / other`, floating point for integers too.
#[op(
    "div.Tensor(Tensor self, Tensor other) -> Tensor",
    inplace,
    out = "out",
    tags(pointwise, core),
    onnx = "Div"
)]
mod div {
    pub(super) fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_binary(Binary::Div, "div_cpu", this, other, out)
    }
    fn sparse(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        crate::sparse::math::div(this, other, Tensor::div)
    }
    fn grad_this(g: &Tensor, other: &Tensor) -> Result<Tensor> {
        g.div(&other.conj()?)
    }
    fn grad_other(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        g.neg()?.mul(&this.div(other)?.div(other)?.conj()?)
    }
}

/// Divides by a number.
#[op("div.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, tags(pointwise))]
mod div_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        div::kernel(this, &Tensor::wrapped(other)?, out)
    }
    fn sparse(this: &Tensor, other: Scalar) -> Result<Tensor> {
        crate::sparse::math::with_values(this, |v| v.div_scalar(other))
    }
    fn grad_this(g: &Tensor, other: Scalar) -> Result<Tensor> {
        g.div_scalar(conj(other))
    }
}

/// Divides and rounds: `rounding_mode` is `None`, `"trunc"` or `"floor"`.
#[op(
    "div.Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor",
    inplace,
    out = "out_mode",
    tags(pointwise)
)]
mod div_tensor_mode {
    pub(super) fn kernel(
        this: &Tensor,
        other: &Tensor,
        rounding_mode: Option<&str>,
        out: Out,
    ) -> Result<Tensor> {
        let (op, name) = match rounding_mode {
            None => return div::kernel(this, other, out),
            Some("trunc") => (Binary::DivTrunc, "div_trunc_cpu"),
            Some("floor") => (Binary::DivFloor, "div_floor_cpu"),
            Some(other) => {
                bail!("div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{other}'")
            }
        };
        refuse_zero(this, other)?;
        pointwise::binary(op, name, this, other, out)
    }
    fn grad_this(g: &Tensor, other: &Tensor, rounding_mode: Option<&str>) -> Result<Tensor> {
        if rounding_mode.is_some() { zero_grad(g) } else { g.div(&other.conj()?) }
    }
    fn grad_other(g: &Tensor, this: &Tensor, other: &Tensor, rounding_mode: Option<&str>) -> Result<Tensor> {
        if rounding_mode.is_some() {
            return zero_grad(g);
        }
        g.neg()?.mul(&this.div(other)?.div(other)?.conj()?)
    }
}

/// Divides by a number and rounds.
#[op(
    "div.Scalar_mode(Tensor self, Scalar other, *, str? rounding_mode) -> Tensor",
    inplace,
    out,
    tags(pointwise)
)]
mod div_scalar_mode {
    fn kernel(this: &Tensor, other: Scalar, rounding_mode: Option<&str>, out: Out) -> Result<Tensor> {
        div_tensor_mode::kernel(this, &Tensor::wrapped(other)?, rounding_mode, out)
    }
    fn grad_this(g: &Tensor, other: Scalar, rounding_mode: Option<&str>) -> Result<Tensor> {
        if rounding_mode.is_some() { zero_grad(g) } else { g.div_scalar(conj(other)) }
    }
}

/// Divides and rounds down.
#[op(
    "floor_divide(Tensor self, Tensor other) -> Tensor",
    out,
    tags(pointwise),
    no_grad = "floor_divide is not differentiable"
)]
mod floor_divide {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        div_tensor_mode::kernel(this, other, Some("floor"), out)
    }
}

/// Divides by a number and rounds down.
#[op(
    "floor_divide.Scalar(Tensor self, Scalar other) -> Tensor",
    inplace,
    out,
    tags(pointwise),
    no_grad = "floor_divide is not differentiable"
)]
mod floor_divide_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        div_tensor_mode::kernel(this, &Tensor::wrapped(other)?, Some("floor"), out)
    }
}

/// Divides in place and rounds down.
#[op(
    "floor_divide_.Tensor(Tensor(a!) self, Tensor other) -> Tensor(a!)",
    tags(pointwise),
    no_grad = "floor_divide is not differentiable"
)]
mod floor_divide_ {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        div_tensor_mode::kernel(this, other, Some("floor"), Out::Inplace(this))
    }
}

/// Remainder of the division, with the sign of the divisor.
#[op("remainder.Tensor(Tensor self, Tensor other) -> Tensor", inplace, out, tags(pointwise))]
mod remainder {
    pub(super) fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        refuse_zero(this, other)?;
        pointwise::binary(Binary::Remainder, "remainder_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
    fn grad_other(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        g.mul(&this.div_tensor_mode(other, Some("floor"))?)?.neg()
    }
}

/// Remainder of the division, with the sign of the divisor.
#[op("remainder.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, tags(pointwise))]
mod remainder_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        remainder::kernel(this, &Tensor::wrapped(other)?, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
}

/// Remainder of the division, with the sign of the dividend.
#[op("fmod.Tensor(Tensor self, Tensor other) -> Tensor", inplace, out, tags(pointwise))]
mod fmod {
    pub(super) fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        refuse_zero(this, other)?;
        pointwise::binary(Binary::Fmod, "fmod_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
    fn grad_other(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        g.mul(&this.div_tensor_mode(other, Some("trunc"))?)?.neg()
    }
}

/// Remainder of the division, with the sign of the dividend.
#[op("fmod.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, tags(pointwise))]
mod fmod_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        fmod::kernel(this, &Tensor::wrapped(other)?, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
}

/// Remainder of dividing a number, with the sign of the divisor.
#[op("remainder.Scalar_Tensor(Scalar self, Tensor other) -> Tensor", out, composite)]
mod remainder_scalar_tensor {
    fn kernel(this: Scalar, other: &Tensor) -> Result<Tensor> {
        Tensor::wrapped(this)?.remainder(other)
    }
}

/// `t * factor`, or `t` itself.
fn scaled(t: &Tensor, factor: Scalar) -> Result<Tensor> {
    if factor == Scalar::Int(1) { Ok(t.clone()) } else { t.mul_scalar(conj(factor)) }
}

/// The complex conjugate of a number.
pub(super) fn conj(s: Scalar) -> Scalar {
    match s {
        Scalar::Complex(z) => Scalar::Complex(z.conj()),
        real => real,
    }
}

fn check_alpha(alpha: Scalar, dtype: DType) -> Result<()> {
    if alpha.is_bool() && dtype != DType::Bool {
        bail!("Boolean alpha only supported for Boolean results.");
    }
    if dtype.is_integral_or_bool() && alpha.is_floating_or_complex() {
        bail!("For integral input tensors, argument alpha must not be a floating point number.");
    }
    if alpha.is_complex() && !dtype.is_complex() {
        bail!("For non-complex input tensors, argument alpha must not be a complex number.");
    }
    Ok(())
}

fn check_subtraction(a: &Tensor, b: &Tensor) -> Result<()> {
    match (a.dtype() == DType::Bool, b.dtype() == DType::Bool) {
        (true, true) => bail!(
            NotImplemented,
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` operator instead."
        ),
        (false, false) => Ok(()),
        _ => bail!(
            NotImplemented,
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        ),
    }
}

/// Refuses a division of integers by zero.
fn refuse_zero(a: &Tensor, b: &Tensor) -> Result<()> {
    let integers = result_type(&[a, b]).is_integral_or_bool();
    if integers && a.numel() > 0 && crate::pointwise::contains_zero(b) {
        bail!("ZeroDivisionError");
    }
    Ok(())
}
