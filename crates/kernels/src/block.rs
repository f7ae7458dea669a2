//! Blocks of elements on their way into and out of the type that a kernel computes in.
//!
//! A kernel is written for the few compute types (`f32`, `f64`, `i64`, complex); every other dtype is converted a block at a
//! time, so that the number of loops is dtypes plus kernels, not dtypes times kernels.

use half::slice::HalfFloatSliceExt;

use crate::dtype::{C32, C64, DType, Element, bf16, f16};

/// A type that kernels compute in.
pub trait Compute: Element + Default {
    /// Reads `out.len()` elements of `dtype`, `stride` elements apart.
    ///
    /// # Safety
    /// Those elements lie in readable memory.
    unsafe fn gather(src: *const u8, dtype: DType, stride: isize, out: &mut [Self]);

    /// Writes `src` as elements of `dtype`, `stride` elements apart, each rounded once.
    ///
    /// # Safety
    /// Those elements lie in memory that this call alone may write.
    unsafe fn scatter(dst: *mut u8, dtype: DType, stride: isize, src: &[Self]);

    /// The elements themselves where they are stored as this type side by side, else converted in `buf`.
    ///
    /// # Safety
    /// As [`Compute::gather`]; nobody writes the elements while the slice lives.
    unsafe fn view(src: *const u8, dtype: DType, stride: isize, n: usize, buf: &mut [Self]) -> &[Self] {
        if dtype == Self::DTYPE && stride == 1 {
            // SAFETY: the caller vouches for `n` elements of this type.
            return unsafe { std::slice::from_raw_parts(src.cast::<Self>(), n) };
        }
        // SAFETY: as the caller promises.
        unsafe { Self::gather(src, dtype, stride, &mut buf[..n]) };
        &buf[..n]
    }
}

/// `out[i] = f(src[i * stride])`.
///
/// # Safety
/// The elements read lie in readable memory.
unsafe fn map_in<T: Element, C>(src: *const u8, stride: isize, out: &mut [C], f: impl Fn(T) -> C) {
    let src = src.cast::<T>();
    if stride == 1 {
        // SAFETY: the caller vouches for these elements.
        let from = unsafe { std::slice::from_raw_parts(src, out.len()) };
        out.iter_mut().zip(from).for_each(|(o, x)| *o = f(*x));
    } else {
        for (i, o) in out.iter_mut().enumerate() {
            // SAFETY: as above.
            *o = f(unsafe { *src.offset(i as isize * stride) });
        }
    }
}

/// `dst[i * stride] = f(src[i])`.
///
/// # Safety
/// The elements written lie in memory that this call alone may write.
unsafe fn map_out<T: Element, C: Copy>(dst: *mut u8, stride: isize, src: &[C], f: impl Fn(C) -> T) {
    let dst = dst.cast::<T>();
    for (i, x) in src.iter().enumerate() {
        // SAFETY: the caller vouches for these elements.
        unsafe { *dst.offset(i as isize * stride) = f(*x) };
    }
}

/// `f16` elements side by side, with the processor's conversion.
///
/// # Safety
/// As [`map_in`] with stride 1.
unsafe fn halves_in(src: *const u8, out: &mut [f32]) {
    // SAFETY: the caller vouches for these elements.
    let from = unsafe { std::slice::from_raw_parts(src.cast::<f16>(), out.len()) };
    from.convert_to_f32_slice(out);
}

/// As [`halves_in`], outwards.
///
/// # Safety
/// As [`map_out`] with stride 1.
unsafe fn halves_out(dst: *mut u8, src: &[f32]) {
    // SAFETY: the caller vouches for these elements.
    let to = unsafe { std::slice::from_raw_parts_mut(dst.cast::<f16>(), src.len()) };
    to.convert_from_f32_slice(src);
}

