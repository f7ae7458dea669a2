//! A slice that the tasks of one parallel loop write to, each to its own part.

use std::marker::PhantomData;
use std::ops::Range;

/// A mutable slice shared by tasks that take disjoint parts of it.
pub(crate) struct Parts<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: `part` hands out parts that its callers keep disjoint, so no element is reached from two threads.
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    /// Shares `slice` for as long as the result lives.
    pub fn new(slice: &'a mut [T]) -> Self {
        Parts { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// The elements of `range`.
    ///
    /// # Safety
    /// No two parts that live at the same time overlap.
    ///
    /// # Panics
    /// If the range reaches beyond the slice.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn part(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: the range lies in the slice, and the caller keeps parts disjoint.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

/// Calls `f(i, row)` for each row of `width` elements of `out`, rows shared among threads, at least `grain` elements at a time.
pub(crate) fn each_row<T: Send>(
    out: &mut [T],
    width: usize,
    grain: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    if width == 0 {
        return;
    }
    let (rows, parts) = (out.len() / width, Parts::new(out));
    let group = (grain / width).max(1);
    crate::parallel::for_tasks(rows.div_ceil(group), |task| {
        for i in task * group..((task + 1) * group).min(rows) {
            // SAFETY: each row is one task's.
            f(i, unsafe { parts.part(i * width..(i + 1) * width) });
        }
    });
}
