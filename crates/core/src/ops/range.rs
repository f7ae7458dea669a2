//! Numbers at equal distance.

use super::create::blank;
use super::raw;
use crate::op::{OpDef, Out};
use crate::promotion::get_default_dtype;
use crate::{C64, DType, Device, Result, Scalar, Tensor, bail, ensure, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    arange,
    arange_start,
    arange_start_step,
    range_step,
    linspace,
    linspace_tensor_tensor,
    linspace_tensor_scalar,
    linspace_scalar_tensor,
    logspace,
    logspace_tensor_tensor,
    logspace_tensor_scalar,
    logspace_scalar_tensor,
];

/// The dtype of a range: the given one, that of the output, or by the kinds of its numbers.
fn range_dtype(out: Out, dtype: Option<DType>, numbers: &[Scalar]) -> DType {
    let natural = || match numbers.iter().all(|s| matches!(s, Scalar::Int(_) | Scalar::Bool(_))) {
        true => DType::I64,
        false => get_default_dtype(),
    };
    match out {
        Out::Into(outs) => outs[0].dtype(),
        _ => dtype.unwrap_or_else(natural),
    }
}

/// Checks a range and counts its numbers, `end` left out.
fn range_len(dtype: DType, start: Scalar, end: Scalar, step: Scalar) -> Result<i64> {
    if matches!(dtype, DType::Bool) || dtype.is_complex() {
        bail!(NotImplemented, "\"arange_cpu\" not implemented for '{}'", dtype.scalar_type());
    }
    let (low, high, by) = (start.to_f64(), end.to_f64(), step.to_f64());
    ensure!(by != 0.0, "step must be nonzero");
    ensure!(low.is_finite() && high.is_finite(), "unsupported range: {low} -> {high}");
    ensure!(
        (by > 0.0 && high >= low) || (by < 0.0 && high <= low),
        "upper bound and lower bound inconsistent with step sign"
    );
    let whole = |s: Scalar| matches!(s, Scalar::Int(_) | Scalar::Bool(_));
    if dtype == DType::I64 && whole(start) && whole(end) && whole(step) {
        let (low, high, by) =
            (i128::from(start.to_i64()), i128::from(end.to_i64()), i128::from(step.to_i64()));
        return Ok(((high - low + by - by.signum()) / by) as i64);
    }
    let n = ((high - low) / by).ceil();
    ensure!((0.0..9.2e18).contains(&n), "invalid size, possible overflow?");
    Ok(n as i64)
}

/// `start + i * step` for `i` below `n`.
fn steps(
    n: i64,
    dtype: DType,
    start: Scalar,
    step: Scalar,
    device: Option<Device>,
    out: Out,
) -> Result<Tensor> {
    let values = if dtype.is_integral_or_bool() {
        let (low, by) = (start.to_i64(), step.to_i64());
        raw::generate(&[n], |i| low.wrapping_add(by.wrapping_mul(i as i64)))?
    } else {
        let (low, by) = (start.to_f64(), step.to_f64());
        if dtype == DType::F32 {
            raw::generate(&[n], |i| (low + by * i as f64) as f32)?
        } else {
            raw::generate(&[n], |i| low + by * i as f64)?
        }
    };
    finish(values, dtype, device, out)
}

/// The computed values as the result: converted, or written to the given output.
fn finish(values: Tensor, dtype: DType, device: Option<Device>, out: Out) -> Result<Tensor> {
    if matches!(out, Out::New) && values.dtype() == dtype && device.unwrap_or_default() == Device::Cpu {
        return Ok(values);
    }
    let t = blank(out, &values.sizes(), dtype, device)?;
    raw::copy(&t, &values)?;
    Ok(t)
}

/// Integers from 0 to before `end`, or floats at distance 1.
#[op(
    "arange(Scalar end, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    tags(factory)
)]
mod arange {
    fn kernel(end: Scalar, dtype: Option<DType>, device: Option<Device>) -> Result<Tensor> {
        arange_start_step::kernel(Scalar::Int(0), end, Scalar::Int(1), dtype, device, Out::New)
    }
}

/// Numbers from `start` to before `end` at distance 1.
#[op(
    "arange.start(Scalar start, Scalar end, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    tags(factory)
)]
mod arange_start {
    fn kernel(start: Scalar, end: Scalar, dtype: Option<DType>, device: Option<Device>) -> Result<Tensor> {
        arange_start_step::kernel(start, end, Scalar::Int(1), dtype, device, Out::New)
    }
}

/// Numbers from `start` to before `end` at distance `step`.
#[op(
    "arange.start_step(Scalar start, Scalar end, Scalar step=1, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "start_out",
    tags(factory)
)]
mod arange_start_step {
    pub(super) fn kernel(
        start: Scalar,
        end: Scalar,
        step: Scalar,
        dtype: Option<DType>,
        device: Option<Device>,
        out: Out,
    ) -> Result<Tensor> {
        let dtype = range_dtype(out, dtype, &[start, end, step]);
        let n = range_len(dtype, start, end, step)?;
        steps(n, dtype, start, step, device, out)
    }
}

