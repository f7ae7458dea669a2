//! Early stopping: train until the validation loss has not improved for some epochs, and keep the best weights.
//!
//! ```text
//! cargo run --release --example early_stopping
//! ```

use std::sync::Arc;

use cresset::data::{DataLoader, Mnist, Subset};
use cresset::nn::functional::cross_entropy;
use cresset::nn::{Flatten, Linear, ReLU, Sequential};
use cresset::optim::Adam;
use cresset::prelude::*;

const MNIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/mnist");

type Digits = DataLoader<(Tensor, Tensor)>;

/// Counts how long the loss has not improved.
struct EarlyStopping {
    patience: u32,
    best: f64,
    waited: u32,
}

impl EarlyStopping {
    fn new(patience: u32) -> EarlyStopping {
        EarlyStopping { patience, best: f64::INFINITY, waited: 0 }
    }

    /// Whether this loss is the best so far.
    fn improved(&mut self, loss: f64) -> bool {
        let improved = loss < self.best;
        self.waited = if improved { 0 } else { self.waited + 1 };
        self.best = self.best.min(loss);
        improved
    }

    fn is_over(&self) -> bool {
        self.waited >= self.patience
    }
}

fn mean_loss(model: &Sequential, digits: &Digits) -> Result<f64> {
    let _guard = no_grad();
    let mut losses = Vec::new();
    for batch in digits {
        let (images, labels) = batch?;
        losses.push(cross_entropy(&model.forward(&images)?, &labels)?.item()?.to_f64());
    }
    Ok(losses.iter().sum::<f64>() / losses.len() as f64)
}

/// Trains for at most `epochs`; the best validation loss, and that of the weights that are kept.
pub fn run(epochs: usize) -> Result<(f64, f64)> {
    manual_seed(0);
    let mnist = Arc::new(Mnist::open(MNIST, true)?);
    // So few digits that the network soon knows them by heart.
    let part = |range: std::ops::Range<usize>| Subset::new(mnist.clone(), range.collect());
    let train: Digits = DataLoader::with(part(0..500), |o| o.batch_size(50).shuffle(true))?;
    let validation: Digits = DataLoader::new(part(500..1000), 250)?;
    let model = Sequential::new()
        .push(Flatten::new())
        .push(Linear::new(784, 64)?)
        .push(ReLU::new())
        .push(Linear::new(64, 10)?);
    let mut optimizer = Adam::new(model.parameters(), 5e-3)?;
    let mut stopping = EarlyStopping::new(3);
    let mut best = model.state_dict();
    for epoch in 1..=epochs {
        for batch in &train {
            let (images, labels) = batch?;
            optimizer.zero_grad();
            cross_entropy(&model.forward(&images)?, &labels)?.backward()?;
            optimizer.step()?;
        }
        let loss = mean_loss(&model, &validation)?;
        println!("epoch {epoch}: validation loss {loss:.4}");
        if stopping.improved(loss) {
            // The dict shares the weights' memory: a copy keeps them as they are now.
            best = model
                .state_dict()
                .iter()
                .map(|(k, v)| Ok((k.clone(), v.clone_tensor()?)))
                .collect::<Result<_>>()?;
        }
        if stopping.is_over() {
            println!("stopped: no improvement in {} epochs", stopping.patience);
            break;
        }
    }
    model.load_state_dict(&best)?;
    Ok((stopping.best, mean_loss(&model, &validation)?))
}

#[allow(dead_code, reason = "the tests call `run`")]
fn main() -> Result<()> {
    let (best, kept) = run(50)?;
    println!("best validation loss {best:.4}, kept {kept:.4}");
    Ok(())
}
