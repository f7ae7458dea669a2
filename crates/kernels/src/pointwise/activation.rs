//! Activation functions of neural networks, and their derivatives times an incoming gradient.

use super::loops::{map1, map2};
use super::{GRAIN, Unsupported, input, output, run};
use crate::dtype::DType;
use crate::math::Real;
use crate::strided::Operand;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};
use std::mem::MaybeUninit;

/// `sqrt(2 / pi)`.
const SQRT_2_PI: f64 = SQRT_2 * FRAC_2_SQRT_PI * 0.5;
/// The cubic's factor in the tanh form of GELU (Hendrycks and Gimpel).
const GELU_CUBIC: f64 = 0.044715;

/// An activation function, named as PyTorch's operator.
#[allow(missing_docs)] // names and parameters are PyTorch's
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    Relu,
    Gelu,
    GeluTanh,
    Silu,
    Mish,
    /// `positive x` above 0, else `negative expm1(input x)`: also `celu` and `selu`.
    Elu {
        negative: f64,
        positive: f64,
        input: f64,
    },
    LeakyRelu {
        slope: f64,
    },
    Hardsigmoid,
    Hardswish,
    Softplus {
        beta: f64,
        threshold: f64,
    },
    Softshrink {
        lambda: f64,
    },
    Hardshrink {
        lambda: f64,
    },
    Threshold {
        threshold: f64,
        value: f64,
    },
    LogSigmoid,
}

/// The derivative of an activation at its input `x` (or output `y`) times the gradient `g`.
#[allow(missing_docs)] // names and parameters are PyTorch's
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ActivationGrad {
    /// `g (1 - y^2)`.
    Tanh,
    /// `g y (1 - y)`.
    Sigmoid,
    Gelu,
    GeluTanh,
    Silu,
    Mish,
    Elu {
        negative: f64,
        positive: f64,
        input: f64,
    },
    /// From the output of `Elu`.
    EluOutput {
        negative: f64,
        positive: f64,
        input: f64,
    },
    LeakyRelu {
        slope: f64,
    },
    Hardsigmoid,
    Hardswish,
    Hardtanh {
        low: f64,
        high: f64,
    },
    Softplus {
        beta: f64,
        threshold: f64,
    },
    /// Of `Softshrink` and `Hardshrink`.
    Shrink {
        lambda: f64,
    },
    /// `g` where `x` is above the threshold: also of `relu`.
    Threshold {
        threshold: f64,
    },
    LogSigmoid,
    Logit {
        eps: f64,
    },
}

/// Applies an activation elementwise, computing in `compute`, `f32` or `f64`.
///
/// # Errors
/// `Unsupported` for any other `compute`; nothing is written then.
///
/// # Safety
/// As [`unary`](super::unary).
pub unsafe fn activation(
    op: Activation,
    compute: DType,
    sizes: &[i64],
    out: Operand,
    x: Operand,
) -> Result<(), Unsupported> {
    macro_rules! with {
        ($T:ty) => {{
            let kernel = |p: [*mut u8; 2], n: usize| {
                // SAFETY: `run` passes `n` elements of the compute type.
                unsafe { forward::<$T>(op, output(p[0], n), input(p[1], n)) }
            };
            // SAFETY: the caller's promise.
            unsafe { run(sizes, [out, x], [compute; 2], GRAIN / 2, &kernel) }
        }};
    }
    match compute {
        DType::F32 => with!(f32),
        DType::F64 => with!(f64),
        _ => return Err(Unsupported),
    }
    Ok(())
}

