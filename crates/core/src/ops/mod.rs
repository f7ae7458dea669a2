//! The operators, one file per family. Each is declared once by `#[op]`; [`FAMILIES`] gathers them.
//!
//! To add one: write its stanza in the file of its family and its name in that file's `OPS`.

mod activation;
mod activation_grad;
mod advanced;
mod alias;
mod binary;
mod bitwise;
mod compare;
mod complex;
mod convert;
mod create;
mod einsum;
mod image;
mod index;
mod join;
mod math;
mod matmul;
mod matrix;
mod optimizer;
mod padding;
mod power;
mod products;
mod query;
mod range;
pub(crate) mod raw;
mod dropout;
mod random;
mod random_create;
mod sample;
mod scattering;
mod shape;
mod special;
mod ternary;
mod transcendental;
mod unary;
mod view_grad;
pub(crate) mod view_layout;
mod views;
mod views_inplace;

pub use activation::*;
pub use activation_grad::*;
pub use advanced::*;
pub use alias::*;
pub use binary::*;
pub use bitwise::*;
pub use compare::*;
pub use complex::*;
pub use convert::*;
pub use create::*;
pub use einsum::*;
pub use image::*;
pub use index::*;
pub use join::*;
pub use math::*;
pub use matmul::*;
pub use matrix::*;
pub use optimizer::*;
pub use padding::*;
pub use power::*;
pub use products::*;
pub use query::*;
pub use dropout::*;
pub use random::*;
pub use random_create::*;
pub use range::*;
pub use sample::*;
pub use scattering::*;
pub use shape::*;
pub use special::*;
pub use ternary::*;
pub use transcendental::*;
pub use unary::*;
pub use view_grad::*;
pub use views::*;
pub use views_inplace::*;

use crate::op::OpDef;

/// All declared operators, family by family.
pub(crate) static FAMILIES: &[&[&OpDef]] = &[
    activation::OPS,
    activation_grad::OPS,
    advanced::OPS,
    alias::OPS,
    binary::OPS,
    bitwise::OPS,
    compare::OPS,
    complex::OPS,
    convert::OPS,
    create::OPS,
    einsum::OPS,
    image::OPS,
    index::OPS,
    join::OPS,
    math::OPS,
    matmul::OPS,
    matrix::OPS,
    optimizer::OPS,
    padding::OPS,
    power::OPS,
    products::OPS,
    query::OPS,
    dropout::OPS,
    random::OPS,
    random_create::OPS,
    range::OPS,
    sample::OPS,
    scattering::OPS,
    shape::OPS,
    special::OPS,
    ternary::OPS,
    transcendental::OPS,
    unary::OPS,
    view_grad::OPS,
    views::OPS,
    views_inplace::OPS,
];
