//! Replays gradients and second gradients of operator cases.

use cresset_core::autograd::{self, GradOptions};
use cresset_core::library::{self, OpRef};
use cresset_core::{Tensor, Value};
use serde::Deserialize;

use crate::array::Array;
use crate::call::{Arguments, arguments, flat, tensor};
use crate::compare::{Check, Tolerance, compare};
use crate::kit::{Pack, Reason};
use crate::ops::{Case, argument_at, with_seed};
use crate::value::V;

/// A vector-Jacobian product.
#[derive(Clone, Debug, Deserialize)]
pub struct Grad {
    /// The differentiated arguments (`self`, `tensors.0`).
    pub wrt: Vec<String>,
    /// One per flat output.
    pub cotangents: Vec<V>,
    /// One per `wrt`.
    pub expected: Vec<V>,
    /// Relative tolerance.
    pub rtol: f64,
    /// Absolute tolerance.
    pub atol: f64,
}

/// The gradients of a [`Grad`], differentiated once more.
#[derive(Clone, Debug, Deserialize)]
pub struct GradGrad {
    /// One per `wrt` of the gradient.
    pub u: Vec<V>,
    /// The same inputs, then `cotangents.<i>`.
    pub wrt: Vec<String>,
    /// One per `wrt`.
    pub expected: Vec<V>,
    /// Relative tolerance.
    pub rtol: f64,
    /// Absolute tolerance.
    pub atol: f64,
}

/// Checks the gradients of a case, if it has any.
///
/// # Errors
/// The first difference.
pub fn check(case: &Case, op: &OpRef, pack: &Pack) -> Result<(), Reason> {
    let Some(grad) = &case.grad else { return Ok(()) };
    let (leaves, outputs) = differentiable_call(case, grad, op, pack)?;
    let cotangents = leaves_of(&grad.cotangents, pack, case.gradgrad.is_some())?;
    let grads =
        vjp(&outputs, &leaves, &cotangents, case.gradgrad.is_some()).map_err(|e| format!("grad: {e}"))?;
    let tolerance = Tolerance { rtol: grad.rtol, atol: grad.atol };
    check_all(&grads, &grad.expected, &grad.wrt, tolerance, pack).map_err(|e| format!("grad of {e}"))?;
    let Some(second) = &case.gradgrad else { return Ok(()) };
    let u = leaves_of(&second.u, pack, false)?;
    let inputs = second_inputs(second, grad, &leaves, &cotangents)?;
    let got = vjp(&grads, &inputs, &u, false).map_err(|e| format!("gradgrad: {e}"))?;
    let tolerance = Tolerance { rtol: second.rtol, atol: second.atol };
    check_all(&got, &second.expected, &second.wrt, tolerance, pack).map_err(|e| format!("gradgrad of {e}"))
}

/// Calls the operator with `wrt` requiring gradients; an argument that the call writes is given as a copy.
fn differentiable_call(
    case: &Case,
    grad: &Grad,
    op: &OpRef,
    pack: &Pack,
) -> Result<(Vec<Tensor>, Vec<Option<Tensor>>), Reason> {
    let mut args = arguments(op, &case.args, pack)?;
    let mut leaves = Vec::new();
    for path in &grad.wrt {
        let leaf =
            argument_at(&args, path).ok_or_else(|| format!("grad: the kit has no tensor {path}"))?.clone();
        leaf.requires_grad_(true).map_err(|e| e.to_string())?;
        leaves.push(leaf);
    }
    copy_written(op, &mut args).map_err(|e| format!("grad: {e}"))?;
    let outputs = with_seed(case.seed, || op.call(&args)).map_err(|e| format!("grad: {e:?}"))?;
    let outputs = flat(outputs.into_iter().collect()).iter().map(|v| v.as_tensor().cloned()).collect();
    Ok((leaves, outputs))
}

