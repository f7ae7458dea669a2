//! Softmax and its logarithm along the middle dimension of `[outer, n, inner]`, forward and backward.
//!
//! One row (`inner` = 1) or a strip of neighbouring columns is brought through all passes while it is in the cache.

use crate::lanes::join32;
use crate::math::Real;
use crate::multiversion;
use crate::parallel::for_tasks;
use crate::parts::Parts;

/// Sizes of a tensor seen from one of its dimensions.
#[derive(Clone, Copy, Debug)]
pub struct Along {
    /// Product of the sizes before the dimension.
    pub outer: usize,
    /// Size of the dimension.
    pub n: usize,
    /// Product of the sizes after it.
    pub inner: usize,
}

/// Columns that are brought through the passes together.
const STRIP: usize = 256;
/// Elements that are worth a task.
const GRAIN: usize = 1 << 14;
const LANES: usize = 32;

impl Along {
    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.outer * self.n * self.inner
    }

    /// Calls `f(first element, columns)` for each row or strip, shared among threads.
    pub(crate) fn strips(&self, f: impl Fn(usize, usize) + Sync) {
        if self.numel() == 0 {
            return;
        }
        let strips = self.inner.div_ceil(STRIP);
        let each = self.n * self.inner.min(STRIP);
        let (all, group) = (self.outer * strips, (GRAIN / each).max(1));
        for_tasks(all.div_ceil(group), |task| {
            for i in task * group..((task + 1) * group).min(all) {
                let column = i % strips * STRIP;
                f(i / strips * self.n * self.inner + column, STRIP.min(self.inner - column));
            }
        });
    }
}

#[inline(always)]
fn total<T: Real>(lanes: [T; LANES]) -> T {
    join32(lanes, |a, b| a + b)
}

/// Writes `e^(x - max)` to `y` and gives the sum.
#[inline(always)]
fn exponentials<T: Real>(x: &[T], max: T, y: &mut [T]) -> T {
    let mut lanes = [T::ZERO; LANES];
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks_mut::<LANES>());
    for (x, y) in xs.iter().zip(ys) {
        for i in 0..LANES {
            let e = (x[i] - max).exp();
            y[i] = e;
            lanes[i] = lanes[i] + e;
        }
    }
    for ((x, y), lane) in x_rest.iter().zip(y_rest).zip(&mut lanes) {
        *y = (*x - max).exp();
        *lane = *lane + *y;
    }
    total(lanes)
}

