//! How a Dirichlet number moves with its shape: the reparameterised gradient.
//!
//! For a number `x` of the Beta distribution with shapes `alpha` and `beta` it is
//! `-(d/d alpha cdf(x)) / pdf(x) / (1 - x)`, approximated in four regions as PyTorch does (`dirichlet_grad_one` in ATen's
//! `Distributions.h`, whose coefficients these are).

use crate::math::special::digamma;

/// The scaled derivative of the number `x` by its shape `alpha`, where the shapes add up to `total`.
pub fn dirichlet_gradient(x: f64, alpha: f64, total: f64) -> f64 {
    let beta = total - alpha;
    let boundary = total * x * (1.0 - x);
    if x <= 0.5 && boundary < 2.5 {
        by_first_shape(x, alpha, beta)
    } else if x >= 0.5 && boundary < 0.75 {
        -by_second_shape(1.0 - x, beta, alpha)
    } else if alpha > 6.0 && beta > 6.0 {
        large_shapes(x, alpha, beta)
    } else {
        rational(x, alpha, total)
    }
}

/// By the Taylor series around 0, for the first shape.
fn by_first_shape(x: f64, alpha: f64, beta: f64) -> f64 {
    let factor = digamma(alpha) - digamma(alpha + beta) - x.ln();
    let mut numerator = 1.0;
    let mut series = (factor + 1.0 / alpha) / alpha;
    for i in 1..=10 {
        let i = f64::from(i);
        numerator *= (i - beta) * x / i;
        series += numerator / (alpha + i) * (factor + 1.0 / (alpha + i));
    }
    let result = x * (1.0 - x).powf(-beta) * series;
    if result.is_nan() { 0.0 } else { result }
}

/// By the Taylor series around 0, for the second shape.
fn by_second_shape(x: f64, alpha: f64, beta: f64) -> f64 {
    let factor = digamma(alpha + beta) - digamma(beta);
    let (mut numerator, mut product, mut derivative) = (1.0, 1.0, 0.0);
    let mut series = factor / alpha;
    for i in 1..=8 {
        let i = f64::from(i);
        numerator *= -x / i;
        derivative = derivative * (beta - i) + product;
        product *= beta - i;
        series += numerator / (alpha + i) * (derivative + factor * product);
    }
    let result = -(1.0 - x).powf(1.0 - beta) * series;
    if result.is_nan() { 0.0 } else { result }
}

/// By Rice's saddle point expansion; near the mean, where that cancels, by its limit.
fn large_shapes(x: f64, alpha: f64, beta: f64) -> f64 {
    let total = alpha + beta;
    let mean = alpha / total;
    let deviation = (alpha * beta / (total + 1.0)).sqrt() / total;
    if (x - mean).abs() <= 0.1 * deviation {
        return near_mean(x, alpha, beta);
    }
    let correction = |s: f64| 1.0 + 1.0 / (12.0 * s) + 1.0 / (288.0 * s * s);
    let stirling = correction(alpha) * correction(beta) / correction(total);
    let prefactor = -x / (2.0 * alpha * beta / total).sqrt();
    let distance = beta * x + alpha * (x - 1.0);
    let first = (2.0 * alpha * alpha * (x - 1.0) + alpha * beta * (x - 1.0) - x * beta * beta)
        / ((2.0 * alpha / beta).sqrt() * total.powf(1.5) * distance * distance);
    let log = (alpha / (total * x)).ln();
    let near = (8.0 * alpha * beta / total).sqrt() / distance;
    let far = (beta * (beta / (total * (1.0 - x))).ln() + alpha * log).powf(-1.5);
    stirling * prefactor * (first + 0.5 * log * (near + if x < mean { far } else { -far }))
}

fn near_mean(x: f64, alpha: f64, beta: f64) -> f64 {
    let total = alpha + beta;
    let square = beta * beta;
    let poly = 47.0 * x * square * square
        + alpha
            * ((43.0 + 20.0 * (16.0 + 27.0 * beta) * x) * square * beta
                + alpha
                    * (3.0 * (59.0 + 180.0 * beta - 90.0 * x) * square
                        + alpha
                            * ((453.0 + 1620.0 * beta * (1.0 - x) - 455.0 * x) * beta
                                + alpha * (8.0 * (1.0 - x) * (135.0 * beta - 11.0)))));
    let numerator = (1.0 + 12.0 * alpha) * (1.0 + 12.0 * beta) / (total * total);
    let denominator = 12_960.0 * alpha.powi(3) * square * (1.0 + 12.0 * total);
    numerator / (1.0 - x) * poly / denominator
}

/// Numerator and denominator of the correction: powers of `u`, of `a`, then of `b`.
const CORRECTION: [[[[f64; 4]; 3]; 3]; 2] = [
    [
        [
            [1.003668233, -0.01061107488, -0.0657888334, 0.01201642863],
            [0.6336835991, -0.3557432599, 0.05486251648, -0.001465281033],
            [-0.03276231906, 0.004474107445, 0.002429354597, -0.0001557569013],
        ],
        [
            [0.221950385, -0.3187676331, 0.01799915743, 0.01074823814],
            [-0.2951249643, 0.06219954479, 0.01535556598, 0.001550077057],
            [0.02155310298, 0.004170831599, 0.001292462449, 6.976601077e-05],
        ],
        [
            [-0.05980841433, 0.008441916499, 0.01085618172, 0.002319392565],
            [0.02911413504, 0.01400243777, -0.002721828457, 0.000751041181],
            [0.005900514878, -0.001936558688, -9.495446725e-06, 5.385558597e-05],
        ],
    ],
    [
        [
            [1.0, -0.02924021934, -0.04438342661, 0.007285809825],
            [0.6357567472, -0.3473456711, 0.05454656494, -0.002407477521],
            [-0.03301322327, 0.004845219414, 0.00231480583, -0.0002307248149],
        ],
        [
            [0.5925320577, -0.1757678135, 0.01505928619, 0.000564515273],
            [0.1014815858, -0.06589186703, 0.01272886114, -0.0007316646956],
            [-0.007258481865, 0.001096195486, 0.0003934994223, -4.12701925e-05],
        ],
        [
            [0.06469649321, -0.0236701437, 0.002902096474, -5.896963079e-05],
            [0.001925008108, -0.002869809258, 0.0008000589141, -6.063713228e-05],
            [-0.0003477407336, 6.959756487e-05, 1.097287507e-05, -1.650964693e-06],
        ],
    ],
];

/// An analytic approximation times a rational function of logarithms.
fn rational(x: f64, alpha: f64, total: f64) -> f64 {
    let u = x.ln();
    let a = alpha.ln() - u;
    let b = total.ln() - a;
    let value = |c: &[f64; 4]| c.iter().rev().fold(0.0, |sum, c| sum * b + c);
    let [p, q] = CORRECTION.map(|table| {
        let row = |row: &[[f64; 4]; 3]| row.iter().rev().fold(0.0, |sum, c| sum * a + value(c));
        table.iter().rev().fold(0.0, |sum, c| sum * u + row(c))
    });
    p / q * x * (digamma(total) - digamma(alpha)) / (total - alpha)
}
