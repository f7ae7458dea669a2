//! LU factorisations with partial pivoting, and systems solved with them.

use cresset_macros::op;

use super::matmul::adjoint;
use super::{cat_with, constant_pad_nd, linalg_solve_triangular};
use crate::autograd::Meta;
use crate::matrices::{
    Failure, Stack, by_columns, check_info, check_matrix, check_square, check_supported, common_batch,
    exchanged, own, own_transposed, spread, with_matrices,
};
use crate::op::{Grads, Needs, OpDef};
use crate::{DType, Result, Tensor, bail, copy, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    linalg_lu_factor_ex,
    linalg_lu_factor,
    _lu_with_info,
    linalg_lu,
    lu_unpack,
    linalg_lu_solve,
    lu_solve,
];

/// Factors `P L U`: `L` and `U` in one matrix, by rows ([`by_columns`] for results), the row exchanges (from 1), and where the first zero pivot is (from 1; 0 if
/// there is none).
pub(crate) fn factor(a: &Tensor, pivot: bool) -> Result<(Tensor, Tensor, Tensor)> {
    let stack = Stack::of(a);
    let lu = own(a)?;
    let pivots = stack.empty(&[stack.steps()], DType::I32, a)?;
    let info = stack.zeros(&[], DType::I32, a)?;
    let batch = stack.kernel(a.dtype(), stack.rows, stack.cols);
    with_matrices(&[&lu, &pivots, &info], &[], |o, _| {
        // SAFETY: all are locked, row-major and of these sizes.
        unsafe { batch.lu(o[0].ptr, o[1].ptr, o[2].ptr, pivot) }
    });
    Ok((lu, pivots, info))
}

/// The LU factorisation in compact form, with a code for each matrix instead of an error.
#[op(
    "linalg_lu_factor_ex(Tensor A, *, bool pivot=True, bool check_errors=False) -> (Tensor LU, Tensor pivots, Tensor info)",
    out("out", LU, pivots, info)
)]
#[allow(non_snake_case)] // the schema's names
mod linalg_lu_factor_ex {
    fn kernel(A: &Tensor, pivot: bool, check_errors: bool) -> Result<(Tensor, Tensor, Tensor)> {
        if A.dim() < 2 {
            bail!(
                "torch.lu_factor: Expected tensor with 2 or more dimensions. Got size: {:?} instead",
                &A.sizes()[..]
            );
        }
        check_supported("lu_cpu", A)?;
        let (lu, pivots, info) = factor(A, pivot)?;
        if check_errors {
            check_info("torch.linalg.lu_factor_ex", &info, Failure::Lu)?;
        }
        Ok((by_columns(&lu)?, pivots, info))
    }
    fn grad_A(g: &Tensor, pivot: bool, out0: &Tensor, out1: &Tensor) -> Result<Tensor> {
        let (p, l, u) = lu_unpack::call(out0, out1, true, pivot)?;
        let k = l.size(-1)?;
        let (gl, gu) = (g.narrow(-1, 0, k)?, g.narrow(-2, 0, k)?);
        lu_gradient(&gl, &gu, pivot.then_some(&p), &l, &u)
    }
}

/// The LU factorisation in compact form.
///
/// # Errors
/// `Runtime` if a pivot is zero.
#[op(
    "linalg_lu_factor(Tensor A, *, bool pivot=True) -> (Tensor LU, Tensor pivots)",
    composite,
    out("out", LU, pivots)
)]
#[allow(non_snake_case)] // the schema's names
mod linalg_lu_factor {
    fn kernel(A: &Tensor, pivot: bool) -> Result<(Tensor, Tensor)> {
        let (lu, pivots, info) = linalg_lu_factor_ex::call(A, pivot, false)?;
        check_info("torch.linalg.lu_factor", &info, Failure::Lu)?;
        Ok((lu, pivots))
    }
}

/// As [`linalg_lu_factor_ex`].
#[op(
    "_lu_with_info(Tensor self, bool pivot=True, bool check_errors=True) -> (Tensor LU, Tensor pivots, Tensor info)",
    autocast = "fp32",
    composite
)]
mod _lu_with_info {
    fn kernel(this: &Tensor, pivot: bool, check_errors: bool) -> Result<(Tensor, Tensor, Tensor)> {
        linalg_lu_factor_ex::call(this, pivot, check_errors)
    }
}

