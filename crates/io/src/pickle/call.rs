//! What the calls in a pickle stand for: each builds data, none runs anything.

use super::globals::Global;
use super::machine::Arena;
use super::node::{Array, Node, NodeId, StorageRef, TensorNode};
use super::numpy;
use cresset_core::{DType, Error, Result, bail};

impl Arena {
    /// The value of `global(*args)`.
    pub(super) fn call(&mut self, global: &Global, args: &[NodeId]) -> Result<NodeId> {
        self.charge(std::mem::size_of_val(args))?;
        let node = match global {
            Global::OrderedDict => self.dict(args, true)?,
            Global::Dict => self.dict(args, false)?,
            Global::DefaultDict => self.dict(args.get(1..).unwrap_or_default(), false)?,
            Global::List => Node::List(self.optional_items(args)?),
            Global::Tuple => Node::Tuple(self.optional_items(args)?),
            Global::Set => Node::Set(self.optional_items(args)?),
            Global::Bytes => self.bytes(args)?,
            Global::Encode => self.encode(args)?,
            Global::Complex => self.complex(args)?,
            Global::Size => Node::Size(args.first().map_or(Ok(Vec::new()), |id| self.ints(*id))?),
            Global::Device => self.device(args)?,
            Global::GetLayout | Global::ScriptList | Global::ScriptRestoreType => return first(args, global),
            Global::RebuildTensor | Global::RebuildTensorV2 | Global::RebuildTensorV3 => {
                self.tensor(global, args)?
            }
            Global::RebuildParameter => self.parameter(args)?,
            Global::RebuildFromType => return self.typed_tensor(args),
            Global::NumpyScalar => self.numpy_scalar(args)?,
            Global::NumpyReconstruct => Node::Array(None),
            Global::NumpyFromBuffer => self.numpy_from_buffer(args)?,
            Global::NumpyDType => {
                Node::NumpyDType { code: self.text(first(args, global)?)?.to_owned(), big_endian: false }
            }
            Global::NumpyDTypeClass(code) => Node::NumpyDType { code: (*code).to_owned(), big_endian: false },
            Global::Inert(class) => {
                Node::Object { class: class.clone(), args: args.to_vec(), state: None, items: Vec::new() }
            }
            Global::Unsupported(name) => bail!(NotImplemented, "{name} in a file is not supported"),
            Global::DType(_) | Global::Storage(_) | Global::TensorClass | Global::NumpyArray => {
                bail!("UnpicklingError: {global:?} cannot be called from a file")
            }
        };
        self.charge(node.weight())?;
        self.add(node)
    }

    /// `dict()`, `dict(pairs)` or `dict(other)`.
    fn dict(&self, args: &[NodeId], ordered: bool) -> Result<Node> {
        let Some(&content) = args.first() else { return Ok(Node::Dict { entries: Vec::new(), ordered }) };
        let entries = match self.node(content) {
            Node::Dict { entries, .. } => entries.clone(),
            Node::List(pairs) | Node::Tuple(pairs) => {
                pairs.iter().map(|pair| self.pair(*pair)).collect::<Result<Vec<_>>>()?
            }
            other => bail!("UnpicklingError: cannot make a dict of a {}", other.kind()),
        };
        Ok(Node::Dict { entries, ordered })
    }

    fn pair(&self, id: NodeId) -> Result<(NodeId, NodeId)> {
        match self.items(id)? {
            [key, value] => Ok((*key, *value)),
            other => bail!("UnpicklingError: a pair has {} items", other.len()),
        }
    }

    fn optional_items(&self, args: &[NodeId]) -> Result<Vec<NodeId>> {
        args.first().map_or(Ok(Vec::new()), |id| self.items(*id).map(<[NodeId]>::to_vec))
    }

    fn items(&self, id: NodeId) -> Result<&[NodeId]> {
        match self.node(id) {
            Node::List(items) | Node::Tuple(items) | Node::Set(items) => Ok(items),
            other => bail!("UnpicklingError: expected a list or tuple, got {}", other.kind()),
        }
    }

    /// `bytes()`, `bytearray(bytes)` or `bytearray(text, 'latin-1')`.
    fn bytes(&self, args: &[NodeId]) -> Result<Node> {
        match args.first().map(|id| self.node(*id)) {
            None => Ok(Node::Bytes(Vec::new())),
            Some(Node::Bytes(bytes)) => Ok(Node::Bytes(bytes.clone())),
            Some(Node::Str(_)) => self.encode(args),
            Some(other) => bail!("UnpicklingError: cannot make bytes of a {}", other.kind()),
        }
    }

