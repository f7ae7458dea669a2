//! Transposing blocks of memory, the inner part of copies whose sides are contiguous along different dimensions.
//!
//! A block is moved in squares that fit the registers, so that each cache line of either side is touched once: larger
//! squares would need their lines to survive in a first-level cache, and lines a power of two apart do not.

use crate::isa::{Isa, isa};

/// Bytes of a cache line, and of the rows of a square.
const LINE: usize = 64;

/// A matrix in memory: address and bytes between rows.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    pub ptr: *mut u8,
    pub stride: isize,
}

impl Rows {
    /// The part that begins at the element of this row and column.
    #[inline(always)]
    pub fn at(self, row: usize, bytes: usize) -> Rows {
        Rows {
            ptr: self.ptr.wrapping_offset(row as isize * self.stride).wrapping_add(bytes),
            stride: self.stride,
        }
    }
}

/// `dst[j][i] = src[i][j]` for `j < rows`, `i < cols`, elements of `size` bytes that are neighbours along the rows of
/// either matrix. With `stream`, whole lines are written past the caches.
///
/// # Safety
/// Both matrices have these elements and do not overlap.
pub(crate) unsafe fn transpose(size: usize, dst: Rows, src: Rows, rows: usize, cols: usize, stream: bool) {
    // SAFETY: the caller's promise.
    unsafe {
        match size {
            1 => blocks::<u8>(dst, src, rows, cols, false),
            2 => blocks::<u16>(dst, src, rows, cols, false),
            4 => blocks::<u32>(dst, src, rows, cols, stream),
            8 => blocks::<u64>(dst, src, rows, cols, stream),
            _ => blocks::<u128>(dst, src, rows, cols, stream),
        }
        #[cfg(target_arch = "x86_64")]
        if stream {
            std::arch::x86_64::_mm_sfence();
        }
    }
}

/// # Safety
/// As [`transpose`].
unsafe fn blocks<T: Copy>(dst: Rows, src: Rows, rows: usize, cols: usize, stream: bool) {
    let size = size_of::<T>();
    let side = (LINE / size).min(16);
    let wide = size == 4 && isa() == Isa::Avx512;
    for i in (0..cols).step_by(side) {
        for j in (0..rows).step_by(side) {
            let (d, s) = (dst.at(j, i * size), src.at(i, j * size));
            let (h, w) = (side.min(rows - j), side.min(cols - i));
            // SAFETY: the square lies in both matrices.
            unsafe {
                #[cfg(target_arch = "x86_64")]
                if wide && h == 16 && w == 16 {
                    wide::square(d, s, stream);
                    continue;
                }
                square::<T>(d, s, h, w);
            }
        }
    }
}

/// # Safety
/// As [`transpose`], for `h` rows and `w` columns of `dst`.
#[inline(always)]
unsafe fn square<T: Copy>(dst: Rows, src: Rows, h: usize, w: usize) {
    for j in 0..h {
        let row = dst.at(j, 0).ptr.cast::<T>();
        for i in 0..w {
            // SAFETY: element `(i, j)` of the source and `(j, i)` of the target.
            unsafe { *row.add(i) = *src.at(i, 0).ptr.cast::<T>().add(j) }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use super::{LINE, Rows};
    use std::arch::x86_64::*;

    /// Transposes 16 x 16 elements of 4 bytes in registers.
    ///
    /// # Safety
    /// The processor has AVX-512; both sides have the elements.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn square(dst: Rows, src: Rows, stream: bool) {
        // SAFETY: row `i` of the source has 64 bytes.
        let r: [__m512; 16] = std::array::from_fn(|i| unsafe { _mm512_loadu_ps(src.at(i, 0).ptr.cast()) });
        let t = transposed(r);
        let stream = stream && (dst.ptr.addr() | dst.stride as usize).is_multiple_of(LINE);
        for (j, row) in t.into_iter().enumerate() {
            let at = dst.at(j, 0).ptr.cast::<f32>();
            // SAFETY: row `j` of the target has 64 bytes, and is a line where it is streamed.
            unsafe { if stream { _mm512_stream_ps(at, row) } else { _mm512_storeu_ps(at, row) } }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn transposed(r: [__m512; 16]) -> [__m512; 16] {
        let double = |a| _mm512_castps_pd(a);
        // Pairs of rows, then groups of four, are interleaved within 128-bit lanes.
        let t: [__m512; 16] = std::array::from_fn(|i| {
            let (a, b) = (r[i & !1], r[i | 1]);
            if i & 1 == 0 { _mm512_unpacklo_ps(a, b) } else { _mm512_unpackhi_ps(a, b) }
        });
        let r: [__m512; 16] = std::array::from_fn(|i| {
            let (a, b) = (double(t[i & !3 | (i & 2) >> 1]), double(t[i & !3 | 2 | (i & 2) >> 1]));
            _mm512_castpd_ps(if i & 1 == 0 { _mm512_unpacklo_pd(a, b) } else { _mm512_unpackhi_pd(a, b) })
        });
        // Lanes are then exchanged between groups.
        let t: [__m512; 16] = std::array::from_fn(|i| {
            let (a, b) = (r[i & 8 | i & 3], r[i & 8 | i & 3 | 4]);
            if i & 4 == 0 { _mm512_shuffle_f32x4::<0x88>(a, b) } else { _mm512_shuffle_f32x4::<0xdd>(a, b) }
        });
        std::array::from_fn(|i| {
            let (a, b) = (t[i & 7], t[i & 7 | 8]);
            if i & 8 == 0 { _mm512_shuffle_f32x4::<0x88>(a, b) } else { _mm512_shuffle_f32x4::<0xdd>(a, b) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_and_edges_are_transposed() {
        for (rows, cols) in [(1, 1), (16, 16), (33, 48), (64, 17), (100, 100)] {
            let src: Vec<u32> = (0..rows * cols).collect();
            let mut dst = vec![0_u32; (rows * cols) as usize];
            let from = Rows { ptr: src.as_ptr().cast_mut().cast(), stride: rows as isize * 4 };
            let to = Rows { ptr: dst.as_mut_ptr().cast(), stride: cols as isize * 4 };
            // SAFETY: both have `rows * cols` elements.
            unsafe { transpose(4, to, from, rows as usize, cols as usize, true) };
            for j in 0..rows {
                for i in 0..cols {
                    assert_eq!(
                        dst[(j * cols + i) as usize],
                        src[(i * rows + j) as usize],
                        "{rows}x{cols} {j} {i}"
                    );
                }
            }
        }
    }
}
