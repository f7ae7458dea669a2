//! The factorisations on batches of row-major matrices, one item after another in memory: dtypes are told apart here,
//! and items are shared among threads.

use super::field::Field;
use super::matrix::{Matrix, MatrixMut};
use super::triangular::Triangle;
use crate::dtype::{C32, C64, DType};
use crate::parallel::for_ranges;

/// Operations that are worth a thread.
const GRAIN: usize = 50_000;

/// Runs `$body` with `$T` bound to the number type of a dtype, which is `float32`, `float64` or complex.
macro_rules! with_field {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            DType::F64 => {
                type $T = f64;
                $body
            }
            DType::Complex64 => {
                type $T = C32;
                $body
            }
            DType::Complex128 => {
                type $T = C64;
                $body
            }
            _ => {
                type $T = f32;
                $body
            }
        }
    };
}

/// A batch of `items` matrices of `rows` rows and `cols` columns.
///
/// The dtype is `float32`, `float64`, `complex64` or `complex128`.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Type of the elements.
    pub dtype: DType,
    /// Number of matrices.
    pub items: usize,
    /// Rows of each.
    pub rows: usize,
    /// Columns of each.
    pub cols: usize,
}

/// An address that threads share; each reaches its own items.
#[derive(Clone, Copy)]
struct Shared<T>(*mut T);

// SAFETY: `item` is called for each item by one thread only.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn new(ptr: *mut u8) -> Shared<T> {
        Shared(ptr.cast())
    }

    /// The elements of item `i`, `each` elements long.
    ///
    /// # Safety
    /// The memory is valid for the item, and nobody else reaches it while the slice lives.
    unsafe fn item<'a>(self, i: usize, each: usize) -> &'a mut [T] {
        if each == 0 {
            // There may be no address.
            return &mut [];
        }
        // SAFETY: as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(i * each), each) }
    }
}

impl Batch {
    /// Elements of one matrix.
    fn each(&self) -> usize {
        self.rows * self.cols
    }

    /// Length of the diagonals.
    fn steps(&self) -> usize {
        self.rows.min(self.cols)
    }

    /// Calls `f` for each item; a single one leaves the threads to what it is made of.
    fn run(&self, f: impl Fn(usize) + Sync) {
        let work = self.each().saturating_mul(self.steps().max(1)).max(1);
        if self.items == 1 { f(0) } else { for_ranges(self.items, (GRAIN / work).max(1), |r| r.for_each(&f)) }
    }

    /// [`super::lu`] in place; `pivots` and `info` are one a step and one a matrix.
    ///
    /// # Safety
    /// All pointers are valid for the whole batch, and nobody else uses the memory meanwhile.
    pub unsafe fn lu(&self, a: *mut u8, pivots: *mut u8, info: *mut u8, pivot: bool) {
        let (pivots, info) = (Shared::<i32>::new(pivots), Shared::<i32>::new(info));
        with_field!(self.dtype, T => {
            let a = Shared::<T>::new(a);
            // SAFETY: items do not overlap; the rest is the caller's promise.
            self.run(|i| unsafe {
                let mut a = MatrixMut::new(a.item(i, self.each()), self.rows, self.cols);
                info.item(i, 1)[0] = super::lu(&mut a, pivots.item(i, self.steps()), pivot);
            });
        });
    }

    /// [`super::cholesky`] in place; what is above the diagonal becomes zero.
    ///
    /// # Safety
    /// As [`Batch::lu`].
    pub unsafe fn cholesky(&self, a: *mut u8, info: *mut u8) {
        let info = Shared::<i32>::new(info);
        with_field!(self.dtype, T => {
            let a = Shared::<T>::new(a);
            // SAFETY: as in `lu`.
            self.run(|i| unsafe {
                let mut a = MatrixMut::new(a.item(i, self.each()), self.rows, self.cols);
                info.item(i, 1)[0] = super::cholesky(&mut a);
                (0..self.rows).for_each(|r| a.row_mut(r)[r + 1..].fill(T::ZERO));
            });
        });
    }

