//! PyTorch's files: `.pt` in all its formats, and safetensors.
//!
//! Reading never runs anything that a file names: a pickle is data or an error ([`load`]). Files may be hostile:
//! every size and offset is checked against the bytes that are there, and what a file may unpack or repeat is bounded.
//! Large storages are mapped, so that opening a file costs what is used of it. Writing is atomic ([`write_atomically`]).

#![deny(unsafe_code)]

mod atomic;
#[allow(unsafe_code)]
mod mapping;
mod pickle;
mod safetensors;
mod torch;
mod value;
mod zip;

pub use atomic::write_atomically;
pub use safetensors::{
    SafetensorsFile, load_safetensors, load_safetensors_bytes, read_safetensors, save_safetensors,
    save_safetensors_with,
};
pub use torch::{LoadOptions, load, load_bytes, load_with, save, save_to};
pub use value::{Object, PyValue};
