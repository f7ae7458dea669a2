//! Functions of `f64`: the system library's.

use super::{Real, forward, shared};

#[allow(clippy::eq_op)]
impl Real for f64 {
    shared!(f64);
    forward!(f64: exp, exp2, ln, log2, log10, tan, asin, acos, atan, sinh, cosh, tanh);

    #[inline]
    fn asinh(self) -> f64 {
        libm::asinh(self)
    }
    #[inline]
    fn acosh(self) -> f64 {
        libm::acosh(self)
    }
    #[inline]
    fn atanh(self) -> f64 {
        libm::atanh(self)
    }
    #[inline]
    fn expm1(self) -> f64 {
        self.exp_m1()
    }
    #[inline]
    fn log1p(self) -> f64 {
        self.ln_1p()
    }
    #[inline]
    fn sin_near(self) -> f64 {
        self.sin()
    }
    #[inline]
    fn cos_near(self) -> f64 {
        self.cos()
    }
    #[inline]
    fn sin_far(self) -> f64 {
        self.sin()
    }
    #[inline]
    fn cos_far(self) -> f64 {
        self.cos()
    }
    #[inline(always)]
    fn is_far(self) -> bool {
        false
    }
    #[inline]
    fn atan2(self, x: f64) -> f64 {
        f64::atan2(self, x)
    }
    #[inline]
    fn erf(self) -> f64 {
        libm::erf(self)
    }
    #[inline]
    fn erfc(self) -> f64 {
        libm::erfc(self)
    }
    #[inline]
    fn lgamma(self) -> f64 {
        libm::lgamma(self)
    }
    #[inline]
    fn pow(self, exponent: f64) -> f64 {
        self.powf(exponent)
    }
}
