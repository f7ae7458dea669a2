//! Averaged stochastic gradient descent.

use cresset_core::value::Value;
use cresset_core::{Result, Tensor};

use super::{decayed, num, real};
use crate::hyper::{hyper, not_negative};
use crate::optimizer::{Optimizer, Update};
use crate::state::State;

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
    besides { "foreach": Value::None, "differentiable": Value::Bool(false), "capturable": Value::Bool(false) }
    check |h| {
        not_negative("learning rate", h.lr)?;
        not_negative("lambd value", h.lambd)?;
        not_negative("alpha value", h.alpha)?;
        not_negative("weight_decay value", h.weight_decay)?;
    }
}

/// Averaged stochastic gradient descent, as `torch.optim.ASGD` (Polyak and Juditsky 1992); the average is the state `ax`.
pub type ASGD = Optimizer<ASGDUpdate>;

/// The update of [`ASGD`].
pub struct ASGDUpdate;

impl Update for ASGDUpdate {
    type Options = ASGDOptions;

    fn update(param: &Tensor, grad: &Tensor, state: &mut State, h: &ASGDOptions) -> Result<()> {
        let eta = state.number("eta", h.lr)?;
        let mu = state.number("mu", 1.0)?;
        let ax = real(&state.zeros_like("ax", param)?)?;
        let step = state.next_step()?;
        let grad = real(&decayed(param, grad, h.weight_decay, h.maximize)?)?;
        let param = real(param)?;
        let rate = eta.item()?.to_f64();
        param.mul_(&num(1.0 - h.lambd * rate)?)?.add_with_(&grad, |o| o.alpha(-rate))?;
        let weight = mu.item()?.to_f64();
        if weight == 1.0 {
            ax.copy_(&param)?
        } else {
            ax.add_(&param.sub(&ax)?.mul_(&mu)?)?
        };
        eta.copy_(&num(h.lr / (1.0 + h.lambd * h.lr * step).powf(h.alpha))?)?;
        mu.copy_(&num(1.0 / (step - h.t0).max(1.0))?).map(|_| ())
    }
}
