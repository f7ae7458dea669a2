//! The pickle machine: a stack, a memo and the opcodes of protocols 0 to 5.
//!
//! Time and memory are bounded by the length of the pickle: an opcode adds at most one node, a length that the stream
//! does not back with bytes is an error before anything is allocated, and what calls copy is counted against a budget.

use std::collections::HashMap;

use super::globals::{self, Global, Policy};
use super::literal::{decimal, integer, memo_index, pairs, text_or_bytes, unescape, unquote, utf8};
use super::node::{Node, NodeId, StorageId, StorageRef, TensorNode};
use cresset_core::{Result, bail};

/// Bytes that calls may copy whatever the length of the pickle.
const FREE_COPIES: usize = 64 << 20;

/// The nodes and storages of one or several pickles of a file.
#[derive(Default)]
pub(crate) struct Arena {
    pub nodes: Vec<Node>,
    pub storages: Vec<StorageRef>,
    storage_ids: HashMap<(String, u8), StorageId>,
    /// Tensors that the oldest files keep apart from the pickle, by their key.
    pub tensors_by_key: HashMap<String, TensorNode>,
    /// Bytes copied so far, and how many may be.
    copied: usize,
    budget: usize,
}

impl Arena {
    /// Counts bytes that a call copies: a few opcodes could else repeat a large value without end.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<()> {
        self.copied = self.copied.saturating_add(bytes);
        if self.copied > self.budget {
            bail!("UnpicklingError: the pickle copies more than {} bytes: refused", self.budget);
        }
        Ok(())
    }

    /// Adds a node.
    pub(crate) fn add(&mut self, node: Node) -> Result<NodeId> {
        let Ok(id) = NodeId::try_from(self.nodes.len()) else { bail!("UnpicklingError: too many values") };
        self.nodes.push(node);
        Ok(id)
    }

    /// The node of that number.
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    /// The number of a storage, the same one for each mention.
    pub(crate) fn storage(&mut self, storage: StorageRef) -> StorageId {
        let next = self.storages.len() as StorageId;
        let key = (storage.key.clone(), storage.dtype as u8);
        let id = *self.storage_ids.entry(key).or_insert(next);
        if id == next {
            self.storages.push(storage);
        }
        id
    }
}

/// Runs one pickle of a byte stream.
pub(crate) struct Machine<'a, 'b> {
    bytes: &'a [u8],
    at: usize,
    policy: Policy<'b>,
    pub(super) arena: &'b mut Arena,
    stack: Vec<NodeId>,
    marks: Vec<usize>,
    memo: HashMap<u64, NodeId>,
}

impl<'a, 'b> Machine<'a, 'b> {
    /// A machine that stands at the start of `bytes`.
    pub(crate) fn new(bytes: &'a [u8], policy: Policy<'b>, arena: &'b mut Arena) -> Self {
        arena.budget = arena.budget.max(FREE_COPIES.saturating_add(bytes.len().saturating_mul(16)));
        Machine { bytes, at: 0, policy, arena, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() }
    }

    /// Runs up to the end of the pickle: its value, and how many bytes it took.
    ///
    /// # Errors
    /// `Runtime` for a damaged or truncated pickle, an opcode that is not data, or a name that is not allowed.
    pub(crate) fn run(mut self) -> Result<(NodeId, usize)> {
        loop {
            let start = self.at;
            let opcode = self.take(1)?[0];
            if opcode == b'.' {
                return Ok((self.pop()?, self.at));
            }
            let done = self.number(opcode)?
                || self.text(opcode)?
                || self.container(opcode)?
                || self.object(opcode)?;
            if !done {
                bail!("UnpicklingError: Unsupported opcode 0x{opcode:02x} at byte {start}");
            }
        }
    }

    fn number(&mut self, opcode: u8) -> Result<bool> {
        let node = match opcode {
            b'N' => Node::None,
            0x88 => Node::Bool(true),
            0x89 => Node::Bool(false),
            b'K' => Node::Int(i64::from(self.take(1)?[0])),
            b'M' => Node::Int(i64::from(u16::from_le_bytes(self.array()?))),
            b'J' => Node::Int(i64::from(i32::from_le_bytes(self.array()?))),
            b'G' => Node::Float(f64::from_be_bytes(self.array()?)),
            0x8a => {
                let len = usize::from(self.take(1)?[0]);
                integer(self.take(len)?)
            }
            0x8b => {
                let len = u64::from(u32::from_le_bytes(self.array()?));
                integer(self.counted(len)?)
            }
            b'I' => match self.line()? {
                "01" => Node::Bool(true),
                "00" => Node::Bool(false),
                digits => decimal(digits)?,
            },
            b'L' => decimal(self.line()?.trim_end_matches('L'))?,
            b'F' => match self.line()?.trim().parse() {
                Ok(value) => Node::Float(value),
                Err(_) => bail!("UnpicklingError: a float is not a number"),
            },
            _ => return Ok(false),
        };
        self.push(node)?;
        Ok(true)
    }

