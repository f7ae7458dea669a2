//! Elementwise functions of three tensors.

use super::loops::call3;
use super::unary_complex::divide;
use super::{GRAIN, Number, Unsupported, input, output, run};
use crate::dtype::{C32, C64, DType, Element};
use crate::math::Real;
use crate::strided::Operand;
use std::mem::MaybeUninit;

/// An elementwise function of three tensors `a`, `b`, `c`, named as PyTorch's operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ternary {
    /// `a + value b c`.
    Addcmul {
        /// Factor of the product.
        value: Number,
    },
    /// `a + value b / c`.
    Addcdiv {
        /// Factor of the quotient.
        value: Number,
    },
    /// From `a` to `b` with weight `c`.
    Lerp,
    /// `a` limited to `[b, c]`, NaN if any is.
    Clamp,
}

/// Applies `op` elementwise: loads the inputs as `compute`, stores the result as the type of `out`.
///
/// # Errors
/// `Unsupported` if `op` has no loop for `compute`; nothing is written then.
///
/// # Safety
/// As [`binary`](super::binary).
pub unsafe fn ternary(
    op: Ternary,
    compute: DType,
    sizes: &[i64],
    out: Operand,
    inputs: [Operand; 3],
) -> Result<(), Unsupported> {
    macro_rules! with {
        ($T:ty, $f:expr) => {{
            $f(op, &mut [], &[], &[], &[])?;
            let kernel = |p: [*mut u8; 4], n: usize| {
                // SAFETY: `run` passes `n` elements of the compute type.
                let [a, b, c] = unsafe { [input::<$T>(p[1], n), input::<$T>(p[2], n), input::<$T>(p[3], n)] };
                // SAFETY: as above.
                let _ = $f(op, unsafe { output::<$T>(p[0], n) }, a, b, c);
            };
            let [a, b, c] = inputs;
            // SAFETY: the caller's promise.
            unsafe { run(sizes, [out, a, b, c], [compute; 4], GRAIN, &kernel) }
        }};
    }
    match compute {
        DType::F32 => with!(f32, real::<f32>),
        DType::F64 => with!(f64, real::<f64>),
        DType::I64 => with!(i64, int),
        DType::Complex64 => with!(C32, complex::<C32>),
        DType::Complex128 => with!(C64, complex::<C64>),
        _ => return Err(Unsupported),
    }
    Ok(())
}

