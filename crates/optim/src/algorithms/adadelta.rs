//! Adadelta: steps as large as the recent ones were.

use cresset_core::Result;
use cresset_core::optimizer::Direction;

use super::fused;
use crate::hyper::{hyper, not_negative, python_float};
use crate::optimizer::{Item, Optimizer, Update};

hyper! {
    /// Hyper-parameters of [`Adadelta`].
    AdadeltaOptions {
        /// Learning rate (default: 1.0).
        lr: f64 = 1.0,
        /// Decay of the means (default: 0.9).
        rho: f64 = 0.9,
        /// Added to divisors (default: 1e-6).
        eps: f64 = 1e-6,
        /// Weight decay (default: 0).
        weight_decay: f64 = 0.0,
        /// Whether to climb instead (default: no).
        maximize: bool = false,
    }
    besides { capturable, foreach, differentiable }
    ints { weight_decay }
    check |h| {
        not_negative("learning rate", h.lr)?;
        cresset_core::ensure!((0.0..=1.0).contains(&h.rho), Value, "Invalid rho value: {}", python_float(h.rho));
        not_negative("epsilon value", h.eps)?;
        not_negative("weight_decay value", h.weight_decay)?;
    }
}

/// Adadelta, as `torch.optim.Adadelta` (Zeiler 2012): `v <- r v + (1 - r) g^2`, `d = sqrt(u + eps) / sqrt(v + eps) g`,
/// `u <- r u + (1 - r) d^2`, `p <- p - lr d`.
///
#[doc = example!("Adadelta", "1.0, |o| o.rho(0.8)", "4.96")]
pub type Adadelta = Optimizer<AdadeltaUpdate>;

/// The update of [`Adadelta`].
pub struct AdadeltaUpdate;

impl Update for AdadeltaUpdate {
    type Options = AdadeltaOptions;

    fn update(items: Vec<Item<'_>>, h: &AdadeltaOptions) -> Result<()> {
        let direction = Direction::new(h.maximize, h.weight_decay, None);
        let rule = cresset_core::optimizer::Adadelta { direction, lr: h.lr, rho: h.rho, eps: h.eps };
        fused(items, |param, state| {
            state.next_step()?;
            let square_avg = state.zeros_like("square_avg", param)?;
            Ok((rule, [Some(square_avg), Some(state.zeros_like("acc_delta", param)?), None]))
        })
    }
}
