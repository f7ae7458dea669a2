//! Second names of operators.

use cresset_macros::op;

use crate::op::{OpDef, Out};
use crate::supported::{inexact, require};
use crate::{Result, Scalar, Tensor, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    absolute,
    negative,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctanh,
    fix,
    special_erf,
    special_erfc,
    special_erfinv,
    special_exp2,
    special_expit,
    special_expm1,
    special_gammaln,
    special_digamma,
    special_psi,
    special_log1p,
    special_sinc,
    special_logit,
    special_round,
    arctan2,
    multiply,
    multiply_scalar,
    divide,
    divide_scalar,
    true_divide,
    true_divide_scalar,
    divide_tensor_mode,
    divide_scalar_mode,
    subtract,
    subtract_scalar,
    less,
    less_scalar,
    less_equal,
    less_equal_scalar,
    greater,
    greater_scalar,
    greater_equal,
    greater_equal_scalar,
    not_equal,
    not_equal_scalar,
    clip,
    clip_tensor,
    special_xlogy,
    special_xlogy_scalar_other,
    special_xlogy_scalar_self,
];

/// Alias of [`abs`](super::abs).
#[op("absolute(Tensor self) -> Tensor", inplace, out, composite)]
mod absolute {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.abs_(),
            Out::Into([t, ..]) => this.abs_out(t),
            _ => this.abs(),
        }
    }
}

/// Alias of [`neg`](super::neg).
#[op("negative(Tensor self) -> Tensor", inplace, out, composite)]
mod negative {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.neg_(),
            Out::Into([t, ..]) => this.neg_out(t),
            _ => this.neg(),
        }
    }
}

/// Alias of [`acos`](super::acos).
#[op("arccos(Tensor self) -> Tensor", inplace, out, composite)]
mod arccos {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.acos_(),
            Out::Into([t, ..]) => this.acos_out(t),
            _ => this.acos(),
        }
    }
}

/// Alias of [`acosh`](super::acosh).
#[op("arccosh(Tensor self) -> Tensor", inplace, out, composite)]
mod arccosh {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.acosh_(),
            Out::Into([t, ..]) => this.acosh_out(t),
            _ => this.acosh(),
        }
    }
}

/// Alias of [`asin`](super::asin).
#[op("arcsin(Tensor self) -> Tensor", inplace, out, composite)]
mod arcsin {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.asin_(),
            Out::Into([t, ..]) => this.asin_out(t),
            _ => this.asin(),
        }
    }
}

/// Alias of [`asinh`](super::asinh).
#[op("arcsinh(Tensor self) -> Tensor", inplace, out, composite)]
mod arcsinh {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.asinh_(),
            Out::Into([t, ..]) => this.asinh_out(t),
            _ => this.asinh(),
        }
    }
}

/// Alias of [`atan`](super::atan).
#[op("arctan(Tensor self) -> Tensor", inplace, out, composite)]
mod arctan {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.atan_(),
            Out::Into([t, ..]) => this.atan_out(t),
            _ => this.atan(),
        }
    }
}

/// Alias of [`atanh`](super::atanh).
#[op("arctanh(Tensor self) -> Tensor", inplace, out, composite)]
mod arctanh {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.atanh_(),
            Out::Into([t, ..]) => this.atanh_out(t),
            _ => this.atanh(),
        }
    }
}

/// Alias of [`trunc`](super::trunc).
#[op("fix(Tensor self) -> Tensor", inplace, out, composite)]
mod fix {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.trunc_(),
            Out::Into([t, ..]) => this.trunc_out(t),
            _ => this.trunc(),
        }
    }
}

/// Alias of [`erf`](super::erf).
#[op("special_erf(Tensor self) -> Tensor", out, composite)]
mod special_erf {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        this.erf()
    }
}

/// Alias of [`erfc`](super::erfc).
#[op("special_erfc(Tensor self) -> Tensor", out, composite)]
mod special_erfc {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        this.erfc()
    }
}

/// Alias of [`erfinv`](super::erfinv).
#[op("special_erfinv(Tensor self) -> Tensor", out, composite)]
mod special_erfinv {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        this.erfinv()
    }
}

/// Alias of [`exp2`](super::exp2).
#[op("special_exp2(Tensor self) -> Tensor", out, composite)]
mod special_exp2 {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        this.exp2()
    }
}

/// Alias of [`sigmoid`](super::sigmoid).
#[op("special_expit(Tensor self) -> Tensor", out, composite)]
mod special_expit {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        this.sigmoid()
    }
}

/// Alias of [`expm1`](super::expm1).
#[op("special_expm1(Tensor self) -> Tensor", out, composite)]
mod special_expm1 {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        this.expm1()
    }
}

/// Alias of [`lgamma`](super::lgamma).
#[op("special_gammaln(Tensor self) -> Tensor", out, composite)]
mod special_gammaln {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        this.lgamma()
    }
}

