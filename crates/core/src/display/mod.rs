//! Printing as PyTorch prints: width, precision, scientific mode, line breaks, summaries, and what follows the numbers.
//!
//! [`text`] lays plain numbers out; this module fetches them from a tensor (of a large one only the edges) and adds
//! `dtype=…`, `grad_fn=…` and the like.

mod text;

use std::fmt;
use std::sync::{PoisonError, RwLock};

use crate::ops::{raw, view_layout};
use crate::promotion::get_default_dtype;
use crate::sparse::Sparse;
use crate::{C64, DType, Device, Result, Tensor};

/// How tensors are printed; see [`set_print_options`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrintOptions {
    /// Digits after the point.
    pub precision: usize,
    /// Number of elements above which only the edges are shown.
    pub threshold: usize,
    /// Elements shown at either edge of each dimension of a summary.
    pub edgeitems: usize,
    /// Characters in a line.
    pub linewidth: usize,
    /// Scientific notation; `None` lets the values decide.
    pub sci_mode: Option<bool>,
}

impl PrintOptions {
    /// PyTorch's `default` profile.
    pub const DEFAULT: PrintOptions =
        PrintOptions { precision: 4, threshold: 1000, edgeitems: 3, linewidth: 80, sci_mode: None };
    /// PyTorch's `short` profile: two digits, two elements at each edge.
    pub const SHORT: PrintOptions = PrintOptions { precision: 2, edgeitems: 2, ..PrintOptions::DEFAULT };
    /// PyTorch's `full` profile: nothing is left out.
    pub const FULL: PrintOptions = PrintOptions { threshold: usize::MAX, ..PrintOptions::DEFAULT };
}

impl Default for PrintOptions {
    fn default() -> Self {
        PrintOptions::DEFAULT
    }
}

static OPTIONS: RwLock<PrintOptions> = RwLock::new(PrintOptions::DEFAULT);

/// Sets how the process prints tensors, as `torch.set_printoptions` does.
pub fn set_print_options(options: PrintOptions) {
    *OPTIONS.write().unwrap_or_else(PoisonError::into_inner) = options;
}

/// How the process prints tensors.
pub fn print_options() -> PrintOptions {
    *OPTIONS.read().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = repr(self, &print_options()).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const PREFIX: &str = "tensor(";

/// What `repr` gives in Python.
fn repr(t: &Tensor, options: &PrintOptions) -> Result<String> {
    if let Some(parts) = t.sparse() {
        return sparse_repr(t, &parts, options);
    }
    let sizes = t.sizes();
    let (meta, empty) = (t.device() == Device::Meta, t.numel() == 0);
    let mut suffixes = Vec::new();
    if meta {
        suffixes.push("device='meta'".to_owned());
    }
    if meta || (empty && sizes.len() != 1) || (!empty && options.edgeitems == 0) {
        suffixes.push(format!("size={}", text::tuple(&sizes)));
    }
    suffixes.extend(dtype_suffix(t, meta || empty));
    suffixes.extend(history_suffix(t));
    let body = match (meta, empty) {
        (true, _) => "...".to_owned(),
        (_, true) => "[]".to_owned(),
        _ => values_text(t, PREFIX.len(), options)?,
    };
    Ok(text::with_suffixes(format!("{PREFIX}{body}"), &suffixes, PREFIX.len(), options))
}

/// The dtype, unless the numbers imply it: those of an empty tensor imply only the default.
fn dtype_suffix(t: &Tensor, empty: bool) -> Option<String> {
    let default = get_default_dtype();
    let implied = [default, default.to_complex(), DType::I64, DType::Bool];
    let implied = if empty { &implied[..1] } else { &implied[..] };
    (!implied.contains(&t.dtype())).then(|| format!("dtype={}", t.dtype()))
}

fn history_suffix(t: &Tensor) -> Option<String> {
    match t.grad_fn() {
        Some(node) => Some(format!("grad_fn=<{}>", node.name())),
        None => t.requires_grad().then(|| "requires_grad=True".to_owned()),
    }
}

/// A sparse tensor: coordinates and values as tensors of their own, then what is known of the whole.
fn sparse_repr(t: &Tensor, parts: &Sparse, options: &PrintOptions) -> Result<String> {
    let part = |name: &str, t: &Tensor| -> Result<String> {
        let prefix = format!("{name}=tensor(");
        let body = match t.numel() {
            0 => format!("[], size={}", text::tuple(&t.sizes())),
            _ => values_text(&t.detach(), PREFIX.len() + prefix.len(), options)?,
        };
        Ok(format!("{prefix}{body})"))
    };
    let (indices, values) = (part("indices", &parts.indices)?, part("values", &parts.values)?);
    let mut suffixes = vec![format!("size={}", text::tuple(&t.sizes())), format!("nnz={}", parts.nnz())];
    suffixes.extend(dtype_suffix(t, false));
    suffixes.push("layout=torch.sparse_coo".to_owned());
    suffixes.extend(history_suffix(t));
    let indent = " ".repeat(PREFIX.len());
    let body = format!("{PREFIX}{indices},\n{indent}{values},\n{indent}{}", suffixes.remove(0));
    Ok(text::with_suffixes(body, &suffixes, PREFIX.len(), options))
}

fn values_text(t: &Tensor, indent: usize, options: &PrintOptions) -> Result<String> {
    let sizes: Vec<usize> = t.sizes().iter().map(|n| *n as usize).collect();
    let grid = text::Grid::new(&sizes, options);
    let shown = edges(t, &grid)?;
    Ok(text::render(&values(&shown)?, &grid, indent, options))
}

/// The shown positions as a tensor of their own.
fn edges(t: &Tensor, grid: &text::Grid) -> Result<Tensor> {
    let mut shown = t.detach();
    for d in (0..t.dim()).filter(|&d| grid.is_cut(d)) {
        let (n, edge) = (shown.sizes()[d], grid.edge(d) as i64);
        let part = |start| {
            raw::window(
                &shown,
                view_layout::slice(&shown.layout(), d as i64, Some(start), Some(start + edge), 1)?,
            )
        };
        let mut sizes = shown.sizes();
        sizes[d] = 2 * edge;
        let both = Tensor::empty_of(&sizes, t.dtype(), t.device())?;
        raw::cat(&both, &[part(0)?, part(n - edge)?], d)?;
        shown = both;
    }
    Ok(shown)
}

fn values(t: &Tensor) -> Result<text::Values> {
    Ok(match t.dtype() {
        DType::Bool => text::Values::Bool(t.to_vec()?),
        d if d.is_complex() => {
            let z = raw::cast(t, DType::Complex128)?.to_vec::<C64>()?;
            text::Values::Complex(z.iter().map(|z| z.re).collect(), z.iter().map(|z| z.im).collect())
        }
        d if d.is_floating_point() => text::Values::Float(raw::cast(t, DType::F64)?.to_vec()?),
        _ => text::Values::Int(raw::cast(t, DType::I64)?.to_vec()?),
    })
}

#[cfg(test)]
mod tests;
