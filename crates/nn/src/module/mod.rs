//! [`Module`]: a struct whose fields are parameters, buffers and other modules.
//!
//! `#[derive(Module)]` writes the one required function, [`Module::visit`], which hands each field with its name to a
//! [`Visitor`]. Everything else is written once, here, over what that visitor found: names, `state_dict`, modes,
//! printing. Nothing is registered while running, as PyTorch does; a field that is neither is marked
//! `#[module(skip)]`, and one that is forgotten does not compile.
//!
//! All functions take `&self`: tensors are handles, so loading, converting or zeroing changes the tensors in place and
//! an optimizer that holds them sees it.

mod containers;
mod copying;
mod forward;
mod hooks;
mod parameter;
mod repr;
mod state;
mod tensors;

/// Derives [`trait@Module`] from a struct's fields.
pub use cresset_macros::Module;

pub use containers::{ModuleDict, ParameterDict, ParameterList, Sequential};
pub(crate) use copying::substituted;
pub use forward::{Forward, Layer};
pub use hooks::{Hooked, LoadHook, RemovableHandle, StateHook};
pub use parameter::{Buffer, Parameter, Training};
pub(crate) use repr::boolean;
pub use repr::{float, int_or_tuple, number, tuple};
pub(crate) use state::torch_size;
pub use state::{IncompatibleKeys, LoadOptions, StateDict};
pub use tensors::Tensors;

use std::collections::HashSet;

use cresset_core::{DType, Error, Result, Tensor, no_grad};

/// Is called with what stands before the module's names, before its state is taken.
pub type StatePreHook<'a> = Box<dyn Fn(&str) + 'a>;

/// The fields of one module, in the order of their declaration.
#[derive(Default)]
pub struct Visitor<'a> {
    /// Its own parameters.
    pub parameters: Vec<(String, &'a Parameter)>,
    /// Its own buffers.
    pub buffers: Vec<(String, &'a Buffer)>,
    /// Its direct children.
    pub children: Vec<(String, &'a dyn Module)>,
    /// Its own training flags.
    pub training: Vec<&'a Training>,
    /// Itself, as long as its parameters are not there.
    pub uninitialized: Vec<&'a dyn Uninitialized>,
    /// Functions that are called before its state is taken.
    pub state_pre_hooks: Vec<StatePreHook<'a>>,
    /// Functions that change its state before it is handed out.
    pub state_hooks: Vec<StateHook>,
    /// Functions that change a state before it is loaded.
    pub load_pre_hooks: Vec<StateHook>,
    /// Functions that change what loading reports.
    pub load_hooks: Vec<LoadHook>,
}

/// A module whose parameters are not there yet.
pub trait Uninitialized {
    /// The module that holds what its parameters will be like: dtype, `requires_grad`.
    fn settings(&self) -> &dyn Module;

    /// Makes the parameters as a state that is about to be loaded has them, under names that begin with `prefix`.
    ///
    /// # Errors
    /// When there can be no such parameters.
    fn adopt(&self, state: &StateDict, prefix: &str) -> Result<()>;
}

/// A type that a module's field can have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a parameter, a buffer nor a module",
    label = "not a part of a module",
    note = "mark a field that is configuration with `#[module(skip)]`"
)]
pub trait Field {
    /// Shows the field to the visitor under its name.
    fn visit_field<'a>(&'a self, name: &str, visitor: &mut Visitor<'a>);

    /// The field, if it is a parameter.
    fn as_parameter(&mut self) -> Option<&mut Parameter> {
        None
    }
}

impl Field for Parameter {
    fn visit_field<'a>(&'a self, name: &str, visitor: &mut Visitor<'a>) {
        visitor.parameters.push((name.into(), self));
    }

    fn as_parameter(&mut self) -> Option<&mut Parameter> {
        Some(self)
    }
}

impl Field for Buffer {
    fn visit_field<'a>(&'a self, name: &str, visitor: &mut Visitor<'a>) {
        visitor.buffers.push((name.into(), self));
    }
}

impl Field for Training {
    fn visit_field<'a>(&'a self, _: &str, visitor: &mut Visitor<'a>) {
        visitor.training.push(self);
    }
}

impl<T: Field> Field for Option<T> {
    fn visit_field<'a>(&'a self, name: &str, visitor: &mut Visitor<'a>) {
        if let Some(field) = self {
            field.visit_field(name, visitor);
        }
    }

    fn as_parameter(&mut self) -> Option<&mut Parameter> {
        self.as_mut().and_then(Field::as_parameter)
    }
}

impl<M: Module> Field for M {
    fn visit_field<'a>(&'a self, name: &str, visitor: &mut Visitor<'a>) {
        visitor.children.push((name.into(), self));
    }
}

