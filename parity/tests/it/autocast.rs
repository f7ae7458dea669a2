//! What autocast does to each operator is what PyTorch's does on the CPU.

use std::collections::BTreeMap;

use cresset_core::library;
use cresset_core::op::{Autocast, Variant};

use crate::sample::assert_none;

/// A class and an operator a line: those for which PyTorch 2.15 has a kernel under its dispatch key `AutocastCPU`.
const PYTORCH: &str = include_str!("autocast.txt");

fn classes() -> BTreeMap<&'static str, Autocast> {
    let class = |name: &str| match name {
        "lower" => Autocast::Lower,
        "fp32" => Autocast::Fp32,
        "promote" => Autocast::Promote,
        other => panic!("no class of autocast: {other}"),
    };
    PYTORCH.lines().filter_map(|l| l.split_once(' ')).map(|(c, op)| (op, class(c))).collect()
}

#[test]
fn every_operator_has_pytorchs_class() {
    let classes = classes();
    let mut complaints = Vec::new();
    for op in library::all().filter(|op| op.variant == Variant::Functional) {
        let qualified = op.op.qualified_name();
        let name = qualified.trim_start_matches("aten::");
        let wanted = classes.get(name).copied().unwrap_or(Autocast::None);
        if op.op.autocast != wanted {
            complaints.push(format!("{name} is {:?}, PyTorch's is {wanted:?}", op.op.autocast));
        }
    }
    assert_none(complaints);
}
