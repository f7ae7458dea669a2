//! Copying bytes.

/// Bytes from which the C library copies with the processor's string instruction.
const STRING: usize = 2048;

/// Copies `n` bytes.
///
/// The C library takes the processor's string instruction from some kilobytes on. On Zen 3 and 4 that is fourteen times
/// slower than vectors where source and target lie differently to 16 bytes, so that such a copy is done here.
///
/// # Safety
/// As [`std::ptr::copy_nonoverlapping`].
#[inline]
pub(crate) unsafe fn copy_bytes(dst: *mut u8, src: *const u8, n: usize) {
    let skewed = !(dst.addr() ^ src.addr()).is_multiple_of(16);
    // SAFETY: the caller's promise.
    unsafe {
        if n >= STRING && skewed {
            copy_skewed(dst, src, n);
        } else {
            std::ptr::copy_nonoverlapping(src, dst, n);
        }
    }
}

/// # Safety
/// As [`copy_bytes`].
#[cfg(target_arch = "x86_64")]
unsafe fn copy_skewed(dst: *mut u8, src: *const u8, n: usize) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_storeu_si128};
    let whole = n / 64 * 64;
    // SAFETY: the 64 bytes from `at` on, and those after `whole`, lie in both sides.
    unsafe {
        for at in (0..whole).step_by(64) {
            let (dst, src) = (dst.add(at).cast::<__m128i>(), src.add(at).cast::<__m128i>());
            // All loaded first: otherwise the compiler sees a copy and calls the C library.
            let block = [0, 1, 2, 3].map(|i| _mm_loadu_si128(src.add(i)));
            (0..4).for_each(|i| _mm_storeu_si128(dst.add(i), block[i]));
        }
        std::ptr::copy_nonoverlapping(src.add(whole), dst.add(whole), n - whole);
    }
}

/// # Safety
/// As [`copy_bytes`].
#[cfg(not(target_arch = "x86_64"))]
unsafe fn copy_skewed(dst: *mut u8, src: *const u8, n: usize) {
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(src, dst, n) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_arrives_from_any_place() {
        let src: Vec<u8> = (0..9000).map(|i| (i % 251) as u8).collect();
        for (n, from, to) in [(2048, 0, 1), (4084, 3, 0), (5000, 16, 32), (8191, 7, 24), (100, 1, 2)] {
            let mut dst = vec![0_u8; 9000];
            // SAFETY: both reach far enough.
            unsafe { copy_bytes(dst[to..].as_mut_ptr(), src[from..].as_ptr(), n) };
            assert_eq!(dst[to..to + n], src[from..from + n]);
            assert!(dst[..to].iter().chain(&dst[to + n..]).all(|b| *b == 0));
        }
    }
}
