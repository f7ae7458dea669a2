//! Schedules made of schedules: one after the other ([`SequentialLR`]) or all at once ([`ChainedScheduler`]).

use cresset_core::{Result, bail, ensure, options};
use cresset_io::PyValue;

use super::state::{Setting, floats, nested, read};
use super::{Moment, Schedule, Scheduler, current_lrs};
use crate::optimizer::ParamGroups;

/// Any scheduler whose step takes only the optimizer: it can be part of another, and its state saved.
pub trait Step {
    /// Begins the next epoch.
    ///
    /// # Errors
    /// Those of the scheduler.
    fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()>;

    /// Begins anew at epoch 0 from the rates at the start.
    ///
    /// # Errors
    /// Those of the scheduler.
    fn restart(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()>;

    /// Takes the first step back, so that it can be taken at another time.
    fn undo(&mut self);

    /// The rates now, one per group.
    fn get_last_lr(&self) -> &[f64];

    /// What it remembers, under PyTorch's keys.
    fn state_dict(&self) -> PyValue;

    /// Continues from what a scheduler of the same kind remembered, here or in PyTorch.
    ///
    /// # Errors
    /// `Value` when the number of groups or parts differs, `Key` and `Type` for states of something else.
    fn load_state_dict(&mut self, state: &PyValue) -> Result<()>;
}

impl<S: Schedule + Clone> Step for Scheduler<S> {
    fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        Scheduler::step(self, optimizer)
    }

    fn restart(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        self.at.last_epoch = 0;
        for (group, base_lr) in self.at.base_lrs.iter().copied().enumerate() {
            let lr = optimizer.get(group, "lr").unwrap_or(base_lr);
            let now = Moment { epoch: 0, lr, base_lr, group, initial: true };
            optimizer.set(group, "lr", self.schedule.restarted(now))?;
        }
        self.at.last_lr = current_lrs(optimizer);
        Ok(())
    }

    fn undo(&mut self) {
        self.at.last_epoch -= 1;
    }

    fn get_last_lr(&self) -> &[f64] {
        Scheduler::get_last_lr(self)
    }

    fn state_dict(&self) -> PyValue {
        Scheduler::state_dict(self)
    }

    fn load_state_dict(&mut self, state: &PyValue) -> Result<()> {
        Scheduler::load_state_dict(self, state)
    }
}

/// The states of the parts of a scheduler.
fn states(schedulers: &[Box<dyn Step>]) -> PyValue {
    PyValue::List(schedulers.iter().map(|s| s.state_dict()).collect())
}

/// Gives each part its state.
fn load_states(schedulers: &mut [Box<dyn Step>], state: &PyValue) -> Result<()> {
    let parts = nested(state, "_schedulers", schedulers.len())?;
    schedulers.iter_mut().zip(parts).try_for_each(|(s, state)| s.load_state_dict(state))
}

options! {
    /// Optional settings of [`SequentialLR`].
    SequentialLROptions {
        /// The epoch that is over, when the schedule goes on (default: -1, none).
        last_epoch: i64 = -1,
    }
}

/// Runs one scheduler after the other, as `torch.optim.lr_scheduler.SequentialLR`.
///
/// # Examples
/// ```
/// use cresset_core::{Result, ops};
/// use cresset_optim::{SGD, lr_scheduler::{ConstantLR, ExponentialLR, SequentialLR}};
///
/// # fn main() -> Result<()> {
/// let mut optimizer = SGD::new([ops::zeros([1])?.requires_grad_(true)?], 1.0)?;
/// let warm = ConstantLR::with(&mut optimizer, |o| o.factor(0.5).total_iters(9))?;
/// let cool = ExponentialLR::new(&mut optimizer, 0.5)?;
/// let mut scheduler = SequentialLR::new(&mut optimizer, vec![Box::new(warm), Box::new(cool)], vec![2])?;
/// let mut rates = vec![scheduler.get_last_lr()[0]];
/// for _epoch in 0..3 {
///     optimizer.step()?;
///     scheduler.step(&mut optimizer)?;
///     rates.push(scheduler.get_last_lr()[0]);
/// }
/// assert_eq!(rates, [0.5, 0.5, 1.0, 0.5]);
/// # Ok(())
/// # }
/// ```
pub struct SequentialLR {
    schedulers: Vec<Box<dyn Step>>,
    milestones: Vec<i64>,
    last_epoch: i64,
    last_lr: Vec<f64>,
}

impl SequentialLR {
    /// The schedulers and the epochs at which the second, third, … begins.
    ///
    /// # Errors
    /// `Value` unless there is one milestone less than schedulers.
    pub fn new(
        optimizer: &mut dyn ParamGroups,
        schedulers: Vec<Box<dyn Step>>,
        milestones: Vec<i64>,
    ) -> Result<SequentialLR> {
        Self::with(optimizer, schedulers, milestones, |o| o)
    }

    /// [`SequentialLR::new`] with other settings.
    ///
    /// # Errors
    /// As [`SequentialLR::new`].
    pub fn with(
        optimizer: &mut dyn ParamGroups,
        mut schedulers: Vec<Box<dyn Step>>,
        milestones: Vec<i64>,
        options: impl FnOnce(SequentialLROptions) -> SequentialLROptions,
    ) -> Result<SequentialLR> {
        ensure!(
            !schedulers.is_empty(),
            Value,
            "SequentialLR expects at least one scheduler, but got no scheduler."
        );
        ensure!(
            milestones.len() + 1 == schedulers.len(),
            Value,
            "Sequential Schedulers expects number of schedulers provided to be one more than the number of milestone points, but got number of schedulers {} and the number of milestones to be equal to {}",
            schedulers.len(),
            milestones.len()
        );
        for group in 0..optimizer.group_count() {
            if let Some(lr) = optimizer.get(group, "initial_lr") {
                optimizer.set(group, "lr", lr)?;
            }
        }
        schedulers.iter_mut().for_each(|s| s.undo());
        let first = milestones.partition_point(|m| *m <= 0);
        schedulers[first].restart(optimizer)?;
        let last_lr = current_lrs(optimizer);
        let last_epoch = options(SequentialLROptions::default()).last_epoch + 1;
        Ok(SequentialLR { schedulers, milestones, last_epoch, last_lr })
    }

