//! Normalisations with the checks that PyTorch makes before their operators run.

use cresset_core::{IntList, Result, Scalar, Tensor, bail, ensure, ops, options};

use crate::module::float;

options! {
    /// Optional settings of [`batch_norm`].
    BatchNormSettings {
        /// The factor per channel (default: none).
        weight: Option<Tensor> = None,
        /// The summand per channel (default: none).
        bias: Option<Tensor> = None,
        /// Whether the statistics are those of the batch, and go into the running ones (default: no).
        training: bool = false,
        /// How much of a batch goes into the running statistics (default: 0.1).
        momentum: f64 = 0.1,
        /// Added to the variance (default: 1e-5).
        eps: f64 = 1e-5,
    }
}

options! {
    /// Optional settings of [`instance_norm`].
    InstanceNormSettings {
        /// The running means, which the statistics of the input go into (default: none).
        running_mean: Option<Tensor> = None,
        /// The running variances (default: none).
        running_var: Option<Tensor> = None,
        /// The factor per channel (default: none).
        weight: Option<Tensor> = None,
        /// The summand per channel (default: none).
        bias: Option<Tensor> = None,
        /// Whether the statistics are those of the input (default: yes).
        use_input_stats: bool = true,
        /// How much of an input goes into the running statistics (default: 0.1).
        momentum: f64 = 0.1,
        /// Added to the variance (default: 1e-5).
        eps: f64 = 1e-5,
    }
}

options! {
    /// Optional settings of [`group_norm_with`].
    GroupNormSettings {
        /// The factor per channel (default: none).
        weight: Option<Tensor> = None,
        /// The summand per channel (default: none).
        bias: Option<Tensor> = None,
        /// Added to the variance (default: 1e-5).
        eps: f64 = 1e-5,
    }
}

options! {
    /// Optional settings of [`normalize`].
    NormalizeSettings {
        /// The order of the norm (default: 2).
        p: Scalar = Scalar::Float(2.0),
        /// The dimension, or dimensions, of the vectors (default: 1).
        dim: IntList = 1.into(),
        /// Least norm that is divided by (default: 1e-12).
        eps: f64 = 1e-12,
    }
}

/// Vectors along dimension 1, divided by their norm.
///
/// ```
/// # use cresset_core::{tensor, Result};
/// # fn main() -> Result<()> {
/// let unit = cresset_nn::functional::normalize(&tensor![[3.0, 4.0]])?;
/// assert_eq!(unit.to_vec::<f32>()?, [0.6, 0.8]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Index` without a dimension 1, `Runtime` for dtypes without a norm.
pub fn normalize(input: &Tensor) -> Result<Tensor> {
    normalize_with(input, |o| o)
}

/// [`normalize`] with optional settings.
///
/// # Errors
/// `Index` without such a dimension, `Runtime` for dtypes without a norm.
pub fn normalize_with(
    input: &Tensor,
    options: impl FnOnce(NormalizeSettings) -> NormalizeSettings,
) -> Result<Tensor> {
    let o = options(NormalizeSettings::default());
    let norm = ops::linalg_vector_norm_with(input, |n| n.ord(o.p).dim(&o.dim[..]).keepdim(true))?;
    input.div(&norm.clamp_min(o.eps)?.expand(&input.sizes()[..])?)
}

/// Means of 0 and variances of 1 per channel, over the batch or by running statistics.
///
/// # Shapes
/// `input [N, C, *]`; statistics, weight and bias `[C]`.
/// # Errors
/// `Value` for one value per channel or an `eps` that is not positive while training, `Runtime` when shapes do not fit.
pub fn batch_norm(
    input: &Tensor,
    running_mean: Option<&Tensor>,
    running_var: Option<&Tensor>,
) -> Result<Tensor> {
    batch_norm_with(input, running_mean, running_var, |o| o)
}

/// [`batch_norm`] with optional settings; in training the running statistics are updated in place.
///
/// # Errors
/// As [`batch_norm`].
pub fn batch_norm_with(
    input: &Tensor,
    running_mean: Option<&Tensor>,
    running_var: Option<&Tensor>,
    options: impl FnOnce(BatchNormSettings) -> BatchNormSettings,
) -> Result<Tensor> {
    let o = options(BatchNormSettings::default());
    check_batch_norm(input, o.training, o.eps)?;
    let (weight, bias) = (o.weight.as_ref(), o.bias.as_ref());
    ops::batch_norm(input, weight, bias, running_mean, running_var, o.training, o.momentum, o.eps, true)
}

