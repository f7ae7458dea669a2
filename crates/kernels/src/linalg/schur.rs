//! Schur forms: reduction to Hessenberg form and the QR algorithm, real (double shift) and complex (single shift).
//!
//! Both turn `a` into `Z T Z^H` with `T` upper triangular; of a real matrix `T` has 2x2 blocks for conjugate pairs.

use super::field::Field;
use super::householder::{reflect_left, reflect_right, reflector};
use super::matrix::MatrixMut;
use crate::dtype::C64;

/// Steps after which an eigenvalue counts as lost.
const STEPS: usize = 60;

/// Replaces `a` by its Hessenberg form and multiplies `z` by the unitary matrix that took it there.
pub(super) fn hessenberg<T: Field>(a: &mut MatrixMut<T>, z: &mut MatrixMut<T>) {
    let n = a.rows;
    for k in 0..n.saturating_sub(2) {
        let mut v: Vec<T> = (k + 1..n).map(|i| a.at(i, k)).collect();
        let tau = reflector(&mut v);
        let beta = v[0];
        v[0] = T::ONE;
        reflect_left(&mut a.part(k + 1..n, k + 1..n), tau.conj(), &v);
        reflect_right(&mut a.part(0..n, k + 1..n), tau, &v);
        reflect_right(&mut z.part(0..n, k + 1..n), tau, &v);
        a.put(k + 1, k, beta);
        (k + 2..n).for_each(|i| a.put(i, k, T::ZERO));
    }
}

/// The first row of the unreduced block that ends with row `last`.
fn block_start<T: Field<Real = f64>>(h: &mut MatrixMut<T>, last: usize) -> usize {
    for l in (1..=last).rev() {
        let size = h.at(l - 1, l - 1).size() + h.at(l, l).size();
        let size = if size == 0.0 { 1.0 } else { size };
        if h.at(l, l - 1).size() <= f64::EPSILON * size {
            h.put(l, l - 1, T::ZERO);
            return l;
        }
    }
    0
}

/// Takes the complex Hessenberg matrix `h` to triangular form; returns 0, or how many eigenvalues were not found.
pub(super) fn schur_complex(h: &mut MatrixMut<C64>, z: &mut MatrixMut<C64>) -> i32 {
    let (mut end, mut steps) = (h.rows, 0usize);
    while end > 1 {
        let last = end - 1;
        let start = block_start(h, last);
        if start == last {
            (end, steps) = (last, 0);
            continue;
        }
        steps += 1;
        if steps > STEPS {
            return end as i32;
        }
        let shift = if steps.is_multiple_of(10) {
            C64::new(h.at(last, last - 1).modulus(), 0.0) + h.at(last, last)
        } else {
            nearest_root(h, last)
        };
        step_complex(h, z, start..end, shift);
    }
    0
}

/// The eigenvalue of the last 2x2 block that is nearest to its last element.
fn nearest_root(h: &MatrixMut<C64>, last: usize) -> C64 {
    let (a, b) = (h.at(last - 1, last - 1), h.at(last - 1, last));
    let (c, d) = (h.at(last, last - 1), h.at(last, last));
    let half = (a - d) * 0.5;
    let root = (half * half + b * c).sqrt();
    let sum = if (half.conj() * root).re >= 0.0 { half + root } else { half - root };
    if sum == C64::ZERO { d } else { d - b * c / sum }
}

