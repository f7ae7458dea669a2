//! Register tiles: `R x V` vectors of C are kept in registers while a packed panel of A and one of B stream by.
//!
//! Zen 4 retires one 512-bit FMA a cycle and has 32 registers: 8 rows x 3 vectors use 24 for C, 3 for B and leave room
//! for the broadcast of A. Sixteen 256-bit registers hold 4 x 3 the same way. Edges use smaller tiles of the same
//! code, so that an element of C is the same sum in the same order wherever it lies.

use super::simd::{Array, Simd, Vectorized};
use super::{Load, Save, pack};
use crate::isa::{Isa, prefetch_line};
use std::ops::{Add, Mul};

/// Where a tile goes and what is done to it on the way.
pub(crate) struct Out<T> {
    /// First element of the tile.
    pub c: *mut T,
    /// Elements from one row to the next.
    pub row: isize,
    /// Columns of the tile, at most the tile's vectors hold.
    pub cols: usize,
    pub alpha: T,
    pub beta: T,
    /// Added to each row (one element a row) or null.
    pub row_bias: *const T,
    /// Added to each column or null.
    pub col_bias: *const T,
}

impl<T: Real> Out<T> {
    /// Whether the sums are stored as they are or added to what is there.
    #[inline(always)]
    fn plain(&self) -> bool {
        let no_bias = self.row_bias.is_null() && self.col_bias.is_null();
        no_bias && self.alpha == T::ONE && (self.beta == T::ZERO || self.beta == T::ONE)
    }
}

pub(crate) type Kernel<T> = unsafe fn(k: usize, a: *const T, b: *const T, out: &Out<T>);
/// A tile whose steps of B lie at offsets from `b`.
pub(crate) type InPlace<T> = unsafe fn(steps: &[isize], a: *const T, b: *const T, out: &Out<T>);

/// A tile whose step of A is, for each row, at an offset from an address of the row's own.
pub(crate) type Gathered<T> = unsafe fn(rows: &[*const T; 8], steps: &[usize], b: *const T, out: &Out<T>);

/// The tiles of one instruction set: `kernels[r - 1][v - 1]` computes `r` rows of `v` vectors.
pub(crate) struct Micro<T: 'static> {
    /// Rows of a panel of A.
    pub mr: usize,
    /// Columns of a panel of B.
    pub nr: usize,
    pub lanes: usize,
    pub kernels: &'static [&'static [Kernel<T>]],
    pub in_place: &'static [&'static [InPlace<T>]],
    /// These read panels of B as wide as the tile.
    pub gathered: &'static [&'static [Gathered<T>]],
}

/// `f32` or `f64`: the types that products are summed in.
pub trait Real: Load<Self> + Save<Self> + Default + Add<Output = Self> + Mul<Output = Self> {
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn micro(isa: Isa) -> &'static Micro<Self>;
    #[doc(hidden)]
    #[allow(private_interfaces, private_bounds)]
    unsafe fn vectorize(isa: Isa, body: &impl Vectorized<Self>);
    /// Transposes 8 lines (`line` apart) of contiguous elements into groups of 8, `width` apart, as far as it is
    /// faster than one at a time; returns how many elements of each line were done.
    ///
    /// # Safety
    /// `src` is valid for 8 lines of `k` elements, `dst` for `k` groups.
    unsafe fn transpose8(src: *const Self, line: isize, k: usize, dst: *mut Self, width: usize) -> usize;
}

/// `R` rows of `V` vectors: `out = alpha * a b + beta * out + biases`.
///
/// # Safety
/// `a` gives the element of each step and row, `b` the address of `V` vectors at each step; `out` describes memory of `R`
/// rows by `out.cols` columns, `(V - 1) * LANES < cols <= V * LANES`.
#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const V: usize>(
    k: usize,
    a: impl Fn(usize) -> [S::E; R],
    b: impl Fn(usize) -> *const S::E,
    out: &Out<S::E>,
    store: Store<S>,
) where
    S::E: Real,
{
    // SAFETY: the caller promises the panels' sizes and the features of `S`.
    unsafe {
        let mut acc = [[S::zero(); V]; R];
        for step in 0..k {
            let (b, mut bs) = (b(step), [S::zero(); V]);
            for (j, b_j) in bs.iter_mut().enumerate() {
                *b_j = S::load(b.add(j * S::LANES));
            }
            for (row, a_i) in acc.iter_mut().zip(a(step)) {
                let a_i = S::splat(a_i);
                for (c, b_j) in row.iter_mut().zip(bs) {
                    *c = a_i.dot(b_j, *c);
                }
            }
        }
        if out.plain() && out.cols == V * S::LANES {
            return store_plain(acc, out);
        }
        // A copy, so that the sums themselves stay in registers.
        let sums = acc;
        store(sums.as_ptr().cast(), R, V, out);
    }
}

