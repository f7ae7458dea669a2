//! Elementwise functions of two tensors, with a result of the same type.

use super::loops::{call2, map2};
use super::{GRAIN, Unsupported, binary_complex, binary_int, input, output, run, wider};
use crate::dtype::{C32, C64, DType};
use crate::math::Real;
use crate::multiversion;
use crate::strided::Operand;
use std::mem::MaybeUninit;

/// A scalar argument in each form a loop may want it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    /// As a real number.
    pub real: f64,
    /// As an integer.
    pub int: i64,
    /// As a complex number.
    pub complex: C64,
}

impl Number {
    /// The number 1.
    pub const ONE: Number = Number { real: 1.0, int: 1, complex: C64::new(1.0, 0.0) };

    /// The number with the other sign.
    pub fn negated(self) -> Number {
        Number { real: -self.real, int: self.int.wrapping_neg(), complex: -self.complex }
    }
}

impl From<f64> for Number {
    fn from(x: f64) -> Number {
        Number { real: x, int: x as i64, complex: C64::new(x, 0.0) }
    }
}

impl From<i64> for Number {
    fn from(x: i64) -> Number {
        Number { real: x as f64, int: x, complex: C64::new(x as f64, 0.0) }
    }
}

impl From<C64> for Number {
    fn from(x: C64) -> Number {
        Number { real: x.re, int: x.re as i64, complex: x }
    }
}

/// An elementwise function of two tensors, named as PyTorch's operator.
#[allow(missing_docs)] // names are PyTorch's
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Binary {
    /// `a + alpha b`.
    Add {
        alpha: Number,
    },
    Mul,
    Div,
    DivTrunc,
    DivFloor,
    /// Of the divisor's sign.
    Remainder,
    /// Of the dividend's sign.
    Fmod,
    Pow,
    Atan2,
    /// NaN if either is.
    Maximum,
    Minimum,
    /// NaN only if both are.
    Fmax,
    Fmin,
    Hypot,
    Copysign,
    Logaddexp,
    Logaddexp2,
    Xlogy,
    Xlog1py,
    Nextafter,
    Heaviside,
    /// From the first to the second; real types only.
    Lerp {
        weight: f64,
    },
    /// The first if it is above 0, else the product.
    Prelu,
    Gcd,
    Lcm,
    BitwiseAnd,
    BitwiseOr,
    BitwiseXor,
    ShiftLeft,
    ShiftRight,
    /// The real and the imaginary part; complex types only.
    Complex,
    /// Modulus and angle; complex types only.
    Polar,
}

/// Applies `op` elementwise: loads `a` and `b` as `compute`, stores the result as the type of `out`.
///
/// Narrow integers compute in a wider type where they have no loop of their own, with the same result. Integer division by zero gives 0 here; callers who must refuse it look for zeros first.
///
/// # Errors
/// `Unsupported` if `op` has no loop for `compute`; nothing is written then.
///
/// # Safety
/// The operands are valid for `sizes`; `out` has no two indices at one address and overlaps an input not at all or
/// index by index.
pub unsafe fn binary(
    op: Binary,
    compute: DType,
    sizes: &[i64],
    out: Operand,
    a: Operand,
    b: Operand,
) -> Result<(), Unsupported> {
    macro_rules! with {
        ($T:ty, $f:expr) => {{
            $f(op, &mut [], &[], &[])?;
            let kernel = |p: [*mut u8; 3], n: usize| {
                // SAFETY: `run` passes `n` elements of the compute type.
                let _ = unsafe { $f(op, output::<$T>(p[0], n), input::<$T>(p[1], n), input::<$T>(p[2], n)) };
            };
            // SAFETY: the caller's promise.
            Ok(unsafe { run(sizes, [out, a, b], [compute; 3], grain(op), &kernel) })
        }};
    }
    let in_type = || match compute {
        DType::F32 => with!(f32, real::<f32>),
        DType::F64 => with!(f64, real::<f64>),
        DType::U8 => with!(u8, binary_int::int::<u8>),
        DType::I8 => with!(i8, binary_int::int::<i8>),
        DType::I16 => with!(i16, binary_int::narrow::<i16>),
        DType::I32 => with!(i32, binary_int::narrow::<i32>),
        DType::I64 => with!(i64, binary_int::wide),
        DType::Bool => with!(bool, binary_int::boolean),
        DType::Complex64 => with!(C32, binary_complex::single),
        DType::Complex128 => with!(C64, binary_complex::double),
        _ => Err(Unsupported),
    };
    in_type().or_else(|refused| {
        let wider = wider(compute).ok_or(refused)?;
        // SAFETY: the caller's promise; nothing was written.
        unsafe { binary(op, wider, sizes, out, a, b) }
    })
}

/// Elements that are worth a thread.
fn grain(op: Binary) -> usize {
    match op {
        Binary::Add { .. }
        | Binary::Mul
        | Binary::Lerp { .. }
        | Binary::Div
        | Binary::Maximum
        | Binary::Minimum => GRAIN,
        _ => GRAIN / 8,
    }
}

