//! Gradients and second gradients against finite differences, in double precision.

use std::collections::BTreeMap;

use cresset_core::autograd::{GradCheck, gradcheck, gradgradcheck};
use cresset_core::op::{Tag, Variant};
use cresset_core::{DType, Result, Tensor, Value};
use cresset_parity::call::Arguments;
use cresset_parity::ops::argument_at;

use crate::sample::{Sample, assert_none, doubled, for_each, map_tensors};

/// Larger Jacobians cost more than they tell.
const MAX_ELEMENTS: usize = 30;
/// Cases of one overload.
const MAX_CASES: usize = 1;

/// Arguments in double precision, and the differentiable ones among them.
fn prepared(sample: &Sample<'_>) -> Option<(Arguments, Vec<Tensor>)> {
    let wrt = &sample.case.grad.as_ref()?.wrt;
    let mut args = sample.arguments();
    map_tensors(&mut args, |_, t| doubled(t));
    for (_, value) in &mut args {
        match value {
            Value::DType(DType::F32 | DType::F16 | DType::BF16) => *value = Value::DType(DType::F64),
            Value::DType(DType::Complex64) => *value = Value::DType(DType::Complex128),
            _ => {}
        }
    }
    let inputs: Option<Vec<Tensor>> = wrt.iter().map(|path| argument_at(&args, path).cloned()).collect();
    let inputs = inputs?;
    let double = |t: &Tensor| matches!(t.dtype(), DType::F64 | DType::Complex128);
    let small = inputs.iter().map(Tensor::numel).sum::<usize>() <= MAX_ELEMENTS;
    (small && inputs.iter().all(double)).then_some((args, inputs))
}

/// The call as a function of the differentiable arguments.
fn function<'a>(
    sample: &'a Sample<'_>,
    args: &'a Arguments,
    inputs: &'a [Tensor],
) -> impl Fn(&[Tensor]) -> Result<Vec<Tensor>> + 'a {
    move |given| {
        let mut args = args.clone();
        map_tensors(&mut args, |_, t| {
            inputs.iter().position(|input| input.same(t)).map_or_else(|| t.clone(), |i| given[i].clone())
        });
        if HERMITIAN.contains(&sample.op.name()) {
            let (_, matrix) = &mut args[0];
            if let Value::Tensor(a) = matrix {
                *a = a.add(&a.adjoint()?)?.mul_scalar(0.5)?;
            }
        }
        let outputs = sample.call(&sample.op, &args)?;
        Ok(outputs.into_iter().flat_map(Value::into_tensors).filter(Tensor::requires_grad).collect())
    }
}

/// They take their matrix as Hermitian and read one triangle of it, so only such a matrix may be varied.
const HERMITIAN: [&str; 6] = [
    "_linalg_eigh",
    "linalg_cholesky",
    "linalg_cholesky_ex",
    "linalg_eigh",
    "linalg_eigvalsh",
    "linalg_matrix_sqrth",
];

/// Where PyTorch's gradient is no limit of differences: that of what `as_strided_scatter` overwrites, eigenvectors up to a
/// phase, positions that occur twice, the kink of a rectifier, norms taken as constants in second gradients.
const NO_DERIVATIVE: [&str; 6] = [
    "as_strided_scatter",
    "linalg_eig",
    "max_unpool3d",
    "rnn_relu",
    "_weight_norm",
    "_weight_norm_interface",
];

/// Whether PyTorch gives something else than the derivative: also none for a padding row, or scaled by frequency.
fn redefines_gradient(sample: &Sample<'_>) -> bool {
    if NO_DERIVATIVE.contains(&sample.op.name()) {
        return true;
    }
    sample.case.args.iter().any(|a| matches!(a.name.as_str(), "padding_idx" | "scale_grad_by_freq"))
}

/// Whether differences of neighbouring values mean anything.
fn all_finite(values: &[Value]) -> bool {
    values.iter().cloned().flat_map(Value::into_tensors).all(|t| {
        let finite = t.detach().isfinite().and_then(|f| f.all()).and_then(|a| a.item());
        finite.is_ok_and(|all| all.to_bool())
    })
}

type Checker = fn(&Sample<'_>, &Arguments, &[Tensor]) -> Result<()>;

fn check_each(second: bool, checker: Checker) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    assert_none(for_each(Variant::Functional, |sample| {
        let writes = sample.op.schema().arguments.iter().any(|a| a.is_written());
        let undefined = redefines_gradient(sample) || sample.depends_on_layout();
        if writes || undefined || sample.op.op.has_tag(Tag::Random) {
            return Ok(());
        }
        if second && sample.case.gradgrad.is_none() {
            return Ok(());
        }
        let count = seen.entry(sample.case.qualified()).or_default();
        if *count >= MAX_CASES {
            return Ok(());
        }
        let Some((args, inputs)) = prepared(sample) else { return Ok(()) };
        let finite = sample.call(&sample.op, &args).is_ok_and(|outputs| all_finite(&outputs));
        if !finite || !all_finite(&inputs.iter().cloned().map(Value::Tensor).collect::<Vec<_>>()) {
            return Ok(());
        }
        *count += 1;
        for input in &inputs {
            input.requires_grad_(true).map_err(|e| e.to_string())?;
        }
        checker(sample, &args, &inputs).map_err(|e| format!("{e:?}"))
    }));
}

#[test]
fn gradients_match_finite_differences() {
    check_each(false, |sample, args, inputs| {
        gradcheck(function(sample, args, inputs), inputs, GradCheck::default())
    });
}

#[test]
fn second_gradients_match_finite_differences() {
    check_each(true, |sample, args, inputs| {
        gradgradcheck(function(sample, args, inputs), inputs, GradCheck::default())
    });
}
