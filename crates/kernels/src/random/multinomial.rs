//! Drawing indices by weight with replacement.
//!
//! Without replacement (or for a single index) PyTorch divides the weights by exponential numbers and takes the
//! largest: that is written over tensors.

use std::ops::{AddAssign, DivAssign};

use super::engine::Mt19937;
use super::uniform::Real;

/// Writes the normalised running sums of `weights` to `sums`.
///
/// # Errors
/// PyTorch's text if a weight is negative, infinite or NaN, or if all are 0.
pub fn cumulative_from_weights<T>(weights: &[T], sums: &mut [T]) -> Result<(), &'static str>
where
    T: Real + AddAssign + DivAssign,
{
    let mut sum = T::from_f32(0.0);
    for (weight, place) in weights.iter().zip(&mut *sums) {
        let value = weight.to_f64();
        if value < 0.0 || value.is_nan() {
            return Err("invalid multinomial distribution (encountering probability entry < 0)");
        }
        if value.is_infinite() {
            return Err(
                "invalid multinomial distribution (encountering probability entry = infinity or NaN)",
            );
        }
        sum += *weight;
        *place = sum;
    }
    if sum.to_f64() <= 0.0 {
        return Err("invalid multinomial distribution (sum of probabilities <= 0)");
    }
    for place in &mut *sums {
        *place /= sum;
    }
    if let Some(last) = sums.last_mut() {
        *last = T::from_f32(1.0);
    }
    Ok(())
}

/// Fills `out` with indices into `sums` (of [`cumulative_from_weights`]): each is the first whose sum is not below a
/// uniform number.
pub fn sample_cumulative<T: Real>(engine: &mut Mt19937, sums: &[T], out: &mut [i64]) {
    for index in out {
        let u = engine.f64();
        *index = sums.partition_point(|sum| sum.to_f64() < u) as i64;
    }
}
