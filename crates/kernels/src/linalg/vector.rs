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

    /// Applies rotations to pairs of lines.
    fn turn_lines<T: Field>(lines: &mut [[T; STRIP]], turns: &[Turn]) {
        for turn in turns {
            let (c, s) = (T::Real::from_f64(turn.c), T::Real::from_f64(turn.s));
            let Ok([x, y]) = lines.get_disjoint_mut([turn.i as usize, turn.j as usize]) else { continue };
            for (x, y) in x.iter_mut().zip(y) {
                let (a, b) = (*x, *y);
                *x = a.scale(c) + b.scale(s);
                *y = b.scale(c) - a.scale(s);
            }
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

/// Columns that rotations are applied to together.
const STRIP: usize = 64;

/// The rotation of row `i` with row `j`: `x' = c x + s y`, `y' = c y - s x`.
#[derive(Clone, Copy, Debug)]
struct Turn {
    i: u32,
    j: u32,
    c: f64,
    s: f64,
}

/// Rotations of pairs of rows, collected so that many are applied while the rows are in the cache.
#[derive(Debug, Default)]
pub(super) struct Rotations(Vec<Turn>);

impl Rotations {
    /// Notes the rotation of row `i` with row `j`.
    pub(super) fn push(&mut self, i: usize, j: usize, c: f64, s: f64) {
        self.0.push(Turn { i: i as u32, j: j as u32, c, s });
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Applies all to the rows of a matrix, in order, and forgets them, if they are many.
    pub(super) fn apply_many<T: Field>(&mut self, rows: &mut MatrixMut<T>) {
        if self.0.len() > 16 * rows.rows {
            self.apply(rows);
        }
    }

    /// Applies all to the rows of a matrix, in order, and forgets them.
    ///
    /// A strip of columns is brought together first: rows a power of two apart would drive each other out of the cache.
    pub(super) fn apply<T: Field>(&mut self, rows: &mut MatrixMut<T>) {
        rows.for_column_chunks(STRIP, |rows| {
            let mut lines = vec![[T::ZERO; STRIP]; rows.rows];
            let width = rows.cols;
            lines.iter_mut().enumerate().for_each(|(i, line)| line[..width].copy_from_slice(rows.row(i)));
            turn_lines(&mut lines, &self.0);
            lines.iter().enumerate().for_each(|(i, line)| rows.row_mut(i).copy_from_slice(&line[..width]));
        });
        self.0.clear();
    }
}
