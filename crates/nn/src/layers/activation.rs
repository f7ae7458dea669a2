//! Activations: functions of one element (and [`GLU`], [`PReLU`]) as layers.

#![allow(clippy::upper_case_acronyms)] // PyTorch's names.

use cresset_core::{DType, Result, Scalar, Tensor, ensure, options};

use super::parameter;
use crate::functional::{softsign, tanhshrink};
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
    /// `1 / (1 + exp(-x))`, as `torch.nn.Sigmoid`.
    Sigmoid: |x| x.sigmoid();
    /// The hyperbolic tangent, as `torch.nn.Tanh`.
    Tanh: |x| x.tanh();
    /// `log sigmoid(x)`, as `torch.nn.LogSigmoid`.
    LogSigmoid: |x| x.log_sigmoid();
    /// `x / (1 + |x|)`, as `torch.nn.Softsign`.
    Softsign: |x| softsign(x);
    /// `x - tanh(x)`, as `torch.nn.Tanhshrink`.
    Tanhshrink: |x| tanhshrink(x);
}

/// Layers whose settings are the options of that name; the text is what is printed of them.
macro_rules! with_options {
    ($($(#[$doc:meta])* $name:ident($options:ident): |$o:ident| $text:expr, |$x:ident| $forward:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Module)]
        #[module(repr = { let $o = &self.options; let _ = $o; $text })]
        pub struct $name {
            #[module(skip)]
            options: $options,
        }

        impl $name {
            /// With PyTorch's defaults.
            pub fn new() -> Self {
                Self::default()
            }

            /// With optional settings.
            pub fn with(options: impl FnOnce($options) -> $options) -> Self {
                $name { options: options($options::default()) }
            }
        }

        impl Forward for $name {
            fn forward(&self, $x: &Tensor) -> Result<Tensor> {
                let $o = &self.options;
                $forward
            }
        }
    )* };
}

/// The call that makes a tensor, or the one that overwrites `x`.
macro_rules! choose {
    ($o:ident, $x:ident, $new:ident, $inplace:ident $(, $arguments:expr)*) => {
        if $o.inplace { $x.$inplace($($arguments),*) } else { $x.$new($($arguments),*) }
    };
}

options! {
    /// Optional settings of layers that have no others.
    InplaceOptions {
        /// Whether the input is overwritten (default: no).
        inplace: bool = false,
    }
}

/// What is printed of the setting, alone.
fn alone(inplace: bool) -> &'static str {
    if inplace { "inplace=True" } else { "" }
}

with_options! {
    /// `max(0, x)`, as `torch.nn.ReLU`.
    ReLU(InplaceOptions): |o| alone(o.inplace), |x| choose!(o, x, relu, relu_);
    /// `min(max(0, x), 6)`, as `torch.nn.ReLU6`.
    ReLU6(InplaceOptions): |o| alone(o.inplace), |x| choose!(o, x, relu6, relu6_);
    /// `x sigmoid(x)`, as `torch.nn.SiLU`.
    SiLU(InplaceOptions): |o| alone(o.inplace), |x| choose!(o, x, silu, silu_);
    /// `x tanh(softplus(x))`, as `torch.nn.Mish`.
    Mish(InplaceOptions): |o| alone(o.inplace), |x| choose!(o, x, mish, mish_);
    /// The self-normalising exponential unit, as `torch.nn.SELU`.
    SELU(InplaceOptions): |o| alone(o.inplace), |x| choose!(o, x, selu, selu_);
    /// `relu6(x + 3) / 6`, as `torch.nn.Hardsigmoid`.
    Hardsigmoid(InplaceOptions): |o| "", |x| choose!(o, x, hardsigmoid, hardsigmoid_);
    /// `x relu6(x + 3) / 6`, as `torch.nn.Hardswish`.
    Hardswish(InplaceOptions): |o| "", |x| choose!(o, x, hardswish, hardswish_);
}

