//! Replays `optim/`: the parameters after each step of an optimizer on recorded gradients, and its state at the end.

use cresset_core::ops::{cat, sparse_coo_tensor_indices_size};
use cresset_core::value::Value;
use cresset_core::{DType, Error, Tensor, no_grad};
use cresset_optim::{self as optim, Hyper, Optimizer, OptimizerState, Update};
use serde::Deserialize;
use std::collections::BTreeMap;

use crate::array::Array;
use crate::call::tensor;
use crate::compare::{Check, Tolerance, close, compare};
use crate::failure::Failure;
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
    problem: Option<String>,
    #[serde(default)]
    data: BTreeMap<String, V>,
    #[serde(default)]
    losses: Option<V>,
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

/// Calls a function that is generic over algorithms for the one of that name, if there is one.
macro_rules! by_name {
    ($name:expr, |$u:ident| $call:expr) => {
        by_name!($name, |$u| $call; SGD: SGDUpdate, Adam: AdamUpdate, AdamW: AdamWUpdate, RMSprop: RMSpropUpdate,
            Adagrad: AdagradUpdate, Adadelta: AdadeltaUpdate, Adamax: AdamaxUpdate, NAdam: NAdamUpdate,
            RAdam: RAdamUpdate, ASGD: ASGDUpdate, Rprop: RpropUpdate, SparseAdam: SparseAdamUpdate,
            LBFGS: LBFGSUpdate, Adafactor: AdafactorUpdate, Muon: MuonUpdate)
    };
    ($name:expr, |$u:ident| $call:expr; $($known:ident: $update:ident),*) => {
        match $name {
            $(stringify!($known) => {
                type $u = optim::$update;
                Some($call)
            })*
            _ => None,
        }
    };
}

fn replay_named(name: &str, case: &Case, pack: &Pack) -> Outcome {
    by_name!(name, |U| guarded(|| replay::<U>(case, pack))).unwrap_or(Outcome::Skipped)
}

/// Makes the optimizer of that name; `None` if there is none.
pub fn construct(
    name: &str,
    kwargs: &BTreeMap<String, V>,
    params: &[Tensor],
    pack: &Pack,
) -> Option<Result<(), Failure>> {
    fn make<U: Update>(kwargs: &BTreeMap<String, V>, params: &[Tensor]) -> Result<(), Failure> {
        let defaults = defaults::<U>(kwargs)?;
        let lr = defaults.lr();
        Optimizer::<U>::with(params.iter().cloned(), lr, |_| defaults)?;
        Ok(())
    }
    by_name!(name, |U| without_tensors(kwargs, pack).and_then(|kwargs| make::<U>(&kwargs, params)))
}

/// The hyper-parameters with numbers for tensors of one element, which only some algorithms of PyTorch take.
fn without_tensors(kwargs: &BTreeMap<String, V>, pack: &Pack) -> Result<BTreeMap<String, V>, Failure> {
    let on = |name: &str| kwargs.get(name).is_some_and(V::is_true);
    let number = |what: &str, v: &V| match v {
        V::Tensor(_) if on("foreach") && !on("capturable") => {
            let text = "as a Tensor is not supported for capturable=False and foreach=True";
            Err(Failure::Argument(Error::value(format!("{what} {text}"))))
        }
        V::Tensor(reference) => {
            let t = tensor(reference, pack)?;
            if t.numel() != 1 {
                return Err(Failure::Argument(Error::value(format!("Tensor {what} must be 1-element"))));
            }
            Ok(V::Float(t.item()?.to_f64()))
        }
        v => Ok(v.clone()),
    };
    let entry = |(name, v): (&String, &V)| {
        let V::List(list) = v else { return Ok((name.clone(), number(name, v)?)) };
        let tensors = list.iter().filter(|v| matches!(v, V::Tensor(_))).count();
        if tensors != 0 && tensors != list.len() {
            let text = format!("{name} must be either both floats or both Tensors");
            return Err(Failure::Argument(Error::value(text)));
        }
        let plain = list.iter().enumerate().map(|(i, v)| number(&format!("{name}[{i}]"), v));
        Ok((name.clone(), V::List(plain.collect::<Result<_, _>>()?)))
    };
    kwargs.iter().map(entry).collect()
}

fn text(e: cresset_core::Error) -> Reason {
    format!("{e:?}")
}

