//! Elementwise functions of complex numbers; `complex64` computes what is not plain arithmetic in double precision.

use super::loops::call1;
use super::{Unary, Unsupported};
use crate::dtype::{C32, C64};
use std::f64::consts::{FRAC_PI_2, LN_2, LN_10, PI};
use std::mem::MaybeUninit;

pub(super) fn single(op: Unary, out: &mut [MaybeUninit<C32>], a: &[C32]) -> Result<(), Unsupported> {
    match op {
        Unary::Neg => call1(out, a, |z| -z),
        Unary::Conj => call1(out, a, |z| z.conj()),
        Unary::Square => call1(out, a, |z| z * z),
        _ => {
            let f = function(op).ok_or(Unsupported)?;
            call1(out, a, |z| {
                let w = f(C64::new(z.re as f64, z.im as f64));
                C32::new(w.re as f32, w.im as f32)
            });
        }
    }
    Ok(())
}

pub(super) fn double(op: Unary, out: &mut [MaybeUninit<C64>], a: &[C64]) -> Result<(), Unsupported> {
    let f = function(op).ok_or(Unsupported)?;
    call1(out, a, f);
    Ok(())
}

fn function(op: Unary) -> Option<fn(C64) -> C64> {
    const ONE: C64 = C64::new(1.0, 0.0);
    Some(match op {
        Unary::Abs => |z| C64::new(z.norm(), 0.0),
        Unary::Neg => |z| -z,
        Unary::Conj => |z| z.conj(),
        Unary::Angle => |z| C64::new(z.im.atan2(z.re), 0.0),
        Unary::Sgn => sgn,
        Unary::Sqrt => |z| z.sqrt(),
        Unary::Rsqrt => |z| divide(ONE, z.sqrt()),
        Unary::Reciprocal => |z| divide(ONE, z),
        Unary::Square => |z| z * z,
        Unary::Exp => exp,
        Unary::Exp2 => |z| exp(z * LN_2),
        Unary::Expm1 => expm1,
        Unary::Log => |z| z.ln(),
        Unary::Log2 => |z| z.ln() / LN_2,
        Unary::Log10 => |z| z.ln() / LN_10,
        Unary::Log1p => log1p,
        Unary::Sin => |z| z.sin(),
        Unary::Cos => |z| z.cos(),
        Unary::Tan => |z| times_minus_i(tanh(times_i(z))),
        Unary::Asin => |z| z.asin(),
        Unary::Acos => |z| z.acos(),
        Unary::Atan => atan,
        Unary::Sinh => |z| z.sinh(),
        Unary::Cosh => |z| z.cosh(),
        Unary::Tanh => tanh,
        Unary::Asinh => |z| times_minus_i(times_i(z).asin()),
        Unary::Acosh => |z| z.acosh(),
        Unary::Atanh => |z| times_minus_i(atan(times_i(z))),
        Unary::Sigmoid => |z| divide(ONE, ONE + exp(-z)),
        Unary::Sinc => sinc,
        _ => return None,
    })
}

fn times_i(z: C64) -> C64 {
    C64::new(-z.im, z.re)
}

fn times_minus_i(z: C64) -> C64 {
    C64::new(z.im, -z.re)
}

fn sgn(z: C64) -> C64 {
    if z == C64::new(0.0, 0.0) { z } else { z / z.norm() }
}

/// `e^z`, exact on the real line also where `e^x` overflows.
fn exp(z: C64) -> C64 {
    let r = z.re.exp();
    if z.im == 0.0 { C64::new(r, z.im) } else { C64::new(r * z.im.cos(), r * z.im.sin()) }
}

/// `e^x cos y - 1` without cancellation: `expm1(x) cos y - 2 sin^2(y/2)`.
fn expm1(z: C64) -> C64 {
    let half = (z.im * 0.5).sin();
    C64::new(z.re.exp_m1() * z.im.cos() - 2.0 * half * half, z.re.exp() * z.im.sin())
}

fn log1p(z: C64) -> C64 {
    let real = 0.5 * (z.re * (2.0 + z.re) + z.im * z.im).ln_1p();
    C64::new(real, z.im.atan2(1.0 + z.re))
}

/// `tanh` as `(tanh x + i tan y) / (1 + i tanh x tan y)`, bounded for large `x`.
fn tanh(z: C64) -> C64 {
    if z.re.abs() > 20.0 {
        return C64::new(1_f64.copysign(z.re), 0.0);
    }
    let (t, u) = (z.re.tanh(), z.im.tan());
    divide(C64::new(t, u), C64::new(1.0, t * u))
}

/// `atan` with the branch that the sign of zero asks for.
fn atan(z: C64) -> C64 {
    let (x, y) = (z.re, z.im);
    if x.abs().max(y.abs()) > 1e150 {
        return C64::new(FRAC_PI_2.copysign(x), 0_f64.copysign(y));
    }
    let real = 0.5 * (2.0 * x).atan2((1.0 - y) * (1.0 + y) - x * x);
    C64::new(real, 0.25 * (4.0 * y / (x * x + (y - 1.0) * (y - 1.0))).ln_1p())
}

fn sinc(z: C64) -> C64 {
    if z == C64::new(0.0, 0.0) { C64::new(1.0, 0.0) } else { divide((z * PI).sin(), z * PI) }
}

/// `a / b` with the larger part of `b` divided out first, so that nothing overflows on the way.
pub(super) fn divide(a: C64, b: C64) -> C64 {
    if b.re.abs() >= b.im.abs() {
        if b.re == 0.0 && b.im == 0.0 {
            return C64::new(a.re / b.re.abs(), a.im / b.re.abs());
        }
        let ratio = b.im / b.re;
        let scale = 1.0 / (b.re + b.im * ratio);
        C64::new((a.re + a.im * ratio) * scale, (a.im - a.re * ratio) * scale)
    } else {
        let ratio = b.re / b.im;
        let scale = 1.0 / (b.re * ratio + b.im);
        C64::new((a.re * ratio + a.im) * scale, (a.im * ratio - a.re) * scale)
    }
}
