//! Rows of any floating-point type for loops that take slices of `f32` or `f64`.
//!
//! Operands that are stored in the type that is computed in are handed on whole. Others are converted a group of rows at
//! a time, in buffers that stay in the cache, so that half types cost no passes over memory of their own.

use crate::block::Compute;
use crate::dtype::DType;
use crate::parallel::for_ranges;
use crate::parts::Parts;
use crate::softmax::Along;

/// Elements of a group.
const GROUP: usize = 1 << 14;
/// Groups below which all rows are converted first, by all threads, and the loop is left to share its own work.
const FEW: usize = 4;
/// Elements that are worth a thread.
const GRAIN: usize = 1 << 15;

/// A row-major operand, seen as rows.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// Its first element.
    pub ptr: *mut u8,
    /// Its element type.
    pub dtype: DType,
    /// Elements of a row.
    pub width: usize,
}

// SAFETY: an address and two facts; `by_rows` shares out what it points to.
unsafe impl Send for Rows {}
// SAFETY: as above.
unsafe impl Sync for Rows {}

impl Rows {
    fn at(&self, element: usize) -> *mut u8 {
        self.ptr.wrapping_add(element * self.dtype.size())
    }

    /// Elements `start..start + n`, in place or converted in `buf`.
    ///
    /// # Safety
    /// As [`by_rows`], for these elements.
    unsafe fn read<'a, T: Compute>(&self, start: usize, n: usize, buf: &'a mut Vec<T>) -> &'a [T] {
        if self.dtype == T::STORED && n > 0 {
            // SAFETY: as the caller promises.
            return unsafe { std::slice::from_raw_parts(self.at(start).cast(), n) };
        }
        buf.resize(n, T::default());
        let parts = Parts::new(buf);
        for_ranges(n, GRAIN, |range| {
            // SAFETY: each range is one task's; the elements are the caller's.
            unsafe { T::gather(self.at(start + range.start), self.dtype, 1, parts.part(range)) };
        });
        buf
    }

    /// Room for elements `start..start + n`: the operand itself, or `buf`.
    ///
    /// # Safety
    /// As [`by_rows`], for these elements.
    unsafe fn room<'a, T: Compute>(&self, start: usize, n: usize, buf: &'a mut Vec<T>) -> &'a mut [T] {
        if self.dtype == T::STORED && n > 0 {
            // SAFETY: as the caller promises.
            return unsafe { std::slice::from_raw_parts_mut(self.at(start).cast(), n) };
        }
        buf.resize(n, T::default());
        buf
    }

    /// Takes what is in `buf` to its place from element `start` on, if it is not there already.
    ///
    /// # Safety
    /// As [`by_rows`], for these elements.
    unsafe fn write<T: Compute>(&self, start: usize, buf: &[T]) {
        if self.dtype != T::STORED {
            for_ranges(buf.len(), GRAIN, |range| {
                // SAFETY: as the caller promises; each range is one task's.
                unsafe { T::scatter(self.at(start + range.start), self.dtype, 1, &buf[range]) }
            });
        }
    }
}

/// Calls `f(first, inputs, outputs)` with the elements of some rows from `first` on, the same rows of all operands, until
/// each row was met once.
///
/// `f` may share its work among threads: it is called once for all rows unless there are conversions to do.
///
/// # Safety
/// Each operand has `rows` rows, which lie in readable memory, or (outputs) in memory that this call alone may write. No
/// output overlaps another operand. An output of type `T` holds values of that type.
pub unsafe fn by_rows<T: Compute, const I: usize, const O: usize>(
    rows: usize,
    inputs: [Rows; I],
    outputs: [Rows; O],
    f: impl Fn(usize, [&[T]; I], [&mut [T]; O]) + Sync,
) {
    // SAFETY: as the caller promises.
    unsafe { groups(rows, inputs, outputs, &f) }
}

/// What is called with the number of the first of some rows, and their elements of all inputs and outputs.
type Body<'f, T, const I: usize, const O: usize> = &'f (dyn Fn(usize, [&[T]; I], [&mut [T]; O]) + Sync);

