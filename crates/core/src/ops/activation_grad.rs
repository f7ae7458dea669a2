//! Gradients of activation functions, as operators with gradients of their own.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};

use cresset_kernels::pointwise::{ActivationGrad, Binary};
use cresset_macros::op;

use super::activation::is_tanh;
use super::unary::zero_grad;
use super::where_self;
use crate::op::{OpDef, Out};
use crate::{Result, Scalar, Tensor, bail, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![
    tanh_backward,
    sigmoid_backward,
    threshold_backward,
    gelu_backward,
    silu_backward,
    mish_backward,
    elu_backward,
    leaky_relu_backward,
    hardtanh_backward,
    hardsigmoid_backward,
    hardswish_backward,
    softplus_backward,
    softshrink_backward,
    hardshrink_backward,
    log_sigmoid_backward,
    logit_backward,
];

/// Gradient of [`tanh`](super::tanh) from its output.
#[op("tanh_backward(Tensor grad_output, Tensor output) -> Tensor", tags(pointwise), no_method)]
mod tanh_backward {
    fn kernel(grad_output: &Tensor, output: &Tensor, out: Out) -> Result<Tensor> {
        if output.is_complex() || grad_output.is_complex() {
            let (g, y) = (grad_output.detach(), output.detach());
            return pointwise::binary(Binary::Mul, "mul_cpu", &g, &y.mul(&y)?.rsub_scalar(1)?.conj()?, out);
        }
        pointwise::activation_grad(ActivationGrad::Tanh, "tanh_backward_cpu", grad_output, output, out)
    }
    fn grad_grad_output(g: &Tensor, output: &Tensor) -> Result<Tensor> {
        tanh_backward(g, &output.conj()?)
    }
    fn grad_output(g: &Tensor, grad_output: &Tensor, output: &Tensor) -> Result<Tensor> {
        g.conj()?.mul(grad_output)?.mul(&output.conj()?.mul_scalar(-2)?)
    }
}

/// Gradient of [`sigmoid`](super::sigmoid) from its output.
#[op("sigmoid_backward(Tensor grad_output, Tensor output) -> Tensor", tags(pointwise), no_method)]
mod sigmoid_backward {
    fn kernel(grad_output: &Tensor, output: &Tensor, out: Out) -> Result<Tensor> {
        if output.is_complex() || grad_output.is_complex() {
            let (g, y) = (grad_output.detach(), output.detach());
            let slope = y.rsub_scalar(1)?.mul(&y)?.conj()?;
            return pointwise::binary(Binary::Mul, "mul_cpu", &g, &slope, out);
        }
        pointwise::activation_grad(ActivationGrad::Sigmoid, "sigmoid_backward_cpu", grad_output, output, out)
    }
    fn grad_grad_output(g: &Tensor, output: &Tensor) -> Result<Tensor> {
        sigmoid_backward(g, &output.conj()?)
    }
    fn grad_output(g: &Tensor, grad_output: &Tensor, output: &Tensor) -> Result<Tensor> {
        g.conj()?.mul(grad_output)?.mul(&output.conj()?.mul_scalar(-2)?.add_scalar(1)?)
    }
}

/// Gradient of [`threshold`].
#[op(
    "threshold_backward(Tensor grad_output, Tensor self, Scalar threshold) -> Tensor",
    tags(pointwise),
    no_method
)]
mod threshold_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, threshold: Scalar, out: Out) -> Result<Tensor> {
        if grad_output.dtype().is_integral_or_bool() && this.dtype().is_integral_or_bool() {
            let below = this.detach().le_scalar(threshold)?;
            let zero = Tensor::scalar(0, grad_output.dtype())?;
            let dtype = crate::promotion::result_type(&[grad_output, this]);
            return pointwise::select(&below, &zero, grad_output, dtype, out);
        }
        pointwise::activation_grad(
            ActivationGrad::Threshold { threshold: threshold.to_f64() },
            "threshold_backward_cpu",
            grad_output,
            this,
            out,
        )
    }
    fn grad_grad_output(g: &Tensor, this: &Tensor, threshold: Scalar) -> Result<Tensor> {
        threshold_backward(g, this, threshold)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Gradient of [`gelu`](super::gelu).
#[op(
    "gelu_backward(Tensor grad_output, Tensor self, *, str approximate=\"none\") -> Tensor",
    tags(pointwise),
    no_method
)]
mod gelu_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, approximate: &str, out: Out) -> Result<Tensor> {
        let op = if is_tanh(approximate)? { ActivationGrad::GeluTanh } else { ActivationGrad::Gelu };
        pointwise::activation_grad(op, "GeluBackwardKernelImpl", grad_output, this, out)
    }
    fn grad_grad_output(g: &Tensor, this: &Tensor, approximate: &str) -> Result<Tensor> {
        gelu_backward::call(g, this, approximate)
    }
    fn grad_this(g: &Tensor, grad_output: &Tensor, this: &Tensor, approximate: &str) -> Result<Tensor> {
        let curve = if is_tanh(approximate)? { gelu_tanh_curve(this)? } else { gelu_curve(this)? };
        g.mul(grad_output)?.mul(&curve)
    }
}

