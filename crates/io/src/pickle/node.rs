//! The nodes of the arena that a pickle is read into.

use crate::pickle::Global;
use cresset_core::DType;

/// Number of a node in its arena.
pub(crate) type NodeId = u32;
/// Number of a storage in the arena's list.
pub(crate) type StorageId = u32;

/// A value, as far as it has been built.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// Little-endian two's complement, longer than 64 bits.
    BigInt(Vec<u8>),
    Float(f64),
    Complex(f64, f64),
    Str(String),
    Bytes(Vec<u8>),
    List(Vec<NodeId>),
    Tuple(Vec<NodeId>),
    Dict {
        entries: Vec<(NodeId, NodeId)>,
        ordered: bool,
    },
    Set(Vec<NodeId>),
    Global(Global),
    Storage(StorageId),
    Tensor(TensorNode),
    /// A parameter over the tensor of that node.
    Parameter(NodeId),
    DType(DType),
    Device(String),
    Size(Vec<i64>),
    NumpyDType {
        code: String,
        big_endian: bool,
    },
    /// A numpy array, with no content until its state is set.
    Array(Option<Array>),
    Object {
        class: String,
        args: Vec<NodeId>,
        state: Option<NodeId>,
        items: Vec<NodeId>,
    },
}

/// A tensor over a storage that may not have been read yet.
#[derive(Clone, Debug)]
pub(crate) struct TensorNode {
    pub storage: StorageId,
    pub dtype: DType,
    pub offset: u64,
    pub sizes: Vec<i64>,
    pub strides: Vec<i64>,
    pub requires_grad: bool,
}

/// The content of a numpy array in row-major (or, reversed, column-major) order.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    pub dtype: DType,
    pub sizes: Vec<i64>,
    pub column_major: bool,
    pub bytes: Vec<u8>,
}

/// A storage as a pickle names it.
#[derive(Clone, Debug)]
pub(crate) struct StorageRef {
    pub key: String,
    pub dtype: DType,
    /// Elements of `dtype`.
    pub numel: u64,
    /// For a part of another storage: where it begins, in elements.
    pub offset: u64,
}

impl Node {
    /// Bytes that it owns, roughly.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Node::Bytes(bytes) | Node::BigInt(bytes) => bytes.len(),
            Node::Str(text) => text.len(),
            Node::List(items) | Node::Tuple(items) | Node::Set(items) => items.len() * size_of::<NodeId>(),
            Node::Dict { entries, .. } => entries.len() * size_of::<(NodeId, NodeId)>(),
            Node::Object { args, items, .. } => (args.len() + items.len()) * size_of::<NodeId>(),
            Node::Tensor(tensor) => (tensor.sizes.len() + tensor.strides.len()) * size_of::<i64>(),
            Node::Size(sizes) => sizes.len() * size_of::<i64>(),
            Node::Array(Some(array)) => array.bytes.len(),
            _ => 0,
        }
    }

    /// What it is, for error texts.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Node::None => "None",
            Node::Bool(_) => "bool",
            Node::Int(_) | Node::BigInt(_) => "int",
            Node::Float(_) => "float",
            Node::Complex(..) => "complex",
            Node::Str(_) => "str",
            Node::Bytes(_) => "bytes",
            Node::List(_) => "list",
            Node::Tuple(_) => "tuple",
            Node::Dict { .. } => "dict",
            Node::Set(_) => "set",
            Node::Global(_) => "global",
            Node::Storage(_) => "storage",
            Node::Tensor(_) => "tensor",
            Node::Parameter(_) => "parameter",
            Node::DType(_) => "torch.dtype",
            Node::Device(_) => "torch.device",
            Node::Size(_) => "torch.Size",
            Node::NumpyDType { .. } => "numpy.dtype",
            Node::Array(_) => "numpy.ndarray",
            Node::Object { .. } => "object",
        }
    }
}
