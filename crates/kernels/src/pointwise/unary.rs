//! Elementwise functions of one tensor, with a result of the same type.

use super::binary_int::Int;
use super::loops::{call1, map1};
use super::{GRAIN, Unsupported, input, output, run, unary_complex};
use crate::dtype::{C32, C64, DType};
use crate::math::{Real, special};
use crate::strided::Operand;
use std::mem::MaybeUninit;

/// An elementwise function of one tensor, named as PyTorch's operator.
#[allow(missing_docs)] // names are PyTorch's
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    Abs,
    Neg,
    Sign,
    Sgn,
    Floor,
    Ceil,
    Round,
    /// `round(x, decimals)`.
    RoundDecimals {
        decimals: i64,
    },
    Trunc,
    Frac,
    Sqrt,
    Rsqrt,
    Reciprocal,
    Square,
    Exp,
    Exp2,
    Expm1,
    Log,
    Log2,
    Log10,
    Log1p,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Sigmoid,
    /// `log(x / (1 - x))` with `x` clamped to `[eps, 1 - eps]`; no clamp for a negative `eps`.
    Logit {
        eps: f64,
    },
    Erf,
    Erfc,
    Erfinv,
    Lgamma,
    Digamma,
    Sinc,
    BitwiseNot,
    Conj,
    /// Phase of a complex number, 0 or pi of a real one.
    Angle,
    /// `min(max(x, low), high)`, NaN stays.
    Clamp {
        low: f64,
        high: f64,
    },
    ClampInt {
        low: i64,
        high: i64,
    },
    NanToNum {
        nan: f64,
        positive: f64,
        negative: f64,
    },
}

/// Applies `op` elementwise: loads `a` as `compute`, stores the result as the type of `out`.
///
/// Complex operations with a real result (`Abs`, `Angle`) leave an imaginary part of 0.
///
/// # Errors
/// `Unsupported` if `op` has no loop for `compute`; nothing is written then.
///
/// # Safety
/// The operands are valid for `sizes`; `out` has no two indices at one address and overlaps `a` not at all or index by
/// index.
pub unsafe fn unary(
    op: Unary,
    compute: DType,
    sizes: &[i64],
    out: Operand,
    a: Operand,
) -> Result<(), Unsupported> {
    let half = a.dtype == out.dtype && matches!(a.dtype, DType::F16 | DType::BF16);
    if half && matches!(op, Unary::Abs | Unary::Neg) {
        let (keep, flip) = if op == Unary::Abs { (i16::MAX, 0) } else { (-1, i16::MIN) };
        let kernel = |p: [*mut u8; 2], n: usize| {
            // SAFETY: `run` passes `n` elements of two bytes.
            unsafe { sign_bits(output::<i16>(p[0], n), input::<i16>(p[1], n), keep, flip) }
        };
        // SAFETY: the caller's promise.
        unsafe { run(sizes, [out, a], [a.dtype; 2], GRAIN, &kernel) };
        return Ok(());
    }
    macro_rules! with {
        ($T:ty, $f:expr) => {{
            $f(op, &mut [], &[])?;
            let kernel = |p: [*mut u8; 2], n: usize| {
                // SAFETY: `run` passes `n` elements of the compute type.
                let _ = unsafe { $f(op, output::<$T>(p[0], n), input::<$T>(p[1], n)) };
            };
            // SAFETY: the caller's promise.
            unsafe { run(sizes, [out, a], [compute; 2], grain(op), &kernel) }
        }};
    }
    match compute {
        DType::F32 => with!(f32, real::<f32>),
        DType::F64 => with!(f64, real::<f64>),
        DType::U8 => with!(u8, int::<u8>),
        DType::I8 => with!(i8, int::<i8>),
        DType::I16 => with!(i16, int::<i16>),
        DType::I32 => with!(i32, int::<i32>),
        DType::I64 => with!(i64, int::<i64>),
        DType::Bool => with!(bool, boolean),
        DType::Complex64 => with!(C32, unary_complex::single),
        DType::Complex128 => with!(C64, unary_complex::double),
        _ => return Err(Unsupported),
    }
    Ok(())
}

crate::multiversion! {
    /// Numbers with only their sign changed.
    fn sign_bits(out: &mut [MaybeUninit<i16>], a: &[i16], keep: i16, flip: i16) {
        for (o, x) in out.iter_mut().zip(a) {
            o.write((x & keep) ^ flip);
        }
    }
}

