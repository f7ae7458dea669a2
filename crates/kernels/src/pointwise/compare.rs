//! Elementwise questions about one or two tensors: the answers are `bool`.

use super::loops::{call1, call2, map1, map2};
use super::{GRAIN, Unsupported, input, output, run};
use crate::cast::{Source, converter};
use crate::dtype::{C32, C64, DType};
use crate::math::Real;
use crate::strided::{Operand, for_each_run};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

/// A comparison or logical connection of two tensors, named as PyTorch's operator.
#[allow(missing_docs)] // names are PyTorch's
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    LogicalAnd,
    LogicalOr,
    LogicalXor,
}

/// A property of single elements, named as PyTorch's operator.
#[allow(missing_docs)] // names are PyTorch's
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    IsNan,
    IsInf,
    IsFinite,
    IsPosInf,
    IsNegInf,
    Signbit,
    LogicalNot,
}

/// Compares elementwise: loads `a` and `b` as `compute`, stores `bool`, converted to the type of `out`.
///
/// # Errors
/// `Unsupported` for an order of complex numbers; nothing is written then.
///
/// # Safety
/// As [`binary`](super::binary).
pub unsafe fn compare(
    op: Compare,
    compute: DType,
    sizes: &[i64],
    out: Operand,
    a: Operand,
    b: Operand,
) -> Result<(), Unsupported> {
    // Two loops serve the four orders, and truth values are all that logic sees.
    let (op, compute, a, b) = match op {
        Compare::Gt => (Compare::Lt, compute, b, a),
        Compare::Ge => (Compare::Le, compute, b, a),
        Compare::LogicalAnd | Compare::LogicalOr | Compare::LogicalXor => (op, DType::Bool, a, b),
        _ => (op, compute, a, b),
    };
    macro_rules! with {
        ($T:ty, $f:expr) => {{
            $f(op, &mut [], &[], &[])?;
            let kernel = |p: [*mut u8; 3], n: usize| {
                // SAFETY: `run` passes `n` elements of the types below.
                let out = unsafe { output::<bool>(p[0], n) };
                // SAFETY: as above.
                let [a, b] = unsafe { [input::<$T>(p[1], n), input::<$T>(p[2], n)] };
                let _ = $f(op, out, a, b);
            };
            // SAFETY: the caller's promise.
            unsafe { run(sizes, [out, a, b], [DType::Bool, compute, compute], GRAIN, &kernel) }
        }};
    }
    match compute {
        DType::F32 => with!(f32, ordered::<f32>),
        DType::F64 => with!(f64, ordered::<f64>),
        DType::U8 => with!(u8, ordered::<u8>),
        DType::I8 => with!(i8, ordered::<i8>),
        DType::I16 => with!(i16, ordered::<i16>),
        DType::I32 => with!(i32, ordered::<i32>),
        DType::I64 => with!(i64, ordered::<i64>),
        DType::Bool => with!(bool, boolean),
        DType::Complex64 => with!(C32, equal::<C32>),
        DType::Complex128 => with!(C64, equal::<C64>),
        _ => return Err(Unsupported),
    }
    Ok(())
}

/// A type whose values are ordered.
trait Ordered: Source + PartialOrd {}
impl<T: Source + PartialOrd> Ordered for T {}

type Answers<'a> = &'a mut [MaybeUninit<bool>];

fn ordered<T: Ordered>(op: Compare, out: Answers, a: &[T], b: &[T]) -> Result<(), Unsupported> {
    match op {
        Compare::Lt => map2!(T: Ordered => bool; out, a, b, (), |x, y| x < y),
        Compare::Le => map2!(T: Ordered => bool; out, a, b, (), |x, y| x <= y),
        _ => return equal(op, out, a, b),
    }
    Ok(())
}

fn equal<T: Source>(op: Compare, out: Answers, a: &[T], b: &[T]) -> Result<(), Unsupported> {
    match op {
        Compare::Eq => map2!(T: Source => bool; out, a, b, (), |x, y| x == y),
        Compare::Ne => map2!(T: Source => bool; out, a, b, (), |x, y| x != y),
        _ => return Err(Unsupported),
    }
    Ok(())
}

fn boolean(op: Compare, out: Answers, a: &[bool], b: &[bool]) -> Result<(), Unsupported> {
    match op {
        Compare::LogicalAnd => call2(out, a, b, |x, y| x & y),
        Compare::LogicalOr => call2(out, a, b, |x, y| x | y),
        Compare::LogicalXor | Compare::Ne => call2(out, a, b, |x, y| x ^ y),
        Compare::Eq => call2(out, a, b, |x, y| x == y),
        Compare::Lt => call2(out, a, b, |x, y| !x & y),
        Compare::Le => call2(out, a, b, |x, y| !x | y),
        _ => return Err(Unsupported),
    }
    Ok(())
}

