//! A stanza, understood: the schema, the flags, and the functions of the module, checked against each other.

use proc_macro2::{Ident, Span};
use syn::spanned::Spanned;
use syn::{Attribute as SynAttribute, FnArg, Item, ItemFn, ItemMod, Pat, ReturnType, Type};

use super::flags::{Attribute, Flags};
use super::types;
use crate::schema::{Argument, Schema};

/// A parameter of a kernel or of a gradient function.
pub struct Param {
    pub name: Ident,
    pub ty: Type,
}

/// The body of the operator.
pub struct Kernel {
    /// Schema position of each parameter but `out`, ascending.
    pub positions: Vec<usize>,
    pub params: Vec<Param>,
    /// Whether the last parameter is `out: Out`.
    pub takes_out: bool,
    pub output: ReturnType,
}

/// What a parameter of a gradient function stands for.
pub enum Source {
    /// `g`.
    Gradient,
    /// `gN`.
    GradientOf(usize),
    /// `grads`.
    Gradients,
    /// `needs`.
    Needs,
    /// `out`, `outN`.
    Output(usize),
    /// A schema argument.
    Argument(usize),
}

/// A gradient function.
pub struct Gradient {
    pub function: Ident,
    /// Whether it is the fused `grad`.
    pub fused: bool,
    /// Schema positions of the arguments that it differentiates.
    pub wrt: Vec<usize>,
    pub params: Vec<(Source, Param)>,
}

/// Everything that the expansion needs.
pub struct Stanza {
    pub attribute: Attribute,
    pub schema: Schema,
    pub module: ItemMod,
    pub kernel: Kernel,
    pub gradients: Vec<Gradient>,
    /// Of the body for sparse tensors, `fn sparse`: whether it takes `out: Out`.
    pub sparse: Option<bool>,
    /// What is wrong with it, where that does not keep the functions from being generated.
    pub mistake: Option<syn::Error>,
}

impl Stanza {
    pub fn new(attribute: Attribute, module: ItemMod) -> syn::Result<Stanza> {
        let schema = Schema::parse(&attribute.schema.value())
            .map_err(|e| syn::Error::new(attribute.schema.span(), e))?;
        let functions = functions(&module)?;
        let Some(kernel) = functions.iter().find(|f| f.sig.ident == "kernel") else {
            return Err(error(module.ident.span(), "op: the module needs a `fn kernel`"));
        };
        let kernel = Kernel::new(kernel, &schema, &attribute)?;
        let gradients = gradients(&functions, &schema, &attribute.flags)?;
        let sparse = functions.iter().find(|f| f.sig.ident == "sparse");
        let sparse = sparse.map(|f| Kernel::new(f, &schema, &attribute)?.like(&kernel, f)).transpose()?;
        let mut stanza = Stanza { attribute, schema, module, kernel, gradients, sparse, mistake: None };
        stanza.check_variants()?;
        stanza.mistake = stanza.check_differentiation().err();
        Ok(stanza)
    }

    pub fn flags(&self) -> &Flags {
        &self.attribute.flags
    }

    pub fn name(&self) -> &Ident {
        &self.module.ident
    }

    /// The text of the module's doc comment, one entry per line.
    pub fn docs(&self) -> Vec<&SynAttribute> {
        self.module.attrs.iter().filter(|a| a.path().is_ident("doc")).collect()
    }

    /// The schema argument behind a kernel parameter.
    pub fn arguments(&self) -> impl Iterator<Item = (&Argument, &Param)> {
        self.kernel.positions.iter().map(|&i| &self.schema.arguments[i]).zip(&self.kernel.params)
    }

    /// Whether methods of `Tensor` are generated.
    pub fn has_method(&self) -> bool {
        let first = self.schema.arguments.first();
        !self.flags().no_method
            && self.kernel.positions.first() == Some(&0)
            && first.is_some_and(|a| a.name == "self" && types::kernel_type(a.ty) == "&Tensor")
    }