crate::multiversion! {
    fn addcmul<T: Real>(out: &mut [MaybeUninit<T>], a: &[T], b: &[T], c: &[T], value: T) {
        for (((o, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
            o.write(*a + value * *b * *c);
        }
    }

    fn addcdiv<T: Real>(out: &mut [MaybeUninit<T>], a: &[T], b: &[T], c: &[T], value: T) {
        for (((o, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
            o.write(*a + value * *b / *c);
        }
    }

    fn lerp<T: Real>(out: &mut [MaybeUninit<T>], a: &[T], b: &[T], c: &[T]) {
        for (((o, a), b), w) in out.iter_mut().zip(a).zip(b).zip(c) {
            let near = w.abs() < T::real(0.5);
            let (weight, base) = if near { (*w, *a) } else { (*w - T::ONE, *b) };
            o.write(weight.mul_add(*b - *a, base));
        }
    }

    fn clamp<T: Real>(out: &mut [MaybeUninit<T>], a: &[T], b: &[T], c: &[T]) {
        for (((o, a), low), high) in out.iter_mut().zip(a).zip(b).zip(c) {
            o.write(a.max_nan(*low).min_nan(*high));
        }
    }
}

fn real<T: Real>(
    op: Ternary,
    out: &mut [MaybeUninit<T>],
    a: &[T],
    b: &[T],
    c: &[T],
) -> Result<(), Unsupported> {
    match op {
        Ternary::Addcmul { value } => addcmul::<T>(out, a, b, c, T::real(value.real)),
        Ternary::Addcdiv { value } => addcdiv::<T>(out, a, b, c, T::real(value.real)),
        Ternary::Lerp => lerp::<T>(out, a, b, c),
        Ternary::Clamp => clamp::<T>(out, a, b, c),
    }
    Ok(())
}

fn int(
    op: Ternary,
    out: &mut [MaybeUninit<i64>],
    a: &[i64],
    b: &[i64],
    c: &[i64],
) -> Result<(), Unsupported> {
    match op {
        Ternary::Addcmul { value } => {
            call3(out, a, b, c, |a, b, c| b.wrapping_mul(c).wrapping_mul(value.int).wrapping_add(a));
        }
        Ternary::Clamp => call3(out, a, b, c, |a, b, c| a.max(b).min(c)),
        _ => return Err(Unsupported),
    }
    Ok(())
}

/// A complex type, computed with in double precision.
trait Complex: Element {
    fn widen(self) -> C64;
    fn narrow(z: C64) -> Self;
}

impl Complex for C32 {
    fn widen(self) -> C64 {
        C64::new(self.re as f64, self.im as f64)
    }
    fn narrow(z: C64) -> C32 {
        C32::new(z.re as f32, z.im as f32)
    }
}

impl Complex for C64 {
    fn widen(self) -> C64 {
        self
    }
    fn narrow(z: C64) -> C64 {
        z
    }
}

fn complex<T: Complex>(
    op: Ternary,
    out: &mut [MaybeUninit<T>],
    a: &[T],
    b: &[T],
    c: &[T],
) -> Result<(), Unsupported> {
    match op {
        Ternary::Addcmul { value } => {
            call3(out, a, b, c, |a, b, c| T::narrow(a.widen() + value.complex * b.widen() * c.widen()))
        }
        Ternary::Addcdiv { value } => {
            call3(out, a, b, c, |a, b, c| T::narrow(a.widen() + divide(value.complex * b.widen(), c.widen())))
        }
        Ternary::Lerp => call3(out, a, b, c, |a, b, w| {
            let (a, b, w) = (a.widen(), b.widen(), w.widen());
            T::narrow(if w.norm() < 0.5 { a + w * (b - a) } else { b - (b - a) * (1.0 - w) })
        }),
        Ternary::Clamp => return Err(Unsupported),
    }
    Ok(())
}

/// `out[i] = if condition[i] { a[i] } else { b[i] }`, with `a` and `b` loaded as `dtype`.
///
/// # Safety
/// As [`binary`](super::binary).
pub unsafe fn select(dtype: DType, sizes: &[i64], out: Operand, condition: Operand, a: Operand, b: Operand) {
    macro_rules! with {
        ($T:ty) => {{
            let kernel = |p: [*mut u8; 4], n: usize| {
                // SAFETY: `run` passes `n` elements of the types below, or of the same size.
                let (out, condition) = unsafe { (output::<$T>(p[0], n), input::<bool>(p[1], n)) };
                // SAFETY: as above.
                let (a, b) = unsafe { (input::<$T>(p[2], n), input::<$T>(p[3], n)) };
                pick::<$T>(out, condition, a, b);
            };
            let operands = [out, condition, a, b];
            // SAFETY: the caller's promise.
            unsafe { run(sizes, operands, [dtype, DType::Bool, dtype, dtype], GRAIN, &kernel) }
        }};
    }
    match dtype.size() {
        1 => with!(u8),
        2 => with!(i16),
        4 => with!(i32),
        8 => with!(i64),
        _ => with!(C64),
    }
}

crate::multiversion! {
    fn pick<T: Element>(out: &mut [MaybeUninit<T>], condition: &[bool], a: &[T], b: &[T]) {
        for (((o, c), a), b) in out.iter_mut().zip(condition).zip(a).zip(b) {
            o.write(if *c { *a } else { *b });
        }
    }
}
