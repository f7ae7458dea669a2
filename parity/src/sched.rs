//! Replays `sched.json`: the rates of an optimizer's groups under a schedule, epoch by epoch.

use std::collections::BTreeMap;

use cresset_core::{DType, Device, Tensor};
use cresset_optim::lr_scheduler::{
    ChainedScheduler, ConstantLR, CosineAnnealingLR, CosineAnnealingWarmRestarts,
    CosineAnnealingWarmRestartsOptions, CyclicLR, ExponentialLR, LambdaLR, LinearLR, MultiStepLR,
    MultiplicativeLR, OneCycleLR, PerGroup, PolynomialLR, ReduceLROnPlateau, SWALR, SequentialLR, Step,
    StepLR,
};
use cresset_optim::{AdamUpdate, AdamWUpdate, Hyper, Optimizer, ParamGroups, SGDUpdate, Update};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::compare::{Tolerance, close};
use crate::kit::{Kit, Reason};
use crate::report::{FileReport, Outcome, guarded};

#[derive(Debug, Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    id: u64,
    scheduler: String,
    kwargs: BTreeMap<String, Json>,
    groups: Vec<BTreeMap<String, f64>>,
    optimizer: String,
    optimizer_kwargs: BTreeMap<String, Json>,
    steps: usize,
    #[serde(default)]
    metrics: Vec<f64>,
    #[serde(default)]
    epochs: Vec<f64>,
    values: BTreeMap<String, Vec<Vec<f64>>>,
    rtol: f64,
    atol: f64,
}

/// Replays the file.
pub fn run(kit: &Kit, file: &str) -> FileReport {
    let cases = match kit.json::<Cases>(&format!("{file}.json")) {
        Ok(cases) => cases.cases,
        Err(reason) => return FileReport::broken(reason),
    };
    let mut report = FileReport::default();
    for case in &cases {
        let outcome = if KNOWN.contains(&case.scheduler.as_str()) {
            guarded(|| replay(case))
        } else {
            Outcome::Skipped
        };
        report.add(case.scheduler.clone(), "", format!("c{}", case.id), outcome);
    }
    report
}

const KNOWN: [&str; 16] = [
    "StepLR",
    "MultiStepLR",
    "ConstantLR",
    "LinearLR",
    "ExponentialLR",
    "PolynomialLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "LambdaLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "CyclicLR",
    "SWALR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "ChainedScheduler",
];

fn text(e: cresset_core::Error) -> Reason {
    format!("{e:?}")
}

/// The arguments of a scheduler, by name.
struct Kwargs<'a>(&'a BTreeMap<String, Json>);

impl Kwargs<'_> {
    fn number(&self, key: &str) -> Option<f64> {
        self.0.get(key).and_then(Json::as_f64)
    }

    fn int(&self, key: &str) -> Option<i64> {
        self.0.get(key).and_then(Json::as_i64)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.0.get(key).and_then(Json::as_bool)
    }

    fn word(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Json::as_str)
    }

    /// A number for all groups, or a list.
    fn rates(&self, key: &str) -> Option<PerGroup> {
        match self.0.get(key)? {
            Json::Array(_) => Some(self.numbers(key).into()),
            one => one.as_f64().map(PerGroup::All),
        }
    }

    fn numbers(&self, key: &str) -> Vec<f64> {
        match self.0.get(key) {
            Some(Json::Array(list)) => list.iter().filter_map(Json::as_f64).collect(),
            Some(one) => one.as_f64().into_iter().collect(),
            None => Vec::new(),
        }
    }

    fn functions(&self, key: &str, groups: usize) -> Result<Vec<Factor>, Reason> {
        match self.0.get(key) {
            Some(Json::Array(list)) => {
                list.iter().map(|name| function(name.as_str().unwrap_or_default())).collect()
            }
            Some(name) => Ok(vec![function(name.as_str().unwrap_or_default())?; groups]),
            None => Err(format!("no {key}")),
        }
    }
}

type Factor = std::sync::Arc<dyn Fn(i64) -> f64 + Send + Sync>;

/// The functions that the format names.
fn function(name: &str) -> Result<Factor, Reason> {
    let f: fn(i64) -> f64 = match name {
        "pow095" => |e| 0.95_f64.powf(e as f64),
        "inverse" => |e| 1.0 / (1.0 + e as f64),
        "warmup5" => |e| ((e + 1) as f64 / 5.0).min(1.0),
        "drop10" => |e| if e < 10 { 1.0 } else { 0.1 },
        "wave" => |e| 0.9 + 0.05 * (e % 3) as f64,
        "const97" => |_| 0.97,
        other => return Err(format!("the format has no function {other}")),
    };
    Ok(std::sync::Arc::new(f))
}

