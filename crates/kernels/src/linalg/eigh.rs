//! Eigenvalues and eigenvectors of Hermitian matrices: reduction to a real tridiagonal matrix, then implicit QL.
//!
//! The tridiagonal iteration runs in double precision whatever the matrix is made of; it costs little beside the
//! rotations of the vectors.

use super::field::{Field, RealField};
use super::householder::{multiply, reflector};
use super::matrix::{Matrix, MatrixMut};
use super::vector::{Rotations, axpy, dot, dot_conj};

/// Sweeps after which an eigenvalue counts as lost.
const SWEEPS: usize = 60;

/// Replaces the Hermitian matrix `a`, of which only the lower or upper triangle is read, by its eigenvectors, one a row
/// (if `vectors` is true), and writes the eigenvalues in ascending order.
///
/// Returns 0, or how many off-diagonal elements did not converge to zero.
pub fn eigh<T: Field>(a: &mut MatrixMut<T>, upper: bool, values: &mut [T::Real], vectors: bool) -> i32 {
    let n = a.rows;
    mirror(a, upper);
    if !a.is_finite() {
        values.fill(T::Real::from_f64(f64::NAN));
        return (n as i32 - 1).max(1);
    }
    let by = a.normalise();
    let (mut d, mut e, tau) = tridiagonal(a);
    let mut turns = vectors.then(Rotations::default);
    if vectors {
        basis(a, &tau);
    }
    let lost = iterate(&mut d, &mut e, |turn| {
        if let Some(turns) = &mut turns {
            match turn {
                Some((i, c, s)) => turns.push(i + 1, i, c, s),
                None => turns.apply_many(a),
            }
        }
    });
    if let Some(turns) = &mut turns {
        turns.apply(a);
    }
    sort(&mut d, a, vectors);
    values.iter_mut().zip(d).for_each(|(v, d)| *v = T::Real::from_f64(d * by));
    lost
}

/// Writes the triangle that is not given, and drops imaginary parts on the diagonal.
fn mirror<T: Field>(a: &mut MatrixMut<T>, upper: bool) {
    for i in 0..a.rows {
        let real = T::from_real(a.at(i, i).re());
        a.put(i, i, real);
        for j in 0..i {
            if upper {
                let x = a.at(j, i).conj();
                a.put(i, j, x);
            } else {
                let x = a.at(i, j).conj();
                a.put(j, i, x);
            }
        }
    }
}

/// Reduces `a = Q T Q^H`: the diagonal of `T`, what is beside it (a zero last), and the factors of the reflections
/// whose vectors are left right of the diagonal.
fn tridiagonal<T: Field>(a: &mut MatrixMut<T>) -> (Vec<f64>, Vec<f64>, Vec<T>) {
    let n = a.rows;
    let (mut d, mut e, mut taus) = (vec![0.0; n], vec![0.0; n], Vec::with_capacity(n));
    for i in 0..n {
        d[i] = a.at(i, i).re().to_f64();
        let [_, mut above, _, mut rest] = a.quarters(i + 1, i + 1);
        if rest.rows == 0 {
            break;
        }
        let v = above.row_mut(i);
        v.iter_mut().for_each(|x| *x = x.conj());
        let tau = reflector(v);
        e[i] = v[0].re().to_f64();
        v[0] = T::ONE;
        if tau != T::ZERO {
            reflect_both_sides(&mut rest, tau, v);
        }
        taus.push(tau);
    }
    (d, e, taus)
}

/// `a = H^H a H` for the reflection `H = I - tau v v^H`.
fn reflect_both_sides<T: Field>(a: &mut MatrixMut<T>, tau: T, v: &[T]) {
    let n = a.rows;
    let mut x = vec![T::ZERO; n];
    {
        let a = &*a;
        MatrixMut::new(&mut x, n, 1).for_rows(2 * n, |i, x| x[0] = tau * dot(a.row(i), v));
    }
    let half = T::from_real(T::Real::from_f64(0.5));
    axpy(-half * tau * dot_conj(&x, v), v, &mut x);
    let (v_conj, x_conj): (Vec<T>, Vec<T>) = v.iter().zip(&x).map(|(v, x)| (v.conj(), x.conj())).unzip();
    a.for_rows(4 * n, |i, row| {
        axpy(-v[i], &x_conj, row);
        axpy(-x[i], &v_conj, row);
    });
}

