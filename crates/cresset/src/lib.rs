#![doc = include_str!("../../../README.md")]
#![forbid(unsafe_code)]

pub use cresset_core::*;

pub mod prelude;
