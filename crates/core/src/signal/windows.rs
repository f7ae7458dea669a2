//! Window functions, as [`torch.signal.windows`](https://pytorch.org/docs/stable/signal.html).
//!
//! ```
//! # fn main() -> cresset_core::Result<()> {
//! use cresset_core::signal::windows;
//! let w = windows::hann(4, |o| o.sym(false))?;
//! assert_eq!(w.to_vec::<f32>()?, [0.0, 0.5, 1.0, 0.5]);
//! # Ok(())
//! # }
//! ```

use std::f64::consts::PI;

use crate::promotion::get_default_dtype;
use crate::{DType, Device, Result, Scalar, StorageLayout, Tensor, ensure, ops};

/// Optional settings of a window.
#[derive(Clone, Copy, Debug)]
pub struct WindowOptions {
    sym: bool,
    dtype: Option<DType>,
    layout: StorageLayout,
    device: Device,
}

impl WindowOptions {
    /// Whether it is symmetric, for filters, rather than periodic, for spectra (default: yes).
    #[must_use]
    pub fn sym(mut self, sym: bool) -> Self {
        self.sym = sym;
        self
    }

    /// The element type, `float32` or `float64` (default: the default dtype).
    #[must_use]
    pub fn dtype(mut self, dtype: impl Into<Option<DType>>) -> Self {
        self.dtype = dtype.into();
        self
    }

    /// The layout, which must be strided (default).
    #[must_use]
    pub fn layout(mut self, layout: StorageLayout) -> Self {
        self.layout = layout;
        self
    }

    /// The device (default: the CPU).
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }
}

/// A window of `m` points that is being made.
struct Window {
    m: i64,
    sym: bool,
    dtype: DType,
    device: Device,
}

impl Window {
    /// The settings, with PyTorch's checks in the name of `function`.
    fn new(function: &str, m: i64, options: impl FnOnce(WindowOptions) -> WindowOptions) -> Result<Window> {
        let strided = StorageLayout::Strided;
        let o = options(WindowOptions { sym: true, dtype: None, layout: strided, device: Device::Cpu });
        let dtype = o.dtype.unwrap_or_else(get_default_dtype);
        ensure!(m >= 0, Value, "{function} requires non-negative window length, got M={m}");
        ensure!(
            o.layout == strided,
            Value,
            "{function} is implemented for strided tensors only, got: torch.sparse_coo"
        );
        ensure!(
            matches!(dtype, DType::F32 | DType::F64),
            Value,
            "{function} expects float32 or float64 dtypes, got: torch.{}",
            dtype.name()
        );
        Ok(Window { m, sym: o.sym, dtype, device: o.device })
    }

    fn one(&self) -> Result<Tensor> {
        ops::ones_with([self.m], |o| o.dtype(self.dtype).device(self.device))
    }

    /// `(first + i) * factor` for each point.
    fn points(&self, first: f64, factor: f64) -> Result<Tensor> {
        let last = first + (self.m - 1) as f64;
        self.between(first * factor, last * factor)
    }

    fn between(&self, start: f64, end: f64) -> Result<Tensor> {
        ops::linspace_with(start, end, self.m, |o| o.dtype(self.dtype).device(self.device))
    }

    /// Number of steps that a period is divided into, one more for periodic windows of several points.
    fn steps(&self, symmetric: i64) -> f64 {
        (if self.sym || self.m <= 1 { symmetric } else { symmetric + 1 }) as f64
    }
}

