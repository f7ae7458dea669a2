//! Products with few rows: the time is that of reading B once, so B is not packed.
//!
//! Where the columns of B are contiguous along `k` (weights as a linear layer stores them) each element of C is a dot
//! product; where its rows are contiguous, eight of them at a time are added to the rows of C.

use super::micro::Real;
use super::pack::{same, widen};
use super::simd::{Simd, Vectorized};
use super::{Bias, Load, Rows, Save, Sink, Strided, buffer};
use crate::isa::Isa;
use crate::parallel::{for_tasks, num_threads};
use std::ops::Range;

/// Most rows that this path takes.
pub(super) const ROWS: usize = 16;
/// Rows that share one pass over B.
const GROUP: usize = 8;
/// Columns of B whose dot products run together: with eight rows their sums still fit in 32 registers.
const COLUMNS: usize = 3;
/// Steps of `k` added at once where the rows of B are contiguous.
const STEPS: usize = 8;
/// Elements of B that are converted at a time where they are stored in another type.
const BLOCK: usize = 16 * 1024;
/// Elements of B below which threads are not worth their start.
const SERIAL: usize = 48 * 1024;

/// A product with few rows, all of it plain memory.
pub(super) struct Skinny<'a, S, T> {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: Strided<'a, S>,
    pub b: Strided<'a, S>,
    pub c: Rows<'a, S>,
    pub alpha: T,
    pub beta: T,
    pub bias: Bias<'a, T>,
}

/// Columns of C for one task: the rows of `c` get the sums, those of `a` are the rows of A.
#[derive(Clone, Copy)]
struct Task<T> {
    m: usize,
    k: usize,
    cols: usize,
    a: *const T,
    /// Elements from one row of A to the next.
    a_row: usize,
    /// First element of the task's columns of B.
    b: *const T,
    /// Elements from one column, or else one step, to the next.
    b_stride: isize,
    c: *mut T,
    /// Elements from one row of C to the next.
    c_row: usize,
    /// Whether columns of B are contiguous.
    dots: bool,
}

impl<S: Load<T> + Save<T>, T: Real> Skinny<'_, S, T> {
    /// Whether the product has few rows and B can be read as it lies.
    pub(super) fn fits(&self) -> bool {
        self.m <= ROWS && (self.b.step == 1 || self.b.line == 1)
    }

    /// Computes one item.
    ///
    /// # Safety
    /// As for [`super::Gemm::run`]; the processor has the instruction set.
    pub(super) unsafe fn run(&self, isa: Isa, item: usize) {
        let tasks = if self.n * self.k < SERIAL { 1 } else { 4 * num_threads() };
        let step = self.n.div_ceil(tasks).next_multiple_of(64);
        buffer::with(buffer::SHARED, self.m * self.k, |a: *mut T| {
            // SAFETY: the buffer holds the rows of A, which exist.
            let rows = unsafe {
                self.copy_rows(item, a);
                std::slice::from_raw_parts(a, self.m * self.k)
            };
            let tasks = self.n.div_ceil(step);
            let task = |i: usize| {
                // SAFETY: the columns exist and differ from task to task.
                unsafe { self.columns(isa, item, rows, i * step..self.n.min((i + 1) * step)) }
            };
            if tasks == 1 { task(0) } else { for_tasks(tasks, task) }
        });
    }

    unsafe fn copy_rows(&self, item: usize, a: *mut T) {
        for i in 0..self.m {
            for k in 0..self.k {
                // SAFETY: the caller promises that row and step exist, here and in the buffer.
                unsafe { *a.add(i * self.k + k) = (*self.a.at(item, i, k)).get() }
            }
        }
    }

    unsafe fn columns(&self, isa: Isa, item: usize, a: &[T], cols: Range<usize>) {
        buffer::with(buffer::C, self.m * cols.len(), |c: *mut T| {
            let dots = self.b.step == 1;
            let b = self.b.at(item, cols.start, 0);
            let b_stride = if dots { self.b.line } else { self.b.step };
            let (a, a_row, c_row) = (a.as_ptr(), self.k, cols.len());
            let task =
                Task { m: self.m, k: self.k, cols: c_row, a, a_row, b: b.cast(), b_stride, c, c_row, dots };
            // SAFETY: the caller's promise; `c` is the buffer's block.
            unsafe {
                let c = std::slice::from_raw_parts_mut(c, self.m * cols.len());
                c.fill(T::ZERO);
                if same::<S, T>() {
                    T::vectorize(isa, &task)
                } else {
                    task.widened(isa, b)
                }
                self.finish(item, cols.clone(), c);
                self.c.store(item, 0..self.m, cols.clone(), c.as_ptr(), cols.len(), self.beta);
            }
        });
    }

    /// Applies `alpha` and the bias.
    fn finish(&self, item: usize, cols: Range<usize>, c: &mut [T]) {
        for (i, row) in c.chunks_exact_mut(cols.len()).enumerate() {
            if self.alpha != T::ONE {
                row.iter_mut().for_each(|x| *x = self.alpha * *x);
            }
            match self.bias {
                Bias::None => {}
                Bias::Rows(bias, step) => row.iter_mut().for_each(|x| *x = *x + bias[item * step + i]),
                Bias::Cols(bias) => row.iter_mut().zip(&bias[cols.clone()]).for_each(|(x, b)| *x = *x + *b),
            }
        }
    }
}

