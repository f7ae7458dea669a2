//! Householder reflections: QR factorisation and products with its orthogonal factor.
//!
//! Matrices here are given by their columns: row `j` of a [`MatrixMut`] holds column `j`, as LAPACK's memory does.

use super::field::Field;
use super::matrix::{Matrix, MatrixMut};
use super::vector::{axpy, dot, dot_conj, norm};

/// Reflections that are gathered into one product with a block.
const BLOCK: usize = 32;
/// Elements from which gathering pays.
const LARGE: usize = 64 * 64;

/// The reflection `I - tau v v^H` (`v[0] = 1`) whose adjoint takes `x` to `beta e_1`, `beta` being real.
///
/// Replaces `x[0]` by `beta` and the rest by `v[1..]`; returns `tau`.
pub(super) fn reflector<T: Field>(x: &mut [T]) -> T {
    let Some((first, rest)) = x.split_first_mut() else { return T::ZERO };
    let below = norm(rest.iter().copied());
    let alpha = *first;
    if below == T::Real::ZERO && alpha.im() == T::Real::ZERO {
        return T::ZERO;
    }
    let size = norm([alpha, T::from_real(below)].into_iter());
    let beta = if alpha.re() >= T::Real::ZERO { -size } else { size };
    let factor = alpha - T::from_real(beta);
    rest.iter_mut().for_each(|x| *x /= factor);
    *first = T::from_real(beta);
    T::from_parts((beta - alpha.re()) / beta, -alpha.im() / beta)
}

/// Applies `I - tau v v^H` to the vector `x`; `v` holds all but the leading 1.
fn reflect<T: Field>(tau: T, v: &[T], x: &mut [T]) {
    let Some((first, rest)) = x.split_first_mut() else { return };
    let w = tau * (*first + dot_conj(v, rest));
    *first -= w;
    axpy(-w, v, rest);
}

/// Applies the reflection to each column.
pub(super) fn reflect_columns<T: Field>(tau: T, v: &[T], columns: &mut MatrixMut<T>) {
    if tau != T::ZERO {
        columns.for_rows(4 * v.len(), |_, column| reflect(tau, v, column));
    }
}

/// `a = (I - tau v v^H) a`.
pub(super) fn reflect_left<T: Field>(a: &mut MatrixMut<T>, tau: T, v: &[T]) {
    const CHUNK: usize = 128;
    if tau == T::ZERO {
        return;
    }
    a.for_column_chunks(CHUNK, |a| {
        let mut sums = [T::ZERO; CHUNK];
        let sums = &mut sums[..a.cols];
        for (i, v) in v.iter().enumerate() {
            axpy(v.conj(), a.row(i), sums);
        }
        for (i, v) in v.iter().enumerate() {
            axpy(-tau * *v, sums, a.row_mut(i));
        }
    });
}

/// `a = a (I - tau u u^H)`.
pub(super) fn reflect_right<T: Field>(a: &mut MatrixMut<T>, tau: T, u: &[T]) {
    if tau == T::ZERO {
        return;
    }
    let conj: Vec<T> = u.iter().map(|u| u.conj()).collect();
    a.for_rows(4 * u.len(), |_, row| {
        let sum = dot(row, u);
        axpy(-tau * sum, &conj, row);
    });
}

/// Factors the matrix with columns `a` into `Q R` in place, LAPACK's `geqrf`: `R` on and above the diagonal, the
/// vectors of the reflections `Q = H_1 H_2 …` below it, their factors in `tau`.
pub fn qr<T: Field>(a: &mut MatrixMut<T>, tau: &mut [T]) {
    let (n, m) = (a.rows, a.cols);
    let steps = m.min(n);
    let width = if m * n >= LARGE { BLOCK } else { steps.max(1) };
    for start in (0..steps).step_by(width) {
        let end = (start + width).min(steps);
        factor_block(&mut a.part(start..end, start..m), &mut tau[start..end]);
        let [_, panel, _, mut rest] = a.quarters(end, start);
        if rest.rows > 0 {
            let panel_rows = panel.rows;
            let view = panel.view().part(start..panel_rows, 0..m - start);
            Block::new(view, &tau[start..end]).apply(&mut rest, true);
        }
    }
}

fn factor_block<T: Field>(a: &mut MatrixMut<T>, tau: &mut [T]) {
    let m = a.cols;
    for (j, tau) in tau.iter_mut().enumerate() {
        *tau = reflector(&mut a.row_mut(j)[j..]);
        let [_, panel, _, mut rest] = a.quarters(j + 1, j);
        reflect_columns(tau.conj(), &panel.row(j)[1..m - j], &mut rest);
    }
}

