//! Running sums, products and extremes along the middle dimension of `[outer, n, inner]`.
//!
//! `f32` sums and products run in `f64`, as PyTorch's do: a running sum cannot be made a tree without changing its results.

use crate::dtype::{C32, C64, Element};
use crate::multiversion;
use crate::parts::Parts;
use crate::softmax::Along;

/// Columns or rows that advance together.
const STRIP: usize = 256;
const ROWS: usize = 8;
/// Columns that are brought in together: a cache line of `f32`.
const COLUMNS: usize = 16;

/// A type of running sums and products.
pub trait Running: Element {
    /// Type of the running value.
    type Acc: Copy + std::ops::Add<Output = Self::Acc> + std::ops::Mul<Output = Self::Acc>;
    /// The value of an empty sum (`false`) or product (`true`).
    fn start(product: bool) -> Self::Acc;
    /// Widens an element.
    fn widen(self) -> Self::Acc;
    /// Rounds a running value.
    fn round(acc: Self::Acc) -> Self;
}

macro_rules! running {
    ($($t:ty, $acc:ty, $zero:expr, $one:expr, |$x:ident| $widen:expr, |$a:ident| $round:expr);* $(;)?) => {$(
        impl Running for $t {
            type Acc = $acc;
            #[inline(always)]
            fn start(product: bool) -> $acc { if product { $one } else { $zero } }
            #[inline(always)]
            fn widen(self) -> $acc { let $x = self; $widen }
            #[inline(always)]
            fn round($a: $acc) -> Self { $round }
        }
    )*};
}

running! {
    f32, f64, 0.0, 1.0, |x| f64::from(x), |a| a as f32;
    f64, f64, 0.0, 1.0, |x| x, |a| a;
    i64, std::num::Wrapping<i64>, std::num::Wrapping(0), std::num::Wrapping(1), |x| std::num::Wrapping(x), |a| a.0;
    C32, C64, C64::new(0.0, 0.0), C64::new(1.0, 0.0), |x| C64::new(x.re.into(), x.im.into()),
        |a| C32::new(a.re as f32, a.im as f32);
    C64, C64, C64::new(0.0, 0.0), C64::new(1.0, 0.0), |x| x, |a| a;
}

#[inline(always)]
fn next<T: Running>(acc: T::Acc, x: T, product: bool) -> T::Acc {
    if product { acc * x.widen() } else { acc + x.widen() }
}

/// Replaces the elements of some columns by the running values.
#[inline(always)]
fn advance<T: Running>(product: bool, acc: &mut [T::Acc; ROWS], tile: &mut [[T; COLUMNS]; ROWS]) {
    for k in 0..COLUMNS {
        for (acc, row) in acc.iter_mut().zip(tile.iter_mut()) {
            *acc = next(*acc, row[k], product);
            row[k] = T::round(*acc);
        }
    }
}

multiversion! {
    /// One row.
    fn row<T: Running>(product: bool, x: &[T], y: &mut [T]) {
        let mut acc = T::start(product);
        for (x, y) in x.iter().zip(y) {
            acc = next(acc, *x, product);
            *y = T::round(acc);
        }
    }

    /// `ROWS` rows of `n` elements side by side, so that their chains of additions overlap. A few columns at a time go through
    /// the stack: rows a power of two apart compete for the same places of the caches.
    fn rows<T: Running>(product: bool, n: usize, x: &[T], y: &mut [T]) {
        let mut acc = [T::start(product); ROWS];
        for k in (0..n).step_by(COLUMNS) {
            let width = COLUMNS.min(n - k);
            let mut tile = [[x[0]; COLUMNS]; ROWS];
            if width == COLUMNS {
                for (tile, x) in tile.iter_mut().zip(x.chunks_exact(n)) {
                    tile.copy_from_slice(&x[k..k + COLUMNS]);
                }
                advance(product, &mut acc, &mut tile);
                for (tile, y) in tile.iter().zip(y.chunks_exact_mut(n)) {
                    y[k..k + COLUMNS].copy_from_slice(tile);
                }
                continue;
            }
            for (tile, x) in tile.iter_mut().zip(x.chunks_exact(n)) {
                tile[..width].copy_from_slice(&x[k..]);
            }
            advance(product, &mut acc, &mut tile);
            for (tile, y) in tile.iter().zip(y.chunks_exact_mut(n)) {
                y[k..].copy_from_slice(&tile[..width]);
            }
        }
    }

    /// One step of neighbouring columns.
    fn step<T: Running>(product: bool, x: &[T], acc: &mut [T::Acc], y: &mut [T]) {
        for ((x, acc), y) in x.iter().zip(acc).zip(y) {
            *acc = next(*acc, *x, product);
            *y = T::round(*acc);
        }
    }
}

