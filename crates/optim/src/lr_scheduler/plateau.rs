//! A schedule that follows a measured value.

use cresset_core::{Result, bail, ensure, options};
use cresset_io::PyValue;

use super::state::{Setting, floats, read, read_or};
use super::{PerGroup, current_lrs};
use crate::optimizer::ParamGroups;

options! {
    /// Optional settings of [`ReduceLROnPlateau`].
    ReduceLROnPlateauOptions {
        /// Which values of the measure are better: `min` (default) for small ones, as of a loss, or `max`.
        mode: String = "min".into(),
        /// The factor of a reduction (default: 0.1).
        factor: f64 = 0.1,
        /// Epochs without improvement that are tolerated (default: 10).
        patience: i64 = 10,
        /// The least improvement that counts (default: 1e-4).
        threshold: f64 = 1e-4,
        /// Whether the threshold is relative to the best value, `rel` (default), or not, `abs`.
        threshold_mode: String = "rel".into(),
        /// Epochs after a reduction during which nothing is counted (default: 0).
        cooldown: i64 = 0,
        /// The lowest rate, one for all groups or one for each (default: 0).
        min_lr: PerGroup = 0.0.into(),
        /// Smaller changes of the rate are not made (default: 1e-8).
        eps: f64 = 1e-8,
    }
}

/// Reduces the rates when a measure stops improving, as `torch.optim.lr_scheduler.ReduceLROnPlateau`.
///
/// # Examples
/// ```
/// use cresset_core::{Result, ops};
/// use cresset_optim::{SGD, lr_scheduler::ReduceLROnPlateau};
///
/// # fn main() -> Result<()> {
/// let mut optimizer = SGD::new([ops::zeros([1])?.requires_grad_(true)?], 0.5)?;
/// let mut scheduler = ReduceLROnPlateau::with(&optimizer, |o| o.patience(1).factor(0.5))?;
/// for loss in [3.0, 2.0, 2.0, 2.0] {
///     optimizer.step()?;
///     scheduler.step(&mut optimizer, loss)?;
/// }
/// assert_eq!(scheduler.get_last_lr(), [0.25]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ReduceLROnPlateau {
    options: ReduceLROnPlateauOptions,
    min_lrs: Vec<f64>,
    best: f64,
    bad_epochs: i64,
    cooldown: i64,
    last_epoch: i64,
    last_lr: Vec<f64>,
}

impl ReduceLROnPlateau {
    /// Begins with PyTorch's settings.
    ///
    /// # Errors
    /// None for optimizers of this crate.
    pub fn new(optimizer: &dyn ParamGroups) -> Result<Self> {
        Self::with(optimizer, |o| o)
    }

    /// Begins with other settings.
    ///
    /// # Errors
    /// `Value` unless the factor is below 1, for modes that do not exist, and for another number of lowest rates than groups.
    pub fn with(
        optimizer: &dyn ParamGroups,
        options: impl FnOnce(ReduceLROnPlateauOptions) -> ReduceLROnPlateauOptions,
    ) -> Result<Self> {
        let options = options(ReduceLROnPlateauOptions::default());
        ensure!(options.factor < 1.0, Value, "Factor should be < 1.0.");
        let groups = optimizer.group_count();
        let min_lrs = match &options.min_lr {
            PerGroup::All(lr) => vec![*lr; groups],
            PerGroup::Each(list) => {
                ensure!(list.len() == groups, Value, "expected {groups} min_lrs, got {}", list.len());
                list.clone()
            }
        };
        let best = worst(&options)?;
        let last_lr = current_lrs(optimizer);
        Ok(ReduceLROnPlateau { options, min_lrs, best, bad_epochs: 0, cooldown: 0, last_epoch: 0, last_lr })
    }

    /// Ends an epoch with that value of the measure. NaN is no improvement.
    ///
    /// # Errors
    /// `Runtime` when the optimizer has got groups whose lowest rate is not known.
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
        match (self.options.mode.as_str(), self.options.threshold_mode.as_str()) {
            ("min", "rel") => metric < best * (1.0 - threshold),
            ("min", _) => metric < best - threshold,
            (_, "rel") => metric > best * (threshold + 1.0),
            _ => metric > best + threshold,
        }
    }

    fn reduce(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        let (groups, known) = (optimizer.group_count(), self.min_lrs.len());
        if groups != known {
            let PerGroup::All(lr) = self.options.min_lr else {
                bail!(
                    "The number of param groups in the `optimizer` ({groups}) differs from when `ReduceLROnPlateau` was initialized ({known}), usually due to a new param group being added to the optimizer. Please modify the `min_lrs` field to match the length of the `optimizer` param groups."
                )
            };
            self.min_lrs = vec![lr; groups];
        }
        for (group, old) in current_lrs(optimizer).into_iter().enumerate() {
            let new = (old * self.options.factor).max(self.min_lrs[group]);
            if old - new > self.options.eps {
                optimizer.set(group, "lr", new)?;
            }
        }
        Ok(())
    }

    /// The rates now, one per group.
    pub fn get_last_lr(&self) -> &[f64] {
        &self.last_lr
    }

    /// What the scheduler remembers, under PyTorch's keys: its settings, and where it stands.
    pub fn state_dict(&self) -> PyValue {
        let o = &self.options;
        let shared = match o.min_lr {
            PerGroup::All(lr) => Some(lr),
            PerGroup::Each(_) => None,
        };
        let worst = if o.mode == "min" { f64::INFINITY } else { f64::NEG_INFINITY };
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
            ("mode", o.mode.save()),
            ("threshold", o.threshold.save()),
            ("threshold_mode", o.threshold_mode.save()),
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
        let min_lrs = read_or(state, "min_lrs", self.min_lrs.clone())?;
        ensure!(min_lrs.len() == groups, Value, "expected {groups} min_lrs, got {}", min_lrs.len());
        let min_lr = match state.get("default_min_lr").and_then(PyValue::as_float) {
            Some(shared) => PerGroup::All(shared),
            None => PerGroup::Each(min_lrs.clone()),
        };
        let options = ReduceLROnPlateauOptions {
            mode: read_or(state, "mode", o.mode.clone())?,
            factor: read_or(state, "factor", o.factor)?,
            patience: read_or(state, "patience", o.patience)?,
            threshold: read_or(state, "threshold", o.threshold)?,
            threshold_mode: read_or(state, "threshold_mode", o.threshold_mode.clone())?,
            cooldown: read_or(state, "cooldown", o.cooldown)?,
            eps: read_or(state, "eps", o.eps)?,
            min_lr,
        };
        worst(&options)?;
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

/// The worst value of the measure.
fn worst(o: &ReduceLROnPlateauOptions) -> Result<f64> {
    ensure!(matches!(o.mode.as_str(), "min" | "max"), Value, "mode {} is unknown!", o.mode);
    let known = matches!(o.threshold_mode.as_str(), "rel" | "abs");
    ensure!(known, Value, "threshold mode {} is unknown!", o.threshold_mode);
    Ok(if o.mode == "min" { f64::INFINITY } else { f64::NEG_INFINITY })
}
