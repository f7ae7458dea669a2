//! `state_dict`: the tensors of a module by name, read and loaded.

use std::collections::{HashMap, HashSet};
use std::ops::Deref;

use cresset_core::{DType, Error, Result, Tensor, bail, no_grad, options};

use super::{LoadHook, Module, StateHook, Uninitialized, detached, walk};

/// Tensors by name, in order.
///
/// ```
/// # use cresset_nn::{Linear, Module, StateDict};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let layer = Linear::new(2, 1)?;
/// let mut state = layer.state_dict();
/// state.insert("bias", ops::full([1], 0.5)?);
/// layer.load_state_dict(&state)?;
/// assert_eq!(layer.bias.as_ref().unwrap().item()?.to_f64(), 0.5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct StateDict {
    entries: Vec<(String, Tensor)>,
    places: HashMap<String, usize>,
}

impl StateDict {
    /// An empty one.
    pub fn new() -> StateDict {
        StateDict::default()
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.places.get(name).map(|i| &self.entries[*i].1)
    }

    /// Adds a tensor, or replaces that of the same name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        let name = name.into();
        match self.places.get(&name) {
            Some(i) => self.entries[*i].1 = tensor,
            None => {
                self.places.insert(name.clone(), self.entries.len());
                self.entries.push((name, tensor));
            }
        }
    }

    /// Takes a tensor out.
    pub fn remove(&mut self, name: &str) -> Option<Tensor> {
        let gone = self.places.remove(name)?;
        self.places.values_mut().filter(|i| **i > gone).for_each(|i| *i -= 1);
        Some(self.entries.remove(gone).1)
    }

    /// The names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(n, _)| n.as_str())
    }

    /// The entries, owned.
    pub fn into_entries(self) -> Vec<(String, Tensor)> {
        self.entries
    }
}

impl Deref for StateDict {
    type Target = [(String, Tensor)];
    fn deref(&self) -> &Self::Target {
        &self.entries
    }
}

impl FromIterator<(String, Tensor)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(entries: I) -> Self {
        let mut state = StateDict::new();
        entries.into_iter().for_each(|(name, tensor)| state.insert(name, tensor));
        state
    }
}

options! {
    /// Optional settings of [`Module::load_state_dict_with`].
    LoadOptions {
        /// Whether the names must be exactly those of the module (default: yes). If not, tensors that are missing keep their
        /// values, and names that are unexpected are reported.
        strict: bool = true,
        /// Whether the module takes the tensors themselves, with their dtype, instead of copying them (default: no).
        assign: bool = false,
    }
}

/// Names in which a state and a module differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncompatibleKeys {
    /// Names of the module that the state lacks.
    pub missing: Vec<String>,
    /// Names of the state that the module lacks.
    pub unexpected: Vec<String>,
}

/// A place in the module for one tensor of a state.
struct Slot {
    name: String,
    tensor: Tensor,
    optional: bool,
}

fn slots<M: Module + ?Sized>(module: &M) -> Vec<Slot> {
    let mut slots = Vec::new();
    walk(module, "", &mut |prefix, fields| {
        for (name, p) in &fields.parameters {
            slots.push(Slot { name: format!("{prefix}{name}"), tensor: Tensor::clone(p), optional: false });
        }
        for (name, b) in fields.buffers.iter().filter(|(_, b)| b.is_persistent()) {
            slots.push(Slot {
                name: format!("{prefix}{name}"),
                tensor: Tensor::clone(b),
                optional: b.is_optional(),
            });
        }
    });
    slots
}

pub(super) fn state_dict<M: Module + ?Sized>(module: &M) -> StateDict {
    walk(module, "", &mut |prefix, fields| fields.state_pre_hooks.iter().for_each(|hook| hook(prefix)));
    let mut state: StateDict =
        slots(module).into_iter().map(|slot| (slot.name, detached(&slot.tensor))).collect();
    let mut hooks = Vec::new();
    walk(module, "", &mut |prefix, fields| {
        hooks.extend(fields.state_hooks.iter().map(|hook| (prefix.to_string(), hook.clone())));
    });
    // Those of children come before that of their parent.
    hooks.iter().rev().for_each(|(prefix, hook)| hook(&mut state, prefix));
    state
}

