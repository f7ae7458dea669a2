//! Elementwise functions of two integer or boolean tensors.
//!
//! What meets often has loops in the width of each type. The rest computes in `i64`, which is cut to the width when
//! stored: that gives what wrapping arithmetic of the type itself would.

use super::loops::{call2, map2};
use super::{Binary, Unsupported};
use crate::cast::Source;
use crate::math::Real;
use std::mem::MaybeUninit;
use std::ops::{BitAnd, BitOr, BitXor, Not};

/// An integer type that loops compute in, wrapping.
pub(super) trait Int:
    Source + Ord + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> + Not<Output = Self>
{
    const ZERO: Self;
    /// The low bits.
    fn cut(x: i64) -> Self;
    /// The nearest value.
    fn saturated(x: i64) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    fn magnitude(self) -> Self;
    fn sign(self) -> Self;
}

macro_rules! integers {
    ($($t:ty: |$x:ident| $magnitude:expr, $sign:expr);* $(;)?) => {$(
        impl Int for $t {
            const ZERO: Self = 0;
            #[inline(always)]
            fn cut(x: i64) -> Self { x as $t }
            fn saturated(x: i64) -> Self { x.clamp(<$t>::MIN.into(), <$t>::MAX.into()) as $t }
            #[inline(always)]
            fn plus(self, other: Self) -> Self { self.wrapping_add(other) }
            #[inline(always)]
            fn minus(self, other: Self) -> Self { self.wrapping_sub(other) }
            #[inline(always)]
            fn times(self, other: Self) -> Self { self.wrapping_mul(other) }
            #[inline(always)]
            fn magnitude(self) -> Self { let $x = self; $magnitude }
            #[inline(always)]
            fn sign(self) -> Self { let $x = self; $sign }
        }
    )*};
}

integers! {
    u8: |x| x, x.min(1);
    i8: |x| x.wrapping_abs(), x.signum();
    i16: |x| x.wrapping_abs(), x.signum();
    i32: |x| x.wrapping_abs(), x.signum();
    i64: |x| x.wrapping_abs(), x.signum();
}

/// What every width has loops for.
pub(super) fn int<T: Int>(
    op: Binary,
    out: &mut [MaybeUninit<T>],
    a: &[T],
    b: &[T],
) -> Result<(), Unsupported> {
    macro_rules! each {
        ($($p:ident = $v:expr)?; |$x:ident, $y:ident| $e:expr) => {
            map2!(T: Int => T; out, a, b, ($($p = $v)?), |$x, $y| $e)
        };
    }
    match op {
        Binary::Add { alpha } if alpha.int == 1 => each!(; |x, y| x.plus(y)),
        Binary::Add { alpha } if alpha.int == -1 => each!(; |x, y| x.minus(y)),
        Binary::Add { alpha } => each!(alpha = T::cut(alpha.int); |x, y| x.plus(y.times(alpha))),
        Binary::Mul => each!(; |x, y| x.times(y)),
        Binary::Maximum | Binary::Fmax => each!(; |x, y| x.max(y)),
        Binary::Minimum | Binary::Fmin => each!(; |x, y| x.min(y)),
        Binary::BitwiseAnd => each!(; |x, y| x & y),
        Binary::BitwiseOr => each!(; |x, y| x | y),
        Binary::BitwiseXor => each!(; |x, y| x ^ y),
        _ => return Err(Unsupported),
    }
    Ok(())
}

/// An integer type whose quotients a floating point type gives exactly: truncated, they are those of the integers,
/// because a quotient that is no integer is further away from one than it is rounded.
pub(super) trait Narrow: Int {
    type Float: Real;
    fn float(self) -> Self::Float;
    fn of(quotient: Self::Float) -> Self;
}

impl Narrow for i16 {
    type Float = f32;
    #[inline(always)]
    fn float(self) -> f32 {
        self.into()
    }
    #[inline(always)]
    fn of(quotient: f32) -> i16 {
        quotient as i32 as i16
    }
}

impl Narrow for i32 {
    type Float = f64;
    #[inline(always)]
    fn float(self) -> f64 {
        self.into()
    }
    #[inline(always)]
    fn of(quotient: f64) -> i32 {
        quotient as i64 as i32
    }
}

/// The truncated quotient and the rest; by zero, 0 and something.
#[inline(always)]
fn divide<T: Narrow>(x: T, y: T) -> (T, T) {
    let quotient = if y == T::ZERO { T::ZERO } else { T::of(x.float() / y.float()) };
    (quotient, x.minus(quotient.times(y)))
}

