//! The named Fourier transforms.
//!
//! Each checks its arguments, brings the input to the wanted numbers of points (cut, or filled with zeros), and calls a
//! transform of [`super::fft`]. The Hermitian ones (`hfft` and kin) are the real ones with time and frequency exchanged.

use cresset_macros::op;

use super::fft::wrapped;
use super::{_fft_c2c, _fft_c2r, _fft_r2c};
use crate::op::OpDef;
use crate::promotion::get_default_dtype;
use crate::{DType, Device, Result, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    fft_fft,
    fft_ifft,
    fft_rfft,
    fft_irfft,
    fft_hfft,
    fft_ihfft,
    fft_fft2,
    fft_ifft2,
    fft_rfft2,
    fft_irfft2,
    fft_hfft2,
    fft_ihfft2,
    fft_fftn,
    fft_ifftn,
    fft_rfftn,
    fft_irfftn,
    fft_hfftn,
    fft_ihfftn,
    fft_fftfreq,
    fft_rfftfreq,
    fft_fftshift,
    fft_ifftshift,
];

/// Fourier transform along `dim`, with `n` points.
#[op(
    "fft_fft(Tensor self, SymInt? n=None, int dim=-1, str? norm=None) -> Tensor",
    autocast = "fp32",
    composite,
    out
)]
mod fft_fft {
    fn kernel(this: &Tensor, n: Option<i64>, dim: i64, norm: Option<&str>) -> Result<Tensor> {
        line(this, n, dim, norm, true)
    }
}

/// Inverse of [`fft_fft`].
#[op(
    "fft_ifft(Tensor self, SymInt? n=None, int dim=-1, str? norm=None) -> Tensor",
    autocast = "fp32",
    composite,
    out
)]
mod fft_ifft {
    fn kernel(this: &Tensor, n: Option<i64>, dim: i64, norm: Option<&str>) -> Result<Tensor> {
        line(this, n, dim, norm, false)
    }
}

/// Fourier transform of real numbers along `dim`: the first half of the frequencies.
#[op(
    "fft_rfft(Tensor self, SymInt? n=None, int dim=-1, str? norm=None) -> Tensor",
    autocast = "fp32",
    composite,
    out
)]
mod fft_rfft {
    fn kernel(this: &Tensor, n: Option<i64>, dim: i64, norm: Option<&str>) -> Result<Tensor> {
        from_real("rfft", this, n, dim, norm, true, true)
    }
}

/// Inverse of [`fft_rfft`]; `n` is the number of real points.
#[op(
    "fft_irfft(Tensor self, SymInt? n=None, int dim=-1, str? norm=None) -> Tensor",
    autocast = "fp32",
    composite,
    out
)]
mod fft_irfft {
    fn kernel(this: &Tensor, n: Option<i64>, dim: i64, norm: Option<&str>) -> Result<Tensor> {
        to_real(this, n, dim, norm, false)
    }
}

/// Fourier transform of a Hermitian signal given by its first half: `n` real frequencies.
#[op(
    "fft_hfft(Tensor self, SymInt? n=None, int dim=-1, str? norm=None) -> Tensor",
    autocast = "fp32",
    composite,
    out
)]
mod fft_hfft {
    fn kernel(this: &Tensor, n: Option<i64>, dim: i64, norm: Option<&str>) -> Result<Tensor> {
        to_real(this, n, dim, norm, true)
    }
}

/// Inverse of [`fft_hfft`].
#[op(
    "fft_ihfft(Tensor self, SymInt? n=None, int dim=-1, str? norm=None) -> Tensor",
    autocast = "fp32",
    composite,
    out
)]
mod fft_ihfft {
    fn kernel(this: &Tensor, n: Option<i64>, dim: i64, norm: Option<&str>) -> Result<Tensor> {
        from_real("ihfft", this, n, dim, norm, false, true)
    }
}

/// Fourier transform along several dimensions, with `s` points, by default the last two.
#[op(
    "fft_fft2(Tensor self, SymInt[1]? s=None, int[1] dim=[-2, -1], str? norm=None) -> Tensor",
    autocast = "fp32",
    composite,
    out
)]
mod fft_fft2 {
    fn kernel(this: &Tensor, s: Option<&[i64]>, dim: &[i64], norm: Option<&str>) -> Result<Tensor> {
        many(this, s, Some(dim), norm, true)
    }
}

