//! Stochastic gradient descent with momentum.

use cresset_core::optimizer::{Direction, Sgd};
use cresset_core::{Result, ensure};

use super::{decayed, fused, num};
use crate::hyper::{hyper, not_negative};
use crate::optimizer::{Item, Optimizer, Update};

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
    besides { foreach, differentiable, fused }
    ints { momentum, dampening, weight_decay }
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
///
#[doc = example!("SGD", "0.1, |o| o.momentum(0.9)", "0.02")]
pub type SGD = Optimizer<SGDUpdate>;

/// The update of [`SGD`].
pub struct SGDUpdate;

impl Update for SGDUpdate {
    type Options = SGDOptions;

    const TAKES_SPARSE: bool = true;

    fn update(items: Vec<Item<'_>>, h: &SGDOptions) -> Result<()> {
        let (sparse, strided): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| item.grad.is_sparse());
        sparse.into_iter().try_for_each(|item| step_sparse(item, h))?;
        let direction = Direction::new(h.maximize, h.weight_decay, None);
        fused(strided, |param, state| {
            let rule = Sgd {
                direction,
                lr: h.lr,
                momentum: h.momentum,
                dampening: h.dampening,
                nesterov: h.nesterov,
                first: state.tensor("momentum_buffer").is_err(),
            };
            let velocity = state.zeros_like_if(h.momentum != 0.0, "momentum_buffer", param)?;
            Ok((rule, [velocity, None, None]))
        })
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
