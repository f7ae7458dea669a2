//! `#[derive(Collate)]`: a batch of a struct is a struct of batches.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Fields, ItemStruct};

/// The struct of batches, and how samples are collated to it. `package` is the name of the package that is compiled.
pub fn derive(item: TokenStream, package: &str) -> TokenStream {
    try_derive(item, package).unwrap_or_else(syn::Error::into_compile_error)
}

fn try_derive(item: TokenStream, package: &str) -> syn::Result<TokenStream> {
    let item: ItemStruct = syn::parse2(item)?;
    let Fields::Named(fields) = &item.fields else {
        let text = "collate: only a struct with named fields; tuples are collated as they are";
        return Err(syn::Error::new_spanned(&item.ident, text));
    };
    let root = if package.starts_with("cresset-") { quote!(::cresset_data) } else { quote!(::cresset::data) };
    let (ident, vis, generics) = (&item.ident, &item.vis, &item.generics);
    let (impl_generics, arguments, conditions) = generics.split_for_impl();
    let batch = format_ident!("{ident}Batch");
    let names: Vec<_> = fields.named.iter().filter_map(|f| f.ident.as_ref()).collect();
    let visibilities = fields.named.iter().map(|f| &f.vis);
    let types: Vec<_> = fields.named.iter().map(|f| &f.ty).collect();
    let field_docs = names.iter().map(|name| format!("The batch of `{name}`."));
    let doc = format!("A batch of [`{ident}`]: each field is the batch of that field.");
    Ok(quote! {
        #[doc = #doc]
        #[derive(Clone, Debug)]
        #vis struct #batch #generics #conditions {
            #(#[doc = #field_docs] #visibilities #names: <#types as #root::Collate>::Batch,)*
        }

        #[automatically_derived]
        impl #impl_generics #root::Collate for #ident #arguments #conditions {
            type Batch = #batch #arguments;

            fn collate(samples: ::std::vec::Vec<Self>) -> #root::Result<Self::Batch> {
                #(let mut #names = ::std::vec::Vec::with_capacity(samples.len());)*
                for sample in samples {
                    #(#names.push(sample.#names);)*
                }
                ::std::result::Result::Ok(#batch { #(#names: <#types as #root::Collate>::collate(#names)?),* })
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_collated() {
        let text = derive(
            quote!(
                pub struct Pair {
                    pub x: Tensor,
                    y: i64,
                }
            ),
            "someone-elses",
        );
        syn::parse2::<syn::File>(text.clone()).unwrap_or_else(|e| panic!("{e} in {text}"));
        let text: String = text.to_string().chars().filter(|c| !c.is_whitespace()).collect();
        assert!(text.contains("pubstructPairBatch"), "{text}");
        assert!(text.contains("pubx:<Tensoras::cresset::data::Collate>::Batch"), "{text}");
        assert!(text.contains("y.push(sample.y)"), "{text}");
    }

    #[test]
    fn mistakes_are_named() {
        let text = derive(
            quote!(
                struct Pair(i64, i64);
            ),
            "someone-elses",
        )
        .to_string();
        assert!(text.contains("named fields"), "{text}");
    }
}