/// Writes a tile of whole registers that [`Out::plain`] describes, without leaving them.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn store_plain<S: Simd, const R: usize, const V: usize>(mut acc: [[S; V]; R], out: &Out<S::E>)
where
    S::E: Real,
{
    // SAFETY: the caller promises the memory of the tile.
    unsafe {
        let c = |i: usize, j: usize| out.c.offset(i as isize * out.row).add(j * S::LANES);
        if out.beta != S::E::ZERO {
            for (i, row) in acc.iter_mut().enumerate() {
                for (j, x) in row.iter_mut().enumerate() {
                    *x = x.add(S::load(c(i, j)));
                }
            }
        }
        for (i, row) in acc.into_iter().enumerate() {
            for (j, x) in row.into_iter().enumerate() {
                x.store(c(i, j));
            }
        }
    }
}

/// Writes sums of rows and vectors to any tile. Each instruction set has one such function: in the tiles themselves it would
/// be most of their code.
type Store<S> = unsafe fn(sums: *const S, rows: usize, vectors: usize, out: &Out<<S as Simd>::E>);

/// [`Store`].
///
/// # Safety
/// As [`tile`]; there are that many sums.
#[inline(always)]
unsafe fn store_any<S: Simd>(sums: *const S, rows: usize, vectors: usize, out: &Out<S::E>)
where
    S::E: Real,
{
    // SAFETY: the caller promises that a row and the biases cover `cols` columns.
    unsafe {
        let (alpha, beta) = (S::splat(out.alpha), S::splat(out.beta));
        for i in 0..rows {
            let c = out.c.offset(i as isize * out.row);
            let bias = if out.row_bias.is_null() { S::zero() } else { S::splat(*out.row_bias.add(i)) };
            for j in 0..vectors {
                let (at, left) = (j * S::LANES, out.cols - j * S::LANES);
                let load =
                    |p: *const S::E| if left >= S::LANES { S::load(p) } else { S::load_first(p, left) };
                let mut x = *sums.add(i * vectors + j);
                if out.alpha != S::E::ONE {
                    x = x.mul(alpha);
                }
                if out.beta == S::E::ONE {
                    x = x.add(load(c.add(at)));
                } else if out.beta != S::E::ZERO {
                    x = load(c.add(at)).fma(beta, x);
                }
                if !out.row_bias.is_null() {
                    x = x.add(bias);
                }
                if !out.col_bias.is_null() {
                    x = x.add(load(out.col_bias.add(at)));
                }
                if left >= S::LANES { x.store(c.add(at)) } else { x.store_first(c.add(at), left) }
            }
        }
    }
}