/// Replaces the columns by the first columns of `Q = H_1 H_2 …`, LAPACK's `orgqr`; there are `tau.len()` reflections
/// and at least as many columns.
pub fn generate<T: Field>(a: &mut MatrixMut<T>, tau: &[T]) {
    let (n, m) = (a.rows, a.cols);
    let k = tau.len();
    let vectors: Vec<T> = (0..k).flat_map(|j| a.row(j).to_vec()).collect();
    for j in 0..n {
        a.row_mut(j).fill(T::ZERO);
        a.put(j, j, T::ONE);
    }
    multiply(Matrix::new(&vectors, k, m), tau, &mut a.part(0..n, 0..m), false);
}

/// Multiplies the columns `c` by `Q = H_1 H_2 …` from the left, or by `Q^H`; `vectors` holds those of the
/// reflections below the diagonal, as [`qr`] leaves them.
pub fn multiply<T: Field>(vectors: Matrix<T>, tau: &[T], c: &mut MatrixMut<T>, adjoint: bool) {
    let (k, m) = (tau.len(), c.cols);
    let width = if m * c.rows >= LARGE && k > 4 { BLOCK } else { 1 };
    let blocks = k.div_ceil(width);
    for step in 0..blocks {
        // Q^H = … H_2^H H_1^H begins with the first reflection, Q with the last.
        let block = if adjoint { step } else { blocks - 1 - step };
        let (start, end) = (block * width, (block * width + width).min(k));
        let rows = c.rows;
        let mut part = c.part(0..rows, start..m);
        if width == 1 {
            let v: Vec<T> = (start + 1..m).map(|i| vectors.at(start, i)).collect();
            reflect_columns(if adjoint { tau[start].conj() } else { tau[start] }, &v, &mut part);
        } else {
            let view = vectors.part(start..end, start..m);
            Block::new(view, &tau[start..end]).apply(&mut part, adjoint);
        }
    }
}

/// Consecutive reflections as one: `H_1 … H_k = I - V T V^H`, `T` upper triangular.
struct Block<T> {
    /// The vectors, with ones and zeros written out; a row each.
    v: Vec<T>,
    /// The same, conjugated.
    v_conj: Vec<T>,
    t: Vec<T>,
    k: usize,
    m: usize,
}

impl<T: Field> Block<T> {
    fn new(vectors: Matrix<T>, tau: &[T]) -> Block<T> {
        let (k, m) = (tau.len(), vectors.cols);
        let element = |j: usize, i: usize| match i.cmp(&j) {
            std::cmp::Ordering::Less => T::ZERO,
            std::cmp::Ordering::Equal => T::ONE,
            std::cmp::Ordering::Greater => vectors.at(j, i),
        };
        let v: Vec<T> = (0..k).flat_map(|j| (0..m).map(move |i| element(j, i))).collect();
        let v_conj: Vec<T> = v.iter().map(|x| x.conj()).collect();
        let mut block = Block { v, v_conj, t: vec![T::ZERO; k * k], k, m };
        block.fill_t(tau);
        block
    }

    /// Column `j` of `T` is `-tau_j T (V^H v_j)` above the diagonal, `tau_j` on it.
    fn fill_t(&mut self, tau: &[T]) {
        let (k, m) = (self.k, self.m);
        for j in 0..k {
            let v = &self.v[j * m..(j + 1) * m];
            let w: Vec<T> = (0..j).map(|i| dot(&self.v_conj[i * m + j..(i + 1) * m], &v[j..])).collect();
            for i in 0..j {
                let sum = (i..j).fold(T::ZERO, |s, l| s + self.t[i * k + l] * w[l]);
                self.t[i * k + j] = -tau[j] * sum;
            }
            self.t[j * k + j] = tau[j];
        }
    }

    /// Multiplies the columns `c` by the reflections, or by their adjoint.
    fn apply(&self, c: &mut MatrixMut<T>, adjoint: bool) {
        let (k, m, n) = (self.k, self.m, c.rows);
        // Transposed, C -= V T V^H C reads C^T -= ((C^T conj(V)) T^T) V^T, and for the adjoint conj(T) for T^T.
        let (mut w, mut u) = (vec![T::ZERO; n * k], vec![T::ZERO; n * k]);
        T::product(
            1.0,
            c.view(),
            Matrix::new(&self.v_conj, k, m).transpose(),
            0.0,
            &mut MatrixMut::new(&mut w, n, k),
        );
        let t_conj: Vec<T> = self.t.iter().map(|x| x.conj()).collect();
        let t = if adjoint { Matrix::new(&t_conj, k, k) } else { Matrix::new(&self.t, k, k).transpose() };
        T::product(1.0, Matrix::new(&w, n, k), t, 0.0, &mut MatrixMut::new(&mut u, n, k));
        c.subtract_product(Matrix::new(&u, n, k), Matrix::new(&self.v, k, m));
    }
}