    /// Replaces `b`, `rows x cols`, by the solution of `a x = b`, `a` being triangular, `rows x rows`, and transposed
    /// first if `transposed`.
    ///
    /// # Safety
    /// As [`Batch::lu`].
    pub unsafe fn solve_triangular(&self, a: *mut u8, b: *mut u8, upper: bool, transposed: bool, unit: bool) {
        let n = self.rows;
        with_field!(self.dtype, T => {
            let (a, b) = (Shared::<T>::new(a), Shared::<T>::new(b));
            // SAFETY: as in `lu`.
            self.run(|i| unsafe {
                let matrix = Matrix::new(&*a.item(i, n * n), n, n);
                let matrix = if transposed { matrix.transpose() } else { matrix };
                let mut b = MatrixMut::new(b.item(i, self.each()), self.rows, self.cols);
                super::solve(Triangle { matrix, upper, unit }, &mut b);
            });
        });
    }

    /// Replaces `b`, `rows x cols`, by the solution of `a x = b` (`a^T x = b` if `transposed`), `a` being factored by
    /// [`Batch::lu`].
    ///
    /// # Safety
    /// As [`Batch::lu`].
    pub unsafe fn lu_solve(&self, lu: *mut u8, pivots: *mut u8, b: *mut u8, transposed: bool) {
        let (n, pivots) = (self.rows, Shared::<i32>::new(pivots));
        with_field!(self.dtype, T => {
            let (lu, b) = (Shared::<T>::new(lu), Shared::<T>::new(b));
            // SAFETY: as in `lu`.
            self.run(|i| unsafe {
                let matrix = Matrix::new(&*lu.item(i, n * n), n, n);
                let pivots = &*pivots.item(i, n);
                let mut b = MatrixMut::new(b.item(i, self.each()), self.rows, self.cols);
                lu_solve(matrix, pivots, &mut b, transposed);
            });
        });
    }

    /// The order of rows that the `steps` exchanges make of `0..rows`: `order[i]` is the row that ends up in place `i`.
    /// `false` if a pivot is not a row; the batch's columns are not looked at.
    ///
    /// # Safety
    /// As [`Batch::lu`].
    pub unsafe fn orders(&self, pivots: *mut u8, steps: usize, order: *mut u8) -> bool {
        let (pivots, order) = (Shared::<i32>::new(pivots), Shared::<i64>::new(order));
        let mut good = true;
        for i in 0..self.items {
            // SAFETY: as in `lu`.
            let (pivots, order) = unsafe { (pivots.item(i, steps), order.item(i, self.rows)) };
            order.iter_mut().zip(0..).for_each(|(o, i)| *o = i);
            for (i, p) in pivots.iter().enumerate() {
                let p = *p as usize;
                if p == 0 || p > self.rows || i >= self.rows {
                    good = false;
                    continue;
                }
                order.swap(i, p - 1);
            }
        }
        good
    }

    /// [`super::qr`] in place, the matrices being given by their columns: `rows` columns of `cols` elements.
    ///
    /// # Safety
    /// As [`Batch::lu`].
    pub unsafe fn qr(&self, a: *mut u8, tau: *mut u8) {
        with_field!(self.dtype, T => {
            let (a, tau) = (Shared::<T>::new(a), Shared::<T>::new(tau));
            // SAFETY: as in `lu`.
            self.run(|i| unsafe {
                let mut a = MatrixMut::new(a.item(i, self.each()), self.rows, self.cols);
                super::qr(&mut a, tau.item(i, self.steps()));
            });
        });
    }

