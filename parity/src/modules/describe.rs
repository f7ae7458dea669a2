//! How the kit describes the construction of a module: its class and its arguments, which may be modules again.

use std::collections::BTreeMap;

use cresset_core::{IntList, Scalar, Tensor};
use cresset_nn::functional::PaddingMode;
use cresset_nn::{OutputSize, Padding, Reduction};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::call::tensor;
use crate::kit::{Pack, Reason};
use crate::value::V;

/// A class with the arguments of its constructor.
#[derive(Clone, Debug, Deserialize)]
pub struct Description {
    module: String,
    #[serde(default)]
    args: Vec<Json>,
    #[serde(default)]
    kwargs: BTreeMap<String, Json>,
}

impl Description {
    /// The class without `torch.nn.`.
    pub fn name(&self) -> &str {
        self.module.trim_start_matches("torch.nn.")
    }

    /// The classes of this module and of all that its arguments describe.
    pub fn names(&self) -> Vec<&str> {
        let mut names = vec![self.name()];
        for json in self.args.iter().chain(self.kwargs.values()) {
            collect(json, &mut names);
        }
        names
    }

    /// The modules among the positional arguments.
    pub fn parts(&self) -> Result<Vec<Description>, Reason> {
        let part = |json: &Json| serde_json::from_value(json.clone()).map_err(|e| e.to_string());
        self.args.iter().map(part).collect()
    }

    /// The positional argument that is a module.
    pub fn part(&self, i: usize) -> Option<Description> {
        let json = self.args.get(i).filter(|json| json.get("module").is_some())?;
        serde_json::from_value(json.clone()).ok()
    }

    /// The positional argument that is an integer.
    pub fn number(&self, i: usize) -> Option<i64> {
        match V::from(self.args.get(i)?.clone()) {
            V::Int(n) => Some(n),
            _ => None,
        }
    }

    /// The arguments by name; `names` are those of the positional ones.
    pub fn arguments<'a>(&self, names: &[&str], pack: &'a Pack) -> Result<Arguments<'a>, Reason> {
        let mut values = BTreeMap::new();
        for (i, json) in self.args.iter().enumerate() {
            let name = names.get(i).ok_or_else(|| format!("{}: too many arguments", self.name()))?;
            values.insert((*name).to_string(), V::from(json.clone()));
        }
        for (name, json) in &self.kwargs {
            values.insert(name.clone(), V::from(json.clone()));
        }
        match values.keys().find(|k| !names.contains(&k.as_str())) {
            Some(key) => Err(format!("{}: no argument {key} here", self.name())),
            None => Ok(Arguments { values, pack }),
        }
    }
}

fn collect<'a>(json: &'a Json, names: &mut Vec<&'a str>) {
    if let Some(name) = json.get("module").and_then(Json::as_str) {
        names.push(name.trim_start_matches("torch.nn."));
        let inner = json.get("args").and_then(Json::as_array).into_iter().flatten();
        inner.for_each(|part| collect(part, names));
    }
}

/// Arguments by name.
pub struct Arguments<'a> {
    values: BTreeMap<String, V>,
    pack: &'a Pack,
}

