//! A weight as a direction and a length.

use cresset_macros::op;

use super::{norm_except_dim, sum_dim};
use crate::layout::wrap_dim;
use crate::op::{Grad, Grads, OpDef};
use crate::{DType, Result, Tensor, op_list};

pub(crate) static OPS: &[&OpDef] =
    op_list![_weight_norm, _weight_norm_interface, _weight_norm_interface_backward];

/// All dimensions but `dim`.
fn others(t: &Tensor, dim: usize) -> Vec<i64> {
    (0..t.dim()).filter(|d| *d != dim).map(|d| d as i64).collect()
}

/// `v g / |v|`, the norm being over all dimensions but `dim`.
#[op("_weight_norm(Tensor v, Tensor g, int dim=0) -> Tensor", composite, no_method, no_fn)]
mod _weight_norm {
    fn kernel(v: &Tensor, g: &Tensor, dim: i64) -> Result<Tensor> {
        if dim == 0 || dim == v.dim() as i64 - 1 {
            return Ok(_weight_norm_interface::call(v, g, dim)?.0);
        }
        v.mul(&g.div(&norm_except_dim::call(v, 2, dim)?)?)
    }
}

/// [`_weight_norm`] and the norms; those of half precision are `float32`.
///
/// The gradient takes the norms as given, so the second one does not see how they depend on `v`, as in PyTorch.
#[op(
    "_weight_norm_interface(Tensor v, Tensor g, int dim=0) -> (Tensor, Tensor)",
    wrt(v, g),
    no_method,
    no_fn
)]
mod _weight_norm_interface {
    fn kernel(v: &Tensor, g: &Tensor, dim: i64) -> Result<(Tensor, Tensor)> {
        let wide = if matches!(v.dtype(), DType::F16 | DType::BF16) { DType::F32 } else { v.dtype() };
        let (x, g) = (v.detach().to_dtype(wide)?, g.detach().to_dtype(wide)?);
        let norms = norm_except_dim::call(&x, 2, dim)?;
        Ok((x.mul(&g.div(&norms)?)?.to_dtype(v.dtype())?, norms))
    }
    fn grad(g0: Option<&Tensor>, v: &Tensor, g: &Tensor, dim: i64, out1: &Tensor) -> Result<Grads> {
        let Some(grad) = g0 else { return Ok(vec![Grad::None, Grad::None]) };
        let (v, g) = _weight_norm_interface_backward::call(grad, v, g, &out1.detach(), dim)?;
        Ok(vec![v.into(), g.into()])
    }
}

/// Gradients of [`_weight_norm_interface`] in `v` and `g`.
#[op(
    "_weight_norm_interface_backward(Tensor grad_w, Tensor saved_v, Tensor saved_g, Tensor saved_norms, int dim) -> (Tensor, Tensor)",
    composite,
    no_method,
    no_fn
)]
mod _weight_norm_interface_backward {
    fn kernel(
        grad_w: &Tensor,
        saved_v: &Tensor,
        saved_g: &Tensor,
        saved_norms: &Tensor,
        dim: i64,
    ) -> Result<(Tensor, Tensor)> {
        let (dtype, wide) = (saved_v.dtype(), saved_norms.dtype());
        let [w, v, g] = [grad_w, saved_v, saved_g].map(|t| t.to_dtype(wide));
        let (w, v, g) = (w?, v?, g?);
        let kept = wrap_dim(dim, v.dim())?;
        let along = sum_dim::call(&w.mul(&v)?, Some(&others(&v, kept)), true, None)?;
        let grad_g = along.div(saved_norms)?;
        let turned = v.mul(&along.div(&saved_norms.mul(saved_norms)?)?)?;
        let grad_v = g.div(saved_norms)?.mul(&w.sub(&turned)?)?;
        Ok((grad_v.to_dtype(dtype)?, grad_g.to_dtype(dtype)?))
    }
}
