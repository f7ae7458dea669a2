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

use std::sync::{Mutex, PoisonError};

use self::keys::{Item, fill, pick};
use crate::dtype::DType;
use crate::gemm::buffer;
use crate::multiversion;
use crate::parallel::{for_ranges, for_tasks};

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

    /// What keys of these elements are made of.
    ///
    /// # Safety
    /// The rows lie in readable memory.
    unsafe fn keys(&self) -> Keys {
        match self.dtype {
            DType::F64 => Keys { wide: true, base: 0 },
            DType::I64 => {
                // SAFETY: as the caller promises.
                let (least, greatest) = unsafe { span(self.ptr.cast(), self.rows * self.n) };
                let wide = greatest.wrapping_sub(least) as u64 > u64::from(u32::MAX);
                Keys { wide, base: least }
            }
            _ => Keys { wide: false, base: 0 },
        }
    }

    /// Calls `f` with each row's number, its items and as much memory again, rows shared among threads.
    ///
    /// # Safety
    /// The rows lie in readable memory; `keys` is theirs, and says whether items are wide.
    unsafe fn each<I: Item>(&self, keys: Keys, flip: bool, f: impl Fn(usize, &mut [I], &mut [I]) + Sync) {
        let group = (GRAIN / self.n.max(1)).max(1);
        let run = |task: usize| {
            // Kept from call to call: fresh pages would cost more than the sorting.
            buffer::with::<i64, _>(buffer::A, 2 * self.n * size_of::<I>() / 8, |memory| {
                // SAFETY: so many items, aligned and of any value.
                let memory = unsafe { std::slice::from_raw_parts_mut(memory.cast::<I>(), 2 * self.n) };
                let (items, other) = memory.split_at_mut(self.n);
                for i in task * group..((task + 1) * group).min(self.rows) {
                    // SAFETY: as the caller promises.
                    unsafe { fill(self.dtype, self.row(i), keys.base, flip, items) };
                    f(i, items, other);
                }
            });
        };
        let tasks = self.rows.div_ceil(group);
        // A single row is left to the sort itself to share.
        if tasks == 1 { run(0) } else { for_tasks(tasks, run) }
    }
}

/// How elements become keys.
#[derive(Clone, Copy)]
struct Keys {
    /// Whether they need 64 bits.
    wide: bool,
    /// What is taken off `int64` elements that fit into 32 bits then.
    base: i64,
}

multiversion! {
    fn extremes(x: &[i64]) -> (i64, i64) {
        x.iter().fold((i64::MAX, i64::MIN), |(low, high), x| (low.min(*x), high.max(*x)))
    }
}

/// The least and the greatest of `n` elements.
///
/// # Safety
/// The elements lie in readable memory.
unsafe fn span(x: *const i64, n: usize) -> (i64, i64) {
    let (all, start) = (Mutex::new((i64::MAX, i64::MIN)), x.addr());
    for_ranges(n, GRAIN * 8, |range| {
        // SAFETY: elements that the caller vouches for.
        let part = unsafe { std::slice::from_raw_parts((start as *const i64).add(range.start), range.len()) };
        let (low, high) = extremes(part);
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        *all = (all.0.min(low), all.1.max(high));
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
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
        let keys = x.keys();
        if keys.wide {
            x.each::<u128>(keys, descending, |i, items, other| found.write(&x, i, radix::sort(items, other)));
        } else {
            x.each::<u64>(keys, descending, |i, items, other| found.write(&x, i, radix::sort(items, other)));
        }
    }
}
