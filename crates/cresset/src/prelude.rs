//! What most programs need: `use cresset::prelude::*`.

pub use cresset_core::autograd::{self, GradOptions, backward, grad};
pub use cresset_core::ops::*;
pub use cresset_core::random::{Generator, manual_seed};
pub use cresset_core::{
    DType, Device, Error, ErrorKind, Result, Scalar, Tensor, Value, enable_grad, inference_mode, no_grad,
};
