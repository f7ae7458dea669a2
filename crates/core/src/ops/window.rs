//! Window functions.
//!
//! A periodic window is the symmetric one of one more point without its last.

use std::f64::consts::PI;

use cresset_kernels::math::special;
use cresset_macros::op;

use super::arange;
use crate::op::{OpDef, Out};
use crate::promotion::get_default_dtype;
use crate::reduction::c_name;
use crate::{DType, Device, Result, Scalar, Tensor, copy, ensure, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![
    bartlett_window,
    bartlett_window_periodic,
    blackman_window,
    blackman_window_periodic,
    hamming_window,
    hamming_window_periodic,
    hamming_window_periodic_alpha,
    hamming_window_periodic_alpha_beta,
    hann_window,
    hann_window_periodic,
    kaiser_window,
    kaiser_window_periodic,
    kaiser_window_beta,
];

/// What every window is asked for.
#[derive(Clone, Copy)]
struct Window {
    name: &'static str,
    length: i64,
    periodic: bool,
    dtype: Option<DType>,
    device: Option<Device>,
}

impl Window {
    /// The window whose `n` values are `shape(n, 0..n)`.
    fn make(self, shape: impl FnOnce(i64, Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let Window { name, length, periodic, dtype, device } = self;
        let dtype = dtype.unwrap_or_else(get_default_dtype);
        ensure!(
            dtype.is_floating_point() || dtype.is_complex(),
            "{name} expects floating point dtypes, got: TensorOptions(dtype={}, device=cpu, layout=Strided (default), requires_grad=false (default), pinned_memory=false, memory_format=(nullopt))",
            c_name(dtype)
        );
        ensure!(length >= 0, "{name} requires non-negative window_length, got window_length={length}");
        if length < 2 {
            return copy::full(&[length], Scalar::Int(1), dtype, device.unwrap_or_default());
        }
        let n = length.saturating_add(i64::from(periodic));
        let window = shape(n, arange::call(n.into(), Some(dtype), device)?)?;
        if periodic { window.narrow(0, 0, length) } else { Ok(window) }
    }

    /// `alpha - beta cos(2 pi k / (n - 1))`.
    fn cosine(self, alpha: f64, beta: f64) -> Result<Tensor> {
        self.make(|n, steps| {
            let wave = times(&steps, 2.0 * PI / (n - 1) as f64)?.cos_()?;
            plus(&times(&wave, -beta)?, alpha)
        })
    }

    /// `0.42 - 0.5 cos(2 t) + 0.08 cos(4 t)` for `t` from 0 to pi.
    fn blackman(self) -> Result<Tensor> {
        self.make(|n, steps| {
            let t = times(&steps, PI / (n - 1) as f64)?;
            let fast = times(&t.mul_scalar(4)?.cos_()?, 0.08)?;
            let slow = times(&t.mul_scalar(2)?.cos_()?, 0.5)?;
            plus(&fast.sub_(&slow)?, 0.42)
        })
    }

    /// A triangle.
    fn bartlett(self) -> Result<Tensor> {
        self.make(|n, steps| {
            let window = times(&steps, 2.0 / (n - 1) as f64)?;
            let rising = ((n - 1) >> 1) + 1;
            window.narrow(0, rising, n - rising)?.mul_scalar_(-1)?.add_scalar_(2)?;
            Ok(window)
        })
    }

    /// `I0(beta sqrt(1 - x^2)) / I0(beta)` for `x` from -1 to 1.
    fn kaiser(self, beta: f64) -> Result<Tensor> {
        self.make(|n, steps| {
            let (scale, whole) = (2.0 / (n - 1) as f64, special::i0(beta));
            let value = |k: f64| {
                let x = k * scale - 1.0;
                special::i0(beta * (1.0 - x * x).max(0.0).sqrt()) / whole
            };
            pointwise::float_map1("kaiser_window", &steps, Out::Inplace(&steps), value)
        })
    }
}

/// Multiplies in place with a number rounded to the dtype, as PyTorch does here.
fn times(t: &Tensor, by: f64) -> Result<Tensor> {
    t.mul_(&Tensor::scalar(by, t.dtype())?)
}

/// Adds a number rounded to the dtype in place.
fn plus(t: &Tensor, by: f64) -> Result<Tensor> {
    t.add_(&Tensor::scalar(by, t.dtype())?)
}

/// Periodic Bartlett window: a triangle.
#[op(
    "bartlett_window(int window_length, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out,
    tags(factory)
)]
mod bartlett_window {
    fn kernel(window_length: i64, dtype: Option<DType>, device: Option<Device>) -> Result<Tensor> {
        let window = Window { name: "bartlett_window", length: window_length, periodic: true, dtype, device };
        window.bartlett()
    }
}

/// Bartlett window: a triangle.
#[op(
    "bartlett_window.periodic(int window_length, bool periodic, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "periodic_out",
    tags(factory)
)]
mod bartlett_window_periodic {
    fn kernel(
        window_length: i64,
        periodic: bool,
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        let window = Window { name: "bartlett_window", length: window_length, periodic, dtype, device };
        window.bartlett()
    }
}

