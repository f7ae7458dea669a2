//! The kit's values: what its JSON says an argument or a result is.

use serde::Deserialize;
use serde_json::Value as Json;

/// A value as the kit writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Json")]
pub enum V {
    /// Absent.
    None,
    /// A stored tensor.
    Tensor(TensorRef),
    /// A Python int.
    Int(i64),
    /// A Python float.
    Float(f64),
    /// A Python bool.
    Bool(bool),
    /// A Python complex number.
    Complex(f64, f64),
    /// A Python string.
    Str(String),
    /// A list of ints.
    Ints(Vec<i64>),
    /// A list of values.
    List(Vec<V>),
    /// A dict.
    Dict(Vec<(String, V)>),
    /// A dtype by name.
    DType(String),
    /// A device by name.
    Device(String),
    /// A layout by name.
    Layout(String),
    /// A memory format by name.
    MemoryFormat(String),
    /// A tensor of which only shape and dtype are known.
    Shape(Vec<i64>, String),
    /// A function by its public name.
    Function(String),
    /// Nothing that the format describes.
    Unknown(String),
}

/// Which stored tensor, and how it lies in its storage.
#[derive(Clone, Debug)]
pub struct TensorRef {
    /// The key in the file.
    pub key: String,
    /// The dtype, where it is not the stored one.
    pub dtype: Option<String>,
    /// Sizes, strides and offset of a view of the stored storage.
    pub view: Option<View>,
}

/// Sizes, strides and offset of a view, in elements.
pub type View = (Vec<i64>, Vec<i64>, usize);

impl From<Json> for V {
    fn from(json: Json) -> V {
        match &json {
            Json::Null => V::None,
            Json::Object(_) => {
                parse(&json).or_else(|| named(&json)).unwrap_or_else(|| V::Unknown(json.to_string()))
            }
            _ => V::Unknown(json.to_string()),
        }
    }
}

/// An object none of whose keys is a kind of value: a dict, if all members are known values.
fn named(json: &Json) -> Option<V> {
    let member = |(key, value): (&String, &Json)| match V::from(value.clone()) {
        V::Unknown(_) => None,
        value => Some((key.clone(), value)),
    };
    json.as_object()?.iter().map(member).collect::<Option<_>>().map(V::Dict)
}

fn parse(json: &Json) -> Option<V> {
    let text = |key: &str| json.get(key).and_then(Json::as_str).map(str::to_string);
    if let Some(key) = text("t") {
        return Some(V::Tensor(TensorRef { key, dtype: text("dtype"), view: view(json)? }));
    }
    if let Some(sizes) = json.get("shape") {
        return Some(V::Shape(ints(sizes)?, text("dtype")?));
    }
    let (key, value) = json.as_object()?.iter().next()?;
    let name = || value.as_str().map(str::to_string);
    Some(match key.as_str() {
        "i" => V::Int(value.as_i64()?),
        "f" => V::Float(float(value)?),
        "b" => V::Bool(value.as_bool()?),
        "s" => V::Str(name()?),
        "c" => V::Complex(float(value.get(0)?)?, float(value.get(1)?)?),
        "il" => V::Ints(ints(value)?),
        "l" => V::List(value.as_array()?.iter().cloned().map(V::from).collect()),
        "d" => V::Dict(value.as_object()?.iter().map(|(k, v)| (k.clone(), V::from(v.clone()))).collect()),
        "dtype" => V::DType(name()?),
        "device" => V::Device(name()?),
        "layout" => V::Layout(name()?),
        "memory_format" => V::MemoryFormat(name()?),
        "fn" => V::Function(name()?),
        _ => return None,
    })
}

/// `Some(None)` for a contiguous tensor, `None` when the description is broken.
fn view(json: &Json) -> Option<Option<View>> {
    let Some(strides) = json.get("strides") else { return Some(None) };
    let offset = json.get("offset").map_or(Some(0), Json::as_u64)? as usize;
    Some(Some((ints(json.get("size")?)?, ints(strides)?, offset)))
}

