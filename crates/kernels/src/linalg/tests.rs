//! Every factorisation is multiplied back, in all four number types, for sizes on both sides of the block sizes.

use super::*;
use crate::dtype::{C32, C64};

/// A fixed sequence of numbers between -1 and 1.
fn numbers<T: Field>(n: usize, seed: u64) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        T::Real::from_f64(((state >> 33) as f64) / (1u64 << 30) as f64 - 1.0)
    };
    (0..n).map(|_| T::from_parts(next(), next())).collect()
}

fn times<T: Field>(a: &[T], b: &[T], [m, k, n]: [usize; 3]) -> Vec<T> {
    let mut c = vec![T::ZERO; m * n];
    T::product(1.0, Matrix::new(a, m, k), Matrix::new(b, k, n), 0.0, &mut MatrixMut::new(&mut c, m, n));
    c
}

fn adjoint<T: Field>(a: &[T], m: usize, n: usize) -> Vec<T> {
    (0..n).flat_map(|j| (0..m).map(move |i| a[i * n + j].conj())).collect()
}

#[track_caller]
fn assert_near<T: Field>(got: &[T], want: &[T], size: usize) {
    let tolerance = 60.0 * size as f64 * T::Real::EPS;
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let off = (*g - *w).modulus().to_f64();
        assert!(off <= tolerance, "element {i}: {g:?} is not {w:?}");
    }
}

/// A Hermitian matrix.
fn hermitian<T: Field>(n: usize) -> Vec<T> {
    let a = numbers::<T>(n * n, n as u64);
    let half = T::Real::from_f64(0.5);
    a.iter().zip(adjoint(&a, n, n)).map(|(x, y)| (*x + y).scale(half)).collect()
}

fn lu_multiplies_back<T: Field>(m: usize, n: usize) {
    let a = numbers::<T>(m * n, 1);
    let (mut f, k) = (a.clone(), m.min(n));
    let mut pivots = vec![0; k];
    assert_eq!(lu(&mut MatrixMut::new(&mut f, m, n), &mut pivots, true), 0);
    let part = |i: usize, j: usize, lower: bool| match (lower, i.cmp(&j)) {
        (true, std::cmp::Ordering::Equal) => T::ONE,
        (true, std::cmp::Ordering::Greater) => f[i * n + j],
        (false, std::cmp::Ordering::Less | std::cmp::Ordering::Equal) => f[i * n + j],
        _ => T::ZERO,
    };
    let l: Vec<T> = (0..m).flat_map(|i| (0..k).map(move |j| (i, j))).map(|(i, j)| part(i, j, true)).collect();
    let u: Vec<T> =
        (0..k).flat_map(|i| (0..n).map(move |j| (i, j))).map(|(i, j)| part(i, j, false)).collect();
    let mut swapped = a;
    exchange(&mut MatrixMut::new(&mut swapped, m, n), &pivots);
    assert_near(&times(&l, &u, [m, k, n]), &swapped, m.max(n));
}

fn cholesky_multiplies_back<T: Field>(n: usize) {
    let b = numbers::<T>(n * n, 2);
    let mut a = times(&b, &adjoint(&b, n, n), [n, n, n]);
    (0..n).for_each(|i| a[i * n + i] += T::from_real(T::Real::from_f64(n as f64)));
    let a: Vec<T> = a.iter().map(|x| x.scale(T::Real::from_f64(1.0 / n as f64))).collect();
    let mut l = a.clone();
    assert_eq!(cholesky(&mut MatrixMut::new(&mut l, n, n)), 0);
    (0..n).for_each(|i| l[i * n + i + 1..(i + 1) * n].fill(T::ZERO));
    assert_near(&times(&l, &adjoint(&l, n, n), [n, n, n]), &a, n);
}

