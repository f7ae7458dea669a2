//! Exponentials, logarithms, trigonometric and hyperbolic functions, and the error and gamma functions.

use std::f64::consts::{FRAC_2_SQRT_PI, LN_2, LN_10, PI};

use cresset_kernels::pointwise::{Binary, Unary};
use cresset_macros::op;

use super::{logit_backward, polygamma, sigmoid_backward, tanh_backward, where_self};
use crate::op::{OpDef, Out};
use crate::{Result, Scalar, Tensor, bail, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![
    exp, exp2, expm1, log, log2, log10, log1p, sin, cos, tan, asin, acos, atan, sinh, cosh, tanh, asinh,
    acosh, atanh, sigmoid, logit, sinc, erf, erfc, erfinv, lgamma, digamma, deg2rad, rad2deg,
];

/// Exponential function.
#[op("exp(Tensor self) -> Tensor", inplace, out, tags(pointwise, core), onnx = "Exp")]
mod exp {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Exp, "exp_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor, out: &Tensor) -> Result<Tensor> {
        g.mul(&out.conj()?)
    }
}

/// Power of 2: `2^self`.
#[op("exp2(Tensor self) -> Tensor", inplace, out, tags(pointwise, core))]
mod exp2 {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Exp2, "exp2_cpu", this, out)
    }
    fn grad_this(g: &Tensor, out: &Tensor) -> Result<Tensor> {
        g.mul(&out.conj()?)?.mul_scalar(LN_2)
    }
}

/// `e^self - 1`, accurate near 0.
#[op("expm1(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero))]
mod expm1 {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Expm1, "expm1_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor, out: &Tensor) -> Result<Tensor> {
        g.mul(&out.conj()?.add_scalar(1)?)
    }
}

/// Natural logarithm.
#[op("log(Tensor self) -> Tensor", inplace, out, tags(pointwise, core), onnx = "Log")]
mod log {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Log, "log_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.div(&this.conj()?)
    }
}

/// Logarithm to base 2.
#[op("log2(Tensor self) -> Tensor", inplace, out, tags(pointwise, core))]
mod log2 {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Log2, "log2_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.div(&this.conj()?.mul_scalar(LN_2)?)
    }
}

/// Logarithm to base 10.
#[op("log10(Tensor self) -> Tensor", inplace, out, tags(pointwise, core))]
mod log10 {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Log10, "log10_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.div(&this.conj()?.mul_scalar(LN_10)?)
    }
}

/// `log(1 + self)`, accurate near 0.
#[op("log1p(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero))]
mod log1p {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Log1p, "log1p_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.div(&this.add_scalar(1)?.conj()?)
    }
}

/// Sine.
#[op("sin(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero), onnx = "Sin")]
mod sin {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Sin, "sin_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&this.cos()?.conj()?)
    }
}

/// Cosine.
#[op("cos(Tensor self) -> Tensor", inplace, out, tags(pointwise, core), onnx = "Cos")]
mod cos {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Cos, "cos_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&this.sin()?.conj()?)?.neg()
    }
}

/// Tangent.
#[op("tan(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero), onnx = "Tan")]
mod tan {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Tan, "tan_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor, out: &Tensor) -> Result<Tensor> {
        g.mul(&out.mul(out)?.add_scalar(1)?.conj()?)
    }
}

/// Inverse sine.
#[op("asin(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero), onnx = "Asin")]
mod asin {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Asin, "asin_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&one_minus_square(this)?.rsqrt()?.conj()?)
    }
}

/// Inverse cosine.
#[op("acos(Tensor self) -> Tensor", inplace, out, tags(pointwise, core), onnx = "Acos")]
mod acos {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Acos, "acos_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&one_minus_square(this)?.rsqrt()?.conj()?)?.neg()
    }
}

/// Inverse tangent.
#[op("atan(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero), onnx = "Atan")]
mod atan {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Atan, "atan_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.div(&this.mul(this)?.add_scalar(1)?.conj()?)
    }
}

/// Hyperbolic sine.
#[op("sinh(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero), onnx = "Sinh")]
mod sinh {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Sinh, "sinh_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&this.cosh()?.conj()?)
    }
}

/// Hyperbolic cosine.
#[op("cosh(Tensor self) -> Tensor", inplace, out, tags(pointwise, core), onnx = "Cosh")]
mod cosh {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Cosh, "cosh_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&this.sinh()?.conj()?)
    }
}

/// Hyperbolic tangent.
#[op("tanh(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero), onnx = "Tanh")]
mod tanh {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Tanh, "tanh_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor, out: &Tensor) -> Result<Tensor> {
        tanh_backward(g, out)
    }
}

/// Inverse hyperbolic sine.
#[op("asinh(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero), onnx = "Asinh")]
mod asinh {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Asinh, "asinh_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&this.mul(this)?.add_scalar(1)?.rsqrt()?.conj()?)
    }
}

