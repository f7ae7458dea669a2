//! Cholesky factorisations of Hermitian positive-definite matrices.

use cresset_macros::op;

use super::linalg_elimination::check_same_type;
use super::linalg_systems::{Form, check_shapes, solve_triangle};
use super::matmul::{adjoint, conj};
use super::{arange_start_step_with, eye_with, linalg_solve_triangular};
use crate::matrices::{
    Failure, Stack, by_columns, check_float, check_info, check_square, check_supported, check_unnamed_square,
    own, own_transposed, with_matrices,
};
use crate::op::{Grads, Needs, OpDef};
use crate::{DType, Result, Tensor, ensure, op_list};

pub(crate) static OPS: &[&OpDef] =
    op_list![linalg_cholesky_ex, linalg_cholesky, cholesky, cholesky_solve, cholesky_inverse];

/// The factor `L` of `self = L L^H` (`L^H` if `upper`), with a code for each matrix instead of an error.
///
/// Only the lower triangle is read, or only the upper one.
#[op(
    "linalg_cholesky_ex(Tensor self, *, bool upper=False, bool check_errors=False) -> (Tensor L, Tensor info)",
    autocast = "fp32",
    wrt(this),
    out("L", L, info)
)]
mod linalg_cholesky_ex {
    fn kernel(this: &Tensor, upper: bool, check_errors: bool) -> Result<(Tensor, Tensor)> {
        check_float("linalg.cholesky", this, true)?;
        check_square("linalg.cholesky", "A", this)?;
        check_supported("cholesky_cpu", this)?;
        let (l, info) = factor(this, upper)?;
        if check_errors {
            check_info("linalg.cholesky_ex", &info, Failure::Cholesky)?;
        }
        Ok((l, info))
    }
    fn grad(g: &Tensor, upper: bool, out0: &Tensor) -> Result<Grads> {
        let (l, g) = if upper { (adjoint(out0)?, adjoint(g)?) } else { (out0.clone(), g.clone()) };
        let phi = adjoint(&l)?.matmul(&g)?.tril()?;
        let phi = phi.add(&adjoint(&phi.tril_with(|o| o.diagonal(-1))?)?)?;
        let left = linalg_solve_triangular::call(&adjoint(&l)?, &phi, true, true, false)?;
        Ok(vec![linalg_solve_triangular::call(&l, &left, false, false, false)?.mul_scalar(0.5)?.into()])
    }
}

/// The factors and codes; not recorded.
fn factor(a: &Tensor, upper: bool) -> Result<(Tensor, Tensor)> {
    let stack = Stack::of(a);
    let conj = upper && a.is_complex();
    // The upper triangle of A, transposed, is the conjugate of the lower one.
    let l = if upper { own_transposed(a)? } else { own(a)? };
    let l = if conj { l.conj_physical()? } else { l };
    let info = stack.zeros(&[], DType::I32, a)?;
    let batch = stack.kernel(a.dtype(), stack.rows, stack.cols);
    with_matrices(&[&l, &info], &[], |o, _| {
        // SAFETY: both are locked, row-major and of these sizes.
        unsafe { batch.cholesky(o[0].ptr, o[1].ptr) }
    });
    Ok((if upper { adjoint(&l)? } else { by_columns(&l)? }, info))
}

/// The factor `L` of `self = L L^H` (`L^H` if `upper`).
///
/// # Errors
/// `LinAlg` if a matrix is not positive-definite.
#[op(
    "linalg_cholesky(Tensor self, *, bool upper=False) -> Tensor",
    autocast = "fp32",
    composite,
    out = "out"
)]
mod linalg_cholesky {
    fn kernel(this: &Tensor, upper: bool) -> Result<Tensor> {
        let (l, info) = linalg_cholesky_ex::call(this, upper, false)?;
        check_info("linalg.cholesky", &info, Failure::Cholesky)?;
        Ok(l)
    }
}

/// As [`linalg_cholesky`].
#[op("cholesky(Tensor self, bool upper=False) -> Tensor", composite, out = "out")]
mod cholesky {
    fn kernel(this: &Tensor, upper: bool) -> Result<Tensor> {
        check_square("cholesky", "A", this)?;
        check_supported("cholesky_cpu", this)?;
        let (l, info) = linalg_cholesky_ex::call(this, upper, false)?;
        check_info("cholesky", &info, Failure::Cholesky)?;
        Ok(l)
    }
}