/// Means of 0 and variances of 1 per channel of each sample.
///
/// # Shapes
/// `input [N, C, *]`; statistics, weight and bias `[C]`.
/// # Errors
/// `Value` for one element per channel, `Runtime` when shapes do not fit.
pub fn instance_norm(input: &Tensor) -> Result<Tensor> {
    instance_norm_with(input, |o| o)
}

/// [`instance_norm`] with optional settings.
///
/// # Errors
/// As [`instance_norm`].
pub fn instance_norm_with(
    input: &Tensor,
    options: impl FnOnce(InstanceNormSettings) -> InstanceNormSettings,
) -> Result<Tensor> {
    let o = options(InstanceNormSettings::default());
    check_instance_norm(&input.sizes(), o.use_input_stats)?;
    let (weight, bias) = (o.weight.as_ref(), o.bias.as_ref());
    let (mean, var) = (o.running_mean.as_ref(), o.running_var.as_ref());
    ops::instance_norm(input, weight, bias, mean, var, o.use_input_stats, o.momentum, o.eps, true)
}

/// [`group_norm_with`] with PyTorch's defaults.
///
/// # Errors
/// As there.
pub fn group_norm(input: &Tensor, num_groups: i64) -> Result<Tensor> {
    group_norm_with(input, num_groups, |o| o)
}

/// Means of 0 and variances of 1 per group of channels of each sample.
///
/// # Shapes
/// `input [N, C, *]`; weight and bias `[C]`.
/// # Errors
/// `Value` for one value per group, `Runtime` when shapes do not fit or `C` cannot be divided.
pub fn group_norm_with(
    input: &Tensor,
    num_groups: i64,
    options: impl FnOnce(GroupNormSettings) -> GroupNormSettings,
) -> Result<Tensor> {
    let o = options(GroupNormSettings::default());
    check_group_norm(&input.sizes(), num_groups)?;
    ops::group_norm_with(input, num_groups, |g| g.weight(o.weight.as_ref()).bias(o.bias.as_ref()).eps(o.eps))
}

/// Statistics need more than one value per channel and something to add to a variance of 0.
pub(crate) fn check_batch_norm(input: &Tensor, training: bool, eps: f64) -> Result<()> {
    if training {
        let sizes = input.sizes();
        more_than_one(&sizes, &format_args!("torch.Size({:?})", &sizes[..]))?;
        ensure!(eps > 0.0, Value, "batch_norm eps must be positive during training, but got {}", float(eps));
    }
    ensure!(eps >= 0.0, Value, "batch_norm eps must be non-negative, but got {}", float(eps));
    Ok(())
}

pub(crate) fn check_instance_norm(sizes: &[i64], use_input_stats: bool) -> Result<()> {
    let spatial = sizes.iter().skip(2).try_fold(1_i64, |n, size| n.checked_mul(*size));
    ensure!(
        !use_input_stats || spatial != Some(1),
        Value,
        "Expected more than 1 spatial element when training, got input size torch.Size({sizes:?})"
    );
    Ok(())
}

pub(crate) fn check_group_norm(sizes: &[i64], groups: i64) -> Result<()> {
    let dims = sizes.len();
    ensure!(dims >= 2, "Expected at least 2 dimensions for input tensor but received {dims}");
    ensure!(groups != 0, ZeroDivision, "integer division or modulo by zero");
    let rows = sizes[0].saturating_mul(sizes[1]).div_euclid(groups);
    let grouped = [&[rows, groups], &sizes[2..]].concat();
    more_than_one(&grouped, &format_args!("{grouped:?}"))
}

/// Refuses one value per channel: sizes whose product without the second one is 1.
fn more_than_one(sizes: &[i64], text: &std::fmt::Arguments<'_>) -> Result<()> {
    if sizes.is_empty() {
        bail!(Index, "tuple index out of range");
    }
    let others = sizes.iter().enumerate().filter(|(d, _)| *d != 1);
    let product = others.fold(1_i64, |n, (_, size)| n.saturating_mul(*size));
    ensure!(
        product != 1,
        Value,
        "Expected more than 1 value per channel when training, got input size {text}"
    );
    Ok(())
}
