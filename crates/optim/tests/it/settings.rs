//! Constructors as PyTorch has them: what is printed, kept for files, and refused.

use cresset_core::value::Value;
use cresset_core::{DType, ErrorKind, Result, Tensor, ops};
use cresset_optim::lr_scheduler::StepLR;
use cresset_optim::*;

fn leaf(n: i64) -> Result<Tensor> {
    ops::ones([n])?.requires_grad_(true)
}

fn refused<T>(result: Result<T>) -> (ErrorKind, String) {
    let error = result.map(drop).unwrap_err();
    (error.kind(), error.message().to_owned())
}

#[test]
fn optimizers_are_printed_as_in_python() -> Result<()> {
    let mut sgd = SGD::new([leaf(2)?], 0.1)?;
    sgd.add_param_group([leaf(2)?], |o| o.lr(0.5).momentum(0.9))?;
    StepLR::new(&mut sgd, 3)?;
    let sgd_text = "SGD (
Parameter Group 0
    dampening: 0
    differentiable: False
    foreach: None
    fused: None
    initial_lr: 0.1
    lr: 0.1
    maximize: False
    momentum: 0
    nesterov: False
    weight_decay: 0

Parameter Group 1
    dampening: 0
    differentiable: False
    foreach: None
    fused: None
    initial_lr: 0.5
    lr: 0.5
    maximize: False
    momentum: 0.9
    nesterov: False
    weight_decay: 0
)";
    assert_eq!(sgd.to_string(), sgd_text);
    let rprop_text = "Rprop (
Parameter Group 0
    capturable: False
    differentiable: False
    etas: (0.5, 1.2)
    foreach: None
    lr: 0.01
    maximize: False
    step_sizes: (1e-06, 50)
)";
    assert_eq!(Rprop::new([leaf(2)?], 0.01)?.to_string(), rprop_text);
    let adafactor_text = "Adafactor (
Parameter Group 0
    beta2_decay: -0.8
    d: 1.0
    eps: (None, 0.001)
    foreach: True
    lr: 0.01
    maximize: False
    weight_decay: 0.0
)";
    assert_eq!(Adafactor::with([leaf(2)?], 0.01, |o| o.foreach(true))?.to_string(), adafactor_text);
    let lbfgs_text = "LBFGS (
Parameter Group 0
    history_size: 100
    line_search_fn: strong_wolfe
    lr: 1
    max_eval: 25
    max_iter: 20
    maximize: False
    tolerance_change: 1e-09
    tolerance_grad: 1e-07
)";
    let lbfgs = LBFGS::with([leaf(2)?], 1.0, |o| o.line_search_fn(Some("strong_wolfe".into())))?;
    assert_eq!(lbfgs.to_string(), lbfgs_text);
    Ok(())
}

#[test]
fn flags_of_pytorchs_loops_are_kept_and_refused_where_it_refuses_them() -> Result<()> {
    let contradiction = Adam::with([leaf(2)?], 0.1, |o| o.fused(true).foreach(true));
    let text = "`fused` and `foreach` cannot be `True` together.";
    assert_eq!(refused(contradiction), (ErrorKind::Runtime, text.into()));
    let recorded = SGD::with([leaf(2)?], 0.1, |o| o.fused(true).differentiable(true));
    assert_eq!(refused(recorded), (ErrorKind::Runtime, "`fused` does not support `differentiable`".into()));
    assert_eq!(refused(SGD::with([leaf(2)?], 0.1, |o| o.differentiable(true))).0, ErrorKind::NotImplemented);
    let p = leaf(2)?;
    p.set_grad(Some(ops::ones([2])?))?;
    let mut capturable = NAdam::with([p.clone()], 0.1, |o| o.capturable(true))?;
    let text = "If capturable=True, params, mu_products and state_steps must be on supported devices: ['cuda', 'xpu', 'hpu', 'privateuseone', 'xla'].";
    assert_eq!(refused(capturable.step()), (ErrorKind::Assertion, text.into()));
    let saved = AdamW::with([p.clone()], 0.1, |o| o.fused(true))?.state_dict();
    let mut other = AdamW::new([p], 0.2)?;
    other.load_state_dict(&saved)?;
    let state = other.state_dict();
    let fused = state.param_groups[0].iter().find(|(key, _)| key == "fused");
    assert!(matches!(fused, Some((_, Value::Bool(true)))));
    Ok(())
}

#[test]
fn parameters_that_pytorch_refuses_are_refused() -> Result<()> {
    let sparse = ops::ones([2])?.to_sparse()?;
    let text = "Sparse params at indices [[0, 1]]: SparseAdam requires dense parameter tensors";
    assert_eq!(refused(SparseAdam::new([leaf(2)?, sparse], 0.1)), (ErrorKind::Value, text.into()));
    let complex = ops::ones_with([2], |o| o.dtype(DType::Complex64))?;
    let text = "Complex params at indices [[0, 0]]: SparseAdam does not support complex parameters";
    assert_eq!(refused(SparseAdam::new([complex], 0.1)), (ErrorKind::Value, text.into()));
    let text = "Muon only supports 2D parameters whereas we found a parameter with size: torch.Size([2])";
    assert_eq!(refused(Muon::new([leaf(2)?], 0.1)), (ErrorKind::Value, text.into()));
    let w = leaf(2)?;
    let made = w.mul(&w)?;
    let text = "can't optimize a non-leaf Tensor";
    assert_eq!(refused(SGD::new([made.clone()], 0.1)), (ErrorKind::Value, text.into()));
    made.retain_grad()?;
    SGD::new([made], 0.1)?;
    // Groups may be empty, optimizers may not.
    let mut sgd = SGD::new([w], 0.1)?;
    sgd.add_param_group(Vec::<Tensor>::new(), |o| o)?;
    sgd.step()?;
    let text = "optimizer got an empty parameter list";
    assert_eq!(refused(SGD::new(Vec::<Tensor>::new(), 0.1)), (ErrorKind::Value, text.into()));
    Ok(())
}

#[test]
fn gradients_can_become_zeros() -> Result<()> {
    let w = leaf(2)?;
    let sgd = SGD::new([w.clone()], 0.1)?;
    w.mul(&w)?.sum()?.backward()?;
    sgd.zero_grad_with(|o| o.set_to_none(false))?;
    assert_eq!(w.grad().expect("zeros").to_vec::<f32>()?, [0.0, 0.0]);
    sgd.zero_grad_with(|o| o)?;
    assert!(w.grad().is_none());
    Ok(())
}