/// Replaces `a`, which holds the vectors of the reflections, by the columns of `Q`, one a row.
fn basis<T: Field>(a: &mut MatrixMut<T>, tau: &[T]) {
    let n = a.rows;
    let vectors: Vec<T> = (0..n).flat_map(|i| a.row(i).to_vec()).collect();
    for i in 0..n {
        a.row_mut(i).fill(T::ZERO);
        a.put(i, i, T::ONE);
    }
    if n > 1 {
        let vectors = Matrix::new(&vectors, n, n).part(0..n - 1, 1..n);
        multiply(vectors, tau, &mut a.part(1..n, 1..n), false);
    }
}

/// Implicit QL (EISPACK's `tql2`) on the tridiagonal matrix of diagonal `d` and off-diagonal `e`.
///
/// `turn` gets each rotation of vectors `i + 1` and `i`, and `None` after each sweep.
fn iterate(d: &mut [f64], e: &mut [f64], mut turn: impl FnMut(Option<(usize, f64, f64)>)) -> i32 {
    let n = d.len();
    let (mut shift, mut size, mut lost) = (0.0, 0.0f64, 0);
    for l in 0..n {
        size = size.max(d[l].abs() + e[l].abs());
        let small = f64::EPSILON * size;
        let m = (l..n).find(|m| e[*m].abs() <= small).unwrap_or(n - 1);
        let mut sweeps = 0;
        while m > l && e[l].abs() > small {
            if sweeps == SWEEPS {
                lost += 1;
                break;
            }
            sweeps += 1;
            shift += sweep(d, e, l, m, &mut turn);
            turn(None);
        }
        d[l] += shift;
        e[l] = 0.0;
    }
    lost
}

/// One QL sweep on rows `l..=m`; returns by how much the diagonal was shifted.
fn sweep(
    d: &mut [f64],
    e: &mut [f64],
    l: usize,
    m: usize,
    turn: &mut impl FnMut(Option<(usize, f64, f64)>),
) -> f64 {
    let g = d[l];
    let p = (d[l + 1] - g) / (2.0 * e[l]);
    let r = p.hypot(1.0).copysign(p);
    d[l] = e[l] / (p + r);
    d[l + 1] = e[l] * (p + r);
    let (next, shift, beside) = (d[l + 1], g - d[l], e[l + 1]);
    d[l + 2..].iter_mut().for_each(|d| *d -= shift);
    let mut p = d[m];
    let (mut c, mut c2, mut c3, mut s, mut s2) = (1.0, 1.0, 1.0, 0.0, 0.0);
    for i in (l..m).rev() {
        (c3, c2, s2) = (c2, c, s);
        let (g, h) = (c * e[i], c * p);
        let r = p.hypot(e[i]);
        e[i + 1] = s * r;
        (s, c) = if r == 0.0 { (0.0, 1.0) } else { (e[i] / r, p / r) };
        p = c * d[i] - s * g;
        d[i + 1] = h + s * (c * g + s * d[i]);
        turn(Some((i, c, s)));
    }
    let p = -s * s2 * c3 * beside * e[l] / next;
    e[l] = s * p;
    d[l] = c * p;
    shift
}

/// Puts the eigenvalues in ascending order, and the rows of vectors with them.
fn sort<T: Field>(d: &mut [f64], a: &mut MatrixMut<T>, vectors: bool) {
    for i in 0..d.len() {
        let mut least = i;
        for j in i + 1..d.len() {
            if d[j] < d[least] {
                least = j;
            }
        }
        d.swap(i, least);
        if vectors {
            a.swap_rows(i, least);
        }
    }
}
