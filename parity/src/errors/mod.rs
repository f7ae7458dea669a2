//! Replays `errors.json`: calls that must fail, with PyTorch's kind of exception and message.

mod functions;
mod modules;

use std::collections::BTreeMap;

use cresset_core::{Error, ErrorKind, Tensor, ops};
use regex_lite::Regex;
use serde::Deserialize;

use crate::call::{Argument, arguments, untyped};
use crate::failure::Failure;
use crate::kit::{Kit, Pack, Reason};
use crate::ops::with_seed;
use crate::optim;
use crate::report::{FileReport, Outcome, guarded};
use crate::value::V;
use functions::Passed;

#[derive(Debug, Deserialize)]
struct Errors {
    ops: Vec<Call>,
    modules: Vec<modules::Case>,
    optim: Vec<Optimizer>,
}

/// The exception that PyTorch raises.
#[derive(Debug, Deserialize)]
struct Expected {
    error_type: String,
    message: String,
    message_regex: String,
}

impl Expected {
    /// Why a call that succeeded did not do as it should.
    fn unmet(&self) -> Reason {
        format!("succeeded, expected {}: {}", self.error_type, self.message)
    }

    /// Whether the error is of that class and its message matches.
    fn check(&self, e: &cresset_core::Error) -> Result<(), Reason> {
        let class = class_of(e.kind());
        if class != self.error_type {
            return Err(format!("{class} ({}), expected {}: {}", e.message(), self.error_type, self.message));
        }
        let regex = Regex::new(&escaped_classes(&self.message_regex))
            .map_err(|x| format!("pattern {:?}: {x}", self.message_regex))?;
        if regex.is_match(e.message()) {
            return Ok(());
        }
        Err(format!("message {:?}, expected to match {:?}", e.message(), self.message_regex))
    }
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
    #[serde(flatten)]
    expected: Expected,
}

/// The construction of an optimizer for parameters of these sizes.
#[derive(Debug, Deserialize)]
struct Optimizer {
    id: u64,
    optimizer: String,
    shapes: Vec<Vec<i64>>,
    kwargs: BTreeMap<String, V>,
    #[serde(flatten)]
    expected: Expected,
}

impl Optimizer {
    fn name(&self) -> &str {
        self.optimizer.trim_start_matches("torch.optim.")
    }

    fn replay(&self, pack: &Pack) -> Outcome {
        let mut known = true;
        let outcome = guarded(|| {
            let zeros = |sizes: &Vec<i64>| ops::zeros(&sizes[..])?.requires_grad_(true);
            let params: Result<Vec<Tensor>, _> = self.shapes.iter().map(zeros).collect();
            let made = optim::construct(self.name(), &self.kwargs, &params.map_err(|e| e.to_string())?, pack);
            known = made.is_some();
            match made {
                Some(Err(Failure::Argument(e) | Failure::Call(e))) => self.expected.check(&e),
                Some(Err(Failure::Case(reason))) => Err(reason),
                Some(Ok(())) | None => Err(self.expected.unmet()),
            }
        });
        if known { outcome } else { Outcome::Skipped }
    }
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
        let outcome = replay_function(call, &pack);
        report.add(call.function.clone(), &call.source, format!("e{}", call.id), outcome);
    }
    for case in &errors.modules {
        report.add(case.subject(), "", format!("m{}", case.id), case.replay(&pack));
    }
    for case in &errors.optim {
        report.add(case.name().into(), "", format!("o{}", case.id), case.replay(&pack));
    }
    report
}

/// The operator that a Python function is a name for, by rule: `torch.add`, `torch.special.zeta`. Functions that are
/// written in Python have none.
fn operator_of(function: &str) -> Option<String> {
    let name = function.strip_prefix("torch.")?;
    let name = match name.rsplit_once('.') {
        None | Some(("Tensor" | "nn.functional", _)) => name.rsplit('.').next()?.to_string(),
        Some((module @ ("special" | "fft" | "linalg"), name)) => format!("{module}_{name}"),
        Some(_) => return None,
    };
    cresset_core::library::all().any(|op| op.name() == name).then_some(name)
}

