//! Activation functions. Their gradients are operators of their own (`activation_grad`), so that they differentiate again.

use cresset_kernels::pointwise::{Activation, Binary, Unary};
use cresset_macros::op;

use super::activation_grad::*;
use super::unary::largest;
use super::where_self;
use crate::layout::Dims;
use crate::op::{OpDef, Out};
use crate::supported::{floats, numbers, require};
use crate::{DType, Result, Scalar, Tensor, bail, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![
    relu,
    relu6,
    gelu,
    silu,
    mish,
    elu,
    celu,
    selu,
    leaky_relu,
    hardtanh,
    hardsigmoid,
    hardswish,
    softplus,
    softshrink,
    hardshrink,
    threshold,
    log_sigmoid,
    log_sigmoid_forward,
    prelu,
    _prelu_kernel,
    _prelu_kernel_backward,
];

/// `max(self, 0)`.
#[op("relu(Tensor self) -> Tensor", inplace, out, tags(pointwise, core, keeps_zero), onnx = "Relu")]
mod relu {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        if this.dtype() == DType::Bool {
            bail!(NotImplemented, "Boolean inputs not supported for relu");
        }
        if this.is_complex() {
            bail!(NotImplemented, "clamp is not supported for complex types");
        }
        if this.dtype().is_integral_or_bool() {
            return pointwise::unary(Unary::ClampInt { low: 0, high: i64::MAX }, "clamp_min_cpu", this, out);
        }
        pointwise::activation(Activation::Relu, "relu_cpu", this, out)
    }
    fn grad_this(g: &Tensor, out: &Tensor) -> Result<Tensor> {
        threshold_backward(g, out, 0)
    }
}

/// `min(max(self, 0), 6)`.
#[op("relu6(Tensor self) -> Tensor", inplace, composite)]
mod relu6 {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        hardtanh::call(this, Scalar::Int(0), Scalar::Int(6))
    }
}

/// `self` times the normal distribution function at `self`; `approximate` is `"none"` or `"tanh"`.
#[op("gelu(Tensor self, *, str approximate=\"none\") -> Tensor", inplace, out, tags(pointwise))]
mod gelu {
    fn kernel(this: &Tensor, approximate: &str, out: Out) -> Result<Tensor> {
        let op = if is_tanh(approximate)? { Activation::GeluTanh } else { Activation::Gelu };
        pointwise::activation(op, "GeluKernelImpl", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, approximate: &str) -> Result<Tensor> {
        gelu_backward_with(g, this, |o| o.approximate(approximate))
    }
}

/// `self * sigmoid(self)`.
#[op("silu(Tensor self) -> Tensor", inplace, out, tags(pointwise))]
mod silu {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        if this.is_complex() {
            return pointwise::binary(Binary::Mul, "mul_cpu", this, &this.detach().sigmoid()?, out);
        }
        pointwise::activation(Activation::Silu, "silu_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        silu_backward(g, this)
    }
}

/// `self * tanh(softplus(self))`.
#[op("mish(Tensor self) -> Tensor", inplace, out, tags(pointwise), onnx = "Mish")]
mod mish {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::activation(Activation::Mish, "mish_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        mish_backward(g, this)
    }
}

/// `self` above 0, else `alpha * (e^self - 1)`; `scale` multiplies both, `input_scale` the exponent.
#[op(
    "elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor",
    inplace,
    out,
    tags(pointwise)
)]
mod elu {
    fn kernel(this: &Tensor, alpha: Scalar, scale: Scalar, input_scale: Scalar, out: Out) -> Result<Tensor> {
        let (negative, positive) = (alpha.to_f64() * scale.to_f64(), scale.to_f64());
        let op = Activation::Elu { negative, positive, input: input_scale.to_f64() };
        pointwise::activation(op, "elu_cpu", this, out)
    }
    fn grad_this(
        g: &Tensor,
        this: &Tensor,
        alpha: Scalar,
        scale: Scalar,
        input_scale: Scalar,
    ) -> Result<Tensor> {
        elu_backward(g, alpha, scale, input_scale, false, this)
    }
}

/// `elu` whose slope is continuous: the exponent is divided by `alpha`.
#[op("celu(Tensor self, Scalar alpha=1.) -> Tensor", inplace, composite)]
mod celu {
    fn kernel(this: &Tensor, alpha: Scalar) -> Result<Tensor> {
        if alpha.to_f64() == 0.0 {
            bail!("ZeroDivisionError: alpha cannot be 0 for CELU");
        }
        elu::call(this, alpha, Scalar::Float(1.0), Scalar::Float(1.0 / alpha.to_f64()))
    }
}

/// `elu` with the constants that keep mean and variance (Klambauer et al.).
#[op("selu(Tensor self) -> Tensor", inplace, composite)]
mod selu {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        let (alpha, scale) = (1.6732632423543772, 1.0507009873554805);
        elu::call(this, Scalar::Float(alpha), Scalar::Float(scale), Scalar::Int(1))
    }
}

