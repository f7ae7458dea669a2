//! Trigonometric and hyperbolic functions of `f32` and their inverses, and what else is made of the functions of
//! [`single`](super::single): again selections, fused multiply-adds and bit operations only.
//!
//! Coefficients are minimax fits of our own; the tests measure what they give against `f64`.

use super::horner;
use super::single::{
    clamp, cos_poly, erf, exp, exp_tail, ln, log1p, reduce_exp, reduce_trig, scale, sin_poly,
};
use std::f32::consts::{FRAC_PI_2, LN_2, PI};

/// What `pi/2` and `pi` are more than the nearest `f32`.
const FRAC_PI_2_LOW: f32 = -4.371_139e-8;
const PI_LOW: f32 = -8.742_278e-8;

/// Above this the square is lost beside 1, or 1 beside the square.
const HUGE: f32 = 1e10;

/// `x` where it is zero, which keeps its sign, else `y`.
#[inline(always)]
fn keep_zero(x: f32, y: f32) -> f32 {
    if x == 0.0 { x } else { y }
}

#[inline(always)]
pub(super) fn tan(x: f32) -> f32 {
    let (k, r) = reduce_trig(x);
    let (sine, cosine) = (sin_poly(r), cos_poly(r));
    let (above, below) = if k & 1 == 1 { (-cosine, sine) } else { (sine, cosine) };
    keep_zero(x, above / below)
}

/// The arc tangent for `0 <= a <= 1`.
#[inline(always)]
fn atan_unit(a: f32) -> f32 {
    let s = a * a;
    let p = horner(
        s,
        [
            -0.333_333_02,
            0.199_986_38,
            -0.142_652_45,
            0.109_575_72,
            -0.084_194_46,
            0.058_234_32,
            -0.031_455_47,
            0.011_064_315,
            -0.001_827_184_7,
        ],
    );
    (a * s).mul_add(p, a)
}

#[inline(always)]
pub(super) fn atan(x: f32) -> f32 {
    let t = x.abs();
    let steep = t > 1.0;
    let y = atan_unit(if steep { 1.0 / t } else { t });
    let y = if steep { (FRAC_PI_2 - y) + FRAC_PI_2_LOW } else { y };
    y.copysign(x)
}

#[inline(always)]
pub(super) fn atan2(y: f32, x: f32) -> f32 {
    let (height, width) = (y.abs(), x.abs());
    let steep = height > width;
    let (low, high) = if steep { (width, height) } else { (height, width) };
    // Equal lengths may both be infinite, or zero with an angle of zero.
    let ratio = if low == high { if high == 0.0 { 0.0 } else { 1.0 } } else { low / high };
    let (left, a) = (x.is_sign_negative(), atan_unit(ratio));
    let (base, low) = if left { (PI, PI_LOW) } else { (0.0, 0.0) };
    let (base, low) = if steep { (FRAC_PI_2, FRAC_PI_2_LOW) } else { (base, low) };
    let a = (base + if steep != left { -a } else { a }) + low;
    if x.is_nan() || y.is_nan() { f32::NAN } else { a.copysign(y) }
}

/// `(arc sine of the part below, whether x is past 1/2)`: of `|x|`, or of `sqrt((1 - |x|) / 2)` past 1/2.
#[inline(always)]
fn asin_half(x: f32) -> (f32, bool) {
    let t = x.abs();
    let past = t > 0.5;
    let z = if past { 0.5 * (1.0 - t) } else { t * t };
    let s = if past { z.sqrt() } else { t };
    let p = horner(z, [0.166_666_6, 0.075_005_11, 0.044_515_72, 0.031_817_608, 0.014_402_615, 0.037_565_187]);
    ((s * z).mul_add(p, s), past)
}

#[inline(always)]
pub(super) fn asin(x: f32) -> f32 {
    let (r, past) = asin_half(x);
    let y = if past { (-2.0_f32).mul_add(r, FRAC_PI_2) + FRAC_PI_2_LOW } else { r };
    y.copysign(x)
}

#[inline(always)]
pub(super) fn acos(x: f32) -> f32 {
    let (r, past) = asin_half(x);
    let near = (FRAC_PI_2 - r.copysign(x)) + FRAC_PI_2_LOW;
    let left = (-2.0_f32).mul_add(r, PI) + PI_LOW;
    let far = if x < 0.0 { left } else { 2.0 * r };
    if past { far } else { near }
}

/// `e^x / 2`, which is finite wherever the hyperbolic functions are.
#[inline(always)]
fn half_exp(x: f32) -> f32 {
    let (k, r) = reduce_exp(clamp(x, -104.5, 90.0));
    scale((r * r).mul_add(exp_tail(r), r) + 1.0, k.wrapping_sub(1))
}

#[inline(always)]
pub(super) fn sinh(x: f32) -> f32 {
    let t = x.abs();
    let z = t * t;
    let p = horner(z, [0.166_666_67, 0.008_333_35, 1.983_606_6e-4, 2.817_439_7e-6]);
    let half = half_exp(t);
    let y = if t < 1.0 { (t * z).mul_add(p, t) } else { half - 0.25 / half };
    y.copysign(x)
}

#[inline(always)]
pub(super) fn cosh(x: f32) -> f32 {
    let half = half_exp(x.abs());
    half + 0.25 / half
}

/// `ln(x + sqrt(x^2 + 1))`.
#[inline(always)]
pub(super) fn asinh(x: f32) -> f32 {
    let t = x.abs();
    let s = t * t;
    let over = t + s / (1.0 + (1.0 + s).sqrt());
    let y = log1p(if t > HUGE { t } else { over }) + if t > HUGE { LN_2 } else { 0.0 };
    y.copysign(x)
}

