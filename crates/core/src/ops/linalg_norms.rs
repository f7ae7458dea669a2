//! Norms of matrices and condition numbers.

use cresset_macros::op;

use super::{linalg_inv, linalg_inv_ex, linalg_svdvals, linalg_vector_norm};
use crate::layout::wrap_dim;
use crate::matrices::{check_float, check_matrix, check_square};
use crate::op::OpDef;
use crate::{DType, Result, Scalar, Tensor, bail, copy, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    linalg_matrix_norm,
    linalg_matrix_norm_str,
    linalg_norm,
    linalg_norm_str,
    linalg_cond,
    linalg_cond_str,
    frobenius_norm,
    nuclear_norm,
    nuclear_norm_dim,
    norm_except_dim,
];

/// Checks what all matrix norms ask for and gives the two dimensions, counted from the front.
fn check_norm(this: &Tensor, dim: &[i64], low_precision: bool) -> Result<(usize, usize)> {
    let name = "linalg.matrix_norm";
    check_matrix(name, "A", this)?;
    let list: Vec<String> = dim.iter().map(i64::to_string).collect();
    ensure!(dim.len() == 2, "{name}: dim must be a 2-tuple. Got {}", list.join(", "));
    let (a, b) = (wrap_dim(dim[0], this.dim())?, wrap_dim(dim[1], this.dim())?);
    ensure!(a != b, "{name}: dims must be different. Got ({}, {})", dim[0], dim[1]);
    check_float(name, this, low_precision)?;
    Ok((a, b))
}

/// The singular values of the matrices in dimensions `a` and `b`, reduced by `f`.
fn of_singular_values(
    this: &Tensor,
    (a, b): (usize, usize),
    keepdim: bool,
    dtype: Option<DType>,
    f: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let this = dtype.map_or(Ok(this.clone()), |d| this.to_dtype(d))?;
    let last = this.movedim_list([a as i64, b as i64], [-2, -1])?;
    let result = f(&linalg_svdvals::call(&last, None)?)?;
    if !keepdim {
        return Ok(result);
    }
    result.unsqueeze(a.min(b) as i64)?.unsqueeze(a.max(b) as i64)
}

/// The largest or (for negative orders) smallest element along a dimension; the largest of none is 0.
fn extreme(x: &Tensor, order: f64, dim: i64, keepdim: bool) -> Result<Tensor> {
    if order < 0.0 {
        x.amin_with(|o| o.dim(dim).keepdim(keepdim))
    } else if x.size(dim)? == 0 {
        x.sum_dim_with(dim, |o| o.keepdim(keepdim))
    } else {
        x.amax_with(|o| o.dim(dim).keepdim(keepdim))
    }
}

/// Norm of matrices: order 1 or infinity (largest column or row sum), 2 (largest singular value); negative orders take the
/// smallest.
#[op(
    "linalg_matrix_norm(Tensor self, Scalar ord, int[] dim=[-2, -1], bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    composite,
    out = "out"
)]
mod linalg_matrix_norm {
    fn kernel(
        this: &Tensor,
        ord: Scalar,
        dim: &[i64],
        keepdim: bool,
        dtype: Option<DType>,
    ) -> Result<Tensor> {
        let order = ord.to_f64();
        let dims = check_norm(this, dim, order.abs() != 2.0)?;
        if order.abs() == 2.0 {
            return of_singular_values(this, dims, keepdim, dtype, |s| extreme(s, order, -1, false));
        }
        ensure!(
            order.abs() == 1.0 || order.is_infinite(),
            "linalg.matrix_norm: Order {order} not supported."
        );
        let (summed, compared) = if order.is_infinite() { (dims.1, dims.0) } else { dims };
        let sums = linalg_vector_norm::call(this, Scalar::Float(1.0), Some(&[summed as i64]), true, dtype)?;
        let result = extreme(&sums, order, compared as i64, true)?;
        if keepdim {
            return Ok(result);
        }
        result.squeeze_dim(summed.max(compared) as i64)?.squeeze_dim(summed.min(compared) as i64)
    }
}

