//! Groups of one channel: each output plane is a weighted sum of shifted rows of one source plane.
//!
//! The source plane is first copied with zeros around it and with its columns sorted by their residue modulo the
//! step; then what a row of outputs meets through a tap is one stretch of memory, whatever padding and stride are.

use super::axis::{Axis, Field, Run};
use crate::gemm::{Real, Simd, Vectorized};
use crate::isa::isa;
use crate::parallel::{for_tasks, num_threads};
use crate::parts::Parts;
use std::ops::Range;

/// Zeros after a row, so that a register can be read at its end.
const SLACK: usize = 64;
/// Rows of outputs that are summed together.
const ROWS: usize = 4;

/// Where the sources of an axis lie in a padded plane: the least that a tap meets comes first.
struct Span {
    least: isize,
    len: usize,
}

impl Span {
    fn new(axis: &Axis) -> Span {
        let least = axis.taps.iter().map(|t| t.1).min().unwrap_or(0);
        let most = axis.taps.iter().map(|t| t.1).max().unwrap_or(0);
        Span { least, len: axis.n.saturating_sub(1) * axis.step + (most - least) as usize + 1 }
    }

    /// The sources that exist and are met, and the place of the first.
    fn kept(&self, extent: usize) -> (Range<usize>, usize) {
        let from = self.least.max(0) as usize;
        let to = extent.min((self.len as isize + self.least).max(0) as usize).max(from);
        (from..to, (from as isize - self.least) as usize)
    }
}

/// A source plane, padded and with its columns rearranged.
struct Plane<T> {
    spans: [Span; 3],
    /// Elements of one residue of a row, and of a row.
    residue: usize,
    row: usize,
    data: Vec<T>,
}

impl<T: Real> Plane<T> {
    fn new(field: &Field) -> Plane<T> {
        let spans = [0, 1, 2].map(|d| Span::new(&field.axes[d]));
        let step = field.axes[2].step;
        let residue = spans[2].len.div_ceil(step) + SLACK;
        let row = residue * step;
        let data = vec![T::ZERO; row * spans[0].len * spans[1].len];
        Plane { spans, residue, row, data }
    }

    /// Takes over a source plane; what lies around it stays zero.
    fn fill(&mut self, field: &Field, source: &[T]) {
        let [_, height, width] = field.source;
        let [(zs, z0), (ys, y0), (xs, x0)] = [0, 1, 2].map(|d| self.spans[d].kept(field.source[d]));
        for z in zs.clone() {
            for y in ys.clone() {
                let src = &source[(z * height + y) * width..][xs.clone()];
                let row = (z + z0 - zs.start) * self.spans[1].len + y + y0 - ys.start;
                let row = &mut self.data[row * self.row..][..self.row];
                match field.axes[2].step {
                    1 => row[x0..x0 + src.len()].copy_from_slice(src),
                    2 => split_two(src, x0, self.residue, row),
                    step => split(src, step, x0, self.residue, row),
                }
            }
        }
    }

    /// Where what the first output meets through tap `t` lies.
    fn stretch(&self, field: &Field, t: usize) -> usize {
        let (_, offset) = field.tap(t);
        let [z, y, x] = [0, 1, 2].map(|d| (offset[d] - self.spans[d].least) as usize);
        let step = field.axes[2].step;
        (z * self.spans[1].len + y) * self.row + x % step * self.residue + x / step
    }

    /// The distance of neighbouring slices and rows of outputs.
    fn steps(&self, field: &Field) -> (usize, usize) {
        (field.axes[0].step * self.spans[1].len * self.row, field.axes[1].step * self.row)
    }
}

/// Puts element `x` of `src` at place `(x + first) / step` of residue `(x + first) % step`.
#[inline(always)]
fn split<T: Copy>(src: &[T], step: usize, first: usize, residue: usize, row: &mut [T]) {
    for x in 0..step.min(src.len()) {
        let column = x + first;
        let to = &mut row[column % step * residue + column / step..];
        for (to, from) in to.iter_mut().zip(src[x..].iter().step_by(step)) {
            *to = *from;
        }
    }
}