/// Elements that are worth a thread.
fn grain(op: Unary) -> usize {
    match op {
        Unary::Abs | Unary::Neg | Unary::Square | Unary::BitwiseNot | Unary::Clamp { .. } => GRAIN,
        _ => GRAIN / 4,
    }
}

fn real<T: Real>(op: Unary, out: &mut [MaybeUninit<T>], a: &[T]) -> Result<(), Unsupported> {
    macro_rules! each {
        (|$x:ident| $e:expr) => { map1!(T: Real => T; out, a, (), |$x| $e) };
        ($($p:ident = $v:expr),*; |$x:ident| $e:expr) => { map1!(T: Real => T; out, a, ($($p = T::real($v)),*), |$x| $e) };
    }
    match op {
        Unary::Abs => each!(|x| x.abs()),
        Unary::Neg => each!(|x| -x),
        Unary::Sign | Unary::Sgn => each!(|x| sign(x)),
        Unary::Floor => each!(|x| x.floor()),
        Unary::Ceil => each!(|x| x.ceil()),
        Unary::Round => each!(|x| x.round_even()),
        Unary::RoundDecimals { decimals } => return round_decimals(out, a, decimals),
        Unary::Trunc => each!(|x| x.trunc()),
        Unary::Frac => each!(|x| x - x.trunc()),
        Unary::Sqrt => each!(|x| x.sqrt()),
        Unary::Rsqrt => each!(|x| T::ONE / x.sqrt()),
        Unary::Reciprocal => each!(|x| T::ONE / x),
        Unary::Square => each!(|x| x * x),
        Unary::Exp => each!(|x| x.exp()),
        Unary::Exp2 => each!(|x| x.exp2()),
        Unary::Expm1 => each!(|x| x.expm1()),
        Unary::Log => each!(|x| x.ln()),
        Unary::Log2 => each!(|x| x.log2()),
        Unary::Log10 => each!(|x| x.log10()),
        Unary::Log1p => each!(|x| x.log1p()),
        Unary::Sin => trig(out, a, T::sin_far, |out, a| map1!(T: Real => T; out, a, (), |x| x.sin_near())),
        Unary::Cos => trig(out, a, T::cos_far, |out, a| map1!(T: Real => T; out, a, (), |x| x.cos_near())),
        Unary::Tan => trig(out, a, T::tan_far, |out, a| map1!(T: Real => T; out, a, (), |x| x.tan())),
        Unary::Asin => each!(|x| x.asin()),
        Unary::Acos => each!(|x| x.acos()),
        Unary::Atan => each!(|x| x.atan()),
        Unary::Sinh => each!(|x| x.sinh()),
        Unary::Cosh => each!(|x| x.cosh()),
        Unary::Tanh => each!(|x| x.tanh()),
        Unary::Asinh => each!(|x| x.asinh()),
        Unary::Acosh => each!(|x| x.acosh()),
        Unary::Atanh => each!(|x| x.atanh()),
        Unary::Sigmoid => each!(|x| x.sigmoid()),
        Unary::Logit { eps } => logit(out, a, eps),
        Unary::Erf => each!(|x| x.erf()),
        Unary::Erfc => each!(|x| x.erfc()),
        Unary::Erfinv => each!(|x| x.erfinv()),
        Unary::Lgamma => call1(out, a, T::lgamma),
        Unary::Digamma => call1(out, a, |x| T::real(special::digamma(x.wide()))),
        Unary::Sinc => sinc(out, a),
        Unary::Conj => each!(|x| x),
        Unary::Angle => each!(pi = std::f64::consts::PI; |x| angle(x, pi)),
        Unary::Clamp { low, high } => each!(low = low, high = high; |x| clamp(x, low, high)),
        Unary::NanToNum { nan, positive, negative } => {
            each!(nan = nan, positive = positive, negative = negative; |x| nan_to_num(x, nan, positive, negative))
        }
        _ => return Err(Unsupported),
    }
    Ok(())
}

/// `sin(pi x) / (pi x)`.
fn sinc<T: Real>(out: &mut [MaybeUninit<T>], a: &[T]) {
    map1!(T: Real => T; out, a, (pi = T::real(std::f64::consts::PI)), |x| {
        let angle = pi * x;
        if x == T::ZERO { T::ONE } else { angle.sin_near() / angle }
    });
    let pi = T::real(std::f64::consts::PI);
    for (o, x) in out.iter_mut().zip(a).filter(|(_, x)| (pi * **x).is_far()) {
        o.write((pi * *x).sin_far() / (pi * *x));
    }
}