impl<T: Real> Vectorized<T> for Task<T> {
    #[inline(always)]
    unsafe fn run<V: Simd<E = T>>(&self) {
        // SAFETY: the caller's promise is passed on.
        unsafe { if self.dots { self.dots::<V>() } else { self.axpys::<V>() } }
    }
}

impl<T: Real> Task<T> {
    /// Runs the task block by block of a B that is stored in another type.
    unsafe fn widened<S: Load<T>>(self, isa: Isa, b: *const S) {
        let (lines, len, unit) =
            if self.dots { (self.cols, self.k, 2 * COLUMNS) } else { (self.k, self.cols, STEPS) };
        let block = (BLOCK / len.max(1)).max(1).next_multiple_of(unit).min(lines);
        buffer::with(buffer::B, block * len, |wide: *mut T| {
            for first in (0..lines).step_by(block.max(1)) {
                let count = block.min(lines - first);
                let part = if self.dots {
                    Task { cols: count, c: self.c.wrapping_add(first), ..self }
                } else {
                    Task { k: count, a: self.a.wrapping_add(first), ..self }
                };
                // SAFETY: the lines exist, and the buffer holds a block.
                unsafe {
                    for i in 0..count {
                        widen(b.offset((first + i) as isize * self.b_stride), 1, wide.add(i * len), len);
                    }
                    T::vectorize(isa, &Task { b: wide, b_stride: len as isize, ..part });
                }
            }
        });
    }

    #[inline(always)]
    unsafe fn dots<V: Simd<E = T>>(&self) {
        // SAFETY: groups of rows and columns stay within the task.
        unsafe {
            for j in (0..self.cols).step_by(COLUMNS) {
                for i in (0..self.m).step_by(GROUP) {
                    match (self.m - i).min(GROUP) {
                        1 => self.dot_columns::<V, 1>(i, j),
                        2 => self.dot_columns::<V, 2>(i, j),
                        3 => self.dot_columns::<V, 3>(i, j),
                        4 => self.dot_columns::<V, 4>(i, j),
                        5 => self.dot_columns::<V, 5>(i, j),
                        6 => self.dot_columns::<V, 6>(i, j),
                        7 => self.dot_columns::<V, 7>(i, j),
                        _ => self.dot_columns::<V, 8>(i, j),
                    }
                }
            }
        }
    }

