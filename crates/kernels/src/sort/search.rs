//! Searching sorted rows.

use crate::dtype::Element;
use crate::parallel::for_ranges;
use crate::parts::Parts;

/// Values that are worth a thread.
const GRAIN: usize = 1 << 12;

/// For each value the number of elements of its sorted row that are below it (not above it if `right`).
///
/// `sorted` has one row, or one for each `values.len() / rows` values. `sorter` gives the order of each row where it
/// is not sorted itself. NaN counts as larger than every number.
///
/// # Panics
/// If the lengths do not fit or `sorter` points outside its row.
#[allow(clippy::eq_op)] // NaN is what differs from itself
pub fn search_sorted<T: Element + PartialOrd>(
    n: usize,
    sorted: &[T],
    sorter: Option<&[i64]>,
    values: &[T],
    right: bool,
    out: &mut [i64],
) {
    let rows = (sorted.len().checked_div(n)).unwrap_or(1).max(1);
    let each = (values.len() / rows).max(1);
    let out = Parts::new(out);
    for_ranges(values.len(), GRAIN, |range| {
        // SAFETY: each range is one task's.
        let out = unsafe { out.part(range.clone()) };
        for (out, i) in out.iter_mut().zip(range) {
            let (row, value) = ((i / each).min(rows - 1) * n, values[i]);
            let at = |k: usize| sorted[row + sorter.map_or(k, |s| s[row + k] as usize)];
            let before =
                |x: T| if right { !(x > value || x != x && value == value) } else { !(x >= value || x != x) };
            *out = partition(n, |k| before(at(k))) as i64;
        }
    });
}

/// The first `k` in `0..n` for which `before(k)` is false.
fn partition(n: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}
