//! Pickles, read by a machine that can only build data, and written in protocol 2.
//!
//! Reading goes in three steps. The [`machine`] runs the opcodes over an arena of [`node`]s: containers hold the
//! numbers of their items, so that sharing and cycles cost nothing and dropping never recurses. Where a pickle would
//! call something, [`globals`] decides by name what that may be and [`call`] builds the data that the call stands for;
//! anything else is an error that names it. At last [`tree`] turns the arena into a [`PyValue`](crate::PyValue), with a
//! limit on depth and on how often shared nodes may be repeated. Storages are only described until then, as old files
//! hold their bytes behind the pickle.

mod call;
mod globals;
mod literal;
mod machine;
mod node;
mod numpy;
mod state;
mod tree;
mod write;

pub(crate) use globals::{Global, Policy};
pub(crate) use machine::{Arena, Machine};
pub(crate) use node::{Node, NodeId, StorageRef, TensorNode};
pub(crate) use tree::{normalized, to_value};
pub(crate) use write::PickleWriter;
