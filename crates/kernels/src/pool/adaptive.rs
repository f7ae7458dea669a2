//! Adaptive pooling: the plane is cut into as many (possibly overlapping) windows as results are asked for.

use super::max::Ordered;
use crate::math::Real;
use crate::parts::{Parts, each_row};
use std::ops::Range;

/// Elements that are worth a task.
const GRAIN: usize = 1 << 14;

/// The input that result `o` of `output` covers.
fn window(o: usize, input: usize, output: usize) -> Range<usize> {
    o * input / output..((o + 1) * input).div_ceil(output)
}

/// Calls `f(result, window)` for every result of a plane, with a window for each dimension.
fn windows(input: [usize; 3], output: [usize; 3], mut f: impl FnMut(usize, [Range<usize>; 3])) {
    for o in 0..output.iter().product() {
        let at = [o / (output[1] * output[2]), o / output[2] % output[1], o % output[2]];
        f(o, [0, 1, 2].map(|axis| window(at[axis], input[axis], output[axis])));
    }
}

/// Calls `f` with the index range of each run of a window.
fn runs(input: [usize; 3], [d, h, w]: [Range<usize>; 3], mut f: impl FnMut(Range<usize>)) {
    for z in d {
        for y in h.clone() {
            let row = (z * input[1] + y) * input[2];
            f(row + w.start..row + w.end);
        }
    }
}

/// Average of every window of each plane `[D, H, W]` of `x`.
///
/// # Panics
/// If the lengths do not fit.
pub fn adaptive_average<T: Real>(input: [usize; 3], output: [usize; 3], x: &[T], y: &mut [T]) {
    let plane = input.iter().product::<usize>();
    each_row(y, output.iter().product(), GRAIN * output.iter().product::<usize>() / plane.max(1), |p, y| {
        let x = &x[p * plane..(p + 1) * plane];
        windows(input, output, |o, window| {
            let count = window.iter().map(|r| r.len()).product::<usize>();
            let mut sum = T::ZERO;
            runs(input, window, |run| sum = x[run].iter().fold(sum, |s, x| s + *x));
            y[o] = sum / T::real(count as f64);
        });
    });
}

/// Gradient of [`adaptive_average`].
///
/// # Panics
/// If the lengths do not fit.
pub fn adaptive_average_backward<T: Real>(input: [usize; 3], output: [usize; 3], g: &[T], gx: &mut [T]) {
    let results = output.iter().product::<usize>();
    each_row(gx, input.iter().product(), GRAIN, |p, gx| {
        gx.fill(T::ZERO);
        windows(input, output, |o, window| {
            let share =
                g[p * results + o] / T::real(window.iter().map(|r| r.len()).product::<usize>() as f64);
            runs(input, window, |run| gx[run].iter_mut().for_each(|gx| *gx = *gx + share));
        });
    });
}

/// Largest element of every window (NaN if there is one) and its index in the plane.
///
/// # Panics
/// If the lengths do not fit.
#[allow(clippy::eq_op)] // NaN is what differs from itself
pub fn adaptive_max<T: Ordered>(
    input: [usize; 3],
    output: [usize; 3],
    x: &[T],
    y: &mut [T],
    indices: &mut [i64],
) {
    let (plane, results) = (input.iter().product::<usize>(), output.iter().product::<usize>());
    let indices = Parts::new(indices);
    each_row(y, results, GRAIN * results / plane.max(1), |p, y| {
        let x = &x[p * plane..(p + 1) * plane];
        // SAFETY: each plane is one task's.
        let at = unsafe { indices.part(p * results..(p + 1) * results) };
        windows(input, output, |o, window| {
            let mut first = None;
            let mut best = (T::LOWEST, 0);
            runs(input, window, |run| {
                first.get_or_insert(run.start);
                for i in run {
                    if x[i] > best.0 || x[i] != x[i] {
                        best = (x[i], i + 1);
                    }
                }
            });
            y[o] = best.0;
            at[o] = best.1.checked_sub(1).or(first).unwrap_or(0) as i64;
        });
    });
}
