//! The inputs of a module's call, by the paths that cases name them by.

use std::collections::BTreeMap;

use cresset_core::Tensor;

use super::{Named, stored};
use crate::kit::{Pack, Reason};
use crate::value::V;

/// Tensors with their paths (`args.0`, `args.1.0` in a list, `kwargs.name`), and what is no tensor by name.
pub struct Inputs {
    /// The tensors.
    pub tensors: Named,
    flags: BTreeMap<String, V>,
}

impl Inputs {
    /// Reads them; what is absent is left out.
    ///
    /// # Errors
    /// When a tensor is not in the pack.
    pub fn read(args: &[V], kwargs: &BTreeMap<String, V>, pack: &Pack) -> Result<Inputs, Reason> {
        let (mut tensors, mut flags) = (Vec::new(), BTreeMap::new());
        for (i, v) in args.iter().enumerate() {
            add(format!("args.{i}"), v, pack, &mut tensors)?;
        }
        for (name, v) in kwargs {
            match v {
                V::Bool(_) => drop(flags.insert(name.clone(), v.clone())),
                _ => add(format!("kwargs.{name}"), v, pack, &mut tensors)?,
            }
        }
        Ok(Inputs { tensors, flags })
    }

    /// All tensors, those with names last.
    pub fn all(&self) -> Vec<Tensor> {
        self.tensors.iter().map(|(_, t)| t.clone()).collect()
    }

    /// Tensors without a name.
    pub fn positional(&self) -> Vec<Tensor> {
        let positional = self.tensors.iter().filter(|(path, _)| path.starts_with("args."));
        positional.map(|(_, t)| t.clone()).collect()
    }

    /// The tensor of that name.
    pub fn keyword(&self, name: &str) -> Option<Tensor> {
        let path = format!("kwargs.{name}");
        self.tensors.iter().find(|(p, _)| *p == path).map(|(_, t)| t.clone())
    }

    /// The boolean of that name.
    pub fn flag(&self, name: &str, default: bool) -> bool {
        match self.flags.get(name) {
            Some(V::Bool(b)) => *b,
            _ => default,
        }
    }
}

fn add(path: String, v: &V, pack: &Pack, tensors: &mut Named) -> Result<(), Reason> {
    match v {
        V::None => {}
        V::List(list) => {
            for (i, v) in list.iter().enumerate() {
                add(format!("{path}.{i}"), v, pack, tensors)?;
            }
        }
        v => tensors.push((path, stored(v, pack)?)),
    }
    Ok(())
}
