//! The one-cycle schedule: up, down, and far down.

use std::f64::consts::PI;

use cresset_core::{Result, bail, ensure};
use cresset_io::PyValue;

use super::state::{Progress, Setting, read, read_or};
use super::{Step, base_lrs, current_lrs, each_group, note_momenta, set_momentum, supports_momentum};
use crate::optimizer::ParamGroups;

/// Settings of [`OneCycleLR`].
#[derive(Clone, Debug)]
pub struct OneCycleOptions {
    /// The part of the cycle that goes up (default: 0.3).
    pub pct_start: f64,
    /// Whether the way is a cosine, else a line (default: yes).
    pub cosine: bool,
    /// Whether the momentum (or the first decay rate) goes the other way (default: yes).
    pub cycle_momentum: bool,
    /// The lowest momentum (default: 0.85).
    pub base_momentum: f64,
    /// The highest momentum (default: 0.95).
    pub max_momentum: f64,
    /// The highest rate divided by that at the start (default: 25).
    pub div_factor: f64,
    /// The rate at the start divided by that at the end (default: 1e4).
    pub final_div_factor: f64,
    /// Whether the way down first ends at the rate of the start (default: no).
    pub three_phase: bool,
}

impl Default for OneCycleOptions {
    fn default() -> Self {
        OneCycleOptions {
            pct_start: 0.3,
            cosine: true,
            cycle_momentum: true,
            base_momentum: 0.85,
            max_momentum: 0.95,
            div_factor: 25.0,
            final_div_factor: 1e4,
            three_phase: false,
        }
    }
}

/// One cycle over `total_steps` steps, as `torch.optim.lr_scheduler.OneCycleLR` (Smith and Topin 2017). The rates and
/// momenta between which it goes are noted in the groups of the optimizer.
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
    fn all(o: &OneCycleOptions, total_steps: i64) -> Vec<Phase> {
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
    /// `Value` for impossible settings and for an optimizer without momentum, unless it is not to cycle.
    pub fn new(
        optimizer: &mut dyn ParamGroups,
        max_lr: &[f64],
        total_steps: i64,
        options: OneCycleOptions,
    ) -> Result<OneCycleLR> {
        ensure!(total_steps > 0, Value, "Expected positive integer total_steps, but got {total_steps}");
        ensure!(
            (0.0..=1.0).contains(&options.pct_start),
            Value,
            "Expected float between 0 and 1 pct_start, but got {}",
            options.pct_start
        );
        ensure!(
            !options.cycle_momentum || supports_momentum(optimizer),
            Value,
            "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
        );
        let max_lrs = each_group(optimizer, "max_lr", max_lr)?;
        for (group, max_lr) in max_lrs.iter().enumerate() {
            let initial = max_lr / options.div_factor;
            optimizer.set(group, "initial_lr", initial)?;
            optimizer.set(group, "max_lr", *max_lr)?;
            optimizer.set(group, "min_lr", initial / options.final_div_factor)?;
            if options.cycle_momentum {
                note_momenta(optimizer, group, options.base_momentum, options.max_momentum)?;
            }
        }
        let mut cycle = OneCycleLR {
            total_steps,
            phases: Phase::all(&options, total_steps),
            cosine: options.cosine,
            cycle_momentum: options.cycle_momentum,
            use_beta1: optimizer.betas(0).is_some(),
            at: Progress { base_lrs: base_lrs(optimizer)?, last_epoch: -1, ..Progress::default() },
        };
        cycle.step(optimizer)?;
        Ok(cycle)
    }

    /// Goes to the next step.
    ///
    /// # Errors
    /// `Value` after the last.
    pub fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
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
    pub fn last_lr(&self) -> &[f64] {
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

    fn last_lr(&self) -> &[f64] {
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
