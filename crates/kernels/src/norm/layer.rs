//! Layer norm: every row is normalised by its own mean and variance.

use std::borrow::Cow;

use super::sums::moments;
use crate::math::Real;
use crate::multiversion;
use crate::parallel::for_tasks;
use crate::parts::Parts;

/// Elements that are worth a task.
const GRAIN: usize = 1 << 14;
/// Most pieces that the gradients of weight and bias are summed in.
const PIECES: usize = 32;

multiversion! {
    fn normalise<T: Real>(x: &[T], mean: T, rstd: T, weight: &[T], bias: &[T], y: &mut [T]) {
        for (((y, x), w), b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
            *y = ((*x - mean) * rstd).mul_add(*w, *b);
        }
    }

    /// Sums of `g w` and of `g w xhat` over a row; adds the row to the gradients of weight and bias.
    fn row_sums<T: Real>(g: &[T], x: &[T], mean: T, rstd: T, weight: &[T], gw: &mut [T], gb: &mut [T]) -> (T, T) {
        const LANES: usize = 32;
        let (mut a, mut b) = ([T::ZERO; LANES], [T::ZERO; LANES]);
        let inputs = g.chunks(LANES).zip(x.chunks(LANES)).zip(weight.chunks(LANES));
        for (((g, x), w), (gw, gb)) in inputs.zip(gw.chunks_mut(LANES).zip(gb.chunks_mut(LANES))) {
            let lanes = a.iter_mut().zip(&mut b);
            let outputs = gw.iter_mut().zip(gb).zip(lanes);
            for (((g, x), w), ((gw, gb), (a, b))) in g.iter().zip(x).zip(w).zip(outputs) {
                let (xhat, scaled) = ((*x - mean) * rstd, *g * *w);
                *a = *a + scaled;
                *b = scaled.mul_add(xhat, *b);
                *gw = g.mul_add(xhat, *gw);
                *gb = *gb + *g;
            }
        }
        let add = |lanes: [T; LANES]| lanes.into_iter().fold(T::ZERO, |s, x| s + x);
        (add(a), add(b))
    }

    /// `gx = rstd (g w - a - xhat b)`.
    fn row_gradient<T: Real>(g: &[T], x: &[T], mean: T, rstd: T, weight: &[T], a: T, b: T, gx: &mut [T]) {
        for (((gx, g), x), w) in gx.iter_mut().zip(g).zip(x).zip(weight) {
            *gx = (*g * *w - a - (*x - mean) * rstd * b) * rstd;
        }
    }
}

/// `values`, or `n` times `default` where there are none.
fn or_all<T: Real>(values: &[T], n: usize, default: T) -> Cow<'_, [T]> {
    if values.is_empty() { vec![default; n].into() } else { values.into() }
}

/// Normalises the rows of `x`, each of `n` elements: `y = (x - mean) rstd weight + bias`.
///
/// `weight` and `bias` have `n` elements or none (then they are 1 and 0); `mean` and `rstd` get one value a row.
///
/// # Panics
/// If the lengths do not fit.
#[allow(clippy::too_many_arguments)]
pub fn layer_norm<T: Real>(
    n: usize,
    eps: f64,
    x: &[T],
    weight: &[T],
    bias: &[T],
    y: &mut [T],
    mean: &mut [T],
    rstd: &mut [T],
) {
    let rows = mean.len();
    assert!(x.len() == rows * n && y.len() == x.len() && rstd.len() == rows);
    let (weight, bias) = (or_all(weight, n, T::ONE), or_all(bias, n, T::ZERO));
    let (y, means, rstds) = (Parts::new(y), Parts::new(mean), Parts::new(rstd));
    let group = (GRAIN / n.max(1)).max(1);
    for_tasks(rows.div_ceil(group), |task| {
        for i in task * group..((task + 1) * group).min(rows) {
            let row = &x[i * n..(i + 1) * n];
            let (mean, squares) = moments(row);
            let (mean, rstd) = (T::real(mean), T::real(1.0 / (squares / n as f64 + eps).sqrt()));
            // SAFETY: each row is one task's.
            unsafe {
                (means.part(i..i + 1)[0], rstds.part(i..i + 1)[0]) = (mean, rstd);
                normalise(row, mean, rstd, &weight, &bias, y.part(i * n..(i + 1) * n));
            }
        }
    });
}

/// Gradients of [`layer_norm`] for `x`, weight and bias; each is computed if its slice is not empty.
///
/// # Panics
/// If the lengths do not fit.
#[allow(clippy::too_many_arguments)]
pub fn layer_norm_backward<T: Real>(
    n: usize,
    g: &[T],
    x: &[T],
    mean: &[T],
    rstd: &[T],
    weight: &[T],
    gx: &mut [T],
    gw: &mut [T],
    gb: &mut [T],
) {
    let rows = mean.len();
    assert!(x.len() == rows * n && g.len() == x.len() && rstd.len() == rows);
    let weight = or_all(weight, n, T::ONE);
    let piece = rows.div_ceil(PIECES).max(GRAIN / n.max(1)).max(1);
    let pieces = rows.div_ceil(piece);
    let mut sums = vec![T::ZERO; 2 * n * pieces];
    let wanted = !gx.is_empty();
    let (gx_parts, sum_parts) = (Parts::new(gx), Parts::new(&mut sums));
    for_tasks(pieces, |p| {
        // SAFETY: each piece is one task's.
        let (gw, gb) = unsafe { sum_parts.part(2 * n * p..2 * n * (p + 1)) }.split_at_mut(n);
        for i in p * piece..((p + 1) * piece).min(rows) {
            let (g, x) = (&g[i * n..(i + 1) * n], &x[i * n..(i + 1) * n]);
            let (a, b) = row_sums(g, x, mean[i], rstd[i], &weight, gw, gb);
            if wanted {
                let count = T::real(n as f64);
                // SAFETY: each row is one task's.
                let gx = unsafe { gx_parts.part(i * n..(i + 1) * n) };
                row_gradient(g, x, mean[i], rstd[i], &weight, a / count, b / count, gx);
            }
        }
    });
    for (skip, out) in [(0, gw), (1, gb)] {
        for (i, out) in out.iter_mut().enumerate() {
            *out = (0..pieces).fold(T::ZERO, |s, p| s + sums[(2 * p + skip) * n + i]);
        }
    }
}
