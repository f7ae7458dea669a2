//! Optimizers as a user sees them; PyTorch's numbers are replayed by the parity runner.

mod files;
mod fused;
mod scaler;
mod schedules;
mod settings;

use cresset_core::value::Value;
use cresset_core::{ErrorKind, Result, Tensor, ops};
use cresset_optim::lr_scheduler::{ConstantLR, ExponentialLR, SequentialLR, StepLR};
use cresset_optim::{
    AdagradUpdate, Adam, AdamW, AdamWUpdate, LBFGS, Optimizer, OptimizerState, ParamGroups, SGD, SGDUpdate,
    SparseAdamUpdate, Update,
};

fn leaf(values: Vec<f32>) -> Result<Tensor> {
    let n = values.len() as i64;
    Tensor::from_vec(values, [n])?.requires_grad_(true)
}

fn with_grad(values: Vec<f32>, grad: Vec<f32>) -> Result<Tensor> {
    let n = grad.len() as i64;
    let p = leaf(values)?;
    p.set_grad(Some(Tensor::from_vec(grad, [n])?))?;
    Ok(p)
}

#[test]
fn a_step_descends_and_keeps_the_leaf() -> Result<()> {
    let p = with_grad(vec![1.0, 2.0], vec![0.5, -1.0])?;
    let mut sgd = SGD::new([p.clone()], 0.1)?;
    let version = p.version();
    sgd.step()?;
    assert_eq!(p.to_vec::<f32>()?, [0.95, 2.1]);
    assert!(p.is_leaf() && p.requires_grad() && p.version() > version);
    sgd.zero_grad();
    assert!(p.grad().is_none());
    sgd.step()?;
    assert_eq!(p.to_vec::<f32>()?, [0.95, 2.1]);
    Ok(())
}

#[test]
fn the_closure_runs_with_gradients() -> Result<()> {
    let p = leaf(vec![3.0])?;
    let mut sgd = SGD::new([p.clone()], 0.5)?;
    let loss = sgd.step_with(|| {
        let loss = p.mul(&p)?.sum()?;
        loss.backward()?;
        Ok(loss)
    })?;
    assert_eq!((loss.item()?.to_f64(), p.to_vec::<f32>()?), (9.0, vec![0.0]));
    Ok(())
}

#[test]
fn impossible_settings_are_refused_in_pytorchs_words() -> Result<()> {
    let p = leaf(vec![1.0])?;
    let message = |r: Result<()>| r.unwrap_err().message().to_string();
    assert_eq!(message(SGD::new([p.clone()], -1.0).map(drop)), "Invalid learning rate: -1.0");
    let nesterov = SGD::with([p.clone()], 0.1, |o| o.nesterov(true)).map(drop);
    assert_eq!(message(nesterov), "Nesterov momentum requires a momentum and zero dampening");
    let betas = Adam::with([p.clone()], 0.1, |o| o.betas((1.0, 0.9))).map(drop);
    assert_eq!(message(betas), "Invalid beta parameter at index 0: 1.0");
    assert_eq!(
        message(SGD::new(Vec::<Tensor>::new(), 0.1).map(drop)),
        "optimizer got an empty parameter list"
    );
    assert_eq!(message(SGD::new([p.mul(&p)?], 0.1).map(drop)), "can't optimize a non-leaf Tensor");
    let twice = SGD::new([p.clone(), p], 0.1).map(drop).unwrap_err();
    assert_eq!(
        (twice.kind(), twice.message()),
        (ErrorKind::Value, "some parameters appear in more than one parameter group")
    );
    Ok(())
}

#[test]
fn state_dict_has_pytorchs_keys() -> Result<()> {
    let p = with_grad(vec![1.0], vec![1.0])?;
    let mut adam = AdamW::new([p], 1e-3)?;
    adam.step()?;
    let state = adam.state_dict();
    let keys: Vec<&str> = state.state[0].1.entries().iter().map(|(k, _)| k.as_str()).collect();
    assert_eq!(keys, ["step", "exp_avg", "exp_avg_sq"]);
    let mut group: Vec<&str> = state.param_groups[0].iter().map(|(k, _)| k.as_str()).collect();
    group.sort_unstable();
    let expected = "amsgrad betas capturable decoupled_weight_decay differentiable eps foreach fused lr maximize params weight_decay";
    assert_eq!(group, expected.split(' ').collect::<Vec<_>>());
    Ok(())
}

