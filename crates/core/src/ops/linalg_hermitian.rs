//! Eigenvalues and eigenvectors of Hermitian matrices.

use cresset_macros::op;

use super::matmul::adjoint;
use crate::matrices::{
    Failure, Stack, check_info, check_square, check_supported, exchanged, own, with_matrices,
};
use crate::op::{Grad, Grads, OpDef};
use crate::{DType, Result, Tensor, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![_linalg_eigh, linalg_eigh, linalg_eigvalsh];

/// Eigenvalues in ascending order, and eigenvectors in columns if `compute_v` (else empty); the lower or the upper
/// triangle is read.
#[op(
    "_linalg_eigh(Tensor A, str UPLO=\"L\", bool compute_v=True) -> (Tensor eigenvalues, Tensor eigenvectors)",
    wrt(A),
    no_fn,
    no_method,
    out("eigenvalues", eigenvalues, eigenvectors)
)]
#[allow(non_snake_case)] // the schema's names
mod _linalg_eigh {
    fn kernel(A: &Tensor, UPLO: &str, compute_v: bool) -> Result<(Tensor, Tensor)> {
        check_square("linalg.eigh", "A", A)?;
        ensure!(
            matches!(UPLO, "L" | "U" | "l" | "u"),
            "Expected UPLO argument to be 'L' or 'U', but got {UPLO}"
        );
        check_supported("linalg_eigh_cpu", A)?;
        let stack = Stack::of(A);
        let vectors = own(A)?;
        let values = stack.empty(&[stack.rows], A.dtype().to_real(), A)?;
        let info = stack.zeros(&[], DType::I32, A)?;
        let batch = stack.kernel(A.dtype(), stack.rows, stack.rows);
        let upper = UPLO.eq_ignore_ascii_case("u");
        with_matrices(&[&vectors, &values, &info], &[], |o, _| {
            // SAFETY: all are locked, row-major and of these sizes.
            unsafe { batch.eigh(o[0].ptr, upper, o[1].ptr, o[2].ptr, compute_v) }
        });
        check_info("linalg.eigh", &info, Failure::Eigen)?;
        // The kernel leaves one vector a row.
        let vectors =
            if compute_v { exchanged(&vectors)? } else { Tensor::empty_of(&[0], A.dtype(), A.device())? };
        Ok((values, vectors))
    }
    fn grad(
        g0: Option<&Tensor>,
        g1: Option<&Tensor>,
        compute_v: bool,
        out0: &Tensor,
        out1: &Tensor,
    ) -> Result<Grads> {
        ensure!(
            compute_v,
            "linalg_eigh_backward: linalg.eigh requires eigenvectors to be computed; use torch.linalg.eigvalsh"
        );
        let vh = adjoint(out1)?;
        let Some(gv) = g1 else {
            let Some(gl) = g0 else { return Ok(vec![Grad::None]) };
            return Ok(vec![out1.mul(&gl.unsqueeze(-2)?)?.matmul(&vh)?.into()]);
        };
        let inner = vh.matmul(gv)?;
        check_phase("linalg_eigh_backward", "eigenvectors", &inner)?;
        // Vectors move along skew-Hermitian directions only.
        let mut inner = inner.sub(&adjoint(&inner)?)?.mul_scalar(0.5)?.div(&differences(out0)?)?;
        if let Some(gl) = g0 {
            inner = inner.add(&gl.diag_embed()?)?;
        }
        Ok(vec![out1.matmul(&inner.matmul(&vh)?)?.into()])
    }
}

/// `l_j - l_i` in row `i` and column `j`, ones on the diagonal.
fn differences(values: &Tensor) -> Result<Tensor> {
    let gap = values.unsqueeze(-2)?.sub(&values.unsqueeze(-1)?)?;
    gap.add(&values.ones_like()?.diag_embed()?)
}

/// Refuses gradients of complex vectors that change with their phases, which are arbitrary.
pub(crate) fn check_phase(name: &str, what: &str, inner: &Tensor) -> Result<()> {
    if !inner.is_complex() || inner.device() == crate::Device::Meta {
        return Ok(());
    }
    let parts = inner.diagonal_with(|o| o.dim1(-2).dim2(-1))?.imag()?;
    let tolerance = if inner.dtype() == DType::Complex64 { 1e-2 } else { 1e-8 };
    let largest = if parts.numel() == 0 { 0.0 } else { parts.abs()?.max()?.item()?.to_f64() };
    ensure!(
        largest <= tolerance,
        "{name}: The {what} in the complex case are specified up to multiplication by e^{{i phi}}. The specified loss function depends on this quantity, so it is ill-defined."
    );
    Ok(())
}

/// Eigenvalues in ascending order and eigenvectors (in columns) of Hermitian matrices.
#[op(
    "linalg_eigh(Tensor self, str UPLO=\"L\") -> (Tensor eigenvalues, Tensor eigenvectors)",
    autocast = "fp32",
    composite,
    out("eigvals", eigvals, eigvecs)
)]
#[allow(non_snake_case)] // the schema's names
mod linalg_eigh {
    fn kernel(this: &Tensor, UPLO: &str) -> Result<(Tensor, Tensor)> {
        _linalg_eigh::call(this, UPLO, true)
    }
}

/// Eigenvalues of Hermitian matrices, in ascending order.
#[op("linalg_eigvalsh(Tensor self, str UPLO=\"L\") -> Tensor", autocast = "fp32", composite, out = "out")]
#[allow(non_snake_case)] // the schema's names
mod linalg_eigvalsh {
    fn kernel(this: &Tensor, UPLO: &str) -> Result<Tensor> {
        // The vectors are needed for gradients only.
        let compute_v = crate::modes::is_grad_enabled() && this.requires_grad();
        Ok(_linalg_eigh::call(this, UPLO, compute_v)?.0)
    }
}
