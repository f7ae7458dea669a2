//! Histograms in one and several dimensions.

use cresset_kernels::histogram::{self as kernels, Edges};
use cresset_macros::op;

use super::{amax, amin, cat, linspace_with};
use crate::op::OpDef;
use crate::reduction::c_name;
use crate::storage::access;
use crate::{DType, Device, Result, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    histogram,
    histogram_bins_tensor,
    histogramdd,
    histogramdd_int_bins,
    histogramdd_tensor_list_bins,
    _histogramdd_bin_edges,
    _histogramdd_from_bin_cts,
    _histogramdd_from_bin_tensors,
];

/// Counts (or sums of `weight`) of the elements in `bins` bins of equal width between the ends of `range`, by default the
/// least and the largest element. With `density` as a probability density.
#[op(
    "histogram.bin_ct(Tensor self, int bins=100, *, float[]? range=None, Tensor? weight=None, bool density=False) -> (Tensor hist, Tensor bin_edges)",
    out("bin_ct_out", hist, bin_edges),
    no_grad = "counting is constant between its steps"
)]
mod histogram {
    fn kernel(
        this: &Tensor,
        bins: i64,
        range: Option<&[f64]>,
        weight: Option<&Tensor>,
        density: bool,
    ) -> Result<(Tensor, Tensor)> {
        let points = this.reshape([-1, 1])?;
        let edges = even_edges(&points, &[bins], range)?;
        let weight = weight.map(flat_if_alike(this)).transpose()?;
        Ok((count(&points, &edges, true, weight.as_ref(), density)?, edges[0].clone()))
    }
}

/// As [`histogram`], in bins with given edges.
#[op(
    "histogram.bins_tensor(Tensor self, Tensor bins, *, Tensor? weight=None, bool density=False) -> (Tensor hist, Tensor bin_edges)",
    out("bins_tensor_out", hist, bin_edges),
    no_grad = "counting is constant between its steps"
)]
mod histogram_bins_tensor {
    fn kernel(
        this: &Tensor,
        bins: &Tensor,
        weight: Option<&Tensor>,
        density: bool,
    ) -> Result<(Tensor, Tensor)> {
        let points = this.reshape([-1, 1])?;
        let weight = weight.map(flat_if_alike(this)).transpose()?;
        let hist = count(&points, std::slice::from_ref(bins), false, weight.as_ref(), density)?;
        Ok((hist, bins.clone_tensor()?))
    }
}

/// The weights in one row if they have the shape of the elements.
fn flat_if_alike(this: &Tensor) -> impl Fn(&Tensor) -> Result<Tensor> {
    let sizes = this.sizes();
    move |w| if w.sizes() == sizes { w.reshape([-1]) } else { Ok(w.clone()) }
}

/// Counts of points (rows of the last dimension of `self`) in a grid of `bins` bins along each coordinate.
#[op(
    "histogramdd(Tensor self, int[] bins, float[]? range=None, Tensor? weight=None, bool density=False) -> (Tensor hist, Tensor[] bin_edges)",
    composite
)]
mod histogramdd {
    fn kernel(
        this: &Tensor,
        bins: &[i64],
        range: Option<&[f64]>,
        weight: Option<&Tensor>,
        density: bool,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let hist = _histogramdd_from_bin_cts::call(this, bins, range, weight, density)?;
        Ok((hist, _histogramdd_bin_edges::call(this, bins, range, weight, density)?))
    }
}

/// As [`histogramdd`], with as many bins along every coordinate.
#[op(
    "histogramdd.int_bins(Tensor self, int bins, float[]? range=None, Tensor? weight=None, bool density=False) -> (Tensor hist, Tensor[] bin_edges)",
    composite
)]
mod histogramdd_int_bins {
    fn kernel(
        this: &Tensor,
        bins: i64,
        range: Option<&[f64]>,
        weight: Option<&Tensor>,
        density: bool,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let n = this.size(-1)?;
        crate::copy::check_room(n)?;
        histogramdd::call(this, &vec![bins; n as usize], range, weight, density)
    }
}

/// As [`histogramdd`], in bins with given edges.
#[op(
    "histogramdd.TensorList_bins(Tensor self, Tensor[] bins, float[]? range=None, Tensor? weight=None, bool density=False) -> (Tensor hist, Tensor[] bin_edges)",
    composite
)]
mod histogramdd_tensor_list_bins {
    fn kernel(
        this: &Tensor,
        bins: &[Tensor],
        range: Option<&[f64]>,
        weight: Option<&Tensor>,
        density: bool,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let _ = range;
        Ok((_histogramdd_from_bin_tensors::call(this, bins, weight, density)?, bins.to_vec()))
    }
}

