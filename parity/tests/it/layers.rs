//! No layer panics, hangs or allocates absurdly, whatever it is made with and called on.
//!
//! The layers are those of the shipped kit, built by the constructors that users call: with their own settings, some of which
//! are replaced, and on their own inputs, some of which are replaced by others of another shape, dtype or layout. Results are
//! not looked at, but for those of empty batches. The variables of the test of operators hold here, too.

use std::collections::BTreeMap;
use std::sync::Arc;

use cresset_core::{Result, Tensor, autograd};
use cresset_parity::array::named;
use cresset_parity::kit::Pack;
use cresset_parity::modules::{Description, Inputs, Subject, build, is_known};
use cresset_parity::report::guarded;
use cresset_parity::value::V;
use cresset_parity::{Kit, Outcome};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::fuzz::sweep;
use crate::random::{DTYPES, Random, tell_tensor};
use crate::sample::assert_none;

/// Layers that are made and called.
const CALLS: u64 = 6_000;

/// A recorded layer and its call.
#[derive(Clone, Deserialize)]
struct Case {
    id: u64,
    init: Json,
    dtype: String,
    training: bool,
    forward: Forward,
    #[serde(skip)]
    file: String,
    #[serde(skip)]
    pack: Option<Arc<Pack>>,
}

#[derive(Clone, Deserialize)]
struct Forward {
    args: Vec<V>,
    kwargs: BTreeMap<String, V>,
}

fn cases() -> Vec<Case> {
    let kit = Kit::shipped().unwrap();
    let mut all = Vec::new();
    for file in kit.names("modules") {
        let pack = Arc::new(kit.pack(&format!("modules/{file}.safetensors")).unwrap());
        let cases = pack.cases::<Case>().unwrap();
        all.extend(cases.into_iter().map(|c| Case { file: file.clone(), pack: Some(pack.clone()), ..c }));
    }
    all
}

impl Case {
    fn pack(&self) -> &Pack {
        self.pack.as_ref().unwrap()
    }

    fn build(&self, init: &Json) -> Option<Subject> {
        let description: Description = serde_json::from_value(init.clone()).ok()?;
        if is_known(&description) { build(&description, self.pack()).ok() } else { None }
    }

    fn inputs(&self) -> Inputs {
        Inputs::read(&self.forward.args, &self.forward.kwargs, self.pack()).unwrap()
    }
}

/// A setting of any kind.
fn setting(random: &mut Random) -> Json {
    match random.below(8) {
        0..=3 => json!({"i": random.integer()}),
        4 => json!({"f": random.below(9) as f64 / 2.0 - 2.0}),
        5 => json!({"b": random.chance(50)}),
        6 => json!({"s": random.pick(&["same", "valid", "none", "sum", "tanh", "circular", ""])}),
        _ => json!({"il": (0..random.below(5)).map(|_| random.integer()).collect::<Vec<_>>()}),
    }
}

/// Replaces some of the settings: mostly by others of their kind.
fn spoil(init: &mut Json, random: &mut Random) {
    match init {
        Json::Array(list) => list.iter_mut().for_each(|item| spoil(item, random)),
        Json::Object(map) if map.contains_key("module") => {
            for part in ["args", "kwargs"] {
                map.get_mut(part).into_iter().for_each(|part| spoil(part, random));
            }
        }
        Json::Object(map) if map.len() == 1 && map.keys().all(|k| k.len() <= 2) => {
            if !random.chance(30) {
                return;
            }
            let integer = random.integer();
            *init = match map.keys().next().map(String::as_str) {
                Some("i") if random.chance(80) => json!({"i": integer}),
                Some("f") if random.chance(80) => json!({"f": random.below(9) as f64 / 2.0 - 2.0}),
                Some("il") if random.chance(80) => json!({"il": [integer, random.integer()]}),
                _ => setting(random),
            };
        }
        Json::Object(map) => map.values_mut().for_each(|value| spoil(value, random)),
        _ => {}
    }
}