#[test]
fn resuming_gives_the_same_weights_bit_for_bit() -> Result<()> {
    let run = |interrupt: bool| -> Result<Vec<f32>> {
        let p = leaf(vec![0.3, -0.7, 1.1])?;
        let mut adam = Adam::with([p.clone()], 0.1, |o| o.amsgrad(true).weight_decay(0.01))?;
        for step in 0..6 {
            p.set_grad(Some(p.detach().mul(&p.detach())?))?;
            adam.step()?;
            if interrupt && step == 2 {
                let state = adam.state_dict();
                adam = Adam::new([p.clone()], 7.0)?;
                adam.load_state_dict(&state)?;
            }
        }
        p.to_vec()
    };
    assert_eq!(run(false)?, run(true)?);
    Ok(())
}

#[test]
fn a_state_of_other_groups_is_refused_and_changes_nothing() -> Result<()> {
    let mut one = SGD::new([leaf(vec![1.0])?], 0.1)?;
    let two = SGD::new([leaf(vec![1.0])?, leaf(vec![1.0])?], 0.2)?;
    let error = one.load_state_dict(&two.state_dict()).unwrap_err();
    assert_eq!(
        error.message(),
        "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
    );
    assert_eq!(one.get(0, "lr"), Some(0.1));
    let mut broken = one.state_dict();
    broken.param_groups[0][0].1 = Value::Str("fast".into());
    assert_eq!(one.load_state_dict(&broken).unwrap_err().kind(), ErrorKind::Type);
    Ok(())
}

#[test]
fn groups_have_their_own_settings() -> Result<()> {
    let (a, b) = (with_grad(vec![1.0], vec![1.0])?, with_grad(vec![1.0], vec![1.0])?);
    let mut sgd = SGD::new([a.clone()], 0.5)?;
    sgd.add_param_group([b.clone()], |o| o.lr(0.25))?;
    sgd.step()?;
    assert_eq!((a.to_vec::<f32>()?, b.to_vec::<f32>()?), (vec![0.5], vec![0.75]));
    sgd.groups_mut()[1].options.lr = 0.0;
    sgd.step()?;
    assert_eq!((a.to_vec::<f32>()?, b.to_vec::<f32>()?), (vec![0.0], vec![0.75]));
    Ok(())
}

#[test]
fn half_precision_and_views_of_one_buffer_are_updated() -> Result<()> {
    let flat = Tensor::from_vec(vec![1.0_f32; 4], [4])?;
    let (a, b) = (flat.narrow(0, 0, 2)?.detach(), flat.narrow(0, 2, 2)?.detach());
    let half = Tensor::from_vec(vec![1.0_f32], [1])?.to_dtype(cresset_core::DType::BF16)?;
    for t in [&a, &b, &half] {
        t.set_requires_grad(true)?;
        t.set_grad(Some(t.detach().clone_tensor()?))?;
    }
    SGD::new([a, b, half.clone()], 0.5)?.step()?;
    assert_eq!(flat.to_vec::<f32>()?, [0.5; 4]);
    assert_eq!(half.to_dtype(cresset_core::DType::F32)?.to_vec::<f32>()?, [0.5]);
    Ok(())
}

#[test]
fn a_schedule_is_resumed_with_the_optimizer() -> Result<()> {
    let p = leaf(vec![1.0])?;
    let mut sgd = SGD::new([p.clone()], 1.0)?;
    let mut schedule = StepLR::new(&mut sgd, 2)?;
    for _ in 0..3 {
        schedule.step(&mut sgd)?;
    }
    let mut other = SGD::new([p], 1.0)?;
    other.load_state_dict(&sgd.state_dict())?;
    let mut again = StepLR::new(&mut other, 2)?;
    again.load_state_dict(&schedule.state_dict())?;
    schedule.step(&mut sgd)?;
    again.step(&mut other)?;
    assert_eq!((again.get_last_lr(), again.last_epoch()), (schedule.get_last_lr(), 4));
    assert_eq!(other.get(0, "initial_lr"), Some(1.0));
    Ok(())
}

