//! Signs, rounding, roots: functions of one tensor near to arithmetic.

use cresset_kernels::pointwise::Unary;
use cresset_macros::op;

use super::{view_as_complex, view_as_real, where_self};
use crate::op::{OpDef, Out};
use crate::supported::{numbers, require};
use crate::{DType, Result, Scalar, Tensor, bail, copy, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![
    abs,
    neg,
    sign,
    sgn,
    floor,
    ceil,
    trunc,
    round,
    round_decimals,
    frac,
    sqrt,
    rsqrt,
    reciprocal,
    square,
    positive,
    nan_to_num,
];

/// Absolute value; the modulus of a complex number.
#[op("abs(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero), onnx = "Abs")]
mod abs {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        require("abs_cpu", this, numbers)?;
        pointwise::real_unary(Unary::Abs, "abs_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&this.sgn()?)
    }
}

/// The negative: `-self`.
#[op("neg(Tensor self) -> Tensor", inplace, out, tags(pointwise, core), onnx = "Neg")]
mod neg {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        if this.dtype() == DType::Bool {
            bail!(
                NotImplemented,
                "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
            );
        }
        pointwise::unary(Unary::Neg, "neg_cpu", this, out)
    }
    fn sparse(this: &Tensor) -> Result<Tensor> {
        crate::sparse::math::with_values(this, Tensor::neg)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        g.neg()
    }
}

