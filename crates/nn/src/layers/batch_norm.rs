//! Batch normalisation over one to three spatial dimensions.
//!
//! `y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias` per channel. Training uses the statistics of the batch and
//! keeps running ones, evaluation uses the running ones.

use cresset_core::{DType, Device, Result, Scalar, Tensor, bail, ensure, no_grad, ops, options};

use super::parameter;
use crate::functional::check_batch_norm;
use crate::init;
use crate::module::{Buffer, Forward, Module, Parameter, Training, boolean, float};

options! {
    /// Optional settings of [`BatchNorm`].
    BatchNormOptions {
        /// Added to the variance (default: 1e-5).
        eps: f64 = 1e-5,
        /// Weight of a batch in the running statistics; `None`: all batches count the same (default: 0.1).
        momentum: Option<f64> = Some(0.1),
        /// Whether there are a weight and a bias (default: yes).
        affine: bool = true,
        /// Whether running statistics are kept; without, evaluation uses those of the batch (default: yes).
        track_running_stats: bool = true,
        /// Whether there is a bias, if affine (default: yes).
        bias: bool = true,
        /// The element type (default: `float32`).
        dtype: DType = DType::F32,
    }
}

/// Running statistics of the channels.
#[derive(Clone, Debug)]
pub(super) struct Statistics {
    pub mean: Buffer,
    pub var: Buffer,
    pub batches: Buffer,
}

impl Statistics {
    pub(super) fn new(num_features: i64, dtype: DType) -> Result<Statistics> {
        let mean = Tensor::empty_of(&[num_features], dtype, Device::Cpu)?;
        let var = Tensor::empty_of(&[num_features], dtype, Device::Cpu)?;
        init::zeros_(&mean)?;
        init::ones_(&var)?;
        // State saved before PyTorch 0.4.1 lacks the number of batches.
        let batches = Buffer::optional(Tensor::scalar(Scalar::Int(0), DType::I64)?);
        Ok(Statistics { mean: Buffer::new(mean), var: Buffer::new(var), batches })
    }
}

/// Weight and bias at their start: ones and zeros.
pub(super) fn affine(
    num_features: i64,
    affine: bool,
    bias: bool,
    dtype: DType,
) -> Result<(Option<Parameter>, Option<Parameter>)> {
    let make = |wanted: bool, value: f64| -> Result<Option<Parameter>> {
        let p = wanted.then(|| parameter(&[num_features], dtype)).transpose()?;
        p.iter().try_for_each(|p| init::constant_(p, value).map(|_| ()))?;
        Ok(p)
    };
    Ok((make(affine, 1.0)?, make(affine && bias, 0.0)?))
}

/// Batch normalisation, as [`torch.nn.BatchNorm2d`](https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html)
/// and its siblings (Ioffe and Szegedy 2015).
///
/// ```
/// # use cresset_nn::{BatchNorm2d, Forward, Module};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let layer = BatchNorm2d::new(3)?;
/// let y = layer.forward(&ops::randn([8, 3, 4, 4])?)?;
/// assert!(y.mean()?.item()?.to_f64().abs() < 1e-6); // of the batch
/// layer.eval(); // from now on by the running statistics
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// `[N, C, spatial…]` with `D` spatial dimensions (one or none for `D` = 1) -> the same.
#[derive(Clone, Debug, Module)]
#[module(name = name(D), repr = self.text())]
pub struct BatchNorm<const D: usize> {
    /// The factor per channel, at first 1.
    pub weight: Option<Parameter>,
    /// The summand per channel, at first 0.
    pub bias: Option<Parameter>,
    /// The running mean per channel.
    pub running_mean: Option<Buffer>,
    /// The running variance per channel.
    pub running_var: Option<Buffer>,
    /// The number of batches so far.
    pub num_batches_tracked: Option<Buffer>,
    training: Training,
    #[module(skip)]
    num_features: i64,
    #[module(skip)]
    eps: f64,
    #[module(skip)]
    momentum: Option<f64>,
}

/// Batch normalisation of `[N, C, *]` over the batches of all processes; there is one process so far.
pub type SyncBatchNorm = BatchNorm<0>;
/// Batch normalisation of `[N, C]` or `[N, C, L]`.
pub type BatchNorm1d = BatchNorm<1>;
/// Batch normalisation of `[N, C, H, W]`.
pub type BatchNorm2d = BatchNorm<2>;
/// Batch normalisation of `[N, C, D, H, W]`.
pub type BatchNorm3d = BatchNorm<3>;