/// [`by_rows`], compiled once for all functions.
///
/// # Safety
/// As [`by_rows`].
unsafe fn groups<T: Compute, const I: usize, const O: usize>(
    rows: usize,
    inputs: [Rows; I],
    outputs: [Rows; O],
    f: Body<T, I, O>,
) {
    let all = || inputs.iter().chain(&outputs);
    let widest = all().map(|r| r.width).max().unwrap_or(0);
    let group = (GROUP / widest.max(1)).max(1);
    let once = rows.div_ceil(group) < FEW || all().all(|r| r.dtype == T::STORED);
    let group = if once { rows.max(1) } else { group };
    for_ranges(rows.div_ceil(group).max(1), 1, |groups| {
        let (mut read, mut written) = ([const { Vec::new() }; I], [const { Vec::new() }; O]);
        for start in groups.map(|i| i * group) {
            let n = group.min(rows - start);
            let (mut from, mut to) = (inputs.iter(), outputs.iter());
            // SAFETY: rows of the operands that only this thread has.
            unsafe {
                let x = read.each_mut().map(|buf| match from.next() {
                    Some(r) => r.read(start * r.width, n * r.width, buf),
                    None => &[],
                });
                let y = written.each_mut().map(|buf| match to.next() {
                    Some(r) => r.room(start * r.width, n * r.width, buf),
                    None => buf,
                });
                f(start, x, y);
                written.iter().zip(&outputs).for_each(|(buf, r)| r.write(start * r.width, buf));
            }
        }
    });
}

/// Narrowest strip that is converted at a time.
const STRIP: usize = 32;

/// As [`by_rows`] for operands of one shape whose lines lie along a middle dimension: calls `f(shape, inputs, outputs)`
/// for parts of the outer and inner dimensions that together make up the whole.
///
/// # Safety
/// As [`by_rows`], for as many rows as there are outer entries.
pub unsafe fn by_lines<T: Compute, const I: usize, const O: usize>(
    along: Along,
    inputs: [Rows; I],
    outputs: [Rows; O],
    f: impl Fn(Along, [&[T]; I], [&mut [T]; O]) + Sync,
) {
    let Along { outer, n, inner } = along;
    let plain = inputs.iter().chain(&outputs).all(|r| r.dtype == T::STORED);
    if plain || inner == 1 || n * inner <= GROUP {
        let part = |x: &[&[T]; I]| Along { outer: x[0].len() / (n * inner).max(1), ..along };
        // SAFETY: as the caller promises.
        return unsafe { by_rows(outer, inputs, outputs, |_, x, y| f(part(&x), x, y)) };
    }
    // SAFETY: as the caller promises.
    unsafe { strips(along, inputs, outputs, &f) }
}

/// What is called with the elements of a part of all inputs and outputs, and with its shape.
type LineBody<'f, T, const I: usize, const O: usize> = &'f (dyn Fn(Along, [&[T]; I], [&mut [T]; O]) + Sync);