/// A part of a network, as `torch.nn.Module`; derived with `#[derive(Module)]`.
pub trait Module: Send + Sync {
    /// Shows each field to the visitor.
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>);

    /// The name of the type, as it is printed.
    fn name(&self) -> String;

    /// Its own parameter of that name, to be replaced by another.
    fn own_parameter(&mut self, name: &str) -> Option<&mut Parameter> {
        let _ = name;
        None
    }

    /// What is printed in the brackets.
    fn extra_repr(&self) -> String {
        String::new()
    }

    /// Whether children that print the same are printed once, as `ModuleList` does.
    fn is_list(&self) -> bool {
        false
    }

    /// Its own fields.
    fn fields(&self) -> Visitor<'_> {
        let mut visitor = Visitor::default();
        self.visit(&mut visitor);
        visitor
    }

    /// A module with the same values in tensors of its own, as `copy.deepcopy` makes it: what is shared within the module is
    /// shared within the copy; modes, gradients and hooks are as here.
    ///
    /// # Errors
    /// `Runtime` when a parameter has a history, `OutOfMemory` when the system refuses.
    fn deep_copy(&self) -> Result<Self>
    where
        Self: Sized + Clone,
    {
        copying::deep_copy(self)
    }

    /// The printed form, equal to Python's `repr(module)`.
    fn repr(&self) -> String {
        repr::repr(self)
    }

    /// All parameters with their names, each once, also those of the children.
    fn named_parameters(&self) -> Vec<(String, Parameter)> {
        let (mut all, mut seen) = (Vec::new(), HashSet::new());
        walk(self, "", &mut |prefix, fields| {
            for (name, parameter) in fields.parameters.iter().filter(|(_, p)| seen.insert(p.id())) {
                all.push((format!("{prefix}{name}"), (*parameter).clone()));
            }
        });
        all
    }

    /// All parameters, each once.
    fn parameters(&self) -> Vec<Parameter> {
        self.named_parameters().into_iter().map(|(_, p)| p).collect()
    }

    /// All buffers with their names, each once, also those of the children.
    fn named_buffers(&self) -> Vec<(String, Buffer)> {
        let (mut all, mut seen) = (Vec::new(), HashSet::new());
        walk(self, "", &mut |prefix, fields| {
            for (name, buffer) in fields.buffers.iter().filter(|(_, b)| seen.insert(b.id())) {
                all.push((format!("{prefix}{name}"), (*buffer).clone()));
            }
        });
        all
    }

    /// All buffers, each once.
    fn buffers(&self) -> Vec<Buffer> {
        self.named_buffers().into_iter().map(|(_, b)| b).collect()
    }

    /// The direct children with their names.
    fn named_children(&self) -> Vec<(String, &dyn Module)> {
        self.fields().children
    }

    /// The direct children.
    fn children(&self) -> Vec<&dyn Module> {
        self.named_children().into_iter().map(|(_, module)| module).collect()
    }

    /// This module, without a name, and all below it with theirs, a parent before its children.
    ///
    /// Modules that are used twice are there twice; PyTorch leaves the second one out.
    fn named_modules(&self) -> Vec<(String, &dyn Module)>
    where
        Self: Sized,
    {
        let mut all: Vec<(String, &dyn Module)> = vec![(String::new(), self)];
        all.extend(self.named_descendants());
        all
    }

    /// This module and all below it, a parent before its children.
    fn modules(&self) -> Vec<&dyn Module>
    where
        Self: Sized,
    {
        self.named_modules().into_iter().map(|(_, module)| module).collect()
    }

    /// The module of that dotted name; this one for the empty name.
    ///
    /// # Errors
    /// `Attribute` when there is none.
    fn get_submodule(&self, target: &str) -> Result<&dyn Module>
    where
        Self: Sized,
    {
        let mut module: &dyn Module = self;
        for item in target.split('.').filter(|_| !target.is_empty()) {
            module = match module.named_children().into_iter().find(|(name, _)| name == item) {
                Some((_, child)) => child,
                None => return Err(no_attribute(module, item)),
            };
        }
        Ok(module)
    }

    /// The parameter of that dotted name.
    ///
    /// # Errors
    /// `Attribute` when there is none.
    fn get_parameter(&self, target: &str) -> Result<Parameter>
    where
        Self: Sized,
    {
        let (module, item) = owner(self, target)?;
        let found = module.fields().parameters.into_iter().find(|(name, _)| name == item);
        found.map(|(_, p)| p.clone()).ok_or_else(|| no_attribute(module, item))
    }

    /// The buffer of that dotted name.
    ///
    /// # Errors
    /// `Attribute` when there is none.
    fn get_buffer(&self, target: &str) -> Result<Buffer>
    where
        Self: Sized,
    {
        let (module, item) = owner(self, target)?;
        let found = module.fields().buffers.into_iter().find(|(name, _)| name == item);
        found.map(|(_, b)| b.clone()).ok_or_else(|| no_attribute(module, item))
    }

    /// All modules below this one with their names, a parent before its children.
    fn named_descendants(&self) -> Vec<(String, &dyn Module)> {
        let mut all = Vec::new();
        for (name, child) in self.fields().children {
            all.push((name.clone(), child));
            all.extend(child.named_descendants().into_iter().map(|(n, m)| (format!("{name}.{n}"), m)));
        }
        all
    }

    /// The tensors of the module's state by name: parameters and persistent buffers, in PyTorch's order.
    ///
    /// They are the module's tensors without their history, not copies.
    fn state_dict(&self) -> StateDict {
        state::state_dict(self)
    }

    /// Copies the tensors of a state into the module's; the names must be exactly those of [`Module::state_dict`].
    ///
    /// Nothing is changed when it fails.
    ///
    /// # Errors
    /// `Runtime` with PyTorch's text, which names missing and unexpected keys and tensors of another shape.
    fn load_state_dict(&self, state: &StateDict) -> Result<IncompatibleKeys> {
        state::load_state_dict(self, state, &LoadOptions::default())
    }

    /// [`Module::load_state_dict`] with optional settings.
    ///
    /// # Errors
    /// As there.
    fn load_state_dict_with(
        &self,
        state: &StateDict,
        options: impl FnOnce(LoadOptions) -> LoadOptions,
    ) -> Result<IncompatibleKeys>
    where
        Self: Sized,
    {
        state::load_state_dict(self, state, &options(LoadOptions::default()))
    }

    /// Switches training mode on for this module and all below it.
    fn train(&self) {
        self.set_training(true);
    }

    /// Switches training mode off for this module and all below it.
    fn eval(&self) {
        self.set_training(false);
    }

    /// Switches training mode on or off.
    fn set_training(&self, on: bool) {
        walk(self, "", &mut |_, fields| fields.training.iter().for_each(|t| t.set(on)));
    }

    /// Whether it is in training mode: what its first flag says, `true` where nothing below depends on it.
    fn is_training(&self) -> bool {
        let mut found = None;
        walk(self, "", &mut |_, fields| found = found.or(fields.training.first().map(|t| t.is_on())));
        found.unwrap_or(true)
    }

    /// Clears the gradients of all parameters.
    fn zero_grad(&self) {
        for parameter in self.parameters() {
            // Clearing cannot fail: only a gradient that does not fit is refused.
            let _ = parameter.set_grad(None);
        }
    }

    /// Asks for gradients of all parameters, or no longer.
    ///
    /// # Errors
    /// `Runtime` for parameters that cannot have gradients.
    fn requires_grad_(&self, on: bool) -> Result<()> {
        state::uninitialized(self).iter().try_for_each(|(_, part)| part.settings().requires_grad_(on))?;
        self.parameters().iter().try_for_each(|p| p.set_requires_grad(on))
    }

    /// Converts the floating-point parameters and buffers, in place, as `module.to(dtype)`.
    ///
    /// # Errors
    /// `Type` when `dtype` is neither floating-point nor complex.
    fn to_dtype(&self, dtype: DType) -> Result<()> {
        state::to_dtype(self, dtype)
    }

    /// Calls `f` for every module below and then, last, with the fields of this one, as `torch.nn.Module.apply` orders
    /// them.
    ///
    /// # Errors
    /// The first of `f`, with gradients off.
    fn apply(&self, f: &mut dyn FnMut(&str, &Visitor<'_>) -> Result<()>) -> Result<()> {
        let _guard = no_grad();
        apply(self, f)
    }
}

