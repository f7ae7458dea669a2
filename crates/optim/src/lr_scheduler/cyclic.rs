//! Cycles between two rates.

use std::sync::Arc;

use cresset_core::{Result, bail, ensure, options};
use cresset_io::PyValue;

use super::state::{Progress, Setting, floats, read, read_or};
use super::{PerGroup, Step, current_lrs, momenta, set_momentum, warn_if_early};
use crate::optimizer::ParamGroups;

/// A function that scales the height of cycles; none at first.
#[derive(Clone, Default)]
pub struct ScaleFn(Option<Arc<dyn Fn(f64) -> f64 + Send + Sync>>);

impl<F: Fn(f64) -> f64 + Send + Sync + 'static> From<F> for ScaleFn {
    fn from(f: F) -> Self {
        ScaleFn(Some(Arc::new(f)))
    }
}

impl std::fmt::Debug for ScaleFn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "scale_fn" } else { "None" })
    }
}

options! {
    /// Optional settings of [`CyclicLR`].
    CyclicLROptions {
        /// Steps of the way up (default: 2000).
        step_size_up: i64 = 2000,
        /// Steps of the way down (default: as many).
        step_size_down: Option<i64> = None,
        /// How the height changes: `triangular` (default) for not at all, `triangular2` for half of it each cycle,
        /// `exp_range` for a power of `gamma` by steps.
        mode: String = "triangular".into(),
        /// The base of `exp_range` (default: 1).
        gamma: f64 = 1.0,
        /// The height as a function, instead of `mode` (default: none). A closure says the type of its argument: `|x: f64| 1.0 / x`.
        scale_fn: ScaleFn = ScaleFn::default(),
        /// What the function is of: `cycle` (default) for the number of the cycle, from 1, or `iterations` for that of the step.
        scale_mode: String = "cycle".into(),
        /// Whether the momentum (or the first decay rate) goes the other way (default: yes).
        cycle_momentum: bool = true,
        /// The lowest momentum, one for all groups or one for each (default: 0.8).
        base_momentum: PerGroup = 0.8.into(),
        /// The highest momentum (default: 0.9).
        max_momentum: PerGroup = 0.9.into(),
        /// The step that is over, when the cycles go on (default: -1, none).
        last_epoch: i64 = -1,
    }
}

/// Cycles between two rates, as `torch.optim.lr_scheduler.CyclicLR` (Smith 2017); stepped after every batch.
///
/// # Examples
/// ```
/// use cresset_core::{Result, ops};
/// use cresset_optim::{SGD, lr_scheduler::CyclicLR};
///
/// # fn main() -> Result<()> {
/// let mut optimizer = SGD::new([ops::zeros([1])?.requires_grad_(true)?], 0.1)?;
/// let mut scheduler = CyclicLR::with(&mut optimizer, 0.25, 0.75, |o| {
///     o.step_size_up(1).scale_fn(|cycle: f64| 1.0 / cycle).cycle_momentum(false)
/// })?;
/// let mut rates = Vec::new();
/// for _batch in 0..4 {
///     optimizer.step()?;
///     scheduler.step(&mut optimizer)?;
///     rates.push(scheduler.get_last_lr()[0]);
/// }
/// assert_eq!(rates, [0.75, 0.25, 0.5, 0.25]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CyclicLR {
    mode: String,
    gamma: f64,
    scale_fn: ScaleFn,
    /// Whether the height depends on the cycle, else on the step.
    by_cycle: bool,
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
    /// `Value` for another number of rates than groups and for an optimizer without momentum.
    pub fn new(
        optimizer: &mut dyn ParamGroups,
        base_lr: impl Into<PerGroup>,
        max_lr: impl Into<PerGroup>,
    ) -> Result<CyclicLR> {
        Self::with(optimizer, base_lr, max_lr, |o| o)
    }

    /// Begins with other settings.
    ///
    /// # Errors
    /// `Value` for impossible settings and for an optimizer without momentum, unless it is not to cycle; `Key` when it is to
    /// go on and the groups have no `initial_lr`.
    pub fn with(
        optimizer: &mut dyn ParamGroups,
        base_lr: impl Into<PerGroup>,
        max_lr: impl Into<PerGroup>,
        options: impl FnOnce(CyclicLROptions) -> CyclicLROptions,
    ) -> Result<CyclicLR> {
        let o = options(CyclicLROptions::default());
        let base = base_lr.into().of(optimizer, "base_lr")?;
        for (group, lr) in base.iter().enumerate().filter(|_| o.last_epoch == -1) {
            optimizer.set(group, "lr", *lr)?;
        }
        let max_lrs = max_lr.into().of(optimizer, "max_lr")?;
        let (up, down) = (o.step_size_up as f64, o.step_size_down.unwrap_or(o.step_size_up) as f64);
        ensure!(up + down != 0.0, ZeroDivision, "float division by zero");
        let by_cycle = by_cycle(&o)?;
        let momentum =
            |o: &CyclicLROptions| momenta(optimizer, &o.base_momentum, &o.max_momentum, o.last_epoch);
        let momenta = o.cycle_momentum.then_some(&o).map(momentum).transpose()?;
        // PyTorch's first values come from the rates that an earlier schedule noted; the cycle then has its own.
        let mut cycle = CyclicLR {
            mode: o.mode,
            gamma: o.gamma,
            scale_fn: o.scale_fn,
            by_cycle,
            total_size: up + down,
            step_ratio: up / (up + down),
            max_lrs,
            momenta,
            use_beta1: optimizer.betas(0).is_some(),
            at: Progress::new(optimizer, o.last_epoch)?,
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
        warn_if_early(optimizer, self.at.step_count);
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
        let of = if self.by_cycle { cycle } else { step };
        let height = match (&self.scale_fn.0, self.mode.as_str()) {
            (Some(f), _) => f(of),
            (None, "triangular2") => 1.0 / 2_f64.powf(of - 1.0),
            (None, "exp_range") => self.gamma.powf(of),
            _ => 1.0,
        };
        (climbed, height)
    }

    /// The rates now, one per group.
    pub fn get_last_lr(&self) -> &[f64] {
        &self.at.last_lr
    }
}

/// Whether the height depends on the cycle, else on the step; PyTorch's modes say it themselves.
fn by_cycle(o: &CyclicLROptions) -> Result<bool> {
    match o.mode.as_str() {
        _ if o.scale_fn.0.is_some() => Ok(o.scale_mode == "cycle"),
        "triangular" | "triangular2" => Ok(true),
        "exp_range" => Ok(false),
        _ => bail!(Value, "mode is invalid and scale_fn is None"),
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

    fn get_last_lr(&self) -> &[f64] {
        &self.at.last_lr
    }

    fn state_dict(&self) -> PyValue {
        let mut settings = vec![
            ("max_lrs", self.max_lrs.save()),
            ("total_size", self.total_size.save()),
            ("step_ratio", self.step_ratio.save()),
        ];
        settings.extend([
            ("mode", self.mode.save()),
            ("gamma", self.gamma.save()),
            ("scale_mode", if self.by_cycle { "cycle" } else { "iterations" }.into()),
        ]);
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
            mode: read_or(state, "mode", self.mode.clone())?,
            gamma: read_or(state, "gamma", self.gamma)?,
            scale_fn: self.scale_fn.clone(),
            by_cycle: state
                .get("scale_mode")
                .and_then(PyValue::as_str)
                .map_or(self.by_cycle, |m| m == "cycle"),
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
