//! The gradient of the weight from pixels read in place, as [`super::gather`] reads them: here they are what is summed over,
//! a tile's rows are channels and taps of the image, and its columns are channels of the gradient, packed once for each
//! block of rows.

use super::Conv;
use super::axis::Field;
use super::gather::{self, store_run, tiles};
use super::window::{Band, Window};
use crate::gemm::{Pack, Real, Strided, Tile, buffer};
use crate::isa::isa;
use crate::parallel::{for_tasks, num_threads};
use std::ops::Range;

/// Rows of a block, whose sums stay in cache.
const ROWS: usize = 256;
/// Rows for which packing the gradient costs little.
const LEAST_ROWS: usize = 128;
/// Pixels summed over from which the sums are worth transposing.
const LEAST_PIXELS: usize = 512;

/// The gradient of the weight as such products.
pub(super) struct WeightSums<'a, T> {
    pub conv: &'a Conv,
    pub field: &'a Field,
    pub grad: &'a [T],
    pub input: &'a [T],
    /// Images of a part, for each of which there are sums.
    pub per_part: usize,
    pub parts: usize,
    pub out: *mut T,
}

// SAFETY: the output is borrowed mutably for the time of the product; tasks write different elements.
unsafe impl<T: Sync> Sync for WeightSums<'_, T> {}

/// Whether the gradient has registers full of channels, and enough pixels.
pub(super) fn pays<T: Real>(conv: &Conv, field: &Field) -> bool {
    gather::pays::<T>(conv.out_group(), std::slice::from_ref(field))
        && conv.batch * field.pixels() >= LEAST_PIXELS
}

/// What a task computes: weights of some input channels of a group, summed over some images.
struct Block {
    part: usize,
    group: usize,
    channels: Range<usize>,
}

/// Neighbouring output channels of a group.
struct Columns {
    channels: Range<usize>,
    /// With those that fill the last register.
    width: usize,
}

