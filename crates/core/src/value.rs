//! Arguments and results of calls by name: [`Value`], and the conversions between it and Rust types.

use smallvec::SmallVec;

use crate::random::Generator;
use crate::{
    C64, DType, Device, Error, ErrorKind, MemoryFormat, Result, Scalar, StorageLayout, Tensor, bail,
};

/// An argument or result of an operator.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Absent.
    #[default]
    None,
    /// A tensor.
    Tensor(Tensor),
    /// A list of tensors.
    Tensors(Vec<Tensor>),
    /// A list of tensors some of which are absent.
    OptTensors(Vec<Option<Tensor>>),
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A complex number.
    Complex(C64),
    /// A list of integers.
    Ints(Vec<i64>),
    /// A list of floats.
    Floats(Vec<f64>),
    /// A list of booleans.
    Bools(Vec<bool>),
    /// A list of numbers.
    Scalars(Vec<Scalar>),
    /// Text.
    Str(String),
    /// A dtype.
    DType(DType),
    /// A layout.
    Layout(StorageLayout),
    /// A device.
    Device(Device),
    /// A memory format.
    MemoryFormat(MemoryFormat),
    /// A random generator.
    Generator(Generator),
}

impl Value {
    /// What it is, for error texts.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::None => "NoneType",
            Value::Tensor(_) => "Tensor",
            Value::Tensors(_) | Value::OptTensors(_) => "list of Tensors",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Complex(_) => "complex",
            Value::Ints(_) => "list of ints",
            Value::Floats(_) => "list of floats",
            Value::Bools(_) => "list of bools",
            Value::Scalars(_) => "list of numbers",
            Value::Str(_) => "str",
            Value::DType(_) => "torch.dtype",
            Value::Layout(_) => "torch.layout",
            Value::Device(_) => "torch.device",
            Value::MemoryFormat(_) => "torch.memory_format",
            Value::Generator(_) => "torch.Generator",
        }
    }

    /// The number, if it is one.
    pub fn as_scalar(&self) -> Option<Scalar> {
        match self {
            Value::Bool(b) => Some(Scalar::Bool(*b)),
            Value::Int(i) => Some(Scalar::Int(*i)),
            Value::Float(x) => Some(Scalar::Float(*x)),
            Value::Complex(z) => Some(Scalar::Complex(*z)),
            _ => None,
        }
    }

    /// The tensor, if it is one.
    pub fn as_tensor(&self) -> Option<&Tensor> {
        match self {
            Value::Tensor(t) => Some(t),
            _ => None,
        }
    }

    /// Calls `f` with each tensor in it.
    pub fn for_each_tensor(&self, mut f: impl FnMut(&Tensor)) {
        match self {
            Value::Tensor(t) => f(t),
            Value::Tensors(list) => list.iter().for_each(f),
            Value::OptTensors(list) => list.iter().flatten().for_each(f),
            _ => {}
        }
    }

    /// The tensors in it, owned.
    pub fn into_tensors(self) -> Vec<Tensor> {
        match self {
            Value::Tensor(t) => vec![t],
            Value::Tensors(list) => list,
            Value::OptTensors(list) => list.into_iter().flatten().collect(),
            _ => Vec::new(),
        }
    }
}

/// The arguments of a boxed call, in schema order.
pub type Args = SmallVec<[Value; 4]>;
/// The results of a boxed call.
pub type Outputs = SmallVec<[Value; 1]>;

/// Boxes arguments: `args![this, dim, keepdim]`.
#[macro_export]
macro_rules! boxed_args {
    ($($x:expr),* $(,)?) => {{
        let list: $crate::value::Args = smallvec::smallvec![$($crate::value::Value::from($x)),*];
        list
    }};
}
pub use crate::boxed_args as args;

macro_rules! value_from {
    ($($ty:ty => |$x:ident| $e:expr;)*) => {
        $(impl From<$ty> for Value { fn from($x: $ty) -> Value { $e } })*
    };
}

