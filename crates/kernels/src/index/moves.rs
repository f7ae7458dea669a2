//! Reading from and writing to indexed places: element sizes only, no element types.

use std::mem::MaybeUninit;

use super::walk::{Index, Run, Walk};
use super::with_bits;
use crate::bytes::copy_bytes;
use crate::strided::Operand;

/// `dst[..] = src[.., index, ..]`: `src` is the indexed operand.
///
/// # Safety
/// Both operands and the indices are valid over `sizes`, every index lies in `-size..size`, and no element of `dst`
/// is reached twice or shared with `src`.
pub unsafe fn get(sizes: &[i64], dst: Operand, src: Operand, index: Index) {
    let walk = Walk::new(sizes, dst, src, Some(index));
    with_bits!(dst.dtype, T => walk.share(|_| true, |walk| walk.runs(|run| {
        // SAFETY: the caller vouches for the operands and the indices.
        unsafe { get_run::<T>(walk, run) }
    })));
}

/// `dst[.., index, ..] = src[..]`: `dst` is the indexed operand; of equal places the last one written stays.
///
/// # Safety
/// As for [`get`]; places of `dst` that differ along a dimension where `dst` has a stride are distinct.
pub unsafe fn put(sizes: &[i64], dst: Operand, src: Operand, index: Index) {
    let walk = Walk::new(sizes, dst, src, Some(index));
    with_bits!(dst.dtype, T => walk.share(|dim| dim.dst != 0, |walk| walk.runs(|run| {
        // SAFETY: the caller vouches for the operands and the indices.
        unsafe { put_run::<T>(walk, run) }
    })));
}

/// # Safety
/// The run lies within valid operands.
#[inline(always)]
unsafe fn get_run<T: Copy>(walk: &Walk, run: Run) {
    let (dst, src, dim, rule) = (run.dst.cast::<T>(), run.src.cast::<T>(), run.dim, walk.rule());
    // SAFETY: the run's pointers and strides are those of the caller's operands.
    unsafe {
        if dim.index == 0 {
            return move_run(dst, src.offset(rule.offset(*run.index)), &run);
        }
        rule.each_place(&run, dim.src, |i, at| *dst.offset(i * dim.dst) = *src.offset(at));
    }
}

/// # Safety
/// The run lies within valid operands.
#[inline(always)]
unsafe fn put_run<T: Copy>(walk: &Walk, run: Run) {
    let (dst, src, dim, rule) = (run.dst.cast::<T>(), run.src.cast::<T>(), run.dim, walk.rule());
    // SAFETY: the run's pointers and strides are those of the caller's operands.
    unsafe {
        if dim.index == 0 {
            return move_run(dst.offset(rule.offset(*run.index)), src, &run);
        }
        rule.each_place(&run, dim.dst, |i, at| *dst.offset(at) = *src.offset(i * dim.src));
    }
}

/// # Safety
/// Both pointers are valid over the run and do not overlap.
#[inline(always)]
unsafe fn move_run<T: Copy>(dst: *mut T, src: *const T, run: &Run) {
    let (n, ds, ss) = (run.dim.size, run.dim.dst, run.dim.src);
    // SAFETY: the caller's promise.
    unsafe {
        match (ds, ss) {
            (1, 1) => copy_bytes(dst.cast(), src.cast(), n * size_of::<T>()),
            (1, 0) => {
                std::slice::from_raw_parts_mut(dst.cast::<MaybeUninit<T>>(), n).fill(MaybeUninit::new(*src))
            }
            _ => {
                for i in 0..n as isize {
                    *dst.offset(i * ds) = *src.offset(i * ss);
                }
            }
        }
    }
}