fn replay<U: Update>(case: &Case, pack: &Pack) -> Result<(), Reason> {
    let params: Vec<Tensor> = case.init.iter().map(|v| stored(v, pack)).collect::<Result<_, _>>()?;
    for p in &params {
        p.set_requires_grad(true).map_err(text)?;
    }
    let grads: Vec<Gradients> =
        case.grads.iter().map(|v| Gradients::read(v, pack)).collect::<Result<_, _>>()?;
    let wanted: Vec<Tensor> = case.params.iter().map(|v| stored(v, pack)).collect::<Result<_, _>>()?;
    let mut optimizer = build::<U>(case, &params)?;
    let tolerance = Tolerance { rtol: case.rtol, atol: case.atol };
    if let Some(problem) = &case.problem {
        return minimise(&mut optimizer, problem, case, &params, pack);
    }
    for step in 0..case.steps {
        for (i, (p, g)) in params.iter().zip(&grads).enumerate() {
            let absent = case.missing.as_ref().is_some_and(|m| m.param == i && m.steps.contains(&step));
            let g = if absent { None } else { Some(g.at(step, p).map_err(text)?) };
            p.set_grad(g).map_err(text)?;
        }
        optimizer.step().map_err(text)?;
        check_params(step, &params, &wanted, tolerance)?;
    }
    check_state(&optimizer.state_dict(), case, tolerance, pack)?;
    reload(&optimizer, case, &params)
}

fn check_params(step: i64, params: &[Tensor], wanted: &[Tensor], tolerance: Tolerance) -> Result<(), Reason> {
    let _guard = no_grad();
    for (i, (p, want)) in params.iter().zip(wanted).enumerate() {
        let want = Array::got(&want.select(0, step).map_err(text)?)?;
        compare(&Array::got(p)?, &want, Check::Close(tolerance))
            .map_err(|e| format!("step {step} param {i}: {e}"))?;
    }
    Ok(())
}

/// The recorded gradients of one parameter, step after step: tensors, or coordinates and values of rows.
enum Gradients {
    Dense(Tensor),
    Rows(Tensor, Tensor),
}

impl Gradients {
    fn read(v: &V, pack: &Pack) -> Result<Gradients, Reason> {
        let V::Dict(parts) = v else { return stored(v, pack).map(Gradients::Dense) };
        let part = |name: &str| match parts.iter().find(|(k, _)| k == name) {
            Some((_, v)) => stored(v, pack),
            None => Err(format!("a sparse gradient without {name}")),
        };
        Ok(Gradients::Rows(part("indices")?, part("values")?))
    }

    fn at(&self, step: i64, param: &Tensor) -> cresset_core::Result<Tensor> {
        match self {
            Gradients::Dense(t) => t.select(0, step),
            Gradients::Rows(indices, values) => {
                let (indices, values) = (indices.select(0, step)?, values.select(0, step)?);
                sparse_coo_tensor_indices_size(&indices, &values, param.sizes())
            }
        }
    }
}

/// Replays an optimizer that takes a closure, on the problem of that name.
fn minimise<U: Update>(
    optimizer: &mut Optimizer<U>,
    problem: &str,
    case: &Case,
    params: &[Tensor],
    pack: &Pack,
) -> Result<(), Reason> {
    let data = |name: &str| case.data.get(name).map(|v| stored(v, pack)).transpose();
    let (a, b) = (data("A")?, data("b")?);
    let sign = if matches!(case.kwargs.get("maximize"), Some(V::Bool(true))) { -1.0 } else { 1.0 };
    let losses = stored(case.losses.as_ref().ok_or("no losses")?, pack)?;
    let wanted: Vec<Tensor> = case.params.iter().map(|v| stored(v, pack)).collect::<Result<_, _>>()?;
    let tolerance = Tolerance { rtol: case.rtol, atol: case.atol };
    for step in 0..case.steps {
        let closure = || {
            params.iter().try_for_each(|p| p.set_grad(None))?;
            let flat: Vec<Tensor> = params.iter().map(|p| p.reshape(-1)).collect::<Result<_, _>>()?;
            let x = cat(&flat)?;
            let loss = match (problem, &a, &b) {
                ("quadratic", Some(a), Some(b)) => x.dot(&a.mv(&x)?)?.mul_scalar(0.5)?.sub(&b.dot(&x)?)?,
                _ => rosenbrock(&x)?,
            };
            let loss = loss.mul_scalar(sign)?;
            loss.backward()?;
            Ok(loss)
        };
        let loss = optimizer.step_with(closure).map_err(text)?;
        let want = Array::got(&losses.select(0, step).map_err(text)?)?;
        compare(&Array::got(&loss.detach())?, &want, Check::Close(tolerance))
            .map_err(|e| format!("step {step} loss: {e}"))?;
        check_params(step, params, &wanted, tolerance)?;
    }
    check_state(&optimizer.state_dict(), case, tolerance, pack)?;
    reload(optimizer, case, params)
}

