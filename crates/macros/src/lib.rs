//! Procedural macros of Cresset: [`macro@op`], the declaration of an operator, and `#[derive(Module)]`.

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