#[test]
fn schedules_follow_each_other() -> Result<()> {
    let mut sgd = SGD::new([leaf(vec![1.0])?], 1.0)?;
    let warm = ConstantLR::with(&mut sgd, |s| s.factor(0.5).total_iters(10))?;
    let cool = ExponentialLR::new(&mut sgd, 0.5)?;
    let mut both = SequentialLR::new(&mut sgd, vec![Box::new(warm), Box::new(cool)], vec![2])?;
    let mut rates = vec![both.get_last_lr()[0]];
    for _ in 0..3 {
        both.step(&mut sgd)?;
        rates.push(both.get_last_lr()[0]);
    }
    assert_eq!(rates, [0.5, 0.5, 1.0, 0.5]);
    Ok(())
}

#[test]
fn sparse_gradients_change_their_rows_only() -> Result<()> {
    fn rows<U: Update>(options: impl FnOnce(U::Options) -> U::Options) -> Result<Vec<f32>> {
        let p = ops::ones([4, 2])?.requires_grad_(true)?;
        let mut optimizer = Optimizer::<U>::with([p.clone()], 0.1, options)?;
        let indices = Tensor::from_slice(&[1_i64, 3, 1], [1, 3])?;
        let values = Tensor::from_slice(&[1_f32, 2.0, 3.0, 4.0, 5.0, 6.0], [3, 2])?;
        for _ in 0..2 {
            p.set_grad(Some(ops::sparse_coo_tensor_indices_size(&indices, &values, [4, 2])?))?;
            optimizer.step()?;
        }
        let all = p.to_vec::<f32>()?;
        assert_eq!([&all[..2], &all[4..6]].concat(), [1.0; 4]);
        Ok([&all[2..4], &all[6..]].concat())
    }
    let near = |got: Vec<f32>, want: [f32; 4]| {
        assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5), "{got:?}");
    };
    near(rows::<SGDUpdate>(|o| o)?, [-0.2, -0.6, 0.4, 0.2]);
    near(rows::<SGDUpdate>(|o| o.momentum(0.9))?, [-0.74, -1.32, 0.13, -0.16]);
    near(rows::<AdagradUpdate>(|o| o)?, [0.829289, 0.829289, 0.829289, 0.829289]);
    near(rows::<SparseAdamUpdate>(|o| o)?, [0.8, 0.8, 0.8, 0.8]);
    let error = rows::<AdamWUpdate>(|o| o).unwrap_err();
    assert_eq!(
        error.message(),
        "AdamW does not support sparse gradients, please consider SparseAdam instead"
    );
    Ok(())
}

#[test]
fn lbfgs_minimises_and_goes_on_from_its_state() -> Result<()> {
    let run = |p: &Tensor, optimizer: &mut LBFGS| {
        optimizer.step_with(|| {
            p.set_grad(None)?;
            let loss = p.sub_scalar(3)?.square()?.mul(p)?.sum()?;
            let loss = loss.add(&p.square()?.square()?.sum()?)?;
            loss.backward()?;
            Ok(loss)
        })
    };
    let make = |p: &Tensor| {
        LBFGS::with([p.clone()], 1.0, |o| o.max_iter(2).line_search_fn(Some("strong_wolfe".into())))
    };
    let p = leaf(vec![2.0, 0.5])?;
    let mut first = make(&p)?;
    run(&p, &mut first)?;
    let q = leaf(p.to_vec()?)?;
    let mut second = make(&q)?;
    let file = cresset_io::PyValue::try_from(&first.state_dict())?;
    second.load_state_dict(&OptimizerState::try_from(&file)?)?;
    for _ in 0..3 {
        assert_eq!(run(&p, &mut first)?.item()?.to_f64(), run(&q, &mut second)?.item()?.to_f64());
    }
    assert_eq!(p.to_vec::<f32>()?, q.to_vec::<f32>()?);
    let groups = second.add_param_group([leaf(vec![1.0])?], |o| o);
    groups?;
    assert!(
        run(&q, &mut second)
            .unwrap_err()
            .message()
            .starts_with("LBFGS doesn't support per-parameter options")
    );
    Ok(())
}
