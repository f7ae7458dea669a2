//! SparseAdam: Adam on the rows of a table that have gradients.

use cresset_core::optimizer::{self, Rule};
use cresset_core::value::Value;
use cresset_core::{Result, Tensor, bail, ensure};

use crate::hyper::{Betas, betas, hyper, python_float};
use crate::optimizer::{Item, Optimizer, Update};

hyper! {
    /// Hyper-parameters of [`SparseAdam`].
    SparseAdamOptions {
        /// Learning rate (default: 1e-3).
        lr: f64 = 1e-3,
        /// Decay rates of the moments (default: 0.9 and 0.999).
        betas: Betas = (0.9, 0.999),
        /// Added to the root of the second moment (default: 1e-8).
        eps: f64 = 1e-8,
        /// Whether to climb instead (default: no).
        maximize: bool = false,
    }
    besides {}
    check |h| {
        ensure!(h.lr > 0.0, Value, "Invalid learning rate: {}", python_float(h.lr));
        ensure!(h.eps > 0.0, Value, "Invalid epsilon value: {}", python_float(h.eps));
        betas(h.betas)?;
    }
}

/// Adam for sparse gradients, as `torch.optim.SparseAdam`: moments and parameters change only where the gradient has
/// elements, in one pass over those rows; the steps are counted for the whole parameter.
///
/// # Examples
/// ```
/// use cresset_core::{Result, ops, tensor};
/// use cresset_optim::SparseAdam;
///
/// # fn main() -> Result<()> {
/// let table = ops::ones([4, 2])?.requires_grad_(true)?;
/// let mut optimizer = SparseAdam::new([table.clone()], 0.25)?;
/// ops::embedding_with(&table, &tensor![2, 0], |o| o.sparse(true))?.sum()?.backward()?;
/// optimizer.step()?;
/// let column = table.select(1, 0)?.to_vec::<f32>()?;
/// assert_eq!(format!("{column:.2?}"), "[0.75, 1.00, 0.75, 1.00]");
/// # Ok(())
/// # }
/// ```
pub type SparseAdam = Optimizer<SparseAdamUpdate>;

/// The update of [`SparseAdam`].
pub struct SparseAdamUpdate;

impl Update for SparseAdamUpdate {
    type Options = SparseAdamOptions;

    const TAKES_SPARSE: bool = true;

    fn check_params(params: &[Tensor], group: usize) -> Result<()> {
        let refuse = |what: &str, rule: &str, is: fn(&Tensor) -> bool| {
            let at: Vec<[usize; 2]> =
                params.iter().enumerate().filter(|(_, p)| is(p)).map(|(i, _)| [group, i]).collect();
            ensure!(at.is_empty(), Value, "{what} params at indices {at:?}: SparseAdam {rule}");
            Ok(())
        };
        refuse("Sparse", "requires dense parameter tensors", Tensor::is_sparse)?;
        refuse("Complex", "does not support complex parameters", Tensor::is_complex)
    }

    fn update(items: Vec<Item<'_>>, h: &SparseAdamOptions) -> Result<()> {
        items.into_iter().try_for_each(|item| update(item, h))
    }
}

fn update(item: Item<'_>, h: &SparseAdamOptions) -> Result<()> {
    let Item { param, grad, state } = item;
    let (param, grad) = (&param, &grad);
    if !grad.is_sparse() {
        bail!("SparseAdam does not support dense gradients, please consider Adam instead");
    }
    let step = match state.get("step").and_then(Value::as_scalar) {
        Some(step) => step.to_i64() + 1,
        None => 1,
    };
    state.insert("step", step);
    let (exp_avg, exp_avg_sq) = (state.zeros_like("exp_avg", param)?, state.zeros_like("exp_avg_sq", param)?);
    let (first, second) = (1.0 - h.betas.0.powf(step as f64), 1.0 - h.betas.1.powf(step as f64));
    let rate = h.lr * second.sqrt() / first;
    let rule = Rule::from(optimizer::SparseAdam { maximize: h.maximize, betas: h.betas, eps: h.eps, rate });
    optimizer::step_rows(rule, param, &grad.coalesce()?, [Some(&exp_avg), Some(&exp_avg_sq), None])
}
