//! Conversion between element types, as PyTorch's casts do on x86.
//!
//! Floating point to integer truncates toward zero; what does not fit (and NaN) becomes the most negative 32-bit value for
//! `i8`, `i16` and `i32`, cut to their width, and the most negative 64-bit value for `i64` and `u8`. Anything
//! that is not zero is `true`. Half types go through `f32`. A complex number gives its real part.

use crate::bytes::copy_bytes;
use crate::dtype::{C32, C64, DType, Element, bf16, f16};
use crate::{multiversion, with_element};
use std::mem::MaybeUninit;

/// A type that values are converted from.
pub trait Source: Element {
    /// The value, rounded to `f32`.
    fn to_f32(self) -> f32;
    /// The value as `f64`.
    fn to_f64(self) -> f64;
    /// The value as `i64`, truncated.
    fn to_i64(self) -> i64;
    /// The value as `i32`, truncated.
    fn to_i32(self) -> i32;
    /// Whether the value is not zero.
    fn to_bool(self) -> bool;
    /// The imaginary part.
    fn imaginary(self) -> f64 {
        0.0
    }
}

/// A type that values are converted to.
pub trait Target: Element {
    /// The nearest value of this type.
    fn of<S: Source>(value: S) -> Self;
}

macro_rules! integers {
    ($($ty:ty),*) => {
        $(
            impl Source for $ty {
                #[inline(always)]
                fn to_f32(self) -> f32 { self as f32 }
                #[inline(always)]
                fn to_f64(self) -> f64 { self as f64 }
                #[inline(always)]
                fn to_i64(self) -> i64 { self as i64 }
                #[inline(always)]
                fn to_i32(self) -> i32 { self as i32 }
                #[inline(always)]
                fn to_bool(self) -> bool { self != 0 }
            }
        )*
    };
}
integers!(u8, i8, i16, i32, i64);

impl Source for bool {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        u8::from(self) as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        u8::from(self) as f64
    }
    #[inline(always)]
    fn to_i64(self) -> i64 {
        self as i64
    }
    #[inline(always)]
    fn to_i32(self) -> i32 {
        self as i32
    }
    #[inline(always)]
    fn to_bool(self) -> bool {
        self
    }
}

macro_rules! floats {
    ($($ty:ty),*) => {
        $(
            impl Source for $ty {
                #[inline(always)]
                fn to_f32(self) -> f32 { self as f32 }
                #[inline(always)]
                fn to_f64(self) -> f64 { self as f64 }
                #[inline(always)]
                fn to_i64(self) -> i64 {
                    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&self);
                    // SAFETY: the truncated value is in range.
                    if fits { unsafe { self.to_int_unchecked() } } else { i64::MIN }
                }
                #[inline(always)]
                fn to_i32(self) -> i32 {
                    let fits = self > -2_147_483_649.0 && self < 2_147_483_648.0;
                    // SAFETY: the truncated value is in range (for `f32`, -2147483649 reads as -2147483648, excluded).
                    if fits { unsafe { self.to_int_unchecked() } } else { i32::MIN }
                }
                #[inline(always)]
                fn to_bool(self) -> bool { self != 0.0 }
            }
        )*
    };
}
floats!(f32, f64);

macro_rules! halves {
    ($($ty:ty => $widen:ident),*) => {
        $(
            impl Source for $ty {
                #[inline(always)]
                fn to_f32(self) -> f32 { $widen(self.to_bits()) }
                #[inline(always)]
                fn to_f64(self) -> f64 { Source::to_f32(self) as f64 }
                #[inline(always)]
                fn to_i64(self) -> i64 { Source::to_f32(self).to_i64() }
                #[inline(always)]
                fn to_i32(self) -> i32 { Source::to_f32(self).to_i32() }
                #[inline(always)]
                fn to_bool(self) -> bool { Source::to_f32(self) != 0.0 }
            }
        )*
    };
}
halves!(f16 => widen_f16, bf16 => widen_bf16);