    /// Exactly one of gradients, `composite`, `no_grad`; every tensor argument accounted for.
    fn check_differentiation(&self) -> syn::Result<()> {
        let flags = self.flags();
        let declared = [flags.composite.is_some(), flags.no_grad.is_some(), !self.gradients.is_empty()];
        match declared.iter().filter(|d| **d).count() {
            1 => {}
            0 => {
                let text = "op: how is this differentiated? Write `fn grad_<argument>` or `fn grad`, or the flag `composite` \
                            (the body is made of public operators), or `no_grad = \"reason\"`";
                return Err(error(self.name().span(), text));
            }
            _ => {
                let text = "op: gradient functions, `composite` and `no_grad` exclude each other";
                return Err(error(self.name().span(), text));
            }
        }
        if self.gradients.is_empty() { self.check_no_lists() } else { self.check_covered() }
    }

    fn check_no_lists(&self) -> syn::Result<()> {
        let flags = self.flags();
        match flags.wrt.iter().flatten().chain(&flags.nondiff).next() {
            Some(name) => Err(error(
                name.span(),
                "op: without gradient functions there is nothing to say about single arguments",
            )),
            None => Ok(()),
        }
    }

    fn check_covered(&self) -> syn::Result<()> {
        let nondiff = positions(&self.flags().nondiff, &self.schema)?;
        for (i, argument) in self.schema.arguments.iter().enumerate() {
            let formulas: Vec<&Gradient> = self.gradients.iter().filter(|g| g.wrt.contains(&i)).collect();
            let name = types::rust_name(&argument.name);
            if formulas.len() + usize::from(nondiff.contains(&i)) > 1 {
                let span = formulas[0].function.span();
                return Err(error(
                    span,
                    format!("op: `{name}` is differentiated twice, or is in `nondiff` as well"),
                ));
            }
            if types::is_tensor(argument.ty) && formulas.is_empty() && !nondiff.contains(&i) {
                let text = format!(
                    "op: tensor argument `{name}` has no gradient: write `fn grad_{name}`, put it into `wrt(…)` of a fused \
                     `grad`, or list it in `nondiff({name})`"
                );
                return Err(error(self.name().span(), text));
            }
        }
        Ok(())
    }

    fn check_variants(&self) -> syn::Result<()> {
        let flags = self.flags();
        if let Some(flag) = &flags.inplace {
            let first = self.arguments().next();
            if !first.is_some_and(|(a, p)| a.name == "self" && types::plain(&p.ty) == "&Tensor") {
                return Err(error(flag.span(), "op: `inplace` needs a first argument `Tensor self`"));
            }
            if !self.single_tensor() {
                return Err(error(flag.span(), "op: `inplace` needs the return `Tensor`"));
            }
        }
        let Some(out) = &flags.out else { return Ok(()) };
        let tensors = self.schema.returns.iter().all(|(ty, _)| types::kernel_type(*ty) == "&Tensor");
        if !tensors || self.schema.returns.is_empty() {
            return Err(error(self.attribute.schema.span(), "op: `out` needs returns that are all `Tensor`"));
        }
        if !out.names.is_empty() && out.names.len() != self.schema.returns.len() {
            let text = format!("op: {} names for {} outputs", out.names.len(), self.schema.returns.len());
            return Err(error(out.names[0].span(), text));
        }
        Ok(())
    }

    /// Whether the operator returns one tensor.
    pub fn single_tensor(&self) -> bool {
        matches!(self.schema.returns.as_slice(), [(ty, _)] if types::kernel_type(*ty) == "&Tensor")
    }
}

fn error(span: Span, text: impl std::fmt::Display) -> syn::Error {
    syn::Error::new(span, text)
}