    /// `_codecs.encode(text, encoding)`.
    fn encode(&self, args: &[NodeId]) -> Result<Node> {
        let text = self.text(first(args, &Global::Encode)?)?;
        match args.get(1).map_or(Ok("utf-8"), |id| self.text(*id))? {
            "utf-8" | "utf8" => Ok(Node::Bytes(text.as_bytes().to_vec())),
            "latin1" | "latin-1" => {
                let narrow = text.chars().map(|c| u8::try_from(u32::from(c)));
                let bytes = narrow.collect::<Result<Vec<u8>, _>>();
                Ok(Node::Bytes(bytes.map_err(|_| Error::runtime("UnpicklingError: text is not latin1"))?))
            }
            other => bail!("UnpicklingError: encoding '{other}' is not supported"),
        }
    }

    fn complex(&self, args: &[NodeId]) -> Result<Node> {
        let part = |i: usize| args.get(i).map_or(Ok(0.0), |id| self.float(*id));
        Ok(Node::Complex(part(0)?, part(1)?))
    }

    fn device(&self, args: &[NodeId]) -> Result<Node> {
        let kind = self.text(first(args, &Global::Device)?)?;
        match args.get(1).map(|id| self.int(*id)).transpose()? {
            Some(index) => Ok(Node::Device(format!("{kind}:{index}"))),
            None => Ok(Node::Device(kind.to_owned())),
        }
    }

    /// `(storage, offset, size, stride, [requires_grad, hooks, [dtype]])`.
    fn tensor(&self, global: &Global, args: &[NodeId]) -> Result<Node> {
        let [storage, offset, sizes, strides, ..] = args else {
            bail!("UnpicklingError: a tensor needs 4 arguments, got {}", args.len());
        };
        let Node::Storage(storage) = *self.node(*storage) else {
            bail!("UnpicklingError: a tensor needs a storage, got {}", self.node(*storage).kind());
        };
        let requires_grad = args.get(4).is_some_and(|id| matches!(self.node(*id), Node::Bool(true)));
        let dtype = match args.get(6).map(|id| self.node(*id)) {
            Some(Node::DType(dtype)) if *global == Global::RebuildTensorV3 => *dtype,
            Some(other) if *global == Global::RebuildTensorV3 => match other {
                Node::Global(Global::Unsupported(name)) => {
                    bail!(NotImplemented, "{name} tensors are not supported")
                }
                _ => bail!("UnpicklingError: a tensor needs a dtype, got {}", other.kind()),
            },
            _ => self.storages[storage as usize].dtype,
        };
        let offset = u64::try_from(self.int(*offset)?)
            .map_err(|_| Error::runtime("Tensor: invalid storage offset"))?;
        Ok(Node::Tensor(TensorNode {
            storage,
            dtype,
            offset,
            sizes: self.ints(*sizes)?,
            strides: self.ints(*strides)?,
            requires_grad,
        }))
    }

    /// `(data, requires_grad, hooks, [state])`.
    fn parameter(&mut self, args: &[NodeId]) -> Result<Node> {
        let data = first(args, &Global::RebuildParameter)?;
        let Node::Tensor(tensor) = self.node(data) else {
            bail!("UnpicklingError: a parameter needs a tensor, got {}", self.node(data).kind());
        };
        let mut tensor = tensor.clone();
        tensor.requires_grad = args.get(1).is_some_and(|id| matches!(self.node(*id), Node::Bool(true)));
        let inner = self.add(Node::Tensor(tensor))?;
        Ok(Node::Parameter(inner))
    }

    /// `(function, type, args, state)`: a tensor with attributes, which are left out.
    fn typed_tensor(&mut self, args: &[NodeId]) -> Result<NodeId> {
        let [function, _, inner, ..] = args else {
            bail!("UnpicklingError: _rebuild_from_type_v2 needs 4 arguments")
        };
        let Node::Global(function) = self.node(*function).clone() else {
            bail!("UnpicklingError: cannot call a {}", self.node(*function).kind());
        };
        if function == Global::RebuildFromType {
            bail!("UnpicklingError: _rebuild_from_type_v2 of itself");
        }
        let inner = self.items(*inner)?.to_vec();
        self.call(&function, &inner)
    }

    /// `(dtype, bytes)`: a Python number.
    fn numpy_scalar(&self, args: &[NodeId]) -> Result<Node> {
        match args.iter().map(|id| self.node(*id)).collect::<Vec<_>>()[..] {
            [Node::NumpyDType { code, big_endian }, Node::Bytes(bytes)] => {
                numpy::scalar(code, *big_endian, bytes)
            }
            [Node::NumpyDType { code, big_endian }, Node::Str(text)] => {
                numpy::scalar(code, *big_endian, &text.chars().map(|c| c as u8).collect::<Vec<_>>())
            }
            _ => bail!("UnpicklingError: a numpy scalar needs a dtype and bytes"),
        }
    }

    /// `(bytes, dtype, shape, order)`.
    fn numpy_from_buffer(&self, args: &[NodeId]) -> Result<Node> {
        let [bytes, dtype, shape, order] = args else {
            bail!("UnpicklingError: _frombuffer needs 4 arguments")
        };
        let (Node::Bytes(bytes), Node::NumpyDType { code, big_endian }) =
            (self.node(*bytes), self.node(*dtype))
        else {
            bail!("UnpicklingError: a numpy array needs bytes and a dtype");
        };
        let column_major = self.text(*order)? == "F";
        Ok(Node::Array(Some(numpy::array(code, *big_endian, self.ints(*shape)?, column_major, bytes)?)))
    }

