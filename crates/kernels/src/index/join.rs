//! Concatenation of contiguous blocks.

use crate::bytes::copy_bytes;
use crate::parallel::for_ranges;

/// Bytes below which a copy stays on one thread.
const GRAIN: usize = 256 * 1024;

/// One piece of a concatenation: `bytes` bytes of each of the outer rows, rows directly after each other.
#[derive(Clone, Copy)]
pub struct Part {
    /// The first row.
    pub ptr: *const u8,
    /// Bytes in a row of this piece.
    pub bytes: usize,
}

// SAFETY: a piece is only read, by `cat`, whose caller vouches for the memory.
unsafe impl Sync for Part {}

struct Target(*mut u8);
// SAFETY: threads write disjoint ranges of bytes.
unsafe impl Sync for Target {}

impl Target {
    fn at(&self, byte: usize) -> *mut u8 {
        self.0.wrapping_add(byte)
    }
}

/// Writes `rows` rows to `dst`, each made of the pieces' rows one after another.
///
/// # Safety
/// Every piece is valid for `rows * bytes` bytes, `dst` for the sum of them, and `dst` overlaps none.
pub unsafe fn cat(dst: *mut u8, rows: usize, parts: &[Part]) {
    let width: usize = parts.iter().map(|p| p.bytes).sum();
    let dst = Target(dst);
    for_ranges(rows * width, GRAIN, |range| {
        let (mut row, mut column) = (range.start / width, range.start % width);
        let mut at = range.start;
        while at < range.end {
            let mut start = 0;
            for part in parts {
                let skip = column.saturating_sub(start).min(part.bytes);
                let n = (part.bytes - skip).min(range.end - at);
                // SAFETY: byte `row * bytes + skip` of the piece and the `n` after it lie inside it, as does `at` in `dst`.
                unsafe { copy_bytes(dst.at(at), part.ptr.add(row * part.bytes + skip), n) };
                at += n;
                start += part.bytes;
            }
            (row, column) = (row + 1, 0);
        }
    });
}
