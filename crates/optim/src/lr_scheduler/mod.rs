//! Learning-rate schedules.
//!
//! A schedule says what the rate becomes at the next epoch ([`Schedule`]); [`Scheduler`] counts epochs and sets the rates
//! of all groups. Its `step` takes the optimizer, which therefore stays free to be used between steps:
//! `optimizer.step()?; scheduler.step(&mut optimizer)?`. Rates are computed from the previous ones, as PyTorch does,
//! so that schedules can be chained.

/// The example of a schedule: its name, how it is made, and the rates of epochs 1 to 3, which are PyTorch's.
macro_rules! example {
    ($name:literal, $arguments:literal, $rates:literal) => {
        concat!(
            "# Examples\n```\nuse cresset_core::{Result, ops};\nuse cresset_optim::{SGD, lr_scheduler::",
            $name,
            "};\n\n# fn main() -> Result<()> {\nlet mut optimizer = SGD::new([ops::zeros([1])?.requires_grad_(true)?], 1.0)?;\nlet mut scheduler = ",
            $name,
            "::with(",
            $arguments,
            ")?;\nlet mut rates = Vec::new();\nfor _epoch in 0..3 {\n    optimizer.step()?;\n    scheduler.step(&mut optimizer)?;\n    rates.push(scheduler.get_last_lr()[0]);\n}\nassert_eq!(format!(\"{rates:.3?}\"), \"",
            $rates,
            "\");\n# Ok(())\n# }\n```"
        )
    };
}

mod compose;
mod cosine;
mod cycle;
mod cyclic;
mod factor;
mod plateau;
mod state;
mod swa;

pub use compose::{ChainedScheduler, SequentialLR, SequentialLROptions, Step};
pub use cosine::{
    CosineAnnealing, CosineAnnealingLR, CosineAnnealingLROptions, CosineAnnealingWarmRestarts,
    CosineAnnealingWarmRestartsOptions,
};
pub use cycle::{OneCycleLR, OneCycleLROptions};
pub use cyclic::{CyclicLR, CyclicLROptions, ScaleFn};
pub use factor::{
    ConstantFactor, ConstantLR, ConstantLROptions, ExponentialDecay, ExponentialLR, ExponentialLROptions,
    Lambda, LambdaLR, LambdaLROptions, LinearFactor, LinearLR, LinearLROptions, MultiStep, MultiStepLR,
    MultiStepLROptions, Multiplicative, MultiplicativeLR, Polynomial, PolynomialLR, PolynomialLROptions,
    StepDecay, StepLR, StepLROptions,
};
pub use plateau::{ReduceLROnPlateau, ReduceLROnPlateauOptions};
pub use swa::{SWALR, SWALROptions, SwaAnnealing};

use cresset_core::{Result, bail, ensure};
use cresset_io::PyValue;

use self::state::Progress;
use crate::optimizer::ParamGroups;

/// What a schedule knows when it is asked for a rate.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The epoch that begins, from 0.
    pub epoch: i64,
    /// The rate so far.
    pub lr: f64,
    /// The rate at the start.
    pub base_lr: f64,
    /// The group.
    pub group: usize,
    /// Whether the scheduler is just being made.
    pub initial: bool,
}

/// A rule for learning rates.
pub trait Schedule {
    /// The rate of a group at that moment.
    fn lr(&self, now: Moment) -> f64;

    /// The rate of a group when the schedule begins anew in the middle of another.
    fn restarted(&self, now: Moment) -> f64 {
        self.lr(Moment { lr: now.base_lr, ..now })
    }

    /// Refuses impossible settings.
    ///
    /// # Errors
    /// `Value` with PyTorch's text.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The settings under PyTorch's names, which are saved with the state of the scheduler.
    fn settings(&self) -> Vec<(&'static str, PyValue)> {
        Vec::new()
    }

    /// Takes over a saved setting; there may be entries that are none.
    ///
    /// # Errors
    /// `Type` for a value of another kind.
    fn set(&mut self, key: &str, value: &PyValue) -> Result<()> {
        let _ = (key, value);
        Ok(())
    }
}

