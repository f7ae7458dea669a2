//! Groups of one channel: each output plane is a weighted sum of shifted rows of one source plane.
//!
//! The source plane is first copied with zeros around it and with its columns sorted by their residue modulo the
//! step; then what a row of outputs meets through a tap is one stretch of memory, whatever padding and stride are.

use super::axis::Field;
use crate::gemm::{Real, Simd, Vectorized};
use crate::isa::isa;
use crate::parallel::{for_tasks, num_threads};

/// Zeros after a row, so that a register can be read at its end.
const SLACK: usize = 64;

/// A source plane with its columns rearranged.
struct Plane<T> {
    /// Offset of the first column kept: the least that a tap meets.
    least: isize,
    /// Elements of one residue of a row, and of a row.
    residue: usize,
    row: usize,
    data: Vec<T>,
}

impl<T: Real> Plane<T> {
    fn new(field: &Field) -> Plane<T> {
        let axis = &field.axes[2];
        let least = axis.taps.iter().map(|t| t.1).min().unwrap_or(0);
        let most = axis.taps.iter().map(|t| t.1).max().unwrap_or(0);
        let span = axis.n.saturating_sub(1) * axis.step + (most - least) as usize + 1;
        let residue = span.div_ceil(axis.step) + SLACK;
        let row = residue * axis.step;
        Plane { least, residue, row, data: vec![T::ZERO; row * field.source[0] * field.source[1]] }
    }

    /// Takes over a source plane; what lies around it stays zero.
    fn fill(&mut self, field: &Field, source: &[T]) {
        let (width, step) = (field.source[2], field.axes[2].step);
        let (skip, shift) = (self.least.max(0) as usize, (-self.least).max(0) as usize);
        let kept = width.min((self.residue - SLACK) * step + skip - shift.min((self.residue - SLACK) * step));
        for (row, src) in self.data.chunks_exact_mut(self.row).zip(source.chunks_exact(width)) {
            let src = &src[skip.min(kept)..kept];
            if step == 1 {
                row[shift..shift + src.len()].copy_from_slice(src);
                continue;
            }
            for (x, value) in src.iter().enumerate() {
                row[(x + shift) % step * self.residue + (x + shift) / step] = *value;
            }
        }
    }

    /// Where the stretch that a row of outputs meets through an offset starts in its row.
    fn column(&self, field: &Field, offset: isize) -> usize {
        let x = (offset - self.least) as usize;
        x % field.axes[2].step * self.residue + x / field.axes[2].step
    }
}

/// What rows of outputs meet through the taps, counted from the row of the source at their own position; each stretch comes with
/// something that belongs to its tap.
struct Stretches<P> {
    all: Vec<(isize, P)>,
    /// Offsets into slices and rows of the source, tap by tap.
    offsets: Vec<[isize; 2]>,
    some: Vec<(isize, P)>,
}

impl<P: Copy> Stretches<P> {
    fn new<T: Real>(field: &Field, plane: &Plane<T>, of_tap: impl Fn(usize) -> P) -> Stretches<P> {
        let rows = field.source[1] as isize;
        let tap = |t: usize| field.tap(t).1;
        let stretch = |t: usize| {
            let [z, y, x] = tap(t);
            ((z * rows + y) * plane.row as isize + plane.column(field, x) as isize, of_tap(t))
        };
        Stretches {
            all: (0..field.taps()).map(stretch).collect(),
            offsets: (0..field.taps()).map(|t| [tap(t)[0], tap(t)[1]]).collect(),
            some: Vec::new(),
        }
    }

    /// The position of a row in the plane, and the stretches that exist for it.
    fn of_row<T: Real>(
        &mut self,
        field: &Field,
        plane: &Plane<T>,
        z: usize,
        y: usize,
    ) -> (usize, &[(isize, P)]) {
        let (z, y) = (z * field.axes[0].step, y * field.axes[1].step);
        let exists = |d: &[isize; 2]| {
            z.checked_add_signed(d[0]).is_some_and(|z| z < field.source[0])
                && y.checked_add_signed(d[1]).is_some_and(|y| y < field.source[1])
        };
        let at = (z * field.source[1] + y) * plane.row;
        if self.offsets.iter().all(exists) {
            return (at, &self.all);
        }
        self.some.clear();
        self.some.extend(self.all.iter().zip(&self.offsets).filter(|(_, d)| exists(d)).map(|(s, _)| *s));
        (at, &self.some)
    }
}

