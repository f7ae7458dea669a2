//! A recorded program, run again call by call, does what was done the first time.

use std::sync::{Arc, Mutex, PoisonError};

use cresset_core::library::OpRef;
use cresset_core::modes::{self, Mode};
use cresset_core::op::{Tag, Variant};
use cresset_core::value::{Args, Outputs};
use cresset_core::{Result, Tensor, Value, autograd, no_grad};
use cresset_parity::call::flat;
use cresset_parity::compare::Tolerance;

use crate::sample::{Sample, assert_none, for_each, has, same};

const EXACT: Tolerance = Tolerance { rtol: 0.0, atol: 0.0 };

/// A call as a mode sees it, with its results.
struct Call {
    op: OpRef,
    args: Args,
    outputs: Outputs,
}

/// Writes down the calls of its thread.
#[derive(Default)]
pub struct Recorder(Mutex<Vec<Call>>);

impl Recorder {
    /// Whether a backward operator was called with the memory of this tensor.
    pub fn hands_to_backward(&self, t: &Tensor) -> bool {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let takes = |v: &Value| v.clone().into_tensors().iter().any(|a| a.shares_storage_with(t));
        calls.iter().any(|c| c.op.name().contains("backward") && c.args.iter().any(takes))
    }
}

impl Mode for Recorder {
    fn call(
        &self,
        op: OpRef,
        args: &[Value],
        next: &mut dyn FnMut(&[Value]) -> Result<Outputs>,
    ) -> Result<Outputs> {
        let outputs = next(args)?;
        let call = Call { op, args: args.iter().cloned().collect(), outputs: outputs.clone() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        Ok(outputs)
    }
}

/// The call of a sample and its gradients.
fn run(sample: &Sample<'_>) -> Result<Vec<Value>> {
    let args = sample.arguments();
    let leaves: Vec<Tensor> = args.iter().flat_map(|(_, v)| v.clone().into_tensors()).collect();
    for leaf in leaves.iter().filter(|t| t.dtype().is_differentiable()) {
        let _ = leaf.requires_grad_(true);
    }
    let outputs = sample.call(&sample.op, &args)?;
    let roots: Vec<Tensor> =
        outputs.iter().filter_map(Value::as_tensor).filter(|t| t.requires_grad()).cloned().collect();
    let leaves: Vec<Tensor> = leaves.into_iter().filter(Tensor::requires_grad).collect();
    if !roots.is_empty() && !leaves.is_empty() {
        let seeds = roots.iter().map(|t| t.detach().ones_like().map(Some)).collect::<Result<Vec<_>>>()?;
        let options = autograd::GradOptions { allow_unused: true, ..Default::default() };
        autograd::grad(&roots, &leaves, &seeds, options)?;
    }
    Ok(outputs)
}

/// Tensors of the recording and those that stand for them.
#[derive(Default)]
struct Map(Vec<(Tensor, Tensor)>);

impl Map {
    fn get(&self, t: &Tensor) -> Tensor {
        self.0.iter().rev().find(|(old, _)| old.same(t)).map_or_else(|| t.clone(), |(_, new)| new.clone())
    }

    fn value(&self, v: &Value) -> Value {
        match v {
            Value::Tensor(t) => Value::Tensor(self.get(t)),
            Value::Tensors(list) => Value::Tensors(list.iter().map(|t| self.get(t)).collect()),
            Value::OptTensors(list) => {
                Value::OptTensors(list.iter().map(|t| t.as_ref().map(|t| self.get(t))).collect())
            }
            other => other.clone(),
        }
    }

    fn add(&mut self, old: &[Value], new: &[Value]) {
        let tensors = |v: &[Value]| v.iter().cloned().flat_map(Value::into_tensors).collect::<Vec<_>>();
        self.0.extend(tensors(old).into_iter().zip(tensors(new)));
    }
}

/// Flat results, sparse ones with all their elements.
fn plain(outputs: &[Value]) -> std::result::Result<Vec<Value>, String> {
    let dense = |v: Value| match v {
        Value::Tensor(t) if t.is_sparse() => t.to_dense().map(Value::Tensor).map_err(|e| e.to_string()),
        other => Ok(other),
    };
    flat(outputs.to_vec()).into_iter().map(dense).collect()
}

fn replay(calls: &[Call]) -> std::result::Result<(), String> {
    let _no_grad = no_grad();
    let mut map = Map::default();
    for call in calls {
        let args: Args = call.args.iter().map(|v| map.value(v)).collect();
        let name = call.op.schema_text().split('(').next().unwrap_or_default();
        let outputs = call.op.call_positional(args).map_err(|e| format!("{name} replayed: {e:?}"))?;
        let (got, want) = (plain(&outputs)?, plain(&call.outputs)?);
        same(&got, &want, EXACT).map_err(|e| format!("{name} replayed: {e}"))?;
        map.add(&call.outputs, &outputs);
    }
    Ok(())
}

#[test]
fn replay_equals_eager() {
    assert_none(for_each(Variant::Functional, |sample| {
        let writes = sample.op.schema().arguments.iter().any(|a| a.is_written());
        if writes || sample.is_random() || has(&sample.op, Tag::Random) || sample.depends_on_layout() {
            return Ok(());
        }
        let recorder = Arc::new(Recorder::default());
        {
            let _recording = modes::push(recorder.clone());
            if run(sample).is_err() {
                return Ok(());
            }
        }
        let calls = recorder.0.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.is_empty() {
            return Err("no call was seen".into());
        }
        replay(&calls)
    }));
}
