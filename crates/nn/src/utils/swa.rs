//! Averages of weights: [`AveragedModel`] and [`update_bn`], as `torch.optim.swa_utils`.

use std::fmt;
use std::sync::Arc;

use cresset_core::{DType, Result, Scalar, Tensor, ensure, no_grad};

use crate::module::{Buffer, Forward, Module, Visitor};

/// A function of the average, the new value and how many were averaged.
pub type AverageFn = Arc<dyn Fn(&Tensor, &Tensor, i64) -> Result<Tensor> + Send + Sync>;

/// How weights are averaged.
#[derive(Clone)]
pub enum Average {
    /// All models count the same.
    Equal,
    /// An exponential moving average that keeps this part of itself.
    Ema(f64),
    /// A function.
    Custom(AverageFn),
}

impl Average {
    fn update(&self, average: &Tensor, new: &Tensor, n: i64) -> Result<()> {
        match self {
            // Counts cannot be mixed; they are taken over.
            _ if !average.is_floating_point() && !average.is_complex() => average.copy_(new),
            Average::Equal => average.lerp_scalar_(new, 1.0 / (n + 1) as f64),
            Average::Ema(decay) => average.lerp_scalar_(new, 1.0 - decay),
            Average::Custom(f) => average.copy_(&f(average, new, n)?),
        }?;
        Ok(())
    }
}

/// A model whose parameters are averages of another's, as `torch.optim.swa_utils.AveragedModel`.
///
/// ```
/// # use cresset_nn::{Linear, utils::{Average, AveragedModel}};
/// # use cresset_core::Result;
/// # fn main() -> Result<()> {
/// let model = Linear::new(2, 1)?;
/// let average = AveragedModel::new(Linear::new(2, 1)?, Average::Ema(0.999), true)?;
/// average.update_parameters(&model)?; // after each step of the optimizer
/// assert!(average.module().weight.equal(&model.weight)?);
/// # Ok(())
/// # }
/// ```
pub struct AveragedModel<M> {
    n_averaged: Buffer,
    module: M,
    average: Average,
    use_buffers: bool,
}

impl<M: Module> AveragedModel<M> {
    /// Averages into `module`, a second model of the same kind whose values do not matter: the first update copies.
    /// With `use_buffers` the buffers are averaged too, else they are copied.
    ///
    /// # Errors
    /// None for tensors that can be allocated.
    pub fn new(module: M, average: Average, use_buffers: bool) -> Result<AveragedModel<M>> {
        let n_averaged = Buffer::new(Tensor::scalar(Scalar::Int(0), DType::I64)?);
        Ok(AveragedModel { n_averaged, module, average, use_buffers })
    }

    /// The model with the averages.
    pub fn module(&self) -> &M {
        &self.module
    }

    /// Takes the present weights of `model` into the averages.
    ///
    /// # Errors
    /// `Value` when the models have different parameters.
    pub fn update_parameters<N: Module>(&self, model: &N) -> Result<()> {
        let _guard = no_grad();
        let n = self.n_averaged.item()?.to_i64();
        let pairs = pairs(self.module.named_parameters(), model.named_parameters())?;
        pairs.iter().try_for_each(|(own, new)| self.mix(own, new, n))?;
        for (own, new) in crate::utils::swa::pairs(self.module.named_buffers(), model.named_buffers())? {
            if self.use_buffers { self.mix(&own, &new, n) } else { own.copy_(&new).map(|_| ()) }?;
        }
        self.n_averaged.add_scalar_(1).map(|_| ())
    }

    fn mix(&self, own: &Tensor, new: &Tensor, n: i64) -> Result<()> {
        if n == 0 { own.copy_(new).map(|_| ()) } else { self.average.update(own, new, n) }
    }
}

/// Tensors of the same name, which both have in the same order.
fn pairs<T: std::ops::Deref<Target = Tensor>>(
    own: Vec<(String, T)>,
    new: Vec<(String, T)>,
) -> Result<Vec<(Tensor, Tensor)>> {
    ensure!(
        own.iter().map(|(n, _)| n).eq(new.iter().map(|(n, _)| n)),
        Value,
        "the averaged model has other parameters or buffers than the model"
    );
    Ok(own.iter().zip(&new).map(|((_, a), (_, b))| (a.detach(), b.detach())).collect())
}

impl<M: Module> Module for AveragedModel<M> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        visitor.buffers.push(("n_averaged".into(), &self.n_averaged));
        visitor.children.push(("module".into(), &self.module));
    }

    fn name(&self) -> String {
        "AveragedModel".into()
    }
}

impl<M: Module + Forward> Forward for AveragedModel<M> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.module.forward(input)
    }
}

impl<M: fmt::Debug> fmt::Debug for AveragedModel<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.module.fmt(f)
    }
}

/// Computes the running statistics of all batch normalisations anew from one pass over inputs, all batches counting the
/// same, as `torch.optim.swa_utils.update_bn`.
///
/// # Errors
/// Those of the inputs and of the model.
pub fn update_bn<M: Module + Forward>(
    inputs: impl IntoIterator<Item = Result<Tensor>>,
    model: &M,
) -> Result<()> {
    let _guard = no_grad();
    let mut any = false;
    crate::module::walk(model, "", &mut |_, fields| any |= is_normalisation(fields));
    if !any {
        return Ok(());
    }
    let was_training = model.is_training();
    model.train();
    set_cumulative(model, true)?;
    let result = inputs.into_iter().try_for_each(|input| model.forward(&input?).map(|_| ()));
    set_cumulative(model, false)?;
    model.set_training(was_training);
    result
}

fn is_normalisation(fields: &Visitor<'_>) -> bool {
    fields.buffers.iter().any(|(name, _)| name == "num_batches_tracked")
}

/// Switches averaging over all batches on, with the statistics reset, or off.
fn set_cumulative<M: Module>(model: &M, on: bool) -> Result<()> {
    let mut result = Ok(());
    crate::module::walk(model, "", &mut |_, fields| {
        if !is_normalisation(fields) {
            return;
        }
        fields.training.iter().for_each(|t| t.set_cumulative(on));
        for (name, buffer) in fields.buffers.iter().filter(|_| on) {
            let value = i64::from(name == "running_var");
            result = std::mem::replace(&mut result, Ok(())).and_then(|()| buffer.fill_(value).map(|_| ()));
        }
    });
    result
}
