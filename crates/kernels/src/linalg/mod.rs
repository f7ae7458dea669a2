//! Factorisations of dense matrices: real and complex, single and double precision.
//!
//! Each works on one matrix in place and reports failure as LAPACK's `info` does; [`for_matrices`] runs it over a batch.
//! Large sizes are cut in halves or blocks whose products go through [`crate::gemm`], which shares them among threads.

mod batch;
mod bidiagonal;
mod cholesky;
mod eigh;
mod field;
mod householder;
mod lu;
mod matrix;
mod svd;
mod triangular;
mod vector;

pub use batch::Batch;
pub use cholesky::cholesky;
pub use eigh::eigh;
pub use field::{Field, Number, RealField};
pub use householder::{generate, multiply, qr};
pub use lu::{exchange, lu};
pub use matrix::{Matrix, MatrixMut};
pub use svd::svd;
pub use triangular::{Triangle, solve};
