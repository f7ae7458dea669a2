//! [`PyValue`]: what a `.pt` file holds, as a tree.

use cresset_core::{DType, Error, Result, Tensor, Value, bail};

/// A Python value in a file: what `torch.load` returns and `torch.save` takes.
#[derive(Clone, Debug)]
pub enum PyValue {
    /// `None`.
    None,
    /// `bool`.
    Bool(bool),
    /// `int` that fits into 64 bits.
    Int(i64),
    /// Any other `int`: little-endian two's complement.
    BigInt(Vec<u8>),
    /// `float`, also a numpy scalar.
    Float(f64),
    /// `complex`: real and imaginary part.
    Complex(f64, f64),
    /// `str`.
    Str(String),
    /// `bytes` or `bytearray`.
    Bytes(Vec<u8>),
    /// `list`.
    List(Vec<PyValue>),
    /// `tuple`.
    Tuple(Vec<PyValue>),
    /// `dict` and its kin (`Counter`, `defaultdict`), in insertion order.
    Dict(Vec<(PyValue, PyValue)>),
    /// `collections.OrderedDict`, such as a `state_dict`.
    OrderedDict(Vec<(PyValue, PyValue)>),
    /// `set` or `frozenset`.
    Set(Vec<PyValue>),
    /// `torch.Tensor`, also a numpy array.
    Tensor(Tensor),
    /// `torch.nn.Parameter`.
    Parameter(Tensor),
    /// `torch.dtype`.
    DType(DType),
    /// `torch.device`, by name: the machine that reads may not have it.
    Device(String),
    /// `torch.Size`.
    Size(Vec<i64>),
    /// An object of a class that the reader knows only by name: never called, only shown.
    Object(Box<Object>),
}

/// An object that was read as inert data.
#[derive(Clone, Debug)]
pub struct Object {
    /// The class, with its module.
    pub class: String,
    /// What the class would be called with.
    pub args: Vec<PyValue>,
    /// What `__setstate__` would get: mostly a dict of the attributes.
    pub state: PyValue,
}

impl PyValue {
    /// An `OrderedDict` of named tensors.
    pub fn from_state_dict<K: Into<String>>(entries: impl IntoIterator<Item = (K, Tensor)>) -> PyValue {
        let entry = |(name, tensor): (K, Tensor)| (PyValue::Str(name.into()), PyValue::Tensor(tensor));
        PyValue::OrderedDict(entries.into_iter().map(entry).collect())
    }

    /// A `dict` with text keys.
    pub fn dict<K: Into<String>>(entries: impl IntoIterator<Item = (K, PyValue)>) -> PyValue {
        PyValue::Dict(entries.into_iter().map(|(key, value)| (PyValue::Str(key.into()), value)).collect())
    }

    /// What it is, as Python names the type.
    pub fn type_name(&self) -> &str {
        match self {
            PyValue::None => "NoneType",
            PyValue::Bool(_) => "bool",
            PyValue::Int(_) | PyValue::BigInt(_) => "int",
            PyValue::Float(_) => "float",
            PyValue::Complex(..) => "complex",
            PyValue::Str(_) => "str",
            PyValue::Bytes(_) => "bytes",
            PyValue::List(_) => "list",
            PyValue::Tuple(_) => "tuple",
            PyValue::Dict(_) => "dict",
            PyValue::OrderedDict(_) => "OrderedDict",
            PyValue::Set(_) => "set",
            PyValue::Tensor(_) => "Tensor",
            PyValue::Parameter(_) => "Parameter",
            PyValue::DType(_) => "torch.dtype",
            PyValue::Device(_) => "torch.device",
            PyValue::Size(_) => "torch.Size",
            PyValue::Object(object) => &object.class,
        }
    }

    /// The value under a text key, if this is a dict (or an object with attributes) that has it.
    pub fn get(&self, key: &str) -> Option<&PyValue> {
        let found = self.entries()?.iter().find(|(k, _)| matches!(k, PyValue::Str(name) if name == key));
        found.map(|(_, value)| value)
    }

