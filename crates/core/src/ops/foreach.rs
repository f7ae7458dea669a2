//! `_foreach_…`: an operator on each tensor of a list.
//!
//! Each row of the table names the operator for one tensor; schema, in-place form, the spreading of lists and the
//! gradients (the calls inside are recorded one by one) follow from it. A list argument gives its `i`-th member to the
//! `i`-th call, any other argument is shared.

use super::*;
use crate::library::default_value;
use crate::op::{Autocast, Autograd, OpDef, Variant};
use crate::value::{Args, Outputs, Value};
use crate::{Result, Scalar, Tensor, bail, ensure};

/// One entry of the table of operators.
macro_rules! entry {
    ($name:expr, $overload:expr, $schema:expr, $kernel:expr) => {{
        static OP: OpDef = OpDef {
            name: $name,
            overload: $overload,
            schema: $schema,
            rust_name: $name,
            doc: "An operator on each tensor of a list.",
            kernel: $kernel,
            sparse: None,
            writes_out: false,
            autograd: Autograd::Composite,
            inplace: false,
            out: None,
            tags: &[],
            autocast: Autocast::None,
            onnx: None,
            parsed: std::sync::OnceLock::new(),
        };
        &OP
    }};
}

/// Entries `_foreach_<name>` and `_foreach_<name>_`: the arguments after `self`, the operator for one tensor, and how
/// its arguments are made from those of the list.
macro_rules! pairs {
    ($($name:literal, $overload:literal, $rest:literal => $single:ident, $inplace:ident $how:path;)*) => {
        &[$(
            entry!(
                concat!("_foreach_", $name),
                $overload,
                concat!("_foreach_", $name, ".", $overload, "(Tensor[] self", $rest, ") -> Tensor[]"),
                |args, _| each(&$single::OP, Variant::Functional, $how(args)?)
            ),
            entry!(
                concat!("_foreach_", $name, "_"),
                $overload,
                concat!("_foreach_", $name, "_.", $overload, "(Tensor(a!)[] self", $rest, ") -> ()"),
                |args, _| write_each(&$inplace::OP, $how(args)?)
            ),
        )*]
    };
}

/// Entries of operators of one argument.
macro_rules! unary {
    ($($name:ident),*) => {
        &[$(
            entry!(
                concat!("_foreach_", stringify!($name)), "",
                concat!("_foreach_", stringify!($name), "(Tensor[] self) -> Tensor[]"),
                |args, _| each(&$name::OP, Variant::Functional, same(args)?)
            ),
            entry!(
                concat!("_foreach_", stringify!($name), "_"), "",
                concat!("_foreach_", stringify!($name), "_(Tensor(a!)[] self) -> ()"),
                |args, _| write_each(&$name::OP, same(args)?)
            ),
        )*]
    };
}

/// Functions of one tensor.
pub(crate) static UNARY: &[&OpDef] = unary![
    abs, acos, asin, atan, ceil, cos, cosh, erf, erfc, exp, expm1, floor, frac, lgamma, log, log10, log1p,
    log2, neg, reciprocal, round, rsqrt, sigmoid, sign, sin, sinh, sqrt, tan, tanh, trunc
];

