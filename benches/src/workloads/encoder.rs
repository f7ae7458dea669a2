//! `model/bert-*`, `model/minilm-*`: encoders of transformers.

use cresset_core::random::manual_seed;
use cresset_core::{Result, no_grad};
use cresset_nn::{Activation, Forward, Module, TransformerEncoder, TransformerEncoderLayer};

use super::seeded;
use crate::measure::Workload;

pub fn workloads() -> Vec<Workload> {
    vec![
        inference("model/bert-base-b1-s128-infer", 12, [1, 128, 768]),
        inference("model/minilm-b32-s64-infer", 6, [32, 64, 384]),
    ]
}

/// Twelve heads an encoder; `sizes` are batch, length and width.
fn inference(name: &str, layers: i64, sizes: [i64; 3]) -> Workload {
    Workload::new(name, move || {
        let model = encoder(layers, sizes[2])?;
        model.eval();
        let x = seeded(&sizes, 0)?;
        Ok(move || {
            let _guard = no_grad();
            model.forward(&x)
        })
    })
}

fn encoder(layers: i64, width: i64) -> Result<TransformerEncoder> {
    manual_seed(0);
    let layer = TransformerEncoderLayer::with(width, 12, |o| {
        o.dim_feedforward(4 * width).dropout(0.0).activation(Activation::gelu()).batch_first(true)
    })?;
    TransformerEncoder::new(&layer, layers)
}
