//! Checking indices and folding several index tensors into one.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::walk::Index;
use crate::parallel::for_ranges;

/// The first index in logical order outside `low..high`, if there is one.
///
/// Dimensions along which the indices do not vary are looked at once.
///
/// # Safety
/// `ptr` is valid over `sizes` with `strides`.
pub unsafe fn first_outside(
    ptr: *const i64,
    sizes: &[i64],
    strides: &[i64],
    low: i64,
    high: i64,
) -> Option<i64> {
    if sizes.contains(&0) {
        return None;
    }
    let span = (high - low) as u64;
    let mut varying: Vec<(usize, isize)> = Vec::with_capacity(sizes.len());
    for (&n, &s) in sizes.iter().zip(strides).filter(|&(&n, &s)| n != 1 && s != 0) {
        let (n, s) = (n as usize, s as isize);
        match varying.last_mut() {
            Some(outer) if outer.1 == s * n as isize => *outer = (outer.0 * n, s),
            _ => varying.push((n, s)),
        }
    }
    let nest = Nest { ptr, dims: varying };
    let mut found = None;
    let first = Mutex::new(usize::MAX);
    let len = nest.dims.iter().map(|d| d.0).product::<usize>();
    if len >= 2 * GRAIN && nest.dims.len() == 1 {
        for_ranges(len, GRAIN, |range| {
            let bad = nest.scan(0, nest.dims[0].1, range, low, span);
            let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
            *first = bad.unwrap_or(usize::MAX).min(*first);
        });
        let at = first.into_inner().unwrap_or_else(PoisonError::into_inner);
        return (at != usize::MAX).then(|| nest.read(0, nest.dims[0].1, at));
    }
    each_row(&nest.dims, |at, n, stride| {
        found = nest.scan(at, stride, 0..n, low, span).map(|i| nest.read(at, stride, i));
        found.is_none()
    });
    found
}

/// Indices that a scan looks at before it asks whether one was bad.
const BLOCK: usize = 4096;
/// Indices below which a scan stays on one thread.
const GRAIN: usize = 64 * 1024;

struct Nest {
    ptr: *const i64,
    dims: Vec<(usize, isize)>,
}

// SAFETY: only read, and the caller of `first_outside` vouches for the memory.
unsafe impl Sync for Nest {}

impl Nest {
    #[inline(always)]
    fn read(&self, at: isize, stride: isize, i: usize) -> i64 {
        // SAFETY: a position of the nest, for all of which the caller of `first_outside` vouches.
        unsafe { *self.ptr.offset(at + i as isize * stride) }
    }

    /// The first position of a row whose index is not in `low..low + span`.
    fn scan(&self, at: isize, stride: isize, range: Range<usize>, low: i64, span: u64) -> Option<usize> {
        for start in range.clone().step_by(BLOCK) {
            let mut block = start..(start + BLOCK).min(range.end);
            let any = if stride == 1 {
                let first = self.ptr.wrapping_offset(at + start as isize);
                // SAFETY: positions of the nest, for all of which the caller of `first_outside` vouches.
                any_outside(unsafe { std::slice::from_raw_parts(first, block.len()) }, low, span)
            } else {
                block.clone().any(|i| outside(self.read(at, stride, i), low, span))
            };
            if any {
                return block.find(|&i| outside(self.read(at, stride, i), low, span));
            }
        }
        None
    }
}

#[inline(always)]
fn outside(index: i64, low: i64, span: u64) -> bool {
    index.wrapping_sub(low) as u64 >= span
}

crate::multiversion! {
    /// Without an early exit, so that it is vectorised.
    fn any_outside(indices: &[i64], low: i64, span: u64) -> bool {
        indices.iter().fold(0_u64, |any, index| any | u64::from(outside(*index, low, span))) != 0
    }
}

/// Element offsets that several index tensors add up to, one for each position of `sizes`, contiguous.
///
/// # Safety
/// Each tensor of indices is valid over `sizes`, each index lies in `-size..size`.
pub unsafe fn fold(sizes: &[i64], indices: &[Index]) -> Vec<i64> {
    let mut offsets = vec![0_i64; sizes.iter().product::<i64>() as usize];
    for index in indices {
        let dims: Vec<(usize, isize)> =
            sizes.iter().zip(index.strides).map(|(&n, &s)| (n as usize, s as isize)).collect();
        let mut out = offsets.iter_mut();
        each_row(&dims, |at, n, stride| {
            for (i, out) in out.by_ref().take(n).enumerate() {
                // SAFETY: the caller vouches for every position of the nest.
                let value = unsafe { *index.ptr.offset(at + i as isize * stride) };
                *out += (value + (index.size & (value >> 63))) * index.stride;
            }
            true
        });
    }
    offsets
}

/// Calls `f(offset, size, stride)` for each row of the nest of `(size, stride)`, in logical order, while it says `true`.
fn each_row(dims: &[(usize, isize)], mut f: impl FnMut(isize, usize, isize) -> bool) {
    if dims.iter().any(|&(n, _)| n == 0) {
        return;
    }
    let (outer, (n, stride)) = match dims.split_last() {
        Some((last, outer)) => (outer, *last),
        None => (dims, (1, 0)),
    };
    let rows: usize = outer.iter().map(|d| d.0).product();
    for row in 0..rows {
        let (mut rest, mut at) = (row, 0);
        for &(size, stride) in outer.iter().rev() {
            at += (rest % size) as isize * stride;
            rest /= size;
        }
        if !f(at, n, stride) {
            return;
        }
    }
}