/// `ln(x + sqrt(x^2 - 1))`.
#[inline(always)]
pub(super) fn acosh(x: f32) -> f32 {
    let t = x - 1.0;
    let over = t + t.mul_add(t, 2.0 * t).sqrt();
    let y = log1p(if x > HUGE { x } else { over }) + if x > HUGE { LN_2 } else { 0.0 };
    if x < 1.0 { f32::NAN } else { y }
}

#[inline(always)]
pub(super) fn atanh(x: f32) -> f32 {
    let t = x.abs();
    (0.5 * log1p(2.0 * t / (1.0 - t))).copysign(x)
}

/// `e^(-x^2)` times a fit to the rest, which is smooth; the square's rounding error is taken into account.
#[inline(always)]
pub(super) fn erfc(x: f32) -> f32 {
    let t = clamp(x.abs(), 0.0, 10.2);
    let q = (t - 2.0) / (t + 2.0);
    let p = horner(
        q,
        [
            1.276_978_4,
            -0.092_763_98,
            -0.166_031_42,
            0.164_055_33,
            -0.054_204_18,
            -0.008_059_806,
            0.008_630_959,
            0.001_313_069_5,
            -0.001_228_858_4,
            -3.997_153_5e-4,
        ],
    );
    let square = t * t;
    let lost = t.mul_add(t, -square);
    let tail = exp(-square) * (p - p * lost) / 2.0_f32.mul_add(t, 1.0);
    // Below 1/2 the result is near 1, of which erf is the smaller part.
    let near = 1.0 - erf(x);
    let far = if x < 0.0 { 2.0 - tail } else { tail };
    if t < 0.5 { near } else { far }
}

/// Fits in `ln(1 - x^2)`, or its root where that is large.
#[inline(always)]
pub(super) fn erfinv(x: f32) -> f32 {
    let w = -ln((1.0 - x) * (1.0 + x));
    let near = horner(
        w - 2.5,
        [
            1.501_409_4,
            0.246_640_3,
            -0.004_177_384,
            -0.001_252_763_8,
            2.183_422_2e-4,
            -4.950_466e-6,
            -3.462_116e-6,
            4.633_813_3e-7,
            2.318_436_5e-8,
            -8.590_431_5e-9,
        ],
    );
    let far = horner(
        w.sqrt() - 3.0,
        [
            2.832_976_8,
            1.001_675,
            0.009_444_952,
            -0.007_637_375_4,
            0.005_689_540_4,
            -0.003_597_770_4,
            0.001_478_653_2,
            -5.411_176e-5,
            -3.044_146e-4,
            1.125_244_16e-4,
        ],
    );
    let y = x * if w < 5.0 { near } else { far };
    if x.abs() == 1.0 { x * f32::INFINITY } else { keep_zero(x, y) }
}

/// `sqrt(x^2 + y^2)` without overflow; infinite if either is.
#[inline(always)]
pub(super) fn hypot(x: f32, y: f32) -> f32 {
    let (a, b) = (x as f64, y as f64);
    let length = a.mul_add(a, b * b).sqrt() as f32;
    if x.abs() == f32::INFINITY || y.abs() == f32::INFINITY { f32::INFINITY } else { length }
}

/// The logarithm to base 2 of a positive number, to 38 bits.
#[inline(always)]
fn log2_wide(x: f64) -> f64 {
    let shifted = x.to_bits().wrapping_add(0x3ff0_0000_0000_0000 - 0x3fe6_a09e_667f_3bcd);
    let k = (shifted >> 52) as i32 - 1023;
    let m = f64::from_bits((shifted & 0x000f_ffff_ffff_ffff).wrapping_add(0x3fe6_a09e_667f_3bcd));
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let p = z.mul_add(0.340_738_417_301_956_03, 0.411_672_213_535_870_7);
    let p = z.mul_add(p, 0.577_083_594_565_033_4);
    let p = z.mul_add(p, 0.961_796_673_283_455_4);
    let p = z.mul_add(p, 2.885_390_081_790_144);
    s.mul_add(p, k as f64)
}

/// `2^x` to 29 bits, for `x` in the range of exponents of `f64`.
#[inline(always)]
fn exp2_wide(x: f64) -> f64 {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let shifted = x + ROUND;
    let r = x - (shifted - ROUND);
    let p = r.mul_add(1.547_801_774_858_555_3e-4, 1.340_043_166_999_254_2e-3);
    let p = r.mul_add(p, 9.617_994_531_146_352e-3);
    let p = r.mul_add(p, 5.550_327_215_757_475e-2);
    let p = r.mul_add(p, 0.240_226_515_048_959_12);
    let p = r.mul_add(p, 0.693_147_206_709_652_2);
    let p = r.mul_add(p, 0.999_999_999_919_089_3);
    f64::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 52))
}

/// As C's `powf`, through `f64`.
#[inline(always)]
pub(super) fn pow(x: f32, y: f32) -> f32 {
    let whole = y.trunc() == y;
    let odd = whole && (0.5 * y).trunc() != 0.5 * y;
    let t = x.abs();
    let log = if t == 0.0 { f64::NEG_INFINITY } else { log2_wide(t as f64) };
    let log = if t == f32::INFINITY { f64::INFINITY } else { log };
    let exponent = y as f64 * log;
    let exponent = if exponent > 200.0 { 200.0 } else { exponent };
    let power = exp2_wide(if exponent < -200.0 { -200.0 } else { exponent }) as f32;
    let power = if x < 0.0 && !whole && t != f32::INFINITY { f32::NAN } else { power };
    let power = if odd { power.copysign(x) } else { power };
    let power = if x.is_nan() || y.is_nan() { f32::NAN } else { power };
    let one = x == 1.0 || y == 0.0 || (t == 1.0 && y.abs() == f32::INFINITY);
    if one { 1.0 } else { power }
}
