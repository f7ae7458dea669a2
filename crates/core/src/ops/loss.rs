//! Losses made of elementwise operators.

use cresset_macros::op;

use crate::op::OpDef;
use crate::ops::nll::{MEAN, NONE};
use crate::ops::{sum_dim, where_self};
use crate::reduction::{offset, scale};
use crate::supported::{floats, require};
use crate::{Result, Scalar, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    l1_loss,
    binary_cross_entropy,
    binary_cross_entropy_backward,
    binary_cross_entropy_with_logits,
    kl_div,
    poisson_nll_loss,
    margin_ranking_loss,
    hinge_embedding_loss,
    cosine_embedding_loss,
    triplet_margin_loss,
    pairwise_distance,
];

/// All losses, their mean or their sum.
pub(super) fn reduced(loss: &Tensor, reduction: i64) -> Result<Tensor> {
    match reduction {
        NONE => Ok(loss.clone()),
        MEAN => loss.mean(),
        _ => loss.sum(),
    }
}

/// `n - t`.
fn from_number(n: f64, t: &Tensor) -> Result<Tensor> {
    offset(&t.neg()?, n)
}

/// Zeros like `t`.
fn nothing(t: &Tensor) -> Result<Tensor> {
    crate::copy::zeros(&t.sizes(), t.dtype(), t.device())
}

/// Absolute differences.
#[op(
    "l1_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
    autocast = "fp32",
    composite,
    no_method
)]
mod l1_loss {
    fn kernel(this: &Tensor, target: &Tensor, reduction: i64) -> Result<Tensor> {
        reduced(&this.sub(target)?.abs()?, reduction)
    }
}

/// Each loss's share of the gradient of the result.
fn unreduced(g: &Tensor, this: &Tensor, reduction: i64) -> Result<Tensor> {
    if reduction == MEAN { scale(g, 1.0 / this.numel() as f64) } else { Ok(g.clone()) }
}

/// Cross entropy of probabilities with targets between 0 and 1; logarithms are cut off at -100.
#[op(
    "binary_cross_entropy(Tensor self, Tensor target, Tensor? weight=None, int reduction=1) -> Tensor",
    autocast = "fp32",
    nondiff(weight),
    out = "out",
    no_method
)]
mod binary_cross_entropy {
    fn kernel(this: &Tensor, target: &Tensor, weight: Option<&Tensor>, reduction: i64) -> Result<Tensor> {
        if target.dtype() != this.dtype() {
            let (found, wanted) = (target.dtype().scalar_type(), this.dtype().scalar_type());
            bail!("Found dtype {found} but expected {wanted}");
        }
        let inside = this.ge_scalar(0)?.logical_and(&this.le_scalar(1)?)?.all()?;
        if inside.device() != crate::Device::Meta && !inside.item()?.to_bool() {
            bail!("all elements of input should be between 0 and 1");
        }
        let no = offset(target, -1.0)?.mul(&this.neg()?.log1p()?.clamp_min(-100)?)?;
        let mut loss = no.sub(&target.mul(&this.log()?.clamp_min(-100)?)?)?;
        if let Some(w) = weight {
            loss = loss.mul(w)?;
        }
        reduced(&loss, reduction)
    }
    fn grad_this(
        g: &Tensor,
        this: &Tensor,
        target: &Tensor,
        weight: Option<&Tensor>,
        reduction: i64,
    ) -> Result<Tensor> {
        binary_cross_entropy_backward::call(g, this, target, weight, reduction)
    }
    fn grad_target(g: &Tensor, this: &Tensor, weight: Option<&Tensor>, reduction: i64) -> Result<Tensor> {
        let slope = this.neg()?.log1p()?.clamp_min(-100)?.sub(&this.log()?.clamp_min(-100)?)?;
        let slope = weight.map_or_else(|| Ok(slope.clone()), |w| slope.mul(w))?;
        unreduced(g, this, reduction)?.mul(&slope)
    }
}

