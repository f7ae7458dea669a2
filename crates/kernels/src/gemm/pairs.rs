//! Products of `bf16` by the instruction that multiplies pairs: a lane of a register holds two neighbouring steps of the sum.
//!
//! To the loops around the tiles a pair is one element of the panels and one step, so only packing and tiles differ.

use super::micro::{Micro, Real};
use super::pack::{Load, Panel};
use super::simd::Simd;
use super::{Pack, Strided};
use crate::dtype::bf16;
use crate::isa::Isa;
use core::arch::x86_64::*;
use std::ops::Range;

/// Tiles for pairs, and what packs the panels that they read.
pub(crate) type Pairs<S, T> = (&'static Micro<T>, unsafe fn(Panel<S, T>));

/// A matrix whose steps are packed in pairs; an odd number of steps ends with a zero.
pub(super) struct Paired<'a, S, T> {
    pub all: Strided<'a, S>,
    /// Number of steps, not of pairs.
    pub k: usize,
    pub pack: unsafe fn(Panel<S, T>),
}

impl<T: Real, S: Load<T>> Pack<T> for Paired<'_, S, T> {
    unsafe fn pack(&self, item: usize, lines: Range<usize>, ks: Range<usize>, width: usize, dst: *mut T) {
        let steps = 2 * ks.start..self.k.min(2 * ks.end);
        let src = self.all.at(item, lines.start, steps.start);
        let Strided { line, step, .. } = self.all;
        for (i, first) in (0..lines.len()).step_by(width).enumerate() {
            let count = width.min(lines.len() - first);
            let (src, dst) =
                (src.wrapping_offset(first as isize * line), dst.wrapping_add(i * width * ks.len()));
            let panel = Panel { src, line, step, count, k: steps.len(), width, dst };
            // SAFETY: the caller asks for lines and steps that exist; `dst` holds all panels.
            unsafe { (self.pack)(panel) };
        }
    }
}

/// Whether the processor multiplies pairs of `bf16`.
pub(super) fn available(isa: Isa) -> bool {
    isa == Isa::Avx512 && is_x86_feature_detected!("avx512bf16")
}

/// Packs pairs of neighbouring steps.
///
/// # Safety
/// AVX-512; source and destination are as large as the panel says.
pub(super) unsafe fn pack(p: Panel<bf16, f32>) {
    let pairs = p.k.div_ceil(2);
    // SAFETY: the caller promises the sizes.
    unsafe {
        if p.count < p.width {
            std::slice::from_raw_parts_mut(p.dst, pairs * p.width).fill(0.0);
        }
        let done = match (p.line, p.step) {
            (1, _) => interleave(p),
            (_, 1) => transpose(p),
            _ => 0,
        };
        for l in 0..p.count {
            let at = |k: usize| p.src.wrapping_offset(l as isize * p.line + k as isize * p.step);
            for k in (2 * done..p.k).step_by(2) {
                let (low, high) = (*at(k), if k + 1 < p.k { *at(k + 1) } else { bf16::ZERO });
                *p.dst.add(k / 2 * p.width + l) = pair(low.to_bits(), high.to_bits());
            }
        }
    }
}

#[inline(always)]
fn pair(low: u16, high: u16) -> f32 {
    f32::from_bits(u32::from(low) | u32::from(high) << 16)
}

/// Pairs of rows that lie in memory one after another; returns how many were done.
///
/// # Safety
/// As [`pack`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn interleave(p: Panel<bf16, f32>) -> usize {
    for k in 0..p.k / 2 {
        // SAFETY: rows `2k` and `2k + 1` have `count` elements, a group of the panel as many.
        unsafe {
            let row = |k: usize| {
                let row = p.src.offset(k as isize * p.step).cast::<u16>();
                std::slice::from_raw_parts(row, p.count)
            };
            let group = std::slice::from_raw_parts_mut(p.dst.add(k * p.width), p.count);
            for ((to, low), high) in group.iter_mut().zip(row(2 * k)).zip(row(2 * k + 1)) {
                *to = pair(*low, *high);
            }
        }
    }
    p.k / 2
}

/// Lines that are contiguous: their pairs are moved as if they were `f32`; returns how many were done of all lines.
///
/// # Safety
/// As [`pack`].
#[target_feature(enable = "avx2")]
unsafe fn transpose(p: Panel<bf16, f32>) -> usize {
    if !p.count.is_multiple_of(8) {
        return 0;
    }
    let mut done = 0;
    for l in (0..p.count).step_by(8) {
        // SAFETY: eight lines of `k / 2` whole pairs, and as many groups.
        unsafe {
            let src = p.src.offset(l as isize * p.line).cast::<f32>();
            done = super::pack::x86::transpose8_f32(src, 2 * p.line, p.k / 2, p.dst.add(l), p.width);
        }
    }
    done
}

/// A register of pairs, or of the sums of their products.
#[derive(Clone, Copy)]
pub(super) struct Pairs512(__m512);

// SAFETY of every block: the trait asks for the features and for valid pointers.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Pairs512 {
    type E = f32;
    const LANES: usize = 16;
    const PAIRS: bool = true;
    #[inline(always)]
    unsafe fn zero() -> Self {
        unsafe { Pairs512(Simd::zero()) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        unsafe { Pairs512(Simd::splat(x)) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        unsafe { Pairs512(Simd::load(p)) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self {
        unsafe { Pairs512(Simd::load_first(p, n)) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        unsafe { self.0.store(p) }
    }
    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        unsafe { self.0.store_first(p, n) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { Pairs512(self.0.add(other.0)) }
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        unsafe { Pairs512(self.0.mul(other.0)) }
    }
    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        unsafe { Pairs512(self.0.fma(a.0, b.0)) }
    }
    #[inline(always)]
    unsafe fn dot(self, a: Self, b: Self) -> Self {
        unsafe {
            let pairs = |x: __m512| std::mem::transmute::<__m512, __m512bh>(x);
            Pairs512(_mm512_dpbf16_ps(b.0, pairs(self.0), pairs(a.0)))
        }
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        unsafe { self.0.sum() }
    }
}
