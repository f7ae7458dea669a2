//! Losses that compare element with element, and their gradients: one loop each, without tensors in between.

use cresset_kernels::loss::{self as kernels, Loss};
use cresset_macros::op;

use super::loss::reduced;
use super::nll::{MEAN, NONE};
use crate::dense::{cast, dense, slice};
use crate::layout::broadcast_shapes;
use crate::op::{OpDef, Out};
use crate::pointwise::{compute_type, launch};
use crate::promotion::{can_cast, result_type};
use crate::reduction::scale;
use crate::storage::access;
use crate::{DType, Error, Result, Scalar, Tensor, bail, op_list, with_float};

pub(crate) static OPS: &[&OpDef] = op_list![
    mse_loss,
    mse_loss_backward,
    smooth_l1_loss,
    smooth_l1_loss_backward,
    huber_loss,
    huber_loss_backward,
    soft_margin_loss,
    soft_margin_loss_backward,
];

/// The losses, their mean or their sum, as `dtype`. `name` is that of PyTorch's kernel, for errors.
fn forward(
    loss: Loss,
    name: &str,
    [x, y]: [&Tensor; 2],
    reduction: i64,
    dtype: Option<DType>,
) -> Result<Tensor> {
    let common = result_type(&[x, y]);
    let dtype = dtype.unwrap_or(common);
    let compute = compute_type(common);
    if reduction == NONE {
        return launch(name, Out::New, (dtype, common), [x, y], |sizes, o, ins| {
            // SAFETY: the operands are locked and have the output's sizes; the output is fresh.
            unsafe { kernels::losses(loss, compute, sizes, o, ins) }
        });
    }
    if !common.is_floating_point() {
        bail!(NotImplemented, "\"{name}\" not implemented for '{}'", common.scalar_type());
    }
    let sizes = broadcast_shapes(&x.sizes(), &y.sizes())?;
    let spread = |t: &Tensor| dense(&t.expand(&sizes[..])?, compute);
    let (x, y) = (spread(x)?, spread(y)?);
    let (a, b) = (x.raw(), y.raw());
    let sum = access([], [&a, &b], |[], [a, b]| {
        // SAFETY: both are locked, row-major and of the type that they are read as.
        with_float!(compute, T => unsafe { kernels::total::<T>(loss, slice(&a), slice(&b)) })
    });
    let value = if reduction == MEAN { sum / x.numel() as f64 } else { sum };
    let result = super::full::call(&[], Scalar::Float(value), Some(compute), Some(x.device()))?;
    cast(result, dtype)
}

/// Gradient of [`forward`] in `x`, of the dtype of `x`; that of the mean is shared among all elements.
fn backward(loss: Loss, name: &str, [grad, x, y]: [&Tensor; 3], reduction: i64, out: Out) -> Result<Tensor> {
    let (common, dtype) = (result_type(&[grad, x, y]), x.dtype());
    if !can_cast(common, dtype) {
        return Err(uncastable(common, dtype));
    }
    let by = if reduction == MEAN { 1.0 / elements(x, y)? } else { 1.0 };
    launch(name, out, (dtype, common), [grad, x, y], |sizes, o, ins| {
        // SAFETY: the operands are locked and have the output's sizes; they overlap index by index if at all.
        unsafe { kernels::slopes(loss, by, compute_type(common), sizes, o, ins) }
    })
}

fn uncastable(from: DType, to: DType) -> Error {
    let (from, to) = (from.scalar_type(), to.scalar_type());
    Error::runtime(format!("result type {from} can't be cast to the desired output type {to}"))
}

/// The number of losses.
fn elements(x: &Tensor, y: &Tensor) -> Result<f64> {
    Ok(broadcast_shapes(&x.sizes(), &y.sizes())?.iter().product::<i64>() as f64)
}

