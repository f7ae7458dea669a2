//! The k-th or the k extreme elements of each row, and the most frequent one.

use super::keys::{Item, nan_key};
use super::{Found, RowsOf};

/// Which element of each row to find.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Select {
    /// The `k`-th smallest, counted from 0; NaN counts as the largest.
    Kth(usize),
    /// The lower median; NaN if there is one.
    Median,
    /// The lower median of the elements that are not NaN; NaN if there are only NaN.
    NanMedian,
}

/// Finds one element of each row, which has at least one.
///
/// # Safety
/// `x` lies in readable memory, `found` has room for one element a row, and they do not overlap.
pub unsafe fn select(which: Select, x: RowsOf, found: Found) {
    // SAFETY: as the caller promises.
    unsafe {
        let (keys, nan) = (x.keys(), nan_key(x.dtype));
        if keys.wide {
            x.each::<u128>(keys, false, |i, items, _| found.write(&x, i, &[pick(which, nan, items)]));
        } else {
            x.each::<u64>(keys, false, |i, items, _| found.write(&x, i, &[pick(which, nan, items)]));
        }
    }
}

fn pick<I: Item>(which: Select, nan: Option<u64>, items: &mut [I]) -> I {
    let is_nan = |item: &I| Some(item.key()) == nan;
    let n = items.len();
    let k = match which {
        Select::Kth(k) => k,
        Select::Median => match items.iter().find(|item| is_nan(item)) {
            Some(item) => return *item,
            None => (n - 1) / 2,
        },
        Select::NanMedian => (n - items.iter().filter(|item| is_nan(item)).count()).saturating_sub(1) / 2,
    };
    *items.select_nth_unstable(k).1
}

/// The `k` largest (or smallest) elements of each row in order, the earlier of equals first; NaN counts as the largest.
///
/// # Safety
/// `x` lies in readable memory, `found` has room for `k <= x.n` elements a row, and they do not overlap.
pub unsafe fn top(k: usize, largest: bool, x: RowsOf, found: Found) {
    // SAFETY: as the caller promises.
    unsafe {
        let keys = x.keys();
        if keys.wide {
            x.each::<u128>(keys, largest, |i, items, _| found.write(&x, i, first(items, k)));
        } else {
            x.each::<u64>(keys, largest, |i, items, _| found.write(&x, i, first(items, k)));
        }
    }
}

/// The `k` smallest items in order.
fn first<I: Item>(items: &mut [I], k: usize) -> &[I] {
    if k == 0 {
        return &[];
    }
    let kept = if k * 16 < items.len() { sieve(items, k) } else { items.len() };
    let items = &mut items[..kept];
    if k < kept {
        items.select_nth_unstable(k - 1);
    }
    items[..k].sort_unstable();
    &items[..k]
}

/// Moves the items that can be among the `k` smallest to the front and gives their number.
///
/// Items below a bound are collected; when there are `4 k`, the `k`-th of them is the new bound. Most blocks hold none.
fn sieve<I: Item>(items: &mut [I], k: usize) -> usize {
    const BLOCK: usize = 32;
    let room = 4 * k + BLOCK;
    let mut kept = room.min(items.len());
    let mut bound = *items[..kept].select_nth_unstable(k - 1).1;
    let mut at = kept;
    kept = k;
    while at < items.len() {
        let end = (at + BLOCK).min(items.len());
        if items[at..end].iter().fold(false, |any, item| any | (*item < bound)) {
            for i in at..end {
                if items[i] < bound {
                    items[kept] = items[i];
                    kept += 1;
                }
            }
            if kept > 4 * k {
                bound = *items[..kept].select_nth_unstable(k - 1).1;
                kept = k;
            }
        }
        at = end;
    }
    kept
}

/// The most frequent element of each row (the smallest of those) and the index of its last occurrence.
///
/// # Safety
/// As [`select`].
pub unsafe fn mode(x: RowsOf, found: Found) {
    // SAFETY: as the caller promises.
    unsafe {
        let keys = x.keys();
        if keys.wide {
            x.each::<u128>(keys, false, |i, items, other| found.write(&x, i, &[most_frequent(items, other)]));
        } else {
            x.each::<u64>(keys, false, |i, items, other| found.write(&x, i, &[most_frequent(items, other)]));
        }
    }
}

fn most_frequent<I: Item>(items: &mut [I], other: &mut [I]) -> I {
    let items = super::radix::sort(items, other);
    let runs = items.chunk_by(|a, b| a.key() == b.key());
    let longest = runs.fold(&items[..0], |best, run| if run.len() > best.len() { run } else { best });
    longest[longest.len() - 1]
}