/// Periodic Blackman window.
#[op(
    "blackman_window(int window_length, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out,
    tags(factory)
)]
mod blackman_window {
    fn kernel(window_length: i64, dtype: Option<DType>, device: Option<Device>) -> Result<Tensor> {
        let window = Window { name: "blackman_window", length: window_length, periodic: true, dtype, device };
        window.blackman()
    }
}

/// Blackman window: `0.42 - 0.5 cos(2 t) + 0.08 cos(4 t)` for `t` from 0 to pi.
#[op(
    "blackman_window.periodic(int window_length, bool periodic, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "periodic_out",
    tags(factory)
)]
mod blackman_window_periodic {
    fn kernel(
        window_length: i64,
        periodic: bool,
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        let window = Window { name: "blackman_window", length: window_length, periodic, dtype, device };
        window.blackman()
    }
}

/// Periodic Hamming window.
#[op(
    "hamming_window(int window_length, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out,
    tags(factory)
)]
mod hamming_window {
    fn kernel(window_length: i64, dtype: Option<DType>, device: Option<Device>) -> Result<Tensor> {
        let window = Window { name: "hamming_window", length: window_length, periodic: true, dtype, device };
        window.cosine(0.54, 0.46)
    }
}

/// Hamming window: `0.54 - 0.46 cos(t)` for `t` from 0 to 2 pi.
#[op(
    "hamming_window.periodic(int window_length, bool periodic, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "periodic_out",
    tags(factory)
)]
mod hamming_window_periodic {
    fn kernel(
        window_length: i64,
        periodic: bool,
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        let window = Window { name: "hamming_window", length: window_length, periodic, dtype, device };
        window.cosine(0.54, 0.46)
    }
}

/// Hamming window with another constant.
#[op(
    "hamming_window.periodic_alpha(int window_length, bool periodic, float alpha, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "periodic_alpha_out",
    tags(factory)
)]
mod hamming_window_periodic_alpha {
    fn kernel(
        window_length: i64,
        periodic: bool,
        alpha: f64,
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        let window = Window { name: "hamming_window", length: window_length, periodic, dtype, device };
        window.cosine(alpha, 0.46)
    }
}

/// Hamming window with other coefficients: `alpha - beta cos(t)` for `t` from 0 to 2 pi.
#[op(
    "hamming_window.periodic_alpha_beta(int window_length, bool periodic, float alpha, float beta, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "periodic_alpha_beta_out",
    tags(factory)
)]
mod hamming_window_periodic_alpha_beta {
    fn kernel(
        window_length: i64,
        periodic: bool,
        alpha: f64,
        beta: f64,
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        let window = Window { name: "hamming_window", length: window_length, periodic, dtype, device };
        window.cosine(alpha, beta)
    }
}

/// Periodic Hann window.
#[op(
    "hann_window(int window_length, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out,
    tags(factory)
)]
mod hann_window {
    fn kernel(window_length: i64, dtype: Option<DType>, device: Option<Device>) -> Result<Tensor> {
        let window = Window { name: "hann_window", length: window_length, periodic: true, dtype, device };
        window.cosine(0.5, 0.5)
    }
}

/// Hann window: `0.5 - 0.5 cos(t)` for `t` from 0 to 2 pi.
#[op(
    "hann_window.periodic(int window_length, bool periodic, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "periodic_out",
    tags(factory)
)]
mod hann_window_periodic {
    fn kernel(
        window_length: i64,
        periodic: bool,
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        let window = Window { name: "hann_window", length: window_length, periodic, dtype, device };
        window.cosine(0.5, 0.5)
    }
}

/// Periodic Kaiser window with `beta` 12.
#[op(
    "kaiser_window(int window_length, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out,
    tags(factory)
)]
mod kaiser_window {
    fn kernel(window_length: i64, dtype: Option<DType>, device: Option<Device>) -> Result<Tensor> {
        let window = Window { name: "kaiser_window", length: window_length, periodic: true, dtype, device };
        window.kaiser(12.0)
    }
}

/// Kaiser window with `beta` 12.
#[op(
    "kaiser_window.periodic(int window_length, bool periodic, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "periodic_out",
    tags(factory)
)]
mod kaiser_window_periodic {
    fn kernel(
        window_length: i64,
        periodic: bool,
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        let window = Window { name: "kaiser_window", length: window_length, periodic, dtype, device };
        window.kaiser(12.0)
    }
}

/// Kaiser window: `I0(beta sqrt(1 - x^2)) / I0(beta)` for `x` from -1 to 1.
#[op(
    "kaiser_window.beta(int window_length, bool periodic, float beta, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "beta_out",
    tags(factory)
)]
mod kaiser_window_beta {
    fn kernel(
        window_length: i64,
        periodic: bool,
        beta: f64,
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        let window = Window { name: "kaiser_window", length: window_length, periodic, dtype, device };
        window.kaiser(beta)
    }
}
