//! Unpacking gzip files (RFC 1952) of one member.

use std::path::Path;

use cresset_core::{Error, Result, bail};

/// Deflate cannot pack better than this.
const MAX_RATIO: usize = 1032;

const HAS_CRC: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;

/// The content of a file, unpacked if it is packed with gzip.
///
/// # Errors
/// `Io`, naming the file, when it cannot be read; `Runtime` when it is truncated or damaged.
pub fn read_unpacked(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|e| Error::from(e).context(path.display()))?;
    if is_gzip(&bytes) { unpack(&bytes).map_err(|e| e.context(path.display())) } else { Ok(bytes) }
}

/// Whether these bytes begin as a gzip file does.
fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// The content of a gzip file, whose size and checksum are those that it states.
fn unpack(bytes: &[u8]) -> Result<Vec<u8>> {
    let (Some(start), Some(trailer)) = (header_len(bytes), bytes.len().checked_sub(8)) else {
        bail!("the gzip file is truncated or damaged");
    };
    if start > trailer {
        bail!("the gzip file is truncated");
    }
    let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (crc, size) = (number(trailer), number(trailer + 4) as usize);
    let packed = &bytes[start..trailer];
    if size > packed.len().saturating_mul(MAX_RATIO) {
        bail!("the gzip file is truncated or damaged: {} bytes cannot hold {size}", packed.len());
    }
    let mut content = vec![0; size];
    let mut inflate = zlib_rs::Inflate::new(false, 15);
    let status = inflate.decompress(packed, &mut content, zlib_rs::InflateFlush::Finish);
    let whole = matches!(status, Ok(zlib_rs::Status::StreamEnd)) && inflate.total_out() as usize == size;
    if !whole {
        bail!("the gzip file is truncated or damaged");
    }
    if crc32fast::hash(&content) != crc {
        bail!("the gzip file is damaged: its checksum is wrong");
    }
    Ok(content)
}

/// Bytes before the packed data.
fn header_len(bytes: &[u8]) -> Option<usize> {
    let flags = *bytes.get(3)?;
    if bytes[2] != 8 {
        return None;
    }
    let mut at = 10;
    if flags & HAS_EXTRA != 0 {
        at += 2 + usize::from(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    }
    for flag in [HAS_NAME, HAS_COMMENT] {
        if flags & flag != 0 {
            at += bytes.get(at..)?.iter().position(|b| *b == 0)? + 1;
        }
    }
    if flags & HAS_CRC != 0 {
        at += 2;
    }
    Some(at)
}
