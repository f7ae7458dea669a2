//! `conv/*`: convolution layers.

use cresset_core::random::manual_seed;
use cresset_core::{Result, Tensor, no_grad};
use cresset_nn::{Conv2d, ConvTranspose2d, Forward, Module};

use super::seeded;
use crate::measure::Workload;

#[derive(Clone, Copy)]
struct Shape {
    batch: i64,
    channels: (i64, i64),
    side: i64,
    kernel: i64,
    stride: i64,
    padding: i64,
    groups: i64,
}

impl Shape {
    /// A batch of 8 with a stride of 1, no padding and one group.
    fn new(channels: (i64, i64), side: i64, kernel: i64) -> Shape {
        Shape { batch: 8, channels, side, kernel, stride: 1, padding: 0, groups: 1 }
    }

    fn layer(self) -> Result<(Conv2d, Tensor)> {
        manual_seed(0);
        let (input, output) = self.channels;
        let layer = Conv2d::with(input, output, self.kernel, |o| {
            o.stride(self.stride).padding(self.padding).groups(self.groups)
        })?;
        Ok((layer, seeded(&[self.batch, input, self.side, self.side], 0)?))
    }
}

pub fn workloads() -> Vec<Workload> {
    vec![
        infer("3x3-64-56", Shape { padding: 1, ..Shape::new((64, 64), 56, 3) }),
        infer("3x3-256-14", Shape { padding: 1, ..Shape::new((256, 256), 14, 3) }),
        infer("1x1-256-64-56", Shape::new((256, 64), 56, 1)),
        infer("7x7-s2-stem", Shape { stride: 2, padding: 3, ..Shape::new((3, 64), 224, 7) }),
        infer("depthwise-3x3-144-56", Shape { padding: 1, groups: 144, ..Shape::new((144, 144), 56, 3) }),
        train("3x3-64-56-train", Shape { padding: 1, ..Shape::new((64, 64), 56, 3) }),
        Workload::new("conv/transpose2d-4x4-s2", || {
            manual_seed(0);
            let layer = ConvTranspose2d::with(128, 64, 4, |o| o.stride(2).padding(1))?;
            let x = seeded(&[16, 128, 16, 16], 0)?;
            Ok(move || {
                let _guard = no_grad();
                layer.forward(&x)
            })
        }),
    ]
}

fn infer(name: &str, shape: Shape) -> Workload {
    Workload::new(format!("conv/{name}"), move || {
        let (layer, x) = shape.layer()?;
        Ok(move || {
            let _guard = no_grad();
            layer.forward(&x)
        })
    })
}

fn train(name: &str, shape: Shape) -> Workload {
    Workload::new(format!("conv/{name}"), move || {
        let (layer, x) = shape.layer()?;
        x.requires_grad_(true)?;
        Ok(move || {
            layer.zero_grad();
            x.set_grad(None)?;
            layer.forward(&x)?.square()?.sum()?.backward()?;
            super::gradient(&layer.weight)
        })
    })
}