fn copy_written(op: &OpRef, args: &mut Arguments) -> Result<(), Reason> {
    let schema = op.schema();
    for (name, value) in args {
        if !schema.position(name).is_some_and(|i| schema.arguments[i].is_written()) {
            continue;
        }
        match value {
            Value::Tensor(t) => *t = copied(t)?,
            Value::Tensors(list) => list.iter_mut().try_for_each(|t| copied(t).map(|copy| *t = copy))?,
            _ => {}
        }
    }
    Ok(())
}

/// A copy if it is a leaf that requires a gradient, which no call may write to; else the tensor itself.
fn copied(t: &Tensor) -> Result<Tensor, Reason> {
    if !t.requires_grad() {
        return Ok(t.clone());
    }
    let clone = library::find("clone", "").ok_or("clone is not declared")?;
    let copies =
        clone.call(&[("self".into(), Value::Tensor(t.clone()))]).map_err(|e| format!("clone: {e:?}"))?;
    copies
        .into_iter()
        .next()
        .and_then(|v| v.as_tensor().cloned())
        .ok_or_else(|| "clone gave no tensor".into())
}

fn leaves_of(values: &[V], pack: &Pack, requires_grad: bool) -> Result<Vec<Option<Tensor>>, Reason> {
    let leaf = |v: &V| match v {
        V::Tensor(reference) => {
            let t = tensor(reference, pack)?;
            if requires_grad {
                t.requires_grad_(true).map_err(|e| e.to_string())?;
            }
            Ok(Some(t))
        }
        _ => Ok(None),
    };
    values.iter().map(leaf).collect()
}

/// The gradients of the outputs that have a cotangent.
fn vjp(
    outputs: &[Option<Tensor>],
    inputs: &[Tensor],
    cotangents: &[Option<Tensor>],
    create_graph: bool,
) -> Result<Vec<Option<Tensor>>, Reason> {
    let mut roots = Vec::new();
    let mut weights = Vec::new();
    for (i, cotangent) in cotangents.iter().enumerate() {
        let Some(cotangent) = cotangent else { continue };
        let output = outputs
            .get(i)
            .cloned()
            .flatten()
            .ok_or_else(|| format!("there is no tensor {i} to start from"))?;
        roots.push(output);
        weights.push(Some(cotangent.clone()));
    }
    let options = GradOptions { create_graph, allow_unused: true, ..Default::default() };
    autograd::grad(&roots, inputs, &weights, options).map_err(|e| format!("{e:?}"))
}

fn second_inputs(
    second: &GradGrad,
    grad: &Grad,
    leaves: &[Tensor],
    cotangents: &[Option<Tensor>],
) -> Result<Vec<Tensor>, Reason> {
    let find = |path: &String| match path.strip_prefix("cotangents.") {
        Some(i) => cotangents.get(i.parse::<usize>().ok()?)?.clone(),
        None => leaves.get(grad.wrt.iter().position(|w| w == path)?).cloned(),
    };
    second
        .wrt
        .iter()
        .map(|path| find(path).ok_or_else(|| format!("gradgrad: the kit has no tensor {path}")))
        .collect()
}

fn check_all(
    got: &[Option<Tensor>],
    want: &[V],
    names: &[String],
    tolerance: Tolerance,
    pack: &Pack,
) -> Result<(), Reason> {
    for ((got, want), name) in got.iter().zip(want).zip(names) {
        check_one(got.as_ref(), want, tolerance, pack).map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(())
}

/// No gradient and a gradient of zeros are the same where PyTorch gives none.
fn check_one(got: Option<&Tensor>, want: &V, tolerance: Tolerance, pack: &Pack) -> Result<(), Reason> {
    match (got, want) {
        (Some(got), V::Tensor(reference)) => {
            compare(&Array::got(got)?, &Array::expected(pack, reference)?, Check::Close(tolerance))
        }
        (None, V::Tensor(_)) => Err("no gradient, expected one".into()),
        (Some(got), _) if !Array::got(got)?.elements.is_zero() => Err("a gradient, expected none".into()),
        _ => Ok(()),
    }
}
