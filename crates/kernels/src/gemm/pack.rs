//! Packing of strided matrices into panels, converting half precision on the way.

use super::Pack;
use super::micro::Real;
use super::simd::Simd;
use crate::dtype::{Element, bf16, f16};
use crate::isa::{Isa, isa, prefetch_line};
use std::ops::Range;

/// A stored type that products of `T` are computed from.
pub trait Load<T>: Element {
    /// The value as `T`.
    fn get(self) -> T;

    /// A register of neighbouring elements.
    ///
    /// # Safety
    /// `V::LANES` elements at `p` are valid; the processor has the features of `V`.
    #[doc(hidden)]
    #[inline(always)]
    #[allow(private_bounds)]
    unsafe fn vector<V: Simd<E = T>>(p: *const Self) -> V
    where
        T: Real,
    {
        let mut lanes = [T::ZERO; 16];
        for (i, x) in lanes.iter_mut().enumerate().take(V::LANES) {
            // SAFETY: the caller's promise; no register has more than 16 lanes.
            *x = unsafe { (*p.add(i)).get() };
        }
        // SAFETY: as above.
        unsafe { V::load(lanes.as_ptr()) }
    }

    /// Transposes 8 lines (`line` apart) of contiguous elements into groups of 8, `width` apart, as far as it is
    /// faster than one at a time; returns how many elements of each line were done.
    ///
    /// # Safety
    /// `src` is valid for 8 lines of `k` elements, `dst` for `k` groups.
    unsafe fn transpose8(src: *const Self, line: isize, k: usize, dst: *mut T, width: usize) -> usize {
        let _ = (src, line, k, dst, width);
        0
    }

    /// How to multiply pairs of elements at once, where the processor can.
    #[doc(hidden)]
    #[cfg(target_arch = "x86_64")]
    #[allow(private_interfaces)]
    fn pairs(_isa: Isa) -> Option<super::pairs::Pairs<Self, T>> {
        None
    }
}

impl Load<f32> for f32 {
    #[inline(always)]
    fn get(self) -> f32 {
        self
    }

    #[inline(always)]
    unsafe fn vector<V: Simd<E = f32>>(p: *const f32) -> V {
        // SAFETY: the caller's promise is passed on.
        unsafe { V::load(p) }
    }

    unsafe fn transpose8(src: *const f32, line: isize, k: usize, dst: *mut f32, width: usize) -> usize {
        #[cfg(target_arch = "x86_64")]
        if isa() >= Isa::Avx2 {
            // SAFETY: the features are there; the caller promises the sizes.
            return unsafe { x86::transpose8_f32(src, 4 * line, k, dst, width) };
        }
        let _ = (src, line, k, dst, width);
        0
    }
}

impl Load<f64> for f64 {
    #[inline(always)]
    fn get(self) -> f64 {
        self
    }

    #[inline(always)]
    unsafe fn vector<V: Simd<E = f64>>(p: *const f64) -> V {
        // SAFETY: the caller's promise is passed on.
        unsafe { V::load(p) }
    }

    unsafe fn transpose8(src: *const f64, line: isize, k: usize, dst: *mut f64, width: usize) -> usize {
        #[cfg(target_arch = "x86_64")]
        if isa() >= Isa::Avx2 {
            // SAFETY: the features are there; the caller promises the sizes; 8 lines are twice 4.
            return unsafe {
                x86::transpose4_f64(src, line, k, dst, width);
                x86::transpose4_f64(src.offset(4 * line), line, k, dst.add(4), width)
            };
        }
        let _ = (src, line, k, dst, width);
        0
    }
}

