//! Calls of declared operators, taken from the shipped kit.

use std::collections::BTreeMap;

use cresset_core::library::OpRef;
use cresset_core::op::{Tag, Variant};
use cresset_core::{DType, Result, Tensor, Value};
use cresset_parity::Kit;
use cresset_parity::array::Array;
use cresset_parity::call::{Arguments, arguments, flat};
use cresset_parity::compare::{Check, Tolerance, compare};
use cresset_parity::kit::Pack;
use cresset_parity::ops::{Case, with_seed};

/// A recorded call of a declared operator.
pub struct Sample<'a> {
    pub case: &'a Case,
    pub op: OpRef,
    pack: &'a Pack,
}

impl Sample<'_> {
    /// Fresh arguments.
    pub fn arguments(&self) -> Arguments {
        arguments(&self.op, &self.case.args, self.pack).expect("the kit's own arguments")
    }

    /// Calls another form of the operator with the case's seed; flat outputs.
    pub fn call(&self, op: &OpRef, args: &Arguments) -> Result<Vec<Value>> {
        with_seed(self.case.seed, || op.call(args)).map(|outputs| flat(outputs.into_iter().collect()))
    }

    /// Who it is, for a message.
    pub fn name(&self) -> String {
        format!("{} c{}", self.case.qualified(), self.case.id)
    }

    /// Whether it draws random numbers: they go to the elements in the order of memory, as in PyTorch.
    pub fn is_random(&self) -> bool {
        self.case.seed.is_some()
    }

    /// Whether what is computed depends on how arguments lie in memory, or is not determined.
    pub fn depends_on_layout(&self) -> bool {
        let name = self.case.op.trim_start_matches("aten::").trim_end_matches('_');
        let about_memory =
            ["set", "is_contiguous", "stride", "storage_offset", "is_set_to", "resize", "resize_as"];
        // These return what they worked with: the factors of the transpose, buffers that only one of the paths needs.
        let with_work = ["_linalg_det", "_linalg_slogdet", "_embedding_bag", "embedding_bag"];
        about_memory.contains(&name)
            || with_work.contains(&name)
            || name.contains("as_strided")
            || self.case.check == "shape"
    }
}

/// Cases of one overload that a test looks at; the kit itself is replayed whole by the runner.
const MAX_CASES: usize = 4;

/// Calls `f` with cases of the kit whose operator is declared and of that form; collects its complaints.
pub fn for_each(
    variant: Variant,
    mut f: impl FnMut(&Sample<'_>) -> std::result::Result<(), String>,
) -> Vec<String> {
    let kit = Kit::shipped().unwrap();
    let mut complaints = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for file in kit.names("ops") {
        let pack = kit.pack(&format!("ops/{file}.safetensors")).unwrap();
        for case in &pack.cases::<Case>().unwrap() {
            let Some(op) = case.find().filter(|op| op.variant == variant) else { continue };
            let count = seen.entry(case.qualified()).or_default();
            if *count >= MAX_CASES || arguments(&op, &case.args, &pack).is_err() {
                continue;
            }
            *count += 1;
            let sample = Sample { case, op, pack: &pack };
            if let Err(e) = f(&sample) {
                complaints.push(format!("{}: {e}", sample.name()));
            }
        }
    }
    complaints
}

/// Fails with a readable list.
pub fn assert_none(complaints: Vec<String>) {
    let mut by_op: BTreeMap<&str, usize> = BTreeMap::new();
    for c in &complaints {
        *by_op.entry(c.split(' ').next().unwrap_or_default()).or_default() += 1;
    }
    assert!(
        complaints.is_empty(),
        "{} complaints about {} operators:\n{}",
        complaints.len(),
        by_op.len(),
        complaints.iter().take(60).cloned().collect::<Vec<_>>().join("\n")
    );
}

/// Compares all outputs of two calls.
pub fn same(got: &[Value], want: &[Value], tolerance: Tolerance) -> std::result::Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} outputs, expected {}", got.len(), want.len()));
    }
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let result = match (got, want) {
            (Value::Tensor(a), Value::Tensor(b)) => {
                compare(&Array::got(a)?, &Array::got(b)?, Check::Close(tolerance))
            }
            (a, b) if format!("{a:?}") == format!("{b:?}") => Ok(()),
            (a, b) => Err(format!("got {a:?}, expected {b:?}")),
        };
        result.map_err(|e| format!("output {i}: {e}"))?;
    }
    Ok(())
}

/// Replaces every tensor among the arguments.
pub fn map_tensors(args: &mut Arguments, mut f: impl FnMut(&str, &Tensor) -> Tensor) {
    for (name, value) in args {
        match value {
            Value::Tensor(t) => *t = f(name, t),
            Value::Tensors(list) => list.iter_mut().for_each(|t| *t = f(name, t)),
            Value::OptTensors(list) => list.iter_mut().flatten().for_each(|t| *t = f(name, t)),
            _ => {}
        }
    }
}

/// A tensor of the same numbers in double precision; integers and booleans stay.
pub fn doubled(t: &Tensor) -> Tensor {
    let dtype = match t.dtype() {
        DType::F16 | DType::BF16 | DType::F32 => DType::F64,
        DType::Complex64 => DType::Complex128,
        other => other,
    };
    t.to_dtype(dtype).unwrap()
}

/// Whether the operator carries the tag.
pub fn has(op: &OpRef, tag: Tag) -> bool {
    op.op.has_tag(tag)
}