/// Gradient of [`silu`].
#[op("silu_backward(Tensor grad_output, Tensor self) -> Tensor", tags(pointwise), no_method)]
mod silu_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, out: Out) -> Result<Tensor> {
        if this.is_complex() {
            // s (1 + x (1 - s))
            let (x, s) = (this.detach(), this.detach().sigmoid()?);
            let slope = s.rsub_scalar(1)?.mul(&x)?.add_scalar(1)?.mul(&s)?.conj()?;
            return pointwise::binary(Binary::Mul, "mul_cpu", grad_output, &slope, out);
        }
        pointwise::activation_grad(ActivationGrad::Silu, "silu_backward_cpu", grad_output, this, out)
    }
    fn grad_grad_output(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        silu_backward(g, this)
    }
    fn grad_this(g: &Tensor, grad_output: &Tensor, this: &Tensor) -> Result<Tensor> {
        // s (1 - s) (2 + x (1 - 2 s))
        let s = this.sigmoid()?;
        let slope = s.mul(&s.rsub_scalar(1)?)?;
        let factor = this.mul(&s.mul_scalar(-2)?.add_scalar(1)?)?.add_scalar(2)?;
        g.mul(grad_output)?.mul(&slope.mul(&factor)?)
    }
}

/// Gradient of [`mish`].
#[op("mish_backward(Tensor grad_output, Tensor self) -> Tensor", tags(pointwise), no_method)]
mod mish_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::activation_grad(ActivationGrad::Mish, "mish_backward_cpu", grad_output, this, out)
    }
    fn grad_grad_output(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        mish_backward(g, this)
    }
    fn grad_this(g: &Tensor, grad_output: &Tensor, this: &Tensor) -> Result<Tensor> {
        // With t = tanh(softplus(x)): (1 - t^2) s (2 + x (1 - s - 2 t s)).
        let (s, t) = (this.sigmoid()?, this.softplus()?.tanh()?);
        let slope = t.mul(&t)?.rsub_scalar(1)?.mul(&s)?;
        let inner = s.rsub_scalar(1)?.sub(&t.mul(&s)?.mul_scalar(2)?)?;
        g.mul(grad_output)?.mul(&slope.mul(&this.mul(&inner)?.add_scalar(2)?)?)
    }
}

