//! Writing a file so that it is there whole or not at all.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use cresset_core::{Error, Result};

/// Calls `write` with a temporary file beside `path`, brings it to the disk and renames it to `path`.
///
/// Whatever happens before the renaming leaves `path` as it was, also a crash; on an error the temporary file is
/// removed.
///
/// # Errors
/// `Io`, naming `path`, when the file cannot be made or written; what `write` returns.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    let temporary = temporary_beside(path);
    let outcome = fill(&temporary, write).and_then(|()| Ok(std::fs::rename(&temporary, path)?));
    if let Err(error) = outcome {
        let _ = std::fs::remove_file(&temporary);
        return Err(error.context(format!("cannot write {}", path.display())));
    }
    sync_directory(path);
    Ok(())
}

fn fill(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, File::create_new(path)?);
    write(&mut out)?;
    out.flush()?;
    out.into_inner().map_err(|e| Error::from(e.into_error()))?.sync_all()?;
    Ok(())
}

/// A name in the same folder (renaming does not cross file systems) that no other writer has.
fn temporary_beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}-{count}.tmp", std::process::id()))
}

/// Makes the new name itself durable. Systems where folders cannot be opened do so by themselves.
fn sync_directory(path: &Path) {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}
