//! The operands of a convolution's product: patches packed from the image, weights by tap, and the place of the result.

use super::Weights;
use super::axis::{Field, Run};
use crate::gemm::{Pack, Real, Sink};
use std::ops::Range;

/// The columns of B: column `pixel`, step `channel * taps + tap`.
pub(super) struct Patches<'a, T> {
    pub field: &'a Field,
    pub groups: usize,
    /// Channels of a group.
    pub channels: usize,
    pub source: *const T,
}

// SAFETY: the source is borrowed for the time of the product and only read.
unsafe impl<T: Sync> Sync for Patches<'_, T> {}

impl<T: Real> Patches<'_, T> {
    /// A channel's plane; the item says the group and, where images are products of their own, the image.
    pub(super) fn plane(&self, item: usize, image: usize, channel: usize) -> *const T {
        let image = image + item / self.groups;
        let channel = (image * self.groups + item % self.groups) * self.channels + channel;
        self.source.wrapping_add(channel * self.field.source_plane())
    }
}

impl<T: Real> Pack<T> for Patches<'_, T> {
    unsafe fn pack(&self, item: usize, lines: Range<usize>, ks: Range<usize>, width: usize, dst: *mut T) {
        for (p, start) in lines.clone().step_by(width).enumerate() {
            let end = lines.end.min(start + width);
            let mut runs = Vec::with_capacity(width);
            self.field.runs(start, end, |run| runs.push(run));
            let panel = PanelOf { item, ks: ks.clone(), width, filled: end - start, runs: &runs };
            // SAFETY: the panel's place in `dst`; the caller promises that the lines and steps exist.
            unsafe { pack_panel(self, panel, dst.add(p * width * ks.len())) }
        }
    }
}

struct PanelOf<'a> {
    item: usize,
    ks: Range<usize>,
    width: usize,
    filled: usize,
    runs: &'a [Run],
}

crate::multiversion! {
    fn pack_panel<T: Real>(patches: &Patches<T>, panel: PanelOf, dst: *mut T) {
        let taps = patches.field.taps();
        for (i, k) in panel.ks.clone().enumerate() {
            let (channel, tap) = (k / taps, k % taps);
            let (_, offset) = patches.field.tap(tap);
            // SAFETY: the panel has `ks.len()` groups of `width`; the planes exist.
            unsafe {
                let group = dst.add(i * panel.width);
                for run in panel.runs {
                    let plane = patches.plane(panel.item, run.image, channel);
                    patches.field.copy(plane, run, offset, group.add(run.at));
                }
                for l in panel.filled..panel.width {
                    *group.add(l) = T::ZERO;
                }
            }
        }
    }
}

/// The rows of A where the kernel's elements do not simply follow each other.
pub(super) struct Taps<T> {
    weights: Weights<T>,
    groups: usize,
    offsets: Vec<isize>,
}

// SAFETY: the weights are borrowed for the time of the product and only read.
unsafe impl<T: Sync> Sync for Taps<T> {}

impl<T> Taps<T> {
    pub(super) fn new(weights: Weights<T>, groups: usize, field: &Field, kernel: [usize; 3]) -> Taps<T> {
        let offset = |t: usize| {
            let ([z, y, x], _) = field.tap(t);
            ((z * kernel[1] + y) * kernel[2] + x) as isize
        };
        Taps { weights, groups, offsets: (0..field.taps()).map(offset).collect() }
    }

    /// Whether step `k` is at `k` elements from the line's start.
    pub(super) fn contiguous(&self) -> bool {
        self.weights.channel == self.offsets.len() as isize
            && self.offsets.iter().enumerate().all(|(i, o)| i as isize == *o)
    }
}

impl<T: Real> Pack<T> for Taps<T> {
    unsafe fn pack(&self, item: usize, lines: Range<usize>, ks: Range<usize>, width: usize, dst: *mut T) {
        let group = self.weights.ptr.wrapping_offset((item % self.groups) as isize * self.weights.group);
        let taps = self.offsets.len();
        for (i, l) in (lines.start..lines.start + lines.len().next_multiple_of(width)).enumerate() {
            let line = group.wrapping_offset(l as isize * self.weights.line);
            let start = i / width * width * ks.len() + i % width;
            for (s, k) in ks.clone().enumerate() {
                let at = (k / taps) as isize * self.weights.channel + self.offsets[k % taps];
                // SAFETY: the caller asks for lines and steps that exist; `dst` holds all panels.
                unsafe {
                    *dst.add(start + s * width) = if l < lines.end { *line.offset(at) } else { T::ZERO };
                }
            }
        }
    }
}

/// The place of the result: row = channel of the group, column = pixel.
pub(super) struct Place<'a, T> {
    pub field: &'a Field,
    /// Offset of each item.
    pub items: &'a [isize],
    /// Elements of an image.
    pub image: usize,
    pub out: *mut T,
}

// SAFETY: the output is borrowed mutably for the time of the product; blocks do not overlap.
unsafe impl<T: Sync> Sync for Place<'_, T> {}

impl<T: Real> Sink<T> for Place<'_, T> {
    fn direct(&self, item: usize, rows: Range<usize>, cols: Range<usize>) -> Option<(*mut T, isize)> {
        let pixels = self.field.pixels();
        let (image, pixel) = (cols.start / pixels, cols.start % pixels);
        if !self.field.dense() || pixel + cols.len() > pixels {
            return None;
        }
        let plane = self.field.out_plane();
        let offset = self.items[item] + (image * self.image + rows.start * plane + pixel) as isize;
        Some((self.out.wrapping_offset(offset), plane as isize))
    }

    unsafe fn store(
        &self,
        item: usize,
        rows: Range<usize>,
        cols: Range<usize>,
        block: *const T,
        row: usize,
        beta: T,
    ) {
        let spread = self.field.axes[2].spread;
        self.field.runs(cols.start, cols.end, |run| {
            let place = run.image * self.image + self.field.place(&run);
            for (i, r) in rows.clone().enumerate() {
                let offset = self.items[item] + (r * self.field.out_plane() + place) as isize;
                for j in 0..run.len {
                    // SAFETY: the pixel exists and is this block's.
                    unsafe {
                        let dst = self.out.offset(offset).add(j * spread);
                        let x = *block.add(i * row + run.at + j);
                        *dst = if beta == T::ZERO { x } else { x + beta * *dst };
                    }
                }
            }
        });
    }
}
