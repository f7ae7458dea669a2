//! Functions of `f32` without branches: selections, fused multiply-adds and bit operations only.
//!
//! Polynomials are those of the classic libraries (FreeBSD's msun, Cephes), or minimax fits whose error the tests below
//! measure against `f64` over the whole range.

use super::{Real, angles, shared};
use std::f32::consts::{FRAC_2_PI, LN_2, LOG2_E, LOG10_E};

/// `ln 2` and `pi/2` in pieces: the first is exact times a small integer, the sum has far more bits than `f32`.
const LN2_HI: f32 = 0.693_145_75;
const LN2_LO: f32 = 1.428_606_8e-6;
const PIO2: [f32; 3] = [1.570_796_4, -4.371_139e-8, -1.715_124_5e-15];

/// Adding and subtracting this rounds to an integer, whose bits are then the low ones.
const ROUND: f32 = 12_582_912.0;

/// Beyond this the three pieces of `pi/2` no longer give a full remainder.
const FAR: f32 = 48_000.0;

/// `2^n` for `-126 <= n <= 127`, times a number with the right bits otherwise.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// `x = k ln 2 + r` with `|r| <= ln 2 / 2`: gives `(k, r)`.
#[inline(always)]
pub(super) fn reduce_exp(x: f32) -> (i32, f32) {
    let shifted = x.mul_add(LOG2_E, ROUND);
    let k = shifted - ROUND;
    let r = k.mul_add(-LN2_LO, k.mul_add(-LN2_HI, x));
    (shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32, r)
}

/// `(e^r - 1 - r) / r^2` for `|r| <= ln 2 / 2`.
#[inline(always)]
pub(super) fn exp_tail(r: f32) -> f32 {
    let p = r.mul_add(1.987_569_1e-4, 1.398_2e-3);
    let p = r.mul_add(p, 8.333_452e-3);
    let p = r.mul_add(p, 4.166_579_6e-2);
    let p = r.mul_add(p, 1.666_666_5e-1);
    r.mul_add(p, 0.5)
}

/// `2^k p`, in two steps because `2^k` itself may overflow or be subnormal.
#[inline(always)]
pub(super) fn scale(p: f32, k: i32) -> f32 {
    let half = k >> 1;
    p * power_of_two(half) * power_of_two(k.wrapping_sub(half))
}

#[inline(always)]
pub(super) fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x > high { high } else { x };
    if x < low { low } else { x }
}

#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let (k, r) = reduce_exp(clamp(x, -104.5, 89.0));
    scale((r * r).mul_add(exp_tail(r), r) + 1.0, k)
}

/// `2^x` with a relative error of `1e-7` plus `x`'s own, 0 below -126.5 and infinite above 127.5.
#[inline(always)]
#[allow(clippy::approx_constant)] // coefficients of a fit
fn power(x: f32) -> f32 {
    const BIASED: f32 = ROUND + 127.0;
    let x = clamp(x, -127.0, 128.0);
    let shifted = x + BIASED;
    let r = x - (shifted - BIASED);
    let p = r.mul_add(1.326_472_7e-3, 9.671_513e-3);
    let p = r.mul_add(p, 5.550_733_6e-2);
    let p = r.mul_add(p, 2.402_224_2e-1);
    let p = r.mul_add(p, 0.693_147);
    r.mul_add(p, 1.0) * f32::from_bits(shifted.to_bits() << 23)
}

/// The normal distribution's tail `e^-poly(|x|)`: a fit to its logarithm up to 5.6, falling off beyond.
#[inline(always)]
fn normal_cdf(x: f32) -> f32 {
    let t = x.abs();
    let p = t.mul_add(-7.941_692_4e-7, 1.386_911_8e-5);
    let p = t.mul_add(p, -6.191_857e-5);
    let p = t.mul_add(p, -4.366_808_3e-4);
    let p = t.mul_add(p, 7.441_39e-3);
    let p = t.mul_add(p, -5.273_784_7e-2);
    let p = t.mul_add(p, -4.591_389_3e-1);
    let p = t.mul_add(p, -1.151_111_5);
    let tail = power(t.mul_add(p, -1.0));
    if x >= 0.0 { 1.0 - tail } else { tail }
}