macro_rules! complexes {
    ($($ty:ty),*) => {
        $(
            impl Source for $ty {
                #[inline(always)]
                fn to_f32(self) -> f32 { self.re as f32 }
                #[inline(always)]
                fn to_f64(self) -> f64 { self.re as f64 }
                #[inline(always)]
                fn to_i64(self) -> i64 { self.re.to_i64() }
                #[inline(always)]
                fn to_i32(self) -> i32 { self.re.to_i32() }
                #[inline(always)]
                fn to_bool(self) -> bool { self.re != 0.0 || self.im != 0.0 }
                #[inline(always)]
                fn imaginary(self) -> f64 { self.im as f64 }
            }
        )*
    };
}
complexes!(C32, C64);

macro_rules! targets {
    ($($ty:ty: $x:ident => $e:expr),* $(,)?) => {
        $(
            impl Target for $ty {
                #[inline(always)]
                fn of<S: Source>($x: S) -> Self { $e }
            }
        )*
    };
}
targets! {
    bool: x => x.to_bool(),
    u8: x => x.to_i64() as u8,
    i8: x => x.to_i32() as i8,
    i16: x => x.to_i32() as i16,
    i32: x => x.to_i32(),
    i64: x => x.to_i64(),
    f16: x => f16::from_bits(narrow_f16(x.to_f32())),
    bf16: x => bf16::from_bits(narrow_bf16(x.to_f32())),
    f32: x => x.to_f32(),
    f64: x => x.to_f64(),
    C32: x => C32::new(x.to_f32(), x.imaginary() as f32),
    C64: x => C64::new(x.to_f64(), x.imaginary()),
}

/// The `f32` of a half-precision bit pattern, without branches so that loops vectorise.
#[inline(always)]
fn widen_f16(bits: u16) -> f32 {
    let magnitude = (bits & 0x7fff) as u32;
    let normal = (magnitude << 13) + (112 << 23);
    let special = normal + (112 << 23);
    let subnormal = (magnitude as f32 * (1.0 / 16_777_216.0)).to_bits();
    let finite = if magnitude < 0x0400 { subnormal } else { normal };
    let value = if magnitude < 0x7c00 { finite } else { special };
    f32::from_bits(value | ((bits as u32 & 0x8000) << 16))
}

/// The half-precision bits nearest to `value`, ties to even.
#[inline(always)]
fn narrow_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    let odd = (magnitude >> 13) & 1;
    let normal = magnitude.wrapping_sub(112 << 23).wrapping_add(0xfff + odd) >> 13;
    // Adding one half puts the unit of a subnormal half at the last bit of the sum, which the addition rounds.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0x3f00_0000);
    let finite = if magnitude < 0x3880_0000 { subnormal } else { normal };
    let special = if magnitude > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
    let half = if magnitude < 0x4780_0000 { finite } else { special };
    (half | (bits >> 16 & 0x8000)) as u16
}

/// The `f32` of a bfloat16 bit pattern.
#[inline(always)]
fn widen_bf16(bits: u16) -> f32 {
    f32::from_bits((bits as u32) << 16)
}

/// The bfloat16 bits nearest to `value`, ties to even; one NaN for all.
#[inline(always)]
fn narrow_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if value.is_nan() { 0x7fc0 } else { rounded as u16 }
}

/// Converts `n` elements that lie side by side, from the second address to the first.
type Dense = unsafe fn(*mut u8, *const u8, usize);

/// A conversion between two element types, for runs of any strides.
#[derive(Clone, Copy)]
pub(crate) struct Convert {
    dense: Dense,
    /// Bytes of an element, written and read.
    size: [usize; 2],
    /// Whether the types are the same.
    moves: bool,
}

/// Elements that are converted at a time where they do not lie side by side.
const PIECE: usize = 128;

/// [`PIECE`] elements of any type.
#[repr(align(16))]
struct Piece([MaybeUninit<u8>; PIECE * 16]);

impl Piece {
    fn new() -> Piece {
        Piece([MaybeUninit::uninit(); PIECE * 16])
    }

