use super::*;
use crate::dtype::DType;
use crate::strided::Operand;

fn operand<'a, T>(data: &[T], dtype: DType, strides: &'a [i64]) -> Operand<'a> {
    Operand { ptr: data.as_ptr().cast_mut().cast(), dtype, strides }
}

fn pseudo_random(n: usize, modulus: i64) -> Vec<i64> {
    (0..n as i64).map(|i| (i * i * 7919 + i * 104_729 + 13) % modulus).collect()
}

#[test]
fn get_selects_rows_and_counts_negative_indices_from_the_end() {
    let (rows, width) = (1000, 96);
    let src: Vec<f32> = (0..rows * width).map(|i| i as f32).collect();
    let indices: Vec<i64> = pseudo_random(700, rows as i64)
        .iter()
        .map(|i| if i % 3 == 0 { i - rows as i64 } else { *i })
        .collect();
    let dst = vec![0_f32; 700 * width];
    let w = width as i64;
    let index = Index { ptr: indices.as_ptr(), strides: &[1, 0], size: rows as i64, stride: w };
    // SAFETY: sizes and strides are those of the vectors.
    unsafe { get(&[700, w], operand(&dst, DType::F32, &[w, 1]), operand(&src, DType::F32, &[0, 1]), index) };
    for (i, row) in dst.chunks(width).enumerate() {
        let from = indices[i].rem_euclid(rows as i64) as usize * width;
        assert_eq!(row, &src[from..from + width]);
    }
}

#[test]
fn gather_and_scatter_follow_every_dimension() {
    let (n, m, k) = (40_i64, 30_i64, 50_i64);
    let src: Vec<i16> = (0..n * m).map(|i| i as i16).collect();
    let indices = pseudo_random((k * m) as usize, n);
    let dst = vec![0_i16; (k * m) as usize];
    let index = Index { ptr: indices.as_ptr(), strides: &[m, 1], size: n, stride: m };
    // SAFETY: sizes and strides are those of the vectors.
    unsafe { get(&[k, m], operand(&dst, DType::I16, &[m, 1]), operand(&src, DType::I16, &[0, 1]), index) };
    assert!((0..k * m).all(|i| dst[i as usize] == src[(indices[i as usize] * m + i % m) as usize]));
    let back = vec![-1_i16; (n * m) as usize];
    // SAFETY: as above.
    unsafe { put(&[k, m], operand(&back, DType::I16, &[0, 1]), operand(&dst, DType::I16, &[m, 1]), index) };
    assert!(back.iter().enumerate().all(|(i, &v)| v == -1 || v == src[i]));
}

#[test]
fn equal_places_are_visited_in_order() {
    let (n, width) = (5000_i64, 64_i64);
    let indices = pseudo_random(n as usize, 7);
    let src: Vec<f32> = (0..n * width).map(|i| ((i * 37) % 101) as f32 * 0.37 - 11.0).collect();
    let index = Index { ptr: indices.as_ptr(), strides: &[1, 0], size: 7, stride: width };
    let (last, sum) = (vec![0_f32; 7 * 64], vec![0_f32; 7 * 64]);
    let sizes = [n, width];
    // SAFETY: sizes and strides are those of the vectors.
    unsafe {
        put(&sizes, operand(&last, DType::F32, &[0, 1]), operand(&src, DType::F32, &[width, 1]), index);
        let dst = operand(&sum, DType::F32, &[0, 1]);
        accumulate(Combine::Sum, &sizes, dst, operand(&src, DType::F32, &[width, 1]), Some(index));
    }
    let (mut want_last, mut want_sum) = (vec![0_f32; 7 * 64], vec![0_f32; 7 * 64]);
    for (i, &row) in indices.iter().enumerate() {
        for c in 0..64 {
            want_last[row as usize * 64 + c] = src[i * 64 + c];
            want_sum[row as usize * 64 + c] += src[i * 64 + c];
        }
    }
    assert_eq!(last, want_last);
    assert_eq!(sum, want_sum);
}

