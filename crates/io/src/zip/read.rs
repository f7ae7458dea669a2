//! Reading an archive that may be hostile: every offset is checked, entries may not overlap, and what an entry may
//! unpack to is bounded by its packed size.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::{CENTRAL_HEADER, END, END64, END64_LOCATOR, LOCAL_HEADER, ZIP64};
use cresset_core::{Error, Result, bail};

/// Unpacked size up to which any ratio is taken.
const ANY_RATIO: u64 = 64 << 20;
/// Ratio of unpacked to packed size beyond that: weights, even pruned ones, stay far below.
const MAX_RATIO: u64 = 100;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// One file of an archive.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    method: u16,
    data: Range<usize>,
    size: u64,
}

/// A zip archive over the bytes of a file.
pub(crate) struct Archive<'a> {
    bytes: &'a [u8],
    entries: HashMap<String, Entry>,
    names: Vec<String>,
}

impl<'a> Archive<'a> {
    /// Whether these bytes begin as an archive does.
    pub(crate) fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(&LOCAL_HEADER.to_le_bytes())
    }

    /// Reads the directory of the archive.
    ///
    /// # Errors
    /// `Runtime`, in PyTorch's words, when the archive is cut off, or is none; naming the entry when one does not fit.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Archive<'a>> {
        let directory = find_directory(bytes).ok_or_else(|| {
            Error::runtime("PytorchStreamReader failed reading zip archive: failed finding central directory")
        })?;
        let mut archive = Archive { bytes, entries: HashMap::new(), names: Vec::new() };
        let mut spans = Vec::new();
        let mut cursor = Cursor { bytes: &bytes[directory.range.clone()], at: 0 };
        for _ in 0..directory.count {
            let (name, entry, span) = read_entry(bytes, &directory, &mut cursor)?;
            spans.push(span);
            archive.names.push(name.clone());
            if archive.entries.insert(name.clone(), entry).is_some() {
                bail!("PytorchStreamReader failed reading zip archive: two entries are named '{name}'");
            }
        }
        spans.sort_by_key(|span| span.start);
        if spans.windows(2).any(|pair| pair[1].start < pair[0].end) {
            bail!("PytorchStreamReader failed reading zip archive: entries overlap");
        }
        Ok(archive)
    }

    /// The names of the entries, as the directory orders them.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether there is an entry of that name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        let missing =
            || Error::runtime(format!("PytorchStreamReader failed locating file {name}: file not found"));
        self.entries.get(name).ok_or_else(missing)
    }

    /// Where the entry lies in the file, if it is stored as it is.
    pub(crate) fn stored(&self, name: &str) -> Result<Option<Range<usize>>> {
        let entry = self.entry(name)?;
        Ok((entry.method == STORED).then(|| entry.data.clone()))
    }

    /// The content of the entry.
    ///
    /// # Errors
    /// `Runtime` when there is no such entry, or it does not unpack to its size.
    pub(crate) fn read(&self, name: &str) -> Result<Cow<'a, [u8]>> {
        let entry = self.entry(name)?;
        let packed = &self.bytes[entry.data.clone()];
        if entry.method == STORED {
            return Ok(Cow::Borrowed(packed));
        }
        let unpacked = miniz_oxide::inflate::decompress_to_vec_with_limit(packed, entry.size as usize);
        match unpacked {
            Ok(content) if content.len() as u64 == entry.size => Ok(Cow::Owned(content)),
            _ => bail!("PytorchStreamReader failed reading file {name}: the compressed data is damaged"),
        }
    }
}

struct Directory {
    range: Range<usize>,
    count: u64,
}

/// Where the central directory is, from the record at the end of the file.
fn find_directory(bytes: &[u8]) -> Option<Directory> {
    let last = bytes.len().checked_sub(22)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    let end = (first..=last).rev().find(|&at| {
        let record = Cursor { bytes, at };
        record.peek_u32(0) == Some(END)
            && record.peek_u16(20).is_some_and(|comment| at + 22 + usize::from(comment) <= bytes.len())
    })?;
    let record = Cursor { bytes, at: end };
    let (mut count, mut size, mut offset) =
        (u64::from(record.peek_u16(10)?), u64::from(record.peek_u32(12)?), u64::from(record.peek_u32(16)?));
    if let Some(wide) = end.checked_sub(20).and_then(|at| end64(bytes, at)) {
        (count, size, offset) = (wide.peek_u64(32)?, wide.peek_u64(40)?, wide.peek_u64(48)?);
    }
    let start = usize::try_from(offset).ok()?;
    let stop = start.checked_add(usize::try_from(size).ok()?)?;
    // Each entry takes 46 bytes at least, so that a forged count cannot make the reader loop.
    let fits = stop <= end && count <= size / 46;
    fits.then_some(Directory { range: start..stop, count })
}

