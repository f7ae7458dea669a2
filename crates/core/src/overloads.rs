//! The call by name alone: the overload is found by the arguments, as PyTorch's Python functions find it.

use crate::library::{self, OpRef};
use crate::op::Variant;
use crate::schema::{Argument, Ty};
use crate::value::Value;
use crate::{Error, Result};

/// Calls the first overload of `name` that the arguments suit; unlike in [`OpRef::call`], a number is no tensor.
///
/// # Errors
/// `Type` in PyTorch's words when no operator has the name or no overload suits, and the operator's own.
pub fn call(name: &str, positional: &[Value], named: &[(String, Value)]) -> Result<Vec<Value>> {
    let overloads: Vec<OpRef> = library::overloads(name).collect();
    if overloads.is_empty() {
        return Err(Error::type_error(format!("no operator is called '{name}'")));
    }
    let joined = joined(positional);
    for op in &overloads {
        if let Ok(arguments) = bind(op, positional, named).or_else(|e| match &joined {
            Some(positional) => bind(op, positional, named),
            None => Err(e),
        }) {
            return op.call(&arguments);
        }
    }
    let mut functional = overloads.iter().filter(|op| op.variant != Variant::Out);
    match (functional.next(), functional.next()) {
        (Some(only), None) => match bind(only, positional, named) {
            Err(e) => Err(e),
            Ok(arguments) => only.call(&arguments),
        },
        _ => Err(no_overload(name, &overloads, positional, named)),
    }
}

/// The arguments of a method with its integers in a list: `x.view(2, 3)` is `x.view([2, 3])`.
fn joined(positional: &[Value]) -> Option<Vec<Value>> {
    let (this @ Value::Tensor(_), rest) = positional.split_first()? else { return None };
    let integer = |v: &Value| if let Value::Int(i) = v { Some(*i) } else { None };
    let list: Vec<i64> = rest.iter().map(integer).collect::<Option<_>>()?;
    (!list.is_empty()).then(|| vec![this.clone(), Value::Ints(list)])
}

/// The arguments by name, if every one of them is of its type and none is missing.
fn bind(op: &OpRef, positional: &[Value], named: &[(String, Value)]) -> Result<Vec<(String, Value)>> {
    let schema = op.schema();
    let by_position: Vec<&Argument> = schema.arguments.iter().filter(|a| !a.kwarg_only).collect();
    if positional.len() > by_position.len() {
        return Err(Error::type_error(format!(
            "{}() takes {} positional arguments but {} were given",
            schema.name,
            by_position.len(),
            positional.len()
        )));
    }
    let mut bound: Vec<(String, Value)> = Vec::new();
    for (position, (argument, value)) in by_position.iter().zip(positional).enumerate() {
        check(&schema.name, argument, Some(position), value)?;
        bound.push((argument.name.clone(), value.clone()));
    }
    for (name, value) in named {
        let argument =
            schema.arguments.iter().find(|a| a.name == *name && bound.iter().all(|b| b.0 != *name));
        let Some(argument) = argument else {
            return Err(Error::type_error(format!(
                "{}() got an unexpected keyword argument '{name}'",
                schema.name
            )));
        };
        check(&schema.name, argument, None, value)?;
        bound.push((name.clone(), value.clone()));
    }
    let missing =
        schema.arguments.iter().find(|a| a.default.is_none() && bound.iter().all(|b| b.0 != a.name));
    match missing {
        Some(a) => Err(Error::type_error(format!(
            "{}() missing 1 required positional arguments: \"{}\"",
            schema.name, a.name
        ))),
        None => Ok(bound),
    }
}

fn check(function: &str, argument: &Argument, position: Option<usize>, value: &Value) -> Result<()> {
    if suits(value, &argument.ty) {
        return Ok(());
    }
    let position = position.unwrap_or(0);
    if let (Ty::List(item, _), Value::OptTensors(list)) = (&argument.ty, value)
        && **item == Ty::Tensor
        && let Some(i) = list.iter().position(Option::is_none)
    {
        return Err(Error::type_error(format!(
            "expected Tensor as element {i} in argument {position}, but got NoneType"
        )));
    }
    Err(Error::type_error(format!(
        "{function}(): argument '{}' (position {}) must be {}, not {}",
        // Python's functions call it so.
        if argument.name == "self" { "input" } else { &argument.name },
        position + 1,
        library::type_name(&argument.ty),
        value.kind()
    )))
}

