//! What an optimizer remembers: per parameter ([`State`]), and all of it as data ([`OptimizerState`]).

use cresset_core::value::Value;
use cresset_core::{DType, Result, Scalar, Tensor, bail};

/// The state of one parameter: tensors and numbers under PyTorch's names.
#[derive(Clone, Debug, Default)]
pub struct State(Vec<(String, Value)>);

impl State {
    /// Whether the parameter was never updated.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entry of that name.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Adds an entry, or replaces that of the same name.
    pub fn insert(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.0.iter_mut().find(|(k, _)| k == key) {
            Some((_, v)) => *v = value,
            None => self.0.push((key.into(), value)),
        }
    }

    /// The tensor of that name.
    ///
    /// # Errors
    /// `Key` when there is none, as in a state that another optimizer wrote.
    pub fn tensor(&self, key: &str) -> Result<&Tensor> {
        match self.get(key) {
            Some(Value::Tensor(t)) => Ok(t),
            _ => bail!(Key, "the optimizer's state has no tensor '{key}'"),
        }
    }

    /// The tensor of that name, made by `make` at the first use.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn tensor_or(&mut self, key: &str, make: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        if let Some(Value::Tensor(t)) = self.get(key) {
            return Ok(t.clone());
        }
        let t = make()?;
        self.insert(key, &t);
        Ok(t)
    }

    /// The tensor of that name, zeros like `param` at first.
    ///
    /// # Errors
    /// None for tensors that can be allocated.
    pub fn zeros_like(&mut self, key: &str, param: &Tensor) -> Result<Tensor> {
        self.tensor_or(key, || param.detach().zero())
    }

    /// Forgets the entry of that name.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|(k, _)| k != key);
    }

    /// [`State::zeros_like`] of an algorithm that has the state only with some options.
    ///
    /// # Errors
    /// None for tensors that can be allocated.
    pub fn zeros_like_if(&mut self, has: bool, key: &str, param: &Tensor) -> Result<Option<Tensor>> {
        has.then(|| self.zeros_like(key, param)).transpose()
    }

    /// A 0-dim tensor of that name, `first` at first. Old files have a number in its place.
    ///
    /// # Errors
    /// None for tensors that can be allocated.
    pub fn number(&mut self, key: &str, first: f64) -> Result<Tensor> {
        let first = self.get(key).and_then(Value::as_scalar).unwrap_or(Scalar::Float(first));
        self.tensor_or(key, || Tensor::scalar(first, DType::F32))
    }

    /// Counts an update in the entry `step`; its number, from 1.
    ///
    /// # Errors
    /// None for tensors that can be written.
    pub fn next_step(&mut self) -> Result<f64> {
        let step = self.number("step", 0.0)?;
        step.add_(&Tensor::wrapped(Scalar::Int(1))?)?;
        Ok(step.item()?.to_f64())
    }

    /// The entries in order.
    pub fn entries(&self) -> &[(String, Value)] {
        &self.0
    }
}

impl FromIterator<(String, Value)> for State {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Self {
        State(entries.into_iter().collect())
    }
}

/// All that an optimizer remembers, as PyTorch's `state_dict`: parameters are numbered through all groups.
#[derive(Clone, Debug, Default)]
pub struct OptimizerState {
    /// The state of each parameter that has one.
    pub state: Vec<(usize, State)>,
    /// Per group its hyper-parameters and, under `params`, the numbers of its parameters.
    pub param_groups: Vec<Vec<(String, Value)>>,
}

/// A tensor of a loaded state in the dtype of its parameter, unless it is a number that is kept beside; a copy of its own.
pub(crate) fn adopted(param: &Tensor, key: &str, value: &Value) -> Result<Value> {
    match value {
        Value::Tensor(t)
            if key != "step" && param.is_floating_point() && (t.dim() > 0 || param.dim() == 0) =>
        {
            Ok(Value::Tensor(own(t, param.dtype())?))
        }
        Value::Tensor(t) => Ok(Value::Tensor(own(t, t.dtype())?)),
        Value::Tensors(list) if param.is_floating_point() => {
            Ok(Value::Tensors(list.iter().map(|t| own(t, param.dtype())).collect::<Result<_>>()?))
        }
        other => Ok(other.clone()),
    }
}

fn own(t: &Tensor, dtype: DType) -> Result<Tensor> {
    t.detach().to_dtype_with(dtype, |o| o.copy(true))
}
