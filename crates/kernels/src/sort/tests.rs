use super::*;
use crate::dtype::Element;

fn noise(n: usize, range: u64) -> Vec<f32> {
    (0..n as u64)
        .map(|i| ((i.wrapping_mul(6364136223846793005) >> 33) % range) as f32 - range as f32 / 2.0)
        .collect()
}

fn rows<T: Element>(x: &[T], n: usize) -> RowsOf {
    RowsOf { dtype: T::DTYPE, ptr: x.as_ptr().cast(), rows: x.len() / n.max(1), n }
}

fn run<T: Element>(x: &[T], width: usize, f: impl Fn(Found)) -> (Vec<T>, Vec<i64>) {
    let (mut values, mut indices) = (x[..width].to_vec(), vec![-1; width]);
    f(Found { values: values.as_mut_ptr().cast(), indices: indices.as_mut_ptr() });
    (values, indices)
}

fn order(x: &[f32], descending: bool) -> Vec<i64> {
    let mut all: Vec<usize> = (0..x.len()).collect();
    let rank = |i: usize| if x[i].is_nan() { f32::INFINITY } else { x[i] };
    let nan = |i: usize| x[i].is_nan();
    all.sort_by(|&a, &b| {
        let up = (nan(a), rank(a)).partial_cmp(&(nan(b), rank(b))).unwrap();
        if descending { up.reverse() } else { up }
    });
    all.into_iter().map(|i| i as i64).collect()
}

#[test]
fn sorts_are_stable_for_every_size() {
    for n in [0, 1, 2, 100, 5000, 200_000] {
        let mut x = noise(n, 1000);
        for (i, v) in x.iter_mut().enumerate() {
            *v = if i % 97 == 13 {
                f32::NAN
            } else if i % 89 == 7 {
                -0.0
            } else {
                *v
            };
        }
        for descending in [false, true] {
            // SAFETY: the slices are as long as the row.
            let (values, indices) = run(&x, n, |found| unsafe { sort(rows(&x, n), descending, found) });
            let want = order(&x, descending);
            assert_eq!(indices, want);
            assert!(values.iter().zip(want).all(|(v, i)| v.to_bits() == x[i as usize].to_bits()));
        }
    }
}

#[test]
fn sorts_every_dtype() {
    fn check<T: Element + PartialOrd>(x: &[T]) {
        // SAFETY: the slices are as long as the row.
        let (values, _) = run(x, x.len(), |found| unsafe { sort(rows(x, x.len()), false, found) });
        assert!(values.windows(2).all(|w| w[0] <= w[1]), "{values:?}");
    }
    check(&[true, false, true]);
    check(&[200_u8, 3, 100]);
    check(&[-100_i8, 3, 100, -1]);
    check(&[-100_i16, 3000, 100, -1]);
    check(&[i32::MAX, i32::MIN, 0, -1]);
    check(&[i64::MAX, i64::MIN, 0, -1, 5]);
    check(&[1.5_f64, -1.5, f64::INFINITY, -0.0, 0.0, f64::NEG_INFINITY]);
    check(&[1.5_f32, -1.5, 3.0].map(crate::dtype::f16::from_f32));
    check(&[1.5_f32, -1.5, 3.0].map(crate::dtype::bf16::from_f32));
    let wide: Vec<i64> = noise(10_000, 1 << 20).iter().map(|v| *v as i64 * 1_000_003).collect();
    check(&wide);
}

#[test]
fn top_and_kth_agree_with_sorting() {
    for (n, k) in [(10_000, 10), (10_000, 700), (50, 50), (33, 1), (7, 0), (5000, 4999)] {
        let mut x = noise(n, 3000);
        x[n / 2] = f32::NAN;
        for largest in [true, false] {
            // SAFETY: there is room for `k`.
            let (_, indices) = run(&x, k, |found| unsafe { top(k, largest, rows(&x, n), found) });
            assert_eq!(indices, order(&x, largest)[..k]);
        }
        // SAFETY: there is room for one.
        let (value, _) = run(&x, 1, |found| unsafe { select(Select::Kth(k.min(n - 1)), rows(&x, n), found) });
        assert_eq!(value[0].to_bits(), x[order(&x, false)[k.min(n - 1)] as usize].to_bits());
    }
}

#[test]
fn medians_and_modes() {
    let nan = f32::NAN;
    let x = [3.0, 1.0, 2.0, 2.0, 5.0, nan, nan, 1.0, nan, 4.0];
    // SAFETY: there is room for two.
    let (v, i) = run(&x, 2, |found| unsafe { select(Select::Median, rows(&x, 5), found) });
    assert!(v[0] == 2.0 && v[1].is_nan() && i[1] == 0);
    // SAFETY: as above.
    let (v, i) = run(&x, 2, |found| unsafe { select(Select::NanMedian, rows(&x, 5), found) });
    assert_eq!((v, i[1]), (vec![2.0, 1.0], 2));
    // SAFETY: as above.
    let (v, i) = run(&[3_i64, 1, 1, 3, 0, 7, 7, 7, 1, 1], 2, |found| unsafe {
        mode(rows(&[3_i64, 1, 1, 3, 0, 7, 7, 7, 1, 1], 5), found)
    });
    assert_eq!((v, i), (vec![1, 7], vec![2, 2]));
}

#[test]
fn searching_counts_what_is_before() {
    let sorted = [1.0_f32, 3.0, 3.0, 5.0, f32::NAN];
    let mut out = [0; 5];
    let values = [0.0, 3.0, 4.0, 6.0, f32::NAN];
    search_sorted(5, &sorted, None, &values, false, &mut out);
    assert_eq!(out, [0, 1, 3, 4, 4]);
    search_sorted(5, &sorted, None, &values, true, &mut out);
    assert_eq!(out, [0, 3, 3, 4, 5]);
    let mut out = [0; 2];
    search_sorted(3, &[30, 10, 20, 1, 2, 3], Some(&[1, 2, 0, 0, 1, 2]), &[15_i64, 15], false, &mut out);
    assert_eq!(out, [1, 3]);
}

#[test]
fn close_and_distant_integers_sort_alike() {
    for by in [1, 1 << 20, 1 << 50] {
        let x: Vec<i64> = (0..10_000).map(|i| (i * 7919 % 1009 - 500) * by).collect();
        for descending in [false, true] {
            let (mut values, mut indices) = (vec![0_i64; x.len()], vec![0_i64; x.len()]);
            let rows = RowsOf { dtype: DType::I64, ptr: x.as_ptr().cast(), rows: 1, n: x.len() };
            let found = Found { values: values.as_mut_ptr().cast(), indices: indices.as_mut_ptr() };
            // SAFETY: as many elements on all sides.
            unsafe { sort(rows, descending, found) };
            let mut want: Vec<(i64, i64)> = x.iter().copied().zip(0..).collect();
            want.sort_by_key(|(x, _)| if descending { -*x } else { *x });
            assert!(want.iter().map(|w| w.1).eq(indices), "times {by}, descending {descending}");
            assert!(want.iter().map(|w| w.0).eq(values));
        }
    }
}
