//! Linear systems and inverses.

use cresset_macros::op;

use super::linalg_elimination::{check_same_type, factor, solve_factored};
use super::matmul::adjoint;
use super::{eye_with, linalg_lu_solve};
use crate::autograd::Meta;
use crate::layout::Dims;
use crate::matrices::{
    Failure, Stack, by_columns, check_float, check_info, check_matrix, check_square, check_supported,
    check_unnamed_square, common_batch, exchanged, own, spread, with_matrices,
};
use crate::modes::is_grad_enabled;
use crate::op::{Grads, Needs, OpDef};
use crate::{Result, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    _linalg_solve_ex,
    linalg_solve_ex,
    linalg_solve,
    linalg_inv_ex,
    linalg_inv,
    inverse,
    linalg_solve_triangular,
    triangular_solve,
    linalg_tensorinv,
    linalg_tensorsolve,
];

/// Whether `b` is a batch of vectors rather than of matrices, as NumPy decides.
fn is_vector(a: &Tensor, b: &Tensor) -> bool {
    let sizes = a.sizes();
    b.dim() == 1 || (a.dim() == b.dim() + 1 && b.sizes()[..] == sizes[..sizes.len() - 1])
}

/// The solution of `A X = B` (`X A = B` if not `left`), with the factors of `A` and a code for each matrix.
#[op(
    "_linalg_solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> (Tensor result, Tensor LU, Tensor pivots, Tensor info)",
    wrt(A, B),
    no_fn,
    no_method,
    out("result", result, LU, pivots, info)
)]
#[allow(non_snake_case)] // the schema's names
mod _linalg_solve_ex {
    fn kernel(
        A: &Tensor,
        B: &Tensor,
        left: bool,
        check_errors: bool,
    ) -> Result<(Tensor, Tensor, Tensor, Tensor)> {
        let vector = check_solve(A, B, left)?;
        let (lu, pivots, info) = factor(A, true)?;
        let columns = if vector { B.unsqueeze(-1)? } else { B.clone() };
        let x = solve_factored(&lu, &pivots, &columns, left, false)?;
        if check_errors {
            check_info("torch.linalg.solve_ex", &info, Failure::Solve)?;
        }
        Ok((if vector { x.squeeze_dim(-1)? } else { x }, by_columns(&lu)?, pivots, info))
    }
    fn grad(
        g: &Tensor,
        A: &Tensor,
        B: &Meta,
        left: bool,
        out0: &Tensor,
        out1: &Tensor,
        out2: &Tensor,
        needs: Needs,
    ) -> Result<Grads> {
        let vector = B.dim() == 1 || (A.dim() == B.dim() + 1 && *B.sizes() == A.sizes()[..A.dim() - 1]);
        let matrix = |t: &Tensor| if vector { t.unsqueeze(-1) } else { Ok(t.clone()) };
        let (g, x) = (matrix(g)?, matrix(out0)?);
        // The factors do not carry A's history, so they serve for first derivatives only.
        let gb = if is_grad_enabled() {
            linalg_solve::call(&adjoint(A)?, &g, left)?
        } else {
            linalg_lu_solve::call(out1, out2, &g, left, true)?
        };
        let ga = needs.when(0, || {
            if left { gb.matmul(&adjoint(&x)?)?.neg() } else { adjoint(&x)?.matmul(&gb)?.neg() }
        })?;
        Ok(vec![ga, needs.when(1, || if vector { gb.squeeze_dim(-1) } else { Ok(gb.clone()) })?])
    }
}

/// Checks the operands of a system; whether `b` is a vector.
fn check_solve(a: &Tensor, b: &Tensor, left: bool) -> Result<bool> {
    check_float("linalg.solve", a, true)?;
    check_same_type("linalg.solve", a, b)?;
    check_square("linalg.solve", "A", a)?;
    check_supported("lu_cpu", a)?;
    let vector = is_vector(a, b);
    ensure!(
        left || !vector,
        "linalg.solve: Vector broadcasting of the left hand side is not supported for left=False. In this case linalg.solve is equivalent to B / A.squeeze(-1)"
    );
    let columns = if vector { b.unsqueeze(-1)? } else { b.clone() };
    check_shapes("linalg.solve", a, &columns, left)?;
    Ok(vector)
}