fn replay_function(call: &Call, pack: &Pack) -> Outcome {
    let mut known = true;
    let outcome = guarded(|| match with_seed(None, || attempt(call, pack)) {
        Ok(None) => {
            known = false;
            Ok(())
        }
        Ok(Some(())) => Err(call.expected.unmet()),
        Err(Failure::Argument(e) | Failure::Call(e)) => call.expected.check(&e),
        Err(Failure::Case(reason)) => Err(reason),
    });
    if known { outcome } else { Outcome::Skipped }
}

/// Calls the function, or the operator that it is a name for; `None` if there is neither.
fn attempt(call: &Call, pack: &Pack) -> Result<Option<()>, Failure> {
    let (positional, keyword) = (&call.positional[..], &call.keyword);
    if functions::call(&call.function, &Passed { positional, keyword, pack })?.is_some() {
        return Ok(Some(()));
    }
    if let Some(method) = call.function.strip_prefix("torch.Tensor.") {
        check_self(method, positional)?;
    }
    let Some(name) = operator_of(&call.function) else { return Ok(None) };
    let positional = positional.iter().map(|v| untyped(v, pack)).collect::<Result<Vec<_>, _>>()?;
    let named = keyword.iter().map(|(n, v)| Ok((n.clone(), untyped(v, pack)?)));
    let named = named.collect::<Result<Vec<_>, Reason>>()?;
    cresset_core::overloads::call(&name, &positional, &named)?;
    Ok(Some(()))
}

/// Refuses to call a method of tensors on something else.
fn check_self(method: &str, positional: &[V]) -> Result<(), Failure> {
    let Some(v) = positional.first().filter(|v| !matches!(v, V::Tensor(_))) else { return Ok(()) };
    let given = v.python_type();
    Err(Failure::Argument(match method {
        // The only ones that PyTorch writes in Python and that take any object for `self` until they use it.
        "__rdiv__" | "__rtruediv__" => {
            Error::attribute(format!("'{given}' object has no attribute 'reciprocal'"))
        }
        _ => Error::type_error(format!(
            "descriptor '{method}' for 'torch._C.TensorBase' objects doesn't apply to a '{given}' object"
        )),
    }))
}

fn replay(call: &Call, pack: &Pack) -> Outcome {
    let name = call.op.strip_prefix("aten::").unwrap_or(&call.op);
    let Some(op) = cresset_core::library::find(name, &call.overload) else { return Outcome::Skipped };
    guarded(|| {
        let args = arguments(&op, &call.args, pack)?;
        match with_seed(None, || op.call(&args)) {
            Ok(_) => Err(call.expected.unmet()),
            Err(e) => call.expected.check(&e),
        }
    })
}

/// The pattern with brackets escaped inside of brackets, where Python takes them for themselves.
fn escaped_classes(pattern: &str) -> String {
    let mut out = String::new();
    // The length of the class so far, if inside of one, and whether a backslash came before.
    let (mut class, mut escaped) = (None, false);
    for c in pattern.chars() {
        class = match (class, c) {
            _ if escaped => class.map(|n| n + 1),
            (None, '[') => Some(0),
            (None, _) => None,
            (Some(0), '^') => Some(0),
            (Some(n), '[') => {
                out.push('\\');
                Some(n + 1)
            }
            (Some(0), ']') => {
                out.push('\\');
                Some(1)
            }
            (Some(_), ']') => None,
            (Some(n), _) => Some(n + 1),
        };
        out.push(c);
        escaped = c == '\\' && !escaped;
    }
    out
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
        ErrorKind::Assertion => "AssertionError",
        ErrorKind::Attribute => "AttributeError",
        ErrorKind::LinAlg => "_LinAlgError",
        _ => "RuntimeError",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_classes_are_pythons() {
        for (pattern, text) in
            [("[[]0, 1[]], got", "[0, 1], got"), (r"a\[b[^]]c", "a[bxc"), ("[(]4[)]", "(4)")]
        {
            assert!(Regex::new(&escaped_classes(pattern)).unwrap().is_match(text), "{pattern}");
        }
    }
}
