//! Affine maps: [`Linear`], [`Bilinear`], and [`Identity`].
//!
//! `y = x W^T + b`, the weight with one row per output feature.

use cresset_core::{DType, Result, Tensor, ensure, ops, options};

use super::{parameter, size};
use crate::init;
use crate::module::{Forward, Module, Parameter, boolean};

options! {
    /// Optional settings of [`Linear`] and [`Bilinear`].
    LinearOptions {
        /// Whether a bias is added (default: yes).
        bias: bool = true,
        /// The element type (default: `float32`).
        dtype: DType = DType::F32,
    }
}

/// Affine map `y = x W^T + b`, as [`torch.nn.Linear`](https://pytorch.org/docs/stable/generated/torch.nn.Linear.html).
///
/// ```
/// # use cresset_nn::{Forward, Linear};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let layer = Linear::with(8, 3, |o| o.bias(false))?;
/// assert_eq!(layer.forward(&ops::randn([2, 8])?)?.sizes()[..], [2, 3]);
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// `input [*, in_features]` -> `[*, out_features]`; `weight [out_features, in_features]`; `bias [out_features]`.
#[derive(Clone, Debug, Module)]
#[module(repr = self.text())]
pub struct Linear {
    /// The matrix, drawn from `U(-1/sqrt(in_features), 1/sqrt(in_features))`.
    pub weight: Parameter,
    /// The vector, drawn likewise.
    pub bias: Option<Parameter>,
}

impl Linear {
    /// With a bias.
    ///
    /// # Errors
    /// `Runtime` for negative sizes.
    pub fn new(in_features: i64, out_features: i64) -> Result<Linear> {
        Linear::with(in_features, out_features, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Runtime` for negative sizes.
    pub fn with(
        in_features: i64,
        out_features: i64,
        options: impl FnOnce(LinearOptions) -> LinearOptions,
    ) -> Result<Linear> {
        let o = options(LinearOptions::default());
        let weight = parameter(&[out_features, in_features], o.dtype)?;
        let bias = if o.bias { Some(parameter(&[out_features], o.dtype)?) } else { None };
        let layer = Linear { weight, bias };
        layer.reset_parameters()?;
        Ok(layer)
    }

    /// Draws weight and bias anew.
    ///
    /// # Errors
    /// None for tensors that can be written.
    pub fn reset_parameters(&self) -> Result<()> {
        init::reset_affine(&self.weight, self.bias.as_deref())
    }

    fn text(&self) -> String {
        let (w, bias) = (&self.weight, boolean(self.bias.is_some()));
        format!("in_features={}, out_features={}, bias={bias}", size(w, 1), size(w, 0))
    }
}

impl Forward for Linear {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        ops::linear_with(input, &self.weight, |o| o.bias(self.bias.as_deref()))
    }
}

/// Bilinear map `y = x1^T A x2 + b`, as `torch.nn.Bilinear`.
///
/// ```
/// # use cresset_nn::{Bilinear};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let layer = Bilinear::new(4, 5, 3)?;
/// assert_eq!(layer.forward(&ops::randn([2, 4])?, &ops::randn([2, 5])?)?.sizes()[..], [2, 3]);
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// `[*, in1_features]` and `[*, in2_features]` -> `[*, out_features]`; `weight [out, in1, in2]`; `bias [out]`.
#[derive(Clone, Debug, Module)]
#[module(repr = self.text())]
pub struct Bilinear {
    /// One matrix per output feature, drawn from `U(-1/sqrt(in1_features), 1/sqrt(in1_features))`.
    pub weight: Parameter,
    /// The vector, drawn likewise.
    pub bias: Option<Parameter>,
}

impl Bilinear {
    /// With a bias.
    ///
    /// # Errors
    /// `Value` unless `in1_features` is positive.
    pub fn new(in1_features: i64, in2_features: i64, out_features: i64) -> Result<Bilinear> {
        Bilinear::with(in1_features, in2_features, out_features, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Value` unless `in1_features` is positive.
    pub fn with(
        in1_features: i64,
        in2_features: i64,
        out_features: i64,
        options: impl FnOnce(LinearOptions) -> LinearOptions,
    ) -> Result<Bilinear> {
        let o = options(LinearOptions::default());
        ensure!(in1_features > 0, Value, "in1_features must be > 0, but got (in1_features={in1_features})");
        let weight = parameter(&[out_features, in1_features, in2_features], o.dtype)?;
        let bias = if o.bias { Some(parameter(&[out_features], o.dtype)?) } else { None };
        let bound = 1.0 / (in1_features as f64).sqrt();
        init::uniform_within(&weight, bound)?;
        bias.iter().try_for_each(|b| init::uniform_within(b, bound))?;
        Ok(Bilinear { weight, bias })
    }

    /// Computes the output of two inputs.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit.
    pub fn forward(&self, input1: &Tensor, input2: &Tensor) -> Result<Tensor> {
        ops::bilinear_with(input1, input2, &self.weight, |o| o.bias(self.bias.as_deref()))
    }

    fn text(&self) -> String {
        let (w, bias) = (&self.weight, boolean(self.bias.is_some()));
        format!(
            "in1_features={}, in2_features={}, out_features={}, bias={bias}",
            size(w, 1),
            size(w, 2),
            size(w, 0)
        )
    }
}

/// The input, unchanged, as `torch.nn.Identity`.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct Identity;

impl Forward for Identity {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.clone())
    }
}
