//! A recurrent network learns to write like Shakespeare, letter by letter, and carries its state from one letter to the
//! next.
//!
//! ```text
//! cargo run --release --example char_lstm -- 1000        # steps
//! ```

use cresset::data::read_unpacked;
use cresset::nn::functional::cross_entropy;
use cresset::nn::{Embedding, LSTM, Linear};
use cresset::optim::Adam;
use cresset::prelude::*;

const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/text/tinyshakespeare.txt.gz");

/// The letters are bytes of ASCII.
const LETTERS: i64 = 128;

/// States and cells of all layers.
type State = (Tensor, Tensor);

/// Letters into vectors, through layers of LSTM, into scores of the letters that follow.
///
/// # Shapes
/// Letters `[N, T]` -> scores `[N, T, 128]`.
#[derive(Debug, Module)]
pub struct CharLstm {
    embed: Embedding,
    lstm: LSTM,
    head: Linear,
}

impl CharLstm {
    /// With weights drawn from the default generator.
    pub fn new(embedding: i64, width: i64, layers: i64) -> Result<CharLstm> {
        Ok(CharLstm {
            embed: Embedding::new(LETTERS, embedding)?,
            lstm: LSTM::with(embedding, width, |o| o.num_layers(layers).batch_first(true))?,
            head: Linear::new(width, LETTERS)?,
        })
    }

    /// Scores, and the state after the last letter.
    fn step(&self, letters: &Tensor, state: Option<&State>) -> Result<(Tensor, State)> {
        let state = state.map(|(h, c)| (h, c));
        let (out, state) = self.lstm.forward(&self.embed.forward(letters)?, state)?;
        Ok((self.head.forward(&out)?, state))
    }

    /// Goes on from `prompt` for `count` letters, drawn from the model's probabilities.
    pub fn write(&self, prompt: &str, count: usize) -> Result<String> {
        let _guard = no_grad();
        let letters: Vec<i64> = prompt.bytes().map(i64::from).collect();
        let (mut scores, mut state) =
            self.step(&Tensor::from_slice(&letters, [1, letters.len() as i64])?, None)?;
        let mut text = prompt.to_string();
        for _ in 0..count {
            let next = scores.get((0, -1))?.softmax(-1)?.multinomial(1)?;
            text.push(next.item()?.to_i64() as u8 as char);
            (scores, state) = self.step(&next.view([1, 1])?, Some(&state))?;
        }
        Ok(text)
    }
}

impl Forward for CharLstm {
    fn forward(&self, letters: &Tensor) -> Result<Tensor> {
        Ok(self.step(letters, None)?.0)
    }
}

/// The losses of so many steps on random passages of `length` letters.
pub fn train(model: &CharLstm, steps: usize, batch: i64, length: i64) -> Result<Vec<f64>> {
    let text = read_unpacked(TEXT)?;
    let text = Tensor::from_slice(&text, [text.len() as i64])?.to_dtype(DType::I64)?;
    let mut optimizer = Adam::new(model.parameters(), 2e-3)?;
    let mut losses = Vec::new();
    for _ in 0..steps {
        let starts = randint(text.size(0)? - length, [batch, 1])?;
        let x = starts.add(&arange(length)?)?;
        let (input, next) = (text.take(&x)?, text.take(&x.add_scalar(1)?)?);
        let scores = model.forward(&input)?;
        let loss = cross_entropy(&scores.view([-1, LETTERS])?, &next.view([-1])?)?;
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
    let model = CharLstm::new(32, 128, 2)?;
    for round in 1..=5 {
        let losses = train(&model, steps / 5, 16, 64)?;
        println!(
            "after {} steps: loss {:.3}",
            round * (steps / 5),
            losses.last().copied().unwrap_or_default()
        );
    }
    println!("{}", model.write("ROMEO:", 300)?);
    Ok(())
}
