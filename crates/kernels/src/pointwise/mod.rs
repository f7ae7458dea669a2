//! Elementwise operations on strided operands of any dtypes.
//!
//! An operation is one loop over contiguous slices for each type it computes in (`f32`, `f64`, `i64`, `bool` and
//! the complex types; where it matters, narrow integers). [`run`] brings operands into that form: those that already have it are used in place, others are
//! converted and gathered block by block into buffers that stay in the first-level cache, and results are converted and
//! scattered likewise. So a new operation costs one line and works on every dtype, stride pattern and thread count.
//!
//! A loop sees its output and inputs as separate slices. An operand that is also the output (in-place operations) is
//! therefore read through a buffer.

mod activation;
mod binary;
mod binary_complex;
mod binary_int;
mod blocks;
mod compare;
mod loops;
mod panels;
mod ternary;
mod unary;
mod unary_complex;

#[cfg(test)]
mod tests;

pub(crate) use blocks::STREAM;

pub use activation::{Activation, ActivationGrad, activation, activation_grad};
pub use binary::{Binary, Number, binary};
pub use compare::{Compare, Test, compare, contains_zero, test};
pub use ternary::{Ternary, select, ternary};
pub use unary::{Unary, unary};

use crate::dtype::{DType, Element};
use crate::parallel::for_ranges;
use crate::strided::{Operand, numel};
use std::mem::MaybeUninit;

/// Elements of cheap loops below which another thread does not pay.
pub(crate) const GRAIN: usize = 32_768;

/// The operation has no loop for the type it was asked to compute in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported;

/// The next wider integer type that loops compute in.
fn wider(compute: DType) -> Option<DType> {
    match compute {
        DType::U8 | DType::I8 => Some(DType::I16),
        DType::I16 | DType::I32 => Some(DType::I64),
        _ => None,
    }
}

/// What a kernel loop is called with: the address of `n` contiguous elements of the output, then of each input.
pub(crate) type Loop<'f, const N: usize> = &'f (dyn Fn([*mut u8; N], usize) + Sync);

/// Runs `kernel` over operands of the shape `sizes`; the first is written, the others are read.
///
/// `compute[i]` is the type in which the kernel sees operand `i`. Calls go to threads in pieces of at least `grain`
/// elements.
///
/// # Safety
/// Every operand is valid for `sizes`; no element of the output overlaps another one, or an input other than the
/// input's element at the same index. The kernel accesses only the `n` elements it is given.
pub(crate) unsafe fn run<const N: usize>(
    sizes: &[i64],
    operands: [Operand; N],
    compute: [DType; N],
    grain: usize,
    kernel: Loop<N>,
) {
    let direct = |i: usize| operands[i].dtype == compute[i] && operands[i].is_contiguous(sizes);
    let total = numel(sizes);
    if total == 0 {
        return;
    }
    let in_place = operands[1..].iter().any(|o| o.ptr == operands[0].ptr);
    if in_place || total * compute[0].size() >= STREAM || !(0..N).all(direct) {
        // SAFETY: the caller's promise.
        return unsafe { blocks::run(sizes, &operands, compute, grain, kernel) };
    }
    let bases = operands.map(|o| o.ptr);
    if total <= grain {
        return kernel(bases, total);
    }
    let bases = Addresses(bases);
    for_ranges(total, grain, |range| kernel(bases.offset(range.start, compute), range.len()));
}

/// Addresses that threads may share: what they do with them is the caller's promise to [`run`].
struct Addresses<const N: usize>([*mut u8; N]);

// SAFETY: see above.
unsafe impl<const N: usize> Sync for Addresses<N> {}

impl<const N: usize> Addresses<N> {
    fn offset(&self, elements: usize, types: [DType; N]) -> [*mut u8; N] {
        std::array::from_fn(|i| self.0[i].wrapping_add(elements * types[i].size()))
    }
}

/// The `n` elements at `ptr`, to be read.
///
/// # Safety
/// As [`std::slice::from_raw_parts`].
#[inline(always)]
pub(crate) unsafe fn input<'a, T: Element>(ptr: *mut u8, n: usize) -> &'a [T] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(ptr.cast(), n) }
}

/// The `n` elements at `ptr`, to be written.
///
/// # Safety
/// As [`std::slice::from_raw_parts_mut`].
#[inline(always)]
pub(crate) unsafe fn output<'a, T: Element>(ptr: *mut u8, n: usize) -> &'a mut [MaybeUninit<T>] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(ptr.cast(), n) }
}

/// `out[i] = f(a[i])`, computed in the types of `f`: for operators too rare to have a loop of their own.
///
/// # Safety
/// As [`unary`].
pub unsafe fn map1<A: Element, R: Element>(
    sizes: &[i64],
    out: Operand,
    a: Operand,
    f: impl Fn(A) -> R + Sync,
) {
    let kernel = |p: [*mut u8; 2], n: usize| {
        // SAFETY: `run` passes `n` elements of the types below.
        let (out, a) = unsafe { (output::<R>(p[0], n), input::<A>(p[1], n)) };
        for (o, a) in out.iter_mut().zip(a) {
            o.write(f(*a));
        }
    };
    // SAFETY: the caller's promise; the kernel stays within its slices.
    unsafe { run(sizes, [out, a], [R::DTYPE, A::DTYPE], GRAIN / 8, &kernel) }
}

/// `out[i] = f(a[i], b[i])`, computed in the types of `f`.
///
/// # Safety
/// As [`binary`].
pub unsafe fn map2<A: Element, B: Element, R: Element>(
    sizes: &[i64],
    out: Operand,
    a: Operand,
    b: Operand,
    f: impl Fn(A, B) -> R + Sync,
) {
    let kernel = |p: [*mut u8; 3], n: usize| {
        // SAFETY: `run` passes `n` elements of the types below.
        let (out, a, b) = unsafe { (output::<R>(p[0], n), input::<A>(p[1], n), input::<B>(p[2], n)) };
        for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
            o.write(f(*a, *b));
        }
    };
    // SAFETY: the caller's promise; the kernel stays within its slices.
    unsafe { run(sizes, [out, a, b], [R::DTYPE, A::DTYPE, B::DTYPE], GRAIN / 8, &kernel) }
}
