//! Maximum pooling with indices.

use super::Windows;
use crate::dtype::Element;
use crate::multiversion;
use crate::parallel::for_tasks;
use crate::parts::{Parts, each_row};

/// An element type with an order.
pub trait Ordered: Element + PartialOrd {
    /// Below or equal to every other value.
    const LOWEST: Self;
}

macro_rules! ordered {
    ($($t:ty => $low:expr),*) => {$( impl Ordered for $t { const LOWEST: Self = $low; } )*};
}

ordered!(
    f32 => f32::NEG_INFINITY, f64 => f64::NEG_INFINITY, u8 => 0, i8 => i8::MIN, i16 => i16::MIN, i32 => i32::MIN, i64 => i64::MIN
);

/// Elements that are worth a task.
const GRAIN: usize = 1 << 14;
/// Windows of a row that are looked at together.
const LANES: usize = 8;

#[inline(always)]
#[allow(clippy::eq_op)] // NaN is what differs from itself
fn improve<T: Ordered>(x: T, index: u32, best: &mut T, at: &mut u32) {
    // Not `||`: a branch would keep the rows below from becoming vectors.
    let better = (x > *best) | (x != x);
    *best = if better { x } else { *best };
    *at = if better { index } else { *at };
}

multiversion! {
    /// Takes in one window position for a row of windows: `x[i * stride]` has index `first + i * stride`.
    fn step<T: Ordered>(x: &[T], stride: usize, first: u32, best: &mut [T], at: &mut [u32]) {
        let n = best.len();
        let at = &mut at[..n];
        match stride {
            1 => {
                // Rows are often shorter than what a loop of unknown length would be vectorised for.
                let (x, x_rest) = x[..n].as_chunks::<LANES>();
                let (best, best_rest) = best.as_chunks_mut::<LANES>();
                let (at, at_rest) = at.as_chunks_mut::<LANES>();
                for (c, ((x, best), at)) in x.iter().zip(best).zip(at).enumerate() {
                    let (mut largest, mut place) = (*best, *at);
                    for i in 0..LANES {
                        improve(x[i], first + (c * LANES + i) as u32, &mut largest[i], &mut place[i]);
                    }
                    (*best, *at) = (largest, place);
                }
                let first = first + (n - x_rest.len()) as u32;
                for (i, x) in x_rest.iter().enumerate() {
                    improve(*x, first + i as u32, &mut best_rest[i], &mut at_rest[i]);
                }
            }
            2 => {
                let x = &x[..2 * n - 1];
                for i in 0..n {
                    improve(x[2 * i], first + 2 * i as u32, &mut best[i], &mut at[i]);
                }
            }
            _ => {
                for i in 0..n {
                    improve(x[i * stride], first + (i * stride) as u32, &mut best[i], &mut at[i]);
                }
            }
        }
    }
}

impl Windows {
    /// The windows of one row of output.
    fn max_row<T: Ordered>(&self, x: &[T], d: usize, h: usize, best: &mut [T], at: &mut [u32]) {
        best.fill(T::LOWEST);
        at.fill(u32::MAX);
        for kd in 0..self.kernel[0] {
            let Some(z) = self.at(0, d, kd) else { continue };
            for kh in 0..self.kernel[1] {
                let Some(y) = self.at(1, h, kh) else { continue };
                let row = (z * self.input[1] + y) * self.input[2];
                let unnamed = at.contains(&u32::MAX);
                for k in 0..self.kernel[2] {
                    let (windows, start) = self.inside(k);
                    if windows.is_empty() {
                        continue;
                    }
                    let (best, at) = (&mut best[windows.clone()], &mut at[windows]);
                    if unnamed && at.contains(&u32::MAX) {
                        name_first(at, row + start, self.stride[2]);
                    }
                    step(
                        &x[row + start..row + self.input[2]],
                        self.stride[2],
                        (row + start) as u32,
                        best,
                        at,
                    );
                }
            }
        }
    }
}

/// A window whose elements are all the lowest value reports its first one.
fn name_first(at: &mut [u32], start: usize, stride: usize) {
    for (i, at) in at.iter_mut().enumerate() {
        if *at == u32::MAX {
            *at = (start + i * stride) as u32;
        }
    }
}

/// Largest element of every window (NaN if there is one) and its index in the plane, for each plane of `x`.
///
/// Planes have fewer than 2^32 elements. `indices` may be empty.
///
/// # Panics
/// If the lengths do not fit.
pub fn max_pool<T: Ordered>(windows: &Windows, x: &[T], y: &mut [T], indices: &mut [i64]) {
    let (plane, results, width) = (windows.plane(), windows.results(), windows.output[2]);
    if results == 0 || y.is_empty() {
        return;
    }
    assert!(x.len() / plane == y.len() / results && (indices.is_empty() || indices.len() == y.len()));
    let (wanted, parts) = (!indices.is_empty(), Parts::new(indices));
    let group = (GRAIN / plane).max(1);
    let (planes, y) = (y.len() / results, Parts::new(y));
    for_tasks(planes.div_ceil(group), |task| {
        let mut at = vec![0_u32; width];
        for p in task * group..((task + 1) * group).min(planes) {
            let x = &x[p * plane..(p + 1) * plane];
            for row in 0..results / width {
                let range = p * results + row * width..p * results + (row + 1) * width;
                // SAFETY: each plane is one task's.
                let best = unsafe { y.part(range.clone()) };
                windows.max_row(x, row / windows.output[1], row % windows.output[1], best, &mut at);
                if wanted {
                    // SAFETY: as above.
                    let out = unsafe { parts.part(range) };
                    out.iter_mut().zip(&at).for_each(|(o, i)| *o = i64::from(*i));
                }
            }
        }
    });
}

/// Gradient of a pooling that picks elements: adds each `g` to `gx` at its index in the plane, after zeroing `gx`.
///
/// # Panics
/// If an index lies outside its plane.
pub fn scatter_gradient<T: Element + std::ops::AddAssign + Default>(
    plane: usize,
    results: usize,
    g: &[T],
    indices: &[i64],
    gx: &mut [T],
) {
    each_row(gx, plane, GRAIN, |p, gx| {
        gx.fill(T::default());
        let range = p * results..(p + 1) * results;
        for (g, i) in g[range.clone()].iter().zip(&indices[range]) {
            gx[*i as usize] += *g;
        }
    });
}

/// Opposite of pooling: zeros but for `x`, each at its index in the plane. Returns the first index that lies outside.
///
/// # Panics
/// If the lengths do not fit.
pub fn unpool<T: Element + Default>(
    plane: usize,
    results: usize,
    x: &[T],
    indices: &[i64],
    y: &mut [T],
) -> Option<i64> {
    if results == 0 {
        return None;
    }
    if let Some(i) = indices.iter().find(|i| !(0..results as i64).contains(*i)) {
        return Some(*i);
    }
    each_row(y, results, GRAIN, |p, y| {
        y.fill(T::default());
        let range = p * plane..(p + 1) * plane;
        for (x, i) in x[range.clone()].iter().zip(&indices[range]) {
            y[*i as usize] = *x;
        }
    });
    None
}
