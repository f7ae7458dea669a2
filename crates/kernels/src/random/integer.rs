//! Whole numbers and permutations.

use super::engine::Mt19937;
use crate::dtype::{DType, Element, bf16, f16};

/// An element type that whole numbers can be drawn for: all but the complex ones.
pub trait FromDraw: Element {
    /// `value`, cut to the type's width or rounded to its precision.
    fn from_draw(value: i64) -> Self;
    /// `value`, truncated for integer types.
    fn from_value(value: f64) -> Self;
}

macro_rules! from_draw {
    ($($ty:ty: $draw:expr, $value:expr;)*) => {$(
        impl FromDraw for $ty {
            #[inline(always)]
            fn from_draw(value: i64) -> $ty {
                ($draw)(value)
            }
            #[inline(always)]
            fn from_value(value: f64) -> $ty {
                ($value)(value)
            }
        }
    )*};
}

from_draw! {
    bool: |v| v != 0, |v| v != 0.0;
    u8: |v| v as u8, |v| v as i64 as u8;
    i8: |v| v as i8, |v| v as i64 as i8;
    i16: |v| v as i16, |v| v as i64 as i16;
    i32: |v| v as i32, |v| v as i64 as i32;
    i64: |v| v, |v| v as i64;
    f16: |v| f16::from_f32(v as f32), |v| f16::from_f32(v as f32);
    bf16: |v| bf16::from_f32(v as f32), |v| bf16::from_f32(v as f32);
    f32: |v| v as f32, |v| v as f32;
    f64: |v| v as f64, |v| v;
}

/// Fills `out` with numbers of `0..=max`, `max` being the type's largest number (for a floating-point type: the number
/// up to which it holds all whole numbers): `random_()`.
pub fn random<T: FromDraw>(engine: &mut Mt19937, out: &mut [T]) {
    let count: u64 = match T::DTYPE {
        DType::Bool => 2,
        DType::U8 => 1 << 8,
        DType::I8 => 1 << 7,
        DType::I16 => 1 << 15,
        DType::I32 => 1 << 31,
        DType::I64 => 1 << 63,
        DType::F16 => (1 << 11) + 1,
        DType::BF16 => (1 << 8) + 1,
        DType::F32 => (1 << 24) + 1,
        _ => (1 << 53) + 1,
    };
    match T::DTYPE {
        DType::I64 | DType::F64 => engine.fill_wide(out, |bits| T::from_draw((bits % count) as i64)),
        _ => engine.fill(out, |bits| T::from_draw((u64::from(bits) % count) as i64)),
    }
}

/// Fills `out` with numbers of `base..base + range`: `torch.randint` and `random_(from, to)`.
///
/// A range of 2^28 or more takes two draws an element. `range` must not be 0.
pub fn random_from<T: FromDraw>(engine: &mut Mt19937, out: &mut [T], range: u64, base: i64) {
    let number = |offset: u64| T::from_draw((offset as i64).wrapping_add(base));
    if range >= 1 << 28 {
        engine.fill_wide(out, |bits| number(bits % range));
    } else {
        let range = range as u32;
        engine.fill(out, |bits| number(u64::from(bits % range)));
    }
}

/// Fills `out` with numbers of the whole range of `i64`: `random_(i64::MIN, None)`.
pub fn random_full_range<T: FromDraw>(engine: &mut Mt19937, out: &mut [T]) {
    engine.fill_wide(out, |bits| T::from_draw(bits as i64));
}

/// Fills `out` with a permutation of `0..out.len()`: `torch.randperm`.
pub fn randperm<T: FromDraw>(engine: &mut Mt19937, out: &mut [T]) {
    let n = out.len() as u64;
    for (i, value) in out.iter_mut().enumerate() {
        *value = T::from_draw(i as i64);
    }
    // From here on 32 bits would be visibly skewed, and PyTorch shuffles the other way round with 64.
    if n >= u64::from(u32::MAX / 20) {
        for i in 0..out.len() {
            let other = (engine.u64() % (i as u64 + 1)) as usize;
            out.swap(i, other);
        }
        return;
    }
    for i in 0..out.len().saturating_sub(1) {
        let other = engine.u32() % (n as u32 - i as u32);
        out.swap(i, i + other as usize);
    }
}