impl Arguments<'_> {
    fn get(&self, name: &str) -> Option<&V> {
        self.values.get(name)
    }

    /// An integer.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        match self.get(name) {
            Some(V::Int(i)) => *i,
            _ => default,
        }
    }

    /// An integer that may be absent.
    pub fn opt_int(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(V::Int(i)) => Some(*i),
            _ => None,
        }
    }

    /// A float.
    pub fn float(&self, name: &str, default: f64) -> f64 {
        self.opt_float(name, Some(default)).unwrap_or(default)
    }

    /// A float that may be `None`.
    pub fn opt_float(&self, name: &str, default: Option<f64>) -> Option<f64> {
        match self.get(name) {
            Some(V::Float(x)) => Some(*x),
            Some(V::Int(i)) => Some(*i as f64),
            Some(_) => None,
            None => default,
        }
    }

    /// A number that keeps its kind.
    pub fn number(&self, name: &str, default: impl Into<Scalar>) -> Scalar {
        match self.get(name) {
            Some(V::Int(i)) => Scalar::Int(*i),
            Some(V::Float(x)) => Scalar::Float(*x),
            _ => default.into(),
        }
    }

    /// A boolean.
    pub fn flag(&self, name: &str, default: bool) -> bool {
        match self.get(name) {
            Some(V::Bool(b)) => *b,
            _ => default,
        }
    }

    /// One integer or several.
    pub fn ints(&self, name: &str, default: i64) -> IntList {
        self.opt_ints(name).unwrap_or(default.into())
    }

    /// One integer or several, or none.
    pub fn opt_ints(&self, name: &str) -> Option<IntList> {
        match self.get(name)? {
            V::Int(i) => Some((*i).into()),
            V::Ints(list) => Some(list.clone().into()),
            V::List(list) => {
                let ints: Option<Vec<i64>> =
                    list.iter().map(|v| if let V::Int(i) = v { Some(*i) } else { None }).collect();
                Some(ints?.into())
            }
            _ => None,
        }
    }

    /// The size of an adaptive layer.
    pub fn output_size(&self) -> Result<OutputSize, Reason> {
        let size = |v: &V| if let V::Int(i) = v { Some(*i) } else { None };
        match self.get("output_size") {
            Some(V::Int(i)) => Ok((*i).into()),
            Some(V::Ints(list)) => Ok(OutputSize::from(list.iter().copied().map(Some).collect::<Vec<_>>())),
            Some(V::List(list)) => Ok(OutputSize::from(list.iter().map(size).collect::<Vec<_>>())),
            other => Err(format!("output_size: {other:?}")),
        }
    }

    /// One float or several, or none.
    pub fn opt_floats(&self, name: &str) -> Option<Vec<f64>> {
        let float = |v: &V| match v {
            V::Int(i) => Some(*i as f64),
            V::Float(x) => Some(*x),
            _ => None,
        };
        match self.get(name)? {
            V::Ints(list) => Some(list.iter().map(|i| *i as f64).collect()),
            V::List(list) => list.iter().map(float).collect(),
            one => float(one).map(|x| vec![x]),
        }
    }

    /// A boolean that may be absent.
    pub fn opt_flag(&self, name: &str) -> Option<bool> {
        match self.get(name) {
            Some(V::Bool(b)) => Some(*b),
            _ => None,
        }
    }

    /// A text.
    pub fn word(&self, name: &str, default: &str) -> String {
        match self.get(name) {
            Some(V::Str(s)) => s.clone(),
            _ => default.into(),
        }
    }

    /// A function by its name.
    pub fn function(&self, name: &str, default: &str) -> String {
        match self.get(name) {
            Some(V::Function(f) | V::Str(f)) => f.clone(),
            _ => default.into(),
        }
    }

    /// The padding of a convolution.
    pub fn padding(&self) -> Padding {
        match self.word("padding", "").as_str() {
            "same" => Padding::Same,
            "valid" => Padding::Valid,
            _ => Padding::Sizes(self.ints("padding", 0)),
        }
    }

    /// What stands in the padding.
    pub fn padding_mode(&self) -> PaddingMode {
        match self.word("padding_mode", "zeros").as_str() {
            "reflect" => PaddingMode::Reflect,
            "replicate" => PaddingMode::Replicate,
            "circular" => PaddingMode::Circular,
            _ => PaddingMode::Zeros,
        }
    }

    /// What becomes of losses.
    pub fn reduction(&self) -> Reduction {
        match self.word("reduction", "mean").as_str() {
            "none" => Reduction::None,
            "sum" => Reduction::Sum,
            _ => Reduction::Mean,
        }
    }

    /// A tensor that may be absent.
    pub fn tensor(&self, name: &str) -> Result<Option<Tensor>, Reason> {
        match self.get(name) {
            Some(V::Tensor(reference)) => tensor(reference, self.pack).map(Some),
            _ => Ok(None),
        }
    }
}
