//! Activations: functions of one element (and [`GLU`], [`PReLU`]) as layers.

#![allow(clippy::upper_case_acronyms)] // PyTorch's names.

use cresset_core::{DType, Result, Scalar, Tensor};

use super::parameter;
use crate::init;
use crate::module::{Forward, Module, Parameter, number};

/// Layers without settings.
macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident: |$x:ident| $forward:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Module)]
        pub struct $name;

        impl $name {
            /// The layer.
            pub fn new() -> Self {
                $name
            }
        }

        impl Forward for $name {
            fn forward(&self, $x: &Tensor) -> Result<Tensor> {
                $forward
            }
        }
    )* };
}

plain! {
    /// `min(max(0, x), 6)`, as `torch.nn.ReLU6`.
    ReLU6: |x| x.relu6();
    /// `1 / (1 + exp(-x))`, as `torch.nn.Sigmoid`.
    Sigmoid: |x| x.sigmoid();
    /// The hyperbolic tangent, as `torch.nn.Tanh`.
    Tanh: |x| x.tanh();
    /// `x sigmoid(x)`, as `torch.nn.SiLU`.
    SiLU: |x| x.silu();
    /// `x tanh(softplus(x))`, as `torch.nn.Mish`.
    Mish: |x| x.mish();
    /// The self-normalising exponential unit, as `torch.nn.SELU`.
    SELU: |x| x.selu();
    /// `log sigmoid(x)`, as `torch.nn.LogSigmoid`.
    LogSigmoid: |x| x.log_sigmoid();
    /// `relu6(x + 3) / 6`, as `torch.nn.Hardsigmoid`.
    Hardsigmoid: |x| x.hardsigmoid();
    /// `x relu6(x + 3) / 6`, as `torch.nn.Hardswish`.
    Hardswish: |x| x.hardswish();
    /// `x / (1 + |x|)`, as `torch.nn.Softsign`.
    Softsign: |x| x.div(&x.abs()?.add_scalar(1)?);
    /// `x - tanh(x)`, as `torch.nn.Tanhshrink`.
    Tanhshrink: |x| x.sub(&x.tanh()?);
}

/// `max(0, x)`, as `torch.nn.ReLU`.
#[derive(Clone, Copy, Debug, Default, Module)]
#[module(repr = if self.inplace { "inplace=True" } else { "" })]
pub struct ReLU {
    #[module(skip)]
    inplace: bool,
}

impl ReLU {
    /// Into a new tensor.
    pub fn new() -> ReLU {
        ReLU { inplace: false }
    }

    /// Overwriting the input.
    pub fn inplace() -> ReLU {
        ReLU { inplace: true }
    }
}

impl Forward for ReLU {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        if self.inplace { input.relu_() } else { input.relu() }
    }
}

/// Layers with settings; the first list gives names and defaults.
macro_rules! with_settings {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty = $default:expr),* } $repr:expr, |$x:ident, $s:ident| $forward:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Module)]
        #[module(repr = { let $s = self; $repr })]
        pub struct $name {
            $($(#[$field_doc])* #[module(skip)] pub $field: $ty),*
        }

        impl $name {
            /// With PyTorch's defaults.
            pub fn new() -> Self {
                Self::default()
            }

            $(
                $(#[$field_doc])*
                #[must_use]
                pub fn $field(mut self, value: impl Into<$ty>) -> Self {
                    self.$field = value.into();
                    self
                }
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default),* }
            }
        }

        impl Forward for $name {
            fn forward(&self, $x: &Tensor) -> Result<Tensor> {
                let $s = self;
                $forward
            }
        }
    )* };
}