/// Gradient of [`binary_cross_entropy`].
#[op(
    "binary_cross_entropy_backward(Tensor grad_output, Tensor self, Tensor target, Tensor? weight=None, int reduction=1) -> Tensor",
    composite,
    no_method
)]
mod binary_cross_entropy_backward {
    fn kernel(
        grad_output: &Tensor,
        this: &Tensor,
        target: &Tensor,
        weight: Option<&Tensor>,
        reduction: i64,
    ) -> Result<Tensor> {
        require("binary_cross_entropy_backward", grad_output, floats)?;
        let spread = from_number(1.0, this)?.mul(this)?.clamp_min(1e-12)?;
        let slope = this.sub(target)?.div(&spread)?;
        let slope = weight.map_or_else(|| Ok(slope.clone()), |w| slope.mul(w))?;
        unreduced(grad_output, this, reduction)?.mul(&slope)
    }
}

/// Cross entropy of the sigmoid of scores, without overflow.
#[op(
    "binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, int reduction=1) -> Tensor",
    composite,
    out = "out",
    autocast = "fp32",
    no_method
)]
mod binary_cross_entropy_with_logits {
    fn kernel(
        this: &Tensor,
        target: &Tensor,
        weight: Option<&Tensor>,
        pos_weight: Option<&Tensor>,
        reduction: i64,
    ) -> Result<Tensor> {
        let log = this.log_sigmoid()?;
        let log = match pos_weight {
            Some(w) => offset(&offset(w, -1.0)?.mul(target)?, 1.0)?.mul(&log)?,
            None => log,
        };
        let loss = from_number(1.0, target)?.mul(this)?.sub(&log)?;
        let loss = weight.map_or_else(|| Ok(loss.clone()), |w| loss.mul(w))?;
        reduced(&loss, reduction)
    }
}

/// Divergence of log probabilities `self` from the probabilities (or log probabilities) `target`.
#[op(
    "kl_div(Tensor self, Tensor target, int reduction=1, *, bool log_target=False) -> Tensor",
    autocast = "fp32",
    composite,
    no_method
)]
mod kl_div {
    fn kernel(this: &Tensor, target: &Tensor, reduction: i64, log_target: bool) -> Result<Tensor> {
        ensure!(!this.is_complex(), "kl_div: Complex inputs not supported.");
        ensure!(!this.dtype().is_integral_or_bool(), "kl_div: Integral inputs not supported.");
        let loss = if log_target {
            target.exp()?.mul(&target.sub(this)?)?
        } else {
            target.xlogy(target)?.sub(&target.mul(this)?)?
        };
        reduced(&loss, reduction)
    }
}

/// Negative log likelihood of counts `target` under Poisson rates (or their logarithms).
#[op(
    "poisson_nll_loss(Tensor input, Tensor target, bool log_input, bool full, float eps, int reduction) -> Tensor",
    autocast = "fp32",
    composite
)]
mod poisson_nll_loss {
    fn kernel(
        input: &Tensor,
        target: &Tensor,
        log_input: bool,
        full: bool,
        eps: f64,
        reduction: i64,
    ) -> Result<Tensor> {
        let mut loss = if log_input {
            input.exp()?.sub(&target.mul(input)?)?
        } else {
            input.sub(&target.mul(&offset(input, eps)?.log()?)?)?
        };
        if full {
            let tail = scale(&scale(target, std::f64::consts::TAU)?.log()?, 0.5)?;
            let stirling = target.mul(&target.log()?)?.sub(target)?.add(&tail)?;
            loss = loss.add(&stirling.masked_fill(&target.le_scalar(1)?, 0)?)?;
        }
        reduced(&loss, reduction)
    }
}

/// How far `input1` fails to be above `input2` by `margin` where `target` is 1, below where it is -1.
#[op(
    "margin_ranking_loss(Tensor input1, Tensor input2, Tensor target, float margin=0., int reduction=1) -> Tensor",
    autocast = "fp32",
    composite
)]
mod margin_ranking_loss {
    fn kernel(
        input1: &Tensor,
        input2: &Tensor,
        target: &Tensor,
        margin: f64,
        reduction: i64,
    ) -> Result<Tensor> {
        let (a, b, t) = (input1.dim(), input2.dim(), target.dim());
        if a != b || a != t {
            bail!(
                "margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: {:?}, input2: {:?}, target: {:?} ",
                input1.sizes().as_slice(),
                input2.sizes().as_slice(),
                target.sizes().as_slice()
            );
        }
        let loss = offset(&target.neg()?.mul(&input1.sub(input2)?)?, margin)?.clamp_min(0)?;
        reduced(&loss, reduction)
    }
}