/// The module that a dotted name points into, and the last part of the name.
fn owner<'a>(module: &'a impl Module, target: &'a str) -> Result<(&'a dyn Module, &'a str)> {
    let (path, item) = target.rsplit_once('.').unwrap_or(("", target));
    Ok((module.get_submodule(path)?, item))
}

fn no_attribute(module: &dyn Module, item: &str) -> Error {
    Error::attribute(format!("{} has no attribute `{item}`", module.name()))
}

fn apply<M: Module + ?Sized>(module: &M, f: &mut dyn FnMut(&str, &Visitor<'_>) -> Result<()>) -> Result<()> {
    let fields = module.fields();
    for (_, child) in &fields.children {
        apply(*child, f)?;
    }
    f(&module.name(), &fields)
}

/// Calls `f` with the prefix of the names and the fields of this module and all below it, a parent before its children.
pub(crate) fn walk<M: Module + ?Sized>(module: &M, prefix: &str, f: &mut dyn FnMut(&str, &Visitor<'_>)) {
    let fields = module.fields();
    f(prefix, &fields);
    for (name, child) in &fields.children {
        walk(*child, &format!("{prefix}{name}."), f);
    }
}

macro_rules! forward_module {
    ($($pointer:ident),*) => { $(
        impl<M: Module + ?Sized> Module for $pointer<M> {
            fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
                (**self).visit(visitor);
            }
            fn name(&self) -> String {
                (**self).name()
            }
            fn extra_repr(&self) -> String {
                (**self).extra_repr()
            }
            fn is_list(&self) -> bool {
                (**self).is_list()
            }
        }
    )* };
}

use std::sync::Arc;
forward_module!(Box, Arc);

impl std::fmt::Display for dyn Module + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.repr())
    }
}

/// A tensor without history on the same elements.
pub(crate) fn detached(t: &Tensor) -> Tensor {
    t.detach()
}
