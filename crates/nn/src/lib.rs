//! Layers, losses and initialisation with PyTorch's names, `state_dict` keys and printed forms.
//!
//! [`module`] is what all of them share; [`layers`] and [`loss`] hold one family per file; [`functional`] the same
//! computations as functions; [`init`] fills tensors as `torch.nn.init` does, bit for bit under the same seed.

#![forbid(unsafe_code)]

// The derive names this crate as others do.
extern crate self as cresset_nn;

pub mod functional;
pub mod init;
pub mod layers;
pub mod loss;
pub mod module;
pub mod utils;

pub use layers::*;
pub use loss::*;
pub use module::*;
