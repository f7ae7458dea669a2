//! Bessel and Airy functions, by the rational and Chebyshev approximations of the Cephes library.
//!
//! They are computed in the type of their argument, as PyTorch does, so that single precision loses the same digits.

use std::f64::consts::{FRAC_1_PI, FRAC_2_PI, FRAC_PI_4, PI};

use super::Real;
use super::bessel_tables::*;

/// Solution of `y'' = x y` that vanishes at infinity. NaN at both infinities, as in PyTorch.
pub fn airy_ai<T: Real>(x: T) -> T {
    if x.abs() == T::INFINITY {
        return T::NAN;
    }
    if x > T::real(103.892) {
        return T::ZERO;
    }
    if x < T::real(-2.09) {
        return airy_waves(x);
    }
    if x < T::real(2.09) { airy_series(x) } else { airy_tail(x) }
}

/// The oscillating side.
fn airy_waves<T: Real>(x: T) -> T {
    let root = (-x).sqrt();
    let zeta = T::real(-2.0) * x * root / T::real(3.0);
    let z = T::ONE / zeta;
    let square = z * z;
    let even = T::ONE + square * poly(square, AIRY_SIN_P) / poly(square, AIRY_SIN_Q);
    let odd = z * poly(square, AIRY_COS_P) / poly(square, AIRY_COS_Q);
    let t = zeta + T::real(FRAC_PI_4);
    T::real(FRAC_1_PI.sqrt()) / root.sqrt() * (sin(t) * even - cos(t) * odd)
}

/// The decaying side.
fn airy_tail<T: Real>(x: T) -> T {
    let zeta = T::real(2.0) * x * x.sqrt() / T::real(3.0);
    let z = T::ONE / zeta;
    let ratio = poly(z, AIRY_P) / poly(z, AIRY_Q);
    T::real(FRAC_1_PI.sqrt()) * ratio / (T::real(2.0) * x.sqrt().sqrt() * zeta.exp())
}

/// Power series around 0.
fn airy_series<T: Real>(x: T) -> T {
    let cube = x * x * x;
    let (mut f, mut g, mut m, mut n, mut k) = (T::ONE, x, T::ONE, x, T::ONE);
    loop {
        m = m * cube / (k + T::ONE);
        n = n * cube / (k + T::real(2.0));
        m = m / (k + T::real(2.0));
        k = k + T::real(3.0);
        n = n / k;
        f = f + m;
        g = g + n;
        let change = (m / f).abs();
        if change <= epsilon() || change.is_nan() {
            return T::real(0.355_028_053_887_817_2) * f - T::real(0.258_819_403_792_806_8) * g;
        }
    }
}

/// Bessel function of the first kind of order 0.
pub fn bessel_j0<T: Real>(x: T) -> T {
    let x = x.abs();
    let square = x * x;
    if x < T::real(0.00001) {
        return T::ONE - square / T::real(4.0);
    }
    if x <= T::real(5.0) {
        // Both zeros in this range are factors.
        let zeros = (square - T::real(5.783_185_962_946_784)) * (square - T::real(30.471_262_343_662_087));
        return zeros * poly(square, J0_RP) / poly(square, J0_RQ);
    }
    let (p, q, t) = waves0(x);
    (p * cos(t) - q * sin(t)) * T::real(FRAC_2_PI.sqrt()) / x.sqrt()
}

/// Bessel function of the first kind of order 1.
pub fn bessel_j1<T: Real>(x: T) -> T {
    if x < T::ZERO {
        return -bessel_j1(-x);
    }
    if x <= T::real(5.0) {
        let square = x * x;
        let ratio = poly(square, J1_RP) / poly(square, J1_RQ);
        return ratio
            * x
            * (square - T::real(14.681_970_642_123_893))
            * (square - T::real(49.218_456_321_694_6));
    }
    let (p, q, t) = waves1(x);
    (p * cos(t) - q * sin(t)) * T::real(FRAC_2_PI.sqrt()) / x.sqrt()
}

