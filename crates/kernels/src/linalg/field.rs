//! The numbers that matrices are made of: real and complex, single and double precision.

use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use super::matrix::{Matrix, MatrixMut};
use crate::dtype::{C32, C64, Element};
use crate::gemm::{self, Bias, ComplexShape, Rows, Shape, Strided};

/// Arithmetic that both real and complex numbers have.
pub trait Number:
    Element
    + Default
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
{
}

impl<T> Number for T where
    T: Element
        + Default
        + Add<Output = T>
        + Sub<Output = T>
        + Mul<Output = T>
        + Div<Output = T>
        + Neg<Output = T>
        + AddAssign
        + SubAssign
        + MulAssign
        + DivAssign
{
}

/// A real or complex number of single or double precision.
pub trait Field: Number {
    /// The type of absolute values.
    type Real: RealField;
    /// Whether numbers have an imaginary part.
    const COMPLEX: bool;
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;

    /// The complex conjugate.
    fn conj(self) -> Self;
    /// The real part.
    fn re(self) -> Self::Real;
    /// The imaginary part; 0 of a real number.
    fn im(self) -> Self::Real;
    /// The number with those parts; a real type drops the imaginary one.
    fn from_parts(re: Self::Real, im: Self::Real) -> Self;
    /// The product with a real number.
    fn scale(self, by: Self::Real) -> Self;
    /// The absolute value.
    fn modulus(self) -> Self::Real;

    /// A real number as one of this type.
    #[inline(always)]
    fn from_real(x: Self::Real) -> Self {
        Self::from_parts(x, Self::Real::ZERO)
    }

    /// `|re| + |im|`, by which LAPACK chooses pivots.
    #[inline(always)]
    fn size(self) -> Self::Real {
        if Self::COMPLEX { self.re().modulus() + self.im().modulus() } else { self.re().modulus() }
    }

    /// The square of the absolute value.
    #[inline(always)]
    fn square(self) -> Self::Real {
        if Self::COMPLEX { self.re() * self.re() + self.im() * self.im() } else { self.re() * self.re() }
    }

    /// Whether both parts are finite.
    #[inline(always)]
    fn is_finite(self) -> bool {
        self.re().to_f64().is_finite() && self.im().to_f64().is_finite()
    }

    /// `c = alpha a b + beta c`, `alpha` and `beta` being real.
    fn product(alpha: f64, a: Matrix<Self>, b: Matrix<Self>, beta: f64, c: &mut MatrixMut<Self>);
}

/// A real number.
pub trait RealField: Field<Real = Self> + PartialOrd {
    /// Distance from 1 to the next larger number.
    const EPS: f64;
    /// Smallest positive normal number.
    const TINY: f64;
    /// The nearest number.
    fn from_f64(x: f64) -> Self;
    /// The same number in double precision.
    fn to_f64(self) -> f64;
    /// The square root.
    fn root(self) -> Self;
}

/// Calls a product of `gemm` with the operands of [`Field::product`].
macro_rules! multiply {
    ($a:ident, $b:ident, $c:ident, |$left:ident, $right:ident, $place:ident| $call:expr) => {{
        assert!($a.rows == $c.rows && $a.cols == $b.rows && $b.cols == $c.cols, "sizes of a product agree");
        if $c.rows == 0 || $c.cols == 0 {
            return;
        }
        let $left = Strided { ptr: $a.ptr, items: &[0], line: $a.row, step: $a.col };
        let $right = Strided { ptr: $b.ptr, items: &[0], line: $b.col, step: $b.row };
        let $place = Rows { ptr: $c.ptr(), items: &[0], row: $c.row_stride(), col: 1 };
        // SAFETY: the sizes agree, the operands are borrowed for the call, and `c` is borrowed mutably, so it overlaps none.
        unsafe { $call }
    }};
}

macro_rules! real {
    ($($t:ident)*) => {$(
        impl Field for $t {
            type Real = $t;
            const COMPLEX: bool = false;
            const ZERO: $t = 0.0;
            const ONE: $t = 1.0;
            #[inline(always)]
            fn conj(self) -> $t { self }
            #[inline(always)]
            fn re(self) -> $t { self }
            #[inline(always)]
            fn im(self) -> $t { 0.0 }
            #[inline(always)]
            fn from_parts(re: $t, _im: $t) -> $t { re }
            #[inline(always)]
            fn scale(self, by: $t) -> $t { self * by }
            #[inline(always)]
            fn modulus(self) -> $t { self.abs() }

            fn product(alpha: f64, a: Matrix<$t>, b: Matrix<$t>, beta: f64, c: &mut MatrixMut<$t>) {
                let (alpha, beta) = (alpha as $t, beta as $t);
                let shape = Shape { items: 1, m: a.rows, n: b.cols, k: a.cols, alpha, beta, bias: Bias::None };
                multiply!(a, b, c, |left, right, place| gemm::Stored::matmul(shape, left, right, place))
            }
        }

        impl RealField for $t {
            const EPS: f64 = $t::EPSILON as f64;
            const TINY: f64 = $t::MIN_POSITIVE as f64;
            #[inline(always)]
            fn from_f64(x: f64) -> $t { x as $t }
            #[inline(always)]
            fn to_f64(self) -> f64 { self as f64 }
            #[inline(always)]
            fn root(self) -> $t { self.sqrt() }
        }
    )*};
}
real! { f32 f64 }

macro_rules! complex {
    ($($t:ident $real:ident)*) => {$(
        impl Field for $t {
            type Real = $real;
            const COMPLEX: bool = true;
            const ZERO: $t = $t::new(0.0, 0.0);
            const ONE: $t = $t::new(1.0, 0.0);
            #[inline(always)]
            fn conj(self) -> $t { $t::new(self.re, -self.im) }
            #[inline(always)]
            fn re(self) -> $real { self.re }
            #[inline(always)]
            fn im(self) -> $real { self.im }
            #[inline(always)]
            fn from_parts(re: $real, im: $real) -> $t { $t::new(re, im) }
            #[inline(always)]
            fn scale(self, by: $real) -> $t { $t::new(self.re * by, self.im * by) }
            #[inline(always)]
            fn modulus(self) -> $real { self.re.hypot(self.im) }

            fn product(alpha: f64, a: Matrix<$t>, b: Matrix<$t>, beta: f64, c: &mut MatrixMut<$t>) {
                let (alpha, beta) = ($t::new(alpha as $real, 0.0), $t::new(beta as $real, 0.0));
                let shape =
                    ComplexShape { items: 1, m: a.rows, n: b.cols, k: a.cols, alpha, beta, conj_a: false };
                multiply!(a, b, c, |left, right, place| gemm::matmul_complex(shape, left, right, place))
            }
        }
    )*};
}
complex! { C32 f32 C64 f64 }