    /// What a persistent id names: a storage, the class of a module, or a tensor kept apart.
    pub(super) fn persistent(&mut self, id: NodeId) -> Result<NodeId> {
        let items = match self.node(id).clone() {
            Node::Tuple(items) => items,
            key => return self.tensor_by_key(&key),
        };
        let kind = self.text(first(&items, &Global::Tuple)?)?;
        if kind == "module" && items.len() > 1 {
            return Ok(items[1]);
        }
        if kind != "storage" || items.len() < 5 {
            bail!(
                "UnpicklingError: unknown typename for persistent_load, expected 'storage' but got '{kind:.40}'"
            );
        }
        let dtype = match self.node(items[1]) {
            Node::Global(Global::Storage(dtype)) => dtype.unwrap_or(DType::U8),
            Node::Global(Global::Unsupported(name)) => {
                bail!(NotImplemented, "{name} in a file is not supported")
            }
            other => bail!("UnpicklingError: a storage needs a type, got {}", other.kind()),
        };
        let key = self.key(items[2])?;
        let numel = self.int(items[4])?;
        let storage = self.storage_view(key, dtype, numel, items.get(5).copied())?;
        let id = self.storage(storage);
        self.add(Node::Storage(id))
    }

    /// A storage, or the part of it that the metadata of a view `(key, offset, size)` names.
    fn storage_view(
        &self,
        key: String,
        dtype: DType,
        numel: i64,
        view: Option<NodeId>,
    ) -> Result<StorageRef> {
        let count = |value: i64| {
            u64::try_from(value).map_err(|_| Error::runtime("UnpicklingError: negative storage size"))
        };
        let whole = StorageRef { key, dtype, numel: count(numel)?, offset: 0 };
        let Some(view) = view.filter(|id| !matches!(self.node(*id), Node::None)) else { return Ok(whole) };
        match *self.items(view)? {
            // The part keeps the root's bytes; tensors on it are moved by the offset.
            [_, offset, _] => Ok(StorageRef { offset: count(self.int(offset)?)?, ..whole }),
            _ => bail!("UnpicklingError: the view of a storage needs 3 values"),
        }
    }

    fn tensor_by_key(&mut self, key: &Node) -> Result<NodeId> {
        let key = match key {
            Node::Str(key) => key.clone(),
            Node::Int(key) => key.to_string(),
            other => bail!("UnpicklingError: persistent id must be a tuple, got {}", other.kind()),
        };
        match self.tensors_by_key.get(&key) {
            Some(tensor) => {
                let tensor = tensor.clone();
                self.add(Node::Tensor(tensor))
            }
            None => bail!("UnpicklingError: no tensor has the key {key:.40}"),
        }
    }

    pub(crate) fn key(&self, id: NodeId) -> Result<String> {
        match self.node(id) {
            Node::Str(key) => Ok(key.clone()),
            Node::Int(key) => Ok(key.to_string()),
            other => bail!("UnpicklingError: expected a key, got {}", other.kind()),
        }
    }

    pub(crate) fn text(&self, id: NodeId) -> Result<&str> {
        match self.node(id) {
            Node::Str(text) => Ok(text),
            other => bail!("UnpicklingError: expected a str, got {}", other.kind()),
        }
    }

    pub(crate) fn int(&self, id: NodeId) -> Result<i64> {
        match self.node(id) {
            Node::Int(value) => Ok(*value),
            other => bail!("UnpicklingError: expected an int, got {}", other.kind()),
        }
    }

    fn float(&self, id: NodeId) -> Result<f64> {
        match self.node(id) {
            Node::Float(value) => Ok(*value),
            Node::Int(value) => Ok(*value as f64),
            other => bail!("UnpicklingError: expected a float, got {}", other.kind()),
        }
    }

    pub(crate) fn ints(&self, id: NodeId) -> Result<Vec<i64>> {
        match self.node(id) {
            Node::Size(sizes) => Ok(sizes.clone()),
            _ => self.items(id)?.iter().map(|item| self.int(*item)).collect(),
        }
    }
}

fn first(args: &[NodeId], global: &Global) -> Result<NodeId> {
    match args.first() {
        Some(id) => Ok(*id),
        None => bail!("UnpicklingError: {global:?} needs an argument"),
    }
}

impl Array {
    /// Strides in elements.
    pub(super) fn strides(&self) -> Vec<i64> {
        let mut strides = vec![1; self.sizes.len()];
        let mut step = 1_i64;
        let order: Vec<usize> = match self.column_major {
            true => (0..self.sizes.len()).collect(),
            false => (0..self.sizes.len()).rev().collect(),
        };
        for dim in order {
            strides[dim] = step;
            step = step.saturating_mul(self.sizes[dim].max(1));
        }
        strides
    }
}
