//! Cosine annealing, once or with restarts.

use std::f64::consts::PI;

use cresset_core::{Result, ensure, options};
use cresset_io::PyValue;

use super::state::{Progress, Setting, read, read_or, take};
use super::{Moment, Schedule, Scheduler, Step, current_lrs};
use crate::hyper::python_float;
use crate::optimizer::ParamGroups;

/// Lets the rate follow a cosine from its start to `eta_min` and back, as
/// `torch.optim.lr_scheduler.CosineAnnealingLR` (Loshchilov and Hutter 2016, without restarts).
///
#[doc = example!("CosineAnnealingLR", "&mut optimizer, 4, |o| o.eta_min(0.5)", "[0.927, 0.750, 0.573]")]
pub type CosineAnnealingLR = Scheduler<CosineAnnealing>;

/// The rule of [`CosineAnnealingLR`].
#[derive(Clone, Debug)]
pub struct CosineAnnealing {
    /// Epochs from the highest rate to the lowest.
    pub t_max: i64,
    /// The lowest rate.
    pub eta_min: f64,
}

impl Schedule for CosineAnnealing {
    fn lr(&self, now: Moment) -> f64 {
        let (t_max, eta_min, epoch) = (self.t_max as f64, self.eta_min, now.epoch as f64);
        if now.initial {
            return now.lr;
        }
        if (now.epoch - 1 - self.t_max) % (2 * self.t_max) == 0 {
            return now.lr + (now.base_lr - eta_min) * (1.0 - (PI / t_max).cos()) / 2.0;
        }
        (1.0 + (PI * epoch / t_max).cos()) / (1.0 + (PI * (epoch - 1.0) / t_max).cos()) * (now.lr - eta_min)
            + eta_min
    }

    fn check(&self) -> Result<()> {
        ensure!(self.t_max != 0, ZeroDivision, "integer modulo by zero");
        Ok(())
    }

    fn settings(&self) -> Vec<(&'static str, PyValue)> {
        vec![("T_max", self.t_max.save()), ("eta_min", self.eta_min.save())]
    }

    fn set(&mut self, key: &str, value: &PyValue) -> Result<()> {
        match key {
            "T_max" => {
                take(&mut self.t_max, key, value)?;
                self.check()
            }
            "eta_min" => take(&mut self.eta_min, key, value),
            _ => Ok(()),
        }
    }
}

options! {
    /// Optional settings of [`CosineAnnealingLR`].
    CosineAnnealingLROptions {
        /// The lowest rate (default: 0).
        eta_min: f64 = 0.0,
        /// The epoch that is over, when the schedule goes on (default: -1, none).
        last_epoch: i64 = -1,
    }
}

impl CosineAnnealingLR {
    /// Starts the schedule with a lowest rate of 0.
    ///
    /// # Errors
    /// `ZeroDivision` for no epochs.
    pub fn new(optimizer: &mut dyn ParamGroups, t_max: i64) -> Result<Self> {
        Self::with(optimizer, t_max, |o| o)
    }

    /// Starts the schedule with other settings.
    ///
    /// # Errors
    /// `ZeroDivision` for no epochs, `Key` when it is to go on and the groups have no `initial_lr`.
    pub fn with(
        optimizer: &mut dyn ParamGroups,
        t_max: i64,
        options: impl FnOnce(CosineAnnealingLROptions) -> CosineAnnealingLROptions,
    ) -> Result<Self> {
        let o = options(CosineAnnealingLROptions::default());
        Scheduler::resume(optimizer, CosineAnnealing { t_max, eta_min: o.eta_min }, o.last_epoch)
    }
}

options! {
    /// Optional settings of [`CosineAnnealingWarmRestarts`].
    CosineAnnealingWarmRestartsOptions {
        /// How many times longer each cycle is than the one before (default: 1).
        t_mult: i64 = 1,
        /// The lowest rate (default: 0).
        eta_min: f64 = 0.0,
        /// The epoch that is over, when the schedule goes on (default: -1, none).
        last_epoch: i64 = -1,
    }
}

/// Cosine annealing that restarts at the highest rate, as `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`.
///
#[doc = example!("CosineAnnealingWarmRestarts", "&mut optimizer, 2, |o| o.t_mult(2)", "[0.500, 1.000, 0.854]")]
#[derive(Clone, Debug)]
pub struct CosineAnnealingWarmRestarts {
    t_0: i64,
    t_mult: i64,
    eta_min: f64,
    at: Progress,
    /// Epochs since the restart, and until the next.
    current: f64,
    length: f64,
}

