//! Functions that PyTorch composes in Python, and layers that overwrite their input. Expected values are PyTorch's.

use cresset_core::{Result, Tensor, tensor};
use cresset_nn::functional as f;
use cresset_nn::utils::functional_call;
use cresset_nn::*;

#[track_caller]
fn near(t: &Tensor, want: &[f32]) {
    let got: Vec<f32> = t.detach().to_vec().unwrap();
    assert!(got.len() == want.len() && got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?}");
}

#[test]
fn vectors_are_normalised_along_any_dimensions() -> Result<()> {
    let x = tensor![[3.0, 4.0], [0.0, 0.0]];
    near(&f::normalize(&x)?, &[0.6, 0.8, 0.0, 0.0]);
    near(&f::normalize_with(&x, |o| o.p(1).dim(0))?, &[1.0, 1.0, 0.0, 0.0]);
    near(&f::normalize_with(&x, |o| o.dim([0, 1]))?, &[0.6, 0.8, 0.0, 0.0]);
    Ok(())
}

#[test]
fn simple_functions_agree() -> Result<()> {
    near(&f::softsign(&tensor![-1.0, 3.0])?, &[-0.5, 0.75]);
    near(&f::tanhshrink(&tensor![1.0])?, &[0.238_405_85]);
    near(&f::softmin(&tensor![0.0, 1.0], 0)?, &[0.731_058_6, 0.268_941_43]);
    near(
        &f::linear_cross_entropy(&tensor![[1.0, 0.0]], &tensor![[1.0, 2.0], [3.0, 4.0]], &tensor![1])?,
        &[0.126_928],
    );
    let x = tensor![[[1.0, 2.0, 3.0, 4.0]]];
    let (largest, at) = f::max_pool1d_with_indices(&x, 2)?;
    near(&f::max_unpool1d(&largest, &at, 2)?, &[0.0, 2.0, 0.0, 4.0]);
    near(&f::lp_pool1d(&x, 2, 2)?, &[2.236_068, 5.0]);
    near(
        &f::local_response_norm_with(&x, 2, |o| o.alpha(1.0))?,
        &[0.737_788, 0.877_382_6, 0.835_313, 0.769_800_4],
    );
    Ok(())
}

#[test]
fn gradients_of_bags_are_sparse_if_asked() -> Result<()> {
    let bag = EmbeddingBag::with(3, 2, |o| o.sparse(true))?;
    bag.forward(&tensor![[0, 2], [2, 2]])?.sum()?.backward()?;
    let grad = bag.weight.grad().unwrap();
    assert!(grad.is_sparse());
    near(&grad.to_dense()?, &[0.5, 0.5, 0.0, 0.0, 1.5, 1.5]);
    let error =
        f::embedding_bag_with(&tensor![[0]], &bag.weight, |o| o.mode(BagMode::Max).sparse(true)).unwrap_err();
    assert_eq!(error.message(), "max mode does not support sparse weights");
    Ok(())
}

