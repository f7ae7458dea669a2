//! Factorisation of symmetric and Hermitian indefinite matrices by Bunch and Kaufman's pivots, LAPACK's `sytf2`/`hetf2`.

use super::field::{Field, RealField};
use super::matrix::{Matrix, MatrixMut};
use super::vector::axpy;

/// Factors `a = L D L^T` (`L^H` if `hermitian`) in place, reading and writing the lower triangle only.
///
/// `pivots` are LAPACK's: positive for 1x1 blocks of `D`, the same negative number twice for 2x2 blocks. Returns 0, or the
/// number (from 1) of the first block that is exactly zero.
pub fn ldl<T: Field>(a: &mut MatrixMut<T>, pivots: &mut [i32], hermitian: bool) -> i32 {
    let n = a.rows;
    let (mut k, mut info) = (0, 0);
    while k < n {
        let Some((p, size)) = choose(a, k, hermitian) else {
            if info == 0 {
                info = k as i32 + 1;
            }
            pivots[k] = k as i32 + 1;
            k += 1;
            continue;
        };
        exchange(a, k, p, size, hermitian);
        if size == 1 {
            eliminate_one(a, k, hermitian);
            pivots[k] = p as i32 + 1;
        } else {
            eliminate_two(a, k, hermitian);
            pivots[k] = -(p as i32 + 1);
            pivots[k + 1] = pivots[k];
        }
        k += size;
    }
    info
}

fn conj_if<T: Field>(x: T, hermitian: bool) -> T {
    if hermitian { x.conj() } else { x }
}

/// The real part where the diagonal of a Hermitian matrix has one only.
fn diagonal<T: Field>(x: T, hermitian: bool) -> T {
    if hermitian { T::from_real(x.re()) } else { x }
}

/// The row to bring to the front and the size of the block; `None` if the column is zero or NaN.
fn choose<T: Field>(a: &MatrixMut<T>, k: usize, hermitian: bool) -> Option<(usize, usize)> {
    let alpha = (1.0 + 17f64.sqrt()) / 8.0;
    let n = a.rows;
    let size = |x: T| x.size().to_f64();
    let own = size(diagonal(a.at(k, k), hermitian));
    let (mut far, mut column) = (k, 0.0);
    for i in k + 1..n {
        if size(a.at(i, k)) > column {
            (far, column) = (i, size(a.at(i, k)));
        }
    }
    if own.max(column) == 0.0 || own.is_nan() {
        return None;
    }
    if own >= alpha * column {
        return Some((k, 1));
    }
    let left = (k..far).map(|j| size(a.at(far, j)));
    let row = left.chain((far + 1..n).map(|i| size(a.at(i, far)))).fold(0.0f64, f64::max);
    if own >= alpha * column * (column / row) {
        Some((k, 1))
    } else if size(diagonal(a.at(far, far), hermitian)) >= alpha * row {
        Some((far, 1))
    } else {
        Some((far, 2))
    }
}

/// Exchanges row and column `p` of the remaining matrix with those at the end of the block.
fn exchange<T: Field>(a: &mut MatrixMut<T>, k: usize, p: usize, size: usize, hermitian: bool) {
    let to = k + size - 1;
    if p == to {
        return;
    }
    for i in p + 1..a.rows {
        a.row_mut(i).swap(to, p);
    }
    for j in to + 1..p {
        let (x, y) = (a.at(j, to), a.at(p, j));
        a.put(j, to, conj_if(y, hermitian));
        a.put(p, j, conj_if(x, hermitian));
    }
    let corner = conj_if(a.at(p, to), hermitian);
    a.put(p, to, corner);
    let (x, y) = (a.at(to, to), a.at(p, p));
    a.put(to, to, diagonal(y, hermitian));
    a.put(p, p, diagonal(x, hermitian));
    if size == 2 {
        let (x, y) = (a.at(k + 1, k), a.at(p, k));
        a.put(k + 1, k, y);
        a.put(p, k, x);
    }
}

/// Subtracts `x d^-1 x^T` for the 1x1 block in row `k`.
fn eliminate_one<T: Field>(a: &mut MatrixMut<T>, k: usize, hermitian: bool) {
    let n = a.rows;
    let d = diagonal(a.at(k, k), hermitian);
    a.put(k, k, d);
    let x: Vec<T> = (k + 1..n).map(|i| a.at(i, k)).collect();
    let scaled: Vec<T> = x.iter().map(|x| conj_if(*x, hermitian) / d).collect();
    for i in k + 1..n {
        let row = a.row_mut(i);
        let at = i - k - 1;
        axpy(-x[at], &scaled[..=at], &mut row[k + 1..=i]);
        row[i] = diagonal(row[i], hermitian);
        row[k] = x[at] / d;
    }
}

