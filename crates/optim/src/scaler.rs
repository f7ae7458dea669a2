//! [`GradScaler`]: losses are scaled up before backward, so that small gradients survive half precision.

use cresset_core::{DType, Error, ErrorKind, Result, Tensor, bail, ensure, no_grad, ops, options};
use cresset_io::PyValue;

use crate::optimizer::{Optimizer, Update};

options! {
    /// Settings of [`GradScaler`].
    GradScalerOptions {
        /// The scale at first (default: 65536).
        init_scale: f64 = 65_536.0,
        /// Factor by which the scale grows (default: 2).
        growth_factor: f64 = 2.0,
        /// Factor by which the scale shrinks when a gradient is infinite or NaN (default: 0.5).
        backoff_factor: f64 = 0.5,
        /// Iterations with finite gradients after which the scale grows (default: 2000).
        growth_interval: i64 = 2000,
        /// Whether anything is scaled at all (default: yes).
        enabled: bool = true,
    }
}

/// Scales losses and unscales gradients, as [`torch.amp.GradScaler`](https://pytorch.org/docs/stable/amp.html#torch.amp.GradScaler)
/// on the CPU: a step whose gradients are infinite or NaN is left out and lowers the scale; many good ones raise it.
///
/// # Examples
/// ```
/// use cresset_core::{Result, Tensor};
/// use cresset_optim::{GradScaler, SGD};
///
/// # fn main() -> Result<()> {
/// let w = Tensor::from_vec(vec![3_f32], [1])?.requires_grad_(true)?;
/// let mut optimizer = SGD::new([w.clone()], 0.25)?;
/// let mut scaler = GradScaler::new();
/// for _ in 0..2 {
///     optimizer.zero_grad();
///     let loss = w.mul(&w)?.sum()?;
///     scaler.scale(&loss)?.backward()?;
///     scaler.step(&mut optimizer)?;
///     scaler.update()?;
/// }
/// assert_eq!(w.to_vec::<f32>()?, [0.75]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct GradScaler {
    options: GradScalerOptions,
    /// Iterations with finite gradients so far, until there is a tensor that counts them.
    init_growth_tracker: i64,
    /// The scale and that count, from the first call of [`GradScaler::scale`] on.
    tensors: Option<[Tensor; 2]>,
    /// What happened to each optimizer since the last update.
    progress: Vec<Progress>,
}

/// How far an iteration is with an optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Ready,
    Unscaled,
    Stepped,
}

#[derive(Debug)]
struct Progress {
    optimizer: u64,
    stage: Stage,
    /// 1 if a gradient was infinite or NaN, else 0; nothing without gradients.
    found_inf: Option<Tensor>,
}

/// A scale that is set by hand.
#[derive(Clone, Debug)]
pub enum NewScale {
    /// A number.
    Number(f64),
    /// A tensor with one element; it is copied.
    Tensor(Tensor),
}

impl From<f64> for NewScale {
    fn from(x: f64) -> Self {
        NewScale::Number(x)
    }
}

impl From<&Tensor> for NewScale {
    fn from(t: &Tensor) -> Self {
        NewScale::Tensor(t.clone())
    }
}

impl Default for GradScaler {
    fn default() -> Self {
        Self::new()
    }
}

impl GradScaler {
    /// A scaler with PyTorch's settings.
    pub fn new() -> GradScaler {
        GradScaler {
            options: GradScalerOptions::default(),
            init_growth_tracker: 0,
            tensors: None,
            progress: Vec::new(),
        }
    }

    /// A scaler with other settings.
    ///
    /// # Errors
    /// `Assertion` for factors that do not grow or shrink.
    pub fn with(options: impl FnOnce(GradScalerOptions) -> GradScalerOptions) -> Result<GradScaler> {
        let options = options(GradScalerOptions::default());
        if options.enabled {
            ensure!(options.growth_factor > 1.0, Assertion, "The growth factor must be > 1.0.");
            ensure!(options.backoff_factor < 1.0, Assertion, "The backoff factor must be < 1.0.");
        }
        Ok(GradScaler { options, ..Self::new() })
    }

    /// The loss times the scale; a scaler that is not enabled gives it back.
    ///
    /// # Errors
    /// `Runtime` for a scale that `float32` cannot hold.
    pub fn scale(&mut self, output: &Tensor) -> Result<Tensor> {
        if !self.options.enabled {
            return Ok(output.clone());
        }
        if self.tensors.is_none() {
            let scale = ops::full_with([], self.options.init_scale, |o| o.dtype(DType::F32))?;
            self.tensors = Some([scale, Tensor::scalar(self.init_growth_tracker, DType::I32)?]);
        }
        let [scale, _] = self.tensors("scale")?;
        output.mul(scale)
    }

    /// [`GradScaler::scale`] of several losses.
    ///
    /// # Errors
    /// As [`GradScaler::scale`].
    pub fn scale_all(&mut self, outputs: &[Tensor]) -> Result<Vec<Tensor>> {
        outputs.iter().map(|output| self.scale(output)).collect()
    }

