//! RAdam: Adam that waits until its second moment is reliable.

use cresset_core::value::Value;
use cresset_core::{Result, Tensor};

use super::{average_square, num, real, shrunk_or_decayed};
use crate::hyper::{Betas, betas, hyper, not_negative};
use crate::optimizer::{Optimizer, Update};
use crate::state::State;

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
    besides { "foreach": Value::None, "capturable": Value::Bool(false), "differentiable": Value::Bool(false) }
    check |h| {
        not_negative("learning rate", h.lr)?;
        not_negative("epsilon value", h.eps)?;
        betas(h.betas)?;
        not_negative("weight_decay value", h.weight_decay)?;
    }
}

/// RAdam, as `torch.optim.RAdam` (Liu et al. 2019): momentum alone while the second moment has seen too few steps,
/// then Adam with a rectified step.
pub type RAdam = Optimizer<RAdamUpdate>;

/// The update of [`RAdam`].
pub struct RAdamUpdate;

impl Update for RAdamUpdate {
    type Options = RAdamOptions;

    fn update(param: &Tensor, grad: &Tensor, state: &mut State, h: &RAdamOptions) -> Result<()> {
        let step = state.next_step()?;
        let exp_avg = real(&state.zeros_like("exp_avg", param)?)?;
        let exp_avg_sq = real(&state.zeros_like("exp_avg_sq", param)?)?;
        let grad =
            shrunk_or_decayed(param, grad, h.lr, h.weight_decay, h.decoupled_weight_decay, h.maximize)?;
        let (param, grad) = (real(param)?, real(&grad)?);
        exp_avg.lerp_scalar_(&grad, 1.0 - h.betas.0)?;
        average_square(&exp_avg_sq, &grad, h.betas.1)?;
        let (beta1, beta2) = h.betas;
        let (correction1, correction2) = (1.0 - beta1.powf(step), 1.0 - beta2.powf(step));
        // The length of the moving average, at the end and now.
        let rho_inf = 2.0 / (1.0 - beta2) - 1.0;
        let rho = rho_inf - 2.0 * step * beta2.powf(step) / correction2;
        let mut change = exp_avg.div(&num(correction1)?)?.mul_(&num(h.lr)?)?;
        if rho > 5.0 {
            let rectified =
                ((rho - 4.0) * (rho - 2.0) * rho_inf / ((rho_inf - 4.0) * (rho_inf - 2.0) * rho)).sqrt();
            let adaptive =
                exp_avg_sq.sqrt()?.add_(&num(h.eps)?)?.reciprocal_()?.mul_(&num(correction2.sqrt())?)?;
            change = change.mul_(&adaptive)?.mul_(&num(rectified)?)?;
        }
        param.add_with_(&change, |o| o.alpha(-1.0)).map(|_| ())
    }
}
