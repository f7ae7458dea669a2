//! Losses of a prediction `x` and a target `y`: value, sum of all values, and slope in `x`.

use std::mem::MaybeUninit;

use crate::dtype::DType;
use crate::math::Real;
use crate::parts::each_row;
use crate::pointwise::{Unsupported, input, output, run};
use crate::strided::Operand;

/// Elements that are worth a thread.
const GRAIN: usize = 1 << 14;
/// Independent sums, so that additions do not wait for each other.
const LANES: usize = 16;

/// An elementwise loss, named as PyTorch's operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// `(x - y)^2`.
    Mse,
    /// `(x - y)^2 / (2 beta)` below `beta`, `|x - y| - beta / 2` from there on.
    SmoothL1 {
        /// Where the parabola ends.
        beta: f64,
    },
    /// `(x - y)^2 / 2` below `delta`, `delta (|x - y| - delta / 2)` from there on.
    Huber {
        /// Where the parabola ends.
        delta: f64,
    },
    /// `ln(1 + e^(-x y))`.
    SoftMargin,
}

/// A loss in the type that it is computed in.
trait Form<T>: Copy + Sync {
    fn value(self, x: T, y: T) -> T;
    fn slope(self, x: T, y: T) -> T;
}

#[derive(Clone, Copy)]
struct Mse;
#[derive(Clone, Copy)]
struct SmoothL1<T>(T);
#[derive(Clone, Copy)]
struct Huber<T>(T);
#[derive(Clone, Copy)]
struct SoftMargin;

impl<T: Real> Form<T> for Mse {
    #[inline(always)]
    fn value(self, x: T, y: T) -> T {
        (x - y) * (x - y)
    }
    #[inline(always)]
    fn slope(self, x: T, y: T) -> T {
        let d = x - y;
        d + d
    }
}

impl<T: Real> Form<T> for SmoothL1<T> {
    #[inline(always)]
    fn value(self, x: T, y: T) -> T {
        let d = (x - y).abs();
        let half = T::real(0.5);
        if d < self.0 { half * d * d / self.0 } else { d - half * self.0 }
    }
    #[inline(always)]
    fn slope(self, x: T, y: T) -> T {
        let d = x - y;
        let near = if d >= self.0 { T::ONE } else { d / self.0 };
        if d <= -self.0 { -T::ONE } else { near }
    }
}

impl<T: Real> Form<T> for Huber<T> {
    #[inline(always)]
    fn value(self, x: T, y: T) -> T {
        let d = (x - y).abs();
        let half = T::real(0.5);
        if d < self.0 { half * d * d } else { self.0 * (d - half * self.0) }
    }
    #[inline(always)]
    fn slope(self, x: T, y: T) -> T {
        let d = x - y;
        let near = if d >= self.0 { self.0 } else { d };
        if d <= -self.0 { -self.0 } else { near }
    }
}

impl<T: Real> Form<T> for SoftMargin {
    #[inline(always)]
    fn value(self, x: T, y: T) -> T {
        (-x * y).exp().log1p()
    }
    #[inline(always)]
    fn slope(self, x: T, y: T) -> T {
        let z = (-x * y).exp();
        -y * z / (z + T::ONE)
    }
}

crate::multiversion! {
    fn values<T: Real, F: Form<T>>(form: F, out: &mut [MaybeUninit<T>], x: &[T], y: &[T]) {
        for ((o, x), y) in out.iter_mut().zip(x).zip(y) {
            o.write(form.value(*x, *y));
        }
    }

    fn scaled_slopes<T: Real, F: Form<T>>(form: F, out: &mut [MaybeUninit<T>], g: &[T], x: &[T], y: &[T], by: T) {
        for (((o, g), x), y) in out.iter_mut().zip(g).zip(x).zip(y) {
            o.write(*g * (by * form.slope(*x, *y)));
        }
    }

    fn sum<T: Real, F: Form<T>>(form: F, x: &[T], y: &[T]) -> f64 {
        let mut lanes = [T::ZERO; LANES];
        let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
        for (x, y) in xs.iter().zip(ys) {
            for i in 0..LANES {
                lanes[i] = lanes[i] + form.value(x[i], y[i]);
            }
        }
        let rest: f64 = x_rest.iter().zip(y_rest).map(|(x, y)| form.value(*x, *y).wide()).sum();
        lanes.iter().map(|s| s.wide()).sum::<f64>() + rest
    }
}

