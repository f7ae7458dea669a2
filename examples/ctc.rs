//! Connectionist temporal classification: labels are learnt from longer sequences without knowing where each one is.
//!
//! ```text
//! cargo run --release --example ctc -- 300        # steps
//! ```

use cresset::nn::functional::ctc_loss;
use cresset::nn::{GRU, Linear};
use cresset::optim::Adam;
use cresset::prelude::*;

/// Kinds of labels; 0 is the blank.
const KINDS: i64 = 6;
/// Labels of a sequence.
const LABELS: usize = 5;
/// Frames of a sequence.
const FRAMES: usize = 20;

/// Noisy frames `[T, N, KINDS]` and the labels `[N, LABELS]` that they show: each label fills two to four frames in a row, at
/// places of its own, with nothing in between.
pub fn sequences(batch: usize) -> Result<(Tensor, Tensor)> {
    let labels: Vec<i64> = randint_low(1, KINDS, [(batch * LABELS) as i64])?.to_vec()?;
    let lengths: Vec<i64> = randint_low(2, 4, [(batch * LABELS) as i64])?.to_vec()?;
    let frames = randn([FRAMES as i64, batch as i64, KINDS])?.mul_scalar(0.3)?;
    for n in 0..batch {
        let mut at = 0;
        for i in n * LABELS..(n + 1) * LABELS {
            let shown = frames.select(1, n as i64)?.narrow(0, at, lengths[i])?.select(1, labels[i])?;
            shown.add_scalar_(1.0)?;
            at += lengths[i] + 1;
        }
    }
    Ok((frames, Tensor::from_vec(labels, [batch as i64, LABELS as i64])?))
}

/// A recurrent network that hears in both directions, and scores of the labels for each frame.
///
/// # Shapes
/// `[T, N, KINDS]` -> logarithms of probabilities, the same.
#[derive(Clone, Debug, Module)]
pub struct Listener {
    rnn: GRU,
    head: Linear,
}

impl Listener {
    /// With weights drawn from the default generator.
    pub fn new(width: i64) -> Result<Listener> {
        let rnn = GRU::with(KINDS, width, |o| o.bidirectional(true))?;
        Ok(Listener { rnn, head: Linear::new(2 * width, KINDS)? })
    }

    /// The most probable label of each frame, repetitions and blanks taken out.
    pub fn decode(&self, frames: &Tensor) -> Result<Vec<Vec<i64>>> {
        let _guard = no_grad();
        let best = self.forward(frames)?.argmax_with(|o| o.dim(-1))?;
        let decode = |n: i64| -> Result<Vec<i64>> {
            let mut labels: Vec<i64> = best.select(1, n)?.to_vec()?;
            labels.dedup();
            labels.retain(|label| *label != 0);
            Ok(labels)
        };
        (0..best.size(1)?).map(decode).collect()
    }
}

impl Forward for Listener {
    fn forward(&self, frames: &Tensor) -> Result<Tensor> {
        self.head.forward(&self.rnn.forward(frames, None)?.0)?.log_softmax(-1)
    }
}

/// The losses of so many steps.
pub fn train(model: &Listener, steps: usize, batch: usize) -> Result<Vec<f64>> {
    let mut optimizer = Adam::new(model.parameters(), 1e-2)?;
    let mut losses = Vec::new();
    for _ in 0..steps {
        let (frames, labels) = sequences(batch)?;
        let (inputs, targets) = (vec![FRAMES as i64; batch], vec![LABELS as i64; batch]);
        let loss = ctc_loss(&model.forward(&frames)?, &labels, &inputs, &targets)?;
        optimizer.zero_grad();
        loss.backward()?;
        optimizer.step()?;
        losses.push(loss.item()?.to_f64());
    }
    Ok(losses)
}

/// The share of sequences whose labels are all found.
pub fn accuracy(model: &Listener, batch: usize) -> Result<f64> {
    let (frames, labels) = sequences(batch)?;
    let labels: Vec<i64> = labels.view([-1])?.to_vec()?;
    let found = model.decode(&frames)?;
    let right = found.iter().zip(labels.chunks(LABELS)).filter(|(found, labels)| found == labels).count();
    Ok(right as f64 / batch as f64)
}

#[allow(dead_code, reason = "the tests call `train`")]
fn main() -> Result<()> {
    let steps = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(300);
    manual_seed(0);
    let model = Listener::new(32)?;
    let losses = train(&model, steps, 32)?;
    println!("loss {:.3} at first, {:.3} after {steps} steps", losses[0], losses[steps - 1]);
    println!("{:.1} % of new sequences are read without a mistake", 100.0 * accuracy(&model, 500)?);
    Ok(())
}
