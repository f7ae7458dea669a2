//! Gradients of gradients of reductions, norms, pools and losses, checked by differences.

use cresset_core::autograd::{GradCheck, gradcheck, gradgradcheck};
use cresset_core::{Result, Tensor, ops};

fn input(sizes: &[i64], salt: i64) -> Tensor {
    let n = sizes.iter().product::<i64>();
    let values: Vec<f64> = (0..n).map(|i| ((i * 37 + salt * 11) % 53) as f64 / 20.0 - 1.3).collect();
    Tensor::from_slice(&values, sizes).unwrap().requires_grad_(true).unwrap()
}

fn twice(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>) {
    gradcheck(&f, inputs, GradCheck::default()).unwrap();
    gradgradcheck(&f, inputs, GradCheck::default()).unwrap();
}

#[test]
fn reductions_differentiate_twice() {
    let x = [input(&[3, 4], 1)];
    twice(&x, |v| Ok(vec![v[0].logsumexp([1])?]));
    twice(&x, |v| Ok(vec![v[0].std()?]));
    twice(&x, |v| Ok(vec![v[0].prod_dim(1)?]));
    twice(&x, |v| Ok(vec![v[0].cumprod(0)?]));
    twice(&x, |v| Ok(vec![v[0].norm()?]));
    twice(&x, |v| Ok(vec![v[0].softmax(0)?, v[0].log_softmax(1)?]));
    twice(&x, |v| Ok(vec![v[0].sort()?.0, v[0].topk(2)?.0]));
}

#[test]
fn products_with_zeros_differentiate_twice() {
    let x =
        Tensor::from_slice(&[2.0, 0.0, 3.0, 0.0, 0.0, 1.0], [2, 3]).unwrap().requires_grad_(true).unwrap();
    twice(&[x], |v| Ok(vec![v[0].prod_dim(1)?, v[0].cumprod(1)?]));
}

#[test]
fn norms_differentiate_twice() {
    let x = input(&[2, 4, 3], 1);
    let (w, b) = (input(&[4], 2), input(&[4], 3));
    twice(&[x.clone(), w.clone(), b.clone()], |v| {
        Ok(vec![ops::batch_norm(&v[0], Some(&v[1]), Some(&v[2]), None, None, true, 0.1, 1e-5, false)?])
    });
    twice(&[x.clone(), w, b], |v| Ok(vec![ops::group_norm_with(&v[0], 2, |o| o.weight(&v[1]).bias(&v[2]))?]));
    let (w, b) = (input(&[4, 3], 4), input(&[4, 3], 5));
    twice(&[x, w, b], |v| Ok(vec![ops::layer_norm_with(&v[0], [4, 3], |o| o.weight(&v[1]).bias(&v[2]))?]));
}

#[test]
fn pools_differentiate_twice() {
    let x = [input(&[1, 2, 5, 6], 1)];
    twice(&x, |v| Ok(vec![v[0].max_pool2d([2, 3])?, v[0].avg_pool2d([2, 2])?]));
    twice(&x, |v| Ok(vec![v[0].adaptive_avg_pool2d([3, 4])?, v[0].adaptive_max_pool2d([2, 2])?.0]));
}

#[test]
fn cross_entropy_differentiates_twice() {
    let target = Tensor::from_slice(&[1_i64, 0, 3], [3]).unwrap();
    twice(&[input(&[3, 4], 1)], |v| {
        let smooth = ops::cross_entropy_loss_with(&v[0], &target, |o| o.label_smoothing(0.1))?;
        Ok(vec![ops::cross_entropy_loss(&v[0], &target)?, smooth])
    });
}