/// Checks that the sizes of a system fit.
pub(crate) fn check_shapes(name: &str, a: &Tensor, b: &Tensor, left: bool) -> Result<()> {
    check_matrix(name, "B", b)?;
    let (sa, sb) = (Stack::of(a), Stack::of(b));
    if sa.rows != (if left { sb.rows } else { sb.cols }) {
        let equation = if left { "AX = B" } else { "XA = B" };
        bail!(
            "{name}: Incompatible shapes of A and B for the equation {equation} ({}x{} and {}x{})",
            sa.rows,
            sa.cols,
            sb.rows,
            sb.cols
        );
    }
    Ok(())
}

/// The solution of `A X = B` (`X A = B` if not `left`), with a code for each matrix instead of an error.
#[op(
    "linalg_solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> (Tensor result, Tensor info)",
    composite,
    out("out", result, info)
)]
#[allow(non_snake_case)] // the schema's names
mod linalg_solve_ex {
    fn kernel(A: &Tensor, B: &Tensor, left: bool, check_errors: bool) -> Result<(Tensor, Tensor)> {
        let (x, _, _, info) = _linalg_solve_ex::call(A, B, left, check_errors)?;
        Ok((x, info))
    }
}

/// The solution of `A X = B` (`X A = B` if not `left`).
///
/// # Errors
/// `LinAlg` if a matrix is singular.
#[op(
    "linalg_solve(Tensor A, Tensor B, *, bool left=True) -> Tensor",
    autocast = "fp32",
    composite,
    out = "out"
)]
#[allow(non_snake_case)] // the schema's names
mod linalg_solve {
    fn kernel(A: &Tensor, B: &Tensor, left: bool) -> Result<Tensor> {
        let (x, _, _, info) = _linalg_solve_ex::call(A, B, left, false)?;
        check_info("torch.linalg.solve", &info, Failure::Solve)?;
        Ok(x)
    }
}

/// The inverse, with a code for each matrix instead of an error.
#[op(
    "linalg_inv_ex(Tensor A, *, bool check_errors=False) -> (Tensor inverse, Tensor info)",
    autocast = "fp32",
    wrt(A),
    out("inverse", inverse, info)
)]
#[allow(non_snake_case)] // the schema's names
mod linalg_inv_ex {
    fn kernel(A: &Tensor, check_errors: bool) -> Result<(Tensor, Tensor)> {
        check_float("linalg.inv", A, false)?;
        check_square("linalg.inv", "A", A)?;
        let (lu, pivots, info) = factor(A, true)?;
        let n = A.size(-1)?;
        let identity = eye_with(n, |o| o.dtype(A.dtype()).device(A.device()))?;
        let inverse = solve_factored(&lu, &pivots, &identity.expand(A.sizes())?, true, false)?;
        if check_errors {
            check_info("linalg.inv_ex", &info, Failure::Inverse)?;
        }
        Ok((inverse, info))
    }
    fn grad(g: &Tensor, out0: &Tensor) -> Result<Grads> {
        let inverse = adjoint(out0)?;
        Ok(vec![inverse.matmul(&g.matmul(&inverse)?)?.neg()?.into()])
    }
}

/// The inverse of square matrices.
///
/// # Errors
/// `LinAlg` if a matrix is singular.
#[op("linalg_inv(Tensor A) -> Tensor", autocast = "fp32", composite, out = "out")]
#[allow(non_snake_case)] // the schema's names
mod linalg_inv {
    fn kernel(A: &Tensor) -> Result<Tensor> {
        let (inverse, info) = linalg_inv_ex::call(A, false)?;
        check_info("linalg.inv", &info, Failure::Inverse)?;
        Ok(inverse)
    }
}