/// Running sums (or products) of contiguous `x`.
///
/// # Panics
/// If a slice is not as long as `shape` says.
pub fn cumulate<T: Running>(product: bool, shape: Along, x: &[T], y: &mut [T]) {
    assert!(x.len() == shape.numel() && y.len() == x.len());
    let (n, y) = (shape.n, Parts::new(y));
    if shape.inner == 1 {
        let whole = shape.outer / ROWS;
        Along { outer: whole, n: ROWS * n, inner: 1 }.strips(|start, _| {
            let range = start..start + ROWS * n;
            // SAFETY: each group of rows is one task's.
            rows(product, n, &x[range.clone()], unsafe { y.part(range) });
        });
        for start in (whole * ROWS * n..x.len()).step_by(n.max(1)) {
            // SAFETY: no task runs any more.
            row(product, &x[start..start + n], unsafe { y.part(start..start + n) });
        }
        return;
    }
    shape.strips(|start, width| {
        let mut acc = [T::start(product); STRIP];
        for k in 0..n {
            let range = start + k * shape.inner..start + k * shape.inner + width;
            // SAFETY: each strip is one task's.
            step(product, &x[range.clone()], &mut acc, unsafe { y.part(range) });
        }
    });
}

/// Calls `f(output, input)` for every row or column with an iterator over its element positions.
fn each_line(shape: Along, f: impl Fn(&mut dyn Iterator<Item = usize>) + Sync) {
    shape.strips(|start, width| {
        for column in start..start + width {
            f(&mut (0..shape.n).map(|k| column + k * shape.inner));
        }
    });
}

/// Running maximum (or minimum) of contiguous `x` and its index, the last of equals; NaN stays once met.
///
/// # Panics
/// If a slice is not as long as `shape` says.
#[allow(clippy::eq_op)] // NaN is what differs from itself
pub fn running_extreme<T: Element + PartialOrd>(
    max: bool,
    shape: Along,
    x: &[T],
    y: &mut [T],
    indices: &mut [i64],
) {
    assert!(x.len() == shape.numel() && y.len() == x.len() && indices.len() == x.len());
    let (y, indices) = (Parts::new(y), Parts::new(indices));
    each_line(shape, |line| {
        let mut best: Option<(T, i64)> = None;
        for (k, i) in line.enumerate() {
            let x = x[i];
            let better = |b: T| x != x || b == b && if max { x >= b } else { x <= b };
            let now = match best {
                Some(b) if !better(b.0) => b,
                _ => (x, k as i64),
            };
            best = Some(now);
            // SAFETY: each line is one task's.
            unsafe { (y.part(i..i + 1)[0], indices.part(i..i + 1)[0]) = now };
        }
    });
}

/// A type of running sums of exponentials.
pub trait Exponential: Running {
    /// The logarithm of 0.
    const LOWEST: Self::Acc;
    /// `ln(e^a + e^b)`.
    fn log_add(a: Self::Acc, b: Self::Acc) -> Self::Acc;
}

macro_rules! exponential {
    ($($t:ty, $lowest:expr, $add:ident);*) => {$(
        impl Exponential for $t {
            const LOWEST: Self::Acc = $lowest;
            fn log_add(a: Self::Acc, b: Self::Acc) -> Self::Acc { $add(a, b) }
        }
    )*};
}