/// Alias of [`digamma`](super::digamma).
#[op("special_digamma(Tensor self) -> Tensor", out, composite)]
mod special_digamma {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        this.digamma()
    }
}

/// Alias of [`digamma`](super::digamma).
#[op("special_psi(Tensor self) -> Tensor", out, composite)]
mod special_psi {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        this.digamma()
    }
}

/// Alias of [`log1p`](super::log1p).
#[op("special_log1p(Tensor self) -> Tensor", out, composite)]
mod special_log1p {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        this.log1p()
    }
}

/// Alias of [`sinc`](super::sinc).
#[op("special_sinc(Tensor self) -> Tensor", out, composite)]
mod special_sinc {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        this.sinc()
    }
}

/// Alias of [`logit`](super::logit).
#[op("special_logit(Tensor self, float? eps=None) -> Tensor", out, composite)]
mod special_logit {
    fn kernel(this: &Tensor, eps: Option<f64>) -> Result<Tensor> {
        super::super::transcendental::logit::call(this, eps)
    }
}

/// Alias of [`round`](super::round).
#[op("special_round(Tensor self, *, int decimals=0) -> Tensor", out, composite)]
mod special_round {
    fn kernel(this: &Tensor, decimals: i64) -> Result<Tensor> {
        require("round_vml_cpu", this, inexact)?;
        if decimals == 0 { this.round() } else { this.round_decimals(decimals) }
    }
}

/// Alias of [`atan2`](super::atan2).
#[op("arctan2(Tensor self, Tensor other) -> Tensor", inplace, out, composite)]
mod arctan2 {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.atan2_(other),
            Out::Into([t, ..]) => this.atan2_out(other, t),
            _ => this.atan2(other),
        }
    }
}

/// Alias of [`mul`](super::mul).
#[op("multiply.Tensor(Tensor self, Tensor other) -> Tensor", inplace, out = "out", composite)]
mod multiply {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.mul_(other),
            Out::Into([t, ..]) => this.mul_out(other, t),
            _ => this.mul(other),
        }
    }
}

/// Alias of [`mul_scalar`](super::mul_scalar).
#[op("multiply.Scalar(Tensor self, Scalar other) -> Tensor", inplace, composite)]
mod multiply_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.mul_scalar_(other),

            _ => this.mul_scalar(other),
        }
    }
}

/// Alias of [`div`](super::div).
#[op("divide.Tensor(Tensor self, Tensor other) -> Tensor", inplace, out = "out", composite)]
mod divide {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.div_(other),
            Out::Into([t, ..]) => this.div_out(other, t),
            _ => this.div(other),
        }
    }
}

/// Alias of [`div_scalar`](super::div_scalar).
#[op("divide.Scalar(Tensor self, Scalar other) -> Tensor", inplace, composite)]
mod divide_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.div_scalar_(other),

            _ => this.div_scalar(other),
        }
    }
}

/// Alias of [`div`](super::div).
#[op("true_divide.Tensor(Tensor self, Tensor other) -> Tensor", inplace, out = "out", composite)]
mod true_divide {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.div_(other),
            Out::Into([t, ..]) => this.div_out(other, t),
            _ => this.div(other),
        }
    }
}

/// Alias of [`div_scalar`](super::div_scalar).
#[op("true_divide.Scalar(Tensor self, Scalar other) -> Tensor", inplace, composite)]
mod true_divide_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.div_scalar_(other),

            _ => this.div_scalar(other),
        }
    }
}

/// Alias of [`div_tensor_mode`](super::div_tensor_mode).
#[op(
    "divide.Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor",
    inplace,
    out = "out_mode",
    composite
)]
mod divide_tensor_mode {
    fn kernel(this: &Tensor, other: &Tensor, rounding_mode: Option<&str>, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.div_tensor_mode_(other, rounding_mode),
            Out::Into([t, ..]) => this.div_tensor_mode_out(other, rounding_mode, t),
            _ => this.div_tensor_mode(other, rounding_mode),
        }
    }
}

/// Alias of [`div_scalar_mode`](super::div_scalar_mode).
#[op("divide.Scalar_mode(Tensor self, Scalar other, *, str? rounding_mode) -> Tensor", inplace, composite)]
mod divide_scalar_mode {
    fn kernel(this: &Tensor, other: Scalar, rounding_mode: Option<&str>, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.div_scalar_mode_(other, rounding_mode),

            _ => this.div_scalar_mode(other, rounding_mode),
        }
    }
}

/// Alias of [`sub`](super::sub).
#[op(
    "subtract.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
    inplace,
    out = "out",
    composite
)]
mod subtract {
    fn kernel(this: &Tensor, other: &Tensor, alpha: Scalar) -> Result<Tensor> {
        this.sub_with(other, |o| o.alpha(alpha))
    }
}