/// Inverse of [`fft_fft2`].
#[op(
    "fft_ifft2(Tensor self, SymInt[1]? s=None, int[1] dim=[-2, -1], str? norm=None) -> Tensor",
    autocast = "fp32",
    composite,
    out
)]
mod fft_ifft2 {
    fn kernel(this: &Tensor, s: Option<&[i64]>, dim: &[i64], norm: Option<&str>) -> Result<Tensor> {
        many(this, s, Some(dim), norm, false)
    }
}

/// Fourier transform of real numbers along several dimensions: the first half of the frequencies along the last one.
#[op(
    "fft_rfft2(Tensor self, SymInt[1]? s=None, int[1] dim=[-2, -1], str? norm=None) -> Tensor",
    autocast = "fp32",
    composite,
    out
)]
mod fft_rfft2 {
    fn kernel(this: &Tensor, s: Option<&[i64]>, dim: &[i64], norm: Option<&str>) -> Result<Tensor> {
        many_from_real(this, s, Some(dim), norm)
    }
}

/// Inverse of [`fft_rfft2`].
#[op(
    "fft_irfft2(Tensor self, SymInt[1]? s=None, int[1] dim=[-2, -1], str? norm=None) -> Tensor",
    autocast = "fp32",
    composite,
    out
)]
mod fft_irfft2 {
    fn kernel(this: &Tensor, s: Option<&[i64]>, dim: &[i64], norm: Option<&str>) -> Result<Tensor> {
        many_to_real("irfftn", this, s, Some(dim), norm, false)
    }
}

/// Fourier transform along several dimensions of a Hermitian signal given by its first half along the last one.
#[op(
    "fft_hfft2(Tensor self, SymInt[1]? s=None, int[1] dim=[-2, -1], str? norm=None) -> Tensor",
    composite,
    out
)]
mod fft_hfft2 {
    fn kernel(this: &Tensor, s: Option<&[i64]>, dim: &[i64], norm: Option<&str>) -> Result<Tensor> {
        many_to_real("hfftn", this, s, Some(dim), norm, true)
    }
}

/// Inverse of [`fft_hfft2`].
#[op(
    "fft_ihfft2(Tensor self, SymInt[1]? s=None, int[1] dim=[-2, -1], str? norm=None) -> Tensor",
    composite,
    out
)]
mod fft_ihfft2 {
    fn kernel(this: &Tensor, s: Option<&[i64]>, dim: &[i64], norm: Option<&str>) -> Result<Tensor> {
        many_hermitian(this, s, Some(dim), norm)
    }
}

/// Fourier transform along several dimensions, with `s` points, by default all.
#[op(
    "fft_fftn(Tensor self, SymInt[1]? s=None, int[1]? dim=None, str? norm=None) -> Tensor",
    autocast = "fp32",
    composite,
    out
)]
mod fft_fftn {
    fn kernel(this: &Tensor, s: Option<&[i64]>, dim: Option<&[i64]>, norm: Option<&str>) -> Result<Tensor> {
        many(this, s, dim, norm, true)
    }
}

/// Inverse of [`fft_fftn`].
#[op(
    "fft_ifftn(Tensor self, SymInt[1]? s=None, int[1]? dim=None, str? norm=None) -> Tensor",
    autocast = "fp32",
    composite,
    out
)]
mod fft_ifftn {
    fn kernel(this: &Tensor, s: Option<&[i64]>, dim: Option<&[i64]>, norm: Option<&str>) -> Result<Tensor> {
        many(this, s, dim, norm, false)
    }
}

/// Fourier transform of real numbers along several dimensions: the first half of the frequencies along the last one.
#[op(
    "fft_rfftn(Tensor self, SymInt[1]? s=None, int[1]? dim=None, str? norm=None) -> Tensor",
    autocast = "fp32",
    composite,
    out
)]
mod fft_rfftn {
    fn kernel(this: &Tensor, s: Option<&[i64]>, dim: Option<&[i64]>, norm: Option<&str>) -> Result<Tensor> {
        many_from_real(this, s, dim, norm)
    }
}

