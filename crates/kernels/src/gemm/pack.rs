//! Packing of strided matrices into panels, converting half precision on the way.

use super::Pack;
use super::micro::Real;
use crate::cast::converter;
use crate::dtype::{Element, bf16, f16};
use crate::isa::{Isa, isa, prefetch_line};
use std::any::TypeId;
use std::ops::Range;

/// A stored type that products of `T` are computed from.
pub trait Load<T>: Element {
    /// The value as `T`.
    fn get(self) -> T;

    /// How to multiply pairs of elements at once, where the processor can.
    #[doc(hidden)]
    #[cfg(target_arch = "x86_64")]
    #[allow(private_interfaces)]
    fn pairs(_isa: Isa) -> Option<super::pairs::Pairs<Self, T>> {
        None
    }
}

macro_rules! load {
    ($($t:ty, $sum:ty, |$x:ident| $get:expr $(, $pairs:item)?;)*) => {$(
        impl Load<$sum> for $t {
            #[inline(always)]
            fn get(self) -> $sum {
                let $x = self;
                $get
            }

            $($pairs)?
        }
    )*};
}
load! {
    f32, f32, |x| x;
    f64, f64, |x| x;
    f16, f32, |x| x.to_f32();
    bf16, f32, |x| f32::from_bits(u32::from(x.to_bits()) << 16),
    #[cfg(target_arch = "x86_64")]
    #[allow(private_interfaces)]
    fn pairs(isa: Isa) -> Option<super::pairs::Pairs<bf16, f32>> {
        let micro = &super::micro::x86::bf16x32::MICRO;
        super::pairs::available(isa).then_some((micro, super::pairs::pack as _))
    };
}

/// Whether elements are stored as what they are summed in.
pub(super) fn same<S: 'static, T: 'static>() -> bool {
    TypeId::of::<S>() == TypeId::of::<T>()
}

/// Converts `n` elements, `step` apart, to neighbours.
///
/// # Safety
/// Source and destination are valid for them and do not overlap.
pub(super) unsafe fn widen<S: Element, T: Element>(src: *const S, step: isize, dst: *mut T, n: usize) {
    let (from, to) = (size_of::<S>() as isize, size_of::<T>() as isize);
    // SAFETY: the caller's promise is passed on.
    unsafe { converter(S::DTYPE, T::DTYPE).run(dst.cast(), to, src.cast(), step * from, n) }
}

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
        let (line, step) = (self.line, self.step);
        let src = self.at(item, lines.start, ks.start);
        let (count, k) = (lines.len(), ks.len());
        // SAFETY: the caller asks for lines and steps that exist; `dst` holds all panels.
        unsafe {
            if same::<S, T>() {
                Panel { src: src.cast::<T>(), line, step, count, k, width, dst }.pack();
            } else {
                Panel { src, line, step, count, k, width, dst }.pack_wide();
            }
        }
    }
}

/// Panels to fill: `count` lines of `k` steps, `width` of them in a panel.
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

impl<S, T> Panel<S, T> {
    /// The panels, each on its own.
    fn panels(self) -> impl Iterator<Item = Panel<S, T>> {
        (0..self.count).step_by(self.width).map(move |first| Panel {
            src: self.src.wrapping_offset(first as isize * self.line),
            count: self.width.min(self.count - first),
            dst: self.dst.wrapping_add(first * self.k),
            ..self
        })
    }
}

/// Steps that are converted at a time.
const PIECE: usize = 64;

impl<T: Real, S: Load<T>> Panel<S, T> {
    /// Packs what is stored in another type, piece by piece through the type of the sums.
    ///
    /// # Safety
    /// Source and destination are as large as the panels say.
    unsafe fn pack_wide(self) {
        let mut wide = [T::ZERO; PIECE * 48];
        let wide = wide.as_mut_ptr();
        for panel in self.panels() {
            for first in (0..self.k).step_by(PIECE) {
                let k = PIECE.min(self.k - first);
                let src = panel.src.wrapping_offset(first as isize * self.step);
                let dst = panel.dst.wrapping_add(first * self.width);
                let piece = Panel {
                    src: wide.cast_const(),
                    line: 1,
                    step: 1,
                    count: panel.count,
                    k,
                    width: self.width,
                    dst,
                };
                // SAFETY: no panel is wider than 48 lines; the rest is the caller's promise.
                unsafe {
                    if self.line == 1 {
                        let to = |k: usize| wide.add(k * panel.count);
                        (0..k).for_each(|k| widen(src.offset(k as isize * self.step), 1, to(k), panel.count));
                        Panel { step: panel.count as isize, ..piece }.pack();
                    } else {
                        let line = |l: usize| src.offset(l as isize * self.line);
                        (0..panel.count).for_each(|l| widen(line(l), self.step, wide.add(l * k), k));
                        Panel { line: k as isize, ..piece }.pack();
                    }
                }
            }
        }
    }
}

