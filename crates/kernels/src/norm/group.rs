//! Group norm: in every sample of `[N, C, S]`, each group of neighbouring channels is normalised by its own statistics.

use super::sums::{affine, combine, dot, moments};
use crate::math::Real;
use crate::parts::{Parts, each_row};

/// Elements that are worth a task.
const GRAIN: usize = 1 << 14;

/// Sizes of a batch and the number of groups, which divides the channels.
#[derive(Clone, Copy, Debug)]
pub struct GroupShape {
    /// Number of samples.
    pub n: usize,
    /// Number of channels.
    pub c: usize,
    /// Elements of one channel of one sample.
    pub s: usize,
    /// Number of groups.
    pub groups: usize,
}

impl GroupShape {
    fn fits(&self, x: usize, statistics: usize) -> bool {
        x == self.n * self.c * self.s && statistics == self.n * self.groups
    }

    /// Channels of a group.
    fn width(&self) -> usize {
        self.c / self.groups.max(1)
    }
}

/// `y = (x - mean) rstd weight + bias` with a weight and a bias for every channel (or none), statistics for every group.
///
/// # Panics
/// If the lengths do not fit.
#[allow(clippy::too_many_arguments)]
pub fn group_norm<T: Real>(
    shape: GroupShape,
    eps: f64,
    x: &[T],
    weight: &[T],
    bias: &[T],
    y: &mut [T],
    mean: &mut [T],
    rstd: &mut [T],
) {
    assert!(shape.fits(x.len(), mean.len()) && y.len() == x.len() && rstd.len() == mean.len());
    let (d, s) = (shape.width(), shape.s);
    let (means, rstds) = (Parts::new(mean), Parts::new(rstd));
    each_row(y, d * s, GRAIN, |i, y| {
        let x = &x[i * d * s..(i + 1) * d * s];
        let (mean, squares) = moments(x);
        let rstd = 1.0 / (squares / (d * s) as f64 + eps).sqrt();
        // SAFETY: each group is one task's.
        unsafe { (means.part(i..i + 1)[0], rstds.part(i..i + 1)[0]) = (T::real(mean), T::real(rstd)) };
        for (k, (x, y)) in x.chunks(s).zip(y.chunks_mut(s)).enumerate() {
            let channel = i % shape.groups * d + k;
            let scale = rstd * weight.get(channel).map_or(1.0, |w| w.wide());
            let shift = bias.get(channel).map_or(0.0, |b| b.wide()) - mean * scale;
            affine(x, T::real(scale), T::real(shift), y);
        }
    });
}

/// Gradients of [`group_norm`] for `x`, weight and bias; each is computed if its slice is not empty.
///
/// # Panics
/// If the lengths do not fit.
#[allow(clippy::too_many_arguments)]
pub fn group_norm_backward<T: Real>(
    shape: GroupShape,
    g: &[T],
    x: &[T],
    mean: &[T],
    rstd: &[T],
    weight: &[T],
    gx: &mut [T],
    gw: &mut [T],
    gb: &mut [T],
) {
    assert!(shape.fits(x.len(), mean.len()) && g.len() == x.len() && rstd.len() == mean.len());
    let (c, d, s) = (shape.c, shape.width(), shape.s);
    let mut sums = vec![(0.0, 0.0); shape.n * c];
    each_row(&mut sums, 1, GRAIN / s.max(1), |i, out| {
        let row = i * s..(i + 1) * s;
        out[0] = dot(&g[row.clone()], &x[row], mean[i / d]);
    });
    for k in 0..c {
        let over = |f: &dyn Fn(usize) -> f64| (0..shape.n).map(|n| f(n * c + k)).sum::<f64>();
        if let Some(out) = gw.get_mut(k) {
            *out = T::real(over(&|i| sums[i].1 * rstd[i / d].wide()));
        }
        if let Some(out) = gb.get_mut(k) {
            *out = T::real(over(&|i| sums[i].0));
        }
    }
    let count = (d * s) as f64;
    each_row(gx, d * s, GRAIN, |i, gx| {
        let w = |k: usize| weight.get(i % shape.groups * d + k).map_or(1.0, |w| w.wide());
        let (mut total, mut product) = (0.0, 0.0);
        for k in 0..d {
            total += w(k) * sums[i * d + k].0;
            product += w(k) * sums[i * d + k].1;
        }
        let (mean, rstd) = (mean[i], rstd[i].wide());
        let slope = -product * rstd.powi(3) / count;
        let shift = -total * rstd / count;
        for (k, gx) in gx.chunks_mut(s).enumerate() {
            let row = (i * d + k) * s..(i * d + k + 1) * s;
            combine(&g[row.clone()], &x[row], mean, T::real(rstd * w(k)), T::real(slope), T::real(shift), gx);
        }
    });
}
