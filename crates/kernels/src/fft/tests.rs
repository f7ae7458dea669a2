//! Every kind of pass against the sum that defines it.

use super::*;
use crate::dtype::C64;
use std::f64::consts::PI;

fn slow(x: &[C64], forward: bool) -> Vec<C64> {
    let n = x.len();
    let sign = if forward { -2.0 } else { 2.0 };
    let term = |j: usize, k: usize| C64::from_polar(1.0, sign * PI * (j * k % n) as f64 / n as f64);
    (0..n).map(|k| x.iter().enumerate().map(|(j, v)| v * term(j, k)).sum()).collect()
}

fn signal(n: usize) -> Vec<C64> {
    (0..n).map(|i| C64::new((i as f64 * 1.7).sin(), (i as f64 * 0.9).cos())).collect()
}

fn close(got: &[C64], want: &[C64]) {
    assert_eq!(got.len(), want.len());
    for (a, b) in got.iter().zip(want) {
        assert!((a - b).norm() < 1e-10, "{a} {b}");
    }
}

/// Runs a pass over `rows` lines whose elements lie `rows` apart.
fn pass<X: Copy, Y: Copy + Default>(
    kind: Kind,
    x: &[X],
    n: usize,
    rows: usize,
    types: (DType, DType),
) -> Vec<Y> {
    let m = x.len() / rows;
    let mut y = vec![Y::default(); n * rows];
    let strides = [rows as i64, 1];
    let out = Operand::new(y.as_mut_ptr().cast(), types.0, &strides);
    let input = Operand::new(x.as_ptr().cast_mut().cast(), types.1, &strides);
    // SAFETY: both operands are as large as said.
    unsafe { transform(kind, 1.0, 0, &[m as i64, rows as i64], (n, m), out, input) };
    y
}

fn column<T: Copy>(x: &[T], rows: usize, row: usize) -> Vec<T> {
    x.iter().skip(row).step_by(rows).copied().collect()
}

#[test]
fn complex_lines_of_any_length() {
    for (n, rows) in [(1, 3), (2, 1), (3, 11), (8, 20), (30, 9), (101, 2)] {
        for forward in [true, false] {
            let x = signal(n * rows);
            let types = (DType::Complex128, DType::Complex128);
            let y: Vec<C64> = pass(Kind::Complex { forward }, &x, n, rows, types);
            for row in 0..rows {
                close(&column(&y, rows, row), &slow(&column(&x, rows, row), forward));
            }
        }
    }
}

#[test]
fn real_lines_and_back() {
    for (n, rows) in [(1, 2), (2, 3), (3, 1), (4, 10), (7, 9), (30, 2), (101, 1), (128, 17)] {
        let x: Vec<f64> = signal(n * rows).iter().map(|v| v.re).collect();
        let half: Vec<C64> = pass(Kind::FromReal, &x, n / 2 + 1, rows, (DType::Complex128, DType::F64));
        let full: Vec<C64> = pass(Kind::FromReal, &x, n, rows, (DType::Complex128, DType::F64));
        let back: Vec<f64> = pass(Kind::ToReal, &half, n, rows, (DType::F64, DType::Complex128));
        for row in 0..rows {
            let line: Vec<C64> = column(&x, rows, row).iter().map(|v| C64::new(*v, 0.0)).collect();
            let want = slow(&line, true);
            close(&column(&full, rows, row), &want);
            close(&column(&half, rows, row), &want[..n / 2 + 1]);
        }
        assert!(back.iter().zip(&x).all(|(a, b)| (a / n as f64 - b).abs() < 1e-12));
    }
}