crate::multiversion! {
    fn split_two<T: Copy>(src: &[T], first: usize, residue: usize, row: &mut [T]) {
        split(src, 2, first, residue, row);
    }
}

/// `sums[row][x] = bias + sum of weight * stretch`, for some rows of `n` outputs.
struct WeightedSums<'a, T> {
    source: *const T,
    source_step: usize,
    /// Start of the stretch, counted from the source of a row, and its weight.
    terms: &'a [(usize, T)],
    bias: T,
    rows: usize,
    n: usize,
    sums: *mut T,
    sums_step: usize,
}

impl<T: Real> Vectorized<T> for WeightedSums<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Simd<E = T>>(&self) {
        let whole = self.rows / ROWS * ROWS;
        // SAFETY: rows and columns exist.
        unsafe {
            for x in (0..self.n).step_by(V::LANES) {
                for row in (0..whole).step_by(ROWS) {
                    self.tile::<V, ROWS>(row, x);
                }
                for row in whole..self.rows {
                    self.tile::<V, 1>(row, x);
                }
            }
        }
    }
}

impl<T: Real> WeightedSums<'_, T> {
    #[inline(always)]
    unsafe fn tile<V: Simd<E = T>, const R: usize>(&self, row: usize, x: usize) {
        // SAFETY: a stretch is followed by SLACK elements; stores are cut at `n`.
        unsafe {
            let mut acc = [V::splat(self.bias); R];
            let source = self.source.add(row * self.source_step + x);
            for (start, weight) in self.terms {
                let (source, w) = (source.add(*start), V::splat(*weight));
                for (r, a) in acc.iter_mut().enumerate() {
                    *a = w.fma(V::load(source.add(r * self.source_step)), *a);
                }
            }
            for (r, a) in acc.into_iter().enumerate() {
                let to = self.sums.add((row + r) * self.sums_step + x);
                if x + V::LANES <= self.n { a.store(to) } else { a.store_first(to, self.n - x) }
            }
        }
    }
}

/// A pointer that tasks write disjoint parts of.
struct Out<T>(*mut T);

// SAFETY: each task writes planes of its own.
unsafe impl<T> Sync for Out<T> {}

/// Weights, and their strides from group to group and from output channel to output channel of a group.
pub(super) type DepthwiseWeights<'a, T> = (&'a [T], [isize; 2]);

/// `out[pixel] = bias + sum over taps`, for the pixels of `field`; `outs` output channels for each source channel.
pub(super) fn gather<T: Real>(
    (batch, channels, outs): (usize, usize, usize),
    (field, kernel): (&Field, [usize; 3]),
    source: &[T],
    (weight, strides): DepthwiseWeights<T>,
    bias: Option<&[T]>,
    out: &mut [T],
) {
    let planes = batch * channels;
    let tasks = planes.min(8 * num_threads());
    let offsets: Vec<usize> = (0..field.taps())
        .map(|t| {
            let [z, y, x] = field.tap(t).0;
            (z * kernel[1] + y) * kernel[2] + x
        })
        .collect();
    let out = Out(out.as_mut_ptr());
    for_tasks(tasks, |task| {
        let out = &out;
        let mut plane = Plane::new(field);
        for p in planes * task / tasks..planes * (task + 1) / tasks {
            let (image, channel) = (p / channels, p % channels);
            plane.fill(field, &source[p * field.source_plane()..][..field.source_plane()]);
            for o in 0..outs {
                let start = channel as isize * strides[0] + o as isize * strides[1];
                let weight = |t: usize| weight[start as usize + offsets[t]];
                let bias = bias.map_or(T::ZERO, |b| b[channel * outs + o]);
                let at = (image * channels + channel) * outs + o;
                // SAFETY: this output plane is this task's.
                unsafe { plane_sums(field, &plane, weight, bias, out.0.add(at * field.out_plane())) }
            }
        }
    });
}

