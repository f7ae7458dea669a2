//! Replays `optim/`: the parameters after each step of an optimizer on recorded gradients, and its state at the end.

use cresset_core::value::Value;
use cresset_core::{Tensor, no_grad};
use cresset_optim::{self as optim, Hyper, Optimizer, OptimizerState, Update};
use serde::Deserialize;
use std::collections::BTreeMap;

use crate::array::Array;
use crate::call::tensor;
use crate::compare::{Check, Tolerance, compare};
use crate::kit::{Kit, Pack, Reason};
use crate::report::{FileReport, Outcome, guarded};
use crate::value::V;

#[derive(Debug, Deserialize)]
struct Case {
    id: u64,
    optimizer: String,
    kwargs: BTreeMap<String, V>,
    #[serde(default)]
    flavour: String,
    rtol: f64,
    atol: f64,
    #[serde(default)]
    grads: Vec<V>,
    steps: i64,
    init: Vec<V>,
    params: Vec<V>,
    #[serde(default)]
    groups: Vec<BTreeMap<String, serde_json::Value>>,
    #[serde(default)]
    missing: Option<Missing>,
    #[serde(rename = "final")]
    end: End,
}

/// Steps in which a parameter has no gradient.
#[derive(Debug, Deserialize)]
struct Missing {
    param: usize,
    steps: Vec<i64>,
}

/// The `state_dict` after the last step.
#[derive(Debug, Deserialize)]
struct End {
    state: Vec<(usize, BTreeMap<String, V>)>,
}

/// Replays a file.
pub fn run(kit: &Kit, file: &str) -> FileReport {
    let read = kit.pack(&format!("{file}.safetensors")).and_then(|pack| Ok((pack.cases::<Case>()?, pack)));
    let (cases, pack) = match read {
        Ok(read) => read,
        Err(reason) => return FileReport::broken(reason),
    };
    let mut report = FileReport::default();
    for case in &cases {
        let name = case.optimizer.trim_start_matches("torch.optim.").to_string();
        let outcome = replay_named(&name, case, &pack);
        report.add(name, "", format!("c{} {}", case.id, case.flavour), outcome);
    }
    report
}

fn replay_named(name: &str, case: &Case, pack: &Pack) -> Outcome {
    macro_rules! by_name {
        ($($known:ident: $update:ident),*) => {
            match name {
                $(stringify!($known) => guarded(|| replay::<optim::$update>(case, pack)),)*
                _ => Outcome::Skipped,
            }
        };
    }
    by_name!(
        SGD: SGDUpdate, Adam: AdamUpdate, AdamW: AdamWUpdate, RMSprop: RMSpropUpdate, Adagrad: AdagradUpdate, Adadelta: AdadeltaUpdate,
        Adamax: AdamaxUpdate, NAdam: NAdamUpdate, RAdam: RAdamUpdate, ASGD: ASGDUpdate, Rprop: RpropUpdate
    )
}

fn text(e: cresset_core::Error) -> Reason {
    format!("{e:?}")
}

fn replay<U: Update>(case: &Case, pack: &Pack) -> Result<(), Reason> {
    let params: Vec<Tensor> = case.init.iter().map(|v| stored(v, pack)).collect::<Result<_, _>>()?;
    for p in &params {
        p.set_requires_grad(true).map_err(text)?;
    }
    let grads: Vec<Tensor> = case.grads.iter().map(|v| stored(v, pack)).collect::<Result<_, _>>()?;
    let wanted: Vec<Tensor> = case.params.iter().map(|v| stored(v, pack)).collect::<Result<_, _>>()?;
    let mut optimizer = build::<U>(case, &params)?;
    let tolerance = Tolerance { rtol: case.rtol, atol: case.atol };
    for step in 0..case.steps {
        for (i, (p, g)) in params.iter().zip(&grads).enumerate() {
            let absent = case.missing.as_ref().is_some_and(|m| m.param == i && m.steps.contains(&step));
            let g = if absent { None } else { Some(g.select(0, step).map_err(text)?) };
            p.set_grad(g).map_err(text)?;
        }
        optimizer.step().map_err(text)?;
        let _guard = no_grad();
        for (i, (p, want)) in params.iter().zip(&wanted).enumerate() {
            let want = Array::got(&want.select(0, step).map_err(text)?)?;
            compare(&Array::got(p)?, &want, Check::Close(tolerance))
                .map_err(|e| format!("step {step} param {i}: {e}"))?;
        }
    }
    check_state(&optimizer.state_dict(), case, tolerance, pack)?;
    reload(&optimizer, case, &params)
}

