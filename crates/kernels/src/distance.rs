//! Distances between the rows of matrices in some p-norm, and their gradients.

use crate::math::Real;
use crate::multiversion;
use crate::parts::{Parts, each_row};

/// Additions that are worth a thread.
const GRAIN: usize = 16_384;

/// Partial sums of one distance, so that the additions do not wait for each other.
const LANES: usize = 16;

/// Which norm of the difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// The number of places that differ.
    Zero,
    /// The sum of absolute values.
    One,
    /// The Euclidean norm.
    Two,
    /// The largest absolute value.
    Infinity,
    /// The norm with any other exponent.
    General(f64),
}

impl Metric {
    /// The metric of exponent `p`, which is not negative.
    pub fn new(p: f64) -> Metric {
        match p {
            0.0 => Metric::Zero,
            1.0 => Metric::One,
            2.0 => Metric::Two,
            f64::INFINITY => Metric::Infinity,
            p => Metric::General(p),
        }
    }
}

multiversion! {
    /// The sum over all places of what the metric sums (or the largest).
    fn accumulated<T: Real>(metric: Metric, x: &[T], y: &[T]) -> T {
        macro_rules! lanes {
            (|$sum:ident, $d:ident| $e:expr) => {{
                let mut sums = [T::ZERO; LANES];
                let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
                let rest = (xs.remainder(), ys.remainder());
                for (x, y) in xs.zip(ys).chain([rest]) {
                    for ((s, x), y) in sums.iter_mut().zip(x).zip(y) {
                        let ($sum, $d) = (*s, (*x - *y).abs());
                        *s = $e;
                    }
                }
                sums
            }};
        }
        let sums = match metric {
            Metric::Zero => lanes!(|s, d| s + if d == T::ZERO { T::ZERO } else { T::ONE }),
            Metric::One => lanes!(|s, d| s + d),
            Metric::Two => lanes!(|s, d| d.mul_add(d, s)),
            Metric::General(p) => lanes!(|s, d| s + d.pow(T::real(p))),
            Metric::Infinity => {
                return lanes!(|s, d| s.max_nan(d)).into_iter().fold(T::ZERO, |s, d| s.max_nan(d));
            }
        };
        sums.into_iter().fold(T::ZERO, |s, d| s + d)
    }

    /// Adds the gradient of the distance `dist` between `x` and `y` by `x`, times `g`, to `sum`.
    fn add_gradient<T: Real>(metric: Metric, x: &[T], y: &[T], g: T, dist: T, sum: &mut [T]) {
        macro_rules! each {
            (|$d:ident| $e:expr) => {
                for ((s, x), y) in sum.iter_mut().zip(x).zip(y) {
                    let $d = *x - *y;
                    *s = *s + $e;
                }
            };
        }
        match metric {
            Metric::Zero => {}
            Metric::One => each!(|d| g * sign(d)),
            Metric::Two if dist == T::ZERO => {}
            Metric::Two => {
                let g = g / dist;
                each!(|d| g * d)
            }
            Metric::Infinity => each!(|d| if d.abs() == dist { g * sign(d) } else { T::ZERO }),
            Metric::General(_) if dist == T::ZERO => {}
            Metric::General(p) => {
                let g = g / dist.pow(T::real(p - 1.0));
                each!(|d| if d == T::ZERO { T::ZERO } else { g * sign(d) * d.abs().pow(T::real(p - 1.0)) })
            }
        }
    }
}

#[inline(always)]
fn sign<T: Real>(d: T) -> T {
    let positive = if d > T::ZERO { T::ONE } else { T::ZERO };
    if d < T::ZERO { -T::ONE } else { positive }
}

fn distance<T: Real>(metric: Metric, x: &[T], y: &[T]) -> T {
    let sum = accumulated(metric, x, y);
    match metric {
        Metric::Two => sum.sqrt(),
        Metric::General(p) => sum.pow(T::real(1.0 / p)),
        _ => sum,
    }
}

/// The rows of `width` elements of two stacks of matrices, and how many rows each matrix has.
#[derive(Clone, Copy)]
pub struct Pairs<'a, T> {
    /// Rows of the first stack.
    pub x: &'a [T],
    /// Rows of the second stack.
    pub y: &'a [T],
    /// Rows in each matrix of the first and of the second stack.
    pub rows: (usize, usize),
    /// Elements of a row.
    pub width: usize,
}

