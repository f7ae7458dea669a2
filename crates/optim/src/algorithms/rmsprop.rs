//! RMSprop: steps divided by the root of a running mean of squared gradients.

use cresset_core::Result;
use cresset_core::optimizer::{Direction, Rmsprop};

use super::fused;
use crate::hyper::{hyper, not_negative};
use crate::optimizer::{Item, Optimizer, Update};

hyper! {
    /// Hyper-parameters of [`RMSprop`].
    RMSpropOptions {
        /// Learning rate (default: 1e-2).
        lr: f64 = 1e-2,
        /// Factor of the previous step (default: 0).
        momentum: f64 = 0.0,
        /// Decay of the mean of squares (default: 0.99).
        alpha: f64 = 0.99,
        /// Added to divisors (default: 1e-8).
        eps: f64 = 1e-8,
        /// Whether the variance is used instead of the mean square (default: no).
        centered: bool = false,
        /// Weight decay (default: 0).
        weight_decay: f64 = 0.0,
        /// Whether to climb instead (default: no).
        maximize: bool = false,
    }
    besides { capturable, foreach, differentiable }
    ints { weight_decay, momentum }
    check |h| {
        not_negative("learning rate", h.lr)?;
        not_negative("epsilon value", h.eps)?;
        not_negative("momentum value", h.momentum)?;
        not_negative("weight_decay value", h.weight_decay)?;
        not_negative("alpha value", h.alpha)?;
    }
}

/// RMSprop, as `torch.optim.RMSprop` (Hinton's lecture 6e; Graves 2013 for the centred form):
/// `v <- a v + (1 - a) g^2`, `p <- p - lr g / (sqrt(v) + eps)`.
///
#[doc = example!("RMSprop", "0.1, |o| o.momentum(0.5)", "0.29")]
pub type RMSprop = Optimizer<RMSpropUpdate>;

/// The update of [`RMSprop`].
pub struct RMSpropUpdate;

impl Update for RMSpropUpdate {
    type Options = RMSpropOptions;

    fn update(items: Vec<Item<'_>>, h: &RMSpropOptions) -> Result<()> {
        let rule = Rmsprop {
            direction: Direction::new(h.maximize, h.weight_decay, None),
            lr: h.lr,
            alpha: h.alpha,
            eps: h.eps,
            momentum: h.momentum,
            centered: h.centered,
        };
        fused(items, |param, state| {
            state.next_step()?;
            let square_avg = state.zeros_like("square_avg", param)?;
            let velocity = state.zeros_like_if(h.momentum > 0.0, "momentum_buffer", param)?;
            let mean = state.zeros_like_if(h.centered, "grad_avg", param)?;
            Ok((rule, [Some(square_avg), mean, velocity]))
        })
    }
}
