//! Coin throws: 1 with a given probability, else 0. Dropout masks are drawn with these too.

use super::engine::{Mt19937, unit_f32, unit_f64};
use super::integer::FromDraw;
use crate::dtype::Element;
use crate::multiversion;

/// Sets each element to `one` with probability `p`, else to `zero`: `bernoulli_(p)`, two draws an element.
pub fn bernoulli<T: Element>(engine: &mut Mt19937, out: &mut [T], p: f64, zero: T, one: T) {
    // u 2^-53 < p if and only if u < ceil(p 2^53): the product is exact.
    let threshold = (p * 9_007_199_254_740_992.0).ceil() as u64;
    throw(engine, out, threshold, zero, one);
}

multiversion! {
    fn throw<T: Element>(engine: &mut Mt19937, out: &mut [T], threshold: u64, zero: T, one: T) {
        engine.fill_wide(out, |bits| if bits & ((1 << 53) - 1) < threshold { one } else { zero });
    }
}

/// Sets `out[i]` to 1 with probability `p[i]`, one draw an element: `bernoulli(p)` and `bernoulli_(p)` for tensors
/// `p` of all types but `f64`.
pub fn bernoulli_each<T: FromDraw>(engine: &mut Mt19937, out: &mut [T], p: &[f32]) {
    for (value, &p) in out.iter_mut().zip(p) {
        *value = T::from_draw(i64::from(unit_f32(engine.u32()) < p));
    }
}

/// Sets `out[i]` to 1 with probability `p[i]`, two draws an element: `bernoulli(p)` and `bernoulli_(p)` for `f64`
/// tensors `p`.
pub fn bernoulli_each_f64<T: FromDraw>(engine: &mut Mt19937, out: &mut [T], p: &[f64]) {
    for (value, &p) in out.iter_mut().zip(p) {
        *value = T::from_draw(i64::from(unit_f64(engine.u64()) < p));
    }
}
