//! The table of all operators and the call by name.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::op::{Autograd, OpDef, Variant};
use crate::schema::{Argument, Default, Schema, Ty};
use crate::value::{Args, Outputs, Value};
use crate::{DType, Device, MemoryFormat, Result, StorageLayout, Tensor, bail, door, ops};

/// A way to call an operator: as declared, in place, or into given tensors.
#[derive(Clone, Copy, Debug)]
pub struct OpRef {
    /// The declaration.
    pub op: &'static OpDef,
    /// Which form.
    pub variant: Variant,
}

struct Entry {
    op: OpRef,
    schema: Schema,
    text: String,
}

#[derive(Default)]
struct Library {
    entries: Vec<Entry>,
    by_name: HashMap<(String, String), usize>,
    /// The entries of a name, in the order of declaration.
    overloads: HashMap<String, Vec<usize>>,
    /// By the address of the declaration.
    by_op: HashMap<(usize, Variant), usize>,
}

fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut library = Library::default();
        for op in ops::FAMILIES.iter().flat_map(|family| family.iter().copied()) {
            library.add(op);
        }
        library
    })
}

impl Library {
    fn add(&mut self, op: &'static OpDef) {
        self.insert(op, Variant::Functional, op.schema.to_string());
        if op.inplace {
            self.insert(op, Variant::Inplace, inplace_text(op.schema));
        }
        if let Some(out) = &op.out {
            self.insert(op, Variant::Out, out_text(op, out.overload, out.names));
        }
    }

    fn insert(&mut self, op: &'static OpDef, variant: Variant, text: String) {
        let schema = Schema::parse(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let key = (schema.name.clone(), schema.overload.clone());
        let index = self.entries.len();
        let twice = self.by_name.insert(key, index);
        assert!(twice.is_none(), "operator declared twice: {text}");
        self.overloads.entry(schema.name.clone()).or_default().push(index);
        self.by_op.insert((std::ptr::from_ref(op).addr(), variant), index);
        self.entries.push(Entry { op: OpRef { op, variant }, schema, text });
    }
}

/// `add.Tensor(Tensor self, …) -> Tensor` as `add_.Tensor(Tensor(a!) self, …) -> Tensor(a!)`.
fn inplace_text(schema: &str) -> String {
    let (head, rest) = schema.split_once('(').unwrap_or((schema, ""));
    let (name, overload) = head.split_once('.').map_or((head, String::new()), |(n, o)| (n, format!(".{o}")));
    let (args, _) = rest.rsplit_once(") -> ").unwrap_or((rest, ""));
    let args = args.replacen("Tensor self", "Tensor(a!) self", 1);
    format!("{name}_{overload}({args}) -> Tensor(a!)")
}

/// The schema of the `out` variant: output arguments are keyword-only and returned.
fn out_text(op: &OpDef, overload: &str, names: &[&str]) -> String {
    let (_, rest) = op.schema.split_once('(').unwrap_or((op.schema, ""));
    let (args, returns) = rest.rsplit_once(") -> ").unwrap_or((rest, ""));
    let letters = ('a'..='z').map(String::from);
    let outs: Vec<String> =
        names.iter().zip(letters.clone()).map(|(n, l)| format!("Tensor({l}!) {n}")).collect();
    let star = if op.schema().arguments.iter().any(|a| a.kwarg_only) { "" } else { "*, " };
    let comma = if args.is_empty() { "" } else { ", " };
    let args = drop_factory_arguments(args);
    let comma = if args.is_empty() { "" } else { comma };
    let inner: Vec<String> = match returns.strip_prefix('(') {
        None => vec!["Tensor(a!)".into()],
        Some(list) => list
            .trim_end_matches(')')
            .split(", ")
            .zip(letters)
            .map(|(r, l)| r.replacen("Tensor", &format!("Tensor({l}!)"), 1))
            .collect(),
    };
    let returns = if inner.len() == 1 { inner.concat() } else { format!("({})", inner.join(", ")) };
    let star = if args.contains("*,") {
        ""
    } else if star.is_empty() {
        "*, "
    } else {
        star
    };
    format!("{}.{overload}({args}{comma}{star}{}) -> {returns}", op.name, outs.join(", "))
}

/// Factories take dtype, layout, device and pin_memory from the output tensor instead.
fn drop_factory_arguments(args: &str) -> String {
    const LAST: &str = "bool? pin_memory=None";
    let factory = [" dtype=None, Layout?", " dtype=4, Layout?"].iter().find_map(|first| args.find(first));
    let (Some(start), Some(end)) = (factory, args.find(LAST)) else { return args.to_string() };
    let before = args[..start].trim_end_matches("ScalarType?");
    match args[end + LAST.len()..].strip_prefix(", ") {
        Some(after) => format!("{before}{after}"),
        None => before.trim_end_matches("*, ").trim_end_matches(", ").to_string(),
    }
}

/// The operator of that name (without `aten::`) and overload, derived variants included.
pub fn find(name: &str, overload: &str) -> Option<OpRef> {
    let library = library();
    library.by_name.get(&(name.to_string(), overload.to_string())).map(|i| library.entries[*i].op)
}

/// The overloads of an operator, in the order of declaration.
pub(crate) fn overloads(name: &str) -> impl Iterator<Item = OpRef> {
    let library = library();
    library.overloads.get(name).into_iter().flatten().map(|i| library.entries[*i].op)
}

/// All operators with their derived variants.
pub fn all() -> impl Iterator<Item = OpRef> {
    library().entries.iter().map(|e| e.op)
}

/// The number that PyTorch puts behind `…Backward`: the position among the overloads of that name with formulas.
pub(crate) fn formula_index(op: &OpDef) -> usize {
    ops::FAMILIES
        .iter()
        .flat_map(|family| family.iter())
        .filter(|o| o.name == op.name && matches!(o.autograd, Autograd::Formulas(_)))
        .position(|o| std::ptr::eq(*o, op))
        .unwrap_or(0)
}

impl OpRef {
    fn entry(&self) -> &'static Entry {
        let (library, key) = (library(), (std::ptr::from_ref(self.op).addr(), self.variant));
        &library.entries[*library.by_op.get(&key).expect("every declared operator is in the library")]
    }

