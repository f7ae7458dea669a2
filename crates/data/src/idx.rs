//! The idx format of MNIST and its kin: a type, sizes and big-endian numbers, often packed with gzip.

use std::path::Path;

use cresset_core::{DType, Result, Tensor, bail};

use crate::gzip::read_unpacked;

/// A file in memory.
#[derive(Debug)]
pub(crate) struct Idx {
    pub dtype: DType,
    pub sizes: Vec<usize>,
    /// The whole content; the elements begin at `start`.
    bytes: Vec<u8>,
    start: usize,
}

impl Idx {
    /// Reads a file, packed or not.
    pub(crate) fn read(path: &Path) -> Result<Idx> {
        Idx::parse(read_unpacked(path)?).map_err(|e| e.context(path.display()))
    }

    fn parse(bytes: Vec<u8>) -> Result<Idx> {
        let &[0, 0, code, dims, ..] = &bytes[..] else { bail!("this is no idx file") };
        let dtype = match code {
            0x08 => DType::U8,
            0x09 => DType::I8,
            0x0b => DType::I16,
            0x0c => DType::I32,
            0x0d => DType::F32,
            0x0e => DType::F64,
            other => bail!("this is no idx file: element type {other:#04x} does not exist"),
        };
        let start = 4 + 4 * usize::from(dims);
        let Some(sizes) = bytes.get(4..start) else { bail!("the idx file is truncated") };
        let size = |b: &[u8]| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize;
        let sizes: Vec<usize> = sizes.chunks_exact(4).map(size).collect();
        let expected = sizes.iter().try_fold(dtype.size(), |n, size| n.checked_mul(*size));
        if expected != Some(bytes.len() - start) {
            bail!(
                "the idx file is truncated or damaged: sizes {sizes:?} of {dtype}, but {} bytes",
                bytes.len() - start
            );
        }
        Ok(Idx { dtype, sizes, bytes, start })
    }

    /// The elements.
    pub(crate) fn data(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// Reads an idx file, which may be packed with gzip.
///
/// # Errors
/// `Io` when it cannot be read; `Runtime`, naming it, when it is truncated, damaged or no idx file.
pub fn read_idx(path: impl AsRef<Path>) -> Result<Tensor> {
    let idx = Idx::read(path.as_ref())?;
    let mut data = idx.data().to_vec();
    data.chunks_exact_mut(idx.dtype.size()).for_each(<[u8]>::reverse);
    let sizes: Vec<i64> = idx.sizes.iter().map(|s| *s as i64).collect();
    Tensor::from_bytes(&data, idx.dtype, &sizes)
}
