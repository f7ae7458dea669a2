//! Word vectors from Shakespeare with sparse gradients: SparseAdam touches only the rows of the words that were seen.
//!
//! ```text
//! cargo run --release --example word_vectors -- 3000        # steps
//! ```

use std::collections::HashMap;

use cresset::data::read_unpacked;
use cresset::nn::Embedding;
use cresset::nn::functional::binary_cross_entropy_with_logits;
use cresset::optim::SparseAdam;
use cresset::prelude::*;

const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/text/tinyshakespeare.txt.gz");

/// The text as numbers of words, and the words: `known` most frequent ones; all others have the last number.
pub fn words(known: usize) -> Result<(Vec<i64>, Vec<String>)> {
    let text = String::from_utf8_lossy(&read_unpacked(TEXT)?).to_lowercase();
    let all: Vec<&str> = text.split(|c: char| !c.is_alphabetic()).filter(|w| !w.is_empty()).collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    all.iter().for_each(|word| *counts.entry(word).or_default() += 1);
    let mut words: Vec<&str> = counts.keys().copied().collect();
    words.sort_by_key(|word| (std::cmp::Reverse(counts[word]), *word));
    words.truncate(known);
    let numbers: HashMap<&str, i64> = words.iter().copied().zip(0..).collect();
    let text = all.iter().map(|word| numbers.get(word).copied().unwrap_or(words.len() as i64)).collect();
    Ok((text, words.into_iter().map(String::from).collect()))
}

/// A vector for each word as a centre, and one as a neighbour: neighbours have a large product (word2vec, Mikolov et al.
/// 2013, with negative sampling).
#[derive(Clone, Debug, Module)]
pub struct WordVectors {
    /// The vectors of the words themselves.
    pub centre: Embedding,
    neighbour: Embedding,
}

impl WordVectors {
    /// With vectors drawn from the default generator.
    pub fn new(words: i64, width: i64) -> Result<WordVectors> {
        let table = || Embedding::with(words, width, |o| o.sparse(true));
        Ok(WordVectors { centre: table()?, neighbour: table()? })
    }

    /// Scores `[N, K]` of `K` candidates `[N, K]` for the words `[N]`.
    fn scores(&self, words: &Tensor, candidates: &Tensor) -> Result<Tensor> {
        let (word, candidates) = (self.centre.forward(words)?, self.neighbour.forward(candidates)?);
        candidates.matmul(&word.unsqueeze(-1)?)?.squeeze_dim(-1)
    }
}

/// The losses of so many steps, each with `batch` pairs of neighbours and four words drawn at random for each.
pub fn train(model: &WordVectors, text: &[i64], steps: usize, batch: i64) -> Result<Vec<f64>> {
    let text = Tensor::from_slice(text, [text.len() as i64])?;
    let mut optimizer = SparseAdam::new(model.parameters(), 0.01)?;
    let mut target = zeros([batch, 5])?;
    target.select(1, 0)?.fill_(1.0)?;
    target = target.contiguous()?;
    let mut losses = Vec::new();
    for _ in 0..steps {
        let at = randint(text.size(0)? - 1, [batch])?;
        let (word, next) = (text.take(&at)?, text.take(&at.add_scalar(1)?)?);
        let others = text.take(&randint(text.size(0)?, [batch, 4])?)?;
        let candidates = cat_with(&[next.unsqueeze(1)?, others], |o| o.dim(1))?;
        let loss = binary_cross_entropy_with_logits(&model.scores(&word, &candidates)?, &target)?;
        optimizer.zero_grad();
        loss.backward()?;
        optimizer.step()?;
        losses.push(loss.item()?.to_f64());
    }
    Ok(losses)
}

#[allow(dead_code, reason = "the tests call `train`")]
fn main() -> Result<()> {
    let steps = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3000);
    manual_seed(0);
    let (text, words) = words(2000)?;
    let model = WordVectors::new(words.len() as i64 + 1, 32)?;
    let losses = train(&model, &text, steps, 256)?;
    println!("loss {:.3} at first, {:.3} after {steps} steps", losses[0], losses[steps - 1]);
    let vectors = model.centre.weight.detach();
    let vectors = vectors.div(&linalg_vector_norm_with(&vectors, |o| o.dim([1]).keepdim(true))?)?;
    for word in ["king", "my", "love", "is"] {
        let Some(i) = words.iter().position(|w| w == word) else { continue };
        let near = vectors.matmul(&vectors.get(i as i64)?)?.argsort_with(|o| o.descending(true))?;
        let near: Vec<i64> = near.narrow(0, 1, 5)?.to_vec()?;
        let near: Vec<&str> =
            near.iter().filter_map(|n| words.get(*n as usize)).map(String::as_str).collect();
        println!("{word}: {}", near.join(", "));
    }
    Ok(())
}
