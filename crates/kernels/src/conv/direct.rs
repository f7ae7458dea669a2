//! Products that read the image in place.
//!
//! Where patches are one step apart, what neighbouring outputs meet through a tap lies side by side in the source. Once
//! there are zeros between the rows of the source, the outputs of an image, with as many columns between their rows,
//! are the columns of one product: its right operand is the source itself, at an offset for each channel and tap. The sums of the
//! columns between the rows are thrown away.

use super::axis::Field;
use super::{Channels, OWN_PRODUCT, Place};
use crate::gemm::{Pack, Real, Sink, buffer};
use crate::parts::each_row;
use std::ops::Range;

/// Elements after a plane, so that the last registers can be read whole.
const SLACK: usize = 64;
/// Pixels below which an image is too small for a product of its own.
const LEAST: usize = 128;
/// Elements that are worth a task.
const GRAIN: usize = 1 << 14;

/// A source plane with zeros around it.
pub(super) struct Frame {
    /// Zeros before the first slice, row and column.
    before: [usize; 3],
    /// Elements of a slice and of a row.
    slice: usize,
    row: usize,
    /// Elements of a plane.
    plane: usize,
    /// Columns of the product, those thrown away included.
    columns: usize,
}

impl Frame {
    /// The frame for a field, if patches are one step apart and it pays: few columns are thrown away, and an image is large
    /// enough for packing the `rows` of the weight for it.
    pub(super) fn new(field: &Field, rows: usize) -> Option<Frame> {
        let pixels = field.pixels();
        let one_step = field.axes.iter().all(|a| a.step == 1 && !a.taps.is_empty());
        if !one_step || pixels < LEAST || pixels < OWN_PRODUCT.min(4 * rows) {
            return None;
        }
        let margin = |d: usize| {
            let offsets = || field.axes[d].taps.iter().map(|t| t.1);
            let before = offsets().min().map_or(0, |least| (-least).max(0) as usize);
            let end = field.axes[d].n as isize - 1 + offsets().max().unwrap_or(0);
            (before, (end + 1 - field.source[d] as isize).max(0) as usize)
        };
        let [z, y, x] = [0, 1, 2].map(margin);
        let [nz, ny, nx] = [0, 1, 2].map(|d| field.axes[d].n);
        // The zeros after a row are those before the next one.
        let row = field.source[2] + x.0.max(x.1);
        let slice = row * (field.source[1] + y.0 + y.1);
        let plane = slice * (field.source[0] + z.0 + z.1) + x.0 + SLACK;
        let columns = (nz - 1) * slice + (ny - 1) * row + nx;
        let few = columns - pixels <= pixels / 16;
        few.then_some(Frame {
            before: [z.0, y.0, x.0],
            slice,
            row,
            plane: plane.next_multiple_of(16),
            columns,
        })
    }

    /// Whether a plane needs no zeros and all registers are full: then it is read as it lies.
    pub(super) fn as_it_lies<T: Real>(&self, field: &Field) -> bool {
        let whole = field.source_plane();
        self.columns == whole && field.taps() == 1 && whole.is_multiple_of(SLACK / size_of::<T>())
    }

    /// Number of columns of an image's product.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// What the first column meets through each channel and tap, counted from the first channel's plane.
    fn steps(&self, field: &Field, channels: usize, plane: usize) -> Vec<isize> {
        let tap = |t: usize| {
            let (_, offset) = field.tap(t);
            let [z, y, x] = [0, 1, 2].map(|d| (offset[d] + self.before[d] as isize) as usize);
            z * self.slice + y * self.row + x
        };
        let taps = (0..channels).flat_map(|c| (0..field.taps()).map(move |t| (c, t)));
        taps.map(|(c, t)| (c * plane + tap(t)) as isize).collect()
    }