/// The 64-bit record that the locator at `at` points to, if there is one.
fn end64(bytes: &[u8], at: usize) -> Option<Cursor<'_>> {
    let locator = Cursor { bytes, at };
    if locator.peek_u32(0)? != END64_LOCATOR {
        return None;
    }
    let record = Cursor { bytes, at: usize::try_from(locator.peek_u64(8)?).ok()? };
    (record.peek_u32(0)? == END64).then_some(record)
}

/// Reads one entry of the directory and finds its data: name, entry and all the bytes that it takes.
fn read_entry(
    bytes: &[u8],
    directory: &Directory,
    cursor: &mut Cursor<'_>,
) -> Result<(String, Entry, Range<usize>)> {
    let damaged =
        || Error::runtime("PytorchStreamReader failed reading zip archive: the central directory is damaged");
    let header = Header::read(cursor).ok_or_else(damaged)?;
    let name = header.name.clone();
    let spoilt = |what: &str| {
        Error::runtime(format!("PytorchStreamReader failed reading zip archive: entry '{name}' {what}"))
    };
    if header.flags & 1 != 0 {
        return Err(spoilt("is encrypted"));
    }
    if header.method != STORED && header.method != DEFLATED {
        return Err(spoilt(&format!("is compressed with method {}, which is not supported", header.method)));
    }
    let (start, data) =
        locate(bytes, &header, directory.range.start).ok_or_else(|| spoilt("lies outside the file"))?;
    if header.method == STORED && header.packed != header.size {
        return Err(spoilt("has two sizes"));
    }
    if header.size > ANY_RATIO.max(header.packed.saturating_mul(MAX_RATIO)) && header.method == DEFLATED {
        return Err(spoilt(&format!(
            "would unpack from {} to {} bytes: refused",
            header.packed, header.size
        )));
    }
    let span = start..data.end;
    Ok((header.name, Entry { method: header.method, data, size: header.size }, span))
}

/// Start of the local header and range of the data behind it, which must end before the directory.
fn locate(bytes: &[u8], header: &Header, limit: usize) -> Option<(usize, Range<usize>)> {
    let start = usize::try_from(header.offset).ok()?;
    let local = Cursor { bytes, at: start };
    if local.peek_u32(0)? != LOCAL_HEADER {
        return None;
    }
    let skip = 30 + usize::from(local.peek_u16(26)?) + usize::from(local.peek_u16(28)?);
    let from = start.checked_add(skip)?;
    let to = from.checked_add(usize::try_from(header.packed).ok()?)?;
    (to <= limit).then_some((start, from..to))
}

/// An entry as the directory states it.
struct Header {
    name: String,
    flags: u16,
    method: u16,
    packed: u64,
    size: u64,
    offset: u64,
}

impl Header {
    fn read(cursor: &mut Cursor<'_>) -> Option<Header> {
        if cursor.peek_u32(0)? != CENTRAL_HEADER {
            return None;
        }
        let lengths = [28, 30, 32].map(|at| cursor.peek_u16(at).map(usize::from));
        let (name_len, extra_len, comment_len) = (lengths[0]?, lengths[1]?, lengths[2]?);
        let name = String::from_utf8_lossy(cursor.slice(46, name_len)?).into_owned();
        let mut header = Header {
            name,
            flags: cursor.peek_u16(8)?,
            method: cursor.peek_u16(10)?,
            packed: u64::from(cursor.peek_u32(20)?),
            size: u64::from(cursor.peek_u32(24)?),
            offset: u64::from(cursor.peek_u32(42)?),
        };
        header.widen(cursor.slice(46 + name_len, extra_len)?)?;
        cursor.at += 46 + name_len + extra_len + comment_len;
        Some(header)
    }

    /// Replaces the fields that did not fit into 32 bits by those of the zip64 extra field.
    fn widen(&mut self, extra: &[u8]) -> Option<()> {
        let mut cursor = Cursor { bytes: extra, at: 0 };
        while cursor.at + 4 <= extra.len() {
            let (tag, len) = (cursor.peek_u16(0)?, usize::from(cursor.peek_u16(2)?));
            if tag == ZIP64 {
                let mut field = Cursor { bytes: cursor.slice(4, len)?, at: 0 };
                for value in [&mut self.size, &mut self.packed, &mut self.offset] {
                    if *value == u64::from(u32::MAX) {
                        *value = field.peek_u64(0)?;
                        field.at += 8;
                    }
                }
            }
            cursor.at += 4 + len;
        }
        Some(())
    }
}

/// Little-endian numbers at a place in a slice.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn slice(&self, offset: usize, len: usize) -> Option<&'a [u8]> {
        let start = self.at.checked_add(offset)?;
        self.bytes.get(start..start.checked_add(len)?)
    }

    fn peek_u16(&self, offset: usize) -> Option<u16> {
        Some(u16::from_le_bytes(self.slice(offset, 2)?.try_into().ok()?))
    }

    fn peek_u32(&self, offset: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.slice(offset, 4)?.try_into().ok()?))
    }

    fn peek_u64(&self, offset: usize) -> Option<u64> {
        Some(u64::from_le_bytes(self.slice(offset, 8)?.try_into().ok()?))
    }
}
