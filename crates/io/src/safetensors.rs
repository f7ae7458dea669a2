//! safetensors files: named tensors behind a JSON header.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, View};

use crate::atomic::write_atomically;
use crate::mapping::{FileBytes, Regions};
use crate::pickle::normalized;
use cresset_core::layout::Layout;
use cresset_core::storage::Storage;
use cresset_core::{DType, Device, Error, Result, Tensor, bail};

/// Tensors below this size are copied: a copy is cheaper than the page faults of a map.
const MAPPED_FROM: usize = 64 << 10;

/// The content of a safetensors file.
#[derive(Clone, Debug, Default)]
pub struct SafetensorsFile {
    /// The tensors, in the order of their data.
    pub tensors: Vec<(String, Tensor)>,
    /// The free text of the header.
    pub metadata: Vec<(String, String)>,
}

/// Reads the tensors of a safetensors file, in the order of their data.
///
/// # Errors
/// `Io` when the file cannot be read; `Runtime`, naming the file, when its header is damaged or does not fit the data;
/// `NotImplemented` for dtypes that do not exist here.
pub fn load_safetensors(path: impl AsRef<Path>) -> Result<Vec<(String, Tensor)>> {
    Ok(read_safetensors(path)?.tensors)
}

/// Reads a safetensors file with its metadata.
///
/// # Errors
/// As [`load_safetensors`].
pub fn read_safetensors(path: impl AsRef<Path>) -> Result<SafetensorsFile> {
    let path = path.as_ref();
    let bytes = FileBytes::open(path, true)?;
    parse(&bytes, Some(path)).map_err(|error| error.context(path.display()))
}

/// Reads the content of a safetensors file.
///
/// # Errors
/// As [`load_safetensors`].
pub fn load_safetensors_bytes(bytes: &[u8]) -> Result<SafetensorsFile> {
    parse(bytes, None)
}

fn damaged(error: safetensors::SafeTensorError) -> Error {
    Error::runtime(format!("Error while deserializing header: {error}"))
}

fn parse(bytes: &[u8], path: Option<&Path>) -> Result<SafetensorsFile> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let mut regions = None;
    let mut tensors = Vec::with_capacity(file.len());
    for name in header.offset_keys() {
        let view = file.tensor(&name).map_err(damaged)?;
        let at = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        let tensor = tensor(&view, at, path, &mut regions).map_err(|error| error.context(&name))?;
        tensors.push((name, tensor));
    }
    let mut metadata: Vec<(String, String)> =
        header.metadata().clone().unwrap_or_default().into_iter().collect();
    metadata.sort();
    Ok(SafetensorsFile { tensors, metadata })
}

fn tensor(
    view: &safetensors::tensor::TensorView<'_>,
    at: usize,
    path: Option<&Path>,
    regions: &mut Option<Regions>,
) -> Result<Tensor> {
    let dtype = from_dtype(view.dtype())?;
    let sizes: Vec<i64> = view.shape().iter().map(|size| *size as i64).collect();
    let data = view.data();
    let storage = match path {
        Some(path) if data.len() >= MAPPED_FROM && dtype != DType::Bool => {
            mapped(path, at..at + data.len(), regions)?
        }
        _ => None,
    };
    let storage = storage.map_or_else(|| Storage::from_bytes(&normalized(data, dtype)), Ok)?;
    Tensor::from_storage(storage, Layout::contiguous(&sizes), dtype)
}

fn mapped(
    path: &Path,
    range: std::ops::Range<usize>,
    regions: &mut Option<Regions>,
) -> Result<Option<Storage>> {
    if regions.is_none() {
        *regions = Some(Regions::open(path)?);
    }
    let region = regions.as_mut().and_then(|regions| regions.take(range));
    region.map(Storage::from_owner).transpose()
}

fn from_dtype(dtype: Dtype) -> Result<DType> {
    Ok(match dtype {
        Dtype::BOOL => DType::Bool,
        Dtype::U8 => DType::U8,
        Dtype::I8 => DType::I8,
        Dtype::I16 => DType::I16,
        Dtype::I32 => DType::I32,
        Dtype::I64 => DType::I64,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        Dtype::C64 => DType::Complex64,
        other => bail!(NotImplemented, "{other:?} tensors are not supported"),
    })
}

fn to_dtype(dtype: DType) -> Result<Dtype> {
    Ok(match dtype {
        DType::Bool => Dtype::BOOL,
        DType::U8 => Dtype::U8,
        DType::I8 => Dtype::I8,
        DType::I16 => Dtype::I16,
        DType::I32 => Dtype::I32,
        DType::I64 => Dtype::I64,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::Complex64 => Dtype::C64,
        DType::Complex128 => bail!(Value, "safetensors cannot hold {dtype} tensors"),
    })
}

/// A tensor as the `safetensors` crate wants it: row-major.
struct Row {
    dtype: Dtype,
    shape: Vec<usize>,
    storage: Storage,
}

impl View for Row {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.storage.with_bytes(<[u8]>::to_vec))
    }
    fn data_len(&self) -> usize {
        self.storage.nbytes()
    }
}

/// Writes tensors to a safetensors file, whole or not at all.
///
/// Views are written as what they show, so tensors that share memory no longer do when read. The header says
/// `"format": "pt"`, which other readers ask for.
///
/// # Errors
/// `Io`, naming the file, when it cannot be written; `Value` for a dtype that the format lacks.
pub fn save_safetensors<'a, K: AsRef<str>>(
    tensors: impl IntoIterator<Item = (K, &'a Tensor)>,
    path: impl AsRef<Path>,
) -> Result<()> {
    save_safetensors_with(tensors, [("format", "pt")], path)
}

/// [`save_safetensors`] with other metadata.
///
/// # Errors
/// As [`save_safetensors`].
pub fn save_safetensors_with<'a, K: AsRef<str>, M: AsRef<str>>(
    tensors: impl IntoIterator<Item = (K, &'a Tensor)>,
    metadata: impl IntoIterator<Item = (M, M)>,
    path: impl AsRef<Path>,
) -> Result<()> {
    let rows = tensors.into_iter().map(|(name, tensor)| Ok((name.as_ref().to_owned(), row(tensor)?)));
    let rows = rows.collect::<Result<Vec<_>>>()?;
    let metadata: HashMap<String, String> = metadata
        .into_iter()
        .map(|(key, value)| (key.as_ref().to_owned(), value.as_ref().to_owned()))
        .collect();
    let written = safetensors::serialize(rows, Some(metadata));
    let bytes = written.map_err(|error| Error::value(format!("safetensors: {error}")))?;
    write_atomically(path.as_ref(), |out| Ok(std::io::Write::write_all(out, &bytes)?))
}

fn row(tensor: &Tensor) -> Result<Row> {
    if tensor.device() == Device::Meta {
        bail!(NotImplemented, "Cannot copy out of meta tensor; no data!");
    }
    let sizes = tensor.sizes();
    let whole = tensor.is_contiguous() && tensor.storage_offset() == 0;
    let exact = whole && tensor.storage().nbytes() == tensor.numel() * tensor.dtype().size();
    let storage = if exact { tensor.storage() } else { dense(tensor)? };
    let shape = sizes.iter().map(|size| *size as usize).collect();
    Ok(Row { dtype: to_dtype(tensor.dtype())?, shape, storage })
}

/// A storage of just the elements, in row-major order.
fn dense(tensor: &Tensor) -> Result<Storage> {
    let copy = Tensor::empty_of(&tensor.sizes(), tensor.dtype(), tensor.device())?;
    Ok(copy.copy_(&tensor.detach())?.storage())
}