    /// The entries, if this is a dict or an object with attributes.
    pub fn entries(&self) -> Option<&[(PyValue, PyValue)]> {
        match self {
            PyValue::Dict(entries) | PyValue::OrderedDict(entries) => Some(entries),
            PyValue::Object(object) => object.state.entries(),
            _ => None,
        }
    }

    /// The items, if this is a list, tuple or set.
    pub fn items(&self) -> Option<&[PyValue]> {
        match self {
            PyValue::List(items) | PyValue::Tuple(items) | PyValue::Set(items) => Some(items),
            _ => None,
        }
    }

    /// The tensor, if it is one or a parameter.
    pub fn as_tensor(&self) -> Option<&Tensor> {
        match self {
            PyValue::Tensor(tensor) | PyValue::Parameter(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// The number, if it is an `int` of at most 64 bits.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            PyValue::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, if it is a `float` or a small `int`.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            PyValue::Float(value) => Some(*value),
            PyValue::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// The flag, if it is a `bool`.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            PyValue::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if it is a `str`.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            PyValue::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The named tensors of a `state_dict`, in order.
    ///
    /// # Errors
    /// `Type` when this is no dict, a key is no text or a value no tensor.
    pub fn into_state_dict(self) -> Result<Vec<(String, Tensor)>> {
        let (PyValue::Dict(entries) | PyValue::OrderedDict(entries)) = self else {
            let got = self.type_name();
            return Err(Error::type_error(format!(
                "Expected state_dict to be dict-like, got <class '{got}'>."
            )));
        };
        let tensor = |(key, value): (PyValue, PyValue)| match (key, value) {
            (PyValue::Str(name), PyValue::Tensor(tensor) | PyValue::Parameter(tensor)) => Ok((name, tensor)),
            (PyValue::Str(name), other) => Err(Error::type_error(format!(
                "expected torch.Tensor or Tensor-like object from checkpoint for \"{name}\" but received {}",
                other.type_name()
            ))),
            (key, _) => Err(Error::type_error(format!(
                "expected names as keys of a state_dict, got {}",
                key.type_name()
            ))),
        };
        entries.into_iter().map(tensor).collect()
    }

    /// All tensors in the tree with the keys and positions that lead to them, depth first.
    pub fn tensors(&self) -> Vec<(Vec<String>, &Tensor)> {
        let mut found = Vec::new();
        self.collect(&mut Vec::new(), &mut found);
        found
    }

    fn collect<'a>(&'a self, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, &'a Tensor)>) {
        if let Some(tensor) = self.as_tensor() {
            found.push((path.clone(), tensor));
        }
        for (key, value) in self.entries().unwrap_or_default() {
            path.push(key.as_key());
            value.collect(path, found);
            path.pop();
        }
        for (i, value) in self.items().unwrap_or_default().iter().enumerate() {
            path.push(i.to_string());
            value.collect(path, found);
            path.pop();
        }
    }

    /// The value as a step of a path.
    fn as_key(&self) -> String {
        match self {
            PyValue::Str(text) => text.clone(),
            PyValue::Int(value) => value.to_string(),
            other => format!("{other:?}"),
        }
    }
}

macro_rules! from_values {
    ($($ty:ty => $variant:ident),*) => {$(
        impl From<$ty> for PyValue {
            fn from(value: $ty) -> PyValue {
                PyValue::$variant(value.into())
            }
        }
    )*};
}

from_values!(bool => Bool, i64 => Int, i32 => Int, u32 => Int, f64 => Float, &str => Str, String => Str, Tensor => Tensor, DType => DType);

/// A tensor, or the number that stands for one beside absent members.
fn number_or_tensor(t: &Tensor) -> Result<PyValue> {
    match t.dim() {
        0 => Ok(PyValue::Float(t.item()?.to_f64())),
        _ => Ok(PyValue::Tensor(t.clone())),
    }
}

/// A list whose members are tensors or numbers, some of them absent.
fn optional_list(items: &[PyValue]) -> Option<Value> {
    let member = |item: &PyValue| match item {
        PyValue::None => Some(None),
        PyValue::Tensor(t) => Some(Some(t.clone())),
        other => Tensor::scalar(other.as_float()?, DType::F64).ok().map(Some),
    };
    let members: Vec<Option<Tensor>> = items.iter().map(member).collect::<Option<_>>()?;
    match items.iter().all(|item| matches!(item, PyValue::Tensor(_))) {
        true => Some(Value::Tensors(members.into_iter().flatten().collect())),
        false => Some(Value::OptTensors(members)),
    }
}

impl TryFrom<&Value> for PyValue {
    type Error = Error;

    /// An argument or option as Python has it: lists of ints as `list`, of floats as `tuple` (`betas`).
    fn try_from(value: &Value) -> Result<PyValue> {
        Ok(match value {
            Value::None => PyValue::None,
            Value::Bool(v) => PyValue::Bool(*v),
            Value::Int(v) => PyValue::Int(*v),
            Value::Float(v) => PyValue::Float(*v),
            Value::Str(v) => PyValue::Str(v.clone()),
            Value::Tensor(v) => PyValue::Tensor(v.clone()),
            Value::Ints(list) => PyValue::List(list.iter().map(|v| PyValue::Int(*v)).collect()),
            Value::Floats(list) => PyValue::Tuple(list.iter().map(|v| PyValue::Float(*v)).collect()),
            Value::Scalars(list) => {
                let items = list.iter().map(|v| PyValue::try_from(&Value::from(*v)));
                PyValue::Tuple(items.collect::<Result<_>>()?)
            }
            Value::Tensors(list) => PyValue::List(list.iter().map(|t| PyValue::Tensor(t.clone())).collect()),
            Value::OptTensors(list) => {
                let item = |t: &Option<Tensor>| t.as_ref().map_or(Ok(PyValue::None), number_or_tensor);
                PyValue::Tuple(list.iter().map(item).collect::<Result<_>>()?)
            }
            other => bail!(Type, "a file cannot hold {}", other.kind()),
        })
    }
}

impl TryFrom<&PyValue> for Value {
    type Error = Error;

    fn try_from(value: &PyValue) -> Result<Value> {
        let list = |items: &[PyValue]| {
            let ints = items.iter().map(PyValue::as_int).collect::<Option<Vec<i64>>>().map(Value::Ints);
            ints.or_else(|| {
                items.iter().map(PyValue::as_float).collect::<Option<Vec<f64>>>().map(Value::Floats)
            })
            .or_else(|| optional_list(items))
        };
        let known = match value {
            PyValue::None => Some(Value::None),
            PyValue::Bool(v) => Some(Value::Bool(*v)),
            PyValue::Int(v) => Some(Value::Int(*v)),
            PyValue::Float(v) => Some(Value::Float(*v)),
            PyValue::Str(v) => Some(Value::Str(v.clone())),
            PyValue::Tensor(v) | PyValue::Parameter(v) => Some(Value::Tensor(v.clone())),
            PyValue::List(items) | PyValue::Tuple(items) => list(items),
            _ => None,
        };
        known.ok_or_else(|| {
            Error::runtime(format!(
                "expected a tensor, a number, a text or a list, got {}",
                value.type_name()
            ))
        })
    }
}

impl From<Vec<PyValue>> for PyValue {
    fn from(items: Vec<PyValue>) -> PyValue {
        PyValue::List(items)
    }
}

impl<T: Into<PyValue>> From<Option<T>> for PyValue {
    fn from(value: Option<T>) -> PyValue {
        value.map_or(PyValue::None, Into::into)
    }
}