pub(super) fn load_state_dict<M: Module + ?Sized>(
    module: &M,
    state: &StateDict,
    options: &LoadOptions,
) -> Result<IncompatibleKeys> {
    let (prepared, after) = prepare(module, state);
    let state = prepared.as_ref().unwrap_or(state);
    uninitialized(module).iter().try_for_each(|(prefix, part)| part.adopt(state, prefix))?;
    let slots = slots(module);
    let mut keys = IncompatibleKeys::default();
    let mut messages = Vec::new();
    let mut copies = Vec::new();
    for slot in &slots {
        match state.get(&slot.name) {
            Some(tensor) => match fitting(slot, tensor)? {
                Ok(tensor) => copies.push((slot, tensor)),
                Err(message) => messages.push(message),
            },
            None if !slot.optional => keys.missing.push(slot.name.clone()),
            None => {}
        }
    }
    let known: HashSet<&str> = slots.iter().map(|s| s.name.as_str()).collect();
    keys.unexpected = state.keys().filter(|name| !known.contains(name)).map(String::from).collect();
    // Those of children come before that of their parent.
    after.iter().rev().for_each(|hook| hook(&mut keys));
    if options.strict {
        complain(&mut messages, "Unexpected", &keys.unexpected);
        complain(&mut messages, "Missing", &keys.missing);
    }
    if !messages.is_empty() {
        bail!("Error(s) in loading state_dict for {}:\n\t{}", module.name(), messages.join("\n\t"));
    }
    let _guard = no_grad();
    for (slot, tensor) in copies {
        let loaded = if options.assign {
            adopt(&slot.tensor, &tensor)
        } else {
            slot.tensor.copy_(&tensor).map(|_| ())
        };
        loaded.map_err(|e| e.context(&slot.name))?;
    }
    Ok(keys)
}

/// Makes the module's tensor one of the elements of another, whatever its dtype.
fn adopt(own: &Tensor, tensor: &Tensor) -> Result<()> {
    own.set_grad(None)?;
    own.set_data(&tensor.detach())
}

/// The modules whose parameters are not there yet, with what stands before their names.
pub(super) fn uninitialized<M: Module + ?Sized>(module: &M) -> Vec<(String, &dyn Uninitialized)> {
    let fields = module.fields();
    let mut all: Vec<_> = fields.uninitialized.into_iter().map(|part| (String::new(), part)).collect();
    for (name, child) in fields.children {
        all.extend(uninitialized(child).into_iter().map(|(prefix, part)| (format!("{name}.{prefix}"), part)));
    }
    all
}

/// The state after the functions that change it before it is loaded, if there are any, and those for what is reported.
fn prepare<M: Module + ?Sized>(module: &M, state: &StateDict) -> (Option<StateDict>, Vec<LoadHook>) {
    let (mut before, mut after): (Vec<(String, StateHook)>, Vec<LoadHook>) = Default::default();
    walk(module, "", &mut |prefix, fields| {
        before.extend(fields.load_pre_hooks.iter().map(|hook| (prefix.to_string(), hook.clone())));
        after.extend(fields.load_hooks.iter().cloned());
    });
    let prepared = (!before.is_empty()).then(|| {
        let mut state = state.clone();
        before.iter().for_each(|(prefix, hook)| hook(&mut state, prefix));
        state
    });
    (prepared, after)
}

/// The tensor if it can be copied into the slot, else what is wrong with it.
fn fitting(slot: &Slot, tensor: &Tensor) -> Result<Result<Tensor, String>> {
    let (have, want) = (tensor.sizes(), slot.tensor.sizes());
    if have == want {
        return Ok(Ok(tensor.clone()));
    }
    // Numbers were saved with one dimension before PyTorch 0.4.
    if want.is_empty() && have.as_slice() == [1] {
        return Ok(Ok(Tensor::scalar(tensor.item()?, tensor.dtype())?));
    }
    Ok(Err(format!(
        "size mismatch for {}: copying a param with shape {} from checkpoint, the shape in current model is {}.",
        slot.name,
        torch_size(&have),
        torch_size(&want)
    )))
}

fn complain(messages: &mut Vec<String>, what: &str, keys: &[String]) {
    if !keys.is_empty() {
        let names: Vec<String> = keys.iter().map(|k| format!("\"{k}\"")).collect();
        messages.insert(0, format!("{what} key(s) in state_dict: {}. ", names.join(", ")));
    }
}

/// A shape as PyTorch prints it: `torch.Size([2, 3])`.
pub(crate) fn torch_size(sizes: &[i64]) -> String {
    format!("torch.Size({sizes:?})")
}

pub(super) fn to_dtype<M: Module + ?Sized>(module: &M, dtype: DType) -> Result<()> {
    if !dtype.is_floating_point() && !dtype.is_complex() {
        let text = "nn.Module.to only accepts floating point or complex dtypes, but got desired dtype=torch.";
        return Err(Error::type_error(format!("{text}{}", dtype.name())));
    }
    uninitialized(module).iter().try_for_each(|(_, part)| part.settings().to_dtype(dtype))?;
    let _guard = no_grad();
    let mut tensors: Vec<Tensor> = module.parameters().iter().map(|p| Tensor::clone(p)).collect();
    tensors.extend(module.buffers().iter().map(|b| Tensor::clone(b)));
    for t in tensors.iter().filter(|t| t.is_floating_point() || t.is_complex()) {
        convert(t, dtype)?;
    }
    Ok(())
}

fn convert(t: &Tensor, dtype: DType) -> Result<()> {
    if t.dtype() == dtype {
        return Ok(());
    }
    let grad = t.grad();
    t.set_grad(None)?;
    t.set_data(&t.detach().to_dtype(dtype)?)?;
    match grad {
        Some(g) => t.set_grad(Some(g.to_dtype(dtype)?)),
        None => Ok(()),
    }
}
