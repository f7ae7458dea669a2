//! The one-cycle schedule: up, down, and far down.

use std::f64::consts::PI;

use cresset_core::{Result, bail, ensure, options};
use cresset_io::PyValue;

use super::state::{Progress, Setting, read, read_or};
use super::{PerGroup, Step, current_lrs, is_cosine, momenta, set_momentum, warn_if_early};
use crate::hyper::python_float;
use crate::optimizer::ParamGroups;

options! {
    /// Optional settings of [`OneCycleLR`].
    OneCycleLROptions {
        /// The part of the cycle that goes up (default: 0.3).
        pct_start: f64 = 0.3,
        /// The way between rates: `cos` (default) or `linear`.
        anneal_strategy: String = "cos".into(),
        /// Whether the momentum (or the first decay rate) goes the other way (default: yes).
        cycle_momentum: bool = true,
        /// The lowest momentum, one for all groups or one for each (default: 0.85).
        base_momentum: PerGroup = 0.85.into(),
        /// The highest momentum (default: 0.95).
        max_momentum: PerGroup = 0.95.into(),
        /// The highest rate divided by that at the start (default: 25).
        div_factor: f64 = 25.0,
        /// The rate at the start divided by that at the end (default: 1e4).
        final_div_factor: f64 = 1e4,
        /// Whether the way down first ends at the rate of the start (default: no).
        three_phase: bool = false,
        /// The step that is over, when the cycle goes on (default: -1, none).
        last_epoch: i64 = -1,
    }
}

/// One cycle over `total_steps` steps, as `torch.optim.lr_scheduler.OneCycleLR` (Smith and Topin 2017). The rates and
/// momenta between which it goes are noted in the groups of the optimizer.
///
/// # Examples
/// ```
/// use cresset_core::{Result, ops};
/// use cresset_optim::{SGD, lr_scheduler::OneCycleLR};
///
/// # fn main() -> Result<()> {
/// let mut optimizer = SGD::with([ops::zeros([1])?.requires_grad_(true)?], 0.1, |o| o.momentum(0.9))?;
/// let mut scheduler = OneCycleLR::with(&mut optimizer, 1.0, 10, |o| o.pct_start(0.5).div_factor(4.0))?;
/// assert_eq!(scheduler.get_last_lr(), [0.25]);
/// for _batch in 0..4 {
///     optimizer.step()?;
///     scheduler.step(&mut optimizer)?;
/// }
/// assert_eq!(scheduler.get_last_lr(), [1.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct OneCycleLR {
    total_steps: i64,
    phases: Vec<Phase>,
    cosine: bool,
    cycle_momentum: bool,
    use_beta1: bool,
    at: Progress,
}

/// One stretch: the step at its end, and the names of the rates and the momenta at its ends.
#[derive(Clone, Debug)]
struct Phase {
    end: f64,
    lr: [String; 2],
    momentum: [String; 2],
}

const NAMES: [&str; 5] = ["end_step", "start_lr", "end_lr", "start_momentum", "end_momentum"];

impl Phase {
    fn new(end: f64, lr: [&str; 2], momentum: [&str; 2]) -> Phase {
        Phase { end, lr: lr.map(String::from), momentum: momentum.map(String::from) }
    }

    fn save(&self) -> PyValue {
        let names = self.lr.iter().chain(&self.momentum).map(|name| name.save());
        PyValue::dict(NAMES.into_iter().zip([self.end.save()].into_iter().chain(names)))
    }

    fn load(value: &PyValue) -> Result<Phase> {
        let [end, rest @ ..] = NAMES;
        let [a, b, c, d] = rest.map(|key| read::<String>(value, key));
        Ok(Phase { end: read(value, end)?, lr: [a?, b?], momentum: [c?, d?] })
    }

    /// The stretches of a cycle.
    fn all(o: &OneCycleLROptions, total_steps: i64) -> Vec<Phase> {
        let (low, high) = ("base_momentum", "max_momentum");
        let part = o.pct_start * total_steps as f64;
        let (top, last) = (part - 1.0, (total_steps - 1) as f64);
        let up = Phase::new(top, ["initial_lr", "max_lr"], [high, low]);
        if !o.three_phase {
            return vec![up, Phase::new(last, ["max_lr", "min_lr"], [low, high])];
        }
        let down =
            Phase::new(2.0 * o.pct_start * total_steps as f64 - 2.0, ["max_lr", "initial_lr"], [low, high]);
        vec![up, down, Phase::new(last, ["initial_lr", "min_lr"], [high, high])]
    }
}

impl OneCycleLR {
    /// Begins the cycle; `max_lr` is the highest rate of all groups, or one per group.
    ///
    /// # Errors
    /// `Value` without steps and for an optimizer without momentum.
    pub fn new(
        optimizer: &mut dyn ParamGroups,
        max_lr: impl Into<PerGroup>,
        total_steps: i64,
    ) -> Result<OneCycleLR> {
        Self::with(optimizer, max_lr, total_steps, |o| o)
    }

