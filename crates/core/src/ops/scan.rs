//! Running sums, products, extremes and logarithms of summed exponentials along a dimension.

use cresset_kernels::dtype::{C32, C64};
use cresset_kernels::rows::by_lines;
use cresset_kernels::scan as kernels;
use cresset_macros::op;

use crate::autograd::Meta;
use crate::dense::{along, cast, dense, rows, slice, slice_mut};
use crate::layout::wrap_dim;
use crate::op::{OpDef, Out};
use crate::reduction::sum_dtype;
use crate::storage::access;
use crate::{DType, Result, Scalar, Tensor, bail, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![
    cumsum,
    cumprod,
    cummax,
    cummin,
    logcumsumexp,
    _logcumsumexp,
    cumulative_trapezoid,
    cumulative_trapezoid_x
];

/// The type in which a running sum of `dtype` is kept in memory.
fn compute_type(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 | DType::F32 => DType::F32,
        DType::F64 | DType::Complex64 | DType::Complex128 => dtype,
        _ => DType::I64,
    }
}

/// Running sums or products written to a result of `dtype`.
fn cumulate(product: bool, this: &Tensor, dim: i64, dtype: DType, out: Out) -> Result<Tensor> {
    let shape = along(&this.sizes(), wrap_dim(dim, this.dim())?);
    let x = dense(&cast(this.clone(), dtype)?, dtype)?;
    let y = Tensor::empty_of(&x.sizes(), dtype, x.device())?;
    let (o, i) = (y.raw(), x.raw());
    access([&o], [&i], |[y], [x]| {
        let (x, y) = (rows(&x, shape.outer), rows(&y, shape.outer));
        macro_rules! run {
            ($T:ty) => {
                // SAFETY: both are locked and row-major; the output is fresh.
                unsafe {
                    by_lines::<$T, 1, 1>(shape, [x], [y], |part, [x], [y]| {
                        kernels::cumulate(product, part, x, y);
                    })
                }
            };
        }
        match compute_type(dtype) {
            DType::F32 => run!(f32),
            DType::F64 => run!(f64),
            DType::Complex64 => run!(C32),
            DType::Complex128 => run!(C64),
            _ => run!(i64),
        }
    });
    finish(y, dtype, out)
}

/// Hands a fresh result to where it is wanted.
fn finish(y: Tensor, dtype: DType, out: Out) -> Result<Tensor> {
    if matches!(out, Out::New) {
        return cast(y, dtype);
    }
    let target = pointwise::output(out, &y.sizes(), dtype, &[&y])?;
    crate::copy::copy_into(&target, &y)?;
    Ok(target)
}

fn running_dtype(this: &Tensor, dtype: Option<DType>, out: &Out) -> DType {
    match out {
        Out::Inplace(_) => dtype.unwrap_or(this.dtype()),
        _ => sum_dtype(this, dtype, out),
    }
}

/// Running sum along `dim`.
#[op("cumsum(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor", inplace, out = "out", tags(core))]
mod cumsum {
    fn kernel(this: &Tensor, dim: i64, dtype: Option<DType>, out: Out) -> Result<Tensor> {
        let dtype = running_dtype(this, dtype, &out);
        cumulate(false, this, dim, dtype, out)
    }
    fn grad_this(g: &Tensor, dim: i64) -> Result<Tensor> {
        reversed_sum(g, dim)
    }
}

/// Sum of each element and all after it.
fn reversed_sum(t: &Tensor, dim: i64) -> Result<Tensor> {
    if t.numel() <= 1 {
        return Ok(t.clone());
    }
    t.flip([dim])?.cumsum(dim)?.flip([dim])
}

