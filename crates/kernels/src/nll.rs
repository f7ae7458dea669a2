//! Negative log likelihood: picks one class of each row, forward and backward.

use crate::math::Real;
use crate::parallel::for_ranges;
use crate::parts::{Parts, each_row};

/// Rows that are worth a thread.
const GRAIN: usize = 1 << 12;

/// A batch `[N, C, S]` of scores with targets `[N, S]`.
#[derive(Clone, Copy, Debug)]
pub struct Nll<'a, T> {
    /// Number of classes.
    pub classes: usize,
    /// Targets of one sample.
    pub inner: usize,
    /// A class for each target.
    pub target: &'a [i64],
    /// A weight for each class, or none.
    pub weight: &'a [T],
    /// The target that counts for nothing.
    pub ignore: i64,
}

impl<T: Real> Nll<'_, T> {
    /// The first target that is neither a class nor ignored.
    pub fn bad_target(&self) -> Option<i64> {
        let bad = |t: &&i64| **t != self.ignore && !(0..self.classes as i64).contains(*t);
        self.target.iter().find(bad).copied()
    }

    /// Position of the score that target `i` picks, and its weight; none if it is ignored.
    fn pick(&self, i: usize) -> Option<(usize, T)> {
        let t = self.target[i];
        if t == self.ignore {
            return None;
        }
        let at = (i / self.inner * self.classes + t as usize) * self.inner + i % self.inner;
        Some((at, self.weight.get(t as usize).copied().unwrap_or(T::ONE)))
    }

    /// The loss of every target. There must be no [`Nll::bad_target`].
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn losses(&self, x: &[T], out: &mut [T]) {
        let out = Parts::new(out);
        for_ranges(self.target.len(), GRAIN, |range| {
            // SAFETY: each range is one task's.
            let part = unsafe { out.part(range.clone()) };
            for (out, i) in part.iter_mut().zip(range) {
                *out = self.pick(i).map_or(T::ZERO, |(at, w)| -w * x[at]);
            }
        });
    }

    /// The sum of all losses and that of their weights. There must be no [`Nll::bad_target`].
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn total(&self, x: &[T]) -> (f64, f64) {
        let mut parts = vec![(0.0, 0.0); self.target.len().div_ceil(GRAIN)];
        each_row(&mut parts, 1, 1, |p, part| {
            for i in p * GRAIN..((p + 1) * GRAIN).min(self.target.len()) {
                if let Some((at, w)) = self.pick(i) {
                    part[0] = (part[0].0 - w.wide() * x[at].wide(), part[0].1 + w.wide());
                }
            }
        });
        parts.into_iter().fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1))
    }

    /// Gradient of the losses: each `g(i)` goes to the score that target `i` picks; all else is 0.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn backward(&self, g: impl Fn(usize) -> T + Sync, gx: &mut [T]) {
        each_row(gx, self.classes * self.inner, GRAIN, |n, gx| {
            gx.fill(T::ZERO);
            for i in n * self.inner..(n + 1) * self.inner {
                if let Some((at, w)) = self.pick(i) {
                    gx[at - n * self.classes * self.inner] = -w * g(i);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_weighs_and_ignores() {
        let x = [0.1_f64, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2];
        let nll =
            Nll { classes: 3, inner: 2, target: &[0, 2, -100, 1], weight: &[1.0, 2.0, 3.0], ignore: -100 };
        let mut out = [0.0; 4];
        nll.losses(&x, &mut out);
        assert_eq!(out, [-0.1, -3.0 * 0.6, 0.0, -2.0 * 1.0]);
        assert!((nll.total(&x).0 - out.iter().sum::<f64>()).abs() < 1e-12 && nll.total(&x).1 == 6.0);
        let mut gx = [9.0; 12];
        nll.backward(|i| i as f64, &mut gx);
        assert_eq!(gx, [0.0, 0.0, 0.0, 0.0, 0.0, -3.0, 0.0, 0.0, 0.0, -6.0, 0.0, 0.0]);
        assert_eq!(Nll { target: &[0, 3], ..nll }.bad_target(), Some(3));
    }
}