    /// Begins the cycle with other settings.
    ///
    /// # Errors
    /// `Value` for impossible settings and for an optimizer without momentum, unless it is not to cycle; `Key` when it is to
    /// go on and the groups have no `initial_lr`.
    pub fn with(
        optimizer: &mut dyn ParamGroups,
        max_lr: impl Into<PerGroup>,
        total_steps: i64,
        options: impl FnOnce(OneCycleLROptions) -> OneCycleLROptions,
    ) -> Result<OneCycleLR> {
        let o = options(OneCycleLROptions::default());
        ensure!(total_steps > 0, Value, "Expected positive integer total_steps, but got {total_steps}");
        ensure!(
            (0.0..=1.0).contains(&o.pct_start),
            Value,
            "Expected float between 0 and 1 pct_start, but got {}",
            python_float(o.pct_start)
        );
        let cosine = is_cosine(&o.anneal_strategy)?;
        let max_lrs = max_lr.into().of(optimizer, "max_lr")?;
        for (group, max_lr) in max_lrs.iter().enumerate().filter(|_| o.last_epoch == -1) {
            let initial = max_lr / o.div_factor;
            optimizer.set(group, "initial_lr", initial)?;
            optimizer.set(group, "max_lr", *max_lr)?;
            optimizer.set(group, "min_lr", initial / o.final_div_factor)?;
        }
        if o.cycle_momentum {
            momenta(optimizer, &o.base_momentum, &o.max_momentum, o.last_epoch)?;
        }
        let mut cycle = OneCycleLR {
            total_steps,
            phases: Phase::all(&o, total_steps),
            cosine,
            cycle_momentum: o.cycle_momentum,
            use_beta1: optimizer.betas(0).is_some(),
            at: Progress::new(optimizer, o.last_epoch)?,
        };
        cycle.step(optimizer)?;
        Ok(cycle)
    }

    /// Goes to the next step.
    ///
    /// # Errors
    /// `Value` after the last.
    pub fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        warn_if_early(optimizer, self.at.step_count);
        ensure!(
            self.at.last_epoch < self.total_steps,
            Value,
            "Tried to step {} times. The specified number of total steps is {}",
            self.at.last_epoch + 1,
            self.total_steps
        );
        self.at.last_epoch += 1;
        self.at.step_count += 1;
        self.apply(optimizer)
    }

    fn apply(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        let step = self.at.last_epoch as f64;
        let i = self.phases.iter().position(|p| step <= p.end).unwrap_or(self.phases.len() - 1);
        let begin = if i == 0 { 0.0 } else { self.phases[i - 1].end };
        let phase = &self.phases[i];
        let part = (step - begin) / (phase.end - begin);
        for group in 0..optimizer.group_count() {
            let lr = self.between(optimizer, group, &phase.lr, part)?;
            optimizer.set(group, "lr", lr)?;
            if self.cycle_momentum {
                let momentum = self.between(optimizer, group, &phase.momentum, part)?;
                set_momentum(optimizer, group, momentum)?;
            }
        }
        self.at.last_lr = current_lrs(optimizer);
        Ok(())
    }

    /// The value that far between two that the group notes.
    fn between(
        &self,
        optimizer: &dyn ParamGroups,
        group: usize,
        ends: &[String; 2],
        part: f64,
    ) -> Result<f64> {
        let noted = |name: &String| match optimizer.get(group, name) {
            Some(x) => Ok(x),
            None => bail!(Key, "'{name}'"),
        };
        let (start, end) = (noted(&ends[0])?, noted(&ends[1])?);
        Ok(match self.cosine {
            true => end + (start - end) / 2.0 * ((PI * part).cos() + 1.0),
            false => (end - start) * part + start,
        })
    }

    /// The rates now, one per group.
    pub fn get_last_lr(&self) -> &[f64] {
        &self.at.last_lr
    }
}

impl Step for OneCycleLR {
    fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        OneCycleLR::step(self, optimizer)
    }

    fn restart(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        self.at.last_epoch = 0;
        self.apply(optimizer)
    }

    fn undo(&mut self) {
        self.at.last_epoch -= 1;
    }

    fn get_last_lr(&self) -> &[f64] {
        &self.at.last_lr
    }

    fn state_dict(&self) -> PyValue {
        let mut settings = vec![
            ("total_steps", self.total_steps.save()),
            ("_schedule_phases", PyValue::List(self.phases.iter().map(Phase::save).collect())),
            ("_anneal_func_type", if self.cosine { "cos" } else { "linear" }.into()),
            ("cycle_momentum", self.cycle_momentum.save()),
        ];
        if self.cycle_momentum {
            settings.push(("use_beta1", self.use_beta1.save()));
        }
        PyValue::dict(settings.into_iter().chain(self.at.entries()))
    }

    fn load_state_dict(&mut self, state: &PyValue) -> Result<()> {
        let phases = match state.get("_schedule_phases") {
            None => self.phases.clone(),
            Some(list) => list.items().unwrap_or_default().iter().map(Phase::load).collect::<Result<_>>()?,
        };
        ensure!(!phases.is_empty(), Value, "loaded scheduler state has no phases");
        *self = OneCycleLR {
            total_steps: read(state, "total_steps")?,
            phases,
            cosine: state
                .get("_anneal_func_type")
                .and_then(PyValue::as_str)
                .map_or(self.cosine, |s| s == "cos"),
            cycle_momentum: read_or(state, "cycle_momentum", self.cycle_momentum)?,
            use_beta1: self.use_beta1,
            at: self.at.read(state)?,
        };
        Ok(())
    }
}
