//! Average pooling.

use super::Windows;
use crate::math::Real;
use crate::multiversion;
use crate::parts::each_row;

/// Elements that are worth a task.
const GRAIN: usize = 1 << 14;

/// What a window's sum is divided by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Average {
    /// Whether padding counts as elements.
    pub count_padding: bool,
    /// A fixed divisor.
    pub divisor: Option<i64>,
}

multiversion! {
    fn add_from<T: Real>(x: &[T], stride: usize, sum: &mut [T]) {
        let n = sum.len();
        match stride {
            1 => sum.iter_mut().zip(x).for_each(|(s, x)| *s = *s + *x),
            2 => {
                let x = &x[..2 * n - 1];
                for i in 0..n {
                    sum[i] = sum[i] + x[2 * i];
                }
            }
            _ => sum.iter_mut().zip(x.iter().step_by(stride)).for_each(|(s, x)| *s = *s + *x),
        }
    }

    fn add_to<T: Real>(g: &[T], stride: usize, gx: &mut [T]) {
        if stride == 1 {
            gx.iter_mut().zip(g).for_each(|(gx, g)| *gx = *gx + *g);
        } else {
            gx.iter_mut().step_by(stride).zip(g).for_each(|(gx, g)| *gx = *gx + *g);
        }
    }
}

impl Windows {
    /// Elements that window `o` covers along `axis`: with padding (but not beyond it), and without.
    fn extent(&self, axis: usize, o: usize) -> (i64, i64) {
        let (input, padding) = (self.input[axis] as i64, self.padding[axis] as i64);
        let start = (o * self.stride[axis]) as i64 - padding;
        let end = (start + self.kernel[axis] as i64).min(input + padding);
        (end - start, (end.min(input) - start.max(0)).max(0))
    }

    /// Multiplies a row by the reciprocal of each window's divisor.
    fn divide<T: Real>(&self, average: Average, d: usize, h: usize, row: &mut [T]) {
        let ((pd, id), (ph, ih)) = (self.extent(0, d), self.extent(1, h));
        for (o, x) in row.iter_mut().enumerate() {
            let (pw, iw) = self.extent(2, o);
            let count = if average.count_padding { pd * ph * pw } else { id * ih * iw };
            *x = *x / T::real(average.divisor.unwrap_or(count) as f64);
        }
    }

    /// Calls `f(input row, first input index, windows)` for each window position of one row of windows.
    fn positions(&self, d: usize, h: usize, mut f: impl FnMut(usize, usize, std::ops::Range<usize>)) {
        for kd in 0..self.kernel[0] {
            let Some(z) = self.at(0, d, kd) else { continue };
            for kh in 0..self.kernel[1] {
                let Some(y) = self.at(1, h, kh) else { continue };
                for k in 0..self.kernel[2] {
                    let (windows, start) = self.inside(k);
                    if !windows.is_empty() {
                        f((z * self.input[1] + y) * self.input[2], start, windows);
                    }
                }
            }
        }
    }
}

/// Average of every window of each plane of `x`.
///
/// # Panics
/// If the lengths do not fit.
pub fn average_pool<T: Real>(windows: &Windows, average: Average, x: &[T], y: &mut [T]) {
    let (plane, results, width) = (windows.plane(), windows.results(), windows.output[2]);
    each_row(y, results, GRAIN, |p, y| {
        let x = &x[p * plane..(p + 1) * plane];
        for (row, y) in y.chunks_mut(width).enumerate() {
            let (d, h) = (row / windows.output[1], row % windows.output[1]);
            y.fill(T::ZERO);
            windows.positions(d, h, |base, start, range| {
                add_from(&x[base + start..base + windows.input[2]], windows.stride[2], &mut y[range]);
            });
            windows.divide(average, d, h, y);
        }
    });
}

/// Gradient of [`average_pool`].
///
/// # Panics
/// If the lengths do not fit.
pub fn average_pool_backward<T: Real>(windows: &Windows, average: Average, g: &[T], gx: &mut [T]) {
    let (plane, results, width) = (windows.plane(), windows.results(), windows.output[2]);
    each_row(gx, plane, GRAIN, |p, gx| {
        gx.fill(T::ZERO);
        for (row, g) in g[p * results..(p + 1) * results].chunks(width.max(1)).enumerate() {
            let (d, h) = (row / windows.output[1], row % windows.output[1]);
            let mut share = g.to_vec();
            windows.divide(average, d, h, &mut share);
            windows.positions(d, h, |base, start, range| {
                add_to(&share[range], windows.stride[2], &mut gx[base + start..base + windows.input[2]]);
            });
        }
    });
}
