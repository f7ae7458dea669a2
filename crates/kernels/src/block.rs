//! Blocks of elements on their way into and out of the type that a kernel computes in.
//!
//! A kernel is written for the few compute types (`f32`, `f64`, `i64`, complex); every other dtype is converted a block at a
//! time, so that the number of loops is dtypes plus kernels, not dtypes times kernels.

use crate::cast::converter;
use crate::dtype::{C32, C64, DType, Element};

/// A type that kernels compute in.
pub trait Compute: Element + Default {
    /// The dtype of the elements that need no conversion.
    const STORED: DType = Self::DTYPE;

    /// Reads `out.len()` elements of `dtype`, `stride` elements apart.
    ///
    /// # Safety
    /// Those elements lie in readable memory.
    unsafe fn gather(src: *const u8, dtype: DType, stride: isize, out: &mut [Self]) {
        let (to, from) = (size_of::<Self>() as isize, stride * dtype.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { converter(dtype, Self::STORED).run(out.as_mut_ptr().cast(), to, src, from, out.len()) }
    }

    /// Writes `src` as elements of `dtype`, `stride` elements apart, each rounded once.
    ///
    /// # Safety
    /// Those elements lie in memory that this call alone may write.
    unsafe fn scatter(dst: *mut u8, dtype: DType, stride: isize, src: &[Self]) {
        let (to, from) = (stride * dtype.size() as isize, size_of::<Self>() as isize);
        // SAFETY: as the caller promises.
        unsafe { converter(Self::STORED, dtype).run(dst, to, src.as_ptr().cast(), from, src.len()) }
    }

    /// The elements themselves where they are stored as this type side by side, else converted in `buf`.
    ///
    /// # Safety
    /// As [`Compute::gather`]; nobody writes the elements while the slice lives.
    unsafe fn view(src: *const u8, dtype: DType, stride: isize, n: usize, buf: &mut [Self]) -> &[Self] {
        if dtype == Self::STORED && stride == 1 {
            // SAFETY: the caller vouches for `n` elements of this type.
            return unsafe { std::slice::from_raw_parts(src.cast::<Self>(), n) };
        }
        // SAFETY: as the caller promises.
        unsafe { Self::gather(src, dtype, stride, &mut buf[..n]) };
        &buf[..n]
    }
}

impl Compute for f32 {}
impl Compute for f64 {}
impl Compute for i16 {}
impl Compute for i32 {}
impl Compute for i64 {}
impl Compute for C32 {}
impl Compute for C64 {}

/// Truth values: reading gives 1 for every element that is not zero (NaN included).
impl Compute for u8 {
    const STORED: DType = DType::Bool;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::f16;

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

    #[test]
    fn truth_values_of_any_type() {
        let (x, y) = ([f32::NAN, 0.0, -0.0, 1e-45], [0_u8, 7, 255]);
        let (mut out, mut back) = ([9_u8; 4], [9.0_f64; 4]);
        // SAFETY: as many elements as are asked for.
        unsafe {
            u8::gather(x.as_ptr().cast(), DType::F32, 1, &mut out);
            assert_eq!(out, [1, 0, 0, 1]);
            u8::scatter(back.as_mut_ptr().cast(), DType::F64, 1, &out);
            u8::gather(y.as_ptr().cast(), DType::U8, 1, &mut out[..3]);
        }
        assert_eq!((back, out), ([1.0, 0.0, 0.0, 1.0], [0, 1, 1, 1]));
    }
}
