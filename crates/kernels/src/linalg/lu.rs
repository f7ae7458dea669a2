//! LU factorisation with partial pivoting.

use super::field::Field;
use super::matrix::MatrixMut;
use super::triangular::{Triangle, solve};
use super::vector::axpy;

/// Columns that are factored one by one; wider matrices are halved.
const NARROW: usize = 16;
/// Rows from which narrow matrices are brought into columns first.
const TALL: usize = 24;

/// Factors `a = P L U` in place: `L` (unit diagonal) below the diagonal, `U` on and above it.
///
/// `pivots[i]` is the row, counted from 1, that row `i` was exchanged with; with `pivot` false no rows are exchanged.
/// Returns 0, or the number (from 1) of the first zero on the diagonal of `U`.
pub fn lu<T: Field>(a: &mut MatrixMut<T>, pivots: &mut [i32], pivot: bool) -> i32 {
    let steps = a.rows.min(a.cols);
    if a.cols <= NARROW || steps <= 1 {
        return if a.rows > TALL { by_columns(a, pivots, pivot) } else { narrow(a, pivots, pivot) };
    }
    let left = steps / 2;
    let (m, n) = (a.rows, a.cols);
    let (first, second) = pivots.split_at_mut(left);
    let info = lu(&mut a.part(0..m, 0..left), first, pivot);
    exchange(&mut a.part(0..m, left..n), first);
    eliminate(a, left);
    let below = lu(&mut a.part(left..m, left..n), second, pivot);
    exchange(&mut a.part(left..m, 0..left), second);
    second.iter_mut().for_each(|p| *p += left as i32);
    if info == 0 && below != 0 { below + left as i32 } else { info }
}

/// The right half after the first `left` columns have been factored.
fn eliminate<T: Field>(a: &mut MatrixMut<T>, left: usize) {
    let [top, mut right, bottom, mut rest] = a.quarters(left, left);
    solve(Triangle { matrix: top.view(), upper: false, unit: true }, &mut right);
    rest.subtract_product(bottom.view(), right.view());
}

/// Exchanges row `i` with row `pivots[i] - 1`, for all `i` in order.
pub fn exchange<T: Field>(a: &mut MatrixMut<T>, pivots: &[i32]) {
    for (i, p) in pivots.iter().enumerate() {
        a.swap_rows(i, *p as usize - 1);
    }
}

/// One column after another.
fn narrow<T: Field>(a: &mut MatrixMut<T>, pivots: &mut [i32], pivot: bool) -> i32 {
    let mut info = 0;
    for (j, place) in pivots.iter_mut().enumerate() {
        let p = if pivot { pivot_row(a, j) } else { j };
        *place = p as i32 + 1;
        a.swap_rows(j, p);
        if !step(a, j) && info == 0 {
            info = j as i32 + 1;
        }
    }
    info
}

/// As [`narrow`], in memory where the elements of a column are neighbours: few long loops instead of many short ones.
fn by_columns<T: Field>(a: &mut MatrixMut<T>, pivots: &mut [i32], pivot: bool) -> i32 {
    let (m, mut info) = (a.rows, 0);
    let mut columns: Vec<T> = (0..a.cols * m).map(|at| a.at(at % m, at / m)).collect();
    for (j, place) in pivots.iter_mut().enumerate() {
        let p = if pivot { j + largest(&columns[j * m + j..(j + 1) * m]) } else { j };
        *place = p as i32 + 1;
        columns.chunks_exact_mut(m).for_each(|column| column.swap(j, p));
        let (done, rest) = columns.split_at_mut((j + 1) * m);
        let [pivot, factors @ ..] = &mut done[j * m + j..] else { continue };
        if *pivot == T::ZERO {
            info = if info == 0 { j as i32 + 1 } else { info };
            continue;
        }
        factors.iter_mut().for_each(|x| *x /= *pivot);
        rest.chunks_exact_mut(m).for_each(|column| axpy(-column[j], factors, &mut column[j + 1..]));
    }
    for i in 0..m {
        a.row_mut(i).iter_mut().enumerate().for_each(|(j, x)| *x = columns[j * m + i]);
    }
    info
}

/// The place of the largest element, the first of equals.
fn largest<T: Field>(x: &[T]) -> usize {
    let mut best = (0, x[0].size());
    for (i, x) in x.iter().enumerate().skip(1) {
        if x.size() > best.1 {
            best = (i, x.size());
        }
    }
    best.0
}

/// The row, from `j` on, with the largest element in column `j`.
fn pivot_row<T: Field>(a: &MatrixMut<T>, j: usize) -> usize {
    let mut best = (j, a.at(j, j).size());
    for i in j + 1..a.rows {
        let size = a.at(i, j).size();
        if size > best.1 {
            best = (i, size);
        }
    }
    best.0
}

/// Clears column `j` below the diagonal; `false` if the diagonal element is zero.
fn step<T: Field>(a: &mut MatrixMut<T>, j: usize) -> bool {
    let pivot = a.at(j, j);
    if pivot == T::ZERO {
        return false;
    }
    for i in j + 1..a.rows {
        let (top, row) = a.row_and_mut(j, i);
        let factor = row[j] / pivot;
        row[j] = factor;
        axpy(-factor, &top[j + 1..], &mut row[j + 1..]);
    }
    true
}