/// Multiplies a gradient elementwise with an activation's derivative, computing in `compute`, `f32` or `f64`.
///
/// # Errors
/// `Unsupported` for any other `compute`; nothing is written then.
///
/// # Safety
/// As [`binary`](super::binary).
pub unsafe fn activation_grad(
    op: ActivationGrad,
    compute: DType,
    sizes: &[i64],
    out: Operand,
    grad: Operand,
    x: Operand,
) -> Result<(), Unsupported> {
    macro_rules! with {
        ($T:ty) => {{
            let kernel = |p: [*mut u8; 3], n: usize| {
                // SAFETY: `run` passes `n` elements of the compute type.
                unsafe { backward::<$T>(op, output(p[0], n), input(p[1], n), input(p[2], n)) }
            };
            // SAFETY: the caller's promise.
            unsafe { run(sizes, [out, grad, x], [compute; 3], GRAIN / 2, &kernel) }
        }};
    }
    match compute {
        DType::F32 => with!(f32),
        DType::F64 => with!(f64),
        _ => return Err(Unsupported),
    }
    Ok(())
}

fn forward<T: Real>(op: Activation, out: &mut [MaybeUninit<T>], a: &[T]) {
    macro_rules! each {
        (|$x:ident| $e:expr) => { map1!(T: Real => T; out, a, (), |$x| $e) };
        ($($p:ident = $v:expr),*; |$x:ident| $e:expr) => { map1!(T: Real => T; out, a, ($($p = T::real($v)),*), |$x| $e) };
    }
    match op {
        Activation::Relu => each!(|x| if x < T::ZERO { T::ZERO } else { x }),
        Activation::Gelu => each!(|x| x * x.normal_cdf()),
        Activation::GeluTanh => each!(|x| x * gelu_gate(x)),
        Activation::Silu => each!(|x| x / (T::ONE + (-x).exp())),
        Activation::Mish => each!(|x| x * x.exp().log1p().tanh()),
        Activation::Elu { negative, positive, input } => each!(n = negative, p = positive, i = input; |x| {
            let below = (x * i).expm1() * n;
            if x < T::ZERO { below } else { x * p }
        }),
        Activation::LeakyRelu { slope } => each!(slope = slope; |x| if x > T::ZERO { x } else { x * slope }),
        Activation::Hardsigmoid => each!(|x| relu6(x + T::real(3.0)) / T::real(6.0)),
        Activation::Hardswish => each!(|x| x * relu6(x + T::real(3.0)) / T::real(6.0)),
        Activation::Softplus { beta, threshold } => each!(beta = beta, threshold = threshold; |x| {
            let soft = (x * beta).exp().log1p() / beta;
            if x * beta > threshold { x } else { soft }
        }),
        Activation::Softshrink { lambda } => each!(l = lambda; |x| {
            let y = if x < -l { x + l } else { x * T::ZERO };
            if x > l { x - l } else { y }
        }),
        Activation::Hardshrink { lambda } => {
            each!(l = lambda; |x| if x >= -l && x <= l { T::ZERO } else { x })
        }
        Activation::Threshold { threshold, value } => {
            each!(t = threshold, value = value; |x| if x <= t { value } else { x })
        }
        Activation::LogSigmoid => each!(|x| x.min_nan(T::ZERO) - (-x.abs()).exp().log1p()),
    }
}