    fn start(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
}

/// The conversion from one type to another.
pub(crate) fn converter(from: DType, to: DType) -> Convert {
    let dense: Dense = match (from, to) {
        (DType::F16, DType::F32) => halves::widen,
        (DType::F32, DType::F16) => halves::narrow,
        _ => with_element!(from, S => with_element!(to, D => convert_run::<S, D>)),
    };
    Convert { dense, size: [to.size(), from.size()], moves: from == to }
}

impl Convert {
    /// Converts `n` elements; strides are in bytes.
    ///
    /// # Safety
    /// Both runs are valid for their element types, and do not overlap.
    #[inline]
    pub unsafe fn run(&self, dst: *mut u8, dst_stride: isize, src: *const u8, src_stride: isize, n: usize) {
        let side_by_side = dst_stride == self.size[0] as isize && src_stride == self.size[1] as isize;
        // SAFETY: as the caller promises.
        unsafe {
            match (side_by_side, self.moves) {
                (true, true) => copy_bytes(dst, src, n * self.size[0]),
                (true, false) => (self.dense)(dst, src, n),
                (false, true) => move_run(self.size[0], dst, dst_stride, src, src_stride, n),
                (false, false) => self.strided(dst, dst_stride, src, src_stride, n),
            }
        }
    }

    /// A piece is brought side by side, converted, and taken to its place.
    ///
    /// # Safety
    /// As [`Convert::run`].
    unsafe fn strided(&self, dst: *mut u8, dst_stride: isize, src: *const u8, src_stride: isize, n: usize) {
        let (mut read, mut written) = (Piece::new(), Piece::new());
        let [to, from] = self.size;
        for at in (0..n).step_by(PIECE) {
            let n = PIECE.min(n - at);
            // SAFETY: elements of the two runs; pieces hold `PIECE` elements.
            unsafe {
                let (dst, src) = (dst.offset(at as isize * dst_stride), src.offset(at as isize * src_stride));
                let packed = if src_stride == from as isize {
                    src
                } else {
                    move_run(from, read.start(), from as isize, src, src_stride, n);
                    read.start()
                };
                if dst_stride == to as isize {
                    (self.dense)(dst, packed, n);
                } else {
                    (self.dense)(written.start(), packed, n);
                    move_run(to, dst, dst_stride, written.start(), to as isize, n);
                }
            }
        }
    }
}

/// # Safety
/// As [`Dense`].
unsafe fn convert_run<S: Source, D: Target>(dst: *mut u8, src: *const u8, n: usize) {
    // SAFETY: the caller vouches for `n` elements, one after another, on both sides.
    unsafe {
        let dst = std::slice::from_raw_parts_mut(dst.cast::<MaybeUninit<D>>(), n);
        convert_slice::<S, D>(dst, std::slice::from_raw_parts(src.cast(), n));
    }
}

multiversion! {
    /// `dst[i] = src[i]`, converted.
    fn convert_slice<S: Source, D: Target>(dst: &mut [MaybeUninit<D>], src: &[S]) {
        for (d, s) in dst.iter_mut().zip(src) {
            d.write(D::of(*s));
        }
    }
}

/// Moves `n` elements of `size` bytes; strides are in bytes, that of the source may be 0.
///
/// # Safety
/// As [`Convert::run`].
unsafe fn move_run(
    size: usize,
    dst: *mut u8,
    dst_stride: isize,
    src: *const u8,
    src_stride: isize,
    n: usize,
) {
    // SAFETY: as the caller promises; the types are as long as an element.
    unsafe {
        match size {
            1 => move_elements::<[u8; 1]>(dst, dst_stride, src, src_stride, n),
            2 => move_elements::<[u8; 2]>(dst, dst_stride, src, src_stride, n),
            4 => move_elements::<[u8; 4]>(dst, dst_stride, src, src_stride, n),
            8 => move_elements::<[u8; 8]>(dst, dst_stride, src, src_stride, n),
            _ => move_elements::<[u8; 16]>(dst, dst_stride, src, src_stride, n),
        }
    }
}

/// # Safety
/// As [`move_run`], for elements of the size of `T`, which has no alignment.
unsafe fn move_elements<T: Copy>(
    dst: *mut u8,
    dst_stride: isize,
    src: *const u8,
    src_stride: isize,
    n: usize,
) {
    let backwards = src_stride == -dst_stride;
    if n > 0 && dst_stride == size_of::<T>() as isize && (src_stride == 0 || backwards) {
        // SAFETY: the caller vouches for `n` elements at `dst`, for the first and the last one read, and for those
        // between them.
        unsafe {
            let dst = std::slice::from_raw_parts_mut(dst.cast::<MaybeUninit<T>>(), n);
            if backwards {
                let last = src.offset((n as isize - 1) * src_stride);
                reverse(dst, std::slice::from_raw_parts(last.cast(), n));
            } else {
                repeat(dst, *src.cast::<T>());
            }
        }
        return;
    }
    for i in 0..n as isize {
        // SAFETY: element `i` of both runs is valid.
        unsafe { *dst.offset(i * dst_stride).cast::<T>() = *src.offset(i * src_stride).cast::<T>() };
    }
}

multiversion! {
    /// `dst[i] = value`.
    fn repeat<T: Copy>(dst: &mut [MaybeUninit<T>], value: T) {
        for d in dst.iter_mut() {
            d.write(value);
        }
    }

    /// `dst[i] = src[n - 1 - i]`.
    fn reverse<T: Copy>(dst: &mut [MaybeUninit<T>], src: &[T]) {
        for (d, s) in dst.iter_mut().zip(src.iter().rev()) {
            d.write(*s);
        }
    }
}

/// `f16` with the processor's conversion instructions.
mod halves {
    use super::convert_run;
    use crate::dtype::f16;
    use crate::isa::{Isa, isa};