/// Bessel function of the second kind of order 0: minus infinity at 0, NaN below.
pub fn bessel_y0<T: Real>(x: T) -> T {
    if x <= T::ZERO {
        return if x == T::ZERO { -T::INFINITY } else { T::NAN };
    }
    if x <= T::real(5.0) {
        let square = x * x;
        let ratio = poly(square, Y0_P) / poly(square, Y0_Q);
        return ratio + T::real(FRAC_2_PI) * x.ln() * bessel_j0(x);
    }
    let (p, q, t) = waves0(x);
    (p * sin(t) + q * cos(t)) * T::real(FRAC_2_PI.sqrt()) / x.sqrt()
}

/// Bessel function of the second kind of order 1: minus infinity at 0, NaN below.
pub fn bessel_y1<T: Real>(x: T) -> T {
    if x <= T::ZERO {
        return if x == T::ZERO { -T::INFINITY } else { T::NAN };
    }
    if x <= T::real(5.0) {
        let square = x * x;
        let ratio = poly(square, Y1_P) / poly(square, Y1_Q);
        return x * ratio + T::real(FRAC_2_PI) * (bessel_j1(x) * x.ln() - T::ONE / x);
    }
    let (p, q, t) = waves1(x);
    (p * sin(t) + q * cos(t)) * T::real(FRAC_2_PI.sqrt()) / x.sqrt()
}

/// Amplitudes and angle of the functions of order 0 beyond 5.
fn waves0<T: Real>(x: T) -> (T, T, T) {
    let z = T::real(25.0) / (x * x);
    let q = T::real(5.0) / x * (poly(z, J0_QP) / poly(z, J0_QQ));
    (poly(z, J0_PP) / poly(z, J0_PQ), q, x - T::real(FRAC_PI_4))
}

/// Amplitudes and angle of the functions of order 1 beyond 5.
fn waves1<T: Real>(x: T) -> (T, T, T) {
    let w = T::real(5.0) / x;
    let q = w * (poly(w * w, J1_QP) / poly(w * w, J1_QQ));
    (poly(w * w, J1_PP) / poly(w * w, J1_PQ), q, x - T::real(0.75 * PI))
}

/// Modified Bessel function of the first kind of order 0.
pub fn modified_bessel_i0<T: Real>(x: T) -> T {
    let a = x.abs();
    if a <= T::real(8.0) {
        return a.exp() * chebyshev(a / T::real(2.0) - T::real(2.0), I0_NEAR);
    }
    a.exp() * chebyshev(T::real(32.0) / a - T::real(2.0), I0_FAR) / a.sqrt()
}

/// Modified Bessel function of the first kind of order 1.
pub fn modified_bessel_i1<T: Real>(x: T) -> T {
    let a = x.abs();
    let value = if a <= T::real(8.0) {
        chebyshev(a / T::real(2.0) - T::real(2.0), I1_NEAR) * a * a.exp()
    } else {
        a.exp() * chebyshev(T::real(32.0) / a - T::real(2.0), I1_FAR) / a.sqrt()
    };
    if x < T::ZERO { -value } else { value }
}

/// Modified Bessel function of the second kind of order 0: infinity at 0, NaN below.
pub fn modified_bessel_k0<T: Real>(x: T) -> T {
    second_kind(x, k0_near, K0_FAR, T::ONE, |far, x| (-x).exp() * far)
}

/// Modified Bessel function of the second kind of order 1: infinity at 0, NaN below.
pub fn modified_bessel_k1<T: Real>(x: T) -> T {
    second_kind(x, k1_near, K1_FAR, T::ONE, |far, x| (-x).exp() * far)
}

/// `e^x` times [`modified_bessel_k0`].
pub fn scaled_modified_bessel_k0<T: Real>(x: T) -> T {
    second_kind(x, k0_near, K0_FAR, x.exp(), |far, _| far)
}

/// `e^x` times [`modified_bessel_k1`].
pub fn scaled_modified_bessel_k1<T: Real>(x: T) -> T {
    second_kind(x, k1_near, K1_FAR, x.exp(), |far, _| far)
}

/// A modified function of the second kind: `near` up to 2, times `scale`, else the series `far` over the root of `x`.
fn second_kind<T: Real>(x: T, near: fn(T) -> T, far: &[f64], scale: T, finish: fn(T, T) -> T) -> T {
    if x <= T::ZERO {
        return if x == T::ZERO { T::INFINITY } else { T::NAN };
    }
    if x <= T::real(2.0) {
        return near(x) * scale;
    }
    finish(chebyshev(T::real(8.0) / x - T::real(2.0), far), x) / x.sqrt()
}