/// Gradient of [`elu`](super::elu), from its input or its output.
#[op(
    "elu_backward(Tensor grad_output, Scalar alpha, Scalar scale, Scalar input_scale, bool is_result, Tensor self_or_result) -> Tensor",
    tags(pointwise),
    no_method
)]
mod elu_backward {
    fn kernel(
        grad_output: &Tensor,
        alpha: Scalar,
        scale: Scalar,
        input_scale: Scalar,
        is_result: bool,
        self_or_result: &Tensor,
        out: Out,
    ) -> Result<Tensor> {
        let (negative, positive) = (alpha.to_f64() * scale.to_f64(), scale.to_f64());
        let input = input_scale.to_f64();
        let op = if is_result {
            if negative < 0.0 {
                bail!(
                    "In-place elu backward calculation is triggered with a negative slope which is not supported. This is caused by calling in-place forward function with a negative slope, please call out-of-place version instead."
                );
            }
            ActivationGrad::EluOutput { negative, positive, input }
        } else {
            ActivationGrad::Elu { negative, positive, input }
        };
        pointwise::activation_grad(op, "elu_backward_cpu", grad_output, self_or_result, out)
    }
    fn grad_grad_output(
        g: &Tensor,
        alpha: Scalar,
        scale: Scalar,
        input_scale: Scalar,
        is_result: bool,
        self_or_result: &Tensor,
    ) -> Result<Tensor> {
        elu_backward(g, alpha, scale, input_scale, is_result, self_or_result)
    }
    fn grad_self_or_result(
        g: &Tensor,
        grad_output: &Tensor,
        alpha: Scalar,
        scale: Scalar,
        input_scale: Scalar,
        is_result: bool,
        self_or_result: &Tensor,
    ) -> Result<Tensor> {
        let input = input_scale.to_f64();
        let mut curve = g.mul(grad_output)?.mul_scalar(input)?;
        if !is_result {
            let factor = input * alpha.to_f64() * scale.to_f64();
            curve = curve.mul(&self_or_result.mul_scalar(input)?.exp()?.mul_scalar(factor)?)?;
        }
        where_self(&self_or_result.le_scalar(0)?, &curve, &Tensor::wrapped(Scalar::Int(0))?)
    }
}

/// Gradient of [`leaky_relu`].
#[op(
    "leaky_relu_backward(Tensor grad_output, Tensor self, Scalar negative_slope, bool self_is_result) -> Tensor",
    tags(pointwise),
    no_method
)]
mod leaky_relu_backward {
    fn kernel(
        grad_output: &Tensor,
        this: &Tensor,
        negative_slope: Scalar,
        self_is_result: bool,
        out: Out,
    ) -> Result<Tensor> {
        if self_is_result && negative_slope.to_f64() < 0.0 {
            bail!(
                "In-place leakyReLu backward calculation is triggered with a negative slope which is not supported. This is caused by calling in-place forward function with a negative slope, please call out-of-place version instead. File an issue at https://github.com/pytorch/pytorch if you do require supporting in-place leakRelu backward calculation with negative slope"
            );
        }
        pointwise::activation_grad(
            ActivationGrad::LeakyRelu { slope: negative_slope.to_f64() },
            "leaky_relu_backward_cpu",
            grad_output,
            this,
            out,
        )
    }
    fn grad_grad_output(g: &Tensor, this: &Tensor, negative_slope: Scalar) -> Result<Tensor> {
        leaky_relu_backward(g, this, negative_slope, false)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Gradient of [`hardtanh`].
#[op(
    "hardtanh_backward(Tensor grad_output, Tensor self, Scalar min_val, Scalar max_val) -> Tensor",
    tags(pointwise),
    no_method
)]
mod hardtanh_backward {
    fn kernel(
        grad_output: &Tensor,
        this: &Tensor,
        min_val: Scalar,
        max_val: Scalar,
        out: Out,
    ) -> Result<Tensor> {
        pointwise::activation_grad(
            ActivationGrad::Hardtanh { low: min_val.to_f64(), high: max_val.to_f64() },
            "hardtanh_backward_cpu",
            grad_output,
            this,
            out,
        )
    }
    fn grad_grad_output(g: &Tensor, this: &Tensor, min_val: Scalar, max_val: Scalar) -> Result<Tensor> {
        hardtanh_backward(g, this, min_val, max_val)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Gradient of [`hardsigmoid`].
#[op("hardsigmoid_backward(Tensor grad_output, Tensor self) -> Tensor", tags(pointwise), no_method)]
mod hardsigmoid_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::activation_grad(
            ActivationGrad::Hardsigmoid,
            "hardsigmoid_backward_cpu",
            grad_output,
            this,
            out,
        )
    }
    fn grad_grad_output(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        hardsigmoid_backward(g, this)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Gradient of [`hardswish`].
#[op("hardswish_backward(Tensor grad_output, Tensor self) -> Tensor", tags(pointwise), no_method)]
mod hardswish_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::activation_grad(
            ActivationGrad::Hardswish,
            "hardswish_backward_cpu",
            grad_output,
            this,
            out,
        )
    }
    fn grad_grad_output(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        hardswish_backward(g, this)
    }
    fn grad_this(g: &Tensor, grad_output: &Tensor, this: &Tensor) -> Result<Tensor> {
        let ramp = this.gt_scalar(-3)?.logical_and(&this.lt_scalar(3)?)?;
        let curve = g.mul(grad_output)?.div_scalar(3)?;
        where_self(&ramp, &curve, &Tensor::wrapped(Scalar::Int(0))?)
    }
}

