//! Stochastic gradient descent with momentum.

use cresset_core::value::Value;
use cresset_core::{Result, Tensor, ensure, ops};

use super::{as_real, by_precision, decayed, num};
use crate::hyper::{hyper, not_negative};
use crate::optimizer::{Item, Optimizer, Update};
use crate::state::State;

hyper! {
    /// Hyper-parameters of [`SGD`].
    SGDOptions {
        /// Learning rate (default: 1e-3).
        lr: f64 = 1e-3,
        /// Factor of the previous velocity (default: 0).
        momentum: f64 = 0.0,
        /// Part of the gradient that is kept out of the velocity (default: 0).
        dampening: f64 = 0.0,
        /// Weight decay, added to the gradient (default: 0).
        weight_decay: f64 = 0.0,
        /// Whether the step looks ahead along the velocity (default: no).
        nesterov: bool = false,
        /// Whether to climb instead (default: no).
        maximize: bool = false,
    }
    besides { "foreach": Value::None, "differentiable": Value::Bool(false), "fused": Value::None }
    check |h| {
        not_negative("learning rate", h.lr)?;
        not_negative("momentum value", h.momentum)?;
        not_negative("weight_decay value", h.weight_decay)?;
        ensure!(
            !h.nesterov || h.momentum > 0.0 && h.dampening == 0.0,
            Value,
            "Nesterov momentum requires a momentum and zero dampening"
        );
    }
}

/// Stochastic gradient descent, as [`torch.optim.SGD`](https://pytorch.org/docs/stable/generated/torch.optim.SGD.html):
/// `v <- mu v + (1 - tau) g`, `p <- p - lr v` (PyTorch's form, not Sutskever's).
pub type SGD = Optimizer<SGDUpdate>;

/// The update of [`SGD`].
pub struct SGDUpdate;

impl Update for SGDUpdate {
    type Options = SGDOptions;

    fn update(param: &Tensor, grad: &Tensor, state: &mut State, h: &SGDOptions) -> Result<()> {
        step(vec![Item { param: param.clone(), grad: grad.clone(), state }], h)
    }

    const TAKES_SPARSE: bool = true;

    fn update_all(items: Vec<Item<'_>>, h: &SGDOptions) -> Result<()> {
        let (sparse, strided): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| item.grad.is_sparse());
        sparse.into_iter().try_for_each(|item| step_sparse(item, h))?;
        by_precision(strided).into_iter().try_for_each(|items| step(items, h))
    }
}

/// A step on the rows that a sparse gradient has; its velocity is sparse too.
fn step_sparse(item: Item<'_>, h: &SGDOptions) -> Result<()> {
    let Item { param, grad, state } = item;
    let mut grad = decayed(&param, &grad, h.weight_decay, h.maximize)?;
    if h.momentum != 0.0 {
        let velocity = match state.tensor("momentum_buffer") {
            Ok(v) => v.mul(&num(h.momentum)?)?.add_with(&grad, |o| o.alpha(1.0 - h.dampening))?,
            Err(_) => grad.clone_tensor()?,
        };
        state.insert("momentum_buffer", &velocity);
        grad = if h.nesterov { grad.add_with(&velocity, |o| o.alpha(h.momentum))? } else { velocity };
    }
    param.add_with_(&grad, |o| o.alpha(-h.lr)).map(|_| ())
}

/// One pass over all parameters; the velocity of those that have none starts as the gradient.
fn step(items: Vec<Item<'_>>, h: &SGDOptions) -> Result<()> {
    let is_first = |item: &Item<'_>| h.momentum != 0.0 && item.state.tensor("momentum_buffer").is_err();
    let (first, later): (Vec<_>, Vec<_>) = items.into_iter().partition(is_first);
    for (items, is_first) in [(first, true), (later, false)] {
        let params = as_real(items.iter().map(|i| &i.param))?;
        let grads = as_real(items.iter().map(|i| &i.grad))?;
        let mut velocities = Vec::new();
        if h.momentum != 0.0 {
            for item in items {
                velocities.push(item.state.zeros_like("momentum_buffer", &item.param)?);
            }
            velocities = as_real(&velocities)?;
        }
        let (decay, lr, dampening) = (h.weight_decay, h.lr, h.dampening);
        ops::_fused_sgd_(
            &params,
            &grads,
            &velocities,
            decay,
            h.momentum,
            lr,
            dampening,
            h.nesterov,
            h.maximize,
            is_first,
        )?;
    }
    Ok(())
}
