//! From the kit's values to a call by name, and from its results to flat outputs.

use cresset_core::layout::Layout;
use cresset_core::library::OpRef;
use cresset_core::schema::Ty;
use cresset_core::storage::Storage;
use cresset_core::{C64, DType, Device, MemoryFormat, Scalar, StorageLayout, Tensor, Value};
use serde::Deserialize;

use crate::array::{Array, dtype, named};
use crate::compare::{Check, compare};
use crate::kit::{Pack, Reason};
use crate::value::{TensorRef, V};

/// A named argument.
#[derive(Clone, Debug, Deserialize)]
pub struct Argument {
    /// The name in the schema.
    pub name: String,
    /// The value.
    pub value: V,
}

/// The arguments of one call, named, in the kit's order.
pub type Arguments = Vec<(String, Value)>;

/// Builds the arguments of a call; every tensor is fresh.
///
/// # Errors
/// When the kit's values do not fit the operator's schema.
pub fn arguments(op: &OpRef, args: &[Argument], pack: &Pack) -> Result<Arguments, Reason> {
    let schema = op.schema();
    args.iter()
        .map(|a| {
            let position =
                schema.position(&a.name).ok_or_else(|| format!("the schema has no argument {}", a.name))?;
            let value = value(&a.value, &schema.arguments[position].ty, pack);
            Ok((a.name.clone(), value.map_err(|e| format!("argument {}: {e}", a.name))?))
        })
        .collect()
}

/// The tensor that a reference stands for.
///
/// # Errors
/// When the file does not hold it or its dtype is not supported.
pub fn tensor(reference: &TensorRef, pack: &Pack) -> Result<Tensor, Reason> {
    let stored = pack.stored(&reference.key)?;
    let dtype = dtype(&stored, reference)?;
    let built = match &reference.view {
        Some((sizes, strides, offset)) => Storage::from_bytes(stored.bytes)
            .and_then(|storage| Tensor::from_storage(storage, Layout::new(sizes, strides, *offset), dtype)),
        None => {
            let rank = stored.sizes.len() - usize::from(dtype.is_complex());
            Tensor::from_bytes(stored.bytes, dtype, &stored.sizes[..rank])
        }
    };
    built.map_err(|e| e.to_string())
}

/// A value for an argument whose type is not known: lists are of what they hold.
///
/// # Errors
/// When no operator takes such a value.
pub fn untyped(v: &V, pack: &Pack) -> Result<Value, Reason> {
    let V::List(list) = v else { return value(v, &Ty::Scalar, pack) };
    let tensor = |v: &V| matches!(v, V::Tensor(_));
    let element = match list {
        _ if list.iter().all(tensor) => Ty::Tensor,
        _ if list.iter().any(tensor) => Ty::Optional(Box::new(Ty::Tensor)),
        _ => Ty::Scalar,
    };
    list_value(list, &element, pack)
}

fn value(v: &V, ty: &Ty, pack: &Pack) -> Result<Value, Reason> {
    if let Ty::Optional(inner) = ty {
        return if v.is_none() { Ok(Value::None) } else { value(v, inner, pack) };
    }
    if let (Ty::List(element, _), V::List(list)) = (ty, v) {
        return list_value(list, element, pack);
    }
    let text = |e: cresset_core::Error| e.to_string();
    Ok(match v {
        V::None => Value::None,
        V::Tensor(t) => Value::Tensor(tensor(t, pack)?),
        V::Int(i) => Value::Int(*i),
        V::Float(x) => Value::Float(*x),
        V::Bool(b) => Value::Bool(*b),
        V::Complex(re, im) => Value::Complex(C64::new(*re, *im)),
        V::Str(s) => Value::Str(s.clone()),
        V::Ints(list) => Value::Ints(list.clone()),
        V::DType(name) => Value::DType(named(name)?),
        V::Device(name) => Value::Device(Device::parse(name).map_err(text)?),
        V::Layout(name) if name == "strided" => Value::Layout(StorageLayout::Strided),
        V::Layout(name) if name == "sparse_coo" => Value::Layout(StorageLayout::SparseCoo),
        V::MemoryFormat(name) => Value::MemoryFormat(MemoryFormat::parse(name).map_err(text)?),
        other => return Err(format!("cannot be passed to an operator: {other:?}")),
    })
}

