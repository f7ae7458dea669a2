//! Files of a kit: a folder of safetensors files whose metadata holds cases, and of JSON files.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde::de::DeserializeOwned;

/// Why a file cannot be read or a case failed, in words for a reader.
pub type Reason = String;

/// A folder in the format of the README beside it.
#[derive(Clone, Debug)]
pub struct Kit {
    root: PathBuf,
}

impl Kit {
    /// Opens a folder.
    ///
    /// # Errors
    /// When it is not a folder.
    pub fn open(root: impl Into<PathBuf>) -> Result<Kit, Reason> {
        let root = root.into();
        if root.is_dir() { Ok(Kit { root }) } else { Err(format!("{}: not a folder", root.display())) }
    }

    /// The compact kit that the repository ships.
    ///
    /// # Errors
    /// When the folder is missing.
    pub fn shipped() -> Result<Kit, Reason> {
        Kit::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("kit"))
    }

    /// The names, without extension and sorted, of the safetensors files in a sub-folder.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(folder)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|e| Some(e.file_name().to_str()?.strip_suffix(".safetensors")?.to_string()))
            .collect();
        names.sort();
        names
    }

    /// Whether a file is there.
    pub fn has(&self, file: &str) -> bool {
        self.root.join(file).is_file()
    }

    /// Reads a JSON file.
    ///
    /// # Errors
    /// When it cannot be read or parsed.
    pub fn json<T: DeserializeOwned>(&self, file: &str) -> Result<T, Reason> {
        let text = fs::read(self.root.join(file)).map_err(|e| format!("{file}: {e}"))?;
        serde_json::from_slice(&text).map_err(|e| format!("{file}: {e}"))
    }

    /// Reads a safetensors file.
    ///
    /// # Errors
    /// When it cannot be read or parsed.
    pub fn pack(&self, file: &str) -> Result<Pack, Reason> {
        let bytes = fs::read(self.root.join(file)).map_err(|e| format!("{file}: {e}"))?;
        Pack::parse(bytes).map_err(|e| format!("{file}: {e}"))
    }
}

/// One safetensors file: stored tensors by key, and its metadata.
#[derive(Debug)]
pub struct Pack {
    bytes: Vec<u8>,
    entries: HashMap<String, Entry>,
    metadata: HashMap<String, String>,
}

#[derive(Debug)]
struct Entry {
    dtype: String,
    sizes: Vec<i64>,
    start: usize,
    end: usize,
}

/// A tensor as it lies in a file: row-major, little-endian.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// The format's dtype name, such as `F32`.
    pub dtype: &'a str,
    /// Sizes.
    pub sizes: &'a [i64],
    /// The elements.
    pub bytes: &'a [u8],
}

impl Pack {
    fn parse(bytes: Vec<u8>) -> Result<Pack, Reason> {
        let (header, info) = SafeTensors::read_metadata(&bytes).map_err(|e| e.to_string())?;
        let base = header + 8;
        let entries = info.tensors().into_iter().map(|(key, t)| {
            let sizes = t.shape.iter().map(|&n| n as i64).collect();
            let (start, end) = (base + t.data_offsets.0, base + t.data_offsets.1);
            (key, Entry { dtype: t.dtype.to_string(), sizes, start, end })
        });
        let entries = entries.collect();
        let metadata = info.metadata().clone().unwrap_or_default();
        Ok(Pack { bytes, entries, metadata })
    }

    /// The cases of the file.
    ///
    /// # Errors
    /// When the metadata does not hold cases of that form.
    pub fn cases<T: DeserializeOwned>(&self) -> Result<Vec<T>, Reason> {
        let text = self.metadata.get("cases").ok_or("the metadata has no cases")?;
        serde_json::from_str(text).map_err(|e| format!("cases: {e}"))
    }

    /// The tensor stored under a key.
    ///
    /// # Errors
    /// When there is none.
    pub fn stored(&self, key: &str) -> Result<Stored<'_>, Reason> {
        let e = self.entries.get(key).ok_or_else(|| format!("the kit has no tensor {key}"))?;
        Ok(Stored { dtype: &e.dtype, sizes: &e.sizes, bytes: &self.bytes[e.start..e.end] })
    }
}
