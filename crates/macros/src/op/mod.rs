//! `#[op]`: from a stanza to the operator's table entry and its typed functions.
//!
//! The stanza is an ordinary inline module, so rustfmt formats it and an editor jumps into it; its tokens are passed
//! through untouched and only wrapped. What is generated beside them is small and not generic: the boxed kernel and
//! the gradient glue ([`table`]), and the public functions, methods and options ([`public`]).

mod flags;
mod public;
mod stanza;
mod table;
#[cfg(test)]
mod tests;
mod types;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ItemMod;

use flags::Attribute;
use stanza::Stanza;

/// The expansion; where that is impossible, the module alone, so that an editor still understands its bodies, and the error.
pub fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand_or_refuse(attribute, item.clone()).unwrap_or_else(|e| {
        let module = match syn::parse2::<ItemMod>(item) {
            Ok(mut module) => {
                if let Some((_, items)) = &mut module.content {
                    items.insert(
                        0,
                        syn::parse_quote!(
                            use super::*;
                        ),
                    );
                }
                quote!(#[allow(unused)] #module)
            }
            Err(_) => quote!(),
        };
        let error = e.into_compile_error();
        quote!(#module #error)
    })
}

/// An operator whose differentiation is in doubt still gets its functions: one mistake, one error.
fn expand_or_refuse(attribute: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let stanza = Stanza::new(syn::parse2::<Attribute>(attribute)?, syn::parse2::<ItemMod>(item)?)?;
    let mistake = stanza.mistake.as_ref().map(syn::Error::to_compile_error);
    let expansion = expansion(&stanza);
    Ok(quote!(#expansion #mistake))
}

fn expansion(stanza: &Stanza) -> TokenStream {
    let (attrs, name) = (&stanza.module.attrs, stanza.name());
    let items = stanza.module.content.iter().flat_map(|(_, items)| items).map(ToTokens::to_token_stream);
    let table = table::table(stanza);
    let public = public::public(stanza);
    quote! {
        #(#attrs)*
        #[allow(non_snake_case, clippy::too_many_arguments, clippy::type_complexity)]
        pub(crate) mod #name {
            #[allow(unused_imports)]
            use super::*;
            #(#items)*
            #table
        }
        #public
    }
}
