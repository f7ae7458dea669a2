//! Resilient backpropagation: only the signs of the gradients count.

use cresset_core::Result;

use super::{fused, real};
use crate::hyper::{Betas, hyper, not_negative, python_float};
use crate::optimizer::{Item, Optimizer, Update};

hyper! {
    /// Hyper-parameters of [`Rprop`].
    RpropOptions {
        /// Learning rate (default: 1e-2).
        lr: f64 = 1e-2,
        /// Factors by which step sizes shrink and grow (default: 0.5 and 1.2).
        etas: Betas = (0.5, 1.2),
        /// Limits of the step sizes (default: 1e-6 and 50).
        step_sizes: Betas = (1e-6, 50.0),
        /// Whether to climb instead (default: no).
        maximize: bool = false,
    }
    besides { foreach, differentiable, capturable }
    ints { step_sizes }
    check |h| {
        not_negative("learning rate", h.lr)?;
        cresset_core::ensure!(
            0.0 < h.etas.0 && h.etas.0 < 1.0 && 1.0 < h.etas.1,
            Value,
            "Invalid eta values: {}, {}",
            python_float(h.etas.0),
            python_float(h.etas.1)
        );
    }
}

/// Resilient backpropagation, as `torch.optim.Rprop` (Riedmiller and Braun 1993): a step size per element grows while
/// the gradient keeps its sign and shrinks when it changes.
///
#[doc = example!("Rprop", "0.1, |o| o.etas((0.5, 1.5))", "2.60")]
pub type Rprop = Optimizer<RpropUpdate>;

/// The update of [`Rprop`].
pub struct RpropUpdate;

impl Update for RpropUpdate {
    type Options = RpropOptions;

    fn update(items: Vec<Item<'_>>, h: &RpropOptions) -> Result<()> {
        let rule =
            cresset_core::optimizer::Rprop { maximize: h.maximize, etas: h.etas, step_sizes: h.step_sizes };
        fused(items, |param, state| {
            state.next_step()?;
            let prev = state.zeros_like("prev", param)?;
            let step_size = state.tensor_or("step_size", || {
                let size = param.detach().zero()?;
                real(&size)?.fill_(h.lr)?;
                Ok(size)
            })?;
            Ok((rule, [Some(prev), Some(step_size), None]))
        })
    }
}