options! {
    /// Optional settings of [`ELU`].
    ELUOptions {
        /// The negative limit (default: 1).
        alpha: Scalar = Scalar::Float(1.0),
        /// Whether the input is overwritten (default: no).
        inplace: bool = false,
    }
}

options! {
    /// Optional settings of [`CELU`].
    CELUOptions {
        /// The negative limit (default: 1).
        alpha: Scalar = Scalar::Float(1.0),
        /// Whether the input is overwritten (default: no).
        inplace: bool = false,
    }
}

options! {
    /// Optional settings of [`LeakyReLU`].
    LeakyReLUOptions {
        /// The slope below 0 (default: 0.01).
        negative_slope: Scalar = Scalar::Float(0.01),
        /// Whether the input is overwritten (default: no).
        inplace: bool = false,
    }
}

options! {
    /// Optional settings of [`Hardtanh`].
    HardtanhOptions {
        /// The lower end (default: -1).
        min_val: Scalar = Scalar::Float(-1.0),
        /// The upper end (default: 1).
        max_val: Scalar = Scalar::Float(1.0),
        /// Whether the input is overwritten (default: no).
        inplace: bool = false,
    }
}

options! {
    /// Optional settings of [`Softplus`].
    SoftplusOptions {
        /// The sharpness (default: 1).
        beta: Scalar = Scalar::Float(1.0),
        /// Above this `beta x` the function is `x` (default: 20).
        threshold: Scalar = Scalar::Float(20.0),
    }
}

options! {
    /// Optional settings of [`Hardshrink`] and [`Softshrink`].
    ShrinkOptions {
        /// How far from 0 (default: 0.5).
        lambd: Scalar = Scalar::Float(0.5),
    }
}

options! {
    /// Optional settings of [`GLU`].
    GLUOptions {
        /// The dimension (default: -1).
        dim: i64 = -1,
    }
}

options! {
    /// Optional settings of [`GELU`].
    GELUOptions {
        /// `none` for the exact function, `tanh` for the approximation by it (default: `none`).
        approximate: String = "none".into(),
    }
}

/// What is printed of the setting, after others.
fn behind(inplace: bool) -> &'static str {
    if inplace { ", inplace=True" } else { "" }
}

with_options! {
    /// `x` above 0, `alpha (exp(x) - 1)` below, as `torch.nn.ELU`.
    ELU(ELUOptions): |o| format!("alpha={}{}", number(o.alpha), behind(o.inplace)),
        |x| choose!(o, x, elu_with, elu_with_, |f| f.alpha(o.alpha));
    /// `x` above 0, `alpha (exp(x / alpha) - 1)` below, as `torch.nn.CELU`.
    CELU(CELUOptions): |o| format!("alpha={}{}", number(o.alpha), behind(o.inplace)),
        |x| choose!(o, x, celu_with, celu_with_, |f| f.alpha(o.alpha));
    /// `x` above 0, `negative_slope x` below, as `torch.nn.LeakyReLU`.
    LeakyReLU(LeakyReLUOptions): |o| format!("negative_slope={}{}", number(o.negative_slope), behind(o.inplace)),
        |x| choose!(o, x, leaky_relu_with, leaky_relu_with_, |f| f.negative_slope(o.negative_slope));
    /// `log(1 + exp(beta x)) / beta`, as `torch.nn.Softplus`.
    Softplus(SoftplusOptions): |o| format!("beta={}, threshold={}", number(o.beta), number(o.threshold)),
        |x| x.softplus_with(|f| f.beta(o.beta).threshold(o.threshold));
    /// `x` outside of `[-lambd, lambd]`, 0 inside, as `torch.nn.Hardshrink`.
    Hardshrink(ShrinkOptions): |o| number(o.lambd), |x| x.hardshrink_with(|f| f.lambd(o.lambd));
    /// `x` moved towards 0 by `lambd`, as `torch.nn.Softshrink`.
    Softshrink(ShrinkOptions): |o| number(o.lambd), |x| x.softshrink_with(|f| f.lambd(o.lambd));
    /// The first half of a dimension times the sigmoid of the second, as `torch.nn.GLU`.
    GLU(GLUOptions): |o| format!("dim={}", o.dim), |x| x.glu_with(|f| f.dim(o.dim));
    /// `x Phi(x)` with the normal distribution `Phi`, as `torch.nn.GELU`.
    GELU(GELUOptions): |o| format!("approximate='{}'", o.approximate), |x| x.gelu_with(|f| f.approximate(&o.approximate));
}

