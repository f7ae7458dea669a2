//! `cresset evaluate`: how well a model knows the test images. Training uses the same measurement.

use std::io::Write;
use std::path::{Path, PathBuf};

use cresset::io::{self, PyValue};
use cresset::nn::functional::cross_entropy;
use cresset::nn::{Forward, Module, StateDict};
use cresset::prelude::*;

use super::args::EvaluateArgs;
use super::batches::{Digits, Split};
use super::history::CLASSES;
use super::interrupt;
use super::net::Net;
use super::progress::Progress;
use super::run_folder;

/// Images per batch; the result hardly depends on it, the memory does.
const BATCH: usize = 250;

/// What was measured.
pub struct Evaluation {
    /// Mean loss per image.
    pub loss: f64,
    /// Part of the images that were recognised.
    pub accuracy: f64,
    /// How often a digit (row) was taken for a digit (column).
    pub confusion: Vec<i64>,
}

/// Runs the command.
pub fn command(args: &EvaluateArgs) -> Result<bool> {
    args.machine.apply();
    let path = model_path(args.model.as_deref())?;
    let net = load(&path)?;
    let digits = Digits::open(args.machine.data.as_deref(), Split::Test, args.limit)?;
    let Some(Evaluation { loss, accuracy, confusion }) = evaluate(&net, &digits, args.machine.workers)?
    else {
        return Ok(false);
    };
    let right: i64 = (0..CLASSES).map(|digit| confusion[digit * (CLASSES + 1)]).sum();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", path.display())?;
    writeln!(out, "test accuracy {:.2} % ({right} of {}), loss {loss:.4}", 100.0 * accuracy, digits.len())?;
    Ok(true)
}

/// Measures `net` on `digits`; `None` when Ctrl-C asked to stop.
pub fn evaluate(net: &Net, digits: &Digits, workers: u16) -> Result<Option<Evaluation>> {
    let _guard = no_grad();
    net.eval();
    let order: Vec<usize> = (0..digits.len()).collect();
    let mut progress = Progress::new("testing".into(), digits.len().div_ceil(BATCH), 0);
    let (mut loss_sum, mut confusion) = (0.0, vec![0; CLASSES * CLASSES]);
    for batch in &digits.batches(&order, BATCH, workers)? {
        let (images, labels) = batch?;
        let logits = net.forward(&images)?;
        let loss = cross_entropy(&logits, &labels)?.item()?.to_f64();
        let labels = labels.to_vec::<i64>()?;
        loss_sum += loss * labels.len() as f64;
        for (label, guess) in labels.into_iter().zip(guesses(&logits)?) {
            confusion[label as usize * CLASSES + guess as usize] += 1;
        }
        progress.step(String::new);
        if interrupt::is_asked() {
            return Ok(None);
        }
    }
    let right: i64 = (0..CLASSES).map(|digit| confusion[digit * (CLASSES + 1)]).sum();
    let n = digits.len().max(1) as f64;
    Ok(Some(Evaluation { loss: loss_sum / n, accuracy: right as f64 / n, confusion }))
}

/// The digit with the largest output, for each image.
pub fn guesses(logits: &Tensor) -> Result<Vec<i64>> {
    logits.detach().argmax_with(|o| o.dim(1))?.to_vec()
}

/// The file that holds the model: what is named, or the newest run.
pub fn model_path(named: Option<&Path>) -> Result<PathBuf> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => run_folder::newest()?,
    };
    if !path.is_dir() {
        return Ok(path);
    }
    let files = ["model.safetensors", "model.pt", "checkpoint.pt"];
    match files.iter().map(|name| path.join(name)).find(|file| file.is_file()) {
        Some(file) => Ok(file),
        None => Err(Error::io(format!("{} holds no model ({})", path.display(), files.join(", ")))),
    }
}

/// A network with the weights of a file.
pub fn load(path: &Path) -> Result<Net> {
    let net = Net::new()?;
    net.load_state_dict(&read_state(path)?).map_err(|e| e.context(path.display()))?;
    net.eval();
    Ok(net)
}

/// The named tensors of a model file, or of the model in a checkpoint.
fn read_state(path: &Path) -> Result<StateDict> {
    if is_safetensors(path)? {
        return Ok(io::load_safetensors(path)?.into_iter().collect());
    }
    let value = io::load(path)?;
    let model = value.get("model").filter(|v| matches!(v, PyValue::Dict(_) | PyValue::OrderedDict(_)));
    let state = model.unwrap_or(&value).clone().into_state_dict().map_err(|e| e.context(path.display()))?;
    Ok(state.into_iter().collect())
}

/// Whether the file is safetensors: after the 8 bytes of its length comes a JSON object, which no `.pt` file has there.
pub fn is_safetensors(path: &Path) -> Result<bool> {
    use std::io::Read;
    let named = |e: std::io::Error| Error::from(e).context(path.display());
    let mut head = Vec::new();
    std::fs::File::open(path).map_err(named)?.take(9).read_to_end(&mut head).map_err(named)?;
    Ok(head.get(8) == Some(&b'{') && !head.starts_with(b"PK"))
}