/// Applies a schedule to all groups of an optimizer, as `torch.optim.lr_scheduler.LRScheduler`.
#[derive(Clone, Debug)]
pub struct Scheduler<S> {
    schedule: S,
    at: Progress,
}

/// Notes the rate at the start of each group, unless an earlier schedule did; those rates. A schedule that goes on after
/// `last_epoch` needs them noted.
fn base_lrs(optimizer: &mut dyn ParamGroups, last_epoch: i64) -> Result<Vec<f64>> {
    optimizer.watch_steps();
    let mut rates = Vec::new();
    for group in 0..optimizer.group_count() {
        let noted = optimizer.get(group, "initial_lr");
        ensure!(
            last_epoch == -1 || noted.is_some(),
            Key,
            "param 'initial_lr' is not specified in param_groups[{group}] when resuming scheduler with last_epoch >= 0.\nThis typically happens when:\n1. You're trying to resume training from a checkpoint but haven't properly loaded the optimizer state\n2. You're using last_epoch >= 0 for a fresh training run (not recommended)"
        );
        let base = noted.or_else(|| optimizer.get(group, "lr")).unwrap_or_default();
        optimizer.set(group, "initial_lr", base)?;
        rates.push(base);
    }
    Ok(rates)
}

fn current_lrs(optimizer: &dyn ParamGroups) -> Vec<f64> {
    (0..optimizer.group_count()).map(|g| optimizer.get(g, "lr").unwrap_or_default()).collect()
}

impl<S: Schedule> Scheduler<S> {
    /// Starts the schedule: sets the rates of epoch 0.
    ///
    /// # Errors
    /// `Value` for impossible settings.
    pub fn start(optimizer: &mut dyn ParamGroups, schedule: S) -> Result<Self> {
        Self::resume(optimizer, schedule, -1)
    }

    /// Goes on after `last_epoch` (-1 to start), for an optimizer that another schedule of the kind has stepped so far.
    ///
    /// # Errors
    /// `Value` for impossible settings, `Key` when the groups have no `initial_lr`.
    pub fn resume(optimizer: &mut dyn ParamGroups, schedule: S, last_epoch: i64) -> Result<Self> {
        schedule.check()?;
        let at = Progress::new(optimizer, last_epoch)?;
        let mut scheduler = Scheduler { schedule, at };
        scheduler.advance(optimizer, true)?;
        Ok(scheduler)
    }

    /// Begins the next epoch: sets its rates.
    ///
    /// # Errors
    /// `Value` when the optimizer has more groups than it had at the start.
    pub fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        warn_if_early(optimizer, self.at.step_count);
        self.advance(optimizer, false)
    }

    fn advance(&mut self, optimizer: &mut dyn ParamGroups, initial: bool) -> Result<()> {
        let groups = optimizer.group_count();
        ensure!(
            groups == self.at.base_lrs.len(),
            Value,
            "the schedule began with {} parameter groups, the optimizer has {groups}",
            self.at.base_lrs.len()
        );
        self.at.step_count += 1;
        self.at.last_epoch += 1;
        for (group, base_lr) in self.at.base_lrs.iter().copied().enumerate() {
            let lr = optimizer.get(group, "lr").unwrap_or(base_lr);
            let now = Moment { epoch: self.at.last_epoch, lr, base_lr, group, initial };
            optimizer.set(group, "lr", self.schedule.lr(now))?;
        }
        self.at.last_lr = current_lrs(optimizer);
        Ok(())
    }

    /// The rates now, one per group.
    pub fn get_last_lr(&self) -> &[f64] {
        &self.at.last_lr
    }

    /// The epoch, from 0.
    pub fn last_epoch(&self) -> i64 {
        self.at.last_epoch
    }

    /// What the scheduler remembers, under PyTorch's keys: its settings, and where it stands. The rates themselves are in
    /// the optimizer's state.
    pub fn state_dict(&self) -> PyValue {
        PyValue::dict(self.schedule.settings().into_iter().chain(self.at.entries()))
    }

    /// Continues from what a scheduler of the same schedule remembered, here or in PyTorch, with its settings.
    ///
    /// # Errors
    /// `Value` when the number of groups differs, `Key` and `Type` for states of something else.
    pub fn load_state_dict(&mut self, state: &PyValue) -> Result<()>
    where
        S: Clone,
    {
        let (at, mut schedule) = (self.at.read(state)?, self.schedule.clone());
        for (key, value) in state.entries().unwrap_or_default() {
            schedule.set(key.as_str().unwrap_or_default(), value)?;
        }
        (self.at, self.schedule) = (at, schedule);
        Ok(())
    }
}

