//! Counting points in the bins of a grid.

use crate::math::Real;
use crate::multiversion;
use crate::parallel::for_tasks;
use crate::parts::Parts;
use std::ops::AddAssign;

/// Points that one task counts; fixed, so that sums of weights do not depend on the number of threads.
const PIECE: usize = 65_536;

/// Bins of all tasks together that are worth their memory.
const MOST: usize = 1 << 22;

/// The edges of the bins along one dimension, ascending, at least two of them or one (which makes no bin).
#[derive(Clone, Copy, Debug)]
pub struct Edges<'a, T> {
    /// The edges.
    pub at: &'a [T],
    /// Whether they are equally far apart.
    pub even: bool,
}

impl<T: Real> Edges<'_, T> {
    /// The bin of `x`: closed below, open above but for the last. `None` outside of the edges and for NaN.
    fn bin(&self, x: T) -> Option<usize> {
        let (first, last) = (*self.at.first()?, *self.at.last()?);
        if !(x >= first && x <= last) || self.at.len() < 2 {
            return None;
        }
        let bins = self.at.len() - 1;
        let below = |edges: &[T]| edges.partition_point(|e| *e <= x);
        let above = if self.even {
            // The guess may be off by one, as the edges are rounded.
            let guess = ((x - first) * T::real(bins as f64) / (last - first)).wide() as usize;
            let (from, to) = (guess.saturating_sub(1).min(bins), (guess + 2).min(bins + 1));
            from + below(&self.at[from..to])
        } else {
            below(self.at)
        };
        Some(above.saturating_sub(1).min(bins - 1))
    }
}

/// Adds the weight of each point (1 without weights) to its bin.
///
/// `points` are rows of one number for each of `edges`; `out` is the row-major grid of bins.
pub fn histogram<T: Real>(points: &[T], weights: Option<&[T]>, edges: &[Edges<T>], out: &mut [T]) {
    let dims = edges.len();
    out.fill(T::ZERO);
    if dims == 0 || out.is_empty() {
        return;
    }
    let n = points.len() / dims;
    let pieces = n.div_ceil(PIECE).min((MOST / out.len()).max(1)).max(1);
    let length = n.div_ceil(pieces);
    let mut sums = vec![0.0; pieces * out.len()];
    let parts = Parts::new(&mut sums);
    for_tasks(pieces, |piece| {
        // SAFETY: each task has bins of its own.
        let bins = unsafe { parts.part(piece * out.len()..(piece + 1) * out.len()) };
        for i in (piece * length).min(n)..((piece + 1) * length).min(n) {
            if let Some(bin) = cell(&points[i * dims..(i + 1) * dims], edges) {
                bins[bin] += weights.map_or(1.0, |w| w[i].wide());
            }
        }
    });
    for (bin, o) in out.iter_mut().enumerate() {
        let total: f64 = sums[bin..].iter().step_by(length_of(&sums, pieces)).sum();
        *o = T::real(total);
    }
}

fn length_of(sums: &[f64], pieces: usize) -> usize {
    (sums.len() / pieces).max(1)
}

/// The place of a point in the row-major grid.
fn cell<T: Real>(point: &[T], edges: &[Edges<T>]) -> Option<usize> {
    point.iter().zip(edges).try_fold(0, |at, (x, e)| Some(at * (e.at.len() - 1) + e.bin(*x)?))
}

/// Smallest and largest value; `None` if there is none.
pub fn bounds(values: &[i64]) -> Option<(i64, i64)> {
    let mut found = vec![(i64::MAX, i64::MIN); values.len().div_ceil(PIECE)];
    let parts = Parts::new(&mut found);
    for_tasks(values.len().div_ceil(PIECE), |piece| {
        // SAFETY: each task has a pair of its own.
        let pair = unsafe { &mut parts.part(piece..piece + 1)[0] };
        *pair = extent(&values[piece * PIECE..values.len().min((piece + 1) * PIECE)]);
    });
    found.into_iter().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

multiversion! {
    fn extent(values: &[i64]) -> (i64, i64) {
        values.iter().fold((i64::MAX, i64::MIN), |(low, high), v| (low.min(*v), high.max(*v)))
    }
}

/// Adds `weight(i)` to `out[values[i]]` for every `i`, from zero on.
///
/// # Panics
/// If a value lies outside of `out`.
pub fn tally<T: Copy + Send + Default + AddAssign>(
    values: &[i64],
    weight: impl Fn(usize) -> T + Sync,
    out: &mut [T],
) {
    let (n, bins) = (values.len(), out.len().max(1));
    let pieces = (n / PIECE).min(n / bins).max(1);
    let length = n.div_ceil(pieces);
    let mut sums = vec![T::default(); (pieces - 1) * bins];
    out.fill(T::default());
    let (first, others) = (Parts::new(out), Parts::new(&mut sums));
    for_tasks(pieces, |piece| {
        // SAFETY: each task has bins of its own.
        let bins = unsafe {
            if piece == 0 { first.part(0..bins) } else { others.part((piece - 1) * bins..piece * bins) }
        };
        for i in (piece * length).min(n)..((piece + 1) * length).min(n) {
            bins[values[i] as usize] += weight(i);
        }
    });
    for part in sums.chunks(bins) {
        out.iter_mut().zip(part).for_each(|(o, s)| *o += *s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_tallied_with_their_weights() {
        let values: Vec<i64> = (0..300_000).map(|i| i * i % 7).collect();
        assert_eq!(bounds(&values), Some((0, 4)));
        assert_eq!(bounds(&[]), None);
        let (mut counts, mut sums) = ([9_i64; 6], [9.0; 6]);
        tally(&values, |_| 1, &mut counts);
        tally(&values, |i| (i % 2) as f64, &mut sums);
        let want = |v: i64, odd: bool| {
            values.iter().enumerate().filter(|(i, x)| **x == v && (!odd || i % 2 == 1)).count()
        };
        for v in 0..6 {
            assert_eq!((counts[v], sums[v]), (want(v as i64, false) as i64, want(v as i64, true) as f64));
        }
    }

    #[test]
    fn edges_belong_to_the_bin_above_but_for_the_last() {
        let at = [0.0, 1.0, 2.0, 4.0];
        let edges = Edges { at: &at, even: false };
        let bins: Vec<_> = [-0.1, 0.0, 0.9, 1.0, 2.0, 4.0, 4.1, f64::NAN].map(|x| edges.bin(x)).to_vec();
        assert_eq!(bins, [None, Some(0), Some(0), Some(1), Some(2), Some(2), None, None]);
    }

    #[test]
    fn points_in_two_dimensions() {
        let at = [0.0_f32, 1.0, 2.0];
        let edges = [Edges { at: &at, even: true }; 2];
        let mut out = [9.0; 4];
        histogram(&[0.5, 0.5, 1.5, 0.1, 2.0, 2.0, 3.0, 0.0], Some(&[1.0, 2.0, 4.0, 8.0]), &edges, &mut out);
        assert_eq!(out, [1.0, 0.0, 2.0, 4.0]);
    }

    #[test]
    fn many_points_are_counted_once() {
        let points: Vec<f64> = (0..300_000).map(|i| f64::from(i % 10)).collect();
        let at: Vec<f64> = (0..=10).map(f64::from).collect();
        let mut out = [0.0; 10];
        histogram(&points, None, &[Edges { at: &at, even: true }], &mut out);
        assert_eq!(out, [30_000.0; 10]);
    }
}
