//! Singular values and vectors.

use cresset_macros::op;

use super::linalg_hermitian::check_phase;
use super::matmul::{adjoint, conj};
use crate::autograd::Meta;
use crate::matrices::{
    Failure, Stack, by_columns, check_float, check_info, check_matrix, check_supported, exchanged, own,
    own_transposed, with_matrices,
};
use crate::op::{Grad, Grads, OpDef};
use crate::{DType, Result, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![_linalg_svd, linalg_svd, linalg_svdvals, svd];

/// `A = U diag(S) Vh`, `S` in descending order; without `compute_uv` `U` and `Vh` are empty.
#[op(
    "_linalg_svd(Tensor A, bool full_matrices=False, bool compute_uv=True, *, str? driver=None) -> (Tensor U, Tensor S, Tensor Vh)",
    wrt(A),
    no_fn,
    no_method,
    out("U", U, S, Vh)
)]
#[allow(non_snake_case)] // the schema's names
mod _linalg_svd {
    fn kernel(
        A: &Tensor,
        full_matrices: bool,
        compute_uv: bool,
        driver: Option<&str>,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        check_matrix("linalg.svd", "A", A)?;
        if driver.is_some() {
            bail!(
                "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend."
            );
        }
        check_float("linalg.svd", A, true)?;
        check_supported("linalg_svd_cpu", A)?;
        decompose(A, full_matrices, compute_uv)
    }
    fn grad(
        g0: Option<&Tensor>,
        g1: Option<&Tensor>,
        g2: Option<&Tensor>,
        A: &Meta,
        full_matrices: bool,
        compute_uv: bool,
        out0: &Tensor,
        out1: &Tensor,
        out2: &Tensor,
    ) -> Result<Grads> {
        ensure!(
            compute_uv,
            "linalg_svd_backward: cannot be computed if the singular vectors were not computed"
        );
        let k = out1.size(-1)?;
        let cut = |t: &Tensor, dim: i64| if full_matrices { t.narrow(dim, 0, k) } else { Ok(t.clone()) };
        let (u, vh) = (cut(out0, -1)?, cut(out2, -2)?);
        let gu = g0.map(|g| cut(g, -1)).transpose()?;
        let gvh = g2.map(|g| cut(g, -2)).transpose()?;
        let d = A.dim();
        let shape = (A.sizes()[d - 2], A.sizes()[d - 1]);
        Ok(vec![svd_gradient(shape, (gu, g1.cloned(), gvh), (&u, out1, &vh))?])
    }
}

/// The kernel: matrices with more columns than rows are transposed, which exchanges `U` and `Vh`.
fn decompose(a: &Tensor, full: bool, vectors: bool) -> Result<(Tensor, Tensor, Tensor)> {
    let stack = Stack::of(a);
    let wide = stack.rows < stack.cols;
    let work = if wide { own_transposed(a)? } else { own(a)? };
    let (m, n) = if wide { (stack.cols, stack.rows) } else { (stack.rows, stack.cols) };
    let basis = if full { m } else { n };
    let values = stack.empty(&[n], a.dtype().to_real(), a)?;
    let info = stack.zeros(&[], DType::I32, a)?;
    let sizes =
        |rows, cols| if vectors { stack.sizes(&[rows, cols]) } else { crate::layout::Dims::from_elem(0, 1) };
    let u = Tensor::empty_of(&sizes(basis, m), a.dtype(), a.device())?;
    let v = Tensor::empty_of(&sizes(n, n), a.dtype(), a.device())?;
    let batch = stack.kernel(a.dtype(), m, n);
    with_matrices(&[&work, &values, &info, &u, &v], &[], |o, _| {
        let places = vectors.then_some((o[3].ptr, basis as usize, o[4].ptr));
        // SAFETY: all are locked, row-major and of these sizes.
        unsafe { batch.svd(o[0].ptr, o[1].ptr, o[2].ptr, places) }
    });
    check_info("linalg.svd", &info, Failure::Svd)?;
    if !vectors {
        return Ok((u, values, v));
    }
    // The kernel leaves the columns of U and V in rows. A^T = U S V^H is A = conj(V) S U^T.
    let (left, right) = if wide { (conj(&exchanged(&v)?)?, u) } else { (exchanged(&u)?, conj(&v)?) };
    Ok((left, values, by_columns(&right)?))
}

type Parts<'a> = (&'a Tensor, &'a Tensor, &'a Tensor);

