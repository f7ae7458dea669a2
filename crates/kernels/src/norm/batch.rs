//! Batch norm: every channel of `[N, C, S]` is normalised by its mean and variance over batch and space.

use super::sums::{affine, combine, dot};
use crate::dtype::DType;
use crate::math::Real;
use crate::multiversion;
use crate::parts::{Parts, each_row};
use crate::reduce::moments;
use crate::strided::Operand;

/// Elements that are worth a task.
const GRAIN: usize = 1 << 14;

/// Sizes of a batch: samples, channels, elements of a channel of a sample.
#[derive(Clone, Copy, Debug)]
pub struct BatchShape {
    /// Number of samples.
    pub n: usize,
    /// Number of channels.
    pub c: usize,
    /// Elements of one channel of one sample.
    pub s: usize,
}

impl BatchShape {
    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.n * self.c * self.s
    }
}

/// Mean and biased variance of every channel of the contiguous elements at `x`, of any floating-point type.
///
/// # Safety
/// As many elements as `shape` says lie in readable memory.
///
/// # Panics
/// If the lengths do not fit.
pub unsafe fn batch_statistics(
    shape: BatchShape,
    x: *mut u8,
    dtype: DType,
    mean: &mut [f64],
    var: &mut [f64],
) {
    assert!(mean.len() == shape.c && var.len() == shape.c);
    let (n, c, s) = (shape.n as i64, shape.c as i64, shape.s as i64);
    let from = [c * s, s, 1];
    let input = Operand { ptr: x, dtype, strides: &from };
    let to = |x: &mut [f64]| Operand { ptr: x.as_mut_ptr().cast(), dtype: DType::F64, strides: &[0, 1, 0] };
    let (var, mean) = (to(var), to(mean));
    // SAFETY: as the caller promises; the lengths of the results were checked.
    unsafe { moments(&[n, c, s], &[true, false, true], input, 0.0, false, Some(var), Some(mean)) };
}

multiversion! {
    fn affine_row<T: Real>(x: &[T], scale: &[T], shift: &[T], y: &mut [T]) {
        for (((y, x), a), b) in y.iter_mut().zip(x).zip(scale).zip(shift) {
            *y = x.mul_add(*a, *b);
        }
    }

    fn combine_row<T: Real>(g: &[T], x: &[T], mean: &[f64], a: &[T], b: &[T], c: &[T], gx: &mut [T]) {
        let terms = mean.iter().zip(a).zip(b.iter().zip(c));
        for (((gx, g), x), ((mean, a), (b, c))) in gx.iter_mut().zip(g).zip(x).zip(terms) {
            *gx = g.mul_add(*a, (*x - T::real(*mean)).mul_add(*b, *c));
        }
    }

    fn sum_rows<T: Real>(g: &[T], x: &[T], mean: &[f64], sums: &mut [f64], dots: &mut [f64]) {
        for ((((s, d), g), x), mean) in sums.iter_mut().zip(dots).zip(g).zip(x).zip(mean) {
            *s += g.wide();
            *d += (x.wide() - mean) * g.wide();
        }
    }
}

/// `y = x scale + shift`, with a scale and a shift for every channel, for some rows from `first` on: a row is one channel
/// of one sample, or all of them where a channel is one element.
///
/// # Panics
/// If the lengths do not fit.
pub fn batch_norm<T: Real>(shape: BatchShape, first: usize, x: &[T], scale: &[T], shift: &[T], y: &mut [T]) {
    assert!(y.len() == x.len() && scale.len() == shape.c && shift.len() == shape.c);
    let (c, s) = (shape.c, shape.s);
    if s == 1 {
        return each_row(y, c, GRAIN, |i, y| affine_row(&x[i * c..(i + 1) * c], scale, shift, y));
    }
    each_row(y, s, GRAIN, |i, y| {
        let channel = (first + i) % c;
        affine(&x[i * s..(i + 1) * s], scale[channel], shift[channel], y);
    });
}

