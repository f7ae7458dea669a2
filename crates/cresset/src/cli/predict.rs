//! `cresset predict`: which digits pictures show.

use std::io::Write;

use cresset::nn::Forward;
use cresset::prelude::*;

use super::args::PredictArgs;
use super::batches::normalized;
use super::evaluate::{load, model_path};
use super::picture::{self, SIDE};

/// Pictures that go through the network at once.
const BATCH: usize = 100;

/// Runs the command. Nothing is printed unless all pictures can be read.
pub fn command(args: &PredictArgs) -> Result<bool> {
    let net = load(&model_path(args.model.as_deref())?)?;
    let mut pixels = Vec::new();
    for image in &args.images {
        pixels.extend(picture::read(image)?);
    }
    let _guard = no_grad();
    let mut out = std::io::stdout().lock();
    let area = (SIDE * SIDE) as usize;
    for (images, pixels) in args.images.chunks(BATCH).zip(pixels.chunks(BATCH * area)) {
        let probabilities = net.forward(&normalized(pixels)?)?.softmax(1)?.to_vec::<f32>()?;
        for (image, row) in images.iter().zip(probabilities.chunks(10)) {
            writeln!(out, "{}: {}", image.display(), best(row))?;
            let list = row.iter().enumerate().map(|(digit, p)| format!("{digit}: {:.1} %", 100.0 * p));
            writeln!(out, "  {}", list.collect::<Vec<_>>().join("  "))?;
        }
    }
    Ok(true)
}

fn best(row: &[f32]) -> usize {
    (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}
