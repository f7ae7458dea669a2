//! Hyper-parameters of a group: a struct whose fields are also known by PyTorch's names.

use cresset_core::value::Value;
use cresset_core::{Result, Scalar, bail, ensure};

/// The two decay rates of Adam and its kin.
pub type Betas = (f64, f64);

/// The hyper-parameters of an algorithm.
pub trait Hyper: Clone + Send + Sync {
    /// Names and values in PyTorch's order.
    fn entries(&self) -> Vec<(&'static str, Value)>;

    /// Sets the one of that name; whether there is one.
    ///
    /// # Errors
    /// `Type` when the value is of another kind.
    fn set(&mut self, key: &str, value: &Value) -> Result<bool>;

    /// The flag of that name, `foreach` or its kin, if the algorithm has it and it is set.
    fn flag(&self, key: &str) -> Option<bool>;

    /// Refuses impossible values.
    ///
    /// # Errors
    /// `Value` with PyTorch's text.
    fn check(&self) -> Result<()>;

    /// The learning rate.
    fn lr(&self) -> f64;

    /// Sets the learning rate.
    fn set_lr(&mut self, lr: f64);
}

/// A type that a hyper-parameter can have.
pub trait HyperValue: Sized {
    /// As a value of a `state_dict`.
    fn to_value(&self) -> Value;

