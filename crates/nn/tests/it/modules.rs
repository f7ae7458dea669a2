//! `#[derive(Module)]`: names, printed form, modes, conversion, hooks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cresset_core::ops::{arange, ones, zeros};
use cresset_core::{DType, Result, Tensor, no_grad};
use cresset_nn::{
    BatchNorm1d, BatchNorm2d, Buffer, Conv2d, CrossMapLRN2d, Dropout, Dropout1d, Forward, Hooked,
    LazyBatchNorm2d, LazyConv2d, Linear, Module, ModuleDict, Parameter, ReLU, Sequential, Training,
    sequential,
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
    let layer = Hooked::new(ReLU::new());
    let negate = layer.register_forward_pre_hook(|_, args| Ok(Some(vec![args[0].neg()?])));
    layer.register_forward_hook(move |_, _, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(None)
    });
    assert_eq!(layer.forward(&filled(&[1], -2.0)?)?.to_vec::<f32>()?, [2.0]);
    negate.remove();
    assert_eq!(layer.forward(&filled(&[1], -2.0)?)?.to_vec::<f32>()?, [0.0]);
    assert_eq!((calls.load(Ordering::Relaxed), layer.repr().as_str()), (2, "ReLU()"));
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
fn parts_are_found_by_dotted_names() -> Result<()> {
    let net = net()?;
    let names: Vec<String> = net.named_modules().into_iter().map(|(n, _)| n).collect();
    assert_eq!(names, ["", "fc1", "norm", "blocks", "blocks.0", "blocks.1"]);
    assert_eq!((net.modules().len(), net.children().len()), (6, 3));
    assert_eq!(net.get_submodule("blocks.1")?.name(), "Linear");
    assert_eq!(net.get_submodule("")?.name(), "Net");
    assert!(net.get_parameter("blocks.1.weight")?.same(&net.blocks[1].weight));
    assert!(net.get_parameter("scale")?.same(&net.scale));
    assert!(
        net.get_buffer("norm.running_mean")?.same(net.norm.as_ref().unwrap().running_mean.as_ref().unwrap())
    );
    let text = |error: cresset_core::Error| error.message().to_string();
    assert_eq!(text(net.get_submodule("blocks.2.x").err().unwrap()), "ModuleList has no attribute `2`");
    assert_eq!(text(net.get_parameter("fc1.table").err().unwrap()), "Linear has no attribute `table`");
    assert_eq!(text(net.get_buffer("fc1.weight").err().unwrap()), "Linear has no attribute `weight`");
    Ok(())
}

