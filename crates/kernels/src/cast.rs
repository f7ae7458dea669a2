//! Conversion between element types, as PyTorch's casts do on x86.
//!
//! Floating point to integer truncates toward zero; what does not fit (and NaN) becomes the most negative 32-bit value for
//! `i8`, `i16` and `i32`, cut to their width, and the most negative 64-bit value for `i64` and `u8`. Anything
//! that is not zero is `true`. Half types go through `f32`. A complex number gives its real part.

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

/// `convert(dst, dst_stride, src, src_stride, n)`: `n` elements, strides in bytes.
///
/// # Safety
/// Both runs are valid for their element types, and do not overlap.
pub(crate) type Convert = unsafe fn(*mut u8, isize, *const u8, isize, usize);

/// The conversion loop from one type to another.
pub(crate) fn converter(from: DType, to: DType) -> Convert {
    if from == to {
        return with_element!(from, T => move_run::<T>);
    }
    with_element!(from, S => with_element!(to, D => convert_run::<S, D>))
}

/// # Safety
/// As [`Convert`].
unsafe fn convert_run<S: Source, D: Target>(
    dst: *mut u8,
    dst_stride: isize,
    src: *const u8,
    src_stride: isize,
    n: usize,
) {
    if dst_stride == size_of::<D>() as isize && src_stride == size_of::<S>() as isize {
        // SAFETY: the caller vouches for `n` elements, one after another, on both sides.
        unsafe {
            let dst = std::slice::from_raw_parts_mut(dst.cast::<MaybeUninit<D>>(), n);
            convert_slice::<S, D>(dst, std::slice::from_raw_parts(src.cast(), n));
        }
        return;
    }
    for i in 0..n as isize {
        // SAFETY: element `i` of both runs is valid.
        unsafe { *dst.offset(i * dst_stride).cast() = D::of(*src.offset(i * src_stride).cast::<S>()) }
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

/// # Safety
/// As [`Convert`].
unsafe fn move_run<T: Element>(dst: *mut u8, dst_stride: isize, src: *const u8, src_stride: isize, n: usize) {
    let size = size_of::<T>() as isize;
    // SAFETY: the caller vouches for the elements of both runs.
    unsafe {
        if dst_stride == size && src_stride == size {
            std::ptr::copy_nonoverlapping(src.cast::<T>(), dst.cast::<T>(), n);
        } else if dst_stride == size && src_stride == 0 && n > 0 {
            std::slice::from_raw_parts_mut(dst.cast::<MaybeUninit<T>>(), n)
                .fill(MaybeUninit::new(*src.cast::<T>()));
        } else {
            for i in 0..n as isize {
                *dst.offset(i * dst_stride).cast::<T>() = *src.offset(i * src_stride).cast::<T>();
            }
        }
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