/// A setting of all groups, or one for each: made from a number, or from a list.
#[derive(Clone, Debug, PartialEq)]
pub enum PerGroup {
    /// One for all.
    All(f64),
    /// One for each.
    Each(Vec<f64>),
}

impl From<f64> for PerGroup {
    fn from(value: f64) -> Self {
        PerGroup::All(value)
    }
}

impl<const N: usize> From<[f64; N]> for PerGroup {
    fn from(values: [f64; N]) -> Self {
        PerGroup::Each(values.to_vec())
    }
}

impl From<Vec<f64>> for PerGroup {
    fn from(values: Vec<f64>) -> Self {
        PerGroup::Each(values)
    }
}

impl PerGroup {
    /// The setting of each group.
    fn of(&self, optimizer: &dyn ParamGroups, name: &str) -> Result<Vec<f64>> {
        let groups = optimizer.group_count();
        match self {
            PerGroup::All(value) => Ok(vec![*value; groups]),
            PerGroup::Each(values) => {
                ensure!(
                    values.len() == groups,
                    Value,
                    "{name} must have the same length as optimizer.param_groups. {name} has {} values, param_groups has {groups}.",
                    values.len()
                );
                Ok(values.clone())
            }
        }
    }
}

/// Whether a word means a cosine, as opposed to a line.
fn is_cosine(anneal_strategy: &str) -> Result<bool> {
    match anneal_strategy {
        "cos" => Ok(true),
        "linear" => Ok(false),
        other => bail!(Value, "anneal_strategy must be one of 'cos' or 'linear', instead got {other}"),
    }
}

/// Whether all groups have a momentum or decay rates.
fn supports_momentum(optimizer: &dyn ParamGroups) -> bool {
    (0..optimizer.group_count())
        .all(|g| optimizer.get(g, "momentum").is_some() || optimizer.betas(g).is_some())
}

/// Sets the momentum of a group, or its first decay rate.
fn set_momentum(optimizer: &mut dyn ParamGroups, group: usize, momentum: f64) -> Result<()> {
    match optimizer.betas(group) {
        Some((_, beta2)) => optimizer.set_betas(group, (momentum, beta2)),
        None => optimizer.set(group, "momentum", momentum),
    }
}

/// The lowest and the highest momentum of each group, which start at the highest; noted in the groups unless the schedule
/// goes on.
fn momenta(
    optimizer: &mut dyn ParamGroups,
    base_momentum: &PerGroup,
    max_momentum: &PerGroup,
    last_epoch: i64,
) -> Result<(Vec<f64>, Vec<f64>)> {
    ensure!(
        supports_momentum(optimizer),
        Value,
        "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
    );
    let low = base_momentum.of(optimizer, "base_momentum")?;
    let high = max_momentum.of(optimizer, "max_momentum")?;
    for (group, (low, high)) in low.iter().zip(&high).enumerate().filter(|_| last_epoch == -1) {
        set_momentum(optimizer, group, *high)?;
        optimizer.set(group, "max_momentum", *high)?;
        optimizer.set(group, "base_momentum", *low)?;
    }
    Ok((low, high))
}

/// Warns, as PyTorch does, when the first step of a schedule comes before that of the optimizer.
fn warn_if_early(optimizer: &dyn ParamGroups, step_count: i64) {
    if step_count == 1 && !optimizer.has_stepped() {
        eprintln!(
            "UserWarning: Detected call of `lr_scheduler.step()` before `optimizer.step()`. In PyTorch 1.1.0 and later, you should call them in the opposite order: `optimizer.step()` before `lr_scheduler.step()`.  Failure to do this will result in PyTorch skipping the first value of the learning rate schedule. See more details at https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
        );
    }
}