/// One QR step with that shift on a diagonal block.
fn step_complex(h: &mut MatrixMut<C64>, z: &mut MatrixMut<C64>, block: std::ops::Range<usize>, shift: C64) {
    let n = h.rows;
    let (start, end) = (block.start, block.end);
    let move_diagonal = |h: &mut MatrixMut<C64>, by: C64| {
        (start..end).for_each(|i| {
            let x = h.at(i, i) + by;
            h.put(i, i, x);
        })
    };
    move_diagonal(h, -shift);
    let mut turns = Vec::with_capacity(end - start);
    for k in start..end - 1 {
        let (a, b) = (h.at(k, k), h.at(k + 1, k));
        let r = a.modulus().hypot(b.modulus());
        let (c, s) = if r == 0.0 { (C64::ONE, C64::ZERO) } else { (a / r, b / r) };
        let (x, y) = h.two_rows(k, k + 1);
        for (x, y) in x[k..n].iter_mut().zip(&mut y[k..n]) {
            (*x, *y) = (c.conj() * *x + s.conj() * *y, c * *y - s * *x);
        }
        turns.push((c, s));
    }
    let turn_row = |row: &mut [C64], from: usize| {
        for (k, (c, s)) in (from..end - 1).zip(&turns[from - start..]) {
            let (x, y) = (row[k], row[k + 1]);
            (row[k], row[k + 1]) = (c * x + s * y, c.conj() * y - s.conj() * x);
        }
    };
    // Row i of the triangular factor begins with column i.
    (0..end).for_each(|i| turn_row(h.row_mut(i), i.saturating_sub(1).max(start)));
    z.for_rows(8 * (end - start), |_, row| turn_row(row, start));
    move_diagonal(h, shift);
}

/// The real double-shift QR iteration (EISPACK's `hqr2`).
pub(super) struct Francis<'a, 'h, 'z> {
    /// The Hessenberg matrix, in the end quasi-triangular.
    pub h: &'a mut MatrixMut<'h, f64>,
    /// What it is multiplied by on the way.
    pub z: &'a mut MatrixMut<'z, f64>,
    /// What the exceptional shifts have taken from the diagonal so far.
    shifted: f64,
}

impl<'a, 'h, 'z> Francis<'a, 'h, 'z> {
    pub(super) fn new(h: &'a mut MatrixMut<'h, f64>, z: &'a mut MatrixMut<'z, f64>) -> Self {
        Francis { h, z, shifted: 0.0 }
    }

    /// Iterates to the end; returns 0, or how many eigenvalues were not found.
    pub(super) fn run(&mut self) -> i32 {
        let (mut end, mut steps) = (self.h.rows, 0usize);
        while end > 0 {
            let last = end - 1;
            let start = block_start(self.h, last);
            match last - start {
                0 => self.unshift(last),
                1 => self.pair(last),
                _ => {
                    steps += 1;
                    if steps > STEPS {
                        return end as i32;
                    }
                    let shift = self.shift(start, last, steps);
                    self.step(start, last, shift);
                    continue;
                }
            }
            (end, steps) = (start, 0);
        }
        0
    }

    fn unshift(&mut self, i: usize) {
        let x = self.h.at(i, i) + self.shifted;
        self.h.put(i, i, x);
    }

    /// A 2x2 block that ends with row `n`: triangular if its eigenvalues are real.
    fn pair(&mut self, n: usize) {
        let w = self.h.at(n, n - 1) * self.h.at(n - 1, n);
        let p = (self.h.at(n - 1, n - 1) - self.h.at(n, n)) / 2.0;
        let q = p * p + w;
        self.unshift(n);
        self.unshift(n - 1);
        if q < 0.0 {
            return;
        }
        let z = p + q.sqrt().copysign(p);
        let x = self.h.at(n, n - 1);
        let r = x.hypot(z);
        if r == 0.0 {
            return;
        }
        let (s, c) = (x / r, z / r);
        let (a, b) = self.h.two_rows(n - 1, n);
        for (a, b) in a[n - 1..].iter_mut().zip(&mut b[n - 1..]) {
            (*a, *b) = (c * *a + s * *b, c * *b - s * *a);
        }
        let turn = |row: &mut [f64]| {
            let (a, b) = (row[n - 1], row[n]);
            (row[n - 1], row[n]) = (c * a + s * b, c * b - s * a);
        };
        (0..=n).for_each(|i| turn(self.h.row_mut(i)));
        (0..self.z.rows).for_each(|i| turn(self.z.row_mut(i)));
        self.h.put(n, n - 1, 0.0);
    }