/// Sum of `a b`, of `a` alone if `single`.
#[inline(always)]
fn dot<T: Real>(a: &[T], b: &[T], single: bool) -> T {
    let mut lanes = [T::ZERO; LANES];
    let ((xs, x_rest), (ys, y_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (x, y) in xs.iter().zip(ys) {
        for i in 0..LANES {
            lanes[i] = lanes[i] + if single { x[i] } else { x[i] * y[i] };
        }
    }
    for ((x, y), lane) in x_rest.iter().zip(y_rest).zip(&mut lanes) {
        *lane = *lane + if single { *x } else { *x * *y };
    }
    total(lanes)
}

#[inline(always)]
fn largest<T: Real>(x: &[T]) -> T {
    let mut lanes = [-T::INFINITY; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
        }
    }
    let max = join32(lanes, |a, b| if b > a { b } else { a });
    rest.iter().fold(max, |a, x| if *x > a { *x } else { a })
}

multiversion! {
    fn row_forward<T: Real>(x: &[T], y: &mut [T], log: bool) {
        let max = largest(x);
        let sum = exponentials(x, max, y);
        if log {
            let shift = sum.ln();
            y.iter_mut().zip(x).for_each(|(y, x)| *y = *x - max - shift);
        } else {
            let scale = T::ONE / sum;
            y.iter_mut().for_each(|y| *y = *y * scale);
        }
    }

    fn row_backward<T: Real>(g: &[T], y: &[T], gx: &mut [T], log: bool) {
        let s = dot(g, y, log);
        if log {
            gx.iter_mut().zip(g).zip(y).for_each(|((gx, g), y)| *gx = *g - y.exp() * s);
        } else {
            gx.iter_mut().zip(g).zip(y).for_each(|((gx, g), y)| *gx = *y * (*g - s));
        }
    }

    fn raise<T: Real>(x: &[T], max: &mut [T]) {
        max.iter_mut().zip(x).for_each(|(m, x)| *m = if *x > *m { *x } else { *m });
    }

    fn add_exp<T: Real>(x: &[T], max: &[T], sum: &mut [T], y: &mut [T]) {
        for (((x, max), sum), y) in x.iter().zip(max).zip(sum).zip(y) {
            *y = (*x - *max).exp();
            *sum = *sum + *y;
        }
    }

    fn finish<T: Real>(x: &[T], max: &[T], by: &[T], y: &mut [T], log: bool) {
        for (((x, max), by), y) in x.iter().zip(max).zip(by).zip(y) {
            *y = if log { *x - *max - *by } else { *y * *by };
        }
    }

    fn add_products<T: Real>(g: &[T], y: &[T], sum: &mut [T], log: bool) {
        for ((g, y), sum) in g.iter().zip(y).zip(sum) {
            *sum = *sum + if log { *g } else { *g * *y };
        }
    }

    fn spread<T: Real>(g: &[T], y: &[T], sum: &[T], gx: &mut [T], log: bool) {
        for (((g, y), sum), gx) in g.iter().zip(y).zip(sum).zip(gx) {
            *gx = if log { *g - y.exp() * *sum } else { *y * (*g - *sum) };
        }
    }
}

/// Softmax of contiguous `x` into `y`, or its logarithm if `log`.
///
/// # Panics
/// If a slice is not as long as `shape` says.
pub fn softmax<T: Real>(log: bool, shape: Along, x: &[T], y: &mut [T]) {
    assert!(x.len() == shape.numel() && y.len() == x.len());
    let y = Parts::new(y);
    if shape.inner == 1 {
        return shape.strips(|start, _| {
            // SAFETY: each row is one task's.
            row_forward(&x[start..start + shape.n], unsafe { y.part(start..start + shape.n) }, log);
        });
    }
    shape.strips(|start, width| {
        let (mut max, mut sum) = ([-T::INFINITY; STRIP], [T::ZERO; STRIP]);
        let row = |k: usize| start + k * shape.inner..start + k * shape.inner + width;
        (0..shape.n).for_each(|k| raise(&x[row(k)], &mut max[..width]));
        for k in 0..shape.n {
            // SAFETY: each strip is one task's.
            add_exp(&x[row(k)], &max, &mut sum, unsafe { y.part(row(k)) });
        }
        for sum in &mut sum[..width] {
            *sum = if log { sum.ln() } else { T::ONE / *sum };
        }
        // SAFETY: as above.
        (0..shape.n).for_each(|k| finish(&x[row(k)], &max, &sum, unsafe { y.part(row(k)) }, log));
    });
}

/// Gradient of [`softmax`] from that of its result `y`: `gx = y (g - sum(g y))`, if `log` `gx = g - exp(y) sum(g)`.
///
/// # Panics
/// If a slice is not as long as `shape` says.
pub fn softmax_backward<T: Real>(log: bool, shape: Along, g: &[T], y: &[T], gx: &mut [T]) {
    assert!(g.len() == shape.numel() && y.len() == g.len() && gx.len() == g.len());
    let gx = Parts::new(gx);
    if shape.inner == 1 {
        return shape.strips(|start, _| {
            let row = start..start + shape.n;
            // SAFETY: each row is one task's.
            row_backward(&g[row.clone()], &y[row.clone()], unsafe { gx.part(row) }, log);
        });
    }
    shape.strips(|start, width| {
        let mut sum = [T::ZERO; STRIP];
        let row = |k: usize| start + k * shape.inner..start + k * shape.inner + width;
        (0..shape.n).for_each(|k| add_products(&g[row(k)], &y[row(k)], &mut sum[..width], log));
        // SAFETY: each strip is one task's.
        (0..shape.n).for_each(|k| spread(&g[row(k)], &y[row(k)], &sum, unsafe { gx.part(row(k)) }, log));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + 13) % 1009) as f32 / 100.0 - 5.0).collect()
    }

    #[test]
    fn rows_and_columns_agree_with_the_definition() {
        for (outer, n, inner) in
            [(3, 1, 1), (5, 37, 1), (2, 1000, 1), (2, 9, 300), (1, 5, 7), (2, 0, 3), (0, 3, 1)]
        {
            let shape = Along { outer, n, inner };
            let (x, g) = (noise(shape.numel()), noise(shape.numel() + 1)[1..].to_vec());
            for log in [false, true] {
                let (mut y, mut gx) = (x.clone(), x.clone());
                softmax(log, shape, &x, &mut y);
                softmax_backward(log, shape, &g, &y, &mut gx);
                for (o, i) in (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))) {
                    let at = |k: usize| (o * n + k) * inner + i;
                    let max = (0..n).map(|k| f64::from(x[at(k)])).fold(f64::MIN, f64::max);
                    let e = |k: usize| (f64::from(x[at(k)]) - max).exp();
                    let sum: f64 = (0..n).map(e).sum();
                    let p = |k: usize| e(k) / sum;
                    let weigh = |k: usize| f64::from(g[at(k)]) * if log { 1.0 } else { p(k) };
                    let s: f64 = (0..n).map(weigh).sum();
                    for k in 0..n {
                        let want = if log { p(k).ln() } else { p(k) };
                        let slope = weigh(k) - p(k) * s;
                        assert!((f64::from(y[at(k)]) - want).abs() < 2e-6 * want.abs().max(1.0));
                        assert!((f64::from(gx[at(k)]) - slope).abs() < 2e-5 * slope.abs().max(1.0));
                    }
                }
            }
        }
    }

    #[test]
    fn nan_and_infinity_spread_over_their_row_only() {
        let shape = Along { outer: 3, n: 2, inner: 1 };
        let inf = f32::INFINITY;
        let mut y = [0.0_f32; 6];
        softmax(false, shape, &[f32::NAN, 1.0, -inf, -inf, -inf, 3.0], &mut y);
        assert!(y[..4].iter().all(|v| v.is_nan()));
        assert_eq!(y[4..], [0.0, 1.0]);
    }
}
