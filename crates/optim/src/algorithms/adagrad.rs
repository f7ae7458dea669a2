//! Adagrad: steps divided by the root of the sum of all squared gradients.

use cresset_core::optimizer::{Direction, step_rows};
use cresset_core::{Result, Tensor, ensure};

use super::{fused, num, real};
use crate::hyper::{hyper, not_negative};
use crate::optimizer::{Item, Optimizer, Update};
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
    besides { foreach, differentiable, fused }
    ints { lr_decay, weight_decay, initial_accumulator_value }
    check |h| {
        not_negative("learning rate", h.lr)?;
        not_negative("lr_decay value", h.lr_decay)?;
        not_negative("weight_decay value", h.weight_decay)?;
        not_negative("initial_accumulator_value value", h.initial_accumulator_value)?;
        not_negative("epsilon value", h.eps)?;
    }
}

/// Adagrad, as `torch.optim.Adagrad` (Duchi et al. 2011): `s <- s + g^2`, `p <- p - lr g / (sqrt(s) + eps)`.
///
#[doc = example!("Adagrad", "0.1, |o| o.lr_decay(0.1)", "3.84")]
pub type Adagrad = Optimizer<AdagradUpdate>;

/// The update of [`Adagrad`].
pub struct AdagradUpdate;

impl Update for AdagradUpdate {
    type Options = AdagradOptions;

    fn prepare(param: &Tensor, state: &mut State, h: &AdagradOptions) -> Result<()> {
        state.number("step", 0.0)?;
        let sum = state.zeros_like("sum", param)?;
        real(&sum)?.add_(&num(h.initial_accumulator_value)?).map(|_| ())
    }

    const TAKES_SPARSE: bool = true;

    fn update(items: Vec<Item<'_>>, h: &AdagradOptions) -> Result<()> {
        let direction = Direction::new(h.maximize, h.weight_decay, None);
        let (sparse, strided): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| item.grad.is_sparse());
        let rule = |step: f64| {
            let rate = h.lr / (1.0 + (step - 1.0) * h.lr_decay);
            cresset_core::optimizer::Adagrad { direction, rate, eps: h.eps }
        };
        for Item { param, grad, state } in sparse {
            ensure!(h.weight_decay == 0.0, "weight_decay option is not compatible with sparse gradients");
            let rule = rule(state.next_step()?).into();
            step_rows(rule, &param, &grad.coalesce()?, [Some(state.tensor("sum")?), None, None])?;
        }
        fused(strided, |_, state| {
            let rule = rule(state.next_step()?);
            Ok((rule, [Some(state.tensor("sum")?.clone()), None, None]))
        })
    }
}