impl<T: Real> Panel<T, T> {
    /// Fills the panels.
    ///
    /// # Safety
    /// Source and destination are as large as the panels say.
    unsafe fn pack(self) {
        if self.line == 1 {
            copy_groups(self);
        }
        for panel in self.panels() {
            // SAFETY: the caller's promise is passed on.
            unsafe {
                match (self.line, self.step) {
                    (1, _) => {}
                    (_, 1) => panel.transpose(),
                    _ => panel.gather(0, 0),
                }
                panel.clear_tail();
            }
        }
    }

    /// Copies steps `from_k..` of lines `from_line..`, one element at a time.
    unsafe fn gather(&self, from_line: usize, from_k: usize) {
        // SAFETY: the panel's creator promises that source and destination are that large.
        unsafe {
            for l in from_line..self.count {
                let src = self.src.offset(l as isize * self.line);
                for k in from_k..self.k {
                    *self.dst.add(k * self.width + l) = *src.offset(k as isize * self.step);
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
                let done = T::transpose8(src, self.line, self.k, dst, self.width);
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

/// Copies lines that are neighbours in memory, step by step for a few panels at a time, `UNIT` elements at once.
#[inline(always)]
fn copy_steps<T: Real, const UNIT: usize>(all: Panel<T, T>) {
    let group = (TOGETHER / all.width).max(1) * all.width;
    for first in (0..all.count).step_by(group) {
        let lines = group.min(all.count - first);
        for k in 0..all.k {
            // SAFETY: the panels' creator promises that source and destination are that large.
            unsafe {
                let src = all.src.offset(k as isize * all.step).add(first);
                let dst = all.dst.add(first * all.k + k * all.width);
                let ahead = src.wrapping_offset(AHEAD as isize * all.step);
                for line in (0..lines * size_of::<T>()).step_by(64) {
                    prefetch_line(ahead.wrapping_byte_add(line));
                }
                for at in (0..lines).step_by(all.width) {
                    let (src, dst) = (src.add(at), dst.add(at * all.k));
                    let count = all.width.min(lines - at);
                    for unit in (0..count / UNIT * UNIT).step_by(UNIT) {
                        let elements: [T; UNIT] = src.add(unit).cast::<[T; UNIT]>().read_unaligned();
                        dst.add(unit).cast::<[T; UNIT]>().write_unaligned(elements);
                    }
                    for l in count / UNIT * UNIT..count {
                        *dst.add(l) = *src.add(l);
                    }
                }
            }
        }
    }
}

crate::multiversion! {
    /// Copies lines that are neighbours in memory into panels, but does not fill up the last one.
    fn copy_groups<T: Real>(all: Panel<T, T>) {
        match all.width % 16 {
            0 => copy_steps::<T, 16>(all),
            8 => copy_steps::<T, 8>(all),
            4 | 12 => copy_steps::<T, 4>(all),
            _ => copy_steps::<T, 2>(all),
        }
    }
}

/// [`Real::transpose8`] of `f32`.
///
/// # Safety
/// As there.
pub(super) unsafe fn transpose8_f32(
    src: *const f32,
    line: isize,
    k: usize,
    dst: *mut f32,
    width: usize,
) -> usize {
    #[cfg(target_arch = "x86_64")]
    if isa() >= Isa::Avx2 {
        // SAFETY: the features are there; the caller promises the sizes.
        return unsafe { x86::transpose8_f32(src, 4 * line, k, dst, width) };
    }
    let _ = (src, line, k, dst, width);
    0
}

/// [`Real::transpose8`] of `f64`.
///
/// # Safety
/// As there.
pub(super) unsafe fn transpose8_f64(
    src: *const f64,
    line: isize,
    k: usize,
    dst: *mut f64,
    width: usize,
) -> usize {
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
