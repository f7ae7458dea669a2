//! `nn/*` and `optim/*`: layers, attention and an optimizer.

use cresset_core::random::manual_seed;
use cresset_core::{bail, no_grad, ops};
use cresset_nn::{
    BatchNorm2d, Embedding, Forward, GRU, LSTM, LayerNorm, MaxPool2d, Module, Parameter, ReLU, sequential,
};
use cresset_optim::AdamW;

use super::op::jumping_indices;
use super::{gradient, seeded};
use crate::measure::Workload;

pub fn workloads() -> Vec<Workload> {
    vec![layer_norm(), embedding(), pool_norm_relu(), lstm(), gru(), attention(), adamw()]
}

fn layer_norm() -> Workload {
    Workload::new("op/layernorm-4096x768", || {
        let x = seeded(&[4096, 768], 0)?;
        let layer = LayerNorm::new([768])?;
        Ok(move || {
            let _guard = no_grad();
            layer.forward(&x)
        })
    })
}

fn embedding() -> Workload {
    Workload::new("op/embedding-fwd-bwd", || {
        manual_seed(0);
        let layer = Embedding::new(30_000, 256)?;
        let i = jumping_indices(16_384, 30_000)?;
        Ok(move || {
            layer.weight.set_grad(None)?;
            layer.forward(&i)?.sum()?.backward()?;
            gradient(&layer.weight)?.sum()
        })
    })
}

fn pool_norm_relu() -> Workload {
    Workload::new("nn/maxpool-batchnorm-relu-train", || {
        manual_seed(0);
        let model = sequential![BatchNorm2d::new(64)?, ReLU::new(), MaxPool2d::new(2)];
        let x = seeded(&[16, 64, 56, 56], 0)?.requires_grad_(true)?;
        Ok(move || {
            x.set_grad(None)?;
            model.forward(&x)?.square()?.sum()?.backward()?;
            gradient(&x)
        })
    })
}

fn lstm() -> Workload {
    Workload::new("nn/lstm-64x32x256-train", || {
        manual_seed(0);
        let layer = LSTM::with(256, 256, |o| o.num_layers(2).batch_first(true))?;
        let x = seeded(&[32, 64, 256], 0)?;
        Ok(move || {
            layer.zero_grad();
            let (y, _) = layer.forward(&x, None)?;
            y.square()?.sum()?.backward()?;
            match layer.get("weight_ih_l0") {
                Some(weight) => gradient(weight),
                None => bail!("an LSTM has weights"),
            }
        })
    })
}

fn gru() -> Workload {
    Workload::new("nn/gru-64x32x256-infer", || {
        manual_seed(0);
        let layer = GRU::with(256, 256, |o| o.batch_first(true))?;
        let x = seeded(&[32, 64, 256], 0)?;
        Ok(move || {
            let _guard = no_grad();
            layer.forward(&x, None).map(|(y, _)| y)
        })
    })
}

fn attention() -> Workload {
    Workload::new("nn/sdpa-8x8x512x64", || {
        let part = |seed| seeded(&[8, 8, 512, 64], seed);
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        Ok(move || ops::scaled_dot_product_attention_with(&q, &k, &v, |o| o.is_causal(true)))
    })
}

fn adamw() -> Workload {
    Workload::new("optim/adamw-25M", || {
        manual_seed(0);
        let mut parameters = Vec::new();
        for i in 0..24 {
            let p = Parameter::new(ops::randn([1024, 1024])?.mul_scalar(0.02)?)?;
            p.set_grad(Some(ops::full([1024, 1024], 1e-3 * f64::from(i + 1))?))?;
            parameters.push(p);
        }
        let count = parameters.len() as f64;
        let mut optimizer = AdamW::new(parameters, 1e-4)?;
        Ok(move || {
            optimizer.step()?;
            Ok(count)
        })
    })
}
