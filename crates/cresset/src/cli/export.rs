//! The files of a run that are made from its state: models, metrics, drawings.

use cresset::Result;
use cresset::io::{self, PyValue};
use cresset::nn::Module;

use super::history::History;
use super::net::Net;
use super::plots;
use super::run_folder::RunFolder;

/// Writes the weights: `model.pt` for PyTorch and `model.safetensors`.
pub fn models(folder: &RunFolder, net: &Net) -> Result<()> {
    let state = net.state_dict();
    io::save(&PyValue::from_state_dict(state.iter().cloned()), folder.file("model.pt"))?;
    io::save_safetensors(state.iter().map(|(name, tensor)| (name, tensor)), folder.file("model.safetensors"))
}

/// Writes what was measured, as tables and as drawings.
pub fn metrics(folder: &RunFolder, history: &History) -> Result<()> {
    let files = [
        ("metrics.csv", history.csv()),
        ("metrics.jsonl", history.jsonl()),
        ("loss.svg", plots::loss(history)?),
        ("accuracy.svg", plots::accuracy(history)?),
        ("confusion.svg", plots::confusion(history)?),
    ];
    for (name, text) in files {
        let write = |out: &mut dyn std::io::Write| Ok(out.write_all(text.as_bytes())?);
        io::write_atomically(&folder.file(name), |out| write(out))?;
    }
    Ok(())
}
