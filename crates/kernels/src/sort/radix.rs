//! Sorting items by the digits of their keys, least significant first, shared among threads.

use super::keys::Item;
use crate::parallel::{for_tasks, num_threads};
use crate::parts::Parts;
use std::sync::atomic::{AtomicU64, Ordering};

const DIGIT: u32 = 11;
const BUCKETS: usize = 1 << DIGIT;
/// Below this comparing is faster than counting.
const SMALL: usize = 4096;
/// Items that are worth a thread of their own.
const GRAIN: usize = 1 << 15;

/// Sorts `items`, which hold ascending indices: elements with equal keys keep their order. The result is in either slice.
pub(super) fn sort<'a, I: Item>(mut items: &'a mut [I], mut other: &'a mut [I]) -> &'a [I] {
    let n = items.len();
    if n < SMALL {
        items.sort_unstable();
        return items;
    }
    let pieces = (n / GRAIN).clamp(1, num_threads());
    let differing = differing(items, pieces);
    for shift in (0..I::BITS).step_by(DIGIT as usize) {
        if (differing >> shift) as usize & (BUCKETS - 1) != 0 {
            pass(items, other, shift, pieces);
            std::mem::swap(&mut items, &mut other);
        }
    }
    items
}

/// The bits in which not all keys are equal.
fn differing<I: Item>(items: &[I], pieces: usize) -> u64 {
    let (all, first) = (AtomicU64::new(0), items[0].key());
    for_tasks(pieces, |p| {
        let bits = piece(items, p, pieces).iter().fold(0, |bits, item| bits | (item.key() ^ first));
        all.fetch_or(bits, Ordering::Relaxed);
    });
    all.into_inner()
}

/// Piece number `p` of `pieces`.
fn piece<I>(items: &[I], p: usize, pieces: usize) -> &[I] {
    let size = items.len().div_ceil(pieces);
    &items[(p * size).min(items.len())..((p + 1) * size).min(items.len())]
}

#[inline(always)]
fn digit<I: Item>(item: I, shift: u32) -> usize {
    (item.key() >> shift) as usize & (BUCKETS - 1)
}

/// Moves `from` to `to` ordered by one digit.
fn pass<I: Item>(from: &[I], to: &mut [I], shift: u32, pieces: usize) {
    let mut counts = vec![[0_usize; BUCKETS]; pieces];
    let parts = Parts::new(&mut counts);
    for_tasks(pieces, |p| {
        // SAFETY: each piece has its own counts.
        let counts = &mut unsafe { parts.part(p..p + 1) }[0];
        piece(from, p, pieces).iter().for_each(|item| counts[digit(*item, shift)] += 1);
    });
    let mut start = 0;
    for bucket in 0..BUCKETS {
        for counts in &mut counts {
            (counts[bucket], start) = (start, start + counts[bucket]);
        }
    }
    let (parts, counts) = (Parts::new(to), Parts::new(&mut counts));
    for_tasks(pieces, |p| {
        // SAFETY: each piece has its own counts.
        let next = &mut unsafe { counts.part(p..p + 1) }[0];
        for item in piece(from, p, pieces) {
            let at = &mut next[digit(*item, shift)];
            // SAFETY: the counts give every item of every piece its own place.
            unsafe { parts.part(*at..*at + 1)[0] = *item };
            *at += 1;
        }
    });
}
