//! Averaged stochastic gradient descent.

use cresset_core::Result;
use cresset_core::optimizer::{Asgd, Direction};

use super::{fused, num};
use crate::hyper::{hyper, not_negative};
use crate::optimizer::{Item, Optimizer, Update};

hyper! {
    /// Hyper-parameters of [`ASGD`].
    ASGDOptions {
        /// Learning rate (default: 1e-2).
        lr: f64 = 1e-2,
        /// Decay of the parameter (default: 1e-4).
        lambd: f64 = 1e-4,
        /// Power of the learning rate's decay (default: 0.75).
        alpha: f64 = 0.75,
        /// The step at which averaging starts (default: 1e6).
        t0: f64 = 1e6,
        /// Weight decay (default: 0).
        weight_decay: f64 = 0.0,
        /// Whether to climb instead (default: no).
        maximize: bool = false,
    }
    besides { foreach, differentiable, capturable }
    ints { weight_decay }
    check |h| {
        not_negative("learning rate", h.lr)?;
        not_negative("lambd value", h.lambd)?;
        not_negative("alpha value", h.alpha)?;
        not_negative("weight_decay value", h.weight_decay)?;
    }
}

/// Averaged stochastic gradient descent, as `torch.optim.ASGD` (Polyak and Juditsky 1992); the average is the state `ax`.
///
#[doc = example!("ASGD", "0.1, |o| o.t0(1.0)", "1.31")]
pub type ASGD = Optimizer<ASGDUpdate>;

/// The update of [`ASGD`].
pub struct ASGDUpdate;

impl Update for ASGDUpdate {
    type Options = ASGDOptions;

    fn update(items: Vec<Item<'_>>, h: &ASGDOptions) -> Result<()> {
        let direction = Direction::new(h.maximize, h.weight_decay, None);
        fused(items, |param, state| {
            let step = state.next_step()?;
            let (eta, mu) = (state.number("eta", h.lr)?, state.number("mu", 1.0)?);
            let average = state.zeros_like("ax", param)?;
            let rate = eta.item()?.to_f64();
            let rule = Asgd { direction, rate, decay: 1.0 - h.lambd * rate, weight: mu.item()?.to_f64() };
            eta.copy_(&num(h.lr / (1.0 + h.lambd * h.lr * step).powf(h.alpha))?)?;
            mu.copy_(&num(1.0 / (step - h.t0).max(1.0))?)?;
            Ok((rule, [Some(average), None, None]))
        })
    }
}
