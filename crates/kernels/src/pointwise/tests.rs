//! Every path to a loop gives what an element-by-element evaluation gives.

use super::*;
use crate::cast::{Source, Target};
use crate::strided::Operand;

/// A tensor for tests: storage, shape, strides, offset.
struct Sample<T> {
    data: Vec<T>,
    strides: Vec<i64>,
    offset: usize,
}

impl<T: Source + Target> Sample<T> {
    fn new(sizes: &[i64], strides: &[i64]) -> Sample<T> {
        let reach = |d: usize| (sizes[d] - 1).max(0) * strides[d];
        let low: i64 = (0..sizes.len()).map(|d| reach(d).min(0)).sum();
        let high: i64 = (0..sizes.len()).map(|d| reach(d).max(0)).sum();
        let data = (0..=high - low).map(|i| T::of((i * 37 % 101) as f64 / 4.0 - 12.0)).collect();
        Sample { data, strides: strides.to_vec(), offset: -low as usize }
    }

    fn operand(&mut self) -> Operand<'_> {
        let ptr = self.data.as_mut_ptr().wrapping_add(self.offset);
        Operand::new(ptr.cast(), T::DTYPE, &self.strides)
    }

    fn get(&self, index: &[i64]) -> T {
        let at: i64 = index.iter().zip(&self.strides).map(|(i, s)| i * s).sum();
        self.data[(self.offset as i64 + at) as usize]
    }
}

fn contiguous(sizes: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; sizes.len()];
    for d in (1..sizes.len()).rev() {
        strides[d - 1] = strides[d] * sizes[d].max(1);
    }
    strides
}

fn indices(sizes: &[i64]) -> Vec<Vec<i64>> {
    let mut all = vec![vec![]];
    for &size in sizes {
        all = all.iter().flat_map(|i| (0..size).map(move |k| [i.as_slice(), &[k]].concat())).collect();
    }
    all
}

fn check_add<A: Source + Target, B: Source + Target, R: Source + Target>(
    sizes: &[i64],
    a: &[i64],
    b: &[i64],
    out: &[i64],
) {
    let (mut x, mut y, mut z) =
        (Sample::<A>::new(sizes, a), Sample::<B>::new(sizes, b), Sample::<R>::new(sizes, out));
    let op = Binary::Add { alpha: Number::from(2.0) };
    // SAFETY: samples reach as far as their strides.
    unsafe { binary(op, DType::F32, sizes, z.operand(), x.operand(), y.operand()).unwrap() };
    for index in indices(sizes) {
        let want = R::of(x.get(&index).to_f32() + 2.0 * y.get(&index).to_f32());
        assert_eq!(z.get(&index), want, "{sizes:?} {a:?} {b:?} {out:?} at {index:?}");
    }
}

#[test]
fn all_layouts_and_conversions_agree_with_single_elements() {
    let shapes: [&[i64]; 8] = [&[], &[1], &[7], &[1000], &[3, 5], &[40, 130], &[5, 0, 2], &[9, 2, 33, 3]];
    for sizes in shapes {
        let plain = contiguous(sizes);
        let broadcast: Vec<i64> =
            plain.iter().enumerate().map(|(d, &s)| if d % 2 == 0 { s } else { 0 }).collect();
        let reversed: Vec<i64> = plain.iter().map(|s| -2 * s).collect();
        let mut permuted = contiguous(&sizes.iter().rev().copied().collect::<Vec<_>>());
        permuted.reverse();
        let zero = vec![0; sizes.len()];
        for (a, b) in [(&plain, &plain), (&plain, &zero), (&broadcast, &permuted), (&reversed, &plain)] {
            for out in [&plain, &permuted, &reversed] {
                check_add::<f32, f32, f32>(sizes, a, b, out);
                check_add::<f32, i64, f32>(sizes, a, b, out);
                check_add::<bf16, u8, f16>(sizes, a, b, out);
                check_add::<f64, bool, i32>(sizes, a, b, out);
            }
        }
    }
}

use crate::dtype::{bf16, f16};

