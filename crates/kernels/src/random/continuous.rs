//! Distributions that are a function of one uniform or normal number in double precision, and the gamma distribution.

use std::f64::consts::PI;

use super::engine::{Mt19937, unit_f64};
use super::integer::FromDraw;
use super::uniform::Real;

/// Fills `out` with exponential numbers of rate `lambda`: `exponential_`.
pub fn exponential<T: Real>(engine: &mut Mt19937, out: &mut [T], lambda: f64) {
    let scale = -1.0 / lambda;
    engine.fill_wide(out, |bits| T::from_f64(scale * (-unit_f64(bits)).ln_1p()));
}

/// Fills `out` with the number of throws up to the first success of probability `p`: `geometric_`.
pub fn geometric<T: FromDraw>(engine: &mut Mt19937, out: &mut [T], p: f64) {
    let log_failure = (-p).ln_1p();
    engine.fill_wide(out, |bits| T::from_value((unit_f64(bits).ln() / log_failure).ceil()));
}

/// Fills `out` with Cauchy numbers: `cauchy_`.
pub fn cauchy<T: Real>(engine: &mut Mt19937, out: &mut [T], median: f64, sigma: f64) {
    engine.fill_wide(out, |bits| T::from_f64(median + sigma * (PI * (unit_f64(bits) - 0.5)).tan()));
}

/// Fills `out` with numbers whose logarithm is normal: `log_normal_`.
pub fn log_normal<T: Real>(engine: &mut Mt19937, out: &mut [T], mean: f64, std: f64) {
    for value in out {
        *value = T::from_f64(engine.normal().mul_add(std, mean).exp());
    }
}

/// A gamma number of shape `alpha` and scale 1: `_standard_gamma` of an `f32` element, without its lower bound.
pub fn standard_gamma_f32(engine: &mut Mt19937, alpha: f32) -> f32 {
    if alpha == 0.0 {
        return 0.0;
    }
    let (scale, alpha) = match alpha < 1.0 {
        true => (boost(engine, f64::from(1.0 / alpha)), alpha + 1.0),
        false => (1.0, alpha),
    };
    marsaglia_tsang(engine, f64::from(alpha - 1.0 / 3.0), scale) as f32
}

/// A gamma number of shape `alpha` and scale 1: `_standard_gamma` of an `f64` element, without its lower bound.
pub fn standard_gamma_f64(engine: &mut Mt19937, alpha: f64) -> f64 {
    if alpha == 0.0 {
        return 0.0;
    }
    let (scale, alpha) = match alpha < 1.0 {
        true => (boost(engine, 1.0 / alpha), alpha + 1.0),
        false => (1.0, alpha),
    };
    // PyTorch writes the constant in single precision.
    marsaglia_tsang(engine, alpha - f64::from(1.0_f32 / 3.0), scale)
}

/// `u^(1 / alpha)`: a draw for `alpha + 1` times this is one for `alpha`, and is accepted more often.
fn boost(engine: &mut Mt19937, inverse_alpha: f64) -> f64 {
    (1.0 - engine.f64()).powf(inverse_alpha)
}

/// `scale d v` with `v` accepted as in Marsaglia and Tsang, "A simple method for generating gamma variables" (2000).
fn marsaglia_tsang(engine: &mut Mt19937, d: f64, scale: f64) -> f64 {
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let (x, y) = loop {
            let x = engine.normal();
            let y = 1.0 + c * x;
            if y > 0.0 || y.is_nan() {
                break (x, y);
            }
        };
        let v = y * y * y;
        let u = 1.0 - engine.f64();
        let xx = x * x;
        // PyTorch writes the constant in single precision.
        let squeezed = u < 1.0 - f64::from(0.0331_f32) * xx * xx;
        if squeezed || u.ln() < 0.5 * xx + d * (1.0 - v + v.ln()) {
            return scale * d * v;
        }
    }
}
