//! How much of a kit's operators is declared, and how much of what is declared passes.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::kit::{Kit, Reason};
use crate::run::Summary;

#[derive(Debug, Deserialize)]
struct Index {
    ops: BTreeMap<String, Packet>,
    opinfos: Vec<OpInfo>,
}

#[derive(Debug, Deserialize)]
struct Packet {
    overloads: BTreeMap<String, serde_json::Value>,
}

/// An entry of PyTorch's operator test database.
#[derive(Debug, Deserialize)]
struct OpInfo {
    opinfo: String,
    overloads: Vec<String>,
}

/// Sums up what a run says about the overloads and the OpInfo names of the kit's index.
///
/// # Errors
/// When the kit has no readable index.
pub fn describe(kit: &Kit, summary: &Summary) -> Result<String, Reason> {
    let index: Index = kit.json("index.json")?;
    let overloads: Vec<&String> = index.ops.values().flat_map(|p| p.overloads.keys()).collect();
    let declared = overloads.iter().filter(|name| is_declared(name)).count();
    let passing = overloads.iter().filter(|name| passes(summary, name)).count();
    let mut names: BTreeMap<&str, bool> = BTreeMap::new();
    for info in &index.opinfos {
        let whole = !info.overloads.is_empty() && info.overloads.iter().all(|o| passes(summary, o));
        names.entry(&info.opinfo).and_modify(|all| *all &= whole).or_insert(whole);
    }
    Ok(format!(
        "overloads: {declared} of {} declared, {passing} pass all their cases\nOpInfo names: {} of {} pass whole",
        overloads.len(),
        names.values().filter(|whole| **whole).count(),
        names.len()
    ))
}

/// Whether an operator spelled `aten::name.overload` is declared.
pub fn is_declared(qualified: &str) -> bool {
    let name = qualified.strip_prefix("aten::").unwrap_or(qualified);
    let (name, overload) = name.split_once('.').unwrap_or((name, ""));
    cresset_core::library::find(name, overload).is_some()
}

fn passes(summary: &Summary, qualified: &str) -> bool {
    summary.by_subject.get(qualified).is_some_and(|c| c.passed > 0 && c.failed == 0 && c.skipped == 0)
}