fn k0_near<T: Real>(x: T) -> T {
    let log = T::real((0.5 * x.wide()).ln());
    chebyshev(x * x - T::real(2.0), K0_NEAR) - log * modified_bessel_i0(x)
}

fn k1_near<T: Real>(x: T) -> T {
    (T::real(0.5) * x).ln() * modified_bessel_i1(x) + chebyshev(x * x - T::real(2.0), K1_NEAR) / x
}

/// Spherical Bessel function of the first kind of order 0: `sin(x) / x`.
pub fn spherical_bessel_j0<T: Real>(x: T) -> T {
    if x.abs() == T::INFINITY {
        return T::ZERO;
    }
    if x.abs() >= T::real(0.5) {
        return sin(x) / x;
    }
    const TAYLOR: &[f64] = &[
        1.0 / 6_227_020_800.0,
        -1.0 / 39_916_800.0,
        1.0 / 362_880.0,
        -1.0 / 5_040.0,
        1.0 / 120.0,
        -1.0 / 6.0,
        1.0,
    ];
    poly(x * x, TAYLOR)
}

/// The polynomial with those coefficients, highest power first.
#[inline]
fn poly<T: Real>(x: T, coefficients: &[f64]) -> T {
    coefficients.iter().fold(T::ZERO, |sum, c| sum * x + T::real(*c))
}

/// The Chebyshev series with those coefficients, highest order first, at `x / 2` (Clenshaw's recurrence).
#[inline]
fn chebyshev<T: Real>(x: T, coefficients: &[f64]) -> T {
    let (mut a, mut q, mut p) = (T::ZERO, T::ZERO, T::ZERO);
    for c in coefficients {
        (p, q) = (q, a);
        a = x * q - p + T::real(*c);
    }
    T::real(0.5) * (a - p)
}

fn epsilon<T: Real>() -> T {
    T::ONE.next_after(T::INFINITY) - T::ONE
}

pub(super) fn sin<T: Real>(x: T) -> T {
    T::real(x.wide().sin())
}

pub(super) fn cos<T: Real>(x: T) -> T {
    T::real(x.wide().cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values to 16 digits (DLMF's definitions, computed with extended precision).
    #[test]
    fn values_at_known_points() {
        let close = |got: f64, want: f64| assert!((got - want).abs() <= 1e-14 * want.abs(), "{got} {want}");
        close(bessel_j0(1.0), 0.765_197_686_557_966_6);
        close(bessel_j1(1.0), 0.440_050_585_744_933_5);
        close(bessel_y0(1.0), 0.088_256_964_215_676_96);
        close(bessel_y1(1.0), -0.781_212_821_300_288_7);
        close(modified_bessel_k0(1.0), 0.421_024_438_240_708_3);
        close(modified_bessel_k1(1.0), 0.601_907_230_197_234_6);
        close(airy_ai(0.0), 0.355_028_053_887_817_2);
        close(airy_ai(1.0), 0.135_292_416_312_881_42);
    }

    /// `J1 Y0 - J0 Y1 = 2 / (pi x)`, to the digits that PyTorch's coefficients give, and `I0 K1 + I1 K0 = 1 / x`.
    #[test]
    fn wronskians() {
        for i in 1..400 {
            let x = f64::from(i) / 20.0;
            let w = bessel_j1(x) * bessel_y0(x) - bessel_j0(x) * bessel_y1(x);
            assert!((w * x / FRAC_2_PI - 1.0).abs() < 2e-7, "{x}");
            let w =
                modified_bessel_i0(x) * modified_bessel_k1(x) + modified_bessel_i1(x) * modified_bessel_k0(x);
            assert!((w * x - 1.0).abs() < 1e-13, "{x}");
        }
    }

    #[test]
    fn edges() {
        assert!(bessel_y0(-1.0_f32).is_nan() && bessel_y0(0.0_f32) == f32::NEG_INFINITY);
        assert!(airy_ai(f64::NAN).is_nan() && airy_ai(f64::INFINITY).is_nan() && airy_ai(200.0) == 0.0);
        assert!(modified_bessel_k1(0.0) == f64::INFINITY && modified_bessel_k1(-1.0).is_nan());
        assert!(spherical_bessel_j0(f32::INFINITY) == 0.0 && spherical_bessel_j0(0.0_f32) == 1.0);
    }
}
