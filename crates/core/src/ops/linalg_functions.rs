//! Functions of matrices: exponentials, powers, roots, and the polar decomposition.

use cresset_macros::op;

use super::matmul::adjoint;
use super::{cat_with, eye_with, linalg_eigh, linalg_inv, linalg_svd};
use crate::dense::{cast, dense};
use crate::matrices::{Stack, check_float, check_matrix, check_square, own, with_matrices};
use crate::op::{Grad, Grads, OpDef};
use crate::{DType, Result, Tensor, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    linalg_matrix_exp,
    matrix_exp,
    matrix_power,
    linalg_matrix_power,
    linalg_matrix_sqrth,
    linalg_polar,
];

/// The exponential of square matrices.
#[op("linalg_matrix_exp(Tensor self) -> Tensor", out = "out")]
mod linalg_matrix_exp {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        check_square("linalg.matrix_exp", "A", this)?;
        check_float("linalg.matrix_exp", this, true)?;
        let half = matches!(this.dtype(), DType::F16 | DType::BF16);
        let result = if half { dense(this, DType::F32)? } else { own(this)? };
        let stack = Stack::of(&result);
        let batch = stack.kernel(result.dtype(), stack.rows, stack.rows);
        with_matrices(&[&result], &[], |o, _| {
            // SAFETY: the tensor is locked, row-major, of these sizes, and nobody else's.
            unsafe { batch.exp(o[0].ptr) }
        });
        cast(result, this.dtype())
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        // exp([[A^H, G], [0, A^H]]) holds the derivative of exp at A^H along G in its upper right quarter.
        let (a, n) = (adjoint(this)?, this.size(-1)?);
        let top = cat_with(&[a.clone(), g.clone()], |o| o.dim(-1))?;
        let bottom = cat_with(&[a.zeros_like()?, a], |o| o.dim(-1))?;
        let all = linalg_matrix_exp::call(&cat_with(&[top, bottom], |o| o.dim(-2))?)?;
        all.narrow(-2, 0, n)?.narrow(-1, n, n)
    }
}

/// As [`linalg_matrix_exp`].
#[op("matrix_exp(Tensor self) -> Tensor", composite)]
mod matrix_exp {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        linalg_matrix_exp::call(this)
    }
}

/// Square matrices multiplied with themselves `n` times; of their inverses, if `n` is negative.
#[op("linalg_matrix_power(Tensor self, int n) -> Tensor", composite, out = "out")]
mod linalg_matrix_power {
    fn kernel(this: &Tensor, n: i64) -> Result<Tensor> {
        check_square("linalg.matrix_power", "A", this)?;
        if n == 0 {
            let one = eye_with(this.size(-1)?, |o| o.dtype(this.dtype()).device(this.device()))?;
            // A copy, so that the result depends on the argument (with zero gradients).
            return this.clone_tensor()?.copy_(&one.expand(this.sizes())?);
        }
        let base = if n < 0 { linalg_inv::call(this)? } else { this.clone() };
        if n.unsigned_abs() == 1 {
            return base.clone_tensor();
        }
        repeated(base, n.unsigned_abs())
    }
}

/// The power by squaring; `n` is at least 1.
fn repeated(base: Tensor, mut n: u64) -> Result<Tensor> {
    let (mut square, mut result) = (base, None::<Tensor>);
    loop {
        if n % 2 == 1 {
            result = Some(match result {
                Some(r) => r.matmul(&square)?,
                None => square.clone(),
            });
        }
        n /= 2;
        match result {
            Some(result) if n == 0 => return Ok(result),
            _ => square = square.matmul(&square)?,
        }
    }
}

/// As [`linalg_matrix_power`].
#[op("matrix_power(Tensor self, int n) -> Tensor", composite, out = "out")]
mod matrix_power {
    fn kernel(this: &Tensor, n: i64) -> Result<Tensor> {
        linalg_matrix_power::call(this, n)
    }
}

/// The Hermitian positive square root of Hermitian positive-definite matrices, of which the lower triangle is read.
#[op("linalg_matrix_sqrth(Tensor self) -> Tensor", autocast = "fp32", composite)]
mod linalg_matrix_sqrth {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        check_square("linalg.matrix_sqrth", "A", this)?;
        check_float("linalg.matrix_sqrth", this, false)?;
        let (values, vectors) = linalg_eigh::call(this, "L")?;
        vectors.mul(&values.sqrt()?.unsqueeze(-2)?)?.matmul(&adjoint(&vectors)?)
    }
}

/// The polar decomposition `A = U H`: `U` with orthonormal columns, `H` Hermitian and positive semi-definite.
#[op("linalg_polar(Tensor A) -> (Tensor U, Tensor H)", wrt(A), out("out", U, H))]
#[allow(non_snake_case)] // the schema's names
mod linalg_polar {
    fn kernel(A: &Tensor) -> Result<(Tensor, Tensor)> {
        check_matrix("linalg.polar", "A", A)?;
        check_float("linalg.polar", A, true)?;
        let Stack { rows, cols, .. } = Stack::of(A);
        ensure!(
            rows >= cols,
            "linalg.polar: input must have at least as many rows as columns, but got {rows} by {cols} matrices"
        );
        let (w, s, vh) = linalg_svd::call(A, false, None)?;
        let h = adjoint(&vh)?.mul(&s.unsqueeze(-2)?)?.matmul(&vh)?;
        Ok((w.matmul(&vh)?, h))
    }
    fn grad(g0: Option<&Tensor>, g1: Option<&Tensor>, A: &Tensor) -> Result<Grads> {
        if g0.is_none() && g1.is_none() {
            return Ok(vec![Grad::None]);
        }
        let parts = linalg_svd::call(A, false, None)?;
        Ok(vec![polar_gradient(g0, g1, (&parts.0, &parts.1, &parts.2))?.into()])
    }
}

/// With `A = W S V^H` and `M = W^H dA V`, the changes of `U` and `H` between `W` (or `V`) and `V^H` are
/// `(M_ij - conj M_ji) / (s_i + s_j)` and `(s_i M_ij + s_j conj M_ji) / (s_i + s_j)`, and that of the rest of `U` is
/// `(1 - W W^H) dA V S^-1 V^H`; this is the adjoint.
fn polar_gradient(
    gu: Option<&Tensor>,
    gh: Option<&Tensor>,
    (w, s, vh): (&Tensor, &Tensor, &Tensor),
) -> Result<Tensor> {
    let (wh, v) = (adjoint(w)?, adjoint(vh)?);
    let sums = s.unsqueeze(-1)?.add(&s.unsqueeze(-2)?)?;
    let mut inner = sums.zeros_like()?;
    if let Some(g) = gu {
        let x = wh.matmul(g)?.matmul(&v)?;
        inner = x.sub(&adjoint(&x)?)?;
    }
    if let Some(g) = gh {
        let x = vh.matmul(g)?.matmul(&v)?;
        inner = inner.add(&x.add(&adjoint(&x)?)?.mul(&s.unsqueeze(-1)?)?)?;
    }
    let grad = w.matmul(&inner.div(&sums)?.to_dtype(w.dtype())?)?.matmul(vh)?;
    let Some(g) = gu.filter(|g| g.sizes() != sums.sizes()) else { return Ok(grad) };
    let outside = g.sub(&w.matmul(&wh.matmul(g)?)?)?;
    grad.add(&outside.matmul(&v)?.div(&s.unsqueeze(-2)?)?.matmul(vh)?)
}