/// The edges of the bins of [`histogramdd`].
#[op(
    "_histogramdd_bin_edges(Tensor self, int[] bins, *, float[]? range=None, Tensor? weight=None, bool density=False) -> Tensor[]",
    no_grad = "PyTorch has none",
    no_method
)]
mod _histogramdd_bin_edges {
    fn kernel(
        this: &Tensor,
        bins: &[i64],
        range: Option<&[f64]>,
        weight: Option<&Tensor>,
        density: bool,
    ) -> Result<Vec<Tensor>> {
        let _ = (weight, density);
        even_edges(&points(this, bins)?, bins, range)
    }
}

/// The counts of [`histogramdd`].
#[op(
    "_histogramdd_from_bin_cts(Tensor self, int[] bins, *, float[]? range=None, Tensor? weight=None, bool density=False) -> Tensor",
    no_grad = "counting is constant between its steps",
    no_method
)]
mod _histogramdd_from_bin_cts {
    fn kernel(
        this: &Tensor,
        bins: &[i64],
        range: Option<&[f64]>,
        weight: Option<&Tensor>,
        density: bool,
    ) -> Result<Tensor> {
        let points = points(this, bins)?;
        let weight = check_weight(this, weight)?;
        count(&points, &even_edges(&points, bins, range)?, true, weight.as_ref(), density)
    }
}

/// The counts of [`histogramdd_tensor_list_bins`].
#[op(
    "_histogramdd_from_bin_tensors(Tensor self, Tensor[] bins, *, Tensor? weight=None, bool density=False) -> Tensor",
    no_grad = "counting is constant between its steps",
    no_method
)]
mod _histogramdd_from_bin_tensors {
    fn kernel(this: &Tensor, bins: &[Tensor], weight: Option<&Tensor>, density: bool) -> Result<Tensor> {
        ensure!(this.dim() >= 2, "torch.histogramdd: input tensor should have at least 2 dimensions");
        let n = this.size(-1)?;
        ensure!(
            bins.len() as i64 == n,
            "torch.histogramdd: expected {n} sequences of bin edges for a {n}-dimensional histogram but got {}",
            bins.len()
        );
        let weight = check_weight(this, weight)?;
        count(&rows(this)?, bins, false, weight.as_ref(), density)
    }
}

/// The points as rows, after PyTorch's checks.
fn points(this: &Tensor, bins: &[i64]) -> Result<Tensor> {
    ensure!(this.dim() >= 2, "torch.histogramdd: input tensor should have at least 2 dimensions");
    ensure!(
        this.size(-1)? == bins.len() as i64,
        "histogramdd: The size of bins must be equal to the innermost dimension of the input."
    );
    rows(this)
}

fn rows(this: &Tensor) -> Result<Tensor> {
    let sizes = this.sizes();
    let n: i64 = sizes[..sizes.len() - 1].iter().product();
    this.reshape([n, sizes[sizes.len() - 1]])
}

/// The weights in one row, if they have the shape of the points.
fn check_weight(this: &Tensor, weight: Option<&Tensor>) -> Result<Option<Tensor>> {
    let sizes = this.sizes();
    match weight {
        Some(w) if w.sizes()[..] == sizes[..sizes.len() - 1] => w.reshape([-1]).map(Some),
        other => Ok(other.cloned()),
    }
}

/// Edges of bins of equal width along each column of `points`.
fn even_edges(points: &Tensor, bins: &[i64], range: Option<&[f64]>) -> Result<Vec<Tensor>> {
    real(points)?;
    let n = bins.len();
    if let Some(range) = range {
        ensure!(
            range.len() == 2 * n,
            "torch.histogramdd: for a {n}-dimensional histogram range should have {} elements, but got {}",
            2 * n,
            range.len()
        );
    }
    let found = match range {
        None if points.numel() > 0 => {
            Some((amin::call(points, &[0], false)?, amax::call(points, &[0], false)?))
        }
        _ => None,
    };
    let edges = |(d, &bins): (usize, &i64)| -> Result<Tensor> {
        ensure!(bins > 0, "torch.histogram(): bins must be > 0, but got {bins} for dimension {d}");
        crate::copy::check_room(bins)?;
        let (low, high) = match (range, &found) {
            (Some(range), _) => (range[2 * d], range[2 * d + 1]),
            (None, Some((low, high))) => {
                let at = |t: &Tensor| -> Result<f64> { Ok(t.select(0, d as i64)?.item()?.to_f64()) };
                (at(low)?, at(high)?)
            }
            _ => (0.0, 1.0),
        };
        let (low, high) = widened(d, low, high)?;
        linspace_with(low, high, bins + 1, |o| o.dtype(points.dtype()).device(points.device()))
    };
    bins.iter().enumerate().map(edges).collect()
}

/// The ends of the bins along dimension `d`, moved apart if they are the same.
fn widened(d: usize, low: f64, high: f64) -> Result<(f64, f64)> {
    let text = |x: f64| if x.is_nan() { "nan".to_string() } else { x.to_string() };
    ensure!(
        low.is_finite() && high.is_finite(),
        "torch.histogramdd: dimension {d}'s range [{}, {}] is not finite",
        text(low),
        text(high)
    );
    ensure!(
        low <= high,
        "torch.histogramdd: min should not exceed max, but got min {low} max {high} for dimension {d}"
    );
    Ok(if low == high { (low - 0.5, high + 0.5) } else { (low, high) })
}

