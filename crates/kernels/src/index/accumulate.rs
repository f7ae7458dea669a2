//! Accumulation at indexed places: sums, products, extremes.

use half::{bf16, f16};

use super::walk::{Index, Run, Walk};
use crate::cast::{Source, Target};
use crate::dtype::{C32, C64, Element};
use crate::strided::Operand;
use crate::with_element;

/// How a new value joins the one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// Their sum; of `bool` the disjunction. Integers wrap.
    Sum,
    /// Their product; of `bool` the conjunction. Integers wrap.
    Prod,
    /// The larger; NaN wins. Complex numbers are left as they are.
    Max,
    /// The smaller; NaN wins. Complex numbers are left as they are.
    Min,
}

/// `dst[.., index, ..] = combine(dst[.., index, ..], src[..])` in logical order; without an index `dst` may overlap itself.
///
/// # Safety
/// Both operands (of one dtype) and the indices are valid over `sizes`, every index lies in `-size..size`, `src` shares
/// no element with `dst`. With an index, places of `dst` that differ along a dimension where `dst` has a stride are
/// distinct.
pub unsafe fn accumulate(combine: Combine, sizes: &[i64], dst: Operand, src: Operand, index: Option<Index>) {
    let walk = Walk::new(sizes, dst, src, index);
    let indexed = index.is_some();
    with_element!(dst.dtype, T => {
        let run = match combine {
            Combine::Sum => combine_run::<T, 0>,
            Combine::Prod => combine_run::<T, 1>,
            Combine::Max => combine_run::<T, 2>,
            Combine::Min => combine_run::<T, 3>,
        };
        // SAFETY: the caller vouches for the operands and the indices.
        walk.share(|dim| indexed && dim.dst != 0, |walk| walk.runs(|r| unsafe { run(walk, r) }))
    });
}

/// # Safety
/// The run lies within valid operands.
unsafe fn combine_run<T: Accumulate, const HOW: u8>(walk: &Walk, run: Run) {
    let (dst, src, dim, rule) = (run.dst.cast::<T>(), run.src.cast::<T>(), run.dim, walk.rule());
    // SAFETY: the run's pointers and strides are those of the caller's operands.
    unsafe {
        if dim.index != 0 {
            return rule.each_place(&run, dim.dst, |i, at| {
                let at = dst.offset(at);
                *at = combined::<T, HOW>(*at, *src.offset(i * dim.src));
            });
        }
        let dst = dst.offset(rule.offset(*run.index));
        if dim.dst == 1 && dim.src == 1 {
            let into = std::slice::from_raw_parts_mut(dst, dim.size);
            let from = std::slice::from_raw_parts(src, dim.size);
            if HOW == 0 {
                return add_rows(into, from);
            }
            into.iter_mut().zip(from).for_each(|(a, b)| *a = combined::<T, HOW>(*a, *b));
            return;
        }
        for i in 0..dim.size as isize {
            let at = dst.offset(i * dim.dst);
            *at = combined::<T, HOW>(*at, *src.offset(i * dim.src));
        }
    }
}

crate::multiversion! {
    fn add_rows<T: Accumulate>(into: &mut [T], from: &[T]) {
        into.iter_mut().zip(from).for_each(|(a, b)| *a = a.sum(*b));
    }
}

#[inline(always)]
fn combined<T: Accumulate, const HOW: u8>(a: T, b: T) -> T {
    match HOW {
        0 => a.sum(b),
        1 => a.prod(b),
        2 => a.larger(b),
        _ => a.smaller(b),
    }
}

/// The four ways to combine two elements of one type.
pub(super) trait Accumulate: Element {
    fn sum(self, other: Self) -> Self;
    fn prod(self, other: Self) -> Self;
    fn larger(self, other: Self) -> Self;
    fn smaller(self, other: Self) -> Self;
}

macro_rules! accumulate_int {
    ($($T:ty)*) => { $(impl Accumulate for $T {
        #[inline(always)]
        fn sum(self, other: Self) -> Self { self.wrapping_add(other) }
        #[inline(always)]
        fn prod(self, other: Self) -> Self { self.wrapping_mul(other) }
        #[inline(always)]
        fn larger(self, other: Self) -> Self { self.max(other) }
        #[inline(always)]
        fn smaller(self, other: Self) -> Self { self.min(other) }
    })* };
}
accumulate_int!(u8 i8 i16 i32 i64);

impl Accumulate for bool {
    #[inline(always)]
    fn sum(self, other: Self) -> Self {
        self | other
    }
    #[inline(always)]
    fn prod(self, other: Self) -> Self {
        self & other
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        self | other
    }
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        self & other
    }
}

macro_rules! accumulate_float {
    ($($T:ty)*) => { $(impl Accumulate for $T {
        #[inline(always)]
        fn sum(self, other: Self) -> Self { self + other }
        #[inline(always)]
        fn prod(self, other: Self) -> Self { self * other }
        #[inline(always)]
        fn larger(self, other: Self) -> Self { if self.is_nan() || self >= other { self } else { other } }
        #[inline(always)]
        fn smaller(self, other: Self) -> Self { if self.is_nan() || self <= other { self } else { other } }
    })* };
}
accumulate_float!(f32 f64);

macro_rules! accumulate_half {
    ($($T:ty)*) => { $(impl Accumulate for $T {
        #[inline(always)]
        fn sum(self, other: Self) -> Self { <$T>::of(Source::to_f32(self) + Source::to_f32(other)) }
        #[inline(always)]
        fn prod(self, other: Self) -> Self { <$T>::of(Source::to_f32(self) * Source::to_f32(other)) }
        #[inline(always)]
        fn larger(self, other: Self) -> Self { <$T>::of(Source::to_f32(self).larger(Source::to_f32(other))) }
        #[inline(always)]
        fn smaller(self, other: Self) -> Self { <$T>::of(Source::to_f32(self).smaller(Source::to_f32(other))) }
    })* };
}
accumulate_half!(f16 bf16);

macro_rules! accumulate_complex {
    ($($T:ty)*) => { $(impl Accumulate for $T {
        #[inline(always)]
        fn sum(self, other: Self) -> Self { self + other }
        #[inline(always)]
        fn prod(self, other: Self) -> Self { self * other }
        #[inline(always)]
        fn larger(self, _: Self) -> Self { self }
        #[inline(always)]
        fn smaller(self, _: Self) -> Self { self }
    })* };
}
accumulate_complex!(C32 C64);
