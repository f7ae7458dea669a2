//! Elementwise functions of two integer or boolean tensors.
//!
//! Narrow integers compute as `i64` and are cut to their width when stored, which gives what their own wrapping
//! arithmetic would.

use super::loops::call2;
use super::{Binary, Unsupported};
use std::mem::MaybeUninit;

crate::multiversion! {
    fn add(out: &mut [MaybeUninit<i64>], a: &[i64], b: &[i64], alpha: i64) {
        for ((o, x), y) in out.iter_mut().zip(a).zip(b) {
            o.write(x.wrapping_add(y.wrapping_mul(alpha)));
        }
    }

    fn mul(out: &mut [MaybeUninit<i64>], a: &[i64], b: &[i64]) {
        for ((o, x), y) in out.iter_mut().zip(a).zip(b) {
            o.write(x.wrapping_mul(*y));
        }
    }
}

pub(super) fn int(op: Binary, out: &mut [MaybeUninit<i64>], a: &[i64], b: &[i64]) -> Result<(), Unsupported> {
    match op {
        Binary::Add { alpha } => add(out, a, b, alpha.int),
        Binary::Mul => mul(out, a, b),
        Binary::DivTrunc => call2(out, a, b, |x, y| if y == 0 { 0 } else { x.wrapping_div(y) }),
        Binary::DivFloor => call2(out, a, b, div_floor),
        Binary::Remainder => call2(out, a, b, remainder),
        Binary::Fmod => call2(out, a, b, |x, y| if y == 0 { 0 } else { x.wrapping_rem(y) }),
        Binary::Pow => call2(out, a, b, pow),
        Binary::Maximum | Binary::Fmax => call2(out, a, b, i64::max),
        Binary::Minimum | Binary::Fmin => call2(out, a, b, i64::min),
        Binary::Heaviside => call2(out, a, b, |x, y| if x == 0 { y } else { i64::from(x > 0) }),
        Binary::Gcd => call2(out, a, b, gcd),
        Binary::Lcm => call2(out, a, b, lcm),
        Binary::BitwiseAnd => call2(out, a, b, |x, y| x & y),
        Binary::BitwiseOr => call2(out, a, b, |x, y| x | y),
        Binary::BitwiseXor => call2(out, a, b, |x, y| x ^ y),
        Binary::ShiftLeft => call2(out, a, b, |x, y| if (0..64).contains(&y) { x << y } else { 0 }),
        Binary::ShiftRight => call2(out, a, b, |x, y| x >> if (0..64).contains(&y) { y } else { 63 }),
        _ => return Err(Unsupported),
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