/// Numbers from `start` to `end`, both included, at distance `step`; deprecated in favour of [`arange_start_step`].
#[op(
    "range.step(Scalar start, Scalar end, Scalar step=1, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    tags(factory)
)]
mod range_step {
    fn kernel(
        start: Scalar,
        end: Scalar,
        step: Scalar,
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        let dtype = dtype.unwrap_or_else(get_default_dtype);
        range_len(dtype, start, end, step)?;
        let n = ((end.to_f64() - start.to_f64()) / step.to_f64()).floor() as i64 + 1;
        steps(n, dtype, start, step, device, Out::New)
    }
}

/// The dtype of `linspace` and `logspace`: complex if an end is.
fn space_dtype(name: &str, out: Out, dtype: Option<DType>, ends: [Scalar; 2]) -> Result<DType> {
    let complex = ends.iter().any(|s| s.is_complex());
    let default = if complex { get_default_dtype().to_complex() } else { get_default_dtype() };
    let dtype = match out {
        Out::Into(outs) => outs[0].dtype(),
        _ => dtype.unwrap_or(default),
    };
    if complex && !dtype.is_complex() {
        bail!(
            "torch.{name}(): inferred dtype {} can't be safely cast to passed dtype {}",
            default.name(),
            dtype.name()
        );
    }
    if dtype == DType::Bool {
        bail!(NotImplemented, "\"{name}_cpu\" not implemented for 'Bool'");
    }
    Ok(dtype)
}

/// `n` numbers from `start` to `end`, both included, counted from the nearer end so that both are exact.
fn spaced<T>(
    n: usize,
    start: T,
    end: T,
    step: T,
    times: impl Fn(T, usize) -> T + Sync,
) -> impl Fn(usize) -> T + Sync
where
    T: Copy + std::ops::Add<Output = T> + std::ops::Sub<Output = T> + Send + Sync,
{
    move |i| if i < n / 2 { start + times(step, i) } else { end - times(step, n - 1 - i) }
}

/// `steps` numbers from `start` to `end`, both included.
#[op(
    "linspace(Scalar start, Scalar end, int steps, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "out",
    tags(factory)
)]
mod linspace {
    pub(super) fn kernel(
        start: Scalar,
        end: Scalar,
        steps: i64,
        dtype: Option<DType>,
        device: Option<Device>,
        out: Out,
    ) -> Result<Tensor> {
        ensure!(steps >= 0, "number of steps must be non-negative");
        let dtype = space_dtype("linspace", out, dtype, [start, end])?;
        let n = steps as usize;
        if n == 1 {
            return finish(crate::copy::full(&[1], start, dtype, Device::Cpu)?, dtype, device, out);
        }
        let gaps = (n.max(2) - 1) as f64;
        let values = if dtype.is_complex() {
            let (a, b) = (start.to_complex(), end.to_complex());
            raw::generate(&[steps], spaced(n, a, b, (b - a) / gaps, |s: C64, i| s * i as f64))?
        } else if dtype == DType::F32 {
            let (a, b) = (start.to_f64() as f32, end.to_f64() as f32);
            raw::generate(&[steps], spaced(n, a, b, (b - a) / gaps as f32, |s, i| s * i as f32))?
        } else {
            let whole = |s: Scalar| if dtype.is_integral_or_bool() { s.to_i64() as f64 } else { s.to_f64() };
            let (a, b) = (whole(start), whole(end));
            raw::generate(&[steps], spaced(n, a, b, (b - a) / gaps, |s, i| s * i as f64))?
        };
        finish(values, dtype, device, out)
    }
}

/// `base` to the powers that [`linspace`] gives.
#[op(
    "logspace(Scalar start, Scalar end, int steps, float base=10., *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "out",
    tags(factory)
)]
mod logspace {
    pub(super) fn kernel(
        start: Scalar,
        end: Scalar,
        steps: i64,
        base: f64,
        dtype: Option<DType>,
        device: Option<Device>,
        out: Out,
    ) -> Result<Tensor> {
        ensure!(steps >= 0, "number of steps must be non-negative");
        let dtype = space_dtype("logspace", out, dtype, [start, end])?;
        let (n, gaps) = (steps as usize, (steps.max(2) - 1) as f64);
        let values = if dtype.is_complex() {
            let (a, b) = (start.to_complex(), if n == 1 { start.to_complex() } else { end.to_complex() });
            let exponent = spaced(n, a, b, (b - a) / gaps, |s: C64, i| s * i as f64);
            raw::generate(&[steps], move |i| C64::new(base, 0.0).powc(exponent(i)))?
        } else {
            let whole = |s: Scalar| if dtype.is_integral_or_bool() { s.to_i64() as f64 } else { s.to_f64() };
            let (a, b) = (whole(start), if n == 1 { whole(start) } else { whole(end) });
            let exponent = spaced(n, a, b, (b - a) / gaps, |s, i| s * i as f64);
            raw::generate(&[steps], move |i| base.powf(exponent(i)))?
        };
        finish(values, dtype, device, out)
    }
}

