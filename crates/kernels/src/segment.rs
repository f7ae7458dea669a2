//! Reductions of consecutive segments along one dimension.

use crate::math::Real;
use crate::parts::Parts;
use std::ops::Range;

/// What becomes of the elements of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named as PyTorch's reductions
pub enum Reduction {
    Sum,
    Mean,
    Max,
    Min,
    Prod,
}

/// Segments of the middle dimension of `[outer, n, inner]`: segment `s` of part `o` is `segments[o * count + s]`.
#[derive(Clone, Copy, Debug)]
pub struct Segments<'a> {
    /// Size of the dimension.
    pub n: usize,
    /// Product of the sizes after it.
    pub inner: usize,
    /// Segments of each part.
    pub count: usize,
    /// Where each segment lies in the dimension.
    pub segments: &'a [Range<usize>],
    /// What is done with them.
    pub reduction: Reduction,
}

impl Segments<'_> {
    fn start<T: Real>(&self) -> T {
        match self.reduction {
            Reduction::Sum | Reduction::Mean => T::ZERO,
            Reduction::Prod => T::ONE,
            Reduction::Max => -T::INFINITY,
            Reduction::Min => T::INFINITY,
        }
    }

    fn join<T: Real>(&self, a: T, x: T) -> T {
        match self.reduction {
            Reduction::Sum | Reduction::Mean => a + x,
            Reduction::Prod => a * x,
            Reduction::Max => a.max_nan(x),
            Reduction::Min => a.min_nan(x),
        }
    }

    /// Calls `f(position of the result, positions of the segment's elements, their number)` for each segment and column.
    fn each(&self, f: impl Fn(usize, &mut dyn Iterator<Item = usize>, usize) + Sync) {
        crate::parallel::for_tasks(self.segments.len(), |i| {
            let (part, segment) = (i / self.count, self.segments[i].clone());
            for column in 0..self.inner {
                let at = |k| (part * self.n + k) * self.inner + column;
                f(i * self.inner + column, &mut segment.clone().map(at), segment.len());
            }
        });
    }

    /// Reduces each segment; `initial` takes part in each, and is the result of an empty one.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn forward<T: Real>(&self, initial: Option<T>, x: &[T], out: &mut [T]) {
        let out = Parts::new(out);
        let first = initial.unwrap_or_else(|| self.start());
        self.each(|result, elements, number| {
            let all = elements.fold(first, |a, i| self.join(a, x[i]));
            let empty = number == 0 && initial.is_none();
            let value = match self.reduction {
                Reduction::Mean if empty => T::NAN,
                Reduction::Mean if number > 0 => all / T::real(number as f64),
                _ => all,
            };
            // SAFETY: each segment is one task's.
            unsafe { out.part(result..result + 1)[0] = value };
        });
    }

    /// Gradient of [`Segments::forward`], whose results `y` have the gradients `g`. Equal extremes share theirs.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn backward<T: Real>(&self, initial: Option<T>, g: &[T], y: &[T], x: &[T], gx: &mut [T]) {
        gx.fill(T::ZERO);
        let gx = Parts::new(gx);
        self.each(|result, elements, number| {
            let (g, y) = (g[result], y[result]);
            let elements: Vec<usize> = elements.collect();
            let hit = |i: usize| x[i] == y || x[i].is_nan();
            let ties = elements.iter().filter(|i| hit(**i)).count().max(1);
            for &i in &elements {
                let slope = match self.reduction {
                    Reduction::Sum => g,
                    Reduction::Mean => g / T::real(number as f64),
                    Reduction::Max | Reduction::Min if hit(i) => g / T::real(ties as f64),
                    Reduction::Max | Reduction::Min => T::ZERO,
                    Reduction::Prod if x[i] == T::ZERO || x[i].is_nan() => {
                        let others = elements.iter().filter(|j| **j != i).map(|j| x[*j]);
                        g * others.fold(initial.unwrap_or(T::ONE), |a, x| a * x)
                    }
                    Reduction::Prod => g * y / x[i],
                };
                // SAFETY: segments of one part do not overlap, so each element is one task's.
                unsafe { gx.part(i..i + 1)[0] = slope };
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_segments_and_ties() {
        let segments = [0..2, 2..2, 2..3];
        let x = [2.0_f64, 2.0, -1.0];
        let mut out = [0.0; 3];
        let with = |reduction| Segments { n: 3, inner: 1, count: 3, segments: &segments, reduction };
        with(Reduction::Max).forward(None, &x, &mut out);
        assert_eq!(out, [2.0, f64::NEG_INFINITY, -1.0]);
        let mut gx = [9.0; 3];
        with(Reduction::Max).backward(None, &[1.0; 3], &out, &x, &mut gx);
        assert_eq!(gx, [0.5, 0.5, 1.0]);
        with(Reduction::Mean).forward(None, &x, &mut out);
        assert!(out[0] == 2.0 && out[1].is_nan());
        with(Reduction::Mean).forward(Some(6.0), &x, &mut out);
        assert_eq!(out, [5.0, 6.0, 5.0]);
    }
}
