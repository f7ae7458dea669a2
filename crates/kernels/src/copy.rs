//! Copies between any strides and element types, and fills.

use crate::bytes::copy_bytes;
use crate::cast::{Convert, converter};
use crate::dtype::DType;
use crate::parallel::{for_ranges, for_tasks};
use crate::pointwise::{GRAIN, Number, STREAM};
use crate::strided::{Operand, Plan, for_each_run};
use crate::transpose::{Rows, transpose};

/// Copies `src` to `out`, converting the elements.
///
/// # Safety
/// Both operands are valid for `sizes`; `out` has no two indices at one address, and they do not overlap.
pub unsafe fn copy(sizes: &[i64], out: Operand, src: Operand) {
    let plan = Plan::new(sizes, &[out, src]);
    let size = out.dtype.size();
    if out.dtype == src.dtype && plan.is_flat(0, size) && plan.is_flat(1, size) {
        let [dst, src] = plan.bases().map(|p| p.addr());
        for_ranges(plan.total() * size, GRAIN * 8, |bytes| {
            let (dst, src) = ((dst + bytes.start) as *mut u8, (src + bytes.start) as *const u8);
            // SAFETY: a part of two runs that the caller vouches for.
            unsafe { copy_bytes(dst, src, bytes.len()) }
        });
        return;
    }
    if out.dtype == src.dtype
        && let Some(turn) = Turn::of(&plan, size)
    {
        // SAFETY: the caller's promise.
        return unsafe { turn.run(&plan) };
    }
    let convert = converter(src.dtype, out.dtype);
    let strides = plan.dims()[0].strides;
    if let [inner, next, ..] = plan.dims()
        && (1..NARROW.min(next.size)).contains(&inner.size)
    {
        return narrow(&plan, convert);
    }
    for_ranges(plan.total(), GRAIN, |range| {
        plan.runs(range, |[dst, src], n| {
            // SAFETY: a run of elements that the caller vouches for.
            unsafe { convert.run(dst, strides[0], src, strides[1], n) }
        });
    });
}

/// Runs shorter than this are not worth a call each.
const NARROW: usize = 16;
/// Runs that are copied together; few enough to stay in the first-level cache.
const RUNS: usize = 512;

/// A copy whose innermost dimension is short: goes along the next one instead, once for each element of a run.
fn narrow(plan: &Plan<2>, convert: Convert) {
    let (inner, rest) = plan.split();
    let strides = rest.dims()[0].strides;
    for_ranges(rest.total(), GRAIN / inner.size, |range| {
        rest.runs(range, |ptrs, n| {
            for start in (0..n).step_by(RUNS) {
                for i in 0..inner.size as isize {
                    let at = |k: usize| {
                        ptrs[k].wrapping_offset(start as isize * strides[k] + i * inner.strides[k])
                    };
                    // SAFETY: elements of the copy that `copy`'s caller vouches for.
                    unsafe { convert.run(at(0), strides[0], at(1), strides[1], RUNS.min(n - start)) }
                }
            }
        });
    });
}

/// Rows of a transposed copy that one task moves: few enough for their pages to stay in the translation cache.
const TURN_ROWS: usize = 256;

/// A copy whose sides are contiguous along different dimensions.
struct Turn {
    size: usize,
    /// The dimension of the plan along which the source is contiguous; the target is along dimension 0.
    dim: usize,
}

impl Turn {
    fn of(plan: &Plan<2>, size: usize) -> Option<Turn> {
        let dims = plan.dims();
        let along = |d: usize, operand: usize| dims[d].strides[operand] == size as isize;
        let dim = (1..dims.len()).find(|&d| along(d, 1))?;
        let turned = along(0, 0) && dims[0].strides[1] != 0 && dims[0].size >= 8 && dims[dim].size >= 8;
        turned.then_some(Turn { size, dim })
    }

    /// # Safety
    /// As [`copy`], for the plan of its operands.
    unsafe fn run(&self, plan: &Plan<2>) {
        let (cols, rows) = (plan.dims()[0], plan.dims()[self.dim]);
        let pieces = rows.size.div_ceil(TURN_ROWS);
        let outer: usize = plan.total() / (cols.size * rows.size);
        let stream = plan.total() * self.size >= STREAM;
        for_tasks_of(outer * pieces, TURN_ROWS.min(rows.size) * cols.size, |task| {
            let start = task % pieces * TURN_ROWS;
            let [dst, src] = plan.matrix(self.dim, task / pieces);
            let dst = Rows { ptr: dst, stride: rows.strides[0] }.at(start, 0);
            let src = Rows { ptr: src, stride: cols.strides[1] }.at(0, start * self.size);
            // SAFETY: rows `start..` of one matrix of the copy.
            unsafe { transpose(self.size, dst, src, TURN_ROWS.min(rows.size - start), cols.size, stream) };
        });
    }
}