/// `exp(-|i - center| / tau)`; the centre is the middle unless given, which only periodic windows allow.
///
/// # Errors
/// `Value` for a negative length, another dtype than `float32` and `float64`, a `tau` that is not positive, or a centre
/// of a symmetric window.
pub fn exponential(
    m: i64,
    center: Option<f64>,
    tau: impl Into<Scalar>,
    options: impl FnOnce(WindowOptions) -> WindowOptions,
) -> Result<Tensor> {
    let (w, tau) = (Window::new("exponential", m, options)?, tau.into());
    ensure!(tau.to_f64() > 0.0, Value, "Tau must be positive, got: {tau} instead.");
    ensure!(!w.sym || center.is_none(), Value, "Center must be None for symmetric windows");
    let center = center.unwrap_or(w.steps(m - 1) / 2.0);
    w.points(-center, 1.0 / tau.to_f64())?.abs()?.neg()?.exp()
}

/// Half a period of the sine.
///
/// # Errors
/// `Value` for a negative length or another dtype than `float32` and `float64`.
pub fn cosine(m: i64, options: impl FnOnce(WindowOptions) -> WindowOptions) -> Result<Tensor> {
    let w = Window::new("cosine", m, options)?;
    w.points(0.5, PI / w.steps(m))?.sin()
}

/// `exp(-(i - center)^2 / (2 std^2))`.
///
/// # Errors
/// `Value` for a negative length, another dtype than `float32` and `float64`, or a `std` that is not positive.
pub fn gaussian(
    m: i64,
    std: impl Into<Scalar>,
    options: impl FnOnce(WindowOptions) -> WindowOptions,
) -> Result<Tensor> {
    let (w, std) = (Window::new("gaussian", m, options)?, std.into());
    ensure!(std.to_f64() > 0.0, Value, "Standard deviation must be positive, got: {std} instead.");
    let factor = 1.0 / (std.to_f64() * 2.0_f64.sqrt());
    w.points(-w.steps(m - 1) / 2.0, factor)?.square()?.neg()?.exp()
}

/// `I0(sqrt(beta^2 - k^2)) / I0(beta)` for `k` from `-beta` to `beta` (Kaiser 1974).
///
/// # Errors
/// `Value` for a negative length, another dtype than `float32` and `float64`, or a negative `beta`.
pub fn kaiser(
    m: i64,
    beta: impl Into<Scalar>,
    options: impl FnOnce(WindowOptions) -> WindowOptions,
) -> Result<Tensor> {
    let (w, beta) = (Window::new("kaiser", m, options)?, beta.into());
    ensure!(beta.to_f64() >= 0.0, Value, "beta must be non-negative, got: {beta} instead.");
    if m <= 1 {
        return w.one();
    }
    // In the window's own precision, so that no square becomes negative.
    let beta = Tensor::scalar(beta, w.dtype)?.to_device(w.device, w.dtype)?;
    let start = beta.neg()?;
    let step = beta.mul_scalar(2.0)?.div_scalar(w.steps(m - 1))?;
    let end = beta.minimum(&start.add(&step.mul_scalar(m - 1)?)?)?;
    let k = w.between(start.item()?.to_f64(), end.item()?.to_f64())?;
    beta.square()?.sub(&k.square()?)?.sqrt()?.i0()?.div(&beta.i0()?)
}

/// [`general_hamming`] with `alpha` 0.54.
///
/// # Errors
/// As [`general_cosine`].
pub fn hamming(m: i64, options: impl FnOnce(WindowOptions) -> WindowOptions) -> Result<Tensor> {
    general_hamming(m, 0.54, options)
}

/// [`general_hamming`] with `alpha` 0.5.
///
/// # Errors
/// As [`general_cosine`].
pub fn hann(m: i64, options: impl FnOnce(WindowOptions) -> WindowOptions) -> Result<Tensor> {
    general_hamming(m, 0.5, options)
}

/// A [`general_cosine`] of three terms, as Blackman has it.
///
/// # Errors
/// As [`general_cosine`].
pub fn blackman(m: i64, options: impl FnOnce(WindowOptions) -> WindowOptions) -> Result<Tensor> {
    sum_of_cosines(&Window::new("blackman", m, options)?, &[0.42, 0.5, 0.08])
}