fn list_value(list: &[V], element: &Ty, pack: &Pack) -> Result<Value, Reason> {
    let values: Result<Vec<Value>, Reason> = list.iter().map(|v| value(v, element, pack)).collect();
    let values = values?;
    let scalars = || values.iter().map(Value::as_scalar).collect::<Option<Vec<Scalar>>>();
    let wrong = || format!("a list of other things than {element:?}");
    Ok(match element {
        Ty::Tensor => Value::Tensors(
            values.iter().map(|v| v.as_tensor().cloned()).collect::<Option<_>>().ok_or_else(wrong)?,
        ),
        Ty::Optional(_) => Value::OptTensors(values.iter().map(|v| v.as_tensor().cloned()).collect()),
        Ty::Bool => Value::Bools(scalars().ok_or_else(wrong)?.iter().map(|s| s.to_bool()).collect()),
        Ty::Float => Value::Floats(scalars().ok_or_else(wrong)?.iter().map(|s| s.to_f64()).collect()),
        Ty::Int => Value::Ints(scalars().ok_or_else(wrong)?.iter().map(|s| s.to_i64()).collect()),
        _ => Value::Scalars(scalars().ok_or_else(wrong)?),
    })
}

/// Results with lists of tensors spliced in.
pub fn flat(outputs: Vec<Value>) -> Vec<Value> {
    let mut flat = Vec::with_capacity(outputs.len());
    for v in outputs {
        match v {
            Value::Tensors(list) => flat.extend(list.into_iter().map(Value::Tensor)),
            Value::OptTensors(list) => flat.extend(list.into_iter().map(Value::from)),
            v => flat.push(v),
        }
    }
    flat
}

/// Compares one result, a tensor or a number, with what the kit expects.
///
/// # Errors
/// The difference, when there is one.
pub fn check_value(got: &Value, want: &V, check: Check, pack: &Pack) -> Result<(), Reason> {
    match (got, want) {
        (Value::Tensor(t), V::Tensor(reference)) => {
            compare(&Array::got(t)?, &Array::expected(pack, reference)?, check)
        }
        (Value::Tensor(t), V::Shape(sizes, name)) => {
            let same = t.sizes()[..] == sizes[..] && t.dtype().name() == name;
            if same {
                Ok(())
            } else {
                Err(format!("{:?} {}, expected {sizes:?} {name}", t.sizes(), t.dtype().name()))
            }
        }
        (Value::None, V::None) => Ok(()),
        (got, want) if same_number(got, want) => Ok(()),
        _ => Err(format!("got {}, expected {want:?}", describe(got))),
    }
}

fn same_number(got: &Value, want: &V) -> bool {
    match (got, want) {
        (Value::Bool(a), V::Bool(b)) => a == b,
        (Value::Int(a), V::Int(b)) => a == b,
        (Value::Float(a), V::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
        (Value::Complex(a), V::Complex(re, im)) => a.re == *re && a.im == *im,
        (Value::Str(a), V::Str(b)) => a == b,
        (Value::DType(a), V::DType(b)) => a.name() == b,
        (Value::DType(a), V::Int(code)) => scalar_type(*a) == *code,
        _ => false,
    }
}

/// The number of a dtype in `c10::ScalarType`, which a `ScalarType` return is recorded as.
fn scalar_type(dtype: DType) -> i64 {
    match dtype {
        DType::U8 => 0,
        DType::I8 => 1,
        DType::I16 => 2,
        DType::I32 => 3,
        DType::I64 => 4,
        DType::F16 => 5,
        DType::F32 => 6,
        DType::F64 => 7,
        DType::Complex64 => 9,
        DType::Complex128 => 10,
        DType::Bool => 11,
        DType::BF16 => 15,
    }
}

fn describe(v: &Value) -> String {
    match v.as_scalar() {
        Some(number) => format!("{number:?}"),
        None => v.kind().to_string(),
    }
}