/// Inverse hyperbolic cosine.
#[op("acosh(Tensor self) -> Tensor", inplace, out, tags(pointwise, core), onnx = "Acosh")]
mod acosh {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Acosh, "acosh_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        // The two roots have their branch cuts where `acosh` has; the root of the product has not.
        g.mul(&this.sub_scalar(1)?.rsqrt()?.mul(&this.add_scalar(1)?.rsqrt()?)?.conj()?)
    }
}

/// Inverse hyperbolic tangent.
#[op("atanh(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero), onnx = "Atanh")]
mod atanh {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Atanh, "atanh_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.div(&one_minus_square(this)?.conj()?)
    }
}

/// Logistic function: `1 / (1 + e^-self)`.
#[op("sigmoid(Tensor self) -> Tensor", inplace, out, tags(pointwise, core), onnx = "Sigmoid")]
mod sigmoid {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Sigmoid, "sigmoid_cpu", this, out)
    }
    fn grad_this(g: &Tensor, out: &Tensor) -> Result<Tensor> {
        sigmoid_backward(g, out)
    }
}

/// Inverse of the logistic function: `log(self / (1 - self))`, `self` limited to `[eps, 1 - eps]` if `eps` is given.
#[op("logit(Tensor self, float? eps=None) -> Tensor", inplace, out, tags(pointwise))]
pub(super) mod logit {
    fn kernel(this: &Tensor, eps: Option<f64>, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Logit { eps: eps.unwrap_or(-1.0) }, "logit_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, eps: Option<f64>) -> Result<Tensor> {
        logit_backward::call(g, this, eps)
    }
}

/// Normalised `sin(pi x) / (pi x)`.
#[op("sinc(Tensor self) -> Tensor", inplace, out, tags(pointwise, core))]
mod sinc {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Sinc, "sinc_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        // d/dx = (cos(pi x) pi x - sin(pi x)) / (pi x^2), 0 at 0.
        let angle = this.mul_scalar(PI)?;
        let slope = angle.cos()?.mul(&angle)?.sub(&angle.sin()?)?.div(&angle.mul(this)?)?.conj()?;
        where_self(&this.eq_scalar(0)?, &Tensor::wrapped(Scalar::Int(0))?, &g.mul(&slope)?)
    }
}

/// Error function.
#[op("erf(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero), onnx = "Erf")]
mod erf {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Erf, "erf_vml_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&gauss(this)?.mul_scalar(FRAC_2_SQRT_PI)?)
    }
}

/// Complementary error function: `1 - erf(self)`.
#[op("erfc(Tensor self) -> Tensor", inplace, out, tags(pointwise, core))]
mod erfc {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Erfc, "erfc_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&gauss(this)?.mul_scalar(-FRAC_2_SQRT_PI)?)
    }
}

/// Inverse of the error function.
#[op("erfinv(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero))]
mod erfinv {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Erfinv, "erfinv_cpu", this, out)
    }
    fn grad_this(g: &Tensor, out: &Tensor) -> Result<Tensor> {
        g.div(&gauss(out)?.mul_scalar(FRAC_2_SQRT_PI)?)
    }
}

/// Logarithm of the absolute value of the gamma function.
#[op("lgamma(Tensor self) -> Tensor", inplace, out, tags(pointwise, core))]
mod lgamma {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Lgamma, "lgamma_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&this.digamma()?)
    }
}

/// Derivative of `lgamma`.
#[op("digamma(Tensor self) -> Tensor", inplace, out, tags(pointwise, core))]
mod digamma {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_unary(Unary::Digamma, "digamma", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&polygamma(1, this)?)
    }
}

/// Degrees to radians.
#[op("deg2rad(Tensor self) -> Tensor", inplace, out, tags(pointwise, keeps_zero))]
mod deg2rad {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        if this.is_complex() {
            bail!("deg2rad is not supported for complex tensors.");
        }
        pointwise::float_binary(
            Binary::Mul,
            "mul_cpu",
            this,
            &Tensor::wrapped(Scalar::Float(PI / 180.0))?,
            out,
        )
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        g.mul_scalar(PI / 180.0)
    }
}

/// Radians to degrees.
#[op("rad2deg(Tensor self) -> Tensor", inplace, out, tags(pointwise, keeps_zero))]
mod rad2deg {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        if this.is_complex() {
            bail!("rad2deg is not supported for complex tensors.");
        }
        pointwise::float_binary(
            Binary::Mul,
            "mul_cpu",
            this,
            &Tensor::wrapped(Scalar::Float(180.0 / PI))?,
            out,
        )
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        g.mul_scalar(180.0 / PI)
    }
}

fn one_minus_square(t: &Tensor) -> Result<Tensor> {
    t.mul(t)?.rsub_scalar(1)
}

/// `e^(-t^2)`.
fn gauss(t: &Tensor) -> Result<Tensor> {
    t.mul(t)?.neg()?.exp()
}
