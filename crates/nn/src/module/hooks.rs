//! Functions called around the `forward` of a module.

use std::fmt;

use cresset_core::{Result, Tensor};

use super::{Forward, Module, Visitor};

type PreHook = Box<dyn Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync>;
type Hook = Box<dyn Fn(&Tensor, &Tensor) -> Result<Option<Tensor>> + Send + Sync>;

/// A module with forward hooks. Names, state and printed form are those of the module inside.
///
/// What PyTorch registers on any module, Rust puts around the one that is observed, so that layers without hooks pay
/// nothing.
pub struct Hooked<M> {
    /// The module inside.
    pub module: M,
    before: Vec<PreHook>,
    after: Vec<Hook>,
}

impl<M> Hooked<M> {
    /// Without hooks.
    pub fn new(module: M) -> Hooked<M> {
        Hooked { module, before: Vec::new(), after: Vec::new() }
    }

    /// Calls `hook` with each input; what it returns replaces it.
    #[must_use]
    pub fn before(
        mut self,
        hook: impl Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static,
    ) -> Self {
        self.before.push(Box::new(hook));
        self
    }

    /// Calls `hook` with each input and output; what it returns replaces the output.
    #[must_use]
    pub fn after(
        mut self,
        hook: impl Fn(&Tensor, &Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static,
    ) -> Self {
        self.after.push(Box::new(hook));
        self
    }
}

impl<M: Module> Module for Hooked<M> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        self.module.visit(visitor);
    }

    fn name(&self) -> String {
        self.module.name()
    }

    fn extra_repr(&self) -> String {
        self.module.extra_repr()
    }

    fn is_list(&self) -> bool {
        self.module.is_list()
    }
}

impl<M: Forward> Forward for Hooked<M> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut input = input.clone();
        for hook in &self.before {
            input = hook(&input)?.unwrap_or(input);
        }
        let mut output = self.module.forward(&input)?;
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
