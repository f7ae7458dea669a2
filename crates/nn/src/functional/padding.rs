//! Padding by mode.

use cresset_core::{Error, Result, Tensor};

/// What stands in the padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaddingMode {
    /// Zeros.
    Zeros,
    /// The input mirrored at its border, without the border itself.
    Reflect,
    /// The border, repeated.
    Replicate,
    /// The opposite end.
    Circular,
}

impl PaddingMode {
    /// The one of PyTorch's name.
    ///
    /// # Errors
    /// `Value` for another name.
    pub fn parse(name: &str) -> Result<PaddingMode> {
        use PaddingMode::{Circular, Reflect, Replicate, Zeros};
        let all = [Zeros, Reflect, Replicate, Circular];
        all.into_iter().find(|mode| mode.name() == name).ok_or_else(|| {
            let names = all.map(|mode| format!("'{}'", mode.name())).join(", ");
            Error::value(format!("padding_mode must be one of {{{names}}}, but got padding_mode='{name}'"))
        })
    }

    /// PyTorch's name.
    pub fn name(self) -> &'static str {
        match self {
            PaddingMode::Zeros => "zeros",
            PaddingMode::Reflect => "reflect",
            PaddingMode::Replicate => "replicate",
            PaddingMode::Circular => "circular",
        }
    }
}

/// Pads the last dimensions: `[left, right, top, bottom, …]`, as `torch.nn.functional.pad`.
///
/// # Errors
/// `Runtime` when the padding does not fit the input and the mode.
pub fn pad(input: &Tensor, padding: &[i64], mode: PaddingMode) -> Result<Tensor> {
    let mode = if mode == PaddingMode::Zeros { "constant" } else { mode.name() };
    input.pad_with(padding, |o| o.mode(mode))
}

/// Pads the last dimensions with a number.
///
/// # Errors
/// `Runtime` when the padding does not fit the input.
pub fn pad_constant(input: &Tensor, padding: &[i64], value: f64) -> Result<Tensor> {
    input.pad_with(padding, |o| o.value(value))
}