/// [`for_tasks`], on the caller alone if all of them together are not worth a thread.
fn for_tasks_of(tasks: usize, elements: usize, f: impl Fn(usize) + Sync) {
    if tasks * elements <= GRAIN { (0..tasks).for_each(f) } else { for_tasks(tasks, f) }
}

/// Writes `value`, converted to the type of `out`, to every element.
///
/// # Safety
/// `out` is valid for `sizes`.
pub unsafe fn fill(sizes: &[i64], out: Operand, value: Number) {
    let mut element = Element([0; 16]);
    let at: *mut u8 = element.0.as_mut_ptr();
    let (mut int, mut complex) = (value.int, value.complex);
    let (from, source) = if out.dtype.is_integral_or_bool() && out.dtype != DType::Bool {
        (DType::I64, (&raw mut int).cast::<u8>())
    } else {
        (DType::Complex128, (&raw mut complex).cast())
    };
    let size = out.dtype.size() as isize;
    // SAFETY: the buffer holds and is aligned for one element of any type.
    unsafe { converter(from, out.dtype).run(at, size, source, 0, 1) };
    let move_run = converter(out.dtype, out.dtype);
    let at = at.addr();
    for_each_run(sizes, &[out], GRAIN, |[dst], [stride], n| {
        // SAFETY: the caller vouches for the run; `element` outlives the loop and is only read.
        unsafe { move_run.run(dst, stride, at as *const u8, 0, n) }
    });
}

/// One element of any type.
#[repr(align(16))]
struct Element([u8; 16]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_between_strides_and_types() {
        for [rows, cols] in [[1, 1], [3, 5], [64, 64], [100, 70], [257, 513]] {
            let n = (rows * cols) as usize;
            let mut src: Vec<i32> = (0..n as i32).collect();
            let mut out = vec![0_f64; n];
            let mut same = vec![0_i32; n];
            let (by_rows, by_cols) = ([cols, 1], [1, rows]);
            let from = Operand::new(src.as_mut_ptr().cast(), DType::I32, &by_rows);
            // SAFETY: all three have `rows * cols` elements.
            unsafe {
                copy(&[rows, cols], Operand::new(out.as_mut_ptr().cast(), DType::F64, &by_cols), from);
                copy(&[rows, cols], Operand::new(same.as_mut_ptr().cast(), DType::I32, &by_cols), from);
            }
            for (i, value) in src.iter().enumerate() {
                let (r, c) = (i / cols as usize, i % cols as usize);
                let at = c * rows as usize + r;
                assert_eq!((out[at], same[at]), (*value as f64, *value), "{rows}x{cols}");
            }
        }
    }

    #[test]
    fn short_runs_are_copied_across() {
        let (sizes, n) = ([3, 700, 2, 2], 8400);
        let mut src: Vec<i16> = (0..n).collect();
        let mut out = vec![0_i64; n as usize];
        let (from, to) = ([2, 6, 4200, 1], [2800, 4, 2, 1]);
        // SAFETY: both have an element for every index.
        unsafe {
            let from = Operand::new(src.as_mut_ptr().cast(), DType::I16, &from);
            copy(&sizes, Operand::new(out.as_mut_ptr().cast(), DType::I64, &to), from);
        }
        for (i, value) in out.iter().enumerate() {
            let at = [i / 2800, i / 4 % 700, i / 2 % 2, i % 2];
            assert_eq!(*value, (at[0] * 2 + at[1] * 6 + at[2] * 4200 + at[3]) as i64);
        }
    }

    #[test]
    fn nothing_is_copied_where_there_is_nothing() {
        let strides = [1, 5, 50];
        let nowhere = Operand::new(std::ptr::null_mut(), DType::F32, &strides);
        // SAFETY: there are no elements.
        unsafe { copy(&[0, 7, 3], nowhere, Operand::new(std::ptr::null_mut(), DType::F64, &[50, 1, 9])) };
    }

    #[test]
    fn fills_any_type() {
        let mut x = [0_i8; 5];
        let mut y = [false; 3];
        // SAFETY: strides stay within the arrays.
        unsafe {
            fill(&[3], Operand::new(x.as_mut_ptr().cast(), DType::I8, &[2]), Number::from(300_i64));
            fill(&[3], Operand::new(y.as_mut_ptr().cast(), DType::Bool, &[1]), Number::from(0.5));
        }
        assert_eq!((x, y), ([44, 0, 44, 0, 44], [true; 3]));
    }
}