/// Tests elementwise: loads `a` as `compute`, stores `bool`, converted to the type of `out`.
///
/// # Errors
/// `Unsupported` for the signs of complex numbers; nothing is written then.
///
/// # Safety
/// As [`unary`](super::unary).
pub unsafe fn test(
    op: Test,
    compute: DType,
    sizes: &[i64],
    out: Operand,
    a: Operand,
) -> Result<(), Unsupported> {
    let compute = if op == Test::LogicalNot { DType::Bool } else { compute };
    macro_rules! with {
        ($T:ty, $f:expr) => {{
            $f(op, &mut [], &[])?;
            let kernel = |p: [*mut u8; 2], n: usize| {
                // SAFETY: `run` passes `n` elements of the types below.
                let _ = unsafe { $f(op, output::<bool>(p[0], n), input::<$T>(p[1], n)) };
            };
            // SAFETY: the caller's promise.
            unsafe { run(sizes, [out, a], [DType::Bool, compute], GRAIN, &kernel) }
        }};
    }
    match compute {
        DType::F32 => with!(f32, real_test::<f32>),
        DType::F64 => with!(f64, real_test::<f64>),
        DType::I64 => with!(i64, int_test::<i64>),
        DType::Bool => with!(bool, int_test::<bool>),
        DType::Complex64 => with!(C32, complex_test::<C32>),
        DType::Complex128 => with!(C64, complex_test::<C64>),
        _ => return Err(Unsupported),
    }
    Ok(())
}

fn real_test<T: Real>(op: Test, out: Answers, a: &[T]) -> Result<(), Unsupported> {
    macro_rules! each {
        (|$x:ident| $e:expr) => { map1!(T: Real => bool; out, a, (), |$x| $e) };
    }
    match op {
        Test::IsNan => each!(|x| x.is_nan()),
        Test::IsInf => each!(|x| Real::abs(x) == T::INFINITY),
        Test::IsFinite => each!(|x| Real::abs(x) < T::INFINITY),
        Test::IsPosInf => each!(|x| x == T::INFINITY),
        Test::IsNegInf => each!(|x| x == -T::INFINITY),
        Test::Signbit => each!(|x| x.is_negative()),
        Test::LogicalNot => return Err(Unsupported),
    }
    Ok(())
}

fn int_test<T: Source>(op: Test, out: Answers, a: &[T]) -> Result<(), Unsupported> {
    match op {
        Test::IsNan | Test::IsInf | Test::IsPosInf | Test::IsNegInf => out.fill(MaybeUninit::new(false)),
        Test::IsFinite => out.fill(MaybeUninit::new(true)),
        Test::Signbit => call1(out, a, |x| x.to_i64() < 0),
        Test::LogicalNot => call1(out, a, |x| !x.to_bool()),
    }
    Ok(())
}

fn complex_test<T: Source>(op: Test, out: Answers, a: &[T]) -> Result<(), Unsupported> {
    match op {
        Test::IsNan => call1(out, a, |z| z.to_f64().is_nan() || z.imaginary().is_nan()),
        Test::IsInf => call1(out, a, |z| z.to_f64().is_infinite() || z.imaginary().is_infinite()),
        Test::IsFinite => call1(out, a, |z| z.to_f64().is_finite() && z.imaginary().is_finite()),
        _ => return Err(Unsupported),
    }
    Ok(())
}

/// Whether any element is zero.
///
/// # Safety
/// The operand is valid for `sizes`.
pub unsafe fn contains_zero(sizes: &[i64], a: Operand) -> bool {
    let found = AtomicBool::new(false);
    let convert = converter(a.dtype, DType::Bool);
    for_each_run(sizes, &[a], GRAIN, |[src], [stride], n| {
        let mut truth = [true; 256];
        for start in (0..n).step_by(truth.len()) {
            let count = truth.len().min(n - start);
            // SAFETY: the caller vouches for the run; the buffer holds `count` elements.
            unsafe {
                convert.run(
                    truth.as_mut_ptr().cast(),
                    1,
                    src.wrapping_offset(start as isize * stride),
                    stride,
                    count,
                );
            }
            if truth[..count].contains(&false) {
                found.store(true, Ordering::Relaxed);
                return;
            }
        }
    });
    found.into_inner()
}
