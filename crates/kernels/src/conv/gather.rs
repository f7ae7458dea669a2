//! Products whose rows are pixels, read from the image in place.
//!
//! A tile's rows are outputs, wherever they lie: what one of them meets through a channel and tap is broadcast from the
//! image, at the sum of two offsets ([`super::window`]). Its columns are channels, whose weights are packed once. So patches are
//! never copied, whatever stride and padding are, and a task writes all phases of its part of an image. The tiles are
//! transposed on their way out.

use super::axis::Field;
use super::window::{Band, Window};
use super::{Channels, Weights};
use crate::gemm::{Micro, Pack, Real, Strided, Tile, buffer};
use crate::isa::isa;
use crate::parallel::{for_tasks, num_threads};
use std::ops::Range;

/// Steps of a sum that are done at a time: their weights for the columns of a tile stay in the second-level cache.
const STEPS: usize = 512;
/// Pixels that are few: weights are then packed for a task of their own, and read while they are in its cache.
const FEW: usize = 512;

/// Columns of the product whose weights are packed together: neighbouring channels of one group for one phase.
struct Panel {
    phase: usize,
    group: usize,
    /// Channels of the group, and columns with those that fill the last register.
    channels: Range<usize>,
    width: usize,
    /// Where the packed weights start.
    at: usize,
}

/// A convolution as such products.
pub(super) struct Gather<'a, T> {
    pub batch: usize,
    pub channels: Channels,
    pub kernel: [usize; 3],
    /// What is computed: the same source and output for all.
    pub phases: Vec<Field>,
    pub source: &'a [T],
    pub weights: Weights<'a, T>,
    pub bias: Option<&'a [T]>,
    pub out: *mut T,
}

// SAFETY: the output is borrowed mutably for the time of the product; tasks write different pixels.
unsafe impl<T: Sync> Sync for Gather<'_, T> {}

/// A band with its source.
struct Part<'a, T> {
    window: &'a Window,
    band: &'a Band,
    image: &'a [T],
}

/// A pointer that tasks write disjoint parts of.
struct Shared<T>(*mut T);

// SAFETY: whoever makes one gives each task its own part.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn at(&self, offset: usize) -> *mut T {
        self.0.wrapping_add(offset)
    }
}

/// Whether registers of `channels` are full enough, and windows too.
pub(super) fn pays<T: Real>(channels: usize, phases: &[Field]) -> bool {
    let lanes = T::micro(isa()).lanes;
    8 * channels >= 7 * channels.next_multiple_of(lanes) && Window::whole(phases, 1, 1).is_full(phases)
}

