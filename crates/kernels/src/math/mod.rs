//! Elementary functions of real numbers, as loops need them.
//!
//! The `f32` functions ([`f32`](mod@self::single)) are polynomials without branches or calls, so that a loop over them becomes vector code; they
//! stay within about two units in the last place of the exact value, over the whole range. `f64` ones call the system's
//! library where no vector form is worth its length.

mod angles;
pub mod bessel;
mod bessel_tables;
mod double;
pub mod polynomial;
mod single;
pub mod special;

use crate::cast::Target;
use std::f64::consts::FRAC_1_SQRT_2;

/// A type whose arithmetic loops compute in: `f32` or `f64`.
#[allow(missing_docs)] // one-line mathematics, named as in `std`
pub trait Real:
    Target
    + PartialOrd
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Rem<Output = Self>
    + std::ops::Neg<Output = Self>
{
    const ZERO: Self;
    const ONE: Self;
    const INFINITY: Self;
    const NAN: Self;
    /// Quotients below it are rounded to within a quarter of 1.
    const SAFE_QUOTIENT: Self;
    /// The constant or parameter nearest to `x`.
    fn real(x: f64) -> Self;
    fn wide(self) -> f64;
    fn abs(self) -> Self;
    fn copysign(self, sign: Self) -> Self;
    fn is_nan(self) -> bool;
    fn is_negative(self) -> bool;
    fn mul_add(self, a: Self, b: Self) -> Self;
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    fn trunc(self) -> Self;
    fn round_even(self) -> Self;
    fn sqrt(self) -> Self;
    fn exp(self) -> Self;
    fn exp2(self) -> Self;
    fn expm1(self) -> Self;
    fn ln(self) -> Self;
    fn log2(self) -> Self;
    fn log10(self) -> Self;
    fn log1p(self) -> Self;
    /// Sine; [`Real::is_far`] arguments need [`Real::sin_far`].
    fn sin_near(self) -> Self;
    fn cos_near(self) -> Self;
    fn sin_far(self) -> Self;
    fn cos_far(self) -> Self;
    /// Whether the argument is beyond the range reduction of `sin_near`, `cos_near` and `tan`.
    fn is_far(self) -> bool;
    /// Tangent; [`Real::is_far`] arguments need [`Real::tan_far`].
    fn tan(self) -> Self;
    fn tan_far(self) -> Self;
    fn asin(self) -> Self;
    fn acos(self) -> Self;
    fn atan(self) -> Self;
    fn atan2(self, x: Self) -> Self;
    fn sinh(self) -> Self;
    fn cosh(self) -> Self;
    fn tanh(self) -> Self;
    fn asinh(self) -> Self;
    fn acosh(self) -> Self;
    fn atanh(self) -> Self;
    fn erf(self) -> Self;
    fn erfc(self) -> Self;
    fn erfinv(self) -> Self;
    fn lgamma(self) -> Self;
    fn pow(self, exponent: Self) -> Self;
    fn hypot(self, other: Self) -> Self;
    fn next_after(self, to: Self) -> Self;

    /// `1 / (1 + e^-x)`.
    #[inline(always)]
    fn sigmoid(self) -> Self {
        Self::ONE / (Self::ONE + (-self).exp())
    }

    /// As [`Real::sigmoid`], exact to the last place or two of 1 instead of its own.
    #[inline(always)]
    fn gate(self) -> Self {
        self.sigmoid()
    }

    /// Distribution function of the normal distribution, exact to the last place or two of 1.
    #[inline(always)]
    fn normal_cdf(self) -> Self {
        Self::real(0.5) * (Self::ONE + (self * Self::real(FRAC_1_SQRT_2)).erf())
    }

    /// The larger one, or NaN if one is NaN.
    #[inline(always)]
    fn max_nan(self, other: Self) -> Self {
        let max = if self > other { self } else { other };
        if self.is_nan() { self } else { max }
    }

    /// The smaller one, or NaN if one is NaN.
    #[inline(always)]
    fn min_nan(self, other: Self) -> Self {
        let min = if self < other { self } else { other };
        if self.is_nan() { self } else { min }
    }
}

/// The polynomial with these coefficients, the constant one first.
#[inline(always)]
fn horner<T: Real, const N: usize>(x: T, coefficients: [T; N]) -> T {
    let (last, others) = (coefficients[N - 1], &coefficients[..N - 1]);
    others.iter().rev().fold(last, |p, c| p.mul_add(x, *c))
}

macro_rules! shared {
    ($ty:ident) => {
        const ZERO: $ty = 0.0;
        const ONE: $ty = 1.0;
        const INFINITY: $ty = $ty::INFINITY;
        const NAN: $ty = $ty::NAN;
        const SAFE_QUOTIENT: $ty = (1_u64 << ($ty::MANTISSA_DIGITS - 3)) as $ty;
        #[inline(always)]
        fn real(x: f64) -> $ty {
            x as $ty
        }
        #[inline(always)]
        fn wide(self) -> f64 {
            self as f64
        }
        $crate::math::forward!($ty: abs, floor, ceil, trunc, sqrt);
        #[inline(always)]
        fn round_even(self) -> $ty {
            self.round_ties_even()
        }
        #[inline(always)]
        fn is_nan(self) -> bool {
            self != self
        }
        #[inline(always)]
        fn is_negative(self) -> bool {
            self.is_sign_negative()
        }
        #[inline(always)]
        fn copysign(self, sign: $ty) -> $ty {
            <$ty>::copysign(self, sign)
        }
        #[inline(always)]
        fn mul_add(self, a: $ty, b: $ty) -> $ty {
            <$ty>::mul_add(self, a, b)
        }
        #[inline]
        fn next_after(self, to: $ty) -> $ty {
            if self.is_nan() || to.is_nan() {
                return <$ty>::NAN;
            }
            match self.partial_cmp(&to) {
                Some(std::cmp::Ordering::Less) => self.next_up(),
                Some(std::cmp::Ordering::Greater) => self.next_down(),
                _ => to,
            }
        }
    };
}

/// Methods of `Real` that are those of the type itself.
macro_rules! forward {
    ($ty:ident: $($name:ident),*) => {
        $(
            #[inline(always)]
            fn $name(self) -> $ty {
                <$ty>::$name(self)
            }
        )*
    };
}
use {forward, shared};