exponential!(
    f32, f64::NEG_INFINITY, log_add;
    f64, f64::NEG_INFINITY, log_add;
    C32, C64::new(f64::NEG_INFINITY, 0.0), log_add_complex;
    C64, C64::new(f64::NEG_INFINITY, 0.0), log_add_complex
);

/// Logarithm of the running sum of exponentials of contiguous `x`.
///
/// # Panics
/// If a slice is not as long as `shape` says.
pub fn log_cumulate<T: Exponential>(shape: Along, x: &[T], y: &mut [T]) {
    assert!(x.len() == shape.numel() && y.len() == x.len());
    let y = Parts::new(y);
    each_line(shape, |line| {
        let mut acc = T::LOWEST;
        for i in line {
            acc = T::log_add(x[i].widen(), acc);
            // SAFETY: each line is one task's.
            unsafe { y.part(i..i + 1)[0] = T::round(acc) };
        }
    });
}

/// `ln(e^a + e^b)`.
fn log_add(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == high && !low.is_finite() { a } else { (low - high).exp().ln_1p() + high }
}

/// As [`log_add`]; the real parts say which exponential is the larger.
fn log_add_complex(a: C64, b: C64) -> C64 {
    if a.is_nan() || b.is_nan() {
        return C64::new(f64::NAN, f64::NAN);
    }
    let (low, high) = if a.re < b.re { (a, b) } else { (b, a) };
    if low.re == f64::NEG_INFINITY || high.re == f64::INFINITY {
        return high;
    }
    ((low - high).exp() + 1.0).ln() + high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_products_along_any_dimension() {
        for (outer, n, inner) in [(19, 7, 1), (1, 1000, 1), (3, 5, 300), (2, 0, 3), (0, 2, 1), (4, 1, 2)] {
            let shape = Along { outer, n, inner };
            let x: Vec<f32> = (0..shape.numel()).map(|i| ((i * 37 + 11) % 17) as f32 / 16.0 + 0.5).collect();
            let whole: Vec<i64> = x.iter().map(|v| (v * 16.0) as i64).collect();
            let (mut sum, mut product, mut ints) = (x.clone(), x.clone(), whole.clone());
            cumulate(false, shape, &x, &mut sum);
            cumulate(true, shape, &x, &mut product);
            cumulate(false, shape, &whole, &mut ints);
            for (o, i) in (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))) {
                let (mut s, mut p, mut t) = (0.0_f64, 1.0_f64, 0);
                for k in 0..n {
                    let at = (o * n + k) * inner + i;
                    (s, p, t) = (s + f64::from(x[at]), p * f64::from(x[at]), t + whole[at]);
                    assert_eq!((sum[at], product[at], ints[at]), (s as f32, p as f32, t));
                }
            }
        }
    }

    #[test]
    fn extremes_keep_the_last_of_equals_and_nan() {
        let shape = Along { outer: 1, n: 6, inner: 1 };
        let (mut y, mut at) = ([0.0_f32; 6], [0; 6]);
        running_extreme(true, shape, &[1.0, 3.0, 3.0, 2.0, f32::NAN, 9.0], &mut y, &mut at);
        assert_eq!((&y[..4], y[5].is_nan(), at), (&[1.0, 3.0, 3.0, 3.0][..], true, [0, 1, 2, 2, 4, 4]));
        running_extreme(false, shape, &[4, 3, 3, 5, 1, 1], &mut [0_i64; 6], &mut at);
        assert_eq!(at, [0, 1, 2, 2, 4, 5]);
    }

    #[test]
    fn log_of_running_exponentials() {
        let inf = f32::INFINITY;
        let mut y = [0.0_f32; 4];
        log_cumulate(Along { outer: 1, n: 4, inner: 1 }, &[-inf, 0.0, 1000.0, inf], &mut y);
        assert_eq!(y, [-inf, 0.0, 1000.0, inf]);
    }
}
