//! Unsigned keys that order elements as PyTorch sorts them: -0 equals 0, NaN comes after everything else.

use crate::dtype::{DType, bf16, f16};

/// A key with the position of its element below it, so that ordering items is a stable sort of elements.
pub(super) trait Item: Copy + Ord + Send + Sync {
    /// Bits of a key.
    const BITS: u32;
    fn new(key: u64, index: u32) -> Self;
    fn index(self) -> u32;
    fn key(self) -> u64;
}

impl Item for u64 {
    const BITS: u32 = 32;
    #[inline(always)]
    fn new(key: u64, index: u32) -> u64 {
        key << 32 | u64::from(index)
    }
    #[inline(always)]
    fn index(self) -> u32 {
        self as u32
    }
    #[inline(always)]
    fn key(self) -> u64 {
        self >> 32
    }
}

impl Item for u128 {
    const BITS: u32 = 64;
    #[inline(always)]
    fn new(key: u64, index: u32) -> u128 {
        u128::from(key) << 32 | u128::from(index)
    }
    #[inline(always)]
    fn index(self) -> u32 {
        self as u32
    }
    #[inline(always)]
    fn key(self) -> u64 {
        (self >> 32) as u64
    }
}

#[inline(always)]
fn single(x: f32) -> u64 {
    let bits = if x == 0.0 { 0 } else { x.to_bits() };
    let key = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(if x.is_nan() { u32::MAX } else { key })
}

#[inline(always)]
fn double(x: f64) -> u64 {
    let bits = if x == 0.0 { 0 } else { x.to_bits() };
    let key = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    if x.is_nan() { u64::MAX } else { key }
}

/// Fills `items` with the keys of `items.len()` elements at `x`, all key bits flipped if `flip`.
///
/// `int64` elements whose keys have 32 bits are at least `base` and less than `base + 2^32`.
///
/// # Safety
/// The elements lie in readable memory of `dtype`.
pub(super) unsafe fn fill<I: Item>(dtype: DType, x: *const u8, base: i64, flip: bool, items: &mut [I]) {
    let mask = if !flip { 0 } else { u64::MAX >> (64 - I::BITS) };
    macro_rules! each {
        ($t:ty, |$x:ident| $key:expr) => {{
            // SAFETY: the caller vouches for the elements.
            let x = unsafe { std::slice::from_raw_parts(x.cast::<$t>(), items.len()) };
            for (i, (item, x)) in items.iter_mut().zip(x).enumerate() {
                let $x = *x;
                *item = I::new($key ^ mask, i as u32);
            }
        }};
    }
    match dtype {
        DType::Bool | DType::U8 => each!(u8, |x| u64::from(x)),
        DType::I8 => each!(i8, |x| (i64::from(x) + 128) as u64),
        DType::I16 => each!(i16, |x| (i64::from(x) + (1 << 15)) as u64),
        DType::I32 => each!(i32, |x| (i64::from(x) + (1 << 31)) as u64),
        DType::I64 if I::BITS == 32 => each!(i64, |x| x.wrapping_sub(base) as u64),
        DType::I64 => each!(i64, |x| x as u64 ^ 1 << 63),
        DType::F16 => each!(f16, |x| single(x.to_f32())),
        DType::BF16 => each!(bf16, |x| single(x.to_f32())),
        DType::F32 => each!(f32, |x| single(x)),
        DType::F64 => each!(f64, |x| double(x)),
        // Complex numbers have no order; callers refuse them.
        DType::Complex64 | DType::Complex128 => each!(u8, |_x| 0),
    }
}

/// The key of NaN among keys that are not flipped.
pub(super) fn nan_key(dtype: DType) -> Option<u64> {
    match dtype {
        DType::F64 => Some(u64::MAX),
        d if d.is_floating_point() => Some(u64::from(u32::MAX)),
        _ => None,
    }
}

/// Copies the elements at `indices` from `x` to `y`.
///
/// # Safety
/// `x` has an element of `dtype` at each index, `y` room for all of them.
pub(super) unsafe fn pick(dtype: DType, x: *const u8, indices: impl Iterator<Item = u32>, y: *mut u8) {
    macro_rules! each {
        ($t:ty) => {
            for (i, index) in indices.enumerate() {
                // SAFETY: the caller vouches for the elements.
                unsafe { *y.cast::<$t>().add(i) = *x.cast::<$t>().add(index as usize) };
            }
        };
    }
    match dtype.size() {
        1 => each!(u8),
        2 => each!(u16),
        4 => each!(u32),
        8 => each!(u64),
        _ => each!(u128),
    }
}