/// Norm of matrices: `"fro"` (root of the sum of squares) or `"nuc"` (sum of singular values).
#[op(
    "linalg_matrix_norm.str_ord(Tensor self, str ord=\"fro\", int[] dim=[-2, -1], bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    composite,
    out = "str_ord_out"
)]
mod linalg_matrix_norm_str {
    fn kernel(this: &Tensor, ord: &str, dim: &[i64], keepdim: bool, dtype: Option<DType>) -> Result<Tensor> {
        let dims = check_norm(this, dim, ord != "nuc")?;
        match ord {
            "fro" => linalg_vector_norm::call(this, Scalar::Int(2), Some(dim), keepdim, dtype),
            "nuc" => of_singular_values(this, dims, keepdim, dtype, |s| s.sum_dim(-1)),
            _ => bail!("linalg.matrix_norm: Order {ord} not supported."),
        }
    }
}

fn check_norm_dims(this: &Tensor, dim: Option<&[i64]>, ordered: bool) -> Result<()> {
    let list = dim.map(|d| d.iter().map(i64::to_string).collect::<Vec<_>>());
    if let Some(list) = list {
        ensure!(
            matches!(list.len(), 1 | 2),
            "linalg.norm: If dim is specified, it must be of length 1 or 2. Got [{}]",
            list.join(", ")
        );
    } else if ordered {
        ensure!(
            matches!(this.dim(), 1 | 2),
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {}D.",
            this.dim()
        );
    }
    Ok(())
}

/// Norm of vectors, or of matrices if two dimensions are meant; without an order that of all elements.
#[op(
    "linalg_norm(Tensor self, Scalar? ord=None, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    composite,
    out = "out"
)]
mod linalg_norm {
    fn kernel(
        this: &Tensor,
        ord: Option<Scalar>,
        dim: Option<&[i64]>,
        keepdim: bool,
        dtype: Option<DType>,
    ) -> Result<Tensor> {
        check_norm_dims(this, dim, ord.is_some())?;
        let matrix = dim.map_or(this.dim() == 2, |d| d.len() == 2);
        match ord {
            Some(ord) if matrix => {
                linalg_matrix_norm::call(this, ord, dim.unwrap_or(&[0, 1]), keepdim, dtype)
            }
            _ => linalg_vector_norm::call(this, ord.unwrap_or(Scalar::Int(2)), dim, keepdim, dtype),
        }
    }
}

/// Norm of matrices, `"fro"` or `"nuc"`.
#[op(
    "linalg_norm.ord_str(Tensor self, str ord, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    composite,
    out = "ord_str_out"
)]
mod linalg_norm_str {
    fn kernel(
        this: &Tensor,
        ord: &str,
        dim: Option<&[i64]>,
        keepdim: bool,
        dtype: Option<DType>,
    ) -> Result<Tensor> {
        check_norm_dims(this, dim, true)?;
        linalg_matrix_norm_str::call(this, ord, dim.unwrap_or(&[-2, -1]), keepdim, dtype)
    }
}

fn check_cond(this: &Tensor) -> Result<()> {
    ensure!(this.dim() >= 2, "linalg.cond: The input tensor must have at least 2 dimensions.");
    Ok(())
}

/// Condition numbers of no elements are 0.
fn empty_cond(this: &Tensor) -> Result<Tensor> {
    let sizes = this.sizes();
    copy::zeros(&sizes[..sizes.len() - 2], this.dtype().to_real(), this.device())
}

/// The product of the norms of a matrix and of its inverse, infinite where there is none.
fn with_inverse(this: &Tensor, norm: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let (inverse, info) = linalg_inv_ex::call(this, false)?;
    let singular = info.gt_scalar(0)?.unsqueeze(-1)?.unsqueeze(-1)?;
    norm(this)?.mul(&norm(&inverse.masked_fill(&singular, f64::INFINITY)?)?)
}

