//! A schedule that follows a measured value.

use cresset_core::{Result, ensure};
use cresset_io::PyValue;

use super::state::{Setting, floats, read, read_or};
use super::{current_lrs, each_group};
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
    /// The lowest rate, one for all groups or one for each (default: 0).
    pub min_lr: Vec<f64>,
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
            min_lr: vec![0.0],
            eps: 1e-8,
        }
    }
}

/// Reduces the rates when a measure stops improving, as `torch.optim.lr_scheduler.ReduceLROnPlateau`.
#[derive(Clone, Debug)]
pub struct ReduceLROnPlateau {
    options: PlateauOptions,
    min_lrs: Vec<f64>,
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
    /// `Value` unless the factor is below 1, and for another number of lowest rates than groups.
    pub fn new(optimizer: &dyn ParamGroups, options: PlateauOptions) -> Result<Self> {
        ensure!(options.factor < 1.0, Value, "Factor should be < 1.0.");
        let (given, groups) = (options.min_lr.len(), optimizer.group_count());
        ensure!(given == 1 || given == groups, Value, "expected {groups} min_lrs, got {given}");
        let min_lrs = each_group(optimizer, "min_lr", &options.min_lr)?;
        let best = if options.mode == Mode::Min { f64::INFINITY } else { f64::NEG_INFINITY };
        let last_lr = current_lrs(optimizer);
        Ok(ReduceLROnPlateau { options, min_lrs, best, bad_epochs: 0, cooldown: 0, last_epoch: 0, last_lr })
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
            let new = (old * self.options.factor).max(self.min_lrs.get(group).copied().unwrap_or_default());
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

    /// What the scheduler remembers, under PyTorch's keys: its settings, and where it stands.
    pub fn state_dict(&self) -> PyValue {
        let o = &self.options;
        let shared = (o.min_lr.len() == 1).then_some(o.min_lr[0]);
        let (mode, worst) =
            if o.mode == Mode::Min { ("min", f64::INFINITY) } else { ("max", f64::NEG_INFINITY) };
        PyValue::dict([
            ("factor", o.factor.save()),
            ("default_min_lr", shared.into()),
            ("min_lrs", self.min_lrs.save()),
            ("patience", o.patience.save()),
            ("cooldown", o.cooldown.save()),
            ("eps", o.eps.save()),
            ("last_epoch", self.last_epoch.save()),
            ("_last_lr", self.last_lr.save()),
            ("mode_worse", worst.save()),
            ("mode", mode.into()),
            ("threshold", o.threshold.save()),
            ("threshold_mode", if o.relative { "rel" } else { "abs" }.into()),
            ("best", self.best.save()),
            ("cooldown_counter", self.cooldown.save()),
            ("num_bad_epochs", self.bad_epochs.save()),
        ])
    }

    /// Continues from what such a scheduler remembered, here or in PyTorch, with its settings.
    ///
    /// # Errors
    /// `Value` when the number of groups differs, `Key` and `Type` for states of something else.
    pub fn load_state_dict(&mut self, state: &PyValue) -> Result<()> {
        let o = &self.options;
        let groups = self.last_lr.len();
        let word = |key: &str, now: bool, yes: &str| {
            state.get(key).and_then(PyValue::as_str).map_or(now, |word| word == yes)
        };
        let min_lrs = read_or(state, "min_lrs", self.min_lrs.clone())?;
        ensure!(min_lrs.len() == groups, Value, "expected {groups} min_lrs, got {}", min_lrs.len());
        let min_lr = match state.get("default_min_lr").and_then(PyValue::as_float) {
            Some(shared) => vec![shared],
            None => min_lrs.clone(),
        };
        let options = PlateauOptions {
            mode: if word("mode", o.mode == Mode::Min, "min") { Mode::Min } else { Mode::Max },
            factor: read_or(state, "factor", o.factor)?,
            patience: read_or(state, "patience", o.patience)?,
            threshold: read_or(state, "threshold", o.threshold)?,
            relative: word("threshold_mode", o.relative, "rel"),
            cooldown: read_or(state, "cooldown", o.cooldown)?,
            eps: read_or(state, "eps", o.eps)?,
            min_lr,
        };
        *self = ReduceLROnPlateau {
            options,
            min_lrs,
            best: read(state, "best")?,
            bad_epochs: read(state, "num_bad_epochs")?,
            cooldown: read(state, "cooldown_counter")?,
            last_epoch: read(state, "last_epoch")?,
            last_lr: floats(state, "_last_lr", groups)?,
        };
        Ok(())
    }
}
