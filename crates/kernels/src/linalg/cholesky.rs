//! Cholesky factorisation.

use super::field::{Field, RealField};
use super::matrix::{Matrix, MatrixMut};
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
    solve_adjoint(top.view(), &mut left);
    let adjoint = left.adjoint();
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

/// Replaces `b` by the solution `x` of `x l^H = b`, `l` being lower triangular with a real diagonal.
fn solve_adjoint<T: Field>(l: Matrix<T>, b: &mut MatrixMut<T>) {
    let n = l.rows;
    if n > SMALL {
        let (half, rows) = (n / 2, b.rows);
        let [mut left, mut right, _, _] = b.quarters(rows, half);
        solve_adjoint(l.part(0..half, 0..half), &mut left);
        let below = l.part(half..n, 0..half);
        let conj: Vec<T> =
            (0..n - half).flat_map(|i| (0..half).map(move |j| below.at(i, j).conj())).collect();
        right.subtract_product(left.view(), Matrix::new(&conj, n - half, half).transpose());
        return solve_adjoint(l.part(half..n, half..n), &mut right);
    }
    let conj: Vec<T> = (0..n).flat_map(|i| (0..n).map(move |j| l.at(i, j).conj())).collect();
    b.for_rows(n * n, |_, x| {
        for j in 0..n {
            let sum = super::vector::dot(&conj[j * n..j * n + j], &x[..j]);
            x[j] = (x[j] - sum).scale(T::Real::ONE / conj[j * n + j].re());
        }
    });
}
