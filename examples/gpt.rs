//! A small GPT learns to write like Shakespeare, letter by letter.
//!
//! ```text
//! cargo run --release --example gpt -- 1000        # steps
//! ```

use cresset::data::read_unpacked;
use cresset::nn::functional::cross_entropy;
use cresset::nn::{Embedding, LayerNorm, Linear};
use cresset::optim::AdamW;
use cresset::prelude::*;

const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/text/tinyshakespeare.txt.gz");

/// The letters are bytes of ASCII.
const LETTERS: i64 = 128;

/// A layer of GPT: attention and a small network, each behind a norm and beside a shortcut.
#[derive(Debug, Module)]
struct Block {
    #[module(skip)]
    heads: i64,
    ln_1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    ln_2: LayerNorm,
    fc: Linear,
    out: Linear,
}

impl Block {
    fn new(width: i64, heads: i64) -> Result<Block> {
        Ok(Block {
            heads,
            ln_1: LayerNorm::new([width])?,
            qkv: Linear::new(width, 3 * width)?,
            proj: Linear::new(width, width)?,
            ln_2: LayerNorm::new([width])?,
            fc: Linear::new(width, 4 * width)?,
            out: Linear::new(4 * width, width)?,
        })
    }

    /// Each position looks at itself and those before it.
    fn attention(&self, x: &Tensor) -> Result<Tensor> {
        let [n, t, c] = *x.sizes() else { cresset::bail!("expected [N, T, C], got {:?}", x.sizes()) };
        let heads = |part: &Tensor| part.view([n, t, self.heads, c / self.heads])?.transpose(1, 2);
        let parts = self.qkv.forward(x)?.split_with(c, |o| o.dim(2))?;
        let [q, k, v] = &parts[..] else { cresset::bail!("expected three parts, got {}", parts.len()) };
        let (q, k, v) = (heads(q)?, heads(k)?, heads(v)?);
        let y = scaled_dot_product_attention_with(&q, &k, &v, |o| o.is_causal(true))?;
        self.proj.forward(&y.transpose(1, 2)?.reshape([n, t, c])?)
    }
}

impl Forward for Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.add(&self.attention(&self.ln_1.forward(x)?)?)?;
        x.add(&self.out.forward(&self.fc.forward(&self.ln_2.forward(&x)?)?.gelu()?)?)
    }
}

/// A decoder-only transformer over letters.
///
/// # Shapes
/// Letters `[N, T]`, `T` at most `context` -> logits of the letters that follow `[N, T, 128]`.
#[derive(Debug, Module)]
pub struct Gpt {
    #[module(skip)]
    context: i64,
    wte: Embedding,
    wpe: Embedding,
    blocks: Vec<Block>,
    ln_f: LayerNorm,
    head: Linear,
}

impl Gpt {
    /// With weights drawn from the default generator.
    pub fn new(context: i64, width: i64, heads: i64, layers: usize) -> Result<Gpt> {
        Ok(Gpt {
            context,
            wte: Embedding::new(LETTERS, width)?,
            wpe: Embedding::new(context, width)?,
            blocks: (0..layers).map(|_| Block::new(width, heads)).collect::<Result<_>>()?,
            ln_f: LayerNorm::new([width])?,
            head: Linear::with(width, LETTERS, |o| o.bias(false))?,
        })
    }

    /// Goes on from `prompt` for `count` letters, drawn from the model's probabilities.
    pub fn write(&self, prompt: &str, count: usize) -> Result<String> {
        let _guard = no_grad();
        let mut letters: Vec<i64> = prompt.bytes().map(i64::from).collect();
        for _ in 0..count {
            let seen = &letters[letters.len().saturating_sub(self.context as usize)..];
            let logits = self.forward(&Tensor::from_slice(seen, [1, seen.len() as i64])?)?;
            let next = logits.get((0, -1))?.softmax(-1)?.multinomial(1)?;
            letters.push(next.item()?.to_i64());
        }
        Ok(letters.into_iter().map(|letter| letter as u8 as char).collect())
    }
}

impl Forward for Gpt {
    fn forward(&self, letters: &Tensor) -> Result<Tensor> {
        let positions = arange(letters.size(1)?)?;
        let mut x = self.wte.forward(letters)?.add(&self.wpe.forward(&positions)?)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        self.head.forward(&self.ln_f.forward(&x)?)
    }
}

/// The mean loss of the letters that follow.
pub fn next_letter_loss(logits: &Tensor, next: &Tensor) -> Result<Tensor> {
    cross_entropy(&logits.flatten_with(|o| o.start_dim(0).end_dim(1))?, &next.view([-1])?)
}

/// The losses of so many steps on random passages.
pub fn train(model: &Gpt, steps: usize, batch: i64) -> Result<Vec<f64>> {
    let text = read_unpacked(TEXT)?;
    let text = Tensor::from_slice(&text, [text.len() as i64])?.to_dtype(DType::I64)?;
    let mut optimizer = AdamW::new(model.parameters(), 1e-3)?;
    let mut losses = Vec::new();
    for _ in 0..steps {
        let starts = randint(text.size(0)? - model.context, [batch, 1])?;
        let x = starts.add(&arange(model.context)?)?;
        let (input, next) = (text.take(&x)?, text.take(&x.add_scalar(1)?)?);
        let loss = next_letter_loss(&model.forward(&input)?, &next)?;
        optimizer.zero_grad();
        loss.backward()?;
        optimizer.step()?;
        losses.push(loss.item()?.to_f64());
    }
    Ok(losses)
}

#[allow(dead_code, reason = "the tests call `train` and `write`")]
fn main() -> Result<()> {
    let steps = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(300);
    manual_seed(0);
    let model = Gpt::new(64, 64, 4, 2)?;
    for round in 1..=5 {
        let losses = train(&model, steps / 5, 16)?;
        println!(
            "after {} steps: loss {:.3}",
            round * (steps / 5),
            losses.last().copied().unwrap_or_default()
        );
    }
    println!("{}", model.write("ROMEO:", 300)?);
    Ok(())
}
