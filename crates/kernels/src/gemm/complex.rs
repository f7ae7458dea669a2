//! Products of complex matrices as real ones of twice the size.
//!
//! A row of A read as reals is `[re, im, re, im, ...]`. Against it stand two real columns for each column of B:
//! `[re, -im, ...]` sums to the real part of C, `[im, re, ...]` to the imaginary part, and the two are neighbours in C as
//! the parts of complex numbers are. So one real product does it all, with B rearranged while it is packed.

use super::micro::Real;
use super::{Bias, Gemm, Load, Pack, Rows, Save, Sink, Strided};
use crate::parallel::for_ranges;
use num_complex::Complex;
use std::ops::{Neg, Range, Sub};

/// Sizes, factors and conjugations of a batch of complex products.
#[derive(Clone, Copy, Debug)]
pub struct ComplexShape<T> {
    /// Number of products.
    pub items: usize,
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
    /// Factor of the product.
    pub alpha: Complex<T>,
    /// Factor of what C held; 0 means that it is not read.
    pub beta: Complex<T>,
    /// Whether A is conjugated.
    pub conj_a: bool,
}

/// Products `C = alpha * A B + beta * C` of complex matrices.
///
/// # Safety
/// As for [`super::Stored::matmul`].
pub(crate) unsafe fn matmul_complex<T>(
    shape: ComplexShape<T>,
    a: Strided<Complex<T>>,
    b: Strided<Complex<T>>,
    c: Rows<Complex<T>>,
) where
    T: Real + Neg<Output = T> + Sub<Output = T>,
    Complex<T>: Copy + Sync,
{
    let ComplexShape { items, m, n, k, alpha, beta, conj_a } = shape;
    let beta = if beta.im == T::ZERO {
        beta.re
    } else {
        // SAFETY: the caller's promise about C.
        unsafe { scale(items, m, n, beta, &c) };
        T::ONE
    };
    let gemm = Gemm {
        items,
        m,
        n: 2 * n,
        k: 2 * k,
        a: &ComplexRows { a, conj: conj_a },
        b: &ComplexCols { b, alpha },
        c: &ComplexSink(c),
        alpha: T::ONE,
        beta,
        bias: Bias::None,
    };
    // SAFETY: the caller's promise is passed on.
    unsafe { gemm.run() }
}

macro_rules! entries {
    ($($name:ident, $T:ty;)*) => {$(
        /// Products `C = alpha * A B + beta * C` of complex matrices.
        ///
        /// # Safety
        /// As for [`super::Stored::matmul`].
        pub unsafe fn $name(
            shape: ComplexShape<$T>,
            a: Strided<Complex<$T>>,
            b: Strided<Complex<$T>>,
            c: Rows<Complex<$T>>,
        ) {
            // SAFETY: the caller's promise is passed on.
            unsafe { matmul_complex(shape, a, b, c) }
        }
    )*};
}
entries! { matmul_c32, f32; matmul_c64, f64; }

/// The product of two complex numbers.
fn times<T: Real + Sub<Output = T>>(x: Complex<T>, y: Complex<T>) -> Complex<T> {
    Complex { re: x.re * y.re - x.im * y.im, im: x.re * y.im + x.im * y.re }
}

unsafe fn scale<T>(items: usize, m: usize, n: usize, beta: Complex<T>, c: &Rows<Complex<T>>)
where
    T: Real + Sub<Output = T>,
    Complex<T>: Sync,
{
    for_ranges(items * m, 4096_usize.div_ceil(n.max(1)), |rows| {
        for i in rows {
            for j in 0..n {
                // SAFETY: the element exists and belongs to this range only.
                unsafe {
                    let at = c.at(i / m, i % m, j);
                    *at = times(beta, *at);
                }
            }
        }
    });
}

struct ComplexRows<'a, T> {
    a: Strided<'a, Complex<T>>,
    conj: bool,
}

impl<T: Real + Neg<Output = T>> Pack<T> for ComplexRows<'_, T>
where
    Complex<T>: Sync,
{
    unsafe fn pack(&self, item: usize, lines: Range<usize>, ks: Range<usize>, width: usize, dst: *mut T) {
        let element = |l: usize, k: usize| {
            // SAFETY: the caller asks for lines and steps that exist.
            let x = unsafe { *self.a.at(item, l, k / 2) };
            match (k % 2, self.conj) {
                (0, _) => x.re,
                (_, false) => x.im,
                (_, true) => -x.im,
            }
        };
        // SAFETY: the caller's promise about `dst`.
        unsafe { pack_by(element, lines, ks, width, dst) }
    }
}

struct ComplexCols<'a, T> {
    b: Strided<'a, Complex<T>>,
    alpha: Complex<T>,
}

impl<T: Real + Neg<Output = T> + Sub<Output = T>> Pack<T> for ComplexCols<'_, T>
where
    Complex<T>: Sync,
{
    unsafe fn pack(&self, item: usize, lines: Range<usize>, ks: Range<usize>, width: usize, dst: *mut T) {
        let plain = self.alpha.re == T::ONE && self.alpha.im == T::ZERO;
        let element = |l: usize, k: usize| {
            // SAFETY: the caller asks for lines and steps that exist.
            let x = unsafe { *self.b.at(item, l / 2, k / 2) };
            let x = if plain { x } else { times(self.alpha, x) };
            match (l % 2, k % 2) {
                (0, 0) | (1, 1) => x.re,
                (0, _) => -x.im,
                _ => x.im,
            }
        };
        // SAFETY: the caller's promise about `dst`.
        unsafe { pack_by(element, lines, ks, width, dst) }
    }
}

/// Fills panels from a function of line and step.
unsafe fn pack_by<T: Real>(
    element: impl Fn(usize, usize) -> T,
    lines: Range<usize>,
    ks: Range<usize>,
    width: usize,
    dst: *mut T,
) {
    let padded = lines.len().next_multiple_of(width);
    for (i, l) in (lines.start..lines.start + padded).enumerate() {
        let panel = i / width * width * ks.len() + i % width;
        for (s, k) in ks.clone().enumerate() {
            let x = if l < lines.end { element(l, k) } else { T::ZERO };
            // SAFETY: `dst` holds all panels.
            unsafe { *dst.add(panel + s * width) = x }
        }
    }
}

/// Complex C as a real matrix of twice as many columns.
struct ComplexSink<'a, T>(Rows<'a, Complex<T>>);

impl<T: Real> Sink<T> for ComplexSink<'_, T>
where
    Complex<T>: Sync,
    T: Load<T> + Save<T>,
{
    fn direct(&self, item: usize, rows: Range<usize>, cols: Range<usize>) -> Option<(*mut T, isize)> {
        let c = &self.0;
        (c.col == 1).then(|| (c.at(item, rows.start, 0).cast::<T>().wrapping_add(cols.start), 2 * c.row))
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
        let c = &self.0;
        for (i, r) in rows.enumerate() {
            for (j, l) in cols.clone().enumerate() {
                // SAFETY: the element exists, here and in the block, and is this block's.
                unsafe {
                    let dst = c.at(item, r, l / 2).cast::<T>().add(l % 2);
                    let x = *block.add(i * row + j);
                    *dst = if beta == T::ZERO { x } else { x + beta * *dst };
                }
            }
        }
    }
}
