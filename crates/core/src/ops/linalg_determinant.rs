//! Determinants and their logarithms.

use cresset_macros::op;

use super::linalg_elimination::{factor, solve_factored};
use super::matmul::{adjoint, conj};
use super::{arange_start_with, complex, linalg_solve, linalg_svd, stack_with, where_self};
use crate::matrices::{by_columns, check_float, check_square, check_supported, exchanged};
use crate::modes::is_grad_enabled;
use crate::op::{Grads, OpDef};
use crate::{DType, Result, Tensor, op_list};

pub(crate) static OPS: &[&OpDef] =
    op_list![_linalg_det, linalg_det, det, _linalg_slogdet, linalg_slogdet, slogdet, logdet];

/// The determinant, with the factors that it was computed from.
#[op(
    "_linalg_det(Tensor A) -> (Tensor result, Tensor LU, Tensor pivots)",
    wrt(A),
    no_fn,
    no_method,
    out("result", result, LU, pivots)
)]
#[allow(non_snake_case)] // the schema's names
mod _linalg_det {
    fn kernel(A: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
        check_square("linalg.det", "A", A)?;
        check_float("linalg.det", A, true)?;
        check_supported("lu_cpu", A)?;
        let (lu, pivots, _) = factor(&factored(A)?, true)?;
        let product = diagonal_of(&lu)?.prod_dim(-1)?;
        Ok((exchange_sign(&pivots, A.dtype())?.mul(&product)?, by_columns(&lu)?, pivots))
    }
    fn grad(g: &Tensor, A: &Tensor, out0: &Tensor, out1: &Tensor, out2: &Tensor) -> Result<Grads> {
        if A.size(-1)? == 1 {
            return Ok(vec![g.unsqueeze(-1)?.unsqueeze(-1)?.into()]);
        }
        let scale = g.mul(&conj(out0)?)?;
        let singular = is_singular(out1)?;
        let scaled = identity_times(&scale, A)?;
        if singular {
            return Ok(vec![adjugate_gradient(g, A)?.into()]);
        }
        // The factors do not carry A's history, so they serve for first derivatives only.
        let grad = if is_grad_enabled() {
            linalg_solve::call(&adjoint(A)?, &scaled, true)?
        } else {
            solve_factored(out1, out2, &scaled, true, !is_transposed(A))?
        };
        Ok(vec![grad.into()])
    }
}

/// Whether the factors of a determinant are those of the transpose, as PyTorch has it for row-major real matrices.
fn is_transposed(a: &Tensor) -> bool {
    a.is_contiguous() && !a.is_complex()
}

fn factored(a: &Tensor) -> Result<Tensor> {
    if is_transposed(a) { exchanged(a) } else { Ok(a.clone()) }
}

/// The diagonals of matrices.
fn diagonal_of(t: &Tensor) -> Result<Tensor> {
    t.diagonal_with(|o| o.dim1(-2).dim2(-1))
}

/// Whether a factor `U` in some batch has a zero on its diagonal, or nearly so.
fn is_singular(lu: &Tensor) -> Result<bool> {
    if lu.device() == crate::Device::Meta || lu.numel() == 0 {
        return Ok(false);
    }
    let eps =
        if matches!(lu.dtype(), DType::F64 | DType::Complex128) { f64::EPSILON } else { f32::EPSILON.into() };
    let sizes = diagonal_of(lu)?.abs()?;
    let (least, most) = (sizes.amin_with(|o| o.dim(-1))?, sizes.amax_with(|o| o.dim(-1))?);
    let n = lu.size(-1)? as f64;
    Ok(!least.gt(&most.mul_scalar(n * eps)?)?.all()?.item()?.to_bool())
}

/// `c` on the diagonals of matrices like those of `a`, zeros elsewhere.
fn identity_times(c: &Tensor, a: &Tensor) -> Result<Tensor> {
    let n = a.size(-1)?;
    let mut sizes = c.sizes();
    sizes.push(n);
    c.unsqueeze(-1)?.expand(sizes)?.diag_embed()
}

/// Gradient of the determinant by singular values, which also holds where it is zero: with `A = U S V^H` it is
/// `conj(det U det V^H) U diag(products of the other values) V^H`.
fn adjugate_gradient(g: &Tensor, a: &Tensor) -> Result<Tensor> {
    let (u, s, vh) = linalg_svd::call(a, true, None)?;
    let alpha = conj(&linalg_det::call(&u)?.mul(&linalg_det::call(&vh)?)?)?.mul(g)?;
    let n = s.size(-1)?;
    let rows = (0..n)
        .map(|i| {
            // The product without factor i, as one without division.
            let (before, after) = (s.narrow(-1, 0, i)?, s.narrow(-1, i + 1, n - i - 1)?);
            before.prod_dim(-1)?.mul(&after.prod_dim(-1)?)
        })
        .collect::<Result<Vec<_>>>()?;
    let others = stack_with(&rows, |o| o.dim(-1))?.mul(&alpha.unsqueeze(-1)?)?;
    u.mul(&others.unsqueeze(-2)?)?.matmul(&vh)
}

