//! Functions called around the `forward` and `backward` of a module.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cresset_core::{Result, Tensor};

use super::{Forward, Module, StateDict, Visitor};

type PreHook = Arc<dyn Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync>;
type Hook = Arc<dyn Fn(&Tensor, &Tensor) -> Result<Option<Tensor>> + Send + Sync>;
type BackwardHook = Arc<dyn Fn(Option<&Tensor>, &Tensor) -> Result<Option<Tensor>> + Send + Sync>;

/// Changes the entries of a `state_dict`; the second argument stands before the module's names.
pub type StateHook = Arc<dyn Fn(&mut StateDict, &str) + Send + Sync>;

/// A module with hooks. Names, state and printed form are those of the module inside.
///
/// What PyTorch registers on any module, Rust puts around the one that is observed, so that layers without hooks pay
/// nothing.
#[derive(Clone)]
pub struct Hooked<M> {
    /// The module inside.
    pub module: M,
    before: Vec<PreHook>,
    after: Vec<Hook>,
    backward: Vec<BackwardHook>,
    state: Vec<StateHook>,
}

impl<M> Hooked<M> {
    /// Without hooks.
    pub fn new(module: M) -> Hooked<M> {
        let (before, after, backward, state) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Hooked { module, before, after, backward, state }
    }

    /// Calls `hook` with each input; what it returns replaces it.
    #[must_use]
    pub fn before(
        mut self,
        hook: impl Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static,
    ) -> Self {
        self.before.push(Arc::new(hook));
        self
    }

    /// Calls `hook` with each input and output; what it returns replaces the output.
    #[must_use]
    pub fn after(
        mut self,
        hook: impl Fn(&Tensor, &Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static,
    ) -> Self {
        self.after.push(Arc::new(hook));
        self
    }

    /// Calls `hook` with the gradients of each input (none if it needs none) and output in backward; what it returns
    /// replaces the gradient of the input. PyTorch's `register_full_backward_hook`.
    #[must_use]
    pub fn backward(
        mut self,
        hook: impl Fn(Option<&Tensor>, &Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static,
    ) -> Self {
        self.backward.push(Arc::new(hook));
        self
    }

    /// Calls `hook` with each `state_dict` that holds this module's entries, and what stands before their names.
    #[must_use]
    pub fn state(mut self, hook: impl Fn(&mut StateDict, &str) + Send + Sync + 'static) -> Self {
        self.state.push(Arc::new(hook));
        self
    }
}

impl<M: Module> Module for Hooked<M> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        self.module.visit(visitor);
        visitor.state_hooks.extend(&self.state);
    }

    fn name(&self) -> String {
        self.module.name()
    }

    fn own_parameter(&mut self, name: &str) -> Option<&mut super::Parameter> {
        self.module.own_parameter(name)
    }

    fn extra_repr(&self) -> String {
        self.module.extra_repr()
    }

    fn is_list(&self) -> bool {
        self.module.is_list()
    }
}

impl<M: Forward> Hooked<M> {
    /// The module between two places of the graph at which the gradients pass the backward hooks.
    fn observed(&self, input: &Tensor) -> Result<Tensor> {
        let needs_grad = input.requires_grad();
        // Views: hooks belong to this call and not to the caller's tensor.
        let input = if needs_grad { input.view_as(input)? } else { input.clone() };
        let output = self.module.forward(&input)?;
        if !output.requires_grad() {
            return Ok(output);
        }
        let output = output.view_as(&output)?;
        let arrived = Arc::new(Mutex::new(None));
        let (hooks, seen) = (self.backward.clone(), arrived.clone());
        output.register_hook(move |g| {
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(g.clone());
            if !needs_grad {
                hooks.iter().try_for_each(|hook| hook(None, g).map(|_| ()))?;
            }
            Ok(None)
        })?;
        if needs_grad {
            let hooks = self.backward.clone();
            input.register_hook(move |g| {
                let arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let Some(output) = arrived else { return Ok(None) };
                let mut g = g.clone();
                for hook in &hooks {
                    g = hook(Some(&g), &output)?.unwrap_or(g);
                }
                Ok(Some(g))
            })?;
        }
        Ok(output)
    }
}

impl<M: Forward> Forward for Hooked<M> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut input = input.clone();
        for hook in &self.before {
            input = hook(&input)?.unwrap_or(input);
        }
        let observed = !self.backward.is_empty() && cresset_core::is_grad_enabled();
        let mut output = if observed { self.observed(&input)? } else { self.module.forward(&input)? };
        for hook in &self.after {
            output = hook(&input, &output)?.unwrap_or(output);
        }
        Ok(output)
    }
}

impl<M: fmt::Debug> fmt::Debug for Hooked<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.module.fmt(f)
    }
}