/// The LU factorisation `A = P L U`; without pivots `P` is empty.
#[op(
    "linalg_lu(Tensor A, *, bool pivot=True) -> (Tensor P, Tensor L, Tensor U)",
    wrt(A),
    out("out", P, L, U)
)]
#[allow(non_snake_case)] // the schema's names
mod linalg_lu {
    fn kernel(A: &Tensor, pivot: bool) -> Result<(Tensor, Tensor, Tensor)> {
        if A.dim() < 2 {
            bail!(
                "linalg.lu: Expected tensor with 2 or more dimensions. Got size: {:?} instead",
                &A.sizes()[..]
            );
        }
        check_supported("lu_cpu", A)?;
        let (lu, pivots, _) = factor(A, pivot)?;
        unpack(&lu, &pivots, true, pivot)
    }
    fn grad(
        g1: Option<&Tensor>,
        g2: Option<&Tensor>,
        pivot: bool,
        out0: &Tensor,
        out1: &Tensor,
        out2: &Tensor,
    ) -> Result<Grads> {
        let gl = g1.map_or_else(|| out1.zeros_like(), |g| Ok(g.clone()))?;
        let gu = g2.map_or_else(|| out2.zeros_like(), |g| Ok(g.clone()))?;
        Ok(vec![lu_gradient(&gl, &gu, pivot.then_some(out0), out1, out2)?.into()])
    }
}

/// Gradient of `A = P L U` from those of `L` (`[m, k]`) and `U` (`[k, n]`).
fn lu_gradient(gl: &Tensor, gu: &Tensor, p: Option<&Tensor>, l: &Tensor, u: &Tensor) -> Result<Tensor> {
    let (m, n, k) = (l.size(-2)?, u.size(-1)?, l.size(-1)?);
    let (u1, l1) = (u.narrow(-1, 0, k)?, l.narrow(-2, 0, k)?);
    let right = |x: &Tensor| linalg_solve_triangular::call(&adjoint(&u1)?, x, false, false, false);
    let left = |x: &Tensor| linalg_solve_triangular::call(&adjoint(&l1)?, x, true, true, true);
    let grad = if m == n {
        let lower = adjoint(l)?.matmul(gl)?.tril_with(|o| o.diagonal(-1))?;
        left(&right(&lower.add(&gu.matmul(&adjoint(u)?)?.triu()?)?)?)?
    } else if m < n {
        let lower = adjoint(l)?.matmul(gl)?.sub(&gu.triu()?.matmul(&adjoint(u)?)?)?;
        let first = right(&lower.tril_with(|o| o.diagonal(-1))?)?.add(&gu.narrow(-1, 0, k)?.triu()?)?;
        left(&cat_with(&[first, gu.narrow(-1, k, n - k)?], |o| o.dim(-1))?)?
    } else {
        let strict = gl.tril_with(|o| o.diagonal(-1))?;
        let upper = gu.matmul(&adjoint(u)?)?.sub(&adjoint(l)?.matmul(&strict)?)?.triu()?;
        let first = left(&upper)?.add(&strict.narrow(-2, 0, k)?)?;
        right(&cat_with(&[first, strict.narrow(-2, k, m - k)?], |o| o.dim(-2))?)?
    };
    p.map_or(Ok(grad.clone()), |p| p.matmul(&grad))
}

/// `P`, `L` and `U` as matrices, from the compact form; those not asked for are empty.
#[op(
    "lu_unpack(Tensor LU_data, Tensor LU_pivots, bool unpack_data=True, bool unpack_pivots=True) -> (Tensor P, Tensor L, Tensor U)",
    wrt(LU_data),
    nondiff(LU_pivots),
    no_method,
    out("out", P, L, U)
)]
#[allow(non_snake_case)] // the schema's names
mod lu_unpack {
    fn kernel(
        LU_data: &Tensor,
        LU_pivots: &Tensor,
        unpack_data: bool,
        unpack_pivots: bool,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        check_matrix("torch.lu_unpack", "LU_data", LU_data)?;
        if unpack_pivots && LU_pivots.dtype() != DType::I32 {
            bail!(
                "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype.\nNote: this function is intended to be used with the output produced by torch.linalg.lu_factor"
            );
        }
        unpack(LU_data, LU_pivots, unpack_data, unpack_pivots)
    }
    fn grad(g1: Option<&Tensor>, g2: Option<&Tensor>, LU_data: &Meta) -> Result<Grads> {
        let d = LU_data.dim();
        let (m, n) = (LU_data.sizes()[d - 2], LU_data.sizes()[d - 1]);
        let widen = |g: Tensor| constant_pad_nd(&g, [0, n - g.size(-1)?, 0, m - g.size(-2)?]);
        let lower = g1.map(|g| widen(g.tril_with(|o| o.diagonal(-1))?)).transpose()?;
        let upper = g2.map(|g| widen(g.triu()?)).transpose()?;
        Ok(vec![match (lower, upper) {
            (Some(a), Some(b)) => a.add(&b)?.into(),
            (a, b) => a.or(b).into(),
        }])
    }
}