/// `g` times the second derivative, and a share of it for the mean.
fn curved(g: &Tensor, grad: &Tensor, curve: &Tensor, of: [&Tensor; 2], reduction: i64) -> Result<Tensor> {
    let all = g.mul(grad)?.mul(curve)?;
    if reduction == MEAN { scale(&all, 1.0 / elements(of[0], of[1])?) } else { Ok(all) }
}

/// Squared differences.
#[op(
    "mse_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
    autocast = "fp32",
    out = "out",
    no_method
)]
mod mse_loss {
    fn kernel(this: &Tensor, target: &Tensor, reduction: i64) -> Result<Tensor> {
        forward(Loss::Mse, "mse_cpu", [this, target], reduction, None)
    }
    fn grad_this(g: &Tensor, this: &Tensor, target: &Tensor, reduction: i64) -> Result<Tensor> {
        mse_loss_backward::call(g, this, target, reduction)
    }
    fn grad_target(g: &Tensor, this: &Tensor, target: &Tensor, reduction: i64) -> Result<Tensor> {
        mse_loss_backward::call(g, target, this, reduction)
    }
}

/// Gradient of [`mse_loss`].
#[op(
    "mse_loss_backward(Tensor grad_output, Tensor self, Tensor target, int reduction) -> Tensor",
    out("grad_input", grad_input),
    no_method
)]
mod mse_loss_backward {
    fn kernel(
        grad_output: &Tensor,
        this: &Tensor,
        target: &Tensor,
        reduction: i64,
        out: Out,
    ) -> Result<Tensor> {
        backward(Loss::Mse, "mse_backward_cpu_out", [grad_output, this, target], reduction, out)
    }
    fn grad_grad_output(g: &Tensor, this: &Tensor, target: &Tensor, reduction: i64) -> Result<Tensor> {
        mse_loss_backward::call(g, this, target, reduction)
    }
    fn grad_this(
        g: &Tensor,
        grad_output: &Tensor,
        this: &Tensor,
        target: &Tensor,
        reduction: i64,
    ) -> Result<Tensor> {
        curved(g, grad_output, &Tensor::wrapped(Scalar::Int(2))?, [this, target], reduction)
    }
    fn grad_target(
        g: &Tensor,
        grad_output: &Tensor,
        this: &Tensor,
        target: &Tensor,
        reduction: i64,
    ) -> Result<Tensor> {
        curved(g, grad_output, &Tensor::wrapped(Scalar::Int(-2))?, [this, target], reduction)
    }
}

/// Squared differences over `2 beta` below `beta`, absolute ones less `beta / 2` above.
#[op(
    "smooth_l1_loss(Tensor self, Tensor target, int reduction=1, float beta=1.) -> Tensor",
    autocast = "fp32",
    out = "out",
    no_method
)]
mod smooth_l1_loss {
    fn kernel(this: &Tensor, target: &Tensor, reduction: i64, beta: f64) -> Result<Tensor> {
        if beta < 0.0 {
            bail!("smooth_l1_loss does not support negative values for beta.");
        }
        forward(Loss::SmoothL1 { beta }, "smooth_l1_cpu", [this, target], reduction, None)
    }
    fn grad_this(g: &Tensor, this: &Tensor, target: &Tensor, reduction: i64, beta: f64) -> Result<Tensor> {
        smooth_l1_loss_backward::call(g, this, target, reduction, beta)
    }
    fn grad_target(g: &Tensor, this: &Tensor, target: &Tensor, reduction: i64, beta: f64) -> Result<Tensor> {
        smooth_l1_loss_backward::call(g, target, this, reduction, beta)
    }
}