/// Inverse of [`fft_rfftn`].
#[op(
    "fft_irfftn(Tensor self, SymInt[1]? s=None, int[1]? dim=None, str? norm=None) -> Tensor",
    autocast = "fp32",
    composite,
    out
)]
mod fft_irfftn {
    fn kernel(this: &Tensor, s: Option<&[i64]>, dim: Option<&[i64]>, norm: Option<&str>) -> Result<Tensor> {
        many_to_real("irfftn", this, s, dim, norm, false)
    }
}

/// Fourier transform along several dimensions of a Hermitian signal given by its first half along the last one.
#[op("fft_hfftn(Tensor self, SymInt[1]? s=None, int[1]? dim=None, str? norm=None) -> Tensor", composite, out)]
mod fft_hfftn {
    fn kernel(this: &Tensor, s: Option<&[i64]>, dim: Option<&[i64]>, norm: Option<&str>) -> Result<Tensor> {
        many_to_real("hfftn", this, s, dim, norm, true)
    }
}

/// Inverse of [`fft_hfftn`].
#[op(
    "fft_ihfftn(Tensor self, SymInt[1]? s=None, int[1]? dim=None, str? norm=None) -> Tensor",
    composite,
    out
)]
mod fft_ihfftn {
    fn kernel(this: &Tensor, s: Option<&[i64]>, dim: Option<&[i64]>, norm: Option<&str>) -> Result<Tensor> {
        many_hermitian(this, s, dim, norm)
    }
}

/// The frequencies of [`fft_fft`] in cycles per unit, for `n` points at distance `d`.
#[op(
    "fft_fftfreq(int n, float d=1., *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    composite,
    out,
    tags(factory)
)]
mod fft_fftfreq {
    fn kernel(n: i64, d: f64, dtype: Option<DType>, device: Option<Device>) -> Result<Tensor> {
        let steps = counted("fftfreq", n, n, dtype, device)?;
        let middle = (n + 1) / 2;
        steps.narrow(0, middle, n - middle)?.sub_scalar_(n)?;
        steps.mul_scalar_(1.0 / (n as f64 * d))
    }
}

/// The frequencies of [`fft_rfft`] in cycles per unit, for `n` points at distance `d`.
#[op(
    "fft_rfftfreq(int n, float d=1., *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    composite,
    out,
    tags(factory)
)]
mod fft_rfftfreq {
    fn kernel(n: i64, d: f64, dtype: Option<DType>, device: Option<Device>) -> Result<Tensor> {
        counted("rfftfreq", n, n / 2 + 1, dtype, device)?.mul_scalar_(1.0 / (n as f64 * d))
    }
}

/// `0, 1, …` up to before `end`.
fn counted(name: &str, n: i64, end: i64, dtype: Option<DType>, device: Option<Device>) -> Result<Tensor> {
    let dtype = dtype.unwrap_or_else(get_default_dtype);
    ensure!(
        dtype.is_floating_point() || dtype.is_complex(),
        "{name} requires a floating point or complex dtype"
    );
    ensure!(n >= 0, "Trying to create tensor with negative dimension {n}: [{n}]");
    super::arange::call(end.into(), Some(dtype), device)
}

/// Moves frequency 0 to the middle of each of the dimensions, by default all.
#[op("fft_fftshift(Tensor self, int[1]? dim=None) -> Tensor", composite)]
mod fft_fftshift {
    fn kernel(this: &Tensor, dim: Option<&[i64]>) -> Result<Tensor> {
        shifted(this, dim, |n| n / 2)
    }
}

/// Inverse of [`fft_fftshift`].
#[op("fft_ifftshift(Tensor self, int[1]? dim=None) -> Tensor", composite)]
mod fft_ifftshift {
    fn kernel(this: &Tensor, dim: Option<&[i64]>) -> Result<Tensor> {
        shifted(this, dim, |n| (n + 1) / 2)
    }
}

fn shifted(this: &Tensor, dim: Option<&[i64]>, by: impl Fn(i64) -> i64) -> Result<Tensor> {
    let all: Vec<i64> = (0..this.dim() as i64).collect();
    let dims = dim.unwrap_or(&all);
    let shifts = dims.iter().map(|d| this.size(*d).map(&by)).collect::<Result<Vec<i64>>>()?;
    this.roll_with(shifts, |o| o.dims(dims))
}