/// Solves `A X = self`, `input2` being the Cholesky factor of `A`.
#[op(
    "cholesky_solve(Tensor self, Tensor input2, bool upper=False) -> Tensor",
    autocast = "fp32",
    wrt(this, input2),
    out = "out"
)]
mod cholesky_solve {
    fn kernel(this: &Tensor, input2: &Tensor, upper: bool) -> Result<Tensor> {
        for (t, arg) in [(this, "b"), (input2, "u")] {
            ensure!(
                t.dim() >= 2,
                "{arg} should have at least 2 dimensions, but has {} dimensions instead",
                t.dim()
            );
        }
        check_same_type("cholesky_solve", input2, this)?;
        check_unnamed_square(input2)?;
        check_shapes("cholesky_solve", input2, this, true)?;
        check_supported("cholesky_solve_cpu", this)?;
        solve(this, input2, upper)
    }
    fn grad(g: &Tensor, input2: &Tensor, upper: bool, out: &Tensor, needs: Needs) -> Result<Grads> {
        let gb = cholesky_solve::call(g, input2, upper)?;
        let factor = needs.when(1, || factor_gradient(&gb.matmul(&adjoint(out)?)?, input2, upper))?;
        Ok(vec![needs.when(0, || Ok(gb))?, factor])
    }
}

/// The gradient of a factor `L`, `c` being minus that of `L L^H`. As in PyTorch, the other triangle is filled too.
fn factor_gradient(c: &Tensor, l: &Tensor, upper: bool) -> Result<Tensor> {
    let both = c.add(&adjoint(c)?)?.neg()?;
    if upper { l.matmul(&both) } else { both.matmul(l) }
}

/// `L L^H X = b`, or `U^H U X = b`, by two triangular systems.
fn solve(b: &Tensor, factor: &Tensor, upper: bool) -> Result<Tensor> {
    let conj = conj(factor)?;
    let triangle = |b: &Tensor, transposed: bool| {
        // The adjoint is the transpose of the conjugate.
        let form = Form { upper, left: true, transposed, unit: false };
        solve_triangle(if transposed { &conj } else { factor }, b, form)
    };
    triangle(&triangle(b, upper)?, !upper)
}

/// The inverse of the matrix whose Cholesky factor is given.
#[op("cholesky_inverse(Tensor self, bool upper=False) -> Tensor", autocast = "fp32", out = "out")]
mod cholesky_inverse {
    fn kernel(this: &Tensor, upper: bool) -> Result<Tensor> {
        check_square("cholesky_inverse", "A", this)?;
        check_supported("cholesky_inverse_out_cpu", this)?;
        let info = this.diagonal_with(|o| o.dim1(-2).dim2(-1))?.eq_scalar(0)?.to_dtype(DType::I32)?;
        check_factor(&info)?;
        cholesky_solve::call(&identity_like(this)?, this, upper)
    }
    fn grad_this(g: &Tensor, this: &Tensor, upper: bool, out: &Tensor) -> Result<Tensor> {
        // With A = L L^H, dA^-1 = -A^-1 (dL L^H + L dL^H) A^-1.
        factor_gradient(&out.matmul(&g.matmul(out)?)?, this, upper)
    }
}

/// Refuses factors with a zero on the diagonal, where `zeros` is not 0.
fn check_factor(zeros: &Tensor) -> Result<()> {
    let n = zeros.size(-1)?;
    if n == 0 {
        return Ok(());
    }
    // The number of the first zero, from 1: the largest count from the end.
    let from_end = arange_start_step_with(n, 0, |o| o.step(-1).dtype(DType::I32).device(zeros.device()))?;
    let most = zeros.mul(&from_end)?.amax_with(|o| o.dim(-1))?;
    let info = most.neg()?.add_scalar(n + 1)?.mul(&most.gt_scalar(0)?)?;
    check_info("cholesky_inverse", &info, Failure::Inverse)
}

fn identity_like(t: &Tensor) -> Result<Tensor> {
    eye_with(t.size(-1)?, |o| o.dtype(t.dtype()).device(t.device()))?.expand(t.sizes())
}
