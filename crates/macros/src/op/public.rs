//! Beside the module: the public function, the options, and the methods of `Tensor`.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::stanza::{Param, Stanza};
use super::table::{camel, is_required, out_names};
use super::types;
use crate::schema::Argument;

/// All public items.
pub fn public(stanza: &Stanza) -> TokenStream {
    let (function, method) = (!stanza.flags().no_fn, stanza.has_method());
    let options = if has_options(stanza) && (function || method) { options(stanza) } else { quote!() };
    let functions = if function { items(stanza, false) } else { quote!() };
    let methods = if method {
        let items = items(stanza, true);
        quote!(impl crate::Tensor { #items })
    } else {
        quote!()
    };
    quote!(#options #functions #methods)
}

fn has_options(stanza: &Stanza) -> bool {
    optional(stanza).next().is_some()
}

fn optional(stanza: &Stanza) -> impl Iterator<Item = (&Argument, &Param)> {
    stanza.arguments().filter(|(a, _)| !is_required(a))
}

/// Which of the functions of an operator is generated.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Plain,
    With,
    Inplace,
    InplaceWith,
    Out,
}

/// The functions, free or as methods.
fn items(stanza: &Stanza, method: bool) -> TokenStream {
    let with = has_options(stanza);
    // In-place functions are methods wherever the operator has methods.
    let inplace = stanza.flags().inplace.is_some() && (method || !stanza.has_method());
    let kinds = [
        (Kind::Plain, true),
        (Kind::With, with),
        (Kind::Inplace, inplace),
        (Kind::InplaceWith, inplace && with),
        (Kind::Out, stanza.flags().out.is_some()),
    ];
    kinds.into_iter().filter(|(_, wanted)| *wanted).map(|(kind, _)| item(stanza, kind, method)).collect()
}

fn item(stanza: &Stanza, kind: Kind, method: bool) -> TokenStream {
    let (module, docs) = (stanza.name(), docs(stanza, kind));
    let name = name(stanza, kind);
    let call = match kind {
        Kind::Plain | Kind::With => format_ident!("call"),
        Kind::Inplace | Kind::InplaceWith => format_ident!("call_"),
        Kind::Out => format_ident!("call_out"),
    };
    let with = matches!(kind, Kind::With | Kind::InplaceWith);
    let Signature { parameters, statements, values } = signature(stanza, with, method);
    let outs = if kind == Kind::Out { out_idents(stanza) } else { Vec::new() };
    let parameters = parameters.into_iter().chain(outs.iter().map(|o| quote!(#o: &crate::Tensor)));
    let options_type = options_name(stanza);
    let (closure, options) = if with {
        (
            quote!(options: impl FnOnce(#options_type) -> #options_type),
            quote!(let options = options(#options_type::default());),
        )
    } else {
        (quote!(), quote!())
    };
    let output = &stanza.kernel.output;
    quote! {
        #docs
        #[allow(non_snake_case, clippy::too_many_arguments, clippy::type_complexity, clippy::should_implement_trait, clippy::wrong_self_convention)]
        pub fn #name(#(#parameters,)* #closure) #output {
            #options
            #statements
            #module::#call(#(#values,)* #(#outs),*)
        }
    }
}

struct Signature {
    parameters: Vec<TokenStream>,
    statements: TokenStream,
    values: Vec<TokenStream>,
}

/// Required parameters, what prepares them, and the arguments of `call`.
fn signature(stanza: &Stanza, with: bool, method: bool) -> Signature {
    let mut s = Signature { parameters: Vec::new(), statements: quote!(), values: Vec::new() };
    for (i, (argument, param)) in stanza.arguments().enumerate() {
        let name = public_ident(argument, param);
        if i == 0 && method {
            s.parameters.push(quote!(&self));
            s.values.push(quote!(self));
        } else if is_required(argument) {
            let (ty, statement, value) = types::public_parameter(&name, argument.ty, &param.ty);
            s.parameters.push(quote!(#name: #ty));
            s.statements.extend(statement);
            s.values.push(value);
        } else if with {
            s.values.push(types::from_field(&name, argument.ty));
        } else {
            s.values.push(types::default_for_call(argument));
        }
    }
    s
}

/// The parameter's name without the underscore that marks it unused in the kernel.
fn public_ident(argument: &Argument, param: &Param) -> Ident {
    Ident::new(&types::rust_name(&argument.name), param.name.span())
}

fn out_idents(stanza: &Stanza) -> Vec<Ident> {
    out_names(stanza).iter().map(|n| format_ident!("{}", types::rust_name(n))).collect()
}

fn name(stanza: &Stanza, kind: Kind) -> Ident {
    let module = stanza.name();
    let text = module.to_string();
    let text = match (kind, text.strip_suffix('_')) {
        (Kind::Plain, _) => return module.clone(),
        (Kind::With, Some(stem)) => format!("{stem}_with_"),
        (Kind::With, None) => format!("{text}_with"),
        (Kind::Inplace, _) => format!("{text}_"),
        (Kind::InplaceWith, _) => format!("{text}_with_"),
        (Kind::Out, _) => format!("{text}_out"),
    };
    Ident::new(&text, module.span())
}

fn options_name(stanza: &Stanza) -> Ident {
    let text = stanza.name().to_string();
    let suffix = if text.ends_with('_') { "InplaceOptions" } else { "Options" };
    Ident::new(&format!("{}{suffix}", camel(&text)), stanza.name().span())
}

fn docs(stanza: &Stanza, kind: Kind) -> TokenStream {
    let module = stanza.name();
    let lead = match kind {
        Kind::Plain => {
            let docs = stanza.docs();
            quote!(#(#docs)*)
        }
        Kind::With => {
            let text = format!("`{module}` with optional arguments, set by `options`.");
            quote!(#[doc = #text])
        }
        Kind::Inplace | Kind::InplaceWith => {
            let with =
                if kind == Kind::InplaceWith { " with optional arguments, set by `options`," } else { "" };
            let text = format!(
                "In-place `{module}`{with} whose result replaces the elements of `self`; returns a handle to it."
            );
            quote!(#[doc = #text])
        }
        Kind::Out => {
            let names = out_names(stanza).join("`, `");
            let text =
                format!("`{module}` whose result is written to `{names}`, resized where its shape differs.");
            quote!(#[doc = #text])
        }
    };
    let schema = format!("ATen: `{}`", stanza.attribute.schema.value());
    quote!(#lead #[doc = ""] #[doc = #schema])
}

/// The builder with one setter per argument that has a default.
fn options(stanza: &Stanza) -> TokenStream {
    let name = options_name(stanza);
    let summary = format!("Optional arguments of `{}`, each with PyTorch's default.", stanza.name());
    let (mut fields, mut defaults, mut setters) = (Vec::new(), Vec::new(), Vec::new());
    for (argument, param) in optional(stanza) {
        let field = public_ident(argument, param);
        let (ty, default) = (types::owned_type(argument.ty), types::default_for_options(argument));
        fields.push(quote!(#field: #ty));
        defaults.push(quote!(#field: #default));
        setters.push(setter(argument, &field));
    }
    quote! {
        #[doc = #summary]
        #[derive(Clone, Debug)]
        #[allow(non_snake_case)]
        pub struct #name { #(#fields),* }

        impl ::std::default::Default for #name {
            fn default() -> Self {
                Self { #(#defaults),* }
            }
        }

        impl #name { #(#setters)* }
    }
}

fn setter(argument: &Argument, field: &Ident) -> TokenStream {
    let doc = format!("Sets `{}` (default: `{}`).", argument.name, argument.default_text);
    let (ty, value) = types::setter(field, argument.ty);
    let generics = if types::setter_borrows(argument.ty) { quote!(<'a>) } else { quote!() };
    quote! {
        #[doc = #doc]
        #[must_use]
        #[allow(non_snake_case)]
        pub fn #field #generics(mut self, #field: #ty) -> Self {
            self.#field = #value;
            self
        }
    }
}