impl<T: Real> Gather<'_, T> {
    /// Computes all outputs.
    ///
    /// # Safety
    /// The slices have the sizes that fields and channels imply; `out` is valid for all outputs and nobody else's.
    pub(super) unsafe fn run(&self) {
        let pixels: usize = self.phases.iter().map(|p| self.batch * p.pixels()).sum();
        if pixels == 0 {
            return;
        }
        // SAFETY: the caller's promise is passed on.
        unsafe {
            if pixels <= FEW && self.panels(1).len() >= 2 * num_threads() {
                self.panel_by_panel();
            } else {
                self.band_by_band();
            }
        }
    }

    /// Packs all weights; then a task computes all channels of a group for a band.
    unsafe fn band_by_band(&self) {
        let groups = self.channels.groups;
        let panels = self.panels(1);
        let window = Window::new::<T>(&self.phases, self.channels.source, groups, self.batch);
        let bands = window.bands(&self.phases, self.batch);
        let steps: Vec<Vec<usize>> = self.phases.iter().map(|p| window.steps(p)).collect();
        let len = panels.last().map_or(0, |p| p.at + p.width * steps[p.phase].len());
        buffer::with(buffer::SHARED, len, |packed: *mut T| {
            let packed = Shared(packed);
            self.pack(&panels, &packed);
            for_tasks(bands.len() * groups, |task| {
                let (band, group) = (&bands[task / groups], task % groups);
                buffer::with(buffer::IMAGE, window.elements(), |image: *mut T| {
                    // SAFETY: the buffer holds a window, and nobody else has it.
                    let image = unsafe { std::slice::from_raw_parts_mut(image, window.elements()) };
                    self.fill(&window, band, group, image);
                    let part = Part { window: &window, band, image };
                    for panel in panels.iter().filter(|p| p.group == group) {
                        let weights = |channels: Range<usize>| -> *const T {
                            let taps = self.phases[panel.phase].taps();
                            packed.at(panel.at + channels.start * taps * panel.width)
                        };
                        // SAFETY: all weights are packed; this band's outputs are this task's.
                        unsafe { self.panel(&part, &steps[panel.phase], panel, weights) }
                    }
                });
            });
        });
    }

    /// For few pixels: a task packs the weights of a panel, some at a time, and computes its channels for all images.
    unsafe fn panel_by_panel(&self) {
        let groups = self.channels.groups;
        let panels = self.panels(num_threads());
        let window = Window::whole(&self.phases, self.channels.source, self.batch);
        let steps: Vec<Vec<usize>> = self.phases.iter().map(|p| window.steps(p)).collect();
        let band = &window.bands(&self.phases, self.batch)[0];
        let len = window.elements();
        buffer::with(buffer::SHARED, len * groups, |image: *mut T| {
            // SAFETY: the buffer holds a window for each group, and nobody else has it.
            let images = unsafe { std::slice::from_raw_parts_mut(image, len * groups) };
            images.chunks_exact_mut(len).enumerate().for_each(|(g, i)| self.fill(&window, band, g, i));
            for_tasks(panels.len(), |task| {
                let panel = &panels[task];
                let part = Part { window: &window, band, image: &images[panel.group * len..][..len] };
                let field = &self.phases[panel.phase];
                buffer::with(buffer::B, chunk(field) * field.taps() * panel.width, |packed: *mut T| {
                    let weights = |channels: Range<usize>| -> *const T {
                        // SAFETY: the buffer holds a chunk of channels.
                        unsafe { self.pack_channels(field, panel, channels, packed) };
                        packed
                    };
                    // SAFETY: these channels of all outputs are this task's.
                    unsafe { self.panel(&part, &steps[panel.phase], panel, weights) }
                });
            });
        });
    }

    /// The columns of all phases and groups, as many registers in each panel as in any other, or one more; the number
    /// of a phase's panels is a multiple of `times`.
    fn panels(&self, times: usize) -> Vec<Panel> {
        let micro = T::micro(isa());
        let registers = self.channels.out.div_ceil(micro.lanes);
        let count = registers.div_ceil(micro.nr / micro.lanes).next_multiple_of(times).min(registers);
        let mut panels = Vec::with_capacity(self.phases.len() * self.channels.groups * count);
        let mut at = 0;
        for (phase, field) in self.phases.iter().enumerate() {
            for group in 0..self.channels.groups {
                for i in 0..count {
                    let [from, to] = [i, i + 1].map(|i| i * registers / count * micro.lanes);
                    let channels = from..to.min(self.channels.out);
                    panels.push(Panel { phase, group, channels, width: to - from, at });
                    at += (to - from) * self.channels.source * field.taps();
                }
            }
        }
        panels
    }

    /// Packs the weights: a task takes some channels summed over for one panel.
    fn pack(&self, panels: &[Panel], packed: &Shared<T>) {
        let pieces = (4 * num_threads()).div_ceil(panels.len().max(1)).min(self.channels.source);
        for_tasks(panels.len() * pieces, |task| {
            let (panel, piece) = (&panels[task / pieces], task % pieces);
            let [from, to] = [piece, piece + 1].map(|i| i * self.channels.source / pieces);
            let field = &self.phases[panel.phase];
            let at = panel.at + from * field.taps() * panel.width;
            // SAFETY: the panel's place, of which these channels have a part of their own.
            unsafe { self.pack_channels(field, panel, from..to, packed.at(at)) }
        });
    }

    /// The weights of some channels summed over, tap by tap.
    ///
    /// # Safety
    /// `to` holds them.
    unsafe fn pack_channels(&self, field: &Field, panel: &Panel, sources: Range<usize>, to: *mut T) {
        let Weights { all, group, line, channel } = self.weights;
        let taps: Vec<usize> = (0..field.taps())
            .map(|t| {
                let [z, y, x] = field.tap(t).0;
                (z * self.kernel[1] + y) * self.kernel[2] + x
            })
            .collect();
        let start = panel.group * group + panel.channels.start * line;
        let lines = Strided { ptr: all.as_ptr(), items: &[0], line: line as isize, step: 1 };
        let lines = |at: usize| Strided { ptr: lines.ptr.wrapping_add(start + at), ..lines };
        let (n, all_taps) = (panel.channels.len(), taps.iter().enumerate().all(|(i, t)| i == *t));
        // SAFETY: the weights have these channels and taps; the caller promises `to`.
        unsafe {
            if all_taps && channel == taps.len() {
                let steps = 0..sources.len() * channel;
                return lines(sources.start * channel).pack(0, 0..n, steps, panel.width, to);
            }
            for (i, source) in sources.enumerate() {
                let to = to.add(i * taps.len() * panel.width);
                if all_taps {
                    lines(source * channel).pack(0, 0..n, 0..taps.len(), panel.width, to);
                    continue;
                }
                for (t, tap) in taps.iter().enumerate() {
                    let to = to.add(t * panel.width);
                    let from = all.as_ptr().add(start + source * channel + tap);
                    (0..n).for_each(|l| *to.add(l) = *from.add(l * line));
                    (n..panel.width).for_each(|l| *to.add(l) = T::ZERO);
                }
            }
        }
    }

    fn fill(&self, window: &Window, band: &Band, group: usize, image: &mut [T]) {
        let Some(field) = self.phases.first() else { return };
        let (size, groups) = (field.source_plane(), self.channels.groups);
        let source = |image: usize, channel: usize| {
            let plane = (image * groups + group) * self.channels.source + channel;
            &self.source[plane * size..][..size]
        };
        window.fill(band, field.source, source, image);
    }

    /// The columns of a panel for the outputs of a band; `weights` packs those of some channels summed over.
    ///
    /// # Safety
    /// See [`Gather::run`].
    unsafe fn panel(
        &self,
        part: &Part<T>,
        steps: &[usize],
        panel: &Panel,
        weights: impl Fn(Range<usize>) -> *const T,
    ) {
        let field = &self.phases[panel.phase];
        let (taps, sources) = (field.taps(), self.channels.source);
        let places = part.window.places(field, part.band);
        let first = panel.group * self.channels.out + panel.channels.start;
        let bias = self.bias.map_or(std::ptr::null(), |b| b[first..].as_ptr());
        let chunks = sources.div_ceil(chunk(field)).max(1);
        buffer::with(buffer::C, places.len() * panel.width, |sums: *mut T| {
            for i in 0..chunks {
                let [from, to] = [i, i + 1].map(|i| i * sources / chunks);
                let out = Tile {
                    c: sums,
                    row: panel.width as isize,
                    cols: panel.channels.len(),
                    alpha: T::ONE,
                    beta: if i == 0 { T::ZERO } else { T::ONE },
                    row_bias: std::ptr::null(),
                    col_bias: if i + 1 == chunks { bias } else { std::ptr::null() },
                };
                let steps = &steps[from * taps..to * taps];
                // SAFETY: the places lie in the window; the buffer holds a row of sums for each.
                unsafe { tiles(part.image, &places, steps, weights(from..to), &out) }
            }
            // SAFETY: the sums are complete.
            unsafe { self.store(part, field, panel, sums) }
        });
    }

    /// Transposes sums into the output.
    unsafe fn store(&self, part: &Part<T>, field: &Field, panel: &Panel, mut sums: *const T) {
        let [zs, ys, xs] = part.window.outputs(field, part.band);
        let plane = field.out_plane();
        let spread = field.axes[2].spread;
        let first = panel.group * self.channels.out + panel.channels.start;
        // Rows that follow each other are one run.
        let (rows, len) = if field.dense() { (1, ys.len() * xs.len()) } else { (ys.len(), xs.len()) };
        for image in part.band.images.clone() {
            let image = (image * self.channels.groups * self.channels.out + first) * plane;
            for z in zs.clone() {
                for y in ys.clone().take(rows) {
                    let at = image + field.place_of([z, y, xs.start]);
                    let (from, size) = ((sums, panel.width), (len, panel.channels.len()));
                    // SAFETY: the run's sums and outputs, which are this task's.
                    unsafe {
                        store_run(from, size, (self.out.add(at), plane, spread));
                        sums = sums.add(len * panel.width);
                    }
                }
            }
        }
    }
}

