//! `.pt` files: what `torch.save` writes now, and what it wrote since 2016.

mod archive;
mod legacy;
mod save;
mod tar;

use std::path::Path;

use crate::PyValue;
use crate::mapping::FileBytes;
use crate::pickle::Policy;
use crate::zip::Archive;
use cresset_core::{Result, bail};

pub use save::{save, save_to};

/// How a file is read.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Maps the file into memory, so that large storages are read when they are first used (the default). Switch it
    /// off for a file that another program may change in place.
    pub mmap: bool,
    /// Full names of classes whose objects are read as inert data ([`PyValue::Object`]) instead of being an error.
    pub allow: Vec<String>,
    /// Reads objects of all classes as inert data: for listing what a file holds.
    pub inert: bool,
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions { mmap: true, allow: Vec::new(), inert: false }
    }
}

impl LoadOptions {
    fn policy(&self) -> Policy<'_> {
        Policy { allowed: &self.allow, any: self.inert, script: false }
    }
}

/// Reads a `.pt` file: `torch.load(path, map_location="cpu", weights_only=True)`.
///
/// Zip archives, files of before PyTorch 1.6 and the tar files of before 0.2 are told apart by their content. Of a
/// TorchScript archive the data is read: modules are [`PyValue::Object`]s with their attributes. Nothing is ever run.
/// Storages that tensors share stay shared; those of other devices come to the CPU.
///
/// # Errors
/// `Io` when the file cannot be read; `Runtime`, naming the file, when it is damaged, truncated, hostile, or names
/// something else than tensors and plain containers; `NotImplemented` for kinds of tensors that do not exist here.
pub fn load(path: impl AsRef<Path>) -> Result<PyValue> {
    load_with(path, &LoadOptions::default())
}

/// [`load`] with options.
///
/// # Errors
/// As [`load`].
pub fn load_with(path: impl AsRef<Path>, options: &LoadOptions) -> Result<PyValue> {
    let path = path.as_ref();
    let bytes = FileBytes::open(path, options.mmap)?;
    let mapped = options.mmap.then_some(path);
    read(&bytes, mapped, options).map_err(|error| error.context(path.display()))
}

/// [`load`] from the content of a file.
///
/// # Errors
/// As [`load`].
pub fn load_bytes(bytes: &[u8]) -> Result<PyValue> {
    read(bytes, None, &LoadOptions::default())
}

fn read(bytes: &[u8], mapped: Option<&Path>, options: &LoadOptions) -> Result<PyValue> {
    if bytes.is_empty() {
        bail!("the file is empty");
    }
    if Archive::is_one(bytes) {
        return archive::load(bytes, mapped, options.policy());
    }
    if bytes.starts_with(b"version https://git-lfs") {
        bail!("this is a Git LFS pointer, not the file that it points to");
    }
    if tar::is_one(bytes) {
        return tar::load(bytes, options.policy());
    }
    legacy::load(bytes, options.policy())
}
