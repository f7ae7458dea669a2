//! Cycles between two rates.

use std::sync::Arc;

use cresset_core::{Result, ensure};
use cresset_io::PyValue;

use super::state::{Entry, dict, float, floats, int};
use super::{Step, base_lrs, current_lrs, each_group, set_momentum, supports_momentum};
use crate::optimizer::ParamGroups;

/// How the height of the cycles changes: a function of the number of the cycle (from 1), or of the step.
#[derive(Clone)]
pub enum CyclicMode {
    /// Cycles of one height.
    Triangular,
    /// Each cycle has half the height of the one before.
    Triangular2,
    /// The height is a power of that number, by steps.
    ExpRange(f64),
    /// A function of the number of the cycle.
    ByCycle(Arc<dyn Fn(f64) -> f64 + Send + Sync>),
    /// A function of the step.
    ByStep(Arc<dyn Fn(f64) -> f64 + Send + Sync>),
}

impl std::fmt::Debug for CyclicMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CyclicMode::Triangular => f.write_str("triangular"),
            CyclicMode::Triangular2 => f.write_str("triangular2"),
            CyclicMode::ExpRange(gamma) => write!(f, "exp_range({gamma})"),
            CyclicMode::ByCycle(_) | CyclicMode::ByStep(_) => f.write_str("scale_fn"),
        }
    }
}

/// Settings of [`CyclicLR`].
#[derive(Clone, Debug)]
pub struct CyclicOptions {
    /// Steps of the way up (default: 2000).
    pub step_size_up: i64,
    /// Steps of the way down (default: as many).
    pub step_size_down: Option<i64>,
    /// How the height changes (default: not).
    pub mode: CyclicMode,
    /// Whether the momentum (or the first decay rate) goes the other way (default: yes).
    pub cycle_momentum: bool,
    /// The lowest momentum (default: 0.8).
    pub base_momentum: f64,
    /// The highest momentum (default: 0.9).
    pub max_momentum: f64,
}

impl Default for CyclicOptions {
    fn default() -> Self {
        CyclicOptions {
            step_size_up: 2000,
            step_size_down: None,
            mode: CyclicMode::Triangular,
            cycle_momentum: true,
            base_momentum: 0.8,
            max_momentum: 0.9,
        }
    }
}

/// Cycles between two rates, as `torch.optim.lr_scheduler.CyclicLR` (Smith 2017); stepped after every batch.
#[derive(Clone, Debug)]
pub struct CyclicLR {
    options: CyclicOptions,
    base_lrs: Vec<f64>,
    max_lrs: Vec<f64>,
    last_epoch: i64,
    last_lr: Vec<f64>,
}

impl CyclicLR {
    /// Begins at the lowest rate; the rates are those of all groups, or one per group.
    ///
    /// # Errors
    /// `Value` for impossible settings and for an optimizer without momentum, unless it is not to cycle.
    pub fn new(
        optimizer: &mut dyn ParamGroups,
        base_lr: &[f64],
        max_lr: &[f64],
        options: CyclicOptions,
    ) -> Result<CyclicLR> {
        let base = each_group(optimizer, "base_lr", base_lr)?;
        let max_lrs = each_group(optimizer, "max_lr", max_lr)?;
        let total = options.step_size_up + options.step_size_down.unwrap_or(options.step_size_up);
        ensure!(total > 0, Value, "Expected positive step sizes, but got {total} steps in a cycle");
        ensure!(
            !options.cycle_momentum || supports_momentum(optimizer),
            Value,
            "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
        );
        for (group, lr) in base.iter().enumerate() {
            optimizer.set(group, "lr", *lr)?;
            if options.cycle_momentum {
                set_momentum(optimizer, group, options.max_momentum)?;
                optimizer.set(group, "max_momentum", options.max_momentum)?;
                optimizer.set(group, "base_momentum", options.base_momentum)?;
            }
        }
        // Notes the rates at the start; the cycle begins at its own.
        base_lrs(optimizer)?;
        // PyTorch's first values come from the noted rates.
        let noted = (0..base.len()).map(|g| optimizer.get(g, "initial_lr").unwrap_or_default()).collect();
        let mut cycle = CyclicLR { options, base_lrs: noted, max_lrs, last_epoch: -1, last_lr: Vec::new() };
        cycle.step(optimizer)?;
        cycle.base_lrs = base;
        Ok(cycle)
    }

    /// Goes to the next step.
    ///
    /// # Errors
    /// None for optimizers of this crate.
    pub fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        self.last_epoch += 1;
        self.apply(optimizer)
    }

    fn apply(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        let part = self.part();
        let o = &self.options;
        for (group, (low, high)) in self.base_lrs.iter().zip(&self.max_lrs).enumerate() {
            optimizer.set(group, "lr", low + (high - low) * part.0 * part.1)?;
            if o.cycle_momentum {
                let height = (o.max_momentum - o.base_momentum) * part.0;
                set_momentum(optimizer, group, o.max_momentum - height * part.1)?;
            }
        }
        self.last_lr = current_lrs(optimizer);
        Ok(())
    }

    /// How far up the cycle is, and how high it goes.
    fn part(&self) -> (f64, f64) {
        let o = &self.options;
        let up = o.step_size_up as f64;
        let total = up + o.step_size_down.unwrap_or(o.step_size_up) as f64;
        let (step, ratio) = (self.last_epoch as f64, up / total);
        let cycle = (1.0 + step / total).floor();
        let x = 1.0 + step / total - cycle;
        let climbed = if x <= ratio { x / ratio } else { (x - 1.0) / (ratio - 1.0) };
        let height = match &o.mode {
            CyclicMode::Triangular => 1.0,
            CyclicMode::Triangular2 => 1.0 / 2_f64.powf(cycle - 1.0),
            CyclicMode::ExpRange(gamma) => gamma.powf(step),
            CyclicMode::ByCycle(f) => f(cycle),
            CyclicMode::ByStep(f) => f(step),
        };
        (climbed, height)
    }

    /// The rates now, one per group.
    pub fn last_lr(&self) -> &[f64] {
        &self.last_lr
    }
}

impl Step for CyclicLR {
    fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        CyclicLR::step(self, optimizer)
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
        let o = &self.options;
        let up = o.step_size_up as f64;
        let total = up + o.step_size_down.unwrap_or(o.step_size_up) as f64;
        dict(&[
            ("last_epoch", Entry::Int(self.last_epoch)),
            ("_step_count", Entry::Int(self.last_epoch + 1)),
            ("total_size", Entry::Float(total)),
            ("step_ratio", Entry::Float(up / total)),
            ("base_lrs", Entry::Floats(&self.base_lrs)),
            ("max_lrs", Entry::Floats(&self.max_lrs)),
            ("_last_lr", Entry::Floats(&self.last_lr)),
        ])
    }

    fn load_state_dict(&mut self, state: &PyValue) -> Result<()> {
        let groups = self.base_lrs.len();
        let total =
            self.options.step_size_up + self.options.step_size_down.unwrap_or(self.options.step_size_up);
        ensure!(
            float(state, "total_size")? == total as f64,
            Value,
            "loaded scheduler state has cycles of another length"
        );
        let (base, max) = (floats(state, "base_lrs", groups)?, floats(state, "max_lrs", groups)?);
        (self.last_lr, self.last_epoch) = (floats(state, "_last_lr", groups)?, int(state, "last_epoch")?);
        (self.base_lrs, self.max_lrs) = (base, max);
        Ok(())
    }
}
