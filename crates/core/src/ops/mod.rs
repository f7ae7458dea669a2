//! The operators, one file per family. Each is declared once by `#[op]`; [`FAMILIES`] gathers them.
//!
//! To add one: write its stanza in the file of its family and its name in that file's `OPS`.

mod activation;
mod activation_grad;
mod adaptive_pool;
mod advanced;
mod alias;
mod attention;
mod batch_norm;
mod batch_norm_native;
mod bessel;
mod binary;
mod bitwise;
mod compare;
mod complex;
mod conv;
mod conv_compute;
mod conv_nd;
mod conv_shape;
mod convert;
mod covariance;
mod create;
mod ctc;
mod distance;
mod dropout;
mod einsum;
mod embedding_bag;
mod embeddings;
mod extreme;
mod fft;
mod flash;
mod foreach;
mod gated;
mod gradient;
mod grid;
mod group_norm;
mod histogram;
mod image;
mod index;
mod index_write;
mod join;
mod linalg_definite;
mod linalg_determinant;
mod linalg_eigen;
mod linalg_elimination;
mod linalg_functions;
mod linalg_hermitian;
mod linalg_norms;
mod linalg_orthogonal;
mod linalg_products;
mod linalg_pseudo;
mod linalg_singular;
mod linalg_systems;
mod loss;
mod margin_loss;
mod math;
mod matmul;
mod matrix;
mod moment;
mod nll;
mod norm;
mod optimizer;
mod packed;
mod padding;
mod polynomial;
mod pool;
mod pool_fractional;
mod power;
mod products;
mod quantile;
mod query;
mod random;
mod random_create;
mod range;
pub(crate) mod raw;
mod reduce;
mod reduce_at;
mod regression_loss;
mod reinterpret;
mod repetition;
mod rnn;
mod rnn_cell;
mod rnn_sequence;
mod rrelu;
mod sample;
mod samples;
mod scan;
mod scattering;
mod search;
mod segment;
mod shape;
mod softmax;
mod sort;
mod sparse;
mod sparse_product;
mod special;
mod spectral;
mod splitting;
mod stft;
mod ternary;
mod transcendental;
mod unary;
mod unique;
mod unpool;
mod upsample;
mod vector_norm;
mod view_grad;
pub(crate) mod view_layout;
mod views;
mod views_inplace;
mod weight_norm;
mod window;

pub use activation::*;
pub use activation_grad::*;
pub use adaptive_pool::*;
pub use advanced::*;
pub use alias::*;
pub use attention::*;
pub use batch_norm::*;
pub use batch_norm_native::*;
pub use bessel::*;
pub use binary::*;
pub use bitwise::*;
pub use compare::*;
pub use complex::*;
pub use conv::*;
pub use conv_nd::*;
pub use convert::*;
pub use covariance::*;
pub use create::*;
pub use ctc::*;
pub use distance::*;
pub use dropout::*;
pub use einsum::*;
pub use embedding_bag::*;
pub use embeddings::*;
pub use extreme::*;
pub use fft::*;
pub use gated::*;
pub use gradient::*;
pub use grid::*;
pub use group_norm::*;
pub use histogram::*;
pub use image::*;
pub use index::*;
pub use index_write::*;
pub use join::*;
pub use linalg_definite::*;
pub use linalg_determinant::*;
pub use linalg_eigen::*;
pub use linalg_elimination::*;
pub use linalg_functions::*;
pub use linalg_hermitian::*;
pub use linalg_norms::*;
pub use linalg_orthogonal::*;
pub use linalg_products::*;
pub use linalg_pseudo::*;
pub use linalg_singular::*;
pub use linalg_systems::*;
pub use loss::*;
pub use margin_loss::*;
pub use math::*;
pub use matmul::*;
pub use matrix::*;
pub use moment::*;
pub use nll::*;
pub use norm::*;
pub use optimizer::*;
pub use packed::*;
pub use padding::*;
pub use polynomial::*;
pub use pool::*;
pub use pool_fractional::*;
pub use power::*;
pub use products::*;
pub use quantile::*;
pub use query::*;
pub use random::*;
pub use random_create::*;
pub use range::*;
pub use reduce::*;
pub use reduce_at::*;
pub use regression_loss::*;
pub use reinterpret::*;
pub use repetition::*;
pub use rnn::*;
pub use rnn_cell::*;
pub use rrelu::*;
pub use sample::*;
pub use samples::*;
pub use scan::*;
pub use scattering::*;
pub use search::*;
pub use segment::*;
pub use shape::*;
pub use softmax::*;
pub use sort::*;
pub use sparse::*;
pub use sparse_product::*;
pub use special::*;
pub use spectral::*;
pub use splitting::*;
pub use stft::*;
pub use ternary::*;
pub use transcendental::*;
pub use unary::*;
pub use unique::*;
pub use unpool::*;
pub use upsample::*;
pub use vector_norm::*;
pub use view_grad::*;
pub use views::*;
pub use views_inplace::*;
pub use window::*;

