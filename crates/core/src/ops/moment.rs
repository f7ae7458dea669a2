//! Variance and the logarithm of summed exponentials over dimensions.

use cresset_kernels::reduce::{self as kernels, Reduce};
use cresset_kernels::strided::Operand;
use cresset_macros::op;

use crate::op::{Grad, Grads, OpDef, Out};
use crate::reduction::{self, DimList, mask, reduce, reduced_sizes, restore, scale, spread_strides};
use crate::storage::access_lists;
use crate::{Result, Scalar, Tensor, bail, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    var_correction,
    var,
    var_dim,
    std_correction,
    std_unbiased,
    std_dim,
    var_mean_correction,
    var_mean,
    var_mean_dim,
    std_mean_correction,
    std_mean,
    std_mean_dim,
    logsumexp,
    special_logsumexp,
];

/// Variance (or its root) and mean over `dims`.
fn moments(
    name: &str,
    this: &Tensor,
    dims: DimList,
    correction: f64,
    keepdim: bool,
    sqrt: bool,
) -> Result<(Tensor, Tensor)> {
    if this.dtype().is_integral_or_bool() {
        bail!(NotImplemented, "{name} only support floating point and complex dtypes");
    }
    if this.is_complex() {
        return complex_moments(this, dims, correction, keepdim, sqrt);
    }
    let mask = mask(dims, this.dim())?;
    let sizes = reduced_sizes(&this.sizes(), &mask, keepdim);
    let empty = || Tensor::empty_of(&sizes, this.dtype(), this.device());
    let (var, mean) = (empty()?, empty()?);
    let (v, m, x) = (var.raw(), mean.raw(), this.raw());
    let strides = spread_strides(&v.layout.strides, &mask, keepdim);
    access_lists(&[&v, &m], &[&x], |o, x| {
        let to = |k: usize| Some(Operand { strides: &strides, ..o[k].operand() });
        // SAFETY: all are locked; the outputs have an element for each kept index.
        unsafe { kernels::moments(x[0].sizes, &mask, x[0].operand(), correction, sqrt, to(0), to(1)) }
    });
    Ok((var, mean))
}

/// The variance of complex numbers is that of their real parts plus that of their imaginary parts.
fn complex_moments(
    this: &Tensor,
    dims: DimList,
    correction: f64,
    keepdim: bool,
    sqrt: bool,
) -> Result<(Tensor, Tensor)> {
    let mean = crate::ops::mean_dim::call(this, dims, true, None)?;
    let deviation = this.sub(&mean)?.abs()?;
    let sum = crate::ops::sum_dim::call(&deviation.mul(&deviation)?, dims, keepdim, None)?;
    let n = reduction::count(&this.sizes(), &mask(dims, this.dim())?) as f64;
    let var = scale(&sum, 1.0 / (n - correction).max(0.0))?;
    Ok((if sqrt { var.sqrt()? } else { var }, crate::ops::mean_dim::call(this, dims, keepdim, None)?))
}

fn number(correction: Option<Scalar>) -> f64 {
    correction.map_or(1.0, Scalar::to_f64)
}

fn unbiased(yes: bool) -> Option<Scalar> {
    Some(Scalar::Int(i64::from(yes)))
}

/// Gradient of the variance: `2 (x - mean) / (n - correction)`.
fn var_gradient(g: &Tensor, this: &Tensor, dims: DimList, correction: f64, keepdim: bool) -> Result<Tensor> {
    let n = reduction::count(&this.sizes(), &mask(dims, this.dim())?) as f64;
    let g = restore(g, &this.sizes(), dims, keepdim)?;
    let deviation = this.sub(&crate::ops::mean_dim::call(this, dims, true, None)?)?;
    scale(&g, 2.0 / (n - correction))?.mul(&deviation)
}

/// Gradient of the standard deviation: that of the variance over twice the result, 0 where that is 0.
fn std_gradient(
    g: &Tensor,
    this: &Tensor,
    std: &Tensor,
    dims: DimList,
    correction: f64,
    keepdim: bool,
) -> Result<Tensor> {
    let g = g.div(&scale(std, 2.0)?)?.masked_fill(&is_zero(std)?, 0)?;
    var_gradient(&g, this, dims, correction, keepdim)
}

fn is_zero(t: &Tensor) -> Result<Tensor> {
    t.eq_scalar(0)
}

fn mean_gradient(g: &Tensor, this: &Tensor, dims: DimList, keepdim: bool) -> Result<Tensor> {
    let n = reduction::count(&this.sizes(), &mask(dims, this.dim())?) as f64;
    scale(&reduction::spread(g, &this.sizes(), dims, keepdim)?, 1.0 / n)
}

