//! Replays `modules/`: construction and printed form, initial state under a seed, forward, backward, buffers.

mod build;
mod describe;
mod inputs;
mod sequence;

use cresset_core::random::manual_seed;
use cresset_core::{DType, Tensor, autograd, no_grad};
use cresset_nn::{Module, StateDict};
use serde::Deserialize;
use std::collections::BTreeMap;

use crate::array::{Array, named};
use crate::call::tensor;
use crate::compare::{Check, Tolerance, compare};
use crate::kit::{Kit, Pack, Reason};
use crate::ops::with_seed;
use crate::report::{FileReport, Outcome, guarded};
use crate::value::V;
pub use build::{Call, Subject, build};
pub use describe::Description;
pub use inputs::Inputs;

#[derive(Debug, Deserialize)]
struct Case {
    id: u64,
    init: Description,
    dtype: String,
    training: bool,
    repr: String,
    #[serde(default)]
    lazy: bool,
    #[serde(default)]
    repr_materialised: Option<String>,
    #[serde(default)]
    state: Vec<(String, V)>,
    #[serde(default)]
    init_seed: u64,
    #[serde(default)]
    init_state: Option<Vec<(String, V)>>,
    forward: Forward,
    #[serde(default)]
    seed: Option<u64>,
    out: Vec<V>,
    rtol: f64,
    atol: f64,
    #[serde(default)]
    grad: Option<Grad>,
    #[serde(default)]
    state_after: Vec<(String, V)>,
}

#[derive(Debug, Deserialize)]
struct Forward {
    args: Vec<V>,
    kwargs: BTreeMap<String, V>,
}

#[derive(Debug, Deserialize)]
struct Grad {
    cotangents: Vec<V>,
    inputs: Vec<(String, V)>,
    params: Vec<(String, V)>,
    rtol: f64,
    atol: f64,
}

/// The kit's tolerance for initial values.
const INITIAL: Tolerance = Tolerance { rtol: 1e-6, atol: 3e-6 };

/// Replays a file.
pub fn run(kit: &Kit, file: &str) -> FileReport {
    let read = kit.pack(&format!("{file}.safetensors")).and_then(|pack| Ok((pack.cases::<Case>()?, pack)));
    let (cases, pack) = match read {
        Ok(read) => read,
        Err(reason) => return FileReport::broken(reason),
    };
    let mut report = FileReport::default();
    for case in &cases {
        let name = case.init.name().to_string();
        let outcome = if is_known(&case.init) {
            guarded(|| with_seed(Some(case.init_seed), || replay(case, &pack)))
        } else {
            Outcome::Skipped
        };
        report.add(name, "", format!("c{}", case.id), outcome);
    }
    report
}

/// Whether the module and all that it is made of can be built.
pub fn is_known(module: &Description) -> bool {
    let can = |name: &&str| build::KNOWN.contains(name) || sequence::KNOWN.contains(name);
    module.names().iter().all(can)
}

fn text(e: cresset_core::Error) -> Reason {
    format!("{e:?}")
}

fn replay(case: &Case, pack: &Pack) -> Result<(), Reason> {
    let subject = build(&case.init, pack)?;
    let module = &*subject.module;
    if module.repr() != case.repr {
        return Err(format!("repr {:?}, expected {:?}", module.repr(), case.repr));
    }
    if case.lazy {
        materialise(case, &subject, pack)?;
    }
    if let Some(want) = &case.init_state {
        check_state(&module.state_dict(), want, INITIAL, pack).map_err(|e| format!("initial state: {e}"))?;
    }
    module.to_dtype(named(&case.dtype)?).map_err(text)?;
    let state: StateDict = case
        .state
        .iter()
        .map(|(name, v)| Ok((name.clone(), stored(v, pack)?)))
        .collect::<Result<_, Reason>>()?;
    module.load_state_dict(&state).map_err(text)?;
    module.set_training(case.training);
    let (inputs, outputs) = forward(case, &subject, pack)?;
    let tolerance = Tolerance { rtol: case.rtol, atol: case.atol };
    check_outputs(&outputs, &case.out, tolerance, pack)?;
    check_part(&module.state_dict(), &case.state_after, tolerance, pack)
        .map_err(|e| format!("state after: {e}"))?;
    match &case.grad {
        Some(grad) => backward(grad, module, &inputs, &outputs, pack),
        None => Ok(()),
    }
}

/// Calls a lazy layer once, on inputs of its first dtype, so that it makes its parameters.
fn materialise(case: &Case, subject: &Subject, pack: &Pack) -> Result<(), Reason> {
    let mut inputs = Inputs::read(&case.forward.args, &case.forward.kwargs, pack)?;
    for (_, t) in inputs.tensors.iter_mut().filter(|(_, t)| t.is_floating_point()) {
        *t = t.to_dtype(DType::F32).map_err(text)?;
    }
    let _guard = no_grad();
    (subject.forward)(&inputs).map_err(text)?;
    match &case.repr_materialised {
        Some(want) if subject.module.repr() != *want => {
            Err(format!("repr {:?}, expected {want:?}", subject.module.repr()))
        }
        _ => Ok(()),
    }
}