fn backward<T: Real>(op: ActivationGrad, out: &mut [MaybeUninit<T>], g: &[T], a: &[T]) {
    macro_rules! each {
        (|$g:ident, $x:ident| $e:expr) => { map2!(T: Real => T; out, g, a, (), |$g, $x| $e) };
        ($($p:ident = $v:expr),*; |$g:ident, $x:ident| $e:expr) => {
            map2!(T: Real => T; out, g, a, ($($p = T::real($v)),*), |$g, $x| $e)
        };
    }
    match op {
        ActivationGrad::Tanh => each!(|g, y| g * (T::ONE - y * y)),
        ActivationGrad::Sigmoid => each!(|g, y| g * (T::ONE - y) * y),
        ActivationGrad::Gelu => each!(|g, x| g * (x.normal_cdf() + x * normal_density(x))),
        ActivationGrad::GeluTanh => each!(|g, x| g * gelu_tanh_derivative(x)),
        ActivationGrad::Silu => each!(|g, x| {
            let s = x.sigmoid();
            g * s * (T::ONE + x * (T::ONE - s))
        }),
        ActivationGrad::Mish => each!(|g, x| {
            let t = x.exp().log1p().tanh();
            g * (t + x * x.sigmoid() * (T::ONE - t * t))
        }),
        ActivationGrad::Elu { negative, positive, input } => {
            each!(n = negative, p = positive, i = input; |g, x| {
                let below = g * i * n * (x * i).exp();
                if x <= T::ZERO { below } else { g * p }
            })
        }
        ActivationGrad::EluOutput { negative, positive, input } => {
            each!(n = negative, p = positive, i = input; |g, y| if y <= T::ZERO { g * i * (y + n) } else { g * p })
        }
        ActivationGrad::LeakyRelu { slope } => {
            each!(slope = slope; |g, x| if x > T::ZERO { g } else { g * slope })
        }
        ActivationGrad::Hardsigmoid => {
            each!(three = 3.0; |g, x| if x > -three && x < three { g / T::real(6.0) } else { T::ZERO })
        }
        ActivationGrad::Hardswish => each!(three = 3.0; |g, x| {
            let ramp = if x < three { g * (x / three + T::real(0.5)) } else { g };
            if x <= -three { T::ZERO } else { ramp }
        }),
        ActivationGrad::Hardtanh { low, high } => {
            each!(low = low, high = high; |g, x| if x <= low || x >= high { T::ZERO } else { g })
        }
        ActivationGrad::Softplus { beta, threshold } => each!(beta = beta, threshold = threshold; |g, x| {
            let z = (x * beta).exp();
            if x * beta > threshold { g } else { g * z / (z + T::ONE) }
        }),
        ActivationGrad::Shrink { lambda } => {
            each!(l = lambda; |g, x| if x >= -l && x <= l { T::ZERO } else { g })
        }
        ActivationGrad::Threshold { threshold } => {
            each!(t = threshold; |g, x| if x <= t { T::ZERO } else { g })
        }
        ActivationGrad::LogSigmoid => each!(|g, x| {
            let z = (-x.abs()).exp();
            let part = z / (T::ONE + z);
            g * if x < T::ZERO { T::ONE - part } else { part }
        }),
        ActivationGrad::Logit { eps } => logit_backward(out, g, a, eps),
    }
}

fn logit_backward<T: Real>(out: &mut [MaybeUninit<T>], g: &[T], a: &[T], eps: f64) {
    let (low, high) = if eps < 0.0 { (0.0, 1.0) } else { (eps, 1.0 - eps) };
    let outside = if eps < 0.0 { T::NAN } else { T::ZERO };
    map2!(T: Real => T; out, g, a, (low = T::real(low), high = T::real(high), outside = outside), |g, x| {
        if x < low || x > high { outside } else { g / (x * (T::ONE - x)) }
    });
}

#[inline(always)]
fn relu6<T: Real>(x: T) -> T {
    let x = if x < T::ZERO { T::ZERO } else { x };
    if x > T::real(6.0) { T::real(6.0) } else { x }
}

/// Density of the normal distribution.
#[inline(always)]
fn normal_density<T: Real>(x: T) -> T {
    (x * x * T::real(-0.5)).exp() * T::real(0.5 * FRAC_1_SQRT_2 * FRAC_2_SQRT_PI)
}

/// `(1 + tanh(inner)) / 2` of the tanh form of GELU.
#[inline(always)]
fn gelu_gate<T: Real>(x: T) -> T {
    let cubic = (x * x).mul_add(T::real(2.0 * SQRT_2_PI * GELU_CUBIC), T::real(2.0 * SQRT_2_PI));
    (x * cubic).gate()
}

#[inline(always)]
fn gelu_tanh_derivative<T: Real>(x: T) -> T {
    let gate = gelu_gate(x);
    let slope = (x * x).mul_add(T::real(6.0 * SQRT_2_PI * GELU_CUBIC), T::real(2.0 * SQRT_2_PI));
    (x * gate * (T::ONE - gate)).mul_add(slope, gate)
}
