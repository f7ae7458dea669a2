//! Factorisations of dense matrices: real and complex, single and double precision.
//!
//! Each works on one matrix in place and reports failure as LAPACK's `info` does; [`for_matrices`] runs it over a batch.
//! Large sizes are cut in halves or blocks whose products go through [`crate::gemm`], which shares them among threads.

mod batch;
mod bidiagonal;
mod cholesky;
mod eig;
mod eigh;
mod exp;
mod field;
mod householder;
mod ldl;
mod lu;
mod matrix;
mod schur;
mod svd;
#[cfg(test)]
mod tests;
mod triangular;
mod vector;

pub use batch::Batch;
pub use cholesky::cholesky;
pub use eig::{eig, eig_complex};
pub use eigh::eigh;
pub use exp::exp;
pub use field::{Field, Number, RealField};
pub use householder::{generate, multiply, qr};
pub use ldl::{ldl, ldl_solve};
pub use lu::{exchange, lu};
pub use matrix::{Matrix, MatrixMut};
pub use svd::svd;
pub use triangular::{Triangle, solve};
