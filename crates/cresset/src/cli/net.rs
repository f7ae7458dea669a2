//! The network: two convolutions, two linear layers.

use cresset::nn::{Conv2d, Dropout, Linear, MaxPool2d};
use cresset::prelude::*;

/// A small convolutional network for 28x28 grey images, with the layer names of PyTorch's MNIST example.
///
/// # Shapes
/// `[N, 1, 28, 28]` -> logits `[N, 10]`.
#[derive(Debug, Module)]
pub struct Net {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: MaxPool2d,
    dropout: Dropout,
    fc1: Linear,
    fc2: Linear,
}

impl Net {
    /// With weights drawn from the default generator.
    pub fn new() -> Result<Net> {
        Ok(Net {
            conv1: Conv2d::new(1, 32, 3)?,
            conv2: Conv2d::new(32, 64, 3)?,
            pool: MaxPool2d::new(2),
            dropout: Dropout::new(0.25)?,
            fc1: Linear::new(64 * 5 * 5, 128)?,
            fc2: Linear::new(128, 10)?,
        })
    }
}

impl Forward for Net {
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let x = self.pool.forward(&self.conv1.forward(images)?.relu()?)?;
        let x = self.pool.forward(&self.conv2.forward(&x)?.relu()?)?;
        let x = self.dropout.forward(&x.flatten_with(|o| o.start_dim(1))?)?;
        self.fc2.forward(&self.fc1.forward(&x)?.relu()?)
    }
}