/// Condition number for the matrix norm of order `p` (2, if none is given).
#[op("linalg_cond(Tensor self, Scalar? p=None) -> Tensor", autocast = "fp32", composite, out = "out")]
mod linalg_cond {
    fn kernel(this: &Tensor, p: Option<Scalar>) -> Result<Tensor> {
        check_cond(this)?;
        let order = p.map_or(2.0, |p| p.to_f64());
        ensure!(
            [1.0, 2.0, f64::INFINITY].contains(&order.abs()),
            Value,
            "linalg.cond got an invalid norm type: {order}"
        );
        if this.numel() == 0 {
            return empty_cond(this);
        }
        if order.abs() == 2.0 {
            let s = linalg_svdvals::call(this, None)?;
            let (most, least) = (s.select(-1, 0)?, s.select(-1, -1)?);
            return if order > 0.0 { most.div(&least) } else { least.div(&most) };
        }
        check_square(&format!("linalg.cond(ord={order})"), "A", this)?;
        with_inverse(this, |x| linalg_matrix_norm::call(x, Scalar::Float(order), &[-2, -1], false, None))
    }
}

/// Condition number for the matrix norm `"fro"` or `"nuc"`.
#[op("linalg_cond.p_str(Tensor self, str p) -> Tensor", autocast = "fp32", composite, out = "p_str_out")]
mod linalg_cond_str {
    fn kernel(this: &Tensor, p: &str) -> Result<Tensor> {
        check_cond(this)?;
        ensure!(matches!(p, "fro" | "nuc"), Value, "linalg.cond got an invalid norm type: {p}");
        check_square(&format!("linalg.cond(ord={p})"), "A", this)?;
        if this.numel() == 0 {
            return empty_cond(this);
        }
        let norm = |x: &Tensor| linalg_matrix_norm_str::call(x, p, &[-2, -1], false, None);
        if p == "nuc" { norm(this)?.mul(&norm(&linalg_inv::call(this)?)?) } else { with_inverse(this, norm) }
    }
}

/// Root of the sum of squares over at most two dimensions (all, if none are given).
#[op("frobenius_norm.dim(Tensor self, int[1] dim, bool keepdim=False) -> Tensor", composite, out = "out")]
mod frobenius_norm {
    fn kernel(this: &Tensor, dim: &[i64], keepdim: bool) -> Result<Tensor> {
        ensure!(dim.len() <= 2, "Expected at most 2 dimensions, but got {} dimensions instead.", dim.len());
        linalg_vector_norm::call(this, Scalar::Int(2), Some(dim), keepdim, None)
    }
}

/// Sum of the singular values of matrices.
#[op("nuclear_norm(Tensor self, bool keepdim=False) -> Tensor", composite, out = "out")]
mod nuclear_norm {
    fn kernel(this: &Tensor, keepdim: bool) -> Result<Tensor> {
        linalg_matrix_norm_str::call(this, "nuc", &[-2, -1], keepdim, None)
    }
}

/// Sum of the singular values of the matrices in two dimensions.
#[op("nuclear_norm.dim(Tensor self, int[2] dim, bool keepdim=False) -> Tensor", composite, out = "dim_out")]
mod nuclear_norm_dim {
    fn kernel(this: &Tensor, dim: &[i64], keepdim: bool) -> Result<Tensor> {
        linalg_matrix_norm_str::call(this, "nuc", dim, keepdim, None)
    }
}

/// Norm of order `pow` over all dimensions but `dim`, which are kept with size 1; of all elements if `dim` is -1.
#[op("norm_except_dim(Tensor v, int pow=2, int dim=0) -> Tensor", composite)]
mod norm_except_dim {
    fn kernel(v: &Tensor, pow: i64, dim: i64) -> Result<Tensor> {
        if dim == -1 {
            return linalg_vector_norm::call(v, Scalar::Int(pow), None, false, None);
        }
        let kept = wrap_dim(dim, v.dim())? as i64;
        let dims: Vec<i64> = (0..v.dim() as i64).filter(|d| *d != kept).collect();
        if dims.is_empty() {
            return v.abs();
        }
        linalg_vector_norm::call(v, Scalar::Int(pow), Some(&dims), true, None)
    }
}
