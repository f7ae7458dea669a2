//! Uniform real numbers.

use super::engine::{Mt19937, unit_f32, unit_f64};
use crate::dtype::{Element, bf16, f16};
use crate::multiversion;

/// A floating-point element type: what continuous distributions can fill.
pub trait Real: Element {
    /// `value`, rounded to `f32` and then, for the half types, once more (as PyTorch's conversion does).
    fn from_f64(value: f64) -> Self;
    /// `value`, rounded.
    fn from_f32(value: f32) -> Self;
    /// The nearest `f64`: exact.
    fn to_f64(self) -> f64;
    /// Fills with numbers of `[from, to)` from the engine.
    #[doc(hidden)]
    fn fill_uniform(engine: &mut Mt19937, out: &mut [Self], from: f64, to: f64);
}

/// Fills `out` with numbers of `[from, to)`: `torch.rand` and `uniform_`.
///
/// `f64` takes 53 random bits an element, all others 24.
pub fn uniform<T: Real>(engine: &mut Mt19937, out: &mut [T], from: f64, to: f64) {
    T::fill_uniform(engine, out, from, to);
}

/// `value`, or `from` where rounding has reached the excluded end.
#[inline(always)]
fn below<T: PartialEq>(value: T, from: T, to: T) -> T {
    if value == to { from } else { value }
}

multiversion! {
    fn uniform_f32(engine: &mut Mt19937, out: &mut [f32], from: f32, to: f32) {
        engine.fill(out, |bits| below(unit_f32(bits).mul_add(to - from, from), from, to));
    }

    fn uniform_f64(engine: &mut Mt19937, out: &mut [f64], from: f64, to: f64) {
        engine.fill_wide(out, |bits| below(unit_f64(bits).mul_add(to - from, from), from, to));
    }
}

fn uniform_half<T: Real>(engine: &mut Mt19937, out: &mut [T], from: f32, to: f32) {
    let (first, last) = (T::from_f32(from), T::from_f32(to));
    engine.fill(out, |bits| below(T::from_f32(unit_f32(bits).mul_add(to - from, from)), first, last));
}

impl Real for f32 {
    fn from_f64(value: f64) -> f32 {
        value as f32
    }
    fn from_f32(value: f32) -> f32 {
        value
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn fill_uniform(engine: &mut Mt19937, out: &mut [f32], from: f64, to: f64) {
        uniform_f32(engine, out, from as f32, to as f32);
    }
}

impl Real for f64 {
    fn from_f64(value: f64) -> f64 {
        value
    }
    fn from_f32(value: f32) -> f64 {
        f64::from(value)
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn fill_uniform(engine: &mut Mt19937, out: &mut [f64], from: f64, to: f64) {
        uniform_f64(engine, out, from, to);
    }
}

macro_rules! half_real {
    ($($ty:ident),*) => {$(
        impl Real for $ty {
            fn from_f64(value: f64) -> $ty {
                $ty::from_f32(value as f32)
            }
            fn from_f32(value: f32) -> $ty {
                $ty::from_f32(value)
            }
            fn to_f64(self) -> f64 {
                $ty::to_f64(self)
            }
            fn fill_uniform(engine: &mut Mt19937, out: &mut [$ty], from: f64, to: f64) {
                uniform_half(engine, out, from as f32, to as f32);
            }
        }
    )*};
}

half_real!(f16, bf16);
