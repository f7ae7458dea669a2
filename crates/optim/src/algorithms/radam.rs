//! RAdam: Adam that waits until its second moment is reliable.

use cresset_core::Result;
use cresset_core::optimizer::{Direction, Radam};

use super::fused;
use crate::hyper::{Betas, betas, hyper, not_negative};
use crate::optimizer::{Item, Optimizer, Update};

hyper! {
    /// Hyper-parameters of [`RAdam`].
    RAdamOptions {
        /// Learning rate (default: 1e-3).
        lr: f64 = 1e-3,
        /// Decay rates of the moments (default: 0.9 and 0.999).
        betas: Betas = (0.9, 0.999),
        /// Added to divisors (default: 1e-8).
        eps: f64 = 1e-8,
        /// Weight decay (default: 0).
        weight_decay: f64 = 0.0,
        /// Whether to climb instead (default: no).
        maximize: bool = false,
        /// Whether the parameter decays by itself instead of through the gradient (default: no).
        decoupled_weight_decay: bool = false,
    }
    besides { foreach, capturable, differentiable }
    ints { weight_decay }
    check |h| {
        not_negative("learning rate", h.lr)?;
        not_negative("epsilon value", h.eps)?;
        betas(h.betas)?;
        not_negative("weight_decay value", h.weight_decay)?;
    }
}

/// RAdam, as `torch.optim.RAdam` (Liu et al. 2019): momentum alone while the second moment has seen too few steps,
/// then Adam with a rectified step.
///
#[doc = example!("RAdam", "0.1, |o| o.weight_decay(0.1)", "0.96")]
pub type RAdam = Optimizer<RAdamUpdate>;

/// The update of [`RAdam`].
pub struct RAdamUpdate;

impl Update for RAdamUpdate {
    type Options = RAdamOptions;

    fn update(items: Vec<Item<'_>>, h: &RAdamOptions) -> Result<()> {
        let direction = Direction::new(h.maximize, h.weight_decay, h.decoupled_weight_decay.then_some(h.lr));
        fused(items, |param, state| {
            let step = state.next_step()?;
            let (beta1, beta2) = h.betas;
            let (correction1, correction2) = (1.0 - beta1.powf(step), 1.0 - beta2.powf(step));
            // The length of the moving average, at the end and now.
            let end = 2.0 / (1.0 - beta2) - 1.0;
            let rho = end - 2.0 * step * beta2.powf(step) / correction2;
            let rectified = ((rho - 4.0) * (rho - 2.0) * end / ((end - 4.0) * (end - 2.0) * rho)).sqrt();
            let rule = Radam {
                direction,
                lr: h.lr,
                betas: h.betas,
                eps: h.eps,
                corrections: (correction1, correction2.sqrt()),
                rectified: (rho > 5.0).then_some(rectified),
            };
            let exp_avg = state.zeros_like("exp_avg", param)?;
            Ok((rule, [Some(exp_avg), Some(state.zeros_like("exp_avg_sq", param)?), None]))
        })
    }
}
