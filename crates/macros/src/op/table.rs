//! Inside the module: the table entry, the boxed kernel, the typed calls, the gradient glue.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::LitStr;

use super::stanza::{Gradient, Source, Stanza};
use super::types;
use crate::schema::{Argument, Base};

/// Everything that the module gets besides its own items.
pub fn table(stanza: &Stanza) -> TokenStream {
    let op = definition(stanza);
    let boxed = boxed(stanza, "boxed", "kernel", stanza.kernel.takes_out);
    let sparse = stanza.sparse.map(|takes_out| self::boxed(stanza, "boxed_sparse", "sparse", takes_out));
    let calls = calls(stanza);
    let glue = stanza.gradients.iter().map(glue);
    quote!(#op #boxed #sparse #calls #(#glue)*)
}

fn definition(stanza: &Stanza) -> TokenStream {
    let (schema, flags) = (&stanza.schema, stanza.flags());
    let (name, overload, text) = (&schema.name, &schema.overload, &stanza.attribute.schema);
    let rust_name = stanza.name().to_string();
    let doc = first_paragraph(stanza);
    let (writes_out, inplace) = (stanza.kernel.takes_out, flags.inplace.is_some());
    let autograd = autograd(stanza);
    let out = out_variant(stanza);
    let tags = tags(stanza);
    let autocast = option_variant(flags.autocast.as_ref());
    let sparse = if stanza.sparse.is_some() { quote!(Some(boxed_sparse)) } else { quote!(None) };
    let onnx = flags.onnx.as_ref().map_or(quote!(None), |name| quote!(Some(#name)));
    quote! {
        pub(crate) static OP: crate::op::OpDef = crate::op::OpDef {
            name: #name,
            overload: #overload,
            schema: #text,
            rust_name: #rust_name,
            doc: #doc,
            kernel: boxed,
            sparse: #sparse,
            writes_out: #writes_out,
            autograd: #autograd,
            inplace: #inplace,
            out: #out,
            tags: &[#(crate::op::Tag::#tags),*],
            autocast: crate::op::Autocast::#autocast,
            onnx: #onnx,
            parsed: ::std::sync::OnceLock::new(),
        };
    }
}

/// The first paragraph of the doc comment, as one line.
fn first_paragraph(stanza: &Stanza) -> String {
    let line = |a: &&syn::Attribute| match &a.meta {
        syn::Meta::NameValue(nv) => match &nv.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(s), .. }) => Some(s.value().trim().to_string()),
            _ => None,
        },
        _ => None,
    };
    let docs = stanza.docs();
    let lines: Vec<String> = docs.iter().filter_map(line).take_while(|l| !l.is_empty()).collect();
    lines.join(" ")
}

fn autograd(stanza: &Stanza) -> TokenStream {
    if stanza.flags().composite.is_some() {
        return quote!(crate::op::Autograd::Composite);
    }
    if let Some(reason) = &stanza.flags().no_grad {
        return quote!(crate::op::Autograd::NoGrad(#reason));
    }
    let formulas = stanza.gradients.iter().map(|g| {
        let (wrt, apply) = (&g.wrt, glue_name(g));
        let (saves, saves_outputs) = saved(g);
        let reads = reads(g);
        quote! {
            crate::op::Formula { wrt: &[#(#wrt),*], saves: &[#(#saves),*], reads: #reads, saves_outputs: &[#(#saves_outputs),*], apply: #apply }
        }
    });
    quote!(crate::op::Autograd::Formulas(&[#(#formulas),*]))
}

/// The outputs whose gradients a formula reads, a bit each; all of them if it reads none by name.
fn reads(gradient: &Gradient) -> u64 {
    let bit = |source: &Source| match source {
        Source::Gradient => 1,
        Source::GradientOf(n) => 1 << n,
        Source::Gradients => u64::MAX,
        _ => 0,
    };
    match gradient.params.iter().map(|(source, _)| bit(source)).fold(0, std::ops::BitOr::bitor) {
        0 => u64::MAX,
        mask => mask,
    }
}

/// Positions of the arguments and outputs that a gradient reads in full.
fn saved(gradient: &Gradient) -> (Vec<usize>, Vec<usize>) {
    let (mut arguments, mut outputs) = (Vec::new(), Vec::new());
    for (source, _) in gradient.params.iter().filter(|(_, p)| types::mentions(&p.ty, "Tensor")) {
        match source {
            Source::Argument(i) => arguments.push(*i),
            Source::Output(i) => outputs.push(*i),
            _ => {}
        }
    }
    (arguments, outputs)
}

fn out_variant(stanza: &Stanza) -> TokenStream {
    let Some(out) = &stanza.flags().out else { return quote!(None) };
    let overload = match &out.overload {
        Some(text) => text.value(),
        None if stanza.schema.overload.is_empty() => "out".into(),
        None => format!("{}_out", stanza.schema.overload),
    };
    let names = out_names(stanza);
    quote!(Some(crate::op::OutVariant { overload: #overload, names: &[#(#names),*] }))
}

/// The names of the output arguments: those given, those of the returns, or `out`, `out0`, `out1`….
pub fn out_names(stanza: &Stanza) -> Vec<String> {
    let given = stanza.flags().out.as_ref().map_or(&[][..], |o| &o.names);
    let returns = &stanza.schema.returns;
    let name = |i: usize| match (given.get(i), &returns[i].1) {
        (Some(name), _) => name.to_string(),
        (_, Some(name)) if returns.len() > 1 => name.clone(),
        _ if returns.len() == 1 => "out".into(),
        _ => format!("out{i}"),
    };
    (0..returns.len()).map(name).collect()
}

fn tags(stanza: &Stanza) -> Vec<Ident> {
    let mut tags: Vec<Ident> =
        stanza.flags().tags.iter().map(|t| Ident::new(&camel(&t.to_string()), t.span())).collect();
    if stanza.flags().view && !tags.iter().any(|t| t == "View") {
        tags.push(format_ident!("View"));
    }
    tags
}

fn option_variant(text: Option<&LitStr>) -> Ident {
    text.map_or_else(|| format_ident!("None"), |t| Ident::new(&camel(&t.value()), t.span()))
}

/// `dynamic_shape` as `DynamicShape`.
pub fn camel(name: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('_').filter(|w| !w.is_empty()).map(capital).collect()
}

/// A body, called with boxed arguments.
fn boxed(stanza: &Stanza, name: &str, body: &str, takes_out: bool) -> TokenStream {
    let (name, body) = (format_ident!("{name}"), format_ident!("{body}"));
    let positions = &stanza.kernel.positions;
    let types = stanza.kernel.params.iter().map(|p| &p.ty);
    let out = if takes_out { quote!(out) } else { quote!() };
    let unused = if takes_out { quote!() } else { quote!(let _ = out;) };
    let no_args = if positions.is_empty() { quote!(let _ = args;) } else { quote!() };
    quote! {
        fn #name(args: &[crate::value::Value], out: crate::op::Out<'_>) -> crate::Result<crate::value::Outputs> {
            #unused #no_args
            let results = #body(#(<#types as crate::value::FromValue>::from_value(&args[#positions])?,)* #out)?;
            Ok(crate::value::Returns::into_outputs(results))
        }
    }
}

fn calls(stanza: &Stanza) -> TokenStream {
    let functional = call(stanza, "call", "Functional");
    let inplace = stanza.flags().inplace.as_ref().map(|_| call(stanza, "call_", "Inplace"));
    let out = stanza.flags().out.as_ref().map(|_| call(stanza, "call_out", "Out"));
    quote!(#functional #inplace #out)
}

/// One typed way in: straight to the kernel when nothing else wants to see the call, else through the door.
fn call(stanza: &Stanza, function: &str, variant: &str) -> TokenStream {
    let (function, variant) = (format_ident!("{function}"), format_ident!("{variant}"));
    let (kernel, outs) = (&stanza.kernel, out_parameters(stanza, &variant));
    let names = kernel.params.iter().map(|p| &p.name);
    let types = kernel.params.iter().map(|p| &p.ty);
    let boxed = boxed_arguments(stanza);
    let list = match outs.as_slice() {
        [] => quote!(&[]),
        [one] => quote!(::std::slice::from_ref(#one)),
        many => quote!(&[#(::std::clone::Clone::clone(#many)),*]),
    };
    let straight = straight(stanza, &variant);
    let output = &kernel.output;
    quote! {
        pub(crate) fn #function(#(#names: #types,)* #(#outs: &crate::Tensor),*) #output {
            #straight
            crate::value::Returns::from_outputs(crate::door::call(
                &OP, crate::op::Variant::#variant, crate::value::args![#(#boxed),*], #list,
            )?)
        }
    }
}

/// The way past the door, for calls that write to nothing: writes are checked and counted by the door.
fn straight(stanza: &Stanza, variant: &Ident) -> TokenStream {
    if variant != "Functional" || stanza.schema.arguments.iter().any(|a| a.written) {
        return quote!();
    }
    let names = stanza.kernel.params.iter().map(|p| &p.name);
    let out = if stanza.kernel.takes_out { quote!(crate::op::Out::New) } else { quote!() };
    let condition = direct_condition(stanza);
    quote!(if #condition { return kernel(#(#names,)* #out); })
}

fn out_parameters(stanza: &Stanza, variant: &Ident) -> Vec<Ident> {
    if variant != "Out" {
        return Vec::new();
    }
    let taken: Vec<String> = stanza.kernel.params.iter().map(|p| p.name.to_string()).collect();
    let free = |name: String| if taken.contains(&name) { format!("{name}_out") } else { name };
    out_names(stanza).into_iter().map(|name| format_ident!("{}", types::rust_name(&free(name)))).collect()
}

/// All schema arguments as boxed values; those that the kernel leaves out are absent.
fn boxed_arguments(stanza: &Stanza) -> Vec<TokenStream> {
    let param = |i: usize| {
        stanza.kernel.positions.iter().position(|&p| p == i).map(|k| &stanza.kernel.params[k].name)
    };
    let value = |i: usize| param(i).map_or_else(|| quote!(crate::value::Value::None), |name| quote!(#name));
    (0..stanza.schema.arguments.len()).map(value).collect()
}

/// Whether the call may skip the door: no mode is on and nothing is recorded.
///
/// The body of an operator without gradients must not be recorded either, that of a composite one must; the operators
/// that a composite is made of ask about their sparse tensors themselves.
fn direct_condition(stanza: &Stanza) -> TokenStream {
    let blind = stanza.flags().composite.is_some() && stanza.sparse.is_none();
    let tensors = stanza.arguments().filter(|(a, _)| types::is_tensor(a.ty) && !blind);
    let flags: Vec<TokenStream> = tensors.map(|(a, p)| door_flags(a, &p.name)).collect();
    if flags.is_empty() {
        return quote!(crate::door::direct(0));
    }
    quote!(crate::door::direct(#(#flags)|*))
}

fn door_flags(argument: &Argument, name: &Ident) -> TokenStream {
    match types::kernel_type(argument.ty).as_str() {
        "&Tensor" => quote!(#name.door_flags()),
        _ => quote!(crate::door::Flagged::door_flags(&#name)),
    }
}

fn glue_name(gradient: &Gradient) -> Ident {
    format_ident!("formula_{}", gradient.function)
}

/// `fn formula_grad_x(c) -> Result<Vec<Grad>>`: reads the saved values and calls the user's function.
fn glue(gradient: &Gradient) -> TokenStream {
    let (name, function) = (glue_name(gradient), &gradient.function);
    let values = gradient.params.iter().map(|(source, param)| {
        let ty = &param.ty;
        match source {
            Source::Gradient => quote!(c.g()?),
            Source::GradientOf(n) => quote!(c.grad_of(#n)),
            Source::Gradients => quote!(c.grads()),
            Source::Needs => quote!(c.needs()),
            Source::Output(n) => quote!(c.out::<#ty>(#n)?),
            Source::Argument(i) => quote!(c.arg::<#ty>(#i)?),
        }
    });
    let call = quote!(#function(#(#values),*));
    let result = if gradient.fused { call } else { quote!(Ok(::std::vec![crate::op::Grad::from(#call?)])) };
    let unused = if gradient.params.is_empty() { quote!(let _ = c;) } else { quote!() };
    quote! {
        fn #name(c: &crate::autograd::GradCtx<'_>) -> crate::Result<::std::vec::Vec<crate::op::Grad>> {
            #unused
            #result
        }
    }
}

/// Whether a default of the argument can be left to the caller.
pub fn is_required(argument: &Argument) -> bool {
    argument.default.is_none() || argument.ty.base == Base::Tensor && argument.default_text != "None"
}