#[inline(always)]
fn sign<T: Real>(x: T) -> T {
    let positive = if x > T::ZERO { T::ONE } else { T::ZERO };
    if x < T::ZERO { -T::ONE } else { positive }
}

#[inline(always)]
fn angle<T: Real>(x: T, pi: T) -> T {
    let y = if x < T::ZERO { pi } else { T::ZERO };
    if x.is_nan() { x } else { y }
}

#[inline(always)]
fn clamp<T: Real>(x: T, low: T, high: T) -> T {
    let y = if x < low { low } else { x };
    if y > high { high } else { y }
}

#[inline(always)]
fn nan_to_num<T: Real>(x: T, nan: T, positive: T, negative: T) -> T {
    let y = if x == T::INFINITY { positive } else { x };
    let y = if x == -T::INFINITY { negative } else { y };
    if x.is_nan() { nan } else { y }
}

/// `near` over all elements, then `far` where the argument needs a longer range reduction.
fn trig<T: Real>(
    out: &mut [MaybeUninit<T>],
    a: &[T],
    far: impl Fn(T) -> T,
    near: impl Fn(&mut [MaybeUninit<T>], &[T]),
) {
    near(out, a);
    if any_far(a) {
        for (o, x) in out.iter_mut().zip(a).filter(|(_, x)| x.is_far()) {
            o.write(far(*x));
        }
    }
}

crate::multiversion! {
    fn any_far<T: Real>(a: &[T]) -> bool {
        a.iter().fold(0_u32, |any, x| any | u32::from(x.is_far())) != 0
    }
}

/// Rounds half to even at `decimals` digits after the point, or before it if negative, as PyTorch does.
fn round_decimals<T: Real>(out: &mut [MaybeUninit<T>], a: &[T], decimals: i64) -> Result<(), Unsupported> {
    let ten = T::real(10_f64.powi(decimals.unsigned_abs().min(400) as i32));
    if decimals < 0 {
        map1!(T: Real => T; out, a, (ten = ten), |x| (x / ten).round_even() * ten);
    } else {
        map1!(T: Real => T; out, a, (ten = ten), |x| (x * ten).round_even() / ten);
    }
    Ok(())
}

fn logit<T: Real>(out: &mut [MaybeUninit<T>], a: &[T], eps: f64) {
    let (low, high) =
        if eps < 0.0 { (-T::INFINITY, T::INFINITY) } else { (T::real(eps), T::ONE - T::real(eps)) };
    map1!(T: Real => T; out, a, (low = low, high = high), |x| {
        let y = if x > high { high } else { x };
        let y = if x < low { low } else { y };
        (y / (T::ONE - y)).ln()
    });
}

fn int<T: Int>(op: Unary, out: &mut [MaybeUninit<T>], a: &[T]) -> Result<(), Unsupported> {
    macro_rules! each {
        ($($p:ident = $v:expr),*; |$x:ident| $e:expr) => { map1!(T: Int => T; out, a, ($($p = $v),*), |$x| $e) };
    }
    match op {
        Unary::Abs => each!(; |x| x.magnitude()),
        Unary::Neg => each!(; |x| T::ZERO.minus(x)),
        Unary::Sign | Unary::Sgn => each!(; |x| x.sign()),
        Unary::Floor
        | Unary::Ceil
        | Unary::Round
        | Unary::RoundDecimals { .. }
        | Unary::Trunc
        | Unary::Conj => call1(out, a, |x| x),
        Unary::Square => each!(; |x| x.times(x)),
        Unary::BitwiseNot => each!(; |x| !x),
        Unary::ClampInt { low, high } => {
            each!(low = T::saturated(low), high = T::saturated(high); |x| x.max(low).min(high))
        }
        _ => return Err(Unsupported),
    }
    Ok(())
}

fn boolean(op: Unary, out: &mut [MaybeUninit<bool>], a: &[bool]) -> Result<(), Unsupported> {
    match op {
        Unary::BitwiseNot => call1(out, a, |x| !x),
        Unary::Abs | Unary::Sign | Unary::Sgn | Unary::Square | Unary::Conj => call1(out, a, |x| x),
        _ => return Err(Unsupported),
    }
    Ok(())
}
