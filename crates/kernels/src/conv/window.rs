//! Source images with zeros around them, cut into bands.
//!
//! Inside a window every tap of every output meets an element, so where it lies is the sum of two offsets: that of the
//! output and that of channel and tap.

use super::axis::{Field, copy_short};
use crate::gemm::Real;
use crate::parallel::num_threads;
use crate::parts::each_row;
use std::ops::Range;

/// Outputs of a band, so that what is read for them stays in cache.
const PIXELS: usize = 256;
/// Pixels of a band that are summed over.
const SUMMED: usize = 512;
/// Bytes of a band's source, a quarter of a common L2 cache.
const BYTES: usize = 256 * 1024;
/// Elements of a cache line: planes are an odd number of them apart, so that they do not meet in the same lines.
const LINE: usize = 16;
/// Elements that a plane may always have.
const MARGIN: usize = 4096;
/// Elements that are worth a task.
const GRAIN: usize = 1 << 13;

/// How the source of one group lies in a window.
pub(super) struct Window {
    /// The axis that images are cut along.
    cut: usize,
    /// Outputs of a band along each axis (all but along `cut`), and its images: more than one only if they are whole.
    outputs: [usize; 3],
    images: usize,
    /// The least offset of a tap, along each axis, and how far the others go from it.
    least: [isize; 3],
    reach: [usize; 3],
    step: [usize; 3],
    channels: usize,
}

/// Some images, or a part of one: the outputs `cut` along the axis that images are cut along.
pub(super) struct Band {
    pub images: Range<usize>,
    pub cut: Range<usize>,
}

impl Window {
    /// A window for all outputs of all `phases`, which read `channels` channels of each of `batch` images.
    pub(super) fn whole(phases: &[Field], channels: usize, batch: usize) -> Window {
        let outputs = [0, 1, 2].map(|d| phases.iter().map(|p| p.axes[d].n).max().unwrap_or(0));
        let offsets = |d: usize| phases.iter().flat_map(move |p| p.axes[d].taps.iter().map(|t| t.1));
        let least = [0, 1, 2].map(|d| offsets(d).min().unwrap_or(0));
        let reach = [0, 1, 2].map(|d| (offsets(d).max().unwrap_or(0) - least[d]) as usize);
        let step = [0, 1, 2].map(|d| phases.first().map_or(1, |p| p.axes[d].step));
        let cut = (0..2).find(|d| outputs[*d] > 1).unwrap_or(2);
        Window { cut, outputs, images: batch.max(1), least, reach, step, channels }
    }

    /// Whether planes are not much larger than the images on both sides: taps far apart in wide margins would meet little else
    /// than zeros.
    pub(super) fn is_full(&self, phases: &[Field]) -> bool {
        let plane = self.len().iter().fold(1, |n: usize, len| n.saturating_mul(*len));
        let images = phases.first().map_or(0, |p| p.source_plane() + p.out_plane());
        plane <= MARGIN + 4 * images
    }

    /// A window for bands that follow from the shape alone, not from the number of threads.
    pub(super) fn steady(phases: &[Field], channels: usize, batch: usize) -> Window {
        let mut window = Window::whole(phases, channels, batch);
        let n = window.outputs[window.cut].max(1);
        let pixels = window.outputs.iter().product::<usize>() / n * phases.len();
        let units = (SUMMED / pixels.max(1)).clamp(1, n);
        window.images = if units == n { (SUMMED / (n * pixels).max(1)).clamp(1, batch.max(1)) } else { 1 };
        window.outputs[window.cut] = n.div_ceil(n.div_ceil(units)).min(window.outputs[window.cut]);
        window
    }

    /// A window for bands that stay in cache, of which each is `tasks` tasks.
    pub(super) fn new<T>(phases: &[Field], channels: usize, tasks: usize, batch: usize) -> Window {
        let whole = Window::whole(phases, channels, 1);
        let some = |n: usize| {
            let mut outputs = whole.outputs;
            outputs[whole.cut] = n;
            Window { outputs, ..whole }
        };
        let size = |window: &Window| {
            let pixels = window.outputs.iter().product::<usize>() * phases.len();
            (PIXELS / pixels.max(1)).min(BYTES / (size_of::<T>() * window.elements()).max(1))
        };
        let n = whole.outputs[whole.cut];
        let most = (1..=n).take_while(|n| size(&some(*n)) > 0).last().unwrap_or(1);
        if most < n || batch * tasks < 2 * num_threads() {
            some(balanced(n, most, tasks * batch))
        } else {
            Window { images: balanced(batch, size(&whole), tasks), ..whole }
        }
    }

    /// Extents of a plane.
    fn len(&self) -> [usize; 3] {
        [0, 1, 2].map(|d| self.outputs[d].saturating_sub(1) * self.step[d] + self.reach[d] + 1)
    }

    /// Elements of a plane: an odd number of cache lines, so that planes do not meet in the same places of a cache.
    fn plane(&self) -> usize {
        (self.len().iter().product::<usize>().div_ceil(LINE) | 1) * LINE
    }

