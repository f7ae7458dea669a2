//! The tar files of PyTorch before 0.1.10: `storages`, `tensors` and `pickle`, each a stream of pickles and raw numbers.

use std::collections::HashMap;

use super::legacy::{Reader, storage};
use crate::PyValue;
use crate::pickle::{Arena, Global, Machine, Node, NodeId, Policy, StorageRef, TensorNode, to_value};
use cresset_core::{DType, Result, bail};

const BLOCK: usize = 512;

/// Whether these bytes begin as a tar file does.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

/// Reads a file of that format.
pub(super) fn load(bytes: &[u8], policy: Policy<'_>) -> Result<PyValue> {
    let file = |name: &str| match member(bytes, name) {
        Some(content) => Ok(content),
        None => bail!("the tar file holds no '{name}'. The file might be corrupted."),
    };
    let mut arena = Arena::default();
    let mut reader = Reader { bytes: file("storages")?, at: 0, policy };
    let storages = storages(&mut reader, &mut arena)?;
    let mut reader = Reader { bytes: file("tensors")?, at: 0, policy };
    tensors(&mut reader, &mut arena, &storages)?;
    let (root, _) = Machine::new(file("pickle")?, policy, &mut arena).run()?;
    let bytes = storages.into_iter().map(|(key, stored)| (key, stored.bytes)).collect();
    let mut loaded = HashMap::new();
    to_value(&arena, root, &mut |id, dtype| {
        storage(&bytes, &mut loaded, &arena.storages[id as usize].key, dtype)
    })
}

/// The content of a file in the tar file.
fn member<'a>(bytes: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    let mut at = 0_usize;
    loop {
        let header = bytes.get(at..at.checked_add(BLOCK)?)?;
        let name = header[..100].split(|b| *b == 0).next()?;
        if name.is_empty() {
            return None;
        }
        let digits = std::str::from_utf8(&header[124..136]).ok()?.trim_matches(['\0', ' ']);
        let size = usize::from_str_radix(digits, 8).ok()?;
        let content = bytes.get(at + BLOCK..(at + BLOCK).checked_add(size)?)?;
        if name == wanted.as_bytes() {
            return Some(content);
        }
        at = (at + BLOCK).checked_add(size.checked_next_multiple_of(BLOCK)?)?;
    }
}

struct Stored<'a> {
    bytes: &'a [u8],
    dtype: DType,
}

/// A count; for each storage its `(key, device, type)` and elements; then the views as `(key, root, offset, size)`.
fn storages<'a>(reader: &mut Reader<'a, '_>, arena: &mut Arena) -> Result<HashMap<String, Stored<'a>>> {
    let mut storages = HashMap::new();
    for _ in 0..count(reader, arena)? {
        let [key, _, class] = triple(reader, arena)?;
        let Node::Global(Global::Storage(Some(dtype))) = *arena.node(class) else {
            bail!("a storage has no type")
        };
        storages.insert(arena.key(key)?, Stored { bytes: reader.elements(dtype)?, dtype });
    }
    let views = reader.pickle(arena)?;
    if !matches!(arena.node(views), Node::List(views) if views.is_empty()) {
        bail!(NotImplemented, "tar files whose storages are parts of other storages are not supported");
    }
    Ok(storages)
}

/// A count; for each tensor its `(key, storage, type)`, the number of dimensions in 8 bytes, sizes, strides, offset.
fn tensors(
    reader: &mut Reader<'_, '_>,
    arena: &mut Arena,
    storages: &HashMap<String, Stored<'_>>,
) -> Result<()> {
    for _ in 0..count(reader, arena)? {
        let [key, storage, _] = triple(reader, arena)?;
        let (key, storage) = (arena.key(key)?, arena.key(storage)?);
        let Some(stored) = storages.get(&storage) else { bail!("storage '{storage:.40}' is missing") };
        let dims = reader.i64()? as i32;
        if !(0..=64).contains(&dims) {
            bail!("a tensor has {dims} dimensions. The file might be corrupted.");
        }
        let sizes = (0..dims).map(|_| reader.i64()).collect::<Result<Vec<_>>>()?;
        let strides = (0..dims).map(|_| reader.i64()).collect::<Result<Vec<_>>>()?;
        let offset = reader.i64()?.max(0) as u64;
        let dtype = stored.dtype;
        let numel = (stored.bytes.len() / dtype.size()) as u64;
        let storage = arena.storage(StorageRef { key: storage, dtype, numel, offset: 0 });
        let tensor = TensorNode { storage, dtype, offset, sizes, strides, requires_grad: false };
        arena.tensors_by_key.insert(key, tensor);
    }
    Ok(())
}

fn count(reader: &mut Reader<'_, '_>, arena: &mut Arena) -> Result<i64> {
    let id = reader.pickle(arena)?;
    arena.int(id)
}

fn triple(reader: &mut Reader<'_, '_>, arena: &mut Arena) -> Result<[NodeId; 3]> {
    let id = reader.pickle(arena)?;
    match arena.node(id) {
        Node::Tuple(items) if items.len() == 3 => Ok([items[0], items[1], items[2]]),
        other => bail!("expected a tuple of 3 values, got {}", other.kind()),
    }
}
