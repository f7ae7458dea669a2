//! From the arena to a [`PyValue`] tree, with real tensors.

use std::collections::HashMap;

use super::machine::Arena;
use super::node::{Array, Node, NodeId, StorageId, TensorNode};
use crate::PyValue;
use crate::value::Object;
use cresset_core::layout::Layout;
use cresset_core::storage::Storage;
use cresset_core::{DType, Error, Result, Tensor, bail};

/// Levels of containers: far above any real file, far below what the stack holds.
const MAX_DEPTH: usize = 200;
/// Values that shared nodes may add to a tree beyond its nodes.
const FREE_REPEATS: usize = 1 << 20;

/// The tree below a node; `storage` gives the bytes of a storage for a tensor of that dtype.
///
/// # Errors
/// `Runtime` when the tree is too deep (or contains itself), repeats its parts too often, or a tensor does not fit
/// into its storage; what `storage` returns.
pub(crate) fn to_value(
    arena: &Arena,
    root: NodeId,
    storage: &mut dyn FnMut(StorageId, DType) -> Result<Storage>,
) -> Result<PyValue> {
    let left = arena.nodes.len().saturating_mul(4).saturating_add(FREE_REPEATS);
    Tree { arena, storage, tensors: HashMap::new(), left }.value(root, 0)
}

struct Tree<'a> {
    arena: &'a Arena,
    storage: &'a mut dyn FnMut(StorageId, DType) -> Result<Storage>,
    /// One handle for each tensor, however often it is mentioned.
    tensors: HashMap<NodeId, Tensor>,
    left: usize,
}