fn functions(module: &ItemMod) -> syn::Result<Vec<&ItemFn>> {
    let Some((_, items)) = &module.content else {
        return Err(error(module.span(), "op: the module must be written inline: `mod name { … }`"));
    };
    Ok(items.iter().filter_map(|i| if let Item::Fn(f) = i { Some(f) } else { None }).collect())
}

fn params(function: &ItemFn) -> syn::Result<Vec<Param>> {
    if !function.sig.generics.params.is_empty() {
        return Err(error(
            function.sig.generics.span(),
            "op: a generic function cannot be called by name; leave lifetimes elided",
        ));
    }
    let param = |arg: &FnArg| match arg {
        FnArg::Typed(typed) => match &*typed.pat {
            Pat::Ident(pat) => Ok(Param { name: pat.ident.clone(), ty: (*typed.ty).clone() }),
            // An unused parameter may be written `_name`, not `_`.
            pat => Err(error(pat.span(), "op: parameters are matched by name; write a name here")),
        },
        FnArg::Receiver(receiver) => {
            Err(error(receiver.span(), "op: write the schema's `self` as `this: &Tensor`"))
        }
    };
    function.sig.inputs.iter().map(param).collect()
}

/// The schema position of the argument of that Rust name.
fn position(name: &Ident, schema: &Schema) -> Option<usize> {
    let name = name.to_string();
    let name = name.strip_prefix('_').unwrap_or(&name);
    schema.arguments.iter().position(|a| a.name == name || types::rust_name(&a.name) == name)
}

fn unknown(name: &Ident, schema: &Schema, also: &str) -> syn::Error {
    let names: Vec<String> = schema.arguments.iter().map(|a| types::rust_name(&a.name)).collect();
    error(
        name.span(),
        format!("op: the schema has no argument `{name}`; there are {}{also}", names.join(", ")),
    )
}

fn positions(names: &[Ident], schema: &Schema) -> syn::Result<Vec<usize>> {
    let find = |name: &Ident| match position(name, schema) {
        Some(i) if types::is_tensor(schema.arguments[i].ty) => Ok(i),
        Some(_) => Err(error(name.span(), format!("op: `{name}` is not a tensor argument"))),
        None => Err(unknown(name, schema, "")),
    };
    names.iter().map(find).collect()
}

/// Arguments that the door checks and a kernel may leave out.
const IMPLIED: [&str; 3] = ["layout", "device", "pin_memory"];

impl Kernel {
    fn new(function: &ItemFn, schema: &Schema, attribute: &Attribute) -> syn::Result<Kernel> {
        let mut params = params(function)?;
        let takes_out = params.last().is_some_and(|p| {
            p.name.to_string().trim_start_matches('_') == "out" && types::mentions(&p.ty, "Out")
        });
        if takes_out {
            params.pop();
        }
        let mut found = Vec::new();
        for param in &params {
            let i = position(&param.name, schema)
                .ok_or_else(|| unknown(&param.name, schema, " (and `out: Out` at the end)"))?;
            check_type(param, &types::kernel_type(schema.arguments[i].ty), &schema.arguments[i].name)?;
            if found.last().is_some_and(|&last| last >= i) {
                return Err(error(
                    param.name.span(),
                    format!("op: `{}` stands out of the schema's order", param.name),
                ));
            }
            found.push(i);
        }
        for (i, argument) in schema.arguments.iter().enumerate() {
            if !found.contains(&i) && !IMPLIED.contains(&argument.name.as_str()) {
                let (name, ty) = (types::rust_name(&argument.name), types::kernel_type(argument.ty));
                let text = format!(
                    "op: the kernel leaves out argument `{name}: {ty}` of `{}`",
                    attribute.schema.value()
                );
                return Err(error(function.sig.ident.span(), text));
            }
        }
        Ok(Kernel { positions: found, params, takes_out, output: function.sig.output.clone() })
    }

