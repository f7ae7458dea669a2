//! Eigenvalues of general matrices, and factorisations of symmetric indefinite ones.

use cresset_macros::op;

use super::linalg_elimination::check_same_type;
use super::linalg_solve;
use super::matmul::{adjoint, conj};
use crate::autograd::Meta;
use crate::dense::{cast, dense};
use crate::matrices::{
    Failure, Stack, by_columns, check_float, check_info, check_matrix, check_square, check_supported,
    common_batch, own, spread, with_matrices,
};
use crate::op::{Grad, Grads, OpDef};
use crate::{DType, Device, Result, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] =
    op_list![linalg_eig, linalg_eigvals, linalg_ldl_factor_ex, linalg_ldl_factor, linalg_ldl_solve];

/// Eigenvalues of general matrices, in no order, and eigenvectors of length 1 in columns; both complex.
#[op(
    "linalg_eig(Tensor self) -> (Tensor eigenvalues, Tensor eigenvectors)",
    autocast = "fp32",
    wrt(this),
    out("out", eigenvalues, eigenvectors)
)]
mod linalg_eig {
    fn kernel(this: &Tensor) -> Result<(Tensor, Tensor)> {
        decompose("linalg.eig", this, true)
    }
    fn grad(
        g0: Option<&Tensor>,
        g1: Option<&Tensor>,
        this: &Meta,
        out0: &Tensor,
        out1: &Tensor,
    ) -> Result<Grads> {
        let vh = adjoint(out1)?;
        let values = g0.map(|g| g.diag_embed()).transpose()?;
        let vectors = match g1 {
            Some(g) => Some(vector_part(g, out0, out1)?),
            None => None,
        };
        let inner = match (values, vectors) {
            (Some(a), Some(b)) => a.add(&b)?,
            (Some(x), None) | (None, Some(x)) => x,
            (None, None) => return Ok(vec![Grad::None]),
        };
        let grad = linalg_solve::call(&vh, &inner.matmul(&vh)?, true)?;
        Ok(vec![if this.dtype().is_complex() { grad } else { grad.real()? }.into()])
    }
}

/// What the gradient of the vectors adds between `V^-H` and `V^H`: their length is fixed, and their phase arbitrary.
fn vector_part(g: &Tensor, values: &Tensor, vectors: &Tensor) -> Result<Tensor> {
    let vh = adjoint(vectors)?;
    let inner = vh.matmul(g)?;
    super::linalg_hermitian::check_phase("linalg_eig_backward", "eigenvectors", &inner)?;
    let lengths = inner.diagonal_with(|o| o.dim1(-2).dim2(-1))?.real()?;
    let inner = inner.sub(&vh.matmul(vectors)?.mul(&lengths.unsqueeze(-2)?)?)?;
    let gap = conj(&values.unsqueeze(-2)?.sub(&values.unsqueeze(-1)?)?)?;
    let ones = values.ones_like()?.diag_embed()?;
    let inner = inner.div(&gap.add(&ones)?)?;
    inner.sub(&inner.diagonal_with(|o| o.dim1(-2).dim2(-1))?.diag_embed()?)
}

/// The kernel: computed in double precision.
fn decompose(name: &str, a: &Tensor, vectors: bool) -> Result<(Tensor, Tensor)> {
    check_square(name, "A", a)?;
    if a.dtype().is_integral_or_bool() {
        bail!("Unknown Complex ScalarType for {}", a.dtype().scalar_type());
    }
    check_supported("linalg_eig_out_cpu", a)?;
    if a.device() != Device::Meta && a.numel() > 0 && !a.isfinite()?.all()?.item()?.to_bool() {
        bail!("torch.{name}: input tensor should not contain infs or NaNs.");
    }
    let stack = Stack::of(a);
    let n = stack.rows;
    let wide = if a.is_complex() { DType::Complex128 } else { DType::F64 };
    let work = if a.dtype() == wide { own(a)? } else { dense(a, wide)? };
    let values = stack.empty(&[n], DType::Complex128, a)?;
    let shape = if vectors { stack.sizes(&[n, n]) } else { crate::layout::Dims::from_elem(0, 1) };
    let columns = Tensor::empty_of(&shape, DType::Complex128, a.device())?;
    let info = stack.zeros(&[], DType::I32, a)?;
    let batch = stack.kernel(wide, n, n);
    with_matrices(&[&work, &values, &columns, &info], &[], |o, _| {
        // SAFETY: all are locked, row-major and of these sizes.
        unsafe { batch.eig(o[0].ptr, o[1].ptr, vectors.then_some(o[2].ptr), o[3].ptr) }
    });
    check_info(name, &info, Failure::Eigen)?;
    let result = a.dtype().to_complex();
    let columns = cast(columns, result)?;
    Ok((cast(values, result)?, if vectors { by_columns(&columns)? } else { columns }))
}

