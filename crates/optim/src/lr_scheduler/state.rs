//! What schedulers remember, under PyTorch's keys, as `torch.save` writes it. Settings are not part of it: a scheduler is
//! made with them again.

use cresset_core::{Result, bail, ensure};
use cresset_io::PyValue;

/// A dict of numbers and lists of numbers.
pub(super) fn dict(entries: &[(&str, Entry<'_>)]) -> PyValue {
    let value = |entry: &Entry<'_>| match entry {
        Entry::Int(x) => PyValue::Int(*x),
        Entry::Float(x) => PyValue::Float(*x),
        Entry::Floats(list) => PyValue::List(list.iter().map(|x| PyValue::Float(*x)).collect()),
        Entry::Nested(list) => PyValue::List(list.clone()),
    };
    PyValue::dict(entries.iter().map(|(key, entry)| (*key, value(entry))))
}

/// A value of a scheduler's state.
pub(super) enum Entry<'a> {
    Int(i64),
    Float(f64),
    Floats(&'a [f64]),
    Nested(Vec<PyValue>),
}

fn entry<'a>(state: &'a PyValue, key: &str) -> Result<&'a PyValue> {
    match state.get(key) {
        Some(value) => Ok(value),
        None => bail!(Key, "the scheduler's state has no '{key}'"),
    }
}

pub(super) fn float(state: &PyValue, key: &str) -> Result<f64> {
    match entry(state, key)?.as_float() {
        Some(x) => Ok(x),
        None => bail!(Type, "expected a number in '{key}' of the scheduler's state"),
    }
}

pub(super) fn int(state: &PyValue, key: &str) -> Result<i64> {
    float(state, key).map(|x| x as i64)
}

/// A number per group.
pub(super) fn floats(state: &PyValue, key: &str, groups: usize) -> Result<Vec<f64>> {
    let items = entry(state, key)?.items().unwrap_or_default();
    let Some(list) = items.iter().map(PyValue::as_float).collect::<Option<Vec<f64>>>() else {
        bail!(Type, "expected numbers in '{key}' of the scheduler's state")
    };
    ensure!(list.len() == groups, Value, "loaded scheduler state has a different number of parameter groups");
    Ok(list)
}

/// The states of the parts of a scheduler.
pub(super) fn nested<'a>(state: &'a PyValue, key: &str, parts: usize) -> Result<&'a [PyValue]> {
    let items = entry(state, key)?.items().unwrap_or_default();
    ensure!(
        items.len() == parts,
        Value,
        "loaded scheduler state has {} parts, expected {parts}",
        items.len()
    );
    Ok(items)
}