/// As [`linalg_inv`].
#[op("inverse(Tensor self) -> Tensor", autocast = "fp32", composite, out = "out")]
mod inverse {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        linalg_inv::call(this)
    }
}

/// Solves `A X = B` (`X A = B` if not `left`) for triangular `A` (`self`).
#[op(
    "linalg_solve_triangular(Tensor self, Tensor B, *, bool upper, bool left=True, bool unitriangular=False) -> Tensor",
    wrt(this, B),
    out = "out"
)]
#[allow(non_snake_case)] // the schema's names
mod linalg_solve_triangular {
    fn kernel(this: &Tensor, B: &Tensor, upper: bool, left: bool, unitriangular: bool) -> Result<Tensor> {
        let name = "linalg.solve_triangular";
        check_same_type(name, this, B)?;
        check_square(name, "A", this)?;
        check_shapes(name, this, B, left)?;
        check_supported("triangular_solve_cpu", this)?;
        solve_triangle(this, B, Form { upper, left, transposed: false, unit: unitriangular })
    }
    fn grad(
        g: &Tensor,
        this: &Tensor,
        upper: bool,
        left: bool,
        unitriangular: bool,
        out: &Tensor,
        needs: Needs,
    ) -> Result<Grads> {
        let gb = linalg_solve_triangular::call(&adjoint(this)?, g, !upper, left, unitriangular)?;
        let ga = needs.when(0, || {
            let full = if left { gb.matmul(&adjoint(out)?)? } else { adjoint(out)?.matmul(&gb)? };
            triangle_of(&full.neg()?, upper, unitriangular)
        })?;
        Ok(vec![ga, needs.when(1, || Ok(gb))?])
    }
}

/// The triangle of a gradient that belongs to elements which were read.
fn triangle_of(t: &Tensor, upper: bool, unit: bool) -> Result<Tensor> {
    let off = i64::from(unit);
    if upper { t.triu_with(|o| o.diagonal(off)) } else { t.tril_with(|o| o.diagonal(-off)) }
}

/// How a triangular matrix stands in an equation.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    pub upper: bool,
    pub left: bool,
    pub transposed: bool,
    pub unit: bool,
}

/// Solves triangular systems whose batches broadcast; not recorded.
pub(crate) fn solve_triangle(a: &Tensor, b: &Tensor, form: Form) -> Result<Tensor> {
    let leading = common_batch(a, b)?;
    // X A = B is A^T X^T = B^T; a matrix stored by columns is read as its transpose.
    let by_column = !a.is_contiguous() && exchanged(a)?.is_contiguous();
    let stored = spread(&if by_column { exchanged(a)? } else { a.clone() }, &leading)?;
    let transposed = (form.transposed != by_column) == form.left;
    let upper = form.upper != (form.transposed == form.left);
    let x = own(&spread(&if form.left { b.clone() } else { exchanged(b)? }, &leading)?)?;
    let stack = Stack::of(&x);
    let batch = stack.kernel(x.dtype(), stack.rows, stack.cols);
    with_matrices(&[&x], &[&stored], |o, i| {
        // SAFETY: both are locked, row-major and of these sizes.
        unsafe { batch.solve_triangular(i[0].ptr, o[0].ptr, upper, transposed, form.unit) }
    });
    if form.left { by_columns(&x) } else { exchanged(&x) }
}