/// Running product along `dim`.
#[op("cumprod(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor", inplace, out = "out")]
mod cumprod {
    fn kernel(this: &Tensor, dim: i64, dtype: Option<DType>, out: Out) -> Result<Tensor> {
        let dtype = running_dtype(this, dtype, &out);
        cumulate(true, this, dim, dtype, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, dim: i64, out: &Tensor) -> Result<Tensor> {
        cumprod_gradient(g, &this.to_dtype(out.dtype())?, dim, out)
    }
}

/// `sum over j >= k of g[j] times the product of x[0..=j] without x[k]`.
fn cumprod_gradient(g: &Tensor, x: &Tensor, dim: i64, result: &Tensor) -> Result<Tensor> {
    let zeros = x.detach().eq_scalar(0)?;
    let has_zeros = x.device() != crate::Device::Meta && crate::ops::any::call(&zeros)?.item()?.to_bool();
    if x.dim() == 0 || x.numel() <= 1 {
        return Ok(g.clone());
    }
    if !has_zeros {
        return reversed_sum(&g.mul(&result.conj()?)?, dim)?.div(&x.conj()?);
    }
    let n = x.size(dim)?;
    let mut parts = Vec::with_capacity(n as usize);
    for k in 0..n {
        let before = crate::ops::prod_dim::call(&x.narrow(dim, 0, k)?, dim, true, None)?;
        let omitted = if k + 1 < n {
            let after = x.narrow(dim, k + 1, n - k - 1)?.cumprod(dim)?.mul(&before)?;
            crate::ops::cat::call(&[before, after], dim)?
        } else {
            before
        };
        let product = g.narrow(dim, k, n - k)?.mul(&omitted.conj()?)?;
        parts.push(crate::ops::sum_dim::call(&product, Some(&[dim]), true, None)?);
    }
    crate::ops::cat::call(&parts, dim)
}

/// Running maximum or minimum and its index.
fn extreme(max: bool, this: &Tensor, dim: i64) -> Result<(Tensor, Tensor)> {
    if this.is_complex() {
        let name = if max { "cummax" } else { "cummin" };
        bail!(NotImplemented, "\"{name}_cpu\" not implemented for '{}'", this.dtype().scalar_type());
    }
    let shape = along(&this.sizes(), wrap_dim(dim, this.dim())?);
    let compute = compute_type(this.dtype());
    let x = dense(this, compute)?;
    let values = Tensor::empty_of(&x.sizes(), compute, x.device())?;
    let indices = Tensor::empty_of(&x.sizes(), DType::I64, x.device())?;
    let (v, i, from) = (values.raw(), indices.raw(), x.raw());
    access([&v, &i], [&from], |[v, i], [x]| {
        // SAFETY: all are locked, row-major and of the compute type; the outputs are fresh.
        unsafe {
            let at = slice_mut(&i);
            match compute {
                DType::F32 => kernels::running_extreme::<f32>(max, shape, slice(&x), slice_mut(&v), at),
                DType::F64 => kernels::running_extreme::<f64>(max, shape, slice(&x), slice_mut(&v), at),
                _ => kernels::running_extreme::<i64>(max, shape, slice(&x), slice_mut(&v), at),
            }
        }
    });
    Ok((cast(values, this.dtype())?, indices))
}

/// Adds each gradient at the index that its value came from.
fn collect(g: &Tensor, this: &Meta, dim: i64, indices: &Tensor) -> Result<Tensor> {
    let zeros = crate::copy::zeros(this.sizes(), g.dtype(), g.device())?;
    if this.dim() == 0 { zeros.add(g) } else { zeros.scatter_add(dim, indices, g) }
}

/// Running maximum along `dim` and the index of the last element that equals it.
#[op("cummax(Tensor self, int dim) -> (Tensor values, Tensor indices)", out("out", values, indices))]
mod cummax {
    fn kernel(this: &Tensor, dim: i64) -> Result<(Tensor, Tensor)> {
        extreme(true, this, dim)
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: i64, out1: &Tensor) -> Result<Tensor> {
        collect(g, this, dim, out1)
    }
}

/// Running minimum along `dim` and the index of the last element that equals it.
#[op("cummin(Tensor self, int dim) -> (Tensor values, Tensor indices)", out("out", values, indices))]
mod cummin {
    fn kernel(this: &Tensor, dim: i64) -> Result<(Tensor, Tensor)> {
        extreme(false, this, dim)
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: i64, out1: &Tensor) -> Result<Tensor> {
        collect(g, this, dim, out1)
    }
}

/// Logarithm of the running sum of exponentials along `dim`.
#[op("_logcumsumexp(Tensor self, int dim) -> Tensor", out = "out")]
mod _logcumsumexp {
    fn kernel(this: &Tensor, dim: i64) -> Result<Tensor> {
        let d = wrap_dim(dim, this.dim())?;
        if this.dtype().is_integral_or_bool() {
            bail!(
                NotImplemented,
                "\"logcumsumexp_out_cpu\" not implemented for '{}'",
                this.dtype().scalar_type()
            );
        }
        let (compute, shape) = (compute_type(this.dtype()), along(&this.sizes(), d));
        let x = dense(this, compute)?;
        let y = Tensor::empty_of(&x.sizes(), compute, x.device())?;
        let (o, i) = (y.raw(), x.raw());
        access([&o], [&i], |[y], [x]| {
            // SAFETY: both are locked, row-major and of the compute type; the output is fresh.
            unsafe {
                match compute {
                    DType::F32 => kernels::log_cumulate::<f32>(shape, slice(&x), slice_mut(&y)),
                    DType::F64 => kernels::log_cumulate::<f64>(shape, slice(&x), slice_mut(&y)),
                    DType::Complex64 => kernels::log_cumulate::<C32>(shape, slice(&x), slice_mut(&y)),
                    _ => kernels::log_cumulate::<C64>(shape, slice(&x), slice_mut(&y)),
                }
            }
        });
        cast(y, this.dtype())
    }
    fn grad_this(g: &Tensor, this: &Tensor, dim: i64, out: &Tensor) -> Result<Tensor> {
        if this.dim() == 0 {
            return Ok(g.clone());
        }
        let lowest = Tensor::scalar(Scalar::Float(lowest(g.dtype())), g.dtype())?;
        let from_end = |logs: &Tensor| -> Result<Tensor> {
            let sum = logs.sub(&out.conj()?)?.flip([dim])?.logcumsumexp(dim)?.flip([dim])?;
            sum.add(&this.conj()?)?.exp()
        };
        if g.is_complex() {
            return from_end(&crate::ops::where_self(&g.ne_scalar(0)?, &g.log()?, &lowest)?);
        }
        // Positive and negative gradients apart, each as a sum of exponentials from the end.
        let part = |g: &Tensor| from_end(&crate::ops::where_self(&g.gt_scalar(0)?, &g.log()?, &lowest)?);
        part(g)?.sub(&part(&g.neg()?)?)
    }
}

/// Stands for the logarithm of zero where an infinity would breed NaN.
fn lowest(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => -65504.0,
        DType::BF16 => f64::from(cresset_kernels::dtype::bf16::MIN.to_f32()),
        DType::F64 | DType::Complex128 => f64::MIN,
        _ => f64::from(f32::MIN),
    }
}

