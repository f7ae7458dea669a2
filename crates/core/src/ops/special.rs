//! Special functions, computed element by element in double precision.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI, SQRT_2};

use cresset_kernels::math::special;
use cresset_macros::op;

use super::power::{before, write};
use super::{pow_scalar_self, where_self};
use crate::layout::checked_numel;
use crate::op::{OpDef, Out};
use crate::promotion::result_type;
use crate::supported::{not_half, not_implemented, require};
use crate::{DType, Result, Scalar, Tensor, bail, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![
    i0,
    special_i0e,
    special_i1,
    special_i1e,
    special_erfcx,
    special_ndtr,
    special_ndtri,
    special_log_ndtr,
    special_entr,
    polygamma,
    polygamma_,
    special_polygamma,
    mvlgamma,
    special_multigammaln,
    igamma,
    special_gammainc,
    igammac,
    special_gammaincc,
    special_i0,
    special_zeta,
    special_zeta_scalar_other,
    special_zeta_scalar_self,
    frexp,
];

/// Modified Bessel function of the first kind of order 0.
#[op("i0(Tensor self) -> Tensor", inplace, out, tags(pointwise))]
mod i0 {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_map1("i0", this, out, special::i0)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&this.special_i1()?)
    }
}

/// `e^-|self|` times the modified Bessel function of order 0.
#[op("special_i0e(Tensor self) -> Tensor", out, tags(pointwise))]
mod special_i0e {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_map1("i0e", this, out, special::i0e)
    }
    fn grad_this(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Tensor> {
        g.mul(&this.special_i1e()?.sub(&this.sgn()?.mul(out)?)?)
    }
}

/// Modified Bessel function of the first kind of order 1.
#[op("special_i1(Tensor self) -> Tensor", out, tags(pointwise))]
mod special_i1 {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_map1("i1", this, out, special::i1)
    }
    fn grad_this(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Tensor> {
        // I1' = I0 - I1 / x, which is 1/2 at 0.
        let slope = this.i0()?.sub(&out.div(this)?)?;
        g.mul(&where_self(&this.eq_scalar(0)?, &Tensor::wrapped(Scalar::Float(0.5))?, &slope)?)
    }
}

/// `e^-|self|` times the modified Bessel function of order 1.
#[op("special_i1e(Tensor self) -> Tensor", out, tags(pointwise))]
mod special_i1e {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_map1("i1e", this, out, special::i1e)
    }
    fn grad_this(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Tensor> {
        let slope = this.special_i0e()?.sub(&out.mul(&this.sgn()?.add(&this.reciprocal()?)?)?)?;
        g.mul(&where_self(&this.eq_scalar(0)?, &Tensor::wrapped(Scalar::Float(0.5))?, &slope)?)
    }
}

/// `e^(self^2) erfc(self)`.
#[op("special_erfcx(Tensor self) -> Tensor", out, tags(pointwise))]
mod special_erfcx {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        require("erfcx_cpu", this, not_half)?;
        pointwise::float_map1("erfcx", this, out, special::erfcx)
    }
    fn grad_this(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Tensor> {
        g.mul(&this.mul(out)?.mul_scalar(2)?.sub_scalar(FRAC_2_SQRT_PI)?)
    }
}

/// Distribution function of the normal distribution.
#[op("special_ndtr(Tensor self) -> Tensor", composite, out, tags(pointwise))]
mod special_ndtr {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        this.div_scalar(SQRT_2)?.erf()?.add_scalar(1)?.mul_scalar(0.5)
    }
}

/// Quantile of the normal distribution.
#[op("special_ndtri(Tensor self) -> Tensor", out, tags(pointwise))]
mod special_ndtri {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        require("ndtri_cpu", this, not_half)?;
        pointwise::float_map1("ndtri", this, out, special::ndtri)
    }
    fn grad_this(g: &Tensor, out: &Tensor) -> Result<Tensor> {
        g.mul(&out.mul(out)?.mul_scalar(0.5)?.exp()?.mul_scalar((2.0 * PI).sqrt())?)
    }
}