#[inline(always)]
fn exp2(x: f32) -> f32 {
    let x = clamp(x, -151.0, 129.0);
    let shifted = x + ROUND;
    let r = (x - (shifted - ROUND)) * LN_2;
    let k = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    scale((r * r).mul_add(exp_tail(r), r) + 1.0, k)
}

#[inline(always)]
fn expm1(x: f32) -> f32 {
    let (k, r) = reduce_exp(clamp(x, -40.0, 89.0));
    let p = (r * r).mul_add(exp_tail(r), r);
    let half = power_of_two(k.wrapping_sub(1));
    let y = 2.0 * half.mul_add(p, half - 0.5);
    if x == 0.0 { x } else { y }
}

/// `x = 2^k (1 + f)` with `1 + f` between `sqrt(1/2)` and `sqrt 2`: gives `(k, f)`, for positive finite `x`.
#[inline(always)]
fn reduce_log(x: f32) -> (f32, f32) {
    let tiny = x < f32::MIN_POSITIVE;
    let bits = (if tiny { x * 8_388_608.0 } else { x }).to_bits();
    let shifted = bits.wrapping_add(0x3f80_0000 - 0x3f35_04f3);
    let k = ((shifted >> 23) as i32).wrapping_sub(if tiny { 127 + 23 } else { 127 });
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    (k as f32, m - 1.0)
}

/// `ln(1 + f)` as `f - c`: gives `c` (msun's e_logf).
#[inline(always)]
fn log_tail(f: f32) -> f32 {
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let t1 = w * w.mul_add(0.242_790_79, 0.400_009_72);
    let t2 = z * w.mul_add(0.284_987_87, 0.666_666_6);
    let half = 0.5 * f * f;
    half - s * (half + (t1 + t2))
}

/// The logarithm's values at its ends: `y` for positive finite `x`.
#[inline(always)]
fn log_ends(x: f32, y: f32) -> f32 {
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x >= 0.0 { y } else { f32::NAN }
}

#[inline(always)]
pub(super) fn ln(x: f32) -> f32 {
    let (k, f) = reduce_log(x);
    let y = k.mul_add(LN2_HI, f - (log_tail(f) - k * LN2_LO));
    log_ends(x, y)
}

#[inline(always)]
fn log2(x: f32) -> f32 {
    let (k, f) = reduce_log(x);
    let m = f - log_tail(f);
    log_ends(x, m.mul_add(0.442_695_04, m) + k)
}

#[inline(always)]
fn log10(x: f32) -> f32 {
    let (k, f) = reduce_log(x);
    let y = k.mul_add(7.903_423e-7, (f - log_tail(f)) * LOG10_E);
    log_ends(x, k.mul_add(0.301_029_2, y))
}

#[inline(always)]
pub(super) fn log1p(x: f32) -> f32 {
    let u = 1.0 + x;
    let lost = if u > 0.0 && u < f32::INFINITY { (x - (u - 1.0)) / u } else { 0.0 };
    let y = ln(u) + lost;
    if x == 0.0 { x } else { y }
}

/// `x = k pi/2 + r` with `|r| <= pi/4`: gives `(k, r)`.
#[inline(always)]
pub(super) fn reduce_trig(x: f32) -> (u32, f32) {
    let shifted = x.mul_add(FRAC_2_PI, ROUND);
    let k = shifted - ROUND;
    let r = k.mul_add(-PIO2[2], k.mul_add(-PIO2[1], k.mul_add(-PIO2[0], x)));
    (shifted.to_bits(), r)
}

/// `sin r` for `|r| <= pi/4` (Cephes).
#[inline(always)]
pub(super) fn sin_poly(r: f32) -> f32 {
    let z = r * r;
    let p = z.mul_add(-1.951_529_6e-4, 8.332_161e-3);
    let p = z.mul_add(p, -1.666_665_5e-1);
    (z * r).mul_add(p, r)
}

