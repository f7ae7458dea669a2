//! `#[derive(Module)]`: names, printed form, modes, conversion, hooks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cresset_core::{DType, Result, Tensor};
use cresset_nn::{
    BatchNorm1d, Buffer, Dropout, Dropout1d, Forward, Hooked, Linear, Module, ModuleDict, Parameter, ReLU,
    Sequential, Training, sequential,
};

#[derive(Debug, Module)]
struct Net {
    fc1: Linear,
    scale: Parameter,
    norm: Option<BatchNorm1d>,
    blocks: Vec<Linear>,
    table: Buffer,
    scratch: Buffer,
    training: Training,
    #[module(skip)]
    _hidden: i64,
}

fn filled(sizes: &[i64], value: f32) -> Result<Tensor> {
    Tensor::from_vec(vec![value; sizes.iter().product::<i64>() as usize], sizes)
}

fn net() -> Result<Net> {
    Ok(Net {
        fc1: Linear::new(2, 3)?,
        scale: Parameter::new(filled(&[3], 1.0)?)?,
        norm: Some(BatchNorm1d::new(3)?),
        blocks: vec![Linear::with(3, 3, |o| o.bias(false))?, Linear::with(3, 3, |o| o.bias(false))?],
        table: Buffer::new(filled(&[2], 0.5)?),
        scratch: Buffer::transient(filled(&[1], 0.0)?),
        training: Training::new(),
        _hidden: 3,
    })
}

#[test]
fn names_are_pytorchs_own_tensors_before_those_of_children() -> Result<()> {
    let state = net()?.state_dict();
    let keys: Vec<&str> = state.keys().collect();
    let expected = "scale table fc1.weight fc1.bias norm.weight norm.bias norm.running_mean norm.running_var \
                    norm.num_batches_tracked blocks.0.weight blocks.1.weight";
    assert_eq!(keys, expected.split_whitespace().collect::<Vec<_>>());
    assert_eq!(net()?.buffers().len(), 5);
    Ok(())
}

#[test]
fn an_absent_part_has_no_names() -> Result<()> {
    let net = Net { norm: None, ..net()? };
    assert!(net.state_dict().keys().all(|k| !k.starts_with("norm")));
    assert_eq!(net.named_children().len(), 2);
    Ok(())
}

#[test]
fn display_is_pythons_repr() -> Result<()> {
    let text = net()?.to_string();
    let expected = "Net(
  (fc1): Linear(in_features=2, out_features=3, bias=True)
  (norm): BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
  (blocks): ModuleList(
    (0-1): 2 x Linear(in_features=3, out_features=3, bias=False)
  )
)";
    assert_eq!(text, expected);
    assert_eq!(Sequential::new().to_string(), "Sequential()");
    Ok(())
}

#[test]
fn training_mode_reaches_everything_below() -> Result<()> {
    let net = net()?;
    assert!(net.is_training() && net.training.is_on());
    net.eval();
    assert!(!net.is_training() && !net.training.is_on());
    let drop = sequential![Dropout::new(0.5)?, ReLU::new()];
    drop.eval();
    let x = filled(&[4], 1.0)?;
    assert_eq!(drop.forward(&x)?.to_vec::<f32>()?, [1.0; 4]);
    Ok(())
}

#[test]
fn a_parameter_that_occurs_twice_counts_once() -> Result<()> {
    let first = Linear::new(2, 2)?;
    let tied = sequential![first.clone(), first];
    assert_eq!((tied.parameters().len(), tied.state_dict().len()), (2, 4));
    Ok(())
}

