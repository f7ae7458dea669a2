//! Vector norms over dimensions.

use cresset_kernels::reduce::Reduce;
use cresset_macros::op;

use crate::op::{OpDef, Out};
use crate::reduction::{self, DimList, mask, power, reduce, restore};
use crate::{DType, Result, Scalar, Tensor, bail, op_list};

pub(crate) static OPS: &[&OpDef] =
    op_list![linalg_vector_norm, norm, norm_dim, norm_dim_dtype, norm_dtype, dist];

/// The dtype of a norm, which is real.
fn norm_dtype_of(this: &Tensor, dtype: Option<DType>) -> Result<DType> {
    if this.dtype().is_integral_or_bool() {
        bail!(
            NotImplemented,
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got {}",
            this.dtype().scalar_type()
        );
    }
    Ok(dtype.unwrap_or(this.dtype()).to_real())
}

/// Vector norm of order `ord` over the given dimensions (all, if none are given).
#[op(
    "linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    out = "out",
    tags(reduction)
)]
mod linalg_vector_norm {
    fn kernel(
        this: &Tensor,
        ord: Scalar,
        dim: Option<&[i64]>,
        keepdim: bool,
        dtype: Option<DType>,
        out: Out,
    ) -> Result<Tensor> {
        let result = norm_dtype_of(this, dtype)?;
        let p = ord.to_f64();
        let mask = mask(dim, this.dim())?;
        if (p < 0.0 || p == f64::INFINITY) && reduction::count(&this.sizes(), &mask) == 0 {
            bail!(
                "linalg.vector_norm cannot compute the {p} norm on an empty tensor because the operation does not have an identity"
            );
        }
        let real = if this.is_complex() { this.abs()? } else { this.clone() };
        reduce(Reduce::Norm(p), &real, dim, keepdim, result, out)
    }
    fn grad_this(
        g: &Tensor,
        this: &Tensor,
        ord: Scalar,
        dim: Option<&[i64]>,
        keepdim: bool,
        out: &Tensor,
    ) -> Result<Tensor> {
        let sizes = this.sizes();
        let (g, norm) = (restore(g, &sizes, dim, keepdim)?, restore(out, &sizes, dim, keepdim)?);
        norm_gradient(&g, this, ord.to_f64(), &norm, dim)
    }
}

/// Gradient of the norm of order `p`, `g` and `norm` having the dimensions of `this`.
fn norm_gradient(g: &Tensor, this: &Tensor, p: f64, norm: &Tensor, dims: DimList) -> Result<Tensor> {
    if p == 0.0 {
        return crate::copy::zeros(&this.sizes(), this.dtype(), this.device());
    }
    if p == 1.0 {
        return this.sgn()?.mul(g);
    }
    if p.is_infinite() {
        let size = this.abs()?;
        let hit = size.eq(norm)?.logical_or(&size.isnan()?.logical_and(&norm.isnan()?)?)?;
        let number = crate::ops::sum_dim::call(&hit, dims, true, None)?;
        return this.sgn()?.mul(&hit)?.mul(&g.div(&number)?);
    }
    if p == 2.0 {
        return this.div(norm)?.masked_fill(&is_zero(norm)?, 0)?.mul(g);
    }
    let (zero, size) = (is_zero(norm)?, this.abs()?);
    if p < 1.0 {
        let scaled = this.sgn()?.mul(&power(&size, p - 1.0)?)?.masked_fill(&is_zero(this)?, 0)?;
        return scaled.mul(g)?.mul(&power(norm, 1.0 - p)?);
    }
    let scaled =
        if p < 2.0 { this.sgn()?.mul(&power(&size, p - 1.0)?)? } else { this.mul(&power(&size, p - 2.0)?)? };
    scaled.mul(&g.div(&power(norm, p - 1.0)?)?.masked_fill(&zero, 0)?)
}

/// Norm of order `p` of all elements.
#[op("norm.Scalar(Tensor self, Scalar p=2) -> Tensor", composite, tags(reduction))]
mod norm {
    fn kernel(this: &Tensor, p: Scalar) -> Result<Tensor> {
        linalg_vector_norm::call(this, p, None, false, None)
    }
    fn sparse(this: &Tensor, p: Scalar) -> Result<Tensor> {
        this.coalesce()?.values()?.norm_with(|o| o.p(p))
    }
}

/// Norm of order `p` (2, if none is given) over the given dimensions.
#[op(
    "norm.ScalarOpt_dim(Tensor self, Scalar? p, int[1] dim, bool keepdim=False) -> Tensor",
    composite,
    out = "out",
    tags(reduction)
)]
mod norm_dim {
    fn kernel(this: &Tensor, p: Option<Scalar>, dim: &[i64], keepdim: bool) -> Result<Tensor> {
        linalg_vector_norm::call(this, p.unwrap_or(Scalar::Int(2)), Some(dim), keepdim, None)
    }
}

/// Norm of order `p` over the given dimensions, in `dtype`.
#[op(
    "norm.ScalarOpt_dim_dtype(Tensor self, Scalar? p, int[1] dim, bool keepdim, *, ScalarType dtype) -> Tensor",
    composite,
    out = "dtype_out",
    tags(reduction)
)]
mod norm_dim_dtype {
    fn kernel(this: &Tensor, p: Option<Scalar>, dim: &[i64], keepdim: bool, dtype: DType) -> Result<Tensor> {
        linalg_vector_norm::call(this, p.unwrap_or(Scalar::Int(2)), Some(dim), keepdim, Some(dtype))
    }
}

/// Norm of order `p` of all elements, in `dtype`.
#[op(
    "norm.ScalarOpt_dtype(Tensor self, Scalar? p, *, ScalarType dtype) -> Tensor",
    composite,
    tags(reduction)
)]
mod norm_dtype {
    fn kernel(this: &Tensor, p: Option<Scalar>, dtype: DType) -> Result<Tensor> {
        linalg_vector_norm::call(this, p.unwrap_or(Scalar::Int(2)), None, false, Some(dtype))
    }
}

/// Norm of order `p` of `self - other`.
#[op("dist(Tensor self, Tensor other, Scalar p=2) -> Tensor", composite)]
mod dist {
    fn kernel(this: &Tensor, other: &Tensor, p: Scalar) -> Result<Tensor> {
        norm::call(&this.sub(other)?, p)
    }
}

fn is_zero(t: &Tensor) -> Result<Tensor> {
    t.eq_scalar(0)
}