impl CosineAnnealingWarmRestarts {
    /// Restarts every `t_0` epochs.
    ///
    /// # Errors
    /// `Value` unless it is positive.
    pub fn new(optimizer: &mut dyn ParamGroups, t_0: i64) -> Result<Self> {
        Self::with(optimizer, t_0, |o| o)
    }

    /// Restarts after `t_0` epochs, then after `t_mult` times as many, and so on.
    ///
    /// # Errors
    /// `Value` unless both are positive, `Key` when it is to go on and the groups have no `initial_lr`.
    pub fn with(
        optimizer: &mut dyn ParamGroups,
        t_0: i64,
        options: impl FnOnce(CosineAnnealingWarmRestartsOptions) -> CosineAnnealingWarmRestartsOptions,
    ) -> Result<Self> {
        let CosineAnnealingWarmRestartsOptions { t_mult, eta_min, last_epoch } =
            options(CosineAnnealingWarmRestartsOptions::default());
        ensure!(t_0 > 0, Value, "Expected positive integer T_0, but got {t_0}");
        ensure!(t_mult >= 1, Value, "Expected integer T_mult >= 1, but got {t_mult}");
        let at = Progress::new(optimizer, last_epoch)?;
        let (current, length) = (last_epoch as f64, t_0 as f64);
        let mut schedule = CosineAnnealingWarmRestarts { t_0, t_mult, eta_min, at, current, length };
        match last_epoch {
            -1 => schedule.step_to(optimizer, 0.0)?,
            _ => schedule.step(optimizer)?,
        }
        Ok(schedule)
    }

    /// Begins the next epoch.
    ///
    /// # Errors
    /// None for optimizers of this crate.
    pub fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        self.at.last_epoch += 1;
        self.current += 1.0;
        if self.current >= self.length {
            self.current %= self.length;
            self.length *= self.t_mult as f64;
        }
        self.apply(optimizer)
    }

    /// Goes to that epoch, which may be a fraction: `epoch + batch / batches`.
    ///
    /// # Errors
    /// `Value` for a negative epoch.
    pub fn step_to(&mut self, optimizer: &mut dyn ParamGroups, epoch: f64) -> Result<()> {
        ensure!(epoch >= 0.0, Value, "Expected non-negative epoch, but got {}", python_float(epoch));
        let (t_0, mult) = (self.t_0 as f64, self.t_mult as f64);
        (self.current, self.length) = if epoch < t_0 {
            (epoch, t_0)
        } else if self.t_mult == 1 {
            (epoch % t_0, self.length)
        } else {
            let n = ((epoch / t_0 * (mult - 1.0) + 1.0).ln() / mult.ln()).floor();
            (epoch - t_0 * (mult.powf(n) - 1.0) / (mult - 1.0), t_0 * mult.powf(n))
        };
        self.at.last_epoch = epoch.floor() as i64;
        self.apply(optimizer)
    }

    fn apply(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        let height = 1.0 + (PI * self.current / self.length).cos();
        for (group, base_lr) in self.at.base_lrs.iter().enumerate() {
            optimizer.set(group, "lr", self.eta_min + (base_lr - self.eta_min) * height / 2.0)?;
        }
        self.at.last_lr = current_lrs(optimizer);
        Ok(())
    }

    /// The rates now, one per group.
    pub fn get_last_lr(&self) -> &[f64] {
        &self.at.last_lr
    }
}

impl Step for CosineAnnealingWarmRestarts {
    fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        CosineAnnealingWarmRestarts::step(self, optimizer)
    }

    fn restart(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        self.step_to(optimizer, 0.0)
    }

    fn undo(&mut self) {
        self.at.last_epoch -= 1;
    }

    fn get_last_lr(&self) -> &[f64] {
        &self.at.last_lr
    }

    fn state_dict(&self) -> PyValue {
        let settings = [
            ("T_0", self.t_0.save()),
            ("T_i", self.length.save()),
            ("T_mult", self.t_mult.save()),
            ("eta_min", self.eta_min.save()),
            ("T_cur", self.current.save()),
        ];
        PyValue::dict(settings.into_iter().chain(self.at.entries()))
    }

    fn load_state_dict(&mut self, state: &PyValue) -> Result<()> {
        let loaded = CosineAnnealingWarmRestarts {
            t_0: read_or(state, "T_0", self.t_0)?,
            t_mult: read_or(state, "T_mult", self.t_mult)?,
            eta_min: read_or(state, "eta_min", self.eta_min)?,
            current: read(state, "T_cur")?,
            length: read(state, "T_i")?,
            at: self.at.read(state)?,
        };
        ensure!(
            loaded.t_0 > 0 && loaded.t_mult > 0 && loaded.length > 0.0,
            Value,
            "loaded scheduler state has cycles without length"
        );
        *self = loaded;
        Ok(())
    }
}