/// Whether Python's argument parser would take the value for an argument of that type.
fn suits(value: &Value, ty: &Ty) -> bool {
    match (ty, value) {
        (Ty::Optional(_), Value::None) => true,
        (Ty::Optional(inner), v) => suits(v, inner),
        (Ty::Tensor, v) => matches!(v, Value::Tensor(t) if !t.is_wrapped_number()),
        (Ty::Int, v) => matches!(v, Value::Int(_)),
        (Ty::Float, v) => matches!(v, Value::Int(_) | Value::Float(_)),
        (Ty::Bool, v) => matches!(v, Value::Bool(_)),
        (Ty::Scalar | Ty::Complex, Value::Tensor(t)) => t.dim() == 0 && !t.requires_grad(),
        (Ty::Scalar | Ty::Complex, v) => v.as_scalar().is_some(),
        (Ty::Str, v) => matches!(v, Value::Str(_)),
        (Ty::DType, v) => matches!(v, Value::DType(_)),
        (Ty::Layout, v) => matches!(v, Value::Layout(_)),
        (Ty::Device, v) => matches!(v, Value::Device(_) | Value::Str(_)),
        (Ty::MemoryFormat, v) => matches!(v, Value::MemoryFormat(_)),
        (Ty::Generator, v) => matches!(v, Value::Generator(_)),
        (Ty::List(item, size), v) => suits_list(v, item, *size),
    }
}

fn suits_list(value: &Value, item: &Ty, size: Option<usize>) -> bool {
    match (item, value) {
        (Ty::Tensor, v) => matches!(v, Value::Tensors(_)),
        (Ty::Optional(_), v) => matches!(v, Value::Tensors(_) | Value::OptTensors(_)),
        (Ty::Int, Value::Int(_)) => size.is_some(),
        (Ty::Int, v) => matches!(v, Value::Ints(_)),
        (Ty::Float, v) => matches!(v, Value::Floats(_) | Value::Ints(_)),
        (Ty::Bool, v) => matches!(v, Value::Bools(_)),
        (_, v) => matches!(v, Value::Scalars(_) | Value::Ints(_) | Value::Floats(_)),
    }
}

fn no_overload(name: &str, overloads: &[OpRef], positional: &[Value], named: &[(String, Value)]) -> Error {
    let named = named.iter().map(|(n, v)| format!("{n}={}", v.kind()));
    let given: Vec<String> = positional.iter().map(|v| v.kind().to_string()).chain(named).collect();
    let expected: Vec<String> = overloads
        .iter()
        .filter_map(|op| op.schema_text().split_once('(')?.1.rsplit_once(") -> "))
        .map(|(arguments, _)| format!(" * ({arguments})\n"))
        .collect();
    Error::type_error(format!(
        "{name}() received an invalid combination of arguments - got ({}), but expected one of:\n{}",
        given.join(", "),
        expected.concat()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, Tensor};

    #[test]
    fn arguments_choose_the_overload() {
        let x = Value::Tensor(Tensor::from_slice(&[1.0_f32, 3.0, 2.0], [3]).unwrap());
        assert_eq!(call("max", std::slice::from_ref(&x), &[]).unwrap().len(), 1);
        assert_eq!(call("max", &[x.clone(), Value::Int(0)], &[]).unwrap().len(), 2);
        let keyword = [("dim".to_string(), Value::Int(0))];
        assert_eq!(call("max", &[x], &keyword).unwrap().len(), 2);
    }

    #[test]
    fn unsuitable_arguments_are_told_in_pytorchs_words() {
        let x = Value::Tensor(Tensor::from_slice(&[1.0_f32], [1]).unwrap());
        let e = call("atan2", &[x.clone(), Value::Int(2)], &[]).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Type);
        assert_eq!(e.message(), "atan2(): argument 'other' (position 2) must be Tensor, not int");
        let e = call("eq", &[Value::Int(2), x], &[]).unwrap_err();
        assert!(
            e.message().contains("eq() received an invalid combination of arguments - got (int, Tensor)")
        );
    }
}
