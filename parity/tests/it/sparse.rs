//! An operator computes of a sparse tensor what it computes of the strided one, or it refuses: no kernel reads memory
//! that is not there.

use cresset_core::op::{Tag, Variant};
use cresset_core::{Tensor, Value};

use crate::sample::{Sample, assert_none, for_each, has, map_tensors, same};

/// Results that say what a tensor is and not what its elements are.
const ABOUT_STORAGE: [&str; 5] = ["is_contiguous", "stride", "storage_offset", "sparse_dim", "dense_dim"];

fn sparse(t: &Tensor) -> Tensor {
    let whole = t.is_wrapped_number() || t.dim() == 0 || t.is_sparse();
    if whole { t.clone() } else { t.detach().to_sparse().unwrap_or_else(|_| t.clone()) }
}

fn dense(values: Vec<Value>) -> Vec<Value> {
    let dense = |v| match v {
        Value::Tensor(t) => Value::Tensor(t.to_dense().expect("a sparse result that can be read")),
        other => other,
    };
    values.into_iter().map(dense).collect()
}

fn check(sample: &Sample<'_>) -> Result<(), String> {
    let name = sample.op.name();
    if sample.is_random() || sample.depends_on_layout() || has(&sample.op, Tag::Random) {
        return Ok(());
    }
    if ABOUT_STORAGE.contains(&name) || name.contains("sparse") || name.contains("empty") {
        return Ok(());
    }
    let Ok(want) = sample.call(&sample.op, &sample.arguments()) else { return Ok(()) };
    let count = sample.arguments().iter().filter(|(_, v)| matches!(v, Value::Tensor(_))).count();
    for only in 0..=count {
        let (mut args, mut i) = (sample.arguments(), 0);
        // Each tensor alone, then all of them.
        map_tensors(&mut args, |_, t| {
            i += 1;
            if only == count || only + 1 == i { sparse(t) } else { t.clone() }
        });
        if let Ok(got) = sample.call(&sample.op, &args) {
            same(&dense(got), &want, sample.case.tolerance())
                .map_err(|e| format!("{e}, with argument {only} of {count} sparse"))?;
        }
    }
    Ok(())
}

#[test]
fn sparse_inputs_are_computed_or_refused() {
    assert_none(for_each(Variant::Functional, check));
}
