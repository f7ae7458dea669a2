//! Replays operator cases: values, dtypes, shapes, mutation, aliasing and strides of one call by name.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use cresset_core::library::{self, OpRef};
use cresset_core::{Tensor, Value};
use serde::Deserialize;

use crate::array::Array;
use crate::call::{Argument, Arguments, arguments, check_value, flat};
use crate::compare::{Check, Tolerance, compare};
use crate::grad::{self, Grad, GradGrad};
use crate::kit::{Kit, Pack, Reason};
use crate::report::{FileReport, Outcome, guarded};
use crate::value::V;

/// A recorded call.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Identifies the case in its file.
    #[serde(default)]
    pub id: u64,
    /// `aten::name`.
    pub op: String,
    /// The overload, empty for the default one.
    pub overload: String,
    /// The schema text.
    #[serde(default)]
    pub schema: String,
    /// The OpInfo that the inputs come from.
    #[serde(default)]
    pub source: String,
    /// The arguments that differ from their defaults.
    pub args: Vec<Argument>,
    /// One value per return.
    pub out: Vec<V>,
    /// How outputs are checked.
    pub check: String,
    /// One check per flat output, instead of `check`.
    #[serde(default)]
    pub out_checks: Vec<String>,
    /// Relative tolerance.
    #[serde(default)]
    pub rtol: f64,
    /// Absolute tolerance.
    #[serde(default)]
    pub atol: f64,
    /// The seed, where the call is random.
    pub seed: Option<u64>,
    /// Content after the call of the arguments that it writes.
    #[serde(default)]
    pub mutated: BTreeMap<String, V>,
    /// Which flat output shares storage with which argument.
    #[serde(default)]
    pub alias: BTreeMap<usize, Alias>,
    /// Strides of fresh outputs that are not contiguous.
    #[serde(default)]
    pub strides: BTreeMap<usize, Vec<i64>>,
    /// Gradients.
    pub grad: Option<Grad>,
    /// Second gradients.
    pub gradgrad: Option<GradGrad>,
}

/// Where an output lies in an argument's storage.
#[derive(Clone, Debug, Deserialize)]
pub struct Alias {
    /// The argument, or an element of it (`tensors.0`).
    pub arg: String,
    /// Strides.
    pub strides: Vec<i64>,
    /// Offset into the storage.
    pub offset: usize,
}

impl Case {
    /// The tolerances of its outputs.
    pub fn tolerance(&self) -> Tolerance {
        Tolerance { rtol: self.rtol, atol: self.atol }
    }

    /// The operator, if it is declared.
    pub fn find(&self) -> Option<OpRef> {
        library::find(self.op.strip_prefix("aten::")?, &self.overload)
    }

    /// `aten::name.overload`, as the kit's index spells it.
    pub fn qualified(&self) -> String {
        let dot = if self.overload.is_empty() { "" } else { "." };
        format!("{}{dot}{}", self.op, self.overload)
    }

    /// How the flat output `i` is checked.
    ///
    /// # Errors
    /// When the kit asks for a check that the format does not have.
    pub fn check(&self, i: usize) -> Result<Check, Reason> {
        Check::named(self.out_checks.get(i).unwrap_or(&self.check), self.tolerance())
    }
}

/// Replays one file of `ops/`.
pub fn run(kit: &Kit, file: &str) -> FileReport {
    let mut report = FileReport::default();
    let read = kit.pack(&format!("{file}.safetensors")).and_then(|pack| Ok((pack.cases::<Case>()?, pack)));
    match read {
        Ok((cases, pack)) => {
            for case in &cases {
                let outcome = replay(case, &pack, &mut report.strides);
                report.add(case.qualified(), &case.source, format!("c{}", case.id), outcome);
            }
        }
        Err(reason) => return FileReport::broken(reason),
    }
    report
}

fn replay(case: &Case, pack: &Pack, strides: &mut Vec<String>) -> Outcome {
    let Some(op) = case.find() else { return Outcome::Skipped };
    guarded(|| {
        strides.extend(forward(case, &op, pack)?);
        grad::check(case, &op, pack)
    })
}

/// Held exclusively by calls that draw from the default generator, shared by all others.
static DEFAULT_GENERATOR: RwLock<()> = RwLock::new(());

/// Runs `f` while nothing else draws from the default generator, which is seeded first.
pub fn with_seed<R>(seed: Option<u64>, f: impl FnOnce() -> R) -> R {
    match seed {
        Some(seed) => {
            let _alone = DEFAULT_GENERATOR.write().unwrap_or_else(PoisonError::into_inner);
            cresset_core::random::manual_seed(seed);
            f()
        }
        None => {
            let _shared = DEFAULT_GENERATOR.read().unwrap_or_else(PoisonError::into_inner);
            f()
        }
    }
}

/// Calls the operator and checks everything but gradients; tells which fresh outputs have other strides.
fn forward(case: &Case, op: &OpRef, pack: &Pack) -> Result<Vec<String>, Reason> {
    let args = arguments(op, &case.args, pack)?;
    let outputs = with_seed(case.seed, || op.call(&args)).map_err(|e| format!("{e:?}"))?;
    check_call(case, args, outputs.into_iter().collect(), pack)
}