/// `self` above 0, else `negative_slope * self`.
#[op("leaky_relu(Tensor self, Scalar negative_slope=0.01) -> Tensor", inplace, out, tags(pointwise))]
mod leaky_relu {
    fn kernel(this: &Tensor, negative_slope: Scalar, out: Out) -> Result<Tensor> {
        pointwise::activation(
            Activation::LeakyRelu { slope: negative_slope.to_f64() },
            "leaky_relu_cpu",
            this,
            out,
        )
    }
    fn grad_this(g: &Tensor, this: &Tensor, negative_slope: Scalar) -> Result<Tensor> {
        leaky_relu_backward(g, this, negative_slope, false)
    }
}

/// `self` limited to `[min_val, max_val]`.
#[op("hardtanh(Tensor self, Scalar min_val=-1, Scalar max_val=1) -> Tensor", inplace, out, tags(pointwise))]
mod hardtanh {
    fn kernel(this: &Tensor, min_val: Scalar, max_val: Scalar, out: Out) -> Result<Tensor> {
        if this.dtype() == DType::Bool {
            bail!(NotImplemented, "Bool inputs not supported for hardtanh");
        }
        if this.dtype().is_integral_or_bool() {
            let op = Unary::ClampInt { low: min_val.to_i64(), high: max_val.to_i64() };
            return pointwise::unary(op, "clamp_cpu", this, out);
        }
        let op = Unary::Clamp { low: min_val.to_f64(), high: max_val.to_f64() };
        pointwise::unary(op, "clamp_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, min_val: Scalar, max_val: Scalar) -> Result<Tensor> {
        hardtanh_backward(g, this, min_val, max_val)
    }
}

/// `relu6(self + 3) / 6`.
#[op("hardsigmoid(Tensor self) -> Tensor", inplace, out, tags(pointwise))]
mod hardsigmoid {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::activation(Activation::Hardsigmoid, "hardsigmoid_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        hardsigmoid_backward(g, this)
    }
}

/// `self * relu6(self + 3) / 6`.
#[op("hardswish(Tensor self) -> Tensor", inplace, out, tags(pointwise), onnx = "HardSwish")]
mod hardswish {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::activation(Activation::Hardswish, "hardswish_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        hardswish_backward(g, this)
    }
}

/// `log(1 + e^(beta self)) / beta`, and `self` itself where `beta self` is above `threshold`.
#[op("softplus(Tensor self, Scalar beta=1, Scalar threshold=20) -> Tensor", out, tags(pointwise))]
mod softplus {
    fn kernel(this: &Tensor, beta: Scalar, threshold: Scalar, out: Out) -> Result<Tensor> {
        let op = Activation::Softplus { beta: beta.to_f64(), threshold: threshold.to_f64() };
        pointwise::activation(op, "softplus_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, beta: Scalar, threshold: Scalar) -> Result<Tensor> {
        softplus_backward(g, this, beta, threshold)
    }
}

/// `self` moved towards 0 by `lambd`, and 0 within it.
#[op("softshrink(Tensor self, Scalar lambd=0.5) -> Tensor", out, tags(pointwise))]
mod softshrink {
    fn kernel(this: &Tensor, lambd: Scalar, out: Out) -> Result<Tensor> {
        let lambda = lambd.to_f64();
        let largest = largest(this.dtype());
        if lambda < 0.0 || lambda > largest {
            let (limit, name) = (super::general(largest), this.dtype().scalar_type());
            let got = super::general(lambda);
            bail!("lambda must be in range [0, {limit}] for input dtype {name}, but found {got}");
        }
        pointwise::activation(Activation::Softshrink { lambda }, "softshrink_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, lambd: Scalar) -> Result<Tensor> {
        softshrink_backward(g, this, lambd)
    }
}

/// `self` outside of `[-lambd, lambd]`, 0 within.
#[op("hardshrink(Tensor self, Scalar lambd=0.5) -> Tensor", out, tags(pointwise))]
mod hardshrink {
    fn kernel(this: &Tensor, lambd: Scalar, out: Out) -> Result<Tensor> {
        pointwise::activation(Activation::Hardshrink { lambda: lambd.to_f64() }, "hardshrink_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, lambd: Scalar) -> Result<Tensor> {
        hardshrink_backward(g, this, lambd)
    }
}

/// `self` above `threshold`, else `value`.
#[op("threshold(Tensor self, Scalar threshold, Scalar value) -> Tensor", inplace, out, tags(pointwise))]
mod threshold {
    fn kernel(this: &Tensor, threshold: Scalar, value: Scalar, out: Out) -> Result<Tensor> {
        require("threshold_cpu", this, numbers)?;
        if this.dtype().is_integral_or_bool() {
            let low = this.detach().le_scalar(threshold)?;
            return pointwise::select(&low, &Tensor::wrapped(value)?, this, this.dtype(), out);
        }
        let op = Activation::Threshold { threshold: threshold.to_f64(), value: value.to_f64() };
        pointwise::activation(op, "threshold_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, threshold: Scalar) -> Result<Tensor> {
        threshold_backward(g, this, threshold)
    }
}

/// Logarithm of the logistic function.
#[op("log_sigmoid(Tensor self) -> Tensor", out, tags(pointwise))]
mod log_sigmoid {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::activation(Activation::LogSigmoid, "log_sigmoid_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        // The gradient is computed again rather than from the buffer.
        log_sigmoid_backward(g, this, this)
    }
}

/// Logarithm of the logistic function, and `e^-|self|`.
#[op("log_sigmoid_forward(Tensor self) -> (Tensor output, Tensor buffer)", out("output", output, buffer))]
mod log_sigmoid_forward {
    fn kernel(this: &Tensor) -> Result<(Tensor, Tensor)> {
        let this = this.detach();
        Ok((this.log_sigmoid()?, this.abs()?.neg()?.exp()?))
    }
    fn grad_this(g0: Option<&Tensor>, this: &Tensor, out1: &Tensor) -> Result<Option<Tensor>> {
        g0.map(|g| log_sigmoid_backward(g, this, out1)).transpose()
    }
}

/// `self` above 0, else `weight * self`, with one weight or one per channel (dimension 1).
///
/// # Errors
/// `Runtime` unless `weight` has one element or one per channel.
#[op("prelu(Tensor self, Tensor weight) -> Tensor", autocast = "lower", composite)]
mod prelu {
    fn kernel(this: &Tensor, weight: &Tensor) -> Result<Tensor> {
        if this.dim() == 0 && weight.numel() != 1 {
            bail!("Not allow zero-dim input tensor.");
        }
        if weight.numel() != 1 {
            let channels = if this.dim() > 1 { this.sizes()[1] } else { 1 };
            if channels != weight.numel() as i64 {
                bail!(
                    "Mismatch of parameter numbers and input channel size. Found parameter numbers = {} and channel size = {channels}.",
                    weight.numel()
                );
            }
        }
        if weight.dim() > 1 {
            bail!("prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {}", weight.dim());
        }
        let mut shape = Dims::from_elem(1, this.dim());
        if this.dim() > 1 {
            shape[1] = weight.numel() as i64;
        }
        let strides = Dims::from_iter((0..this.dim()).map(|d| i64::from(d == 1)));
        let stride = weight.strides().first().copied().unwrap_or(1);
        let strides: Dims = strides.iter().map(|s| s * stride).collect();
        _prelu_kernel::call(this, &weight.as_strided(&shape[..], &strides[..])?)
    }
}

/// `self` above 0, else `weight * self`, broadcasting.
#[op("_prelu_kernel(Tensor self, Tensor weight) -> Tensor", no_method)]
mod _prelu_kernel {
    fn kernel(this: &Tensor, weight: &Tensor) -> Result<Tensor> {
        require("prelu_cpu", this, floats)?;
        if !this.is_floating_point() {
            bail!(NotImplemented, "\"prelu_cpu\" not implemented for '{}'", this.dtype().scalar_type());
        }
        pointwise::binary(Binary::Prelu, "prelu_cpu", this, weight, Out::New)
    }
    fn grad_this(g: &Tensor, this: &Tensor, weight: &Tensor) -> Result<Tensor> {
        where_self(&this.gt_scalar(0)?, g, &weight.mul(g)?)
    }
    fn grad_weight(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        where_self(&this.gt_scalar(0)?, &Tensor::wrapped(Scalar::Int(0))?, &this.mul(g)?)
    }
}

/// Gradients of [`_prelu_kernel`], each of the broadcast shape.
#[op(
    "_prelu_kernel_backward(Tensor grad_output, Tensor self, Tensor weight) -> (Tensor, Tensor)",
    composite,
    no_method,
    no_fn
)]
mod _prelu_kernel_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, weight: &Tensor) -> Result<(Tensor, Tensor)> {
        let above = this.gt_scalar(0)?;
        let zero = Tensor::wrapped(Scalar::Int(0))?;
        let grad = where_self(&above, grad_output, &weight.mul(grad_output)?)?;
        Ok((grad, where_self(&above, &zero, &this.mul(grad_output)?)?))
    }
}

/// Which form of GELU.
pub(super) fn is_tanh(approximate: &str) -> Result<bool> {
    match approximate {
        "none" => Ok(false),
        "tanh" => Ok(true),
        _ => bail!("approximate argument must be either none or tanh."),
    }
}

/// A number as C++ streams print it: six significant digits.
fn general(x: f64) -> String {
    if x != 0.0 && !(1e-4..1e6).contains(&x.abs()) {
        let text = format!("{x:.5e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    format!("{x}")
}
