//! The format of PyTorch 0.1.10 to 1.5: pickles one behind the other, then the raw storages.
//!
//! Magic number, protocol version, a dict about the machine, the object (which names storages by key), the list of the
//! keys; then for each key the number of elements as an `i64`, and the elements.

use std::collections::HashMap;

use crate::PyValue;
use crate::pickle::{Arena, Machine, Node, NodeId, Policy, normalized, to_value};
use cresset_core::storage::Storage;
use cresset_core::{DType, Result, bail};

/// What the first pickle holds: `0x1950a86a20f9469cfc6c`.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const PROTOCOL: i64 = 1001;

/// Reads a file of that format.
pub(super) fn load(bytes: &[u8], policy: Policy<'_>) -> Result<PyValue> {
    let mut arena = Arena::default();
    let mut reader = Reader { bytes, at: 0, policy };
    let magic = reader.pickle(&mut arena).ok().map(|id| arena.node(id).clone());
    if !matches!(magic, Some(Node::BigInt(bytes)) if bytes == MAGIC) {
        bail!("Invalid magic number; corrupt file?");
    }
    let version = reader.pickle(&mut arena)?;
    if !matches!(arena.node(version), Node::Int(PROTOCOL)) {
        bail!("Invalid protocol version: {:?}", arena.node(version));
    }
    let machine = reader.pickle(&mut arena)?;
    if !is_little_endian(&arena, machine) {
        bail!(NotImplemented, "files of big-endian machines are not supported");
    }
    let root = reader.pickle(&mut arena)?;
    let keys = reader.pickle(&mut arena)?;
    let storages = reader.storages(&arena, keys)?;
    let mut loaded = HashMap::new();
    to_value(&arena, root, &mut |id, dtype| {
        let key = &arena.storages[id as usize].key;
        storage(&storages, &mut loaded, key, dtype)
    })
}

/// The storage of that key, made from its bytes when it is first asked for.
pub(super) fn storage(
    bytes: &HashMap<String, &[u8]>,
    loaded: &mut HashMap<(String, bool), Storage>,
    key: &str,
    dtype: DType,
) -> Result<Storage> {
    let id = (key.to_owned(), dtype == DType::Bool);
    if let Some(storage) = loaded.get(&id) {
        return Ok(storage.clone());
    }
    let Some(bytes) = bytes.get(key) else { bail!("storage '{key:.40}' is missing") };
    let storage = Storage::from_bytes(&normalized(bytes, dtype))?;
    loaded.insert(id, storage.clone());
    Ok(storage)
}

fn is_little_endian(arena: &Arena, machine: NodeId) -> bool {
    let Node::Dict { entries, .. } = arena.node(machine) else { return false };
    let is_key = |id: NodeId| matches!(arena.node(id), Node::Str(key) if key == "little_endian");
    entries.iter().any(|(key, value)| is_key(*key) && matches!(arena.node(*value), Node::Bool(true)))
}

/// A place in the stream.
pub(super) struct Reader<'a, 'b> {
    pub bytes: &'a [u8],
    pub at: usize,
    pub policy: Policy<'b>,
}

impl<'a> Reader<'a, '_> {
    /// Runs the pickle that begins here.
    pub(super) fn pickle(&mut self, arena: &mut Arena) -> Result<NodeId> {
        let (id, used) = Machine::new(&self.bytes[self.at..], self.policy, arena).run()?;
        self.at += used;
        Ok(id)
    }

    /// An `i64`.
    pub(super) fn i64(&mut self) -> Result<i64> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(i64::from_le_bytes(bytes))
    }

    /// The next `len` bytes.
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let part = self.at.checked_add(len).and_then(|end| self.bytes.get(self.at..end));
        let Some(part) = part else { bail!("unexpected EOF. The file might be corrupted.") };
        self.at += len;
        Ok(part)
    }

    /// A count of elements and the elements.
    pub(super) fn elements(&mut self, dtype: DType) -> Result<&'a [u8]> {
        let count = self.i64()?;
        match usize::try_from(count).ok().and_then(|n| n.checked_mul(dtype.size())) {
            Some(len) => self.take(len),
            None => bail!("a storage has {count} elements. The file might be corrupted."),
        }
    }

    fn storages(&mut self, arena: &Arena, keys: NodeId) -> Result<HashMap<String, &'a [u8]>> {
        let Node::List(keys) = arena.node(keys) else { bail!("the list of storages is no list") };
        let dtypes: HashMap<&str, DType> = arena.storages.iter().map(|s| (s.key.as_str(), s.dtype)).collect();
        let mut storages = HashMap::new();
        for key in keys {
            let key = arena.key(*key)?;
            let Some(dtype) = dtypes.get(key.as_str()) else {
                bail!("storage '{key:.40}' belongs to nothing")
            };
            storages.insert(key, self.elements(*dtype)?);
        }
        Ok(storages)
    }
}
