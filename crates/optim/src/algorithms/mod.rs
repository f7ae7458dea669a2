//! The algorithms, one per file.

/// The example of an algorithm: its name, its settings, and the loss after three steps, which is PyTorch's.
macro_rules! example {
    ($name:literal, $settings:literal, $loss:literal) => {
        concat!(
            "# Examples\n```\nuse cresset_core::{Result, tensor};\nuse cresset_optim::",
            $name,
            ";\n\n# fn main() -> Result<()> {\nlet w = tensor![[1.0, -2.0]].requires_grad_(true)?;\nlet mut optimizer = ",
            $name,
            "::with([w.clone()], ",
            $settings,
            ")?;\nfor _ in 0..3 {\n    optimizer.zero_grad();\n    w.square()?.sum()?.backward()?;\n    optimizer.step()?;\n}\nassert_eq!(format!(\"{:.2}\", w.square()?.sum()?.item()?.to_f64()), \"",
            $loss,
            "\");\n# Ok(())\n# }\n```"
        )
    };
}

mod adadelta;
mod adafactor;
mod adagrad;
mod adam;
mod adamax;
mod asgd;
mod lbfgs;
mod line_search;
mod muon;
mod nadam;
mod radam;
mod rmsprop;
mod rprop;
mod sgd;
mod sparse_adam;

pub use adadelta::{Adadelta, AdadeltaOptions, AdadeltaUpdate};
pub use adafactor::{Adafactor, AdafactorEps, AdafactorOptions, AdafactorUpdate};
pub use adagrad::{Adagrad, AdagradOptions, AdagradUpdate};
pub use adam::{Adam, AdamOptions, AdamUpdate, AdamW, AdamWOptions, AdamWUpdate};
pub use adamax::{Adamax, AdamaxOptions, AdamaxUpdate};
pub use asgd::{ASGD, ASGDOptions, ASGDUpdate};
pub use lbfgs::{LBFGS, LBFGSOptions, LBFGSUpdate};
pub use muon::{Muon, MuonOptions, MuonUpdate, Quintic};
pub use nadam::{NAdam, NAdamOptions, NAdamUpdate};
pub use radam::{RAdam, RAdamOptions, RAdamUpdate};
pub use rmsprop::{RMSprop, RMSpropOptions, RMSpropUpdate};
pub use rprop::{Rprop, RpropOptions, RpropUpdate};
pub use sgd::{SGD, SGDOptions, SGDUpdate};
pub use sparse_adam::{SparseAdam, SparseAdamOptions, SparseAdamUpdate};

use cresset_core::optimizer::{self, Rule, STATES};
use cresset_core::{DType, Result, Scalar, Tensor};

use crate::optimizer::Item;
use crate::state::State;

/// A number as an operand.
fn num(x: f64) -> Result<Tensor> {
    Tensor::wrapped(Scalar::Float(x))
}

/// The gradient to follow: downhill, or uphill with `maximize`, with the parameter's decay added.
fn decayed(param: &Tensor, grad: &Tensor, weight_decay: f64, maximize: bool) -> Result<Tensor> {
    let grad = if maximize { grad.neg()? } else { grad.clone() };
    if weight_decay == 0.0 { Ok(grad) } else { grad.add_with(param, |o| o.alpha(weight_decay)) }
}

/// One pass over all parameters and their states. `prepare` counts the step of a parameter, makes its states and says its
/// rule; states that the algorithm does not have are absent for all.
fn fused<R: Into<Rule>>(
    items: Vec<Item<'_>>,
    prepare: impl Fn(&Tensor, &mut State) -> Result<(R, [Option<Tensor>; STATES])>,
) -> Result<()> {
    for mut items in by_precision(items) {
        let (mut rules, mut states) = (Vec::new(), [const { Vec::new() }; STATES]);
        for item in &mut items {
            let (rule, has) = prepare(&item.param, item.state)?;
            rules.push(rule.into());
            for (list, state) in states.iter_mut().zip(has) {
                list.extend(state.map(|s| real(&s)).transpose()?);
            }
        }
        let params = as_real(items.iter().map(|i| &i.param))?;
        let grads = as_real(items.iter().map(|i| &i.grad))?;
        optimizer::step(&rules, &params, &grads, states.each_ref().map(Vec::as_slice))?;
    }
    Ok(())
}

/// Groups of parameters that one fused call can update, single and double precision.
fn by_precision(items: Vec<Item<'_>>) -> Vec<Vec<Item<'_>>> {
    let is_double = |item: &Item<'_>| matches!(item.param.dtype(), DType::F64 | DType::Complex128);
    let (double, single): (Vec<_>, Vec<_>) = items.into_iter().partition(is_double);
    [single, double].into_iter().filter(|items| !items.is_empty()).collect()
}

/// Complex tensors as views of their parts: the algorithms treat those as numbers of their own.
fn as_real<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<Vec<Tensor>> {
    tensors.into_iter().map(real).collect()
}

fn real(t: &Tensor) -> Result<Tensor> {
    if t.is_complex() { t.view_as_real() } else { Ok(t.clone()) }
}