value_from! {
    Tensor => |x| Value::Tensor(x);
    &Tensor => |x| Value::Tensor(x.clone());
    Option<&Tensor> => |x| x.map_or(Value::None, |t| Value::Tensor(t.clone()));
    Option<Tensor> => |x| x.map_or(Value::None, Value::Tensor);
    &[Tensor] => |x| Value::Tensors(x.to_vec());
    Vec<Tensor> => |x| Value::Tensors(x);
    &[Option<Tensor>] => |x| Value::OptTensors(x.to_vec());
    bool => |x| Value::Bool(x);
    i64 => |x| Value::Int(x);
    f64 => |x| Value::Float(x);
    &[i64] => |x| Value::Ints(x.to_vec());
    Vec<i64> => |x| Value::Ints(x);
    Option<&[i64]> => |x| x.map_or(Value::None, |v| Value::Ints(v.to_vec()));
    &[f64] => |x| Value::Floats(x.to_vec());
    Option<&[f64]> => |x| x.map_or(Value::None, |v| Value::Floats(v.to_vec()));
    &[bool] => |x| Value::Bools(x.to_vec());
    &[Scalar] => |x| Value::Scalars(x.to_vec());
    &str => |x| Value::Str(x.to_string());
    Option<&str> => |x| x.map_or(Value::None, |s| Value::Str(s.to_string()));
    DType => |x| Value::DType(x);
    StorageLayout => |x| Value::Layout(x);
    Device => |x| Value::Device(x);
    MemoryFormat => |x| Value::MemoryFormat(x);
    &Generator => |x| Value::Generator(x.clone());
    Option<&Generator> => |x| x.map_or(Value::None, |g| Value::Generator(g.clone()));
    Option<DType> => |x| x.map_or(Value::None, Value::DType);
    Option<StorageLayout> => |x| x.map_or(Value::None, Value::Layout);
    Option<Device> => |x| x.map_or(Value::None, Value::Device);
    Option<MemoryFormat> => |x| x.map_or(Value::None, Value::MemoryFormat);
    Option<i64> => |x| x.map_or(Value::None, Value::Int);
    Option<f64> => |x| x.map_or(Value::None, Value::Float);
    Option<bool> => |x| x.map_or(Value::None, Value::Bool);
    Option<Scalar> => |x| x.map_or(Value::None, Value::from);
    Scalar => |x| match x {
        Scalar::Bool(b) => Value::Bool(b),
        Scalar::Int(i) => Value::Int(i),
        Scalar::Float(f) => Value::Float(f),
        Scalar::Complex(z) => Value::Complex(z),
    };
}

#[cold]
fn mismatch(expected: &str, v: &Value) -> Error {
    Error::new(ErrorKind::Type, format!("expected {expected}, got {}", v.kind()))
}

/// Reads a kernel's parameter from a boxed argument.
pub trait FromValue<'a>: Sized {
    /// The parameter.
    ///
    /// # Errors
    /// `Type` when the value is of another kind.
    fn from_value(v: &'a Value) -> Result<Self>;
}

macro_rules! from_value {
    ($($ty:ty, $name:literal: $($pat:pat => $e:expr),*;)*) => {
        $(impl<'a> FromValue<'a> for $ty {
            fn from_value(v: &'a Value) -> Result<Self> {
                Ok(match v { $($pat => $e,)* other => return Err(mismatch($name, other)) })
            }
        })*
    };
}

from_value! {
    &'a Tensor, "a Tensor": Value::Tensor(t) => t;
    &'a [Tensor], "a list of Tensors": Value::Tensors(l) => l;
    &'a [Option<Tensor>], "a list of optional Tensors": Value::OptTensors(l) => l;
    bool, "a bool": Value::Bool(b) => *b;
    i64, "an int": Value::Int(i) => *i, Value::Bool(b) => i64::from(*b);
    f64, "a float": Value::Float(x) => *x, Value::Int(i) => *i as f64, Value::Bool(b) => f64::from(u8::from(*b));
    Scalar, "a number": Value::Bool(b) => Scalar::Bool(*b), Value::Int(i) => Scalar::Int(*i), Value::Float(x) => Scalar::Float(*x), Value::Complex(z) => Scalar::Complex(*z);
    &'a [i64], "a list of ints": Value::Ints(l) => l;
    &'a [f64], "a list of floats": Value::Floats(l) => l;
    &'a [bool], "a list of bools": Value::Bools(l) => l;
    &'a [Scalar], "a list of numbers": Value::Scalars(l) => l;
    &'a str, "a str": Value::Str(s) => s;
    DType, "a dtype": Value::DType(d) => *d;
    StorageLayout, "a layout": Value::Layout(l) => *l;
    Device, "a device": Value::Device(d) => *d;
    MemoryFormat, "a memory format": Value::MemoryFormat(m) => *m;
    &'a Generator, "a Generator": Value::Generator(g) => g;
}

impl<'a, T: FromValue<'a>> FromValue<'a> for Option<T> {
    fn from_value(v: &'a Value) -> Result<Self> {
        match v {
            Value::None => Ok(None),
            v => T::from_value(v).map(Some),
        }
    }
}

/// What an operator returns, boxed and unboxed.
pub trait Returns: Sized {
    /// Boxes it.
    fn into_outputs(self) -> Outputs;
    /// Unboxes it.
    ///
    /// # Errors
    /// `Runtime` when number or kinds differ.
    fn from_outputs(outputs: Outputs) -> Result<Self>;
}

/// One returned value.
pub trait Return: Sized {
    /// Boxes it.
    fn into_value(self) -> Value;
    /// Unboxes it.
    ///
    /// # Errors
    /// `Type` when it is of another kind.
    fn from_value(v: Value) -> Result<Self>;
}

