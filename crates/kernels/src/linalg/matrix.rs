//! Borrowed matrices that can be cut into disjoint parts.

use std::marker::PhantomData;
use std::ops::Range;

use super::field::{Field, RealField};

/// A matrix to read from, with any strides.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    pub(super) ptr: *const T,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    pub(super) row: isize,
    pub(super) col: isize,
    life: PhantomData<&'a [T]>,
}

// SAFETY: it stands for a shared borrow of elements that are `Sync`.
unsafe impl<T: Sync> Sync for Matrix<'_, T> {}

impl<'a, T: Copy> Matrix<'a, T> {
    /// The matrix whose rows lie one after another in `data`.
    ///
    /// # Panics
    /// If `data` does not have `rows * cols` elements.
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "a matrix is as long as its sizes say");
        Matrix { ptr: data.as_ptr(), rows, cols, row: cols as isize, col: 1, life: PhantomData }
    }

    /// The element of row `i` and column `j`.
    #[inline(always)]
    pub fn at(&self, i: usize, j: usize) -> T {
        assert!(i < self.rows && j < self.cols);
        // SAFETY: the element is inside the borrowed matrix.
        unsafe { *self.ptr.offset(i as isize * self.row + j as isize * self.col) }
    }

    /// Rows and columns exchanged.
    pub fn transpose(self) -> Self {
        Matrix { rows: self.cols, cols: self.rows, row: self.col, col: self.row, ..self }
    }

    /// The part of those rows and columns.
    pub fn part(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        assert!(cols.start <= cols.end && cols.end <= self.cols);
        let offset = rows.start as isize * self.row + cols.start as isize * self.col;
        Matrix { ptr: self.ptr.wrapping_offset(offset), rows: rows.len(), cols: cols.len(), ..self }
    }
}

/// A matrix to write to; the elements of a row are neighbours.
#[derive(Debug)]
pub struct MatrixMut<'a, T> {
    ptr: *mut T,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    row: isize,
    life: PhantomData<&'a mut [T]>,
}

// SAFETY: it stands for an exclusive borrow of elements that are `Send`.
unsafe impl<T: Send> Send for MatrixMut<'_, T> {}
// SAFETY: shared use only reads.
unsafe impl<T: Sync> Sync for MatrixMut<'_, T> {}

impl<T: Field> MatrixMut<'_, T> {
    /// Whether all elements are.
    pub(super) fn is_finite(&self) -> bool {
        (0..self.rows).all(|i| self.row(i).iter().all(|x| x.is_finite()))
    }

    /// Multiplies with a power of 2 that brings the largest element near 1 where its square would overflow or vanish, as
    /// LAPACK does; returns what undoes it.
    pub(super) fn normalise(&mut self) -> f64 {
        let size = |x: &T| x.re().to_f64().abs().max(x.im().to_f64().abs());
        let largest = (0..self.rows).flat_map(|i| self.row(i)).map(size).fold(0.0, f64::max);
        let tiny = T::Real::TINY;
        let safe = tiny.powf(0.4)..=tiny.powf(-0.4);
        if largest == 0.0 || safe.contains(&largest) {
            return 1.0;
        }
        let most = -tiny.log2();
        let by = largest.log2().floor().clamp(-most, most).exp2();
        for i in 0..self.rows {
            self.row_mut(i).iter_mut().for_each(|x| *x = x.scale(T::Real::from_f64(1.0 / by)));
        }
        by
    }
}

