use super::*;
use crate::dtype::Element;

fn operand<'a, T: Element>(x: &[T], strides: &'a [i64]) -> Operand<'a> {
    Operand { ptr: x.as_ptr().cast_mut().cast(), dtype: T::DTYPE, strides }
}

fn contiguous(sizes: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; sizes.len()];
    for d in (1..sizes.len()).rev() {
        strides[d - 1] = strides[d] * sizes[d].max(1);
    }
    strides
}

fn output<'a, T: Element>(x: &mut [T], strides: &'a [i64]) -> Operand<'a> {
    Operand { ptr: x.as_mut_ptr().cast(), dtype: T::DTYPE, strides }
}

/// Offsets of all elements, in row-major order.
fn offsets(sizes: &[i64], strides: &[i64]) -> Vec<i64> {
    let mut out = vec![0];
    for (n, s) in sizes.iter().zip(strides) {
        out = out.iter().flat_map(|o| (0..*n).map(move |i| o + i * s)).collect();
    }
    out
}

fn noise(n: usize) -> Vec<f32> {
    (0..n)
        .map(|i| {
            ((i as u64).wrapping_mul(6364136223846793005).wrapping_add(1442695) >> 40) as f32 / 8e6 - 1.0
        })
        .collect()
}

fn sum(sizes: &[i64], strides: &[i64], mask: &[bool], x: &[f32], base: usize) -> Vec<f32> {
    let kept: Vec<i64> = sizes.iter().zip(mask).map(|(n, m)| if *m { 1 } else { *n }).collect();
    let mut out = vec![f32::NAN; kept.iter().product::<i64>() as usize];
    let to = contiguous(&kept);
    // SAFETY: the sizes fit the slices.
    unsafe { reduce(Reduce::Sum, sizes, mask, operand(&x[base..], strides), output(&mut out, &to)) };
    out
}

fn check_sum(sizes: &[i64], strides: &[i64], base: usize) {
    let need =
        sizes.iter().zip(strides).map(|(n, s)| (n - 1).max(0) * s.max(&0)).sum::<i64>() as usize + base + 1;
    let x = noise(need);
    for bits in 0..1_u32 << sizes.len() {
        let mask: Vec<bool> = (0..sizes.len()).map(|d| bits >> d & 1 == 1).collect();
        let got = sum(sizes, strides, &mask, &x, base);
        let kept: Vec<i64> = sizes.iter().zip(&mask).map(|(n, m)| if *m { 1 } else { *n }).collect();
        let to: Vec<i64> =
            contiguous(&kept).iter().zip(&mask).map(|(s, m)| if *m { 0 } else { *s }).collect();
        let mut want = vec![0.0_f64; got.len()];
        for (i, o) in offsets(sizes, strides).iter().zip(offsets(sizes, &to)) {
            want[o as usize] += f64::from(x[(base as i64 + i) as usize]);
        }
        for (g, w) in got.iter().zip(want) {
            assert!(
                (f64::from(*g) - w).abs() < 1e-4 * w.abs().max(1.0),
                "{sizes:?} {strides:?} {mask:?}: {g} {w}"
            );
        }
    }
}

#[test]
fn sums_over_any_dimensions_of_any_layout() {
    check_sum(&[], &[], 0);
    check_sum(&[3, 5, 7], &[35, 7, 1], 0);
    check_sum(&[3, 5, 7], &[1, 3, 15], 0);
    check_sum(&[3, 0, 7], &[0, 7, 1], 0);
    check_sum(&[130, 1, 70], &[70, 70, 1], 0);
    check_sum(&[3, 500, 20], &[0, 20, 1], 0);
    check_sum(&[4, 9000], &[9000, 1], 0);
    check_sum(&[9000, 40], &[40, 1], 0);
    check_sum(&[600, 30], &[-30, 1], 599 * 30);
    check_sum(&[2, 3, 64, 50], &[9600, 1, 150, 3], 0);
    check_sum(&[700_001], &[1], 0);
    check_sum(&[300_000, 2], &[2, 1], 0);
}

#[test]
fn sums_do_not_depend_on_the_number_of_threads() {
    for (sizes, mask) in [(vec![3_000_001_i64], [true, true]), (vec![5000, 300], [true, false])] {
        let x = noise(sizes.iter().product::<i64>() as usize);
        let strides = contiguous(&sizes);
        crate::parallel::set_num_threads(1);
        let one = sum(&sizes, &strides, &mask[..sizes.len()], &x, 0);
        crate::parallel::set_num_threads(5);
        assert_eq!(one, sum(&sizes, &strides, &mask[..sizes.len()], &x, 0));
        crate::parallel::set_num_threads(0);
    }
}

fn scalar<T: Element, O: Element + Default>(op: Reduce, x: &[T]) -> O {
    let mut out = [O::default()];
    // SAFETY: one result, and the slice's own length.
    unsafe { reduce(op, &[x.len() as i64], &[true], operand(x, &[1]), output(&mut out, &[0])) };
    out[0]
}

