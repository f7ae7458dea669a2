//! NAdam: Adam with Nesterov momentum.

use cresset_core::value::Value;
use cresset_core::{Result, Tensor};

use super::{average_square, num, real, shrunk_or_decayed};
use crate::hyper::{Betas, betas, hyper, not_negative};
use crate::optimizer::{Optimizer, Update};
use crate::state::State;

hyper! {
    /// Hyper-parameters of [`NAdam`].
    NAdamOptions {
        /// Learning rate (default: 2e-3).
        lr: f64 = 2e-3,
        /// Decay rates of the moments (default: 0.9 and 0.999).
        betas: Betas = (0.9, 0.999),
        /// Added to divisors (default: 1e-8).
        eps: f64 = 1e-8,
        /// Weight decay (default: 0).
        weight_decay: f64 = 0.0,
        /// Decay of the momentum (default: 4e-3).
        momentum_decay: f64 = 4e-3,
        /// Whether the parameter decays by itself instead of through the gradient (default: no).
        decoupled_weight_decay: bool = false,
        /// Whether to climb instead (default: no).
        maximize: bool = false,
    }
    besides { "foreach": Value::None, "capturable": Value::Bool(false), "differentiable": Value::Bool(false) }
    check |h| {
        not_negative("learning rate", h.lr)?;
        not_negative("epsilon value", h.eps)?;
        betas(h.betas)?;
        not_negative("weight_decay value", h.weight_decay)?;
        not_negative("momentum_decay value", h.momentum_decay)?;
    }
}

/// NAdam, as `torch.optim.NAdam` (Dozat 2016): `mu_t = b1 (1 - 0.96^(t psi) / 2)`,
/// `p <- p - lr ((1 - mu_t) g / (1 - prod mu) + mu_(t+1) m / (1 - prod mu mu_(t+1))) / (sqrt(v') + eps)`.
pub type NAdam = Optimizer<NAdamUpdate>;

/// The update of [`NAdam`].
pub struct NAdamUpdate;

impl Update for NAdamUpdate {
    type Options = NAdamOptions;

    fn update(param: &Tensor, grad: &Tensor, state: &mut State, h: &NAdamOptions) -> Result<()> {
        let step = state.next_step()?;
        let product = state.number("mu_product", 1.0)?;
        let exp_avg = real(&state.zeros_like("exp_avg", param)?)?;
        let exp_avg_sq = real(&state.zeros_like("exp_avg_sq", param)?)?;
        let grad =
            shrunk_or_decayed(param, grad, h.lr, h.weight_decay, h.decoupled_weight_decay, h.maximize)?;
        let (param, grad) = (real(param)?, real(&grad)?);
        let mu = |t: f64| h.betas.0 * (1.0 - 0.5 * 0.96_f64.powf(t * h.momentum_decay));
        let (mu, mu_next) = (mu(step), mu(step + 1.0));
        product.mul_(&num(mu)?)?;
        exp_avg.lerp_scalar_(&grad, 1.0 - h.betas.0)?;
        average_square(&exp_avg_sq, &grad, h.betas.1)?;
        let root = exp_avg_sq.div(&num(1.0 - h.betas.1.powf(step))?)?.sqrt_()?.add_(&num(h.eps)?)?;
        let product = product.item()?.to_f64();
        param.addcdiv_with_(&grad, &root, |o| o.value(-h.lr * (1.0 - mu) / (1.0 - product)))?;
        param
            .addcdiv_with_(&exp_avg, &root, |o| o.value(-h.lr * mu_next / (1.0 - product * mu_next)))
            .map(|_| ())
    }
}