    /// From a value of a `state_dict`.
    ///
    /// # Errors
    /// `Type` when the value is of another kind.
    fn from_value(value: &Value) -> Result<Self>;
}

fn number(value: &Value) -> Result<f64> {
    match value {
        Value::Tensor(t) if t.numel() == 1 => Ok(t.item()?.to_f64()),
        value => match value.as_scalar() {
            Some(x) if !matches!(x, Scalar::Complex(_)) => Ok(x.to_f64()),
            _ => bail!(Type, "expected a number in the optimizer's param_groups, got {}", value.kind()),
        },
    }
}

impl HyperValue for f64 {
    fn to_value(&self) -> Value {
        Value::Float(*self)
    }
    fn from_value(value: &Value) -> Result<Self> {
        number(value)
    }
}

impl HyperValue for i64 {
    fn to_value(&self) -> Value {
        Value::Int(*self)
    }
    fn from_value(value: &Value) -> Result<Self> {
        Ok(number(value)? as i64)
    }
}

impl HyperValue for bool {
    fn to_value(&self) -> Value {
        Value::Bool(*self)
    }
    fn from_value(value: &Value) -> Result<Self> {
        Ok(number(value)? != 0.0)
    }
}

impl<T: HyperValue> HyperValue for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::None, HyperValue::to_value)
    }
    fn from_value(value: &Value) -> Result<Self> {
        match value {
            Value::None => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl HyperValue for String {
    fn to_value(&self) -> Value {
        Value::Str(self.clone())
    }
    fn from_value(value: &Value) -> Result<Self> {
        match value {
            Value::Str(text) => Ok(text.clone()),
            other => bail!(Type, "expected a str in the optimizer's param_groups, got {}", other.kind()),
        }
    }
}

impl HyperValue for Betas {
    fn to_value(&self) -> Value {
        Value::Floats(vec![self.0, self.1])
    }
    fn from_value(value: &Value) -> Result<Self> {
        match value {
            Value::Floats(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
            Value::Ints(pair) if pair.len() == 2 => Ok((pair[0] as f64, pair[1] as f64)),
            Value::Scalars(pair) if pair.len() == 2 => Ok((pair[0].to_f64(), pair[1].to_f64())),
            other => {
                bail!(Type, "expected two numbers in the optimizer's param_groups, got {}", other.kind())
            }
        }
    }
}

/// The type of a flag that says how PyTorch runs its loop.
macro_rules! flag_type {
    (foreach) => { Option<bool> };
    (fused) => { Option<bool> };
    (capturable) => { bool };
    (differentiable) => { bool };
}

/// What there is to know of such a flag.
macro_rules! flag_doc {
    (foreach) => {
        "Whether PyTorch runs operations on lists of parameters. Here one loop does it all; the flag is kept for PyTorch."
    };
    (fused) => {
        "Whether PyTorch runs its fused kernel. Here every step is one; the flag is kept for PyTorch."
    };
    (capturable) => {
        "Whether PyTorch can capture the step in a graph of a GPU (default: no). A step on the CPU refuses it."
    };
    (differentiable) => {
        "Whether PyTorch records the step (default: no). That is not there: `NotImplemented`."
    };
}

/// Declares hyper-parameters: fields with their defaults, in PyTorch's order, a setter for each, the flags that PyTorch's
/// optimizer has besides, and the fields whose defaults are ints in PyTorch.
macro_rules! hyper {
    (
        $(#[$meta:meta])* $name:ident {
            $($(#[$doc:meta])* $field:ident: $ty:ty = $default:expr,)*
        }
        besides { $($flag:ident),* $(,)? }
        $(ints { $($int:ident),* })?
        check |$h:ident| $check:block
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $($(#[$doc])* pub $field: $ty,)*
            $(#[doc = $crate::hyper::flag_doc!($flag)] pub $flag: $crate::hyper::flag_type!($flag),)*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default,)* $($flag: Default::default()),* }
            }
        }

        impl $name {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $field(mut self, value: $ty) -> Self {
                    self.$field = value;
                    self
                }
            )*
            $(
                #[doc = $crate::hyper::flag_doc!($flag)]
                #[must_use]
                pub fn $flag(mut self, value: impl Into<$crate::hyper::flag_type!($flag)>) -> Self {
                    self.$flag = value.into();
                    self
                }
            )*
        }

        impl $crate::hyper::Hyper for $name {
            fn entries(&self) -> Vec<(&'static str, cresset_core::value::Value)> {
                use $crate::hyper::HyperValue;
                let entries = vec![
                    $((stringify!($field), self.$field.to_value()),)*
                    $((stringify!($flag), self.$flag.to_value()),)*
                ];
                $($(let entries = match self.$int == Self::default().$int {
                    true => $crate::hyper::as_int(entries, stringify!($int)),
                    false => entries,
                };)*)?
                entries
            }

            fn set(&mut self, key: &str, value: &cresset_core::value::Value) -> cresset_core::Result<bool> {
                match key {
                    $(stringify!($field) => self.$field = $crate::hyper::HyperValue::from_value(value)?,)*
                    $(stringify!($flag) => self.$flag = $crate::hyper::HyperValue::from_value(value)?,)*
                    _ => return Ok(false),
                }
                Ok(true)
            }

            fn flag(&self, key: &str) -> Option<bool> {
                match key {
                    $(stringify!($flag) => self.$flag.into(),)*
                    _ => None,
                }
            }

            fn check(&self) -> cresset_core::Result<()> {
                let $h = self;
                $check
                $crate::hyper::check_flags(self)
            }

            fn lr(&self) -> f64 {
                self.lr
            }

            fn set_lr(&mut self, lr: f64) {
                self.lr = lr;
            }
        }
    };
}

/// Refuses flags that contradict each other, and steps that are to be recorded.
pub(crate) fn check_flags(h: &impl Hyper) -> Result<()> {
    let on = |key: &str| h.flag(key) == Some(true);
    if on("fused") {
        ensure!(!on("differentiable"), "`fused` does not support `differentiable`");
        ensure!(!on("foreach"), "`fused` and `foreach` cannot be `True` together.");
    }
    ensure!(
        !on("differentiable"),
        NotImplemented,
        "differentiable=True is not supported: steps are not recorded"
    );
    Ok(())
}

/// Turns whole numbers of an entry into ints, as PyTorch writes that default.
pub(crate) fn as_int(mut entries: Vec<(&'static str, Value)>, key: &str) -> Vec<(&'static str, Value)> {
    let int = |x: f64| if x.trunc() == x { Scalar::Int(x as i64) } else { Scalar::Float(x) };
    for (_, value) in entries.iter_mut().filter(|(k, _)| *k == key) {
        match value {
            Value::Float(x) => *value = Value::from(int(*x)),
            Value::Floats(list) => *value = Value::Scalars(list.iter().map(|x| int(*x)).collect()),
            _ => {}
        }
    }
    entries
}

pub(crate) use {flag_doc, flag_type, hyper};

/// Refuses numbers below 0 (and NaN), with PyTorch's text.
pub(crate) fn not_negative(what: &str, x: f64) -> Result<()> {
    if x.is_nan() || x < 0.0 {
        bail!(Value, "Invalid {what}: {}", python_float(x));
    }
    Ok(())
}

/// Refuses decay rates outside of 0 to 1, with PyTorch's text.
pub(crate) fn betas(betas: Betas) -> Result<()> {
    for (i, beta) in [betas.0, betas.1].into_iter().enumerate() {
        if !(0.0..1.0).contains(&beta) {
            bail!(Value, "Invalid beta parameter at index {i}: {}", python_float(beta));
        }
    }
    Ok(())
}

/// A float as Python prints it.
pub(crate) fn python_float(x: f64) -> String {
    if x != 0.0 && x.is_finite() && !(1e-4..1e16).contains(&x.abs()) {
        let text = format!("{x:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    format!("{x:?}").to_lowercase()
}
