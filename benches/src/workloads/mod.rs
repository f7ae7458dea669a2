//! The workloads, by area.

mod conv;
mod encoder;
mod gpt;
mod model;
mod nn;
mod op;
mod resnet;

use cresset_core::random::manual_seed;
use cresset_core::{Result, Tensor, bail, ops};

use crate::measure::Workload;

/// All workloads.
pub fn all() -> Vec<Workload> {
    let areas = [
        op::workloads,
        conv::workloads,
        nn::workloads,
        model::workloads,
        resnet::workloads,
        gpt::workloads,
        encoder::workloads,
    ];
    areas.iter().flat_map(|area| area()).collect()
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
