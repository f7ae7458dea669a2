//! Computed and pruned parameters, fused layers and averages of weights. Expected values are PyTorch's.

use cresset_core::{DType, Result, Tensor, ops};
use cresset_nn::utils::parametrizations::{OrthogonalMap, orthogonal_with, spectral_norm, weight_norm};
use cresset_nn::utils::parametrize::{Parametrization, Parametrized};
use cresset_nn::utils::prune::{self, Amount, BasePruningMethod, L1Unstructured, LnStructured, Pruned};
use cresset_nn::utils::{Average, AveragedModel, fuse_conv_bn_eval, parametrize, update_bn};
use cresset_nn::{BatchNorm1d, BatchNorm2d, Conv2d, Forward, Linear, Module, Sequential};

fn linear(weight: &[f32], out: i64) -> Result<Linear> {
    let layer = Linear::new(2, out)?;
    layer.weight.detach().copy_(&Tensor::from_slice(weight, [out, 2])?)?;
    layer.bias.as_ref().unwrap().detach().zero_()?;
    Ok(layer)
}

fn keys(module: &impl Module) -> Vec<String> {
    module.state_dict().keys().map(String::from).collect()
}

fn near(t: &Tensor, want: &[f32]) {
    let got: Vec<f32> = t.detach().to_vec().unwrap();
    assert!(got.len() == want.len() && got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-4), "{got:?}");
}

const WEIGHT: [f32; 6] = [3.0, 4.0, 0.0, -2.0, 1.0, 1.0];

#[test]
fn weight_norm_trains_length_and_direction() -> Result<()> {
    let layer = weight_norm(linear(&WEIGHT, 3)?)?;
    assert_eq!(
        keys(&layer),
        ["bias", "parametrizations.weight.original0", "parametrizations.weight.original1"]
    );
    assert_eq!(
        layer.repr(),
        "ParametrizedLinear(\n  in_features=2, out_features=3, bias=True\n  (parametrizations): ModuleDict(\n    (weight): ParametrizationList(\n      (0): _WeightNorm()\n    )\n  )\n)"
    );
    let x = Tensor::from_slice(&[1_f32, 2.0], [1, 2])?;
    let y = layer.forward(&x)?;
    near(&y, &[11.0, -4.0, 3.0]);
    y.sum()?.backward()?;
    let grads: Vec<Tensor> = layer.parameters().iter().map(|p| p.grad().unwrap()).collect();
    near(&grads[1], &[2.2, -2.0, 2.1213]);
    near(&grads[2], &[-0.32, 0.24, 1.0, 0.0, -0.5, 0.5]);
    near(&layer.remove()?.weight, &WEIGHT);
    Ok(())
}

#[test]
fn spectral_norm_bounds_the_largest_singular_value() -> Result<()> {
    let layer = spectral_norm(linear(&WEIGHT, 3)?)?;
    layer.eval();
    assert_eq!(
        keys(&layer),
        [
            "bias",
            "parametrizations.weight.original",
            "parametrizations.weight.0._u",
            "parametrizations.weight.0._v"
        ]
    );
    let computed = layer.computed()?;
    near(&ops::linalg_svdvals(&computed.weight.detach())?.narrow(0, 0, 1)?, &[1.0]);
    layer.train();
    let x = Tensor::from_slice(&[1_f32, 2.0], [1, 2])?;
    let (a, b) = (layer.forward(&x)?.sum()?, layer.forward(&x)?.sum()?);
    a.add(&b)?.backward()?;
    assert!(layer.parameters().iter().all(|p| p.grad().is_some()));
    Ok(())
}

#[test]
fn cached_computes_a_parameter_once() -> Result<()> {
    let layer = spectral_norm(linear(&WEIGHT, 3)?)?;
    let weight = || Ok::<_, cresset_core::Error>((*layer.computed()?.weight).clone());
    assert!(!weight()?.same(&weight()?));
    let first = {
        let _outer = parametrize::cached();
        let first = weight()?;
        drop(parametrize::cached());
        assert!(first.same(&weight()?));
        assert!(!first.same(&layer.deep_copy()?.computed()?.weight));
        first
    };
    assert!(!first.same(&weight()?));
    Ok(())
}