    /// The name, with an underscore for the in-place variant.
    pub fn name(&self) -> &'static str {
        &self.entry().schema.name
    }

    /// The overload.
    pub fn overload(&self) -> &'static str {
        &self.entry().schema.overload
    }

    /// The parsed schema.
    pub fn schema(&self) -> &'static Schema {
        &self.entry().schema
    }

    /// The schema text, without `aten::`.
    pub fn schema_text(&self) -> &'static str {
        &self.entry().text
    }

    /// Calls with named arguments; absent ones take their defaults.
    ///
    /// # Errors
    /// `Type` for missing, unknown or unsuitable arguments, and the operator's own.
    pub fn call(&self, arguments: &[(String, Value)]) -> Result<Vec<Value>> {
        let schema = self.schema();
        if let Some((unknown, _)) = arguments.iter().find(|(n, _)| schema.position(n).is_none()) {
            bail!(Type, "{}() got an unexpected keyword argument '{unknown}'", schema.name);
        }
        let mut values = Args::new();
        for declared in &schema.arguments {
            let given = arguments.iter().find(|(n, _)| *n == declared.name).map(|(_, v)| v.clone());
            values.push(normalise(schema, declared, given)?);
        }
        self.call_positional(values).map(|o| o.into_vec())
    }

    /// Calls with all arguments in schema order, already of their types.
    ///
    /// # Errors
    /// The operator's own.
    pub fn call_positional(&self, mut values: Args) -> Result<Outputs> {
        if self.variant != Variant::Out {
            return door::call(self.op, self.variant, values, &[]);
        }
        let outs = self.op.out.as_ref().map_or(0, |o| o.names.len());
        let outs: Vec<Tensor> = values.drain(values.len() - outs..).flat_map(Value::into_tensors).collect();
        let full: Args = self.op.schema().arguments.iter().map(|a| self.value_of(a, &values)).collect();
        door::call(self.op, self.variant, full, &outs)
    }

    /// The value of a functional argument in an `out` call; dtype and the like come from the output, hence `None`.
    fn value_of(&self, argument: &Argument, values: &Args) -> Value {
        self.schema().position(&argument.name).and_then(|i| values.get(i).cloned()).unwrap_or_default()
    }
}

/// The value of one argument in the type that the schema gives it.
fn normalise(schema: &Schema, declared: &Argument, given: Option<Value>) -> Result<Value> {
    let value = match (given, &declared.default) {
        (Some(v), _) => v,
        (None, Some(d)) => default_value(d),
        (None, None) => bail!(Type, "{}() is missing value for argument '{}'.", schema.name, declared.name),
    };
    match (declared.name.as_str(), &value) {
        ("layout", Value::Layout(StorageLayout::SparseCoo)) if !schema.name.contains("sparse") => {
            bail!(NotImplemented, "{}: only strided tensors are supported here", schema.name)
        }
        ("pin_memory", Value::Bool(true)) => bail!("Need to provide pin_memory allocator to use pin memory."),
        _ => {}
    }
    let kind = value.kind();
    match convert(value, &declared.ty) {
        Some(v) => Ok(v),
        None => bail!(
            Type,
            "{}(): argument '{}' must be {}, not {kind}",
            schema.name,
            declared.name,
            type_name(&declared.ty)
        ),
    }
}

/// What Python calls a type of the schema.
pub(crate) fn type_name(ty: &Ty) -> String {
    match ty {
        Ty::Tensor => "Tensor".into(),
        Ty::Int => "int".into(),
        Ty::Float => "float".into(),
        Ty::Bool => "bool".into(),
        Ty::Complex => "complex".into(),
        Ty::Scalar => "Number".into(),
        Ty::Str => "str".into(),
        Ty::DType => "torch.dtype".into(),
        Ty::Layout => "torch.layout".into(),
        Ty::Device => "torch.device".into(),
        Ty::MemoryFormat => "torch.memory_format".into(),
        Ty::Generator => "torch.Generator".into(),
        Ty::Optional(t) => type_name(t),
        Ty::List(t, _) => format!("tuple of {}s", type_name(t)),
    }
}