    /// # Safety
    /// As [`Dense`](super::Dense), from `f16` to `f32`.
    pub unsafe fn widen(dst: *mut u8, src: *const u8, n: usize) {
        // SAFETY: as the caller promises; `isa` returns a set only after detecting its features.
        unsafe {
            let done = match isa() {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => x86::widen16(dst.cast(), src.cast(), n),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => x86::widen8(dst.cast(), src.cast(), n),
                _ => 0,
            };
            convert_run::<f16, f32>(dst.add(4 * done), src.add(2 * done), n - done);
        }
    }

    /// # Safety
    /// As [`Dense`](super::Dense), from `f32` to `f16`.
    pub unsafe fn narrow(dst: *mut u8, src: *const u8, n: usize) {
        // SAFETY: as in `widen`.
        unsafe {
            let done = match isa() {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => x86::narrow16(dst.cast(), src.cast(), n),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => x86::narrow8(dst.cast(), src.cast(), n),
                _ => 0,
            };
            convert_run::<f32, f16>(dst.add(2 * done), src.add(4 * done), n - done);
        }
    }

    #[cfg(target_arch = "x86_64")]
    mod x86 {
        use std::arch::x86_64::*;

        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT;

        /// A loop over whole vectors, which gives the number of elements that it converted.
        macro_rules! vectors {
            ($name:ident, $features:literal, $width:literal, $from:ty, $to:ty, |$src:ident, $dst:ident| $e:expr) => {
                /// # Safety
                /// Both sides are valid for `n` elements.
                #[target_feature(enable = $features)]
                pub unsafe fn $name(dst: *mut $to, src: *const $from, n: usize) -> usize {
                    for i in (0..n / $width * $width).step_by($width) {
                        // SAFETY: `i + width <= n`.
                        unsafe {
                            let ($src, $dst) = (src.add(i), dst.add(i));
                            $e
                        }
                    }
                    n / $width * $width
                }
            };
        }

