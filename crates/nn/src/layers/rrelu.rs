//! Leaky rectification with a random slope: [`RReLU`].

use cresset_core::{Result, Tensor, ops};

use crate::module::{Forward, Module, Training, float};

/// `x` where positive, else `a x` with `a` drawn from `U(lower, upper)`; their mean in evaluation. As `torch.nn.RReLU`.
///
/// # Shapes
/// `[*]` -> the same.
#[derive(Clone, Debug, Module)]
#[module(repr = self.text())]
pub struct RReLU {
    training: Training,
    #[module(skip)]
    lower: f64,
    #[module(skip)]
    upper: f64,
    #[module(skip)]
    inplace: bool,
}

impl RReLU {
    /// Slopes from 1/8 to 1/3.
    pub fn new() -> RReLU {
        RReLU::with(1.0 / 8.0, 1.0 / 3.0)
    }

    /// Slopes from `lower` to `upper`.
    pub fn with(lower: f64, upper: f64) -> RReLU {
        RReLU { training: Training::new(), lower, upper, inplace: false }
    }

    /// Overwrites its input.
    #[must_use]
    pub fn inplace(mut self) -> RReLU {
        self.inplace = true;
        self
    }

    fn text(&self) -> String {
        let inplace = if self.inplace { ", inplace=True" } else { "" };
        format!("lower={}, upper={}{inplace}", float(self.lower), float(self.upper))
    }
}

impl Default for RReLU {
    fn default() -> Self {
        RReLU::new()
    }
}

impl Forward for RReLU {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let (lower, upper, training) = (self.lower, self.upper, self.training.is_on());
        let result = ops::rrelu_with(input, |o| o.lower(lower).upper(upper).training(training))?;
        if self.inplace { input.copy_(&result) } else { Ok(result) }
    }
}