/// Variance over the given dimensions (all, if none are given); `correction` (default 1) is taken off the count.
#[op(
    "var.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor",
    out = "correction_out",
    tags(core, reduction)
)]
mod var_correction {
    fn kernel(
        this: &Tensor,
        dim: Option<&[i64]>,
        correction: Option<Scalar>,
        keepdim: bool,
    ) -> Result<Tensor> {
        Ok(moments("std and var", this, dim, number(correction), keepdim, false)?.0)
    }
    fn grad_this(
        g: &Tensor,
        this: &Tensor,
        dim: Option<&[i64]>,
        correction: Option<Scalar>,
        keepdim: bool,
    ) -> Result<Tensor> {
        var_gradient(g, this, dim, number(correction), keepdim)
    }
}

/// Variance of all elements.
#[op("var(Tensor self, bool unbiased=True) -> Tensor", composite, tags(reduction))]
mod var {
    fn kernel(this: &Tensor, unbiased: bool) -> Result<Tensor> {
        var_correction::call(this, None, super::unbiased(unbiased), false)
    }
}

/// Variance over the given dimensions.
#[op(
    "var.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> Tensor",
    composite,
    out = "out",
    tags(reduction)
)]
mod var_dim {
    fn kernel(this: &Tensor, dim: Option<&[i64]>, unbiased: bool, keepdim: bool) -> Result<Tensor> {
        var_correction::call(this, dim, super::unbiased(unbiased), keepdim)
    }
}

/// Standard deviation over the given dimensions, see [`var_correction`].
#[op(
    "std.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor",
    out = "correction_out",
    tags(reduction)
)]
mod std_correction {
    fn kernel(
        this: &Tensor,
        dim: Option<&[i64]>,
        correction: Option<Scalar>,
        keepdim: bool,
    ) -> Result<Tensor> {
        Ok(moments("std and var", this, dim, number(correction), keepdim, true)?.0)
    }
    fn grad_this(
        g: &Tensor,
        this: &Tensor,
        dim: Option<&[i64]>,
        correction: Option<Scalar>,
        keepdim: bool,
        out: &Tensor,
    ) -> Result<Tensor> {
        std_gradient(g, this, out, dim, number(correction), keepdim)
    }
}

/// Standard deviation of all elements.
#[op("std(Tensor self, bool unbiased=True) -> Tensor", composite, tags(reduction), no_method, no_fn)]
mod std_unbiased {
    fn kernel(this: &Tensor, unbiased: bool) -> Result<Tensor> {
        std_correction::call(this, None, super::unbiased(unbiased), false)
    }
}

impl Tensor {
    /// Standard deviation of all elements, the count being reduced by 1.
    ///
    /// # Errors
    /// `NotImplemented` unless the dtype is floating point or complex.
    pub fn std(&self) -> Result<Tensor> {
        std_unbiased::call(self, true)
    }
}

/// Standard deviation over the given dimensions.
#[op(
    "std.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> Tensor",
    composite,
    out = "out",
    tags(reduction)
)]
mod std_dim {
    fn kernel(this: &Tensor, dim: Option<&[i64]>, unbiased: bool, keepdim: bool) -> Result<Tensor> {
        std_correction::call(this, dim, super::unbiased(unbiased), keepdim)
    }
}

/// Adds up the gradients of the two results.
fn both(a: Option<Tensor>, b: Option<Tensor>) -> Result<Grads> {
    let sum = match (a, b) {
        (Some(a), Some(b)) => Some(a.add(&b)?),
        (a, b) => a.or(b),
    };
    Ok(vec![Grad::from(sum)])
}

/// Variance and mean over the given dimensions, see [`var_correction`].
#[op(
    "var_mean.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> (Tensor, Tensor)",
    wrt(this),
    tags(reduction)
)]
mod var_mean_correction {
    fn kernel(
        this: &Tensor,
        dim: Option<&[i64]>,
        correction: Option<Scalar>,
        keepdim: bool,
    ) -> Result<(Tensor, Tensor)> {
        moments("var_mean", this, dim, number(correction), keepdim, false)
    }
    fn grad(
        g0: Option<&Tensor>,
        g1: Option<&Tensor>,
        this: &Tensor,
        dim: Option<&[i64]>,
        correction: Option<Scalar>,
        keepdim: bool,
    ) -> Result<Grads> {
        let var = g0.map(|g| var_gradient(g, this, dim, number(correction), keepdim)).transpose()?;
        both(var, g1.map(|g| mean_gradient(g, this, dim, keepdim)).transpose()?)
    }
}

