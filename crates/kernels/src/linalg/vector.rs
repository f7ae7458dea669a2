//! Sums and rotations of vectors, the inner loops of all factorisations.

use super::field::{Field, RealField};
use super::matrix::MatrixMut;
use crate::multiversion;

/// Vectors shorter than this are not worth the choice of an instruction set.
const SHORT: usize = 8;
/// Number of sums that a dot product keeps at once.
const LANES: usize = 16;

/// `y += a x`.
#[inline]
pub(super) fn axpy<T: Field>(a: T, x: &[T], y: &mut [T]) {
    if x.len() < SHORT {
        y.iter_mut().zip(x).for_each(|(y, x)| *y += a * *x);
    } else {
        long_axpy(a, x, y);
    }
}

/// The sum of `x_i y_i`.
#[inline]
pub(super) fn dot<T: Field>(x: &[T], y: &[T]) -> T {
    if x.len() < SHORT {
        return x.iter().zip(y).fold(T::ZERO, |s, (x, y)| s + *x * *y);
    }
    long_dot(x, y)
}

/// The sum of `conj(x_i) y_i`.
#[inline]
pub(super) fn dot_conj<T: Field>(x: &[T], y: &[T]) -> T {
    if !T::COMPLEX {
        return dot(x, y);
    }
    if x.len() < SHORT {
        return x.iter().zip(y).fold(T::ZERO, |s, (x, y)| s + x.conj() * *y);
    }
    long_dot_conj(x, y)
}

/// Rotates the pairs `(x_i, y_i)`: `x' = c x + s y`, `y' = c y - s x`.
#[inline]
pub(super) fn rotate<T: Field>(x: &mut [T], y: &mut [T], c: f64, s: f64) {
    let (c, s) = (T::Real::from_f64(c), T::Real::from_f64(s));
    long_rotate(x, y, c, s);
}

multiversion! {
    fn long_axpy<T: Field>(a: T, x: &[T], y: &mut [T]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y += a * *x;
        }
    }

    fn long_dot<T: Field>(x: &[T], y: &[T]) -> T {
        let mut sums = [T::ZERO; LANES];
        let (xs, x_rest) = x.as_chunks::<LANES>();
        let (ys, y_rest) = y.as_chunks::<LANES>();
        for (x, y) in xs.iter().zip(ys) {
            for i in 0..LANES {
                sums[i] += x[i] * y[i];
            }
        }
        let rest = x_rest.iter().zip(y_rest).fold(T::ZERO, |s, (x, y)| s + *x * *y);
        sums.iter().fold(rest, |s, x| s + *x)
    }

    fn long_dot_conj<T: Field>(x: &[T], y: &[T]) -> T {
        let mut sums = [T::ZERO; LANES];
        let (xs, x_rest) = x.as_chunks::<LANES>();
        let (ys, y_rest) = y.as_chunks::<LANES>();
        for (x, y) in xs.iter().zip(ys) {
            for i in 0..LANES {
                sums[i] += x[i].conj() * y[i];
            }
        }
        let rest = x_rest.iter().zip(y_rest).fold(T::ZERO, |s, (x, y)| s + x.conj() * *y);
        sums.iter().fold(rest, |s, x| s + *x)
    }

    fn long_rotate<T: Field>(x: &mut [T], y: &mut [T], c: T::Real, s: T::Real) {
        for (x, y) in x.iter_mut().zip(y) {
            let (a, b) = (*x, *y);
            *x = a.scale(c) + b.scale(s);
            *y = b.scale(c) - a.scale(s);
        }
    }
}

/// The Euclidean norm, without overflow.
pub(super) fn norm<T: Field>(x: impl Iterator<Item = T> + Clone) -> T::Real {
    let largest = x.clone().fold(0.0f64, |m, x| {
        let size = x.size().to_f64();
        if size > m || size.is_nan() { size } else { m }
    });
    if largest == 0.0 || !largest.is_finite() {
        return T::Real::from_f64(largest);
    }
    let sum: f64 = x
        .map(|x| {
            let (re, im) = (x.re().to_f64() / largest, x.im().to_f64() / largest);
            re * re + im * im
        })
        .sum();
    T::Real::from_f64(largest * sum.sqrt())
}

/// Rotations of pairs of rows, collected so that many are applied while the rows are in the cache.
#[derive(Debug, Default)]
pub(super) struct Rotations(Vec<(u32, u32, f64, f64)>);

impl Rotations {
    /// Notes the rotation of row `i` with row `j` (see [`rotate`]).
    pub(super) fn push(&mut self, i: usize, j: usize, c: f64, s: f64) {
        self.0.push((i as u32, j as u32, c, s));
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Applies all to the rows of a matrix, in order, and forgets them, if they are many.
    pub(super) fn apply_many<T: Field>(&mut self, rows: &mut MatrixMut<T>) {
        if self.0.len() > 8 * rows.rows {
            self.apply(rows);
        }
    }

    /// Applies all to the rows of a matrix, in order, and forgets them.
    pub(super) fn apply<T: Field>(&mut self, rows: &mut MatrixMut<T>) {
        const CHUNK: usize = 256;
        rows.for_column_chunks(CHUNK, |rows| {
            for (i, j, c, s) in &self.0 {
                let (x, y) = rows.two_rows(*i as usize, *j as usize);
                rotate(x, y, *c, *s);
            }
        });
        self.0.clear();
    }
}