    fn tensors(&self, caller: &str) -> Result<&[Tensor; 2]> {
        let fix = "This may indicate your script did not use scaler.scale(loss or outputs) earlier in the iteration.";
        let message = || format!("Attempted {caller} but _scale is None.  {fix}");
        self.tensors.as_ref().ok_or_else(|| Error::new(ErrorKind::Assertion, message()))
    }

    fn progress(&mut self, optimizer: u64) -> &mut Progress {
        let known = self.progress.iter().position(|p| p.optimizer == optimizer);
        let i = known.unwrap_or_else(|| {
            self.progress.push(Progress { optimizer, stage: Stage::Ready, found_inf: None });
            self.progress.len() - 1
        });
        &mut self.progress[i]
    }

    /// Divides the gradients of an optimizer by the scale, so that they can be looked at or clipped before
    /// [`GradScaler::step`], which does it otherwise.
    ///
    /// # Errors
    /// `Runtime` when it was called before in this iteration, or after the step; `Value` for gradients in `float16`;
    /// `Assertion` when nothing was scaled.
    pub fn unscale_<U: Update>(&mut self, optimizer: &Optimizer<U>) -> Result<()> {
        if !self.options.enabled {
            return Ok(());
        }
        let scale = self.tensors("unscale_")?[0].item()?.to_f64();
        match self.progress(optimizer.id()).stage {
            Stage::Unscaled => {
                bail!("unscale_() has already been called on this optimizer since the last update().")
            }
            Stage::Stepped => bail!("unscale_() is being called after step()."),
            Stage::Ready => {}
        }
        let found_inf = unscale(optimizer, 1.0 / scale)?;
        let progress = self.progress(optimizer.id());
        (progress.found_inf, progress.stage) = (found_inf, Stage::Unscaled);
        Ok(())
    }

    /// Unscales the gradients, unless it is done, and steps the optimizer if they are all finite; whether it was stepped.
    ///
    /// # Errors
    /// Those of [`GradScaler::unscale_`] and of the optimizer; `Runtime` when it was called before in this iteration,
    /// `Assertion` without gradients.
    pub fn step<U: Update>(&mut self, optimizer: &mut Optimizer<U>) -> Result<bool> {
        if !self.options.enabled {
            return optimizer.step().map(|()| true);
        }
        self.tensors("step")?;
        match self.progress(optimizer.id()).stage {
            Stage::Stepped => bail!("step() has already been called since the last update()."),
            Stage::Ready => self.unscale_(optimizer)?,
            Stage::Unscaled => {}
        }
        let Some(found_inf) = &self.progress(optimizer.id()).found_inf else {
            bail!(Assertion, "No inf checks were recorded for this optimizer.")
        };
        let finite = found_inf.item()?.to_f64() == 0.0;
        if finite {
            optimizer.step()?;
        }
        self.progress(optimizer.id()).stage = Stage::Stepped;
        Ok(finite)
    }

    /// Steps the optimizer with a closure, which a scaler can do only when it is not enabled.
    ///
    /// # Errors
    /// `Runtime` when it is enabled; those of [`Optimizer::step_with`].
    pub fn step_with<U: Update>(
        &mut self,
        optimizer: &mut Optimizer<U>,
        closure: impl FnMut() -> Result<Tensor>,
    ) -> Result<Tensor> {
        ensure!(!self.options.enabled, "Closure use is not currently supported if GradScaler is enabled.");
        optimizer.step_with(closure)
    }

    /// Ends an iteration: lowers the scale if a step was left out, raises it after enough good ones.
    ///
    /// # Errors
    /// `Assertion` when nothing was scaled or no gradients were looked at.
    pub fn update(&mut self) -> Result<()> {
        if !self.options.enabled {
            return Ok(());
        }
        let [scale, growth_tracker] = self.tensors("update")?;
        let mut found = self.progress.iter().filter_map(|p| p.found_inf.as_ref());
        let Some(first) = found.next() else {
            bail!(Assertion, "No inf checks were recorded prior to update.")
        };
        found.try_for_each(|other| first.add_(other).map(|_| ()))?;
        let GradScalerOptions { growth_factor, backoff_factor, growth_interval, .. } = self.options;
        ops::_amp_update_scale_(
            scale,
            growth_tracker,
            first,
            growth_factor,
            backoff_factor,
            growth_interval,
        )?;
        self.progress.clear();
        Ok(())
    }

    /// Ends an iteration with that scale.
    ///
    /// # Errors
    /// `Assertion` when nothing was scaled, and for tensors of several elements or that require gradients.
    pub fn update_to(&mut self, new_scale: impl Into<NewScale>) -> Result<()> {
        if !self.options.enabled {
            return Ok(());
        }
        let [scale, _] = self.tensors("update")?;
        match new_scale.into() {
            NewScale::Number(x) => scale.fill_(x)?,
            NewScale::Tensor(t) => {
                ensure!(
                    t.numel() == 1 && !t.requires_grad(),
                    Assertion,
                    "new_scale should be a float or a 1-element torch.cuda.FloatTensor or torch.FloatTensor with requires_grad=False."
                );
                scale.copy_(&t)?
            }
        };
        self.progress.clear();
        Ok(())
    }