/// Runs `$body` with `$form` bound to the loss in type `$T`.
macro_rules! with_form {
    ($loss:expr, $T:ty, $form:ident => $body:expr) => {
        match $loss {
            Loss::Mse => {
                let $form = Mse;
                $body
            }
            Loss::SmoothL1 { beta } => {
                let $form = SmoothL1::<$T>(<$T as Real>::real(beta));
                $body
            }
            Loss::Huber { delta } => {
                let $form = Huber::<$T>(<$T as Real>::real(delta));
                $body
            }
            Loss::SoftMargin => {
                let $form = SoftMargin;
                $body
            }
        }
    };
}

/// `out = loss(x, y)`, computed in `f32` or `f64`.
///
/// # Errors
/// `Unsupported` for another `compute`; nothing is written then.
///
/// # Safety
/// As [`crate::pointwise::binary`].
pub unsafe fn losses(
    loss: Loss,
    compute: DType,
    sizes: &[i64],
    out: Operand,
    [x, y]: [Operand; 2],
) -> Result<(), Unsupported> {
    macro_rules! with {
        ($T:ty) => {{
            let kernel = |p: [*mut u8; 3], n: usize| {
                // SAFETY: `run` passes `n` elements of the compute type.
                let (o, x, y) = unsafe { (output::<$T>(p[0], n), input::<$T>(p[1], n), input::<$T>(p[2], n)) };
                with_form!(loss, $T, form => values(form, o, x, y));
            };
            // SAFETY: the caller's promise.
            unsafe { run(sizes, [out, x, y], [compute; 3], GRAIN, &kernel) }
        }};
    }
    match compute {
        DType::F32 => with!(f32),
        DType::F64 => with!(f64),
        _ => return Err(Unsupported),
    }
    Ok(())
}

/// `out = g by slope(x, y)`, computed in `f32` or `f64`.
///
/// # Errors
/// As [`losses`].
///
/// # Safety
/// As [`crate::pointwise::ternary`].
pub unsafe fn slopes(
    loss: Loss,
    by: f64,
    compute: DType,
    sizes: &[i64],
    out: Operand,
    [g, x, y]: [Operand; 3],
) -> Result<(), Unsupported> {
    macro_rules! with {
        ($T:ty) => {{
            let kernel = |p: [*mut u8; 4], n: usize| {
                // SAFETY: `run` passes `n` elements of the compute type.
                let (o, [g, x, y]) = unsafe {
                    (output::<$T>(p[0], n), [input::<$T>(p[1], n), input::<$T>(p[2], n), input::<$T>(p[3], n)])
                };
                with_form!(loss, $T, form => scaled_slopes(form, o, g, x, y, <$T as Real>::real(by)));
            };
            // SAFETY: the caller's promise.
            unsafe { run(sizes, [out, g, x, y], [compute; 4], GRAIN, &kernel) }
        }};
    }
    match compute {
        DType::F32 => with!(f32),
        DType::F64 => with!(f64),
        _ => return Err(Unsupported),
    }
    Ok(())
}

/// The sum of `loss(x, y)` over all elements.
///
/// # Panics
/// If the lengths differ.
pub fn total<T: Real>(loss: Loss, x: &[T], y: &[T]) -> f64 {
    assert_eq!(x.len(), y.len());
    let mut parts = vec![0.0; x.len().div_ceil(GRAIN)];
    each_row(&mut parts, 1, 1, |i, part| {
        let range = i * GRAIN..((i + 1) * GRAIN).min(x.len());
        part[0] = with_form!(loss, T, form => sum(form, &x[range.clone()], &y[range]));
    });
    parts.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_slopes_meet_at_the_ends_of_the_parabolas() {
        let (x, y) = ([3.0_f64, 0.5, -0.25, 1.0], [1.0, 0.0, 0.25, 1.0]);
        let all = |loss| total(loss, &x, &y);
        assert_eq!(all(Loss::Mse), 4.0 + 0.25 + 0.25);
        assert_eq!(all(Loss::SmoothL1 { beta: 0.5 }), 1.75 + 0.25 + 0.25);
        assert_eq!(all(Loss::Huber { delta: 0.5 }), 0.5 * 1.75 + 0.125 + 0.125);
        assert_eq!(SmoothL1(0.5).slope(-0.25, 0.25), -1.0);
        assert_eq!(Huber(2.0).slope(3.0, 2.0), 1.0);
        assert!((SoftMargin.slope(0.0, 1.0) + 0.5_f64).abs() < 1e-12);
    }
}
