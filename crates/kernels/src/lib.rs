//! The loops of Cresset: every kernel works on raw memory plus sizes and strides and knows no tensor.
//!
//! A family of kernels (pointwise, reductions, matmul, …) is a module. Loops are compiled for AVX-512, AVX2 and the
//! portable baseline and picked at run time ([`isa`]); work is shared among threads by [`parallel`]. No kernel's result
//! depends on the number of threads: whatever is summed in pieces is cut at places that only the shape decides.

pub mod attention;
pub mod block;
mod bytes;
pub mod cast;
pub mod conv;
pub mod copy;
pub mod distance;
pub mod dtype;
pub mod fft;
pub mod gemm;
pub mod grid;
pub mod histogram;
pub mod index;
pub mod isa;
mod lanes;
pub mod linalg;
pub mod loss;
pub mod math;
pub mod nll;
pub mod norm;
pub mod optimizer;
pub mod parallel;
mod parts;
pub mod pointwise;
pub mod pool;
pub mod random;
pub mod reduce;
pub mod resample;
pub mod rnn;
pub mod rows;
pub mod scan;
pub mod segment;
pub mod softmax;
pub mod sort;
pub mod strided;
mod transpose;