/// A triangle from 0 to 1 and back.
///
/// # Errors
/// `Value` for a negative length or another dtype than `float32` and `float64`.
pub fn bartlett(m: i64, options: impl FnOnce(WindowOptions) -> WindowOptions) -> Result<Tensor> {
    let w = Window::new("bartlett", m, options)?;
    if m <= 1 {
        return w.one();
    }
    let step = 2.0 / w.steps(m - 1);
    w.between(-1.0, -1.0 + (m - 1) as f64 * step)?.abs()?.rsub_scalar(1)
}

/// `sum_j (-1)^j a[j] cos(2 pi i j / n)`.
///
/// # Errors
/// `Value` for a negative length, another dtype than `float32` and `float64`, or no coefficients.
pub fn general_cosine(
    m: i64,
    a: &[f64],
    options: impl FnOnce(WindowOptions) -> WindowOptions,
) -> Result<Tensor> {
    sum_of_cosines(&Window::new("general_cosine", m, options)?, a)
}

/// `alpha - (1 - alpha) cos(2 pi i / n)`.
///
/// # Errors
/// As [`general_cosine`].
pub fn general_hamming(
    m: i64,
    alpha: f64,
    options: impl FnOnce(WindowOptions) -> WindowOptions,
) -> Result<Tensor> {
    general_cosine(m, &[alpha, 1.0 - alpha], options)
}

/// A [`general_cosine`] of four terms, as Nuttall has it.
///
/// # Errors
/// As [`general_cosine`].
pub fn nuttall(m: i64, options: impl FnOnce(WindowOptions) -> WindowOptions) -> Result<Tensor> {
    general_cosine(m, &[0.3635819, 0.4891775, 0.1365995, 0.0106411], options)
}

