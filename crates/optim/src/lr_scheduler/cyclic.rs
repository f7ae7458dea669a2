//! Cycles between two rates.

use std::sync::Arc;

use cresset_core::{Result, ensure};
use cresset_io::PyValue;

use super::state::{Progress, Setting, floats, read};
use super::{Step, base_lrs, current_lrs, each_group, note_momenta, set_momentum, supports_momentum};
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
    mode: CyclicMode,
    /// Steps of a cycle, and the part of them that goes up.
    total_size: f64,
    step_ratio: f64,
    max_lrs: Vec<f64>,
    /// The lowest and highest momenta, if they cycle.
    momenta: Option<(Vec<f64>, Vec<f64>)>,
    use_beta1: bool,
    at: Progress,
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
                note_momenta(optimizer, group, options.base_momentum, options.max_momentum)?;
            }
        }
        let momenta = |momentum: f64| vec![momentum; base.len()];
        // PyTorch's first values come from the rates that an earlier schedule noted; the cycle then has its own.
        let mut cycle = CyclicLR {
            total_size: total as f64,
            step_ratio: options.step_size_up as f64 / total as f64,
            max_lrs,
            momenta: options
                .cycle_momentum
                .then(|| (momenta(options.base_momentum), momenta(options.max_momentum))),
            use_beta1: optimizer.betas(0).is_some(),
            at: Progress { base_lrs: base_lrs(optimizer)?, last_epoch: -1, ..Progress::default() },
            mode: options.mode,
        };
        cycle.step(optimizer)?;
        cycle.at.base_lrs = base;
        Ok(cycle)
    }

    /// Goes to the next step.
    ///
    /// # Errors
    /// None for optimizers of this crate.
    pub fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        self.at.last_epoch += 1;
        self.at.step_count += 1;
        self.apply(optimizer)
    }

    fn apply(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        let (climbed, height) = self.part();
        for (group, (low, high)) in self.at.base_lrs.iter().zip(&self.max_lrs).enumerate() {
            optimizer.set(group, "lr", low + (high - low) * climbed * height)?;
        }
        if let Some((low, high)) = &self.momenta {
            for (group, (low, high)) in low.iter().zip(high).enumerate() {
                set_momentum(optimizer, group, high - (high - low) * climbed * height)?;
            }
        }
        self.at.last_lr = current_lrs(optimizer);
        Ok(())
    }

    /// How far up the cycle is, and how high it goes.
    fn part(&self) -> (f64, f64) {
        let (step, ratio) = (self.at.last_epoch as f64, self.step_ratio);
        let cycle = (1.0 + step / self.total_size).floor();
        let x = 1.0 + step / self.total_size - cycle;
        let climbed = if x <= ratio { x / ratio } else { (x - 1.0) / (ratio - 1.0) };
        let height = match &self.mode {
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
        &self.at.last_lr
    }
}

impl CyclicMode {
    /// PyTorch's `mode`, `gamma` and `scale_mode`.
    fn settings(&self) -> [(&'static str, PyValue); 3] {
        let (mode, gamma, scale) = match self {
            CyclicMode::Triangular | CyclicMode::ByCycle(_) => ("triangular", 1.0, "cycle"),
            CyclicMode::Triangular2 => ("triangular2", 1.0, "cycle"),
            CyclicMode::ExpRange(gamma) => ("exp_range", *gamma, "iterations"),
            CyclicMode::ByStep(_) => ("triangular", 1.0, "iterations"),
        };
        [("mode", mode.into()), ("gamma", gamma.into()), ("scale_mode", scale.into())]
    }

    /// The mode of a saved state; functions are not saved, and stay.
    fn load(&self, state: &PyValue) -> Result<CyclicMode> {
        Ok(match (self, state.get("mode").and_then(PyValue::as_str)) {
            (CyclicMode::ByCycle(_) | CyclicMode::ByStep(_), _) | (_, None) => self.clone(),
            (_, Some("exp_range")) => CyclicMode::ExpRange(read(state, "gamma")?),
            (_, Some("triangular2")) => CyclicMode::Triangular2,
            _ => CyclicMode::Triangular,
        })
    }
}

impl Step for CyclicLR {
    fn step(&mut self, optimizer: &mut dyn ParamGroups) -> Result<()> {
        CyclicLR::step(self, optimizer)
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
            ("max_lrs", self.max_lrs.save()),
            ("total_size", self.total_size.save()),
            ("step_ratio", self.step_ratio.save()),
        ];
        settings.extend(self.mode.settings());
        settings.push(("cycle_momentum", self.momenta.is_some().save()));
        if let Some((low, high)) = &self.momenta {
            settings.push(("use_beta1", self.use_beta1.save()));
            settings.push(("base_momentums", low.save()));
            settings.push(("max_momentums", high.save()));
        }
        settings.push(("_scale_fn_custom", PyValue::None));
        PyValue::dict(settings.into_iter().chain(self.at.entries()))
    }

    fn load_state_dict(&mut self, state: &PyValue) -> Result<()> {
        let groups = self.at.base_lrs.len();
        let momenta = match state.get("cycle_momentum").and_then(PyValue::as_bool) {
            None => self.momenta.clone(),
            Some(false) => None,
            Some(true) => {
                Some((floats(state, "base_momentums", groups)?, floats(state, "max_momentums", groups)?))
            }
        };
        let loaded = CyclicLR {
            mode: self.mode.load(state)?,
            total_size: read(state, "total_size")?,
            step_ratio: read(state, "step_ratio")?,
            max_lrs: floats(state, "max_lrs", groups)?,
            momenta,
            use_beta1: self.use_beta1,
            at: self.at.read(state)?,
        };
        ensure!(loaded.total_size > 0.0, Value, "loaded scheduler state has cycles without length");
        *self = loaded;
        Ok(())
    }
}
