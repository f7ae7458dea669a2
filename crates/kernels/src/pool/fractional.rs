//! Maximum pooling whose windows start at pseudo-random places.

use super::max::Ordered;
use crate::dtype::DType;
use crate::math::Real;
use crate::parts::{Parts, each_row};

/// Elements that are worth a task.
const GRAIN: usize = 1 << 14;

/// Sizes of planes, windows and results, each at least 1 in front for fewer than three dimensions.
#[derive(Clone, Copy, Debug)]
pub struct Fractional {
    /// Size of an input plane.
    pub input: [usize; 3],
    /// Size of an output plane.
    pub output: [usize; 3],
    /// Size of the window, at most that of the plane.
    pub kernel: [usize; 3],
    /// The dtype of the tensor: places are computed in it.
    pub dtype: DType,
}

impl Fractional {
    /// Where the windows along `axis` start, for a random number from 0 to 1.
    fn starts<T: Real>(&self, axis: usize, random: T) -> Vec<usize> {
        let (n, last) = (self.output[axis], self.input[axis] - self.kernel[axis]);
        let round = |x: T| T::real(self.dtype.round_half(x.wide()));
        let number = |i: usize| round(T::real(i as f64));
        let step = round(number(last) / number(n.saturating_sub(1)));
        let whole = |x: T| x.wide() as i64;
        let start = |i: usize| match i + 1 == n {
            true => last,
            false => {
                let moved = whole(round(round(number(i) + random) * step));
                let at = moved.saturating_sub(whole(round(random * step)));
                at.clamp(0, last as i64) as usize
            }
        };
        (0..n).map(start).collect()
    }

    /// The largest element of the window that starts there, and its index.
    fn best<T: Ordered>(&self, x: &[T], start: [usize; 3]) -> (T, usize) {
        let index = |d: usize, h: usize, w: usize| (d * self.input[1] + h) * self.input[2] + w;
        let mut at = index(start[0], start[1], start[2]);
        let mut best = T::LOWEST;
        for d in start[0]..start[0] + self.kernel[0] {
            for h in start[1]..start[1] + self.kernel[1] {
                for w in start[2]..start[2] + self.kernel[2] {
                    let (i, value) = (index(d, h, w), x[index(d, h, w)]);
                    #[allow(clippy::eq_op)] // NaN is what differs from itself
                    if value > best || value != value {
                        (best, at) = (value, i);
                    }
                }
            }
        }
        (best, at)
    }
}

/// Largest element of every window (NaN if there is one) and its index in the plane. Each plane has `rank` random numbers:
/// of two the first is that of the last dimension, of three that of the first.
///
/// # Panics
/// If the lengths do not fit.
pub fn fractional_max<T: Ordered + Real>(
    sizes: Fractional,
    rank: usize,
    x: &[T],
    random: &[T],
    y: &mut [T],
    indices: &mut [i64],
) {
    let plane = sizes.input.iter().product::<usize>();
    let results = sizes.output.iter().product::<usize>();
    let indices = Parts::new(indices);
    each_row(y, results, GRAIN, |p, y| {
        let x = &x[p * plane..(p + 1) * plane];
        let random = &random[p * rank..(p + 1) * rank];
        let number = |axis: usize| match rank {
            3 => random[axis],
            _ => random.get(2 - axis).copied().unwrap_or(T::ZERO),
        };
        let starts = [0, 1, 2].map(|axis| sizes.starts(axis, number(axis)));
        // SAFETY: each plane is one task's.
        let indices = unsafe { indices.part(p * results..(p + 1) * results) };
        let [_, height, width] = sizes.output;
        for (o, (y, index)) in y.iter_mut().zip(indices).enumerate() {
            let start =
                [starts[0][o / (height * width)], starts[1][o / width % height], starts[2][o % width]];
            let (value, at) = sizes.best(x, start);
            (*y, *index) = (value, at as i64);
        }
    });
}
