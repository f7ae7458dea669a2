//! `cresset inspect`: what a `.pt` or `.safetensors` file holds.

use std::io::Write;

use cresset::io::{self, LoadOptions, PyValue};
use cresset::prelude::*;

use super::args::InspectArgs;
use super::evaluate::is_safetensors;

/// Plain items of a list that are shown.
const SHOWN: usize = 8;

/// Runs the command.
pub fn command(args: &InspectArgs) -> Result<bool> {
    let path = &args.file;
    let mut text = String::new();
    if is_safetensors(path)? {
        let file = io::read_safetensors(path)?;
        file.metadata.iter().for_each(|(key, value)| text += &format!("metadata {key:?}: {value:?}\n"));
        file.tensors
            .iter()
            .for_each(|(name, tensor)| text += &format!("{}: {}\n", plain(name), describe(tensor)));
        text += &summary(file.tensors.iter().map(|(_, tensor)| tensor));
    } else {
        // Classes are shown by name: listing a file must not need to know them, and never runs them.
        let value = io::load_with(path, &LoadOptions { inert: true, ..LoadOptions::default() })?;
        tree(&value, 0, &mut text);
        text += &summary(value.tensors().iter().map(|(_, tensor)| *tensor));
    }
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(true)
}

/// Appends the value: on the present line if it fits there, else with a line for each part.
fn tree(value: &PyValue, depth: usize, text: &mut String) {
    if let Some(short) = short(value) {
        *text += &format!("{short}\n");
        return;
    }
    let indent = "  ".repeat(depth);
    let parts = value.entries().map_or(0, <[_]>::len) + value.items().map_or(0, <[_]>::len);
    *text += &format!("{} of {parts}\n", value.type_name());
    if let PyValue::Object(object) = value {
        for (i, argument) in object.args.iter().enumerate() {
            *text += &format!("{indent}  argument {i}: ");
            tree(argument, depth + 1, text);
        }
    }
    for (key, value) in value.entries().unwrap_or_default() {
        let key = key.as_str().map_or_else(|| short(key).unwrap_or_else(|| key.type_name().into()), plain);
        *text += &format!("{indent}  {key}: ");
        tree(value, depth + 1, text);
    }
    for (i, item) in value.items().unwrap_or_default().iter().enumerate() {
        *text += &format!("{indent}  [{i}] ");
        tree(item, depth + 1, text);
    }
}

/// The value on one line, unless it has parts that deserve lines of their own.
fn short(value: &PyValue) -> Option<String> {
    Some(match value {
        PyValue::None => "None".into(),
        PyValue::Bool(v) => if *v { "True" } else { "False" }.into(),
        PyValue::Int(v) => v.to_string(),
        PyValue::BigInt(bytes) => format!("int of {} bytes", bytes.len()),
        PyValue::Float(v) => format!("{v:?}"),
        PyValue::Complex(re, im) => format!("({re:?}+{im:?}j)"),
        PyValue::Str(v) => format!("{:?}", cut(v)),
        PyValue::Bytes(bytes) => format!("{} bytes", bytes.len()),
        PyValue::Tensor(tensor) => describe(tensor),
        PyValue::Parameter(tensor) => format!("Parameter {}", describe(tensor)),
        PyValue::DType(dtype) => format!("{dtype}"),
        PyValue::Device(name) => format!("device {name:?}"),
        PyValue::Size(sizes) => format!("torch.Size({sizes:?})"),
        PyValue::List(items) => format!("[{}]", numbers(items)?),
        PyValue::Tuple(items) => format!("({})", numbers(items)?),
        PyValue::Set(items) => format!("{{{}}}", numbers(items)?),
        PyValue::Dict(_) | PyValue::OrderedDict(_) | PyValue::Object(_) => return None,
    })
}

/// The items of a list in which nothing is nested, the first of them if there are many.
fn numbers(items: &[PyValue]) -> Option<String> {
    let is_plain = |v: &PyValue| v.items().is_none() && v.as_tensor().is_none();
    let list = items.iter().map(|item| short(item).filter(|_| is_plain(item))).collect::<Option<Vec<_>>>()?;
    Some(match list.len() {
        n if n > SHOWN => format!("{}, … {n} in all", list[..SHOWN].join(", ")),
        _ => list.join(", "),
    })
}

fn describe(tensor: &Tensor) -> String {
    let bytes = tensor.numel() * tensor.dtype().size();
    format!("{} {:?}, {}", tensor.dtype(), &tensor.sizes()[..], size(bytes))
}

/// A key as it is, unless a terminal would take it for something else.
fn plain(name: &str) -> String {
    if name.is_empty() || name.chars().any(char::is_control) { format!("{name:?}") } else { name.into() }
}

fn cut(text: &str) -> String {
    let short: String = text.chars().take(200).collect();
    if short.len() < text.len() { short + "…" } else { short }
}

fn summary<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> String {
    let (mut count, mut elements, mut bytes) = (0, 0, 0);
    for tensor in tensors {
        count += 1;
        elements += tensor.numel();
        bytes += tensor.numel() * tensor.dtype().size();
    }
    format!("{count} tensors, {elements} elements, {}\n", size(bytes))
}

fn size(bytes: usize) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => format!("{:.1} {unit}", bytes as f64 / (1_u64 << shift) as f64),
        None => format!("{bytes} bytes"),
    }
}