        vectors!(widen16, "avx512f", 16, u16, f32, |src, dst| {
            _mm512_storeu_ps(dst, _mm512_cvtph_ps(_mm256_loadu_si256(src.cast())))
        });
        vectors!(narrow16, "avx512f", 16, f32, u16, |src, dst| {
            _mm256_storeu_si256(dst.cast(), _mm512_cvtps_ph::<NEAREST>(_mm512_loadu_ps(src)))
        });
        vectors!(widen8, "avx,f16c", 8, u16, f32, |src, dst| {
            _mm256_storeu_ps(dst, _mm256_cvtph_ps(_mm_loadu_si128(src.cast())))
        });
        vectors!(narrow8, "avx,f16c", 8, f32, u16, |src, dst| {
            _mm_storeu_si128(dst.cast(), _mm256_cvtps_ph::<NEAREST>(_mm256_loadu_ps(src)))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_match_the_reference_conversions() {
        for bits in 0..=u16::MAX {
            let (h, b) = (f16::from_bits(bits), bf16::from_bits(bits));
            assert!(h.is_nan() || Source::to_f32(h) == h.to_f32(), "{bits:x}");
            assert!(b.is_nan() || Source::to_f32(b) == b.to_f32(), "{bits:x}");
        }
        for step in 0..1 << 20 {
            let x = f32::from_bits(u32::wrapping_mul(step, 4099));
            assert!(x.is_nan() || f16::of(x) == f16::from_f32(x), "{x:e}");
            assert!(x.is_nan() || bf16::of(x) == bf16::from_f32(x), "{x:e}");
        }
        assert!(f16::of(f32::NAN).is_nan() && bf16::of(-f32::NAN).is_nan());
    }

    /// `x` converted element by element through [`Convert::run`], with the strides of both sides in elements.
    fn through<S: Source + Default, D: Target + Default>(x: &[S], strides: [usize; 2]) -> Vec<D> {
        let spread: Vec<S> = x.iter().flat_map(|x| std::iter::repeat_n(*x, strides[1])).collect();
        let mut out = vec![D::default(); x.len() * strides[0]];
        let (to, from) = ((strides[0] * size_of::<D>()) as isize, (strides[1] * size_of::<S>()) as isize);
        let convert = converter(S::DTYPE, D::DTYPE);
        // SAFETY: both sides hold `x.len()` elements so far apart.
        unsafe { convert.run(out.as_mut_ptr().cast(), to, spread.as_ptr().cast(), from, x.len()) };
        out.into_iter().step_by(strides[0]).collect()
    }

    #[test]
    fn runs_of_any_stride_convert_alike() {
        let halves: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        let floats: Vec<f32> = (0..300_001).map(|i| f32::from_bits(u32::wrapping_mul(i, 14_321))).collect();
        for strides in [[1, 1], [1, 3], [2, 1], [3, 2]] {
            let wide: Vec<f32> = through(&halves, strides);
            let back: Vec<f16> = through(&wide, strides);
            for ((h, w), b) in halves.iter().zip(&wide).zip(&back) {
                assert!(h.is_nan() && w.is_nan() && b.is_nan() || *w == h.to_f32() && b == h, "{h:?}");
            }
            let narrow: Vec<f16> = through(&floats, strides);
            let ints: Vec<i64> = through(&floats, strides);
            for (((x, n), i), at) in floats.iter().zip(narrow).zip(ints).zip(0..) {
                assert!(n == f16::from_f32(*x) || n.is_nan() && x.is_nan(), "{x:e} at {at}");
                assert_eq!(i, i64::of(*x));
            }
            let same: Vec<f32> = through(&wide, strides);
            assert!(same.iter().zip(&wide).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
        let mut out = [0.0_f64; 300];
        // SAFETY: one element is read 300 times.
        unsafe {
            converter(DType::I16, DType::F64).run(
                out.as_mut_ptr().cast(),
                8,
                (&raw const FOUR).cast(),
                0,
                300,
            );
        }
        assert_eq!(out, [4.0; 300]);
    }

    #[test]
    fn runs_are_turned_around() {
        let x: Vec<i16> = (0..301).collect();
        let mut y = vec![0_i16; 301];
        // SAFETY: both sides have 301 elements, the last of `x` first.
        unsafe {
            converter(DType::I16, DType::I16).run(y.as_mut_ptr().cast(), 2, x[300..].as_ptr().cast(), -2, 301)
        };
        assert!(y.iter().rev().eq(&x));
    }

    static FOUR: i16 = 4;

    #[test]
    fn floats_truncate_to_integers_as_x86_does() {
        assert_eq!([i32::of(-1.9_f32), i32::of(3e9_f32), i32::of(f32::NAN)], [-1, i32::MIN, i32::MIN]);
        assert_eq!([i64::of(1e30_f64), i64::of(-2.5_f64)], [i64::MIN, -2]);
        assert_eq!([u8::of(-1.0_f32), u8::of(300.0_f32)], [255, 44]);
        assert_eq!([i8::of(200.0_f32), i8::of(1e20_f32)], [-56, 0]);
        assert_eq!(i32::of(-2_147_483_648.9_f64), i32::MIN);
    }

    #[test]
    fn complex_and_bool_conversions() {
        assert_eq!(f32::of(C64::new(1.5, 2.0)), 1.5);
        assert!(bool::of(C32::new(0.0, 1.0)) && bool::of(f64::NAN) && !bool::of(-0.0_f32));
        assert_eq!(C64::of(C32::new(1.0, -2.0)), C64::new(1.0, -2.0));
        assert_eq!(C32::of(true), C32::new(1.0, 0.0));
    }
}