fn ints(json: &Json) -> Option<Vec<i64>> {
    json.as_array()?.iter().map(Json::as_i64).collect()
}

/// A float, which JSON cannot always write as a number.
fn float(json: &Json) -> Option<f64> {
    match json.as_str() {
        Some("inf") => Some(f64::INFINITY),
        Some("-inf") => Some(f64::NEG_INFINITY),
        Some("nan") => Some(f64::NAN),
        Some(_) => None,
        None => json.as_f64(),
    }
}

impl V {
    /// With lists spliced in.
    pub fn flat(values: &[V]) -> Vec<&V> {
        let mut flat = Vec::new();
        for v in values {
            match v {
                V::List(list) => flat.extend(V::flat(list)),
                V::Ints(list) if list.is_empty() => {}
                v => flat.push(v),
            }
        }
        flat
    }

    /// The name of its type in Python.
    pub fn python_type(&self) -> &'static str {
        match self {
            V::None => "NoneType",
            V::Tensor(_) | V::Shape(..) => "Tensor",
            V::Int(_) => "int",
            V::Float(_) => "float",
            V::Bool(_) => "bool",
            V::Complex(..) => "complex",
            V::Str(_) => "str",
            V::Ints(_) | V::List(_) => "list",
            V::Dict(_) => "dict",
            V::DType(_) => "dtype",
            V::Device(_) => "device",
            V::Layout(_) => "layout",
            V::MemoryFormat(_) => "memory_format",
            V::Function(_) => "function",
            V::Unknown(_) => "object",
        }
    }

    /// The integer that it is; Python's booleans are some.
    pub fn integer(&self) -> Option<i64> {
        match self {
            V::Int(i) => Some(*i),
            V::Bool(b) => Some(i64::from(*b)),
            _ => None,
        }
    }

    /// The real number that it is.
    pub fn real(&self) -> Option<f64> {
        match self {
            V::Float(x) => Some(*x),
            v => v.integer().map(|i| i as f64),
        }
    }

    /// Whether Python finds it true.
    pub fn is_true(&self) -> bool {
        match self {
            V::None => false,
            V::Str(s) => !s.is_empty(),
            V::Ints(list) => !list.is_empty(),
            V::List(list) => !list.is_empty(),
            V::Dict(entries) => !entries.is_empty(),
            V::Complex(re, im) => *re != 0.0 || *im != 0.0,
            v => v.real() != Some(0.0),
        }
    }

    /// Whether it is absent.
    pub fn is_none(&self) -> bool {
        matches!(self, V::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> V {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_form_is_read() {
        assert!(matches!(value("null"), V::None));
        assert!(matches!(value(r#"{"f": "-inf"}"#), V::Float(x) if x == f64::NEG_INFINITY));
        assert!(matches!(value(r#"{"c": [1, "nan"]}"#), V::Complex(re, im) if re == 1.0 && im.is_nan()));
        assert!(
            matches!(value(r#"{"shape": [2], "dtype": "int8"}"#), V::Shape(s, d) if s == [2] && d == "int8")
        );
        let strided =
            value(r#"{"t": "c0.x", "size": [2], "strides": [3], "offset": 1, "dtype": "complex64"}"#);
        assert!(
            matches!(strided, V::Tensor(t) if t.view == Some((vec![2], vec![3], 1)) && t.dtype.is_some())
        );
        assert!(matches!(value(r#"{"zzz": 1}"#), V::Unknown(_)));
    }

    #[test]
    fn lists_are_spliced_into_flat_outputs() {
        let values = [value(r#"{"i": 1}"#), value(r#"{"l": [{"i": 2}, {"i": 3}]}"#), value(r#"{"il": []}"#)];
        assert_eq!(V::flat(&values).len(), 3);
    }
}
