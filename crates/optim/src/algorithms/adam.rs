//! Adam and AdamW.

use cresset_core::value::Value;
use cresset_core::{Result, Tensor, ops};

use super::{as_real, by_precision};
use crate::hyper::{Betas, betas, hyper, not_negative};
use crate::optimizer::{Item, Optimizer, Update};
use crate::state::State;

macro_rules! adam {
    ($(#[$meta:meta])* $options:ident, decay $decay:literal, decoupled $decoupled:literal) => {
        hyper! {
            $(#[$meta])*
            $options {
                /// Learning rate (default: 1e-3).
                lr: f64 = 1e-3,
                /// Decay rates of the moments (default: 0.9 and 0.999).
                betas: Betas = (0.9, 0.999),
                /// Added to the root of the second moment (default: 1e-8).
                eps: f64 = 1e-8,
                /// Weight decay.
                weight_decay: f64 = $decay,
                /// Whether the largest second moment so far is used (default: no).
                amsgrad: bool = false,
                /// Whether to climb instead (default: no).
                maximize: bool = false,
                /// Whether the parameter decays by itself instead of through the gradient.
                decoupled_weight_decay: bool = $decoupled,
            }
            besides { "foreach": Value::None, "capturable": Value::Bool(false), "differentiable": Value::Bool(false), "fused": Value::None }
            check |h| {
                not_negative("learning rate", h.lr)?;
                not_negative("epsilon value", h.eps)?;
                betas(h.betas)?;
                not_negative("weight_decay value", h.weight_decay)?;
            }
        }
    };
}

adam! {
    /// Hyper-parameters of [`Adam`]; the weight decay is 0 at first and goes through the gradient.
    AdamOptions, decay 0.0, decoupled false
}

adam! {
    /// Hyper-parameters of [`AdamW`]; the weight decay is 0.01 at first and decoupled.
    AdamWOptions, decay 0.01, decoupled true
}

/// Adam, as [`torch.optim.Adam`](https://pytorch.org/docs/stable/generated/torch.optim.Adam.html) (Kingma and Ba 2014):
/// `m <- b1 m + (1 - b1) g`, `v <- b2 v + (1 - b2) g^2`, `p <- p - lr m' / (sqrt(v') + eps)`, primes for bias correction.
pub type Adam = Optimizer<AdamUpdate>;

/// Adam with decoupled weight decay, as `torch.optim.AdamW` (Loshchilov and Hutter 2017).
pub type AdamW = Optimizer<AdamWUpdate>;

/// The update of [`Adam`].
pub struct AdamUpdate;

/// The update of [`AdamW`].
pub struct AdamWUpdate;

impl Update for AdamUpdate {
    type Options = AdamOptions;

    fn update(param: &Tensor, grad: &Tensor, state: &mut State, h: &AdamOptions) -> Result<()> {
        Self::update_all(vec![Item { param: param.clone(), grad: grad.clone(), state }], h)
    }

    fn update_all(items: Vec<Item<'_>>, h: &AdamOptions) -> Result<()> {
        by_precision(items).into_iter().try_for_each(|items| step(items, h))
    }
}

impl Update for AdamWUpdate {
    type Options = AdamWOptions;

    fn update(param: &Tensor, grad: &Tensor, state: &mut State, h: &AdamWOptions) -> Result<()> {
        Self::update_all(vec![Item { param: param.clone(), grad: grad.clone(), state }], h)
    }

    fn update_all(items: Vec<Item<'_>>, h: &AdamWOptions) -> Result<()> {
        let AdamWOptions { lr, betas, eps, weight_decay, amsgrad, maximize, decoupled_weight_decay } = *h;
        AdamUpdate::update_all(
            items,
            &AdamOptions { lr, betas, eps, weight_decay, amsgrad, maximize, decoupled_weight_decay },
        )
    }
}

/// One pass over all parameters.
fn step(items: Vec<Item<'_>>, h: &AdamOptions) -> Result<()> {
    let params = as_real(items.iter().map(|i| &i.param))?;
    let grads = as_real(items.iter().map(|i| &i.grad))?;
    let (mut steps, mut moments, mut squares, mut largest) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Item { param, state, .. } in items {
        state.next_step()?;
        steps.push(state.tensor("step")?.clone());
        moments.push(state.zeros_like("exp_avg", &param)?);
        squares.push(state.zeros_like("exp_avg_sq", &param)?);
        if h.amsgrad {
            largest.push(state.zeros_like("max_exp_avg_sq", &param)?);
        }
    }
    let (moments, squares, largest) = (as_real(&moments)?, as_real(&squares)?, as_real(&largest)?);
    let fused = if h.decoupled_weight_decay { ops::_fused_adamw_ } else { ops::_fused_adam_ };
    let (lr, (beta1, beta2), decay) = (h.lr, h.betas, h.weight_decay);
    fused(
        &params, &grads, &moments, &squares, &largest, &steps, lr, beta1, beta2, decay, h.eps, h.amsgrad,
        h.maximize,
    )
}
