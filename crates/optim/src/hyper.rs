//! Hyper-parameters of a group: a struct whose fields are also known by PyTorch's names.

use cresset_core::value::Value;
use cresset_core::{Result, Scalar, bail};

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

/// Declares hyper-parameters: fields with their defaults, in PyTorch's order, a setter for each, and the entries that
/// PyTorch's optimizer has besides and that have no meaning here.
macro_rules! hyper {
    (
        $(#[$meta:meta])* $name:ident {
            $($(#[$doc:meta])* $field:ident: $ty:ty = $default:expr,)*
        }
        besides { $($other:literal: $value:expr),* $(,)? }
        check |$h:ident| $check:block
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $name { $($(#[$doc])* pub $field: $ty,)* }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default),* }
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
        }

        impl $crate::hyper::Hyper for $name {
            fn entries(&self) -> Vec<(&'static str, cresset_core::value::Value)> {
                use $crate::hyper::HyperValue;
                vec![
                    $((stringify!($field), self.$field.to_value()),)*
                    $(($other, $value)),*
                ]
            }

            fn set(&mut self, key: &str, value: &cresset_core::value::Value) -> cresset_core::Result<bool> {
                match key {
                    $(stringify!($field) => self.$field = $crate::hyper::HyperValue::from_value(value)?,)*
                    $($other => {})*
                    _ => return Ok(false),
                }
                Ok(true)
            }

            fn check(&self) -> cresset_core::Result<()> {
                let $h = self;
                $check
                Ok(())
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

pub(crate) use hyper;

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
