//! Procedural macros of Cresset: [`macro@op`], the declaration of an operator, `#[derive(Module)]` and
//! `#[derive(Collate)]`.

mod collate;
mod module;
mod op;
mod schema;

use proc_macro::TokenStream;

/// Declares an operator: the ATen schema, its flags, and a module with the kernel and the gradient formulas.
///
/// Used inside the engine only. ARCHITECTURE.md explains the stanza; wrong ones are refused with the reason, at the
/// place in question.
#[proc_macro_attribute]
pub fn op(attribute: TokenStream, item: TokenStream) -> TokenStream {
    op::expand(attribute.into(), item.into()).into()
}

/// Makes a struct a module: its fields are its parameters, buffers and children, and their names are the keys of its
/// `state_dict`.
///
/// A field is a `Parameter`, a `Buffer`, another module, a `Training` flag, or an `Option` of these; a `Vec` of modules
/// is PyTorch's `ModuleList`. `#[module(skip)]` marks configuration. On the struct, `#[module(name = …)]` replaces the
/// name in the printed form and `#[module(repr = …)]` gives what stands in its brackets; both are expressions over
/// `self`. `Display` prints what PyTorch prints.
#[proc_macro_derive(Module, attributes(module))]
pub fn derive_module(item: TokenStream) -> TokenStream {
    module::derive(item.into(), &std::env::var("CARGO_PKG_NAME").unwrap_or_default()).into()
}

/// Lets samples of a struct be collated: the batch of `Sample` is a struct `SampleBatch` with the batch of each field.
#[proc_macro_derive(Collate)]
pub fn derive_collate(item: TokenStream) -> TokenStream {
    collate::derive(item.into(), &std::env::var("CARGO_PKG_NAME").unwrap_or_default()).into()
}