/// Logarithm of the distribution function of the normal distribution.
#[op("special_log_ndtr(Tensor self) -> Tensor", out, tags(pointwise))]
mod special_log_ndtr {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        require("log_ndtr_cpu", this, not_half)?;
        pointwise::float_map1("log_ndtr", this, out, special::log_ndtr)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.div(&this.mul_scalar(-FRAC_1_SQRT_2)?.special_erfcx()?.mul_scalar((0.5 * PI).sqrt())?)
    }
}

/// Entropy of each element: `-self log(self)`.
#[op("special_entr(Tensor self) -> Tensor", out, tags(pointwise))]
mod special_entr {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::float_map1("entr", this, out, special::entr)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&this.log()?.add_scalar(1)?.neg()?)
    }
}

/// The `n`-th derivative of `digamma`.
#[op("polygamma(int n, Tensor self) -> Tensor", out, tags(pointwise))]
mod polygamma {
    fn kernel(n: i64, this: &Tensor, out: Out) -> Result<Tensor> {
        if n < 0 {
            bail!("polygamma(n, x) does not support negative n.");
        }
        pointwise::float_map1("polygamma", this, out, |x| special::polygamma(n, x))
    }
    fn grad_this(g: &Tensor, n: i64, this: &Tensor) -> Result<Tensor> {
        g.mul(&polygamma(n + 1, this)?)
    }
}

/// The `n`-th derivative of `digamma`, in place.
#[op("polygamma_(Tensor(a!) self, int n) -> Tensor(a!)", composite)]
mod polygamma_ {
    fn kernel(this: &Tensor, n: i64) -> Result<Tensor> {
        write(this, &polygamma(n, &before(this)?)?)
    }
}

/// Alias of [`polygamma`].
#[op("special_polygamma(int n, Tensor self) -> Tensor", out, composite)]
mod special_polygamma {
    fn kernel(n: i64, this: &Tensor) -> Result<Tensor> {
        polygamma(n, this)
    }
}

/// Logarithm of the multivariate gamma function of dimension `p`.
///
/// # Errors
/// `Runtime` unless `p` is positive.
#[op("mvlgamma(Tensor self, int p) -> Tensor", inplace, out, composite)]
mod mvlgamma {
    fn kernel(this: &Tensor, p: i64) -> Result<Tensor> {
        if this.dtype() == DType::Bool {
            bail!("The input tensor may not be a boolean tensor.");
        }
        if p < 1 {
            bail!("p has to be greater than or equal to 1");
        }
        let this = this.to_dtype(pointwise::float_type(this.dtype()))?;
        // As in PyTorch, all shifted arguments lie side by side, so that an absurd `p` is an allocation that fails.
        crate::copy::check_room(checked_numel(&[this.numel().max(1) as i64, p], 8)? as i64)?;
        let mut sum = this.lgamma()?;
        for j in 1..p {
            sum = sum.add(&this.sub_scalar(0.5 * j as f64)?.lgamma()?)?;
        }
        sum.add_scalar(0.25 * (p as f64) * (p - 1) as f64 * PI.ln())
    }
}

/// Alias of [`mvlgamma`].
#[op("special_multigammaln(Tensor self, int p) -> Tensor", out, composite)]
mod special_multigammaln {
    fn kernel(this: &Tensor, p: i64) -> Result<Tensor> {
        this.mvlgamma(p)
    }
}

/// Regularised lower incomplete gamma function.
#[op("igamma(Tensor self, Tensor other) -> Tensor", inplace, out, tags(pointwise))]
mod igamma {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        if result_type(&[this, other]).is_integral_or_bool() {
            bail!(
                NotImplemented,
                "\"igamma_cpu\" not implemented for '{}'",
                result_type(&[this, other]).scalar_type()
            );
        }
        pointwise::float_map2("igamma_cpu", this, other, out, special::igamma)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        let _ = g;
        bail!(NotImplemented, "the derivative for 'igamma: input' is not implemented.")
    }
    fn grad_other(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        let log = this.sub_scalar(1)?.mul(&other.log()?)?.sub(other)?.sub(&this.lgamma()?)?;
        g.mul(&log.exp()?)
    }
}

