//! Normalisation of each sample: [`LayerNorm`], [`GroupNorm`], [`RMSNorm`].

use cresset_core::{DType, IntList, Result, Tensor, ensure, ops, options};

use super::parameter;
use crate::functional::check_group_norm;
use crate::init;
use crate::module::{Forward, Module, Parameter, boolean, float, tuple};

options! {
    /// Optional settings of [`LayerNorm`].
    LayerNormOptions {
        /// Added to the variance (default: 1e-5).
        eps: f64 = 1e-5,
        /// Whether there are a weight and a bias (default: yes).
        elementwise_affine: bool = true,
        /// Whether there is a bias, if affine (default: yes).
        bias: bool = true,
        /// The element type (default: `float32`).
        dtype: DType = DType::F32,
    }
}

fn filled(sizes: &[i64], dtype: DType, value: f64) -> Result<Parameter> {
    let p = parameter(sizes, dtype)?;
    init::constant_(&p, value)?;
    Ok(p)
}

/// `y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias` over the last dimensions, as
/// [`torch.nn.LayerNorm`](https://pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html) (Ba et al. 2016).
///
/// ```
/// # use cresset_nn::{Forward, LayerNorm};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let layer = LayerNorm::new(8)?; // each row of 8
/// let y = layer.forward(&ops::randn([2, 5, 8])?)?;
/// assert!(y.mean_dim([-1])?.abs()?.max()?.item()?.to_f64() < 1e-6);
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// `[*, normalized_shape]` -> the same; weight and bias `normalized_shape`.
#[derive(Clone, Debug, Module)]
#[module(repr = self.text())]
pub struct LayerNorm {
    /// The factors, at first 1.
    pub weight: Option<Parameter>,
    /// The summands, at first 0.
    pub bias: Option<Parameter>,
    #[module(skip)]
    normalized_shape: IntList,
    #[module(skip)]
    eps: f64,
}

