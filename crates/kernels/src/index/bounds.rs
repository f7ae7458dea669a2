//! Checking indices and folding several index tensors into one.

use super::walk::Index;

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
    let outside = |index: i64| index.wrapping_sub(low) as u64 >= span;
    let varying: Vec<(usize, isize)> = sizes
        .iter()
        .zip(strides)
        .filter(|&(&n, &s)| n != 1 && s != 0)
        .map(|(&n, &s)| (n as usize, s as isize))
        .collect();
    let mut found = None;
    each_row(&varying, |at, n, stride| {
        // SAFETY: the caller vouches for every position of the nest.
        let read = |i: usize| unsafe { *ptr.offset(at + i as isize * stride) };
        // No early exit inside a row, so that the scan is vectorised.
        let any = if stride == 1 {
            (0..n).fold(false, |bad, i| bad | outside(read(i)))
        } else {
            (0..n).any(|i| outside(read(i)))
        };
        found = if any { (0..n).map(read).find(|&i| outside(i)) } else { None };
        found.is_none()
    });
    found
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