fn qr_multiplies_back<T: Field>(m: usize, n: usize) {
    let columns = numbers::<T>(m * n, 3);
    let (mut f, k) = (columns.clone(), m.min(n));
    let mut tau = vec![T::ZERO; k];
    qr(&mut MatrixMut::new(&mut f, n, m), &mut tau);
    let mut q = vec![T::ZERO; k * m];
    q.copy_from_slice(&f[..k * m]);
    generate(&mut MatrixMut::new(&mut q, k, m), &tau);
    // In columns, A^T = R^T Q^T.
    let r: Vec<T> = (0..n)
        .flat_map(|j| (0..k).map(move |i| (i, j)))
        .map(|(i, j)| if i <= j { f[j * m + i] } else { T::ZERO })
        .collect();
    assert_near(&times(&r, &q, [n, k, m]), &columns, m.max(n));
    let gram = times(&q, &adjoint(&q, k, m), [k, m, k]);
    let identity: Vec<T> = (0..k * k).map(|i| if i % (k + 1) == 0 { T::ONE } else { T::ZERO }).collect();
    assert_near(&gram, &identity, m);
    let mut c = columns.clone();
    multiply(Matrix::new(&f[..k * m], k, m), &tau, &mut MatrixMut::new(&mut c, n, m), true);
    let upper: Vec<T> =
        (0..n * m).map(|at| if at % m <= at / m && at % m < k { f[at] } else { T::ZERO }).collect();
    assert_near(&c, &upper, m.max(n));
}

fn eigenvectors_of_hermitian_matrices<T: Field>(n: usize) {
    let a = hermitian::<T>(n);
    for upper in [false, true] {
        let (mut v, mut w) = (a.clone(), vec![T::Real::ZERO; n]);
        assert_eq!(eigh(&mut MatrixMut::new(&mut v, n, n), upper, &mut w, true), 0);
        assert!(w.windows(2).all(|w| w[0] <= w[1]));
        // A = V L V^H with the columns of V in rows.
        let scaled: Vec<T> =
            v.chunks(n.max(1)).zip(&w).flat_map(|(v, w)| v.iter().map(|x| x.scale(*w))).collect();
        let transpose: Vec<T> = adjoint(&scaled, n, n).iter().map(|x| x.conj()).collect();
        let conj: Vec<T> = v.iter().map(|x| x.conj()).collect();
        assert_near(&times(&transpose, &conj, [n, n, n]), &a, n);
        let (mut alone, mut values) = (a.clone(), vec![T::Real::ZERO; n]);
        eigh(&mut MatrixMut::new(&mut alone, n, n), upper, &mut values, false);
        assert_near(&values, &w, n);
    }
}

fn singular_vectors<T: Field>(m: usize, n: usize, rank: usize) {
    let (b, c) = (numbers::<T>(m * rank, 5), numbers::<T>(rank * n, 6));
    let a = times(&b, &c, [m, rank, n]);
    for basis in [n, m] {
        let (mut work, mut s) = (a.clone(), vec![T::Real::ZERO; n]);
        let (mut u, mut v) = (vec![T::ZERO; basis * m], vec![T::ZERO; n * n]);
        let places = (MatrixMut::new(&mut u, basis, m), MatrixMut::new(&mut v, n, n));
        assert_eq!(svd(&mut MatrixMut::new(&mut work, m, n), &mut s, Some(places)), 0);
        assert!(s.windows(2).all(|s| s[0] >= s[1]));
        let scaled: Vec<T> = u.chunks(m).zip(&s).flat_map(|(u, s)| u.iter().map(|x| x.scale(*s))).collect();
        let transpose: Vec<T> = adjoint(&scaled, n, m).iter().map(|x| x.conj()).collect();
        let conj: Vec<T> = v.iter().map(|x| x.conj()).collect();
        assert_near(&times(&transpose, &conj, [m, n, n]), &a, m * 4);
        let identity: Vec<T> =
            (0..basis * basis).map(|i| if i % (basis + 1) == 0 { T::ONE } else { T::ZERO }).collect();
        assert_near(&times(&u, &adjoint(&u, basis, m), [basis, m, basis]), &identity, m);
    }
}

fn ldl_solves<T: Field>(n: usize, conjugate: bool) {
    let a = if conjugate {
        hermitian::<T>(n)
    } else {
        let x = numbers::<T>(n * n, 7);
        (0..n * n).map(|at| x[at] + x[at % n * n + at / n]).collect()
    };
    let x = numbers::<T>(n * 3, 8);
    let mut b = times(&a, &x, [n, n, 3]);
    let (mut f, mut pivots) = (a, vec![0; n]);
    assert_eq!(ldl(&mut MatrixMut::new(&mut f, n, n), &mut pivots, conjugate), 0);
    ldl_solve(Matrix::new(&f, n, n), &pivots, &mut MatrixMut::new(&mut b, n, 3), conjugate);
    assert_near(&b, &x, n * 1000);
}