fn optimizer<U: Update>(case: &Case) -> Result<Optimizer<U>, Reason> {
    let set = |options: &mut U::Options, key: &str, value: &Json| {
        let number = value.as_f64().map(cresset_core::value::Value::Float);
        let pair = value
            .as_array()
            .map(|l| cresset_core::value::Value::Floats(l.iter().filter_map(Json::as_f64).collect()));
        let value = number.or(pair).ok_or_else(|| format!("{key}: {value}"))?;
        options.set(key, &value).map_err(text).map(|_| ())
    };
    let mut defaults = U::Options::default();
    case.optimizer_kwargs.iter().try_for_each(|(k, v)| set(&mut defaults, k, v))?;
    let mut optimizer = Optimizer::<U>::without_params(defaults.lr(), |_| defaults.clone()).map_err(text)?;
    for group in &case.groups {
        let mut options = defaults.clone();
        group.iter().try_for_each(|(k, v)| set(&mut options, k, &Json::from(*v)))?;
        let p = Tensor::empty_of(&[1], DType::F32, Device::Cpu).map_err(text)?;
        optimizer.add_param_group([p], |_| options).map_err(text)?;
    }
    Ok(optimizer)
}

/// A scheduler with what its step takes.
enum Any {
    Plain(Box<dyn Step>),
    Restarts(CosineAnnealingWarmRestarts),
    Plateau(ReduceLROnPlateau),
}

fn replay(case: &Case) -> Result<(), Reason> {
    match case.optimizer.as_str() {
        "SGD" => replay_with::<SGDUpdate>(case),
        "Adam" => replay_with::<AdamUpdate>(case),
        "AdamW" => replay_with::<AdamWUpdate>(case),
        other => Err(format!("no optimizer {other} here")),
    }
}

/// Replays a case; half way the scheduler is replaced by another that gets its state.
fn replay_with<U: Update>(case: &Case) -> Result<(), Reason> {
    let mut optimizer = optimizer::<U>(case)?;
    let mut scheduler = build(&case.scheduler, &Kwargs(&case.kwargs), &mut optimizer)?;
    for step in 0..=case.steps {
        check(case, step, &optimizer).map_err(|e| format!("step {step}: {e}"))?;
        if step == case.steps / 2 {
            scheduler = reloaded::<U>(&scheduler, case)?;
        }
        if step < case.steps {
            optimizer.step().map_err(text)?;
            advance(&mut scheduler, case, step, &mut optimizer).map_err(text)?;
        }
    }
    Ok(())
}

/// A scheduler of the same settings, made for an optimizer at its start, with the state of `scheduler`.
fn reloaded<U: Update>(scheduler: &Any, case: &Case) -> Result<Any, Reason> {
    let mut other = build(&case.scheduler, &Kwargs(&case.kwargs), &mut optimizer::<U>(case)?)?;
    match (scheduler, &mut other) {
        (Any::Plain(from), Any::Plain(to)) => to.load_state_dict(&from.state_dict()),
        (Any::Restarts(from), Any::Restarts(to)) => to.load_state_dict(&from.state_dict()),
        (Any::Plateau(from), Any::Plateau(to)) => to.load_state_dict(&from.state_dict()),
        _ => return Err("another kind of scheduler".into()),
    }
    .map_err(text)?;
    Ok(other)
}

fn check(case: &Case, step: usize, optimizer: &dyn ParamGroups) -> Result<(), Reason> {
    let tolerance = Tolerance { rtol: case.rtol, atol: case.atol };
    for (key, rows) in &case.values {
        for (group, want) in rows[step].iter().enumerate() {
            let got =
                if key == "beta1" { optimizer.betas(group).map(|b| b.0) } else { optimizer.get(group, key) };
            match got {
                Some(got) if close(got, *want, tolerance) => {}
                got => return Err(format!("{key} of group {group}: {got:?}, expected {want}")),
            }
        }
    }
    Ok(())
}

fn advance(
    scheduler: &mut Any,
    case: &Case,
    step: usize,
    optimizer: &mut dyn ParamGroups,
) -> cresset_core::Result<()> {
    match scheduler {
        Any::Plain(s) => s.step(optimizer),
        Any::Restarts(s) => match case.epochs.get(step) {
            Some(epoch) => s.step_to(optimizer, *epoch),
            None => s.step(optimizer),
        },
        Any::Plateau(s) => s.step(optimizer, case.metrics.get(step).copied().unwrap_or(f64::NAN)),
    }
}

fn parts(kwargs: &Kwargs<'_>, optimizer: &mut dyn ParamGroups) -> Result<Vec<Box<dyn Step>>, Reason> {
    let list = kwargs.0.get("schedulers").and_then(Json::as_array).ok_or("no schedulers")?;
    let part = |entry: &Json| {
        let name = entry.get(0).and_then(Json::as_str).ok_or("a scheduler without a name")?;
        let kwargs: BTreeMap<String, Json> = entry
            .get(1)
            .and_then(Json::as_object)
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        match build(name, &Kwargs(&kwargs), optimizer)? {
            Any::Plain(s) => Ok(s),
            Any::Restarts(s) => Ok(Box::new(s) as Box<dyn Step>),
            Any::Plateau(_) => Err(format!("{name} cannot be a part here")),
        }
    };
    list.iter().map(part).collect()
}

