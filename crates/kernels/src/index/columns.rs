//! Sliding blocks as columns (`unfold` of images) and back.

use super::accumulate::Accumulate;
use super::with_bits;
use crate::dtype::DType;
use crate::parallel::for_tasks;
use crate::with_element;

/// The geometry of sliding blocks over images of `channels x height x width`; each pair is (vertical, horizontal).
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// Images.
    pub batch: usize,
    /// Channels of an image.
    pub channels: usize,
    /// Height and width of an image.
    pub image: [usize; 2],
    /// Size of a block.
    pub kernel: [usize; 2],
    /// Distance of neighbouring elements of a block.
    pub dilation: [usize; 2],
    /// Zeros around the image.
    pub padding: [usize; 2],
    /// Distance of neighbouring blocks.
    pub stride: [usize; 2],
    /// Number of blocks each way.
    pub blocks: [usize; 2],
}

impl Columns {
    /// Number of blocks each way for this geometry; `None` if not even one fits.
    pub fn blocks(
        image: [usize; 2],
        kernel: [usize; 2],
        dilation: [usize; 2],
        padding: [usize; 2],
        stride: [usize; 2],
    ) -> Option<[usize; 2]> {
        let along = |d: usize| {
            let reach = dilation[d].checked_mul(kernel[d].checked_sub(1)?)?.checked_add(1)?;
            let padded = padding[d].checked_mul(2)?.checked_add(image[d])?;
            Some(padded.checked_sub(reach)? / stride[d] + 1)
        };
        Some([along(0)?, along(1)?])
    }

    /// The image coordinate of element `k` of block `b` along `d`, or a number not below the image's size if it is padding.
    #[inline(always)]
    fn at(&self, d: usize, b: usize, k: usize) -> usize {
        (b * self.stride[d] + k * self.dilation[d]).wrapping_sub(self.padding[d])
    }

    fn plane(&self) -> usize {
        self.image[0] * self.image[1]
    }

    /// Elements of the columns that come from one channel of one image.
    fn column_plane(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.blocks[0] * self.blocks[1]
    }

    /// Calls `f(column element, image element)` for one channel; the second is `None` in the padding.
    #[inline(always)]
    fn each(&self, mut f: impl FnMut(usize, Option<usize>)) {
        let mut n = 0;
        for (ky, kx) in (0..self.kernel[0]).flat_map(|y| (0..self.kernel[1]).map(move |x| (y, x))) {
            for by in 0..self.blocks[0] {
                let y = self.at(0, by, ky);
                for bx in 0..self.blocks[1] {
                    let x = self.at(1, bx, kx);
                    let inside = y < self.image[0] && x < self.image[1];
                    f(n, inside.then_some(y.wrapping_mul(self.image[1]).wrapping_add(x)));
                    n += 1;
                }
            }
        }
    }
}

struct Memory(*mut u8);
// SAFETY: tasks write disjoint planes.
unsafe impl Sync for Memory {}

impl Memory {
    fn plane<T>(&self, index: usize, len: usize) -> *mut T {
        self.0.cast::<T>().wrapping_add(index * len)
    }
}

/// Writes the blocks of contiguous images `[N, C, H, W]` as `[N, C * kh * kw, L]`; zeros where a block leaves the image.
///
/// # Safety
/// `src` and `dst` hold that many elements of `dtype` and do not overlap.
pub unsafe fn im2col(dtype: DType, dst: *mut u8, src: *const u8, c: &Columns) {
    let (dst, src) = (Memory(dst), Memory(src.cast_mut()));
    with_bits!(dtype, T => for_tasks(c.batch * c.channels, |plane| {
        let (dst, src) = (dst.plane::<T>(plane, c.column_plane()), src.plane::<T>(plane, c.plane()));
        // SAFETY: `each` stays inside one plane of either; zero bytes are a zero of every dtype.
        c.each(|to, from| unsafe {
            match from {
                Some(from) => *dst.add(to) = *src.add(from),
                None => dst.add(to).write_bytes(0, 1),
            }
        });
    }));
}

/// Sums columns `[N, C * kh * kw, L]` back to contiguous images `[N, C, H, W]`, which need not be initialised.
///
/// # Safety
/// `src` and `dst` hold that many elements of `dtype` and do not overlap.
pub unsafe fn col2im(dtype: DType, dst: *mut u8, src: *const u8, c: &Columns) {
    let (dst, src) = (Memory(dst), Memory(src.cast_mut()));
    with_element!(dtype, T => for_tasks(c.batch * c.channels, |plane| {
        let (dst, src) = (dst.plane::<T>(plane, c.plane()), src.plane::<T>(plane, c.column_plane()));
        // SAFETY: `each` stays inside one plane of either; zero bytes are a zero of every dtype.
        unsafe {
            dst.write_bytes(0, c.plane());
            c.each(|from, to| if let Some(to) = to { *dst.add(to) = Accumulate::sum(*dst.add(to), *src.add(from)) });
        }
    }));
}
