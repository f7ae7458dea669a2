//! Sums, products, means, counts and truth over dimensions.

use cresset_kernels::reduce::Reduce;
use cresset_macros::op;

use crate::autograd::Meta;
use crate::layout::wrap_dim;
use crate::op::{OpDef, Out};
use crate::reduction::{self, given_dtype, reduce, scale, spread, sum_dtype};
use crate::supported::{numbers, require};
use crate::{DType, Result, Tensor, bail, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    sum,
    sum_dim,
    mean,
    mean_dim,
    prod,
    prod_dim,
    nansum,
    nanmean,
    count_nonzero,
    count_nonzero_dim,
    any,
    any_dim,
    any_dims,
    all,
    all_dim,
    all_dims,
    trace,
];

/// Sum of all elements; integers are summed as `int64`.
#[op("sum(Tensor self, *, ScalarType? dtype=None) -> Tensor", out = "out", tags(reduction))]
mod sum {
    fn kernel(this: &Tensor, dtype: Option<DType>, out: Out) -> Result<Tensor> {
        reduce(Reduce::Sum, this, None, false, sum_dtype(this, dtype, &out), out)
    }
    fn sparse(this: &Tensor, dtype: Option<DType>) -> Result<Tensor> {
        this._values()?.sum_with(|o| o.dtype(dtype))
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        g.expand(this.sizes())
    }
}

/// Sum over the given dimensions (all, if none are given).
#[op(
    "sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    out = "IntList_out",
    tags(core, reduction)
)]
mod sum_dim {
    fn kernel(
        this: &Tensor,
        dim: Option<&[i64]>,
        keepdim: bool,
        dtype: Option<DType>,
        out: Out,
    ) -> Result<Tensor> {
        reduce(Reduce::Sum, this, dim, keepdim, sum_dtype(this, dtype, &out), out)
    }
    fn sparse(this: &Tensor, dim: Option<&[i64]>, keepdim: bool, dtype: Option<DType>) -> Result<Tensor> {
        crate::sparse::math::sum(this, dim.unwrap_or(&[]), keepdim, dtype)
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: Option<&[i64]>, keepdim: bool) -> Result<Tensor> {
        spread(g, this.sizes(), dim, keepdim)
    }
}

/// The dtype of a mean.
fn mean_dtype(this: &Tensor, dtype: Option<DType>, out: &Out) -> Result<DType> {
    let wanted = dtype.or(given_dtype(out)).unwrap_or(this.dtype());
    if wanted.is_integral_or_bool() {
        let what = if dtype.is_some() { "Optional" } else { "Input" };
        bail!(
            NotImplemented,
            "mean(): could not infer output dtype. {what} dtype must be either a floating point or complex dtype. Got: {}",
            wanted.scalar_type()
        );
    }
    Ok(wanted)
}

/// Mean of all elements.
#[op("mean(Tensor self, *, ScalarType? dtype=None) -> Tensor", out = "dtype_out", tags(reduction))]
mod mean {
    fn kernel(this: &Tensor, dtype: Option<DType>, out: Out) -> Result<Tensor> {
        reduce(Reduce::Mean, this, None, false, mean_dtype(this, dtype, &out)?, out)
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        scale(&g.expand(this.sizes())?, 1.0 / this.numel() as f64)
    }
}

/// Mean over the given dimensions (all, if none are given).
#[op(
    "mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    out = "out",
    tags(core, reduction)
)]
mod mean_dim {
    fn kernel(
        this: &Tensor,
        dim: Option<&[i64]>,
        keepdim: bool,
        dtype: Option<DType>,
        out: Out,
    ) -> Result<Tensor> {
        reduce(Reduce::Mean, this, dim, keepdim, mean_dtype(this, dtype, &out)?, out)
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: Option<&[i64]>, keepdim: bool) -> Result<Tensor> {
        let n = reduction::count(this.sizes(), &reduction::mask(dim, this.dim())?);
        scale(&spread(g, this.sizes(), dim, keepdim)?, 1.0 / n as f64)
    }
}

