//! The engine of Cresset: tensors, operators declared once, autograd, modes and random generators.
//!
//! Start at [`Tensor`]; [`ops`] holds the operators by family; ARCHITECTURE.md in the repository shows how a call
//! travels from a method to its kernel.

// Operators name the items of this crate as `crate::…`.
pub mod autograd;
mod copy;
mod dense;
mod device;
mod dims;
pub mod display;
mod door;
mod draw;
mod elements;
mod error;
mod grid_sampling;
pub mod indexing;
pub mod layout;
pub mod library;
pub mod literal;
mod matrices;
pub mod modes;
pub mod op;
pub mod ops;
pub mod optimizer;
mod options;
pub mod overloads;
mod pointwise;
mod pooling;
mod product;
pub mod promotion;
pub mod random;
mod reduction;
mod resampling;
mod scalar;
pub mod schema;
mod second;
pub mod signal;
mod sparse;
pub mod storage;
mod sugar;
mod supported;
mod tensor;
pub mod value;

pub use cresset_kernels::dtype::{C32, C64, DType, Element, bf16, f16};
pub use cresset_kernels::parallel::{num_threads, set_num_threads};
pub use device::{Device, MemoryFormat, StorageLayout};
pub use display::{PrintOptions, print_options, set_print_options};
pub use error::{Error, ErrorKind, Result};
pub use indexing::{Ellipsis, NewAxis, every};
pub use modes::{enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled};
pub use scalar::Scalar;
pub use tensor::Tensor;
pub use value::{IntList, Value};