#[test]
fn layers_overwrite_their_input_if_asked() -> Result<()> {
    type Case = (Box<dyn Layer>, [f32; 3], [f32; 3], &'static str);
    let cases: Vec<Case> = vec![
        (Box::new(ReLU::with(|o| o.inplace(true))), [0.0, 0.25, 4.0], [0.0, 1.0, 1.0], "ReLU(inplace=True)"),
        (
            Box::new(ReLU6::with(|o| o.inplace(true))),
            [0.0, 0.25, 4.0],
            [0.0, 1.0, 1.0],
            "ReLU6(inplace=True)",
        ),
        (
            Box::new(ELU::with(|o| o.inplace(true))),
            [-0.632_120_55, 0.25, 4.0],
            [0.367_879_45, 1.0, 1.0],
            "ELU(alpha=1.0, inplace=True)",
        ),
        (
            Box::new(CELU::with(|o| o.inplace(true))),
            [-0.632_120_55, 0.25, 4.0],
            [0.367_879_45, 1.0, 1.0],
            "CELU(alpha=1.0, inplace=True)",
        ),
        (
            Box::new(LeakyReLU::with(|o| o.inplace(true))),
            [-0.01, 0.25, 4.0],
            [0.01, 1.0, 1.0],
            "LeakyReLU(negative_slope=0.01, inplace=True)",
        ),
        (
            Box::new(Hardtanh::with(|o| o.inplace(true))?),
            [-1.0, 0.25, 1.0],
            [0.0, 1.0, 0.0],
            "Hardtanh(min_val=-1.0, max_val=1.0, inplace=True)",
        ),
        (
            Box::new(Threshold::with(0.5, 2.0, |o| o.inplace(true))),
            [2.0, 2.0, 4.0],
            [0.0, 0.0, 1.0],
            "Threshold(threshold=0.5, value=2.0, inplace=True)",
        ),
        (
            Box::new(SiLU::with(|o| o.inplace(true))),
            [-0.268_941_43, 0.140_544_13, 3.928_055],
            [0.072_329_484, 0.623_710_04, 1.052_664_6],
            "SiLU(inplace=True)",
        ),
        (
            Box::new(Mish::with(|o| o.inplace(true))),
            [-0.303_401_44, 0.169_572_4, 3.997_413],
            [0.059_216_73, 0.754_172_6, 1.004_432_7],
            "Mish(inplace=True)",
        ),
        (
            Box::new(SELU::with(|o| o.inplace(true))),
            [-1.111_330_7, 0.262_675_26, 4.202_803],
            [0.646_768_57, 1.050_701, 1.050_701],
            "SELU(inplace=True)",
        ),
        (
            Box::new(Hardsigmoid::with(|o| o.inplace(true))),
            [0.333_333_34, 0.541_666_7, 1.0],
            [0.166_666_67, 0.166_666_67, 0.0],
            "Hardsigmoid()",
        ),
        (
            Box::new(Hardswish::with(|o| o.inplace(true))),
            [-0.333_333_34, 0.135_416_67, 4.0],
            [0.166_666_66, 0.583_333_3, 1.0],
            "Hardswish()",
        ),
    ];
    for (layer, value, gradient, text) in cases {
        let x = tensor![-1.0, 0.25, 4.0].requires_grad_(true)?;
        let copy = x.mul_scalar(1)?;
        let y = layer.forward(&copy)?;
        near(&copy, &value);
        near(&y, &value);
        y.sum()?.backward()?;
        near(&x.grad().unwrap(), &gradient);
        assert_eq!(layer.repr(), text);
    }
    Ok(())
}

#[test]
fn calls_with_other_parameters_keep_ties() -> Result<()> {
    let first = Linear::with(2, 2, |o| o.bias(false))?;
    let model = Sequential::new().push(first.clone()).push(first);
    let weight = tensor![[2.0, 0.0], [0.0, 3.0]].requires_grad_(true)?;
    let y = functional_call(&model, &[("0.weight", weight.clone())], |m| m.forward(&tensor![1.0, 1.0]))?;
    near(&y, &[4.0, 9.0]);
    y.sum()?.backward()?;
    near(&weight.grad().unwrap(), &[4.0, 5.0, 5.0, 6.0]);
    assert!(model.parameters()[0].grad().is_none());
    let error = functional_call(&model, &[("bias", weight)], |m| m.forward(&tensor![1.0, 1.0])).unwrap_err();
    assert_eq!(error.message(), "Unexpected key(s): bias.");
    Ok(())
}

#[test]
fn attention_takes_projections_of_the_caller() -> Result<()> {
    let layer = MultiheadAttention::new(4, 2)?;
    let x = cresset_core::ops::randn([3, 2, 4])?;
    let (want, weights) = layer.forward(&x, &x, &x)?;
    let whole = layer.in_proj_weight.as_deref();
    let [bias, out_bias] = [&layer.in_proj_bias, &layer.out_proj.bias].map(|b| b.as_deref().cloned());
    let (got, found) = f::multi_head_attention_forward([&x; 3], 2, whole, &layer.out_proj.weight, |o| {
        o.in_proj_bias(bias.clone()).out_proj_bias(out_bias.clone())
    })?;
    near(&got, &want.to_vec::<f32>()?);
    near(&found.unwrap(), &weights.unwrap().to_vec::<f32>()?);
    let parts = [0, 4, 8].map(|start| layer.in_proj_weight.as_ref().unwrap().narrow(0, start, 4).unwrap());
    let (apart, _) = f::multi_head_attention_forward([&x; 3], 2, None, &layer.out_proj.weight, |o| {
        o.separate_proj_weights(parts).in_proj_bias(bias).out_proj_bias(out_bias)
    })?;
    near(&apart, &want.to_vec::<f32>()?);
    let error =
        f::multi_head_attention_forward([&x; 3], 3, whole, &layer.out_proj.weight, |o| o).unwrap_err();
    assert_eq!(error.message(), "embed_dim 4 not divisible by num_heads 3");
    Ok(())
}
