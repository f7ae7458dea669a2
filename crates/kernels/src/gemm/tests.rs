use super::*;
use crate::dtype::{bf16, f16};
use crate::isa::Isa;

/// Small integers: products and sums are exact in every type and order.
fn numbers(n: usize, seed: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729 + 13) / 7 % 9) as f64 - 4.0).collect()
}

fn isas() -> impl Iterator<Item = Isa> {
    [Isa::Portable, Isa::Avx2, Isa::Avx512].into_iter().filter(|i| *i <= isa())
}

/// One way to lay out `items` matrices: strides of rows and columns, in elements.
#[derive(Clone, Copy, Debug)]
enum Layout {
    RowMajor,
    ColMajor,
    Spread,
}

fn strides(layout: Layout, rows: usize, cols: usize) -> (isize, isize, isize) {
    let (r, c) = (rows as isize, cols as isize);
    match layout {
        Layout::RowMajor => (r * c, c, 1),
        Layout::ColMajor => (r * c, 1, r),
        Layout::Spread => (r * (2 * c + 1), 2 * c + 1, 2),
    }
}

fn offsets(items: usize, step: isize) -> Vec<isize> {
    (0..items as isize).map(|i| i * step).collect()
}

fn check<S: Load<T> + Save<T>, T: Real + IntoF64>(
    items: usize,
    [m, n, k]: [usize; 3],
    layouts: [Layout; 3],
    scale: (f64, f64),
    bias: usize,
) where
    f64: Convert<T> + Convert<S>,
{
    let (a_item, a_row, a_col) = strides(layouts[0], m, k);
    let (b_item, b_row, b_col) = strides(layouts[1], k, n);
    let (c_item, c_row, c_col) = strides(layouts[2], m, n);
    let stored = |len: isize, seed| -> Vec<S> {
        numbers(len as usize, seed).into_iter().map(Convert::convert).collect()
    };
    let (a, b) = (stored(a_item * items as isize, 1), stored(b_item * items as isize, 2));
    let before = stored(c_item * items as isize, 3);
    let biases: Vec<T> = numbers(m.max(n), 4).into_iter().map(Convert::convert).collect();
    let (oa, ob, oc) = (offsets(items, a_item), offsets(items, b_item), offsets(items, c_item));
    let mut expected: Vec<f64> = before.iter().map(|x| back::<S, T>(*x)).collect();
    for item in 0..items {
        for i in 0..m {
            for j in 0..n {
                let at = (oc[item] + i as isize * c_row + j as isize * c_col) as usize;
                let sum: f64 = (0..k)
                    .map(|p| {
                        back::<S, T>(a[(oa[item] + i as isize * a_row + p as isize * a_col) as usize])
                            * back::<S, T>(b[(ob[item] + p as isize * b_row + j as isize * b_col) as usize])
                    })
                    .sum();
                let old = if scale.1 == 0.0 { 0.0 } else { scale.1 * expected[at] };
                let extra = [0.0, biases[i].into_f64(), biases[j].into_f64()][bias];
                expected[at] = back::<S, T>(f64::convert(scale.0 * sum + old + extra));
            }
        }
    }
    for isa in isas() {
        let mut c = before.clone();
        let shape = Shape {
            items,
            m,
            n,
            k,
            alpha: f64::convert(scale.0),
            beta: f64::convert(scale.1),
            bias: [Bias::None, Bias::Rows(&biases, 0), Bias::Cols(&biases)][bias],
        };
        let a = Strided { ptr: a.as_ptr(), items: &oa, line: a_row, step: a_col };
        let b = Strided { ptr: b.as_ptr(), items: &ob, line: b_col, step: b_row };
        let out = Rows { ptr: c.as_mut_ptr(), items: &oc, row: c_row, col: c_col };
        // SAFETY: the vectors were made for these sizes.
        unsafe { matmul_on(isa, shape, a, b, out) };
        for (i, (got, want)) in c.iter().zip(&expected).enumerate() {
            let same = back::<S, T>(*got) == *want;
            assert!(same, "{isa:?} {items} x {m} {n} {k} {layouts:?} {scale:?}: {i}: {got:?} != {want}");
        }
    }
}

/// Conversions that the tests need.
trait Convert<T> {
    fn convert(self) -> T;
}
trait IntoF64 {
    fn into_f64(self) -> f64;
}
macro_rules! convert {
    ($($t:ty, |$x:ident| $e:expr, |$y:ident| $b:expr;)*) => {$(
        impl Convert<$t> for f64 { fn convert(self) -> $t { let $x = self; $e } }
        impl IntoF64 for $t { fn into_f64(self) -> f64 { let $y = self; $b } }
    )*};
}
convert! {
    f32, |x| x as f32, |y| y.into();
    f64, |x| x, |y| y;
    f16, |x| f16::from_f64(x), |y| y.to_f64();
    bf16, |x| bf16::from_f64(x), |y| y.to_f64();
}