/// `x` cut to `[min_val, max_val]`, as `torch.nn.Hardtanh`.
#[derive(Clone, Debug, Default, Module)]
#[module(repr = self.text())]
pub struct Hardtanh {
    #[module(skip)]
    options: HardtanhOptions,
}

impl Hardtanh {
    /// From -1 to 1.
    pub fn new() -> Hardtanh {
        Hardtanh::default()
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Assertion` unless `max_val` is greater than `min_val`.
    pub fn with(options: impl FnOnce(HardtanhOptions) -> HardtanhOptions) -> Result<Hardtanh> {
        let options = options(HardtanhOptions::default());
        let HardtanhOptions { min_val, max_val, .. } = options;
        ensure!(
            max_val.to_f64() > min_val.to_f64(),
            Assertion,
            "max_val ({}) must be greater than min_val ({})",
            number(max_val),
            number(min_val)
        );
        Ok(Hardtanh { options })
    }

    fn text(&self) -> String {
        let o = &self.options;
        format!("min_val={}, max_val={}{}", number(o.min_val), number(o.max_val), behind(o.inplace))
    }
}

impl Forward for Hardtanh {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let o = &self.options;
        choose!(o, input, hardtanh_with, hardtanh_with_, |f| f.min_val(o.min_val).max_val(o.max_val))
    }
}

/// `x` above a threshold, a value below, as `torch.nn.Threshold`.
#[derive(Clone, Debug, Module)]
#[module(repr = self.text())]
pub struct Threshold {
    #[module(skip)]
    threshold: Scalar,
    #[module(skip)]
    value: Scalar,
    #[module(skip)]
    options: InplaceOptions,
}

impl Threshold {
    /// With that threshold and value.
    pub fn new(threshold: impl Into<Scalar>, value: impl Into<Scalar>) -> Threshold {
        Threshold::with(threshold, value, |o| o)
    }

    /// With optional settings.
    pub fn with(
        threshold: impl Into<Scalar>,
        value: impl Into<Scalar>,
        options: impl FnOnce(InplaceOptions) -> InplaceOptions,
    ) -> Threshold {
        let options = options(InplaceOptions::default());
        Threshold { threshold: threshold.into(), value: value.into(), options }
    }

    fn text(&self) -> String {
        let inplace = behind(self.options.inplace);
        format!("threshold={}, value={}{inplace}", number(self.threshold), number(self.value))
    }
}

impl Forward for Threshold {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let o = &self.options;
        choose!(o, input, threshold, threshold_, self.threshold, self.value)
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

options! {
    /// Optional settings of [`PReLU`].
    PReLUOptions {
        /// How many slopes: 1, or the number of channels (default: 1).
        num_parameters: i64 = 1,
        /// The slopes at first (default: 0.25).
        init: f64 = 0.25,
        /// The element type (default: `float32`).
        dtype: DType = DType::F32,
    }
}

impl PReLU {
    /// One slope for all channels.
    ///
    /// # Errors
    /// None.
    pub fn new() -> Result<PReLU> {
        PReLU::with(|o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Runtime` for a negative number of slopes.
    pub fn with(options: impl FnOnce(PReLUOptions) -> PReLUOptions) -> Result<PReLU> {
        let o = options(PReLUOptions::default());
        let weight = parameter(&[o.num_parameters], o.dtype)?;
        init::constant_(&weight, o.init)?;
        Ok(PReLU { weight })
    }
}

impl Forward for PReLU {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        input.prelu(&self.weight)
    }
}
