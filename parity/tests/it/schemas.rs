//! Schemas are PyTorch's, and every stanza is in the table.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cresset_core::library;
use cresset_core::op::Variant;
use cresset_parity::Kit;
use cresset_parity::ops::Case;

use crate::sample::assert_none;

#[test]
fn every_schema_is_pytorchs_text() {
    let kit = Kit::shipped().unwrap();
    let mut complaints = BTreeSet::new();
    for file in kit.names("ops") {
        for case in kit.pack(&format!("ops/{file}.safetensors")).unwrap().cases::<Case>().unwrap() {
            let Some(op) = case.find() else { continue };
            let got = format!("aten::{}", op.schema_text());
            if without_letters(&got) != without_letters(&case.schema) {
                complaints.insert(format!("{}: got `{got}`, expected `{}`", case.qualified(), case.schema));
            }
        }
    }
    assert_none(complaints.into_iter().collect());
}

/// The text with `(!)` for `(a!)`: which letters mark what is written differs where PyTorch counts other arguments.
fn without_letters(schema: &str) -> String {
    let mut text: Vec<char> = Vec::new();
    for c in schema.chars() {
        if c == '!' && text.len() >= 2 && text[text.len() - 2] == '(' {
            text.pop();
        }
        text.push(c);
    }
    text.into_iter().collect()
}

#[test]
fn every_operator_is_found_under_its_name() {
    for op in library::all() {
        let found = library::find(op.name(), op.overload()).unwrap_or_else(|| panic!("{}", op.schema_text()));
        assert!(std::ptr::eq(found.op, op.op) && found.variant == op.variant, "{}", op.schema_text());
    }
}

#[test]
fn every_stanza_is_in_the_table() {
    let mut stanzas = BTreeSet::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/core/src/ops"), &mut stanzas);
    let functional = library::all().filter(|op| op.variant == Variant::Functional);
    let table: BTreeSet<String> = functional.map(|op| op.schema_text().to_string()).collect();
    assert!(!stanzas.is_empty());
    assert_none(
        stanzas
            .difference(&table)
            .map(|s| format!("{s} is declared but not in the list of its family"))
            .collect(),
    );
}

/// The schema texts of all stanzas below a folder.
fn collect(folder: &Path, stanzas: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, stanzas);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            stanzas.extend(text.split("#[op(").skip(1).filter_map(schema_in));
        }
    }
}

/// The first string literal after `#[op(`, with the line continuations and escapes that Rust allows in it.
fn schema_in(text: &str) -> Option<String> {
    let body = text.trim_start().strip_prefix('"')?;
    let mut schema = String::new();
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Some(schema),
            '\\' => match chars.next()? {
                '\n' => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                escaped => schema.push(escaped),
            },
            c => schema.push(c),
        }
    }
    None
}
