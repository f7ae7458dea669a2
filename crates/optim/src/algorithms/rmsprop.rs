//! RMSprop: steps divided by the root of a running mean of squared gradients.

use cresset_core::value::Value;
use cresset_core::{Result, Tensor};

use super::{average_square, decayed, num, real};
use crate::hyper::{hyper, not_negative};
use crate::optimizer::{Optimizer, Update};
use crate::state::State;

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
    besides { "capturable": Value::Bool(false), "foreach": Value::None, "differentiable": Value::Bool(false) }
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
pub type RMSprop = Optimizer<RMSpropUpdate>;

/// The update of [`RMSprop`].
pub struct RMSpropUpdate;

impl Update for RMSpropUpdate {
    type Options = RMSpropOptions;

    fn update(param: &Tensor, grad: &Tensor, state: &mut State, h: &RMSpropOptions) -> Result<()> {
        state.next_step()?;
        let grad = decayed(param, grad, h.weight_decay, h.maximize)?;
        let square_avg = state.zeros_like("square_avg", param)?;
        let momentum =
            if h.momentum > 0.0 { Some(state.zeros_like("momentum_buffer", param)?) } else { None };
        let mean = if h.centered { Some(state.zeros_like("grad_avg", param)?) } else { None };
        let (param, grad, square_avg) = (real(param)?, real(&grad)?, real(&square_avg)?);
        average_square(&square_avg, &grad, h.alpha)?;
        let variance = match mean {
            Some(mean) => {
                let mean = real(&mean)?;
                mean.lerp_scalar_(&grad, 1.0 - h.alpha)?;
                square_avg.addcmul_with(&mean, &mean, |o| o.value(-1.0))?
            }
            None => square_avg,
        };
        let root = variance.sqrt()?.add_(&num(h.eps)?)?;
        match momentum {
            Some(step) => {
                let step = real(&step)?.mul_(&num(h.momentum)?)?.addcdiv_(&grad, &root)?;
                param.add_with_(&step, |o| o.alpha(-h.lr))?;
            }
            None => drop(param.addcdiv_with_(&grad, &root, |o| o.value(-h.lr))?),
        }
        Ok(())
    }
}