fn stored(v: &V, pack: &Pack) -> Result<Tensor, Reason> {
    match v {
        V::Tensor(reference) => tensor(reference, pack),
        other => Err(format!("expected a tensor, found {other:?}")),
    }
}

/// The value of a hyper-parameter.
fn hyper(v: &V) -> Result<Value, Reason> {
    let number = |v: &V| match v {
        V::Float(x) => Ok(*x),
        V::Int(i) => Ok(*i as f64),
        other => Err(format!("expected a number, found {other:?}")),
    };
    Ok(match v {
        V::Float(x) => Value::Float(*x),
        V::Int(i) => Value::Int(*i),
        V::Bool(b) => Value::Bool(*b),
        V::None => Value::None,
        V::Ints(list) => Value::Ints(list.clone()),
        V::List(list) => Value::Floats(list.iter().map(number).collect::<Result<_, _>>()?),
        other => return Err(format!("no hyper-parameter: {other:?}")),
    })
}

fn set<O: Hyper>(options: &mut O, key: &str, value: &V) -> Result<(), Reason> {
    match options.set(key, &hyper(value)?) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("no hyper-parameter is named {key}")),
        Err(e) => Err(text(e)),
    }
}

fn build<U: Update>(case: &Case, params: &[Tensor]) -> Result<Optimizer<U>, Reason> {
    let mut defaults = U::Options::default();
    for (key, value) in &case.kwargs {
        set(&mut defaults, key, value)?;
    }
    let lr = defaults.lr();
    if case.groups.is_empty() {
        return Optimizer::with(params.iter().cloned(), lr, |_| defaults).map_err(text);
    }
    let mut optimizer = Optimizer::<U>::without_params(lr, |_| defaults.clone()).map_err(text)?;
    for group in &case.groups {
        let mut options = defaults.clone();
        let mut members = Vec::new();
        for (key, value) in group {
            if key == "params" {
                let indices = value.get("il").unwrap_or(value).as_array().ok_or("params: expected a list")?;
                members =
                    indices.iter().filter_map(|i| i.as_u64()).map(|i| params[i as usize].clone()).collect();
            } else if key == "options" {
                let entries =
                    value.get("d").unwrap_or(value).as_object().ok_or("options: expected a dict")?;
                entries.iter().try_for_each(|(k, v)| set(&mut options, k, &V::from(v.clone())))?;
            } else {
                set(&mut options, key, &V::from(value.clone()))?;
            }
        }
        optimizer.add_param_group(members, |_| options).map_err(text)?;
    }
    Ok(optimizer)
}

fn check_state(got: &OptimizerState, case: &Case, tolerance: Tolerance, pack: &Pack) -> Result<(), Reason> {
    let numbers = |state: &[usize]| format!("{state:?}");
    let (have, want): (Vec<usize>, Vec<usize>) =
        (got.state.iter().map(|s| s.0).collect(), case.end.state.iter().map(|s| s.0).collect());
    if have != want {
        return Err(format!("parameters with state: {}, expected {}", numbers(&have), numbers(&want)));
    }
    for ((i, state), (_, wanted)) in got.state.iter().zip(&case.end.state) {
        for (key, want) in wanted {
            let V::Tensor(reference) = want else { continue };
            let got = state.tensor(key).map_err(text)?;
            compare(&Array::got(got)?, &Array::expected(pack, reference)?, Check::Close(tolerance))
                .map_err(|e| format!("state {i} {key}: {e}"))?;
        }
        if let Some((key, _)) = state.entries().iter().find(|(k, _)| !wanted.contains_key(k)) {
            return Err(format!("state {i} has {key}, which PyTorch's has not"));
        }
    }
    Ok(())
}

/// A second optimizer accepts the state and then holds the same.
fn reload<U: Update>(optimizer: &Optimizer<U>, case: &Case, params: &[Tensor]) -> Result<(), Reason> {
    let state = optimizer.state_dict();
    let mut other = build::<U>(case, params)?;
    other.load_state_dict(&state).map_err(text)?;
    let again = other.state_dict();
    for ((_, a), (_, b)) in state.state.iter().zip(&again.state) {
        for (key, value) in a.entries() {
            if let Value::Tensor(t) = value {
                compare(&Array::got(b.tensor(key).map_err(text)?)?, &Array::got(t)?, Check::Exact)
                    .map_err(|e| format!("reloaded {key}: {e}"))?;
            }
        }
    }
    Ok(())
}
