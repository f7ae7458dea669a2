//! Adagrad: steps divided by the root of the sum of all squared gradients.

use cresset_core::value::Value;
use cresset_core::{Result, Tensor, ensure};

use super::{decayed, like, num, real};
use crate::hyper::{hyper, not_negative};
use crate::optimizer::{Optimizer, Update};
use crate::state::State;

hyper! {
    /// Hyper-parameters of [`Adagrad`].
    AdagradOptions {
        /// Learning rate (default: 1e-2).
        lr: f64 = 1e-2,
        /// Decay of the learning rate per step (default: 0).
        lr_decay: f64 = 0.0,
        /// Added to divisors (default: 1e-10).
        eps: f64 = 1e-10,
        /// Weight decay (default: 0).
        weight_decay: f64 = 0.0,
        /// Where the sum starts (default: 0).
        initial_accumulator_value: f64 = 0.0,
        /// Whether to climb instead (default: no).
        maximize: bool = false,
    }
    besides { "foreach": Value::None, "differentiable": Value::Bool(false), "fused": Value::None }
    check |h| {
        not_negative("learning rate", h.lr)?;
        not_negative("lr_decay value", h.lr_decay)?;
        not_negative("weight_decay value", h.weight_decay)?;
        not_negative("initial_accumulator_value value", h.initial_accumulator_value)?;
        not_negative("epsilon value", h.eps)?;
    }
}

/// Adagrad, as `torch.optim.Adagrad` (Duchi et al. 2011): `s <- s + g^2`, `p <- p - lr g / (sqrt(s) + eps)`.
pub type Adagrad = Optimizer<AdagradUpdate>;

/// The update of [`Adagrad`].
pub struct AdagradUpdate;

/// The update of the rows that a sparse gradient has.
fn update_rows(param: &Tensor, grad: &Tensor, state: &State, h: &AdagradOptions, rate: f64) -> Result<()> {
    ensure!(h.weight_decay == 0.0, "weight_decay option is not compatible with sparse gradients");
    let grad = if h.maximize { grad.neg()? } else { grad.clone() }.coalesce()?;
    let (values, sum) = (grad._values()?, state.tensor("sum")?);
    if values.numel() == 0 {
        return Ok(());
    }
    sum.add_(&like(&grad, &values.pow_scalar(2)?)?)?;
    let root = sum.sparse_mask(&grad)?._values()?.sqrt()?.add_(&num(h.eps)?)?;
    param.add_with_(&like(&grad, &values.div(&root)?)?, |o| o.alpha(-rate)).map(|_| ())
}

impl Update for AdagradUpdate {
    type Options = AdagradOptions;

    fn prepare(param: &Tensor, state: &mut State, h: &AdagradOptions) -> Result<()> {
        state.number("step", 0.0)?;
        let sum = state.zeros_like("sum", param)?;
        real(&sum)?.add_(&num(h.initial_accumulator_value)?).map(|_| ())
    }

    const TAKES_SPARSE: bool = true;

    fn update(param: &Tensor, grad: &Tensor, state: &mut State, h: &AdagradOptions) -> Result<()> {
        let step = state.next_step()?;
        if grad.is_sparse() {
            return update_rows(param, grad, state, h, h.lr / (1.0 + (step - 1.0) * h.lr_decay));
        }
        let grad = real(&decayed(param, grad, h.weight_decay, h.maximize)?)?;
        let rate = h.lr / (1.0 + (step - 1.0) * h.lr_decay);
        let sum = real(state.tensor("sum")?)?;
        sum.addcmul_(&grad, &grad)?;
        let root = sum.sqrt()?.add_(&num(h.eps)?)?;
        real(param)?.addcdiv_with_(&grad, &root, |o| o.value(-rate)).map(|_| ())
    }
}