#[test]
fn extremes_keep_nan_and_overlap_is_allowed_without_an_index() {
    let dst = vec![1.0_f64, f64::NAN, 3.0];
    let src = vec![f64::NAN, 2.0, 5.0];
    // SAFETY: sizes and strides are those of the vectors.
    unsafe {
        accumulate(Combine::Max, &[3], operand(&dst, DType::F64, &[1]), operand(&src, DType::F64, &[1]), None)
    };
    assert!(dst[0].is_nan() && dst[1].is_nan() && dst[2] == 5.0);
    let (sum, windows) = (vec![0_i32; 4], vec![1_i32; 6]);
    // SAFETY: the windows of size 2 overlap inside `sum`.
    unsafe {
        accumulate(
            Combine::Sum,
            &[3, 2],
            operand(&sum, DType::I32, &[1, 1]),
            operand(&windows, DType::I32, &[2, 1]),
            None,
        )
    };
    assert_eq!(sum, [1, 2, 2, 1]);
}

#[test]
fn several_indices_fold_into_offsets() {
    let (i, j) = ([1_i64, -1], [0_i64, 2, 1]);
    let rows = Index { ptr: i.as_ptr(), strides: &[1, 0], size: 4, stride: 10 };
    let columns = Index { ptr: j.as_ptr(), strides: &[0, 1], size: 3, stride: 1 };
    // SAFETY: sizes and strides are those of the arrays.
    unsafe {
        assert_eq!(fold(&[2, 3], &[rows, columns]), [10, 12, 11, 30, 32, 31]);
        assert_eq!(first_outside(j.as_ptr(), &[2, 3], &[0, 1], 0, 3), None);
        assert_eq!(first_outside(j.as_ptr(), &[2, 3], &[0, 1], 0, 2), Some(2));
        assert_eq!(first_outside(i.as_ptr(), &[], &[], -4, 1), Some(1));
    }
}

#[test]
fn cat_interleaves_rows() {
    let (a, b): (Vec<u8>, Vec<u8>) =
        ((0..200_000).map(|i| i as u8).collect(), (0..600_000).map(|i| (i * 3) as u8).collect());
    let mut dst = vec![0_u8; 800_000];
    let parts = [
        Part { ptr: a.as_ptr(), bytes: 2 },
        Part { ptr: a.as_ptr(), bytes: 0 },
        Part { ptr: b.as_ptr(), bytes: 6 },
    ];
    // SAFETY: 100,000 rows of 2, 0 and 6 bytes.
    unsafe { cat(dst.as_mut_ptr(), 100_000, &parts) };
    for (row, out) in dst.chunks(8).enumerate() {
        assert_eq!(out[..2], a[row * 2..row * 2 + 2]);
        assert_eq!(out[2..], b[row * 6..row * 6 + 6]);
    }
}

#[test]
fn masks_select_scatter_and_locate() {
    let n = 200_003;
    let mask: Vec<bool> = (0..n).map(|i| i % 7 == 3 || i % 1000 < 20).collect();
    let at: Vec<usize> = (0..n).filter(|&i| mask[i]).collect();
    let src: Vec<i32> = (0..n as i32).collect();
    let mut picked = vec![0_i32; at.len()];
    let mut spread = vec![-1_i32; n];
    assert_eq!(count_true(&mask), at.len());
    // SAFETY: lengths are the mask's and its count.
    unsafe {
        mask_select(DType::I32, picked.as_mut_ptr().cast(), src.as_ptr().cast(), &mask);
        mask_scatter(DType::I32, spread.as_mut_ptr().cast(), picked.as_ptr().cast(), &mask);
    }
    assert!(picked.iter().zip(&at).all(|(&v, &i)| v == i as i32));
    assert!((0..n).all(|i| spread[i] == if mask[i] { i as i32 } else { -1 }));
    let mut columns = [9_i64; 6];
    // SAFETY: three rows of two coordinates.
    unsafe { nonzero(columns.as_mut_ptr(), &[true, false, false, true, true, false], &[2, 3]) };
    assert_eq!(columns, [0, 1, 1, 0, 0, 1]);
    let sizes = [3, 70, 1000];
    let mask: Vec<bool> = pseudo_random(210_000, 3).into_iter().map(|x| x == 0).collect();
    let want: Vec<usize> = (0..mask.len()).filter(|i| mask[*i]).collect();
    let mut columns = vec![9_i64; 3 * want.len()];
    // SAFETY: three coordinates for each hit.
    unsafe { nonzero(columns.as_mut_ptr(), &mask, &sizes) };
    let (z, rest) = columns.split_at(want.len());
    let (y, x) = rest.split_at(want.len());
    for (i, at) in want.into_iter().enumerate() {
        assert_eq!((z[i] * 70 + y[i]) * 1000 + x[i], at as i64);
    }
}