macro_rules! real_compute {
    ($($c:ty),*) => {$(
        impl Compute for $c {
            unsafe fn gather(src: *const u8, dtype: DType, stride: isize, out: &mut [Self]) {
                // SAFETY: as the caller promises.
                unsafe {
                    match dtype {
                        DType::Bool | DType::U8 => map_in(src, stride, out, |x: u8| x as $c),
                        DType::I8 => map_in(src, stride, out, |x: i8| x as $c),
                        DType::I16 => map_in(src, stride, out, |x: i16| x as $c),
                        DType::I32 => map_in(src, stride, out, |x: i32| x as $c),
                        DType::I64 => map_in(src, stride, out, |x: i64| x as $c),
                        DType::F16 if stride == 1 && Self::DTYPE == DType::F32 => {
                            halves_in(src, std::slice::from_raw_parts_mut(out.as_mut_ptr().cast(), out.len()))
                        }
                        DType::F16 => map_in(src, stride, out, |x: f16| x.to_f32() as $c),
                        DType::BF16 => map_in(src, stride, out, |x: bf16| widen(x) as $c),
                        DType::F32 => map_in(src, stride, out, |x: f32| x as $c),
                        DType::F64 => map_in(src, stride, out, |x: f64| x as $c),
                        DType::Complex64 => map_in(src, stride, out, |x: C32| x.re as $c),
                        DType::Complex128 => map_in(src, stride, out, |x: C64| x.re as $c),
                    }
                }
            }

            unsafe fn scatter(dst: *mut u8, dtype: DType, stride: isize, src: &[Self]) {
                // SAFETY: as the caller promises.
                unsafe {
                    match dtype {
                        DType::Bool => map_out(dst, stride, src, |x| x != 0 as $c),
                        DType::U8 => map_out(dst, stride, src, |x| x as i64 as u8),
                        DType::I8 => map_out(dst, stride, src, |x| x as i64 as i8),
                        DType::I16 => map_out(dst, stride, src, |x| x as i64 as i16),
                        DType::I32 => map_out(dst, stride, src, |x| x as i64 as i32),
                        DType::I64 => map_out(dst, stride, src, |x| x as i64),
                        DType::F16 if stride == 1 && Self::DTYPE == DType::F32 => {
                            halves_out(dst, std::slice::from_raw_parts(src.as_ptr().cast(), src.len()))
                        }
                        DType::F16 => map_out(dst, stride, src, |x| f16::from_f32(x as f32)),
                        DType::BF16 => map_out(dst, stride, src, |x| narrow(x as f32)),
                        DType::F32 => map_out(dst, stride, src, |x| x as f32),
                        DType::F64 => map_out(dst, stride, src, |x| x as f64),
                        DType::Complex64 => map_out(dst, stride, src, |x| C32::new(x as f32, 0.0)),
                        DType::Complex128 => map_out(dst, stride, src, |x| C64::new(x as f64, 0.0)),
                    }
                }
            }
        }
    )*};
}

real_compute!(f32, f64, i64);

macro_rules! complex_compute {
    ($($c:ty, $r:ty);*) => {$(
        impl Compute for $c {
            unsafe fn gather(src: *const u8, dtype: DType, stride: isize, out: &mut [Self]) {
                // SAFETY: as the caller promises.
                unsafe {
                    match dtype {
                        DType::Complex64 => map_in(src, stride, out, |x: C32| <$c>::new(x.re as $r, x.im as $r)),
                        DType::Complex128 => map_in(src, stride, out, |x: C64| <$c>::new(x.re as $r, x.im as $r)),
                        _ => {
                            let mut part = [0 as $r; 64];
                            for (b, chunk) in out.chunks_mut(64).enumerate() {
                                let at = src.offset(b as isize * 64 * stride * dtype.size() as isize);
                                <$r>::gather(at, dtype, stride, &mut part[..chunk.len()]);
                                chunk.iter_mut().zip(part).for_each(|(o, re)| *o = <$c>::new(re, 0 as $r));
                            }
                        }
                    }
                }
            }

            unsafe fn scatter(dst: *mut u8, dtype: DType, stride: isize, src: &[Self]) {
                // SAFETY: as the caller promises.
                unsafe {
                    match dtype {
                        DType::Complex64 => map_out(dst, stride, src, |x| C32::new(x.re as f32, x.im as f32)),
                        DType::Complex128 => map_out(dst, stride, src, |x| C64::new(x.re as f64, x.im as f64)),
                        _ => {
                            let real: Vec<$r> = src.iter().map(|x| x.re).collect();
                            <$r>::scatter(dst, dtype, stride, &real)
                        }
                    }
                }
            }
        }
    )*};
}

