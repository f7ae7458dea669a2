//! Fans and gains: from the shape of a weight and the nonlinearity after it to a variance.

use cresset_core::{Result, Tensor, ensure};

/// Which fan a variance preserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// That of the forward pass.
    In,
    /// That of the backward pass.
    Out,
}

/// The function after the layer.
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

/// The recommended gain; `param` is the slope of a leaky ReLU (default 0.01).
pub fn calculate_gain(nonlinearity: Nonlinearity, param: Option<f64>) -> f64 {
    match nonlinearity {
        Nonlinearity::Linear | Nonlinearity::Sigmoid => 1.0,
        Nonlinearity::Tanh => 5.0 / 3.0,
        Nonlinearity::Relu => 2.0_f64.sqrt(),
        Nonlinearity::LeakyRelu => (2.0 / (1.0 + param.unwrap_or(0.01).powi(2))).sqrt(),
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
    let receptive: i64 = sizes[2..].iter().product();
    Ok((sizes[1] * receptive, sizes[0] * receptive))
}