/// Eigenvalues of general matrices, in no order; complex.
#[op("linalg_eigvals(Tensor self) -> Tensor", autocast = "fp32", composite, out = "out")]
mod linalg_eigvals {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        // Their gradient needs the vectors.
        if crate::modes::is_grad_enabled() && this.requires_grad() {
            return Ok(linalg_eig::call(this)?.0);
        }
        Ok(decompose("linalg.eigvals", this, false)?.0)
    }
}

/// The factorisation `self = L D L^T` (`L^H` if `hermitian`) in LAPACK's compact form, with a code for each matrix.
#[op(
    "linalg_ldl_factor_ex(Tensor self, *, bool hermitian=False, bool check_errors=False) -> (Tensor LD, Tensor pivots, Tensor info)",
    no_grad = "PyTorch defines no gradient",
    out("out", LD, pivots, info)
)]
mod linalg_ldl_factor_ex {
    fn kernel(this: &Tensor, hermitian: bool, check_errors: bool) -> Result<(Tensor, Tensor, Tensor)> {
        let name = "torch.linalg.ldl_factor_ex";
        check_square(name, "A", this)?;
        check_float(name, this, true)?;
        check_supported("ldl_factor_kernel_cpu", this)?;
        let stack = Stack::of(this);
        let factors = own(this)?;
        let pivots = stack.empty(&[stack.rows], DType::I32, this)?;
        let info = stack.zeros(&[], DType::I32, this)?;
        let batch = stack.kernel(this.dtype(), stack.rows, stack.rows);
        let conjugate = hermitian && this.is_complex();
        with_matrices(&[&factors, &pivots, &info], &[], |o, _| {
            // SAFETY: all are locked, row-major and of these sizes.
            unsafe { batch.ldl(o[0].ptr, o[1].ptr, o[2].ptr, conjugate) }
        });
        if check_errors {
            check_code(name, &info)?;
        }
        Ok((by_columns(&factors)?, pivots, info))
    }
}

fn check_code(name: &str, info: &Tensor) -> Result<()> {
    if info.device() == Device::Meta {
        return Ok(());
    }
    match info.to_vec::<i32>()?.into_iter().find(|code| *code != 0) {
        Some(code) => bail!("{name}: Unknown error code: {code}."),
        None => Ok(()),
    }
}

/// The factorisation `self = L D L^T` (`L^H` if `hermitian`) in LAPACK's compact form.
///
/// # Errors
/// `Runtime` if a block of `D` is exactly zero.
#[op(
    "linalg_ldl_factor(Tensor self, *, bool hermitian=False) -> (Tensor LD, Tensor pivots)",
    composite,
    out("out", LD, pivots)
)]
mod linalg_ldl_factor {
    fn kernel(this: &Tensor, hermitian: bool) -> Result<(Tensor, Tensor)> {
        let (factors, pivots, info) = linalg_ldl_factor_ex::call(this, hermitian, false)?;
        check_code("torch.linalg.ldl_factor", &info)?;
        Ok((factors, pivots))
    }
}

/// Solves `A X = B` for `A` factored by [`linalg_ldl_factor`].
#[op(
    "linalg_ldl_solve(Tensor LD, Tensor pivots, Tensor B, *, bool hermitian=False) -> Tensor",
    no_grad = "PyTorch defines no gradient",
    out = "out"
)]
#[allow(non_snake_case)] // the schema's names
mod linalg_ldl_solve {
    fn kernel(LD: &Tensor, pivots: &Tensor, B: &Tensor, hermitian: bool) -> Result<Tensor> {
        check_ldl_solve(LD, pivots, B)?;
        let leading = common_batch(LD, B)?;
        let factors = spread(LD, &leading)?;
        let pivots = spread(&pivots.unsqueeze(-1)?, &leading)?;
        let x = own(&spread(B, &leading)?)?;
        let stack = Stack::of(&x);
        let batch = stack.kernel(x.dtype(), stack.rows, stack.cols);
        with_matrices(&[&x], &[&factors, &pivots], |o, i| {
            // SAFETY: all are locked, row-major and of these sizes.
            unsafe { batch.ldl_solve(i[0].ptr, i[1].ptr, o[0].ptr, hermitian && x.is_complex()) }
        });
        by_columns(&x)
    }
}

fn check_ldl_solve(factors: &Tensor, pivots: &Tensor, b: &Tensor) -> Result<()> {
    let name = "torch.linalg.ldl_solve";
    check_square(name, "LD", factors)?;
    check_matrix(name, "B", b)?;
    check_float(name, factors, true)?;
    let (own, n) = (Stack::of(factors), factors.size(-1)?);
    ensure!(
        b.size(-2)? == n,
        "{name}: Incompatible matrix sizes: expected B.size(-2) to be {n}, but got {}",
        b.size(-2)?
    );
    ensure!(
        pivots.sizes() == own.sizes(&[n]),
        "{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with shape {:?} instead.",
        &pivots.sizes()[..]
    );
    ensure!(
        pivots.dtype() == DType::I32,
        "{name}: Expected pivots to be integers of type int32. Got {}",
        pivots.dtype().scalar_type()
    );
    check_same_type(name, factors, b)?;
    check_supported("ldl_solve_cpu", factors)
}