macro_rules! load_half {
    ($t:ty, |$x:ident| $get:expr $(, $pairs:item)?) => {
        impl Load<f32> for $t {
            #[inline(always)]
            fn get(self) -> f32 {
                let $x = self;
                $get
            }

            $($pairs)?

            unsafe fn transpose8(
                src: *const $t,
                line: isize,
                k: usize,
                dst: *mut f32,
                width: usize,
            ) -> usize {
                use half::slice::HalfFloatSliceExt;
                const RUN: usize = 64;
                let mut lines = [0.0_f32; 8 * RUN];
                let mut done = 0;
                while done + 8 <= k {
                    let run = RUN.min(k - done);
                    for (l, line_out) in lines.chunks_exact_mut(RUN).enumerate() {
                        // SAFETY: `run` elements of line `l` are valid, as the caller promises.
                        let halves = unsafe {
                            std::slice::from_raw_parts(src.offset(l as isize * line).add(done), run)
                        };
                        halves.convert_to_f32_slice(&mut line_out[..run]);
                    }
                    // SAFETY: `lines` holds 8 lines of RUN elements; the caller promises `dst`.
                    let moved = unsafe {
                        f32::transpose8(lines.as_ptr(), RUN as isize, run, dst.add(done * width), width)
                    };
                    done += moved;
                    if moved < run {
                        break;
                    }
                }
                done
            }
        }
    };
}
load_half!(f16, |x| x.to_f32());
load_half!(
    bf16,
    |x| f32::from_bits(u32::from(x.to_bits()) << 16),
    #[cfg(target_arch = "x86_64")]
    #[allow(private_interfaces)]
    fn pairs(isa: Isa) -> Option<super::pairs::Pairs<bf16, f32>> {
        let micro = &super::micro::x86::bf16x32::MICRO;
        super::pairs::available(isa).then_some((micro, super::pairs::pack as _))
    }
);

/// Matrices in memory: line `l`, step `k` of item `i` is `ptr[items[i] + l * line + k * step]`.
///
/// The lines of A are its rows, those of B its columns; a transposed matrix just swaps the strides.
#[derive(Clone, Copy)]
pub struct Strided<'a, S> {
    /// Address that all offsets count from.
    pub ptr: *const S,
    /// Offset of each item, in elements.
    pub items: &'a [isize],
    /// Elements from one line to the next.
    pub line: isize,
    /// Elements from one step along `k` to the next.
    pub step: isize,
}

// SAFETY: it is only read from; whoever builds one promises that the memory stays valid and unwritten.
unsafe impl<S: Sync> Sync for Strided<'_, S> {}
// SAFETY: as above.
unsafe impl<S: Sync> Send for Strided<'_, S> {}

impl<S> Strided<'_, S> {
    /// The address of an element.
    #[inline(always)]
    pub(super) fn at(&self, item: usize, line: usize, step: usize) -> *const S {
        let offset = self.items[item] + line as isize * self.line + step as isize * self.step;
        self.ptr.wrapping_offset(offset)
    }
}

impl<T: Real, S: Load<T>> Pack<T> for Strided<'_, S> {
    unsafe fn pack(&self, item: usize, lines: Range<usize>, ks: Range<usize>, width: usize, dst: *mut T) {
        let src = self.at(item, lines.start, ks.start);
        let all = Panel { src, line: self.line, step: self.step, count: width, k: ks.len(), width, dst };
        if self.line == 1 {
            return copy_groups(all, lines.len());
        }
        // SAFETY: the caller asks for lines and steps that exist; `dst` holds all panels.
        unsafe {
            for (i, first) in (0..lines.len()).step_by(width).enumerate() {
                let count = width.min(lines.len() - first);
                let (src, dst) = (src.offset(first as isize * self.line), dst.add(i * width * ks.len()));
                let panel = Panel { src, count, dst, ..all };
                if self.step == 1 {
                    panel.transpose();
                } else {
                    panel.gather(0, 0);
                }
                panel.clear_tail();
            }
        }
    }
}

/// One panel to fill: `count` lines (at most `width`) of `k` steps.
#[derive(Clone, Copy)]
pub(crate) struct Panel<S, T> {
    pub src: *const S,
    pub line: isize,
    pub step: isize,
    pub count: usize,
    pub k: usize,
    pub width: usize,
    pub dst: *mut T,
}