with_settings! {
    /// `x` above 0, `alpha (exp(x) - 1)` below, as `torch.nn.ELU`.
    ELU {
        /// The negative limit (default: 1).
        alpha: Scalar = Scalar::Float(1.0)
    } format!("alpha={}", number(s.alpha)), |x, s| x.elu_with(|o| o.alpha(s.alpha));
    /// `x` above 0, `alpha (exp(x / alpha) - 1)` below, as `torch.nn.CELU`.
    CELU {
        /// The negative limit (default: 1).
        alpha: Scalar = Scalar::Float(1.0)
    } format!("alpha={}", number(s.alpha)), |x, s| x.celu_with(|o| o.alpha(s.alpha));
    /// `x` above 0, `negative_slope x` below, as `torch.nn.LeakyReLU`.
    LeakyReLU {
        /// The slope below 0 (default: 0.01).
        negative_slope: Scalar = Scalar::Float(0.01)
    } format!("negative_slope={}", number(s.negative_slope)), |x, s| x.leaky_relu_with(|o| o.negative_slope(s.negative_slope));
    /// `log(1 + exp(beta x)) / beta`, as `torch.nn.Softplus`.
    Softplus {
        /// The sharpness (default: 1).
        beta: Scalar = Scalar::Float(1.0),
        /// Above this `beta x` the function is `x` (default: 20).
        threshold: Scalar = Scalar::Float(20.0)
    } format!("beta={}, threshold={}", number(s.beta), number(s.threshold)), |x, s| x.softplus_with(|o| o.beta(s.beta).threshold(s.threshold));
    /// `x` outside of `[-lambd, lambd]`, 0 inside, as `torch.nn.Hardshrink`.
    Hardshrink {
        /// The limit (default: 0.5).
        lambd: Scalar = Scalar::Float(0.5)
    } number(s.lambd), |x, s| x.hardshrink_with(|o| o.lambd(s.lambd));
    /// `x` moved towards 0 by `lambd`, as `torch.nn.Softshrink`.
    Softshrink {
        /// The distance (default: 0.5).
        lambd: Scalar = Scalar::Float(0.5)
    } number(s.lambd), |x, s| x.softshrink_with(|o| o.lambd(s.lambd));
    /// `x` cut to `[min_val, max_val]`, as `torch.nn.Hardtanh`.
    Hardtanh {
        /// The lower end (default: -1).
        min_val: Scalar = Scalar::Float(-1.0),
        /// The upper end (default: 1).
        max_val: Scalar = Scalar::Float(1.0)
    } format!("min_val={}, max_val={}", number(s.min_val), number(s.max_val)), |x, s| x.hardtanh_with(|o| o.min_val(s.min_val).max_val(s.max_val));
    /// `x` above a threshold, a value below, as `torch.nn.Threshold`.
    Threshold {
        /// The threshold (default: 0).
        threshold: Scalar = Scalar::Float(0.0),
        /// The value (default: 0).
        value: Scalar = Scalar::Float(0.0)
    } format!("threshold={}, value={}", number(s.threshold), number(s.value)), |x, s| x.threshold(s.threshold, s.value);
    /// The first half of a dimension times the sigmoid of the second, as `torch.nn.GLU`.
    GLU {
        /// The dimension (default: -1).
        dim: i64 = -1
    } format!("dim={}", s.dim), |x, s| x.glu_with(|o| o.dim(s.dim));
}

/// `x Phi(x)` with the normal distribution `Phi`, as `torch.nn.GELU`.
#[derive(Clone, Copy, Debug, Default, Module)]
#[module(repr = format!("approximate='{}'", self.approximation()))]
pub struct GELU {
    #[module(skip)]
    tanh: bool,
}

impl GELU {
    /// Exact.
    pub fn new() -> GELU {
        GELU { tanh: false }
    }

    /// The approximation by `tanh`.
    pub fn tanh() -> GELU {
        GELU { tanh: true }
    }

    fn approximation(self) -> &'static str {
        if self.tanh { "tanh" } else { "none" }
    }
}

impl Forward for GELU {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        input.gelu_with(|o| o.approximate(self.approximation()))
    }
}

/// A leaky ReLU whose slope is learned, as `torch.nn.PReLU`.
///
/// # Shapes
/// `[N, C, *]` -> the same; `weight [1]` or `[C]`.
#[derive(Clone, Debug, Module)]
#[module(repr = format!("num_parameters={}", self.weight.numel()))]
pub struct PReLU {
    /// The slope below 0, one or one per channel, at first 0.25.
    pub weight: Parameter,
}

impl PReLU {
    /// One slope for all channels.
    ///
    /// # Errors
    /// None.
    pub fn new() -> Result<PReLU> {
        PReLU::with(1, 0.25)
    }

    /// So many slopes with that value at first.
    ///
    /// # Errors
    /// `Runtime` for a negative number.
    pub fn with(num_parameters: i64, init: f64) -> Result<PReLU> {
        let weight = parameter(&[num_parameters], DType::F32)?;
        init::constant_(&weight, init)?;
        Ok(PReLU { weight })
    }
}

impl Forward for PReLU {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        input.prelu(&self.weight)
    }
}
