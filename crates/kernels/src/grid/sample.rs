//! The loops over blocks of points.

use super::Sampler;
use super::axis::Axis;
use crate::math::Real;
use crate::multiversion;
use crate::parallel::for_tasks;
use crate::parts::Parts;

/// Points of a block.
const BLOCK: usize = 64;
/// Channels whose gradients are one task's.
const CHANNELS: usize = 8;
/// The offset of an element outside of the plane.
const OUTSIDE: u32 = u32::MAX;

/// Sizes: input `[n, c, plane…]`, grid `[n, points, rank]`, output `[n, c, points]`.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// Number of samples.
    pub n: usize,
    /// Number of channels.
    pub c: usize,
    /// Sizes of a plane, a 1 in front for two dimensions; fewer than 2^32 elements, at least one.
    pub plane: [usize; 3],
    /// Points of a sample.
    pub points: usize,
}

impl Grid {
    fn elements(&self) -> usize {
        self.plane.iter().product()
    }

    /// Block `b` of a sample: its first point and their number.
    fn block(&self, b: usize) -> (usize, usize) {
        (b * BLOCK, BLOCK.min(self.points - b * BLOCK))
    }

    fn blocks(&self) -> usize {
        self.points.div_ceil(BLOCK)
    }
}

/// For each combination of elements along the dimensions, the points of a block.
struct Block<T> {
    offset: Vec<[u32; BLOCK]>,
    weight: Vec<[T; BLOCK]>,
    /// Derivatives of the weight by x, y and z.
    slope: Vec<[[T; BLOCK]; 3]>,
}

impl<T: Real> Block<T> {
    fn new(sampler: &Sampler, slopes: bool) -> Block<T> {
        let taps = sampler.width().pow(sampler.rank as u32);
        Block {
            offset: vec![[OUTSIDE; BLOCK]; taps],
            weight: vec![[T::ZERO; BLOCK]; taps],
            slope: vec![[[T::ZERO; BLOCK]; 3]; if slopes { taps } else { 0 }],
        }
    }

    /// Fills in the points of `grid`, `rank` coordinates each.
    fn place(&mut self, sampler: &Sampler, plane: [usize; 3], grid: &[T]) {
        let whole = Axis { index: [0, -1, -1, -1], weight: [T::ONE; 4], slope: [T::ZERO; 4] };
        for (p, point) in grid.chunks_exact(sampler.rank).enumerate() {
            let mut axes = [whole; 3];
            for (d, x) in point.iter().enumerate() {
                axes[d] = sampler.axis(*x, plane[2 - d]);
            }
            self.combine(sampler, plane, p, &axes);
        }
    }

    fn combine(&mut self, sampler: &Sampler, [_, height, width]: [usize; 3], p: usize, axes: &[Axis<T>; 3]) {
        let (k, [x, y, z]) = (sampler.width(), axes);
        for tap in 0..self.offset.len() {
            let (i, j, l) = (tap % k, tap / k % k, tap / (k * k));
            let (a, b, c) = (x.index[i], y.index[j], z.index[l]);
            let offset = (c * height as i64 + b) * width as i64 + a;
            self.offset[tap][p] = if a < 0 || b < 0 || c < 0 { OUTSIDE } else { offset as u32 };
            let (wx, wy, wz) = (x.weight[i], y.weight[j], z.weight[l]);
            self.weight[tap][p] = wx * wy * wz;
            if let Some(slope) = self.slope.get_mut(tap) {
                let all = [x.slope[i] * wy * wz, wx * y.slope[j] * wz, wx * wy * z.slope[l]];
                slope.iter_mut().zip(all).for_each(|(s, v)| s[p] = v);
            }
        }
    }
}

multiversion! {
    /// `y += weight * x[offset]`.
    fn gather<T: Real>(x: &[T], offset: &[u32; BLOCK], weight: &[T; BLOCK], y: &mut [T]) {
        for ((y, o), w) in y.iter_mut().zip(offset).zip(weight) {
            *y = *y + *w * x.get(*o as usize).copied().unwrap_or(T::ZERO);
        }
    }

    /// `sum += g * x[offset]`.
    fn correlate<T: Real>(x: &[T], offset: &[u32; BLOCK], g: &[T], sum: &mut [T; BLOCK]) {
        for ((s, o), g) in sum.iter_mut().zip(offset).zip(g) {
            *s = *s + *g * x.get(*o as usize).copied().unwrap_or(T::ZERO);
        }
    }
}