#[test]
fn embedding_gradient_sums_by_row() {
    let (rows, width) = (300, 40);
    let indices = pseudo_random(5000, rows as i64 - 100);
    let grad: Vec<f32> = (0..5000 * width).map(|i| (i % 89) as f32 * 0.25).collect();
    let mut dst = vec![f32::NAN; rows * width];
    let spec = EmbeddingGrad { indices: &indices, rows, width, padding: Some(13), by_frequency: true };
    // SAFETY: sizes and strides are those of the vectors.
    unsafe {
        embedding_backward(dst.as_mut_ptr().cast(), operand(&grad, DType::F32, &[width as i64, 1]), &spec)
    };
    let mut want = vec![0_f32; rows * width];
    for (i, &row) in indices.iter().enumerate().filter(|(_, row)| **row != 13) {
        (0..width).for_each(|c| want[row as usize * width + c] += grad[i * width + c]);
    }
    for (row, sums) in want.chunks_mut(width).enumerate() {
        let count = indices.iter().filter(|&&i| i == row as i64).count().max(1);
        sums.iter_mut().for_each(|v| *v /= count as f32);
    }
    assert_eq!(dst, want);
}

#[test]
fn triangles_and_columns() {
    let mut m: Vec<u8> = (1..=12).collect();
    // SAFETY: one matrix of 3 x 4.
    unsafe { triangle(Side::Lower, 1, DType::U8, m.as_mut_ptr(), 1, [3, 4]) };
    assert_eq!(m, [1, 2, 0, 0, 5, 6, 7, 0, 9, 10, 11, 12]);
    // SAFETY: as above.
    unsafe { triangle(Side::Upper, 0, DType::U8, m.as_mut_ptr(), 1, [3, 4]) };
    assert_eq!(m, [1, 2, 0, 0, 0, 6, 7, 0, 0, 0, 11, 12]);
    let blocks = Columns::blocks([2, 2], [2, 2], [1, 1], [1, 0], [1, 1]);
    assert_eq!(blocks, Some([3, 1]));
    let c = Columns {
        batch: 1,
        channels: 1,
        image: [2, 2],
        kernel: [2, 2],
        dilation: [1, 1],
        padding: [1, 0],
        stride: [1, 1],
        blocks: [3, 1],
    };
    let (image, mut columns, mut back) = ([1_f32, 2.0, 3.0, 4.0], [9_f32; 12], [9_f32; 4]);
    // SAFETY: one image of 2 x 2, three blocks of 4.
    unsafe {
        im2col(DType::F32, columns.as_mut_ptr().cast(), image.as_ptr().cast(), &c);
        col2im(DType::F32, back.as_mut_ptr().cast(), columns.as_ptr().cast(), &c);
    }
    assert_eq!(columns, [0.0, 1.0, 3.0, 0.0, 2.0, 4.0, 1.0, 3.0, 0.0, 2.0, 4.0, 0.0]);
    assert_eq!(back, [2.0, 4.0, 6.0, 8.0]);
}
