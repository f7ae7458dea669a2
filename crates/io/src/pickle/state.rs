//! `BUILD`: giving a state to what was built.

use super::machine::Arena;
use super::node::{Node, NodeId};
use super::numpy;
use cresset_core::{Result, bail};

impl Arena {
    /// What `target.__setstate__(state)` stands for.
    pub(super) fn set_state(&mut self, target: NodeId, state: NodeId) -> Result<()> {
        let new = match self.node(target) {
            // Attributes of containers and tensors (`_metadata` of a state_dict) are no part of their value.
            Node::Dict { .. } | Node::Tensor(_) | Node::Parameter(_) | Node::Set(_) => return Ok(()),
            Node::Object { class, args, items, .. } => Node::Object {
                class: class.clone(),
                args: args.clone(),
                state: Some(state),
                items: items.clone(),
            },
            Node::NumpyDType { code, .. } => {
                Node::NumpyDType { code: code.clone(), big_endian: self.is_big_endian(state)? }
            }
            Node::Array(_) => self.array_state(state)?,
            other => bail!(
                "UnpicklingError: Can only build Tensor, Parameter, OrderedDict or types allowlisted, but got {}",
                other.kind()
            ),
        };
        self.charge(new.weight())?;
        self.nodes[target as usize] = new;
        Ok(())
    }

    /// `(version, order, …)` of a dtype.
    fn is_big_endian(&self, state: NodeId) -> Result<bool> {
        match self.node(state) {
            Node::Tuple(items) if items.len() > 1 => Ok(self.text(items[1])? == ">"),
            other => bail!("UnpicklingError: the state of a numpy dtype is a tuple, got {}", other.kind()),
        }
    }

    /// `(version, shape, dtype, is_column_major, bytes)` of an array.
    fn array_state(&self, state: NodeId) -> Result<Node> {
        let items = match self.node(state) {
            Node::Tuple(items) => items.as_slice(),
            _ => &[],
        };
        let [_, shape, dtype, column_major, content] = *items else {
            bail!("UnpicklingError: the state of a numpy array is a tuple of 5 values");
        };
        let Node::NumpyDType { code, big_endian } = self.node(dtype) else {
            bail!("UnpicklingError: a numpy array needs a dtype, got {}", self.node(dtype).kind());
        };
        let column_major = matches!(self.node(column_major), Node::Bool(true));
        let sizes = self.ints(shape)?;
        let array = match self.node(content) {
            Node::Bytes(bytes) => numpy::array(code, *big_endian, sizes, column_major, bytes)?,
            Node::Str(text) => {
                let bytes: Vec<u8> = text.chars().map(|c| c as u8).collect();
                numpy::array(code, *big_endian, sizes, column_major, &bytes)?
            }
            other => bail!(
                NotImplemented,
                "numpy arrays of Python objects are not supported, got a {}",
                other.kind()
            ),
        };
        Ok(Node::Array(Some(array)))
    }
}
