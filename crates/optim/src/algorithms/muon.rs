//! Muon: momentum whose matrix is made orthogonal.

use std::slice::from_ref;

use cresset_core::optimizer::{self, Direction, Rule, Sgd};
use cresset_core::value::Value;
use cresset_core::{DType, Result, Tensor, bail, ensure, ops};

use crate::hyper::{HyperValue, hyper, python_float};
use crate::optimizer::{Item, Optimizer, Update};
use crate::state::State;

/// The coefficients of a quintic polynomial.
pub type Quintic = (f64, f64, f64);

impl HyperValue for Quintic {
    fn to_value(&self) -> Value {
        Value::Floats(vec![self.0, self.1, self.2])
    }

    fn from_value(value: &Value) -> Result<Self> {
        match value {
            Value::Floats(l) if l.len() == 3 => Ok((l[0], l[1], l[2])),
            Value::Ints(l) if l.len() == 3 => Ok((l[0] as f64, l[1] as f64, l[2] as f64)),
            _ => bail!(Value, "Coefficients must be a tuple of exactly 3 values"),
        }
    }
}

hyper! {
    /// Hyper-parameters of [`Muon`].
    MuonOptions {
        /// Learning rate (default: 1e-3).
        lr: f64 = 1e-3,
        /// Weight decay of the parameter itself (default: 0.1).
        weight_decay: f64 = 0.1,
        /// Factor of the previous momentum (default: 0.95).
        momentum: f64 = 0.95,
        /// Whether the step looks ahead along the momentum (default: yes).
        nesterov: bool = true,
        /// Coefficients of the Newton-Schulz polynomial (default: 3.4445, -4.775, 2.0315).
        ns_coefficients: Quintic = (3.4445, -4.7750, 2.0315),
        /// Least norm to divide by (default: 1e-7).
        eps: f64 = 1e-7,
        /// Newton-Schulz iterations (default: 5).
        ns_steps: i64 = 5,
        /// How the rate depends on the shape: `original` (default), `match_rms_adamw` or `spectral_unclamped`.
        adjust_lr_fn: Option<String> = None,
    }
    besides {}
    check |h| {
        ensure!(h.lr >= 0.0, Value, "Learning rate should be >= 0 but is: {}", python_float(h.lr));
        ensure!(h.momentum >= 0.0, Value, "momentum should be >= 0 but is: {}", python_float(h.momentum));
        ensure!(
            h.weight_decay >= 0.0,
            Value,
            "weight decay should be >= 0 but is: {}",
            python_float(h.weight_decay)
        );
        adjusted(h, 1.0, 1.0)?;
    }
}

/// Muon, as `torch.optim.Muon` (Jordan et al. 2024): the momentum of a matrix is brought near to its orthogonal factor
/// by a Newton-Schulz iteration in `bfloat16`. Momentum and update are a pass each; between them are three products of
/// matrices per iteration.
///
#[doc = example!("Muon", "0.1, |o| o.momentum(0.9)", "3.87")]
pub type Muon = Optimizer<MuonUpdate>;

/// The update of [`Muon`].
pub struct MuonUpdate;

impl Update for MuonUpdate {
    type Options = MuonOptions;

    fn prepare(param: &Tensor, _: &mut State, _: &MuonOptions) -> Result<()> {
        ensure!(
            param.dim() == 2,
            Value,
            "Muon only supports 2D parameters whereas we found a parameter with size: torch.Size({:?})",
            &param.sizes()[..]
        );
        Ok(())
    }

    fn update(items: Vec<Item<'_>>, h: &MuonOptions) -> Result<()> {
        items.into_iter().try_for_each(|item| update(item, h))
    }
}

fn update(item: Item<'_>, h: &MuonOptions) -> Result<()> {
    let Item { param, grad, state } = item;
    let (param, grad) = (&param, &grad);
    ensure!(!param.is_complex(), "Muon does not support complex parameters");
    ensure!(!grad.is_sparse(), "Muon does not support sparse gradients");
    let buffer = state.zeros_like("momentum_buffer", grad)?;
    let update = ops::empty_like_with(param, |o| {
        o.dtype(if param.dtype() == DType::F64 { DType::F64 } else { DType::F32 })
    })?;
    let ahead = Rule::from(optimizer::Muon { momentum: h.momentum, nesterov: h.nesterov });
    step(ahead, &update, grad, &[buffer])?;
    let update = orthogonal(&update, h)?;
    let lr = adjusted(h, param.size(0)? as f64, param.size(1)? as f64)?;
    let direction = Direction::new(false, h.weight_decay, Some(h.lr));
    let descend = Sgd { direction, lr, momentum: 0.0, dampening: 0.0, nesterov: false, first: false };
    step(descend.into(), param, &update, &[])
}

fn step(rule: Rule, param: &Tensor, grad: &Tensor, state: &[Tensor]) -> Result<()> {
    optimizer::step(&[rule], from_ref(param), from_ref(grad), [state, &[], &[]])
}

/// The rate for a matrix of `rows` and `columns`.
fn adjusted(h: &MuonOptions, rows: f64, columns: f64) -> Result<f64> {
    let ratio = match h.adjust_lr_fn.as_deref() {
        None | Some("original") => (rows / columns).max(1.0).sqrt(),
        Some("match_rms_adamw") => 0.2 * rows.max(columns).sqrt(),
        Some("spectral_unclamped") => (rows / columns).sqrt(),
        Some(other) => bail!(Value, "Adjust learning rate function {other} is not supported"),
    };
    Ok(h.lr * ratio)
}

/// `x <- a x + (b x x' + c (x x')^2) x`, which drives the singular values of `x` to about 1.
fn orthogonal(grad: &Tensor, h: &MuonOptions) -> Result<Tensor> {
    ensure!(h.ns_steps < 100, Value, "Number of steps must be less than 100 for computational efficiency");
    let (a, b, c) = h.ns_coefficients;
    let is_tall = grad.size(0)? > grad.size(1)?;
    let turned = |x: Tensor| if is_tall { x.t() } else { Ok(x) };
    let x = turned(grad.to_dtype(DType::BF16)?)?;
    let mut x = x.div(&x.norm()?.clamp_min(h.eps)?)?;
    for _ in 0..h.ns_steps {
        let gram = x.mm(&x.t()?)?;
        let update = ops::addmm_with(&gram, &gram, &gram, |o| o.beta(b).alpha(c))?;
        x = ops::addmm_with(&x, &update, &x, |o| o.beta(a))?;
    }
    turned(x)
}