/// Functions of a tensor and tensors or numbers.
pub(crate) static PAIRS: &[&OpDef] = pairs![
    "add", "List", ", Tensor[] other, *, Scalar alpha=1" => add, add same;
    "add", "Scalar", ", Scalar scalar" => add_scalar, add_scalar same;
    "add", "ScalarList", ", Scalar[] scalars" => add_scalar, add_scalar same;
    "add", "Tensor", ", Tensor other, *, Scalar alpha=1" => add, add one_number;
    "sub", "List", ", Tensor[] other, *, Scalar alpha=1" => sub, sub same;
    "sub", "Scalar", ", Scalar scalar" => sub_scalar, sub_scalar same;
    "sub", "ScalarList", ", Scalar[] scalars" => sub_scalar, sub_scalar same;
    "mul", "List", ", Tensor[] other" => mul, mul same;
    "mul", "Scalar", ", Scalar scalar" => mul_scalar, mul_scalar same;
    "mul", "ScalarList", ", Scalar[] scalars" => mul_scalar, mul_scalar same;
    "mul", "Tensor", ", Tensor other" => mul, mul one_number;
    "div", "List", ", Tensor[] other" => div, div same;
    "div", "Scalar", ", Scalar scalar" => div_scalar, div_scalar same;
    "div", "ScalarList", ", Scalar[] scalars" => div_scalar, div_scalar same;
    "div", "Tensor", ", Tensor other" => div, div one_number;
    "pow", "List", ", Tensor[] exponent" => pow, pow_ same;
    "pow", "Scalar", ", Scalar exponent" => pow_scalar, pow_scalar_ same;
    "pow", "ScalarList", ", Scalar[] exponent" => pow_scalar, pow_scalar_ same;
    "clamp_min", "List", ", Tensor[] other" => clamp_min_tensor, clamp_min_tensor same;
    "clamp_min", "Scalar", ", Scalar scalar" => clamp_min, clamp_min same;
    "clamp_min", "ScalarList", ", Scalar[] scalars" => clamp_min, clamp_min same;
    "clamp_max", "List", ", Tensor[] other" => clamp_max_tensor, clamp_max_tensor same;
    "clamp_max", "Scalar", ", Scalar scalar" => clamp_max, clamp_max same;
    "clamp_max", "ScalarList", ", Scalar[] scalars" => clamp_max, clamp_max same;
    "maximum", "List", ", Tensor[] other" => clamp_min_tensor, clamp_min_tensor same;
    "maximum", "Scalar", ", Scalar scalar" => clamp_min, clamp_min same;
    "maximum", "ScalarList", ", Scalar[] scalars" => clamp_min, clamp_min same;
    "minimum", "List", ", Tensor[] other" => clamp_max_tensor, clamp_max_tensor same;
    "minimum", "Scalar", ", Scalar scalar" => clamp_max, clamp_max same;
    "minimum", "ScalarList", ", Scalar[] scalars" => clamp_max, clamp_max same;
    "addcmul", "Scalar", ", Tensor[] tensor1, Tensor[] tensor2, Scalar value=1" => addcmul, addcmul same;
    "addcmul", "ScalarList", ", Tensor[] tensor1, Tensor[] tensor2, Scalar[] scalars" => addcmul, addcmul same;
    "addcmul", "Tensor", ", Tensor[] tensor1, Tensor[] tensor2, Tensor scalars" => addcmul, addcmul packed;
    "addcdiv", "Scalar", ", Tensor[] tensor1, Tensor[] tensor2, Scalar value=1" => addcdiv, addcdiv same;
    "addcdiv", "ScalarList", ", Tensor[] tensor1, Tensor[] tensor2, Scalar[] scalars" => addcdiv, addcdiv same;
    "addcdiv", "Tensor", ", Tensor[] tensor1, Tensor[] tensor2, Tensor scalars" => addcdiv, addcdiv packed;
    "lerp", "List", ", Tensor[] tensors1, Tensor[] weights" => lerp, lerp same;
    "lerp", "Scalar", ", Tensor[] tensors1, Scalar weight" => lerp_scalar, lerp_scalar same;
    "lerp", "ScalarList", ", Tensor[] tensors1, Scalar[] weight" => lerp_scalar, lerp_scalar same;
];

