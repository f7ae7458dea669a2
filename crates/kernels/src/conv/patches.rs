//! The operands of a convolution's product: patches packed from the image, and the place of the result.

use super::axis::{Field, Pieces, copy_short};
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

impl<T: Real> Patches<'_, T> {
    /// Elements of an image.
    pub(super) fn image(&self) -> usize {
        self.groups * self.channels * self.field.source_plane()
    }
}

impl<T: Real> Pack<T> for Patches<'_, T> {
    unsafe fn pack(&self, item: usize, lines: Range<usize>, ks: Range<usize>, width: usize, dst: *mut T) {
        let mut runs = Vec::with_capacity(width);
        for (p, start) in lines.clone().step_by(width).enumerate() {
            let end = lines.end.min(start + width);
            runs.clear();
            self.field.runs(start, end, |run| runs.push(run));
            let pieces = self.field.pieces(&runs, self.image());
            let panel = PanelOf { item, ks: ks.clone(), width, filled: end - start, pieces: &pieces };
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
    pieces: &'a Pieces,
}

crate::multiversion! {
    fn pack_panel<T: Real>(patches: &Patches<T>, panel: PanelOf, dst: *mut T) {
        let taps = patches.field.taps();
        let mut tap = panel.ks.start % taps.max(1);
        let mut plane = patches.plane(panel.item, 0, panel.ks.start / taps.max(1));
        for i in 0..panel.ks.len() {
            // SAFETY: the panel has `ks.len()` groups of `width`; the planes exist.
            unsafe {
                let group = dst.add(i * panel.width);
                panel.pieces.copy(tap, plane, panel.filled, group);
                for l in panel.filled..panel.width {
                    *group.add(l) = T::ZERO;
                }
            }
            tap += 1;
            if tap == taps {
                (plane, tap) = (plane.wrapping_add(patches.field.source_plane()), 0);
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
        if self.field.dense() && beta == T::ZERO {
            let pixels = self.field.pixels();
            let mut at = cols.start;
            while at < cols.end {
                let (image, pixel) = (at / pixels, at % pixels);
                let len = (pixels - pixel).min(cols.end - at);
                // SAFETY: the pixels exist and are this block's.
                unsafe {
                    let place = self.items[item] + (image * self.image + pixel) as isize;
                    self.store_run(&rows, block.add(at - cols.start), row, self.out.offset(place), len);
                }
                at += len;
            }
            return;
        }
        let spread = self.field.axes[2].spread;
        self.field.runs(cols.start, cols.end, |run| {
            let place = self.items[item] + (run.image * self.image + self.field.place(&run)) as isize;
            // SAFETY: the pixels exist and are this block's.
            unsafe {
                let (block, out) = (block.add(run.at), self.out.offset(place));
                if spread == 1 && beta == T::ZERO {
                    return self.store_run(&rows, block, row, out, run.len);
                }
                for (i, r) in rows.clone().enumerate() {
                    for j in 0..run.len {
                        let dst = out.add(r * self.field.out_plane() + j * spread);
                        let x = *block.add(i * row + j);
                        *dst = if beta == T::ZERO { x } else { x + beta * *dst };
                    }
                }
            }
        });
    }
}

impl<T: Real> Place<'_, T> {
    /// Copies `len` neighbouring pixels of each row of a block.
    ///
    /// # Safety
    /// They exist in the block and, for each of `rows`, at `out`.
    unsafe fn store_run(&self, rows: &Range<usize>, block: *const T, row: usize, out: *mut T, len: usize) {
        for (i, r) in rows.clone().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { copy_short(block.add(i * row), len, out.add(r * self.field.out_plane())) }
        }
    }
}