impl Tree<'_> {
    fn value(&mut self, id: NodeId, depth: usize) -> Result<PyValue> {
        if depth > MAX_DEPTH {
            bail!("UnpicklingError: containers are nested more than {MAX_DEPTH} deep, or contain themselves");
        }
        let weight = self.arena.node(id).weight() / size_of::<NodeId>() + 1;
        self.left = self
            .left
            .checked_sub(if self.tensors.contains_key(&id) { 1 } else { weight })
            .ok_or_else(|| Error::runtime("UnpicklingError: the pickle repeats its parts too often"))?;
        Ok(match self.arena.node(id) {
            Node::None => PyValue::None,
            Node::Bool(value) => PyValue::Bool(*value),
            Node::Int(value) => PyValue::Int(*value),
            Node::BigInt(bytes) => PyValue::BigInt(bytes.clone()),
            Node::Float(value) => PyValue::Float(*value),
            Node::Complex(re, im) => PyValue::Complex(*re, *im),
            Node::Str(text) => PyValue::Str(text.clone()),
            Node::Bytes(bytes) => PyValue::Bytes(bytes.clone()),
            Node::List(items) => PyValue::List(self.values(items, depth)?),
            Node::Tuple(items) => PyValue::Tuple(self.values(items, depth)?),
            Node::Set(items) => PyValue::Set(self.values(items, depth)?),
            Node::Dict { entries, ordered: false } => PyValue::Dict(self.entries(entries, depth)?),
            Node::Dict { entries, ordered: true } => PyValue::OrderedDict(self.entries(entries, depth)?),
            Node::Tensor(_) | Node::Array(Some(_)) => PyValue::Tensor(self.tensor(id)?),
            Node::Parameter(inner) => PyValue::Parameter(self.tensor(*inner)?),
            Node::DType(dtype) => PyValue::DType(*dtype),
            Node::Device(name) => PyValue::Device(name.clone()),
            Node::Size(sizes) => PyValue::Size(sizes.clone()),
            Node::Object { .. } => self.object(id, depth)?,
            Node::Global(global) => PyValue::Str(format!("{global:?}")),
            Node::NumpyDType { code, .. } => PyValue::Str(code.clone()),
            other @ (Node::Storage(_) | Node::Array(None)) => {
                bail!(NotImplemented, "a file that holds a bare {} is not supported", other.kind())
            }
        })
    }

    fn values(&mut self, items: &[NodeId], depth: usize) -> Result<Vec<PyValue>> {
        items.iter().map(|id| self.value(*id, depth + 1)).collect()
    }

    /// The entries of a dict; of equal keys the first gives the place and the last the value, as in Python.
    fn entries(&mut self, entries: &[(NodeId, NodeId)], depth: usize) -> Result<Vec<(PyValue, PyValue)>> {
        let mut out: Vec<(PyValue, PyValue)> = Vec::with_capacity(entries.len());
        let mut places = HashMap::new();
        for (key, value) in entries {
            let (key, value) = (self.value(*key, depth + 1)?, self.value(*value, depth + 1)?);
            let place = match &key {
                PyValue::Str(text) => *places.entry(format!("s{text}")).or_insert(out.len()),
                PyValue::Int(number) => *places.entry(format!("i{number}")).or_insert(out.len()),
                _ => out.len(),
            };
            match out.get_mut(place) {
                Some(entry) => entry.1 = value,
                None => out.push((key, value)),
            }
        }
        Ok(out)
    }

    fn object(&mut self, id: NodeId, depth: usize) -> Result<PyValue> {
        let Node::Object { class, args, state, items } = self.arena.node(id) else {
            bail!("UnpicklingError: expected an object");
        };
        let mut args = self.values(args, depth)?;
        args.extend(self.values(items, depth)?);
        let state = state.map_or(Ok(PyValue::None), |state| self.value(state, depth + 1))?;
        Ok(PyValue::Object(Box::new(Object { class: class.clone(), args, state })))
    }

    fn tensor(&mut self, id: NodeId) -> Result<Tensor> {
        if let Some(tensor) = self.tensors.get(&id) {
            return Ok(tensor.clone());
        }
        let tensor = match self.arena.node(id) {
            Node::Tensor(node) => self.strided(node)?,
            Node::Array(Some(array)) => array_tensor(array)?,
            other => bail!("UnpicklingError: expected a tensor, got {}", other.kind()),
        };
        self.tensors.insert(id, tensor.clone());
        Ok(tensor)
    }

    fn strided(&mut self, node: &TensorNode) -> Result<Tensor> {
        let view = self.arena.storages[node.storage as usize].offset;
        let storage = (self.storage)(node.storage, node.dtype)?;
        let offset = node.offset.checked_add(view);
        let end = offset.and_then(|offset| end(node, offset));
        let (Some(offset), Some(end)) = (offset, end) else {
            bail!(
                "Tensor: invalid combination of size {:?}, stride {:?} and offset {}",
                node.sizes,
                node.strides,
                node.offset
            );
        };
        let needed = end.checked_mul(node.dtype.size() as u64);
        if needed.is_none_or(|needed| needed > storage.nbytes() as u64) {
            bail!(
                "setStorage: sizes {:?}, strides {:?}, storage offset {offset}, and itemsize {} requiring a storage size \
                 of {} are out of bounds for storage of size {}",
                node.sizes,
                node.strides,
                node.dtype.size(),
                needed.map_or_else(|| "2^64 or more".to_owned(), |n| n.to_string()),
                storage.nbytes()
            );
        }
        let tensor = new_tensor(storage, &node.sizes, &node.strides, offset as usize, node.dtype)?;
        if node.requires_grad {
            tensor.set_requires_grad(true)?;
        }
        Ok(tensor)
    }
}

/// One past the last element that a tensor reaches.
fn end(node: &TensorNode, offset: u64) -> Option<u64> {
    if node.sizes.len() != node.strides.len() || node.sizes.len() > 64 {
        return None;
    }
    let mut last = offset;
    let mut numel = 1_i64;
    for (&size, &stride) in node.sizes.iter().zip(&node.strides) {
        numel = numel.checked_mul(size)?;
        let (size, stride) = (u64::try_from(size).ok()?, u64::try_from(stride).ok()?);
        last = last.checked_add(size.saturating_sub(1).checked_mul(stride)?)?;
    }
    Some(if numel == 0 { offset } else { last.checked_add(1)? })
}

fn array_tensor(array: &Array) -> Result<Tensor> {
    let storage = Storage::from_bytes(&normalized(&array.bytes, array.dtype))?;
    new_tensor(storage, &array.sizes, &array.strides(), 0, array.dtype)
}

fn new_tensor(
    storage: Storage,
    sizes: &[i64],
    strides: &[i64],
    offset: usize,
    dtype: DType,
) -> Result<Tensor> {
    Tensor::from_storage(storage, Layout::new(sizes, strides, offset), dtype)
}

/// The bytes with all truths written as 1.
pub(crate) fn normalized(bytes: &[u8], dtype: DType) -> std::borrow::Cow<'_, [u8]> {
    if dtype == DType::Bool && bytes.iter().any(|b| *b > 1) {
        return bytes.iter().map(|b| u8::from(*b != 0)).collect();
    }
    bytes.into()
}
