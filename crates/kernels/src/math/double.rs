//! Functions of `f64`: those that networks and statistics use most without branches, as in [`single`](super::single),
//! the others from the system's library.
//!
//! Coefficients are minimax fits of our own; the tests measure what they give against the library.

use super::{Real, forward, horner, shared};
use std::f64::consts::{FRAC_2_PI, FRAC_PI_2, LN_2, LOG2_E, LOG10_E};

/// `ln 2`, `log10 2` and `pi/2` in pieces: the first is exact times a small integer, the sum has far more bits than `f64`.
const LN2_HI: f64 = 0.693_147_180_369_123_8;
const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;
const LOG10_2_HI: f64 = 0.301_029_995_549_470_2;
const LOG10_2_LO: f64 = 1.145_110_089_802_183_8e-10;
const PIO2: [f64; 3] = [FRAC_PI_2, 6.123_233_995_736_766e-17, -1.497_384_904_859_169_8e-33];

/// Adding and subtracting this rounds to an integer, whose bits are then the low ones.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// Above this the square is lost beside 1, or 1 beside the square.
const HUGE: f64 = 1e20;

/// Beyond this the three pieces of `pi/2` no longer give a full remainder.
const FAR: f64 = 1e6;

/// Bits of `sqrt(1/2)`, and of 1 less those.
const ROOT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
const TO_ROOT_HALF: u64 = 0x3ff0_0000_0000_0000 - ROOT_HALF;

/// `2^n` for `-1022 <= n <= 1023`, times a number with the right bits otherwise.
#[inline(always)]
fn power_of_two(n: i64) -> f64 {
    f64::from_bits((n.wrapping_add(1023) as u64) << 52)
}

#[inline(always)]
fn rounded(shifted: f64) -> i64 {
    shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i64
}

#[inline(always)]
fn clamp(x: f64, low: f64, high: f64) -> f64 {
    let x = if x > high { high } else { x };
    if x < low { low } else { x }
}

/// `x = k ln 2 + r` with `|r| <= ln 2 / 2`: gives `(k, e^r - 1)`.
#[inline(always)]
fn reduce_exp(x: f64) -> (i64, f64) {
    let shifted = x.mul_add(LOG2_E, ROUND);
    let k = shifted - ROUND;
    let r = k.mul_add(-LN2_LO, k.mul_add(-LN2_HI, x));
    (rounded(shifted), exp_less_one(r))
}

/// `e^r - 1` for `|r| <= ln 2 / 2`.
#[inline(always)]
fn exp_less_one(r: f64) -> f64 {
    let p = horner(
        r,
        [
            0.5,
            0.166_666_666_666_666_7,
            0.041_666_666_666_666_67,
            0.008_333_333_333_326_084,
            0.001_388_888_888_888_371_1,
            0.000_198_412_698_750_022_8,
            2.480_158_732_567_746e-5,
            2.755_725_517_000_089e-6,
            2.755_727_347_871_858e-7,
            2.510_531_272_962_210_3e-8,
            2.091_475_532_589_32e-9,
        ],
    );
    (r * r).mul_add(p, r)
}

/// `2^k p`, in two steps because `2^k` itself may overflow or be subnormal.
#[inline(always)]
fn scale(p: f64, k: i64) -> f64 {
    let half = k >> 1;
    p * power_of_two(half) * power_of_two(k.wrapping_sub(half))
}

/// `e^x / 2`, which does not overflow before it must.
#[inline(always)]
fn half_exp(x: f64) -> f64 {
    let (k, p) = reduce_exp(clamp(x, -746.0, 712.0));
    scale(p + 1.0, k.wrapping_sub(1))
}

/// `x = 2^k (1 + f)` with `1 + f` between `sqrt(1/2)` and `sqrt 2`: gives `(k, f)`, for positive finite `x`.
#[inline(always)]
fn reduce_log(x: f64) -> (f64, f64) {
    let tiny = x < f64::MIN_POSITIVE;
    let bits = (if tiny { x * 18_014_398_509_481_984.0 } else { x }).to_bits();
    let shifted = bits.wrapping_add(TO_ROOT_HALF);
    let k = ((shifted >> 52) as i64).wrapping_sub(if tiny { 1023 + 54 } else { 1023 });
    let m = f64::from_bits((shifted & 0x000f_ffff_ffff_ffff).wrapping_add(ROOT_HALF));
    (k as f64, m - 1.0)
}