    /// [`super::generate`] in place, the matrices being given by their columns; `k` reflections.
    ///
    /// # Safety
    /// As [`Batch::lu`].
    pub unsafe fn generate(&self, a: *mut u8, tau: *mut u8, k: usize) {
        with_field!(self.dtype, T => {
            let (a, tau) = (Shared::<T>::new(a), Shared::<T>::new(tau));
            // SAFETY: as in `lu`.
            self.run(|i| unsafe {
                let mut a = MatrixMut::new(a.item(i, self.each()), self.rows, self.cols);
                super::generate(&mut a, tau.item(i, k));
            });
        });
    }

    /// [`super::multiply`]: `c` in place, given by its columns (`rows` columns of `cols` elements); the vectors of the `k`
    /// reflections are rows of `cols` elements.
    ///
    /// # Safety
    /// As [`Batch::lu`].
    pub unsafe fn multiply(&self, vectors: *mut u8, tau: *mut u8, k: usize, c: *mut u8, adjoint: bool) {
        with_field!(self.dtype, T => {
            let (v, tau, c) = (Shared::<T>::new(vectors), Shared::<T>::new(tau), Shared::<T>::new(c));
            // SAFETY: as in `lu`.
            self.run(|i| unsafe {
                let vectors = Matrix::new(&*v.item(i, k * self.cols), k, self.cols);
                let mut c = MatrixMut::new(c.item(i, self.each()), self.rows, self.cols);
                super::multiply(vectors, tau.item(i, k), &mut c, adjoint);
            });
        });
    }

    /// [`super::eigh`]: eigenvectors take the place of the matrices, one a row.
    ///
    /// # Safety
    /// As [`Batch::lu`].
    pub unsafe fn eigh(&self, a: *mut u8, upper: bool, values: *mut u8, info: *mut u8, vectors: bool) {
        let info = Shared::<i32>::new(info);
        with_field!(self.dtype, T => {
            let (a, values) = (Shared::<T>::new(a), Shared::<<T as Field>::Real>::new(values));
            // SAFETY: as in `lu`.
            self.run(|i| unsafe {
                let mut a = MatrixMut::new(a.item(i, self.each()), self.rows, self.cols);
                info.item(i, 1)[0] = super::eigh(&mut a, upper, values.item(i, self.rows), vectors);
            });
        });
    }

    /// [`super::svd`] of matrices with at least as many rows as columns; `u`, if given, has `basis` rows.
    ///
    /// # Safety
    /// As [`Batch::lu`].
    pub unsafe fn svd(
        &self,
        a: *mut u8,
        values: *mut u8,
        info: *mut u8,
        vectors: Option<(*mut u8, usize, *mut u8)>,
    ) {
        let (m, n, info) = (self.rows, self.cols, Shared::<i32>::new(info));
        let wanted = vectors.is_some();
        let (u, basis, v) = vectors.unwrap_or((std::ptr::null_mut(), 0, std::ptr::null_mut()));
        with_field!(self.dtype, T => {
            let (a, values) = (Shared::<T>::new(a), Shared::<<T as Field>::Real>::new(values));
            let (u, v) = (Shared::<T>::new(u), Shared::<T>::new(v));
            // SAFETY: as in `lu`; without vectors none are reached.
            self.run(|i| unsafe {
                let mut a = MatrixMut::new(a.item(i, m * n), m, n);
                let vectors = wanted.then(|| {
                    let u = MatrixMut::new(u.item(i, basis * m), basis, m);
                    (u, MatrixMut::new(v.item(i, n * n), n, n))
                });
                info.item(i, 1)[0] = super::svd(&mut a, values.item(i, n), vectors);
            });
        });
    }

