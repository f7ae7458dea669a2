//! The exponential of a matrix: a Taylor polynomial of the scaled matrix, squared back.

use super::field::{Field, RealField};
use super::matrix::{Matrix, MatrixMut};

/// Replaces the square matrix `a` by its exponential.
pub fn exp<T: Field>(a: &mut MatrixMut<T>) {
    let n = a.rows;
    let norm = largest_row_sum(a);
    if !norm.is_finite() {
        (0..n).for_each(|i| a.row_mut(i).fill(T::from_real(T::Real::from_f64(f64::NAN))));
        return;
    }
    // The polynomial is exact to rounding for norms up to 1.
    let squarings = if norm > 1.0 { norm.log2().ceil() as i32 } else { 0 };
    let scale = T::Real::from_f64(2f64.powi(-squarings));
    let first: Vec<T> = (0..n).flat_map(|i| a.row(i).to_vec()).map(|x| x.scale(scale)).collect();
    let mut result = polynomial(&first, n, if T::Real::EPS > 1e-10 { 3 } else { 5 });
    for _ in 0..squarings {
        result = product(&result, &result, n);
    }
    (0..n).for_each(|i| a.row_mut(i).copy_from_slice(&result[i * n..(i + 1) * n]));
}

fn largest_row_sum<T: Field>(a: &MatrixMut<T>) -> f64 {
    let sums = (0..a.rows).map(|i| a.row(i).iter().map(|x| x.modulus().to_f64()).sum::<f64>());
    sums.fold(0.0, |m, s| if s > m || s.is_nan() { s } else { m })
}

fn product<T: Field>(a: &[T], b: &[T], n: usize) -> Vec<T> {
    let mut c = vec![T::ZERO; n * n];
    T::product(1.0, Matrix::new(a, n, n), Matrix::new(b, n, n), 0.0, &mut MatrixMut::new(&mut c, n, n));
    c
}

/// The Taylor polynomial of degree `4 groups - 1`, in powers of `a^4` (Paterson and Stockmeyer).
fn polynomial<T: Field>(a: &[T], n: usize, groups: usize) -> Vec<T> {
    let square = product(a, a, n);
    let cube = product(a, &square, n);
    let fourth = product(&square, &square, n);
    let mut sum: Vec<T> = Vec::new();
    for group in (0..groups).rev() {
        let mut next = if sum.is_empty() { vec![T::ZERO; n * n] } else { product(&sum, &fourth, n) };
        let [c0, c1, c2, c3] = [0, 1, 2, 3].map(|i| T::Real::from_f64(1.0 / factorial(4 * group + i)));
        for (((x, a), b), c) in next.iter_mut().zip(a).zip(&square).zip(&cube) {
            *x += a.scale(c1) + b.scale(c2) + c.scale(c3);
        }
        (0..n).for_each(|i| next[i * (n + 1)] += T::from_real(c0));
        sum = next;
    }
    sum
}

fn factorial(n: usize) -> f64 {
    (1..=n).map(|i| i as f64).product()
}