impl<T: Real> WeightSums<'_, T> {
    /// Computes the sums of all parts.
    ///
    /// # Safety
    /// The slices have the sizes of the convolution; `out` is valid for the weight of each part, and nobody else's.
    pub(super) unsafe fn run(&self) {
        let (groups, channels) = (self.conv.groups, self.conv.in_group());
        let (threads, rows) = (num_threads(), channels * self.conv.taps());
        let [least, most] = [threads, 4 * threads].map(|tasks| tasks.div_ceil(self.parts * groups));
        let blocks = (rows / LEAST_ROWS).clamp(least, most);
        let step = (ROWS / self.conv.taps()).min(channels.div_ceil(blocks)).max(1);
        let blocks = channels.div_ceil(step);
        for_tasks(self.parts * groups * blocks, |task| {
            let (part, rest) = (task / (groups * blocks), task % (groups * blocks));
            let first = rest % blocks * step;
            let block = Block { part, group: rest / blocks, channels: first..channels.min(first + step) };
            // SAFETY: each task has weights of its own.
            unsafe { self.block(&block) }
        });
    }

    unsafe fn block(&self, block: &Block) {
        let phases = std::slice::from_ref(self.field);
        let images = block.part * self.per_part..self.conv.batch.min((block.part + 1) * self.per_part);
        let window = Window::steady(phases, block.channels.len(), images.len());
        let (columns, rows) = (self.columns(), window.steps(self.field));
        let width: usize = columns.iter().map(|c| c.width).sum();
        buffer::with(buffer::C, rows.len() * width, |sums: *mut T| {
            // SAFETY: the buffer holds that many elements, and nobody else has it.
            unsafe { std::slice::from_raw_parts_mut(sums, rows.len() * width) }.fill(T::ZERO);
            buffer::with(buffer::IMAGE, window.elements(), |image: *mut T| {
                // SAFETY: as above.
                let image = unsafe { std::slice::from_raw_parts_mut(image, window.elements()) };
                for mut band in window.bands(phases, images.len()) {
                    band.images = band.images.start + images.start..band.images.end + images.start;
                    self.fill(&window, &band, block, image);
                    let places = window.places(self.field, &band);
                    let first = self.field.place_of(window.outputs(self.field, &band).map(|r| r.start));
                    let mut sums = sums;
                    for columns in &columns {
                        // SAFETY: the sums of these columns.
                        unsafe {
                            self.add(&band, first, block, columns, (image, &rows, &places), sums);
                            sums = sums.add(rows.len() * columns.width);
                        }
                    }
                }
            });
            // SAFETY: these weights are this task's.
            unsafe { self.store(block, &columns, rows.len(), sums) }
        });
    }

    /// The output channels of a group, as many registers in each piece as in any other, or one more.
    fn columns(&self) -> Vec<Columns> {
        let (micro, channels) = (T::micro(isa()), self.conv.out_group());
        let registers = channels.div_ceil(micro.lanes);
        let count = registers.div_ceil(micro.nr / micro.lanes);
        let piece = |i: usize| {
            let [from, to] = [i, i + 1].map(|i| i * registers / count * micro.lanes);
            Columns { channels: from..to.min(channels), width: to - from }
        };
        (0..count).map(piece).collect()
    }

    fn fill(&self, window: &Window, band: &Band, block: &Block, image: &mut [T]) {
        let (size, conv) = (self.field.source_plane(), self.conv);
        let source = |image: usize, channel: usize| {
            let channel = block.group * conv.in_group() + block.channels.start + channel;
            &self.input[(image * conv.in_channels + channel) * size..][..size]
        };
        window.fill(band, self.field.source, source, image);
    }

    /// Adds the products of a band.
    unsafe fn add(
        &self,
        band: &Band,
        first: usize,
        block: &Block,
        columns: &Columns,
        (image, rows, places): (&[T], &[usize], &[usize]),
        sums: *mut T,
    ) {
        let width = columns.width;
        buffer::with(buffer::B, places.len() * width, |packed: *mut T| {
            // SAFETY: the buffer holds the band's gradient; the places lie in the window.
            unsafe {
                self.pack(band, block, columns, (first, places.len() / band.images.len()), packed);
                let out = Tile {
                    c: sums,
                    row: width as isize,
                    cols: columns.channels.len(),
                    alpha: T::ONE,
                    beta: T::ONE,
                    row_bias: std::ptr::null(),
                    col_bias: std::ptr::null(),
                };
                tiles(image, rows, places, packed, &out);
            }
        });
    }

    /// The gradient of a band, `pixels` of each image from the `first` on, pixel by pixel.
    unsafe fn pack(
        &self,
        band: &Band,
        block: &Block,
        columns: &Columns,
        (first, pixels): (usize, usize),
        mut to: *mut T,
    ) {
        let plane = self.field.out_plane();
        for image in band.images.clone() {
            let channel = image * self.conv.out_channels + block.group * self.conv.out_group();
            let start = (channel + columns.channels.start) * plane + first;
            let lines =
                Strided { ptr: self.grad[start..].as_ptr(), items: &[0], line: plane as isize, step: 1 };
            // SAFETY: the gradient has these channels and pixels; the caller promises `to`.
            unsafe {
                lines.pack(0, 0..columns.channels.len(), 0..pixels, columns.width, to);
                to = to.add(pixels * columns.width);
            }
        }
    }

    /// Transposes sums into the weight.
    unsafe fn store(&self, block: &Block, columns: &[Columns], rows: usize, mut sums: *const T) {
        let (conv, taps) = (self.conv, self.conv.taps());
        let k = conv.in_group() * taps;
        let group = (block.part * conv.groups + block.group) * conv.out_group();
        for columns in columns {
            let at = (group + columns.channels.start) * k + block.channels.start * taps;
            let (from, size) = ((sums, columns.width), (rows, columns.channels.len()));
            // SAFETY: the caller's promise.
            unsafe {
                store_run(from, size, (self.out.add(at), k, 1));
                sums = sums.add(rows * columns.width);
            }
        }
    }
}
