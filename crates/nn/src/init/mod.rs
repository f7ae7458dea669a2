//! `torch.nn.init`: fills tensors in place; under the same seed the values are PyTorch's.
//!
//! Nothing here is recorded for gradients. All functions return a handle to the tensor that they filled. A name with
//! `_with_` takes optional settings, among them the generator to draw from.
//!
//! ```
//! # use cresset_nn::init::{self, Fan, Nonlinearity};
//! # use cresset_core::{ops, random, Result};
//! # fn main() -> Result<()> {
//! let weight = ops::empty([64, 3, 7, 7])?;
//! init::kaiming_normal_with_(&weight, |o| o.mode(Fan::Out).nonlinearity(Nonlinearity::Relu))?;
//! assert!((weight.std()?.item()?.to_f64() - (2.0_f64 / (64.0 * 49.0)).sqrt()).abs() < 1e-3);
//! init::trunc_normal_with_(&weight, |o| o.std(0.02).generator(random::Generator::new(7)))?;
//! # Ok(())
//! # }
//! ```

mod fan;
mod structured;
mod truncated;

use cresset_core::random::Generator;
use cresset_core::{Result, Tensor, no_grad, options};

pub use fan::{Fan, Nonlinearity, calculate_fan_in_and_fan_out, calculate_gain, calculate_gain_with};
pub use structured::{
    DiracOptions, OrthogonalOptions, SparseOptions, dirac_, dirac_with_, eye_, orthogonal_, orthogonal_with_,
    sparse_, sparse_with_,
};
pub use truncated::{TruncNormalOptions, trunc_normal_, trunc_normal_with_};

options! {
    /// Optional settings of [`uniform_with_`].
    UniformOptions {
        /// The lower end (default: 0).
        a: f64 = 0.0,
        /// The upper end (default: 1).
        b: f64 = 1.0,
        /// What to draw from (default: the one of all).
        generator: Option<Generator> = None,
    }
}

/// Uniform values between 0 and 1.
///
/// # Errors
/// None for tensors of numbers that can be written.
pub fn uniform_(tensor: &Tensor) -> Result<Tensor> {
    uniform_with_(tensor, |o| o)
}

/// Uniform values.
///
/// # Errors
/// `Runtime` for an empty interval.
pub fn uniform_with_(
    tensor: &Tensor,
    options: impl FnOnce(UniformOptions) -> UniformOptions,
) -> Result<Tensor> {
    let o = options(UniformOptions::default());
    between(tensor, o.a, o.b, o.generator.as_ref())
}

/// [`uniform_with_`] for those who have the settings at hand.
fn between(tensor: &Tensor, a: f64, b: f64, generator: Option<&Generator>) -> Result<Tensor> {
    let _guard = no_grad();
    tensor.uniform_with_(|o| o.from(a).to(b).generator(generator))
}

options! {
    /// Optional settings of [`normal_with_`].
    NormalOptions {
        /// The mean (default: 0).
        mean: f64 = 0.0,
        /// The standard deviation (default: 1).
        std: f64 = 1.0,
        /// What to draw from (default: the one of all).
        generator: Option<Generator> = None,
    }
}

/// Values of the standard normal distribution.
///
/// # Errors
/// None for tensors of numbers that can be written.
pub fn normal_(tensor: &Tensor) -> Result<Tensor> {
    normal_with_(tensor, |o| o)
}

/// Normal values.
///
/// # Errors
/// `Runtime` for a negative `std`.
pub fn normal_with_(tensor: &Tensor, options: impl FnOnce(NormalOptions) -> NormalOptions) -> Result<Tensor> {
    let o = options(NormalOptions::default());
    around(tensor, o.mean, o.std, o.generator.as_ref())
}

/// [`normal_with_`] for those who have the settings at hand.
fn around(tensor: &Tensor, mean: f64, std: f64, generator: Option<&Generator>) -> Result<Tensor> {
    let _guard = no_grad();
    tensor.normal_with_(|o| o.mean(mean).std(std).generator(generator))
}

/// The number `value` everywhere.
///
/// # Errors
/// `Runtime` when the number does not fit into the dtype.
pub fn constant_(tensor: &Tensor, value: f64) -> Result<Tensor> {
    let _guard = no_grad();
    tensor.fill_(value)
}

/// Ones.
///
/// # Errors
/// None for tensors that can be written.
pub fn ones_(tensor: &Tensor) -> Result<Tensor> {
    constant_(tensor, 1.0)
}

/// Zeros.
///
/// # Errors
/// None for tensors that can be written.
pub fn zeros_(tensor: &Tensor) -> Result<Tensor> {
    let _guard = no_grad();
    tensor.zero_()
}

options! {
    /// Optional settings of [`xavier_uniform_with_`] and [`xavier_normal_with_`].
    XavierOptions {
        /// A factor, as [`calculate_gain`] gives it (default: 1).
        gain: f64 = 1.0,
        /// What to draw from (default: the one of all).
        generator: Option<Generator> = None,
    }
}

