//! Normal numbers: the Box-Muller transform of pairs of uniform ones.
//!
//! Sixteen elements or more are filled with uniforms and transformed in blocks of 16, where element `j < 8` gives the
//! radius and element `j + 8` the angle of a pair. When 16 does not divide the size, the last 16 elements are drawn
//! anew and transformed as one block, over what was there. Fewer than sixteen elements come one by one in double
//! precision.
//!
//! In `f32` logarithm, sine and cosine are the Cephes polynomials in the form (order and fusing of operations) that
//! PyTorch's AVX2 build has, so that all values agree to the last bit. In `f64` they are those of the system.

// The constants are written as Cephes prints them.
#![allow(clippy::excessive_precision)]

use super::engine::Mt19937;
use super::uniform::Real;
use crate::dtype::DType;
use crate::{multiversion, parallel};

const BLOCK: usize = 16;
/// Elements below which a transform is not worth a second thread.
const GRAIN: usize = 1 << 15;

/// Fills `out` (contiguous) with normal numbers: `torch.randn` and `normal_`.
pub fn normal<T: Real>(engine: &mut Mt19937, out: &mut [T], mean: f64, std: f64) {
    if out.len() < BLOCK {
        return normal_serial(engine, out, mean, std);
    }
    match T::DTYPE {
        DType::F32 | DType::F64 => fill_in_place(engine, out, mean, std),
        _ => fill_halves(engine, out, mean as f32, std as f32),
    }
}

/// Fills `out` with normal numbers one by one in double precision, as PyTorch does below 16 elements and for tensors
/// that are not contiguous.
pub fn normal_serial<T: Real>(engine: &mut Mt19937, out: &mut [T], mean: f64, std: f64) {
    for value in out {
        *value = T::from_f64(engine.normal().mul_add(std, mean));
    }
}

fn fill_in_place<T: Real>(engine: &mut Mt19937, out: &mut [T], mean: f64, std: f64) {
    T::fill_uniform(engine, out, 0.0, 1.0);
    let whole = out.len() / BLOCK * BLOCK;
    let start = out.as_mut_ptr() as usize;
    parallel::for_ranges(whole / BLOCK, GRAIN / BLOCK, |blocks| {
        let first = (start as *mut T).wrapping_add(blocks.start * BLOCK);
        // SAFETY: the ranges are disjoint and lie within `out`, which is borrowed for the whole loop.
        let part = unsafe { std::slice::from_raw_parts_mut(first, blocks.len() * BLOCK) };
        transform(part, mean, std);
    });
    if whole < out.len() {
        let tail = out.len() - BLOCK;
        T::fill_uniform(engine, &mut out[tail..], 0.0, 1.0);
        transform(&mut out[tail..], mean, std);
    }
}

/// The half types draw and transform block by block in `f32`.
fn fill_halves<T: Real>(engine: &mut Mt19937, out: &mut [T], mean: f32, std: f32) {
    const CHUNK: usize = 64 * BLOCK;
    let mut buffer = [0.0_f32; CHUNK];
    let mut draw = |part: &mut [T]| {
        let values = &mut buffer[..part.len()];
        f32::fill_uniform(engine, values, 0.0, 1.0);
        transform_f32(values, mean, std);
        for (value, &wide) in part.iter_mut().zip(&*values) {
            *value = T::from_f32(wide);
        }
    };
    let whole = out.len() / BLOCK * BLOCK;
    out[..whole].chunks_mut(CHUNK).for_each(&mut draw);
    if whole < out.len() {
        let tail = out.len() - BLOCK;
        draw(&mut out[tail..]);
    }
}

fn transform<T: Real>(data: &mut [T], mean: f64, std: f64) {
    if T::DTYPE == DType::F32 {
        // SAFETY: `Element` promises that only `f32` has this dtype.
        let data = unsafe { &mut *(std::ptr::from_mut(data) as *mut [f32]) };
        transform_f32(data, mean as f32, std as f32);
    } else {
        // SAFETY: `normal` sends only `f32` and `f64` here.
        let data = unsafe { &mut *(std::ptr::from_mut(data) as *mut [f64]) };
        transform_f64(data, mean, std);
    }
}

fn transform_f64(data: &mut [f64], mean: f64, std: f64) {
    for block in data.chunks_exact_mut(BLOCK) {
        for j in 0..BLOCK / 2 {
            let radius = (-2.0 * (1.0 - block[j]).ln()).sqrt();
            let theta = 2.0 * std::f64::consts::PI * block[j + 8];
            block[j] = (radius * theta.cos()).mul_add(std, mean);
            block[j + 8] = (radius * theta.sin()).mul_add(std, mean);
        }
    }
}

multiversion! {
    fn transform_f32(data: &mut [f32], mean: f32, std: f32) {
        for block in data.chunks_exact_mut(BLOCK) {
            let mut values: [f32; BLOCK] = std::array::from_fn(|j| block[j]);
            for j in 0..BLOCK / 2 {
                let radius = (-2.0 * ln(1.0 - values[j])).sqrt();
                let (sin, cos) = sin_cos(std::f32::consts::TAU * values[j + 8]);
                values[j] = (radius * cos).mul_add(std, mean);
                values[j + 8] = (radius * sin).mul_add(std, mean);
            }
            block.copy_from_slice(&values);
        }
    }
}

/// Natural logarithm of a normal number above zero (Cephes `logf`).
#[inline(always)]
fn ln(x: f32) -> f32 {
    const P: [f32; 9] = [
        7.0376836292e-2,
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    ];
    let bits = x.to_bits();
    let fraction = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
    let low = fraction < std::f32::consts::FRAC_1_SQRT_2;
    let exponent = ((bits >> 23) as i32 - 126) as f32 - if low { 1.0 } else { 0.0 };
    let x = (fraction - 1.0) + if low { fraction } else { 0.0 };
    let z = x * x;
    let mut y = P[0];
    for p in &P[1..] {
        y = y.mul_add(x, *p);
    }
    y = (y * x).mul_add(z, exponent * -2.12194440e-4);
    y = z.mul_add(-0.5, y);
    exponent.mul_add(0.693359375, x + y)
}

/// Sine and cosine of a small number that is not negative (Cephes `sinf`, `cosf`).
#[inline(always)]
fn sin_cos(x: f32) -> (f32, f32) {
    let octant = ((x * 1.27323954473516) as i32 + 1) & !1;
    let y = octant as f32;
    // x - y pi/4, with pi/4 in three parts.
    let x =
        y.mul_add(-3.77489497744594108e-8, y.mul_add(-2.4187564849853515625e-4, y.mul_add(-0.78515625, x)));
    let z = x * x;
    let c = 2.443315711809948e-5_f32.mul_add(z, -1.388731625493765e-3).mul_add(z, 4.166664568298827e-2);
    let c = (c * z).mul_add(z, -(z * 0.5)) + 1.0;
    let s = (-1.9515295891e-4_f32).mul_add(z, 8.3321608736e-3).mul_add(z, -1.6666654611e-1);
    let s = (s * z).mul_add(x, x);
    let swap = octant & 2 != 0;
    let (sin, cos) = if swap { (c, s) } else { (s, c) };
    let sin_sign = ((octant & 4) as u32) << 29;
    let cos_sign = ((!(octant - 2) & 4) as u32) << 29;
    (f32::from_bits(sin.to_bits() ^ sin_sign), f32::from_bits(cos.to_bits() ^ cos_sign))
}
