//! Triangular systems.

use super::field::Field;
use super::matrix::{Matrix, MatrixMut};
use super::vector::axpy;

/// Unknowns that are solved for one by one; larger systems are halved.
const SMALL: usize = 32;

/// A triangular matrix; what lies on the other side of the diagonal is not read.
#[derive(Clone, Copy, Debug)]
pub struct Triangle<'a, T> {
    /// The square matrix that holds it.
    pub matrix: Matrix<'a, T>,
    /// Whether it is the part on and above the diagonal.
    pub upper: bool,
    /// Whether the diagonal counts as ones.
    pub unit: bool,
}

/// Replaces `b` by the solution `x` of `a x = b`.
pub fn solve<T: Field>(a: Triangle<T>, b: &mut MatrixMut<T>) {
    let n = a.matrix.rows;
    if n <= SMALL {
        return small(a, b);
    }
    let (half, cols) = (n / 2, b.cols);
    let part = |r: std::ops::Range<usize>| Triangle { matrix: a.matrix.part(r.clone(), r), ..a };
    let [mut top, _, mut bottom, _] = b.quarters(half, cols);
    if a.upper {
        solve(part(half..n), &mut bottom);
        top.subtract_product(a.matrix.part(0..half, half..n), bottom.view());
        solve(part(0..half), &mut top);
    } else {
        solve(part(0..half), &mut top);
        bottom.subtract_product(a.matrix.part(half..n, 0..half), top.view());
        solve(part(half..n), &mut bottom);
    }
}

/// Forward or backward substitution, all columns at once.
fn small<T: Field>(a: Triangle<T>, b: &mut MatrixMut<T>) {
    let n = a.matrix.rows;
    for step in 0..n {
        let i = if a.upper { n - 1 - step } else { step };
        let known = if a.upper { i + 1..n } else { 0..i };
        for j in known {
            let (x, row) = b.row_and_mut(j, i);
            axpy(-a.matrix.at(i, j), x, row);
        }
        if !a.unit {
            let d = a.matrix.at(i, i);
            b.row_mut(i).iter_mut().for_each(|x| *x /= d);
        }
    }
}