/// Solves `A X = self` for triangular `A`, or with `A^T` (`A^H`, if complex) if `transpose`; also returns a copy of `A`.
#[op(
    "triangular_solve(Tensor self, Tensor A, bool upper=True, bool transpose=False, bool unitriangular=False) -> (Tensor solution, Tensor cloned_coefficient)",
    autocast = "fp32",
    wrt(this, A),
    out("X", X, M)
)]
#[allow(non_snake_case)] // the schema's names
mod triangular_solve {
    fn kernel(
        this: &Tensor,
        A: &Tensor,
        upper: bool,
        transpose: bool,
        unitriangular: bool,
    ) -> Result<(Tensor, Tensor)> {
        let name = "triangular_solve";
        for (t, arg) in [(this, "b"), (A, "A")] {
            ensure!(
                t.dim() >= 2,
                "torch.triangular_solve: Expected {arg} to have at least 2 dimensions, but it has {} dimensions instead",
                t.dim()
            );
        }
        check_same_type(name, A, this)?;
        check_unnamed_square(A)?;
        check_shapes(name, A, this, true)?;
        check_supported("triangular_solve_cpu", A)?;
        let form = Form { upper, left: true, transposed: transpose, unit: unitriangular };
        let a = if transpose && A.is_complex() { A.conj_physical()? } else { A.clone() };
        let leading = common_batch(this, A)?;
        Ok((solve_triangle(&a, this, form)?, by_columns(&spread(A, &leading)?)?))
    }
    fn grad(
        g0: Option<&Tensor>,
        g1: Option<&Tensor>,
        A: &Tensor,
        upper: bool,
        transpose: bool,
        unitriangular: bool,
        out0: &Tensor,
        needs: Needs,
    ) -> Result<Grads> {
        let Some(g) = g0 else {
            return Ok(vec![crate::op::Grad::None, g1.cloned().into()]);
        };
        // The equation is M X = B with M = A, or M = A^H; then gB = M^-H g and gM = -gB X^H.
        let gb = triangular_solve::call(g, A, upper, !transpose, unitriangular)?.0;
        let ga = needs.when(1, || {
            let full = if transpose { out0.matmul(&adjoint(&gb)?)? } else { gb.matmul(&adjoint(out0)?)? };
            let ga = triangle_of(&full.neg()?, upper, unitriangular)?;
            g1.map_or(Ok(ga.clone()), |g| ga.add(g))
        })?;
        Ok(vec![needs.when(0, || Ok(gb))?, ga])
    }
}

/// The inverse of a tensor as a map from its dimensions after `ind` to those before.
#[op("linalg_tensorinv(Tensor self, int ind=2) -> Tensor", autocast = "fp32", composite, out = "out")]
mod linalg_tensorinv {
    fn kernel(this: &Tensor, ind: i64) -> Result<Tensor> {
        ensure!(ind > 0, "Expected a strictly positive integer for 'ind'");
        let sizes = this.sizes();
        let at = (ind as usize).min(sizes.len());
        let (rows, cols): (i64, i64) = (sizes[..at].iter().product(), sizes[at..].iter().product());
        ensure!(
            rows == cols,
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got {cols} != {rows}"
        );
        let mut result = Dims::from_slice(&sizes[at..]);
        result.extend_from_slice(&sizes[..at]);
        let (inverse, info) = linalg_inv_ex::call(&this.reshape([rows, cols])?, false)?;
        if info.device() != crate::Device::Meta {
            ensure!(
                info.to_vec::<i32>()?[0] == 0,
                "Failed to invert the input tensor, because it is singular."
            );
        }
        inverse.reshape(result)
    }
}

/// Solves `tensordot(self, X, X.dim()) = other`, moving the dimensions `dims` of `self` to the end first.
#[op(
    "linalg_tensorsolve(Tensor self, Tensor other, int[]? dims=None) -> Tensor",
    autocast = "fp32",
    composite,
    out = "out"
)]
mod linalg_tensorsolve {
    fn kernel(this: &Tensor, other: &Tensor, dims: Option<&[i64]>) -> Result<Tensor> {
        let mut a = this.clone();
        if let Some(dims) = dims {
            let n = this.dim() as i64;
            let last: Vec<i64> = (0..dims.len() as i64).map(|i| n - dims.len() as i64 + i).collect();
            a = a.movedim_list(dims, last)?;
        }
        let sizes = a.sizes();
        let result = Dims::from_slice(&sizes[other.dim().min(sizes.len())..]);
        let (product, n): (i64, i64) = (result.iter().product(), other.numel() as i64);
        ensure!(
            product == n,
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), but got {product} != {n}"
        );
        let flat = a.reshape([n, product])?;
        linalg_solve::call(&flat, &other.reshape([n])?, true)?.reshape(result)
    }
}