/// PyTorch's number for a normalisation, which is named by the direction that it applies to.
fn normalization(norm: Option<&str>, forward: bool) -> Result<i64> {
    match norm {
        None | Some("backward") => Ok(if forward { 0 } else { 2 }),
        Some("forward") => Ok(if forward { 2 } else { 0 }),
        Some("ortho") => Ok(1),
        Some(other) => bail!("Invalid normalization mode: \"{other}\""),
    }
}

/// The input in a floating-point or complex type that transforms are computed in.
fn promoted(this: &Tensor, complex: bool) -> Result<Tensor> {
    let dtype = if this.dtype().is_integral_or_bool() { get_default_dtype() } else { this.dtype() };
    if matches!(dtype, DType::F16 | DType::BF16) {
        bail!(NotImplemented, "Unsupported dtype {}", dtype.scalar_type());
    }
    this.to_dtype(if complex { dtype.to_complex() } else { dtype })
}

/// The input cut or filled with zeros to those numbers of points.
fn resized(this: &Tensor, dims: &[usize], points: &[i64]) -> Result<Tensor> {
    let mut x = this.clone();
    let mut pad = vec![0; 2 * this.dim()];
    for (&d, &n) in dims.iter().zip(points) {
        let have = x.sizes()[d];
        if n < have {
            x = x.narrow(d as i64, 0, n)?;
        } else {
            pad[2 * (this.dim() - d) - 1] = n - have;
        }
    }
    if pad.iter().all(|p| *p == 0) { Ok(x) } else { x.constant_pad_nd(pad) }
}

/// The one dimension and its number of points, by default all that there are.
fn points(this: &Tensor, n: Option<i64>, dim: i64, natural: impl Fn(i64) -> i64) -> Result<(usize, i64)> {
    let dim = wrapped(&[dim], this.dim())?[0];
    let n = n.unwrap_or_else(|| natural(this.sizes()[dim]));
    ensure!(n >= 1, "Invalid number of data points ({n}) specified");
    Ok((dim, n))
}

/// Any numbers to all frequencies.
fn line(this: &Tensor, n: Option<i64>, dim: i64, norm: Option<&str>, forward: bool) -> Result<Tensor> {
    if !this.is_complex() {
        return from_real("fft", this, n, dim, norm, forward, false);
    }
    let (dim, n) = points(this, n, dim, |n| n)?;
    _fft_c2c(&resized(this, &[dim], &[n])?, [dim as i64], normalization(norm, forward)?, forward)
}

/// Real numbers to frequencies; the inverse transform gives their conjugates.
fn from_real(
    name: &str,
    this: &Tensor,
    n: Option<i64>,
    dim: i64,
    norm: Option<&str>,
    forward: bool,
    onesided: bool,
) -> Result<Tensor> {
    if this.is_complex() {
        bail!(Type, "{name} expects a real input tensor, but got {}", this.dtype().scalar_type());
    }
    let x = promoted(this, false)?;
    let (dim, n) = points(&x, n, dim, |n| n)?;
    let x = resized(&x, &[dim], &[n])?;
    let y = _fft_r2c(&x, [dim as i64], normalization(norm, forward)?, onesided)?;
    if forward { Ok(y) } else { y.conj() }
}

/// Half of a Hermitian line to real numbers.
fn to_real(this: &Tensor, n: Option<i64>, dim: i64, norm: Option<&str>, forward: bool) -> Result<Tensor> {
    let x = promoted(this, true)?;
    let (dim, n) = points(&x, n, dim, |n| 2 * (n - 1))?;
    let x = resized(&x, &[dim], &[n / 2 + 1])?;
    let x = if forward { x.conj()? } else { x };
    _fft_c2r(&x, [dim as i64], normalization(norm, forward)?, n)
}

/// The dimensions and numbers of points of a transform along several dimensions.
fn plan(this: &Tensor, s: Option<&[i64]>, dim: Option<&[i64]>) -> Result<(Vec<usize>, Vec<i64>)> {
    let dims = dim.map(|dim| wrapped(dim, this.dim())).transpose()?;
    let sizes = this.sizes();
    let Some(s) = s else {
        let dims = dims.unwrap_or_else(|| (0..sizes.len()).collect());
        let points = dims.iter().map(|d| sizes[*d]).collect();
        return checked(dims, points);
    };
    ensure!(
        dims.as_ref().is_none_or(|d| d.len() == s.len()),
        "When given, dim and shape arguments must have the same length"
    );
    ensure!(
        s.len() <= sizes.len(),
        "Got shape with {} values but input tensor only has {} dimensions.",
        s.len(),
        sizes.len()
    );
    let dims = dims.unwrap_or_else(|| (sizes.len() - s.len()..sizes.len()).collect());
    let points = s.iter().zip(&dims).map(|(n, d)| if *n == -1 { sizes[*d] } else { *n }).collect();
    checked(dims, points)
}