impl LayerNorm {
    /// Over the last dimensions, which have that shape.
    ///
    /// # Errors
    /// `Runtime` for negative sizes.
    pub fn new(normalized_shape: impl Into<IntList>) -> Result<LayerNorm> {
        LayerNorm::with(normalized_shape, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Runtime` for negative sizes.
    pub fn with(
        normalized_shape: impl Into<IntList>,
        options: impl FnOnce(LayerNormOptions) -> LayerNormOptions,
    ) -> Result<LayerNorm> {
        let (o, shape) = (options(LayerNormOptions::default()), normalized_shape.into());
        let weight = o.elementwise_affine.then(|| filled(&shape, o.dtype, 1.0)).transpose()?;
        let bias = (o.elementwise_affine && o.bias).then(|| filled(&shape, o.dtype, 0.0)).transpose()?;
        Ok(LayerNorm { weight, bias, normalized_shape: shape, eps: o.eps })
    }

    fn text(&self) -> String {
        format!(
            "{}, eps={}, elementwise_affine={}, bias={}",
            tuple(&self.normalized_shape),
            float(self.eps),
            boolean(self.weight.is_some()),
            boolean(self.bias.is_some())
        )
    }
}

impl Forward for LayerNorm {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        ops::layer_norm_with(input, &self.normalized_shape[..], |o| {
            o.weight(self.weight.as_deref()).bias(self.bias.as_deref()).eps(self.eps)
        })
    }
}

options! {
    /// Optional settings of [`GroupNorm`].
    GroupNormOptions {
        /// Added to the variance (default: 1e-5).
        eps: f64 = 1e-5,
        /// Whether there are a weight and a bias (default: yes).
        affine: bool = true,
        /// Whether there is a bias, if affine (default: yes).
        bias: bool = true,
        /// The element type (default: `float32`).
        dtype: DType = DType::F32,
    }
}

/// Normalisation of groups of channels of each sample, as `torch.nn.GroupNorm` (Wu and He 2018).
///
/// ```
/// # use cresset_nn::{Forward, GroupNorm};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let layer = GroupNorm::new(3, 6)?; // 3 groups of 2 channels
/// assert_eq!(layer.forward(&ops::randn([2, 6, 4, 4])?)?.sizes()[..], [2, 6, 4, 4]);
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// `[N, C, *]` -> the same; weight and bias `[C]`.
#[derive(Clone, Debug, Module)]
#[module(repr = self.text())]
pub struct GroupNorm {
    /// The factor per channel, at first 1.
    pub weight: Option<Parameter>,
    /// The summand per channel, at first 0.
    pub bias: Option<Parameter>,
    #[module(skip)]
    num_groups: i64,
    #[module(skip)]
    num_channels: i64,
    #[module(skip)]
    eps: f64,
}

impl GroupNorm {
    /// With PyTorch's defaults.
    ///
    /// # Errors
    /// `Value` unless `num_groups` divides `num_channels`.
    pub fn new(num_groups: i64, num_channels: i64) -> Result<GroupNorm> {
        GroupNorm::with(num_groups, num_channels, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Value` unless `num_groups` divides `num_channels`.
    pub fn with(
        num_groups: i64,
        num_channels: i64,
        options: impl FnOnce(GroupNormOptions) -> GroupNormOptions,
    ) -> Result<GroupNorm> {
        let o = options(GroupNormOptions::default());
        ensure!(num_groups != 0, ZeroDivision, "integer modulo by zero");
        ensure!(
            num_channels.wrapping_rem(num_groups) == 0,
            Value,
            "num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
        );
        let weight = o.affine.then(|| filled(&[num_channels], o.dtype, 1.0)).transpose()?;
        let bias = (o.affine && o.bias).then(|| filled(&[num_channels], o.dtype, 0.0)).transpose()?;
        Ok(GroupNorm { weight, bias, num_groups, num_channels, eps: o.eps })
    }

    fn text(&self) -> String {
        format!(
            "{}, {}, eps={}, affine={}, bias={}",
            self.num_groups,
            self.num_channels,
            float(self.eps),
            boolean(self.weight.is_some()),
            boolean(self.bias.is_some())
        )
    }
}

impl Forward for GroupNorm {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        check_group_norm(&input.sizes(), self.num_groups)?;
        ops::group_norm_with(input, self.num_groups, |o| {
            o.weight(self.weight.as_deref()).bias(self.bias.as_deref()).eps(self.eps)
        })
    }
}

options! {
    /// Optional settings of [`RMSNorm`].
    RMSNormOptions {
        /// Added to the mean square (default: the smallest step of the element type at 1).
        eps: Option<f64> = None,
        /// Whether there is a weight (default: yes).
        elementwise_affine: bool = true,
        /// The element type (default: `float32`).
        dtype: DType = DType::F32,
    }
}

/// `y = x / sqrt(mean(x^2) + eps) * weight` over the last dimensions, as `torch.nn.RMSNorm` (Zhang and Sennrich 2019).
///
/// ```
/// # use cresset_nn::{Forward, RMSNorm};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let layer = RMSNorm::new(8)?;
/// let y = layer.forward(&ops::randn([2, 8])?)?;
/// assert!((y.square()?.mean()?.item()?.to_f64() - 1.0).abs() < 1e-3);
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// `[*, normalized_shape]` -> the same; weight `normalized_shape`.
#[derive(Clone, Debug, Module)]
#[module(repr = self.text())]
pub struct RMSNorm {
    /// The factors, at first 1.
    pub weight: Option<Parameter>,
    #[module(skip)]
    normalized_shape: IntList,
    #[module(skip)]
    eps: Option<f64>,
}

impl RMSNorm {
    /// Over the last dimensions, which have that shape.
    ///
    /// # Errors
    /// `Runtime` for negative sizes.
    pub fn new(normalized_shape: impl Into<IntList>) -> Result<RMSNorm> {
        RMSNorm::with(normalized_shape, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Runtime` for negative sizes.
    pub fn with(
        normalized_shape: impl Into<IntList>,
        options: impl FnOnce(RMSNormOptions) -> RMSNormOptions,
    ) -> Result<RMSNorm> {
        let (o, shape) = (options(RMSNormOptions::default()), normalized_shape.into());
        let weight = o.elementwise_affine.then(|| filled(&shape, o.dtype, 1.0)).transpose()?;
        Ok(RMSNorm { weight, normalized_shape: shape, eps: o.eps })
    }

    fn text(&self) -> String {
        let eps = self.eps.map_or("None".into(), float);
        format!(
            "{}, eps={eps}, elementwise_affine={}",
            tuple(&self.normalized_shape),
            boolean(self.weight.is_some())
        )
    }
}

impl Forward for RMSNorm {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        ops::rms_norm_with(input, &self.normalized_shape[..], |o| {
            o.weight(self.weight.as_deref()).eps(self.eps)
        })
    }
}
