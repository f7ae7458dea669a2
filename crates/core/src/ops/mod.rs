//! The operators, one file per family. Each is declared once by `#[op]`; [`FAMILIES`] gathers them.
//!
//! To add one: write its stanza in the file of its family and its name in that file's `OPS`.

mod advanced;
mod binary;
mod convert;
mod create;
mod image;
mod index;
mod join;
mod matrix;
mod optimizer;
mod padding;
mod query;
mod range;
pub(crate) mod raw;
mod scattering;
mod shape;
mod view_grad;
pub(crate) mod view_layout;
mod views;

pub use advanced::*;
pub use binary::*;
pub use convert::*;
pub use create::*;
pub use image::*;
pub use index::*;
pub use join::*;
pub use matrix::*;
pub use optimizer::*;
pub use padding::*;
pub use query::*;
pub use range::*;
pub use scattering::*;
pub use shape::*;
pub use view_grad::*;
pub use views::*;

use crate::op::OpDef;

/// All declared operators, family by family.
pub(crate) static FAMILIES: &[&[&OpDef]] = &[
    advanced::OPS,
    binary::OPS,
    convert::OPS,
    create::OPS,
    image::OPS,
    index::OPS,
    join::OPS,
    matrix::OPS,
    optimizer::OPS,
    padding::OPS,
    query::OPS,
    range::OPS,
    scattering::OPS,
    shape::OPS,
    view_grad::OPS,
    views::OPS,
];
