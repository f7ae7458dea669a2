//! Special functions in double precision: calls, not loops.

use std::f64::consts::{FRAC_2_SQRT_PI, PI};

/// Inverse of the error function: a rational start (Giles' ranges), then two Newton steps.
pub fn erfinv(y: f64) -> f64 {
    if y.abs() >= 1.0 {
        return if y.abs() > 1.0 { f64::NAN } else { f64::INFINITY.copysign(y) };
    }
    const A: [f64; 4] = [0.886226899, -1.645349621, 0.914624893, -0.140543331];
    const B: [f64; 4] = [-2.118377725, 1.442710462, -0.329097515, 0.012229801];
    const C: [f64; 4] = [-1.970840454, -1.624906493, 3.429567803, 1.641345311];
    const D: [f64; 2] = [3.543889200, 1.637067800];
    let mut x = if y.abs() <= 0.7 {
        let z = y * y;
        y * horner(z, &A) / (1.0 + z * horner(z, &B))
    } else {
        let z = (-((1.0 - y.abs()) / 2.0).ln()).sqrt();
        (horner(z, &C) / (1.0 + z * horner(z, &D))).copysign(y)
    };
    for _ in 0..2 {
        x -= (libm::erf(x) - y) / (FRAC_2_SQRT_PI * (-x * x).exp());
    }
    x
}

/// `c[0] + c[1] x + c[2] x^2 + …`.
pub fn horner(x: f64, coefficients: &[f64]) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

/// Derivative of `lgamma`: reflection, recurrence up to 10, asymptotic series.
pub fn digamma(mut x: f64) -> f64 {
    if x == 0.0 {
        return f64::INFINITY.copysign(-x);
    }
    let mut result = 0.0;
    if x < 0.0 {
        if x == x.trunc() {
            return f64::NAN;
        }
        result = -PI / (PI * x.fract()).tan();
        x = 1.0 - x;
    }
    while x < 10.0 {
        result -= 1.0 / x;
        x += 1.0;
    }
    const SERIES: [f64; 7] = [
        8.333_333_333_333_333e-2,
        -8.333_333_333_333_333e-3,
        3.968_253_968_253_968e-3,
        -4.166_666_666_666_667e-3,
        7.575_757_575_757_576e-3,
        -2.109_279_609_279_609_3e-2,
        8.333_333_333_333_333e-2,
    ];
    let z = 1.0 / (x * x);
    result + x.ln() - 0.5 / x - z * horner(z, &SERIES)
}

/// Hurwitz' zeta function: the sum of `(q + k)^-x` over `k >= 0`, by Euler and Maclaurin's formula (Cephes).
pub fn zeta(x: f64, q: f64) -> f64 {
    // (2k)! / B2k, the coefficients of the tail.
    const A: [f64; 12] = [
        12.0,
        -720.0,
        30_240.0,
        -1_209_600.0,
        47_900_160.0,
        -1.892_437_580_318_379_2e9,
        7.47_242_496e10,
        -2.950_130_727_918_164_2e12,
        1.164_678_281_435_006_7e14,
        -4.597_978_722_407_473e15,
        1.815_210_540_194_354_7e17,
        -7.166_165_256_175_667e18,
    ];
    if x == 1.0 {
        return f64::INFINITY;
    }
    if x < 1.0 || x.is_nan() {
        return f64::NAN;
    }
    if q <= 0.0 {
        if q == q.floor() {
            return f64::INFINITY;
        }
        if x != x.floor() {
            return f64::NAN;
        }
    }
    let (mut sum, mut a, mut b) = (q.powf(-x), q, 0.0);
    let mut i = 0;
    while i < 9 || a <= 9.0 {
        i += 1;
        a += 1.0;
        b = a.powf(-x);
        sum += b;
        if (b / sum).abs() < f64::EPSILON / 2.0 {
            return sum;
        }
    }
    sum += b * a / (x - 1.0) - 0.5 * b;
    let (mut factor, mut k) = (1.0, 0.0);
    for coefficient in A {
        factor *= x + k;
        b /= a;
        let term = factor * b / coefficient;
        sum += term;
        if (term / sum).abs() < f64::EPSILON / 2.0 {
            return sum;
        }
        factor *= x + k + 1.0;
        b /= a;
        k += 2.0;
    }
    sum
}

/// The `n`-th derivative of [`digamma`].
pub fn polygamma(n: i64, x: f64) -> f64 {
    if n == 0 {
        return digamma(x);
    }
    if n == 1 {
        return trigamma(x);
    }
    let sign = if n % 2 == 0 { -1.0 } else { 1.0 };
    sign * libm::lgamma(n as f64 + 1.0).exp() * zeta(n as f64 + 1.0, x)
}

/// The derivative of [`digamma`]: reflection below 1/2, recurrence up to 6, asymptotic series.
pub fn trigamma(mut x: f64) -> f64 {
    let (mut sign, mut result) = (1.0, 0.0);
    if x < 0.5 {
        sign = -1.0;
        let sine = (PI * x).sin();
        result -= PI * PI / (sine * sine);
        x = 1.0 - x;
    }
    for _ in 0..6 {
        result += 1.0 / (x * x);
        x += 1.0;
    }
    let z = 1.0 / (x * x);
    const SERIES: [f64; 6] = [1.0 / 6.0, -1.0 / 30.0, 1.0 / 42.0, -1.0 / 30.0, 5.0 / 66.0, -691.0 / 2730.0];
    result += (1.0 + 0.5 / x + z * horner(z, &SERIES)) / x;
    sign * result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erfinv_inverts_erf() {
        for i in -999..1000 {
            let y = i as f64 / 1000.0;
            assert!((libm::erf(erfinv(y)) - y).abs() < 1e-15, "{y}");
        }
        assert_eq!(erfinv(1.0), f64::INFINITY);
        assert!(erfinv(1.1).is_nan() && erfinv(f64::NAN).is_nan());
    }

    #[test]
    fn digamma_values() {
        // psi(1) = -Euler's constant; psi(1/2) = -Euler - 2 ln 2; psi(x + 1) = psi(x) + 1 / x.
        assert!((digamma(1.0) + 0.577_215_664_901_532_9).abs() < 1e-15);
        assert!((digamma(0.5) + 1.963_510_026_021_423_5).abs() < 1e-14);
        assert!((digamma(-0.5) - digamma(0.5) - 2.0).abs() < 1e-13);
        assert_eq!(digamma(0.0), f64::NEG_INFINITY);
    }

    #[test]
    fn zeta_values() {
        // zeta(2) = pi^2 / 6, zeta(4) = pi^4 / 90; psi'(1) = zeta(2), psi''(1) = -2 zeta(3).
        assert!((zeta(2.0, 1.0) - PI * PI / 6.0).abs() < 1e-14);
        assert!((zeta(4.0, 1.0) - PI.powi(4) / 90.0).abs() < 1e-14);
        assert!((trigamma(1.0) - PI * PI / 6.0).abs() < 1e-12);
        assert!((polygamma(2, 1.0) + 2.404_113_806_319_188_5).abs() < 1e-12);
        assert!((trigamma(0.25) - 17.197_329_154_507_11).abs() < 1e-10);
    }
}
