//! Features of a convolutional network into a recurrent one: which way does a dot move?
//!
//! ```text
//! cargo run --release --example cnn_to_rnn -- 150        # steps
//! ```

use cresset::nn::functional::cross_entropy;
use cresset::nn::{Conv2d, Flatten, LSTM, Linear, MaxPool2d, ReLU, Sequential, sequential};
use cresset::optim::Adam;
use cresset::prelude::*;

/// Frames of a clip, and pixels of a side.
const FRAMES: i64 = 5;
const SIDE: i64 = 12;
/// Steps of the dot to the right, left, down and up.
const WAYS: [[i64; 2]; 4] = [[0, 1], [0, -1], [1, 0], [-1, 0]];

/// Noisy clips `[N, T, 1, 12, 12]` and the way of each, `[N]`.
pub fn clips(batch: i64) -> Result<(Tensor, Tensor)> {
    let clips = randn([batch, FRAMES, 1, SIDE, SIDE])?.mul_scalar(0.2)?;
    let ways = randint(4, [batch])?;
    let starts: Vec<i64> = randint_low(FRAMES, SIDE - FRAMES, [2 * batch])?.to_vec()?;
    for (n, way) in ways.to_vec::<i64>()?.into_iter().enumerate() {
        for t in 0..FRAMES {
            let [y, x] = [0, 1].map(|d| starts[2 * n + d] + t * WAYS[way as usize][d]);
            clips.get((n as i64, t, 0, y, x))?.fill_(1.0)?;
        }
    }
    Ok((clips, ways))
}

/// Each frame goes through the same convolutions; what they find is read in order.
#[derive(Clone, Debug, Module)]
pub struct Watcher {
    features: Sequential,
    rnn: LSTM,
    head: Linear,
}

impl Watcher {
    /// With weights drawn from the default generator.
    pub fn new() -> Result<Watcher> {
        Ok(Watcher {
            features: sequential![
                Conv2d::with(1, 8, 3, |o| o.padding(1))?,
                ReLU::new(),
                MaxPool2d::new(2),
                Flatten::new(),
                Linear::new(8 * 36, 32)?,
            ],
            rnn: LSTM::with(32, 32, |o| o.batch_first(true))?,
            head: Linear::new(32, 4)?,
        })
    }
}

impl Forward for Watcher {
    fn forward(&self, clips: &Tensor) -> Result<Tensor> {
        let frames = clips.unbind_with(|o| o.dim(1))?;
        let features = frames.iter().map(|x| self.features.forward(x)).collect::<Result<Vec<_>>>()?;
        // [N, T, features], as `batch_first` wants it.
        let (read, _) = self.rnn.forward(&stack_with(&features, |o| o.dim(1))?, None)?;
        self.head.forward(&read.select(1, -1)?)
    }
}

/// Trains for so many steps; the share of new clips that it gets right.
pub fn train(model: &Watcher, steps: usize, batch: i64) -> Result<f64> {
    let mut optimizer = Adam::new(model.parameters(), 3e-3)?;
    for step in 0..steps {
        let (clips, ways) = clips(batch)?;
        let loss = cross_entropy(&model.forward(&clips)?, &ways)?;
        optimizer.zero_grad();
        loss.backward()?;
        optimizer.step()?;
        if step % 50 == 0 {
            println!("step {step}: loss {:.3}", loss.item()?.to_f64());
        }
    }
    let _guard = no_grad();
    let (clips, ways) = clips(200)?;
    let right = model.forward(&clips)?.argmax_with(|o| o.dim(1))?.eq(&ways)?.sum()?.item()?.to_f64();
    Ok(right / 200.0)
}

#[allow(dead_code, reason = "the tests call `train`")]
fn main() -> Result<()> {
    let steps = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(150);
    manual_seed(0);
    println!("{:.1} % of new clips are right", 100.0 * train(&Watcher::new()?, steps, 32)?);
    Ok(())
}
