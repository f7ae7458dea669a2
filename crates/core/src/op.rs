//! What an operator's declaration expands to: [`OpDef`], and the small types that kernels and gradients speak.
//!
//! `#[op]` (crate `cresset-macros`) turns a stanza into one `static OP: OpDef` and its typed functions. Everything that
//! works on operators in general (the door, autograd, the call by name, tracing, the parity runner, bindings) reads
//! this table; nobody keeps a second list.

use std::sync::OnceLock;

use crate::autograd::GradCtx;
use crate::schema::Schema;
use crate::value::{Outputs, Value};
use crate::{Result, Tensor};

/// What a call runs: it unpacks the boxed arguments.
pub type Body = fn(&[Value], Out<'_>) -> Result<Outputs>;

/// A declared operator.
pub struct OpDef {
    /// The name without namespace and overload, such as `add`.
    pub name: &'static str,
    /// The overload, such as `Tensor`; empty for the default one.
    pub overload: &'static str,
    /// ATen's schema text, verbatim, without `aten::`.
    pub schema: &'static str,
    /// The name of the Rust function.
    pub rust_name: &'static str,
    /// The first paragraph of the documentation.
    pub doc: &'static str,
    /// Unpacks the arguments and runs the body.
    pub kernel: Body,
    /// The body for calls with sparse tensors.
    pub sparse: Option<Body>,
    /// Whether the body takes [`Out`] and writes in-place and `out` results itself.
    pub writes_out: bool,
    /// How it is differentiated.
    pub autograd: Autograd,
    /// Whether an in-place variant (`name_`) is derived.
    pub inplace: bool,
    /// The derived `out` variant.
    pub out: Option<OutVariant>,
    /// What it is.
    pub tags: &'static [Tag],
    /// What autocast does to it.
    pub autocast: Autocast,
    /// The ONNX operator that it equals, one to one.
    pub onnx: Option<&'static str>,
    /// The schema text, parsed on first use; boxed, because most never are and each is a part of the binary.
    pub parsed: OnceLock<Box<Schema>>,
}

/// The overload name of a derived `out` variant and the names of its output arguments.
#[derive(Debug)]
pub struct OutVariant {
    /// Overload name, such as `out` or `Tensor_out`.
    pub overload: &'static str,
    /// Names of the output arguments, one per output.
    pub names: &'static [&'static str],
}

/// How an operator is differentiated.
pub enum Autograd {
    /// The body is made of other operators and is differentiated through them.
    Composite,
    /// Not differentiable, with the reason.
    NoGrad(&'static str),
    /// By formulas.
    Formulas(&'static [Formula]),
}

/// A gradient formula for one or more arguments.
pub struct Formula {
    /// Schema positions of the arguments that it gives gradients of.
    pub wrt: &'static [usize],
    /// Schema positions of the tensor arguments that it reads in full.
    pub saves: &'static [usize],
    /// The outputs whose gradients it reads, a bit each: other outputs are not differentiable.
    pub reads: u64,
    /// Positions of the outputs that it reads in full.
    pub saves_outputs: &'static [usize],
    /// Evaluates it: one entry per member of `wrt`.
    pub apply: fn(&GradCtx<'_>) -> Result<Vec<Grad>>,
}

/// The gradient of one argument: none, a tensor, or one per element of a list argument.
#[derive(Debug)]
pub enum Grad {
    /// No gradient flows.
    None,
    /// Of a `Tensor` argument.
    One(Tensor),
    /// Of a `Tensor[]` argument.
    List(Vec<Option<Tensor>>),
}

/// Gradients from a fused formula, one per argument of `wrt`.
pub type Grads = Vec<Grad>;

impl From<Tensor> for Grad {
    fn from(t: Tensor) -> Self {
        Grad::One(t)
    }
}

impl From<Option<Tensor>> for Grad {
    fn from(t: Option<Tensor>) -> Self {
        t.map_or(Grad::None, Grad::One)
    }
}

impl From<Vec<Tensor>> for Grad {
    fn from(list: Vec<Tensor>) -> Self {
        Grad::List(list.into_iter().map(Some).collect())
    }
}

impl From<Vec<Option<Tensor>>> for Grad {
    fn from(list: Vec<Option<Tensor>>) -> Self {
        Grad::List(list)
    }
}

/// Which arguments of a fused formula need their gradient, in the order of `wrt`.
#[derive(Clone, Copy, Debug)]
pub struct Needs<'a>(pub &'a [bool]);

impl Needs<'_> {
    /// Whether the `i`-th argument of `wrt` needs its gradient.
    pub fn get(&self, i: usize) -> bool {
        self.0.get(i).copied().unwrap_or(false)
    }

    /// Evaluates `f` if the `i`-th argument needs its gradient.
    pub fn when<T: Into<Grad>>(&self, i: usize, f: impl FnOnce() -> Result<T>) -> Result<Grad> {
        if self.get(i) { f().map(Into::into) } else { Ok(Grad::None) }
    }
}

/// Where a kernel puts its result.
#[derive(Clone, Copy, Debug)]
pub enum Out<'a> {
    /// Into a fresh tensor.
    New,
    /// Into the first argument (`add_`): its shape is fixed.
    Inplace(&'a Tensor),
    /// Into given tensors (`out=`), resized when their shape differs.
    Into(&'a [Tensor]),
}

/// What an operator is, where that matters to someone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Elementwise with broadcasting.
    Pointwise,
    /// Reduces dimensions.
    Reduction,
    /// Elementwise with 0 for 0: of a sparse tensor only the values are computed.
    KeepsZero,
    /// The outputs alias an argument.
    View,
    /// Draws from a generator.
    Random,
    /// Part of the small set that others are composed of.
    Core,
    /// The shape of the output depends on data.
    DynamicShape,
    /// Creates a tensor without a tensor argument.
    Factory,
}

/// What autocast does to the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Autocast {
    /// Leaves them alone.
    None,
    /// Casts them to `float32`.
    Fp32,
    /// Casts them to the lower-precision type.
    Lower,
    /// Casts them to the widest of theirs.
    Promote,
}

/// A way to call a declared operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// As declared.
    Functional,
    /// Derived: `name_`.
    Inplace,
    /// Derived: `out=`.
    Out,
}

impl OpDef {
    /// The parsed schema.
    pub fn schema(&self) -> &Schema {
        let parse = || Schema::parse(self.schema).unwrap_or_else(|e| panic!("{}: {e}", self.schema));
        self.parsed.get_or_init(|| Box::new(parse()))
    }

    /// Whether the call as declared writes to its first argument.
    pub fn is_mutating(&self) -> bool {
        self.name.ends_with('_') && !self.name.ends_with("__")
    }

    /// Whether it carries the tag.
    pub fn has_tag(&self, tag: Tag) -> bool {
        self.tags.contains(&tag)
    }

    /// The name with its overload, as PyTorch prints it: `aten::add.Tensor`.
    pub fn qualified_name(&self) -> String {
        let dot = if self.overload.is_empty() { "" } else { "." };
        format!("aten::{}{dot}{}", self.name, self.overload)
    }
}

impl std::fmt::Debug for OpDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.qualified_name())
    }
}

/// The operators of one family file, by module name: `op_list![add, sub]`.
#[macro_export]
macro_rules! op_list {
    ($($name:ident),* $(,)?) => { &[$(&$name::OP),*] };
}