/// Alias of [`igamma`].
#[op("special_gammainc(Tensor self, Tensor other) -> Tensor", out, composite)]
mod special_gammainc {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        this.igamma(other)
    }
}

/// Regularised upper incomplete gamma function.
#[op("igammac(Tensor self, Tensor other) -> Tensor", inplace, out, tags(pointwise))]
mod igammac {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        if result_type(&[this, other]).is_integral_or_bool() {
            bail!(
                NotImplemented,
                "\"igammac_cpu\" not implemented for '{}'",
                result_type(&[this, other]).scalar_type()
            );
        }
        pointwise::float_map2("igammac_cpu", this, other, out, special::igammac)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        let _ = g;
        bail!(NotImplemented, "the derivative for 'igammac: input' is not implemented.")
    }
    fn grad_other(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        let log = this.sub_scalar(1)?.mul(&other.log()?)?.sub(other)?.sub(&this.lgamma()?)?;
        g.mul(&log.exp()?)?.neg()
    }
}

/// Alias of [`igammac`].
#[op("special_gammaincc(Tensor self, Tensor other) -> Tensor", out, composite)]
mod special_gammaincc {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        this.igammac(other)
    }
}

/// Alias of [`i0`].
#[op("special_i0(Tensor self) -> Tensor", out, composite)]
mod special_i0 {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        this.i0()
    }
}

/// Hurwitz' zeta function: the sum of `(other + k)^-self` over `k >= 0`.
#[op("special_zeta(Tensor self, Tensor other) -> Tensor", out, tags(pointwise))]
mod special_zeta {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        let common = result_type(&[this, other]);
        if !not_half(common) {
            return Err(not_implemented("zeta_cpu", common));
        }
        pointwise::float_map2("zeta", this, other, out, special::zeta)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        let _ = g;
        bail!(NotImplemented, "the derivative for 'zeta' is not implemented.")
    }
    fn grad_other(g: &Tensor, this: &Tensor, other: &Tensor) -> Result<Tensor> {
        g.mul(&this.neg()?.mul(&this.add_scalar(1)?.special_zeta(other)?)?)
    }
}

/// Hurwitz' zeta function.
#[op("special_zeta.other_scalar(Tensor self, Scalar other) -> Tensor", out = "other_scalar_out", composite)]
mod special_zeta_scalar_other {
    fn kernel(this: &Tensor, other: Scalar) -> Result<Tensor> {
        this.special_zeta(&Tensor::wrapped(other)?)
    }
}

/// Hurwitz' zeta function.
#[op("special_zeta.self_scalar(Scalar self, Tensor other) -> Tensor", out = "self_scalar_out", composite)]
mod special_zeta_scalar_self {
    fn kernel(this: Scalar, other: &Tensor) -> Result<Tensor> {
        Tensor::wrapped(this)?.special_zeta(other)
    }
}

/// Mantissa in `[0.5, 1)` and exponent of 2 of each element.
#[op(
    "frexp.Tensor(Tensor self) -> (Tensor mantissa, Tensor exponent)",
    out("Tensor_out", mantissa, exponent),
    tags(pointwise)
)]
mod frexp {
    fn kernel(this: &Tensor) -> Result<(Tensor, Tensor)> {
        if !this.is_floating_point() {
            bail!("torch.frexp() only supports floating-point dtypes");
        }
        let exponent = pointwise::map_to_int(this, |x| i64::from(libm::frexp(x).1))?;
        Ok((pointwise::float_map1("frexp", this, Out::New, |x| libm::frexp(x).0)?, exponent))
    }
    fn grad_this(g0: Option<&Tensor>, out1: &Tensor) -> Result<Option<Tensor>> {
        g0.map(|g| g.div(&pow_scalar_self(2.0, out1)?)).transpose()
    }
}