    /// [`super::ldl`] in place; `pivots` and `info` are one a row and one a matrix. Above the diagonal come zeros.
    ///
    /// # Safety
    /// As [`Batch::lu`].
    pub unsafe fn ldl(&self, a: *mut u8, pivots: *mut u8, info: *mut u8, hermitian: bool) {
        let (pivots, info) = (Shared::<i32>::new(pivots), Shared::<i32>::new(info));
        with_field!(self.dtype, T => {
            let a = Shared::<T>::new(a);
            // SAFETY: as in `lu`.
            self.run(|i| unsafe {
                let mut a = MatrixMut::new(a.item(i, self.each()), self.rows, self.cols);
                info.item(i, 1)[0] = super::ldl(&mut a, pivots.item(i, self.rows), hermitian);
                (0..self.rows).for_each(|r| a.row_mut(r)[r + 1..].fill(T::ZERO));
            });
        });
    }

    /// [`super::ldl_solve`]: `b`, `rows x cols`, in place.
    ///
    /// # Safety
    /// As [`Batch::lu`].
    pub unsafe fn ldl_solve(&self, a: *mut u8, pivots: *mut u8, b: *mut u8, hermitian: bool) {
        let (n, pivots) = (self.rows, Shared::<i32>::new(pivots));
        with_field!(self.dtype, T => {
            let (a, b) = (Shared::<T>::new(a), Shared::<T>::new(b));
            // SAFETY: as in `lu`.
            self.run(|i| unsafe {
                let a = Matrix::new(&*a.item(i, n * n), n, n);
                let mut b = MatrixMut::new(b.item(i, self.each()), self.rows, self.cols);
                super::ldl_solve(a, pivots.item(i, n), &mut b, hermitian);
            });
        });
    }

    /// [`super::exp`] in place.
    ///
    /// # Safety
    /// As [`Batch::lu`].
    pub unsafe fn exp(&self, a: *mut u8) {
        with_field!(self.dtype, T => {
            let a = Shared::<T>::new(a);
            // SAFETY: as in `lu`.
            self.run(|i| unsafe {
                super::exp(&mut MatrixMut::new(a.item(i, self.each()), self.rows, self.cols));
            });
        });
    }

    /// [`super::eig`], or [`super::eig_complex`]: `a` is `float64` or `complex128` and is destroyed; values and vectors
    /// are `complex128`.
    ///
    /// # Safety
    /// As [`Batch::lu`].
    pub unsafe fn eig(&self, a: *mut u8, values: *mut u8, vectors: Option<*mut u8>, info: *mut u8) {
        let (n, info) = (self.rows, Shared::<i32>::new(info));
        let wanted = vectors.is_some();
        let (values, vectors) =
            (Shared::<C64>::new(values), Shared::<C64>::new(vectors.unwrap_or(std::ptr::null_mut())));
        let (real, complex) = (Shared::<f64>::new(a), Shared::<C64>::new(a));
        // SAFETY: as in `lu`; without vectors none are reached.
        self.run(|i| unsafe {
            let mut vectors = wanted.then(|| MatrixMut::new(vectors.item(i, n * n), n, n));
            let (values, vectors) = (values.item(i, n), vectors.as_mut());
            info.item(i, 1)[0] = if self.dtype == DType::Complex128 {
                super::eig_complex(&mut MatrixMut::new(complex.item(i, n * n), n, n), values, vectors)
            } else {
                super::eig(&mut MatrixMut::new(real.item(i, n * n), n, n), values, vectors)
            };
        });
    }
}

/// Solves with the factors `P L U`.
fn lu_solve<T: Field>(lu: Matrix<T>, pivots: &[i32], b: &mut MatrixMut<T>, transposed: bool) {
    if transposed {
        let matrix = lu.transpose();
        super::solve(Triangle { matrix, upper: false, unit: false }, b);
        super::solve(Triangle { matrix, upper: true, unit: true }, b);
        for (i, p) in pivots.iter().enumerate().rev() {
            b.swap_rows(i, *p as usize - 1);
        }
    } else {
        super::exchange(b, pivots);
        super::solve(Triangle { matrix: lu, upper: false, unit: true }, b);
        super::solve(Triangle { matrix: lu, upper: true, unit: false }, b);
    }
}
