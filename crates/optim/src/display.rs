//! Optimizers in PyTorch's words.

use cresset_core::{Tensor, Value};

use crate::hyper::python_float;
use crate::optimizer::{Optimizer, Update, name_of};

impl<U: Update> std::fmt::Display for Optimizer<U> {
    /// As PyTorch prints optimizers, by group.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (", name_of::<U>())?;
        for (i, group) in self.groups().iter().enumerate() {
            writeln!(f, "\nParameter Group {i}")?;
            let mut entries = group.entries();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            entries.iter().try_for_each(|(k, v)| writeln!(f, "    {k}: {}", python(v)))?;
        }
        write!(f, ")")
    }
}

/// A hyper-parameter as Python prints it.
fn python(value: &Value) -> String {
    let tuple = |items: Vec<String>| format!("({})", items.join(", "));
    match value {
        Value::None => "None".into(),
        Value::Bool(b) => if *b { "True" } else { "False" }.into(),
        Value::Float(x) => python_float(*x),
        Value::Int(i) => i.to_string(),
        Value::Str(text) => text.clone(),
        Value::Floats(list) => tuple(list.iter().map(|x| python_float(*x)).collect()),
        Value::Scalars(list) => tuple(list.iter().map(|x| python(&Value::from(*x))).collect()),
        Value::OptTensors(list) => {
            let number =
                |t: &Option<Tensor>| t.as_ref().and_then(|t| t.item().ok()).map_or(Value::None, Value::from);
            tuple(list.iter().map(|t| python(&number(t))).collect())
        }
        other => format!("{other:?}"),
    }
}

/// PyTorch's words for a step on the CPU that is to be captured.
pub(crate) fn not_capturable(name: &str) -> String {
    let (states, more) = match name {
        "NAdam" => (", mu_products and state_steps", ", 'xla'"),
        "ASGD" => (", mus, etas, and state_steps", ", 'xla'"),
        "Adadelta" => (" and state_steps", ""),
        _ => (" and state_steps", ", 'xla'"),
    };
    format!(
        "If capturable=True, params{states} must be on supported devices: ['cuda', 'xpu', 'hpu', 'privateuseone'{more}]."
    )
}