impl<'a, T: Copy> MatrixMut<'a, T> {
    /// The matrix whose rows lie one after another in `data`.
    ///
    /// # Panics
    /// If `data` does not have `rows * cols` elements.
    pub fn new(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "a matrix is as long as its sizes say");
        MatrixMut { ptr: data.as_mut_ptr(), rows, cols, row: cols as isize, life: PhantomData }
    }

    pub(super) fn ptr(&mut self) -> *mut T {
        self.ptr
    }

    pub(super) fn row_stride(&self) -> isize {
        self.row
    }

    /// The elements of row `i`.
    #[inline(always)]
    pub fn row(&self, i: usize) -> &[T] {
        assert!(i < self.rows);
        // SAFETY: the row is inside the matrix, which is borrowed.
        unsafe { std::slice::from_raw_parts(self.ptr.offset(i as isize * self.row), self.cols) }
    }

    /// The elements of row `i`, to be written.
    #[inline(always)]
    pub fn row_mut(&mut self, i: usize) -> &mut [T] {
        assert!(i < self.rows);
        // SAFETY: the row is inside the matrix, which is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.offset(i as isize * self.row), self.cols) }
    }

    /// Row `i` to read and row `j` to write.
    ///
    /// # Panics
    /// If they are the same.
    #[inline(always)]
    pub fn row_and_mut(&mut self, i: usize, j: usize) -> (&[T], &mut [T]) {
        let (a, b) = self.two_rows(i, j);
        (a, b)
    }

    /// Two different rows, to be written.
    ///
    /// # Panics
    /// If they are the same.
    #[inline(always)]
    pub fn two_rows(&mut self, i: usize, j: usize) -> (&mut [T], &mut [T]) {
        assert!(i < self.rows && j < self.rows && i != j);
        // SAFETY: different rows of an exclusively borrowed matrix do not overlap.
        unsafe {
            let row =
                |i: usize| std::slice::from_raw_parts_mut(self.ptr.offset(i as isize * self.row), self.cols);
            (row(i), row(j))
        }
    }

    /// The element of row `i` and column `j`.
    #[inline(always)]
    pub fn at(&self, i: usize, j: usize) -> T {
        self.row(i)[j]
    }

    /// Writes the element of row `i` and column `j`.
    #[inline(always)]
    pub fn put(&mut self, i: usize, j: usize, value: T) {
        self.row_mut(i)[j] = value;
    }

    /// Exchanges two rows.
    pub fn swap_rows(&mut self, i: usize, j: usize) {
        if i != j {
            let (a, b) = self.two_rows(i, j);
            a.swap_with_slice(b);
        }
    }

    /// Exchanges two columns.
    pub fn swap_cols(&mut self, i: usize, j: usize) {
        if i != j {
            (0..self.rows).for_each(|r| self.row_mut(r).swap(i, j));
        }
    }

    /// The same matrix, to read from.
    pub fn view(&self) -> Matrix<'_, T> {
        Matrix { ptr: self.ptr, rows: self.rows, cols: self.cols, row: self.row, col: 1, life: PhantomData }
    }

    /// The part of those rows and columns.
    pub fn part(&mut self, rows: Range<usize>, cols: Range<usize>) -> MatrixMut<'_, T> {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        assert!(cols.start <= cols.end && cols.end <= self.cols);
        let ptr = self.ptr.wrapping_offset(rows.start as isize * self.row + cols.start as isize);
        MatrixMut { ptr, rows: rows.len(), cols: cols.len(), row: self.row, life: PhantomData }
    }

    /// The four parts around row `i` and column `j`: above left, above right, below left, below right.
    pub fn quarters(&mut self, i: usize, j: usize) -> [MatrixMut<'_, T>; 4] {
        let (m, n, row) = (self.rows, self.cols, self.row);
        assert!(i <= m && j <= n);
        let ptr = self.ptr;
        let cut = |r: Range<usize>, c: Range<usize>| MatrixMut {
            ptr: ptr.wrapping_offset(r.start as isize * row + c.start as isize),
            rows: r.len(),
            cols: c.len(),
            row,
            life: PhantomData,
        };
        // The parts do not overlap and together are what is borrowed.
        [cut(0..i, 0..j), cut(0..i, j..n), cut(i..m, 0..j), cut(i..m, j..n)]
    }

    /// Calls `f(i, row)` for all rows, sharing them among threads if there is much to do (`work` operations a row).
    pub fn for_rows(&mut self, work: usize, f: impl Fn(usize, &mut [T]) + Sync)
    where
        T: Send + Sync,
    {
        let grain = (16_384 / work.max(1)).max(1);
        let all = &*self;
        crate::parallel::for_ranges(self.rows, grain, |range| {
            for i in range {
                // SAFETY: the matrix is borrowed exclusively and each row is visited by one thread.
                let row =
                    unsafe { std::slice::from_raw_parts_mut(all.ptr.offset(i as isize * all.row), all.cols) };
                f(i, row);
            }
        });
    }

    /// Calls `f` with the parts of at most `width` columns, on whichever thread is free.
    pub fn for_column_chunks(&mut self, width: usize, f: impl Fn(&mut MatrixMut<'_, T>) + Sync)
    where
        T: Send + Sync,
    {
        let all = &*self;
        crate::parallel::for_tasks(self.cols.div_ceil(width), |chunk| {
            let start = chunk * width;
            // Chunks are disjoint, so each is borrowed by one thread only.
            let ptr = all.ptr.wrapping_add(start);
            let cols = width.min(all.cols - start);
            f(&mut MatrixMut { ptr, rows: all.rows, cols, row: all.row, life: PhantomData });
        });
    }
}

impl<T: Field> MatrixMut<'_, T> {
    /// Subtracts the product `a b`.
    pub fn subtract_product(&mut self, a: Matrix<T>, b: Matrix<T>) {
        T::product(-1.0, a, b, 1.0, self);
    }

    /// Overwrites all elements with the conjugated ones of `a`, rows and columns exchanged.
    pub(super) fn put_adjoint(&mut self, a: Matrix<T>) {
        for i in 0..self.rows {
            let row = self.row_mut(i).iter_mut().enumerate();
            row.for_each(|(j, x)| *x = a.at(j, i).conj());
        }
    }

    /// The conjugated elements, rows and columns exchanged, in memory of their own.
    pub fn adjoint(&self) -> Vec<T> {
        (0..self.cols).flat_map(|j| (0..self.rows).map(move |i| self.at(i, j).conj())).collect()
    }
}