/// Those that have one form only.
pub(crate) static OTHERS: &[&OpDef] = &[
    entry!(
        "_foreach_pow",
        "ScalarAndTensor",
        "_foreach_pow.ScalarAndTensor(Scalar self, Tensor[] exponent) -> Tensor[]",
        |args, _| each(&pow_scalar_self::OP, Variant::Functional, same(args)?)
    ),
    entry!(
        "_foreach_norm",
        "Scalar",
        "_foreach_norm.Scalar(Tensor[] self, Scalar ord=2, ScalarType? dtype=None) -> Tensor[]",
        |args, _| each(&linalg_vector_norm::OP, Variant::Functional, norm_arguments(args)?)
    ),
    entry!(
        "_foreach_powsum",
        "Scalar",
        "_foreach_powsum.Scalar(Tensor[] self, Scalar ord=2, ScalarType? dtype=None) -> Tensor[]",
        |args, _| powsum(args)
    ),
    entry!("_foreach_max", "", "_foreach_max(Tensor[] self) -> Tensor[]", |args, _| {
        each(&max::OP, Variant::Functional, same(args)?)
    }),
    entry!("_foreach_mm", "", "_foreach_mm(Tensor[] self, Tensor[] mat2) -> Tensor[]", |args, _| {
        each(&mm::OP, Variant::Functional, same(args)?)
    }),
    entry!(
        "_foreach_clone",
        "",
        "_foreach_clone(Tensor[] self, *, MemoryFormat? memory_format=None) -> Tensor[]",
        |args, _| each(&clone_tensor::OP, Variant::Functional, same(args)?)
    ),
    entry!(
        "_foreach_copy_",
        "",
        "_foreach_copy_(Tensor(a!)[] self, Tensor[] src, bool non_blocking=False) -> ()",
        |args, _| write_each(&copy_::OP, same(args)?)
    ),
    entry!("_foreach_zero_", "", "_foreach_zero_(Tensor(a!)[] self) -> ()", |args, _| {
        write_each(&zero::OP, same(args)?)
    }),
];

/// The arguments as they are.
fn same(args: &[Value]) -> Result<Args> {
    Ok(args.iter().cloned().collect())
}

/// The second argument is a 0-dim tensor.
fn one_number(args: &[Value]) -> Result<Args> {
    if let Some(Value::Tensor(t)) = args.get(1) {
        ensure!(
            t.dim() == 0,
            "scalar tensor expected to be 0 dim but it has {} dimensions and {} elements.",
            t.dim(),
            t.numel()
        );
    }
    same(args)
}

/// The last argument is a vector of numbers, one per tensor.
fn packed(args: &[Value]) -> Result<Args> {
    let mut args = same(args)?;
    let (Some(Value::Tensors(list)), Some(Value::Tensor(t))) = (args.first(), args.last()) else {
        bail!(Type, "expected a list of tensors and a tensor of numbers");
    };
    ensure!(t.dim() == 1, "Expected packed scalar Tensor to be of dimension 1. Got {} instead.", t.dim());
    ensure!(
        t.numel() == list.len(),
        "Expected length of scalars to match input of length {} but got {} instead.",
        list.len(),
        t.numel()
    );
    let numbers: Vec<Scalar> =
        (0..t.numel()).map(|i| t.select(0, i as i64)?.item()).collect::<Result<_>>()?;
    *args.last_mut().expect("has a first") = Value::Scalars(numbers);
    Ok(args)
}

/// `linalg_vector_norm(self, ord, dim=None, keepdim=False, dtype)`.
fn norm_arguments(args: &[Value]) -> Result<Args> {
    let whole = [Value::None, Value::Bool(false)];
    Ok(args[..2].iter().cloned().chain(whole).chain([args[2].clone()]).collect())
}

/// `sum(|x|^ord)` of each tensor.
fn powsum(args: &[Value]) -> Result<Outputs> {
    let (Value::Tensors(list), Some(order), dtype) = (&args[0], args[1].as_scalar(), &args[2]) else {
        bail!(Type, "_foreach_powsum: expected a list of tensors and a number");
    };
    let sum = |t: &Tensor| {
        let t = if let Value::DType(dtype) = dtype { t.to_dtype(*dtype)? } else { t.clone() };
        t.abs()?.pow_scalar(order)?.sum()
    };
    let sums: Vec<Tensor> = list.iter().map(sum).collect::<Result<_>>()?;
    Ok(smallvec::smallvec![Value::Tensors(sums)])
}