/// Gradient of [`softplus`].
#[op(
    "softplus_backward(Tensor grad_output, Tensor self, Scalar beta, Scalar threshold) -> Tensor",
    tags(pointwise),
    no_method
)]
mod softplus_backward {
    fn kernel(
        grad_output: &Tensor,
        this: &Tensor,
        beta: Scalar,
        threshold: Scalar,
        out: Out,
    ) -> Result<Tensor> {
        pointwise::activation_grad(
            ActivationGrad::Softplus { beta: beta.to_f64(), threshold: threshold.to_f64() },
            "softplus_backward_cpu",
            grad_output,
            this,
            out,
        )
    }
    fn grad_grad_output(g: &Tensor, this: &Tensor, beta: Scalar, threshold: Scalar) -> Result<Tensor> {
        softplus_backward(g, this, beta, threshold)
    }
    fn grad_this(
        g: &Tensor,
        grad_output: &Tensor,
        this: &Tensor,
        beta: Scalar,
        threshold: Scalar,
    ) -> Result<Tensor> {
        let x = this.mul_scalar(beta)?;
        let s = x.sigmoid()?;
        let curve = g.mul(grad_output)?.mul(&s.mul(&s.rsub_scalar(1)?)?.mul_scalar(beta)?)?;
        where_self(&x.gt_scalar(threshold)?, &Tensor::wrapped(Scalar::Int(0))?, &curve)
    }
}

/// Gradient of [`softshrink`].
#[op(
    "softshrink_backward(Tensor grad_output, Tensor self, Scalar lambd) -> Tensor",
    tags(pointwise),
    no_method
)]
mod softshrink_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, lambd: Scalar, out: Out) -> Result<Tensor> {
        pointwise::activation_grad(
            ActivationGrad::Shrink { lambda: lambd.to_f64() },
            "softshrink_backward_cpu",
            grad_output,
            this,
            out,
        )
    }
    fn grad_grad_output(g: &Tensor, this: &Tensor, lambd: Scalar) -> Result<Tensor> {
        softshrink_backward(g, this, lambd)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Gradient of [`hardshrink`].
#[op("hardshrink_backward(Tensor grad_out, Tensor self, Scalar lambd) -> Tensor", tags(pointwise), no_method)]
mod hardshrink_backward {
    fn kernel(grad_out: &Tensor, this: &Tensor, lambd: Scalar, out: Out) -> Result<Tensor> {
        pointwise::activation_grad(
            ActivationGrad::Shrink { lambda: lambd.to_f64() },
            "hardshrink_backward_cpu",
            grad_out,
            this,
            out,
        )
    }
    fn grad_grad_out(g: &Tensor, this: &Tensor, lambd: Scalar) -> Result<Tensor> {
        hardshrink_backward(g, this, lambd)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

/// Gradient of [`log_sigmoid`](super::log_sigmoid); `buffer` is not read.
#[op(
    "log_sigmoid_backward(Tensor grad_output, Tensor self, Tensor buffer) -> Tensor",
    nondiff(buffer),
    tags(pointwise),
    no_method
)]
mod log_sigmoid_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, buffer: &Tensor, out: Out) -> Result<Tensor> {
        let _ = buffer;
        pointwise::activation_grad(
            ActivationGrad::LogSigmoid,
            "log_sigmoid_backward_cpu",
            grad_output,
            this,
            out,
        )
    }
    fn grad_grad_output(g: &Tensor, this: &Tensor, buffer: &Tensor) -> Result<Tensor> {
        log_sigmoid_backward(g, this, buffer)
    }
    fn grad_this(g: &Tensor, grad_output: &Tensor, this: &Tensor) -> Result<Tensor> {
        let s = this.sigmoid()?;
        g.mul(grad_output)?.mul(&s.mul(&s.sub_scalar(1)?)?)
    }
}

