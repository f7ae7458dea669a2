//! Sums over one row: lanes of the element type over a block, `f64` over blocks.

use crate::lanes::join32;
use crate::math::Real;
use crate::multiversion;

const LANES: usize = 32;
/// Elements that are summed in their own type; long enough to be fast, short enough to stay accurate.
const BLOCK: usize = 4096;

#[inline(always)]
fn total<T: Real>(lanes: [T; LANES]) -> f64 {
    join32(lanes, |a, b| a + b).wide()
}

multiversion! {
    fn block_sum<T: Real>(x: &[T]) -> f64 {
        let mut lanes = [T::ZERO; LANES];
        let (chunks, rest) = x.as_chunks::<LANES>();
        for chunk in chunks {
            for i in 0..LANES {
                lanes[i] = lanes[i] + chunk[i];
            }
        }
        lanes.iter_mut().zip(rest).for_each(|(l, x)| *l = *l + *x);
        total(lanes)
    }

    /// Sums of `x - mean` and of its square.
    fn block_squares<T: Real>(x: &[T], mean: T) -> (f64, f64) {
        let (mut sums, mut squares) = ([T::ZERO; LANES], [T::ZERO; LANES]);
        let (chunks, rest) = x.as_chunks::<LANES>();
        for chunk in chunks {
            for i in 0..LANES {
                let d = chunk[i] - mean;
                sums[i] = sums[i] + d;
                squares[i] = d.mul_add(d, squares[i]);
            }
        }
        for ((s, q), x) in sums.iter_mut().zip(&mut squares).zip(rest) {
            let d = *x - mean;
            *s = *s + d;
            *q = d.mul_add(d, *q);
        }
        (total(sums), total(squares))
    }

    /// Sums of `g` and of `(x - mean) g`.
    fn block_dot<T: Real>(g: &[T], x: &[T], mean: T) -> (f64, f64) {
        let (mut sums, mut dots) = ([T::ZERO; LANES], [T::ZERO; LANES]);
        let ((gs, g_rest), (xs, x_rest)) = (g.as_chunks::<LANES>(), x.as_chunks::<LANES>());
        for (g, x) in gs.iter().zip(xs) {
            for i in 0..LANES {
                sums[i] = sums[i] + g[i];
                dots[i] = (x[i] - mean).mul_add(g[i], dots[i]);
            }
        }
        for (((s, d), g), x) in sums.iter_mut().zip(&mut dots).zip(g_rest).zip(x_rest) {
            *s = *s + *g;
            *d = (*x - mean).mul_add(*g, *d);
        }
        (total(sums), total(dots))
    }

    /// `y = x scale + shift`.
    pub(super) fn affine<T: Real>(x: &[T], scale: T, shift: T, y: &mut [T]) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = x.mul_add(scale, shift));
    }

    /// `gx = a g + b (x - mean) + c`.
    pub(super) fn combine<T: Real>(g: &[T], x: &[T], mean: T, a: T, b: T, c: T, gx: &mut [T]) {
        for ((gx, g), x) in gx.iter_mut().zip(g).zip(x) {
            *gx = g.mul_add(a, (*x - mean).mul_add(b, c));
        }
    }
}

/// Sums of `g` and of `(x - mean) g`.
pub(super) fn dot<T: Real>(g: &[T], x: &[T], mean: T) -> (f64, f64) {
    let blocks = g.chunks(BLOCK).zip(x.chunks(BLOCK)).map(|(g, x)| block_dot(g, x, mean));
    blocks.fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1))
}

/// Mean and sum of squared deviations of `x`.
pub(super) fn moments<T: Real>(x: &[T]) -> (f64, f64) {
    let n = x.len() as f64;
    let near = T::real(x.chunks(BLOCK).map(|x| block_sum(x)).sum::<f64>() / n);
    let blocks = x.chunks(BLOCK).map(|x| block_squares(x, near));
    let (sum, squares) = blocks.fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    (near.wide() + sum / n, (squares - sum * sum / n).max(0.0))
}
