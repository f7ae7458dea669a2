//! Which Rust types stand for a schema type: what a kernel takes, what a caller passes, what an options struct keeps.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{format_ident, quote};

use crate::schema::{Argument, Base, Default, Form, Ty};

/// The name of a schema argument in Rust: `self` is `this`, keywords get an underscore.
pub fn rust_name(schema_name: &str) -> String {
    match schema_name {
        "self" => "this".into(),
        name if syn::parse_str::<Ident>(name).is_err() => format!("{name}_"),
        name => name.into(),
    }
}

/// Whether values of the type are tensors.
pub fn is_tensor(ty: Ty) -> bool {
    ty.base == Base::Tensor
}

/// The type that a kernel declares, as text without lifetimes and paths.
pub fn kernel_type(ty: Ty) -> String {
    let (owned, borrowed) = match ty.base {
        Base::Tensor => ("Tensor", "&Tensor"),
        Base::Generator => ("Generator", "&Generator"),
        Base::Str => ("String", "&str"),
        Base::Int => ("i64", "i64"),
        Base::Float => ("f64", "f64"),
        Base::Bool => ("bool", "bool"),
        Base::Scalar => ("Scalar", "Scalar"),
        Base::DType => ("DType", "DType"),
        Base::Device => ("Device", "Device"),
        Base::MemoryFormat => ("MemoryFormat", "MemoryFormat"),
        Base::Layout => ("StorageLayout", "StorageLayout"),
        Base::Complex => ("C64", "C64"),
    };
    match ty.form {
        Form::One => borrowed.into(),
        Form::Optional => format!("Option<{borrowed}>"),
        Form::List => format!("&[{owned}]"),
        Form::OptionalList => format!("Option<&[{owned}]>"),
        Form::ListOfOptional => format!("&[Option<{owned}>]"),
    }
}

