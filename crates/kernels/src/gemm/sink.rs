//! Storing C into plain matrices.

use super::Sink;
use super::micro::Real;
use super::pack::same;
use crate::dtype::{Element, bf16, f16};
use std::ops::Range;

/// A stored type that sums in `T` are rounded to.
pub trait Save<T>: Element {
    /// The nearest value.
    fn put(x: T) -> Self;
    /// The value as `T`.
    fn back(self) -> T;
}

macro_rules! save {
    ($($t:ty, $sum:ty, |$x:ident| $put:expr, |$s:ident| $back:expr;)*) => {$(
        impl Save<$sum> for $t {
            #[inline(always)]
            fn put($x: $sum) -> $t {
                $put
            }
            #[inline(always)]
            fn back(self) -> $sum {
                let $s = self;
                $back
            }
        }
    )*};
}
save! {
    f32, f32, |x| x, |s| s;
    f64, f64, |x| x, |s| s;
    f16, f32, |x| f16::from_f32(x), |s| s.to_f32();
    bf16, f32, |x| bf16::from_f32(x), |s| s.to_f32();
}

/// Matrices in memory: row `i`, column `j` of an item is `ptr[items[item] + i * row + j * col]`.
#[derive(Clone, Copy)]
pub struct Rows<'a, S> {
    /// Address that all offsets count from.
    pub ptr: *mut S,
    /// Offset of each item, in elements.
    pub items: &'a [isize],
    /// Elements from one row to the next.
    pub row: isize,
    /// Elements from one column to the next.
    pub col: isize,
}

// SAFETY: threads write disjoint blocks; whoever builds one promises that the memory stays valid.
unsafe impl<S: Sync> Sync for Rows<'_, S> {}

impl<S> Rows<'_, S> {
    /// The address of an element.
    #[inline(always)]
    pub(super) fn at(&self, item: usize, row: usize, col: usize) -> *mut S {
        self.ptr.wrapping_offset(self.items[item] + row as isize * self.row + col as isize * self.col)
    }
}

impl<S> Rows<'_, S> {
    /// Transposes a block into columns that lie in memory as `T`, eight rows at a time; returns how many rows were done.
    ///
    /// # Safety
    /// As for [`Sink::store`].
    unsafe fn store_columns<T: Real>(
        &self,
        item: usize,
        rows: Range<usize>,
        cols: Range<usize>,
        block: *const T,
        row: usize,
    ) -> usize
    where
        S: Save<T>,
    {
        if !same::<S, T>() || self.col <= 1 {
            return 0;
        }
        let (whole, col) = (rows.len() / 8 * 8, self.col as usize);
        for i in (0..whole).step_by(8) {
            let to: *mut T = self.at(item, rows.start + i, cols.start).cast();
            // SAFETY: the caller promises that these rows and columns exist, here and in the block.
            unsafe {
                let from = block.add(i * row);
                for j in T::transpose8(from, row as isize, cols.len(), to, col)..cols.len() {
                    (0..8).for_each(|i| *to.add(j * col + i) = *from.add(i * row + j));
                }
            }
        }
        whole
    }
}

impl<T: Real, S: Save<T>> Sink<T> for Rows<'_, S> {
    fn direct(&self, item: usize, rows: Range<usize>, cols: Range<usize>) -> Option<(*mut T, isize)> {
        (same::<S, T>() && self.col == 1).then(|| (self.at(item, rows.start, cols.start).cast(), self.row))
    }

    unsafe fn store(
        &self,
        item: usize,
        rows: Range<usize>,
        cols: Range<usize>,
        block: *const T,
        row: usize,
        beta: T,
    ) {
        let first = if beta == T::ZERO && self.row == 1 {
            // SAFETY: the caller's promise is passed on.
            unsafe { self.store_columns(item, rows.clone(), cols.clone(), block, row) }
        } else {
            0
        };
        for i in first..rows.len() {
            // SAFETY: the caller promises that these rows and columns exist, here and in the block.
            unsafe {
                let src = std::slice::from_raw_parts(block.add(i * row), cols.len());
                let dst = self.at(item, rows.start + i, cols.start);
                if self.col == 1 && beta == T::ZERO {
                    round_row(src, std::slice::from_raw_parts_mut(dst, cols.len()));
                } else {
                    store_row(src, dst, self.col, beta);
                }
            }
        }
    }
}

unsafe fn store_row<T: Real, S: Save<T>>(src: &[T], dst: *mut S, col: isize, beta: T) {
    for (j, x) in src.iter().enumerate() {
        // SAFETY: the caller promises `src.len()` columns.
        unsafe {
            let dst = dst.offset(j as isize * col);
            *dst = if beta == T::ZERO { S::put(*x) } else { S::put(*x + beta * (*dst).back()) };
        }
    }
}

crate::multiversion! {
    fn round_row<T: Real, S: Save<T>>(src: &[T], dst: &mut [S]) {
        for (d, s) in dst.iter_mut().zip(src) {
            *d = S::put(*s);
        }
    }
}
