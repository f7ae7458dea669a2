//! Products of integers: sums wrap around, as PyTorch's do.

use super::{Rows, Strided};
use crate::dtype::Element;
use crate::parallel::for_tasks;

/// Rows of C in one task.
const ROWS: usize = 32;
/// Multiplications below which threads are not worth their start.
const SERIAL: usize = 32 * 1024;

/// An integer type; arithmetic wraps around.
pub trait Int: Element + Default {
    /// `a * b + self`.
    fn add_product(self, a: Self, b: Self) -> Self;

    /// Products `C = alpha * A B + beta * C` of integer matrices `m x k` and `k x n`.
    ///
    /// # Safety
    /// As for [`super::Stored::matmul`].
    unsafe fn matmul(
        items: usize,
        sizes: [usize; 3],
        factors: (Self, Self),
        a: Strided<Self>,
        b: Strided<Self>,
        c: Rows<Self>,
    );
}

macro_rules! int {
    ($($t:ty)*) => {$(
        impl Int for $t {
            #[inline(always)]
            fn add_product(self, a: $t, b: $t) -> $t {
                a.wrapping_mul(b).wrapping_add(self)
            }

            unsafe fn matmul(
                items: usize,
                sizes: [usize; 3],
                factors: ($t, $t),
                a: Strided<$t>,
                b: Strided<$t>,
                c: Rows<$t>,
            ) {
                // SAFETY: the caller's promise is passed on.
                unsafe { matmul(items, sizes, factors, a, b, c) }
            }
        }
    )*};
}
int!(u8 i8 i16 i32 i64);

/// # Safety
/// As for [`Int::matmul`].
unsafe fn matmul<T: Int>(
    items: usize,
    [m, n, k]: [usize; 3],
    (alpha, beta): (T, T),
    a: Strided<T>,
    b: Strided<T>,
    c: Rows<T>,
) {
    let blocks = m.div_ceil(ROWS);
    let task = |i: usize| {
        let (item, first) = (i / blocks, i % blocks * ROWS);
        let mut sums = vec![T::default(); n];
        let mut line = vec![T::default(); n];
        for row in first..m.min(first + ROWS) {
            sums.fill(T::default());
            for p in 0..k {
                // SAFETY: the caller promises that these elements exist; the row of B has `n`.
                unsafe {
                    let x = *a.at(item, row, p);
                    axpy(x, contiguous(b.at(item, 0, p), b.line, &mut line), &mut sums);
                }
            }
            for (j, sum) in sums.iter().enumerate() {
                // SAFETY: this row of C is this task's.
                unsafe {
                    let at = c.at(item, row, j);
                    let old =
                        if beta == T::default() { T::default() } else { T::default().add_product(beta, *at) };
                    *at = old.add_product(alpha, *sum);
                }
            }
        }
    };
    let tasks = items * blocks;
    if m * n * k * items < SERIAL { (0..tasks).for_each(task) } else { for_tasks(tasks, task) }
}

/// The line's elements, copied to `copy` unless they are neighbours.
unsafe fn contiguous<T: Int>(start: *const T, stride: isize, copy: &mut [T]) -> &[T] {
    // SAFETY: the caller promises `copy.len()` elements, `stride` apart.
    unsafe {
        if stride == 1 {
            return std::slice::from_raw_parts(start, copy.len());
        }
        for (j, x) in copy.iter_mut().enumerate() {
            *x = *start.offset(j as isize * stride);
        }
    }
    copy
}

crate::multiversion! {
    fn axpy<T: Int>(x: T, line: &[T], sums: &mut [T]) {
        for (s, y) in sums.iter_mut().zip(line) {
            *s = s.add_product(x, *y);
        }
    }
}
