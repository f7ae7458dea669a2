//! `model/*` and `data/*`: training steps of whole networks, and a pass over a loader.

use cresset_core::random::manual_seed;
use cresset_core::{Result, Tensor, no_grad, ops};
use cresset_data::{DataLoader, TensorDataset};
use cresset_nn::functional::cross_entropy;
use cresset_nn::utils::clip_grad_norm_;
use cresset_nn::{
    BCELoss, BatchNorm2d, Conv2d, ConvTranspose2d, Dropout, Flatten, Forward, LeakyReLU, Linear, MaxPool2d,
    Module, ReLU, Sequential, Sigmoid, Tanh, sequential,
};
use cresset_optim::{Adam, AdamW};

use super::seeded;
use crate::measure::Workload;

pub fn workloads() -> Vec<Workload> {
    vec![
        classify("mlp-mnist-b128-train", mlp, &[128, 784]),
        classify("lenet-b128-train", lenet, &[128, 1, 28, 28]),
        dcgan(),
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

fn dcgan() -> Workload {
    let build = || {
        manual_seed(0);
        let generator = sequential![
            ConvTranspose2d::with(64, 128, 7, |o| o.bias(false))?,
            BatchNorm2d::new(128)?,
            ReLU::new(),
            ConvTranspose2d::with(128, 64, 4, |o| o.stride(2).padding(1).bias(false))?,
            BatchNorm2d::new(64)?,
            ReLU::new(),
            ConvTranspose2d::with(64, 1, 4, |o| o.stride(2).padding(1))?,
            Tanh::new(),
        ];
        let discriminator = sequential![
            Conv2d::with(1, 64, 4, |o| o.stride(2).padding(1))?,
            LeakyReLU::with(|o| o.negative_slope(0.2)),
            Conv2d::with(64, 128, 4, |o| o.stride(2).padding(1).bias(false))?,
            BatchNorm2d::new(128)?,
            LeakyReLU::with(|o| o.negative_slope(0.2)),
            Flatten::new(),
            Linear::new(128 * 49, 1)?,
            Sigmoid::new(),
        ];
        let criterion = BCELoss::new();
        let mut optimizer_g = Adam::new(generator.parameters(), 1e-7)?;
        let mut optimizer_d = Adam::new(discriminator.parameters(), 1e-7)?;
        let real = seeded(&[64, 1, 28, 28], 0)?.tanh()?;
        let z = seeded(&[64, 64, 1, 1], 3)?;
        let (one, zero) = (ops::ones([64, 1])?, ops::zeros([64, 1])?);
        Ok(move || {
            let fake = generator.forward(&z)?;
            let on_real = criterion.forward(&discriminator.forward(&real)?, &one)?;
            let on_fake = criterion.forward(&discriminator.forward(&fake.detach())?, &zero)?;
            optimizer_d.zero_grad();
            on_real.add(&on_fake)?.backward()?;
            optimizer_d.step()?;
            let loss = criterion.forward(&discriminator.forward(&fake)?, &one)?;
            optimizer_g.zero_grad();
            loss.backward()?;
            optimizer_g.step()?;
            Ok(loss)
        })
    };
    Workload::new("model/dcgan-b64-train", build).tol(1e-2)
}

/// A classifier's step on random inputs.
fn classify(name: &str, model: fn() -> Result<Sequential>, input: &'static [i64]) -> Workload {
    let build = move || {
        manual_seed(0);
        let model = model()?;
        let x = seeded(input, 0)?;
        let target = ops::arange(input[0])?.remainder_scalar(10)?;
        train(model, move |model| cross_entropy(&model.forward(&x)?, &target))
    };
    Workload::new(format!("model/{name}"), build).tol(1e-2)
}

/// A training step. The learning rate is so small that repeating the step never reaches denormals.
pub fn train<M: Module + 'static>(
    model: M,
    loss_of: impl Fn(&M) -> Result<Tensor> + 'static,
) -> Result<impl FnMut() -> Result<Tensor> + 'static> {
    let mut optimizer = AdamW::new(model.parameters(), 1e-7)?;
    Ok(move || {
        optimizer.zero_grad();
        let loss = loss_of(&model)?;
        loss.backward()?;
        clip_grad_norm_(&model.parameters(), 1.0)?;
        optimizer.step()?;
        Ok(loss)
    })
}

/// The output of a model that is not trained.
pub fn infer<M: Forward + 'static>(model: M, x: Tensor) -> impl FnMut() -> Result<Tensor> + 'static {
    move || {
        let _guard = no_grad();
        model.forward(&x)
    }
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