macro_rules! returns_one {
    ($($ty:ty, $name:literal: |$x:ident| $into:expr, $($pat:pat => $from:expr),*;)*) => {
        $(
            impl Return for $ty {
                fn into_value(self) -> Value { let $x = self; $into }
                fn from_value(v: Value) -> Result<Self> {
                    Ok(match v { $($pat => $from,)* other => return Err(mismatch($name, &other)) })
                }
            }
            impl Returns for $ty {
                fn into_outputs(self) -> Outputs { smallvec::smallvec![self.into_value()] }
                fn from_outputs(mut outputs: Outputs) -> Result<Self> {
                    match outputs.pop() {
                        Some(v) if outputs.is_empty() => Return::from_value(v),
                        _ => bail!("expected one result"),
                    }
                }
            }
        )*
    };
}

returns_one! {
    Tensor, "a Tensor": |x| Value::Tensor(x), Value::Tensor(t) => t;
    Option<Tensor>, "a Tensor or None": |x| x.map_or(Value::None, Value::Tensor), Value::Tensor(t) => Some(t), Value::None => None;
    Vec<Tensor>, "a list of Tensors": |x| Value::Tensors(x), Value::Tensors(l) => l;
    bool, "a bool": |x| Value::Bool(x), Value::Bool(b) => b;
    i64, "an int": |x| Value::Int(x), Value::Int(i) => i;
    f64, "a float": |x| Value::Float(x), Value::Float(f) => f;
    DType, "a dtype": |x| Value::DType(x), Value::DType(d) => d;
    Scalar, "a number": |x| Value::from(x), Value::Int(i) => Scalar::Int(i), Value::Float(f) => Scalar::Float(f), Value::Bool(b) => Scalar::Bool(b), Value::Complex(z) => Scalar::Complex(z);
}

impl Returns for () {
    fn into_outputs(self) -> Outputs {
        Outputs::new()
    }
    fn from_outputs(_: Outputs) -> Result<Self> {
        Ok(())
    }
}

macro_rules! returns_tuple {
    ($($name:ident),*) => {
        impl<$($name: Return),*> Returns for ($($name,)*) {
            #[allow(non_snake_case)]
            fn into_outputs(self) -> Outputs {
                let ($($name,)*) = self;
                smallvec::smallvec![$($name.into_value()),*]
            }
            fn from_outputs(outputs: Outputs) -> Result<Self> {
                let mut it = outputs.into_iter();
                Ok(($($name::from_value(it.next().unwrap_or_default())?,)*))
            }
        }
    };
}
returns_tuple!(A, B);
returns_tuple!(A, B, C);
returns_tuple!(A, B, C, D);
returns_tuple!(A, B, C, D, E);

/// A list of integers where PyTorch also takes a single one: `2`, `[2, 3]`, a slice or a vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntList(crate::dims::Dims);

impl std::ops::Deref for IntList {
    type Target = [i64];
    fn deref(&self) -> &[i64] {
        &self.0
    }
}

impl From<i64> for IntList {
    fn from(x: i64) -> Self {
        IntList(crate::dims::Dims::from_elem(x, 1))
    }
}

impl<const N: usize> From<[i64; N]> for IntList {
    fn from(x: [i64; N]) -> Self {
        IntList(x.into())
    }
}

impl<const N: usize> From<&[i64; N]> for IntList {
    fn from(x: &[i64; N]) -> Self {
        IntList(crate::dims::Dims::from_slice(x))
    }
}

impl From<&[i64]> for IntList {
    fn from(x: &[i64]) -> Self {
        IntList(crate::dims::Dims::from_slice(x))
    }
}

impl From<Vec<i64>> for IntList {
    fn from(x: Vec<i64>) -> Self {
        IntList(x.into())
    }
}

impl From<&Vec<i64>> for IntList {
    fn from(x: &Vec<i64>) -> Self {
        IntList(crate::dims::Dims::from_slice(x))
    }
}

impl From<crate::layout::Dims> for IntList {
    fn from(x: crate::layout::Dims) -> Self {
        IntList(x)
    }
}

impl From<&crate::layout::Dims> for IntList {
    fn from(x: &crate::layout::Dims) -> Self {
        IntList(x.clone())
    }
}

/// A list of integers or none: what [`IntList`] takes, or an `Option` of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptIntList(Option<IntList>);

impl OptIntList {
    /// The list, if there is one.
    pub fn as_deref(&self) -> Option<&[i64]> {
        self.0.as_deref()
    }
}

impl From<Option<&[i64]>> for OptIntList {
    fn from(x: Option<&[i64]>) -> Self {
        OptIntList(x.map(IntList::from))
    }
}

impl<T: Into<IntList>> From<T> for OptIntList {
    fn from(x: T) -> Self {
        OptIntList(Some(x.into()))
    }
}