    /// The bands of all images.
    pub(super) fn bands(&self, phases: &[Field], batch: usize) -> Vec<Band> {
        let n = phases.iter().map(|p| p.axes[self.cut].n).max().unwrap_or(0);
        let images = (0..batch).step_by(self.images).map(|i| i..batch.min(i + self.images));
        images
            .flat_map(|images| {
                (0..n)
                    .step_by(self.outputs[self.cut].max(1))
                    .map(move |o| Band { images: images.clone(), cut: o..n.min(o + self.outputs[self.cut]) })
            })
            .collect()
    }

    /// Elements of the window of a band.
    pub(super) fn elements(&self) -> usize {
        self.images * self.channels * self.plane()
    }

    /// For each step of the sum, channel by channel and tap by tap, where it lies from an output's place.
    pub(super) fn steps(&self, field: &Field) -> Vec<usize> {
        let (len, plane) = (self.len(), self.plane());
        let at = |t: usize| {
            let (_, offset) = field.tap(t);
            let [z, y, x] = [0, 1, 2].map(|d| (offset[d] - self.least[d]) as usize);
            (z * len[1] + y) * len[2] + x
        };
        let taps: Vec<usize> = (0..field.taps()).map(at).collect();
        (0..self.channels).flat_map(|c| taps.iter().map(move |t| c * plane + t)).collect()
    }

    /// A band's outputs of a phase along each axis.
    pub(super) fn outputs(&self, field: &Field, band: &Band) -> [Range<usize>; 3] {
        [0, 1, 2].map(|d| {
            let n = field.axes[d].n;
            if d == self.cut { band.cut.start.min(n)..band.cut.end.min(n) } else { 0..n }
        })
    }

    /// Where the outputs of a band lie in its window, in order.
    pub(super) fn places(&self, field: &Field, band: &Band) -> Vec<usize> {
        let [zs, ys, xs] = self.outputs(field, band);
        let (len, image_len) = (self.len(), self.channels * self.plane());
        let start = |d: usize, o: usize| (o - if d == self.cut { band.cut.start } else { 0 }) * self.step[d];
        let mut places = Vec::with_capacity(band.images.len() * zs.len() * ys.len() * xs.len());
        for image in 0..band.images.len() {
            for z in zs.clone() {
                for y in ys.clone() {
                    let row = (start(0, z) * len[1] + start(1, y)) * len[2];
                    let row = image * image_len + row;
                    places.extend(xs.clone().map(|x| row + start(2, x)));
                }
            }
        }
        places
    }

    /// Copies a band's source of one group, `source(image, channel)` being a plane of extents `size`.
    pub(super) fn fill<'a, T: Real>(
        &self,
        band: &Band,
        size: [usize; 3],
        source: impl Fn(usize, usize) -> &'a [T] + Sync,
        window: &mut [T],
    ) {
        let first = |d: usize| {
            let o = if d == self.cut { band.cut.start } else { 0 };
            (o * self.step[d]) as isize + self.least[d]
        };
        let first = [first(0), first(1), first(2)];
        let len = self.len();
        each_row(window, self.plane(), GRAIN, |i, plane| {
            let (image, channel) = (band.images.start + i / self.channels, i % self.channels);
            if image < band.images.end {
                fill_plane(source(image, channel), size, first, len, plane);
            }
        });
    }
}

/// Copies the part of a plane that starts at `first`, zeros where there is no source.
fn fill_plane<T: Real>(source: &[T], size: [usize; 3], first: [isize; 3], len: [usize; 3], plane: &mut [T]) {
    // The part of an axis of the window that has a source.
    let inside = |d: usize| {
        let from = (-first[d]).clamp(0, len[d] as isize);
        from as usize..(size[d] as isize - first[d]).clamp(from, len[d] as isize) as usize
    };
    let [zs, ys, xs] = [0, 1, 2].map(inside);
    let at = |d: usize, i: usize| (i as isize + first[d]) as usize;
    for z in 0..len[0] {
        for y in 0..len[1] {
            let row = &mut plane[(z * len[1] + y) * len[2]..][..len[2]];
            if xs.is_empty() || !zs.contains(&z) || !ys.contains(&y) {
                row.fill(T::ZERO);
                continue;
            }
            row[..xs.start].fill(T::ZERO);
            row[xs.end..].fill(T::ZERO);
            let from = &source[(at(0, z) * size[1] + at(1, y)) * size[2] + at(2, xs.start)..][..xs.len()];
            // SAFETY: both have so many elements.
            unsafe { copy_short(from.as_ptr(), xs.len(), row[xs.start..].as_mut_ptr()) }
        }
    }
}

/// Of the sizes from `most` down to half of it, the one with which the busiest thread has the least to do if `n` is cut
/// into pieces of that size, `times` times.
fn balanced(n: usize, most: usize, times: usize) -> usize {
    let threads = num_threads();
    let busiest = |size: usize| (n.div_ceil(size) * times).div_ceil(threads) * size;
    (most.div_ceil(2)..=most).rev().min_by_key(|size| busiest(*size)).unwrap_or(1)
}