/// Checks the outcome of a call; tells which fresh outputs have other strides than PyTorch's.
///
/// # Errors
/// The first difference.
pub fn check_call(
    case: &Case,
    args: Arguments,
    outputs: Vec<Value>,
    pack: &Pack,
) -> Result<Vec<String>, Reason> {
    let got = flat(outputs);
    let want = V::flat(&case.out);
    if got.len() != want.len() {
        return Err(format!("{} outputs, expected {}", got.len(), want.len()));
    }
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        check_output(case, i, got, want, pack).map_err(|e| format!("output {i}: {e}"))?;
    }
    check_mutated(case, &args, pack)?;
    check_alias(case, &args, &got)?;
    Ok(other_strides(case, &got))
}

/// The fresh outputs whose strides are not PyTorch's, a line each: those that the case lists, else row-major ones.
fn other_strides(case: &Case, got: &[Value]) -> Vec<String> {
    let line = |(i, value): (usize, &Value)| {
        let Value::Tensor(t) = value else { return None };
        if case.alias.contains_key(&i) {
            return None;
        }
        let fits = match case.strides.get(&i) {
            Some(strides) => same_strides(Some(value), strides),
            None => t.is_contiguous(),
        };
        let expected = case.strides.get(&i).map_or("row-major".into(), |s| format!("{s:?}"));
        let (sizes, strides) = (t.sizes(), t.strides());
        (!fits).then(|| {
            format!(
                "c{} {}: output {i}, {:?}: strides {:?}, PyTorch's are {expected}",
                case.id,
                case.op,
                sizes.as_slice(),
                strides.as_slice()
            )
        })
    };
    got.iter().enumerate().filter_map(line).collect()
}

fn check_output(case: &Case, i: usize, got: &Value, want: &V, pack: &Pack) -> Result<(), Reason> {
    match (case.check(i)?, got, want) {
        (Check::Index, Value::Tensor(t), V::Tensor(reference)) => {
            check_index(case, &Array::got(t)?, &Array::expected(pack, reference)?, pack)
        }
        (check, got, want) => check_value(got, want, check, pack),
    }
}

/// Indices may differ where the elements that they name are equal, but each may appear only once.
fn check_index(case: &Case, got: &Array, want: &Array, pack: &Pack) -> Result<(), Reason> {
    compare(got, want, Check::Shape)?;
    let argument = |name: &str| case.args.iter().find(|a| a.name == name).map(|a| &a.value);
    let Some(V::Tensor(reference)) = argument("self") else {
        return Err("the kit has no self to index".into());
    };
    let source = Array::expected(pack, reference)?;
    let rank = source.sizes.len() as i64;
    let dim = match argument("dim") {
        Some(V::Int(d)) => d.rem_euclid(rank.max(1)) as usize,
        _ => rank.max(1) as usize - 1,
    };
    let along = |indices: &Array| {
        let mut indices = indices.clone();
        if (indices.sizes.len() as i64) < rank {
            indices.sizes.insert(dim, 1);
        }
        indices
    };
    let (got, want) = (along(got), along(want));
    if got.repeats_along(dim) {
        return Err("an index appears twice in a row".into());
    }
    compare(&source.gather(dim, &got)?, &source.gather(dim, &want)?, Check::Exact)
}

fn check_mutated(case: &Case, args: &Arguments, pack: &Pack) -> Result<(), Reason> {
    let check = match case.check.as_str() {
        "exact" => Check::Exact,
        "shape" => Check::Shape,
        _ => Check::Close(case.tolerance()),
    };
    for (name, want) in &case.mutated {
        let value = args.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let got = flat(value.into_iter().collect());
        let want = V::flat(std::slice::from_ref(want));
        if got.len() != want.len() {
            return Err(format!("argument {name}: expected to be written, was not passed"));
        }
        for (got, want) in got.iter().zip(want) {
            check_value(got, want, check, pack).map_err(|e| format!("{name} after the call: {e}"))?;
        }
    }
    Ok(())
}

/// The tensor that a path such as `self` or `tensors.0` names.
pub fn argument_at<'a>(args: &'a Arguments, path: &str) -> Option<&'a Tensor> {
    let (name, index) = match path.split_once('.') {
        Some((name, index)) => (name, index.parse().ok()?),
        None => (path, 0usize),
    };
    match &args.iter().find(|(n, _)| n == name)?.1 {
        Value::Tensor(t) => Some(t),
        Value::Tensors(list) => list.get(index),
        Value::OptTensors(list) => list.get(index)?.as_ref(),
        _ => None,
    }
}

fn check_alias(case: &Case, args: &Arguments, got: &[Value]) -> Result<(), Reason> {
    for (&i, alias) in &case.alias {
        let output =
            got.get(i).and_then(Value::as_tensor).ok_or_else(|| format!("output {i} is no tensor"))?;
        let source =
            argument_at(args, &alias.arg).ok_or_else(|| format!("the kit has no tensor {}", alias.arg))?;
        if !output.shares_storage_with(source) {
            return Err(format!("output {i}: does not share storage with {}", alias.arg));
        }
        if output.numel() > 0 && output.storage_offset() != alias.offset {
            return Err(format!("output {i}: offset {}, expected {}", output.storage_offset(), alias.offset));
        }
        if !same_strides(got.get(i), &alias.strides) {
            return Err(format!("output {i}: strides {:?}, expected {:?}", output.strides(), alias.strides));
        }
    }
    Ok(())
}

/// Whether the strides agree in every dimension in which a step is ever taken.
fn same_strides(got: Option<&Value>, want: &[i64]) -> bool {
    let Some(t) = got.and_then(Value::as_tensor) else { return false };
    let sizes = t.sizes();
    t.numel() == 0 || sizes.iter().zip(&t.strides()).zip(want).all(|((&n, a), b)| n == 1 || a == b)
}