/// Alias of [`sub_scalar`](super::sub_scalar).
#[op("subtract.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", inplace, composite)]
mod subtract_scalar {
    fn kernel(this: &Tensor, other: Scalar, alpha: Scalar) -> Result<Tensor> {
        this.sub_scalar_with(other, |o| o.alpha(alpha))
    }
}

/// Alias of [`lt`](super::lt).
#[op("less.Tensor(Tensor self, Tensor other) -> Tensor", inplace, out, composite)]
mod less {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.lt_(other),
            Out::Into([t, ..]) => this.lt_out(other, t),
            _ => this.lt(other),
        }
    }
}

/// Alias of [`lt_scalar`](super::lt_scalar).
#[op("less.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, composite)]
mod less_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.lt_scalar_(other),
            Out::Into([t, ..]) => this.lt_scalar_out(other, t),
            _ => this.lt_scalar(other),
        }
    }
}

/// Alias of [`le`](super::le).
#[op("less_equal.Tensor(Tensor self, Tensor other) -> Tensor", inplace, out, composite)]
mod less_equal {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.le_(other),
            Out::Into([t, ..]) => this.le_out(other, t),
            _ => this.le(other),
        }
    }
}

/// Alias of [`le_scalar`](super::le_scalar).
#[op("less_equal.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, composite)]
mod less_equal_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.le_scalar_(other),
            Out::Into([t, ..]) => this.le_scalar_out(other, t),
            _ => this.le_scalar(other),
        }
    }
}

/// Alias of [`gt`](super::gt).
#[op("greater.Tensor(Tensor self, Tensor other) -> Tensor", inplace, out, composite)]
mod greater {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.gt_(other),
            Out::Into([t, ..]) => this.gt_out(other, t),
            _ => this.gt(other),
        }
    }
}

/// Alias of [`gt_scalar`](super::gt_scalar).
#[op("greater.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, composite)]
mod greater_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.gt_scalar_(other),
            Out::Into([t, ..]) => this.gt_scalar_out(other, t),
            _ => this.gt_scalar(other),
        }
    }
}

/// Alias of [`ge`](super::ge).
#[op("greater_equal.Tensor(Tensor self, Tensor other) -> Tensor", inplace, out, composite)]
mod greater_equal {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.ge_(other),
            Out::Into([t, ..]) => this.ge_out(other, t),
            _ => this.ge(other),
        }
    }
}

/// Alias of [`ge_scalar`](super::ge_scalar).
#[op("greater_equal.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, composite)]
mod greater_equal_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.ge_scalar_(other),
            Out::Into([t, ..]) => this.ge_scalar_out(other, t),
            _ => this.ge_scalar(other),
        }
    }
}

/// Alias of [`ne`](super::ne).
#[op("not_equal.Tensor(Tensor self, Tensor other) -> Tensor", inplace, out, composite)]
mod not_equal {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.ne_(other),
            Out::Into([t, ..]) => this.ne_out(other, t),
            _ => this.ne(other),
        }
    }
}

/// Alias of [`ne_scalar`](super::ne_scalar).
#[op("not_equal.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, composite)]
mod not_equal_scalar {
    fn kernel(this: &Tensor, other: Scalar, out: Out) -> Result<Tensor> {
        match out {
            Out::Inplace(_) => this.ne_scalar_(other),
            Out::Into([t, ..]) => this.ne_scalar_out(other, t),
            _ => this.ne_scalar(other),
        }
    }
}

/// Alias of [`clamp`](super::clamp).
#[op("clip(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor", inplace, out, composite)]
mod clip {
    fn kernel(this: &Tensor, min: Option<Scalar>, max: Option<Scalar>) -> Result<Tensor> {
        super::super::ternary::clamp::call(this, min, max)
    }
}

/// Alias of [`clamp_tensor`](super::clamp_tensor).
#[op("clip.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor", inplace, out, composite)]
mod clip_tensor {
    fn kernel(this: &Tensor, min: Option<&Tensor>, max: Option<&Tensor>) -> Result<Tensor> {
        super::super::ternary::clamp_tensor::call(this, min, max)
    }
}

/// Alias of [`xlogy`](super::xlogy).
#[op("special_xlogy(Tensor self, Tensor other) -> Tensor", out, composite)]
mod special_xlogy {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        this.xlogy(other)
    }
}

/// Alias of [`xlogy_scalar_other`](super::xlogy_scalar_other).
#[op("special_xlogy.other_scalar(Tensor self, Scalar other) -> Tensor", out, composite)]
mod special_xlogy_scalar_other {
    fn kernel(this: &Tensor, other: Scalar) -> Result<Tensor> {
        this.xlogy_scalar_other(other)
    }
}

/// Alias of [`xlogy_scalar_self`](super::xlogy_scalar_self).
#[op("special_xlogy.self_scalar(Scalar self, Tensor other) -> Tensor", out, composite)]
mod special_xlogy_scalar_self {
    fn kernel(this: Scalar, other: &Tensor) -> Result<Tensor> {
        super::super::xlogy_scalar_self(this, other)
    }
}
