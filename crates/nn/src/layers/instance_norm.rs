//! Instance normalisation over one to three spatial dimensions: each channel of each sample by itself.

use cresset_core::{DType, Result, Tensor, ensure, ops, options};

use super::batch_norm::{Statistics, affine};
use crate::functional::check_instance_norm;
use crate::module::{Buffer, Forward, Module, Parameter, Training, boolean, float};

options! {
    /// Optional settings of [`InstanceNorm`].
    InstanceNormOptions {
        /// Added to the variance (default: 1e-5).
        eps: f64 = 1e-5,
        /// Weight of a batch in the running statistics (default: 0.1).
        momentum: f64 = 0.1,
        /// Whether there are a weight and a bias (default: no).
        affine: bool = false,
        /// Whether running statistics are kept and used in evaluation (default: no).
        track_running_stats: bool = false,
        /// Whether there is a bias, if affine (default: yes).
        bias: bool = true,
        /// The element type (default: `float32`).
        dtype: DType = DType::F32,
    }
}

/// Instance normalisation, as `torch.nn.InstanceNorm2d` and its siblings (Ulyanov et al. 2016).
///
/// ```
/// # use cresset_nn::{Forward, InstanceNorm2d};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let layer = InstanceNorm2d::with(3, |o| o.affine(true))?;
/// assert_eq!(layer.forward(&ops::randn([2, 3, 4, 4])?)?.sizes()[..], [2, 3, 4, 4]);
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// `[N, C, spatial…]` or `[C, spatial…]` with `D` spatial dimensions -> the same.
#[derive(Clone, Debug, Module)]
#[module(name = format!("InstanceNorm{D}d"), repr = self.text())]
pub struct InstanceNorm<const D: usize> {
    /// The factor per channel, at first 1.
    pub weight: Option<Parameter>,
    /// The summand per channel, at first 0.
    pub bias: Option<Parameter>,
    /// The running mean per channel.
    pub running_mean: Option<Buffer>,
    /// The running variance per channel.
    pub running_var: Option<Buffer>,
    /// Kept for the `state_dict`; PyTorch does not count here.
    pub num_batches_tracked: Option<Buffer>,
    training: Training,
    #[module(skip)]
    num_features: i64,
    #[module(skip)]
    eps: f64,
    #[module(skip)]
    momentum: f64,
}

/// Instance normalisation of `[N, C, L]`.
pub type InstanceNorm1d = InstanceNorm<1>;
/// Instance normalisation of `[N, C, H, W]`.
pub type InstanceNorm2d = InstanceNorm<2>;
/// Instance normalisation of `[N, C, D, H, W]`.
pub type InstanceNorm3d = InstanceNorm<3>;

impl<const D: usize> InstanceNorm<D> {
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
        options: impl FnOnce(InstanceNormOptions) -> InstanceNormOptions,
    ) -> Result<Self> {
        let o = options(InstanceNormOptions::default());
        let (weight, bias) = affine(num_features, o.affine, o.bias, o.dtype)?;
        let statistics = o.track_running_stats.then(|| Statistics::new(num_features, o.dtype)).transpose()?;
        let (running_mean, running_var, num_batches_tracked) =
            statistics.map_or((None, None, None), |s| (Some(s.mean), Some(s.var), Some(s.batches)));
        let (training, eps, momentum) = (Training::new(), o.eps, o.momentum);
        Ok(InstanceNorm {
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

    fn check(&self, input: &Tensor) -> Result<()> {
        let (dims, n) = (input.dim(), self.num_features);
        ensure!(
            dims == D + 1 || dims == D + 2,
            Value,
            "expected {}D or {}D input (got {dims}D input)",
            D + 1,
            D + 2
        );
        let feature_dim = dims - D - 1;
        let found = input.sizes()[feature_dim];
        ensure!(
            found == n || self.weight.is_none(),
            Value,
            "expected input's size at dim={feature_dim} to match num_features ({n}), but got: {found}."
        );
        Ok(())
    }

    fn normalise(&self, input: &Tensor) -> Result<Tensor> {
        let use_input_stats = self.training.is_on() || self.running_mean.is_none();
        check_instance_norm(&input.sizes(), use_input_stats)?;
        ops::instance_norm(
            input,
            self.weight.as_deref(),
            self.bias.as_deref(),
            self.running_mean.as_deref(),
            self.running_var.as_deref(),
            use_input_stats,
            self.momentum,
            self.eps,
            true,
        )
    }

    fn text(&self) -> String {
        format!(
            "{}, eps={}, momentum={}, affine={}, bias={}, track_running_stats={}",
            self.num_features,
            float(self.eps),
            float(self.momentum),
            boolean(self.weight.is_some()),
            boolean(self.bias.is_some()),
            boolean(self.running_mean.is_some())
        )
    }
}

impl<const D: usize> Forward for InstanceNorm<D> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.check(input)?;
        if input.dim() == D + 1 {
            return self.normalise(&input.unsqueeze(0)?)?.squeeze_dim(0);
        }
        self.normalise(input)
    }
}
