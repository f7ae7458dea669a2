//! `model/resnet18-*`.

use cresset_core::random::manual_seed;
use cresset_core::{Result, Tensor, ops};
use cresset_nn::functional::cross_entropy;
use cresset_nn::{
    AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Flatten, Forward, Linear, MaxPool2d, Module, ReLU, Sequential,
    sequential,
};

use super::model::{infer, train};
use super::seeded;
use crate::measure::Workload;

pub fn workloads() -> Vec<Workload> {
    vec![inference("model/resnet18-b1-infer", 1), inference("model/resnet18-b8-infer", 8), training()]
}

fn inference(name: &str, batch: i64) -> Workload {
    Workload::new(name, move || {
        let model = resnet18()?;
        model.eval();
        Ok(infer(model, seeded(&[batch, 3, 224, 224], 0)?))
    })
}

fn training() -> Workload {
    let build = || {
        let model = resnet18()?;
        let (x, target) = (seeded(&[8, 3, 224, 224], 0)?, ops::arange(8)?);
        train(model, move |model| cross_entropy(&model.forward(&x)?, &target))
    };
    Workload::new("model/resnet18-b8-train", build).tol(1e-2)
}

/// Two convolutions beside a shortcut.
#[derive(Clone, Debug, Module)]
struct Block {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    relu: ReLU,
    down: Option<Sequential>,
}

impl Block {
    fn new(cin: i64, cout: i64, stride: i64) -> Result<Block> {
        let conv = |cin, kernel, stride, padding| {
            Conv2d::with(cin, cout, kernel, |o| o.stride(stride).padding(padding).bias(false))
        };
        Ok(Block {
            conv1: conv(cin, 3, stride, 1)?,
            bn1: BatchNorm2d::new(cout)?,
            conv2: conv(cout, 3, 1, 1)?,
            bn2: BatchNorm2d::new(cout)?,
            relu: ReLU::new(),
            down: if stride != 1 || cin != cout {
                Some(sequential![conv(cin, 1, stride, 0)?, BatchNorm2d::new(cout)?])
            } else {
                None
            },
        })
    }
}

impl Forward for Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.relu.forward(&self.bn1.forward(&self.conv1.forward(x)?)?)?;
        let y = self.bn2.forward(&self.conv2.forward(&y)?)?;
        let shortcut = match &self.down {
            Some(down) => down.forward(x)?,
            None => x.clone(),
        };
        self.relu.forward(&y.add(&shortcut)?)
    }
}

fn resnet18() -> Result<Sequential> {
    manual_seed(0);
    let mut net = sequential![
        Conv2d::with(3, 64, 7, |o| o.stride(2).padding(3).bias(false))?,
        BatchNorm2d::new(64)?,
        ReLU::new(),
        MaxPool2d::with(3, |o| o.stride(2).padding(1)),
    ];
    let mut cin = 64;
    for (cout, stride) in [(64, 1), (128, 2), (256, 2), (512, 2)] {
        net = net.push(Block::new(cin, cout, stride)?).push(Block::new(cout, cout, 1)?);
        cin = cout;
    }
    Ok(net.push(AdaptiveAvgPool2d::new(1)).push(Flatten::new()).push(Linear::new(512, 1000)?))
}