#[test]
fn orthogonal_keeps_the_columns_orthogonal() -> Result<()> {
    for map in [OrthogonalMap::Householder, OrthogonalMap::Cayley] {
        let layer = orthogonal_with(linear(&WEIGHT, 3)?, |o| o.orthogonal_map(map))?;
        let original = layer.named_parameters().into_iter().find(|(n, _)| n.ends_with("original")).unwrap().1;
        // The diagonal says the signs of the reflections.
        original.detach().add_(&ops::full([3, 2], 0.3)?.tril_with(|o| o.diagonal(-1))?)?;
        let weight = layer.computed()?.weight.clone();
        near(&weight.t()?.mm(&weight)?, &[1.0, 0.0, 0.0, 1.0]);
        let goal = Tensor::from_slice(&[0_f32, 1.0, 1.0, 0.0, 0.0, 0.0], [3, 2])?;
        layer.assign("weight", &goal)?;
        near(&layer.computed()?.weight, &[0.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    }
    let about_zero =
        |map| orthogonal_with(linear(&WEIGHT, 3)?, |o| o.orthogonal_map(map).use_trivialization(false));
    let layer = about_zero(OrthogonalMap::Cayley)?;
    near(&layer.computed()?.weight, &[0.666_667, -0.333_333, -0.333_333, 0.666_667, 0.666_667, 0.666_667]);
    let error = layer.assign("weight", &ops::zeros([3, 2])?).unwrap_err();
    assert_eq!(
        error.message(),
        "It is not possible to assign to the matrix exponential or the Cayley parametrizations when use_trivialization=False."
    );
    let layer = about_zero(OrthogonalMap::MatrixExp)?;
    near(&layer.computed()?.weight, &[0.577_972, -0.422_028, -0.422_028, 0.577_972, 0.698_456, 0.698_456]);
    let layer = about_zero(OrthogonalMap::Householder)?;
    near(&layer.computed()?.weight, &[0.948_683, 0.049_386, 0.0, -0.987_730, 0.316_228, -0.148_159]);
    Ok(())
}

/// The first row, or everything in another dtype.
#[derive(Debug, Module)]
struct Odd(#[module(skip)] bool);

impl Parametrization for Odd {
    fn forward(&self, originals: &[&Tensor]) -> Result<Tensor> {
        if self.0 { originals[0].narrow(0, 0, 1) } else { originals[0].to_dtype(DType::F64) }
    }
}

#[test]
fn a_parametrization_keeps_the_kind_of_its_parameter() -> Result<()> {
    let refused = |layer: Parametrized<Linear>, rule| {
        let error = layer.register("weight", rule).err().unwrap();
        error.message().split_once("\n").unwrap().1.to_string()
    };
    let plain = || Ok::<_, cresset_core::Error>(Parametrized::new(linear(&WEIGHT, 3)?));
    assert_eq!(
        refused(plain()?, Odd(true)),
        "unparametrized shape: torch.Size([3, 2])\nparametrized shape: torch.Size([1, 2])"
    );
    assert_eq!(
        refused(weight_norm(linear(&WEIGHT, 3)?)?, Odd(false)),
        "module.weight.dtype: torch.float32\nparametrization(module.weight).dtype: torch.float64"
    );
    assert_eq!(
        orthogonal_with(linear(&WEIGHT, 3)?, |o| o.name("w")).err().unwrap().message(),
        "Module 'Linear(in_features=2, out_features=3, bias=True)' has no parameter or buffer with name 'w'"
    );
    Ok(())
}

#[test]
fn a_parameter_survives_its_parametrization() -> Result<()> {
    let layer = linear(&WEIGHT, 3)?;
    let weight = layer.weight.clone();
    let mut layer = spectral_norm(layer)?;
    assert!(layer.get_parameter("parametrizations.weight.original")?.same(&weight));
    layer.eval();
    let computed = layer.computed()?.weight.detach().to_vec::<f32>()?;
    layer.remove_parametrizations("weight", true)?;
    assert!(layer.get_parameter("weight")?.same(&weight) && !layer.is_parametrized("weight"));
    near(&weight, &computed);
    let error = layer.remove_parametrizations("weight", true).unwrap_err();
    assert!(error.message().ends_with("does not have a parametrization on weight"), "{error}");
    let mut layer = weight_norm(layer.remove()?)?;
    assert!(layer.remove_parametrizations("weight", false).is_err());
    Ok(())
}

#[test]
fn pruning_adds_up_and_is_removed() -> Result<()> {
    let mut layer = Pruned::new(linear(&[3.0, 4.0, 0.5, -2.0, 1.0, 1.5], 3)?);
    prune::l1_unstructured(&mut layer, "weight", 2)?;
    near(layer.mask("weight").unwrap(), &[1.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
    assert_eq!(keys(&layer), ["bias", "weight_orig", "weight_mask"]);
    prune::l1_unstructured(&mut layer, "weight", 0.5)?;
    near(layer.mask("weight").unwrap(), &[1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    prune::ln_structured(&mut layer, "weight", 1, 2.0, 1)?;
    near(layer.mask("weight").unwrap(), &[0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    let x = Tensor::from_slice(&[1_f32, 2.0], [1, 2])?;
    near(&layer.forward(&x)?, &[8.0, 0.0, 0.0]);
    layer.remove("weight")?;
    assert_eq!(keys(&layer), ["weight", "bias"]);
    near(&layer.forward(&x)?, &[8.0, 0.0, 0.0]);
    let scores = ops::arange(6)?.to_dtype(DType::F32)?.view([3, 2])?;
    let by_scores = L1Unstructured { amount: 2.into() };
    layer.prune_with("weight", &by_scores, |o| o.importance_scores(scores))?;
    near(layer.mask("weight").unwrap(), &[0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
    Ok(())
}

#[test]
fn impossible_pruning_changes_nothing() -> Result<()> {
    let mut layer = Pruned::new(linear(&WEIGHT, 3)?);
    let mut refused = |name, method: &dyn BasePruningMethod| {
        let error = layer.prune(name, method).unwrap_err();
        assert!(!layer.is_pruned());
        error.message().to_string()
    };
    let l1 = |amount: Amount| L1Unstructured { amount };
    let range = "should either be a float in the range [0, 1] or a non-negative integer";
    assert_eq!(refused("weight", &l1(1.5.into())), format!("amount=1.5 {range}"));
    assert_eq!(refused("weight", &l1((-1).into())), format!("amount=-1 {range}"));
    assert_eq!(
        refused("weight", &l1(7.into())),
        "amount=7 should be smaller than the number of parameters to prune=6"
    );
    assert_eq!(refused("wei", &l1(1.into())), "'Linear' object has no attribute 'wei'");
    assert_eq!(
        refused("bias", &LnStructured { amount: 1.into(), n: 2.0, dim: 0 }),
        "Structured pruning can only be applied to multidimensional tensors. Found tensor of shape torch.Size([3]) with 1 dims"
    );
    assert!(prune::custom_from_mask(&mut layer, "weight", &ops::ones([3])?).is_err());
    let error = layer.remove("bias").unwrap_err();
    assert_eq!(
        error.message(),
        "Parameter 'bias' of module Linear(in_features=2, out_features=3, bias=True) has to be pruned before pruning can be removed"
    );
    Ok(())
}

#[test]
fn global_pruning_compares_all_parameters() -> Result<()> {
    let mut a = Pruned::new(linear(&[1.0, 2.0, 3.0, 4.0], 2)?);
    let mut b = Pruned::new(linear(&[0.5, 5.0], 1)?);
    prune::global_unstructured(
        &mut [(&mut a, "weight"), (&mut b, "weight")],
        &L1Unstructured { amount: 3.into() },
    )?;
    near(a.mask("weight").unwrap(), &[0.0, 0.0, 1.0, 1.0]);
    near(b.mask("weight").unwrap(), &[0.0, 1.0]);
    Ok(())
}

#[test]
fn fused_layers_compute_the_same() -> Result<()> {
    let (conv, bn) = (Conv2d::new(2, 3, 3)?, BatchNorm2d::new(3)?);
    let x = ops::randn([2, 2, 5, 5])?;
    bn.forward(&conv.forward(&x)?)?;
    assert!(fuse_conv_bn_eval(&conv, &bn).is_err());
    bn.eval();
    let (apart, fused) = (bn.forward(&conv.forward(&x)?)?, fuse_conv_bn_eval(&conv, &bn)?.forward(&x)?);
    assert!(apart.sub(&fused)?.abs()?.max()?.item()?.to_f64() < 1e-5);
    Ok(())
}

#[test]
fn averages_follow_the_model() -> Result<()> {
    let model = linear(&[0.0, 0.0], 1)?;
    let equal = AveragedModel::new(Linear::new(2, 1)?, Average::Equal, false)?;
    let moving = AveragedModel::new(Linear::new(2, 1)?, Average::Ema(0.5), false)?;
    for step in 0..3 {
        model.weight.detach().fill_(step)?;
        equal.update_parameters(&model)?;
        moving.update_parameters(&model)?;
    }
    near(&equal.module().weight, &[1.0, 1.0]);
    near(&moving.module().weight, &[1.25, 1.25]);
    assert_eq!(keys(&equal), ["n_averaged", "module.weight", "module.bias"]);
    Ok(())
}

#[test]
fn running_statistics_are_computed_anew() -> Result<()> {
    let model = Sequential::new().push(BatchNorm1d::new(1)?);
    let batches = [[0.0_f32, 2.0], [4.0, 8.0]];
    update_bn(batches.iter().map(|b| Tensor::from_slice(b, [2, 1])), &model)?;
    let state = model.state_dict();
    near(state.get("0.running_mean").unwrap(), &[3.5]);
    near(state.get("0.running_var").unwrap(), &[5.0]);
    assert!(model.is_training());
    Ok(())
}
