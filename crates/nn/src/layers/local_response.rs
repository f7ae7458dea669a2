//! Normalisation by neighbouring channels: [`LocalResponseNorm`] and the older [`CrossMapLRN2d`].

use cresset_core::autograd::{self, Context, Function};
use cresset_core::{Result, Scalar, Tensor, ensure, ops, options};

use crate::functional::local_response_norm_with;
use crate::module::{Forward, Module, float, number};

options! {
    /// Optional settings of [`LocalResponseNorm`].
    LocalResponseNormOptions {
        /// Factor of the mean square (default: 1e-4).
        alpha: f64 = 1e-4,
        /// The power (default: 0.75).
        beta: f64 = 0.75,
        /// Added to the mean square (default: 1).
        k: f64 = 1.0,
    }
}

/// `x / (k + alpha mean(x^2))^beta`, the mean over neighbouring channels, as `torch.nn.LocalResponseNorm`.
///
/// # Shapes
/// `[N, C, *]` -> the same.
#[derive(Clone, Debug, Module)]
#[module(repr = self.text())]
pub struct LocalResponseNorm {
    #[module(skip)]
    size: i64,
    #[module(skip)]
    options: LocalResponseNormOptions,
}

impl LocalResponseNorm {
    /// Over `size` channels, with PyTorch's defaults.
    pub fn new(size: i64) -> LocalResponseNorm {
        LocalResponseNorm::with(size, |o| o)
    }

    /// With optional settings.
    pub fn with(
        size: i64,
        options: impl FnOnce(LocalResponseNormOptions) -> LocalResponseNormOptions,
    ) -> LocalResponseNorm {
        LocalResponseNorm { size, options: options(LocalResponseNormOptions::default()) }
    }

    fn text(&self) -> String {
        let o = &self.options;
        format!("{}, alpha={}, beta={}, k={}", self.size, float(o.alpha), float(o.beta), float(o.k))
    }
}

impl Forward for LocalResponseNorm {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        local_response_norm_with(input, self.size, |_| self.options.clone())
    }
}

options! {
    /// Optional settings of [`CrossMapLRN2d`].
    CrossMapLRN2dOptions {
        /// Factor of the mean square (default: 1e-4).
        alpha: f64 = 1e-4,
        /// The power (default: 0.75).
        beta: f64 = 0.75,
        /// Added to the mean square (default: 1).
        k: Scalar = Scalar::Int(1),
    }
}

/// `x / (k + alpha/size sum(x^2))^beta`, the sum over neighbouring channels, as `torch.nn.CrossMapLRN2d`.
///
/// It keeps PyTorch's two deviations from the formula, as trained weights depend on them: channel 0 stays in the sums of
/// all later channels, and the sum in the gradient is one channel off the middle. New networks take
/// [`LocalResponseNorm`].
///
/// # Shapes
/// `[N, C, H, W]` -> the same.
#[derive(Clone, Debug, Module)]
#[module(repr = self.text())]
pub struct CrossMapLRN2d {
    #[module(skip)]
    size: i64,
    #[module(skip)]
    options: CrossMapLRN2dOptions,
}

impl CrossMapLRN2d {
    /// Over `size` channels, with PyTorch's defaults.
    pub fn new(size: i64) -> CrossMapLRN2d {
        CrossMapLRN2d::with(size, |o| o)
    }

    /// With optional settings.
    pub fn with(
        size: i64,
        options: impl FnOnce(CrossMapLRN2dOptions) -> CrossMapLRN2dOptions,
    ) -> CrossMapLRN2d {
        CrossMapLRN2d { size, options: options(CrossMapLRN2dOptions::default()) }
    }

    fn text(&self) -> String {
        let o = &self.options;
        format!("{}, alpha={}, beta={}, k={}", self.size, float(o.alpha), float(o.beta), number(o.k))
    }

    /// `k + alpha/size` times the sums over channels.
    fn scale(&self, x: &Tensor) -> Result<Tensor> {
        let (reach, channels) = ((self.size - 1) / 2, x.size(1)?);
        let square = x.mul(x)?;
        let mut sums = window_sums(&square, [reach, reach])?;
        if channels > reach + 1 {
            // PyTorch's sliding sum never lets go of channel 0.
            let late = sums.narrow(1, reach + 1, channels - reach - 1)?;
            late.add_(&square.narrow(1, 0, 1)?)?;
        }
        sums = sums.mul_scalar(self.options.alpha / self.size as f64)?;
        sums.add_scalar(self.options.k)
    }
}

/// For each channel the sum of so many channels before it, itself, and so many after it.
fn window_sums(x: &Tensor, [before, after]: [i64; 2]) -> Result<Tensor> {
    let padded = ops::constant_pad_nd(x, [0, 0, 0, 0, before, after])?;
    padded.unfold(1, before + after + 1, 1)?.sum_dim([-1])
}

impl Function for CrossMapLRN2d {
    fn name(&self) -> &str {
        "CrossMapLRN2d"
    }

    fn forward(&self, ctx: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let x = &inputs[0];
        let scale = self.scale(x)?;
        let out = x.mul(&scale.pow_scalar(-self.options.beta)?)?;
        ctx.save_for_backward(&[x.clone(), out.clone(), scale]);
        Ok(vec![out])
    }

    fn backward(&self, ctx: &Context, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let [x, out, scale] = &ctx.saved_tensors()?[..] else { return Ok(vec![None]) };
        let Some(g) = &grads[0] else { return Ok(vec![None]) };
        let (o, before) = (&self.options, (self.size + 1) / 2);
        ensure!(self.size > 1, "CrossMapLRN2d: there is no gradient over a single channel");
        let sums = window_sums(&g.mul(out)?.div(scale)?, [before, self.size - 1 - before])?;
        let through_scale = x.mul(&sums)?.mul_scalar(2.0 * o.alpha * o.beta / self.size as f64)?;
        Ok(vec![Some(g.mul(&scale.pow_scalar(-o.beta)?)?.sub(&through_scale)?)])
    }
}

impl Forward for CrossMapLRN2d {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let n = input.dim();
        ensure!(n == 4, Value, "CrossMapLRN2d: Expected input to be 4D, got {n}D instead.");
        ensure!(self.size > 0, Value, "CrossMapLRN2d: expected a positive size, got {}", self.size);
        let mut outputs = autograd::apply(self.clone(), std::slice::from_ref(input))?;
        Ok(outputs.swap_remove(0))
    }
}