/// A type as text without blanks, lifetimes and leading path segments: `Option<&crate::Tensor>` is `Option<&Tensor>`.
pub fn plain(ty: &syn::Type) -> String {
    let mut text = String::new();
    let mut tokens = quote!(#ty).into_iter().peekable();
    push_plain(&mut tokens, &mut text);
    text
}

fn push_plain(tokens: &mut dyn Iterator<Item = TokenTree>, text: &mut String) {
    let mut word_start = text.len();
    let mut skip = false;
    for token in tokens {
        match token {
            TokenTree::Punct(p) if p.as_char() == '\'' => skip = true,
            TokenTree::Ident(_) if std::mem::take(&mut skip) => {}
            TokenTree::Ident(name) => {
                word_start = text.len();
                text.push_str(&name.to_string());
            }
            TokenTree::Punct(p) if p.as_char() == ':' => text.truncate(word_start),
            TokenTree::Punct(p) => text.push(p.as_char()),
            TokenTree::Group(g) => {
                let (open, close) =
                    if g.delimiter() == proc_macro2::Delimiter::Bracket { ("[", "]") } else { ("(", ")") };
                text.push_str(open);
                push_plain(&mut g.stream().into_iter(), text);
                text.push_str(close);
            }
            TokenTree::Literal(l) => text.push_str(&l.to_string()),
        }
    }
}

/// Whether the identifier `name` occurs in the type.
pub fn mentions(ty: &syn::Type, name: &str) -> bool {
    fn found(tokens: TokenStream, name: &str) -> bool {
        tokens.into_iter().any(|t| match t {
            TokenTree::Ident(i) => i == name,
            TokenTree::Group(g) => found(g.stream(), name),
            _ => false,
        })
    }
    found(quote!(#ty), name)
}

/// A required parameter of a public function: its type, and the statement that turns it into what `call` takes.
pub fn public_parameter(name: &Ident, ty: Ty, kernel: &syn::Type) -> (TokenStream, TokenStream, TokenStream) {
    match (ty.base, ty.form) {
        (Base::Scalar, Form::One) => (quote!(impl Into<#kernel>), quote!(), quote!(#name.into())),
        (Base::Int, Form::List) => (
            quote!(impl Into<crate::value::IntList>),
            quote!(let #name: crate::value::IntList = #name.into();),
            quote!(&#name),
        ),
        (Base::Int, Form::OptionalList) => (
            quote!(impl Into<crate::value::OptIntList>),
            quote!(let #name: crate::value::OptIntList = #name.into();),
            quote!(#name.as_deref()),
        ),
        _ => (quote!(#kernel), quote!(), quote!(#name)),
    }
}

/// The default as an expression of the kernel's type.
pub fn default_for_call(argument: &Argument) -> TokenStream {
    match argument.default.as_ref().unwrap_or(&Default::None) {
        Default::None => quote!(None),
        Default::Str(s) => wrap(argument.ty, quote!(#s)),
        Default::Ints(list) => wrap(argument.ty, quote!(&[#(#list),*])),
        Default::Bools(list) => wrap(argument.ty, quote!(&[#(#list),*])),
        value => wrap(argument.ty, plain_default(argument.ty.base, value)),
    }
}

/// The default as an expression of the options struct's type.
pub fn default_for_options(argument: &Argument) -> TokenStream {
    match argument.default.as_ref().unwrap_or(&Default::None) {
        Default::None => quote!(None),
        Default::Str(s) => wrap(argument.ty, quote!(::std::string::String::from(#s))),
        Default::Ints(list) => {
            wrap(argument.ty, quote!(crate::value::IntList::from(&[#(#list),*] as &[i64])))
        }
        Default::Bools(list) => wrap(argument.ty, quote!(::std::vec![#(#list),*])),
        value => wrap(argument.ty, plain_default(argument.ty.base, value)),
    }
}

fn wrap(ty: Ty, value: TokenStream) -> TokenStream {
    match ty.form {
        Form::Optional | Form::OptionalList => quote!(Some(#value)),
        _ => value,
    }
}

fn plain_default(base: Base, value: &Default) -> TokenStream {
    match (base, value) {
        (Base::Scalar, Default::Bool(b)) => quote!(crate::Scalar::Bool(#b)),
        (Base::Scalar, Default::Int(i)) => quote!(crate::Scalar::Int(#i)),
        (Base::Scalar, Default::Float(x)) => quote!(crate::Scalar::Float(#x)),
        (_, Default::Bool(b)) => quote!(#b),
        (_, Default::Int(i)) => quote!(#i),
        (_, Default::Float(x)) => quote!(#x),
        (Base::DType, Default::Constant(name)) => {
            let variant = format_ident!("{}", if name == "long" { "I64" } else { "F32" });
            quote!(crate::DType::#variant)
        }
        (_, Default::Constant(name)) => {
            let variant = match name.as_str() {
                "contiguous_format" => "Contiguous",
                "channels_last" => "ChannelsLast",
                _ => "Preserve",
            };
            let variant = format_ident!("{variant}");
            quote!(crate::MemoryFormat::#variant)
        }
        _ => quote!(None),
    }
}

/// The type of an options field.
pub fn owned_type(ty: Ty) -> TokenStream {
    let owned = match ty.base {
        Base::Tensor => quote!(crate::Tensor),
        Base::Generator => quote!(crate::random::Generator),
        Base::Str => quote!(::std::string::String),
        Base::Int => quote!(i64),
        Base::Float => quote!(f64),
        Base::Bool => quote!(bool),
        Base::Scalar => quote!(crate::Scalar),
        Base::DType => quote!(crate::DType),
        Base::MemoryFormat => quote!(crate::MemoryFormat),
        Base::Device => quote!(crate::Device),
        Base::Layout => quote!(crate::StorageLayout),
        Base::Complex => quote!(crate::C64),
    };
    let list =
        if ty.base == Base::Int { quote!(crate::value::IntList) } else { quote!(::std::vec::Vec<#owned>) };
    match ty.form {
        Form::One => owned,
        Form::Optional => quote!(::std::option::Option<#owned>),
        Form::List => list,
        Form::OptionalList => quote!(::std::option::Option<#list>),
        Form::ListOfOptional => quote!(::std::vec::Vec<::std::option::Option<#owned>>),
    }
}

/// The parameter type of a setter and the expression that makes the field of it.
pub fn setter(name: &Ident, ty: Ty) -> (TokenStream, TokenStream) {
    let owned = owned_type(ty);
    let borrowed = match ty.base {
        Base::Tensor => quote!(crate::Tensor),
        Base::Generator => quote!(crate::random::Generator),
        _ => quote!(str),
    };
    match (ty.base, ty.form) {
        (Base::Tensor | Base::Generator | Base::Str, Form::Optional) => (
            quote!(impl Into<::std::option::Option<&'a #borrowed>>),
            quote!(#name.into().map(::std::borrow::ToOwned::to_owned)),
        ),
        (Base::Str, Form::One) => (quote!(impl Into<::std::string::String>), quote!(#name.into())),
        (Base::Scalar, Form::One) => (quote!(impl Into<crate::Scalar>), quote!(#name.into())),
        (Base::Scalar, Form::Optional) => (quote!(impl Into<crate::Scalar>), quote!(Some(#name.into()))),
        (Base::Int, Form::List) => (quote!(impl Into<crate::value::IntList>), quote!(#name.into())),
        (Base::Int, Form::OptionalList) => {
            (quote!(impl Into<crate::value::IntList>), quote!(Some(#name.into())))
        }
        (_, Form::One) => (owned, quote!(#name)),
        _ => (quote!(impl Into<#owned>), quote!(#name.into())),
    }
}

/// Whether a setter's parameter borrows.
pub fn setter_borrows(ty: Ty) -> bool {
    matches!(ty.base, Base::Tensor | Base::Generator | Base::Str) && ty.form == Form::Optional
}

/// What `call` takes, from an options field.
pub fn from_field(name: &Ident, ty: Ty) -> TokenStream {
    let field = quote!(options.#name);
    match (ty.base, ty.form) {
        (Base::Tensor | Base::Generator, Form::Optional) => quote!(#field.as_ref()),
        (Base::Str, Form::Optional) | (_, Form::OptionalList) => quote!(#field.as_deref()),
        (Base::Tensor | Base::Generator | Base::Str, Form::One) | (_, Form::List | Form::ListOfOptional) => {
            quote!(&#field)
        }
        _ => field,
    }
}