/// Product of all elements.
#[op(
    "prod(Tensor self, *, ScalarType? dtype=None) -> Tensor",
    out = "out",
    tags(reduction),
    autocast = "fp32"
)]
mod prod {
    fn kernel(this: &Tensor, dtype: Option<DType>, out: Out) -> Result<Tensor> {
        reduce(Reduce::Prod, this, None, false, sum_dtype(this, dtype, &out), out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Tensor> {
        if this.dim() == 0 {
            return Ok(g.clone());
        }
        let flat = this.reshape([-1])?.to_dtype(out.dtype())?;
        prod_gradient(g, &flat, out, 0)?.reshape(&this.sizes()[..])
    }
}

/// Product over one dimension.
#[op(
    "prod.dim_int(Tensor self, int dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    out = "int_out",
    tags(core, reduction),
    autocast = "fp32"
)]
mod prod_dim {
    fn kernel(this: &Tensor, dim: i64, keepdim: bool, dtype: Option<DType>, out: Out) -> Result<Tensor> {
        reduce(Reduce::Prod, this, Some(&[dim]), keepdim, sum_dtype(this, dtype, &out), out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, dim: i64, keepdim: bool, out: &Tensor) -> Result<Tensor> {
        if this.dim() == 0 {
            return Ok(g.clone());
        }
        let dim = wrap_dim(dim, this.dim())? as i64;
        let up = |t: &Tensor| if keepdim { Ok(t.clone()) } else { t.unsqueeze(dim) };
        prod_gradient(&up(g)?, &this.to_dtype(out.dtype())?, &up(out)?, dim)
    }
}

/// Gradient of a product along `dim`, `g` and `result` having size 1 there.
fn prod_gradient(g: &Tensor, x: &Tensor, result: &Tensor, dim: i64) -> Result<Tensor> {
    let n = x.size(dim)?;
    if x.numel() == 0 {
        return g.expand(&x.sizes()[..]);
    }
    let zeros = x.detach().eq(&Tensor::wrapped(crate::Scalar::Int(0))?)?;
    if zeros.device() != crate::Device::Meta && !any::call(&zeros)?.item()?.to_bool() {
        return g.mul(&result.div(x)?.conj()?);
    }
    if n == 1 {
        return g.expand(&x.sizes()[..]);
    }
    // The product of all others, as running products from both ends.
    let ones = crate::copy::ones_like(&x.narrow(dim, 0, 1)?.contiguous_copy()?)?;
    let before = crate::ops::cat::call(&[ones.clone(), x.narrow(dim, 0, n - 1)?], dim)?.cumprod(dim)?;
    let after = crate::ops::cat::call(&[ones, x.narrow(dim, 1, n - 1)?.flip([dim])?], dim)?
        .cumprod(dim)?
        .flip([dim])?;
    g.mul(&before.mul(&after)?.conj()?)
}

/// Sum over the given dimensions in which NaN counts as zero.
#[op(
    "nansum(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    out = "out",
    tags(reduction)
)]
mod nansum {
    fn kernel(
        this: &Tensor,
        dim: Option<&[i64]>,
        keepdim: bool,
        dtype: Option<DType>,
        out: Out,
    ) -> Result<Tensor> {
        if this.is_complex() {
            bail!(NotImplemented, "nansum on CPU does not support complex inputs");
        }
        reduce(Reduce::NanSum, this, dim, keepdim, sum_dtype(this, dtype, &out), out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, dim: Option<&[i64]>, keepdim: bool) -> Result<Tensor> {
        spread(g, &this.sizes(), dim, keepdim)?.mul(&this.isnan()?.logical_not()?)
    }
}

/// Mean over the given dimensions of the elements that are not NaN.
#[op(
    "nanmean(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    composite,
    out = "out",
    tags(reduction)
)]
mod nanmean {
    fn kernel(this: &Tensor, dim: Option<&[i64]>, keepdim: bool, dtype: Option<DType>) -> Result<Tensor> {
        if this.dtype().is_integral_or_bool() {
            bail!(
                NotImplemented,
                "nanmean(): expected input to have floating point or complex dtype but got {}",
                this.dtype().scalar_type()
            );
        }
        let number = sum_dim::call(&this.isnan()?.logical_not()?, dim, keepdim, None)?;
        nansum::call(this, dim, keepdim, dtype)?.div(&number)
    }
}

/// Number of elements that are not zero, over `dim` or all dimensions.
#[op(
    "count_nonzero(Tensor self, int? dim=None) -> Tensor",
    no_grad = "integers",
    out = "out",
    tags(reduction)
)]
mod count_nonzero {
    fn kernel(this: &Tensor, dim: Option<i64>, out: Out) -> Result<Tensor> {
        let dims = dim.map(|d| [d]);
        reduce(Reduce::CountNonzero, this, dims.as_ref().map(|d| &d[..]), false, DType::I64, out)
    }
}

