//! Sorting and selecting along rows.
//!
//! Elements become unsigned keys with their position below; one row is then an array of integers, and ordering
//! them is a stable sort in PyTorch's order for every dtype with two loops: 32-bit keys and 64-bit keys.

mod keys;
mod radix;
mod search;
mod select;
#[cfg(test)]
mod tests;

pub use search::search_sorted;
pub use select::{Select, mode, select, top};

use self::keys::{Item, fill, is_wide, pick};
use crate::dtype::DType;
use crate::parallel::for_tasks;

/// Elements that are worth a task.
const GRAIN: usize = 1 << 12;

/// Contiguous rows of `n` elements, fewer than 2^32.
#[derive(Clone, Copy, Debug)]
pub struct RowsOf {
    /// Type of the elements.
    pub dtype: DType,
    /// Address of the first one.
    pub ptr: *const u8,
    /// Number of rows.
    pub rows: usize,
    /// Elements of a row.
    pub n: usize,
}

// SAFETY: an address; the functions that read through it say what they need.
unsafe impl Sync for RowsOf {}

impl RowsOf {
    /// Address of row `i`.
    fn row(&self, i: usize) -> *const u8 {
        self.ptr.wrapping_add(i * self.n * self.dtype.size())
    }

    /// Calls `f` with each row's number and items, rows shared among threads.
    ///
    /// # Safety
    /// The rows lie in readable memory.
    unsafe fn each<I: Item>(&self, flip: bool, f: impl Fn(usize, &mut Vec<I>) + Sync) {
        let group = (GRAIN / self.n.max(1)).max(1);
        let run = |task: usize| {
            let mut items = Vec::new();
            for i in task * group..((task + 1) * group).min(self.rows) {
                items.clear();
                items.resize(self.n, I::new(0, 0));
                // SAFETY: as the caller promises.
                unsafe { fill(self.dtype, self.row(i), flip, &mut items) };
                f(i, &mut items);
            }
        };
        let tasks = self.rows.div_ceil(group);
        // A single row is left to the sort itself to share.
        if tasks == 1 { run(0) } else { for_tasks(tasks, run) }
    }
}

/// Where results go: values (of the input's dtype) and indices, `width` a row.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Address of the first value, or null.
    pub values: *mut u8,
    /// Address of the first index, or null.
    pub indices: *mut i64,
}

// SAFETY: addresses; the functions that write through them say what they need.
unsafe impl Sync for Found {}

impl Found {
    /// Writes the values and indices of `items`, found in row `i` of `x`, as row `i` of width `items.len()`.
    ///
    /// # Safety
    /// There is room for the row, which nobody else touches.
    unsafe fn write<I: Item>(&self, x: &RowsOf, i: usize, items: &[I]) {
        let at = i * items.len();
        // SAFETY: as the caller promises; indices come from the row itself.
        unsafe {
            if !self.values.is_null() {
                let to = self.values.add(at * x.dtype.size());
                pick(x.dtype, x.row(i), items.iter().map(|item| item.index()), to);
            }
            if !self.indices.is_null() {
                let to = std::slice::from_raw_parts_mut(self.indices.add(at), items.len());
                to.iter_mut().zip(items).for_each(|(to, item)| *to = i64::from(item.index()));
            }
        }
    }
}

/// Sorts each row stably; NaN goes last, first if `descending`.
///
/// # Safety
/// `x` lies in readable memory, `found` has room for as many elements, and they do not overlap.
pub unsafe fn sort(x: RowsOf, descending: bool, found: Found) {
    // SAFETY: as the caller promises.
    unsafe {
        if is_wide(x.dtype) {
            x.each::<u128>(descending, |i, items| sort_row(&x, i, items, &found));
        } else {
            x.each::<u64>(descending, |i, items| sort_row(&x, i, items, &found));
        }
    }
}

/// # Safety
/// As [`sort`].
unsafe fn sort_row<I: Item>(x: &RowsOf, i: usize, items: &mut Vec<I>, found: &Found) {
    radix::sort(items);
    // SAFETY: as the caller promises.
    unsafe { found.write(x, i, items) };
}