/// Gradient of [`smooth_l1_loss`].
#[op(
    "smooth_l1_loss_backward(Tensor grad_output, Tensor self, Tensor target, int reduction, float beta) -> Tensor",
    out("grad_input", grad_input),
    no_method
)]
mod smooth_l1_loss_backward {
    fn kernel(
        grad_output: &Tensor,
        this: &Tensor,
        target: &Tensor,
        reduction: i64,
        beta: f64,
        out: Out,
    ) -> Result<Tensor> {
        let loss = Loss::SmoothL1 { beta };
        backward(loss, "smooth_l1_backward_cpu_out", [grad_output, this, target], reduction, out)
    }
    fn grad_grad_output(
        g: &Tensor,
        this: &Tensor,
        target: &Tensor,
        reduction: i64,
        beta: f64,
    ) -> Result<Tensor> {
        smooth_l1_loss_backward::call(g, this, target, reduction, beta)
    }
    fn grad_this(
        g: &Tensor,
        grad_output: &Tensor,
        this: &Tensor,
        target: &Tensor,
        reduction: i64,
        beta: f64,
    ) -> Result<Tensor> {
        curved(g, grad_output, &smooth_l1_curve(this, target, beta)?, [this, target], reduction)
    }
    fn grad_target(
        g: &Tensor,
        grad_output: &Tensor,
        this: &Tensor,
        target: &Tensor,
        reduction: i64,
        beta: f64,
    ) -> Result<Tensor> {
        let curve = smooth_l1_curve(this, target, beta)?.neg()?;
        curved(g, grad_output, &curve, [this, target], reduction)
    }
}

/// `1 / beta` inside the parabola, else 0.
fn smooth_l1_curve(x: &Tensor, y: &Tensor, beta: f64) -> Result<Tensor> {
    let near = inside(x, y, beta)?;
    if beta == 0.0 { Ok(near) } else { scale(&near, 1.0 / beta) }
}

/// 1 where `x` and `y` differ by less than `limit`, else 0.
fn inside(x: &Tensor, y: &Tensor, limit: f64) -> Result<Tensor> {
    x.sub(y)?.abs()?.lt_scalar(limit)?.to_dtype(x.dtype())
}

/// Half squared differences below `delta`, `delta` times the absolute ones less `delta / 2` above.
#[op(
    "huber_loss(Tensor self, Tensor target, int reduction=1, float delta=1.) -> Tensor",
    autocast = "fp32",
    out = "out",
    no_method
)]
mod huber_loss {
    fn kernel(this: &Tensor, target: &Tensor, reduction: i64, delta: f64) -> Result<Tensor> {
        if delta <= 0.0 || delta.is_nan() {
            bail!("huber_loss does not support non-positive values for delta.");
        }
        let (common, dtype) = (result_type(&[this, target]), this.dtype());
        if !can_cast(common, dtype) {
            return Err(uncastable(common, dtype));
        }
        forward(Loss::Huber { delta }, "huber_cpu", [this, target], reduction, Some(dtype))
    }
    fn grad_this(g: &Tensor, this: &Tensor, target: &Tensor, reduction: i64, delta: f64) -> Result<Tensor> {
        huber_loss_backward::call(g, this, target, reduction, delta)
    }
    fn grad_target(g: &Tensor, this: &Tensor, target: &Tensor, reduction: i64, delta: f64) -> Result<Tensor> {
        huber_loss_backward::call(g, target, this, reduction, delta)
    }
}

/// Gradient of [`huber_loss`].
#[op(
    "huber_loss_backward(Tensor grad_output, Tensor self, Tensor target, int reduction, float delta) -> Tensor",
    out("out", grad_input),
    no_method
)]
mod huber_loss_backward {
    fn kernel(
        grad_output: &Tensor,
        this: &Tensor,
        target: &Tensor,
        reduction: i64,
        delta: f64,
        out: Out,
    ) -> Result<Tensor> {
        let loss = Loss::Huber { delta };
        backward(loss, "huber_backward_cpu_out", [grad_output, this, target], reduction, out)
    }
    fn grad_grad_output(
        g: &Tensor,
        this: &Tensor,
        target: &Tensor,
        reduction: i64,
        delta: f64,
    ) -> Result<Tensor> {
        huber_loss_backward::call(g, this, target, reduction, delta)
    }
    fn grad_this(
        g: &Tensor,
        grad_output: &Tensor,
        this: &Tensor,
        target: &Tensor,
        reduction: i64,
        delta: f64,
    ) -> Result<Tensor> {
        curved(g, grad_output, &inside(this, target, delta)?, [this, target], reduction)
    }
    fn grad_target(
        g: &Tensor,
        grad_output: &Tensor,
        this: &Tensor,
        target: &Tensor,
        reduction: i64,
        delta: f64,
    ) -> Result<Tensor> {
        curved(g, grad_output, &inside(this, target, delta)?.neg()?, [this, target], reduction)
    }
}