impl<T: Real, S: Load<T>> Panel<S, T> {
    /// Copies steps `from_k..` of lines `from_line..`, one element at a time.
    unsafe fn gather(&self, from_line: usize, from_k: usize) {
        // SAFETY: the panel's creator promises that source and destination are that large.
        unsafe {
            for l in from_line..self.count {
                let src = self.src.offset(l as isize * self.line);
                for k in from_k..self.k {
                    *self.dst.add(k * self.width + l) = (*src.offset(k as isize * self.step)).get();
                }
            }
        }
    }

    /// [`Panel::gather`] for lines that are contiguous.
    unsafe fn transpose(&self) {
        // SAFETY: as for `gather`; blocks of 8 lines stay within `count`.
        unsafe {
            let blocks = self.count / 8;
            for b in 0..blocks {
                let src = self.src.offset((8 * b) as isize * self.line);
                let dst = self.dst.add(8 * b);
                let done = S::transpose8(src, self.line, self.k, dst, self.width);
                Panel { src, dst, count: 8, ..*self }.gather(0, done);
            }
            self.gather(8 * blocks, 0);
        }
    }

    /// Zeros the lines that do not exist.
    unsafe fn clear_tail(&self) {
        for k in 0..if self.count < self.width { self.k } else { 0 } {
            for l in self.count..self.width {
                // SAFETY: the panel is `k x width`.
                unsafe { *self.dst.add(k * self.width + l) = T::ZERO }
            }
        }
    }
}

/// Lines whose panels are filled together: two cache lines of a step, and few enough panels that they all have a place in a
/// first-level cache even if they lie a power of two apart.
const TOGETHER: usize = 32;
/// Steps that memory is asked for ahead: where they lie pages apart, the processor does not guess them.
const AHEAD: usize = 12;

/// Copies `n` neighbouring lines into panels of `WIDTH`, step by step for a few panels at a time.
#[inline(always)]
fn copy_steps<S: Load<T>, T: Real, const WIDTH: usize>(all: Panel<S, T>, n: usize) {
    let group = (TOGETHER / WIDTH).max(1) * WIDTH;
    for first in (0..n).step_by(group) {
        let lines = group.min(n - first);
        let (whole, rest) = (lines / WIDTH, lines % WIDTH);
        for k in 0..all.k {
            // SAFETY: the panels' creator promises that source and destination are that large.
            unsafe {
                let mut src = all.src.offset(k as isize * all.step).add(first);
                let mut dst = all.dst.add(first * all.k + k * WIDTH);
                let ahead = src.wrapping_offset(AHEAD as isize * all.step);
                for line in (0..lines * size_of::<S>()).step_by(64) {
                    prefetch_line(ahead.wrapping_byte_add(line));
                }
                for _ in 0..whole {
                    for l in 0..WIDTH {
                        *dst.add(l) = (*src.add(l)).get();
                    }
                    (src, dst) = (src.add(WIDTH), dst.add(WIDTH * all.k));
                }
                for l in 0..if rest > 0 { WIDTH } else { 0 } {
                    *dst.add(l) = if l < rest { (*src.add(l)).get() } else { T::ZERO };
                }
            }
        }
    }
}

