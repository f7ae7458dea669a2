//! Adamax: Adam with the largest gradient in place of the second moment.

use cresset_core::value::Value;
use cresset_core::{Result, Tensor};

use super::{decayed, num, real};
use crate::hyper::{Betas, betas, hyper, not_negative};
use crate::optimizer::{Optimizer, Update};
use crate::state::State;

hyper! {
    /// Hyper-parameters of [`Adamax`].
    AdamaxOptions {
        /// Learning rate (default: 2e-3).
        lr: f64 = 2e-3,
        /// Decay rates of the moments (default: 0.9 and 0.999).
        betas: Betas = (0.9, 0.999),
        /// Added to divisors (default: 1e-8).
        eps: f64 = 1e-8,
        /// Weight decay (default: 0).
        weight_decay: f64 = 0.0,
        /// Whether to climb instead (default: no).
        maximize: bool = false,
    }
    besides { "foreach": Value::None, "differentiable": Value::Bool(false), "capturable": Value::Bool(false) }
    check |h| {
        not_negative("learning rate", h.lr)?;
        not_negative("epsilon value", h.eps)?;
        betas(h.betas)?;
        not_negative("weight_decay value", h.weight_decay)?;
    }
}

/// Adamax, as `torch.optim.Adamax` (Kingma and Ba 2014): `u <- max(b2 u, |g| + eps)`, `p <- p - lr m' / u`.
pub type Adamax = Optimizer<AdamaxUpdate>;

/// The update of [`Adamax`].
pub struct AdamaxUpdate;

impl Update for AdamaxUpdate {
    type Options = AdamaxOptions;

    fn update(param: &Tensor, grad: &Tensor, state: &mut State, h: &AdamaxOptions) -> Result<()> {
        let step = state.next_step()?;
        let grad = real(&decayed(param, grad, h.weight_decay, h.maximize)?)?;
        let exp_avg = real(&state.zeros_like("exp_avg", param)?)?;
        let exp_inf = real(&state.zeros_like("exp_inf", param)?)?;
        exp_avg.lerp_scalar_(&grad, 1.0 - h.betas.0)?;
        let size = grad.abs()?.add_(&num(h.eps)?)?;
        exp_inf.mul_(&num(h.betas.1)?)?.copy_(&exp_inf.maximum(&size)?)?;
        let rate = h.lr / (1.0 - h.betas.0.powf(step));
        real(param)?.addcdiv_with_(&exp_avg, &exp_inf, |o| o.value(-rate)).map(|_| ())
    }
}
