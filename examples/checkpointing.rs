//! Checkpointing: a run that stops in the middle goes on to the very same weights.
//!
//! ```text
//! cargo run --release --example checkpointing
//! ```

use std::path::Path;

use cresset::io::{self, PyValue};
use cresset::nn::{Dropout, Linear, MSELoss, Sequential};
use cresset::optim::{Adam, OptimizerState};
use cresset::prelude::*;
use cresset::random::{get_rng_state, set_rng_state};
use cresset::{Error, bail};

struct Run {
    model: Sequential,
    optimizer: Adam,
    step: i64,
}

impl Run {
    fn new() -> Result<Run> {
        manual_seed(0);
        let model =
            Sequential::new().push(Linear::new(8, 16)?).push(Dropout::new(0.5)?).push(Linear::new(16, 1)?);
        let optimizer = Adam::new(model.parameters(), 0.01)?;
        Ok(Run { model, optimizer, step: 0 })
    }

    /// Trains up to that step; data and dropout draw from the default generator.
    fn train(&mut self, until: i64) -> Result<()> {
        while self.step < until {
            let x = randn([32, 8])?;
            let loss = MSELoss::new()
                .forward(&self.model.forward(&x)?, &x.sum_dim_with([1], |o| o.keepdim(true))?)?;
            self.optimizer.zero_grad();
            loss.backward()?;
            self.optimizer.step()?;
            self.step += 1;
        }
        Ok(())
    }

    /// Writes all that decides what the next step does: the file appears whole or not at all, and PyTorch can read it.
    fn save(&self, path: &Path) -> Result<()> {
        let rng = get_rng_state();
        let value = PyValue::dict([
            ("model", PyValue::from_state_dict(self.model.state_dict().into_entries())),
            ("optimizer", PyValue::try_from(&self.optimizer.state_dict())?),
            ("step", PyValue::Int(self.step)),
            ("rng", PyValue::Tensor(Tensor::from_slice(&rng, [rng.len() as i64])?)),
        ]);
        io::save(&value, path)
    }

    fn load(path: &Path) -> Result<Run> {
        let value = io::load(path)?;
        let part = |key: &str| {
            value.get(key).ok_or_else(|| Error::runtime(format!("the checkpoint has no '{key}'")))
        };
        let mut run = Run::new()?;
        run.model.load_state_dict(&part("model")?.clone().into_state_dict()?.into_iter().collect())?;
        run.optimizer.load_state_dict(&OptimizerState::try_from(part("optimizer")?)?)?;
        let (Some(step), Some(rng)) = (part("step")?.as_int(), part("rng")?.as_tensor()) else {
            bail!("expected an int under 'step' and a tensor under 'rng'");
        };
        run.step = step;
        set_rng_state(&rng.to_vec::<u8>()?)?;
        Ok(run)
    }
}

/// The weights of a run that was not interrupted, and of one that was saved and loaded in between.
pub fn run(path: &Path) -> Result<(Vec<f32>, Vec<f32>)> {
    let weights = |run: &Run| run.model.parameters()[0].to_vec::<f32>();
    let mut whole = Run::new()?;
    whole.train(100)?;

    let mut first = Run::new()?;
    first.train(40)?;
    first.save(path)?;
    drop(first);
    let mut second = Run::load(path)?;
    second.train(100)?;
    Ok((weights(&whole)?, weights(&second)?))
}

#[allow(dead_code, reason = "the tests call `run`")]
fn main() -> Result<()> {
    let path = std::env::temp_dir().join("cresset-checkpointing.pt");
    let (whole, resumed) = run(&path)?;
    println!(
        "{}: the weights are {}",
        path.display(),
        if whole == resumed { "the same" } else { "different" }
    );
    Ok(())
}