#[test]
fn a_sequential_is_edited_as_in_python() -> Result<()> {
    let mut model = sequential![ReLU::new(), Dropout::new(0.5)?];
    model.append(Linear::new(2, 3)?);
    model.insert(-3, Linear::new(2, 2)?)?;
    let names = |model: &Sequential| {
        let parts = model.named_children().into_iter().map(|(n, m)| format!("{n} {}", m.name()));
        parts.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(names(&model), "0 Linear, 1 ReLU, 2 Dropout, 3 Linear");
    assert_eq!(names(&model.slice(2..9)), "2 Dropout, 3 Linear");
    assert_eq!(model.pop(1)?.name(), "ReLU");
    model.set(-2, ReLU::new())?;
    model.extend(sequential![ReLU::new()]);
    assert_eq!(names(&model), "0 Linear, 1 ReLU, 2 Linear, 3 ReLU");
    assert_eq!(model.insert(5, ReLU::new()).unwrap_err().message(), "Index out of range: 5");
    assert_eq!(model.set(4, ReLU::new()).unwrap_err().message(), "index 4 is out of range");
    assert_eq!(Sequential::new().pop(-1).err().unwrap().message(), "index -1 is out of range");
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

#[test]
fn deep_copies_have_tensors_of_their_own_and_keep_ties() {
    #[derive(Clone, Debug, Module)]
    struct Tied {
        first: Linear,
        second: Linear,
        norms: Sequential,
    }
    let first = Linear::new(3, 3).unwrap();
    let second = first.clone();
    let norms = sequential![BatchNorm1d::new(3).unwrap(), ReLU::new()];
    let tied = Tied { first, second, norms };
    tied.first.weight.sum().unwrap().backward().unwrap();
    tied.norms.eval();
    let copy = tied.deep_copy().unwrap();
    assert_eq!(copy.parameters().len(), 4);
    assert!(copy.first.weight.same(&copy.second.weight));
    assert!(copy.first.weight.requires_grad() && copy.first.weight.is_leaf());
    assert!(!copy.first.weight.shares_storage_with(&tied.first.weight));
    assert_eq!(copy.first.weight.grad().unwrap().to_vec::<f32>().unwrap(), vec![1.0; 9]);
    let (mine, theirs) = (tied.buffers(), copy.buffers());
    assert!(mine.iter().zip(&theirs).all(|(a, b)| !a.shares_storage_with(b)));
    let x = ones([2, 3]).unwrap();
    let before = copy.norms.forward(&copy.first.forward(&x).unwrap()).unwrap();
    no_grad_zero(&tied.first.weight);
    tied.norms.train();
    let after = copy.norms.forward(&copy.first.forward(&x).unwrap()).unwrap();
    assert_eq!(before.to_vec::<f32>().unwrap(), after.to_vec::<f32>().unwrap());
}

fn no_grad_zero(t: &Tensor) {
    let _guard = no_grad();
    t.zero_().unwrap();
}

#[test]
fn a_lazy_layer_survives_a_wrong_first_input() {
    let layer = LazyConv2d::new(2, 3).unwrap();
    let text = layer.forward(&zeros([4]).unwrap()).unwrap_err().to_string();
    assert!(text.contains("Expected 3D (unbatched) or 4D (batched) input to LazyConv2d"), "{text}");
    assert_eq!(layer.forward(&zeros([1, 5, 4, 4]).unwrap()).unwrap().sizes()[..], [1, 2, 2, 2]);
    assert_eq!(layer.clone().parameters().len(), 2);
}

#[test]
fn a_lazy_layer_has_what_was_set_before_it_was_there() -> Result<()> {
    let model = sequential![LazyConv2d::with(4, 3, |o| o.groups(2))?, LazyBatchNorm2d::new()?];
    model.eval();
    model.to_dtype(DType::F64)?;
    model.requires_grad_(false)?;
    let copy = model.clone();
    let whole = sequential![Conv2d::with(6, 4, 3, |o| o.groups(2))?, BatchNorm2d::new(4)?];
    copy.load_state_dict(&whole.state_dict())?;
    assert_eq!(copy.get_parameter("0.weight")?.sizes()[..], [4, 3, 3, 3]);
    model.forward(&zeros([2, 6, 4, 4])?.to_dtype(DType::F64)?)?;
    assert_eq!(model.repr().replace("Lazy", ""), whole.repr());
    for module in [&model, &copy] {
        assert!(!module.is_training());
        assert!(module.parameters().iter().all(|p| p.dtype() == DType::F64 && !p.requires_grad()));
        assert_eq!(module.get_buffer("1.num_batches_tracked")?.item()?.to_f64(), 0.0);
    }
    Ok(())
}

#[test]
fn cross_map_normalisation_and_its_gradient_are_pytorchs() {
    let sequence = arange(10).unwrap();
    let shaped = |t: &Tensor| t.view([1, 5, 2, 1]).unwrap();
    let expected = [
        (
            3,
            [
                -1.472044, -1.138539, -0.736022, -0.37832, 0.0, 0.368011, 0.702808, 1.031457, 1.405615,
                1.723716,
            ],
            [-0.665364, 0.0, 0.753686, -0.751885, 0.0, 0.726852, -0.669525, -0.02751, 0.671572, -0.618811],
        ),
        (
            4,
            [
                -1.494576, -1.147623, -0.747288, -0.381626, 0.0, 0.373644, 0.720986, 1.063095, 1.441971,
                1.77558,
            ],
            [-0.719696, 0.010947, 0.761084, -0.756154, 0.0, 0.74019, -0.719728, 0.02388, 0.695908, -0.652187],
        ),
    ];
    for (size, values, gradient) in expected {
        let x = shaped(&sequence.sub_scalar(4.0).unwrap().div_scalar(2.0).unwrap());
        x.set_requires_grad(true).unwrap();
        let layer = CrossMapLRN2d::with(size, |o| o.alpha(0.1).beta(0.6).k(1.5));
        let y = layer.forward(&x).unwrap();
        let g = shaped(&sequence.remainder_scalar(3.0).unwrap().sub_scalar(1.0).unwrap());
        y.mul(&g).unwrap().sum().unwrap().backward().unwrap();
        let near = |t: &Tensor, wanted: &[f32; 10]| {
            let got = t.to_dtype(DType::F32).unwrap().to_vec::<f32>().unwrap();
            assert!(got.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 2e-6), "{got:?}");
        };
        near(&y.detach(), &values);
        near(&x.grad().unwrap(), &gradient);
    }
    assert!(CrossMapLRN2d::new(3).forward(&zeros([2, 3]).unwrap()).is_err());
    assert_eq!(CrossMapLRN2d::new(3).to_string(), "CrossMapLRN2d(3, alpha=0.0001, beta=0.75, k=1)");
}

#[test]
fn synchronised_batch_norm_is_batch_norm_of_any_dimensions() {
    let plain = BatchNorm2d::new(3).unwrap();
    let x = arange(24).unwrap().to_dtype(DType::F32).unwrap().view([2, 3, 2, 2]).unwrap();
    let expected = plain.deep_copy().unwrap().forward(&x).unwrap();
    let layer = plain.into_sync();
    assert_eq!(layer.forward(&x).unwrap().to_vec::<f32>().unwrap(), expected.to_vec::<f32>().unwrap());
    assert!(layer.forward(&zeros([2, 3]).unwrap()).is_ok());
    let error = layer.forward(&zeros([3]).unwrap()).unwrap_err().to_string();
    assert!(error.contains("expected at least 2D input (got 1D input)"), "{error}");
    assert_eq!(
        layer.to_string(),
        "SyncBatchNorm(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)"
    );
}