/// [`by_lines`] a strip of columns at a time, compiled once for all functions.
///
/// # Safety
/// As [`by_rows`].
unsafe fn strips<T: Compute, const I: usize, const O: usize>(
    Along { outer, n, inner }: Along,
    inputs: [Rows; I],
    outputs: [Rows; O],
    f: LineBody<T, I, O>,
) {
    let width = (GROUP / n).max(STRIP).min(inner);
    let strips = inner.div_ceil(width);
    for_ranges(outer * strips, 1, |tasks| {
        let (mut read, mut written) = (inputs.map(|_| Vec::new()), outputs.map(|_| Vec::new()));
        for task in tasks {
            let column = task % strips * width;
            let (start, width) = (task / strips * n * inner + column, width.min(inner - column));
            read.iter_mut().chain(&mut written).for_each(|buf| buf.resize(n * width, T::default()));
            for (r, buf) in inputs.iter().zip(&mut read) {
                for (k, line) in buf.chunks_mut(width).enumerate() {
                    // SAFETY: elements of the operand.
                    unsafe { T::gather(r.at(start + k * inner), r.dtype, 1, line) };
                }
            }
            f(
                Along { outer: 1, n, inner: width },
                read.each_ref().map(|x| &x[..]),
                written.each_mut().map(|y| &mut y[..]),
            );
            for (r, buf) in outputs.iter().zip(&written) {
                for (k, line) in buf.chunks(width).enumerate() {
                    // SAFETY: elements of the operand that only this thread has.
                    unsafe { T::scatter(r.at(start + k * inner), r.dtype, 1, line) };
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::bf16;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn lines_of_any_type_are_met_once() {
        for (outer, n, inner) in [(3, 5, 1), (2, 300, 100), (40, 7, 30), (1, 20_000, 3), (0, 4, 5), (2, 0, 3)]
        {
            let along = Along { outer, n, inner };
            let x: Vec<bf16> = (0..along.numel()).map(|i| bf16::from_f32((i % 99) as f32)).collect();
            let mut y = vec![bf16::ZERO; x.len()];
            let operand = |ptr: *mut u8| Rows { ptr, dtype: DType::BF16, width: n * inner };
            let (from, to) = (operand(x.as_ptr().cast_mut().cast()), operand(y.as_mut_ptr().cast()));
            let met = AtomicUsize::new(0);
            // SAFETY: both have so many elements.
            unsafe {
                by_lines::<f32, 1, 1>(along, [from], [to], |part, [x], [y]| {
                    assert_eq!(part.numel(), x.len());
                    met.fetch_add(y.len(), Ordering::Relaxed);
                    for (i, (y, x)) in y.iter_mut().zip(x).enumerate() {
                        *y = x + (i / part.inner % part.n % 2) as f32;
                    }
                });
            }
            assert_eq!(met.into_inner(), along.numel());
            for (i, (y, x)) in y.iter().zip(&x).enumerate() {
                assert_eq!(y.to_f32(), x.to_f32() + (i / inner % n % 2) as f32);
            }
        }
    }

    #[test]
    fn rows_of_any_type_are_met_once() {
        for (rows, width) in [(0, 3), (1, 5), (3, 100_000), (5000, 30), (70_000, 1)] {
            let x: Vec<bf16> = (0..rows * width).map(|i| bf16::from_f32((i % 100) as f32)).collect();
            let w: Vec<f32> = (0..rows).map(|i| (i % 7) as f32).collect();
            let (mut y, mut sums) = (vec![bf16::ZERO; rows * width], vec![0.0_f32; rows]);
            let operand = |ptr: *const u8, dtype, width| Rows { ptr: ptr.cast_mut(), dtype, width };
            let inputs =
                [operand(x.as_ptr().cast(), DType::BF16, width), operand(w.as_ptr().cast(), DType::F32, 1)];
            let outputs = [
                operand(y.as_mut_ptr().cast(), DType::BF16, width),
                operand(sums.as_mut_ptr().cast(), DType::F32, 1),
            ];
            // SAFETY: all have so many rows, and none overlaps another.
            unsafe {
                by_rows::<f32, 2, 2>(rows, inputs, outputs, |_, [x, w], [y, sums]| {
                    for (i, (sum, w)) in sums.iter_mut().zip(w).enumerate() {
                        let row = i * width..(i + 1) * width;
                        *sum += x[row.clone()].iter().sum::<f32>() + w;
                        y[row.clone()].iter_mut().zip(&x[row]).for_each(|(y, x)| *y = x + 1.0);
                    }
                });
            }
            assert!(y.iter().zip(&x).all(|(y, x)| y.to_f32() == x.to_f32() + 1.0));
            for (i, sum) in sums.iter().enumerate() {
                let want: f32 = x[i * width..(i + 1) * width].iter().map(|x| x.to_f32()).sum();
                assert_eq!(*sum, want + w[i]);
            }
        }
    }
}
