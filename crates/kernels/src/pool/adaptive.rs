//! Adaptive pooling: the plane is cut into as many (possibly overlapping) windows as results are asked for.

use super::max::Ordered;
use crate::lanes::join32;
use crate::math::Real;
use crate::multiversion;
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

multiversion! {
    fn sum<T: Real>(x: &[T]) -> T {
        let (chunks, rest) = x.as_chunks::<32>();
        let mut lanes = [T::ZERO; 32];
        for chunk in chunks {
            for i in 0..32 {
                lanes[i] = lanes[i] + chunk[i];
            }
        }
        lanes.iter_mut().zip(rest).for_each(|(lane, x)| *lane = *lane + *x);
        join32(lanes, |a, b| a + b)
    }

    fn add<T: Real>(x: &[T], sums: &mut [T]) {
        sums.iter_mut().zip(x).for_each(|(s, x)| *s = *s + *x);
    }
}

/// Calls `f(row of windows, number of its planes and rows, those rows of the input)` for all rows of windows of a plane.
fn window_rows(
    input: [usize; 3],
    output: [usize; 3],
    mut f: impl FnMut(usize, usize, &mut dyn Iterator<Item = usize>),
) {
    for o in 0..output[0] * output[1] {
        let [z, y] =
            [(o / output[1], 0), (o % output[1], 1)].map(|(o, axis)| window(o, input[axis], output[axis]));
        let mut rows = z.clone().flat_map(|z| y.clone().map(move |y| z * input[1] + y));
        f(o, z.len() * y.len(), &mut rows);
    }
}

/// Average of every window of each plane `[D, H, W]` of `x`.
///
/// # Panics
/// If the lengths do not fit.
pub fn adaptive_average<T: Real>(input: [usize; 3], output: [usize; 3], x: &[T], y: &mut [T]) {
    let (plane, results) = (input.iter().product::<usize>(), output.iter().product::<usize>());
    let (width, wide) = (input[2], output[2]);
    each_row(y, results, GRAIN * results / plane.max(1), |p, y| {
        let x = &x[p * plane..(p + 1) * plane];
        if results == 1 {
            y[0] = sum(x) / T::real(plane as f64);
            return;
        }
        let mut sums = vec![T::ZERO; width];
        window_rows(input, output, |o, height, rows| {
            sums.fill(T::ZERO);
            rows.for_each(|row| add(&x[row * width..(row + 1) * width], &mut sums));
            for (k, y) in y[o * wide..(o + 1) * wide].iter_mut().enumerate() {
                let run = window(k, width, wide);
                let count = T::real((height * run.len()) as f64);
                *y = sum(&sums[run]) / count;
            }
        });
    });
}

/// Gradient of [`adaptive_average`].
///
/// # Panics
/// If the lengths do not fit.
pub fn adaptive_average_backward<T: Real>(input: [usize; 3], output: [usize; 3], g: &[T], gx: &mut [T]) {
    let results = output.iter().product::<usize>();
    let (width, wide) = (input[2], output[2]);
    each_row(gx, input.iter().product(), GRAIN, |p, gx| {
        gx.fill(T::ZERO);
        let mut shares = vec![T::ZERO; width];
        window_rows(input, output, |o, height, rows| {
            shares.fill(T::ZERO);
            for (k, g) in g[p * results + o * wide..][..wide].iter().enumerate() {
                let run = window(k, width, wide);
                let share = *g / T::real((height * run.len()) as f64);
                shares[run].iter_mut().for_each(|s| *s = *s + share);
            }
            rows.for_each(|row| add(&shares, &mut gx[row * width..(row + 1) * width]));
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
