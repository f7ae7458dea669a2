//! How a gamma number moves with its shape: the reparameterised gradient.
//!
//! It is `-(d/d alpha cdf(x; alpha)) / pdf(x; alpha)` at a number `x` drawn for shape `alpha`, approximated in three
//! regions as PyTorch does (`standard_gamma_grad_one` in ATen's `Distributions.h`, whose coefficients these are).

use crate::math::special::digamma;

/// The derivative of the gamma number `x` by its shape `alpha`.
pub fn standard_gamma_gradient(alpha: f64, x: f64) -> f64 {
    if x < f64::from(0.8_f32) {
        small_number(alpha, x)
    } else if alpha > 8.0 {
        large_shape(alpha, x)
    } else {
        rational(alpha, x)
    }
}

/// By the Taylor series of the distribution function around 0.
fn small_number(alpha: f64, x: f64) -> f64 {
    let (mut numerator, mut denominator) = (1.0, alpha);
    let mut series = numerator / denominator;
    let mut derivative = numerator / (denominator * denominator);
    for i in 1..=5 {
        numerator *= -x / f64::from(i);
        denominator += 1.0;
        series += numerator / denominator;
        derivative += numerator / (denominator * denominator);
    }
    let power = x.powf(alpha);
    let density = x.powf(alpha - 1.0) * (-x).exp();
    let slope = (x.ln() - digamma(alpha)) * power * series - power * derivative;
    let result = -slope / density;
    if result.is_nan() { 0.0 } else { result }
}

/// By Rice's saddle point expansion; near `x = alpha`, where that cancels, by its limit.
fn large_shape(alpha: f64, x: f64) -> f64 {
    if (f64::from(0.9_f32) * alpha..=f64::from(1.1_f32) * alpha).contains(&x) {
        let first = 1.0 + 24.0 * alpha * (1.0 + 12.0 * alpha);
        let second = 1440.0 * alpha * alpha + 6.0 * x * (53.0 - 120.0 * x) - 65.0 * x * x / alpha
            + alpha * (107.0 + 3600.0 * x);
        return first * second / (1_244_160.0 * alpha.powi(4));
    }
    let scale = (8.0 * alpha).sqrt();
    let near = scale / (alpha - x);
    let far = (x - alpha - alpha * (x / alpha).ln()).powf(-1.5);
    let both = if x < alpha { near - far } else { near + far };
    let difference = alpha - x;
    let term = (x / alpha).ln() * both - (2.0 / alpha).sqrt() * (alpha + x) / (difference * difference);
    let stirling = 1.0 + 1.0 / (12.0 * alpha) * (1.0 + 1.0 / (24.0 * alpha));
    -stirling * x * term / scale
}

/// By a rational function of `ln(x / alpha)` and `ln(alpha)`.
fn rational(alpha: f64, x: f64) -> f64 {
    const COEFFICIENTS: [[f64; 8]; 3] = [
        [0.16009398, -0.094634809, 0.025146376, -0.0030648343, 1.0, 0.32668115, 0.10406089, 0.0014179084],
        [
            0.53487893,
            0.1298071,
            0.065735949,
            -0.0015649758,
            0.16639465,
            0.020070113,
            -0.0035938915,
            -0.00058392623,
        ],
        [
            0.040121004,
            -0.0065914022,
            -0.0026286047,
            -0.0013441777,
            0.017050642,
            -0.0021309326,
            0.00085092367,
            -1.5247877e-07,
        ],
    ];
    let (u, v) = ((x / alpha).ln(), alpha.ln());
    let at = |i: usize| COEFFICIENTS[0][i] + u * (COEFFICIENTS[1][i] + u * COEFFICIENTS[2][i]);
    let polynomial = |i: usize| at(i) + v * (at(i + 1) + v * (at(i + 2) + v * at(i + 3)));
    (polynomial(0) / polynomial(4)).exp()
}
