//! The way to the constant rate of weight averaging.

use std::f64::consts::PI;

use cresset_core::{Result, ensure, options};
use cresset_io::PyValue;

use super::state::{Setting, take};
use super::{Moment, PerGroup, Schedule, Scheduler, is_cosine};
use crate::optimizer::ParamGroups;

/// Lets the rate go to a constant, as `torch.optim.swa_utils.SWALR` (Izmailov et al. 2018).
///
#[doc = example!("SWALR", "&mut optimizer, 0.5, |o| o.anneal_epochs(2).anneal_strategy(\"linear\")", "[0.750, 0.500, 0.500]")]
pub type SWALR = Scheduler<SwaAnnealing>;

/// The rule of [`SWALR`].
#[derive(Clone, Debug)]
pub struct SwaAnnealing {
    /// The rates at the end, one per group.
    pub swa_lrs: Vec<f64>,
    /// Epochs until they are reached.
    pub anneal_epochs: i64,
    /// Whether the way is a cosine, else a line.
    pub cosine: bool,
}

impl SwaAnnealing {
    /// How much of the way is behind, from 0 to 1.
    fn part(&self, epoch: i64) -> f64 {
        let t = (epoch as f64 / self.anneal_epochs.max(1) as f64).clamp(0.0, 1.0);
        if self.cosine { (1.0 - (PI * t).cos()) / 2.0 } else { t }
    }
}

impl Schedule for SwaAnnealing {
    fn lr(&self, now: Moment) -> f64 {
        let end = self.swa_lrs[now.group.min(self.swa_lrs.len() - 1)];
        let epoch = if self.anneal_epochs == 0 { now.epoch.max(1) } else { now.epoch };
        let before = self.part(epoch - 1);
        let start = if before == 1.0 { end } else { (now.lr - before * end) / (1.0 - before) };
        let part = self.part(epoch);
        end * part + start * (1.0 - part)
    }

    fn settings(&self) -> Vec<(&'static str, PyValue)> {
        let strategy = if self.cosine { "cos" } else { "linear" };
        vec![("_anneal_strategy", strategy.into()), ("anneal_epochs", self.anneal_epochs.save())]
    }

    fn set(&mut self, key: &str, value: &PyValue) -> Result<()> {
        match key {
            "_anneal_strategy" => self.cosine = value.as_str() == Some("cos"),
            "anneal_epochs" => take(&mut self.anneal_epochs, key, value)?,
            _ => {}
        }
        Ok(())
    }
}

options! {
    /// Optional settings of [`SWALR`].
    SWALROptions {
        /// Epochs until the rate is reached (default: 10).
        anneal_epochs: i64 = 10,
        /// The way there: `cos` (default) or `linear`.
        anneal_strategy: String = "cos".into(),
        /// The epoch that is over, when the schedule goes on (default: -1, none).
        last_epoch: i64 = -1,
    }
}

impl SWALR {
    /// Starts on the way to `swa_lr`, one rate for all groups or one for each.
    ///
    /// # Errors
    /// `Value` for another number of rates than groups.
    pub fn new(optimizer: &mut dyn ParamGroups, swa_lr: impl Into<PerGroup>) -> Result<SWALR> {
        Self::with(optimizer, swa_lr, |o| o)
    }

    /// Starts on the way to `swa_lr` with other settings.
    ///
    /// # Errors
    /// `Value` for impossible settings, `Key` when it is to go on and the groups have no `initial_lr`.
    pub fn with(
        optimizer: &mut dyn ParamGroups,
        swa_lr: impl Into<PerGroup>,
        options: impl FnOnce(SWALROptions) -> SWALROptions,
    ) -> Result<SWALR> {
        let SWALROptions { anneal_epochs, anneal_strategy, last_epoch } = options(SWALROptions::default());
        let swa_lrs = swa_lr.into().of(optimizer, "swa_lr")?;
        swa_lrs.iter().enumerate().try_for_each(|(group, lr)| optimizer.set(group, "swa_lr", *lr))?;
        let cosine = is_cosine(&anneal_strategy)?;
        ensure!(
            anneal_epochs >= 0,
            Value,
            "anneal_epochs must be equal or greater than 0, got {anneal_epochs}"
        );
        Scheduler::resume(optimizer, SwaAnnealing { swa_lrs, anneal_epochs, cosine }, last_epoch)
    }
}
