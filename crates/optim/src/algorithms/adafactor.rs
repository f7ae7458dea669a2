//! Adafactor: second moments kept as a row and a column.

use cresset_core::optimizer;
use cresset_core::value::Value;
use cresset_core::{DType, Result, Tensor, ensure, ops};

use crate::hyper::{HyperValue, hyper, python_float};
use crate::optimizer::{Item, Optimizer, Update};

/// The least second moment (the dtype's epsilon, if it is not given) and the least size of a parameter.
pub type AdafactorEps = (Option<f64>, f64);

impl HyperValue for AdafactorEps {
    fn to_value(&self) -> Value {
        let number = |x: f64| Tensor::scalar(x, DType::F64).ok();
        match self.0 {
            Some(first) => Value::Floats(vec![first, self.1]),
            None => Value::OptTensors(vec![None, number(self.1)]),
        }
    }

    fn from_value(value: &Value) -> Result<Self> {
        match value {
            Value::OptTensors(pair) if pair.len() == 2 => {
                let number = |t: &Option<Tensor>| -> Result<Option<f64>> {
                    t.as_ref().map(|t| Ok(t.item()?.to_f64())).transpose()
                };
                Ok((number(&pair[0])?, number(&pair[1])?.unwrap_or_default()))
            }
            other => <(f64, f64)>::from_value(other).map(|(first, second)| (Some(first), second)),
        }
    }
}

hyper! {
    /// Hyper-parameters of [`Adafactor`].
    AdafactorOptions {
        /// Learning rate, at most (default: 1e-2).
        lr: f64 = 1e-2,
        /// Power of the step number by which the second moment forgets (default: -0.8).
        beta2_decay: f64 = -0.8,
        /// Least second moment (default: the dtype's epsilon) and least size of a parameter (default: 1e-3).
        eps: AdafactorEps = (None, 1e-3),
        /// Size above which an update is scaled down (default: 1).
        d: f64 = 1.0,
        /// Weight decay of the parameter itself (default: 0).
        weight_decay: f64 = 0.0,
        /// Whether to climb instead (default: no).
        maximize: bool = false,
    }
    besides { foreach }
    check |h| {
        let refuse = |ok: bool, what: &str, x: f64| {
            ensure!(ok, Value, "{what} but is: {}", python_float(x));
            Ok(())
        };
        refuse(h.lr >= 0.0, "Learning rate should be >= 0", h.lr)?;
        refuse(h.beta2_decay <= 0.0, "beta2_decay should be <= 0", h.beta2_decay)?;
        let first = h.eps.0.unwrap_or_default();
        refuse(first >= 0.0, "epsilon1 should be >= 0", first)?;
        refuse(h.eps.1 >= 0.0, "epsilon2 should be >= 0", h.eps.1)?;
        refuse(h.d >= 1.0, "Clipping threshold d should be >= 1", h.d)?;
        refuse(h.weight_decay >= 0.0, "weight_decay should be >= 0", h.weight_decay)?;
    }
}

/// Adafactor, as `torch.optim.Adafactor` (Shazeer and Stern 2018): for a matrix the second moment is the outer product
/// of its means over rows and columns, divided by their mean. A step is three passes: the means of the squares, the size of
/// the update, the update; nothing of the parameter's size is stored between them.
///
#[doc = example!("Adafactor", "0.1, |o| o.weight_decay(0.1)", "2.69")]
pub type Adafactor = Optimizer<AdafactorUpdate>;

/// The update of [`Adafactor`].
pub struct AdafactorUpdate;

impl Update for AdafactorUpdate {
    type Options = AdafactorOptions;

    fn update(items: Vec<Item<'_>>, h: &AdafactorOptions) -> Result<()> {
        items.into_iter().try_for_each(|item| update(item, h))
    }
}

fn update(item: Item<'_>, h: &AdafactorOptions) -> Result<()> {
    let Item { param, grad, state } = item;
    let (param, grad) = (&param, &grad);
    ensure!(!param.is_complex(), "Adafactor does not support complex parameters");
    ensure!(!grad.is_sparse(), "Adafactor does not support sparse gradients");
    let step = state.next_step()?;
    let rule = optimizer::Adafactor {
        rate: h.lr.min(1.0 / step.sqrt()),
        forget: step.powf(h.beta2_decay),
        eps: (h.eps.0.unwrap_or_else(|| epsilon(param.dtype())), h.eps.1),
        d: h.d,
        shrink: 1.0 - h.lr * h.weight_decay,
        maximize: h.maximize,
    };
    if grad.dim() < 2 {
        return optimizer::adafactor(&rule, param, grad, &[&state.zeros_like("variance", param)?]);
    }
    let mut mean = |key: &str, over: usize| {
        let mut sizes = grad.sizes().to_vec();
        sizes[over] = 1;
        state.tensor_or(key, || ops::zeros_with(sizes, |o| o.dtype(grad.dtype())))
    };
    let (row, column) = (mean("row_var", grad.dim() - 1)?, mean("col_var", grad.dim() - 2)?);
    optimizer::adafactor(&rule, param, grad, &[&row, &column])
}

/// The distance from 1 to the next number.
fn epsilon(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::EPSILON,
        DType::F16 => 2_f64.powi(-10),
        DType::BF16 => 2_f64.powi(-7),
        _ => f32::EPSILON.into(),
    }
}