    /// Puts zeros around a plane.
    fn fill<T: Real>(&self, field: &Field, source: &[T], plane: &mut [T]) {
        let [depth, height, width] = field.source;
        plane.fill(T::ZERO);
        for z in 0..depth {
            for y in 0..height {
                let from = (z * height + y) * width;
                let to = (z + self.before[0]) * self.slice + (y + self.before[1]) * self.row + self.before[2];
                plane[to..to + width].copy_from_slice(&source[from..from + width]);
            }
        }
    }

    /// Calls `f` with the source as the right operand of `batch * groups` products.
    pub(super) fn with_source<T: Real>(
        &self,
        field: &Field,
        channels: Channels,
        source: &[T],
        f: impl FnOnce(&InPlace<T>),
    ) {
        let item = |plane: usize| channels.source * plane;
        let whole = field.source_plane();
        if self.as_it_lies::<T>(field) {
            let steps = self.steps(field, channels.source, whole);
            return f(&InPlace { source: source.as_ptr(), item: item(whole), steps });
        }
        let planes = source.len() / whole.max(1);
        buffer::with(buffer::IMAGE, planes * self.plane, |framed: *mut T| {
            // SAFETY: the buffer holds that many elements, and nobody else has it.
            let framed = unsafe { std::slice::from_raw_parts_mut(framed, planes * self.plane) };
            each_row(framed, self.plane, GRAIN, |i, plane| {
                self.fill(field, &source[i * whole..][..whole], plane)
            });
            let steps = self.steps(field, channels.source, self.plane);
            f(&InPlace { source: framed.as_ptr(), item: item(self.plane), steps });
        });
    }
}

/// The columns of B: column `pixel` of step `k` is `source[item * ..][steps[k] + pixel]`.
pub(super) struct InPlace<T> {
    source: *const T,
    /// Elements of an item.
    item: usize,
    steps: Vec<isize>,
}

// SAFETY: the source is borrowed for the time of the product and only read.
unsafe impl<T: Sync> Sync for InPlace<T> {}

impl<T: Real> Pack<T> for InPlace<T> {
    unsafe fn pack(&self, item: usize, lines: Range<usize>, ks: Range<usize>, width: usize, dst: *mut T) {
        for (p, start) in lines.clone().step_by(width).enumerate() {
            for (i, step) in self.steps[ks.clone()].iter().enumerate() {
                for l in 0..width {
                    // SAFETY: the caller asks for columns and steps that exist; `dst` holds all panels.
                    unsafe {
                        let to = dst.add((p * ks.len() + i) * width + l);
                        let from = self.source.offset(step + (item * self.item + start + l) as isize);
                        *to = if start + l < lines.end { *from } else { T::ZERO };
                    }
                }
            }
        }
    }

    fn in_place(&self, item: usize) -> Option<(*const T, &[isize])> {
        Some((self.source.wrapping_add(item * self.item), &self.steps))
    }
}

/// The place of the result: row = channel of the group, column = pixel of the frame.
pub(super) struct Framed<'a, T> {
    pub frame: &'a Frame,
    pub place: Place<'a, T>,
}

impl<T: Real> Sink<T> for Framed<'_, T> {
    fn direct(&self, item: usize, rows: Range<usize>, cols: Range<usize>) -> Option<(*mut T, isize)> {
        let whole = self.frame.columns == self.place.field.pixels();
        if whole { self.place.direct(item, rows, cols) } else { None }
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
        let field = self.place.field;
        let [_, ny, nx] = [0, 1, 2].map(|d| field.axes[d].n);
        let mut at = cols.start;
        while at < cols.end {
            let (z, y, x) = (
                at / self.frame.slice,
                at % self.frame.slice / self.frame.row,
                at % self.frame.slice % self.frame.row,
            );
            let len = (self.frame.row - x).min(cols.end - at);
            let kept = len.min(nx.saturating_sub(x));
            if y < ny && kept > 0 {
                let pixel = (z * ny + y) * nx + x;
                // SAFETY: the pixels exist and are this block's.
                unsafe {
                    let block = block.add(at - cols.start);
                    self.place.store(item, rows.clone(), pixel..pixel + kept, block, row, beta);
                }
            }
            at += len;
        }
    }
}
