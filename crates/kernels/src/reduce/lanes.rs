//! Reductions that take one element after another into a small state: sums, products, extremes, norms.

use num_complex::Complex;

use super::drive::{Fold, Rows};
use crate::block::Compute;
use crate::dtype::{C32, C64};
use crate::lanes::{join16, join64};
use crate::multiversion;

/// Independent states per block: enough to fill the pipelines of two vector units.
const LANES: usize = 64;
/// States that take in what the lanes leave over.
const FEW: usize = 16;

/// A state that takes in one element at a time.
pub(super) trait Lane: Copy + Sync {
    /// Type in which elements arrive.
    type C: Compute;
    /// State of one result.
    type Acc: Copy + Send + Sync;
    /// State over no elements; neutral in `merge`.
    fn empty(&self) -> Self::Acc;
    /// Takes in `x`.
    fn push(&self, acc: Self::Acc, x: Self::C) -> Self::Acc;
    /// Joins two states.
    fn merge(&self, a: Self::Acc, b: Self::Acc) -> Self::Acc;
}

/// A [`Lane`] as a [`Fold`].
#[derive(Clone, Copy)]
pub(super) struct Lanes<L>(pub L);

multiversion! {
    fn block<L: Lane>(f: L, x: &[L::C]) -> L::Acc {
        let (chunks, rest) = x.as_chunks::<LANES>();
        let mut few = [f.empty(); FEW];
        if !chunks.is_empty() {
            let mut acc = [f.empty(); LANES];
            for chunk in chunks {
                for i in 0..LANES {
                    acc[i] = f.push(acc[i], chunk[i]);
                }
            }
            few = join64(acc, |a, b| f.merge(a, b));
        }
        let (chunks, rest) = rest.as_chunks::<FEW>();
        for chunk in chunks {
            for i in 0..FEW {
                few[i] = f.push(few[i], chunk[i]);
            }
        }
        let last = rest.iter().fold(f.empty(), |acc, x| f.push(acc, *x));
        if x.len() < FEW { last } else { f.merge(join16(few, |a, b| f.merge(a, b)), last) }
    }

    fn row<L: Lane>(f: L, x: &[L::C], acc: &mut [L::Acc]) {
        for (acc, x) in acc.iter_mut().zip(x) {
            *acc = f.push(*acc, *x);
        }
    }
}

impl<L: Lane> Fold for Lanes<L> {
    type C = L::C;
    type Acc = L::Acc;

    fn empty(&self) -> L::Acc {
        self.0.empty()
    }

    fn block(&self, x: &[L::C], _base: usize) -> L::Acc {
        block(self.0, x)
    }

    fn columns(&self, rows: &mut Rows<'_, L::C>, _base: usize, acc: &mut [L::Acc]) {
        acc.fill(self.0.empty());
        for k in 0..rows.len() {
            row(self.0, rows.row(k), acc);
        }
    }

    fn merge(&self, a: L::Acc, b: L::Acc) -> L::Acc {
        self.0.merge(a, b)
    }
}

/// Arithmetic that sums and products need.
pub(super) trait Number: Compute {
    const ZERO: Self;
    const ONE: Self;
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// Zero in place of NaN.
    fn or_zero(self) -> Self;
    fn over(self, n: usize) -> Self;
}

macro_rules! float_number {
    ($($t:ty),*) => {$(
        impl Number for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            #[inline(always)]
            fn plus(self, other: Self) -> Self { self + other }
            #[inline(always)]
            fn times(self, other: Self) -> Self { self * other }
            #[inline(always)]
            fn or_zero(self) -> Self { if self.is_nan() { 0.0 } else { self } }
            fn over(self, n: usize) -> Self { self / n as $t }
        }
    )*};
}

float_number!(f32, f64);

impl Number for i64 {
    const ZERO: Self = 0;
    const ONE: Self = 1;
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.wrapping_mul(other)
    }
    #[inline(always)]
    fn or_zero(self) -> Self {
        self
    }
    fn over(self, n: usize) -> Self {
        self / n as i64
    }
}

macro_rules! complex_number {
    ($($c:ty, $r:ty);*) => {$(
        impl Number for $c {
            const ZERO: Self = Complex { re: 0.0, im: 0.0 };
            const ONE: Self = Complex { re: 1.0, im: 0.0 };
            #[inline(always)]
            fn plus(self, other: Self) -> Self { self + other }
            #[inline(always)]
            fn times(self, other: Self) -> Self { self * other }
            #[inline(always)]
            fn or_zero(self) -> Self { if self.re.is_nan() || self.im.is_nan() { Self::ZERO } else { self } }
            fn over(self, n: usize) -> Self { self / n as $r }
        }
    )*};
}

complex_number!(C32, f32; C64, f64);

/// Order with NaN above and below everything, as PyTorch's extremes want it.
pub(super) trait Ordered: Compute + PartialOrd {
    const LOWEST: Self;
    const HIGHEST: Self;
    fn unordered(self) -> bool;
}

