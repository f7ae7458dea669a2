//! Writing an archive in one pass: entries stored as they are, their data at multiples of 64 bytes.

use std::io::Write;

use super::{CENTRAL_HEADER, END, END64, END64_LOCATOR, LOCAL_HEADER, ZIP64};
use cresset_core::Result;

/// Alignment of the data, as PyTorch writes it: any vector load from a mapped file is aligned.
const ALIGN: u64 = 64;
/// Tag of the extra field that pads a header, PyTorch's own.
const PADDING: u16 = u16::from_le_bytes(*b"FB");
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// 1 January 1980: the archive depends on its content only.
const DATE: u16 = (1 << 5) | 1;

struct Written {
    name: String,
    crc: u32,
    size: u64,
    offset: u64,
}

/// A zip archive being written.
pub(crate) struct Writer<W: Write> {
    out: W,
    at: u64,
    entries: Vec<Written>,
}

impl<W: Write> Writer<W> {
    /// An empty archive.
    pub(crate) fn new(out: W) -> Writer<W> {
        Writer { out, at: 0, entries: Vec::new() }
    }

    /// Adds an entry.
    pub(crate) fn add(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let written = Written {
            name: name.to_owned(),
            crc: crc32fast::hash(content),
            size: content.len() as u64,
            offset: self.at,
        };
        let header = local_header(&written);
        self.put(&header)?;
        self.put(content)?;
        self.entries.push(written);
        Ok(())
    }

    /// Writes the directory.
    pub(crate) fn finish(mut self) -> Result<()> {
        let start = self.at;
        for entry in std::mem::take(&mut self.entries) {
            let header = central_header(&entry);
            self.put(&header)?;
            self.entries.push(entry);
        }
        let end = end_records(self.entries.len() as u64, start, self.at - start);
        self.put(&end)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// `value`, or all ones where it stands in the zip64 field.
fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn is_wide(value: u64) -> bool {
    value >= u64::from(u32::MAX)
}

/// The fields that both headers begin with, from the version needed to the two sizes.
fn common(entry: &Written) -> Vec<u8> {
    let wide = is_wide(entry.size) || is_wide(entry.offset);
    let mut bytes = Vec::with_capacity(128);
    for value in [if wide { 45_u16 } else { 20 }, FLAGS, 0, 0, DATE] {
        bytes.extend(value.to_le_bytes());
    }
    for value in [entry.crc, narrow(entry.size), narrow(entry.size)] {
        bytes.extend(value.to_le_bytes());
    }
    bytes
}

fn local_header(entry: &Written) -> Vec<u8> {
    let mut extra = Vec::new();
    if is_wide(entry.size) {
        extra.extend([ZIP64, 16].map(u16::to_le_bytes).concat());
        extra.extend([entry.size; 2].map(u64::to_le_bytes).concat());
    }
    let before = entry.offset + 30 + entry.name.len() as u64 + extra.len() as u64 + 4;
    let padding = before.next_multiple_of(ALIGN) - before;
    extra.extend([PADDING, padding as u16].map(u16::to_le_bytes).concat());
    extra.resize(extra.len() + padding as usize, b'Z');

    let mut bytes = LOCAL_HEADER.to_le_bytes().to_vec();
    bytes.extend(common(entry));
    bytes.extend([entry.name.len() as u16, extra.len() as u16].map(u16::to_le_bytes).concat());
    bytes.extend(entry.name.as_bytes());
    bytes.extend(extra);
    bytes
}

fn central_header(entry: &Written) -> Vec<u8> {
    let mut fields = Vec::new();
    if is_wide(entry.size) {
        fields.extend([entry.size; 2].map(u64::to_le_bytes).concat());
    }
    if is_wide(entry.offset) {
        fields.extend(entry.offset.to_le_bytes());
    }
    let mut extra = Vec::new();
    if !fields.is_empty() {
        extra.extend([ZIP64, fields.len() as u16].map(u16::to_le_bytes).concat());
        extra.extend(fields);
    }
    let mut bytes = CENTRAL_HEADER.to_le_bytes().to_vec();
    bytes.extend(45_u16.to_le_bytes());
    bytes.extend(common(entry));
    // Lengths of name, extra field and comment; disk, attributes (2 + 4 bytes): none.
    bytes.extend([entry.name.len() as u16, extra.len() as u16, 0, 0, 0, 0, 0].map(u16::to_le_bytes).concat());
    bytes.extend(narrow(entry.offset).to_le_bytes());
    bytes.extend(entry.name.as_bytes());
    bytes.extend(extra);
    bytes
}

/// The 64-bit end record, its locator, and the end record proper.
fn end_records(count: u64, start: u64, size: u64) -> Vec<u8> {
    let mut bytes = END64.to_le_bytes().to_vec();
    bytes.extend(44_u64.to_le_bytes());
    bytes.extend([45_u16, 45].map(u16::to_le_bytes).concat());
    bytes.extend([0_u32, 0].map(u32::to_le_bytes).concat());
    bytes.extend([count, count, size, start].map(u64::to_le_bytes).concat());
    bytes.extend(END64_LOCATOR.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend((start + size).to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    let short_count = u16::try_from(count).unwrap_or(u16::MAX);
    bytes.extend(END.to_le_bytes());
    bytes.extend([0_u16, 0, short_count, short_count].map(u16::to_le_bytes).concat());
    bytes.extend([narrow(size), narrow(start)].map(u32::to_le_bytes).concat());
    bytes.extend(0_u16.to_le_bytes());
    bytes
}