/// Gradients of batch norm for `x`, weight and bias; each is computed if its slice is not empty.
///
/// `mean` and `rstd` are those that the forward used; `train` says that they came from this batch and depend on `x`.
/// `weight` has a value for every channel, or none (then it is 1).
///
/// # Panics
/// If the lengths do not fit.
#[allow(clippy::too_many_arguments)]
pub fn batch_norm_backward<T: Real>(
    shape: BatchShape,
    train: bool,
    g: &[T],
    x: &[T],
    mean: &[f64],
    rstd: &[f64],
    weight: &[T],
    gx: &mut [T],
    gw: &mut [T],
    gb: &mut [T],
) {
    let c = shape.c;
    assert!(x.len() == shape.numel() && g.len() == x.len() && mean.len() == c && rstd.len() == c);
    let mut sums = vec![(0.0, 0.0); c];
    let job = Backward { shape, train, g, x, mean, rstd, weight };
    if shape.s == 1 {
        job.by_rows(&mut sums, gx)
    } else {
        job.by_channels(&mut sums, gx)
    }
    gw.iter_mut().enumerate().for_each(|(k, out)| *out = T::real(sums[k].1 * rstd[k]));
    gb.iter_mut().enumerate().for_each(|(k, out)| *out = T::real(sums[k].0));
}

/// What the backward of batch norm reads.
struct Backward<'a, T> {
    shape: BatchShape,
    train: bool,
    g: &'a [T],
    x: &'a [T],
    mean: &'a [f64],
    rstd: &'a [f64],
    weight: &'a [T],
}

impl<T: Real> Backward<'_, T> {
    /// `(a, b, c)` of `gx = a g + b (x - mean) + c` for channel `k`, from the sums of `g` and of `(x - mean) g`.
    ///
    /// It is `w rstd (g - mean(g) - (x - mean) rstd^2 mean((x - mean) g))`.
    fn terms(&self, k: usize, (sum, dot): (f64, f64)) -> (T, T, T) {
        let scale = self.rstd[k] * self.weight.get(k).map_or(1.0, |w| w.wide());
        let count = if self.train { (self.shape.n * self.shape.s) as f64 } else { f64::INFINITY };
        (
            T::real(scale),
            T::real(-scale * self.rstd[k] * self.rstd[k] * dot / count),
            T::real(-scale * sum / count),
        )
    }

    /// A channel at a time: its sums, then its gradient while it is in the cache.
    fn by_channels(&self, sums: &mut [(f64, f64)], gx: &mut [T]) {
        let BatchShape { n, c, s } = self.shape;
        let (wanted, gx) = (!gx.is_empty(), Parts::new(gx));
        each_row(sums, 1, GRAIN / (n * s).max(1), |k, out| {
            let mean = T::real(self.mean[k]);
            let rows = (0..n).map(|i| (i * c + k) * s..(i * c + k + 1) * s);
            for row in rows.clone() {
                let (sum, product) = dot(&self.g[row.clone()], &self.x[row], mean);
                out[0] = (out[0].0 + sum, out[0].1 + product);
            }
            let (a, b, shift) = self.terms(k, out[0]);
            for row in rows.filter(|_| wanted) {
                // SAFETY: each channel is one task's.
                let gx = unsafe { gx.part(row.clone()) };
                combine(&self.g[row.clone()], &self.x[row], mean, a, b, shift, gx);
            }
        });
    }

    /// A sample at a time, where a channel of a sample is one element.
    fn by_rows(&self, sums: &mut [(f64, f64)], gx: &mut [T]) {
        let c = self.shape.c;
        let (mut total, mut product) = (vec![0.0; c], vec![0.0; c]);
        for i in 0..self.shape.n {
            sum_rows(
                &self.g[i * c..(i + 1) * c],
                &self.x[i * c..(i + 1) * c],
                self.mean,
                &mut total,
                &mut product,
            );
        }
        let (mut a, mut b, mut shift) = (vec![T::ZERO; c], vec![T::ZERO; c], vec![T::ZERO; c]);
        for k in 0..c {
            sums[k] = (total[k], product[k]);
            (a[k], b[k], shift[k]) = self.terms(k, sums[k]);
        }
        each_row(gx, c, GRAIN, |i, gx| {
            let row = i * c..(i + 1) * c;
            combine_row(&self.g[row.clone()], &self.x[row], self.mean, &a, &b, &shift, gx);
        });
    }
}
