//! The expansion as text: what is generated, and which stanzas are refused with which words.

use quote::quote;

use super::expand_or_refuse;

/// The expansion without blanks.
fn expanded(attribute: proc_macro2::TokenStream, item: proc_macro2::TokenStream) -> String {
    let tokens = expand_or_refuse(attribute, item).unwrap_or_else(|e| panic!("{e}"));
    syn::parse2::<syn::File>(tokens.clone()).unwrap_or_else(|e| panic!("{e} in {tokens}"));
    squeeze(&tokens.to_string())
}

fn squeeze(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[track_caller]
fn assert_has(expansion: &str, part: &str) {
    assert!(expansion.contains(&squeeze(part)), "no `{part}` in {expansion}");
}

#[track_caller]
fn assert_refused(attribute: proc_macro2::TokenStream, item: proc_macro2::TokenStream, reason: &str) {
    let error = match expand_or_refuse(attribute, item) {
        Ok(tokens) => tokens.to_string(),
        Err(error) => error.into_compile_error().to_string(),
    };
    let reason = reason.replace('"', "\\\"");
    assert!(error.contains("compile_error") && error.contains(&reason), "{error}");
}

#[test]
fn binary_operator_has_functions_methods_and_variants() {
    let text = expanded(
        quote!(
            "mul.Tensor(Tensor self, Tensor other) -> Tensor",
            inplace,
            out = "out",
            tags(pointwise),
            onnx = "Mul"
        ),
        quote! {
            /// Multiplies.
            mod mul {
                fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> { todo(this, other, out) }
                fn grad_this(g: &Tensor, other: &Tensor) -> Result<Tensor> { g.mul(other) }
                fn grad_other(g: &Tensor, this: &Meta, out: &Tensor) -> Result<Tensor> { g.mul(this) }
            }
        },
    );
    assert_has(&text, "name: \"mul\", overload: \"Tensor\"");
    assert_has(&text, "doc: \"Multiplies.\"");
    assert_has(&text, "writes_out: true");
    assert_has(&text, "tags: &[crate::op::Tag::Pointwise]");
    assert_has(&text, "OutVariant { overload: \"out\", names: &[\"out\"] }");
    assert_has(
        &text,
        "Formula { wrt: &[0usize], saves: &[1usize], reads: 1u64, saves_outputs: &[], apply: formula_grad_this }",
    );
    assert_has(
        &text,
        "Formula { wrt: &[1usize], saves: &[], reads: 1u64, saves_outputs: &[0usize], apply: formula_grad_other }",
    );
    assert_has(&text, "Grad::from(grad_other(c.g()?, c.arg::<&Meta>(0usize)?, c.out::<&Tensor>(0usize)?)?)");
    assert_has(
        &text,
        "if crate::door::direct(this.door_flags() | other.door_flags()) { return kernel(this, other, crate::op::Out::New); }",
    );
    assert_has(&text, "crate::op::Variant::Inplace, crate::value::args![this, other], &[],");
    assert_has(&text, "pub fn mul_(&self, other: &Tensor,) -> Result<Tensor>");
    assert_has(
        &text,
        "pub fn mul_out(this: &Tensor, other: &Tensor, out: &crate::Tensor,) -> Result<Tensor>",
    );
    assert!(!text.contains("MulOptions"));
}

#[test]
fn defaults_become_options() {
    let text = expanded(
        quote!(
            "conv(Tensor input, Tensor? bias=None, SymInt[2] stride=1, *, Scalar alpha=1, str? mode=None, Layout? layout=None) -> Tensor",
            composite
        ),
        quote! {
            mod conv {
                fn kernel(input: &Tensor, bias: Option<&Tensor>, stride: &[i64], alpha: Scalar, mode: Option<&str>) -> Result<Tensor> { x }
            }
        },
    );
    assert_has(
        &text,
        "pub fn conv(input: &Tensor,) -> Result<Tensor> { conv::call(input, None, &[1i64], crate::Scalar::Int(1i64), None,) }",
    );
    assert_has(
        &text,
        "pub struct ConvOptions { bias: ::std::option::Option<crate::Tensor>, stride: crate::value::IntList,",
    );
    assert_has(&text, "let options = options(ConvOptions::default());");
    assert_has(
        &text,
        "conv::call(input, options.bias.as_ref(), &options.stride, options.alpha, options.mode.as_deref(),)",
    );
    assert_has(&text, "pub fn stride(mut self, stride: impl Into<crate::value::IntList>) -> Self");
    assert_has(&text, "crate::value::args![input, bias, stride, alpha, mode, crate::value::Value::None]");
    assert_has(&text, "direct(0)");
    assert!(!text.contains("impl crate::Tensor"));
}

#[test]
fn fused_gradient_covers_wrt_in_order() {
    let text = expanded(
        quote!(
            "f(Tensor self, Tensor w, Tensor? b, Tensor i) -> (Tensor, Tensor)",
            wrt(w, this, b),
            nondiff(i),
            out
        ),
        quote! {
            mod f {
                fn kernel(this: &Tensor, w: &Tensor, b: Option<&Tensor>, i: &Tensor) -> Result<(Tensor, Tensor)> { x }
                fn grad(g: &Tensor, g1: Option<&Tensor>, w: &Tensor, b: Option<&Meta>, out1: &Tensor, needs: Needs) -> Result<Grads> { x }
            }
        },
    );
    assert_has(
        &text,
        "wrt: &[1usize, 0usize, 2usize], saves: &[1usize], reads: 3u64, saves_outputs: &[1usize], apply: formula_grad",
    );
    assert_has(
        &text,
        "grad(c.g()?, c.grad_of(1usize), c.arg::<&Tensor>(1usize)?, c.arg::<Option<&Meta>>(2usize)?, c.out::<&Tensor>(1usize)?, c.needs())",
    );
    assert_has(&text, "names: &[\"out0\", \"out1\"]");
    assert_has(&text, "&[::std::clone::Clone::clone(out0), ::std::clone::Clone::clone(out1)]");
    assert_has(&text, "crate::door::Flagged::door_flags(&b)");
}

#[test]
fn mutating_schema_names_its_options_apart() {
    let text = expanded(
        quote!(
            "normal_(Tensor(a!) self, float mean=0, *, Generator? generator=None) -> Tensor(a!)",
            no_grad = "random"
        ),
        quote! {
            mod normal_ {
                fn kernel(this: &Tensor, mean: f64, generator: Option<&Generator>) -> Result<Tensor> { x }
            }
        },
    );
    assert!(!text.contains("direct("));
    assert_has(&text, "pub struct NormalInplaceOptions");
    assert_has(
        &text,
        "pub fn normal_with_(&self, options: impl FnOnce(NormalInplaceOptions) -> NormalInplaceOptions)",
    );
    assert_has(
        &text,
        "pub fn generator<'a>(mut self, generator: impl Into<::std::option::Option<&'a crate::random::Generator>>) -> Self",
    );
    assert_has(&text, "normal_::call(self, 0f64, None,)");
}

#[test]
fn bodies_without_gradients_are_not_recorded_past_the_door() {
    let text = expanded(
        quote!("f(Tensor self, Tensor[] others) -> Tensor", no_grad = "rounds"),
        quote!(
            mod f {
                fn kernel(this: &Tensor, others: &[Tensor]) -> Result<Tensor> {
                    x
                }
            }
        ),
    );
    assert_has(
        &text,
        "if crate::door::direct(this.door_flags() | crate::door::Flagged::door_flags(&others)) {",
    );
}

#[test]
fn keywords_and_unused_parameters_keep_their_schema_names() {
    let text = expanded(
        quote!("f(Tensor self, int type, int in) -> Tensor", composite),
        quote!(
            mod f {
                fn kernel(_this: &Tensor, type_: i64, _in_: i64) -> Result<Tensor> {
                    x
                }
            }
        ),
    );
    assert_has(&text, "pub fn f(this: &Tensor, type_: i64, in_: i64,) -> Result<Tensor>");
}

#[test]
fn undeclared_differentiation_is_refused() {
    let kernel = quote!(
        fn kernel(this: &Tensor, index: &Tensor) -> Result<Tensor> {
            x
        }
    );
    let schema = "f(Tensor self, Tensor index) -> Tensor";
    assert_refused(quote!(#schema), quote!(mod f { #kernel }), "how is this differentiated?");
    let with_grad = quote!(mod f { #kernel fn grad_this(g: &Tensor) -> Result<Tensor> { x } });
    assert_refused(quote!(#schema), with_grad.clone(), "tensor argument `index` has no gradient");
    assert_refused(quote!(#schema, composite), with_grad.clone(), "exclude each other");
    assert_refused(quote!(#schema, nondiff(index, this)), with_grad.clone(), "differentiated twice");
    assert_refused(
        quote!(#schema, nondiff(indx)),
        with_grad.clone(),
        "no argument `indx`; there are this, index",
    );
    assert_refused(quote!(#schema, wrt(this), nondiff(index)), with_grad, "belongs to a fused");
    assert_refused(quote!(#schema, composite, nondiff(index)), quote!(mod f { #kernel }), "nothing to say");
}

#[test]
fn parameters_must_be_the_schemas() {
    let f = |params: proc_macro2::TokenStream| quote!(mod f { fn kernel(#params) -> Result<Tensor> { x } });
    let op =
        || quote!("f(Tensor self, int dim, bool keepdim=False, Device? device=None) -> Tensor", composite);
    assert_refused(op(), f(quote!(this: &Tensor, dim: i64)), "leaves out argument `keepdim: bool`");
    assert_refused(
        op(),
        f(quote!(this: &Tensor, axis: i64, keepdim: bool)),
        "no argument `axis`; there are this, dim, keepdim, device",
    );
    assert_refused(
        op(),
        f(quote!(this: &Tensor, dim: usize, keepdim: bool)),
        "argument `dim` of the schema is `i64` in Rust, found `usize`",
    );
    assert_refused(op(), f(quote!(dim: i64, this: &Tensor, keepdim: bool)), "out of the schema's order");
    assert_refused(op(), f(quote!(&self, dim: i64, keepdim: bool)), "`this: &Tensor`");
    expanded(op(), f(quote!(this: &'static crate::Tensor, dim: i64, keepdim: bool)));
}

#[test]
fn attribute_mistakes_are_named() {
    let item = || {
        quote!(
            mod f {
                fn kernel(this: &Tensor) -> Result<Tensor> {
                    x
                }
            }
        )
    };
    assert_refused(quote!(composite), item(), "first argument is the ATen schema");
    assert_refused(quote!("f(Tensor self) -> Tensor", composit), item(), "no flag is named `composit`");
    assert_refused(quote!("f(Tensor self) -> Tensor", no_grad), item(), "expected `no_grad = \"reason\"`");
    assert_refused(quote!("f(Tensor self) -> Tensor", view, view), item(), "given twice");
    assert_refused(quote!("f(Tensor self -> Tensor", composite), item(), "schema: expected `) -> `");
    assert_refused(
        quote!("f(Tensor self) -> Tensor", composite),
        quote!(
            mod f;
        ),
        "written inline",
    );
    assert_refused(
        quote!("f(Tensor self) -> Tensor", composite),
        quote!(
            mod f {}
        ),
        "needs a `fn kernel`",
    );
}

#[test]
fn errors_keep_the_module() {
    let text = super::expand(
        quote!("f(Tensor self) -> Tensor"),
        quote!(
            mod f {
                fn kernel(this: &Tensor) -> Result<Tensor> {
                    x
                }
            }
        ),
    );
    let text = squeeze(&text.to_string());
    assert_has(&text, "use super::*; fn kernel");
    assert_has(&text, "compile_error!");
}
