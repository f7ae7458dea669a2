//! Writing the zip archive that PyTorch reads with `weights_only=True`.

use std::io::Write;
use std::path::Path;

use crate::PyValue;
use crate::atomic::write_atomically;
use crate::pickle::PickleWriter;
use crate::zip::Writer;
use cresset_core::Result;

/// Writes `value` to a `.pt` file: `torch.save(value, path)`.
///
/// Tensors that share a storage share it in the file. The file is there whole or not at all: it is written beside
/// `path`, brought to the disk and renamed.
///
/// # Errors
/// `Io`, naming the file, when it cannot be written (folder missing, disk full, …); `Runtime` for a value that the
/// format cannot hold.
pub fn save(value: &PyValue, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let name = path.file_stem().map_or_else(|| "archive".into(), |stem| stem.to_string_lossy());
    write_atomically(path, |out| archive(value, &name, out))
}

/// Writes `value` in the format of a `.pt` file to `out`.
///
/// # Errors
/// As [`save`].
pub fn save_to(value: &PyValue, out: impl Write) -> Result<()> {
    archive(value, "archive", out)
}

/// The entries of an archive, in PyTorch's order.
fn archive(value: &PyValue, root: &str, out: impl Write) -> Result<()> {
    let mut pickle = PickleWriter::default();
    let data = pickle.pickle(value)?;
    let mut zip = Writer::new(out);
    zip.add(&format!("{root}/data.pkl"), &data)?;
    zip.add(&format!("{root}/.format_version"), b"1")?;
    zip.add(&format!("{root}/.storage_alignment"), b"64")?;
    zip.add(&format!("{root}/byteorder"), b"little")?;
    let mut id = crc32fast::Hasher::new();
    id.update(&data);
    for (key, storage) in pickle.storages.iter().enumerate() {
        storage.with_bytes(|bytes| zip.add(&format!("{root}/data/{key}"), bytes))?;
        id.update(&storage.nbytes().to_le_bytes());
    }
    zip.add(&format!("{root}/version"), b"3\n")?;
    // PyTorch tells archives apart by 40 digits; these depend on the content, so that equal values give equal files.
    let id = format!("{:020}{:020}", data.len(), id.finalize());
    zip.add(&format!("{root}/.data/serialization_id"), id.as_bytes())?;
    zip.finish()
}