/// Subtracts `X D^-1 X^T` for the 2x2 block in rows `k` and `k + 1`.
fn eliminate_two<T: Field>(a: &mut MatrixMut<T>, k: usize, hermitian: bool) {
    let n = a.rows;
    let (d11, d21) = (diagonal(a.at(k, k), hermitian), a.at(k + 1, k));
    let d22 = diagonal(a.at(k + 1, k + 1), hermitian);
    a.put(k, k, d11);
    a.put(k + 1, k + 1, d22);
    let block = (d11, d21, d22);
    let old: Vec<(T, T)> = (k + 2..n).map(|i| (a.at(i, k), a.at(i, k + 1))).collect();
    let new: Vec<(T, T)> = old.iter().map(|pair| times_inverse(*pair, block, hermitian)).collect();
    for i in k + 2..n {
        let (x, y) = old[i - k - 2];
        for j in k + 2..=i {
            let (u, v) = new[j - k - 2];
            let change = x * conj_if(u, hermitian) + y * conj_if(v, hermitian);
            let value = a.at(i, j) - change;
            a.put(i, j, if i == j { diagonal(value, hermitian) } else { value });
        }
    }
    for (i, (u, v)) in (k + 2..n).zip(new) {
        a.put(i, k, u);
        a.put(i, k + 1, v);
    }
}

/// The row `(x, y) D^-1` for `D = [[d11, d12], [d21, d22]]`, `d12` being `d21` or its conjugate.
///
/// Everything is taken relative to the elements beside the diagonal, which are the large ones.
fn times_inverse<T: Field>((x, y): (T, T), (d11, d21, d22): (T, T, T), hermitian: bool) -> (T, T) {
    let d12 = conj_if(d21, hermitian);
    let (p, q) = (d11 / d12, d22 / d21);
    let t = p * q - T::ONE;
    ((q * x - y) / d12 / t, (p * y - x) / d21 / t)
}

/// Replaces `b` by the solution `x` of `a x = b`, `a` being factored by [`ldl`].
pub fn ldl_solve<T: Field>(a: Matrix<T>, pivots: &[i32], b: &mut MatrixMut<T>, hermitian: bool) {
    let n = a.rows;
    let mut k = 0;
    while k < n {
        let pair = pivots[k] < 0 && k + 1 < n;
        let last = if pair { k + 1 } else { k };
        b.swap_rows(last, row_of(pivots[k], n));
        for i in last + 1..n {
            for j in k..=last {
                let (x, row) = b.row_and_mut(j, i);
                axpy(-a.at(i, j), x, row);
            }
        }
        if pair {
            divide_by_pair(a, k, b, hermitian);
        } else {
            let d = diagonal(a.at(k, k), hermitian);
            b.row_mut(k).iter_mut().for_each(|x| *x /= d);
        }
        k = last + 1;
    }
    while k > 0 {
        let last = k - 1;
        let first = if pivots[last] < 0 && last > 0 { last - 1 } else { last };
        for j in first..=last {
            for i in last + 1..n {
                let (x, row) = b.row_and_mut(i, j);
                axpy(-conj_if(a.at(i, j), hermitian), x, row);
            }
        }
        b.swap_rows(last, row_of(pivots[last], n));
        k = first;
    }
}

/// The row that a pivot names.
fn row_of(pivot: i32, n: usize) -> usize {
    (pivot.unsigned_abs() as usize).clamp(1, n) - 1
}

/// Rows `k` and `k + 1` of `b`, multiplied by the inverse of the 2x2 block there.
fn divide_by_pair<T: Field>(a: Matrix<T>, k: usize, b: &mut MatrixMut<T>, hermitian: bool) {
    let d21 = a.at(k + 1, k);
    let d12 = conj_if(d21, hermitian);
    let (d11, d22) = (diagonal(a.at(k, k), hermitian), diagonal(a.at(k + 1, k + 1), hermitian));
    let (p, q) = (d11 / d12, d22 / d21);
    let t = p * q - T::ONE;
    let (top, bottom) = b.two_rows(k, k + 1);
    for (x, y) in top.iter_mut().zip(bottom) {
        let (u, v) = (*x / d12, *y / d21);
        (*x, *y) = ((q * u - v) / t, (p * v - u) / t);
    }
}