/// The value of a default.
pub(crate) fn default_value(d: &Default) -> Value {
    match d {
        Default::None => Value::None,
        Default::Scalar(s) => Value::from(*s),
        Default::Ints(v) => Value::Ints(v.clone()),
        Default::Bools(v) => Value::Bools(v.clone()),
        Default::Str(s) => Value::Str(s.clone()),
        Default::Constant(c) => constant(c),
    }
}

/// A default that ATen spells by name: a memory format, a dtype, or the reduction of a loss.
fn constant(name: &str) -> Value {
    if let Ok(format) = MemoryFormat::parse(name) {
        return Value::MemoryFormat(format);
    }
    if let Some(dtype) = DType::parse(name) {
        return Value::DType(dtype);
    }
    Value::Int(match name {
        "Mean" => 1,
        "Sum" => 2,
        _ => 0,
    })
}

fn convert(value: Value, ty: &Ty) -> Option<Value> {
    Some(match (ty, value) {
        (Ty::Optional(_), Value::None) => Value::None,
        (Ty::Optional(t), v) => return convert(v, t),
        (Ty::Tensor, v) => match v.as_scalar() {
            Some(s) => Value::Tensor(Tensor::wrapped(s).ok()?),
            None => v.as_tensor().map(|_| v.clone())?,
        },
        (Ty::Int, v @ Value::Int(_)) => v,
        (Ty::Int, Value::Bool(b)) => Value::Int(i64::from(b)),
        (Ty::Float, v) => Value::Float(v.as_scalar().filter(|s| !s.is_complex())?.to_f64()),
        (Ty::Bool, v @ Value::Bool(_)) => v,
        (Ty::Bool, Value::Int(i)) => Value::Bool(i != 0),
        (Ty::Scalar, v) => Value::from(match &v {
            Value::Tensor(t) if t.numel() == 1 => t.item().ok()?,
            _ => v.as_scalar()?,
        }),
        (Ty::Complex, v) => Value::Complex(v.as_scalar()?.to_complex()),
        (Ty::Device, Value::Str(s)) => Value::Device(Device::parse(&s).ok()?),
        (Ty::List(t, size), v) => return convert_list(v, t, *size),
        (Ty::Str, v @ Value::Str(_))
        | (Ty::DType, v @ Value::DType(_))
        | (Ty::Layout, v @ Value::Layout(_))
        | (Ty::Device, v @ Value::Device(_))
        | (Ty::MemoryFormat, v @ Value::MemoryFormat(_))
        | (Ty::Generator, v @ Value::Generator(_)) => v,
        _ => return None,
    })
}

fn convert_list(v: Value, item: &Ty, size: Option<usize>) -> Option<Value> {
    let empty =
        matches!(&v, Value::Tensors(l) if l.is_empty()) || matches!(&v, Value::Ints(l) if l.is_empty());
    Some(match (item, v) {
        (Ty::Int, Value::Int(i)) => Value::Ints(vec![i; size.unwrap_or(1)]),
        (Ty::Int, v @ Value::Ints(_)) => v,
        (Ty::Int, Value::Scalars(l)) => Value::Ints(l.iter().map(|s| s.to_i64()).collect()),
        (Ty::Int, Value::Bools(l)) => Value::Ints(l.into_iter().map(i64::from).collect()),
        (Ty::Int, _) if empty => Value::Ints(Vec::new()),
        (Ty::Float, Value::Ints(l)) => Value::Floats(l.into_iter().map(|i| i as f64).collect()),
        (Ty::Float, Value::Scalars(l)) => Value::Floats(l.iter().map(|s| s.to_f64()).collect()),
        (Ty::Float, v @ Value::Floats(_)) => v,
        (Ty::Float, v) if v.as_scalar().is_some() => {
            Value::Floats(vec![v.as_scalar()?.to_f64(); size.unwrap_or(1)])
        }
        (Ty::Bool, v @ Value::Bools(_)) => v,
        (Ty::Scalar, v @ Value::Scalars(_)) => v,
        (Ty::Scalar, Value::Ints(l)) => Value::Scalars(l.into_iter().map(Into::into).collect()),
        (Ty::Scalar, Value::Floats(l)) => Value::Scalars(l.into_iter().map(Into::into).collect()),
        (Ty::Tensor, v @ Value::Tensors(_)) => v,
        (Ty::Tensor, Value::Tensor(t)) => Value::Tensors(vec![t]),
        (Ty::Tensor, Value::OptTensors(l)) => Value::Tensors(l.into_iter().collect::<Option<_>>()?),
        (Ty::Tensor, _) if empty => Value::Tensors(Vec::new()),
        (Ty::Optional(t), Value::Tensors(l)) if **t == Ty::Tensor => {
            Value::OptTensors(l.into_iter().map(Some).collect())
        }
        (Ty::Optional(t), v @ Value::OptTensors(_)) if **t == Ty::Tensor => v,
        (Ty::Optional(t), _) if empty && **t == Ty::Tensor => Value::OptTensors(Vec::new()),
        _ => return None,
    })
}