macro_rules! ordered {
    ($($t:ty, $low:expr, $high:expr, |$x:ident| $nan:expr);*) => {$(
        impl Ordered for $t {
            const LOWEST: Self = $low;
            const HIGHEST: Self = $high;
            #[inline(always)]
            fn unordered(self) -> bool { let $x = self; $nan }
        }
    )*};
}

ordered!(
    f32, f32::NEG_INFINITY, f32::INFINITY, |x| x.is_nan();
    f64, f64::NEG_INFINITY, f64::INFINITY, |x| x.is_nan();
    i16, i16::MIN, i16::MAX, |_x| false;
    i32, i32::MIN, i32::MAX, |_x| false;
    i64, i64::MIN, i64::MAX, |_x| false
);

macro_rules! lanes {
    ($($(#[$meta:meta])* $name:ident<$t:ident: $bound:ident> $acc:ty {
        empty($s0:ident): $empty:expr, push($s1:ident, $a:ident, $x:ident): $push:expr, merge($c:ident, $d:ident): $merge:expr
    })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy)]
        pub(super) struct $name<$t>(pub $t);
        impl<$t: $bound> Lane for $name<$t> {
            type C = $t;
            type Acc = $acc;
            #[inline(always)]
            fn empty(&self) -> $acc { let $s0 = self; $empty }
            #[inline(always)]
            fn push(&self, $a: $acc, $x: $t) -> $acc { let $s1 = self; $push }
            #[inline(always)]
            fn merge(&self, $c: $acc, $d: $acc) -> $acc { $merge }
        }
    )*};
}

lanes! {
    /// The sum.
    Sum<T: Number> T { empty(_s): T::ZERO, push(_s, a, x): a.plus(x), merge(a, b): a.plus(b) }
    /// The sum of all but NaN.
    NanSum<T: Number> T { empty(_s): T::ZERO, push(_s, a, x): a.plus(x.or_zero()), merge(a, b): a.plus(b) }
    /// The product.
    Prod<T: Number> T { empty(_s): T::ONE, push(_s, a, x): a.times(x), merge(a, b): a.times(b) }
    /// The largest element, NaN if there is one.
    Max<T: Ordered> T { empty(_s): T::LOWEST, push(_s, a, x): larger(a, x), merge(a, b): larger(a, b) }
    /// The smallest element, NaN if there is one.
    Min<T: Ordered> T { empty(_s): T::HIGHEST, push(_s, a, x): smaller(a, x), merge(a, b): smaller(a, b) }
    /// The sum of absolute values.
    Norm1<T: Real> T { empty(_s): T::ZERO, push(_s, a, x): a.plus(x.magnitude()), merge(a, b): a.plus(b) }
    /// The sum of squares.
    Norm2<T: Real> T { empty(_s): T::ZERO, push(_s, a, x): a.plus(x.times(x)), merge(a, b): a.plus(b) }
    /// The largest absolute value.
    NormMax<T: Real> T { empty(_s): T::ZERO, push(_s, a, x): larger(a, x.magnitude()), merge(a, b): larger(a, b) }
    /// The smallest absolute value.
    NormMin<T: Real> T { empty(_s): T::HIGHEST, push(_s, a, x): smaller(a, x.magnitude()), merge(a, b): smaller(a, b) }
    /// The sum of absolute values to the power held.
    NormP<T: Real> T {
        empty(_s): T::ZERO, push(s, a, x): a.plus(x.magnitude().power(s.0)), merge(a, b): a.plus(b)
    }
    /// The number of truths.
    Count<T: Truth> i64 { empty(_s): 0, push(_s, a, x): a + x.number(), merge(a, b): a + b }
    /// Whether any is true.
    Any<T: Truth> T { empty(_s): T::FALSE, push(_s, a, x): a.or(x), merge(a, b): a.or(b) }
    /// Whether all are true.
    All<T: Truth> T { empty(_s): T::TRUE, push(_s, a, x): a.and(x), merge(a, b): a.and(b) }
}

#[inline(always)]
fn larger<T: Ordered>(a: T, x: T) -> T {
    if x > a || x.unordered() { x } else { a }
}

#[inline(always)]
fn smaller<T: Ordered>(a: T, x: T) -> T {
    if x < a || x.unordered() { x } else { a }
}

/// What norms need besides sums and order.
pub(super) trait Real: Number + Ordered {
    fn magnitude(self) -> Self;
    fn power(self, p: Self) -> Self;
}

macro_rules! real {
    ($($t:ty),*) => {$(
        impl Real for $t {
            #[inline(always)]
            fn magnitude(self) -> Self { self.abs() }
            #[inline(always)]
            fn power(self, p: Self) -> Self { self.powf(p) }
        }
    )*};
}

real!(f32, f64);

/// Truth values, a byte each.
pub(super) trait Truth: Compute {
    const FALSE: Self;
    const TRUE: Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn number(self) -> i64;
}

impl Truth for u8 {
    const FALSE: Self = 0;
    const TRUE: Self = 1;
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self & other
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self | other
    }
    #[inline(always)]
    fn number(self) -> i64 {
        i64::from(self)
    }
}