fn stored(v: &V, pack: &Pack) -> Result<Tensor, Reason> {
    match v {
        V::Tensor(reference) => tensor(reference, pack),
        V::Ints(list) => Tensor::from_slice(list, [list.len() as i64]).map_err(text),
        other => Err(format!("expected a tensor, found {other:?}")),
    }
}

/// Tensors with the paths that cases name them by.
pub type Named = Vec<(String, Tensor)>;

/// Calls the module on inputs that require gradients where the case wants them.
fn forward(case: &Case, subject: &Subject, pack: &Pack) -> Result<(Named, Vec<Tensor>), Reason> {
    let mut inputs = Inputs::read(&case.forward.args, &case.forward.kwargs, pack)?;
    for (path, _) in case.grad.iter().flat_map(|g| &g.inputs) {
        let found = inputs.tensors.iter().find(|(p, _)| p == path);
        let (_, t) = found.ok_or_else(|| format!("no input {path}"))?;
        t.set_requires_grad(true).map_err(text)?;
    }
    if let Some(seed) = case.seed {
        manual_seed(seed);
    }
    // A module that overwrites its input is given one that may be overwritten.
    let given = inputs.tensors.clone();
    for (_, t) in inputs.tensors.iter_mut().filter(|(_, t)| subject.inplace && t.requires_grad()) {
        *t = t.clone_tensor().map_err(text)?;
    }
    let outputs = (subject.forward)(&inputs).map_err(text)?;
    Ok((given, outputs))
}

fn check_outputs(outputs: &[Tensor], want: &[V], tolerance: Tolerance, pack: &Pack) -> Result<(), Reason> {
    if outputs.len() != want.len() {
        return Err(format!("{} outputs, expected {}", outputs.len(), want.len()));
    }
    for (i, (got, want)) in outputs.iter().zip(want).enumerate() {
        let V::Tensor(reference) = want else { continue };
        compare(&Array::got(got)?, &Array::expected(pack, reference)?, Check::Close(tolerance))
            .map_err(|e| format!("out {i}: {e}"))?;
    }
    Ok(())
}

/// The whole state, with its order.
fn check_state(
    got: &StateDict,
    want: &[(String, V)],
    tolerance: Tolerance,
    pack: &Pack,
) -> Result<(), Reason> {
    let (have, names): (Vec<&str>, Vec<&str>) =
        (got.keys().collect(), want.iter().map(|(n, _)| n.as_str()).collect());
    if have != names {
        return Err(format!("keys {have:?}, expected {names:?}"));
    }
    check_part(got, want, tolerance, pack)
}

fn check_part(
    got: &StateDict,
    want: &[(String, V)],
    tolerance: Tolerance,
    pack: &Pack,
) -> Result<(), Reason> {
    for (name, v) in want {
        let V::Tensor(reference) = v else { continue };
        let got = got.get(name).ok_or_else(|| format!("no {name}"))?;
        compare(&Array::got(got)?, &Array::expected(pack, reference)?, Check::Close(tolerance))
            .map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(())
}

fn backward(
    grad: &Grad,
    module: &dyn Module,
    inputs: &[(String, Tensor)],
    outputs: &[Tensor],
    pack: &Pack,
) -> Result<(), Reason> {
    let mut roots = Vec::new();
    for (output, cotangent) in outputs.iter().zip(&grad.cotangents) {
        if let V::Tensor(reference) = cotangent {
            roots.push((output.clone(), Some(tensor(reference, pack)?)));
        }
    }
    let (roots, cotangents): (Vec<Tensor>, Vec<Option<Tensor>>) = roots.into_iter().unzip();
    autograd::backward(&roots, &cotangents, false, false).map_err(text)?;
    let tolerance = Tolerance { rtol: grad.rtol, atol: grad.atol };
    for (path, want) in &grad.inputs {
        let (_, t) = inputs.iter().find(|(p, _)| p == path).ok_or("no such input")?;
        check_grad(t.grad(), want, tolerance, pack).map_err(|e| format!("gradient of {path}: {e}"))?;
    }
    let parameters = module.named_parameters();
    for (name, want) in &grad.params {
        let (_, p) =
            parameters.iter().find(|(n, _)| n == name).ok_or_else(|| format!("no parameter {name}"))?;
        check_grad(p.grad(), want, tolerance, pack).map_err(|e| format!("gradient of {name}: {e}"))?;
    }
    Ok(())
}

fn check_grad(got: Option<Tensor>, want: &V, tolerance: Tolerance, pack: &Pack) -> Result<(), Reason> {
    // The kit has what a sparse gradient says of all elements.
    let got = got.map(|g| if g.is_sparse() { g.to_dense() } else { Ok(g) }).transpose().map_err(text)?;
    match (got, want) {
        (Some(got), V::Tensor(reference)) => {
            compare(&Array::got(&got)?, &Array::expected(pack, reference)?, Check::Close(tolerance))
        }
        (None, V::Tensor(reference)) if Array::expected(pack, reference)?.elements.is_zero() => Ok(()),
        (None, V::Tensor(_)) => Err("none, expected one".into()),
        // PyTorch returns none; zeros are as good.
        (Some(got), _) if !Array::got(&got)?.elements.is_zero() => {
            Err("one that is not zero, expected none".into())
        }
        _ => Ok(()),
    }
}