fn name(dimensions: usize) -> String {
    if dimensions == 0 { "SyncBatchNorm".into() } else { format!("BatchNorm{dimensions}d") }
}

impl<const D: usize> BatchNorm<D> {
    /// The same layer, tensors included, as a [`SyncBatchNorm`]: what `convert_sync_batchnorm` makes of each.
    #[must_use]
    pub fn into_sync(self) -> SyncBatchNorm {
        let BatchNorm { weight, bias, running_mean, running_var, num_batches_tracked, .. } = self;
        let (training, num_features, eps, momentum) =
            (self.training, self.num_features, self.eps, self.momentum);
        BatchNorm {
            weight,
            bias,
            running_mean,
            running_var,
            num_batches_tracked,
            training,
            num_features,
            eps,
            momentum,
        }
    }

    /// With PyTorch's defaults.
    ///
    /// # Errors
    /// `Runtime` for a negative number of features.
    pub fn new(num_features: i64) -> Result<Self> {
        Self::with(num_features, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Runtime` for a negative number of features.
    pub fn with(
        num_features: i64,
        options: impl FnOnce(BatchNormOptions) -> BatchNormOptions,
    ) -> Result<Self> {
        let o = options(BatchNormOptions::default());
        let (weight, bias) = affine(num_features, o.affine, o.bias, o.dtype)?;
        let statistics = o.track_running_stats.then(|| Statistics::new(num_features, o.dtype)).transpose()?;
        let (running_mean, running_var, num_batches_tracked) =
            statistics.map_or((None, None, None), |s| (Some(s.mean), Some(s.var), Some(s.batches)));
        let (training, eps, momentum) = (Training::new(), o.eps, o.momentum);
        Ok(BatchNorm {
            weight,
            bias,
            running_mean,
            running_var,
            num_batches_tracked,
            training,
            num_features,
            eps,
            momentum,
        })
    }

    /// Counts the batch and gives its weight in the running statistics.
    fn average_factor(&self) -> Result<f64> {
        if let (true, Some(batches)) = (self.training.is_on(), &self.num_batches_tracked) {
            let _guard = no_grad();
            batches.add_scalar_(1)?;
            if self.momentum.is_none() || self.training.is_cumulative() {
                return Ok(1.0 / batches.item()?.to_f64());
            }
        }
        Ok(self.momentum.unwrap_or(0.0))
    }

    /// What evaluation multiplies each channel with and then adds.
    ///
    /// # Errors
    /// `Runtime` without running statistics.
    pub(crate) fn scale_and_shift(&self) -> Result<(Tensor, Tensor)> {
        let (Some(mean), Some(var)) = (&self.running_mean, &self.running_var) else {
            bail!("a batch normalisation without running statistics cannot be fused")
        };
        let mut scale = var.add_scalar(self.eps)?.rsqrt()?;
        if let Some(weight) = &self.weight {
            scale = scale.mul(weight)?;
        }
        let shift = mean.mul(&scale)?.neg()?;
        let shift = if let Some(bias) = &self.bias { shift.add(bias)? } else { shift };
        Ok((scale.detach(), shift.detach()))
    }

    fn check_dimensions(&self, input: &Tensor) -> Result<()> {
        let dims = input.dim();
        match D {
            0 => ensure!(dims >= 2, Value, "expected at least 2D input (got {dims}D input)"),
            1 => ensure!(dims == 2 || dims == 3, Value, "expected 2D or 3D input (got {dims}D input)"),
            _ if dims != D + 2 => bail!(Value, "expected {}D input (got {dims}D input)", D + 2),
            _ => {}
        }
        Ok(())
    }

    fn text(&self) -> String {
        format!(
            "{}, eps={}, momentum={}, affine={}, bias={}, track_running_stats={}",
            self.num_features,
            float(self.eps),
            self.momentum.map_or("None".into(), float),
            boolean(self.weight.is_some()),
            boolean(self.bias.is_some()),
            boolean(self.running_mean.is_some())
        )
    }
}

impl<const D: usize> Forward for BatchNorm<D> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.check_dimensions(input)?;
        let factor = self.average_factor()?;
        let training = self.training.is_on() || self.running_mean.is_none();
        check_batch_norm(input, training, self.eps)?;
        ops::batch_norm(
            input,
            self.weight.as_deref(),
            self.bias.as_deref(),
            self.running_mean.as_deref(),
            self.running_var.as_deref(),
            training,
            factor,
            self.eps,
            true,
        )
    }
}
