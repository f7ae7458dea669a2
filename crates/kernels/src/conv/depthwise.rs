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

/// What a row of outputs meets: the start of each stretch in the plane, and the tap.
fn stretches<T: Real>(field: &Field, plane: &Plane<T>, z: usize, y: usize, out: &mut Vec<(usize, usize)>) {
    out.clear();
    let [az, ay, ax] = &field.axes;
    let mut tap = 0;
    for (_, dz) in &az.taps {
        for (_, dy) in &ay.taps {
            let source = |o: usize, step: usize, d: isize, n: usize| {
                (o * step).checked_add_signed(d).filter(|s| *s < n)
            };
            let zy = source(z, az.step, *dz, field.source[0]).zip(source(y, ay.step, *dy, field.source[1]));
            if let Some((z, y)) = zy {
                let row = (z * field.source[1] + y) * plane.row;
                out.extend(
                    ax.taps.iter().enumerate().map(|(i, t)| (row + plane.column(field, t.1), tap + i)),
                );
            }
            tap += ax.taps.len();
        }
    }
}

/// `sums[..n] = bias + sum of weight * stretch`.
struct WeightedSum<'a, T> {
    data: &'a [T],
    /// Start of the stretch and its weight.
    terms: &'a [(usize, T)],
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
                let (src, w) = (self.data.as_ptr().add(start + x), V::splat(*weight));
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
    let spread = field.axes[2].spread;
    let n = field.axes[2].n;
    let (mut places, mut terms) = (Vec::new(), Vec::new());
    let mut apart = vec![T::ZERO; if spread > 1 { n } else { 0 }];
    field.runs(0, field.pixels(), |run| {
        stretches(field, plane, run.z, run.y, &mut places);
        terms.clear();
        terms.extend(places.iter().map(|(start, tap)| (*start, weight(*tap))));
        // SAFETY: the caller's promise; a run is a whole row here.
        unsafe {
            let row = out.add(field.place(&run));
            let sums = if spread > 1 { apart.as_mut_ptr() } else { row };
            T::vectorize(isa(), &WeightedSum { data: &plane.data, terms: &terms, bias, n, sums });
            for (i, x) in apart.iter().enumerate() {
                *row.add(i * spread) = *x;
            }
        }
    });
}

/// `sums[tap] += sum of grad * stretch` for a row.
struct RowDots<'a, T> {
    data: &'a [T],
    places: &'a [(usize, usize)],
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
                let (x, g) = (self.data.as_ptr().add(*start), self.grad.as_ptr());
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
        let mut places = Vec::new();
        for channel in channels * task / tasks..channels * (task + 1) / tasks {
            for image in 0..batch {
                let p = image * channels + channel;
                plane.fill(field, &source[p * field.source_plane()..][..field.source_plane()]);
                let grad = &grad[p * pixels..][..pixels];
                field.runs(0, pixels, |run| {
                    stretches(field, &plane, run.z, run.y, &mut places);
                    let row = &grad[run.at..run.at + run.len];
                    // SAFETY: a run is a whole row; this channel's weights are this task's.
                    unsafe {
                        let sums = out.0.add(channel * taps);
                        T::vectorize(isa(), &RowDots { data: &plane.data, places: &places, grad: row, sums });
                    }
                });
            }
        }
    });
}
