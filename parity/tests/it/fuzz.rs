//! Nothing panics, hangs or allocates absurdly, whatever the arguments.
//!
//! Every operator of the table is called by name with arguments that are right, nearly right and plainly wrong. Results are
//! not looked at. `CRESSET_FUZZ_CALLS` sets the number of calls (the long form is a million), `CRESSET_FUZZ_SEED` the first
//! seed, `CRESSET_FUZZ_ONLY` names the operators whose name contains a text, and `CRESSET_FUZZ_TRACE` prints each call before it is made.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cresset_core::library::{self, OpRef};
use cresset_core::schema::Ty;
use cresset_core::storage::{max_memory_allocated, memory_allocated, reset_peak_memory_stats};
use cresset_core::{Tensor, Value, autograd};
use cresset_parity::call::{Arguments, arguments, flat};
use cresset_parity::kit::Pack;
use cresset_parity::ops::Case;
use cresset_parity::report::guarded;
use cresset_parity::{Kit, Outcome};

use crate::random::{Random, describe};
use crate::sample::assert_none;

/// Calls of the short form.
const CALLS: u64 = 20_000;
/// No call on such small tensors takes that long, even unoptimised on a busy machine.
const LONGEST: Duration = Duration::from_secs(20);
/// The most memory that a call may hold beyond what was held before it.
const MOST_MEMORY: usize = 1 << 30;

/// Recorded calls and the files that they are in.
type Recorded = Vec<(Case, Arc<Pack>)>;

/// An operator and its recorded calls, whose arguments random ones are taken from as well.
struct Target {
    op: OpRef,
    cases: Recorded,
}

fn targets() -> Vec<Target> {
    let only = std::env::var("CRESSET_FUZZ_ONLY").unwrap_or_default();
    let mut cases: BTreeMap<(String, String), Recorded> = BTreeMap::new();
    let kit = Kit::shipped().unwrap();
    for file in kit.names("ops") {
        let pack = Arc::new(kit.pack(&format!("ops/{file}.safetensors")).unwrap());
        for case in pack.cases::<Case>().unwrap() {
            let Some(op) = case.find() else { continue };
            let key = (op.name().to_string(), op.overload().to_string());
            cases.entry(key).or_default().push((case, pack.clone()));
        }
    }
    let target = |op: OpRef| Target {
        op,
        cases: cases.remove(&(op.name().to_string(), op.overload().to_string())).unwrap_or_default(),
    };
    library::all().filter(|op| op.name().contains(&only)).map(target).collect()
}

/// Arguments for one call: made up from the schema, or recorded ones some of which are replaced.
fn made_up(target: &Target, random: &mut Random) -> Arguments {
    let schema = target.op.schema();
    let mut args = Arguments::new();
    if !target.cases.is_empty() && random.chance(60) {
        let (case, pack) = &target.cases[random.below(target.cases.len())];
        args = arguments(&target.op, &case.args, pack).unwrap_or_default();
        for (_, value) in &args {
            if let Value::Tensor(t) = value {
                random.remember(t);
            }
        }
    }
    let recorded = !args.is_empty();
    for argument in &schema.arguments {
        let present = args.iter().any(|(name, _)| *name == argument.name);
        let wanted = match (recorded, &argument.default) {
            (true, _) => random.chance(20),
            (false, None) => random.chance(97),
            (false, Some(_)) => random.chance(40),
        };
        if !wanted || (recorded && !present && argument.default.is_none()) {
            continue;
        }
        args.retain(|(name, _)| *name != argument.name);
        let ty = if random.chance(3) { &Ty::Scalar } else { &argument.ty };
        args.push((argument.name.clone(), random.value(ty)));
    }
    args
}

/// What is under way, for the watchman.
type Current = Arc<Mutex<Option<(Instant, String)>>>;

/// Ends the process when a call hangs: a thread cannot be stopped, and a test that never ends tells nothing.
fn watch(current: &Current) {
    let current = Arc::downgrade(current);
    std::thread::spawn(move || {
        while let Some(current) = current.upgrade() {
            let call = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some((start, call)) = call
                && start.elapsed() > LONGEST
            {
                // Not `eprintln`, which the test harness would keep for itself.
                let _ = writeln!(std::io::stderr(), "hangs: {call}");
                std::process::exit(101);
            }
            drop(current);
            std::thread::sleep(Duration::from_millis(200));
        }
    });
}

/// Calls the operator and differentiates what can be differentiated; errors are fine.
fn call(op: &OpRef, args: &Arguments) {
    let Ok(outputs) = op.call(args) else { return };
    let roots: Vec<Tensor> =
        flat(outputs).into_iter().flat_map(Value::into_tensors).filter(Tensor::requires_grad).collect();
    let leaves: Vec<Tensor> =
        args.iter().flat_map(|(_, v)| v.clone().into_tensors()).filter(|t| t.requires_grad()).collect();
    if roots.is_empty() || leaves.is_empty() {
        return;
    }
    let seeds: Option<Vec<Option<Tensor>>> =
        roots.iter().map(|t| t.detach().ones_like().ok().map(Some)).collect();
    let Some(seeds) = seeds else { return };
    let options = autograd::GradOptions { create_graph: true, allow_unused: true, ..Default::default() };
    let _ = autograd::grad(&roots, &leaves, &seeds, options);
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.replace('_', "").parse().ok()
}

/// One call: of what, its arguments in words, and how it is made.
pub type Planned<'a> = (String, String, Box<dyn FnOnce() + 'a>);

/// Makes that many calls, each planned from a seed of its own. Nothing may panic, hang or allocate absurdly.
pub fn sweep<'a>(calls: u64, mut plan: impl FnMut(&mut Random) -> Planned<'a>) {
    let trace = std::env::var("CRESSET_FUZZ_TRACE").is_ok();
    let first = number("CRESSET_FUZZ_SEED").unwrap_or(0);
    let current: Current = Arc::default();
    watch(&current);
    let mut complaints: BTreeMap<String, String> = BTreeMap::new();
    for seed in first..first + number("CRESSET_FUZZ_CALLS").unwrap_or(calls) {
        let (what, told, call) = plan(&mut Random::new(seed));
        let told = format!("seed {seed}: {told}");
        if trace {
            eprintln!("{told}");
        }
        *current.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), told.clone()));
        let before = memory_allocated();
        reset_peak_memory_stats();
        let outcome = guarded(|| {
            call();
            Ok(())
        });
        *current.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Outcome::Failed(panic) = outcome {
            if trace {
                eprintln!("{panic}");
            }
            complaints.entry(panic).or_insert(told);
        } else if max_memory_allocated().saturating_sub(before) > MOST_MEMORY {
            complaints.entry(format!("memory in {what}")).or_insert(told);
        }
    }
    assert_none(complaints.into_iter().map(|(what, call)| format!("{what}\n    {call}")).collect());
}

#[test]
fn nothing_panics_hangs_or_allocates_absurdly() {
    let targets = targets();
    sweep(CALLS, |random| {
        let target = &targets[random.below(targets.len())];
        let args = made_up(target, random);
        let told = describe(&target.op, &args);
        (target.op.name().to_string(), told, Box::new(move || call(&target.op, &args)))
    });
}
