//! Elementwise functions with the checks that PyTorch makes before their operators run.

use cresset_core::{Result, Scalar, Tensor, ensure, ops, options};

options! {
    /// Optional settings of [`hardtanh_with`].
    HardtanhSettings {
        /// The lower end (default: -1).
        min_val: Scalar = Scalar::Float(-1.0),
        /// The upper end (default: 1).
        max_val: Scalar = Scalar::Float(1.0),
    }
}

/// The input limited to -1 and 1.
///
/// # Errors
/// `NotImplemented` for booleans.
pub fn hardtanh(input: &Tensor) -> Result<Tensor> {
    hardtanh_with(input, |o| o)
}

/// The input limited to two values.
///
/// # Errors
/// `Value` when the lower one is the larger, `NotImplemented` for booleans.
pub fn hardtanh_with(
    input: &Tensor,
    options: impl FnOnce(HardtanhSettings) -> HardtanhSettings,
) -> Result<Tensor> {
    let o = options(HardtanhSettings::default());
    ensure!(o.min_val.to_f64() <= o.max_val.to_f64(), Value, "min_val cannot be greater than max_val");
    ops::hardtanh_with(input, |h| h.min_val(o.min_val).max_val(o.max_val))
}
