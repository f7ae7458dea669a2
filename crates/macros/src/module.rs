//! `#[derive(Module)]`: the fields that a module consists of, by name.
//!
//! Each field is handed to the visitor through the trait `Field`, so types decide what a field is (parameter, buffer,
//! child, training flag) and the derive needs no list of type names. `#[module(skip)]` leaves a field out.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Field, ItemStruct, Path, Token};

/// One entry of `#[module(…)]`.
enum Entry {
    Skip,
    Name(Expr),
    Repr(Expr),
    Crate(Path),
}

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = input.call(syn::Ident::parse_any)?;
        if name == "skip" {
            return Ok(Entry::Skip);
        }
        let known = ["name", "repr", "crate"].iter().any(|k| name == k);
        if !known {
            let text =
                "module: expected `skip` on a field, or `name = …`, `repr = …`, `crate = …` on the struct";
            return Err(syn::Error::new(name.span(), text));
        }
        input.parse::<Token![=]>()?;
        match name.to_string().as_str() {
            "name" => input.parse().map(Entry::Name),
            "repr" => input.parse().map(Entry::Repr),
            _ => input.call(Path::parse_mod_style).map(Entry::Crate),
        }
    }
}

fn entries(attributes: &[Attribute]) -> syn::Result<Vec<Entry>> {
    let mut all = Vec::new();
    for attribute in attributes.iter().filter(|a| a.path().is_ident("module")) {
        all.extend(attribute.parse_args_with(Punctuated::<Entry, Token![,]>::parse_terminated)?);
    }
    Ok(all)
}

/// The implementations of `Module` and `Display`. `package` is the name of the package that is compiled.
pub fn derive(item: TokenStream, package: &str) -> TokenStream {
    try_derive(item, package).unwrap_or_else(syn::Error::into_compile_error)
}

fn try_derive(item: TokenStream, package: &str) -> syn::Result<TokenStream> {
    let item: ItemStruct = syn::parse2(item).map_err(|e| {
        syn::Error::new(
            e.span(),
            "module: only a struct can be a module; give an enum's variants to `visit` by hand",
        )
    })?;
    // Crates of the workspace name the layer crate, others the facade.
    let mut root = if package.starts_with("cresset-") { quote!(::cresset_nn) } else { quote!(::cresset::nn) };
    let name = item.ident.to_string();
    let (mut name, mut repr) = (quote!(::std::string::String::from(#name)), None);
    for entry in entries(&item.attrs)? {
        match entry {
            Entry::Name(e) => name = quote!(::std::string::String::from(#e)),
            Entry::Repr(e) => {
                repr = Some(
                    quote!(fn extra_repr(&self) -> ::std::string::String { ::std::string::String::from(#e) }),
                )
            }
            Entry::Crate(path) => root = quote!(#path),
            Entry::Skip => {
                return Err(syn::Error::new_spanned(&item.ident, "module: `skip` belongs to a field"));
            }
        }
    }
    let (mut visits, mut arms) = (Vec::new(), Vec::new());
    for (i, field) in item.fields.iter().enumerate() {
        if let Some((visit, arm)) = visit(i, field, &root)? {
            visits.push(visit);
            arms.push(arm);
        }
    }
    let (ident, (generics, arguments, conditions)) = (&item.ident, item.generics.split_for_impl());
    Ok(quote! {
        #[automatically_derived]
        impl #generics #root::Module for #ident #arguments #conditions {
            fn visit<'module>(&'module self, visitor: &mut #root::Visitor<'module>) {
                let _ = &visitor;
                #(#visits)*
            }
            fn name(&self) -> ::std::string::String {
                #name
            }
            fn own_parameter(&mut self, name: &str) -> ::std::option::Option<&mut #root::Parameter> {
                match name {
                    #(#arms)*
                    _ => ::std::option::Option::None,
                }
            }
            #repr
        }

        #[automatically_derived]
        impl #generics ::std::fmt::Display for #ident #arguments #conditions {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&#root::Module::repr(self))
            }
        }
    })
}

/// How a field is visited, and how it is found by its name.
fn visit(i: usize, field: &Field, root: &TokenStream) -> syn::Result<Option<(TokenStream, TokenStream)>> {
    match entries(&field.attrs)?.first() {
        None => {}
        Some(Entry::Skip) => return Ok(None),
        Some(_) => return Err(syn::Error::new_spanned(field, "module: a field takes `skip` only")),
    }
    let (member, key) = match &field.ident {
        Some(ident) => (quote!(#ident), ident.unraw().to_string()),
        None => {
            let index = syn::Index::from(i);
            (quote!(#index), i.to_string())
        }
    };
    let ty = &field.ty;
    // Errors about the trait point at the field's type.
    let method = format_ident!("visit_field", span = syn::spanned::Spanned::span(ty));
    Ok(Some((
        quote!(<#ty as #root::Field>::#method(&self.#member, #key, visitor);),
        quote!(#key => <#ty as #root::Field>::as_parameter(&mut self.#member),),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(item: TokenStream) -> String {
        let tokens = derive(item, "someone-elses");
        syn::parse2::<syn::File>(tokens.clone()).unwrap_or_else(|e| panic!("{e} in {tokens}"));
        tokens.to_string().chars().filter(|c| !c.is_whitespace()).collect()
    }

    #[test]
    fn fields_are_visited_under_their_names() {
        let text = derived(quote! {
            #[module(name = format!("Net{D}"), repr = self.text())]
            struct Net<const D: usize, T: Layer> where T: Send { fc: Linear, #[module(skip)] p: f64, r#type: Option<T> }
        });
        assert!(
            text.contains("impl<constD:usize,T:Layer>::cresset::nn::ModuleforNet<D,T>whereT:Send"),
            "{text}"
        );
        assert!(
            text.contains("<Linearas::cresset::nn::Field>::visit_field(&self.fc,\"fc\",visitor);"),
            "{text}"
        );
        assert!(text.contains("visit_field(&self.r#type,\"type\",visitor);"), "{text}");
        assert!(!text.contains("self.p"), "{text}");
        assert!(
            text.contains("String::from(format!(\"Net{D}\"))") && text.contains("String::from(self.text())"),
            "{text}"
        );
    }

    #[test]
    fn the_workspace_names_the_layer_crate() {
        let text = derive(
            quote!(
                struct Pair(Linear, Linear);
            ),
            "cresset-vision",
        )
        .to_string();
        assert!(text.contains(":: cresset_nn :: Module") && text.contains("\"1\""), "{text}");
        let text = derive(
            quote!(
                #[module(crate = here)]
                struct Unit;
            ),
            "cresset-vision",
        )
        .to_string();
        assert!(text.contains("impl here :: Module for Unit"), "{text}");
    }

    #[test]
    fn mistakes_are_named() {
        assert!(
            derived(quote!(
                enum E {
                    A,
                }
            ))
            .contains("onlyastructcanbeamodule")
        );
        assert!(
            derived(quote!(
                struct N {
                    #[module(skp)]
                    a: f64,
                }
            ))
            .contains("expected`skip`onafield")
        );
        assert!(
            derived(quote!(
                struct N {
                    #[module(name = "x")]
                    a: f64,
                }
            ))
            .contains("takes`skip`only")
        );
    }
}
