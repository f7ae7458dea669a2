//! Fans and gains: from the shape of a weight and the nonlinearity after it to a variance.

use std::str::FromStr;

use cresset_core::{Error, Result, Tensor, bail, ensure};

/// Which fan a variance preserves; PyTorch's words for them are read by `parse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// That of the forward pass.
    In,
    /// That of the backward pass.
    Out,
}

impl FromStr for Fan {
    type Err = Error;

    fn from_str(mode: &str) -> Result<Fan> {
        match mode.to_lowercase().as_str() {
            "fan_in" => Ok(Fan::In),
            "fan_out" => Ok(Fan::Out),
            mode => {
                bail!(Value, "Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
            }
        }
    }
}

/// The function after the layer; PyTorch's words for them are read by `parse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonlinearity {
    /// None, also after convolutions.
    Linear,
    /// `sigmoid`.
    Sigmoid,
    /// `tanh`.
    Tanh,
    /// `relu`.
    Relu,
    /// `leaky_relu`, whose slope is a parameter.
    LeakyRelu,
    /// `selu`.
    Selu,
}

impl FromStr for Nonlinearity {
    type Err = Error;

    fn from_str(name: &str) -> Result<Nonlinearity> {
        Ok(match name {
            "linear" | "conv1d" | "conv2d" | "conv3d" | "conv_transpose1d" | "conv_transpose2d"
            | "conv_transpose3d" => Nonlinearity::Linear,
            "sigmoid" => Nonlinearity::Sigmoid,
            "tanh" => Nonlinearity::Tanh,
            "relu" => Nonlinearity::Relu,
            "leaky_relu" => Nonlinearity::LeakyRelu,
            "selu" => Nonlinearity::Selu,
            _ => bail!(Value, "Unsupported nonlinearity {name}"),
        })
    }
}

/// The recommended gain: what keeps the variance through that function.
///
/// ```
/// # use cresset_nn::init::{calculate_gain, Nonlinearity};
/// assert_eq!(calculate_gain("tanh".parse().unwrap()), 5.0 / 3.0);
/// ```
pub fn calculate_gain(nonlinearity: Nonlinearity) -> f64 {
    calculate_gain_with(nonlinearity, 0.01)
}

/// The recommended gain, with the slope of a leaky ReLU (other functions have no parameter).
pub fn calculate_gain_with(nonlinearity: Nonlinearity, param: f64) -> f64 {
    match nonlinearity {
        Nonlinearity::Linear | Nonlinearity::Sigmoid => 1.0,
        Nonlinearity::Tanh => 5.0 / 3.0,
        Nonlinearity::Relu => 2.0_f64.sqrt(),
        Nonlinearity::LeakyRelu => (2.0 / (1.0 + param.powi(2))).sqrt(),
        // Found empirically: https://github.com/pytorch/pytorch/pull/50664.
        Nonlinearity::Selu => 3.0 / 4.0,
    }
}

/// Inputs and outputs of one unit: `weight [out, in, kernel…]`.
///
/// # Errors
/// `Value` with fewer than two dimensions.
pub fn calculate_fan_in_and_fan_out(weight: &Tensor) -> Result<(i64, i64)> {
    let sizes = weight.sizes();
    ensure!(
        sizes.len() >= 2,
        Value,
        "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
    );
    let receptive = sizes[2..].iter().fold(1, |product: i64, n| product.saturating_mul(*n));
    Ok((sizes[1].saturating_mul(receptive), sizes[0].saturating_mul(receptive)))
}