/// How many tensors the lists have, which must agree.
fn length(args: &[Value]) -> Result<usize> {
    let mut lists = args.iter().filter_map(|v| if let Value::Tensors(l) = v { Some(l.len()) } else { None });
    let n = lists.next().unwrap_or(0);
    ensure!(n > 0, "Tensor list must have at least one tensor.");
    if let Some(other) = lists.find(|m| *m != n) {
        bail!("Tensor lists must have the same number of tensors, got {n} and {other}");
    }
    for v in args {
        let numbers = match v {
            Value::Scalars(l) => l.len(),
            Value::Ints(l) => l.len(),
            Value::Floats(l) => l.len(),
            _ => n,
        };
        ensure!(numbers == n, "Tensor list must have same number of elements as scalar list.");
    }
    Ok(n)
}

/// Calls the operator for each tensor; its first results.
fn calls(op: &'static OpDef, variant: Variant, args: &Args) -> Result<Vec<Tensor>> {
    let member = |v: &Value, i: usize| match v {
        Value::Tensors(list) => Value::Tensor(list[i].clone()),
        Value::Scalars(list) => Value::from(list[i]),
        Value::Ints(list) => Value::Int(list[i]),
        Value::Floats(list) => Value::Float(list[i]),
        shared => shared.clone(),
    };
    let mut results = Vec::new();
    for i in 0..length(args)? {
        let mut own: Args = args.iter().map(|v| member(v, i)).collect();
        for argument in &op.schema().arguments[own.len()..] {
            own.push(argument.default.as_ref().map_or(Value::None, default_value));
        }
        match crate::door::call(op, variant, own, &[])?.into_iter().next() {
            Some(Value::Tensor(t)) => results.push(t),
            _ => bail!("{}: expected a tensor", op.name),
        }
    }
    Ok(results)
}

fn each(op: &'static OpDef, variant: Variant, args: Args) -> Result<Outputs> {
    Ok(smallvec::smallvec![Value::Tensors(calls(op, variant, &args)?)])
}

