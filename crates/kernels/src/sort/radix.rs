//! Sorting items by the digits of their keys, least significant first, shared among threads.

use super::keys::Item;
use crate::parallel::{for_tasks, num_threads};
use crate::parts::Parts;

const DIGIT: u32 = 11;
const BUCKETS: usize = 1 << DIGIT;
/// Below this comparing is faster than counting.
const SMALL: usize = 4096;
/// Items that are worth a thread of their own.
const GRAIN: usize = 1 << 15;

/// Sorts `items`, which hold ascending indices: elements with equal keys keep their order.
pub(super) fn sort<I: Item>(items: &mut Vec<I>) {
    let n = items.len();
    if n < SMALL {
        return items.sort_unstable();
    }
    let pieces = (n / GRAIN).clamp(1, num_threads());
    let mut other = items.clone();
    for shift in (0..I::BITS).step_by(DIGIT as usize) {
        if pass(items, &mut other, shift, pieces) {
            std::mem::swap(items, &mut other);
        }
    }
}

#[inline(always)]
fn digit<I: Item>(item: I, shift: u32) -> usize {
    (item.key() >> shift) as usize & (BUCKETS - 1)
}

/// Moves `from` to `to` ordered by one digit; `false`, and nothing moved, if all digits are equal.
fn pass<I: Item>(from: &[I], to: &mut [I], shift: u32, pieces: usize) -> bool {
    let mut counts = vec![[0_usize; BUCKETS]; pieces];
    let size = from.len().div_ceil(pieces);
    let piece = |p: usize| &from[(p * size).min(from.len())..((p + 1) * size).min(from.len())];
    let parts = Parts::new(&mut counts);
    for_tasks(pieces, |p| {
        // SAFETY: each piece has its own counts.
        let counts = &mut unsafe { parts.part(p..p + 1) }[0];
        piece(p).iter().for_each(|item| counts[digit(*item, shift)] += 1);
    });
    let mut start = 0;
    for bucket in 0..BUCKETS {
        let before = start;
        for counts in &mut counts {
            (counts[bucket], start) = (start, start + counts[bucket]);
        }
        if start - before == from.len() {
            return false;
        }
    }
    let (parts, counts) = (Parts::new(to), Parts::new(&mut counts));
    for_tasks(pieces, |p| {
        // SAFETY: each piece has its own counts.
        let next = &mut unsafe { counts.part(p..p + 1) }[0];
        for item in piece(p) {
            let at = &mut next[digit(*item, shift)];
            // SAFETY: the counts give every item of every piece its own place.
            unsafe { parts.part(*at..*at + 1)[0] = *item };
            *at += 1;
        }
    });
    true
}