/// Gradient of `A = U diag(S) Vh` in the reduced form.
fn svd_gradient(
    (m, n): (i64, i64),
    (gu, gs, gvh): (Option<Tensor>, Option<Tensor>, Option<Tensor>),
    (u, s, vh): Parts,
) -> Result<Grad> {
    if gu.is_none() && gvh.is_none() {
        let Some(gs) = gs else { return Ok(Grad::None) };
        let scaled = u.mul(&gs.unsqueeze(-2)?)?;
        return Ok(scaled.matmul(vh)?.into());
    }
    let k = s.size(-1)?;
    let (row, column) = (s.unsqueeze(-2)?, s.unsqueeze(-1)?);
    let u_part = gu.as_ref().map(|g| adjoint(u)?.matmul(g)).transpose()?;
    let v_part = gvh.as_ref().map(|g| vh.matmul(&adjoint(g)?)).transpose()?;
    check_phases(&u_part, &v_part)?;
    let left = u_part.as_ref().map(|x| skew(x)?.mul(&row)).transpose()?;
    let right = v_part.as_ref().map(|x| skew(x)?.mul(&column)).transpose()?;
    let both = match (left, right) {
        (Some(a), Some(b)) => a.add(&b)?,
        (Some(x), None) | (None, Some(x)) => x,
        (None, None) => return Ok(Grad::None),
    };
    let squares = s.mul(s)?;
    let gap = squares.unsqueeze(-2)?.sub(&squares.unsqueeze(-1)?)?;
    let mut inner = both.div(&gap.add(&s.ones_like()?.diag_embed()?)?)?;
    if u.is_complex()
        && let Some(x) = &u_part
    {
        let turn = skew(x)?.diagonal_with(|o| o.dim1(-2).dim2(-1))?.div(&s.mul_scalar(2)?)?;
        let diagonal = inner.diagonal_with(|o| o.dim1(-2).dim2(-1))?;
        inner = inner.sub(&diagonal.sub(&turn)?.diag_embed()?)?;
    }
    if let Some(gs) = gs {
        inner = inner.add(&gs.diag_embed()?)?;
    }
    let mut grad = match (&gu, m > k) {
        (Some(gu), true) => {
            let scaled = gu.div(&row)?;
            u.matmul(&inner)?.add(&scaled.sub(&u.matmul(&adjoint(u)?.matmul(&scaled)?)?)?)?.matmul(vh)?
        }
        _ => u.matmul(&inner)?.matmul(vh)?,
    };
    if let Some(gvh) = gvh.filter(|_| n > k) {
        let scaled = gvh.div(&column)?;
        let rest = scaled.sub(&scaled.matmul(&adjoint(vh)?)?.matmul(vh)?)?;
        grad = grad.add(&u.matmul(&rest)?)?;
    }
    Ok(grad.into())
}

fn skew(x: &Tensor) -> Result<Tensor> {
    x.sub(&adjoint(x)?)
}

/// Phases of `U` and `V` are tied, so it is the sum of both parts that must not depend on them.
fn check_phases(u: &Option<Tensor>, v: &Option<Tensor>) -> Result<()> {
    let sum = match (u, v) {
        (Some(u), Some(v)) => u.add(v)?,
        (Some(x), None) | (None, Some(x)) => x.clone(),
        (None, None) => return Ok(()),
    };
    check_phase("svd_backward", "singular vectors", &sum)
}

/// `A = U diag(S) Vh`, `S` in descending order; with `full_matrices` `U` and `Vh` are square.
#[op(
    "linalg_svd(Tensor A, bool full_matrices=True, *, str? driver=None) -> (Tensor U, Tensor S, Tensor Vh)",
    autocast = "fp32",
    composite,
    out("U", U, S, Vh)
)]
#[allow(non_snake_case)] // the schema's names
mod linalg_svd {
    fn kernel(A: &Tensor, full_matrices: bool, driver: Option<&str>) -> Result<(Tensor, Tensor, Tensor)> {
        _linalg_svd::call(A, full_matrices, true, driver)
    }
}

/// Singular values, in descending order.
#[op("linalg_svdvals(Tensor A, *, str? driver=None) -> Tensor", autocast = "fp32", composite, out = "out")]
#[allow(non_snake_case)] // the schema's names
mod linalg_svdvals {
    fn kernel(A: &Tensor, driver: Option<&str>) -> Result<Tensor> {
        // The vectors are needed for gradients only.
        let vectors = crate::modes::is_grad_enabled() && A.requires_grad();
        Ok(_linalg_svd::call(A, false, vectors, driver)?.1)
    }
}

/// `self = U diag(S) V^H`; with `some` `U` and `V` have as many columns as there are singular values, without
/// `compute_uv` they are zero.
#[op(
    "svd(Tensor self, bool some=True, bool compute_uv=True) -> (Tensor U, Tensor S, Tensor V)",
    autocast = "fp32",
    composite,
    out("U", U, S, V)
)]
mod svd {
    fn kernel(this: &Tensor, some: bool, compute_uv: bool) -> Result<(Tensor, Tensor, Tensor)> {
        ensure!(
            this.dim() >= 2,
            "linalg.svd: input should have at least 2 dimensions, but has {} dimensions instead",
            this.dim()
        );
        if compute_uv {
            let (u, s, vh) = _linalg_svd::call(this, !some, true, None)?;
            return Ok((u, s, adjoint(&vh)?));
        }
        let s = linalg_svdvals::call(this, None)?;
        let stack = Stack::of(this);
        let square = |n: i64| stack.zeros(&[n, n], this.dtype(), this);
        Ok((square(stack.rows)?, s, square(stack.cols)?))
    }
}
