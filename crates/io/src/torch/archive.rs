//! The zip archive of PyTorch 1.6 and later, and the data of TorchScript archives.

use std::collections::HashMap;
use std::path::Path;

use crate::PyValue;
use crate::mapping::Regions;
use crate::pickle::{Arena, Machine, Policy, StorageRef, normalized, to_value};
use crate::zip::Archive;
use cresset_core::storage::Storage;
use cresset_core::{DType, Result, bail};

/// Storages below this size are copied: a copy is cheaper than the page faults of a map.
const MAPPED_FROM: usize = 64 << 10;

/// Reads an archive; `path` is given if its large storages may be mapped.
pub(super) fn load(bytes: &[u8], path: Option<&Path>, policy: Policy<'_>) -> Result<PyValue> {
    let archive = Archive::open(bytes)?;
    let root = root(&archive)?;
    let byteorder = format!("{root}/byteorder");
    if archive.contains(&byteorder) && archive.read(&byteorder)?.trim_ascii() != b"little" {
        bail!(NotImplemented, "files of big-endian machines are not supported");
    }
    let code = format!("{root}/code/");
    let script =
        archive.contains(&format!("{root}/constants.pkl")) || archive.names().any(|n| n.starts_with(&code));
    let pickle = archive.read(&format!("{root}/data.pkl"))?;
    let mut arena = Arena::default();
    let (value, _) = Machine::new(&pickle, Policy { script, ..policy }, &mut arena).run()?;
    let mut storages =
        Storages { archive, folder: format!("{root}/data"), path, regions: None, loaded: HashMap::new() };
    to_value(&arena, value, &mut |id, dtype| storages.get(&arena.storages[id as usize], dtype))
}

/// The folder that everything in the archive lies in.
fn root<'a>(archive: &'a Archive<'_>) -> Result<String> {
    let ends = |name: &'a str, end: &str| name.strip_suffix(end).filter(|root| !root.contains('/'));
    if let Some(root) = archive.names().find_map(|name| ends(name, "/data.pkl")) {
        return Ok(root.to_owned());
    }
    if archive.names().any(|name| name.ends_with("/models/model.json") || name.ends_with("archive_format")) {
        bail!(NotImplemented, "this is an exported program (.pt2), which is not a file of torch.save");
    }
    if archive.names().any(|name| ends(name, "/model.json").is_some()) {
        bail!(
            NotImplemented,
            "this is a TorchScript archive of before PyTorch 1.2, whose format is not supported"
        );
    }
    bail!("PytorchStreamReader failed locating file data.pkl: file not found")
}

/// The storages of an archive, read when they are first asked for.
struct Storages<'a> {
    archive: Archive<'a>,
    folder: String,
    path: Option<&'a Path>,
    regions: Option<Regions>,
    /// By key; truths apart, as their bytes are checked.
    loaded: HashMap<(String, bool), Storage>,
}

impl Storages<'_> {
    fn get(&mut self, storage: &StorageRef, dtype: DType) -> Result<Storage> {
        let key = (storage.key.clone(), dtype == DType::Bool);
        if let Some(loaded) = self.loaded.get(&key) {
            return Ok(loaded.clone());
        }
        let loaded = self.load(storage, dtype)?;
        self.loaded.insert(key, loaded.clone());
        Ok(loaded)
    }

    fn load(&mut self, storage: &StorageRef, dtype: DType) -> Result<Storage> {
        let name = format!("{}/{}", self.folder, storage.key);
        if let Some(mapped) = self.map(&name, dtype)? {
            return Ok(mapped);
        }
        let bytes = self.archive.read(&name)?;
        let expected = storage.numel.checked_mul(storage.dtype.size() as u64);
        if expected.is_none_or(|expected| (bytes.len() as u64) < expected) {
            bail!(
                "storage '{}' has {} bytes, expected {} of {}",
                storage.key,
                bytes.len(),
                storage.numel,
                storage.dtype
            );
        }
        Storage::from_bytes(&normalized(&bytes, dtype))
    }

    /// The storage as a part of the mapped file, if it is large and lies there as it is.
    fn map(&mut self, name: &str, dtype: DType) -> Result<Option<Storage>> {
        let (Some(path), Some(range)) = (self.path, self.archive.stored(name)?) else { return Ok(None) };
        if range.len() < MAPPED_FROM || dtype == DType::Bool {
            return Ok(None);
        }
        if self.regions.is_none() {
            self.regions = Some(Regions::open(path)?);
        }
        let region = self.regions.as_mut().and_then(|regions| regions.take(range));
        region.map(Storage::from_owner).transpose()
    }
}