fn checked(dims: Vec<usize>, points: Vec<i64>) -> Result<(Vec<usize>, Vec<i64>)> {
    match points.iter().find(|n| **n < 1) {
        Some(n) => bail!("Invalid number of data points ({n}) specified"),
        None => Ok((dims, points)),
    }
}

/// The dimensions as operators take them.
fn list(dims: &[usize]) -> Vec<i64> {
    dims.iter().map(|d| *d as i64).collect()
}

/// Any numbers to all frequencies along several dimensions.
fn many(
    this: &Tensor,
    s: Option<&[i64]>,
    dim: Option<&[i64]>,
    norm: Option<&str>,
    forward: bool,
) -> Result<Tensor> {
    let x = promoted(this, true)?;
    let (dims, points) = plan(&x, s, dim)?;
    let x = resized(&x, &dims, &points)?;
    _fft_c2c(&x, list(&dims), normalization(norm, forward)?, forward)
}

fn many_from_real(
    this: &Tensor,
    s: Option<&[i64]>,
    dim: Option<&[i64]>,
    norm: Option<&str>,
) -> Result<Tensor> {
    if this.is_complex() {
        bail!(Type, "rfftn expects a real-valued input tensor, but got {}", this.dtype().scalar_type());
    }
    let x = promoted(this, false)?;
    let (dims, points) = plan(&x, s, dim)?;
    ensure!(!dims.is_empty(), "rfftn must transform at least one axis");
    let x = resized(&x, &dims, &points)?;
    _fft_r2c(&x, list(&dims), normalization(norm, true)?, true)
}

/// Half of Hermitian numbers to real ones along several dimensions.
fn many_to_real(
    name: &str,
    this: &Tensor,
    s: Option<&[i64]>,
    dim: Option<&[i64]>,
    norm: Option<&str>,
    forward: bool,
) -> Result<Tensor> {
    let x = promoted(this, true)?;
    let (dims, mut points) = plan(&x, s, dim)?;
    let Some(&last) = dims.last() else { bail!("{name} must transform at least one axis") };
    let n = match s.and_then(|s| s.last()) {
        Some(&n) if n != -1 => n,
        _ => 2 * (x.sizes()[last] - 1),
    };
    ensure!(n >= 1, "Invalid number of data points ({n}) specified");
    *points.last_mut().expect("as many as dimensions") = n / 2 + 1;
    let x = resized(&x, &dims, &points)?;
    let norm = normalization(norm, forward)?;
    if !forward {
        return _fft_c2r(&x, list(&dims), norm, n);
    }
    let rest = list(&dims[..dims.len() - 1]);
    let x = if rest.is_empty() { x } else { _fft_c2c(&x, rest, norm, true)? };
    _fft_c2r(&x.conj()?, [last as i64], norm, n)
}

/// Real numbers to half of Hermitian ones along several dimensions, inverse.
fn many_hermitian(
    this: &Tensor,
    s: Option<&[i64]>,
    dim: Option<&[i64]>,
    norm: Option<&str>,
) -> Result<Tensor> {
    if this.is_complex() {
        bail!(Type, "Only supports floating-point dtypes, but found: {}", this.dtype().scalar_type());
    }
    let x = promoted(this, false)?;
    let (dims, points) = plan(&x, s, dim)?;
    let Some(&last) = dims.last() else { bail!("ihfftn must transform at least one axis") };
    let x = resized(&x, &dims, &points)?;
    let norm = normalization(norm, false)?;
    let y = _fft_r2c(&x, [last as i64], norm, true)?.conj()?;
    let rest = list(&dims[..dims.len() - 1]);
    if rest.is_empty() { Ok(y) } else { _fft_c2c(&y, rest, norm, false) }
}
