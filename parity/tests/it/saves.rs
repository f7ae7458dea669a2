//! Formulas keep no tensor whose values they do not need: `&Meta` keeps the shape alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cresset_core::op::{Autograd, Variant};
use cresset_core::{Result, Tensor, Value, autograd, modes};
use cresset_parity::array::Array;
use cresset_parity::call::{Arguments, flat};
use cresset_parity::compare::{Check, Tolerance, compare};

use crate::replay::Recorder;
use crate::sample::{Sample, assert_none, for_each};

/// What formulas need in cases that no sample has: other norms, equal elements, a base of 0, products, wide matrices, evaluation, masks of
/// numbers.
const RARELY_USED: [(&str, &str); 13] = [
    ("aten::_cdist_backward", "cdist"),
    ("aten::_cdist_backward", "grad_output"),
    ("aten::index_reduce", "self"),
    ("aten::index_reduce", "source"),
    ("aten::linalg_qr", "A"),
    ("aten::native_batch_norm_backward", "save_mean"),
    ("aten::native_dropout_backward", "grad_output"),
    ("aten::nextafter", "self"),
    ("aten::nextafter", "other"),
    ("aten::pow.Scalar", "exponent"),
    ("aten::prod.dim_int", "self"),
    ("aten::scatter_reduce.two", "self"),
    ("aten::scatter_reduce.two", "src"),
];

/// Gradients of a sample's call, the values of argument `changed` being replaced after the call, and whether it was
/// handed to a backward operator, which has it in its schema.
fn gradients(sample: &Sample<'_>, changed: Option<(&str, f64)>) -> Result<(Vec<Option<Tensor>>, bool)> {
    let args: Arguments = sample.arguments();
    let leaves: Vec<Tensor> = args
        .iter()
        .flat_map(|(_, v)| v.clone().into_tensors())
        .filter(|t| t.dtype().is_differentiable())
        .collect();
    for leaf in &leaves {
        leaf.requires_grad_(true)?;
    }
    let outputs = flat(sample.op.call(&args)?);
    let roots: Vec<Tensor> =
        outputs.iter().filter_map(Value::as_tensor).filter(|t| t.requires_grad()).cloned().collect();
    let seeds = roots.iter().map(|t| t.detach().ones_like()?.mul_scalar(0.7).map(Some));
    let seeds = seeds.collect::<Result<Vec<_>>>()?;
    let named = |name: &str| args.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.as_tensor());
    let changed = changed.and_then(|(name, value)| Some((named(name)?, value)));
    if let Some((t, value)) = changed {
        // `data` has a version counter of its own, so that autograd does not see the write.
        t.data().copy_(&t.detach().mul_scalar(-5.3)?.add_scalar(value)?)?;
    }
    let options = autograd::GradOptions { create_graph: true, allow_unused: true, ..Default::default() };
    let recorder = Arc::new(Recorder::default());
    let _recording = modes::push(recorder.clone());
    let gradients = autograd::grad(&roots, &leaves, &seeds, options)?;
    let handed_on = changed.is_some_and(|(t, _)| recorder.hands_to_backward(t));
    Ok((gradients, handed_on))
}

fn equal(a: &[Option<Tensor>], b: &[Option<Tensor>]) -> bool {
    let exact = Check::Close(Tolerance { rtol: 0.0, atol: 0.0 });
    a.iter().zip(b).all(|pair| match pair {
        (Some(a), Some(b)) => match (Array::got(a), Array::got(b)) {
            (Ok(a), Ok(b)) => compare(&a, &b, exact).is_ok(),
            _ => false,
        },
        (a, b) => a.is_none() && b.is_none(),
    })
}

/// The floating-point tensor arguments that a formula of the operator keeps.
fn kept(sample: &Sample<'_>) -> Vec<String> {
    let Autograd::Formulas(formulas) = &sample.op.op.autograd else { return Vec::new() };
    let args = sample.arguments();
    let changeable = |name: &str| {
        let value = args.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.as_tensor());
        value.is_some_and(|t| t.dtype().is_differentiable() && t.numel() > 0)
    };
    let positions: BTreeSet<usize> = formulas.iter().flat_map(|f| f.saves.iter().copied()).collect();
    let names = positions.into_iter().map(|i| sample.op.schema().arguments[i].name.clone());
    names.filter(|name| changeable(name)).collect()
}

#[test]
fn no_saved_tensor_is_unused() {
    let mut used: BTreeMap<(String, String), bool> = BTreeMap::new();
    assert_none(for_each(Variant::Functional, |sample| {
        for name in kept(sample) {
            let key = (sample.case.qualified(), name.clone());
            if used.get(&key) == Some(&true) || sample.is_random() {
                continue;
            }
            let Ok((before, _)) = gradients(sample, None) else { continue };
            for value in [2.3, f64::NAN] {
                let Ok((after, handed_on)) = gradients(sample, Some((&name, value))) else { continue };
                *used.entry(key.clone()).or_default() |= handed_on || !equal(&before, &after);
            }
        }
        Ok(())
    }));
    let rare = |op: &str, name: &str| RARELY_USED.contains(&(op, name));
    let unused = used.into_iter().filter(|((op, name), used)| !used && !rare(op, name));
    assert_none(
        unused.map(|((op, name), _)| format!("{op} keeps {name}, whose values change no gradient")).collect(),
    );
}
