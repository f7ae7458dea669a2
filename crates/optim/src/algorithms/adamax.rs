//! Adamax: Adam with the largest gradient in place of the second moment.

use cresset_core::Result;
use cresset_core::optimizer::Direction;

use super::fused;
use crate::hyper::{Betas, betas, hyper, not_negative};
use crate::optimizer::{Item, Optimizer, Update};

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
    besides { foreach, differentiable, capturable }
    ints { weight_decay }
    check |h| {
        not_negative("learning rate", h.lr)?;
        not_negative("epsilon value", h.eps)?;
        betas(h.betas)?;
        not_negative("weight_decay value", h.weight_decay)?;
    }
}

/// Adamax, as `torch.optim.Adamax` (Kingma and Ba 2014): `u <- max(b2 u, |g| + eps)`, `p <- p - lr m' / u`.
///
#[doc = example!("Adamax", "0.1, |o| o.betas((0.8, 0.9))", "3.34")]
pub type Adamax = Optimizer<AdamaxUpdate>;

/// The update of [`Adamax`].
pub struct AdamaxUpdate;

impl Update for AdamaxUpdate {
    type Options = AdamaxOptions;

    fn update(items: Vec<Item<'_>>, h: &AdamaxOptions) -> Result<()> {
        let direction = Direction::new(h.maximize, h.weight_decay, None);
        fused(items, |param, state| {
            let rate = h.lr / (1.0 - h.betas.0.powf(state.next_step()?));
            let rule = cresset_core::optimizer::Adamax { direction, rate, betas: h.betas, eps: h.eps };
            let exp_avg = state.zeros_like("exp_avg", param)?;
            Ok((rule, [Some(exp_avg), Some(state.zeros_like("exp_inf", param)?), None]))
        })
    }
}