/// `ln(1 + e^(-target self))`.
#[op(
    "soft_margin_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
    autocast = "fp32",
    nondiff(target),
    out = "out",
    no_method
)]
mod soft_margin_loss {
    fn kernel(this: &Tensor, target: &Tensor, reduction: i64) -> Result<Tensor> {
        let (common, dtype) = (result_type(&[this, target]), this.dtype());
        // In half precision each step is rounded, and an exponential may overflow.
        if common.is_complex() || matches!(common, DType::F16 | DType::BF16) {
            let (x, y) = (this.detach(), target.detach());
            return reduced(&x.neg()?.mul(&y)?.exp()?.log1p()?, reduction);
        }
        if common == DType::Bool {
            return this.neg();
        }
        let made = if common.is_floating_point() { common } else { DType::F32 };
        if !can_cast(made, dtype) {
            return Err(uncastable(made, dtype));
        }
        forward(Loss::SoftMargin, "soft_margin_loss", [this, target], reduction, Some(dtype))
    }
    fn grad_this(g: &Tensor, this: &Tensor, target: &Tensor, reduction: i64) -> Result<Tensor> {
        soft_margin_loss_backward::call(g, this, target, reduction)
    }
}

/// Gradient of [`soft_margin_loss`].
#[op(
    "soft_margin_loss_backward(Tensor grad_output, Tensor self, Tensor target, int reduction) -> Tensor",
    nondiff(target),
    out("grad_input", grad_input),
    no_method
)]
mod soft_margin_loss_backward {
    fn kernel(
        grad_output: &Tensor,
        this: &Tensor,
        target: &Tensor,
        reduction: i64,
        out: Out,
    ) -> Result<Tensor> {
        let common = result_type(&[grad_output, this, target]);
        if common.is_complex() || matches!(common, DType::F16 | DType::BF16) {
            let slope = soft_margin_slope(&this.detach(), &target.detach())?;
            let slope = curved(&slope, &grad_output.detach(), &one()?, [this, target], reduction)?;
            return crate::pointwise::binary_as(
                cresset_kernels::pointwise::Binary::Mul,
                "mul_cpu",
                this.dtype(),
                &slope,
                &one()?,
                out,
            );
        }
        let name = "soft_margin_loss_backward";
        backward(Loss::SoftMargin, name, [grad_output, this, target], reduction, out)
    }
    fn grad_grad_output(g: &Tensor, this: &Tensor, target: &Tensor, reduction: i64) -> Result<Tensor> {
        soft_margin_loss_backward::call(g, this, target, reduction)
    }
    fn grad_this(
        g: &Tensor,
        grad_output: &Tensor,
        this: &Tensor,
        target: &Tensor,
        reduction: i64,
    ) -> Result<Tensor> {
        let s = this.neg()?.mul(target)?.sigmoid()?;
        let curve = target.mul(target)?.mul(&s)?.mul(&s.rsub_scalar(1)?)?;
        curved(g, grad_output, &curve, [this, target], reduction)
    }
}

fn one() -> Result<Tensor> {
    Tensor::wrapped(Scalar::Int(1))
}

/// `-y e^(-x y) / (1 + e^(-x y))`.
fn soft_margin_slope(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let z = x.neg()?.mul(y)?.exp()?;
    y.neg()?.mul(&z)?.div(&z.add_scalar(1)?)
}