/// `sums[..n] = bias + sum of weight * stretch`.
struct WeightedSum<'a, T> {
    /// The row of the source at the row's own position.
    source: *const T,
    /// Start of the stretch, counted from there, and its weight.
    terms: &'a [(isize, T)],
    bias: T,
    n: usize,
    sums: *mut T,
}

impl<T: Real> Vectorized<T> for WeightedSum<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Simd<E = T>>(&self) {
        let mut x = 0;
        // SAFETY: `columns` stays within the stretches (they are padded) and stores `n` elements.
        unsafe {
            while x + 2 * V::LANES < self.n {
                self.columns::<V, 4>(x);
                x += 4 * V::LANES;
            }
            while x < self.n {
                self.columns::<V, 1>(x);
                x += V::LANES;
            }
        }
    }
}

impl<T: Real> WeightedSum<'_, T> {
    #[inline(always)]
    unsafe fn columns<V: Simd<E = T>, const N: usize>(&self, x: usize) {
        // SAFETY: a stretch is followed by SLACK elements; stores are cut at `n`.
        unsafe {
            let mut acc = [V::splat(self.bias); N];
            for (start, weight) in self.terms {
                let (src, w) = (self.source.wrapping_offset(*start).add(x), V::splat(*weight));
                for (i, a) in acc.iter_mut().enumerate() {
                    *a = w.fma(V::load(src.add(i * V::LANES)), *a);
                }
            }
            for (i, a) in acc.into_iter().enumerate() {
                let at = x + i * V::LANES;
                if at + V::LANES <= self.n {
                    a.store(self.sums.add(at));
                } else if at < self.n {
                    a.store_first(self.sums.add(at), self.n - at);
                }
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
    let (spread, n) = (field.axes[2].spread, field.axes[2].n);
    let mut stretches = Stretches::new(field, plane, weight);
    let mut apart = vec![T::ZERO; if spread > 1 { n } else { 0 }];
    field.runs(0, field.pixels(), |run| {
        let (at, terms) = stretches.of_row(field, plane, run.z, run.y);
        // SAFETY: the caller's promise; a run is a whole row here.
        unsafe {
            let row = out.add(field.place(&run));
            let sums = if spread > 1 { apart.as_mut_ptr() } else { row };
            let source = plane.data.as_ptr().wrapping_add(at);
            T::vectorize(isa(), &WeightedSum { source, terms, bias, n, sums });
            for (i, x) in apart.iter().enumerate() {
                *row.add(i * spread) = *x;
            }
        }
    });
}

/// `sums[tap] += sum of grad * stretch` for a row.
struct RowDots<'a, T> {
    /// The row of the source at the row's own position.
    source: *const T,
    places: &'a [(isize, usize)],
    grad: &'a [T],
    sums: *mut T,
}

impl<T: Real> Vectorized<T> for RowDots<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Simd<E = T>>(&self) {
        let whole = self.grad.len() / V::LANES * V::LANES;
        let left = self.grad.len() - whole;
        // SAFETY: stretches are as long as the row of gradients; `sums` has an element for each tap.
        unsafe {
            for (start, tap) in self.places {
                let (x, g) = (self.source.wrapping_offset(*start), self.grad.as_ptr());
                let mut acc = V::zero();
                for i in (0..whole).step_by(V::LANES) {
                    acc = V::load(g.add(i)).fma(V::load(x.add(i)), acc);
                }
                if left > 0 {
                    acc = V::load_first(g.add(whole), left).fma(V::load_first(x.add(whole), left), acc);
                }
                *self.sums.add(*tap) = *self.sums.add(*tap) + acc.sum();
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
    weight.fill(T::ZERO);
    let out = Out(weight.as_mut_ptr());
    let tasks = channels.min(8 * num_threads());
    for_tasks(tasks, |task| {
        let out = &out;
        let mut plane = Plane::new(field);
        let mut stretches = Stretches::new(field, &plane, |tap| tap);
        for channel in channels * task / tasks..channels * (task + 1) / tasks {
            for image in 0..batch {
                let p = image * channels + channel;
                plane.fill(field, &source[p * field.source_plane()..][..field.source_plane()]);
                let grad = &grad[p * pixels..][..pixels];
                field.runs(0, pixels, |run| {
                    let (at, places) = stretches.of_row(field, &plane, run.z, run.y);
                    let source = plane.data.as_ptr().wrapping_add(at);
                    let row = &grad[run.at..run.at + run.len];
                    // SAFETY: a run is a whole row; this channel's weights are this task's.
                    unsafe {
                        let sums = out.0.add(channel * taps);
                        T::vectorize(isa(), &RowDots { source, places, grad: row, sums });
                    }
                });
            }
        }
    });
}