/// Sign of each element: -1, 0 or 1.
#[op("sign(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero), onnx = "Sign")]
mod sign {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        if this.is_complex() {
            bail!(
                NotImplemented,
                "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn instead."
            );
        }
        pointwise::unary(Unary::Sign, "sign_cpu", this, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Sign of each element; `z / |z|` of a complex number.
#[op("sgn(Tensor self) -> Tensor", inplace, out, tags(pointwise, keeps_zero))]
mod sgn {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::unary(Unary::Sgn, "sgn_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Tensor> {
        if !this.is_complex() {
            return zero_grad(g);
        }
        // The part of the gradient across the direction of `self`, over its length.
        let along = g.mul(&out.conj()?)?.real()?.mul(out)?;
        let abs = this.abs()?;
        where_self(&abs.eq_scalar(0)?, &Tensor::wrapped(Scalar::Int(0))?, &g.sub(&along)?.div(&abs)?)
    }
}

/// Largest integer not above each element.
#[op("floor(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero), onnx = "Floor")]
mod floor {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        real_only("floor", this)?;
        pointwise::unary(Unary::Floor, "floor_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Smallest integer not below each element.
#[op("ceil(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero), onnx = "Ceil")]
mod ceil {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        real_only("ceil", this)?;
        pointwise::unary(Unary::Ceil, "ceil_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Each element without its fraction.
#[op("trunc(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero))]
mod trunc {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        real_only("trunc", this)?;
        pointwise::unary(Unary::Trunc, "trunc_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Nearest integer, halves to even.
#[op("round(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero), onnx = "Round")]
mod round {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        real_only("round", this)?;
        pointwise::unary(Unary::Round, "round_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Nearest multiple of `10^-decimals`, halves to even.
#[op("round.decimals(Tensor self, *, int decimals) -> Tensor", inplace, out, tags(pointwise))]
mod round_decimals {
    fn kernel(this: &Tensor, decimals: i64, out: Out) -> Result<Tensor> {
        if this.dtype().is_integral_or_bool() {
            bail!(NotImplemented, "\"round_cpu\" not implemented for '{}'", this.dtype().scalar_type());
        }
        pointwise::unary(Unary::RoundDecimals { decimals }, "round_cpu", this, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// The fraction of each element, with its sign.
#[op("frac(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero))]
mod frac {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::unary(Unary::Frac, "frac_cpu", this, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
}

/// Square root.
#[op("sqrt(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero), onnx = "Sqrt")]
mod sqrt {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Sqrt, "sqrt_cpu", this, out)
    }
    fn grad_this(g: &Tensor, out: &Tensor) -> Result<Tensor> {
        g.div(&out.conj()?.mul_scalar(2)?)
    }
}

/// Reciprocal of the square root.
#[op("rsqrt(Tensor self) -> Tensor", inplace, out, tags(pointwise, core))]
mod rsqrt {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Rsqrt, "rsqrt_cpu", this, out)
    }
    fn grad_this(g: &Tensor, out: &Tensor) -> Result<Tensor> {
        g.mul(&out.mul(out)?.mul(out)?.conj()?)?.mul_scalar(-0.5)
    }
}

/// Reciprocal: `1 / self`.
#[op("reciprocal(Tensor self) -> Tensor", inplace, out, tags(pointwise, core), onnx = "Reciprocal")]
mod reciprocal {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Reciprocal, "reciprocal_cpu", this, out)
    }
    fn grad_this(g: &Tensor, out: &Tensor) -> Result<Tensor> {
        g.mul(&out.mul(out)?.conj()?)?.neg()
    }
}

/// Square of each element.
#[op("square(Tensor self) -> Tensor", inplace, out, tags(pointwise))]
mod square {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::unary(Unary::Square, "square_cpu", &not_bool(this)?, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&this.conj()?)?.mul_scalar(2)
    }
}

/// The tensor itself: `+self`.
#[op("positive(Tensor(a) self) -> Tensor(a)", composite)]
mod positive {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        if this.dtype() == DType::Bool {
            bail!(NotImplemented, "The `+` operator, on a bool tensor is not supported.");
        }
        Ok(this.clone())
    }
}

/// Replaces NaN (by 0) and infinities (by the largest finite numbers).
#[op(
    "nan_to_num(Tensor self, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor",
    inplace,
    out,
    tags(pointwise, keeps_zero)
)]
mod nan_to_num {
    fn kernel(
        this: &Tensor,
        nan: Option<f64>,
        posinf: Option<f64>,
        neginf: Option<f64>,
        out: Out,
    ) -> Result<Tensor> {
        if this.dtype().is_integral_or_bool() {
            let t = pointwise::output(out, &this.sizes(), this.dtype(), &[this])?;
            copy::copy_into(&t, this)?;
            return Ok(t);
        }
        if this.is_complex() {
            let parts = view_as_real(&this.detach())?;
            let finite = view_as_complex(&nan_to_num::call(&parts, nan, posinf, neginf)?)?;
            let t = pointwise::output(out, &this.sizes(), this.dtype(), &[this])?;
            copy::copy_into(&t, &finite)?;
            return Ok(t);
        }
        let largest = largest(this.dtype());
        let op = Unary::NanToNum {
            nan: nan.unwrap_or(0.0),
            positive: posinf.unwrap_or(largest),
            negative: neginf.unwrap_or(-largest),
        };
        pointwise::unary(op, "nan_to_num", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        where_self(&this.isfinite()?, g, &Tensor::wrapped(Scalar::Int(0))?)
    }
}

/// The largest finite number of a floating-point dtype.
pub(super) fn largest(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 65504.0,
        DType::BF16 => f64::from(half::bf16::MAX),
        DType::F32 | DType::Complex64 => f64::from(f32::MAX),
        _ => f64::MAX,
    }
}

/// Refuses complex numbers in PyTorch's words.
fn real_only(name: &str, t: &Tensor) -> Result<()> {
    if t.is_complex() {
        bail!(NotImplemented, "{name} is not supported for complex inputs");
    }
    if t.dtype() == DType::Bool {
        bail!(NotImplemented, "\"{name}_vml_cpu\" not implemented for 'Bool'");
    }
    Ok(())
}

/// A bool tensor as integers, any other one itself.
fn not_bool(t: &Tensor) -> Result<Tensor> {
    if t.dtype() == DType::Bool { t.to_dtype(DType::I64) } else { Ok(t.clone()) }
}

/// Zeros like a gradient, for functions that are constant in pieces.
pub(super) fn zero_grad(g: &Tensor) -> Result<Tensor> {
    copy::zeros(&g.sizes(), g.dtype(), g.device())
}
