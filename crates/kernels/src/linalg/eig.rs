//! Eigenvalues and eigenvectors of general matrices, in double precision: general eigenvalue problems are too sensitive
//! for less.

use super::field::Field;
use super::matrix::MatrixMut;
use super::schur::{Francis, hessenberg, schur_complex};
use crate::dtype::C64;

/// Components beyond this are scaled back while a vector is solved for.
const LARGE: f64 = 1e150;

/// Eigenvalues of the complex matrix `a`, which is destroyed, and its eigenvectors in the columns of `vectors`, if given.
///
/// Returns 0, or how many eigenvalues were not found.
pub fn eig_complex(a: &mut MatrixMut<C64>, values: &mut [C64], vectors: Option<&mut MatrixMut<C64>>) -> i32 {
    let n = a.rows;
    let by = a.normalise();
    let mut z = identity::<C64>(n);
    let mut z = MatrixMut::new(&mut z, n, n);
    hessenberg(a, &mut z);
    let lost = schur_complex(a, &mut z);
    (0..n).for_each(|i| values[i] = a.at(i, i));
    if let Some(vectors) = vectors {
        back_substitute(a, values, |i, x| dot(z.row(i), x), vectors);
    }
    values.iter_mut().for_each(|v| *v *= by);
    lost
}

/// As [`eig_complex`] of a real matrix: conjugate eigenvalues are neighbours, and exact conjugates.
pub fn eig(a: &mut MatrixMut<f64>, values: &mut [C64], vectors: Option<&mut MatrixMut<C64>>) -> i32 {
    let n = a.rows;
    let by = a.normalise();
    let mut z = identity::<f64>(n);
    let mut z = MatrixMut::new(&mut z, n, n);
    hessenberg(a, &mut z);
    let lost = Francis::new(a, &mut z).run();
    diagonal_values(a, values);
    if let Some(vectors) = vectors {
        let row = |i: usize, x: &[C64]| z.row(i).iter().zip(x).fold(C64::ZERO, |s, (z, x)| s + *x * *z);
        let t: Vec<C64> = (0..n).flat_map(|i| a.row(i).iter().map(|x| C64::new(*x, 0.0))).collect();
        let mut t = t;
        back_substitute(&MatrixMut::new(&mut t, n, n), values, row, vectors);
    }
    values.iter_mut().for_each(|v| *v *= by);
    lost
}

fn identity<T: Field>(n: usize) -> Vec<T> {
    (0..n * n).map(|i| if i % (n + 1) == 0 { T::ONE } else { T::ZERO }).collect()
}

fn dot(z: &[C64], x: &[C64]) -> C64 {
    z.iter().zip(x).fold(C64::ZERO, |s, (z, x)| s + z * x)
}

/// The eigenvalues of a quasi-triangular matrix.
fn diagonal_values(t: &MatrixMut<f64>, values: &mut [C64]) {
    let n = t.rows;
    let mut i = 0;
    while i < n {
        if i + 1 == n || t.at(i + 1, i) == 0.0 {
            values[i] = C64::new(t.at(i, i), 0.0);
            i += 1;
            continue;
        }
        let half = (t.at(i, i) - t.at(i + 1, i + 1)) / 2.0;
        let root = (-(half * half + t.at(i, i + 1) * t.at(i + 1, i))).max(0.0).sqrt();
        let mean = t.at(i + 1, i + 1) + half;
        values[i] = C64::new(mean, root);
        values[i + 1] = C64::new(mean, -root);
        i += 2;
    }
}

/// The eigenvectors of a (quasi-)triangular matrix, taken back by `z` (which gives row `i` of `Z x`), of length 1 and with a real
/// largest component.
fn back_substitute(
    t: &MatrixMut<C64>,
    values: &[C64],
    z: impl Fn(usize, &[C64]) -> C64 + Sync,
    vectors: &mut MatrixMut<C64>,
) {
    let n = t.rows;
    let size = (0..n).flat_map(|i| t.row(i)).fold(0.0f64, |m, x| m.max(x.modulus()));
    let least = (f64::EPSILON * size).max(f64::MIN_POSITIVE);
    let mut rows = vec![C64::ZERO; n * n];
    // One vector a row, so that each is written by one thread.
    MatrixMut::new(&mut rows, n, n).for_rows(2 * n * n, |k, out| {
        let mut x = triangular_vector(t, values[k], k, least);
        x.resize(n, C64::ZERO);
        (0..n).for_each(|i| out[i] = z(i, &x));
        normalise(out);
    });
    for i in 0..n {
        (0..n).for_each(|k| vectors.put(i, k, rows[k * n + i]));
    }
}

/// The vector `x` with `(t - value) x = 0` for the eigenvalue in row `k`; components after its block are zero.
fn triangular_vector(t: &MatrixMut<C64>, value: C64, k: usize, least: f64) -> Vec<C64> {
    let n = t.rows;
    let in_block = |i: usize| i + 1 < n && t.at(i + 1, i) != C64::ZERO;
    // The last row of the block that holds row k.
    let last = if in_block(k) { k + 1 } else { k };
    let mut x = vec![C64::ZERO; last + 1];
    x[last] = C64::ONE;
    let mut end = last;
    if last > 0 && in_block(last - 1) {
        x[last - 1] = (value - t.at(last, last)) / t.at(last, last - 1);
        end = last - 1;
    }
    while end > 0 {
        let i = end - 1;
        let sum = |i: usize, x: &[C64]| dot(&t.row(i)[end..=last], &x[end..=last]);
        if i > 0 && in_block(i - 1) {
            let (a, b) = (t.at(i - 1, i - 1) - value, t.at(i - 1, i));
            let (c, d) = (t.at(i, i - 1), t.at(i, i) - value);
            let determinant = at_least(a * d - b * c, least * least);
            let (r, s) = (-sum(i - 1, &x), -sum(i, &x));
            (x[i - 1], x[i]) = ((r * d - b * s) / determinant, (a * s - c * r) / determinant);
            end = i - 1;
        } else {
            x[i] = -sum(i, &x) / at_least(t.at(i, i) - value, least);
            end = i;
        }
        if x[end].modulus() > LARGE {
            let by = 1.0 / x[end].modulus();
            x.iter_mut().for_each(|x| *x = x.scale(by));
        }
    }
    x
}

fn at_least(x: C64, least: f64) -> C64 {
    if x.modulus() < least { C64::new(least, 0.0) } else { x }
}

/// Length 1; the largest component becomes real.
fn normalise(x: &mut [C64]) {
    let largest = x.iter().fold(C64::ZERO, |m, x| if x.norm_sqr() > m.norm_sqr() { *x } else { m });
    let size = largest.modulus();
    if size == 0.0 {
        return;
    }
    let length = x.iter().map(|x| x.scale(1.0 / size).norm_sqr()).sum::<f64>().sqrt() * size;
    let real = x.iter().all(|x| x.im == 0.0);
    let turn = if real { C64::ONE } else { largest.conj() / size };
    x.iter_mut().for_each(|x| *x = *x * turn / length);
}
