//! The one-cycle schedule: up, down, and far down.

use std::f64::consts::PI;

use cresset_core::{Result, ensure};
use cresset_io::PyValue;

use super::state::{Entry, dict, floats, int};
use super::{Step, current_lrs, each_group, set_momentum, supports_momentum};
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

/// One cycle over `total_steps` steps, as `torch.optim.lr_scheduler.OneCycleLR` (Smith and Topin 2017).
#[derive(Clone, Debug)]
pub struct OneCycleLR {
    options: OneCycleOptions,
    max_lrs: Vec<f64>,
    total_steps: i64,
    last_epoch: i64,
    last_lr: Vec<f64>,
}

/// One stretch: the step at its end, the rates and the momenta at its ends.
struct Phase {
    end: f64,
    lr: (f64, f64),
    momentum: (f64, f64),
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
        }
        let mut cycle = OneCycleLR { options, max_lrs, total_steps, last_epoch: -1, last_lr: Vec::new() };
        cycle.step(optimizer)?;
        Ok(cycle)
    }

    /// Goes to the next step.
    ///
    /// # Errors
    /// `Value` after the last.
    pub fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        ensure!(
            self.last_epoch < self.total_steps,
            Value,
            "Tried to step {} times. The specified number of total steps is {}",
            self.last_epoch + 1,
            self.total_steps
        );
        self.last_epoch += 1;
        self.apply(optimizer)
    }

    fn apply(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        for group in 0..self.max_lrs.len() {
            let (lr, momentum) = self.at(self.last_epoch as f64, group);
            optimizer.set(group, "lr", lr)?;
            if self.options.cycle_momentum {
                set_momentum(optimizer, group, momentum)?;
            }
        }
        self.last_lr = current_lrs(optimizer);
        Ok(())
    }

    fn phases(&self, group: usize) -> Vec<Phase> {
        let o = &self.options;
        let (top, total) = (self.max_lrs[group], self.total_steps as f64);
        let start = top / o.div_factor;
        let bottom = start / o.final_div_factor;
        let (low, high) = (o.base_momentum, o.max_momentum);
        let up = Phase { end: o.pct_start * total - 1.0, lr: (start, top), momentum: (high, low) };
        if !o.three_phase {
            return vec![up, Phase { end: total - 1.0, lr: (top, bottom), momentum: (low, high) }];
        }
        let down = Phase { end: 2.0 * o.pct_start * total - 2.0, lr: (top, start), momentum: (low, high) };
        vec![up, down, Phase { end: total - 1.0, lr: (start, bottom), momentum: (high, high) }]
    }

    fn at(&self, step: f64, group: usize) -> (f64, f64) {
        let phases = self.phases(group);
        let i = phases.iter().position(|p| step <= p.end).unwrap_or(phases.len() - 1);
        let begin = if i == 0 { 0.0 } else { phases[i - 1].end };
        let part = (step - begin) / (phases[i].end - begin);
        let anneal = |(start, end): (f64, f64)| {
            if self.options.cosine {
                end + (start - end) / 2.0 * ((PI * part).cos() + 1.0)
            } else {
                (end - start) * part + start
            }
        };
        (anneal(phases[i].lr), anneal(phases[i].momentum))
    }

    /// The rates now, one per group.
    pub fn last_lr(&self) -> &[f64] {
        &self.last_lr
    }
}

impl Step for OneCycleLR {
    fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        OneCycleLR::step(self, optimizer)
    }

    fn restart(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        self.last_epoch = 0;
        self.apply(optimizer)
    }

    fn undo(&mut self) {
        self.last_epoch -= 1;
    }

    fn last_lr(&self) -> &[f64] {
        &self.last_lr
    }

    fn state_dict(&self) -> PyValue {
        dict(&[
            ("total_steps", Entry::Int(self.total_steps)),
            ("last_epoch", Entry::Int(self.last_epoch)),
            ("_step_count", Entry::Int(self.last_epoch + 1)),
            ("_last_lr", Entry::Floats(&self.last_lr)),
        ])
    }

    fn load_state_dict(&mut self, state: &PyValue) -> Result<()> {
        let (total_steps, last_epoch) = (int(state, "total_steps")?, int(state, "last_epoch")?);
        self.last_lr = floats(state, "_last_lr", self.max_lrs.len())?;
        (self.total_steps, self.last_epoch) = (total_steps, last_epoch);
        Ok(())
    }
}
