//! Elementwise functions of two complex tensors.

use super::loops::call2;
use super::unary_complex::divide;
use super::{Binary, Unsupported};
use crate::dtype::{C32, C64};
use std::mem::MaybeUninit;

pub(super) fn single(
    op: Binary,
    out: &mut [MaybeUninit<C32>],
    a: &[C32],
    b: &[C32],
) -> Result<(), Unsupported> {
    match op {
        Binary::Add { alpha } => {
            let alpha = narrow(alpha.complex);
            call2(out, a, b, |x, y| x + alpha * y);
        }
        Binary::Mul => call2(out, a, b, |x, y| x * y),
        _ => {
            let f = function(op).ok_or(Unsupported)?;
            call2(out, a, b, |x, y| narrow(f(widen(x), widen(y))));
        }
    }
    Ok(())
}

pub(super) fn double(
    op: Binary,
    out: &mut [MaybeUninit<C64>],
    a: &[C64],
    b: &[C64],
) -> Result<(), Unsupported> {
    if let Binary::Add { alpha } = op {
        call2(out, a, b, |x, y| x + alpha.complex * y);
        return Ok(());
    }
    let f = function(op).ok_or(Unsupported)?;
    call2(out, a, b, f);
    Ok(())
}

fn widen(z: C32) -> C64 {
    C64::new(z.re as f64, z.im as f64)
}

fn narrow(z: C64) -> C32 {
    C32::new(z.re as f32, z.im as f32)
}

fn function(op: Binary) -> Option<fn(C64, C64) -> C64> {
    Some(match op {
        Binary::Mul => |x, y| x * y,
        Binary::Div => divide,
        Binary::Pow => pow,
        Binary::Logaddexp => logaddexp,
        Binary::Xlogy => |x, y| if x == C64::new(0.0, 0.0) && !y.is_nan() { x } else { x * y.ln() },
        Binary::Complex => |re, im| C64::new(re.re, im.re),
        Binary::Polar => |modulus, angle| C64::new(modulus.re * angle.re.cos(), modulus.re * angle.re.sin()),
        _ => return None,
    })
}

/// `e^(y log x)`, and exact where the power is 0, 1 or 2 or the base 0.
fn pow(x: C64, y: C64) -> C64 {
    let one = C64::new(1.0, 0.0);
    if y == C64::new(0.0, 0.0) {
        return one;
    }
    if y == one {
        return x;
    }
    if y == C64::new(2.0, 0.0) {
        return x * x;
    }
    if x == C64::new(0.0, 0.0) {
        return if y.re > 0.0 { x } else { C64::new(f64::NAN, f64::NAN) };
    }
    (y * x.ln()).exp()
}

/// `log(e^x + e^y)`, taking out the one with the larger real part.
fn logaddexp(x: C64, y: C64) -> C64 {
    let (max, min) = if x.re >= y.re { (x, y) } else { (y, x) };
    if max.re.is_infinite() && max == min {
        return max;
    }
    let z = (min - max).exp();
    let real = 0.5 * (z.re * (2.0 + z.re) + z.im * z.im).ln_1p();
    max + C64::new(real, z.im.atan2(1.0 + z.re))
}
