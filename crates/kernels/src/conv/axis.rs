//! Which source element meets which kernel element, one dimension at a time.

use super::Conv;
use crate::gemm::Real;

/// One dimension of a gathering: output `o` meets, through tap `t`, the source element `o * step + taps[t].1`.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// Outputs computed.
    pub n: usize,
    pub step: usize,
    /// Index into the kernel and offset into the source.
    pub taps: Vec<(usize, isize)>,
    /// Output `o` is written to `first + o * spread`.
    pub first: usize,
    pub spread: usize,
}

impl Axis {
    /// Dimension `d` of a convolution.
    pub(super) fn forward(conv: &Conv, d: usize) -> Axis {
        let offset = |k: usize| (k * conv.dilation[d]) as isize - conv.padding[d] as isize;
        let taps = (0..conv.kernel[d]).map(|k| (k, offset(k))).collect();
        Axis { n: conv.output[d], step: conv.stride[d], taps, first: 0, spread: 1 }
    }

    /// Dimension `d` of the gradient of the input, for the inputs `phase, phase + stride, ...`.
    pub(super) fn backward(conv: &Conv, d: usize, phase: usize) -> Axis {
        let stride = conv.stride[d];
        let distance = |k: usize| (phase + conv.padding[d]) as isize - (k * conv.dilation[d]) as isize;
        let taps = (0..conv.kernel[d])
            .filter(|k| distance(*k).rem_euclid(stride as isize) == 0)
            .map(|k| (k, distance(k).div_euclid(stride as isize)))
            .collect();
        let n = conv.input[d].saturating_sub(phase).div_ceil(stride);
        Axis { n, step: 1, taps, first: phase, spread: stride }
    }

    /// The outputs `from..to` of `o..o + len` whose source through an offset lies within `extent`.
    pub(super) fn inside(&self, extent: usize, offset: isize, o: usize, len: usize) -> (usize, usize) {
        let outputs = |sources: isize| (sources.max(0) as usize).div_ceil(self.step);
        let (low, high) = (outputs(-offset), outputs(extent as isize - offset));
        let from = low.clamp(o, o + len);
        (from, high.clamp(from, o + len))
    }
}

/// The three dimensions, and the extents of the images on both sides.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub source: [usize; 3],
    pub out: [usize; 3],
    pub axes: [Axis; 3],
}

/// Consecutive outputs of one row: `len` pixels from column `x` of row `y` of slice `z`, the first being number `at`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub image: usize,
    pub z: usize,
    pub y: usize,
    pub x: usize,
    pub at: usize,
    pub len: usize,
}

impl Field {
    pub(super) fn new(source: [usize; 3], out: [usize; 3], axes: [Axis; 3]) -> Field {
        Field { source, out, axes }
    }

    /// Output pixels computed in one image.
    pub(super) fn pixels(&self) -> usize {
        self.axes.iter().map(|a| a.n).product()
    }

    /// Pixels of an output image, computed or not.
    pub(super) fn out_plane(&self) -> usize {
        self.out.iter().product()
    }

    pub(super) fn source_plane(&self) -> usize {
        self.source.iter().product()
    }

    /// Kernel elements that take part.
    pub(super) fn taps(&self) -> usize {
        self.axes.iter().map(|a| a.taps.len()).product()
    }

    /// Kernel indices (z, y, x) of tap `t`, and its offsets into the source.
    pub(super) fn tap(&self, t: usize) -> ([usize; 3], [isize; 3]) {
        let [az, ay, ax] = &self.axes;
        let (nx, ny) = (ax.taps.len(), ay.taps.len());
        let (z, y, x) = (az.taps[t / (ny * nx)], ay.taps[t / nx % ny], ax.taps[t % nx]);
        ([z.0, y.0, x.0], [z.1, y.1, x.1])
    }

    /// Whether the pixels computed are all of an output image, in order.
    pub(super) fn dense(&self) -> bool {
        self.axes.iter().zip(self.out).all(|(a, out)| a.spread == 1 && a.n == out)
    }

    /// Calls `f` for the runs of pixels `from..to`, pixels being numbered image by image.
    pub(super) fn runs(&self, from: usize, to: usize, mut f: impl FnMut(Run)) {
        let [_, ny, nx] = [0, 1, 2].map(|d| self.axes[d].n);
        let nz = self.axes[0].n;
        let (row, mut x) = (from / nx.max(1), from % nx.max(1));
        let (mut image, mut z, mut y) = (row / (nz * ny), row / ny % nz, row % ny);
        let mut at = from;
        while at < to {
            let len = (nx - x).min(to - at);
            f(Run { image, z, y, x, at: at - from, len });
            (at, x, y) = (at + len, 0, y + 1);
            if y == ny {
                (y, z) = (0, z + 1);
            }
            if z == nz {
                (z, image) = (0, image + 1);
            }
        }
    }

    /// The source row that a run meets through an offset, counted from the plane's start, if there is one.
    pub(super) fn source_row(&self, run: &Run, offset: [isize; 3]) -> Option<usize> {
        let z = (run.z * self.axes[0].step).checked_add_signed(offset[0]).filter(|z| *z < self.source[0])?;
        let y = (run.y * self.axes[1].step).checked_add_signed(offset[1]).filter(|y| *y < self.source[1])?;
        Some((z * self.source[1] + y) * self.source[2])
    }

    /// Where a run's first pixel is written, counted from the plane's start; the next ones follow `axes[2].spread` apart.
    pub(super) fn place(&self, run: &Run) -> usize {
        self.place_of([run.z, run.y, run.x])
    }

