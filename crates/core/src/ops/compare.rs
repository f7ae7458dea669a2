//! Comparisons, tests and logical operators: the answers are `bool`.

use cresset_kernels::pointwise::{Compare, Test};
use cresset_macros::op;

use super::unary::zero_grad;
use crate::op::{OpDef, Out};
use crate::{DType, Result, Scalar, Tensor, bail, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![
    eq,
    eq_scalar,
    ne,
    ne_scalar,
    lt,
    lt_scalar,
    le,
    le_scalar,
    gt,
    gt_scalar,
    ge,
    ge_scalar,
    logical_and,
    logical_or,
    logical_xor,
    logical_not,
    isnan,
    isposinf,
    isneginf,
    signbit,
    isinf,
    isfinite,
    isreal,
    isclose,
];

/// Whether elements are equal, one by one.
#[op("eq.Tensor(Tensor self, Tensor other) -> Tensor", inplace, out, tags(pointwise, core), onnx = "Equal")]
mod eq {
    pub(super) fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::compare(Compare::Eq, "eq_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
    fn grad_other(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Whether elements equal a number.
#[op("eq.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, tags(pointwise))]
mod eq_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        eq::kernel(this, &Tensor::wrapped(other)?, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Whether elements differ, one by one.
#[op("ne.Tensor(Tensor self, Tensor other) -> Tensor", inplace, out, tags(pointwise, core))]
mod ne {
    pub(super) fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::compare(Compare::Ne, "ne_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
    fn grad_other(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Whether elements differ from a number.
#[op("ne.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, tags(pointwise))]
mod ne_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        ne::kernel(this, &Tensor::wrapped(other)?, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Whether elements of `self` are smaller, one by one.
#[op("lt.Tensor(Tensor self, Tensor other) -> Tensor", inplace, out, tags(pointwise, core), onnx = "Less")]
mod lt {
    pub(super) fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::compare(Compare::Lt, "lt_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
    fn grad_other(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Whether elements of `self` are smaller than a number.
#[op("lt.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, tags(pointwise))]
mod lt_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        lt::kernel(this, &Tensor::wrapped(other)?, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Whether elements of `self` are not larger, one by one.
#[op(
    "le.Tensor(Tensor self, Tensor other) -> Tensor",
    inplace,
    out,
    tags(pointwise, core),
    onnx = "LessOrEqual"
)]
mod le {
    pub(super) fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::compare(Compare::Le, "le_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
    fn grad_other(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Whether elements of `self` are not larger than a number.
#[op("le.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, tags(pointwise))]
mod le_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        le::kernel(this, &Tensor::wrapped(other)?, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Whether elements of `self` are larger, one by one.
#[op("gt.Tensor(Tensor self, Tensor other) -> Tensor", inplace, out, tags(pointwise, core), onnx = "Greater")]
mod gt {
    pub(super) fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::compare(Compare::Gt, "gt_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
    fn grad_other(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Whether elements of `self` are larger than a number.
#[op("gt.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, tags(pointwise))]
mod gt_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        gt::kernel(this, &Tensor::wrapped(other)?, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Whether elements of `self` are not smaller, one by one.
#[op(
    "ge.Tensor(Tensor self, Tensor other) -> Tensor",
    inplace,
    out,
    tags(pointwise, core),
    onnx = "GreaterOrEqual"
)]
mod ge {
    pub(super) fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::compare(Compare::Ge, "ge_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
    fn grad_other(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Whether elements of `self` are not smaller than a number.
#[op("ge.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, tags(pointwise))]
mod ge_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        ge::kernel(this, &Tensor::wrapped(other)?, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Whether both elements are not zero.
#[op("logical_and(Tensor self, Tensor other) -> Tensor", inplace, out, tags(pointwise))]
mod logical_and {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::compare(Compare::LogicalAnd, "logical_and_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        // Reached by the in-place form only, which PyTorch leaves out of the graph.
        Ok(g.clone())
    }
    fn grad_other(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Whether one of the elements is not zero.
#[op("logical_or(Tensor self, Tensor other) -> Tensor", inplace, out, tags(pointwise))]
mod logical_or {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::compare(Compare::LogicalOr, "logical_or_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        // Reached by the in-place form only, which PyTorch leaves out of the graph.
        Ok(g.clone())
    }
    fn grad_other(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Whether exactly one of the elements is not zero.
#[op("logical_xor(Tensor self, Tensor other) -> Tensor", inplace, out, tags(pointwise))]
mod logical_xor {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::compare(Compare::LogicalXor, "logical_xor_cpu", this, other, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        // Reached by the in-place form only, which PyTorch leaves out of the graph.
        Ok(g.clone())
    }
    fn grad_other(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Whether elements are zero.
#[op("logical_not(Tensor self) -> Tensor", inplace, out, tags(pointwise))]
mod logical_not {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::test(Test::LogicalNot, "logical_not_cpu", this, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        // Reached by the in-place form only, which PyTorch leaves out of the graph.
        Ok(g.clone())
    }
}

/// Whether elements are NaN.
#[op("isnan(Tensor self) -> Tensor", tags(pointwise, keeps_zero), no_grad = "the answers are bool")]
mod isnan {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::test(Test::IsNan, "isnan_cpu", this, out)
    }
}

/// An `out` tensor is boolean.
fn check_bool(out: Out, name: &str) -> Result<()> {
    match out {
        Out::Into([t, ..]) if t.dtype() != DType::Bool => {
            bail!("{name} does not support non-boolean outputs.")
        }
        _ => Ok(()),
    }
}

/// Whether elements are positive infinity.
#[op("isposinf(Tensor self) -> Tensor", out, tags(pointwise, keeps_zero), no_grad = "the answers are bool")]
mod isposinf {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        if this.is_complex() {
            bail!(Type, "isposinf does not support complex inputs.");
        }
        check_bool(out, "isposinf")?;
        pointwise::test(Test::IsPosInf, "isposinf_cpu", this, out)
    }
}

/// Whether elements are negative infinity.
#[op("isneginf(Tensor self) -> Tensor", out, tags(pointwise, keeps_zero), no_grad = "the answers are bool")]
mod isneginf {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        if this.is_complex() {
            bail!(Type, "isneginf does not support complex inputs.");
        }
        check_bool(out, "isneginf")?;
        pointwise::test(Test::IsNegInf, "isneginf_cpu", this, out)
    }
}

/// Whether the sign bit is set.
#[op("signbit(Tensor self) -> Tensor", out, tags(pointwise, keeps_zero), no_grad = "the answers are bool")]
mod signbit {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        check_bool(out, "signbit")?;
        pointwise::test(Test::Signbit, "signbit_cpu", this, out)
    }
}

/// Whether elements are infinite.
#[op("isinf(Tensor self) -> Tensor", tags(pointwise, keeps_zero), no_grad = "the answers are bool")]
mod isinf {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::test(Test::IsInf, "isinf_cpu", this, out)
    }
}

/// Whether elements are neither infinite nor NaN.
#[op("isfinite(Tensor self) -> Tensor", tags(pointwise), no_grad = "the answers are bool")]
mod isfinite {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::test(Test::IsFinite, "isfinite_cpu", this, out)
    }
}

/// Whether elements have no imaginary part.
#[op("isreal(Tensor self) -> Tensor", composite)]
mod isreal {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        if this.is_complex() { this.imag()?.eq_scalar(0) } else { this.eq(this)?.logical_or(&this.ne(this)?) }
    }
}

/// Whether `|self - other| <= atol + rtol * |other|`, or both are the same infinity (or NaN with `equal_nan`).
#[op(
    "isclose(Tensor self, Tensor other, float rtol=1.0000000000000001e-05, float atol=1e-08, bool equal_nan=False) -> Tensor",
    composite
)]
mod isclose {
    fn kernel(this: &Tensor, other: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Result<Tensor> {
        for (name, value) in [("rtol", rtol), ("atol", atol)] {
            if value < 0.0 {
                bail!("{name} must be greater than or equal to zero, but got {value}");
            }
        }
        if this.dtype() != other.dtype() {
            bail!("{} did not match {}", this.dtype().scalar_type(), other.dtype().scalar_type());
        }
        let (a, b) = (this.detach(), other.detach());
        let mut close = a.eq(&b)?;
        if equal_nan && (a.is_floating_point() || a.is_complex()) {
            close = close.logical_or(&a.isnan()?.logical_and(&b.isnan()?)?)?;
        }
        if rtol == 0.0 && atol == 0.0 {
            return Ok(close);
        }
        let (a, b) = (floating(&a)?, floating(&b)?);
        let allowed = b.mul_scalar(rtol)?.abs()?.add_scalar(atol)?;
        let error = a.sub(&b)?.abs()?;
        close.logical_or(&error.isfinite()?.logical_and(&error.le(&allowed)?)?)
    }
}

/// Integers as the default floating-point dtype.
fn floating(t: &Tensor) -> Result<Tensor> {
    t.to_dtype(pointwise::float_type(t.dtype()))
}
