//! Expected texts are those of PyTorch 2.15.

use super::*;
use crate::Scalar;

fn range(n: i64, sizes: &[i64]) -> Tensor {
    crate::ops::arange(n).unwrap().reshape(sizes).unwrap()
}

fn floats(values: &[f32]) -> Tensor {
    Tensor::from_slice(values, [values.len() as i64]).unwrap()
}

#[test]
fn floats_share_a_width_and_whole_ones_end_in_a_point() {
    assert_eq!(floats(&[1.0, 2.0]).reshape([1, 2]).unwrap().to_string(), "tensor([[1., 2.]])");
    assert_eq!(floats(&[1.5, -20.25]).to_string(), "tensor([  1.5000, -20.2500])");
    assert_eq!(floats(&[1.0, f32::NAN, f32::NEG_INFINITY]).to_string(), "tensor([1., nan, -inf])");
    assert_eq!(floats(&[0.5, f32::NAN, f32::INFINITY]).to_string(), "tensor([0.5000,    nan,    inf])");
}

#[test]
fn wide_ranges_are_scientific() {
    assert_eq!(floats(&[1e-5, 1.0]).to_string(), "tensor([1.0000e-05, 1.0000e+00])");
    assert_eq!(floats(&[1e9, -3.0]).to_string(), "tensor([ 1.0000e+09, -3.0000e+00])");
}

#[test]
fn dtypes_other_than_the_default_ones_are_named() {
    let x = floats(&[1.0]);
    assert_eq!(x.to_dtype(DType::F64).unwrap().to_string(), "tensor([1.], dtype=torch.float64)");
    assert_eq!(x.to_dtype(DType::I64).unwrap().to_string(), "tensor([1])");
    assert_eq!(x.to_dtype(DType::U8).unwrap().to_string(), "tensor([1], dtype=torch.uint8)");
    assert_eq!(x.to_dtype(DType::Bool).unwrap().to_string(), "tensor([True])");
    assert_eq!(x.to_dtype(DType::Complex64).unwrap().to_string(), "tensor([1.+0.j])");
}

#[test]
fn empty_and_zero_dimensional() {
    assert_eq!(
        Tensor::empty_of(&[0, 3], DType::F32, Device::Cpu).unwrap().to_string(),
        "tensor([], size=(0, 3))"
    );
    assert_eq!(
        Tensor::empty_of(&[0], DType::I64, Device::Cpu).unwrap().to_string(),
        "tensor([], dtype=torch.int64)"
    );
    assert_eq!(Tensor::scalar(Scalar::Float(2.5), DType::F32).unwrap().to_string(), "tensor(2.5000)");
    assert_eq!(
        Tensor::empty_of(&[2], DType::F32, Device::Meta).unwrap().to_string(),
        "tensor(..., device='meta', size=(2,))"
    );
}

#[test]
fn long_lines_break_and_blocks_are_apart() {
    let want = "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,\n        18, 19, 20, 21])";
    assert_eq!(range(22, &[22]).to_string(), want);
    assert_eq!(
        range(8, &[2, 2, 2]).to_string(),
        "tensor([[[0, 1],\n         [2, 3]],\n\n        [[4, 5],\n         [6, 7]]])"
    );
}

#[test]
fn large_tensors_show_their_edges() {
    assert_eq!(range(1001, &[1001]).to_string(), "tensor([   0,    1,    2,  ...,  998,  999, 1000])");
    let want = "tensor([[   0,    1,    2,  ...,   97,   98,   99],\n        [ 100,  101,  102,  ...,  197,  198,  199],\n        [ 200,  201,  202,  ...,  297,  298,  299],\n        ...,\n        [9700, 9701, 9702,  ..., 9797, 9798, 9799],\n        [9800, 9801, 9802,  ..., 9897, 9898, 9899],\n        [9900, 9901, 9902,  ..., 9997, 9998, 9999]])";
    assert_eq!(range(10_000, &[100, 100]).to_string(), want);
}

#[test]
fn history_is_named() {
    let x = floats(&[1.0, 2.0]).requires_grad_(true).unwrap();
    assert_eq!(x.to_string(), "tensor([1., 2.], requires_grad=True)");
    assert_eq!(x.add(&x).unwrap().to_string(), "tensor([2., 4.], grad_fn=<AddBackward0>)");
    assert_eq!(
        x.reshape([2, 1]).unwrap().to_string(),
        "tensor([[1.],\n        [2.]], grad_fn=<ViewBackward0>)"
    );
}

#[test]
fn options_change_precision_and_threshold() {
    let short = PrintOptions { precision: 2, threshold: 5, ..PrintOptions::DEFAULT };
    assert_eq!(repr(&floats(&[1.123_45]), &short).unwrap(), "tensor([1.12])");
    assert_eq!(repr(&range(10, &[10]), &short).unwrap(), "tensor([0, 1, 2,  ..., 7, 8, 9])");
}