    /// `R` rows by [`COLUMNS`] columns, or by those that are left.
    #[inline(always)]
    unsafe fn dot_columns<V: Simd<E = T>, const R: usize>(&self, i: usize, j: usize) {
        // SAFETY: the columns named exist.
        unsafe {
            if j + COLUMNS <= self.cols {
                return self.dot_tile::<V, R, COLUMNS>(i, j);
            }
            for j in j..self.cols {
                self.dot_tile::<V, R, 1>(i, j);
            }
        }
    }

    #[inline(always)]
    unsafe fn dot_tile<V: Simd<E = T>, const R: usize, const C: usize>(&self, i: usize, j: usize) {
        // SAFETY: rows `i..i + R` and columns `j..j + C` exist and have `k` elements.
        unsafe {
            let a = |r: usize, k: usize| self.a.add((i + r) * self.a_row + k);
            let b = |c: usize, k: usize| self.b.offset((j + c) as isize * self.b_stride).add(k);
            let mut acc = [[V::zero(); C]; R];
            let whole = self.k / V::LANES * V::LANES;
            for k in (0..whole).step_by(V::LANES) {
                let mut bs = [V::zero(); C];
                for (c, x) in bs.iter_mut().enumerate() {
                    *x = V::load(b(c, k));
                }
                for (r, row) in acc.iter_mut().enumerate() {
                    let a = V::load(a(r, k));
                    for (s, b) in row.iter_mut().zip(bs) {
                        *s = a.fma(b, *s);
                    }
                }
            }
            for (r, row) in acc.into_iter().enumerate() {
                for (c, v) in row.into_iter().enumerate() {
                    *self.c.add((i + r) * self.c_row + j + c) = v.sum();
                }
            }
            if whole < self.k {
                self.add_rest(whole, i..i + R, j..j + C);
            }
        }
    }

    /// Adds the products of the steps from `first` on; not in the tiles, because there it would be compiled for each size.
    #[inline(never)]
    unsafe fn add_rest(&self, first: usize, rows: Range<usize>, cols: Range<usize>) {
        for i in rows {
            for j in cols.clone() {
                // SAFETY: rows, columns and steps exist.
                unsafe {
                    let (a, b) = (self.a.add(i * self.a_row), self.b.offset(j as isize * self.b_stride));
                    let sum = self.c.add(i * self.c_row + j);
                    *sum = (first..self.k).fold(*sum, |s, k| s + *a.add(k) * *b.add(k));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn axpys<V: Simd<E = T>>(&self) {
        // SAFETY: steps and columns stay within the task.
        unsafe {
            let whole = self.k / STEPS * STEPS;
            for k in (0..whole).step_by(STEPS) {
                self.axpy_steps::<V, STEPS>(k);
            }
            for k in whole..self.k {
                self.axpy_steps::<V, 1>(k);
            }
        }
    }

    /// Adds `N` steps to all rows.
    #[inline(always)]
    unsafe fn axpy_steps<V: Simd<E = T>, const N: usize>(&self, k: usize) {
        // SAFETY: the steps exist; a vector is only touched whole where it is whole.
        unsafe {
            let b = |u: usize| self.b.offset((k + u) as isize * self.b_stride);
            let whole = self.cols / V::LANES * V::LANES;
            for j in (0..whole).step_by(V::LANES) {
                let mut bs = [V::zero(); N];
                for (u, x) in bs.iter_mut().enumerate() {
                    *x = V::load(b(u).add(j));
                }
                for i in 0..self.m {
                    let (a, c) = (self.a.add(i * self.a_row + k), self.c.add(i * self.c_row + j));
                    let mut sum = V::load(c);
                    for (u, b) in bs.into_iter().enumerate() {
                        sum = V::splat(*a.add(u)).fma(b, sum);
                    }
                    sum.store(c);
                }
            }
            for i in 0..self.m {
                for j in whole..self.cols {
                    let (a, c) = (self.a.add(i * self.a_row + k), self.c.add(i * self.c_row + j));
                    *c = (0..N).fold(*c, |s, u| s + *a.add(u) * *b(u).add(j));
                }
            }
        }
    }
}
