//! An optimizer's state as files hold it: PyTorch's `{'state': {0: {…}}, 'param_groups': [{…}]}`.

use cresset_core::{Result, Value, bail};
use cresset_io::PyValue;

use crate::state::{OptimizerState, State};

impl TryFrom<&OptimizerState> for PyValue {
    type Error = cresset_core::Error;

    /// What `torch.save(optimizer.state_dict(), …)` writes.
    fn try_from(dict: &OptimizerState) -> Result<PyValue> {
        let state = dict.state.iter().map(|(i, s)| Ok((PyValue::Int(*i as i64), entries(s.entries())?)));
        let groups = dict.param_groups.iter().map(|group| entries(group));
        Ok(PyValue::dict([
            ("state", PyValue::Dict(state.collect::<Result<_>>()?)),
            ("param_groups", PyValue::List(groups.collect::<Result<_>>()?)),
        ]))
    }
}

impl TryFrom<&PyValue> for OptimizerState {
    type Error = cresset_core::Error;

    /// A state that PyTorch or this crate saved. Names of parameters (`param_names`) are left out: parameters are known by
    /// their numbers.
    fn try_from(value: &PyValue) -> Result<OptimizerState> {
        let (Some(state), Some(groups)) = (
            value.get("state").and_then(PyValue::entries),
            value.get("param_groups").and_then(PyValue::items),
        ) else {
            bail!(Key, "an optimizer's state is a dict with 'state' and 'param_groups'");
        };
        let numbered = |(key, value): &(PyValue, PyValue)| match key.as_int().map(usize::try_from) {
            Some(Ok(i)) => Ok((i, State::from_iter(named(value)?))),
            _ => bail!(Key, "expected numbers as keys of the optimizer's state, got {}", key.type_name()),
        };
        Ok(OptimizerState {
            state: state.iter().map(numbered).collect::<Result<_>>()?,
            param_groups: groups.iter().map(|g| named(&unnamed(g))).collect::<Result<_>>()?,
        })
    }
}

fn entries(list: &[(String, Value)]) -> Result<PyValue> {
    let entry = |(key, value): &(String, Value)| Ok((PyValue::from(key.as_str()), PyValue::try_from(value)?));
    Ok(PyValue::Dict(list.iter().map(entry).collect::<Result<_>>()?))
}

/// A group without the names of its parameters.
fn unnamed(group: &PyValue) -> PyValue {
    match group.entries() {
        Some(list) => {
            let others = list.iter().filter(|(key, _)| key.as_str() != Some("param_names"));
            PyValue::Dict(others.cloned().collect())
        }
        None => group.clone(),
    }
}

fn named(value: &PyValue) -> Result<Vec<(String, Value)>> {
    let entry = |(key, value): &(PyValue, PyValue)| match key.as_str() {
        Some(key) => Ok((key.to_owned(), Value::try_from(value).map_err(|e| e.context(key))?)),
        None => bail!(Key, "expected names in the optimizer's state, got {}", key.type_name()),
    };
    match value.entries() {
        Some(list) => list.iter().map(entry).collect(),
        None => bail!(Type, "expected a dict in the optimizer's state, got {}", value.type_name()),
    }
}
