//! The arguments of the attribute: `#[op("schema", flag, flag(names), flag = "text")]`.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{LitStr, Token, parenthesized};

/// What the attribute says besides the schema.
#[derive(Default)]
pub struct Flags {
    pub inplace: Option<Ident>,
    pub out: Option<OutFlag>,
    pub composite: Option<Ident>,
    pub no_grad: Option<LitStr>,
    pub wrt: Option<Vec<Ident>>,
    pub nondiff: Vec<Ident>,
    pub view: bool,
    pub tags: Vec<Ident>,
    pub autocast: Option<LitStr>,
    pub onnx: Option<LitStr>,
    pub no_method: bool,
    pub no_fn: bool,
}

/// `out`, `out = "overload"` or `out("overload", names…)`.
#[derive(Default)]
pub struct OutFlag {
    pub overload: Option<LitStr>,
    pub names: Vec<Ident>,
}

/// The whole attribute.
pub struct Attribute {
    pub schema: LitStr,
    pub flags: Flags,
}

impl Parse for Attribute {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let schema = input
            .parse()
            .map_err(|e| syn::Error::new(e.span(), "op: the first argument is the ATen schema, a string"))?;
        let mut flags = Flags::default();
        let mut seen: Vec<Ident> = Vec::new();
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let name = input.call(Ident::parse_any)?;
            if seen.contains(&name) {
                return Err(syn::Error::new(name.span(), format!("op: `{name}` is given twice")));
            }
            flags.parse_one(&name, input)?;
            seen.push(name);
        }
        Ok(Attribute { schema, flags })
    }
}

impl Flags {
    fn parse_one(&mut self, name: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        match name.to_string().as_str() {
            "inplace" => self.inplace = Some(name.clone()),
            "out" => self.out = Some(parse_out(input)?),
            "composite" => self.composite = Some(name.clone()),
            "no_grad" => self.no_grad = Some(parse_text(input, name, "reason")?),
            "wrt" => self.wrt = Some(parse_names(input)?),
            "nondiff" => self.nondiff = parse_names(input)?,
            "view" => self.view = true,
            "tags" => self.tags = parse_names(input)?,
            "autocast" => self.autocast = Some(parse_text(input, name, "fp32")?),
            "onnx" => self.onnx = Some(parse_text(input, name, "Name")?),
            "no_method" => self.no_method = true,
            "no_fn" => self.no_fn = true,
            other => {
                let known = "inplace, out, composite, no_grad, wrt, nondiff, view, tags, autocast, onnx, no_method, no_fn";
                return Err(syn::Error::new(
                    name.span(),
                    format!("op: no flag is named `{other}`; there are {known}"),
                ));
            }
        }
        Ok(())
    }
}

fn parse_text(input: ParseStream<'_>, name: &Ident, example: &str) -> syn::Result<LitStr> {
    let expected =
        |e: syn::Error| syn::Error::new(e.span(), format!("op: expected `{name} = \"{example}\"`"));
    input.parse::<Token![=]>().map_err(expected)?;
    input.parse().map_err(expected)
}

fn parse_names(input: ParseStream<'_>) -> syn::Result<Vec<Ident>> {
    let content;
    parenthesized!(content in input);
    Ok(Punctuated::<Ident, Token![,]>::parse_terminated_with(&content, Ident::parse_any)?
        .into_iter()
        .collect())
}

fn parse_out(input: ParseStream<'_>) -> syn::Result<OutFlag> {
    let mut flag = OutFlag::default();
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        flag.overload = Some(input.parse()?);
    } else if input.peek(syn::token::Paren) {
        let content;
        parenthesized!(content in input);
        flag.overload = Some(content.parse()?);
        while !content.is_empty() {
            content.parse::<Token![,]>()?;
            if !content.is_empty() {
                flag.names.push(content.call(Ident::parse_any)?);
            }
        }
    }
    Ok(flag)
}