#[test]
fn every_kind_of_reduction() {
    let x = [3.0_f32, -4.0, 0.0, 2.0];
    assert_eq!(scalar::<_, f32>(Reduce::Prod, &x[..2]), -12.0);
    assert_eq!(scalar::<_, f32>(Reduce::Max, &x), 3.0);
    assert_eq!(scalar::<_, f32>(Reduce::Min, &x), -4.0);
    assert_eq!(scalar::<_, f32>(Reduce::Mean, &x), 0.25);
    assert_eq!(scalar::<_, i64>(Reduce::CountNonzero, &x), 3);
    assert!(scalar::<_, bool>(Reduce::Any, &x) && !scalar::<_, bool>(Reduce::All, &x));
    assert_eq!(scalar::<_, f32>(Reduce::Norm(2.0), &x[..2]), 5.0);
    assert_eq!(scalar::<_, f64>(Reduce::Norm(f64::INFINITY), &x), 4.0);
    assert_eq!(scalar::<_, f32>(Reduce::Norm(f64::NEG_INFINITY), &x), 0.0);
    assert_eq!(scalar::<_, f32>(Reduce::Norm(0.0), &x), 3.0);
    assert_eq!(scalar::<_, f32>(Reduce::Norm(3.0), &[2.0_f32, 2.0]), 16.0_f32.powf(1.0 / 3.0));
    assert_eq!(scalar::<_, i64>(Reduce::Sum, &[true, true, false]), 2);
    assert_eq!(scalar::<_, i64>(Reduce::Sum, &[200_u8; 100]), 20_000);
    assert_eq!(scalar::<_, f32>(Reduce::NanSum, &[1.0, f32::NAN, 2.0]), 3.0);
    let half = vec![crate::dtype::f16::from_f32(1.0); 5000];
    assert_eq!(scalar::<_, crate::dtype::f16>(Reduce::Sum, &half).to_f32(), 5000.0);
}

#[test]
fn nan_wins_and_empty_gives_the_neutral_value() {
    let mut x = noise(1000);
    x[777] = f32::NAN;
    assert!(scalar::<_, f32>(Reduce::Max, &x).is_nan() && scalar::<_, f32>(Reduce::Min, &x).is_nan());
    assert_eq!(scalar::<f32, f32>(Reduce::Sum, &[]), 0.0);
    assert_eq!(scalar::<f32, f32>(Reduce::Prod, &[]), 1.0);
    assert!(scalar::<f32, f32>(Reduce::Mean, &[]).is_nan());
    assert!(scalar::<bool, bool>(Reduce::All, &[]));
}

#[test]
fn first_index_of_equals_and_first_nan() {
    let (rows, cols) = (50_usize, 300_usize);
    let mut x: Vec<f32> = noise(rows * cols).iter().map(|v| (v * 8.0).round()).collect();
    x[7 * cols + 100] = f32::NAN;
    x[7 * cols + 200] = f32::NAN;
    let at = |r: usize, c: usize| x[r * cols + c];
    for (dim, n, other) in [(0, rows, cols), (1, cols, rows)] {
        for max in [true, false] {
            let (mut v, mut i) = (vec![0.0_f32; other], vec![0_i64; other]);
            let to = if dim == 0 { [0, 1] } else { [1, 0] };
            let strides = [cols as i64, 1];
            let sizes = [rows as i64, cols as i64];
            // SAFETY: the sizes fit the slices.
            unsafe {
                extreme_index(
                    max,
                    &sizes,
                    Some(dim),
                    operand(&x, &strides),
                    Some(output(&mut v, &to)),
                    Some(output(&mut i, &to)),
                )
            };
            for o in 0..other {
                let get = |k: usize| if dim == 0 { at(k, o) } else { at(o, k) };
                let mut best = 0;
                for k in 1..n {
                    let further = if max { get(k) > get(best) } else { get(k) < get(best) };
                    if further || get(k).is_nan() && !get(best).is_nan() {
                        best = k;
                    }
                }
                assert_eq!(i[o], best as i64);
                assert!(v[o] == get(best) || v[o].is_nan() && get(best).is_nan());
            }
        }
    }
}

#[test]
fn variance_is_accurate_far_from_zero() {
    for (sizes, mask) in
        [([1_i64, 100_003], [false, true]), ([10_001, 20], [true, false]), ([5, 3], [false, true])]
    {
        let x: Vec<f32> = noise((sizes[0] * sizes[1]) as usize).iter().map(|v| v + 1000.0).collect();
        let strides = [sizes[1], 1];
        let n = if mask[0] { sizes[1] } else { sizes[0] } as usize;
        let (mut var, mut mean) = (vec![0.0_f64; n], vec![0.0_f64; n]);
        let to = if mask[0] { [0, 1] } else { [1, 0] };
        // SAFETY: the sizes fit the slices.
        unsafe {
            moments(
                &sizes,
                &mask,
                operand(&x, &strides),
                1.0,
                false,
                Some(output(&mut var, &to)),
                Some(output(&mut mean, &to)),
            )
        };
        for o in 0..n {
            let all: Vec<f64> = offsets(&sizes, &strides)
                .iter()
                .zip(offsets(&sizes, &to))
                .filter(|(_, t)| *t == o as i64)
                .map(|(i, _)| f64::from(x[*i as usize]))
                .collect();
            let want = all.iter().sum::<f64>() / all.len() as f64;
            let squares = all.iter().map(|v| (v - want).powi(2)).sum::<f64>() / (all.len() - 1) as f64;
            assert!((mean[o] - want).abs() < 1e-9 && (var[o] - squares).abs() < 1e-9 * squares);
        }
    }
}
