//! Replays `errors.json`: calls that must fail, with PyTorch's kind of exception and message.

use cresset_core::ErrorKind;
use regex_lite::Regex;
use serde::Deserialize;

use crate::call::{Argument, arguments};
use crate::kit::{Kit, Pack, Reason};
use crate::ops::with_seed;
use crate::report::{FileReport, Outcome, guarded};

#[derive(Debug, Deserialize)]
struct Errors {
    ops: Vec<Call>,
}

/// A call that fails. Cases that name a Python function instead of an overload are about Python's argument parser.
#[derive(Debug, Deserialize)]
struct Call {
    id: u64,
    #[serde(default)]
    source: String,
    resolved: bool,
    #[serde(default)]
    op: String,
    #[serde(default)]
    overload: String,
    #[serde(default)]
    args: Vec<Argument>,
    error_type: String,
    message: String,
    message_regex: String,
}

/// Replays the resolved calls of the file.
pub fn run(kit: &Kit, file: &str) -> FileReport {
    let read = kit
        .json::<Errors>(&format!("{file}.json"))
        .and_then(|errors| Ok((errors, kit.pack(&format!("{file}.safetensors"))?)));
    let (errors, pack) = match read {
        Ok(read) => read,
        Err(reason) => return FileReport::broken(reason),
    };
    let mut report = FileReport::default();
    for call in errors.ops.iter().filter(|c| c.resolved) {
        let dot = if call.overload.is_empty() { "" } else { "." };
        let subject = format!("{}{dot}{}", call.op, call.overload);
        report.add(subject, &call.source, format!("e{}", call.id), replay(call, &pack));
    }
    report
}

fn replay(call: &Call, pack: &Pack) -> Outcome {
    let name = call.op.strip_prefix("aten::").unwrap_or(&call.op);
    let Some(op) = cresset_core::library::find(name, &call.overload) else { return Outcome::Skipped };
    guarded(|| {
        let args = arguments(&op, &call.args, pack)?;
        match with_seed(None, || op.call(&args)) {
            Ok(_) => Err(format!("succeeded, expected {}: {}", call.error_type, call.message)),
            Err(e) => check_error(&e, call),
        }
    })
}

fn check_error(e: &cresset_core::Error, call: &Call) -> Result<(), Reason> {
    let class = class_of(e.kind());
    if class != call.error_type {
        return Err(format!("{class} ({}), expected {}: {}", e.message(), call.error_type, call.message));
    }
    let regex =
        Regex::new(&call.message_regex).map_err(|x| format!("pattern {:?}: {x}", call.message_regex))?;
    if regex.is_match(e.message()) {
        return Ok(());
    }
    Err(format!("message {:?}, expected to match {:?}", e.message(), call.message_regex))
}

/// The name of the Python class of an error.
fn class_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Index => "IndexError",
        ErrorKind::Type => "TypeError",
        ErrorKind::Value => "ValueError",
        ErrorKind::NotImplemented => "NotImplementedError",
        ErrorKind::ZeroDivision => "ZeroDivisionError",
        ErrorKind::OutOfMemory => "OutOfMemoryError",
        ErrorKind::Io => "OSError",
        ErrorKind::Key => "KeyError",
        ErrorKind::LinAlg => "_LinAlgError",
        _ => "RuntimeError",
    }
}