/// One output plane.
unsafe fn plane_sums<T: Real>(
    field: &Field,
    plane: &Plane<T>,
    weight: impl Fn(usize) -> T,
    bias: T,
    out: *mut T,
) {
    let (spread, n, rows) = (field.axes[2].spread, field.axes[2].n, field.axes[1].n);
    let terms: Vec<(usize, T)> = (0..field.taps()).map(|t| (plane.stretch(field, t), weight(t))).collect();
    let (slice_step, source_step) = plane.steps(field);
    let mut apart = vec![T::ZERO; if field.dense() { 0 } else { n * rows }];
    for z in 0..field.axes[0].n {
        let place = |y: usize| out.wrapping_add(field.place(&Run { image: 0, z, y, x: 0, at: 0, len: n }));
        let sums = if field.dense() { place(0) } else { apart.as_mut_ptr() };
        let source = plane.data.as_ptr().wrapping_add(z * slice_step);
        let job = WeightedSums { source, source_step, terms: &terms, bias, rows, n, sums, sums_step: n };
        // SAFETY: the plane holds what the rows meet; dense outputs lie one row after another.
        unsafe { T::vectorize(isa(), &job) };
        for (y, row) in apart.chunks_exact(n.max(1)).enumerate() {
            for (i, x) in row.iter().enumerate() {
                // SAFETY: the caller promises the plane of outputs.
                unsafe { *place(y).add(i * spread) = *x }
            }
        }
    }
}

/// `sum += grad * stretch` over some rows of `n` gradients, for each stretch.
struct Dots<'a, T> {
    source: *const T,
    source_step: usize,
    starts: &'a [usize],
    grad: *const T,
    rows: usize,
    n: usize,
    sums: *mut T,
}

impl<T: Real> Vectorized<T> for Dots<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Simd<E = T>>(&self) {
        let whole = self.n / V::LANES * V::LANES;
        let left = self.n - whole;
        // SAFETY: stretches are as long as the rows of gradients; there is a sum for each.
        unsafe {
            for (t, start) in self.starts.iter().enumerate() {
                let mut acc = [V::zero(); 2];
                for row in 0..self.rows {
                    let (x, g) =
                        (self.source.add(row * self.source_step + start), self.grad.add(row * self.n));
                    for i in (0..whole).step_by(V::LANES) {
                        acc.swap(0, 1);
                        acc[0] = V::load(g.add(i)).fma(V::load(x.add(i)), acc[0]);
                    }
                    if left > 0 {
                        acc[1] = V::load_first(g.add(whole), left).fma(V::load(x.add(whole)), acc[1]);
                    }
                }
                *self.sums.add(t) = *self.sums.add(t) + acc[0].add(acc[1]).sum();
            }
        }
    }
}

/// The gradient of the weight, one element a tap and channel: sums over images in order.
pub(super) fn weight_grad<T: Real>(
    (batch, channels): (usize, usize),
    field: &Field,
    grad: &[T],
    source: &[T],
    weight: &mut [T],
) {
    let (taps, pixels) = (field.taps(), field.pixels());
    let [slices, rows, n] = [0, 1, 2].map(|d| field.axes[d].n);
    weight.fill(T::ZERO);
    let weights = Parts::new(weight);
    let tasks = channels.min(8 * num_threads());
    for_tasks(tasks, |task| {
        let mut plane = Plane::new(field);
        let starts: Vec<usize> = (0..taps).map(|t| plane.stretch(field, t)).collect();
        let (slice_step, source_step) = plane.steps(field);
        for channel in channels * task / tasks..channels * (task + 1) / tasks {
            // SAFETY: this channel's weights are this task's.
            let sums = unsafe { weights.part(channel * taps..(channel + 1) * taps) }.as_mut_ptr();
            for image in 0..batch {
                let p = image * channels + channel;
                plane.fill(field, &source[p * field.source_plane()..][..field.source_plane()]);
                for z in 0..slices {
                    let grad = grad[p * pixels + z * rows * n..].as_ptr();
                    let source = plane.data.as_ptr().wrapping_add(z * slice_step);
                    let dots = Dots { source, source_step, starts: &starts, grad, rows, n, sums };
                    // SAFETY: the plane holds what the rows meet; a row of gradients has `n` elements.
                    unsafe { T::vectorize(isa(), &dots) };
                }
            }
        }
    });
}