fn triangular_systems<T: Field>(n: usize) {
    let mut a = numbers::<T>(n * n, 9);
    (0..n).for_each(|i| a[i * n + i] = T::from_real(T::Real::from_f64(n as f64)));
    for (upper, unit, transposed) in [(false, false, false), (true, false, true), (true, true, false)] {
        let by = if unit { T::Real::from_f64(0.5 / n as f64) } else { T::Real::ONE };
        let a: Vec<T> = a.iter().map(|x| x.scale(by)).collect();
        let stored = Matrix::new(&a, n, n);
        let matrix = if transposed { stored.transpose() } else { stored };
        let full: Vec<T> = (0..n * n)
            .map(|at| match ((at / n).cmp(&(at % n)), upper, unit) {
                (std::cmp::Ordering::Equal, _, true) => T::ONE,
                (std::cmp::Ordering::Less, false, _) | (std::cmp::Ordering::Greater, true, _) => T::ZERO,
                _ => matrix.at(at / n, at % n),
            })
            .collect();
        let x = numbers::<T>(n * 5, 10);
        let mut b = times(&full, &x, [n, n, 5]);
        solve(Triangle { matrix, upper, unit }, &mut MatrixMut::new(&mut b, n, 5));
        assert_near(&b, &x, n * 4);
    }
}

fn exponentials<T: Field>(n: usize) {
    let a = numbers::<T>(n * n, 11);
    let negative: Vec<T> = a.iter().map(|x| -*x).collect();
    let (mut p, mut q) = (a, negative);
    exp(&mut MatrixMut::new(&mut p, n, n));
    exp(&mut MatrixMut::new(&mut q, n, n));
    let identity: Vec<T> = (0..n * n).map(|i| if i % (n + 1) == 0 { T::ONE } else { T::ZERO }).collect();
    assert_near(&times(&p, &q, [n, n, n]), &identity, 400 * n);
}

fn all<T: Field>() {
    for (m, n) in [(1, 1), (5, 5), (7, 3), (3, 7), (70, 70), (130, 90), (40, 150)] {
        lu_multiplies_back::<T>(m, n);
        qr_multiplies_back::<T>(m, n);
    }
    for n in [0, 1, 2, 3, 8, 33, 100] {
        if n > 0 {
            cholesky_multiplies_back::<T>(n);
            triangular_systems::<T>(n);
        }
        eigenvectors_of_hermitian_matrices::<T>(n);
    }
    for (m, n, rank) in [(1, 1, 1), (4, 4, 4), (6, 5, 2), (9, 3, 3), (60, 60, 60), (80, 30, 7), (33, 20, 20)]
    {
        singular_vectors::<T>(m, n, rank);
    }
    for n in [1, 2, 5, 20] {
        ldl_solves::<T>(n, false);
        ldl_solves::<T>(n, true);
        exponentials::<T>(n.min(5));
    }
}

#[test]
fn factorisations_multiply_back_in_single_precision() {
    all::<f32>();
}

#[test]
fn factorisations_multiply_back_in_double_precision() {
    all::<f64>();
}

#[test]
fn factorisations_multiply_back_in_complex_single_precision() {
    all::<C32>();
}

#[test]
fn factorisations_multiply_back_in_complex_double_precision() {
    all::<C64>();
}

#[test]
fn eigenvectors_of_general_matrices() {
    for n in [1, 2, 3, 5, 10, 40] {
        let a = numbers::<f64>(n * n, 20 + n as u64);
        let wide: Vec<C64> = a.iter().map(|x| C64::new(*x, 0.0)).collect();
        let (mut w, mut v) = (vec![C64::ZERO; n], vec![C64::ZERO; n * n]);
        let mut work = a;
        assert_eq!(
            eig(&mut MatrixMut::new(&mut work, n, n), &mut w, Some(&mut MatrixMut::new(&mut v, n, n))),
            0
        );
        check_vectors(&wide, &w, &v);
        let sum: C64 = w.iter().sum();
        assert!(sum.im == 0.0, "conjugates cancel: {sum}");
        let a = numbers::<C64>(n * n, 40 + n as u64);
        let mut work = a.clone();
        let places = Some(&mut MatrixMut::new(&mut v, n, n));
        assert_eq!(eig_complex(&mut MatrixMut::new(&mut work, n, n), &mut w, places), 0);
        check_vectors(&a, &w, &v);
    }
}