fn write_each(op: &'static OpDef, args: Args) -> Result<Outputs> {
    let variant = if op.is_mutating() { Variant::Functional } else { Variant::Inplace };
    calls(op, variant, &args).map(|_| Outputs::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library;

    fn lists(schema: &str) -> Vec<Value> {
        let list = |shift: f64| {
            let make = |n: i64| {
                let data: Vec<f64> = (0..n).map(|i| shift + 0.1 * i as f64).collect();
                Tensor::from_vec(data, [n]).unwrap()
            };
            Value::Tensors(vec![make(4), make(3)])
        };
        let numbers = || Value::Scalars(vec![Scalar::Float(0.3), Scalar::Float(2.0)]);
        let (inner, _) = schema.split_once('(').unwrap().1.rsplit_once(") -> ").unwrap();
        let part = |(i, text): (usize, &str)| match text.split(' ').next().unwrap_or_default() {
            "Tensor[]" | "Tensor(a!)[]" => list(0.2 * (i + 1) as f64),
            "Tensor" if text.ends_with("scalars") => {
                Value::Tensor(Tensor::from_slice(&[0.3, 2.0], [2]).unwrap())
            }
            "Tensor" => Value::Tensor(Tensor::scalar(0.5, crate::DType::F64).unwrap()),
            "Scalar[]" => numbers(),
            "Scalar" => Value::Float(2.0),
            "bool" => Value::Bool(false),
            _ => Value::None,
        };
        inner.split(", ").filter(|t| *t != "*").enumerate().map(part).collect()
    }

    fn tensors(v: &Value) -> Vec<Vec<f64>> {
        v.clone()
            .into_tensors()
            .iter()
            .map(|t| t.to_dtype(crate::DType::F64).unwrap().to_vec().unwrap())
            .collect()
    }

    /// The operator for one tensor by PyTorch's own names.
    fn single(op: &OpDef, args: &[Value], i: usize) -> Vec<f64> {
        let name = op.name.trim_start_matches("_foreach_").trim_end_matches('_');
        let member = |v: &Value| match v {
            Value::Tensors(l) => Value::Tensor(l[i].clone()),
            Value::Scalars(l) => Value::from(l[i]),
            Value::Tensor(t) if t.dim() == 1 => Value::from(t.select(0, i as i64).unwrap().item().unwrap()),
            other => other.clone(),
        };
        let args: Vec<Value> = args.iter().map(member).collect();
        let numbered = |v: Option<&Value>| v.is_some_and(|v| v.as_scalar().is_some());
        let (name, overload) = match (name, numbered(args.get(1))) {
            ("norm", _) => ("norm", "Scalar"),
            ("maximum", true) => ("clamp_min", ""),
            ("minimum", true) => ("clamp_max", ""),
            ("clamp_min" | "clamp_max", false) => (name, "Tensor"),
            ("add" | "sub" | "mul" | "div", scalar) => (name, if scalar { "Scalar" } else { "Tensor" }),
            ("pow", false) if numbered(args.first()) => ("pow", "Scalar"),
            ("pow", scalar) => (name, if scalar { "Tensor_Scalar" } else { "Tensor_Tensor" }),
            ("lerp", _) => (name, if numbered(args.get(2)) { "Scalar" } else { "Tensor" }),
            _ => (name, ""),
        };
        let found = library::find(name, overload).unwrap_or_else(|| panic!("{name}.{overload}"));
        let named = found.schema().arguments.iter().zip(&args).map(|(a, v)| (a.name.clone(), v.clone()));
        let named: Vec<_> = named.filter(|(_, v)| !matches!(v, Value::None)).collect();
        tensors(&found.call(&named).unwrap()[0]).remove(0)
    }

    #[test]
    fn every_form_equals_the_operator_on_each_tensor() {
        for op in UNARY.iter().chain(PAIRS).chain(OTHERS) {
            let mut args = lists(op.schema);
            if matches!(op.name, "_foreach_mm" | "_foreach_powsum" | "_foreach_copy_") {
                continue;
            }
            let wanted: Vec<Vec<f64>> = (0..2).map(|i| single(op, &args, i)).collect();
            for (value, argument) in args.iter_mut().zip(&op.schema().arguments) {
                if matches!(value, Value::None) {
                    *value = argument.default.as_ref().map_or(Value::None, default_value);
                }
            }
            let results =
                crate::door::call(op, Variant::Functional, args.iter().cloned().collect(), &[]).unwrap();
            assert_eq!(tensors(results.first().unwrap_or(&args[0])), wanted, "{}", op.schema);
        }
    }

    #[test]
    fn lists_of_different_lengths_are_refused() {
        let t = crate::ops::ones(2).unwrap();
        let call = |args: Args| {
            crate::door::call(PAIRS[0], Variant::Functional, args, &[]).unwrap_err().message().to_string()
        };
        let one = || Value::Int(1);
        assert_eq!(
            call(smallvec::smallvec![
                Value::Tensors(vec![t.clone()]),
                Value::Tensors(vec![t.clone(), t.clone()]),
                one()
            ]),
            "Tensor lists must have the same number of tensors, got 1 and 2"
        );
        let empty = || Value::Tensors(Vec::new());
        assert_eq!(
            call(smallvec::smallvec![empty(), empty(), one()]),
            "Tensor list must have at least one tensor."
        );
    }

    #[test]
    fn gradients_flow_through_lists() {
        let x = crate::ops::full(2, 3.0).unwrap().requires_grad_(true).unwrap();
        let sqrt = UNARY.iter().find(|op| op.name == "_foreach_sqrt").unwrap();
        let out = crate::door::call(
            sqrt,
            Variant::Functional,
            smallvec::smallvec![Value::Tensors(vec![x.clone()])],
            &[],
        );
        let roots = out.unwrap().remove(0).into_tensors();
        roots[0].sum().unwrap().backward().unwrap();
        assert!((x.grad().unwrap().to_vec::<f32>().unwrap()[0] - 0.5 / 3_f32.sqrt()).abs() < 1e-6);
    }
}