/// `cos r` for `|r| <= pi/4` (Cephes).
#[inline(always)]
pub(super) fn cos_poly(r: f32) -> f32 {
    let z = r * r;
    let p = z.mul_add(2.443_315_7e-5, -1.388_731_6e-3);
    let p = z.mul_add(p, 4.166_664_6e-2);
    (z * z).mul_add(p, z.mul_add(-0.5, 1.0))
}

/// `sin(k pi/2 + r)`.
#[inline(always)]
fn quadrant(k: u32, r: f32) -> f32 {
    let y = if k & 1 == 0 { sin_poly(r) } else { cos_poly(r) };
    f32::from_bits(y.to_bits() ^ ((k & 2) << 30))
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    let t = expm1(2.0 * clamp(x.abs(), 0.0, 10.0));
    let y = (t / (t + 2.0)).copysign(x);
    if x == 0.0 { x } else { y }
}

/// Two fits, about 0 and for the rest `1 - e^poly` (after N. Juffa's).
#[inline(always)]
pub(super) fn erf(x: f32) -> f32 {
    let t = clamp(x.abs(), 0.0, 4.0);
    let s = t * t;
    let p = t.mul_add(-1.728_534_7e-5, 3.831_971_3e-4);
    let q = t.mul_add(-3.883_964_4e-3, 2.425_462_2e-2);
    let p = p.mul_add(s, q);
    let p = p.mul_add(t, -1.067_778_8e-1);
    let p = p.mul_add(t, -6.348_467e-1);
    let p = p.mul_add(t, -1.287_175_1e-1);
    let far = (1.0 - exp(p.mul_add(t, -t))).copysign(x);
    let p = s.mul_add(-5.967_617e-4, 4.991_194_2e-3);
    let p = p.mul_add(s, -2.676_813_5e-2);
    let p = p.mul_add(s, 1.128_199_3e-1);
    let p = p.mul_add(s, -3.761_253_4e-1);
    let p = p.mul_add(s, 1.283_791_7e-1);
    let near = p.mul_add(x, x);
    if t > 0.927_734_4 { far } else { near }
}

/// Functions computed in `f64` and rounded.
macro_rules! through_f64 {
    ($($name:ident),*) => {
        $(
            #[inline]
            fn $name(self) -> f32 {
                Real::$name(self as f64) as f32
            }
        )*
    };
}

/// Functions of [`angles`].
macro_rules! from_angles {
    ($($name:ident),*) => {
        $(
            #[inline(always)]
            fn $name(self) -> f32 {
                angles::$name(self)
            }
        )*
    };
}

#[allow(clippy::eq_op)]
impl Real for f32 {
    shared!(f32);
    through_f64!(lgamma, sin_far, cos_far, tan_far);
    from_angles!(tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh, erfc, erfinv);

