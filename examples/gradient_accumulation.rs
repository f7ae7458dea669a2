//! Gradient accumulation and clipping: a large batch in small parts, and gradients of bounded length.
//!
//! ```text
//! cargo run --release --example gradient_accumulation
//! ```

use cresset::nn::functional::cross_entropy;
use cresset::nn::utils::clip_grad_norm_;
use cresset::nn::{Linear, ReLU, Sequential};
use cresset::optim::SGD;
use cresset::prelude::*;

/// A network with the same weights whenever it is made.
fn network() -> Result<Sequential> {
    manual_seed(0);
    Ok(Sequential::new().push(Linear::new(20, 32)?).push(ReLU::new()).push(Linear::new(32, 4)?))
}

/// The first layer's weights after `steps` updates on batches of 64 rows, each taken in so many parts.
pub fn train(steps: usize, parts: i64) -> Result<Tensor> {
    let model = network()?;
    let mut optimizer = SGD::new(model.parameters(), 0.5)?;
    let x = randn([64, 20])?;
    let y = x.narrow(1, 0, 4)?.argmax_with(|o| o.dim(1))?;
    for step in 0..steps {
        optimizer.zero_grad();
        let mut total = 0.0;
        for (x, y) in x.chunk(parts)?.iter().zip(&y.chunk(parts)?) {
            // Gradients add up over calls of `backward`; the mean over the parts is that of the whole batch.
            let loss = cross_entropy(&model.forward(x)?, y)? / parts as f64;
            loss.backward()?;
            total += loss.item()?.to_f64();
        }
        // All gradients together are made no longer than 1; what they were is returned.
        let norm = clip_grad_norm_(&model.parameters(), 1.0)?.item()?.to_f64();
        optimizer.step()?;
        if step % 20 == 0 {
            println!("step {step}: loss {total:.4}, gradient norm {norm:.4}");
        }
    }
    Ok(model.parameters()[0].detach())
}

#[allow(dead_code, reason = "the tests call `train`")]
fn main() -> Result<()> {
    let (whole, parts) = (train(100, 1)?, train(100, 8)?);
    let difference = (whole - parts).abs()?.max()?.item()?.to_f64();
    println!("one part or eight: the weights differ by {difference:.1e}");
    Ok(())
}