    /// Checks that a second body has the parameters of the first; whether it takes `out: Out`.
    fn like(&self, first: &Kernel, function: &ItemFn) -> syn::Result<bool> {
        if self.positions != first.positions {
            return Err(error(function.sig.ident.span(), "op: `sparse` takes the arguments of `kernel`"));
        }
        Ok(self.takes_out)
    }
}

fn check_type(param: &Param, expected: &str, schema_name: &str) -> syn::Result<()> {
    let found = types::plain(&param.ty);
    if found == expected {
        return Ok(());
    }
    Err(error(
        param.ty.span(),
        format!("op: argument `{schema_name}` of the schema is `{expected}` in Rust, found `{found}`"),
    ))
}

fn gradients(functions: &[&ItemFn], schema: &Schema, flags: &Flags) -> syn::Result<Vec<Gradient>> {
    let mut gradients = Vec::new();
    for function in functions {
        let name = function.sig.ident.to_string();
        let (fused, wrt) = match name.strip_prefix("grad") {
            Some("") => (true, fused_wrt(schema, flags)?),
            Some(rest) if rest.starts_with('_') => {
                let argument = Ident::new(&rest[1..], function.sig.ident.span());
                (false, positions(std::slice::from_ref(&argument), schema)?)
            }
            _ => continue,
        };
        let params = params(function)?
            .into_iter()
            .map(|p| Ok((source(&p, schema)?, p)))
            .collect::<syn::Result<_>>()?;
        gradients.push(Gradient { function: function.sig.ident.clone(), fused, wrt, params });
    }
    match &flags.wrt {
        Some(names) if !gradients.iter().any(|g| g.fused) => {
            let span = names.first().map_or(Span::call_site(), Ident::span);
            Err(error(span, "op: `wrt(…)` belongs to a fused `fn grad`, and there is none"))
        }
        _ => Ok(gradients),
    }
}

/// The arguments of a fused gradient: those of `wrt`, or all tensors that are not `nondiff`.
fn fused_wrt(schema: &Schema, flags: &Flags) -> syn::Result<Vec<usize>> {
    if let Some(names) = &flags.wrt {
        return positions(names, schema);
    }
    let nondiff = positions(&flags.nondiff, schema)?;
    let tensors =
        schema.arguments.iter().enumerate().filter(|(i, a)| types::is_tensor(a.ty) && !nondiff.contains(i));
    Ok(tensors.map(|(i, _)| i).collect())
}

fn source(param: &Param, schema: &Schema) -> syn::Result<Source> {
    if let Some(i) = position(&param.name, schema) {
        let expected = types::kernel_type(schema.arguments[i].ty);
        if types::is_tensor(schema.arguments[i].ty)
            && types::plain(&param.ty) == expected.replace("Tensor", "Meta")
        {
            return Ok(Source::Argument(i));
        }
        check_type(param, &expected, &schema.arguments[i].name)?;
        return Ok(Source::Argument(i));
    }
    let name = param.name.to_string();
    let name = name.trim_start_matches('_');
    let number = |prefix| name.strip_prefix(prefix).and_then(|n: &str| n.parse::<usize>().ok());
    let source = match name {
        "g" => Source::Gradient,
        "grads" => Source::Gradients,
        "needs" => Source::Needs,
        "out" => Source::Output(0),
        _ => match (number("g"), number("out")) {
            (Some(n), _) => Source::GradientOf(n),
            (_, Some(n)) => Source::Output(n),
            _ => return Err(unknown(&param.name, schema, " (and g, g0…, grads, out, out0…, needs)")),
        },
    };
    let outputs = schema.returns.len();
    match source {
        Source::GradientOf(n) | Source::Output(n) if n >= outputs && !returns_list(schema) => Err(error(
            param.name.span(),
            format!("op: `{}`: the operator has {outputs} output(s), counted from 0", param.name),
        )),
        source => Ok(source),
    }
}

fn returns_list(schema: &Schema) -> bool {
    schema.returns.iter().any(|(ty, _)| types::kernel_type(*ty) == "&[Tensor]")
}