crate::multiversion! {
    /// Copies `n` lines that are neighbours in memory; `first` is their first panel.
    fn copy_groups<S: Load<T>, T: Real>(first: Panel<S, T>, n: usize) {
        match first.width {
            2 => copy_steps::<S, T, 2>(first, n),
            4 => copy_steps::<S, T, 4>(first, n),
            8 => copy_steps::<S, T, 8>(first, n),
            12 => copy_steps::<S, T, 12>(first, n),
            16 => copy_steps::<S, T, 16>(first, n),
            24 => copy_steps::<S, T, 24>(first, n),
            32 => copy_steps::<S, T, 32>(first, n),
            48 => copy_steps::<S, T, 48>(first, n),
            width => unreachable!("no tile is {width} wide"),
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use core::arch::x86_64::*;

    /// Eight lines, `line` bytes apart, into groups of 8, eight steps at a time; returns the steps done.
    ///
    /// # Safety
    /// AVX2; 8 lines of `k` elements at `src`, `k` groups at `dst`.
    #[target_feature(enable = "avx2")]
    pub(in super::super) unsafe fn transpose8_f32(
        src: *const f32,
        line: isize,
        k: usize,
        dst: *mut f32,
        width: usize,
    ) -> usize {
        let whole = k / 8 * 8;
        for at in (0..whole).step_by(8) {
            // SAFETY: `at + 8 <= k`.
            unsafe {
                let row = |i: isize| _mm256_loadu_ps(src.byte_offset(i * line).add(at));
                let rows = [row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7)];
                for (i, v) in transpose(rows).into_iter().enumerate() {
                    _mm256_storeu_ps(dst.add((at + i) * width), v);
                }
            }
        }
        whole
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn transpose(r: [__m256; 8]) -> [__m256; 8] {
        let t0 = _mm256_unpacklo_ps(r[0], r[1]);
        let t1 = _mm256_unpackhi_ps(r[0], r[1]);
        let t2 = _mm256_unpacklo_ps(r[2], r[3]);
        let t3 = _mm256_unpackhi_ps(r[2], r[3]);
        let t4 = _mm256_unpacklo_ps(r[4], r[5]);
        let t5 = _mm256_unpackhi_ps(r[4], r[5]);
        let t6 = _mm256_unpacklo_ps(r[6], r[7]);
        let t7 = _mm256_unpackhi_ps(r[6], r[7]);
        let u0 = _mm256_shuffle_ps::<0x44>(t0, t2);
        let u1 = _mm256_shuffle_ps::<0xEE>(t0, t2);
        let u2 = _mm256_shuffle_ps::<0x44>(t1, t3);
        let u3 = _mm256_shuffle_ps::<0xEE>(t1, t3);
        let u4 = _mm256_shuffle_ps::<0x44>(t4, t6);
        let u5 = _mm256_shuffle_ps::<0xEE>(t4, t6);
        let u6 = _mm256_shuffle_ps::<0x44>(t5, t7);
        let u7 = _mm256_shuffle_ps::<0xEE>(t5, t7);
        [
            _mm256_permute2f128_ps::<0x20>(u0, u4),
            _mm256_permute2f128_ps::<0x20>(u1, u5),
            _mm256_permute2f128_ps::<0x20>(u2, u6),
            _mm256_permute2f128_ps::<0x20>(u3, u7),
            _mm256_permute2f128_ps::<0x31>(u0, u4),
            _mm256_permute2f128_ps::<0x31>(u1, u5),
            _mm256_permute2f128_ps::<0x31>(u2, u6),
            _mm256_permute2f128_ps::<0x31>(u3, u7),
        ]
    }

    /// Four lines into groups of 4, four steps at a time; returns the steps done.
    ///
    /// # Safety
    /// AVX2; 4 lines of `k` elements at `src`, `k` groups at `dst`.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn transpose4_f64(
        src: *const f64,
        line: isize,
        k: usize,
        dst: *mut f64,
        width: usize,
    ) -> usize {
        let whole = k / 4 * 4;
        for at in (0..whole).step_by(4) {
            // SAFETY: `at + 4 <= k`.
            unsafe {
                let row = |i: isize| _mm256_loadu_pd(src.offset(i * line).add(at));
                let (a, b, c, d) = (row(0), row(1), row(2), row(3));
                let (ab_lo, ab_hi) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
                let (cd_lo, cd_hi) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
                let out = |i: usize, v| _mm256_storeu_pd(dst.add((at + i) * width), v);
                out(0, _mm256_permute2f128_pd::<0x20>(ab_lo, cd_lo));
                out(1, _mm256_permute2f128_pd::<0x20>(ab_hi, cd_hi));
                out(2, _mm256_permute2f128_pd::<0x31>(ab_lo, cd_lo));
                out(3, _mm256_permute2f128_pd::<0x31>(ab_hi, cd_hi));
            }
        }
        whole
    }
}