/// The distance itself where `target` is 1, how far it falls short of `margin` where it is -1.
#[op(
    "hinge_embedding_loss(Tensor self, Tensor target, float margin=1., int reduction=1) -> Tensor",
    autocast = "fp32",
    composite,
    no_method
)]
mod hinge_embedding_loss {
    fn kernel(this: &Tensor, target: &Tensor, margin: f64, reduction: i64) -> Result<Tensor> {
        let zeros = nothing(this)?;
        let short = Tensor::scalar(margin, this.dtype())?.sub(this)?.clamp_min(0)?;
        let apart = where_self(&target.ne_scalar(1)?, &short, &zeros)?;
        reduced(&apart.add(&where_self(&target.ne_scalar(-1)?, this, &zeros)?)?, reduction)
    }
}

/// One less the cosine where `target` is 1, the cosine above `margin` where it is -1.
#[op(
    "cosine_embedding_loss(Tensor input1, Tensor input2, Tensor target, float margin=0., int reduction=1) -> Tensor",
    autocast = "fp32",
    composite
)]
mod cosine_embedding_loss {
    fn kernel(
        input1: &Tensor,
        input2: &Tensor,
        target: &Tensor,
        margin: f64,
        reduction: i64,
    ) -> Result<Tensor> {
        let dim = target.dim();
        if dim > 1 {
            bail!("0D or 1D target tensor expected, multi-target not supported");
        }
        let what = if dim == 1 {
            "1D target tensor expects 2D input tensors"
        } else {
            "0D target tensor expects 1D input tensors"
        };
        if input1.dim() != dim + 1 || input2.dim() != dim + 1 {
            bail!(
                "{what}, but found inputs with sizes {:?} and {:?}.",
                input1.sizes().as_slice(),
                input2.sizes().as_slice()
            );
        }
        let dot = |a: &Tensor, b: &Tensor| sum_dim::call(&a.mul(b)?, Some(&[dim as i64]), false, None);
        let sizes = offset(&dot(input1, input1)?, 1e-12)?.mul(&offset(&dot(input2, input2)?, 1e-12)?)?;
        let cosine = dot(input1, input2)?.div(&sizes.sqrt()?)?;
        let zeros = nothing(&cosine)?;
        let same = where_self(&target.eq_scalar(1)?, &from_number(1.0, &cosine)?, &zeros)?;
        let other = where_self(&target.eq_scalar(-1)?, &offset(&cosine, -margin)?.clamp_min(0)?, &zeros)?;
        reduced(&same.add(&other)?, reduction)
    }
}

/// Norm of order `p` of `x1 - x2 + eps` along the last dimension.
#[op(
    "pairwise_distance(Tensor x1, Tensor x2, float p=2., float eps=9.9999999999999995e-07, bool keepdim=False) -> Tensor",
    composite
)]
mod pairwise_distance {
    fn kernel(x1: &Tensor, x2: &Tensor, p: f64, eps: f64, keepdim: bool) -> Result<Tensor> {
        let last = x1.dim().max(x2.dim()) as i64 - 1;
        let difference = offset(&x1.sub(x2)?, eps)?;
        crate::ops::norm_dim::call(&difference, Some(Scalar::Float(p)), &[last], keepdim)
    }
}

/// How far the negative fails to be farther from the anchor than the positive by `margin`.
#[op(
    "triplet_margin_loss(Tensor anchor, Tensor positive, Tensor negative, float margin=1., float p=2., float eps=9.9999999999999995e-07, bool swap=False, int reduction=1) -> Tensor",
    autocast = "fp32",
    composite
)]
mod triplet_margin_loss {
    fn kernel(
        anchor: &Tensor,
        positive: &Tensor,
        negative: &Tensor,
        margin: f64,
        p: f64,
        eps: f64,
        swap: bool,
        reduction: i64,
    ) -> Result<Tensor> {
        let (a, b, c) = (anchor.dim(), positive.dim(), negative.dim());
        if a != b || b != c {
            bail!(
                "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor {a}D, positive {b}D, and negative {c}D inputs"
            );
        }
        let near = pairwise_distance::call(anchor, positive, p, eps, false)?;
        let mut far = pairwise_distance::call(anchor, negative, p, eps, false)?;
        if swap {
            far = far.minimum(&pairwise_distance::call(positive, negative, p, eps, false)?)?;
        }
        reduced(&offset(&near.sub(&far)?, margin)?.clamp_min(0)?, reduction)
    }
}