/// Uniform values with the variance of Glorot and Bengio (2010).
///
/// # Errors
/// `Value` with fewer than two dimensions.
pub fn xavier_uniform_(tensor: &Tensor) -> Result<Tensor> {
    xavier_uniform_with_(tensor, |o| o)
}

/// [`xavier_uniform_`] with optional settings.
///
/// # Errors
/// As there.
pub fn xavier_uniform_with_(
    tensor: &Tensor,
    options: impl FnOnce(XavierOptions) -> XavierOptions,
) -> Result<Tensor> {
    let o = options(XavierOptions::default());
    let a = 3.0_f64.sqrt() * xavier_std(tensor, o.gain)?;
    between(tensor, -a, a, o.generator.as_ref())
}

/// Normal values with the variance of Glorot and Bengio (2010).
///
/// # Errors
/// `Value` with fewer than two dimensions.
pub fn xavier_normal_(tensor: &Tensor) -> Result<Tensor> {
    xavier_normal_with_(tensor, |o| o)
}

/// [`xavier_normal_`] with optional settings.
///
/// # Errors
/// As there.
pub fn xavier_normal_with_(
    tensor: &Tensor,
    options: impl FnOnce(XavierOptions) -> XavierOptions,
) -> Result<Tensor> {
    let o = options(XavierOptions::default());
    around(tensor, 0.0, xavier_std(tensor, o.gain)?, o.generator.as_ref())
}

fn xavier_std(tensor: &Tensor, gain: f64) -> Result<f64> {
    let (fan_in, fan_out) = calculate_fan_in_and_fan_out(tensor)?;
    Ok(gain * (2.0 / (fan_in as f64 + fan_out as f64)).sqrt())
}

options! {
    /// Optional settings of [`kaiming_uniform_with_`] and [`kaiming_normal_with_`].
    KaimingOptions {
        /// The slope of a leaky ReLU (default: 0).
        a: f64 = 0.0,
        /// Whose variance is kept, that of the forward or of the backward pass (default: forward).
        mode: Fan = Fan::In,
        /// The function after the layer (default: a leaky ReLU).
        nonlinearity: Nonlinearity = Nonlinearity::LeakyRelu,
        /// What to draw from (default: the one of all).
        generator: Option<Generator> = None,
    }
}

impl KaimingOptions {
    fn std(&self, tensor: &Tensor) -> Result<f64> {
        let (fan_in, fan_out) = calculate_fan_in_and_fan_out(tensor)?;
        let fan = if self.mode == Fan::In { fan_in } else { fan_out };
        Ok(calculate_gain_with(self.nonlinearity, self.a) / (fan as f64).sqrt())
    }
}

/// Uniform values with the variance of He et al. (2015).
///
/// # Errors
/// `Value` with fewer than two dimensions.
pub fn kaiming_uniform_(tensor: &Tensor) -> Result<Tensor> {
    kaiming_uniform_with_(tensor, |o| o)
}

/// [`kaiming_uniform_`] with optional settings.
///
/// # Errors
/// As there.
pub fn kaiming_uniform_with_(
    tensor: &Tensor,
    options: impl FnOnce(KaimingOptions) -> KaimingOptions,
) -> Result<Tensor> {
    if tensor.numel() == 0 {
        return Ok(tensor.clone());
    }
    let o = options(KaimingOptions::default());
    let bound = 3.0_f64.sqrt() * o.std(tensor)?;
    between(tensor, -bound, bound, o.generator.as_ref())
}

/// Normal values with the variance of He et al. (2015).
///
/// # Errors
/// `Value` with fewer than two dimensions.
pub fn kaiming_normal_(tensor: &Tensor) -> Result<Tensor> {
    kaiming_normal_with_(tensor, |o| o)
}

/// [`kaiming_normal_`] with optional settings.
///
/// # Errors
/// As there.
pub fn kaiming_normal_with_(
    tensor: &Tensor,
    options: impl FnOnce(KaimingOptions) -> KaimingOptions,
) -> Result<Tensor> {
    if tensor.numel() == 0 {
        return Ok(tensor.clone());
    }
    let o = options(KaimingOptions::default());
    around(tensor, 0.0, o.std(tensor)?, o.generator.as_ref())
}

/// The default of `Linear` and the convolutions: `U(-1/sqrt(fan_in), 1/sqrt(fan_in))` for weight and bias.
///
/// PyTorch writes the weight's bound as Kaiming's with `a = sqrt(5)`
/// (<https://github.com/pytorch/pytorch/issues/57109>); the same arithmetic gives the same bits.
pub(crate) fn reset_affine(weight: &Tensor, bias: Option<&Tensor>) -> Result<()> {
    kaiming_uniform_with_(weight, |o| o.a(5.0_f64.sqrt()))?;
    let Some(bias) = bias else { return Ok(()) };
    let (fan_in, _) = calculate_fan_in_and_fan_out(weight)?;
    let bound = if fan_in > 0 { 1.0 / (fan_in as f64).sqrt() } else { 0.0 };
    uniform_within(bias, bound)
}

/// Uniform values between `-bound` and `bound`.
pub(crate) fn uniform_within(tensor: &Tensor, bound: f64) -> Result<()> {
    between(tensor, -bound, bound, None).map(|_| ())
}
