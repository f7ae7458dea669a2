//! Mean and sum of squared deviations, by blocks: two passes over each block, then Chan's formula for the union of two.

use super::drive::{Fold, Rows};
use super::lanes::Real;
use crate::lanes::join32;
use crate::multiversion;

/// Count, mean and sum of squared deviations of some elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moments {
    pub n: f64,
    pub mean: f64,
    pub m2: f64,
}

/// The [`Fold`] to [`Moments`], for `f32` and `f64` elements; sums are kept in `f64`, as PyTorch's are.
#[derive(Clone, Copy)]
pub(super) struct Deviations<T>(pub T);

/// A real type that widens to `f64`.
pub(super) trait Wide: Real {
    fn wide(self) -> f64;
}

impl Wide for f32 {
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Wide for f64 {
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
}

const LANES: usize = 32;

multiversion! {
    /// Sum of `(x - mean)^power` over `x`, power 1 or 2.
    fn deviations<T: Wide>(x: &[T], mean: f64, square: bool) -> f64 {
        let mut acc = [0.0_f64; LANES];
        let (chunks, rest) = x.as_chunks::<LANES>();
        if square {
            for chunk in chunks {
                for i in 0..LANES {
                    let d = chunk[i].wide() - mean;
                    acc[i] += d * d;
                }
            }
        } else {
            for chunk in chunks {
                for i in 0..LANES {
                    acc[i] += chunk[i].wide();
                }
            }
        }
        for (acc, x) in acc.iter_mut().zip(rest) {
            let d = x.wide() - mean;
            *acc += if square { d * d } else { d };
        }
        join32(acc, |a, b| a + b)
    }

    fn add_row<T: Wide>(x: &[T], sum: &mut [f64]) {
        sum.iter_mut().zip(x).for_each(|(s, x)| *s += x.wide());
    }

    fn add_squares<T: Wide>(x: &[T], mean: &[f64], sum: &mut [f64]) {
        for ((s, x), mean) in sum.iter_mut().zip(x).zip(mean) {
            let d = x.wide() - mean;
            *s += d * d;
        }
    }
}

impl<T: Wide> Fold for Deviations<T> {
    type C = T;
    type Acc = Moments;

    fn empty(&self) -> Moments {
        Moments { n: 0.0, mean: 0.0, m2: 0.0 }
    }

    fn block(&self, x: &[T], _base: usize) -> Moments {
        let n = x.len() as f64;
        let mean = deviations(x, 0.0, false) / n;
        Moments { n, mean, m2: deviations(x, mean, true) }
    }

    fn columns(&self, rows: &mut Rows<'_, T>, _base: usize, acc: &mut [Moments]) {
        let n = rows.len() as f64;
        let (mut mean, mut m2) = (vec![0.0; acc.len()], vec![0.0; acc.len()]);
        (0..rows.len()).for_each(|k| add_row(rows.row(k), &mut mean));
        mean.iter_mut().for_each(|m| *m /= n);
        (0..rows.len()).for_each(|k| add_squares(rows.row(k), &mean, &mut m2));
        for (i, acc) in acc.iter_mut().enumerate() {
            *acc = Moments { n, mean: mean[i], m2: m2[i] };
        }
    }

    fn merge(&self, a: Moments, b: Moments) -> Moments {
        let n = a.n + b.n;
        if a.n == 0.0 || b.n == 0.0 {
            return if a.n == 0.0 { b } else { a };
        }
        let delta = b.mean - a.mean;
        let mean = if delta == 0.0 { a.mean } else { a.mean + delta * (b.n / n) };
        Moments { n, mean, m2: a.m2 + b.m2 + delta * delta * (a.n * b.n / n) }
    }
}