/// Logarithm of the running sum of exponentials along `dim`, without overflow.
#[op("logcumsumexp(Tensor self, int dim) -> Tensor", composite, out = "out")]
mod logcumsumexp {
    fn kernel(this: &Tensor, dim: i64) -> Result<Tensor> {
        _logcumsumexp::call(this, dim)
    }
}

/// Running integral by the trapezoidal rule, points `dx` apart.
#[op("cumulative_trapezoid.dx(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor", composite)]
mod cumulative_trapezoid {
    fn kernel(y: &Tensor, dx: Scalar, dim: i64) -> Result<Tensor> {
        let half = dx.to_f64() / 2.0;
        crate::reduction::scale(&neighbours(y, dim)?.cumsum(dim)?, half)
    }
}

/// Sums of neighbours along `dim`.
fn neighbours(y: &Tensor, dim: i64) -> Result<Tensor> {
    let n = y.size(dim)?;
    y.narrow(dim, 1, n - 1)?.add(&y.narrow(dim, 0, n - 1)?)
}

/// Running integral by the trapezoidal rule at the points `x`.
#[op("cumulative_trapezoid.x(Tensor y, Tensor x, *, int dim=-1) -> Tensor", composite)]
mod cumulative_trapezoid_x {
    fn kernel(y: &Tensor, x: &Tensor, dim: i64) -> Result<Tensor> {
        let d = wrap_dim(dim, y.dim())?;
        let (along, n) = (if x.dim() == 1 { 0 } else { d as i64 }, y.size(dim)?);
        if x.size(along)? != n {
            bail!("cumulative_trapezoid: There must be one `x` value for each sample point");
        }
        let mut steps = x.narrow(along, 1, n - 1)?.sub(&x.narrow(along, 0, n - 1)?)?;
        if x.dim() == 1 {
            let mut sizes = vec![1; y.dim()];
            sizes[d] = n - 1;
            steps = steps.view(&sizes[..])?;
        }
        crate::reduction::scale(&neighbours(y, dim)?.mul(&steps)?.cumsum(dim)?, 0.5)
    }
}
