//! How the kit describes the construction of a module: its class and its arguments, which may be modules again.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::arguments::{Arguments, Refusal};
use crate::kit::{Pack, Reason};
use crate::value::V;

/// A class with the arguments of its constructor.
#[derive(Debug, Deserialize)]
pub struct Description {
    module: String,
    #[serde(default)]
    args: Vec<Json>,
    #[serde(default)]
    kwargs: BTreeMap<String, Json>,
    /// The first argument of a type that the constructor does not take.
    #[serde(skip)]
    pub refusal: Refusal,
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
        let positional = self.args.iter().cloned().map(V::from);
        let named = self.kwargs.iter().map(|(name, json)| (name.clone(), V::from(json.clone())));
        let bound =
            Arguments::bind(names, positional, named, pack).map_err(|e| format!("{}: {e}", self.name()))?;
        Ok(bound.refusing(&self.refusal))
    }
}

fn collect<'a>(json: &'a Json, names: &mut Vec<&'a str>) {
    if let Some(name) = json.get("module").and_then(Json::as_str) {
        names.push(name.trim_start_matches("torch.nn."));
        let inner = json.get("args").and_then(Json::as_array).into_iter().flatten();
        inner.for_each(|part| collect(part, names));
    }
}
