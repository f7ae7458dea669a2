//! Singular values and vectors: reduction to a real bidiagonal matrix, then implicit QR (LINPACK's `svdc`).
//!
//! The bidiagonal iteration runs in double precision whatever the matrix is made of.

use super::bidiagonal::Bidiagonal;
use super::field::{Field, RealField};
use super::householder::{multiply, qr, reflect_left, reflect_right, reflector};
use super::matrix::{Matrix, MatrixMut};
use super::vector::Rotations;

/// The left and right singular vectors to compute, one a row.
pub type Vectors<'a, T> = (MatrixMut<'a, T>, MatrixMut<'a, T>);

/// Singular values, in descending order, of the `m x n` matrix `a` with `m >= n`; `a` is destroyed.
///
/// With `vectors` also the columns of `U` (`n` of them, or `m` for a full basis) and of `V`, one a row. Returns 0, or how
/// many off-diagonal elements did not converge to zero.
pub fn svd<T: Field>(a: &mut MatrixMut<T>, values: &mut [T::Real], vectors: Option<Vectors<T>>) -> i32 {
    let (m, n) = (a.rows, a.cols);
    if !a.is_finite() {
        values.fill(T::Real::from_f64(f64::NAN));
        return (n as i32).max(1);
    }
    let by = a.normalise();
    let lost = if m >= 2 * n && n > 0 { tall(a, values, vectors) } else { direct(a, values, vectors) };
    values.iter_mut().for_each(|v| *v = T::Real::from_f64(v.to_f64() * by));
    lost
}

/// Many rows: the singular values are those of the factor `R`.
fn tall<T: Field>(a: &mut MatrixMut<T>, values: &mut [T::Real], vectors: Option<Vectors<T>>) -> i32 {
    let (m, n) = (a.rows, a.cols);
    let mut columns: Vec<T> = (0..n).flat_map(|j| (0..m).map(|i| a.at(i, j)).collect::<Vec<_>>()).collect();
    let mut tau = vec![T::ZERO; n];
    qr(&mut MatrixMut::new(&mut columns, n, m), &mut tau);
    let factor = |i: usize, j: usize| if i <= j { columns[j * m + i] } else { T::ZERO };
    let mut r: Vec<T> = (0..n).flat_map(|i| (0..n).map(move |j| factor(i, j))).collect();
    let mut r = MatrixMut::new(&mut r, n, n);
    let Some((mut u, v)) = vectors else { return direct(&mut r, values, None) };
    let mut small = vec![T::ZERO; n * n];
    let info = direct(&mut r, values, Some((MatrixMut::new(&mut small, n, n), v)));
    for i in 0..u.rows {
        let row = u.row_mut(i);
        row.fill(T::ZERO);
        if i < n { row[..n].copy_from_slice(&small[i * n..(i + 1) * n]) } else { row[i] = T::ONE }
    }
    multiply(Matrix::new(&columns, n, m), &tau, &mut u, false);
    info
}

fn direct<T: Field>(a: &mut MatrixMut<T>, values: &mut [T::Real], vectors: Option<Vectors<T>>) -> i32 {
    let (m, n) = (a.rows, a.cols);
    let reduced = reduce(a);
    let mut b = Bidiagonal::new(reduced.d, reduced.e);
    let lost = match vectors {
        None => b.iterate(|left, right| [left, right].into_iter().for_each(Rotations::clear)),
        Some((mut u, mut v)) => {
            identity(&mut u);
            identity(&mut v);
            multiply(Matrix::new(&reduced.left, n, m), &reduced.left_tau, &mut u, false);
            if n > 1 {
                let right = Matrix::new(&reduced.right, n, n).part(0..n - 1, 1..n);
                multiply(right, &reduced.right_tau, &mut v.part(1..n, 1..n), false);
            }
            let lost = b.iterate(|left, right| {
                left.apply_many(&mut u);
                right.apply_many(&mut v);
            });
            b.left.apply(&mut u);
            b.right.apply(&mut v);
            order(&mut b.s, &mut u, &mut v);
            lost
        }
    };
    b.s.iter_mut().for_each(|s| *s = s.abs());
    b.s.sort_by(|a, b| b.total_cmp(a));
    values.iter_mut().zip(&b.s).for_each(|(v, s)| *v = T::Real::from_f64(*s));
    lost
}

/// Makes the values positive and puts them in descending order, the vectors with them.
fn order<T: Field>(s: &mut [f64], u: &mut MatrixMut<T>, v: &mut MatrixMut<T>) {
    for (i, s) in s.iter_mut().enumerate().filter(|(_, s)| **s < 0.0) {
        *s = -*s;
        v.row_mut(i).iter_mut().for_each(|x| *x = -*x);
    }
    for i in 0..s.len() {
        let largest = (i..s.len()).fold(i, |best, j| if s[j] > s[best] { j } else { best });
        s.swap(i, largest);
        u.swap_rows(i, largest);
        v.swap_rows(i, largest);
    }
}

fn identity<T: Field>(a: &mut MatrixMut<T>) {
    for i in 0..a.rows {
        a.row_mut(i).fill(T::ZERO);
        a.put(i, i, T::ONE);
    }
}

/// `a = Q B P^H`: the diagonals of `B`, and the reflections that make up `Q` and `P`, vectors in rows.
struct Reduced<T> {
    d: Vec<f64>,
    e: Vec<f64>,
    left: Vec<T>,
    left_tau: Vec<T>,
    right: Vec<T>,
    right_tau: Vec<T>,
}

/// Reduction to a real upper bidiagonal matrix, LAPACK's `gebd2`.
fn reduce<T: Field>(a: &mut MatrixMut<T>) -> Reduced<T> {
    let (m, n) = (a.rows, a.cols);
    let mut out = Reduced {
        d: vec![0.0; n],
        e: vec![0.0; n],
        left: vec![T::ZERO; n * m],
        left_tau: vec![T::ZERO; n],
        right: vec![T::ZERO; n * n],
        right_tau: vec![T::ZERO; n.saturating_sub(1)],
    };
    for j in 0..n {
        let v = &mut out.left[j * m + j..(j + 1) * m];
        v.iter_mut().zip(j..m).for_each(|(v, i)| *v = a.at(i, j));
        let tau = reflector(v);
        out.d[j] = v[0].re().to_f64();
        v[0] = T::ONE;
        out.left_tau[j] = tau;
        reflect_left(&mut a.part(j..m, j + 1..n), tau.conj(), v);
        if j + 1 == n {
            break;
        }
        let u = &mut out.right[j * n + j + 1..(j + 1) * n];
        u.iter_mut().zip(&a.row(j)[j + 1..]).for_each(|(u, x)| *u = x.conj());
        let tau = reflector(u);
        out.e[j] = u[0].re().to_f64();
        u[0] = T::ONE;
        out.right_tau[j] = tau;
        reflect_right(&mut a.part(j + 1..m, j + 1..n), tau, u);
    }
    out
}