/// `ln(1 + f)` as `f - c`: gives `c`.
#[inline(always)]
fn log_tail(f: f64) -> f64 {
    let s = f / (2.0 + f);
    let z = s * s;
    let p = horner(
        z,
        [
            0.666_666_666_666_667,
            0.399_999_999_998_988_9,
            0.285_714_286_262_538_36,
            0.222_222_110_893_794_96,
            0.181_828_924_325_368_7,
            0.153_316_117_220_550_08,
            0.146_178_071_534_173_25,
        ],
    );
    let half = 0.5 * f * f;
    half - s * z.mul_add(p, half)
}

/// The logarithm's values at its ends: `y` for positive finite `x`.
#[inline(always)]
fn log_ends(x: f64, y: f64) -> f64 {
    let y = if x == f64::INFINITY { x } else { y };
    let y = if x == 0.0 { f64::NEG_INFINITY } else { y };
    if x >= 0.0 { y } else { f64::NAN }
}

/// `x = k pi/2 + r` with `|r| <= pi/4`: gives `(k, r)`.
#[inline(always)]
fn reduce_trig(x: f64) -> (u64, f64) {
    let shifted = x.mul_add(FRAC_2_PI, ROUND);
    let k = shifted - ROUND;
    let r = k.mul_add(-PIO2[2], k.mul_add(-PIO2[1], k.mul_add(-PIO2[0], x)));
    (shifted.to_bits(), r)
}

/// `sin r` for `|r| <= pi/4`.
#[inline(always)]
fn sin_poly(r: f64) -> f64 {
    let z = r * r;
    let p = horner(
        z,
        [
            -0.166_666_666_666_666_66,
            0.008_333_333_333_330_925,
            -0.000_198_412_698_367_224_37,
            2.755_731_608_382_574e-6,
            -2.505_112_794_596_564e-8,
            1.591_784_866_512_194e-10,
        ],
    );
    (z * r).mul_add(p, r)
}

/// `cos r` for `|r| <= pi/4`.
#[inline(always)]
fn cos_poly(r: f64) -> f64 {
    let z = r * r;
    let p = horner(
        z,
        [
            0.041_666_666_666_666_664,
            -0.001_388_888_888_888_738_2,
            2.480_158_729_874_308e-5,
            -2.755_731_726_001_471e-7,
            2.087_614_382_921_393_5e-9,
            -1.138_245_686_584_048_3e-11,
        ],
    );
    (z * z).mul_add(p, z.mul_add(-0.5, 1.0))
}

/// `sin(k pi/2 + r)`.
#[inline(always)]
fn quadrant(k: u64, r: f64) -> f64 {
    let y = if k & 1 == 0 { sin_poly(r) } else { cos_poly(r) };
    f64::from_bits(y.to_bits() ^ ((k & 2) << 62))
}

/// Functions of the `libm` crate, some under another name.
macro_rules! from_library {
    ($($name:ident = $library:ident),*) => {
        $(
            #[inline]
            fn $name(self) -> f64 {
                libm::$library(self)
            }
        )*
    };
}

/// Functions of the standard library under another name.
macro_rules! from_std {
    ($($name:ident = $library:ident),*) => {
        $(
            #[inline]
            fn $name(self) -> f64 {
                f64::$library(self)
            }
        )*
    };
}

#[allow(clippy::eq_op)]
impl Real for f64 {
    shared!(f64);
    forward!(f64: asin, acos, atan);
    from_library!(erf = erf, erfc = erfc, lgamma = lgamma);
    from_std!(sin_far = sin, cos_far = cos, tan_far = tan);