use crate::op::OpDef;

/// All declared operators, family by family.
pub(crate) static FAMILIES: &[&[&OpDef]] = &[
    activation::OPS,
    activation_grad::OPS,
    adaptive_pool::OPS,
    advanced::OPS,
    alias::OPS,
    attention::OPS,
    batch_norm::OPS,
    bessel::OPS,
    batch_norm_native::OPS,
    binary::OPS,
    bitwise::OPS,
    compare::OPS,
    complex::OPS,
    conv::OPS,
    conv_nd::OPS,
    convert::OPS,
    covariance::OPS,
    create::OPS,
    distance::OPS,
    ctc::OPS,
    dropout::OPS,
    einsum::OPS,
    embedding_bag::OPS,
    embeddings::OPS,
    extreme::OPS,
    fft::OPS,
    flash::OPS,
    gated::OPS,
    gradient::OPS,
    foreach::OTHERS,
    foreach::PAIRS,
    foreach::UNARY,
    grid::OPS,
    group_norm::OPS,
    histogram::OPS,
    image::OPS,
    index::OPS,
    index_write::OPS,
    join::OPS,
    linalg_definite::OPS,
    linalg_determinant::OPS,
    linalg_eigen::OPS,
    linalg_elimination::OPS,
    linalg_functions::OPS,
    linalg_hermitian::OPS,
    linalg_norms::OPS,
    linalg_orthogonal::OPS,
    linalg_products::OPS,
    linalg_pseudo::OPS,
    linalg_singular::OPS,
    linalg_systems::OPS,
    loss::OPS,
    margin_loss::OPS,
    math::OPS,
    matmul::OPS,
    matrix::OPS,
    moment::OPS,
    nll::OPS,
    norm::OPS,
    optimizer::OPS,
    packed::OPS,
    padding::OPS,
    polynomial::OPS,
    pool::OPS,
    pool_fractional::OPS,
    power::OPS,
    products::OPS,
    quantile::OPS,
    query::OPS,
    random::OPS,
    random_create::OPS,
    range::OPS,
    reduce::OPS,
    reduce_at::OPS,
    regression_loss::OPS,
    reinterpret::OPS,
    repetition::OPS,
    rnn::OPS,
    rnn_cell::OPS,
    rnn_sequence::OPS,
    rrelu::OPS,
    sample::OPS,
    samples::OPS,
    scan::OPS,
    scattering::OPS,
    search::OPS,
    segment::OPS,
    shape::OPS,
    softmax::OPS,
    sort::OPS,
    sparse::OPS,
    sparse_product::OPS,
    special::OPS,
    spectral::OPS,
    splitting::OPS,
    stft::OPS,
    ternary::OPS,
    transcendental::OPS,
    unary::OPS,
    unique::OPS,
    unpool::OPS,
    upsample::OPS,
    vector_norm::OPS,
    view_grad::OPS,
    views::OPS,
    views_inplace::OPS,
    weight_norm::OPS,
    window::OPS,
];
