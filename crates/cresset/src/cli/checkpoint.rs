//! Everything that a run needs to go on as if it had not stopped, in one `.pt` file that PyTorch can read too.

use std::path::Path;

use cresset::io::{self, PyValue};
use cresset::nn::StateDict;
use cresset::optim::OptimizerState;
use cresset::prelude::*;
use cresset::{Error, bail, ensure};

use super::history::History;

/// Stands in the file, so that other files are recognised as such.
const FORMAT: &str = "cresset mnist run 1";

/// What a run was started with; a resumed run goes on with the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    pub seed: u64,
    pub epochs: u32,
    pub batch_size: u32,
    pub lr: f64,
    pub limit: Option<u32>,
    pub checkpoint_every: u32,
}

/// How far a run is, and what the present epoch has added up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Position {
    /// The epoch, from 0.
    pub epoch: u32,
    /// The next batch of the epoch.
    pub batch: usize,
    /// Steps since the start of the run.
    pub step: u64,
    pub loss_sum: f64,
    pub correct: u64,
    pub seen: u64,
    pub seconds: f64,
    /// Sum and number of the losses since the last point of the curve.
    pub recent: (f64, u64),
}

/// The state of a run between two steps.
pub struct Checkpoint {
    pub options: Options,
    pub at: Position,
    pub model: StateDict,
    pub optimizer: OptimizerState,
    pub scheduler: PyValue,
    /// State of the default generator, which dropout draws from.
    pub rng: Vec<u8>,
    /// State, at the start of the epoch, of the generator that orders the images.
    pub order_rng: Vec<u8>,
    pub history: History,
}

impl Checkpoint {
    /// Writes the file, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<()> {
        let Checkpoint { options, at, model, optimizer, scheduler, history, .. } = self;
        let value = PyValue::dict([
            ("format", PyValue::from(FORMAT)),
            ("options", options.to_value()),
            ("position", at.to_value()),
            ("model", PyValue::from_state_dict(model.iter().cloned())),
            ("optimizer", PyValue::try_from(optimizer)?),
            ("scheduler", scheduler.clone()),
            ("rng", bytes_value(&self.rng)?),
            ("order_rng", bytes_value(&self.order_rng)?),
            ("history", history.to_value()),
        ]);
        io::save(&value, path)
    }

    /// Reads a file that [`Checkpoint::save`] wrote.
    pub fn load(path: &Path) -> Result<Checkpoint> {
        let value = io::load(path)?;
        Checkpoint::from_value(&value).map_err(|e| e.context(path.display()))
    }

    fn from_value(value: &PyValue) -> Result<Checkpoint> {
        let format = value.get("format").and_then(PyValue::as_str);
        ensure!(format == Some(FORMAT), "this is not the checkpoint of a run of `cresset train`");
        Ok(Checkpoint {
            options: Options::from_value(part(value, "options")?)?,
            at: Position::from_value(part(value, "position")?)?,
            model: part(value, "model")?.clone().into_state_dict()?.into_iter().collect(),
            optimizer: OptimizerState::try_from(part(value, "optimizer")?)?,
            scheduler: part(value, "scheduler")?.clone(),
            rng: bytes_from(value, "rng")?,
            order_rng: bytes_from(value, "order_rng")?,
            history: History::from_value(part(value, "history")?)?,
        })
    }
}

impl Options {
    fn to_value(self) -> PyValue {
        PyValue::dict([
            // The bits of the seed: Python's reader takes numbers of 64 bits as signed.
            ("seed", PyValue::Int(self.seed as i64)),
            ("epochs", self.epochs.into()),
            ("batch_size", self.batch_size.into()),
            ("lr", self.lr.into()),
            ("limit", self.limit.into()),
            ("checkpoint_every", self.checkpoint_every.into()),
        ])
    }

    fn from_value(value: &PyValue) -> Result<Options> {
        let limit = match part(value, "limit")? {
            PyValue::None => None,
            _ => Some(whole(value, "limit")?),
        };
        let options = Options {
            seed: int(value, "seed")? as u64,
            epochs: whole(value, "epochs")?,
            batch_size: whole(value, "batch_size")?,
            lr: float(value, "lr")?,
            limit,
            checkpoint_every: whole(value, "checkpoint_every")?,
        };
        ensure!(
            options.batch_size > 0 && options.checkpoint_every > 0,
            "expected sizes above 0 in 'options'"
        );
        Ok(options)
    }
}

impl Position {
    fn to_value(self) -> PyValue {
        PyValue::dict([
            ("epoch", self.epoch.into()),
            ("batch", PyValue::Int(self.batch as i64)),
            ("step", PyValue::Int(self.step as i64)),
            ("loss_sum", self.loss_sum.into()),
            ("correct", PyValue::Int(self.correct as i64)),
            ("seen", PyValue::Int(self.seen as i64)),
            ("seconds", self.seconds.into()),
            ("recent_sum", self.recent.0.into()),
            ("recent", PyValue::Int(self.recent.1 as i64)),
        ])
    }

    fn from_value(value: &PyValue) -> Result<Position> {
        Ok(Position {
            epoch: whole(value, "epoch")?,
            batch: whole(value, "batch")?,
            step: whole(value, "step")?,
            loss_sum: float(value, "loss_sum")?,
            correct: whole(value, "correct")?,
            seen: whole(value, "seen")?,
            seconds: float(value, "seconds")?,
            recent: (float(value, "recent_sum")?, whole(value, "recent")?),
        })
    }
}

fn part<'a>(value: &'a PyValue, key: &str) -> Result<&'a PyValue> {
    value.get(key).ok_or_else(|| Error::runtime(format!("the checkpoint has no '{key}'")))
}

fn int(value: &PyValue, key: &str) -> Result<i64> {
    part(value, key)?.as_int().ok_or_else(|| Error::runtime(format!("expected '{key}' to be an int")))
}

/// An `int` that is in the range of `T`.
fn whole<T: TryFrom<i64>>(value: &PyValue, key: &str) -> Result<T> {
    let number = int(value, key)?;
    T::try_from(number).map_err(|_| Error::runtime(format!("'{key}' is out of range: {number}")))
}

fn float(value: &PyValue, key: &str) -> Result<f64> {
    part(value, key)?.as_float().ok_or_else(|| Error::runtime(format!("expected '{key}' to be a number")))
}

fn bytes_value(bytes: &[u8]) -> Result<PyValue> {
    Ok(PyValue::Tensor(Tensor::from_slice(bytes, [bytes.len() as i64])?))
}

fn bytes_from(value: &PyValue, key: &str) -> Result<Vec<u8>> {
    match part(value, key)?.as_tensor() {
        Some(tensor) => tensor.to_vec::<u8>().map_err(|e| e.context(key)),
        None => bail!("expected '{key}' to be a tensor of bytes"),
    }
}