/// Channels summed over at a time.
fn chunk(field: &Field) -> usize {
    (STEPS / field.taps().max(1)).max(1)
}

/// The rows at `places` in `image`: `out[row] = sum over steps`, rows being shared evenly among tiles.
///
/// # Safety
/// All steps of all places lie in the image; the weights are as many; `out` holds the rows.
pub(super) unsafe fn tiles<T: Real>(
    image: &[T],
    places: &[usize],
    steps: &[usize],
    weights: *const T,
    out: &Tile<T>,
) {
    let micro: &'static Micro<T> = T::micro(isa());
    let vectors = out.row as usize / micro.lanes;
    let count = places.len().div_ceil(micro.mr);
    for tile in 0..count {
        let [first, end] = [tile, tile + 1].map(|i| i * places.len() / count);
        let mut rows = [image.as_ptr(); 8];
        for (row, place) in rows.iter_mut().zip(&places[first..end]) {
            *row = row.wrapping_add(*place);
        }
        let out = Tile { c: out.c.wrapping_offset(first as isize * out.row), ..*out };
        // SAFETY: the caller's promise; no tile has more rows than `mr`.
        unsafe { micro.gathered[end - first - 1][vectors - 1](&rows, steps, weights, &out) }
    }
}

/// Writes `len` rows of sums, `width` apart, as columns: `out[channel * plane + row * spread]`.
pub(super) unsafe fn store_run<T: Real>(
    (sums, width): (*const T, usize),
    (len, channels): (usize, usize),
    (out, plane, spread): (*mut T, usize, usize),
) {
    const BLOCK: usize = 8;
    let mut apart = [T::ZERO; BLOCK * 64];
    let mut row = 0;
    // SAFETY: the caller promises the sums and the places of all outputs.
    unsafe {
        while row < len {
            // The last block overlaps the one before.
            let first = if len >= BLOCK { row.min(len - BLOCK) } else { row };
            let rows = BLOCK.min(len - first);
            let (from, to) = (sums.add(first * width), out.add(first * spread));
            let mut done = 0;
            if rows == BLOCK && spread == 1 {
                done = T::transpose8(from, width as isize, channels, to, plane);
            } else if rows == BLOCK {
                done = T::transpose8(from, width as isize, channels, apart.as_mut_ptr(), BLOCK);
                for (channel, line) in apart.chunks_exact(BLOCK).take(done).enumerate() {
                    let to = to.add(channel * plane);
                    line.iter().enumerate().for_each(|(i, x)| *to.add(i * spread) = *x);
                }
            }
            for channel in done..channels {
                let to = to.add(channel * plane);
                (0..rows).for_each(|i| *to.add(i * spread) = *from.add(i * width + channel));
            }
            row += BLOCK;
        }
    }
}
