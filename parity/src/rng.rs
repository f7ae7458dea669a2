//! Replays `rng.safetensors`: programs of random calls after one seed, and the generator's state after them.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::call::arguments;
use crate::kit::{Kit, Pack, Reason};
use crate::ops::{Case, check_call, with_seed};
use crate::report::{FileReport, Outcome, guarded};

#[derive(Debug, Deserialize)]
struct Program {
    id: u64,
    program: String,
    seed: u64,
    steps: Vec<Case>,
    state_after: State,
}

/// The generator's state, whole and in parts.
#[derive(Debug, Deserialize)]
struct State {
    sha256: String,
    seed: u64,
    left: i32,
    next: u64,
    words_sha256: String,
    cached_normal: Option<f64>,
}

/// Replays the file.
pub fn run(kit: &Kit, file: &str) -> FileReport {
    let read = kit.pack(&format!("{file}.safetensors")).and_then(|pack| Ok((pack.cases::<Program>()?, pack)));
    let (programs, pack) = match read {
        Ok(read) => read,
        Err(reason) => return FileReport::broken(reason),
    };
    let mut report = FileReport::default();
    for program in &programs {
        let declared = program.steps.iter().all(|step| step.find().is_some());
        let outcome = if declared { guarded(|| replay(program, &pack)) } else { Outcome::Skipped };
        report.add(program.program.clone(), "", format!("c{}", program.id), outcome);
    }
    report
}

fn replay(program: &Program, pack: &Pack) -> Result<(), Reason> {
    with_seed(Some(program.seed), || {
        for (i, step) in program.steps.iter().enumerate() {
            run_step(step, pack).map_err(|e| format!("step {i} {}: {e}", step.qualified()))?;
        }
        check_state(&cresset_core::random::get_rng_state(), &program.state_after)
    })
}

fn run_step(step: &Case, pack: &Pack) -> Result<(), Reason> {
    let op = step.find().ok_or("not declared")?;
    let args = arguments(&op, &step.args, pack)?;
    let outputs = op.call(&args).map_err(|e| format!("{e:?}"))?;
    check_call(step, args, outputs.into_iter().collect(), pack).map(|_| ())
}

/// Compares the whole, and names the first part that differs when the whole does.
fn check_state(bytes: &[u8], want: &State) -> Result<(), Reason> {
    if hex(bytes) == want.sha256 {
        return Ok(());
    }
    let part = |at: usize| bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).unwrap_or([0u8; 8]);
    let left = i32::from_le_bytes([part(8)[0], part(8)[1], part(8)[2], part(8)[3]]);
    let words: Vec<u8> =
        bytes.get(24..24 + 624 * 8).unwrap_or(&[]).chunks(8).flat_map(|w| w[..4].to_vec()).collect();
    let cached = (part(5040)[0] != 0).then(|| f64::from_le_bytes(part(5024)));
    let parts = [
        ("length", bytes.len().to_string(), "5056".to_string()),
        ("seed", u64::from_le_bytes(part(0)).to_string(), want.seed.to_string()),
        ("left", left.to_string(), want.left.to_string()),
        ("next", u64::from_le_bytes(part(16)).to_string(), want.next.to_string()),
        ("words", hex(&words), want.words_sha256.clone()),
        ("cached normal", format!("{cached:?}"), format!("{:?}", want.cached_normal)),
    ];
    let differs = parts.iter().find(|(_, got, want)| got != want);
    Err(differs.map_or_else(
        || "state after: the bytes differ in a constant part".into(),
        |(name, got, want)| format!("state after: {name} {got}, expected {want}"),
    ))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