#[test]
fn a_rotation_has_complex_eigenvalues_and_a_jordan_block_one() {
    let (mut w, mut v) = (vec![C64::ZERO; 2], vec![C64::ZERO; 4]);
    let mut turn = [0.0, -1.0, 1.0, 0.0];
    eig(&mut MatrixMut::new(&mut turn, 2, 2), &mut w, Some(&mut MatrixMut::new(&mut v, 2, 2)));
    assert_near(&w, &[C64::new(0.0, 1.0), C64::new(0.0, -1.0)], 1);
    let mut jordan = [2.0, 1.0, 0.0, 2.0];
    eig(&mut MatrixMut::new(&mut jordan, 2, 2), &mut w, Some(&mut MatrixMut::new(&mut v, 2, 2)));
    assert_near(&w, &[C64::new(2.0, 0.0); 2], 1);
    assert!(v.iter().all(|x| x.is_finite()));
}

/// `A V = V diag(w)`, columns of length 1.
#[track_caller]
fn check_vectors(a: &[C64], w: &[C64], v: &[C64]) {
    let n = w.len();
    let scaled: Vec<C64> = (0..n * n).map(|at| v[at] * w[at % n]).collect();
    assert_near(&times(a, v, [n, n, n]), &scaled, 20 * n);
    for k in 0..n {
        let length: f64 = (0..n).map(|i| v[i * n + k].norm_sqr()).sum();
        assert!((length - 1.0).abs() < 1e-12);
    }
}

/// The decompositions of matrices near the ends of the range, as of the same ones near 1.
fn extreme_sizes<T: Field>(by: f64) {
    let (n, by) = (5, T::Real::from_f64(by));
    let (general, hermitian) = (numbers::<T>(n * n, 8), hermitian::<T>(n));
    let decompose = |by: T::Real| {
        let scaled = |a: &[T]| a.iter().map(|x| x.scale(by)).collect::<Vec<T>>();
        let (mut a, mut h) = (scaled(&general), scaled(&hermitian));
        let (mut s, mut w) = (vec![T::Real::ZERO; n], vec![T::Real::ZERO; n]);
        assert_eq!(svd(&mut MatrixMut::new(&mut a, n, n), &mut s, None), 0);
        assert_eq!(eigh(&mut MatrixMut::new(&mut h, n, n), false, &mut w, true), 0);
        [s, w].concat()
    };
    let ratio: Vec<T::Real> = decompose(by).iter().map(|x| *x / by).collect();
    assert_near(&ratio, &decompose(T::Real::ONE), n);
}

#[test]
fn huge_and_tiny_matrices() {
    [1e37, 1e-36].into_iter().for_each(|by| {
        extreme_sizes::<f32>(by);
        extreme_sizes::<C32>(by);
    });
    [1e306, 1e-304].into_iter().for_each(|by| {
        extreme_sizes::<f64>(by);
        extreme_sizes::<C64>(by);
        let n = 3;
        let mut a: Vec<C64> = numbers::<C64>(n * n, 9).iter().map(|x| x * by).collect();
        let mut w = vec![C64::ZERO; n];
        assert_eq!(eig_complex(&mut MatrixMut::new(&mut a, n, n), &mut w, None), 0);
        assert!(w.iter().all(|w| w.is_finite() && w.norm() > by * 1e-3));
    });
}

#[test]
fn failures_are_reported() {
    let mut singular = [1.0f64, 2.0, 2.0, 4.0];
    assert_eq!(lu(&mut MatrixMut::new(&mut singular, 2, 2), &mut [0, 0], true), 2);
    let mut indefinite = [1.0f64, 2.0, 2.0, 1.0];
    assert_eq!(cholesky(&mut MatrixMut::new(&mut indefinite, 2, 2)), 2);
    let mut nan = [f32::NAN; 4];
    assert_ne!(eigh(&mut MatrixMut::new(&mut nan, 2, 2), false, &mut [0.0; 2], true), 0);
    assert_ne!(svd(&mut MatrixMut::new(&mut nan, 2, 2), &mut [0.0; 2], None), 0);
}