/// The kernel of [`lu_unpack`].
fn unpack(lu: &Tensor, pivots: &Tensor, data: bool, permute: bool) -> Result<(Tensor, Tensor, Tensor)> {
    let none = || Tensor::empty_of(&[0], lu.dtype(), lu.device());
    let (l, u) = if data { triangles(lu)? } else { (none()?, none()?) };
    Ok((if permute { permutation(lu, pivots)? } else { none()? }, l, u))
}

fn triangles(lu: &Tensor) -> Result<(Tensor, Tensor)> {
    let k = Stack::of(lu).steps();
    let l = own(&lu.narrow(-1, 0, k)?)?.tril_with(|o| o.diagonal(-1))?;
    l.diagonal_with(|o| o.dim1(-2).dim2(-1))?.fill_(1)?;
    Ok((l, own(&lu.narrow(-2, 0, k)?)?.triu()?))
}

/// The permutation matrices `P` that the row exchanges stand for.
fn permutation(lu: &Tensor, pivots: &Tensor) -> Result<Tensor> {
    let stack = Stack::of(lu);
    let m = stack.rows;
    let p = stack.zeros(&[m, m], lu.dtype(), lu)?;
    let order = stack.empty(&[m], DType::I64, lu)?;
    let steps = pivots.sizes().last().copied().unwrap_or(0) as usize;
    let pivots = copy::contiguous_copy(pivots)?;
    let batch = stack.kernel(lu.dtype(), m, m);
    let good = with_matrices(&[&order], &[&pivots], |o, i| {
        // SAFETY: both are locked, row-major and of these sizes.
        Some(unsafe { batch.orders(i[0].ptr, steps, o[0].ptr) })
    });
    ensure!(
        good != Some(false),
        "pivots passed to lu_unpack must be between 1 and LU.size(-2) inclusive. Did you properly pass the result of lu_factor?"
    );
    // Row order[i] of A is row i of L U, so P has a one in row order[i] of column i.
    p.scatter_value_(-2, &order.unsqueeze(-2)?, 1)?;
    Ok(p)
}

/// Solves `A X = B` (`X A = B` if not `left`, with `A^H` if `adjoint`) for the factored `A`.
#[op(
    "linalg_lu_solve(Tensor LU, Tensor pivots, Tensor B, *, bool left=True, bool adjoint=False) -> Tensor",
    wrt(LU, B),
    nondiff(pivots),
    out = "out"
)]
#[allow(non_snake_case)] // the schema's names
mod linalg_lu_solve {
    fn kernel(LU: &Tensor, pivots: &Tensor, B: &Tensor, left: bool, adjoint: bool) -> Result<Tensor> {
        check_lu_solve(LU, pivots, B, left)?;
        solve_factored(LU, pivots, B, left, adjoint)
    }
    fn grad(
        g: &Tensor,
        LU: &Tensor,
        pivots: &Tensor,
        left: bool,
        adjoint: bool,
        out: &Tensor,
        needs: Needs,
    ) -> Result<Grads> {
        let gb = linalg_lu_solve::call(LU, pivots, g, left, !adjoint)?;
        let lu = needs.when(0, || lu_solve_gradient(&gb, LU, pivots, out, left, adjoint))?;
        Ok(vec![lu, needs.when(1, || Ok(gb))?])
    }
}

