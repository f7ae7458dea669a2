//! The workloads, by area.

mod conv;
mod model;
mod nn;
mod op;

use cresset_core::random::manual_seed;
use cresset_core::{Result, Tensor, bail, ops};

use crate::measure::Workload;

/// All workloads, in the order of the Python suite.
pub fn all() -> Vec<Workload> {
    [op::workloads(), conv::workloads(), nn::workloads(), model::workloads()].into_iter().flatten().collect()
}

/// Standard normals from a seed of their own.
fn seeded(sizes: &[i64], seed: u64) -> Result<Tensor> {
    manual_seed(seed);
    ops::randn(sizes)
}

/// The gradient that a backward pass left.
fn gradient(t: &Tensor) -> Result<Tensor> {
    match t.grad() {
        Some(g) => Ok(g),
        None => bail!("the backward pass left no gradient"),
    }
}