    /// Begins the next epoch.
    ///
    /// # Errors
    /// Those of the schedulers.
    pub fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        self.last_epoch += 1;
        let i = self.milestones.partition_point(|m| *m <= self.last_epoch);
        if i > 0 && self.milestones[i - 1] == self.last_epoch {
            self.schedulers[i].restart(optimizer)?;
        } else {
            self.schedulers[i].step(optimizer)?;
        }
        self.last_lr = current_lrs(optimizer);
        Ok(())
    }

    /// The rates now, one per group.
    pub fn get_last_lr(&self) -> &[f64] {
        &self.last_lr
    }
}

/// Runs several schedulers at once, as `torch.optim.lr_scheduler.ChainedScheduler`.
///
/// # Examples
/// ```
/// use cresset_core::{Result, ops};
/// use cresset_optim::{SGD, lr_scheduler::{ChainedScheduler, ConstantLR, ExponentialLR}};
///
/// # fn main() -> Result<()> {
/// let mut optimizer = SGD::new([ops::zeros([1])?.requires_grad_(true)?], 1.0)?;
/// let warm = ConstantLR::with(&mut optimizer, |o| o.factor(0.5).total_iters(2))?;
/// let cool = ExponentialLR::new(&mut optimizer, 0.5)?;
/// let mut scheduler = ChainedScheduler::new(&optimizer, vec![Box::new(warm), Box::new(cool)])?;
/// for rate in [0.25, 0.25, 0.125] {
///     optimizer.step()?;
///     scheduler.step(&mut optimizer)?;
///     assert_eq!(scheduler.get_last_lr(), [rate]);
/// }
/// # Ok(())
/// # }
/// ```
pub struct ChainedScheduler {
    schedulers: Vec<Box<dyn Step>>,
    last_lr: Vec<f64>,
}

impl ChainedScheduler {
    /// The schedulers, which have begun.
    ///
    /// # Errors
    /// `Value` without schedulers.
    pub fn new(optimizer: &dyn ParamGroups, schedulers: Vec<Box<dyn Step>>) -> Result<ChainedScheduler> {
        ensure!(
            !schedulers.is_empty(),
            Value,
            "ChainedScheduler expects at least one scheduler to be chained, but got no scheduler."
        );
        Ok(ChainedScheduler { schedulers, last_lr: current_lrs(optimizer) })
    }

    /// Begins the next epoch of all.
    ///
    /// # Errors
    /// Those of the schedulers.
    pub fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        self.schedulers.iter_mut().try_for_each(|s| s.step(optimizer))?;
        self.last_lr = current_lrs(optimizer);
        Ok(())
    }

    /// The rates now, one per group.
    pub fn get_last_lr(&self) -> &[f64] {
        &self.last_lr
    }
}

impl Step for SequentialLR {
    fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        SequentialLR::step(self, optimizer)
    }

    fn restart(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        self.last_epoch = 0;
        let first = self.milestones.partition_point(|m| *m <= 0);
        self.schedulers[first].restart(optimizer)?;
        self.last_lr = current_lrs(optimizer);
        Ok(())
    }

    fn undo(&mut self) {
        self.last_epoch -= 1;
    }

    fn get_last_lr(&self) -> &[f64] {
        &self.last_lr
    }

    fn state_dict(&self) -> PyValue {
        let milestones: Vec<PyValue> = self.milestones.iter().map(|m| PyValue::Int(*m)).collect();
        PyValue::dict([
            ("_milestones", PyValue::List(milestones)),
            ("last_epoch", self.last_epoch.save()),
            ("_last_lr", self.last_lr.save()),
            ("_schedulers", states(&self.schedulers)),
        ])
    }

    fn load_state_dict(&mut self, state: &PyValue) -> Result<()> {
        let last_epoch = read(state, "last_epoch")?;
        let last_lr = floats(state, "_last_lr", self.last_lr.len())?;
        let milestones = nested(state, "_milestones", self.milestones.len())?;
        let Some(milestones) = milestones.iter().map(PyValue::as_int).collect() else {
            bail!(Type, "expected ints in '_milestones' of the scheduler's state");
        };
        load_states(&mut self.schedulers, state)?;
        (self.last_epoch, self.last_lr, self.milestones) = (last_epoch, last_lr, milestones);
        Ok(())
    }
}

impl Step for ChainedScheduler {
    fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        ChainedScheduler::step(self, optimizer)
    }

    fn restart(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        self.schedulers.iter_mut().try_for_each(|s| s.restart(optimizer))?;
        self.last_lr = current_lrs(optimizer);
        Ok(())
    }

    fn undo(&mut self) {
        self.schedulers.iter_mut().for_each(|s| s.undo());
    }

    fn get_last_lr(&self) -> &[f64] {
        &self.last_lr
    }

    fn state_dict(&self) -> PyValue {
        PyValue::dict([("_last_lr", self.last_lr.save()), ("_schedulers", states(&self.schedulers))])
    }

    fn load_state_dict(&mut self, state: &PyValue) -> Result<()> {
        let last_lr = floats(state, "_last_lr", self.last_lr.len())?;
        load_states(&mut self.schedulers, state)?;
        self.last_lr = last_lr;
        Ok(())
    }
}
