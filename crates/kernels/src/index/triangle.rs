//! Triangles of matrices.

use super::with_bits;
use crate::dtype::DType;
use crate::parallel::for_ranges;

/// Which triangle of a matrix stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// On and below the diagonal: `column - row <= diagonal`.
    Lower,
    /// On and above the diagonal: `column - row >= diagonal`.
    Upper,
}

struct Memory(*mut u8);
// SAFETY: threads write disjoint rows.
unsafe impl Sync for Memory {}

impl Memory {
    fn get(&self) -> *mut u8 {
        self.0
    }
}

/// Zeroes what lies outside a triangle of each of `batch` contiguous matrices, in place.
///
/// # Safety
/// `data` holds `batch * rows * columns` elements of `dtype`.
pub unsafe fn triangle(
    side: Side,
    diagonal: i64,
    dtype: DType,
    data: *mut u8,
    batch: usize,
    [rows, columns]: [usize; 2],
) {
    let data = Memory(data);
    with_bits!(dtype, T => for_ranges(batch * rows, (16 * 1024 / columns.max(1)).max(1), |range| for row in range {
        let lower = side == Side::Lower;
        let edge = diagonal.saturating_add((row % rows) as i64).saturating_add(lower as i64);
        let edge = edge.clamp(0, columns as i64) as usize;
        let (start, end) = if lower { (edge, columns) } else { (0, edge) };
        // SAFETY: `start..end` lies within the row, the row within `data`; zero bytes are a zero of every dtype.
        unsafe { data.get().cast::<T>().add(row * columns + start).write_bytes(0, end - start) }
    }));
}