/// Number of elements that are not zero, over several dimensions.
#[op(
    "count_nonzero.dim_IntList(Tensor self, int[] dim) -> Tensor",
    no_grad = "integers",
    out = "dim_IntList_out",
    tags(reduction)
)]
mod count_nonzero_dim {
    fn kernel(this: &Tensor, dim: &[i64], out: Out) -> Result<Tensor> {
        reduce(Reduce::CountNonzero, this, Some(dim), false, DType::I64, out)
    }
}

/// The dtype of a truth: `uint8` stays, as in PyTorch.
fn truth_dtype(this: &Tensor, out: &Out) -> DType {
    given_dtype(out).unwrap_or(if this.dtype() == DType::U8 { DType::U8 } else { DType::Bool })
}

/// Reduces no dimension if the list is empty but given.
fn truth(op: Reduce, this: &Tensor, dim: Option<&[i64]>, keepdim: bool, out: Out) -> Result<Tensor> {
    let dtype = truth_dtype(this, &out);
    if !matches!(dtype, DType::Bool | DType::U8) {
        let name = if op == Reduce::Any { "any" } else { "all" };
        bail!("{name} only supports bool tensor for result, got: {}", dtype.scalar_type());
    }
    if dim.is_some_and(<[i64]>::is_empty) && this.dim() > 0 {
        let one = this.unsqueeze(0)?;
        return reduce(op, &one, Some(&[0]), false, dtype, out);
    }
    reduce(op, this, dim, keepdim, dtype, out)
}

/// Whether any element is not zero.
#[op("any(Tensor self) -> Tensor", no_grad = "truth values", out = "all_out", tags(core, reduction))]
mod any {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        truth(Reduce::Any, this, None, false, out)
    }
    fn sparse(this: &Tensor) -> Result<Tensor> {
        this._values()?.any()
    }
}

/// Whether any element along `dim` is not zero.
#[op(
    "any.dim(Tensor self, int dim, bool keepdim=False) -> Tensor",
    no_grad = "truth values",
    out = "out",
    tags(core, reduction)
)]
mod any_dim {
    fn kernel(this: &Tensor, dim: i64, keepdim: bool, out: Out) -> Result<Tensor> {
        truth(Reduce::Any, this, Some(&[dim]), keepdim, out)
    }
}

/// Whether any element over the given dimensions is not zero.
#[op(
    "any.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor",
    no_grad = "truth values",
    out = "dims_out",
    tags(core, reduction)
)]
mod any_dims {
    fn kernel(this: &Tensor, dim: Option<&[i64]>, keepdim: bool, out: Out) -> Result<Tensor> {
        truth(Reduce::Any, this, dim, keepdim, out)
    }
}

/// Whether no element is zero.
#[op("all(Tensor self) -> Tensor", no_grad = "truth values", out = "all_out", tags(reduction))]
mod all {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        truth(Reduce::All, this, None, false, out)
    }
}

/// Whether no element along `dim` is zero.
#[op(
    "all.dim(Tensor self, int dim, bool keepdim=False) -> Tensor",
    no_grad = "truth values",
    out = "out",
    tags(reduction)
)]
mod all_dim {
    fn kernel(this: &Tensor, dim: i64, keepdim: bool, out: Out) -> Result<Tensor> {
        truth(Reduce::All, this, Some(&[dim]), keepdim, out)
    }
}

/// Whether no element over the given dimensions is zero.
#[op(
    "all.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor",
    no_grad = "truth values",
    out = "dims_out",
    tags(reduction)
)]
mod all_dims {
    fn kernel(this: &Tensor, dim: Option<&[i64]>, keepdim: bool, out: Out) -> Result<Tensor> {
        truth(Reduce::All, this, dim, keepdim, out)
    }
}

/// Sum of the main diagonal of a matrix.
#[op("trace(Tensor self) -> Tensor", autocast = "fp32", composite)]
mod trace {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        require("trace", this, numbers)?;
        if this.dim() != 2 {
            bail!("trace: expected a matrix, but got tensor with dim {}", this.dim());
        }
        this.diagonal()?.sum()
    }
}