/// Samples `x` at the points of `grid`.
///
/// # Panics
/// If the lengths do not fit.
pub fn sample<T: Real>(sampler: &Sampler, sizes: Grid, x: &[T], grid: &[T], y: &mut [T]) {
    let (blocks, plane, rank) = (sizes.blocks(), sizes.elements(), sampler.rank);
    let y = Parts::new(y);
    for_tasks(sizes.n * blocks, |task| {
        let (n, (first, count)) = (task / blocks, sizes.block(task % blocks));
        let mut block = Block::new(sampler, false);
        let start = n * sizes.points + first;
        block.place(sampler, sizes.plane, &grid[start * rank..(start + count) * rank]);
        for c in n * sizes.c..(n + 1) * sizes.c {
            let at = c * sizes.points + first;
            // SAFETY: each block of a channel is one task's.
            let y = unsafe { y.part(at..at + count) };
            y.fill(T::ZERO);
            for (offset, weight) in block.offset.iter().zip(&block.weight) {
                gather(&x[c * plane..(c + 1) * plane], offset, weight, y);
            }
        }
    });
}

/// Gradient of [`sample`] for the input.
///
/// # Panics
/// If the lengths do not fit.
pub fn sample_input_grad<T: Real>(sampler: &Sampler, sizes: Grid, g: &[T], grid: &[T], gx: &mut [T]) {
    let (groups, plane, rank) = (sizes.c.div_ceil(CHANNELS), sizes.elements(), sampler.rank);
    let gx = Parts::new(gx);
    for_tasks(sizes.n * groups, |task| {
        let (n, group) = (task / groups, task % groups);
        let channels = n * sizes.c + group * CHANNELS..n * sizes.c + ((group + 1) * CHANNELS).min(sizes.c);
        // SAFETY: each group of channels is one task's.
        let gx = unsafe { gx.part(channels.start * plane..channels.end * plane) };
        gx.fill(T::ZERO);
        let mut block = Block::new(sampler, false);
        for (first, count) in (0..sizes.blocks()).map(|b| sizes.block(b)) {
            let start = n * sizes.points + first;
            block.place(sampler, sizes.plane, &grid[start * rank..(start + count) * rank]);
            for (c, gx) in channels.clone().zip(gx.chunks_exact_mut(plane)) {
                let at = c * sizes.points + first;
                scatter(&block, &g[at..at + count], gx);
            }
        }
    });
}

fn scatter<T: Real>(block: &Block<T>, g: &[T], gx: &mut [T]) {
    for (offset, weight) in block.offset.iter().zip(&block.weight) {
        for ((g, o), w) in g.iter().zip(offset).zip(weight) {
            if let Some(gx) = gx.get_mut(*o as usize) {
                *gx = *gx + *w * *g;
            }
        }
    }
}

/// Gradient of [`sample`] for the grid.
///
/// # Panics
/// If the lengths do not fit.
pub fn sample_grid_grad<T: Real>(
    sampler: &Sampler,
    sizes: Grid,
    g: &[T],
    x: &[T],
    grid: &[T],
    out: &mut [T],
) {
    let (blocks, plane, rank) = (sizes.blocks(), sizes.elements(), sampler.rank);
    let out = Parts::new(out);
    for_tasks(sizes.n * blocks, |task| {
        let (n, (first, count)) = (task / blocks, sizes.block(task % blocks));
        let mut block = Block::new(sampler, true);
        let points = (n * sizes.points + first) * rank..(n * sizes.points + first + count) * rank;
        block.place(sampler, sizes.plane, &grid[points.clone()]);
        // SAFETY: each block of points is one task's.
        let out = unsafe { out.part(points) };
        out.fill(T::ZERO);
        for (offset, slope) in block.offset.iter().zip(&block.slope) {
            let mut sum = [T::ZERO; BLOCK];
            for c in n * sizes.c..(n + 1) * sizes.c {
                let at = c * sizes.points + first;
                correlate(&x[c * plane..(c + 1) * plane], offset, &g[at..at + count], &mut sum);
            }
            for (p, point) in out.chunks_exact_mut(rank).enumerate() {
                point.iter_mut().zip(slope).for_each(|(o, s)| *o = *o + s[p] * sum[p]);
            }
        }
    });
}
