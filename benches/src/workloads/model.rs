//! `model/*` and `data/*`: training steps of whole networks, and a pass over a loader.

use cresset_core::random::manual_seed;
use cresset_core::{Result, ops};
use cresset_data::{DataLoader, TensorDataset};
use cresset_nn::functional::cross_entropy;
use cresset_nn::utils::clip_grad_norm_;
use cresset_nn::{
    Conv2d, Dropout, Flatten, Forward, Linear, MaxPool2d, Module, ReLU, Sequential, sequential,
};
use cresset_optim::AdamW;

use super::seeded;
use crate::measure::Workload;

pub fn workloads() -> Vec<Workload> {
    vec![
        train("mlp-mnist-b128-train", mlp, &[128, 784]),
        train("lenet-b128-train", lenet, &[128, 1, 28, 28]),
        loader(),
    ]
}

fn mlp() -> Result<Sequential> {
    Ok(sequential![
        Linear::new(784, 512)?,
        ReLU::new(),
        Linear::new(512, 512)?,
        ReLU::new(),
        Linear::new(512, 10)?,
    ])
}

fn lenet() -> Result<Sequential> {
    Ok(sequential![
        Conv2d::new(1, 32, 3)?,
        ReLU::new(),
        Conv2d::new(32, 64, 3)?,
        ReLU::new(),
        MaxPool2d::new(2),
        Dropout::new(0.25)?,
        Flatten::new(),
        Linear::new(9216, 128)?,
        ReLU::new(),
        Linear::new(128, 10)?,
    ])
}

/// A classifier's step. The learning rate is so small that repeating the step never reaches denormals.
fn train(name: &str, model: fn() -> Result<Sequential>, input: &'static [i64]) -> Workload {
    let build = move || {
        manual_seed(0);
        let model = model()?;
        let x = seeded(input, 0)?;
        let target = ops::arange(input[0])?.remainder_scalar(10)?;
        let mut optimizer = AdamW::new(model.parameters(), 1e-7)?;
        Ok(move || {
            optimizer.zero_grad();
            let loss = cross_entropy(&model.forward(&x)?, &target)?;
            loss.backward()?;
            clip_grad_norm_(&model.parameters(), 1.0, 2.0, false)?;
            optimizer.step()?;
            Ok(loss)
        })
    };
    Workload::new(format!("model/{name}"), build).tol(1e-2)
}

fn loader() -> Workload {
    Workload::new("data/loader-60kx784-shuffle", || {
        let x = seeded(&[20_000, 784], 0)?;
        let y = ops::arange(20_000)?.remainder_scalar(10)?;
        let loader = DataLoader::with(TensorDataset::new([x, y])?, |o| o.batch_size(128).shuffle(true))?;
        Ok(move || {
            let mut n = 0;
            for batch in &loader {
                let [images, _] = batch?;
                n += images.size(0)?;
            }
            Ok(n as f64)
        })
    })
}