/// Gradient of [`logit`](super::logit).
#[op(
    "logit_backward(Tensor grad_output, Tensor self, float? eps=None) -> Tensor",
    tags(pointwise),
    no_method
)]
pub(super) mod logit_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, eps: Option<f64>, out: Out) -> Result<Tensor> {
        let op = ActivationGrad::Logit { eps: eps.unwrap_or(-1.0) };
        pointwise::activation_grad(op, "logit_backward_cpu", grad_output, this, out)
    }
    fn grad_grad_output(g: &Tensor, this: &Tensor, eps: Option<f64>) -> Result<Tensor> {
        logit_backward::call(g, this, eps)
    }
    fn grad_this(g: &Tensor, grad_output: &Tensor, this: &Tensor, eps: Option<f64>) -> Result<Tensor> {
        // d/dx 1 / (x (1 - x)) = (2 x - 1) / (x (1 - x))^2, and 0 where the input was limited.
        let product = this.mul(&this.rsub_scalar(1)?)?;
        let curve = this.mul_scalar(2)?.sub_scalar(1)?.div(&product.mul(&product)?)?;
        let grad = g.mul(grad_output)?.mul(&curve)?;
        let Some(eps) = eps else { return Ok(grad) };
        let outside = this.lt_scalar(eps)?.logical_or(&this.gt_scalar(1.0 - eps)?)?;
        grad.masked_fill(&outside, 0)
    }
}

/// Second derivative of GELU: `(2 - x^2)` times the normal density.
fn gelu_curve(x: &Tensor) -> Result<Tensor> {
    let square = x.mul(x)?;
    let density = square.mul_scalar(-0.5)?.exp()?.mul_scalar(0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2)?;
    square.rsub_scalar(2)?.mul(&density)
}

/// Second derivative of the tanh form: with `u = c (x + k x^3)` and `t = tanh u`,
/// `(1 - t^2) (u' - x t u'^2 + x u'' / 2)`.
fn gelu_tanh_curve(x: &Tensor) -> Result<Tensor> {
    let (c, k) = (SQRT_2 * FRAC_2_SQRT_PI * 0.5, 0.044715);
    let square = x.mul(x)?;
    let t = square.mul_scalar(k)?.add_scalar(1)?.mul(x)?.mul_scalar(c)?.tanh()?;
    let first = square.mul_scalar(3.0 * k)?.add_scalar(1)?.mul_scalar(c)?;
    let second = x.mul_scalar(6.0 * k * c)?;
    let bend = first.sub(&x.mul(&t)?.mul(&first.mul(&first)?)?)?.add(&x.mul(&second)?.mul_scalar(0.5)?)?;
    t.mul(&t)?.rsub_scalar(1)?.mul(&bend)
}