/// [`int`], and division.
pub(super) fn narrow<T: Narrow>(
    op: Binary,
    out: &mut [MaybeUninit<T>],
    a: &[T],
    b: &[T],
) -> Result<(), Unsupported> {
    macro_rules! each {
        (|$x:ident, $y:ident| $e:expr) => { map2!(T: Narrow => T; out, a, b, (), |$x, $y| $e) };
    }
    match op {
        Binary::DivTrunc => each!(|x, y| divide(x, y).0),
        Binary::DivFloor => each!(|x, y| {
            let (quotient, rest) = divide(x, y);
            if turned(rest, y) { quotient.minus(T::cut(1)) } else { quotient }
        }),
        Binary::Remainder => each!(|x, y| {
            let rest = if y == T::ZERO { T::ZERO } else { divide(x, y).1 };
            if turned(rest, y) { rest.plus(y) } else { rest }
        }),
        Binary::Fmod => each!(|x, y| if y == T::ZERO { T::ZERO } else { divide(x, y).1 }),
        _ => return int(op, out, a, b),
    }
    Ok(())
}

/// Whether a rest has not the sign of the divisor.
#[inline(always)]
fn turned<T: Int>(rest: T, divisor: T) -> bool {
    (rest != T::ZERO) & (divisor != T::ZERO) & ((rest ^ divisor) < T::ZERO)
}

/// What the widest type has loops for: everything.
pub(super) fn wide(
    op: Binary,
    out: &mut [MaybeUninit<i64>],
    a: &[i64],
    b: &[i64],
) -> Result<(), Unsupported> {
    match op {
        Binary::DivTrunc => call2(out, a, b, |x, y| if y == 0 { 0 } else { x.wrapping_div(y) }),
        Binary::DivFloor => call2(out, a, b, div_floor),
        Binary::Remainder => call2(out, a, b, remainder),
        Binary::Fmod => call2(out, a, b, |x, y| if y == 0 { 0 } else { x.wrapping_rem(y) }),
        Binary::Pow => call2(out, a, b, pow),
        Binary::Heaviside => call2(out, a, b, |x, y| if x == 0 { y } else { i64::from(x > 0) }),
        Binary::Gcd => call2(out, a, b, gcd),
        Binary::Lcm => call2(out, a, b, lcm),
        Binary::ShiftLeft => call2(out, a, b, |x, y| if (0..64).contains(&y) { x << y } else { 0 }),
        Binary::ShiftRight => call2(out, a, b, |x, y| x >> if (0..64).contains(&y) { y } else { 63 }),
        _ => return int(op, out, a, b),
    }
    Ok(())
}

pub(super) fn boolean(
    op: Binary,
    out: &mut [MaybeUninit<bool>],
    a: &[bool],
    b: &[bool],
) -> Result<(), Unsupported> {
    match op {
        Binary::Add { alpha } => {
            let keep = alpha.int != 0;
            call2(out, a, b, |x, y| x | (y & keep));
        }
        Binary::BitwiseOr | Binary::Maximum | Binary::Fmax => call2(out, a, b, |x, y| x | y),
        Binary::Mul | Binary::BitwiseAnd | Binary::Minimum | Binary::Fmin => call2(out, a, b, |x, y| x & y),
        Binary::BitwiseXor => call2(out, a, b, |x, y| x ^ y),
        Binary::Heaviside => call2(out, a, b, |x, y| x | y),
        _ => return Err(Unsupported),
    }
    Ok(())
}

fn div_floor(x: i64, y: i64) -> i64 {
    if y == 0 {
        return 0;
    }
    let quotient = x.wrapping_div(y);
    let inexact = x.wrapping_rem(y) != 0;
    if inexact && (x < 0) != (y < 0) { quotient - 1 } else { quotient }
}

fn remainder(x: i64, y: i64) -> i64 {
    if y == 0 {
        return 0;
    }
    let rest = x.wrapping_rem(y);
    if rest != 0 && (rest < 0) != (y < 0) { rest + y } else { rest }
}

/// `x^y`, wrapping; a negative power is 0 unless `x` is 1 or -1.
fn pow(x: i64, mut y: i64) -> i64 {
    if y < 0 {
        return match x {
            1 => 1,
            -1 if y % 2 == 0 => 1,
            -1 => -1,
            _ => 0,
        };
    }
    let (mut base, mut result) = (x, 1_i64);
    while y > 0 {
        if y & 1 == 1 {
            result = result.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        y >>= 1;
    }
    result
}

fn gcd(x: i64, y: i64) -> i64 {
    let (mut a, mut b) = (x.unsigned_abs(), y.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a as i64
}

fn lcm(x: i64, y: i64) -> i64 {
    match gcd(x, y) {
        0 => 0,
        g => x.wrapping_div(g).wrapping_mul(y).wrapping_abs(),
    }
}
