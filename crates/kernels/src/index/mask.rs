//! Boolean masks: counting, compaction, positions.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::with_bits;
use crate::dtype::DType;
use crate::parallel::for_tasks;

/// Mask elements that one task looks at; fixed, and small enough for the counts of a task to stay in cache.
const CHUNK: usize = 64 * 1024;

struct Memory(*mut u8);
// SAFETY: tasks read anywhere and write disjoint elements.
unsafe impl Sync for Memory {}

impl Memory {
    fn cast<T>(&self) -> *mut T {
        self.0.cast()
    }
}

/// The number of `true` in `mask`.
pub fn count_true(mask: &[bool]) -> usize {
    *starts(mask).last().unwrap_or(&0)
}

/// How many `true` come before each chunk, and at last how many there are.
fn starts(mask: &[bool]) -> Vec<usize> {
    let mut counts = vec![0_usize; mask.len().div_ceil(CHUNK) + 1];
    let memory = Memory(counts.as_mut_ptr().cast());
    for_tasks(mask.len().div_ceil(CHUNK), |task| {
        let count = mask[chunk(task, mask.len())]
            .chunks(128)
            .map(|c| c.iter().map(|&b| b as u8).sum::<u8>() as usize)
            .sum();
        // SAFETY: each task writes one element, and there is one more element than tasks.
        unsafe { *memory.cast::<usize>().add(task + 1) = count };
    });
    for i in 1..counts.len() {
        counts[i] += counts[i - 1];
    }
    counts
}

fn chunk(task: usize, len: usize) -> Range<usize> {
    task * CHUNK..((task + 1) * CHUNK).min(len)
}

/// Calls `f(position, ordinal)` for every `true`, chunks in parallel.
fn each_true(mask: &[bool], f: impl Fn(usize, usize) + Sync) {
    let starts = starts(mask);
    for_tasks(starts.len() - 1, |task| {
        let mut ordinal = starts[task];
        for position in chunk(task, mask.len()) {
            if mask[position] {
                f(position, ordinal);
                ordinal += 1;
            }
        }
    });
}

/// Writes the elements of `src` where `mask` is `true` to `dst`, one after another.
///
/// # Safety
/// `src` is contiguous with one element of `dtype` for each of `mask`; `dst` holds [`count_true`] of them, apart from `src`.
pub unsafe fn mask_select(dtype: DType, dst: *mut u8, src: *const u8, mask: &[bool]) {
    let (dst, src) = (Memory(dst), Memory(src.cast_mut()));
    // SAFETY: positions are below the length of `mask`, ordinals below its count.
    with_bits!(dtype, T => each_true(mask, |at, n| unsafe { *dst.cast::<T>().add(n) = *src.cast::<T>().add(at) }));
}

/// Overwrites the elements of `dst` where `mask` is `true` with those of `src`, one after another.
///
/// # Safety
/// `dst` is contiguous with one element of `dtype` for each of `mask`; `src` holds [`count_true`] of them, apart from `dst`.
pub unsafe fn mask_scatter(dtype: DType, dst: *mut u8, src: *const u8, mask: &[bool]) {
    let (dst, src) = (Memory(dst), Memory(src.cast_mut()));
    // SAFETY: positions are below the length of `mask`, ordinals below its count.
    with_bits!(dtype, T => each_true(mask, |at, n| unsafe { *dst.cast::<T>().add(at) = *src.cast::<T>().add(n) }));
}

/// Mask elements whose positions are gathered together.
const PIECE: usize = 256;

/// Writes the positions of the `true` elements of a contiguous mask of `sizes`: one column of coordinates for each
/// dimension, one column after the other.
///
/// # Safety
/// `dst` holds [`count_true`] numbers for each of `sizes`, of which there is one at least.
pub unsafe fn nonzero(dst: *mut i64, mask: &[bool], sizes: &[i64]) {
    let (starts, memory) = (starts(mask), Memory(dst.cast()));
    let (count, width) = (starts[starts.len() - 1], sizes[sizes.len() - 1] as usize);
    for_tasks(starts.len() - 1, |task| {
        let (range, mut ordinal) = (chunk(task, mask.len()), starts[task]);
        let (mut at, mut position) = (coordinates(range.start, sizes), range.start);
        while position < range.end {
            let column = position % width;
            let n = PIECE.min(width - column).min(range.end - position);
            let (found, hits) = gather(&mask[position..position + n], column as i64);
            for (d, x) in at.iter().enumerate() {
                // SAFETY: the ordinals of this task start after those of the tasks before it, and end with the count.
                let place = unsafe {
                    let start = memory.cast::<i64>().add(d * count + ordinal);
                    std::slice::from_raw_parts_mut(start.cast::<MaybeUninit<i64>>(), hits)
                };
                if d + 1 == at.len() {
                    place.iter_mut().zip(found).for_each(|(p, x)| *p = MaybeUninit::new(x));
                } else {
                    place.fill(MaybeUninit::new(*x));
                }
            }
            (ordinal, position) = (ordinal + hits, position + n);
            if column + n == width {
                at[sizes.len() - 1] = sizes[sizes.len() - 1] - 1;
                step(&mut at, sizes);
            }
        }
    });
}

/// The positions of the `true` elements of at most [`PIECE`], counted from `first`, and how many there are.
fn gather(mask: &[bool], first: i64) -> ([i64; PIECE], usize) {
    let (mut found, mut hits) = ([0; PIECE], 0);
    for (position, hit) in (first..).zip(mask) {
        // Written in any case, and written over if it was no hit: no branch to guess.
        found[hits] = position;
        hits += usize::from(*hit);
    }
    (found, hits)
}

fn coordinates(position: usize, sizes: &[i64]) -> Vec<i64> {
    let (mut at, mut rest) = (vec![0; sizes.len()], position as i64);
    for d in (0..sizes.len()).rev() {
        at[d] = rest % sizes[d];
        rest /= sizes[d];
    }
    at
}

/// The next position in row-major order.
#[inline(always)]
fn step(at: &mut [i64], sizes: &[i64]) {
    for (x, n) in at.iter_mut().zip(sizes).rev() {
        *x += 1;
        if *x < *n {
            return;
        }
        *x = 0;
    }
}
