//! Which source element meets which kernel element, one dimension at a time.

use super::Conv;

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
        let mut at = from;
        while at < to {
            let (image, pixel) = (at / self.pixels(), at % self.pixels());
            let (row, x) = (pixel / nx, pixel % nx);
            let len = (nx - x).min(to - at);
            f(Run { image, z: row / ny, y: row % ny, x, at: at - from, len });
            at += len;
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
        let [z, y, x] =
            [(0, run.z), (1, run.y), (2, run.x)].map(|(d, o)| self.axes[d].first + o * self.axes[d].spread);
        (z * self.out[1] + y) * self.out[2] + x
    }

    /// Copies what a run meets through an offset to `dst`, zeros where it lies outside.
    ///
    /// # Safety
    /// `plane` is a source plane, `dst` holds `run.len` elements.
    #[inline(always)]
    pub(super) unsafe fn copy<T: Copy + Default>(
        &self,
        plane: *const T,
        run: &Run,
        offset: [isize; 3],
        dst: *mut T,
    ) {
        let axis = &self.axes[2];
        let row = self.source_row(run, offset);
        let (from, to) = match row {
            Some(_) => axis.inside(self.source[2], offset[2], run.x, run.len),
            None => (run.x, run.x),
        };
        // SAFETY: `inside` gives outputs whose sources exist.
        unsafe {
            for i in 0..from - run.x {
                *dst.add(i) = T::default();
            }
            if to > from {
                let src = plane.add(row.unwrap_or(0)).offset((from * axis.step) as isize + offset[2]);
                copy_strided(src, axis.step, to - from, dst.add(from - run.x));
            }
            for i in to - run.x..run.len {
                *dst.add(i) = T::default();
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
            for i in 0..n {
                *dst.add(i) = *src.add(2 * i);
            }
            return;
        }
        for i in 0..n {
            *dst.add(i) = *src.add(step * i);
        }
    }
}

/// Copies a few elements without the call that a copy of unknown length costs.
#[inline(always)]
unsafe fn copy_short<T: Copy>(src: *const T, n: usize, dst: *mut T) {
    let mut i = 0;
    // SAFETY: the blocks stay within `n`.
    unsafe {
        while i + 16 <= n {
            dst.add(i).cast::<[T; 16]>().write_unaligned(src.add(i).cast::<[T; 16]>().read_unaligned());
            i += 16;
        }
        if i + 8 <= n {
            dst.add(i).cast::<[T; 8]>().write_unaligned(src.add(i).cast::<[T; 8]>().read_unaligned());
            i += 8;
        }
        if i + 4 <= n {
            dst.add(i).cast::<[T; 4]>().write_unaligned(src.add(i).cast::<[T; 4]>().read_unaligned());
            i += 4;
        }
        while i < n {
            *dst.add(i) = *src.add(i);
            i += 1;
        }
    }
}