/// One instruction set's tiles: the features, the register type and the numbers of rows and vectors.
macro_rules! micro {
    ($name:ident, $simd:ty, $e:ty, $rows:literal x $vectors:literal, [$($r:literal)*], $kernels:tt $(, $features:literal)?) => {
        pub(in crate::gemm) mod $name {
            use super::*;
            #[allow(unused_imports)]
            #[cfg(target_arch = "x86_64")]
            use core::arch::x86_64::*;

            const LANES: usize = <$simd>::LANES;
            const PAIRS: bool = <$simd>::PAIRS;

            $(#[target_feature(enable = $features)])?
            #[inline(never)]
            unsafe fn store(sums: *const $simd, rows: usize, vectors: usize, out: &Out<$e>) {
                // SAFETY: the caller's promise is passed on.
                unsafe { store_any(sums, rows, vectors, out) }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn run<const R: usize, const V: usize>(k: usize, a: *const $e, b: *const $e, out: &Out<$e>) {
                // SAFETY: the caller's promise is passed on.
                unsafe {
                    let a = |step: usize| *a.add(step * $rows).cast::<[$e; R]>();
                    tile::<$simd, R, V>(k, a, |step| b.wrapping_add(step * $vectors * LANES), out, store)
                }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn run_in_place<const R: usize, const V: usize>(
                steps: &[isize],
                a: *const $e,
                b: *const $e,
                out: &Out<$e>,
            ) {
                let at = |step: usize| {
                    let b = b.wrapping_offset(steps[step]);
                    // What the next tile reads.
                    (V..2 * V).for_each(|j| prefetch_line(b.wrapping_add(j * LANES)));
                    b
                };
                // SAFETY: the caller's promise is passed on.
                unsafe {
                    let a = |step: usize| *a.add(step * $rows).cast::<[$e; R]>();
                    tile::<$simd, R, V>(steps.len(), a, at, out, store)
                }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn run_gathered<const R: usize, const V: usize>(
                rows: &[*const $e; 8],
                steps: &[usize],
                b: *const $e,
                out: &Out<$e>,
            ) {
                let rows: [*const $e; R] = std::array::from_fn(|i| rows[i]);
                // SAFETY: the caller's promise is passed on.
                unsafe {
                    let a = |step: usize| {
                        let offset = *steps.get_unchecked(step);
                        rows.map(|row| *row.add(offset))
                    };
                    tile::<$simd, R, V>(steps.len(), a, |step| b.wrapping_add(step * V * LANES), out, store)
                }
            }

            /// # Safety
            /// As [`Vectorized::run`].
            #[allow(dead_code)]
            $(#[target_feature(enable = $features)])?
            pub(crate) unsafe fn vectorize(body: &impl Vectorized<$e>) {
                // SAFETY: the caller's promise is passed on.
                unsafe { body.run::<$simd>() }
            }

            pub(crate) static MICRO: Micro<$e> = Micro {
                mr: $rows,
                nr: $vectors * LANES,
                lanes: LANES,
                kernels: &[$(&micro!(@row run, Kernel, $r $kernels)),*],
                in_place: if PAIRS { &[] } else { &[$(&micro!(@row run_in_place, InPlace, $r $kernels)),*] },
                gathered: if PAIRS { &[] } else { &[$(&micro!(@row run_gathered, Gathered, $r $kernels)),*] },
            };
        }
    };
    (@row $run:ident, $kernel:ident, $r:literal [$($v:literal)*]) => { [$($run::<$r, $v> as $kernel<_>),*] };
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::*;
    micro!(f32x16, __m512, f32, 8 x 3, [1 2 3 4 5 6 7 8], [1 2 3], "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma");
    micro!(bf16x32, crate::gemm::pairs::Pairs512, f32, 8 x 3, [1 2 3 4 5 6 7 8], [1 2 3], "avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma");
    micro!(f64x8, __m512d, f64, 8 x 3, [1 2 3 4 5 6 7 8], [1 2 3], "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma");
    micro!(f32x8, __m256, f32, 4 x 3, [1 2 3 4], [1 2 3], "avx2,fma");
    micro!(f64x4, __m256d, f64, 4 x 3, [1 2 3 4], [1 2 3], "avx2,fma");
}
micro!(f32x4, Array<f32, 4>, f32, 4 x 2, [1 2 3 4], [1 2]);
micro!(f64x2, Array<f64, 2>, f64, 4 x 2, [1 2 3 4], [1 2]);

#[allow(private_interfaces, private_bounds)]
impl Real for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;
    fn micro(isa: Isa) -> &'static Micro<f32> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &x86::f32x16::MICRO,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &x86::f32x8::MICRO,
            _ => &f32x4::MICRO,
        }
    }
    unsafe fn vectorize(isa: Isa, body: &impl Vectorized<f32>) {
        // SAFETY: the caller promises the instruction set.
        unsafe {
            match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => x86::f32x16::vectorize(body),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => x86::f32x8::vectorize(body),
                _ => f32x4::vectorize(body),
            }
        }
    }
    unsafe fn transpose8(src: *const f32, line: isize, k: usize, dst: *mut f32, width: usize) -> usize {
        // SAFETY: the caller's promise is passed on.
        unsafe { pack::transpose8_f32(src, line, k, dst, width) }
    }
}

#[allow(private_interfaces, private_bounds)]
impl Real for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;
    fn micro(isa: Isa) -> &'static Micro<f64> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &x86::f64x8::MICRO,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &x86::f64x4::MICRO,
            _ => &f64x2::MICRO,
        }
    }
    unsafe fn vectorize(isa: Isa, body: &impl Vectorized<f64>) {
        // SAFETY: the caller promises the instruction set.
        unsafe {
            match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => x86::f64x8::vectorize(body),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => x86::f64x4::vectorize(body),
                _ => f64x2::vectorize(body),
            }
        }
    }
    unsafe fn transpose8(src: *const f64, line: isize, k: usize, dst: *mut f64, width: usize) -> usize {
        // SAFETY: the caller's promise is passed on.
        unsafe { pack::transpose8_f64(src, line, k, dst, width) }
    }
}