    #[inline(always)]
    fn exp(self) -> f64 {
        let (k, p) = reduce_exp(clamp(self, -746.0, 710.0));
        scale(p + 1.0, k)
    }
    #[inline(always)]
    fn exp2(self) -> f64 {
        let x = clamp(self, -1076.0, 1025.0);
        let shifted = x + ROUND;
        let r = (x - (shifted - ROUND)) * std::f64::consts::LN_2;
        scale(exp_less_one(r) + 1.0, rounded(shifted))
    }
    #[inline(always)]
    fn expm1(self) -> f64 {
        let (k, p) = reduce_exp(clamp(self, -60.0, 710.0));
        let half = power_of_two(k.wrapping_sub(1));
        let y = 2.0 * half.mul_add(p, half - 0.5);
        if self == 0.0 { self } else { y }
    }
    #[inline(always)]
    fn ln(self) -> f64 {
        let (k, f) = reduce_log(self);
        log_ends(self, k.mul_add(LN2_HI, f - (log_tail(f) - k * LN2_LO)))
    }
    #[inline(always)]
    fn log2(self) -> f64 {
        let (k, f) = reduce_log(self);
        let m = f - log_tail(f);
        log_ends(self, m.mul_add(LOG2_E - 1.0, m) + k)
    }
    #[inline(always)]
    fn log10(self) -> f64 {
        let (k, f) = reduce_log(self);
        let y = k.mul_add(LOG10_2_LO, (f - log_tail(f)) * LOG10_E);
        log_ends(self, k.mul_add(LOG10_2_HI, y))
    }
    #[inline(always)]
    fn log1p(self) -> f64 {
        let u = 1.0 + self;
        let lost = if u > 0.0 && u < f64::INFINITY { (self - (u - 1.0)) / u } else { 0.0 };
        let y = Real::ln(u) + lost;
        if self == 0.0 { self } else { y }
    }
    #[inline(always)]
    fn sin_near(self) -> f64 {
        let (k, r) = reduce_trig(self);
        let y = quadrant(k, r);
        if self == 0.0 { self } else { y }
    }
    #[inline(always)]
    fn cos_near(self) -> f64 {
        let (k, r) = reduce_trig(self);
        quadrant(k.wrapping_add(1), r)
    }
    #[inline(always)]
    fn tan(self) -> f64 {
        let (k, r) = reduce_trig(self);
        let (sine, cosine) = (sin_poly(r), cos_poly(r));
        let (above, below) = if k & 1 == 1 { (-cosine, sine) } else { (sine, cosine) };
        if self == 0.0 { self } else { above / below }
    }
    #[inline(always)]
    fn is_far(self) -> bool {
        self.abs() > FAR
    }
    #[inline(always)]
    fn tanh(self) -> f64 {
        let t = Real::expm1(2.0 * clamp(self.abs(), 0.0, 22.0));
        let y = (t / (t + 2.0)).copysign(self);
        if self == 0.0 { self } else { y }
    }
    #[inline]
    fn erfinv(self) -> f64 {
        super::special::erfinv(self)
    }
    #[inline]
    fn atan2(self, x: f64) -> f64 {
        f64::atan2(self, x)
    }
    #[inline(always)]
    fn sinh(self) -> f64 {
        let t = self.abs();
        let (half, less) = (half_exp(t), Real::expm1(clamp(t, 0.0, 1.0)));
        let y = if t < 1.0 { 0.5 * (less + less / (less + 1.0)) } else { half - 0.25 / half };
        if self == 0.0 { self } else { y.copysign(self) }
    }
    #[inline(always)]
    fn cosh(self) -> f64 {
        let half = half_exp(self.abs());
        half + 0.25 / half
    }
    #[inline(always)]
    fn asinh(self) -> f64 {
        let t = self.abs();
        let s = t * t;
        let over = t + s / (1.0 + (1.0 + s).sqrt());
        let y = Real::log1p(if t > HUGE { t } else { over }) + if t > HUGE { LN_2 } else { 0.0 };
        if self == 0.0 { self } else { y.copysign(self) }
    }
    #[inline(always)]
    fn acosh(self) -> f64 {
        let t = self - 1.0;
        let over = t + t.mul_add(t, 2.0 * t).sqrt();
        let y = Real::log1p(if self > HUGE { self } else { over }) + if self > HUGE { LN_2 } else { 0.0 };
        if self < 1.0 { f64::NAN } else { y }
    }
    #[inline(always)]
    fn atanh(self) -> f64 {
        let t = self.abs();
        let y = 0.5 * Real::log1p(2.0 * t / (1.0 - t));
        if self == 0.0 { self } else { y.copysign(self) }
    }
    #[inline(always)]
    fn hypot(self, other: f64) -> f64 {
        let (x, y) = (self.abs(), other.abs());
        let (low, high) = if x < y { (x, y) } else { (y, x) };
        // Squares neither overflow nor vanish after a multiplication that is exact.
        let by = if high > 1e150 { 2.0_f64.powi(-600) } else { 1.0 };
        let by = if high < 1e-150 { 2.0_f64.powi(600) } else { by };
        let (low, high) = (low * by, high * by);
        let length = high.mul_add(high, low * low).sqrt() / by;
        if x == f64::INFINITY || y == f64::INFINITY { f64::INFINITY } else { length }
    }
    #[inline]
    fn pow(self, exponent: f64) -> f64 {
        self.powf(exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error of `f` against `exact`, in units in the last place, over numbers of every size.
    fn worst(f: impl Fn(f64) -> f64, exact: impl Fn(f64) -> f64, domain: impl Fn(f64) -> bool) -> (f64, f64) {
        let patterns = (0..1_u64 << 20).map(|i| f64::from_bits(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let usual = (0..1 << 20).map(|i| f64::from(i - (1 << 19)) * 1.371_742e-4);
        let mut worst = (0.0, 0.0);
        for x in patterns.chain(usual).filter(|x| domain(*x)) {
            let (got, want) = (f(x), exact(x));
            let same = got == want || got.is_nan() && want.is_nan();
            let error = if same { 0.0 } else { (got - want).abs() / (want.abs().next_up() - want.abs()) };
            if error > worst.0 || error.is_nan() {
                worst = (if error.is_nan() { 1e30 } else { error }, x);
            }
        }
        worst
    }

    #[test]
    fn functions_stay_close_to_the_library() {
        let near = |x: f64| !x.is_far();
        let all = |_| true;
        type Function = fn(f64) -> f64;
        let cases: [(&str, Function, Function, f64); 13] = [
            ("exp", Real::exp, f64::exp, 2.0),
            ("exp2", Real::exp2, f64::exp2, 2.0),
            ("expm1", Real::expm1, f64::exp_m1, 3.0),
            ("ln", Real::ln, f64::ln, 2.0),
            ("log2", Real::log2, f64::log2, 3.0),
            ("log10", Real::log10, f64::log10, 3.0),
            ("log1p", Real::log1p, f64::ln_1p, 3.0),
            ("tanh", Real::tanh, f64::tanh, 4.0),
            ("sinh", Real::sinh, f64::sinh, 4.0),
            ("cosh", Real::cosh, f64::cosh, 3.0),
            ("asinh", Real::asinh, libm::asinh, 4.0),
            ("acosh", Real::acosh, |x| if x < 1.0 { f64::NAN } else { libm::acosh(x) }, 4.0),
            ("atanh", Real::atanh, libm::atanh, 4.0),
        ];
        for (name, f, exact, limit) in cases {
            let (error, x) = worst(f, exact, all);
            assert!(error <= limit, "{name}({x:e}): {error} ulp");
        }
        for (name, f, exact) in [
            ("sin", Real::sin_near as fn(f64) -> f64, f64::sin as fn(f64) -> f64),
            ("cos", Real::cos_near, f64::cos),
            ("tan", Real::tan, f64::tan),
        ] {
            let (error, x) = worst(f, exact, near);
            assert!(error <= 3.0, "{name}({x:e}): {error} ulp");
        }
    }

    #[test]
    fn lengths_neither_overflow_nor_vanish() {
        let patterns = (0..1_u64 << 18).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for bits in patterns {
            let x = f64::from_bits(bits);
            let y = x * f64::from((bits % 1000) as u32 + 1) / 300.0;
            let (got, want) = (Real::hypot(x, y), libm::hypot(x, y));
            assert!(
                got == want
                    || got.is_nan() && want.is_nan()
                    || (got - want).abs() <= 2.0 * (want.next_up() - want),
                "{x:e} {y:e}"
            );
        }
        assert_eq!(Real::hypot(f64::NEG_INFINITY, f64::NAN), f64::INFINITY);
        assert!(Real::hypot(0.0_f64, f64::NAN).is_nan());
    }

    #[test]
    fn whole_powers_are_exact() {
        for k in -300..300 {
            assert_eq!(
                (Real::exp2(f64::from(k)), Real::log2(2.0_f64.powi(k))),
                (2.0_f64.powi(k), f64::from(k))
            );
        }
        assert_eq!([Real::exp(0.0_f64), Real::log10(1.0), Real::tanh(40.0_f64)], [1.0, 0.0, 1.0]);
        assert_eq!([Real::log10(100.0_f64), Real::log10(1000.0), Real::log10(1e6)], [2.0, 3.0, 6.0]);
        assert_eq!(Real::exp(f64::NEG_INFINITY), 0.0);
        assert!(
            [Real::tanh(-0.0_f64), Real::expm1(-0.0), Real::sin_near(-0.0)]
                .iter()
                .all(|x| Real::is_negative(*x))
        );
    }
}
