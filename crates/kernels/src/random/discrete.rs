//! Poisson and binomial numbers.

use super::engine::Mt19937;

/// A Poisson number of rate `rate`, which must not be negative or NaN: `torch.poisson`.
///
/// From rate 10 on by transformed rejection (Hörmann, 1993), below by products of uniforms.
pub fn poisson(engine: &mut Mt19937, rate: f64) -> i64 {
    if rate >= 10.0 {
        return poisson_by_rejection(engine, rate);
    }
    if rate == 0.0 {
        return 0;
    }
    let limit = (-rate).exp();
    let (mut count, mut product) = (0, 1.0);
    loop {
        product *= engine.f64();
        if product <= limit {
            return count;
        }
        count += 1;
    }
}

fn poisson_by_rejection(engine: &mut Mt19937, rate: f64) -> i64 {
    let log_rate = rate.ln();
    let b = 0.931 + 2.53 * rate.sqrt();
    let a = -0.059 + 0.02483 * b;
    let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    let v_r = 0.9277 - 3.6224 / (b - 2.0);
    loop {
        let u = engine.f64() - 0.5;
        let v = engine.f64();
        let us = 0.5 - u.abs();
        let k = ((2.0 * a / us + b) * u + rate + 0.43).floor();
        if us >= 0.07 && v <= v_r {
            return k as i64;
        }
        if k < 0.0 || (us < 0.013 && v > us) {
            continue;
        }
        let accepted = v.ln() + inverse_alpha.ln() - (a / (us * us) + b).ln();
        if accepted <= -rate + k * log_rate - ln_factorial(k) {
            return k as i64;
        }
    }
}

/// `ln(k!)` for a whole `k`: the product while it is exact enough, else Stirling's series.
fn ln_factorial(k: f64) -> f64 {
    if k < 32.0 {
        return (2..=k as u32).fold(1.0, |product, i| product * f64::from(i)).ln();
    }
    let x = k + 1.0;
    let x2 = x * x;
    let series = (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / (1680.0 * x2)) / x2) / x2) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}

/// What `ln(k!)` exceeds Stirling's approximation by.
fn stirling_tail(k: f64) -> f64 {
    const TAIL: [f64; 10] = [
        0.0810614667953272,
        0.0413406959554092,
        0.0276779256849983,
        0.02079067210376509,
        0.0166446911898211,
        0.0138761288230707,
        0.0118967099458917,
        0.0104112652619720,
        0.00925546218271273,
        0.00833056343336287,
    ];
    if (0.0..10.0).contains(&k) {
        return TAIL[k as usize];
    }
    let square = (k + 1.0) * (k + 1.0);
    (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1260.0 / square) / square) / (k + 1.0)
}

/// Binomial sampling for one element type: PyTorch rounds the intermediate values to it.
macro_rules! binomial {
    ($ty:ident, $name:ident, $inversion:ident, $rejection:ident) => {
        /// The number of successes in `count` throws of probability `prob`, for elements of this type:
        /// `torch.binomial`.
        pub fn $name(engine: &mut Mt19937, count: $ty, prob: $ty) -> $ty {
            if !count.is_finite() || prob.is_nan() {
                $ty::NAN
            } else if count <= 0.0 || prob <= 0.0 {
                0.0
            } else if prob >= 1.0 {
                count
            } else if prob <= 0.5 {
                if count * prob >= 10.0 {
                    $rejection(engine, count, prob)
                } else {
                    $inversion(engine, count, prob)
                }
            } else if prob > 0.5 {
                let failure = (1.0 - f64::from(prob)) as $ty;
                count
                    - if count * failure >= 10.0 {
                        $rejection(engine, count, failure)
                    } else {
                        $inversion(engine, count, failure)
                    }
            } else {
                $ty::NAN
            }
        }

        /// Counts geometric waiting times until they exceed `count`.
        fn $inversion(engine: &mut Mt19937, count: $ty, prob: $ty) -> $ty {
            let log_failure = f64::from((-prob).ln_1p());
            let (mut waited, mut successes) = (0.0, 0.0);
            loop {
                waited += (engine.f64().ln() / log_failure).ceil();
                if waited.is_nan() || waited > f64::from(count) {
                    return successes;
                }
                successes += 1.0;
            }
        }

        /// Transformed rejection, algorithm BTRS of Hörmann, "The generation of binomial random variates" (1993).
        fn $rejection(engine: &mut Mt19937, count: $ty, prob: $ty) -> $ty {
            let std = f64::from((count * prob * (1.0 - prob)).sqrt());
            let b = 1.15 + 2.53 * std;
            let a = -0.0873 + 0.0248 * b + 0.01 * f64::from(prob);
            let c = f64::from(count * prob) + 0.5;
            let v_r = 0.92 - 4.2 / b;
            let r = f64::from(prob / (1.0 - prob));
            let alpha = (2.83 + 5.1 / b) * std;
            let mode = f64::from(((count + 1.0) * prob).floor());
            let n = f64::from(count);
            loop {
                let u = engine.f64() - 0.5;
                let v = engine.f64();
                let us = 0.5 - u.abs();
                let drawn = ((2.0 * a / us + b) * u + c).floor() as $ty;
                if drawn < 0.0 || drawn > count {
                    continue;
                }
                if us >= 0.07 && v <= v_r {
                    return drawn;
                }
                let k = f64::from(drawn);
                let bound = (mode + 0.5) * ((mode + 1.0) / (r * (n - mode + 1.0))).ln()
                    + (n + 1.0) * ((n - mode + 1.0) / (n - k + 1.0)).ln()
                    + (k + 0.5) * (r * (n - k + 1.0) / (k + 1.0)).ln()
                    + stirling_tail(mode)
                    + stirling_tail(n - mode)
                    - stirling_tail(k)
                    - stirling_tail(n - k);
                if (v * alpha / (a / (us * us) + b)).ln() <= bound {
                    return drawn;
                }
            }
        }
    };
}

binomial!(f32, binomial_f32, inversion_f32, rejection_f32);
binomial!(f64, binomial_f64, inversion_f64, rejection_f64);