/// Sets the options that the case names, each by what it is and its name.
macro_rules! set {
    ($options:expr, $k:expr, $($kind:ident $name:ident),*) => {{
        let options = $options;
        $(let options = match $k.$kind(stringify!($name)) {
            Some(value) => options.$name(value),
            None => options,
        };)*
        options
    }};
}

fn build(name: &str, k: &Kwargs<'_>, o: &mut dyn ParamGroups) -> Result<Any, Reason> {
    macro_rules! plain {
        ($e:expr) => {
            Any::Plain(Box::new($e.map_err(text)?))
        };
    }
    let groups = o.group_count();
    let milestones = || k.numbers("milestones").into_iter().map(|m| m as i64).collect::<Vec<_>>();
    let int = |key: &str| k.int(key).unwrap_or(1);
    Ok(match name {
        "StepLR" => plain!(StepLR::with(o, int("step_size"), |c| set!(c, k, number gamma))),
        "MultiStepLR" => plain!(MultiStepLR::with(o, milestones(), |c| set!(c, k, number gamma))),
        "ConstantLR" => plain!(ConstantLR::with(o, |c| set!(c, k, number factor, int total_iters))),
        "LinearLR" => {
            plain!(LinearLR::with(o, |c| set!(c, k, number start_factor, number end_factor, int total_iters)))
        }
        "ExponentialLR" => plain!(ExponentialLR::new(o, k.number("gamma").unwrap_or(0.1))),
        "PolynomialLR" => plain!(PolynomialLR::with(o, |c| set!(c, k, int total_iters, number power))),
        "CosineAnnealingLR" => {
            plain!(CosineAnnealingLR::with(o, int("T_max"), |c| set!(c, k, number eta_min)))
        }
        "LambdaLR" => plain!(LambdaLR::per_group(o, k.functions("lr_lambda", groups)?)),
        "MultiplicativeLR" => plain!(MultiplicativeLR::per_group(o, k.functions("lr_lambda", groups)?)),
        "CosineAnnealingWarmRestarts" => {
            let options =
                |c: CosineAnnealingWarmRestartsOptions| set!(c.t_mult(int("T_mult")), k, number eta_min);
            Any::Restarts(CosineAnnealingWarmRestarts::with(o, int("T_0"), options).map_err(text)?)
        }
        "OneCycleLR" => plain!(one_cycle(k, o)),
        "CyclicLR" => Any::Plain(Box::new(cyclic(k, o)?)),
        "SWALR" => {
            let rates = k.rates("swa_lr").unwrap_or(PerGroup::All(0.0));
            plain!(SWALR::with(o, rates, |c| set!(c, k, int anneal_epochs, word anneal_strategy)))
        }
        "ReduceLROnPlateau" => Any::Plateau(plateau(k, o).map_err(text)?),
        "SequentialLR" => {
            let parts = parts(k, o)?;
            plain!(SequentialLR::new(o, parts, milestones()))
        }
        "ChainedScheduler" => {
            let parts = parts(k, o)?;
            plain!(ChainedScheduler::new(o, parts))
        }
        other => return Err(format!("no scheduler {other} here")),
    })
}

fn one_cycle(k: &Kwargs<'_>, o: &mut dyn ParamGroups) -> cresset_core::Result<OneCycleLR> {
    let batches = k.int("epochs").unwrap_or(0) * k.int("steps_per_epoch").unwrap_or(0);
    let max_lr = k.rates("max_lr").unwrap_or(PerGroup::All(0.0));
    OneCycleLR::with(o, max_lr, k.int("total_steps").unwrap_or(batches), |c| {
        let c = set!(c, k, number pct_start, word anneal_strategy, flag cycle_momentum, rates base_momentum);
        set!(c, k, rates max_momentum, number div_factor, number final_div_factor, flag three_phase)
    })
}

fn cyclic(k: &Kwargs<'_>, o: &mut dyn ParamGroups) -> Result<CyclicLR, Reason> {
    let scale_fn: Option<fn(f64) -> f64> = match k.word("scale_fn") {
        None => None,
        Some("halving") => Some(|x| 0.5_f64.powf(x - 1.0)),
        Some("decay99") => Some(|x| 0.99_f64.powf(x)),
        Some(other) => return Err(format!("the format has no function {other}")),
    };
    let rates = |key: &str| k.rates(key).unwrap_or(PerGroup::All(0.0));
    CyclicLR::with(o, rates("base_lr"), rates("max_lr"), |c| {
        let c = set!(c, k, int step_size_up, int step_size_down, word mode, number gamma, word scale_mode);
        let c = set!(c, k, flag cycle_momentum, rates base_momentum, rates max_momentum);
        match scale_fn {
            Some(f) => c.scale_fn(f),
            None => c,
        }
    })
    .map_err(text)
}

fn plateau(k: &Kwargs<'_>, o: &dyn ParamGroups) -> cresset_core::Result<ReduceLROnPlateau> {
    ReduceLROnPlateau::with(o, |c| {
        let c = set!(c, k, word mode, number factor, int patience, number threshold, word threshold_mode);
        set!(c, k, int cooldown, rates min_lr, number eps)
    })
}