/// Another tensor: a made-up one, or this one with another dtype, shape or no elements.
fn other(t: &Tensor, random: &mut Random) -> Result<Tensor> {
    random.remember(t);
    let dim = random.below(t.dim().max(1)) as i64;
    match random.below(7) {
        0 => t.to_dtype(random.pick(&DTYPES)),
        1 => t.unsqueeze(0),
        2 => t.narrow(dim, 0, 0),
        3 => t.transpose(0, -1),
        4 => t.select(dim, 0),
        _ => Ok(random.tensor()),
    }
}

/// Calls the layer and differentiates what can be differentiated; errors are fine.
fn call(subject: &Subject, inputs: &Inputs) {
    let Ok(outputs) = (subject.forward)(inputs) else { return };
    let roots: Vec<Tensor> = outputs.into_iter().filter(Tensor::requires_grad).collect();
    let mut leaves: Vec<Tensor> = subject.module.parameters().iter().map(|p| Tensor::clone(p)).collect();
    leaves.extend(inputs.all().into_iter().filter(Tensor::requires_grad));
    let seeds = roots.iter().map(|t| t.detach().ones_like().ok().map(Some)).collect::<Option<Vec<_>>>();
    if let (false, false, Some(seeds)) = (roots.is_empty(), leaves.is_empty(), seeds) {
        let options = autograd::GradOptions { allow_unused: true, ..Default::default() };
        let _ = autograd::grad(&roots, &leaves, &seeds, options);
    }
}

#[test]
fn no_layer_panics_hangs_or_allocates_absurdly() {
    let cases = cases();
    sweep(CALLS, |random| {
        let case = &cases[random.below(cases.len())];
        let mut init = case.init.clone();
        if random.chance(60) {
            spoil(&mut init, random);
        }
        let mut inputs = case.inputs();
        for (_, t) in &mut inputs.tensors {
            if random.chance(50) {
                *t = other(t, random).unwrap_or_else(|_| random.tensor());
            }
        }
        let tensors: Vec<String> =
            inputs.tensors.iter().map(|(path, t)| format!("{path} {}", tell_tensor(t))).collect();
        let told = format!("{init} on {}", tensors.join(", "));
        let training = random.chance(50);
        let run = move || {
            let Some(subject) = case.build(&init) else { return };
            subject.module.set_training(training);
            call(&subject, &inputs);
        };
        (case.init["module"].to_string(), told, Box::new(run))
    });
}

/// What the layer gives for inputs without rows: the sizes of the outputs.
fn without_rows(case: &Case) -> Result<Vec<Vec<i64>>> {
    let subject = case.build(&case.init).expect("a layer of the kit");
    subject.module.to_dtype(named(&case.dtype).unwrap())?;
    subject.module.set_training(case.training);
    let mut inputs = case.inputs();
    for (_, t) in inputs.tensors.iter_mut().filter(|(_, t)| t.dim() > 0) {
        *t = t.narrow(0, 0, 0)?;
    }
    Ok((subject.forward)(&inputs)?.iter().map(|t| t.sizes().to_vec()).collect())
}

#[test]
fn empty_batches_give_what_pytorch_gives() {
    let expected: BTreeMap<String, BTreeMap<String, Json>> =
        serde_json::from_str(include_str!("../data/empty_batches.json")).unwrap();
    let mut complaints = Vec::new();
    for case in cases() {
        let Some(want) = expected.get(&case.file).and_then(|file| file.get(&case.id.to_string())) else {
            continue;
        };
        let mut complain =
            |got: String| complaints.push(format!("{} {}: {got}, expected {want}", case.file, case.init));
        let outcome = guarded(|| {
            match (without_rows(&case), want.as_str()) {
                (Ok(sizes), None) if json!(sizes) == *want => {}
                (Err(_), Some(_)) => {}
                (Ok(sizes), _) => complain(format!("{sizes:?}")),
                (Err(e), _) => complain(format!("{e:?}")),
            }
            Ok(())
        });
        if let Outcome::Failed(panic) = outcome {
            complaints.push(format!("{} {}: {panic}", case.file, case.init));
        }
    }
    assert_none(complaints);
}