fn back<S: Save<T>, T: Real + IntoF64>(x: S) -> f64 {
    T::into_f64(x.back())
}

#[test]
fn products_equal_the_definition_for_odd_sizes_and_all_layouts() {
    use Layout::*;
    let sizes = [
        [1, 1, 1],
        [1, 70, 300],
        [12, 33, 40],
        [300, 3, 20],
        [4, 2000, 30],
        [3, 5, 7],
        [8, 48, 16],
        [9, 49, 17],
        [13, 97, 33],
        [70, 51, 40],
        [17, 130, 1],
    ];
    for size in sizes {
        for layouts in [
            [RowMajor; 3],
            [ColMajor, ColMajor, RowMajor],
            [Spread, RowMajor, Spread],
            [RowMajor, Spread, ColMajor],
        ] {
            check::<f32, f32>(1, size, layouts, (1.0, 0.0), 0);
            check::<f64, f64>(2, size, layouts, (2.0, -1.0), 1);
            check::<bf16, f32>(1, size, layouts, (1.0, 1.0), 2);
            check::<f16, f32>(3, size, layouts, (1.0, 0.0), 0);
        }
    }
}

#[test]
fn long_sums_and_many_rows_are_cut_without_a_trace() {
    use Layout::*;
    check::<f32, f32>(1, [5, 7, 20_000], [RowMajor; 3], (1.0, 3.0), 1);
    check::<bf16, f32>(2, [5, 7, 9_000], [RowMajor; 3], (1.0, 1.0), 1);
    check::<f32, f32>(1, [1100, 50, 600], [RowMajor, ColMajor, RowMajor], (1.0, 0.0), 2);
    check::<f64, f64>(1, [1100, 50, 600], [ColMajor, RowMajor, RowMajor], (2.0, -1.0), 2);
    check::<f64, f64>(1, [1100, 52, 600], [ColMajor, RowMajor, RowMajor], (1.0, 0.0), 0);
    check::<f64, f64>(40, [33, 100, 65], [RowMajor; 3], (1.0, 0.0), 0);
}

#[test]
fn empty_sums_scale_what_was_there() {
    check::<f32, f32>(1, [3, 4, 0], [Layout::RowMajor; 3], (1.0, 2.0), 1);
    check::<f32, f32>(1, [3, 4, 0], [Layout::RowMajor; 3], (1.0, 0.0), 0);
    check::<f64, f64>(0, [3, 4, 5], [Layout::RowMajor; 3], (1.0, 0.0), 0);
}

#[test]
fn complex_products_equal_the_definition() {
    use crate::dtype::C64;
    let (m, n, k) = (9, 26, 13);
    let numbers =
        |len, seed| -> Vec<C64> { numbers(2 * len, seed).chunks(2).map(|x| C64::new(x[0], x[1])).collect() };
    let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
    let (alpha, beta) = (C64::new(2.0, -1.0), C64::new(1.0, 3.0));
    for spread in [1, 2] {
        let before = numbers(m * n * spread, 3);
        let mut c = before.clone();
        let shape = ComplexShape { items: 1, m, n, k, alpha, beta, conj_a: true };
        let a_rows = Strided { ptr: a.as_ptr(), items: &[0], line: k as isize, step: 1 };
        let b_cols = Strided { ptr: b.as_ptr(), items: &[0], line: 1, step: n as isize };
        let rows =
            Rows { ptr: c.as_mut_ptr(), items: &[0], row: (n * spread) as isize, col: spread as isize };
        // SAFETY: the vectors were made for these sizes.
        unsafe { matmul_complex(shape, a_rows, b_cols, rows) };
        for (at, x) in c.iter().enumerate().step_by(spread) {
            let (i, j) = (at / spread / n, at / spread % n);
            let sum: C64 = (0..k).map(|p| a[i * k + p].conj() * b[p * n + j]).sum();
            assert_eq!(*x, alpha * sum + beta * before[at]);
        }
    }
}

#[test]
fn integer_products_wrap_around() {
    let (a, b, mut c) = ([100_i8, 100, -3, 5], [2_i8, 1, 7, 2], [1_i8; 4]);
    let a_rows = Strided { ptr: a.as_ptr(), items: &[0], line: 2, step: 1 };
    let b_cols = Strided { ptr: b.as_ptr(), items: &[0], line: 1, step: 2 };
    let rows = Rows { ptr: c.as_mut_ptr(), items: &[0], row: 2, col: 1 };
    // SAFETY: the arrays are 2 x 2.
    unsafe { Int::matmul(1, [2, 2, 2], (1, 2), a_rows, b_cols, rows) };
    assert_eq!(c, [900_i32 as i8 + 2, 300_i32 as i8 + 2, 31, 9]);
}