/// Variance and mean of all elements.
#[op("var_mean(Tensor self, bool unbiased=True) -> (Tensor, Tensor)", composite, tags(reduction))]
mod var_mean {
    fn kernel(this: &Tensor, unbiased: bool) -> Result<(Tensor, Tensor)> {
        var_mean_correction::call(this, None, super::unbiased(unbiased), false)
    }
}

/// Variance and mean over the given dimensions.
#[op(
    "var_mean.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> (Tensor, Tensor)",
    composite,
    tags(reduction)
)]
mod var_mean_dim {
    fn kernel(this: &Tensor, dim: Option<&[i64]>, unbiased: bool, keepdim: bool) -> Result<(Tensor, Tensor)> {
        var_mean_correction::call(this, dim, super::unbiased(unbiased), keepdim)
    }
}

/// Standard deviation and mean over the given dimensions, see [`var_correction`].
#[op(
    "std_mean.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> (Tensor, Tensor)",
    wrt(this),
    tags(reduction)
)]
mod std_mean_correction {
    fn kernel(
        this: &Tensor,
        dim: Option<&[i64]>,
        correction: Option<Scalar>,
        keepdim: bool,
    ) -> Result<(Tensor, Tensor)> {
        moments("std_mean", this, dim, number(correction), keepdim, true)
    }
    fn grad(
        g0: Option<&Tensor>,
        g1: Option<&Tensor>,
        this: &Tensor,
        dim: Option<&[i64]>,
        correction: Option<Scalar>,
        keepdim: bool,
        out0: &Tensor,
    ) -> Result<Grads> {
        let std = g0.map(|g| std_gradient(g, this, out0, dim, number(correction), keepdim)).transpose()?;
        both(std, g1.map(|g| mean_gradient(g, this, dim, keepdim)).transpose()?)
    }
}

/// Standard deviation and mean of all elements.
#[op("std_mean(Tensor self, bool unbiased=True) -> (Tensor, Tensor)", composite, tags(reduction))]
mod std_mean {
    fn kernel(this: &Tensor, unbiased: bool) -> Result<(Tensor, Tensor)> {
        std_mean_correction::call(this, None, super::unbiased(unbiased), false)
    }
}

/// Standard deviation and mean over the given dimensions.
#[op(
    "std_mean.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> (Tensor, Tensor)",
    composite,
    tags(reduction)
)]
mod std_mean_dim {
    fn kernel(this: &Tensor, dim: Option<&[i64]>, unbiased: bool, keepdim: bool) -> Result<(Tensor, Tensor)> {
        std_mean_correction::call(this, dim, super::unbiased(unbiased), keepdim)
    }
}

/// Logarithm of the sum of exponentials over the given dimensions, without overflow.
#[op(
    "logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor",
    out = "out",
    tags(reduction),
    onnx = "ReduceLogSumExp"
)]
mod logsumexp {
    fn kernel(this: &Tensor, dim: &[i64], keepdim: bool) -> Result<Tensor> {
        let x = if this.dtype().is_integral_or_bool() {
            this.to_dtype(crate::promotion::get_default_dtype())?
        } else {
            this.clone()
        };
        let dims = Some(dim);
        if x.numel() == 0 {
            return crate::ops::sum_dim::call(&x.exp()?, dims, keepdim, None)?.log();
        }
        // For complex numbers the real part decides how large an exponential is.
        let size = if x.is_complex() { x.real()? } else { x.clone() };
        let max = reduce(Reduce::Max, &size, dims, true, size.dtype(), Out::New)?;
        let max = max.masked_fill(&max.abs()?.eq_scalar(f64::INFINITY)?, 0)?;
        let sum = crate::ops::sum_dim::call(&x.sub(&max)?.exp()?, dims, keepdim, None)?;
        let kept = reduced_sizes(&x.sizes(), &mask(dims, x.dim())?, keepdim);
        sum.log()?.add(&max.reshape(&kept[..])?)
    }
    fn grad_this(g: &Tensor, this: &Tensor, dim: &[i64], keepdim: bool, out: &Tensor) -> Result<Tensor> {
        let sizes = this.sizes();
        let (g, sum) = (restore(g, &sizes, Some(dim), keepdim)?, restore(out, &sizes, Some(dim), keepdim)?);
        let lowest = if sum.is_complex() { sum.real()? } else { sum.clone() }.eq_scalar(f64::NEG_INFINITY)?;
        g.mul(&this.sub(&sum.masked_fill(&lowest, 0)?)?.exp()?.conj()?)
    }
}

/// As [`logsumexp`].
#[op("special_logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor", composite, out = "out")]
mod special_logsumexp {
    fn kernel(this: &Tensor, dim: &[i64], keepdim: bool) -> Result<Tensor> {
        logsumexp::call(this, dim, keepdim)
    }
}
