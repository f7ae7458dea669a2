//! The gradient of the weight: a product whose sums run over the pixels of all images.

use super::Conv;
use super::axis::{Field, Pieces};
use super::gather_grad::{self, WeightSums};
use super::patches::Patches;
use crate::gemm::{Bias, Gemm, Pack, Real, Rows};
use std::ops::Range;

/// Elements of the weight below which sums over parts of the batch run side by side.
const SMALL: usize = 1 << 15;
/// Parts that the batch is then cut into.
const PARTS: usize = 16;
/// Steps copied line by line before they are transposed.
const RUN: usize = 64;

/// `weight[o, c * taps + tap] = sum of grad[o, pixel] * patch[c, tap, pixel]`.
pub(super) fn weight_grad<T: Real>(conv: &Conv, field: &Field, grad: &[T], input: &[T], weight: &mut [T]) {
    let (m, n) = (conv.out_group(), conv.in_group() * conv.taps());
    let size = conv.groups * m * n;
    let per_part = if size < SMALL { conv.batch.div_ceil(PARTS).max(1) } else { conv.batch.max(1) };
    let parts = conv.batch.div_ceil(per_part).max(1);
    let mut sums = vec![T::ZERO; if parts > 1 { parts * size } else { 0 }];
    let out = if parts > 1 { sums.as_mut_ptr() } else { weight.as_mut_ptr() };
    if gather_grad::pays::<T>(conv, field) {
        let sums = WeightSums { conv, field, grad, input, per_part, parts, out };
        // SAFETY: `Conv` has checked the sizes of the slices; the weight or the partial sums are ours to write.
        unsafe { sums.run() }
    } else {
        products(conv, field, grad, input, per_part, out);
    }
    if parts > 1 {
        weight.copy_from_slice(&sums[..size]);
        for part in sums[size..].chunks_exact(size) {
            weight.iter_mut().zip(part).for_each(|(w, x)| *w = *w + *x);
        }
    }
}

/// The sums of all parts with registers full of patches.
fn products<T: Real>(conv: &Conv, field: &Field, grad: &[T], input: &[T], per_part: usize, out: *mut T) {
    let (m, n) = (conv.out_group(), conv.in_group() * conv.taps());
    for (first, count, images) in part_groups(conv.batch, per_part) {
        let grads = Pixels {
            groups: conv.groups,
            channels: conv.out_group(),
            pixels: field.pixels(),
            images,
            first,
            ptr: grad.as_ptr(),
        };
        let patches = PatchLines {
            patches: Patches {
                field,
                groups: conv.groups,
                channels: conv.in_group(),
                source: input.as_ptr(),
            },
            images,
            first,
        };
        let start = first / per_part.max(1) * conv.groups;
        let items: Vec<isize> = (0..count * conv.groups).map(|i| ((start + i) * m * n) as isize).collect();
        let gemm = Gemm {
            items: count * conv.groups,
            m,
            n,
            k: images * field.pixels(),
            a: &grads,
            b: &patches,
            c: &Rows { ptr: out, items: &items, row: n as isize, col: 1 },
            alpha: T::ONE,
            beta: T::ZERO,
            bias: Bias::None,
        };
        // SAFETY: `Conv` has checked the sizes of the slices; the weight or the partial sums are ours to write.
        unsafe { gemm.run() }
    }
}

/// The whole parts of a batch and what is left: first image, number of parts, images of each.
fn part_groups(batch: usize, per_part: usize) -> Vec<(usize, usize, usize)> {
    let (whole, left) = (batch / per_part, batch % per_part);
    let mut groups = vec![(0, whole, per_part), (whole * per_part, 1, left)];
    groups.retain(|(_, count, images)| count * images > 0);
    if groups.is_empty() {
        groups.push((0, 1, 0));
    }
    groups
}

/// The rows of A: line = channel of the gradient, step = pixel, image by image.
struct Pixels<T> {
    groups: usize,
    channels: usize,
    pixels: usize,
    /// Images of a part and the first one of all.
    images: usize,
    first: usize,
    ptr: *const T,
}

// SAFETY: the gradient is borrowed for the time of the product and only read.
unsafe impl<T: Sync> Sync for Pixels<T> {}

