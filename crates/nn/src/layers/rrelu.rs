//! Leaky rectification with a random slope: [`RReLU`].

use cresset_core::{Result, Tensor, ops, options};

use crate::module::{Forward, Module, Training, float};

/// `x` where positive, else `a x` with `a` drawn from `U(lower, upper)`; their mean in evaluation. As `torch.nn.RReLU`.
///
/// # Shapes
/// `[*]` -> the same.
#[derive(Clone, Debug, Default, Module)]
#[module(repr = self.text())]
pub struct RReLU {
    training: Training,
    #[module(skip)]
    options: RReLUOptions,
}

options! {
    /// Optional settings of [`RReLU`].
    RReLUOptions {
        /// The least slope (default: 1/8).
        lower: f64 = 1.0 / 8.0,
        /// The largest slope (default: 1/3).
        upper: f64 = 1.0 / 3.0,
        /// Whether the input is overwritten (default: no).
        inplace: bool = false,
    }
}

impl RReLU {
    /// Slopes from 1/8 to 1/3.
    pub fn new() -> RReLU {
        RReLU::default()
    }

    /// With optional settings.
    pub fn with(options: impl FnOnce(RReLUOptions) -> RReLUOptions) -> RReLU {
        RReLU { training: Training::new(), options: options(RReLUOptions::default()) }
    }

    fn text(&self) -> String {
        let o = &self.options;
        let inplace = if o.inplace { ", inplace=True" } else { "" };
        format!("lower={}, upper={}{inplace}", float(o.lower), float(o.upper))
    }
}

impl Forward for RReLU {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let RReLUOptions { lower, upper, inplace } = self.options;
        let training = self.training.is_on();
        let set = |o: ops::RreluOptions| o.lower(lower).upper(upper).training(training);
        if inplace { input.rrelu_with_(set) } else { ops::rrelu_with(input, set) }
    }
}