complex_compute!(C32, f32; C64, f64);

/// Truth values: reading gives 1 for every element that is not zero (NaN included).
impl Compute for u8 {
    unsafe fn gather(src: *const u8, dtype: DType, stride: isize, out: &mut [Self]) {
        // SAFETY: as the caller promises.
        unsafe {
            match dtype {
                DType::Bool | DType::U8 | DType::I8 => map_in(src, stride, out, |x: u8| u8::from(x != 0)),
                DType::I16 => map_in(src, stride, out, |x: i16| u8::from(x != 0)),
                DType::I32 => map_in(src, stride, out, |x: i32| u8::from(x != 0)),
                DType::I64 => map_in(src, stride, out, |x: i64| u8::from(x != 0)),
                DType::F16 => map_in(src, stride, out, |x: f16| u8::from(x.to_bits() << 1 != 0)),
                DType::BF16 => map_in(src, stride, out, |x: bf16| u8::from(x.to_bits() << 1 != 0)),
                DType::F32 => map_in(src, stride, out, |x: f32| u8::from(x != 0.0)),
                DType::F64 => map_in(src, stride, out, |x: f64| u8::from(x != 0.0)),
                DType::Complex64 => map_in(src, stride, out, |x: C32| u8::from(x.re != 0.0 || x.im != 0.0)),
                DType::Complex128 => map_in(src, stride, out, |x: C64| u8::from(x.re != 0.0 || x.im != 0.0)),
            }
        }
    }

    unsafe fn scatter(dst: *mut u8, dtype: DType, stride: isize, src: &[Self]) {
        let wide: Vec<i64> = src.iter().map(|x| i64::from(*x)).collect();
        // SAFETY: as the caller promises.
        unsafe { i64::scatter(dst, dtype, stride, &wide) }
    }

    unsafe fn view(src: *const u8, dtype: DType, stride: isize, n: usize, buf: &mut [Self]) -> &[Self] {
        if dtype == DType::Bool && stride == 1 {
            // SAFETY: the caller vouches for `n` elements; a `bool` is a byte of 0 or 1.
            return unsafe { std::slice::from_raw_parts(src, n) };
        }
        // SAFETY: as the caller promises.
        unsafe { Self::gather(src, dtype, stride, &mut buf[..n]) };
        &buf[..n]
    }
}

/// `bf16` is the upper half of an `f32`; written out because the library's own conversion does not vectorise.
#[inline(always)]
fn widen(x: bf16) -> f32 {
    f32::from_bits(u32::from(x.to_bits()) << 16)
}

/// Rounds to nearest even; NaN becomes the quiet NaN.
#[inline(always)]
fn narrow(x: f32) -> bf16 {
    let bits = x.to_bits();
    let rounded = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
    bf16::from_bits(if x.is_nan() { 0x7fc0 | (bits >> 16) as u16 & 0x8000 } else { rounded })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_types_round_to_nearest_even() {
        for bits in (0..u32::MAX).step_by(65_521) {
            let x = f32::from_bits(bits);
            let (got, want) = (narrow(x), bf16::from_f32(x));
            assert!(got == want || x.is_nan() && got.is_nan(), "{x}");
            assert!(widen(got).to_bits() == want.to_f32().to_bits() || x.is_nan());
        }
    }

    #[test]
    fn strided_reading_and_writing() {
        let x = [1_i16, 2, 3, 4, 5, 6];
        let mut out = [0.0_f32; 3];
        // SAFETY: elements 5, 3 and 1 exist.
        unsafe { f32::gather(x[5..].as_ptr().cast(), DType::I16, -2, &mut out) };
        assert_eq!(out, [6.0, 4.0, 2.0]);
        let mut y = [f16::ZERO; 5];
        // SAFETY: elements 0, 2 and 4 exist.
        unsafe { f32::scatter(y.as_mut_ptr().cast(), DType::F16, 2, &out) };
        assert_eq!(y.map(|v| v.to_f32()), [6.0, 0.0, 4.0, 0.0, 2.0]);
    }
}