fn real<T: Real>(op: Binary, out: &mut [MaybeUninit<T>], a: &[T], b: &[T]) -> Result<(), Unsupported> {
    macro_rules! each {
        (|$x:ident, $y:ident| $e:expr) => { map2!(T: Real => T; out, a, b, (), |$x, $y| $e) };
        ($p:ident = $v:expr; |$x:ident, $y:ident| $e:expr) => {
            map2!(T: Real => T; out, a, b, ($p = T::real($v)), |$x, $y| $e)
        };
    }
    /// With the rest of the division, which few arguments need the exact `%` for.
    macro_rules! each_rest {
        ($f:expr) => {{
            each!(|x, y| $f(x, y, rest(x, y).0));
            each_far(out, a, b, $f);
        }};
    }
    match op {
        Binary::Add { alpha } if alpha.real == 1.0 => each!(|x, y| x + y),
        Binary::Add { alpha } if alpha.real == -1.0 => each!(|x, y| x - y),
        Binary::Add { alpha } => each!(alpha = alpha.real; |x, y| alpha.mul_add(y, x)),
        Binary::Mul => each!(|x, y| x * y),
        Binary::Div => each!(|x, y| x / y),
        Binary::DivTrunc => each!(|x, y| (x / y).trunc()),
        Binary::DivFloor => each_rest!(div_floor::<T>),
        Binary::Remainder => each_rest!(remainder::<T>),
        Binary::Fmod => each_rest!(|_: T, _: T, rest: T| rest),
        Binary::Pow => each!(|x, y| x.pow(y)),
        Binary::Atan2 => each!(|x, y| x.atan2(y)),
        Binary::Maximum => each!(|x, y| x.max_nan(y)),
        Binary::Minimum => each!(|x, y| x.min_nan(y)),
        Binary::Fmax => each!(|x, y| if x > y || y.is_nan() { x } else { y }),
        Binary::Fmin => each!(|x, y| if x < y || y.is_nan() { x } else { y }),
        Binary::Hypot => each!(|x, y| x.hypot(y)),
        Binary::Copysign => each!(|x, y| x.copysign(y)),
        Binary::Logaddexp => each!(|x, y| logaddexp(x, y)),
        Binary::Logaddexp2 => each!(|x, y| logaddexp2(x, y)),
        Binary::Xlogy => each!(|x, y| x_times(x, y, y.ln())),
        Binary::Xlog1py => each!(|x, y| x_times(x, y, y.log1p())),
        Binary::Nextafter => call2(out, a, b, T::next_after),
        Binary::Heaviside => each!(|x, y| heaviside(x, y)),
        Binary::Lerp { weight } if T::real(weight).abs() < T::real(0.5) => {
            each!(weight = weight; |x, y| weight.mul_add(y - x, x))
        }
        Binary::Lerp { weight } => each!(weight = weight; |x, y| (weight - T::ONE).mul_add(y - x, y)),
        Binary::Prelu => each!(|x, weight| if x > T::ZERO { x } else { weight * x }),
        _ => return Err(Unsupported),
    }
    Ok(())
}

/// `x % y`, and whether it is right: the quotient must be small enough that its rounding is off by one at most.
#[inline(always)]
fn rest<T: Real>(x: T, y: T) -> (T, bool) {
    let quotient = (x / y).trunc();
    let rest = (-quotient).mul_add(y, x);
    // One too many was taken away: the sign differs from that of `x`.
    let short =
        if (rest < T::ZERO) == (x < T::ZERO) || rest == T::ZERO { T::ZERO } else { y.abs().copysign(x) };
    let right = quotient.abs() < T::SAFE_QUOTIENT && y.abs() < T::INFINITY;
    ((rest + short).copysign(x), right)
}

multiversion! {
    fn any_far<T: Real>(a: &[T], b: &[T]) -> bool {
        a.iter().zip(b).fold(0_u32, |any, (x, y)| any | u32::from(!rest(*x, *y).1)) != 0
    }
}

/// Computes again, with the exact `%`, where [`rest`] is not right.
fn each_far<T: Real>(out: &mut [MaybeUninit<T>], a: &[T], b: &[T], f: impl Fn(T, T, T) -> T) {
    if any_far(a, b) {
        for ((o, x), y) in out.iter_mut().zip(a).zip(b) {
            if !rest(*x, *y).1 {
                o.write(f(*x, *y, *x % *y));
            }
        }
    }
}

/// Floor of the quotient, corrected as PyTorch (after CPython) does so that it agrees with `remainder`.
#[inline(always)]
fn div_floor<T: Real>(a: T, b: T, rest: T) -> T {
    let quotient = (a - rest) / b;
    let below = rest != T::ZERO && (b < T::ZERO) != (rest < T::ZERO);
    let quotient = if below { quotient - T::ONE } else { quotient };
    let floor = quotient.floor();
    let floor = if quotient - floor > T::real(0.5) { floor + T::ONE } else { floor };
    let floor = if quotient == T::ZERO { T::ZERO.copysign(a / b) } else { floor };
    if b == T::ZERO { a / b } else { floor }
}

/// The rest with the divisor's sign.
#[inline(always)]
fn remainder<T: Real>(_: T, b: T, rest: T) -> T {
    if rest != T::ZERO && (b < T::ZERO) != (rest < T::ZERO) { rest + b } else { rest }
}

#[inline(always)]
fn logaddexp<T: Real>(x: T, y: T) -> T {
    let max = x.max_nan(y);
    let sum = max + (-(x - y).abs()).exp().log1p();
    // Equal infinities have no difference.
    if x == y && x.abs() == T::INFINITY { x } else { sum }
}

#[inline(always)]
fn logaddexp2<T: Real>(x: T, y: T) -> T {
    let max = x.max_nan(y);
    let sum = max + (-(x - y).abs()).exp2().log1p() * T::real(std::f64::consts::LOG2_E);
    if x == y && x.abs() == T::INFINITY { x } else { sum }
}

/// `x log`, which is 0 for `x = 0` whatever the logarithm, and NaN for a NaN `y`.
#[inline(always)]
fn x_times<T: Real>(x: T, y: T, log: T) -> T {
    let product = if x == T::ZERO { T::ZERO } else { x * log };
    if y.is_nan() { y } else { product }
}

#[inline(always)]
fn heaviside<T: Real>(x: T, at_zero: T) -> T {
    let step = if x > T::ZERO { T::ONE } else { T::ZERO };
    if x == T::ZERO { at_zero } else { step }
}
