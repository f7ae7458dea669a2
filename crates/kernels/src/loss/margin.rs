//! How far the scores of some classes stay ahead of those of others: one or several right classes a row.

use crate::math::Real;
use crate::parts::each_row;

/// Elements that are worth a task.
const GRAIN: usize = 1 << 12;

/// One right class a row: `sum_j max(0, margin - x[t] + x[j])^p w[t] / classes` over the other classes `j`.
#[derive(Clone, Copy, Debug)]
pub struct MultiMargin<'a, T> {
    /// Number of classes, not 0.
    pub classes: usize,
    /// The right class of each row, all below `classes`.
    pub target: &'a [i64],
    /// A weight for each class, or none.
    pub weight: &'a [T],
    /// Whether the excess is squared.
    pub squared: bool,
    /// The distance that costs nothing.
    pub margin: T,
}

impl<T: Real> MultiMargin<'_, T> {
    fn factor(&self, t: usize) -> T {
        self.weight.get(t).copied().unwrap_or(T::ONE) / T::real(self.classes as f64)
    }

    /// The loss of every row.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn losses(&self, x: &[T], out: &mut [T]) {
        each_row(out, 1, (GRAIN / self.classes).max(1), |i, out| {
            let (x, t) = (&x[i * self.classes..(i + 1) * self.classes], self.target[i] as usize);
            let mut sum = T::ZERO;
            for (_, x_j) in x.iter().enumerate().filter(|(j, _)| *j != t) {
                let z = self.margin - x[t] + *x_j;
                if z > T::ZERO {
                    sum = sum + if self.squared { z * z } else { z };
                }
            }
            out[0] = sum * self.factor(t);
        });
    }

    /// Gradient of the losses, whose gradients are `g(row)`.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn backward(&self, g: impl Fn(usize) -> T + Sync, x: &[T], gx: &mut [T]) {
        each_row(gx, self.classes, GRAIN, |i, gx| {
            let (x, t) = (&x[i * self.classes..(i + 1) * self.classes], self.target[i] as usize);
            let (unit, mut sum) = (self.factor(t) * g(i), T::ZERO);
            for (j, gx) in gx.iter_mut().enumerate() {
                let z = self.margin - x[t] + x[j];
                let slope = if self.squared { z + z } else { T::ONE };
                *gx = if z > T::ZERO && j != t { slope * unit } else { T::ZERO };
                sum = sum + *gx;
            }
            gx[t] = -sum;
        });
    }
}

/// Several right classes a row: `sum_(t, j) max(0, 1 - x[t] + x[j]) / classes` over right classes `t` and wrong ones `j`.
#[derive(Clone, Copy, Debug)]
pub struct MultiLabel<'a> {
    /// Number of classes, not 0.
    pub classes: usize,
    /// The right classes of each row, up to the first -1; all below `classes`.
    pub target: &'a [i64],
}

impl MultiLabel<'_> {
    /// Whether each target is -1 or a class.
    pub fn is_valid(&self) -> bool {
        self.target.iter().all(|t| (-1..self.classes as i64).contains(t))
    }

    fn right(&self, row: usize) -> impl Iterator<Item = usize> {
        let row = &self.target[row * self.classes..(row + 1) * self.classes];
        row.iter().take_while(|t| **t >= 0).map(|t| *t as usize)
    }

    /// 1 for right classes, 0 for others.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn mark<T: Real>(&self, is_target: &mut [T]) {
        each_row(is_target, self.classes, GRAIN, |i, row| {
            row.fill(T::ZERO);
            self.right(i).for_each(|t| row[t] = T::ONE);
        });
    }

    /// The loss of every row; `is_target` is what [`MultiLabel::mark`] makes.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn losses<T: Real>(&self, x: &[T], is_target: &[T], out: &mut [T]) {
        each_row(out, 1, (GRAIN / self.classes).max(1), |i, out| {
            let row = i * self.classes..(i + 1) * self.classes;
            let (x, is_target) = (&x[row.clone()], &is_target[row]);
            let mut sum = T::ZERO;
            for t in self.right(i) {
                for (x_j, _) in x.iter().zip(is_target).filter(|(_, right)| **right == T::ZERO) {
                    let z = T::ONE - x[t] + *x_j;
                    sum = sum + if z > T::ZERO { z } else { T::ZERO };
                }
            }
            out[0] = sum / T::real(self.classes as f64);
        });
    }

    /// Gradient of the losses, whose gradients are `g(row)`.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn backward<T: Real>(&self, g: impl Fn(usize) -> T + Sync, x: &[T], is_target: &[T], gx: &mut [T]) {
        each_row(gx, self.classes, GRAIN, |i, gx| {
            let row = i * self.classes..(i + 1) * self.classes;
            let (x, is_target) = (&x[row.clone()], &is_target[row]);
            let unit = g(i) / T::real(self.classes as f64);
            gx.fill(T::ZERO);
            for t in self.right(i) {
                for j in (0..self.classes).filter(|j| is_target[*j] == T::ZERO) {
                    if T::ONE - x[t] + x[j] > T::ZERO {
                        gx[t] = gx[t] - unit;
                        gx[j] = gx[j] + unit;
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_of_one_row() {
        let x = [0.1_f64, 0.2, 0.4, 0.8];
        let one = MultiMargin { classes: 4, target: &[3], weight: &[], squared: false, margin: 1.0 };
        let mut out = [0.0];
        one.losses(&x, &mut out);
        assert!((out[0] - (0.3 + 0.4 + 0.6) / 4.0).abs() < 1e-12);
        let mut gx = [9.0; 4];
        one.backward(|_| 4.0, &x, &mut gx);
        assert_eq!(gx, [1.0, 1.0, 1.0, -3.0]);
        let several = MultiLabel { classes: 4, target: &[3, 0, -1, 1] };
        let mut mark = [9.0; 4];
        several.mark(&mut mark);
        assert_eq!(mark, [1.0, 0.0, 0.0, 1.0]);
        several.losses(&x, &mark, &mut out);
        assert!((out[0] - (0.4 + 0.6 + 1.1 + 1.3) / 4.0).abs() < 1e-12);
    }
}
