//! `model/nanogpt-*`.

use cresset_core::random::manual_seed;
use cresset_core::{Result, Tensor, bail, ops};
use cresset_nn::functional::cross_entropy;
use cresset_nn::{Embedding, Forward, LayerNorm, Linear, Module};

use super::model::train;
use crate::measure::Workload;

const VOCABULARY: i64 = 65;
const CONTEXT: i64 = 128;
const WIDTH: i64 = 384;
const HEADS: i64 = 6;
const LAYERS: usize = 6;

pub fn workloads() -> Vec<Workload> {
    let build = || {
        manual_seed(0);
        let model = Gpt::new()?;
        let ids = ops::arange(8 * 129)?.mul_scalar(7919)?.remainder_scalar(VOCABULARY)?.view([8, 129])?;
        let (x, target) = (ids.narrow(1, 0, 128)?.contiguous()?, ids.narrow(1, 1, 128)?.reshape([-1])?);
        train(model, move |model| cross_entropy(&model.forward(&x)?.view([-1, VOCABULARY])?, &target))
    };
    vec![Workload::new("model/nanogpt-b8-s128-train", build).tol(1e-2)]
}

#[derive(Debug, Module)]
struct Layer {
    ln1: LayerNorm,
    ln2: LayerNorm,
    qkv: Linear,
    proj: Linear,
    up: Linear,
    down: Linear,
}

impl Layer {
    fn new() -> Result<Layer> {
        Ok(Layer {
            ln1: LayerNorm::new([WIDTH])?,
            ln2: LayerNorm::new([WIDTH])?,
            qkv: Linear::new(WIDTH, 3 * WIDTH)?,
            proj: Linear::new(WIDTH, WIDTH)?,
            up: Linear::new(WIDTH, 4 * WIDTH)?,
            down: Linear::new(4 * WIDTH, WIDTH)?,
        })
    }

    fn attention(&self, x: &Tensor) -> Result<Tensor> {
        let [b, t, c] = *x.sizes() else { bail!("expected three dimensions") };
        let parts = self.qkv.forward(&self.ln1.forward(x)?)?.split_with(c, |o| o.dim(2))?;
        let heads = |part: &Tensor| part.view([b, t, HEADS, c / HEADS])?.transpose(1, 2);
        let (q, k, v) = (heads(&parts[0])?, heads(&parts[1])?, heads(&parts[2])?);
        let y = ops::scaled_dot_product_attention_with(&q, &k, &v, |o| o.is_causal(true))?;
        self.proj.forward(&y.transpose(1, 2)?.contiguous()?.view([b, t, c])?)
    }
}

impl Forward for Layer {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.add(&self.attention(x)?)?;
        x.add(&self.down.forward(&self.up.forward(&self.ln2.forward(&x)?)?.gelu()?)?)
    }
}

#[derive(Debug, Module)]
struct Gpt {
    tok: Embedding,
    pos: Embedding,
    layers: Vec<Layer>,
    norm: LayerNorm,
    head: Linear,
}

impl Gpt {
    fn new() -> Result<Gpt> {
        Ok(Gpt {
            tok: Embedding::new(VOCABULARY, WIDTH)?,
            pos: Embedding::new(CONTEXT, WIDTH)?,
            layers: (0..LAYERS).map(|_| Layer::new()).collect::<Result<_>>()?,
            norm: LayerNorm::new([WIDTH])?,
            head: Linear::with(WIDTH, VOCABULARY, |o| o.bias(false))?,
        })
    }
}

impl Forward for Gpt {
    fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        let mut x = self.tok.forward(ids)?.add(&self.pos.forward(&ops::arange(ids.size(1)?)?)?)?;
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        self.head.forward(&self.norm.forward(&x)?)
    }
}
