//! Vectors of `f32` and `f64` in the registers of each instruction set, behind one small trait.
//!
//! Kernels are written once over [`Simd`] and inlined into functions that enable the features.

use std::ops::{Add, Mul};

/// A register full of `E`.
///
/// # Safety of the methods
/// The processor has the features of the implementing type; pointers are valid for the elements named (no alignment
/// is asked for).
pub trait Simd: Copy {
    type E: Copy;
    const LANES: usize;
    /// Whether a lane holds two numbers; then tiles read packed panels only.
    const PAIRS: bool = false;
    unsafe fn zero() -> Self;
    unsafe fn splat(x: Self::E) -> Self;
    unsafe fn load(p: *const Self::E) -> Self;
    /// The first `n < LANES` elements, zeros after them.
    unsafe fn load_first(p: *const Self::E, n: usize) -> Self;
    unsafe fn store(self, p: *mut Self::E);
    unsafe fn store_first(self, p: *mut Self::E, n: usize);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * a + b`, rounded once where the processor can.
    unsafe fn fma(self, a: Self, b: Self) -> Self;
    /// The step of a sum of products: [`Simd::fma`], unless a lane holds more than one number.
    #[inline(always)]
    unsafe fn dot(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.fma(a, b) }
    }
    /// Sum of the lanes.
    unsafe fn sum(self) -> Self::E;
}

/// A loop written once for registers of any instruction set; [`super::Real::vectorize`] picks one.
pub trait Vectorized<T> {
    /// # Safety
    /// The processor has the features of `V`, and whatever the loop itself asks for.
    unsafe fn run<V: Simd<E = T>>(&self);
}

/// Plain array: what the compiler makes of it on the baseline target.
#[derive(Clone, Copy)]
pub(crate) struct Array<E, const N: usize>([E; N]);

/// Scalar arithmetic that the portable path needs.
pub(crate) trait Scalar: Copy + Default + Add<Output = Self> + Mul<Output = Self> {
    fn fused(self, a: Self, b: Self) -> Self;
}

/// A processor without FMA instructions would call a slow library function: two roundings there.
const HAS_FMA: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

macro_rules! scalar {
    ($($t:ty)*) => {$(
        impl Scalar for $t {
            #[inline(always)]
            fn fused(self, a: $t, b: $t) -> $t {
                if HAS_FMA { self.mul_add(a, b) } else { self * a + b }
            }
        }
    )*};
}
scalar!(f32 f64);

impl<E: Scalar, const N: usize> Simd for Array<E, N> {
    type E = E;
    const LANES: usize = N;
    #[inline(always)]
    unsafe fn zero() -> Self {
        Array([E::default(); N])
    }
    #[inline(always)]
    unsafe fn splat(x: E) -> Self {
        Array([x; N])
    }
    #[inline(always)]
    unsafe fn load(p: *const E) -> Self {
        // SAFETY: the caller's pointer covers N elements.
        Array(unsafe { p.cast::<[E; N]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn load_first(p: *const E, n: usize) -> Self {
        let mut v = [E::default(); N];
        for (i, x) in v.iter_mut().enumerate().take(n) {
            // SAFETY: the caller's pointer covers n elements.
            *x = unsafe { *p.add(i) };
        }
        Array(v)
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut E) {
        // SAFETY: the caller's pointer covers N elements.
        unsafe { p.cast::<[E; N]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn store_first(self, p: *mut E, n: usize) {
        for (i, x) in self.0.iter().enumerate().take(n) {
            // SAFETY: the caller's pointer covers n elements.
            unsafe { *p.add(i) = *x }
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Array(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Array(std::array::from_fn(|i| self.0[i] * other.0[i]))
    }
    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        Array(std::array::from_fn(|i| self.0[i].fused(a.0[i], b.0[i])))
    }
    #[inline(always)]
    unsafe fn sum(self) -> E {
        self.0.into_iter().fold(E::default(), |s, x| s + x)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Simd;
    use core::arch::x86_64::*;

    /// Lanes 8-n.. of this table are n ones: the mask of `maskload` for the first n lanes.
    static MASK: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    static MASK64: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];

    // SAFETY of every block below: the trait asks for the features and for valid pointers; the mask tables are long
    // enough for any `n < LANES`.
    macro_rules! registers {
        ($ty:ty, $e:ty, $lanes:literal, $zero:ident, $splat:ident, $load:ident, $store:ident, $add:ident, $mul:ident,
         $fma:ident, |$p:ident, $n:ident| $load_first:expr, |$q:ident, $m:ident, $v:ident| $store_first:expr,
         |$s:ident| $sum:expr) => {
            #[allow(clippy::undocumented_unsafe_blocks)]
            impl Simd for $ty {
                type E = $e;
                const LANES: usize = $lanes;
                #[inline(always)]
                unsafe fn zero() -> Self {
                    unsafe { $zero() }
                }
                #[inline(always)]
                unsafe fn splat(x: $e) -> Self {
                    unsafe { $splat(x) }
                }
                #[inline(always)]
                unsafe fn load(p: *const $e) -> Self {
                    unsafe { $load(p) }
                }
                #[inline(always)]
                unsafe fn load_first($p: *const $e, $n: usize) -> Self {
                    unsafe { $load_first }
                }
                #[inline(always)]
                unsafe fn store(self, p: *mut $e) {
                    unsafe { $store(p, self) }
                }
                #[inline(always)]
                unsafe fn store_first(self, $q: *mut $e, $m: usize) {
                    let $v = self;
                    unsafe { $store_first }
                }
                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    unsafe { $add(self, other) }
                }
                #[inline(always)]
                unsafe fn mul(self, other: Self) -> Self {
                    unsafe { $mul(self, other) }
                }
                #[inline(always)]
                unsafe fn fma(self, a: Self, b: Self) -> Self {
                    unsafe { $fma(self, a, b) }
                }
                #[inline(always)]
                unsafe fn sum(self) -> $e {
                    let $s = self;
                    unsafe { $sum }
                }
            }
        };
    }

    registers!(
        __m512,
        f32,
        16,
        _mm512_setzero_ps,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_add_ps,
        _mm512_mul_ps,
        _mm512_fmadd_ps,
        |p, n| _mm512_maskz_loadu_ps(((1_u32 << n) - 1) as u16, p),
        |p, n, v| _mm512_mask_storeu_ps(p, ((1_u32 << n) - 1) as u16, v),
        |v| _mm512_reduce_add_ps(v)
    );
    registers!(
        __m512d,
        f64,
        8,
        _mm512_setzero_pd,
        _mm512_set1_pd,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_add_pd,
        _mm512_mul_pd,
        _mm512_fmadd_pd,
        |p, n| _mm512_maskz_loadu_pd(((1_u32 << n) - 1) as u8, p),
        |p, n, v| _mm512_mask_storeu_pd(p, ((1_u32 << n) - 1) as u8, v),
        |v| _mm512_reduce_add_pd(v)
    );
    registers!(
        __m256,
        f32,
        8,
        _mm256_setzero_ps,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_add_ps,
        _mm256_mul_ps,
        _mm256_fmadd_ps,
        |p, n| _mm256_maskload_ps(p, _mm256_loadu_si256(MASK.as_ptr().add(8 - n).cast())),
        |p, n, v| _mm256_maskstore_ps(p, _mm256_loadu_si256(MASK.as_ptr().add(8 - n).cast()), v),
        |v| {
            let v = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let v = _mm_add_ps(v, _mm_movehl_ps(v, v));
            _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps::<1>(v, v)))
        }
    );
    registers!(
        __m256d,
        f64,
        4,
        _mm256_setzero_pd,
        _mm256_set1_pd,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        _mm256_add_pd,
        _mm256_mul_pd,
        _mm256_fmadd_pd,
        |p, n| _mm256_maskload_pd(p, _mm256_loadu_si256(MASK64.as_ptr().add(4 - n).cast())),
        |p, n, v| _mm256_maskstore_pd(p, _mm256_loadu_si256(MASK64.as_ptr().add(4 - n).cast()), v),
        |v| {
            let v = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd::<1>(v));
            _mm_cvtsd_f64(_mm_add_sd(v, _mm_unpackhi_pd(v, v)))
        }
    );
}