/// The numbers in 0-dim tensors.
fn ends(name: &str, start: &Tensor, end: &Tensor) -> Result<(Scalar, Scalar)> {
    let (a, b) = (start.dim(), end.dim());
    ensure!(
        a == 0 && b == 0,
        "{name} only supports 0-dimensional start and end tensors, but got start with {a} dimension(s) and end with {b} dimension(s)."
    );
    Ok((start.item()?, end.item()?))
}

fn one_end(name: &str, which: &str, t: &Tensor) -> Result<Scalar> {
    ensure!(
        t.dim() == 0,
        "{name} only supports 0-dimensional start and end tensors, but got {which} with {} dimension(s).",
        t.dim()
    );
    t.item()
}

/// [`linspace`] with both ends given as 0-dim tensors.
#[op(
    "linspace.Tensor_Tensor(Tensor start, Tensor end, int steps, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "as in PyTorch",
    out = "Tensor_Tensor_out",
    tags(factory)
)]
mod linspace_tensor_tensor {
    fn kernel(
        start: &Tensor,
        end: &Tensor,
        steps: i64,
        dtype: Option<DType>,
        device: Option<Device>,
        out: Out,
    ) -> Result<Tensor> {
        let (start, end) = ends("linspace", start, end)?;
        linspace::kernel(start, end, steps, dtype, device, out)
    }
}

/// [`linspace`] with `start` given as 0-dim tensors.
#[op(
    "linspace.Tensor_Scalar(Tensor start, Scalar end, int steps, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "as in PyTorch",
    out = "Tensor_Scalar_out",
    tags(factory)
)]
mod linspace_tensor_scalar {
    fn kernel(
        start: &Tensor,
        end: Scalar,
        steps: i64,
        dtype: Option<DType>,
        device: Option<Device>,
        out: Out,
    ) -> Result<Tensor> {
        let start = one_end("linspace", "start", start)?;
        linspace::kernel(start, end, steps, dtype, device, out)
    }
}

/// [`linspace`] with `end` given as 0-dim tensors.
#[op(
    "linspace.Scalar_Tensor(Scalar start, Tensor end, int steps, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "as in PyTorch",
    out = "Scalar_Tensor_out",
    tags(factory)
)]
mod linspace_scalar_tensor {
    fn kernel(
        start: Scalar,
        end: &Tensor,
        steps: i64,
        dtype: Option<DType>,
        device: Option<Device>,
        out: Out,
    ) -> Result<Tensor> {
        let end = one_end("linspace", "end", end)?;
        linspace::kernel(start, end, steps, dtype, device, out)
    }
}

/// [`logspace`] with both ends given as 0-dim tensors.
#[op(
    "logspace.Tensor_Tensor(Tensor start, Tensor end, int steps, float base=10., *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "as in PyTorch",
    out = "Tensor_Tensor_out",
    tags(factory)
)]
mod logspace_tensor_tensor {
    fn kernel(
        start: &Tensor,
        end: &Tensor,
        steps: i64,
        base: f64,
        dtype: Option<DType>,
        device: Option<Device>,
        out: Out,
    ) -> Result<Tensor> {
        let (start, end) = ends("logspace", start, end)?;
        logspace::kernel(start, end, steps, base, dtype, device, out)
    }
}

/// [`logspace`] with `start` given as 0-dim tensors.
#[op(
    "logspace.Tensor_Scalar(Tensor start, Scalar end, int steps, float base=10., *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "as in PyTorch",
    out = "Tensor_Scalar_out",
    tags(factory)
)]
mod logspace_tensor_scalar {
    fn kernel(
        start: &Tensor,
        end: Scalar,
        steps: i64,
        base: f64,
        dtype: Option<DType>,
        device: Option<Device>,
        out: Out,
    ) -> Result<Tensor> {
        let start = one_end("logspace", "start", start)?;
        logspace::kernel(start, end, steps, base, dtype, device, out)
    }
}

/// [`logspace`] with `end` given as 0-dim tensors.
#[op(
    "logspace.Scalar_Tensor(Scalar start, Tensor end, int steps, float base=10., *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "as in PyTorch",
    out = "Scalar_Tensor_out",
    tags(factory)
)]
mod logspace_scalar_tensor {
    fn kernel(
        start: Scalar,
        end: &Tensor,
        steps: i64,
        base: f64,
        dtype: Option<DType>,
        device: Option<Device>,
        out: Out,
    ) -> Result<Tensor> {
        let end = one_end("logspace", "end", end)?;
        logspace::kernel(start, end, steps, base, dtype, device, out)
    }
}
