//! Writing a [`PyValue`] as a pickle of protocol 2, in the form that `torch.load(weights_only=True)` takes.

use std::collections::HashMap;

use crate::value::PyValue;
use cresset_core::storage::Storage;
use cresset_core::{DType, Device, Result, Tensor, bail};

/// Levels of containers that are written.
const MAX_DEPTH: usize = 200;

/// A pickle being written, and the storages that its tensors share.
#[derive(Default)]
pub(crate) struct PickleWriter {
    bytes: Vec<u8>,
    /// Memo number of each text that is repeated: globals and the parts of storages.
    memo: HashMap<&'static str, u32>,
    /// The storages, in the order of their keys.
    pub storages: Vec<Storage>,
    /// Key and dtype by the identity of the storage.
    keys: HashMap<usize, (usize, DType)>,
}

impl PickleWriter {
    /// The pickle of `value`.
    ///
    /// # Errors
    /// `Runtime` for an object that was read as inert data, or too deep a value.
    pub(crate) fn pickle(&mut self, value: &PyValue) -> Result<Vec<u8>> {
        self.bytes.extend([0x80, 2]);
        self.value(value, 0)?;
        self.bytes.push(b'.');
        Ok(std::mem::take(&mut self.bytes))
    }

    fn value(&mut self, value: &PyValue, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            bail!("torch.save: containers are nested more than {MAX_DEPTH} deep");
        }
        match value {
            PyValue::None => self.bytes.push(b'N'),
            PyValue::Bool(value) => self.bytes.push(if *value { 0x88 } else { 0x89 }),
            PyValue::Int(value) => self.int(*value),
            PyValue::BigInt(bytes) => self.long(bytes),
            PyValue::Float(value) => self.float(*value),
            PyValue::Complex(re, im) => {
                self.global("__builtin__\ncomplex\n");
                self.float(*re);
                self.float(*im);
                self.bytes.extend([0x86, b'R']);
            }
            PyValue::Str(text) => self.text(text),
            PyValue::Bytes(bytes) => self.encoded(bytes),
            PyValue::List(items) => {
                self.bytes.push(b']');
                self.appended(items, depth)?;
            }
            PyValue::Tuple(items) => {
                self.bytes.push(b'(');
                items.iter().try_for_each(|item| self.value(item, depth + 1))?;
                self.bytes.push(b't');
            }
            PyValue::Set(items) => {
                self.global("__builtin__\nset\n");
                self.bytes.push(b']');
                self.appended(items, depth)?;
                self.bytes.extend([0x85, b'R']);
            }
            PyValue::Dict(entries) => {
                self.bytes.push(b'}');
                self.entries(entries, depth)?;
            }
            PyValue::OrderedDict(entries) => {
                self.ordered_dict();
                self.entries(entries, depth)?;
            }
            PyValue::Tensor(tensor) => self.tensor(tensor)?,
            PyValue::Parameter(tensor) => {
                self.global("torch._utils\n_rebuild_parameter\n");
                self.tensor(tensor)?;
                self.bytes.push(if tensor.requires_grad() { 0x88 } else { 0x89 });
                self.ordered_dict();
                self.bytes.extend([0x87, b'R']);
            }
            PyValue::DType(dtype) => self.bytes.extend(format!("ctorch\n{}\n", dtype.name()).bytes()),
            PyValue::Device(name) => self.device(name),
            PyValue::Size(sizes) => {
                self.global("torch\nSize\n");
                self.ints(sizes);
                self.bytes.extend([0x85, b'R']);
            }
            PyValue::Object(object) => {
                bail!("torch.save: an object of class {} cannot be written", object.class)
            }
        }
        Ok(())
    }

    fn appended(&mut self, items: &[PyValue], depth: usize) -> Result<()> {
        self.bytes.push(b'(');
        items.iter().try_for_each(|item| self.value(item, depth + 1))?;
        self.bytes.push(b'e');
        Ok(())
    }

    fn entries(&mut self, entries: &[(PyValue, PyValue)], depth: usize) -> Result<()> {
        self.bytes.push(b'(');
        for (key, value) in entries {
            self.value(key, depth + 1)?;
            self.value(value, depth + 1)?;
        }
        self.bytes.push(b'u');
        Ok(())
    }

    fn ordered_dict(&mut self) {
        self.global("collections\nOrderedDict\n");
        self.bytes.extend([b')', b'R']);
    }

    fn int(&mut self, value: i64) {
        match (u8::try_from(value), i32::try_from(value)) {
            (Ok(small), _) => self.bytes.extend([b'K', small]),
            (_, Ok(medium)) => {
                self.bytes.push(b'J');
                self.bytes.extend(medium.to_le_bytes());
            }
            _ => self.long(&value.to_le_bytes()),
        }
    }

    fn long(&mut self, bytes: &[u8]) {
        match u8::try_from(bytes.len()) {
            Ok(len) => self.bytes.extend([0x8a, len]),
            Err(_) => {
                self.bytes.push(0x8b);
                self.bytes.extend((bytes.len() as u32).to_le_bytes());
            }
        }
        self.bytes.extend(bytes);
    }

    fn float(&mut self, value: f64) {
        self.bytes.push(b'G');
        self.bytes.extend(value.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.bytes.push(b'X');
        self.bytes.extend((text.len() as u32).to_le_bytes());
        self.bytes.extend(text.bytes());
    }

    /// Protocol 2 has no bytes: text of the same code points, encoded.
    fn encoded(&mut self, bytes: &[u8]) {
        self.global("_codecs\nencode\n");
        self.text(&bytes.iter().map(|b| char::from(*b)).collect::<String>());
        self.text("latin1");
        self.bytes.extend([0x86, b'R']);
    }

    fn device(&mut self, name: &str) {
        self.global("torch\ndevice\n");
        match name.split_once(':').and_then(|(kind, index)| Some((kind, index.parse().ok()?))) {
            Some((kind, index)) => {
                self.text(kind);
                self.int(index);
                self.bytes.push(0x86);
            }
            None => {
                self.text(name);
                self.bytes.push(0x85);
            }
        }
        self.bytes.push(b'R');
    }

    fn ints(&mut self, values: &[i64]) {
        self.bytes.push(b'(');
        values.iter().for_each(|value| self.int(*value));
        self.bytes.push(b't');
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, OrderedDict())`.
    fn tensor(&mut self, tensor: &Tensor) -> Result<()> {
        let (storage, dtype) = (tensor.storage(), tensor.dtype());
        let count = self.storages.len();
        let (key, stored) = *self.keys.entry(storage.id()).or_insert((count, dtype));
        if key == count {
            self.storages.push(storage.clone());
        }
        if storage.device() == Device::Meta {
            bail!(NotImplemented, "Cannot copy out of meta tensor; no data!");
        }
        if stored != dtype {
            bail!("Cannot save multiple tensors or storages that view the same data as different types");
        }
        self.global("torch._utils\n_rebuild_tensor_v2\n");
        self.bytes.extend(*b"((");
        self.repeated("storage");
        self.global(storage_class(dtype));
        self.text(&key.to_string());
        self.repeated("cpu");
        self.int((storage.nbytes() / dtype.size()) as i64);
        self.bytes.extend(*b"tQ");
        self.int(tensor.storage_offset() as i64);
        self.ints(&tensor.sizes());
        self.ints(&tensor.strides());
        self.bytes.push(if tensor.requires_grad() { 0x88 } else { 0x89 });
        self.ordered_dict();
        self.bytes.extend(*b"tR");
        Ok(())
    }

    fn repeated(&mut self, text: &'static str) {
        if !self.recall(text) {
            self.text(text);
            self.remember(text);
        }
    }

    /// `module\nname\n`.
    fn global(&mut self, path: &'static str) {
        if !self.recall(path) {
            self.bytes.push(b'c');
            self.bytes.extend(path.bytes());
            self.remember(path);
        }
    }

    fn recall(&mut self, text: &'static str) -> bool {
        let Some(index) = self.memo.get(text) else { return false };
        // There are far fewer than 256 different ones.
        self.bytes.extend([b'h', *index as u8]);
        true
    }

    fn remember(&mut self, text: &'static str) {
        let index = self.memo.len() as u32;
        self.memo.insert(text, index);
        self.bytes.extend([b'q', index as u8]);
    }
}

fn storage_class(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "torch\nBoolStorage\n",
        DType::U8 => "torch\nByteStorage\n",
        DType::I8 => "torch\nCharStorage\n",
        DType::I16 => "torch\nShortStorage\n",
        DType::I32 => "torch\nIntStorage\n",
        DType::I64 => "torch\nLongStorage\n",
        DType::F16 => "torch\nHalfStorage\n",
        DType::BF16 => "torch\nBFloat16Storage\n",
        DType::F32 => "torch\nFloatStorage\n",
        DType::F64 => "torch\nDoubleStorage\n",
        DType::Complex64 => "torch\nComplexFloatStorage\n",
        DType::Complex128 => "torch\nComplexDoubleStorage\n",
    }
}
