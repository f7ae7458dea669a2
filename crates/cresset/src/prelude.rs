//! What most programs need: `use cresset::prelude::*`.

pub use cresset_core::autograd::{GradOptions, grad};
pub use cresset_core::indexing::{Ellipsis, NewAxis};
pub use cresset_core::ops::*;
pub use cresset_core::random::{Generator, manual_seed};
pub use cresset_core::{
    DType, Device, Error, ErrorKind, MemoryFormat, Result, Scalar, Tensor, Value, enable_grad,
    inference_mode, no_grad, set_num_threads, tensor,
};
pub use cresset_nn::{Forward, Layer, Module};