    /// The double shift as `(x, y, w)`, the roots of `(t - x) (t - y) = w`: those of the last 2x2 block if they are
    /// complex, twice the nearer one if they are real (as LAPACK does, which decides the order of eigenvalues).
    fn shift(&mut self, start: usize, n: usize, steps: usize) -> (f64, f64, f64) {
        let h = &mut *self.h;
        let (x, y, w) = (h.at(n, n), h.at(n - 1, n - 1), h.at(n, n - 1) * h.at(n - 1, n));
        if !steps.is_multiple_of(10) {
            let half = (y - x) / 2.0;
            let square = half * half + w;
            if square < 0.0 {
                return (x, y, w);
            }
            let near = x + half - square.sqrt().copysign(half);
            return (near, near, 0.0);
        }
        self.shifted += x;
        for i in 0..=n {
            let d = h.at(i, i) - x;
            h.put(i, i, d);
        }
        let s = h.at(n, n - 1).abs() + if n >= start + 2 { h.at(n - 1, n - 2).abs() } else { 0.0 };
        (0.75 * s, 0.75 * s, -0.4375 * s * s)
    }

    /// Where the step may begin, and the first column of the shifted product there.
    fn entry(&self, start: usize, n: usize, (x, y, w): (f64, f64, f64)) -> (usize, [f64; 3]) {
        let h = &*self.h;
        let mut m = n - 2;
        loop {
            let z = h.at(m, m);
            let (r, s) = (x - z, y - z);
            let p = (r * s - w) / h.at(m + 1, m) + h.at(m, m + 1);
            let (q, r) = (h.at(m + 1, m + 1) - z - r - s, h.at(m + 2, m + 1));
            let size = p.abs() + q.abs() + r.abs();
            let [p, q, r] = [p, q, r].map(|x| x / size);
            if m == start {
                return (m, [p, q, r]);
            }
            let around = h.at(m - 1, m - 1).abs() + z.abs() + h.at(m + 1, m + 1).abs();
            if h.at(m, m - 1).abs() * (q.abs() + r.abs()) < f64::EPSILON * p.abs() * around {
                return (m, [p, q, r]);
            }
            m -= 1;
        }
    }

    /// One double step on rows `start..=n`.
    fn step(&mut self, start: usize, n: usize, shift: (f64, f64, f64)) {
        let (m, mut column) = self.entry(start, n, shift);
        for i in m + 2..=n {
            self.h.put(i, i - 2, 0.0);
            if i > m + 2 {
                self.h.put(i, i - 3, 0.0);
            }
        }
        for k in m..n {
            let three = k + 1 < n;
            let mut size = 1.0;
            if k != m {
                let below = if three { self.h.at(k + 2, k - 1) } else { 0.0 };
                column = [self.h.at(k, k - 1), self.h.at(k + 1, k - 1), below];
                size = column.iter().map(|x| x.abs()).sum();
                if size == 0.0 {
                    continue;
                }
                column = column.map(|x| x / size);
            }
            let [p, q, r] = column;
            let s = (p * p + q * q + r * r).sqrt().copysign(p);
            if s == 0.0 {
                continue;
            }
            if k != m {
                self.h.put(k, k - 1, -s * size);
            } else if start != m {
                let x = -self.h.at(k, k - 1);
                self.h.put(k, k - 1, x);
            }
            let p = p + s;
            self.reflect(k, n, three, [p / s, q / s, r / s], [1.0, q / p, r / p]);
        }
    }

    /// Applies `I - u v^T` to rows `k..k + 3` (or `k + 2`) from the left, and its transpose to the columns.
    fn reflect(&mut self, k: usize, n: usize, three: bool, u: [f64; 3], v: [f64; 3]) {
        let count = if three { 3 } else { 2 };
        for j in k..self.h.cols {
            let sum: f64 = (0..count).map(|i| v[i] * self.h.at(k + i, j)).sum();
            for (i, u) in u.iter().enumerate().take(count) {
                let x = self.h.at(k + i, j) - sum * u;
                self.h.put(k + i, j, x);
            }
        }
        let turn = |row: &mut [f64]| {
            let sum: f64 = (0..count).map(|i| u[i] * row[k + i]).sum();
            (0..count).for_each(|i| row[k + i] -= sum * v[i]);
        };
        (0..=n.min(k + 3)).for_each(|i| turn(self.h.row_mut(i)));
        (0..self.z.rows).for_each(|i| turn(self.z.row_mut(i)));
    }
}
