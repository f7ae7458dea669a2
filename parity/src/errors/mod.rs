//! Replays `errors.json`: calls that must fail, with PyTorch's kind of exception and message.

use std::collections::BTreeMap;

use cresset_core::ErrorKind;
use regex_lite::Regex;
use serde::Deserialize;

use crate::call::{Argument, arguments, untyped};
use crate::kit::{Kit, Pack, Reason};
use crate::ops::with_seed;
use crate::report::{FileReport, Outcome, guarded};
use crate::value::V;

#[derive(Debug, Deserialize)]
struct Errors {
    ops: Vec<Call>,
}

/// A call that fails: of an overload, or of a Python function with arguments that no overload may suit.
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
    #[serde(default)]
    function: String,
    #[serde(default)]
    positional: Vec<V>,
    #[serde(default)]
    keyword: BTreeMap<String, V>,
    error_type: String,
    message: String,
    message_regex: String,
}

/// Replays the calls of the file that operators are declared for.
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
    for call in errors.ops.iter().filter(|c| !c.resolved) {
        if let Some(name) = operator_of(&call.function) {
            report.add(
                call.function.clone(),
                &call.source,
                format!("e{}", call.id),
                replay_function(&name, call, &pack),
            );
        }
    }
    report
}

/// The operator that a Python function is a name for, by rule: `torch.add`, `torch.special.zeta`. Functions of
/// `torch.nn.functional` and others that are written in Python have none.
fn operator_of(function: &str) -> Option<String> {
    let name = function.strip_prefix("torch.")?;
    let name = match name.split_once('.') {
        None => name.to_string(),
        Some((module @ ("special" | "fft" | "linalg"), name)) => format!("{module}_{name}"),
        Some(_) => return None,
    };
    cresset_core::library::all().any(|op| op.name() == name).then_some(name)
}

fn replay_function(name: &str, call: &Call, pack: &Pack) -> Outcome {
    guarded(|| {
        let positional = call.positional.iter().map(|v| untyped(v, pack)).collect::<Result<Vec<_>, _>>()?;
        let named = call.keyword.iter().map(|(n, v)| Ok((n.clone(), untyped(v, pack)?)));
        let named = named.collect::<Result<Vec<_>, Reason>>()?;
        match with_seed(None, || cresset_core::overloads::call(name, &positional, &named)) {
            Ok(_) => Err(format!("succeeded, expected {}: {}", call.error_type, call.message)),
            Err(e) => check_error(&e, call),
        }
    })
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
