//! The operators, one file per family. Each is declared once by `#[op]`; [`FAMILIES`] gathers them.
//!
//! To add one: write its stanza in the file of its family and its name in that file's `OPS`.

mod binary;
mod create;
mod shape;

pub use binary::*;
pub use create::*;
pub use shape::*;

use crate::op::OpDef;

/// All declared operators, family by family.
pub(crate) static FAMILIES: &[&[&OpDef]] = &[binary::OPS, create::OPS, shape::OPS];