#[test]
fn in_place_and_scalar_operands() {
    for n in [1_i64, 8, 700, 100_000] {
        let mut x: Vec<f32> = (0..n).map(|i| i as f32).collect();
        let mut two = [2.0_f64];
        let (one, none) = ([1], [0]);
        let a = Operand::new(x.as_mut_ptr().cast(), DType::F32, &one);
        let b = Operand::new(two.as_mut_ptr().cast(), DType::F64, &none);
        // SAFETY: `x` has `n` elements.
        unsafe { binary(Binary::Mul, DType::F32, &[n], a, a, b).unwrap() };
        assert!(x.iter().enumerate().all(|(i, x)| *x == 2.0 * i as f32));
    }
}

#[test]
fn unsupported_types_are_refused() {
    let mut x = [1_i64];
    let a = Operand::new(x.as_mut_ptr().cast(), DType::I64, &[1]);
    // SAFETY: one element.
    assert_eq!(unsafe { unary(Unary::Exp, DType::I64, &[1], a, a) }, Err(Unsupported));
    // SAFETY: one element.
    assert_eq!(unsafe { binary(Binary::Gcd, DType::F32, &[1], a, a, a) }, Err(Unsupported));
}

/// Every pair of values through the loops of a narrow type and through those of `i64`.
fn check_narrow<T: Source + Target + Default>(values: &[i64]) {
    let n = values.len();
    let mut x: Vec<T> = values.iter().map(|v| T::of(*v)).collect();
    let sizes = [n as i64, n as i64];
    let a = Operand::new(x.as_mut_ptr().cast(), T::DTYPE, &[1, 0]);
    let b = Operand::new(x.as_mut_ptr().cast(), T::DTYPE, &[0, 1]);
    let result = |compute: DType, f: &dyn Fn(DType, Operand)| {
        let mut out = vec![T::default(); n * n];
        f(compute, Operand::new(out.as_mut_ptr().cast(), T::DTYPE, &[n as i64, 1]));
        out
    };
    let check = |name: &dyn std::fmt::Debug, f: &dyn Fn(DType, Operand)| {
        assert!(result(T::DTYPE, f) == result(DType::I64, f), "{name:?} of {:?}", T::DTYPE);
    };
    use Binary::*;
    let adds = [1, -1, 3].map(|alpha| Add { alpha: Number::from(alpha as i64) });
    let others =
        [Mul, DivTrunc, DivFloor, Remainder, Fmod, Maximum, Minimum, BitwiseXor, ShiftLeft, Pow, Gcd];
    for op in adds.into_iter().chain(others) {
        // SAFETY: operands of `sizes`.
        check(&op, &|compute, out| unsafe { binary(op, compute, &sizes, out, a, b).unwrap() });
    }
    for op in [Compare::Eq, Compare::Lt, Compare::Ge, Compare::LogicalXor] {
        // SAFETY: as above.
        check(&op, &|compute, out| unsafe { compare(op, compute, &sizes, out, a, b).unwrap() });
    }
    let limits = Unary::ClampInt { low: -300, high: 90 };
    for op in [Unary::Abs, Unary::Neg, Unary::Sign, Unary::Square, Unary::BitwiseNot, limits] {
        // SAFETY: as above.
        check(&op, &|compute, out| unsafe { unary(op, compute, &sizes, out, a).unwrap() });
    }
}

#[test]
fn narrow_integers_wrap_as_wide_ones_are_cut() {
    check_narrow::<u8>(&(0..256).collect::<Vec<_>>());
    check_narrow::<i8>(&(-128..128).collect::<Vec<_>>());
    let near = |edge: i64| (-20..20).map(move |i| edge + i * i * i);
    let edges = |low: i64, high: i64| [low, low / 2, 0, high / 3, high].into_iter().flat_map(near);
    check_narrow::<i16>(&edges(-32_768, 32_767).collect::<Vec<_>>());
    check_narrow::<i32>(&edges(i32::MIN.into(), i32::MAX.into()).collect::<Vec<_>>());
}