fn sum_of_cosines(w: &Window, a: &[f64]) -> Result<Tensor> {
    if w.m <= 1 {
        return w.one();
    }
    ensure!(!a.is_empty(), Value, "Coefficients cannot be empty");
    let k = w.points(0.0, 2.0 * PI / w.steps(w.m - 1))?;
    let signed = a.iter().enumerate().map(|(j, x)| if j % 2 == 0 { *x } else { -x });
    let signed: Vec<f64> = signed.collect();
    let n = a.len() as i64;
    let column = |values: &[f64]| -> Result<Tensor> {
        Tensor::from_slice(values, [n, 1])?.to_device(w.device, w.dtype)
    };
    let orders = column(&(0..n).map(|j| j as f64).collect::<Vec<_>>())?;
    ops::sum_dim(&column(&signed)?.mul(&orders.mul(&k)?.cos()?)?, [0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: &Tensor, want: &[f64]) {
        let got = got.to_vec::<f64>().unwrap();
        assert_eq!(got.len(), want.len());
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-12), "{got:?}, expected {want:?}");
    }

    // The numbers are PyTorch's.
    #[test]
    fn windows_have_pytorchs_values() {
        close(
            &exponential(5, None, 1.5, |o| o.dtype(DType::F64)).unwrap(),
            &[0.26359713811572677, 0.513417119032592, 1.0, 0.513417119032592, 0.26359713811572677],
        );
        close(
            &exponential(4, None, 1.5, |o| o.dtype(DType::F64).sym(false)).unwrap(),
            &[0.26359713811572677, 0.513417119032592, 1.0, 0.513417119032592],
        );
        close(
            &cosine(5, |o| o.dtype(DType::F64)).unwrap(),
            &[0.3090169943749474, 0.8090169943749475, 1.0, 0.8090169943749475, 0.3090169943749475],
        );
        close(
            &cosine(4, |o| o.dtype(DType::F64).sym(false)).unwrap(),
            &[0.3090169943749474, 0.8090169943749475, 1.0, 0.8090169943749475],
        );
        close(
            &gaussian(5, 0.9, |o| o.dtype(DType::F64)).unwrap(),
            &[0.08465798862253002, 0.5394075072376268, 1.0, 0.5394075072376268, 0.08465798862253002],
        );
        close(
            &gaussian(4, 0.9, |o| o.dtype(DType::F64).sym(false)).unwrap(),
            &[0.08465798862253002, 0.5394075072376268, 1.0, 0.5394075072376268],
        );
        close(
            &kaiser(5, 5, |o| o.dtype(DType::F64)).unwrap(),
            &[0.036710892271286676, 0.5528517696991327, 1.0, 0.5528517696991327, 0.036710892271286676],
        );
        close(
            &kaiser(4, 5, |o| o.dtype(DType::F64).sym(false)).unwrap(),
            &[0.036710892271286676, 0.5528517696991327, 1.0, 0.5528517696991327],
        );
        close(
            &hamming(5, |o| o.dtype(DType::F64)).unwrap(),
            &[0.08000000000000007, 0.54, 1.0, 0.5400000000000001, 0.08000000000000007],
        );
        close(
            &hamming(4, |o| o.dtype(DType::F64).sym(false)).unwrap(),
            &[0.08000000000000007, 0.54, 1.0, 0.5400000000000001],
        );
        close(
            &hann(5, |o| o.dtype(DType::F64)).unwrap(),
            &[0.0, 0.49999999999999994, 1.0, 0.5000000000000001, 0.0],
        );
        close(
            &hann(4, |o| o.dtype(DType::F64).sym(false)).unwrap(),
            &[0.0, 0.49999999999999994, 1.0, 0.5000000000000001],
        );
        close(
            &blackman(5, |o| o.dtype(DType::F64)).unwrap(),
            &[
                -1.3877787807814457e-17,
                0.3399999999999999,
                0.9999999999999999,
                0.3400000000000001,
                -1.3877787807814457e-17,
            ],
        );
        close(
            &blackman(4, |o| o.dtype(DType::F64).sym(false)).unwrap(),
            &[-1.3877787807814457e-17, 0.3399999999999999, 0.9999999999999999, 0.3400000000000001],
        );
        close(&bartlett(5, |o| o.dtype(DType::F64)).unwrap(), &[0.0, 0.5, 1.0, 0.5, 0.0]);
        close(&bartlett(4, |o| o.dtype(DType::F64).sym(false)).unwrap(), &[0.0, 0.5, 1.0, 0.5]);
        close(
            &nuttall(5, |o| o.dtype(DType::F64)).unwrap(),
            &[0.0003628000000000381, 0.22698239999999995, 1.0, 0.2269824000000001, 0.0003628000000000381],
        );
        close(
            &nuttall(4, |o| o.dtype(DType::F64).sym(false)).unwrap(),
            &[0.0003628000000000381, 0.22698239999999995, 1.0, 0.2269824000000001],
        );
    }

    #[test]
    fn short_windows() {
        for m in 0..2 {
            let ones = vec![1.0; m as usize];
            close(&hann(m, |o| o.dtype(DType::F64)).unwrap(), &ones);
            close(&kaiser(m, 3, |o| o.dtype(DType::F64).sym(false)).unwrap(), &ones);
            close(&gaussian(m, 3, |o| o.dtype(DType::F64)).unwrap(), &ones);
            close(&cosine(m, |o| o.dtype(DType::F64)).unwrap(), &ones);
        }
    }

    #[test]
    fn impossible_windows_are_refused() {
        let e = general_hamming(-1, 0.3, |o| o).unwrap_err();
        assert_eq!(e.message(), "general_cosine requires non-negative window length, got M=-1");
        let e = gaussian(3, -1, |o| o).unwrap_err();
        assert_eq!(e.message(), "Standard deviation must be positive, got: -1 instead.");
        let e = bartlett(3, |o| o.dtype(DType::F16)).unwrap_err();
        assert_eq!(e.message(), "bartlett expects float32 or float64 dtypes, got: torch.float16");
    }
}
