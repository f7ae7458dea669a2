//! NAdam: Adam with Nesterov momentum.

use cresset_core::Result;
use cresset_core::optimizer::{Direction, Nadam};

use super::{fused, num};
use crate::hyper::{Betas, betas, hyper, not_negative};
use crate::optimizer::{Item, Optimizer, Update};

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
    besides { foreach, capturable, differentiable }
    ints { weight_decay }
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
///
#[doc = example!("NAdam", "0.1, |o| o.weight_decay(0.1)", "3.62")]
pub type NAdam = Optimizer<NAdamUpdate>;

/// The update of [`NAdam`].
pub struct NAdamUpdate;

impl Update for NAdamUpdate {
    type Options = NAdamOptions;

    fn update(items: Vec<Item<'_>>, h: &NAdamOptions) -> Result<()> {
        let direction = Direction::new(h.maximize, h.weight_decay, h.decoupled_weight_decay.then_some(h.lr));
        fused(items, |param, state| {
            let step = state.next_step()?;
            let mu = |t: f64| h.betas.0 * (1.0 - 0.5 * 0.96_f64.powf(t * h.momentum_decay));
            let (mu, mu_next) = (mu(step), mu(step + 1.0));
            let product = state.number("mu_product", 1.0)?.mul_(&num(mu)?)?.item()?.to_f64();
            let rule = Nadam {
                direction,
                betas: h.betas,
                eps: h.eps,
                correction: 1.0 - h.betas.1.powf(step),
                rates: (-h.lr * (1.0 - mu) / (1.0 - product), -h.lr * mu_next / (1.0 - product * mu_next)),
            };
            let exp_avg = state.zeros_like("exp_avg", param)?;
            Ok((rule, [Some(exp_avg), Some(state.zeros_like("exp_avg_sq", param)?), None]))
        })
    }
}
