//! A schedule that follows a measured value.

use cresset_core::{Result, ensure};
use cresset_io::PyValue;

use super::current_lrs;
use super::state::{Entry, dict, float, floats, int};
use crate::optimizer::ParamGroups;

/// Which values of the measure are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Small ones, as of a loss.
    Min,
    /// Large ones, as of an accuracy.
    Max,
}

/// Settings of [`ReduceLROnPlateau`].
#[derive(Clone, Debug)]
pub struct PlateauOptions {
    /// Which values are better (default: small ones).
    pub mode: Mode,
    /// The factor of a reduction (default: 0.1).
    pub factor: f64,
    /// Epochs without improvement that are tolerated (default: 10).
    pub patience: i64,
    /// The least improvement that counts (default: 1e-4).
    pub threshold: f64,
    /// Whether the threshold is relative to the best value (default: yes).
    pub relative: bool,
    /// Epochs after a reduction during which nothing is counted (default: 0).
    pub cooldown: i64,
    /// The lowest rate (default: 0).
    pub min_lr: f64,
    /// Smaller changes of the rate are not made (default: 1e-8).
    pub eps: f64,
}

impl Default for PlateauOptions {
    fn default() -> Self {
        PlateauOptions {
            mode: Mode::Min,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            relative: true,
            cooldown: 0,
            min_lr: 0.0,
            eps: 1e-8,
        }
    }
}

/// Reduces the rates when a measure stops improving, as `torch.optim.lr_scheduler.ReduceLROnPlateau`.
#[derive(Clone, Debug)]
pub struct ReduceLROnPlateau {
    options: PlateauOptions,
    best: f64,
    bad_epochs: i64,
    cooldown: i64,
    last_epoch: i64,
    last_lr: Vec<f64>,
}

impl ReduceLROnPlateau {
    /// Begins.
    ///
    /// # Errors
    /// `Value` unless the factor is below 1.
    pub fn new(optimizer: &dyn ParamGroups, options: PlateauOptions) -> Result<Self> {
        ensure!(options.factor < 1.0, Value, "Factor should be < 1.0.");
        let best = if options.mode == Mode::Min { f64::INFINITY } else { f64::NEG_INFINITY };
        let last_lr = current_lrs(optimizer);
        Ok(ReduceLROnPlateau { options, best, bad_epochs: 0, cooldown: 0, last_epoch: 0, last_lr })
    }

    /// Ends an epoch with that value of the measure.
    ///
    /// # Errors
    /// None for optimizers of this crate.
    pub fn step(&mut self, optimizer: &mut dyn ParamGroups, metric: f64) -> Result<()> {
        self.last_epoch += 1;
        if self.is_better(metric) {
            self.best = metric;
            self.bad_epochs = 0;
        } else {
            self.bad_epochs += 1;
        }
        if self.cooldown > 0 {
            self.cooldown -= 1;
            self.bad_epochs = 0;
        }
        if self.bad_epochs > self.options.patience {
            self.reduce(optimizer)?;
            self.cooldown = self.options.cooldown;
            self.bad_epochs = 0;
        }
        self.last_lr = current_lrs(optimizer);
        Ok(())
    }

    fn is_better(&self, metric: f64) -> bool {
        let (best, threshold) = (self.best, self.options.threshold);
        match (self.options.mode, self.options.relative) {
            (Mode::Min, true) => metric < best * (1.0 - threshold),
            (Mode::Min, false) => metric < best - threshold,
            (Mode::Max, true) => metric > best * (threshold + 1.0),
            (Mode::Max, false) => metric > best + threshold,
        }
    }

    fn reduce(&self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        for (group, old) in current_lrs(optimizer).into_iter().enumerate() {
            let new = (old * self.options.factor).max(self.options.min_lr);
            if old - new > self.options.eps {
                optimizer.set(group, "lr", new)?;
            }
        }
        Ok(())
    }

    /// The rates now, one per group.
    pub fn last_lr(&self) -> &[f64] {
        &self.last_lr
    }

    /// What the scheduler remembers, under PyTorch's keys.
    pub fn state_dict(&self) -> PyValue {
        dict(&[
            ("best", Entry::Float(self.best)),
            ("num_bad_epochs", Entry::Int(self.bad_epochs)),
            ("cooldown_counter", Entry::Int(self.cooldown)),
            ("last_epoch", Entry::Int(self.last_epoch)),
            ("_last_lr", Entry::Floats(&self.last_lr)),
        ])
    }

    /// Continues from what a scheduler with the same settings remembered, here or in PyTorch.
    ///
    /// # Errors
    /// `Value` when the number of groups differs, `Key` and `Type` for states of something else.
    pub fn load_state_dict(&mut self, state: &PyValue) -> Result<()> {
        let (best, last_epoch) = (float(state, "best")?, int(state, "last_epoch")?);
        let (bad_epochs, cooldown) = (int(state, "num_bad_epochs")?, int(state, "cooldown_counter")?);
        self.last_lr = floats(state, "_last_lr", self.last_lr.len())?;
        (self.best, self.last_epoch, self.bad_epochs, self.cooldown) =
            (best, last_epoch, bad_epochs, cooldown);
        Ok(())
    }
}
