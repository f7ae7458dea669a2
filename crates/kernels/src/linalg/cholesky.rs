//! Cholesky factorisation.

use super::field::{Field, RealField};
use super::matrix::{Matrix, MatrixMut};
use super::triangular::{Triangle, solve};
use super::vector::dot_conj;

/// Sizes that are factored row by row; larger matrices are halved.
const SMALL: usize = 32;

/// Factors the Hermitian matrix `a = L L^H` in place, reading only the lower triangle; what is above it is spoilt.
///
/// Returns 0, or the order (from 1) of the first leading minor that is not positive-definite.
pub fn cholesky<T: Field>(a: &mut MatrixMut<T>) -> i32 {
    let n = a.rows;
    if n <= SMALL {
        return small(a);
    }
    let half = n / 2;
    let [mut top, _, mut left, mut rest] = a.quarters(half, half);
    let info = cholesky(&mut top);
    if info != 0 {
        return info;
    }
    // What is left of `rest` is the solution `x` of `x top^H = left`: its adjoint is solved for.
    let mut adjoint = left.adjoint();
    let mut solution = MatrixMut::new(&mut adjoint, half, n - half);
    solve(Triangle { matrix: top.view(), upper: false, unit: false }, &mut solution);
    left.put_adjoint(solution.view());
    rest.subtract_product(left.view(), Matrix::new(&adjoint, half, n - half));
    match cholesky(&mut rest) {
        0 => 0,
        info => info + half as i32,
    }
}

fn small<T: Field>(a: &mut MatrixMut<T>) -> i32 {
    for i in 0..a.rows {
        for j in 0..i {
            let (l, row) = a.row_and_mut(j, i);
            let sum = row[j] - dot_conj(&l[..j], &row[..j]);
            row[j] = sum.scale(T::Real::ONE / l[j].re());
        }
        let row = a.row_mut(i);
        let rest = row[i].re() - dot_conj(&row[..i], &row[..i]).re();
        let positive = rest > T::Real::ZERO;
        if !positive {
            return i as i32 + 1;
        }
        row[i] = T::from_real(rest.root());
    }
    0
}
