//! Reading and writing files, among them real ones by others and hostile ones.

// One at a time: how files are read, written, and refused.
mod hostile;
mod read;
mod safetensors;
mod write;

use std::path::PathBuf;

use cresset_core::Tensor;

/// A file of `tests/data`.
fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The elements in row-major order as bytes.
fn bytes_of(tensor: &Tensor) -> Vec<u8> {
    let copy = Tensor::empty_of(&tensor.sizes(), tensor.dtype(), tensor.device()).expect("an empty tensor");
    copy.copy_(&tensor.detach()).expect("a copy");
    let len = tensor.numel() * tensor.dtype().size();
    copy.storage().with_bytes(|bytes| bytes[..len].to_vec())
}