    #[inline(always)]
    fn exp(self) -> f32 {
        exp(self)
    }
    #[inline(always)]
    fn exp2(self) -> f32 {
        exp2(self)
    }
    #[inline(always)]
    fn expm1(self) -> f32 {
        expm1(self)
    }
    #[inline(always)]
    fn ln(self) -> f32 {
        ln(self)
    }
    #[inline(always)]
    fn log2(self) -> f32 {
        log2(self)
    }
    #[inline(always)]
    fn log10(self) -> f32 {
        log10(self)
    }
    #[inline(always)]
    fn log1p(self) -> f32 {
        log1p(self)
    }
    #[inline(always)]
    fn sin_near(self) -> f32 {
        let (k, r) = reduce_trig(self);
        let y = quadrant(k, r);
        if self == 0.0 { self } else { y }
    }
    #[inline(always)]
    fn cos_near(self) -> f32 {
        let (k, r) = reduce_trig(self);
        quadrant(k.wrapping_add(1), r)
    }
    #[inline(always)]
    fn is_far(self) -> bool {
        self.abs() > FAR
    }
    #[inline(always)]
    fn tanh(self) -> f32 {
        tanh(self)
    }
    #[inline(always)]
    fn erf(self) -> f32 {
        erf(self)
    }
    #[inline(always)]
    fn gate(self) -> f32 {
        1.0 / (1.0 + power(self * -LOG2_E))
    }
    #[inline(always)]
    fn normal_cdf(self) -> f32 {
        normal_cdf(self)
    }
    #[inline(always)]
    fn atan2(self, x: f32) -> f32 {
        angles::atan2(self, x)
    }
    #[inline(always)]
    fn hypot(self, other: f32) -> f32 {
        angles::hypot(self, other)
    }
    #[inline(always)]
    fn pow(self, exponent: f32) -> f32 {
        angles::pow(self, exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error of `f` against `exact`, in units in the last place, over bit patterns spread over all `f32`.
    fn worst(f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, domain: impl Fn(f32) -> bool) -> (f64, f32) {
        let mut worst = (0.0, 0.0);
        for step in 0..1 << 21 {
            let x = f32::from_bits(u32::wrapping_mul(step, 2_053));
            if !domain(x) {
                continue;
            }
            let (got, want) = (f(x), exact(x as f64));
            let rounded = want as f32;
            let same = got == rounded || (got.is_nan() && rounded.is_nan());
            let ulp = (rounded.abs().next_up() as f64 - rounded.abs() as f64).max(1.4e-45);
            let error = if same { 0.0 } else { ((got as f64 - want) / ulp).abs() };
            if error > worst.0 || error.is_nan() {
                worst = (if error.is_nan() { 1e30 } else { error }, x);
            }
        }
        worst
    }

    macro_rules! within {
        ($limit:expr, $f:expr, $exact:expr) => {
            within!($limit, $f, $exact, |_| true)
        };
        ($limit:expr, $f:expr, $exact:expr, $domain:expr) => {
            let (error, x) = worst($f, $exact, $domain);
            println!("{}: {error:.2} ulp at {x:e}", stringify!($f));
            assert!(error <= $limit, "{}({x:e}): {error} ulp", stringify!($f));
        };
    }

    #[test]
    fn functions_stay_close_to_f64() {
        within!(1.5, exp, f64::exp);
        within!(2.0, exp2, f64::exp2);
        within!(2.0, expm1, f64::exp_m1);
        within!(1.5, ln, f64::ln);
        within!(2.0, log2, f64::log2);
        within!(2.0, log10, f64::log10);
        within!(2.0, log1p, f64::ln_1p);
        within!(2.5, tanh, f64::tanh);
        within!(1.5, erf, libm::erf);
        within!(3.0, Real::sigmoid, |x| 1.0 / (1.0 + (-x).exp()), |x| x > -80.0);
        within!(2.0, Real::sin_near, f64::sin, |x: f32| !x.is_far());
        within!(2.0, Real::cos_near, f64::cos, |x: f32| !x.is_far());
    }

    #[test]
    fn angles_stay_close_to_f64() {
        within!(3.5, Real::tan, f64::tan, |x: f32| !x.is_far());
        within!(2.0, Real::asin, f64::asin);
        within!(2.0, Real::acos, f64::acos);
        within!(2.0, Real::atan, f64::atan);
        within!(2.0, Real::sinh, f64::sinh);
        within!(2.0, Real::cosh, f64::cosh);
        within!(3.0, Real::asinh, libm::asinh);
        within!(3.0, Real::acosh, libm::acosh, |x: f32| x >= 1.0);
        within!(3.0, Real::atanh, libm::atanh);
        within!(3.5, Real::erfc, libm::erfc);
        within!(4.0, Real::erfinv, crate::math::special::erfinv, |x: f32| x.abs() < 1.0);
        for a in [-2.0_f32, 0.3, 7e-20, 3e12] {
            within!(2.0, |x| Real::atan2(x, a), |x| f64::atan2(x, a.into()));
            within!(2.0, |x| Real::atan2(a, x), |x| f64::atan2(a.into(), x));
            within!(1.0, |x| Real::hypot(a, x), |x| f64::hypot(a.into(), x));
        }
        for a in [2.5_f32, -0.3, 3.0, -2.0, 31.0, 1.5e-3] {
            within!(1.0, |x| Real::pow(x, a), |x| f64::powf(x, a.into()));
            within!(1.0, |x| Real::pow(a, x), |x| f64::powf(a.into(), x));
        }
    }

    #[test]
    fn angles_at_the_ends() {
        let ends = [0.0_f32, -0.0, 1.0, -1.0, f32::INFINITY, -f32::INFINITY, f32::NAN, 0.5, -3.0, 2.0, 1e-44];
        for (x, y) in ends.iter().flat_map(|x| ends.map(|y| (*x, y))) {
            let same = |got: f32, want: f32| {
                let close = got == want || (got - want).abs() <= 2e-7 * want.abs();
                let alike = close && got.is_negative() == want.is_negative();
                assert!(alike || got.is_nan() && want.is_nan(), "{x} {y}: {got} {want}");
            };
            same(Real::atan2(x, y), f64::atan2(x.into(), y.into()) as f32);
            same(Real::pow(x, y), f64::powf(x.into(), y.into()) as f32);
            same(Real::hypot(x, y), f64::hypot(x.into(), y.into()) as f32);
        }
        assert_eq!([Real::erfinv(1.0_f32), Real::erfinv(-1.0)], [f32::INFINITY, -f32::INFINITY]);
        assert_eq!([Real::atanh(1.0_f32), Real::sinh(100.0), Real::cosh(-100.0)], [f32::INFINITY; 3]);
        assert_eq!([Real::erfc(f32::INFINITY), Real::erfc(-9.0_f32)], [0.0, 2.0]);
        let odd: [fn(f32) -> f32; 6] =
            [Real::tan, Real::asin, Real::atan, Real::sinh, Real::asinh, Real::atanh];
        assert!(odd.iter().all(|f| f(-0.0).is_negative() && f(f32::NAN).is_nan()));
        assert!(
            Real::acos(1.5_f32).is_nan() && Real::acosh(-2.0_f32).is_nan() && Real::erfinv(1.1_f32).is_nan()
        );
    }

    #[test]
    fn distributions_stay_close_to_f64() {
        let near = |got: f32, want: f64, x: f32| {
            assert!((f64::from(got) - want).abs() < 2e-7, "{x}: {got} {want}");
        };
        for step in 0..1 << 21 {
            let x = f32::from_bits(u32::wrapping_mul(step, 2_053));
            if !x.is_nan() {
                let wide = f64::from(x);
                near(normal_cdf(x), 0.5 * libm::erfc(-wide * std::f64::consts::FRAC_1_SQRT_2), x);
                near(Real::gate(x), 1.0 / (1.0 + (-wide).exp()), x);
            }
        }
        assert!(normal_cdf(f32::NAN).is_nan() && Real::gate(f32::NAN).is_nan());
        let inf = f32::INFINITY;
        assert_eq!(
            [normal_cdf(-inf), normal_cdf(-20.0), normal_cdf(inf), normal_cdf(0.0)],
            [0.0, 0.0, 1.0, 0.5]
        );
        assert_eq!([Real::gate(-inf), Real::gate(-100.0), Real::gate(inf)], [0.0, 0.0, 1.0]);
    }

    #[test]
    fn ends_and_signs() {
        assert_eq!([exp(f32::NEG_INFINITY), exp(f32::INFINITY), exp(0.0)], [0.0, f32::INFINITY, 1.0]);
        assert_eq!(
            [ln(0.0), ln(f32::INFINITY), log2(8.0), log1p(-1.0)],
            [-f32::INFINITY, f32::INFINITY, 3.0, -f32::INFINITY]
        );
        assert!(
            ln(-1.0).is_nan() && exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan() && erf(f32::NAN).is_nan()
        );
        assert_eq!([tanh(f32::INFINITY), tanh(-20.0), expm1(-90.0), erf(10.0)], [1.0, -1.0, -1.0, 1.0]);
        assert!(
            [tanh(-0.0), expm1(-0.0), log1p(-0.0), Real::sin_near(-0.0), erf(-0.0)]
                .iter()
                .all(|x| x.is_negative())
        );
        assert!(Real::sin_near(f32::INFINITY).is_nan());
    }
}