    /// The scale; 1 if the scaler is not enabled.
    ///
    /// # Errors
    /// None: the scale can always be read.
    pub fn get_scale(&self) -> Result<f64> {
        match &self.tensors {
            _ if !self.options.enabled => Ok(1.0),
            None => Ok(self.options.init_scale),
            Some([scale, _]) => Ok(scale.item()?.to_f64()),
        }
    }

    /// The factor by which the scale grows.
    pub fn get_growth_factor(&self) -> f64 {
        self.options.growth_factor
    }

    /// Sets the factor by which the scale grows.
    pub fn set_growth_factor(&mut self, new_factor: f64) {
        self.options.growth_factor = new_factor;
    }

    /// The factor by which the scale shrinks.
    pub fn get_backoff_factor(&self) -> f64 {
        self.options.backoff_factor
    }

    /// Sets the factor by which the scale shrinks.
    pub fn set_backoff_factor(&mut self, new_factor: f64) {
        self.options.backoff_factor = new_factor;
    }

    /// The number of good iterations after which the scale grows.
    pub fn get_growth_interval(&self) -> i64 {
        self.options.growth_interval
    }

    /// Sets the number of good iterations after which the scale grows.
    pub fn set_growth_interval(&mut self, new_interval: i64) {
        self.options.growth_interval = new_interval;
    }

    /// Whether anything is scaled.
    pub fn is_enabled(&self) -> bool {
        self.options.enabled
    }

    /// What the scaler remembers, under PyTorch's keys; nothing if it is not enabled. To be called after
    /// [`GradScaler::update`].
    ///
    /// # Errors
    /// None: the scale can always be read.
    pub fn state_dict(&self) -> Result<PyValue> {
        if !self.options.enabled {
            return Ok(PyValue::Dict(Vec::new()));
        }
        let tracker = match &self.tensors {
            None => self.init_growth_tracker,
            Some([_, tracker]) => tracker.item()?.to_i64(),
        };
        Ok(PyValue::dict([
            ("scale", self.get_scale()?.into()),
            ("growth_factor", self.options.growth_factor.into()),
            ("backoff_factor", self.options.backoff_factor.into()),
            ("growth_interval", PyValue::Int(self.options.growth_interval)),
            ("_growth_tracker", PyValue::Int(tracker)),
        ]))
    }

    /// Continues from what another scaler remembered, here or in PyTorch. Does nothing if this one is not enabled.
    ///
    /// # Errors
    /// `Runtime` for the state of a scaler that was not enabled, `Key` when an entry is missing.
    pub fn load_state_dict(&mut self, state: &PyValue) -> Result<()> {
        if !self.options.enabled {
            return Ok(());
        }
        ensure!(
            state.entries().is_some_and(|entries| !entries.is_empty()),
            "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
        );
        let number = |key: &str| {
            let found = state.get(key).and_then(PyValue::as_float);
            found.ok_or_else(|| Error::key(format!("'{key}'")))
        };
        let options = GradScalerOptions {
            init_scale: number("scale")?,
            growth_factor: number("growth_factor")?,
            backoff_factor: number("backoff_factor")?,
            growth_interval: number("growth_interval")? as i64,
            enabled: true,
        };
        self.init_growth_tracker = number("_growth_tracker")? as i64;
        if let Some([scale, tracker]) = &self.tensors {
            scale.fill_(options.init_scale)?;
            tracker.fill_(self.init_growth_tracker)?;
        }
        self.options = options;
        Ok(())
    }
}

/// Multiplies the gradients of an optimizer; 1 if one was infinite or NaN, else 0, and nothing without gradients.
fn unscale<U: Update>(optimizer: &Optimizer<U>, factor: f64) -> Result<Option<Tensor>> {
    let _guard = no_grad();
    let params = optimizer.groups().iter().flat_map(|group| group.params());
    let grads: Vec<Tensor> = params.filter_map(Tensor::grad).collect();
    ensure!(
        grads.iter().all(|grad| grad.dtype() != DType::F16),
        Value,
        "Attempting to unscale FP16 gradients."
    );
    let stored = |grad: Tensor| if grad.is_sparse() { grad._values() } else { Ok(grad) };
    let grads = grads.into_iter().map(stored).collect::<Result<Vec<Tensor>>>()?;
    if grads.is_empty() {
        return Ok(None);
    }
    let found_inf = Tensor::scalar(0, DType::F32)?;
    ops::_amp_foreach_non_finite_check_and_unscale_(
        &grads,
        &found_inf,
        &Tensor::scalar(factor, DType::F32)?,
    )?;
    Ok(Some(found_inf))
}