/// The sign of the permutation that row exchanges stand for.
fn exchange_sign(pivots: &Tensor, dtype: DType) -> Result<Tensor> {
    let n = pivots.size(-1)?;
    let own = arange_start_with(1, n + 1, |o| o.dtype(DType::I32).device(pivots.device()))?;
    let odd = pivots.ne(&own)?.sum_dim(-1)?.remainder_scalar(2)?;
    odd.mul_scalar(-2)?.add_scalar(1)?.to_dtype(dtype)
}

/// The determinant of square matrices.
#[op("linalg_det(Tensor A) -> Tensor", composite, out = "out")]
#[allow(non_snake_case)] // the schema's names
mod linalg_det {
    fn kernel(A: &Tensor) -> Result<Tensor> {
        Ok(_linalg_det::call(A)?.0)
    }
}

/// As [`linalg_det`].
#[op("det(Tensor self) -> Tensor", composite)]
mod det {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        linalg_det::call(this)
    }
}

/// Sign (a point of the unit circle, or 0) and logarithm of the absolute value of the determinant, with factors.
#[op(
    "_linalg_slogdet(Tensor A) -> (Tensor sign, Tensor logabsdet, Tensor LU, Tensor pivots)",
    wrt(A),
    no_fn,
    no_method,
    out("sign", sign, logabsdet, LU, pivots)
)]
#[allow(non_snake_case)] // the schema's names
mod _linalg_slogdet {
    fn kernel(A: &Tensor) -> Result<(Tensor, Tensor, Tensor, Tensor)> {
        check_square("linalg.slogdet", "A", A)?;
        check_float("linalg.slogdet", A, false)?;
        let (lu, pivots, _) = factor(&factored(A)?, true)?;
        let diagonal = diagonal_of(&lu)?;
        let sign = exchange_sign(&pivots, A.dtype())?.mul(&diagonal.sgn()?.prod_dim(-1)?)?;
        Ok((sign, diagonal.abs()?.log()?.sum_dim(-1)?, by_columns(&lu)?, pivots))
    }
    fn grad(
        g0: Option<&Tensor>,
        g1: Option<&Tensor>,
        A: &Tensor,
        out0: &Tensor,
        out2: &Tensor,
        out3: &Tensor,
    ) -> Result<Grads> {
        let turn = match g0 {
            Some(g) if A.is_complex() => Some(conj(g)?.mul(out0)?.imag()?.neg()?),
            _ => None,
        };
        let g = match (g1.cloned(), turn) {
            (Some(g), None) => g,
            (g, Some(turn)) => complex(&g.map_or_else(|| turn.zeros_like(), Ok)?, &turn)?,
            (None, None) => return Ok(vec![crate::op::Grad::None]),
        };
        let scaled = identity_times(&g.to_dtype(A.dtype())?, A)?;
        let grad = if is_grad_enabled() {
            linalg_solve::call(&adjoint(A)?, &scaled, true)?
        } else {
            solve_factored(out2, out3, &scaled, true, !is_transposed(A))?
        };
        Ok(vec![grad.into()])
    }
}

/// Sign (a point of the unit circle, or 0) and logarithm of the absolute value of the determinant.
#[op("linalg_slogdet(Tensor A) -> (Tensor sign, Tensor logabsdet)", composite, out("out", sign, logabsdet))]
#[allow(non_snake_case)] // the schema's names
mod linalg_slogdet {
    fn kernel(A: &Tensor) -> Result<(Tensor, Tensor)> {
        let (sign, log, _, _) = _linalg_slogdet::call(A)?;
        Ok((sign, log))
    }
}

/// As [`linalg_slogdet`].
#[op("slogdet(Tensor self) -> (Tensor sign, Tensor logabsdet)", composite, out("out", sign, logabsdet))]
mod slogdet {
    fn kernel(this: &Tensor) -> Result<(Tensor, Tensor)> {
        linalg_slogdet::call(this)
    }
}

/// Logarithm of the determinant: NaN where a real one is negative.
#[op("logdet(Tensor self) -> Tensor", composite)]
mod logdet {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        check_square("logdet", "A", this)?;
        check_float("logdet", this, false)?;
        let (sign, log) = linalg_slogdet::call(this)?;
        if this.is_complex() {
            return sign.log()?.add(&log);
        }
        let nan = Tensor::wrapped(crate::Scalar::Float(f64::NAN))?;
        where_self(&sign.eq_scalar(-1)?, &nan, &log)
    }
}