fn real(points: &Tensor) -> Result<()> {
    if !matches!(points.dtype(), DType::F32 | DType::F64) {
        bail!(NotImplemented, "\"histogramdd\" not implemented for '{}'", points.dtype().scalar_type());
    }
    Ok(())
}

fn check(points: &Tensor, edges: &[Tensor], weight: Option<&Tensor>) -> Result<()> {
    let dtype = points.dtype();
    for (d, e) in edges.iter().enumerate() {
        ensure!(
            e.dtype() == dtype,
            "torch.histogramdd: input tensor and bins tensors should have the same dtype, but got input with dtype {} and bins for dimension {d} with dtype {}",
            c_name(dtype),
            c_name(e.dtype())
        );
        ensure!(
            e.dim() == 1,
            "torch.histogramdd: bins tensor should have one dimension, but got {} dimensions in the bins tensor for dimension {d}",
            e.dim()
        );
        ensure!(
            e.numel() > 0,
            "torch.histogramdd: bins tensor should have at least 1 element, but got 0 elements in the bins tensor for dimension {d}"
        );
        ensure!(e.numel() > 1, "torch.histogram(): bins must be > 0, but got 0 for dimension {d}");
    }
    if let Some(w) = weight {
        ensure!(
            w.sizes()[..] == points.sizes()[..1],
            "torch.histogramdd: if weight tensor is provided it should have the same shape as the input tensor excluding its innermost dimension, but got input with shape {:?} and weight with shape {:?}",
            points.sizes().as_slice(),
            w.sizes().as_slice()
        );
        ensure!(
            w.dtype() == dtype,
            "torch.histogramdd: if weight tensor is provided, input tensor and weight tensor should have the same dtype, but got input({}), and weight({})",
            c_name(dtype),
            c_name(w.dtype())
        );
    }
    real(points)
}

/// The counts of rows of `points`, or the sums of their weights.
fn count(
    points: &Tensor,
    edges: &[Tensor],
    even: bool,
    weight: Option<&Tensor>,
    density: bool,
) -> Result<Tensor> {
    check(points, edges, weight)?;
    let sizes: Vec<i64> = edges.iter().map(|e| e.numel() as i64 - 1).collect();
    let hist = Tensor::empty_of(&sizes, points.dtype(), points.device())?;
    if hist.device() != Device::Meta {
        // All edges in one row, so that one call reaches them.
        let row = if edges.is_empty() { points.new_empty([0])? } else { cat(edges)? };
        let weight = weight.map(Tensor::contiguous_copy).transpose()?;
        fill(&hist, &points.contiguous_copy()?, &row, &sizes, even, weight.as_ref());
    }
    if density { dense(&hist, edges) } else { Ok(hist) }
}

fn fill(hist: &Tensor, points: &Tensor, edges: &Tensor, sizes: &[i64], even: bool, weight: Option<&Tensor>) {
    let views = [hist.raw(), points.raw(), edges.raw(), weight.unwrap_or(points).raw()];
    let [h, p, e, w] = &views;
    let dtype = hist.dtype();
    access([h], [p, e, w], |[h], [p, e, w]| {
        macro_rules! run {
            ($T:ty) => {{
                let count = |s: &[i64]| s.iter().product::<i64>() as usize;
                // SAFETY: all are locked, row-major and of this type; the output is fresh.
                let (out, p, e, w) = unsafe {
                    (
                        std::slice::from_raw_parts_mut(h.cast::<$T>(), count(h.sizes)),
                        std::slice::from_raw_parts(p.cast::<$T>(), count(p.sizes)),
                        std::slice::from_raw_parts(e.cast::<$T>(), count(e.sizes)),
                        std::slice::from_raw_parts(w.cast::<$T>(), count(w.sizes)),
                    )
                };
                let mut rest = e;
                let take = |n: &i64| {
                    let (at, after) = rest.split_at(*n as usize + 1);
                    rest = after;
                    Edges { at, even }
                };
                let edges: Vec<Edges<$T>> = sizes.iter().map(take).collect();
                kernels::histogram(p, weight.map(|_| w), &edges, out);
            }};
        }
        if dtype == DType::F64 { run!(f64) } else { run!(f32) }
    });
}

/// Counts divided by their sum and by the widths of the bins.
fn dense(hist: &Tensor, edges: &[Tensor]) -> Result<Tensor> {
    let mut density = hist.div(&hist.sum()?)?;
    for (d, e) in edges.iter().enumerate() {
        let mut shape = vec![1; edges.len()];
        shape[d] = -1;
        density = density.div(&e.diff()?.reshape(shape)?)?;
    }
    Ok(density)
}