fn check_lu_solve(lu: &Tensor, pivots: &Tensor, b: &Tensor, left: bool) -> Result<()> {
    let name = "torch.linalg.lu_solve";
    check_square(name, "LU", lu)?;
    check_matrix(name, "B", b)?;
    check_supported("linalg_lu_solve_cpu", lu)?;
    check_same_type("linalg.lu_solve", lu, b)?;
    ensure!(
        pivots.dtype() == DType::I32,
        "linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32"
    );
    let (a, n) = (Stack::of(lu), if left { b.size(-2)? } else { b.size(-1)? });
    if a.rows != n {
        let rb = Stack::of(b);
        bail!(
            "linalg.lu_solve: Incompatible shapes of A and B for the equation {} ({}x{} and {}x{})",
            if left { "AX = B" } else { "XA = B" },
            a.rows,
            a.cols,
            rb.rows,
            rb.cols
        );
    }
    ensure!(
        pivots.sizes() == a.sizes(&[a.rows]),
        "linalg.lu_solve: Number of pivots per batch should be same as the dimension of the matrix"
    );
    let rows = 1..=a.rows as i32;
    let known = pivots.device() != crate::Device::Meta;
    ensure!(
        !known || pivots.to_vec::<i32>()?.iter().all(|p| rows.contains(p)),
        "linalg.lu_solve: pivots must be between 1 and LU.size(-2) inclusive"
    );
    Ok(())
}

/// Refuses operands of different dtypes.
pub(crate) fn check_same_type(name: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dtype() != b.dtype() {
        let (a, b) = (a.dtype().scalar_type(), b.dtype().scalar_type());
        bail!(
            "{name}: Expected A and B to have the same dtype, but found A of type {a} and B of type {b} instead"
        );
    }
    Ok(())
}

/// Solves with factors, `B` broadcasting against them; not recorded.
pub(crate) fn solve_factored(
    lu: &Tensor,
    pivots: &Tensor,
    b: &Tensor,
    left: bool,
    adjoint: bool,
) -> Result<Tensor> {
    let leading = common_batch(lu, b)?;
    let lu = spread(lu, &leading)?;
    let pivots = spread(&pivots.unsqueeze(-1)?, &leading)?;
    // Only A and A^T have kernels: A^H X = B is A^T conj(X) = conj(B), and X A = B is A^T X^T = B^T.
    let conj = adjoint && b.is_complex();
    let b = if left { b.clone() } else { exchanged(b)? };
    let b = if conj { b.conj_physical()? } else { b };
    let x = own(&spread(&b, &leading)?)?;
    let stack = Stack::of(&x);
    let batch = stack.kernel(x.dtype(), stack.rows, stack.cols);
    with_matrices(&[&x], &[&lu, &pivots], |o, i| {
        // SAFETY: all are locked, row-major and of these sizes; the pivots come from a factorisation or were checked.
        unsafe { batch.lu_solve(i[0].ptr, i[1].ptr, o[0].ptr, adjoint == left) }
    });
    let x = if conj { x.conj_physical()? } else { x };
    // By columns for A X = B, by rows for X A = B.
    if left { by_columns(&x) } else { own_transposed(&x) }
}

/// Gradient for the compact factors, `gb` being that of `B`.
fn lu_solve_gradient(
    gb: &Tensor,
    lu: &Tensor,
    pivots: &Tensor,
    x: &Tensor,
    left: bool,
    adjoint_of_a: bool,
) -> Result<Tensor> {
    let ga = match (left, adjoint_of_a) {
        (true, false) => gb.matmul(&adjoint(x)?)?,
        (true, true) => x.matmul(&adjoint(gb)?)?,
        (false, false) => adjoint(x)?.matmul(gb)?,
        (false, true) => adjoint(gb)?.matmul(x)?,
    };
    let (p, l, u) = lu_unpack::call(lu, pivots, true, true)?;
    let ga = adjoint(&p)?.matmul(&ga)?.neg()?;
    let lower = ga.matmul(&adjoint(&u)?)?.tril_with(|o| o.diagonal(-1))?;
    lower.add(&adjoint(&l)?.matmul(&ga)?.triu()?)
}

/// Solves `A X = self` for the factored `A`.
#[op(
    "lu_solve(Tensor self, Tensor LU_data, Tensor LU_pivots) -> Tensor",
    autocast = "fp32",
    composite,
    out = "out"
)]
#[allow(non_snake_case)] // the schema's names
mod lu_solve {
    fn kernel(this: &Tensor, LU_data: &Tensor, LU_pivots: &Tensor) -> Result<Tensor> {
        linalg_lu_solve::call(LU_data, LU_pivots, this, true, false)
    }
}