impl<T: Real> Pack<T> for Pixels<T> {
    unsafe fn pack(&self, item: usize, lines: Range<usize>, ks: Range<usize>, width: usize, dst: *mut T) {
        let fill = |l: usize, from: usize, to: usize, out: *mut T| {
            let mut at = from;
            while at < to {
                let (image, pixel) = (at / self.pixels, at % self.pixels);
                let len = (self.pixels - pixel).min(to - at);
                let image = self.first + item / self.groups * self.images + image;
                let channel = (image * self.groups + item % self.groups) * self.channels + l;
                // SAFETY: the caller asks for lines and steps that exist; `out` holds `to - from` elements.
                unsafe {
                    let src = self.ptr.add(channel * self.pixels + pixel);
                    std::ptr::copy_nonoverlapping(src, out.add(at - from), len);
                }
                at += len;
            }
        };
        // SAFETY: the caller's promise about `dst`.
        unsafe { pack_lines(fill, lines, ks, width, dst) }
    }
}

/// The columns of B: line = channel and tap, step = pixel, image by image.
struct PatchLines<'a, T> {
    patches: Patches<'a, T>,
    images: usize,
    first: usize,
}

impl<T: Real> Pack<T> for PatchLines<'_, T> {
    unsafe fn pack(&self, item: usize, lines: Range<usize>, ks: Range<usize>, width: usize, dst: *mut T) {
        let field = self.patches.field;
        let (taps, group) = (field.taps(), item % self.patches.groups);
        let first = self.first + item / self.patches.groups * self.images;
        let mut runs = Vec::with_capacity(RUN);
        let mut buffer = vec![T::ZERO; width * RUN];
        for from in ks.clone().step_by(RUN) {
            let to = ks.end.min(from + RUN);
            runs.clear();
            field.runs(from, to, |run| runs.push(run));
            let pieces = field.pieces(&runs, self.patches.image());
            let plane = |channel: usize| self.patches.plane(group, first, channel);
            for (p, start) in lines.clone().step_by(width).enumerate() {
                let some = start..lines.end.min(start + width);
                let panel = dst.wrapping_add(p * width * ks.len() + (from - ks.start) * width);
                buffer[some.len() * RUN..].fill(T::ZERO);
                copy_lines(&pieces, plane, taps, some, to - from, &mut buffer);
                // SAFETY: the panel holds these steps; `buffer` holds `width` lines of RUN.
                unsafe { transpose(&buffer, to - from, width, panel) }
            }
        }
    }
}

/// Copies `n` steps of some lines, one after another, [`RUN`] elements apart.
fn copy_lines<T: Real>(
    pieces: &Pieces,
    plane: impl Fn(usize) -> *const T,
    taps: usize,
    lines: Range<usize>,
    n: usize,
    buffer: &mut [T],
) {
    for (l, line) in lines.enumerate() {
        let dst = &mut buffer[l * RUN..][..RUN];
        // SAFETY: the line's channel and tap exist; `dst` holds RUN elements.
        unsafe { pieces.copy(line % taps, plane(line / taps), n, dst.as_mut_ptr()) }
    }
}

/// Packs lines whose runs of steps `fill` copies: `fill(line, from, to, out)`.
unsafe fn pack_lines<T: Real>(
    fill: impl Fn(usize, usize, usize, *mut T),
    lines: Range<usize>,
    ks: Range<usize>,
    width: usize,
    dst: *mut T,
) {
    let mut run = vec![T::ZERO; width * RUN];
    for (p, start) in lines.clone().step_by(width).enumerate() {
        let count = width.min(lines.end - start);
        let panel = dst.wrapping_add(p * width * ks.len());
        for from in ks.clone().step_by(RUN) {
            let to = ks.end.min(from + RUN);
            for l in 0..count {
                fill(start + l, from, to, run[l * RUN..].as_mut_ptr());
            }
            run[count * RUN..].fill(T::ZERO);
            // SAFETY: the panel holds these steps; `run` holds `width` lines of RUN.
            unsafe { transpose(&run, to - from, width, panel.add((from - ks.start) * width)) }
        }
    }
}

/// Writes `k` steps of `width` lines of [`RUN`] elements as groups.
unsafe fn transpose<T: Real>(run: &[T], k: usize, width: usize, dst: *mut T) {
    for l in (0..width).step_by(8) {
        let lines = &run[l * RUN..];
        let mut done = 0;
        if l + 8 <= width {
            // SAFETY: 8 lines of RUN elements; the caller promises `k` groups.
            done = unsafe { T::transpose8(lines.as_ptr(), RUN as isize, k, dst.add(l), width) };
        }
        for i in 0..8.min(width - l) {
            for s in done..k {
                // SAFETY: as above.
                unsafe { *dst.add(s * width + l + i) = lines[i * RUN + s] }
            }
        }
    }
}
