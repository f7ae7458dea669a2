//! What schedulers remember, under PyTorch's keys, as `torch.save` writes it: settings, and where they stand.

use cresset_core::{Result, bail, ensure};
use cresset_io::PyValue;

use super::base_lrs;
use crate::optimizer::ParamGroups;

/// Entries of a scheduler's state.
pub(super) type Entries = Vec<(&'static str, PyValue)>;

/// A setting of a scheduler, as files hold it.
pub(super) trait Setting: Sized {
    fn save(&self) -> PyValue;
    fn load(value: &PyValue) -> Option<Self>;
}

impl Setting for f64 {
    fn save(&self) -> PyValue {
        PyValue::Float(*self)
    }
    fn load(value: &PyValue) -> Option<f64> {
        value.as_float()
    }
}

impl Setting for i64 {
    fn save(&self) -> PyValue {
        PyValue::Int(*self)
    }
    fn load(value: &PyValue) -> Option<i64> {
        value.as_float().map(|x| x as i64)
    }
}

impl Setting for bool {
    fn save(&self) -> PyValue {
        PyValue::Bool(*self)
    }
    fn load(value: &PyValue) -> Option<bool> {
        value.as_bool()
    }
}

impl Setting for String {
    fn save(&self) -> PyValue {
        PyValue::Str(self.clone())
    }
    fn load(value: &PyValue) -> Option<String> {
        value.as_str().map(str::to_owned)
    }
}

impl Setting for Vec<f64> {
    fn save(&self) -> PyValue {
        PyValue::List(self.iter().map(Setting::save).collect())
    }
    fn load(value: &PyValue) -> Option<Vec<f64>> {
        value.items()?.iter().map(PyValue::as_float).collect()
    }
}

/// Milestones: PyTorch counts how often each is named.
impl Setting for Vec<i64> {
    fn save(&self) -> PyValue {
        let mut counts: Vec<(PyValue, PyValue)> = Vec::new();
        for milestone in self {
            match counts.iter_mut().find(|(key, _)| key.as_int() == Some(*milestone)) {
                Some((_, PyValue::Int(count))) => *count += 1,
                _ => counts.push((PyValue::Int(*milestone), PyValue::Int(1))),
            }
        }
        PyValue::Dict(counts)
    }
    fn load(value: &PyValue) -> Option<Vec<i64>> {
        let named = |(key, count): &(PyValue, PyValue)| {
            let count = usize::try_from(count.as_int()?).ok().filter(|n| *n <= 1 << 20)?;
            Some(vec![key.as_int()?; count])
        };
        Some(value.entries()?.iter().map(named).collect::<Option<Vec<_>>>()?.concat())
    }
}

/// Sets a setting from a saved state.
///
/// # Errors
/// `Type` for a value of another kind.
pub(super) fn take<T: Setting>(setting: &mut T, key: &str, value: &PyValue) -> Result<()> {
    match T::load(value) {
        Some(value) => *setting = value,
        None => bail!(
            Type,
            "expected another type than {} in '{key}' of the scheduler's state",
            value.type_name()
        ),
    }
    Ok(())
}

/// The entry of that name.
pub(super) fn entry<'a>(state: &'a PyValue, key: &str) -> Result<&'a PyValue> {
    match state.get(key) {
        Some(value) => Ok(value),
        None => bail!(Key, "the scheduler's state has no '{key}'"),
    }
}

/// The setting of that name.
pub(super) fn read<T: Setting>(state: &PyValue, key: &str) -> Result<T> {
    let value = entry(state, key)?;
    match T::load(value) {
        Some(value) => Ok(value),
        None => bail!(
            Type,
            "expected another type than {} in '{key}' of the scheduler's state",
            value.type_name()
        ),
    }
}

/// The setting of that name, if the state has it: states of older versions lack some.
pub(super) fn read_or<T: Setting>(state: &PyValue, key: &str, other: T) -> Result<T> {
    if state.get(key).is_some() { read(state, key) } else { Ok(other) }
}

/// A number per group.
pub(super) fn floats(state: &PyValue, key: &str, groups: usize) -> Result<Vec<f64>> {
    let list: Vec<f64> = read(state, key)?;
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

/// Where a scheduler stands: what PyTorch's base class remembers.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    pub base_lrs: Vec<f64>,
    pub last_lr: Vec<f64>,
    pub last_epoch: i64,
    pub step_count: i64,
}

impl Progress {
    /// After `last_epoch`, which is -1 at the start.
    pub(super) fn new(optimizer: &mut dyn ParamGroups, last_epoch: i64) -> Result<Progress> {
        let base_lrs = base_lrs(optimizer, last_epoch)?;
        Ok(Progress { base_lrs, last_epoch, ..Progress::default() })
    }

    pub(super) fn entries(&self) -> Entries {
        vec![
            ("base_lrs", self.base_lrs.save()),
            ("last_epoch", PyValue::Int(self.last_epoch)),
            ("_step_count", PyValue::Int(self.step_count)),
            ("_is_initial", PyValue::Bool(false)),
            ("_get_lr_called_within_step", PyValue::Bool(false)),
            ("_last_lr", self.last_lr.save()),
        ]
    }

    pub(super) fn read(&self, state: &PyValue) -> Result<Progress> {
        let groups = self.base_lrs.len();
        Ok(Progress {
            base_lrs: floats(state, "base_lrs", groups)?,
            last_lr: floats(state, "_last_lr", groups)?,
            last_epoch: read(state, "last_epoch")?,
            step_count: read_or(state, "_step_count", self.step_count)?,
        })
    }
}