    /// Where an output is written, counted from the plane's start.
    pub(super) fn place_of(&self, output: [usize; 3]) -> usize {
        let [z, y, x] = [0, 1, 2].map(|d| self.axes[d].first + output[d] * self.axes[d].spread);
        (z * self.out[1] + y) * self.out[2] + x
    }

    /// What the runs meet through each tap. A plane's images are `image` elements apart.
    pub(super) fn pieces(&self, runs: &[Run], image: usize) -> Pieces {
        let axis = &self.axes[2];
        let mut pieces = Pieces { step: axis.step, list: Vec::new(), taps: Vec::with_capacity(self.taps()) };
        for t in 0..self.taps() {
            let (_, offset) = self.tap(t);
            let (first, mut gaps) = (pieces.list.len(), false);
            for run in runs {
                let Some(row) = self.source_row(run, offset) else {
                    gaps = true;
                    continue;
                };
                let (from, to) = axis.inside(self.source[2], offset[2], run.x, run.len);
                gaps |= to - from < run.len;
                if from < to {
                    let start = (run.image * image + row + from * axis.step) as isize + offset[2];
                    pieces.list.push(Piece { source: start, at: run.at + from - run.x, len: to - from });
                }
            }
            pieces.taps.push((first, pieces.list.len(), gaps));
        }
        pieces
    }
}

/// A stretch of outputs whose sources exist.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// The first source, counted from the plane's start in the first image.
    source: isize,
    /// The first output's number.
    at: usize,
    len: usize,
}

/// For each tap, the pieces of some runs; the same for all channels.
pub(super) struct Pieces {
    step: usize,
    list: Vec<Piece>,
    /// First and last piece of each tap, and whether some outputs meet no source.
    taps: Vec<(usize, usize, bool)>,
}

impl Pieces {
    /// Copies what `n` outputs meet through a tap to `dst`, zeros where there is no source.
    ///
    /// # Safety
    /// `plane` is a channel's plane in the first image of the runs, `dst` holds `n` elements, no fewer than the runs.
    #[inline(always)]
    pub(super) unsafe fn copy<T: Real>(&self, tap: usize, plane: *const T, n: usize, dst: *mut T) {
        let (first, last, gaps) = self.taps[tap];
        // SAFETY: the pieces lie within the planes and within the runs.
        unsafe {
            if gaps {
                clear_short(n, dst);
            }
            for piece in &self.list[first..last] {
                copy_strided(plane.offset(piece.source), self.step, piece.len, dst.add(piece.at));
            }
        }
    }
}

/// Copies `n` elements, `step` apart, to neighbouring places.
#[inline(always)]
unsafe fn copy_strided<T: Copy>(src: *const T, step: usize, n: usize, dst: *mut T) {
    // SAFETY: the caller promises `n` elements on both sides.
    unsafe {
        if step == 1 {
            return copy_short(src, n, dst);
        }
        if step == 2 {
            return copy_even(src, n, dst);
        }
        for i in 0..n {
            *dst.add(i) = *src.add(step * i);
        }
    }
}

/// Copies every other element: blocks of four from two overlapping halves, the last block overlapping the one before.
#[inline(always)]
unsafe fn copy_even<T: Copy>(src: *const T, n: usize, dst: *mut T) {
    // SAFETY: a block reads seven elements, the last of which is the source of its own last one.
    unsafe {
        let block = |at: usize| {
            let low = src.add(2 * at).cast::<[T; 4]>().read_unaligned();
            let high = src.add(2 * at + 3).cast::<[T; 4]>().read_unaligned();
            dst.add(at).cast::<[T; 4]>().write_unaligned([low[0], low[2], high[1], high[3]]);
        };
        if n < 4 {
            for i in 0..n {
                *dst.add(i) = *src.add(2 * i);
            }
            return;
        }
        for at in (0..n - 3).step_by(4) {
            block(at);
        }
        if !n.is_multiple_of(4) {
            block(n - 4);
        }
    }
}

/// Copies a few elements without the call that a copy of unknown length costs: blocks, the last of which overlaps.
#[inline(always)]
pub(super) unsafe fn copy_short<T: Copy>(src: *const T, n: usize, dst: *mut T) {
    // SAFETY: the blocks stay within `n`.
    unsafe {
        let block4 = |at: usize| {
            dst.add(at).cast::<[T; 4]>().write_unaligned(src.add(at).cast::<[T; 4]>().read_unaligned())
        };
        let block8 = |at: usize| {
            dst.add(at).cast::<[T; 8]>().write_unaligned(src.add(at).cast::<[T; 8]>().read_unaligned())
        };
        if n >= 16 {
            let block = |at: usize| {
                dst.add(at).cast::<[T; 16]>().write_unaligned(src.add(at).cast::<[T; 16]>().read_unaligned())
            };
            for at in (0..n - 15).step_by(16) {
                block(at);
            }
            if !n.is_multiple_of(16) {
                block(n - 16);
            }
        } else if n >= 8 {
            block8(0);
            block8(n - 8);
        } else if n >= 4 {
            block4(0);
            block4(n - 4);
        } else {
            for i in 0..n {
                *dst.add(i) = *src.add(i);
            }
        }
    }
}

/// Zeros a few elements, as [`copy_short`] copies them.
#[inline(always)]
unsafe fn clear_short<T: Real>(n: usize, dst: *mut T) {
    // SAFETY: the blocks stay within `n`.
    unsafe {
        if n >= 16 {
            let block = |at: usize| dst.add(at).cast::<[T; 16]>().write_unaligned([T::ZERO; 16]);
            for at in (0..n - 15).step_by(16) {
                block(at);
            }
            block(n - 16);
        } else {
            for i in 0..n {
                *dst.add(i) = T::ZERO;
            }
        }
    }
}