/// `sum(100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2)`.
fn rosenbrock(x: &Tensor) -> cresset_core::Result<Tensor> {
    let n = x.numel() as i64;
    let (head, tail) = (x.narrow(0, 0, n - 1)?, x.narrow(0, 1, n - 1)?);
    let valley = tail.sub(&head.square()?)?.square()?.mul_scalar(100)?;
    valley.add(&head.rsub_scalar(1)?.square()?)?.sum()
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
        V::Str(word) => Value::Str(word.clone()),
        V::List(list) if list.iter().any(|v| matches!(v, V::None)) => {
            let member = |v: &V| match v {
                V::None => Ok(None),
                v => Tensor::scalar(number(v)?, DType::F64).map(Some).map_err(text),
            };
            Value::OptTensors(list.iter().map(member).collect::<Result<_, Reason>>()?)
        }
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

fn defaults<U: Update>(kwargs: &BTreeMap<String, V>) -> Result<U::Options, Reason> {
    let mut defaults = U::Options::default();
    kwargs.iter().try_for_each(|(key, value)| set(&mut defaults, key, value))?;
    Ok(defaults)
}

fn build<U: Update>(case: &Case, params: &[Tensor]) -> Result<Optimizer<U>, Reason> {
    let defaults = defaults::<U>(&case.kwargs)?;
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
    // PyTorch's are in the order in which they first had a gradient, which means nothing to who loads them.
    let have: BTreeMap<usize, _> = got.state.iter().map(|(i, state)| (*i, state)).collect();
    let want: BTreeMap<usize, _> = case.end.state.iter().map(|(i, state)| (*i, state)).collect();
    if have.keys().ne(want.keys()) {
        return Err(format!("parameters with state: {:?}, expected {:?}", have.keys(), want.keys()));
    }
    for ((i, state), wanted) in have.into_iter().zip(want.into_values()) {
        for (key, want) in wanted {
            let got = state.get(key).ok_or_else(|| format!("state {i} has no {key}"))?;
            check_entry(got, want, tolerance, pack).map_err(|e| format!("state {i} {key}: {e}"))?;
        }
        if let Some((key, _)) = state.entries().iter().find(|(k, _)| !wanted.contains_key(k)) {
            return Err(format!("state {i} has {key}, which PyTorch's has not"));
        }
    }
    Ok(())
}

/// An entry of the state: a number, a tensor or a list of tensors. PyTorch's may be a 0-dim tensor where ours is a
/// number, and the other way round.
fn check_entry(got: &Value, want: &V, tolerance: Tolerance, pack: &Pack) -> Result<(), Reason> {
    let numeric = |v: &Value| match v {
        Value::Tensor(t) if t.numel() == 1 => t.item().map(|x| x.to_f64()).map_err(text),
        v => v.as_scalar().map(|x| x.to_f64()).ok_or_else(|| format!("got {}", v.kind())),
    };
    match (want, got) {
        (V::List(wants), Value::Tensors(gots)) if wants.len() == gots.len() => wants
            .iter()
            .zip(gots)
            .try_for_each(|(want, got)| check_entry(&Value::Tensor(got.clone()), want, tolerance, pack)),
        (V::Tensor(reference), Value::Tensor(got)) => {
            compare(&Array::got(got)?, &Array::expected(pack, reference)?, Check::Close(tolerance))
        }
        (V::Tensor(_), got) => {
            let (got, want) = (numeric(got)?, numeric(&Value::Tensor(stored(want, pack)?))?);
            if close(got, want, tolerance) { Ok(()) } else { Err(format!("{got}, expected {want}")) }
        }
        (V::None, Value::None) => Ok(()),
        (want @ (V::Int(_) | V::Float(_) | V::Bool(_)), got) => {
            let (got, want) = (numeric(got)?, numeric(&hyper(want)?)?);
            if close(got, want, tolerance) { Ok(()) } else { Err(format!("{got}, expected {want}")) }
        }
        (want, got) => Err(format!("{}, expected {want:?}", got.kind())),
    }
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
                // Loading gives floating-point state the dtype of its parameter, as in PyTorch.
                let again = b.tensor(key).map_err(text)?;
                let before = t.to_dtype(again.dtype()).map_err(text)?;
                compare(&Array::got(again)?, &Array::got(&before)?, Check::Exact)
                    .map_err(|e| format!("reloaded {key}: {e}"))?;
            }
        }
    }
    Ok(())
}