    fn text(&mut self, opcode: u8) -> Result<bool> {
        let node = match opcode {
            0x8c | b'X' | 0x8d => Node::Str(utf8(self.prefixed(opcode)?)?.to_owned()),
            b'C' | b'B' | 0x8e | 0x96 => Node::Bytes(self.prefixed(opcode)?.to_vec()),
            // What Python 2 calls text may be bytes.
            b'U' | b'T' => text_or_bytes(self.prefixed(opcode)?),
            b'S' => text_or_bytes(&unescape(unquote(self.line()?)?, false)?),
            b'V' => Node::Str(utf8(&unescape(self.line()?, true)?)?.to_owned()),
            _ => return Ok(false),
        };
        self.push(node)?;
        Ok(true)
    }

    /// The bytes behind the length whose width the opcode says.
    fn prefixed(&mut self, opcode: u8) -> Result<&'a [u8]> {
        let len = match opcode {
            0x8c | b'C' | b'U' => u64::from(self.take(1)?[0]),
            b'X' | b'B' | b'T' => u64::from(u32::from_le_bytes(self.array()?)),
            _ => u64::from_le_bytes(self.array()?),
        };
        self.counted(len)
    }

    fn container(&mut self, opcode: u8) -> Result<bool> {
        match opcode {
            b'(' => self.marks.push(self.stack.len()),
            b'0' => match self.marks.last() {
                Some(&mark) if mark == self.stack.len() => {
                    self.marks.pop();
                }
                _ => {
                    self.pop()?;
                }
            },
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b')' => self.push(Node::Tuple(Vec::new()))?,
            0x85..=0x87 => self.small_tuple(usize::from(opcode - 0x84))?,
            b't' => self.push_marked(Node::Tuple)?,
            b']' => self.push(Node::List(Vec::new()))?,
            b'l' => self.push_marked(Node::List)?,
            0x8f => self.push(Node::Set(Vec::new()))?,
            0x91 => self.push_marked(Node::Set)?,
            b'}' => self.push(Node::Dict { entries: Vec::new(), ordered: false })?,
            b'd' => {
                let entries = pairs(&self.pop_mark()?)?;
                self.push(Node::Dict { entries, ordered: false })?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(&[item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.extend(&items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(&items)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn object(&mut self, opcode: u8) -> Result<bool> {
        match opcode {
            0x80 => self.protocol()?,
            // A frame only says how much to buffer.
            0x95 => drop(self.take(8)?),
            b'q' => {
                let index = u64::from(self.take(1)?[0]);
                self.memoize(index)?;
            }
            b'r' => {
                let index = u64::from(u32::from_le_bytes(self.array()?));
                self.memoize(index)?;
            }
            0x94 => self.memoize(self.memo.len() as u64)?,
            b'p' => {
                let index = memo_index(self.line()?)?;
                self.memoize(index)?;
            }
            b'h' => {
                let index = u64::from(self.take(1)?[0]);
                self.recall(index)?;
            }
            b'j' => {
                let index = u64::from(u32::from_le_bytes(self.array()?));
                self.recall(index)?;
            }
            b'g' => {
                let index = memo_index(self.line()?)?;
                self.recall(index)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => self.stack_global()?,
            b'R' | 0x81 => self.reduce()?,
            0x92 => {
                self.pop()?;
                self.reduce()?;
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                let args = self.pop_mark()?;
                self.global(module, name)?;
                self.instance(args)?;
            }
            b'o' => {
                let mut args = self.pop_mark()?;
                if args.is_empty() {
                    bail!("UnpicklingError: an object has no class");
                }
                let class = args.remove(0);
                self.stack.push(class);
                self.instance(args)?;
            }
            b'b' => {
                let state = self.pop()?;
                let target = self.top()?;
                self.arena.set_state(target, state)?;
            }
            b'P' => {
                let key = self.line()?.to_owned();
                let id = self.arena.add(Node::Str(key))?;
                self.persistent(id)?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.persistent(id)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn protocol(&mut self) -> Result<()> {
        match self.take(1)?[0] {
            0..=5 => Ok(()),
            other => bail!("UnpicklingError: unsupported pickle protocol: {other}"),
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Result<()> {
        let node = match globals::find(module, name, self.policy)? {
            Global::DType(dtype) => Node::DType(dtype),
            other => Node::Global(other),
        };
        self.push(node)
    }

    fn stack_global(&mut self) -> Result<()> {
        let (name, module) = (self.pop()?, self.pop()?);
        match (self.arena.node(module).clone(), self.arena.node(name).clone()) {
            (Node::Str(module), Node::Str(name)) => self.global(&module, &name),
            _ => bail!("UnpicklingError: STACK_GLOBAL requires str"),
        }
    }

    /// `callable, args -> callable(*args)`.
    fn reduce(&mut self) -> Result<()> {
        let args = self.pop()?;
        let Node::Tuple(args) = self.arena.node(args).clone() else {
            bail!("UnpicklingError: a call needs a tuple of arguments, got {}", self.arena.node(args).kind());
        };
        self.instance(args)
    }

    /// Calls what is on the stack.
    fn instance(&mut self, args: Vec<NodeId>) -> Result<()> {
        let callee = self.pop()?;
        let Node::Global(global) = self.arena.node(callee).clone() else {
            bail!("UnpicklingError: cannot call a {}", self.arena.node(callee).kind());
        };
        let id = self.arena.call(&global, &args)?;
        self.stack.push(id);
        Ok(())
    }

    fn persistent(&mut self, id: NodeId) -> Result<()> {
        let value = self.arena.persistent(id)?;
        self.stack.push(value);
        Ok(())
    }

    fn memoize(&mut self, index: u64) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn recall(&mut self, index: u64) -> Result<()> {
        let Some(&id) = self.memo.get(&index) else {
            bail!("UnpicklingError: Memo value not found at index {index}")
        };
        self.stack.push(id);
        Ok(())
    }

    fn extend(&mut self, items: &[NodeId]) -> Result<()> {
        let target = self.top()?;
        match &mut self.arena.nodes[target as usize] {
            Node::List(list) | Node::Set(list) | Node::Object { items: list, .. } => {
                list.extend_from_slice(items)
            }
            other => bail!("UnpicklingError: Can only append to lists, but got {}", other.kind()),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[NodeId]) -> Result<()> {
        let target = self.top()?;
        let new = pairs(items)?;
        match &mut self.arena.nodes[target as usize] {
            Node::Dict { entries, .. } => entries.extend(new),
            Node::Object { items: list, .. } => list.extend_from_slice(items),
            other => bail!("UnpicklingError: Can only set items of dicts, but got {}", other.kind()),
        }
        Ok(())
    }

    fn small_tuple(&mut self, len: usize) -> Result<()> {
        let mut items = vec![0; len];
        for item in items.iter_mut().rev() {
            *item = self.pop()?;
        }
        self.push(Node::Tuple(items))
    }

    fn push_marked(&mut self, node: fn(Vec<NodeId>) -> Node) -> Result<()> {
        let items = self.pop_mark()?;
        self.push(node(items))
    }

    fn push(&mut self, node: Node) -> Result<()> {
        let id = self.arena.add(node)?;
        self.stack.push(id);
        Ok(())
    }

    fn top(&self) -> Result<NodeId> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(&id) if self.stack.len() > floor => Ok(id),
            _ => bail!("UnpicklingError: pickle stack underflow"),
        }
    }

    fn pop(&mut self) -> Result<NodeId> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    fn pop_mark(&mut self) -> Result<Vec<NodeId>> {
        let Some(mark) = self.marks.pop() else { bail!("UnpicklingError: could not find MARK") };
        Ok(self.stack.split_off(mark))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let part = self.at.checked_add(len).and_then(|end| self.bytes.get(self.at..end));
        let Some(part) = part else { bail!("EOFError: pickle data was truncated") };
        self.at += len;
        Ok(part)
    }

    fn counted(&mut self, len: u64) -> Result<&'a [u8]> {
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    /// Up to the end of the line, which is left out.
    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.at..];
        let Some(len) = rest.iter().position(|b| *b == b'\n') else {
            bail!("EOFError: pickle data was truncated")
        };
        let line = self.take(len + 1)?;
        utf8(&line[..len])
    }
}