impl<T: Real> Pairs<'_, T> {
    fn row_x(&self, i: usize) -> &[T] {
        &self.x[i * self.width..][..self.width]
    }

    /// Row `j` of the matrix of the second stack that belongs to row `i` of the first.
    fn row_y(&self, i: usize, j: usize) -> &[T] {
        &self.y[(i / self.rows.0 * self.rows.1 + j) * self.width..][..self.width]
    }
}

/// Distances between all rows of each matrix of the first stack and all of its partner in the second: one row of `out` for
/// each row of the first stack.
pub fn between<T: Real>(metric: Metric, pairs: Pairs<T>, out: &mut [T]) {
    let grain = GRAIN / pairs.width.max(1);
    each_row(out, pairs.rows.1, grain, |i, row| {
        for (j, d) in row.iter_mut().enumerate() {
            *d = distance(metric, pairs.row_x(i), pairs.row_y(i, j));
        }
    });
}

/// The gradient of [`between`] by the first stack: `grad` and `dist` are laid out as its result.
pub fn between_gradient<T: Real>(metric: Metric, pairs: Pairs<T>, grad: &[T], dist: &[T], out: &mut [T]) {
    let m = pairs.rows.1;
    each_row(out, pairs.width, GRAIN / m.max(1), |i, sum| {
        sum.fill(T::ZERO);
        for j in 0..m {
            let at = i * m + j;
            add_gradient(metric, pairs.row_x(i), pairs.row_y(i, j), grad[at], dist[at], sum);
        }
    });
}

/// Distances between all pairs of the `n` rows of `x`, `(0, 1), (0, 2), …, (1, 2), …`.
pub fn within<T: Real>(metric: Metric, x: &[T], n: usize, width: usize, out: &mut [T]) {
    let row = |i: usize| &x[i * width..][..width];
    let parts = Parts::new(out);
    crate::parallel::for_tasks(n.saturating_sub(1), |i| {
        let start = pair(n, i, i + 1);
        // SAFETY: the pairs that start with `i` are one task's.
        let out = unsafe { parts.part(start..start + n - 1 - i) };
        for (k, d) in out.iter_mut().enumerate() {
            *d = distance(metric, row(i), row(i + 1 + k));
        }
    });
}

/// The gradient of [`within`].
pub fn within_gradient<T: Real>(metric: Metric, x: &[T], n: usize, grad: &[T], dist: &[T], out: &mut [T]) {
    let width = out.len() / n.max(1);
    let row = |i: usize| &x[i * width..][..width];
    each_row(out, width, GRAIN / n.max(1), |i, sum| {
        sum.fill(T::ZERO);
        for j in (0..n).filter(|j| *j != i) {
            let at = pair(n, i.min(j), i.max(j));
            add_gradient(metric, row(i), row(j), grad[at], dist[at], sum);
        }
    });
}

/// Where the pair of rows `i < j` is among all pairs.
fn pair(n: usize, i: usize, j: usize) -> usize {
    i * n - i * (i + 1) / 2 + j - i - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_numbered_row_by_row() {
        let all: Vec<_> = (0..5).flat_map(|i| (i + 1..5).map(move |j| pair(5, i, j))).collect();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn gradients_are_slopes() {
        let wave = |k: usize| (0..k).map(|i| (i as f64 * 1.3).sin()).collect::<Vec<f64>>();
        let (x, n, width) = (wave(4 * 19), 4, 19);
        for metric in [Metric::One, Metric::Two, Metric::Infinity, Metric::General(1.5), Metric::General(3.0)]
        {
            let sum = |x: &[f64]| {
                let mut out = vec![0.0; 6];
                within(metric, x, n, width, &mut out);
                (out.iter().sum::<f64>(), out)
            };
            let mut gradient = vec![0.0; x.len()];
            within_gradient(metric, &x, n, &[1.0; 6], &sum(&x).1, &mut gradient);
            for i in 0..x.len() {
                let (mut above, mut below) = (x.clone(), x.clone());
                above[i] += 1e-6;
                below[i] -= 1e-6;
                let slope = (sum(&above).0 - sum(&below).0) / 2e-6;
                assert!((slope - gradient[i]).abs() < 1e-5, "{metric:?}");
            }
        }
    }
}