#[test]
fn conversion_keeps_the_tensors_that_an_optimizer_holds() -> Result<()> {
    let layer = BatchNorm1d::new(2)?;
    let held = layer.parameters();
    layer.to_dtype(DType::F64)?;
    assert!(held[0].dtype() == DType::F64 && held[0].same(&layer.parameters()[0]) && held[0].requires_grad());
    let kinds: Vec<DType> = layer.buffers().iter().map(|b| b.dtype()).collect();
    assert_eq!(kinds, [DType::F64, DType::F64, DType::I64]);
    let out = layer.forward(&Tensor::from_vec(vec![1.0, 2.0, 3.0, 5.0], [2, 2])?)?;
    out.sum()?.backward()?;
    assert_eq!(held[1].grad().map(|g| g.dtype()), Some(DType::F64));
    let error = layer.to_dtype(DType::I64).unwrap_err();
    assert!(error.message().contains("only accepts floating point"), "{error}");
    Ok(())
}

#[test]
fn gradients_are_cleared_and_switched_off() -> Result<()> {
    let layer = Linear::new(2, 1)?;
    layer.forward(&filled(&[1, 2], 1.0)?)?.sum()?.backward()?;
    assert!(layer.weight.grad().is_some());
    layer.zero_grad();
    assert!(layer.weight.grad().is_none());
    layer.requires_grad_(false)?;
    assert!(!layer.forward(&filled(&[1, 2], 1.0)?)?.requires_grad());
    Ok(())
}

#[test]
fn apply_visits_children_first() -> Result<()> {
    let mut names = Vec::new();
    net()?.apply(&mut |name, fields| {
        names.push(name.to_string());
        fields.parameters.iter().try_for_each(|(_, p)| p.zero_().map(|_| ()))
    })?;
    assert_eq!(names, ["Linear", "BatchNorm1d", "Linear", "Linear", "ModuleList", "Net"]);
    Ok(())
}

#[test]
fn hooks_see_and_replace_inputs_and_outputs() -> Result<()> {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let layer = Hooked::new(ReLU::new()).before(|x| x.neg().map(Some)).after(move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(None)
    });
    assert_eq!(layer.forward(&filled(&[1], -2.0)?)?.to_vec::<f32>()?, [2.0]);
    assert_eq!((calls.load(Ordering::Relaxed), layer.repr().as_str()), (1, "ReLU()"));
    Ok(())
}

#[test]
fn dictionaries_and_descendants_have_dotted_names() -> Result<()> {
    let dict: ModuleDict<Sequential> = [("a", sequential![ReLU::new()])].into_iter().collect();
    let names: Vec<String> = dict.named_descendants().into_iter().map(|(n, _)| n).collect();
    assert_eq!(names, ["a", "a.0"]);
    Ok(())
}

#[test]
fn dropout_of_channels_takes_inputs_without_batch() -> Result<()> {
    cresset_core::random::manual_seed(0);
    let (one, rows) = (Dropout1d::new(0.5)?, filled(&[64, 3], 1.0)?);
    let kept = one.forward(&rows)?.to_vec::<f32>()?;
    assert!(
        kept.chunks(3).all(|row| row == [0.0; 3] || row == [2.0; 3])
            && kept.contains(&0.0)
            && kept.contains(&2.0)
    );
    let error = one.forward(&filled(&[3], 1.0)?).unwrap_err();
    assert!(
        error.message().starts_with("dropout1d: Expected 2D or 3D input, but received a 1D input."),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_replaced_weight_prints_without_panicking() -> Result<()> {
    let mut layer = Linear::new(2, 2)?;
    layer.weight = Parameter::new(filled(&[2], 1.0)?)?;
    assert_eq!(layer.to_string(), "Linear(in_features=0, out_features=2, bias=True)");
    Ok(())
}

#[test]
fn batch_norm_may_see_two_batches_before_a_backward_pass() -> Result<()> {
    let norm = cresset_nn::BatchNorm2d::new(2)?;
    let (real, fake) = (filled(&[3, 2, 4, 4], 1.0)?, filled(&[3, 2, 4, 4], 2.0)?);
    norm.forward(&real)?.square()?.sum()?.add(&norm.forward(&fake)?.square()?.sum()?)?.backward()?;
    assert!(norm.parameters()[0].grad().is_some());
    Ok(())
}
