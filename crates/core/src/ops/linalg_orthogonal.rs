//! QR factorisations and Householder reflections.

use cresset_macros::op;

use super::matmul::{adjoint, conj};
use super::{cat_with, eye_m_with, linalg_solve_triangular};
use crate::matrices::{
    Stack, by_columns, check_float, check_matrix, check_supported, exchanged, own, own_transposed,
    with_matrices,
};
use crate::op::{Grad, Grads, Needs, OpDef};
use crate::second::differentiate;
use crate::{Result, Tensor, bail, copy, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![linalg_qr, geqrf, linalg_householder_product, orgqr, ormqr];

/// `R` and the reflections as LAPACK's `geqrf` leaves them, given by columns (`[.., n, m]`), and their factors.
fn reflections(a: &Tensor) -> Result<(Tensor, Tensor)> {
    let stack = Stack::of(a);
    let columns = own_transposed(a)?;
    let tau = stack.empty(&[stack.steps()], a.dtype(), a)?;
    let batch = stack.kernel(a.dtype(), stack.cols, stack.rows);
    with_matrices(&[&columns, &tau], &[], |o, _| {
        // SAFETY: both are locked, row-major and of these sizes.
        unsafe { batch.qr(o[0].ptr, o[1].ptr) }
    });
    Ok((columns, tau))
}

/// The first `count` columns of the product of reflections, whose vectors are given by columns.
fn generate(columns: &Tensor, tau: &Tensor, count: i64) -> Result<Tensor> {
    let stack = Stack::of(columns);
    let (m, k) = (stack.cols, tau.size(-1)?);
    let q = stack.zeros(&[count, m], columns.dtype(), columns)?;
    let shared = count.min(stack.rows);
    copy::copy_into(&q.narrow(-2, 0, shared)?, &columns.narrow(-2, 0, shared)?)?;
    let tau = copy::contiguous_copy(tau)?;
    let batch = stack.kernel(columns.dtype(), count, m);
    with_matrices(&[&q], &[&tau], |o, i| {
        // SAFETY: both are locked, row-major and of these sizes; there are at least as many columns as reflections.
        unsafe { batch.generate(o[0].ptr, i[0].ptr, k as usize) }
    });
    exchanged(&q)
}

/// The factorisation `A = Q R`; `mode` is `reduced`, `complete`, or `r` (then `Q` is empty).
#[op(
    "linalg_qr(Tensor A, str mode=\"reduced\") -> (Tensor Q, Tensor R)",
    autocast = "fp32",
    wrt(A),
    out("out", Q, R)
)]
#[allow(non_snake_case)] // the schema's names
mod linalg_qr {
    fn kernel(A: &Tensor, mode: &str) -> Result<(Tensor, Tensor)> {
        check_matrix("linalg.qr", "A", A)?;
        check_float("linalg.qr", A, true)?;
        let complete = check_mode(mode)?;
        check_supported("geqrf_cpu", A)?;
        let stack = Stack::of(A);
        let (columns, tau) = reflections(A)?;
        let height = if complete { stack.rows } else { stack.steps() };
        let r = by_columns(&exchanged(&columns)?.narrow(-2, 0, height)?.triu()?)?;
        if mode == "r" {
            return Ok((Tensor::empty_of(&[0], A.dtype(), A.device())?, r));
        }
        Ok((generate(&columns, &tau, height)?, r))
    }
    fn grad(
        g0: Option<&Tensor>,
        g1: Option<&Tensor>,
        A: &Tensor,
        mode: &str,
        out0: &Tensor,
        out1: &Tensor,
    ) -> Result<Grads> {
        let Stack { rows: m, cols: n, .. } = Stack::of(A);
        ensure!(
            mode != "r",
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use linalg.qr(A, mode='reduced') if you are going to require gradients."
        );
        ensure!(
            mode != "complete" || m <= n,
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols"
        );
        let zero = |t: &Tensor, g: Option<&Tensor>| g.map_or_else(|| t.zeros_like(), |g| Ok(g.clone()));
        let (gq, gr) = (zero(out0, g0)?, zero(out1, g1)?);
        Ok(vec![qr_gradient(&gq, &gr, A, out0, out1)?.into()])
    }
}

/// Whether the mode asks for a full basis.
fn check_mode(mode: &str) -> Result<bool> {
    match mode {
        "reduced" | "r" => Ok(false),
        "complete" => Ok(true),
        _ => bail!(
            "qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        ),
    }
}

/// Gradient of `A = Q R`. A wide matrix is `[A1 A2] = Q [R1 Q^H A2]`, which leaves the square part.
fn qr_gradient(gq: &Tensor, gr: &Tensor, a: &Tensor, q: &Tensor, r: &Tensor) -> Result<Tensor> {
    let Stack { rows: m, cols: n, .. } = Stack::of(a);
    if m >= n {
        return tall_gradient(gq, gr, q, r);
    }
    let (gr1, gr2) = (gr.narrow(-1, 0, m)?, gr.narrow(-1, m, n - m)?);
    let gq = gq.add(&a.narrow(-1, m, n - m)?.matmul(&adjoint(&gr2)?)?)?;
    let first = tall_gradient(&gq, &gr1, q, &r.narrow(-1, 0, m)?)?;
    cat_with(&[first, q.matmul(&gr2)?], |o| o.dim(-1))
}

/// `(gQ + Q sym(triu(gR R^H - Q^H gQ))) R^-H`, where `sym` fills the other triangle.
fn tall_gradient(gq: &Tensor, gr: &Tensor, q: &Tensor, r: &Tensor) -> Result<Tensor> {
    let inner = gr.matmul(&adjoint(r)?)?.sub(&adjoint(q)?.matmul(gq)?)?.triu()?;
    let both = inner.add(&adjoint(&inner)?)?;
    let diagonal = both.diagonal_with(|o| o.dim1(-2).dim2(-1))?.mul_scalar(0.5)?;
    let filled = both.sub(&diagonal.diag_embed()?)?;
    linalg_solve_triangular::call(&adjoint(r)?, &gq.add(&q.matmul(&filled)?)?, false, false, false)
}

/// The factorisation as LAPACK's `geqrf` gives it: `R` with the vectors of the reflections below it, and their factors.
#[op(
    "geqrf(Tensor self) -> (Tensor a, Tensor tau)",
    autocast = "fp32",
    no_grad = "PyTorch defines no gradient",
    out("a", a, tau)
)]
mod geqrf {
    fn kernel(this: &Tensor) -> Result<(Tensor, Tensor)> {
        ensure!(this.dim() >= 2, "torch.geqrf: input must have at least 2 dimensions.");
        check_supported("geqrf_cpu", this)?;
        let (columns, tau) = reflections(this)?;
        Ok((exchanged(&columns)?, tau))
    }
}

/// The first columns of the product of the reflections whose vectors lie below the diagonal of `input`.
#[op(
    "linalg_householder_product(Tensor input, Tensor tau) -> Tensor",
    autocast = "fp32",
    wrt(input, tau),
    out = "out"
)]
mod linalg_householder_product {
    fn kernel(input: &Tensor, tau: &Tensor) -> Result<Tensor> {
        check_product("torch.linalg.householder_product", input, tau)?;
        check_supported("orgqr_cpu", input)?;
        generate(&own_transposed(input)?, tau, input.size(-1)?)
    }
    fn grad(g: &Tensor, input: &Tensor, tau: &Tensor) -> Result<Grads> {
        if tau.numel() == 0 {
            return Ok(vec![input.zeros_like()?.into(), tau.zeros_like()?.into()]);
        }
        let grads = differentiate(&[input, tau], &[Some(g.clone())], |x| {
            let n = x[0].size(-1)?;
            let m = x[0].size(-2)?;
            let start = eye_m_with(m, n, |o| o.dtype(x[0].dtype()).device(x[0].device()))?;
            Ok(vec![reflected(&x[0], &x[1], &start, true, false)?])
        })?;
        Ok(grads.into_iter().map(Into::into).collect())
    }
}

/// `C` multiplied by `H_1 H_2 …` from the left or the right, or by the adjoint, one reflection after another.
fn reflected(vectors: &Tensor, tau: &Tensor, c: &Tensor, left: bool, transpose: bool) -> Result<Tensor> {
    let k = tau.size(-1)?;
    let v = vectors.narrow(-1, 0, k)?.tril_with(|o| o.diagonal(-1))?;
    let (m, options) = (vectors.size(-2)?, (v.dtype(), v.device()));
    let v = v.add(&eye_m_with(m, k, |o| o.dtype(options.0).device(options.1))?)?;
    let (mut c, forward) = (c.clone(), left == transpose);
    for step in 0..k {
        let i = if forward { step } else { k - 1 - step };
        let v = v.narrow(-1, i, 1)?;
        let factor = tau.narrow(-1, i, 1)?.unsqueeze(-1)?;
        let factor = if transpose { conj(&factor)? } else { factor };
        let change = if left {
            v.mul(&factor)?.matmul(&adjoint(&v)?.matmul(&c)?)?
        } else {
            c.matmul(&v)?.mul(&factor)?.matmul(&adjoint(&v)?)?
        };
        c = c.sub(&change)?;
    }
    Ok(c)
}

fn check_product(name: &str, input: &Tensor, tau: &Tensor) -> Result<()> {
    ensure!(input.dim() >= 2, "{name}: input must have at least 2 dimensions.");
    let Stack { batch, rows, cols, .. } = Stack::of(input);
    ensure!(rows >= cols, "{name}: input.shape[-2] must be greater than or equal to input.shape[-1]");
    let k = tau.sizes().last().copied();
    ensure!(
        k.is_some_and(|k| cols >= k),
        "{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]"
    );
    ensure!(
        input.dim() == tau.dim() + 1,
        "{name}: Expected tau to have one dimension less than input, but got tau.ndim equal to {} and input.ndim is equal to {}",
        tau.dim(),
        input.dim()
    );
    let leading = &tau.sizes()[..tau.dim() - 1];
    ensure!(
        leading == &batch[..],
        "{name}: Expected batch dimensions of tau to be equal to input.shape[:-2], but got {leading:?}"
    );
    ensure!(
        input.dtype() == tau.dtype(),
        "{name}: tau dtype {} does not match input dtype {}",
        tau.dtype().name(),
        input.dtype().name()
    );
    Ok(())
}

/// As [`linalg_householder_product`].
#[op("orgqr(Tensor self, Tensor input2) -> Tensor", autocast = "fp32", composite, out = "out")]
mod orgqr {
    fn kernel(this: &Tensor, input2: &Tensor) -> Result<Tensor> {
        linalg_householder_product::call(this, input2)
    }
}

/// `input3` multiplied by the product of reflections (vectors in `self`, factors in `input2`) from the left or the right;
/// with `transpose` by its adjoint.
#[op(
    "ormqr(Tensor self, Tensor input2, Tensor input3, bool left=True, bool transpose=False) -> Tensor",
    autocast = "fp32",
    wrt(this, input2, input3),
    out = "out"
)]
mod ormqr {
    fn kernel(
        this: &Tensor,
        input2: &Tensor,
        input3: &Tensor,
        left: bool,
        transpose: bool,
    ) -> Result<Tensor> {
        check_ormqr(this, input2, input3, left)?;
        check_supported("ormqr_cpu", this)?;
        let k = input2.size(-1)?;
        let vectors = own_transposed(&this.narrow(-1, 0, k)?)?;
        let tau = copy::contiguous_copy(input2)?;
        // C Q = (Q^H C^H)^H.
        let c = if left { own_transposed(input3)? } else { own(&conj(input3)?)? };
        let stack = Stack::of(&c);
        let batch = stack.kernel(c.dtype(), stack.rows, stack.cols);
        with_matrices(&[&c], &[&vectors, &tau], |o, i| {
            // SAFETY: all are locked, row-major and of these sizes.
            unsafe { batch.multiply(i[0].ptr, i[1].ptr, k as usize, o[0].ptr, transpose == left) }
        });
        if left { exchanged(&c) } else { conj(&c) }
    }
    fn grad(
        g: &Tensor,
        this: &Tensor,
        input2: &Tensor,
        input3: &Tensor,
        left: bool,
        transpose: bool,
        needs: Needs,
    ) -> Result<Grads> {
        let direct = needs.when(2, || ormqr::call(this, input2, g, left, !transpose))?;
        if !needs.get(0) && !needs.get(1) {
            return Ok(vec![Grad::None, Grad::None, direct]);
        }
        let grads = differentiate(&[this, input2, input3], &[Some(g.clone())], |x| {
            Ok(vec![reflected(&x[0], &x[1], &x[2], left, transpose)?])
        })?;
        Ok(vec![grads[0].clone().into(), grads[1].clone().into(), direct])
    }
}

fn check_ormqr(a: &Tensor, tau: &Tensor, c: &Tensor, left: bool) -> Result<()> {
    ensure!(a.dim() >= 2, "torch.ormqr: input must have at least 2 dimensions.");
    ensure!(c.dim() >= 2, "torch.ormqr: other must have at least 2 dimensions.");
    let (side, n) = if left { (-2, c.size(-2)?) } else { (-1, c.size(-1)?) };
    let k = tau.sizes().last().copied().unwrap_or(0);
    ensure!(n >= k, "torch.ormqr: other.shape[{side}] must be greater than or equal to tau.shape[-1]");
    ensure!(n == a.size(-2)?, "torch.ormqr: other.shape[{side}] must be equal to input.shape[-2]");
    ensure!(
        k == n.min(a.size(-1)?),
        "torch.ormqr: tau.shape[-1] must be equal to min(other.shape[{side}], input.shape[-1])"
    );
    ensure!(
        a.dim() == tau.dim() + 1,
        "torch.ormqr: Expected tau to have one dimension less than input, but got tau.ndim equal to {} and input.ndim is equal to {}",
        tau.dim(),
        a.dim()
    );
    ensure!(
        a.dim() == c.dim(),
        "torch.ormqr: Expected other to have the same number of dimensions as input, but got other.ndim equal to {} and input.ndim is equal to {}",
        c.dim(),
        a.dim()
    );
    let batch = Stack::of(a).batch;
    for (t, name, leading) in
        [(tau, "tau", &tau.sizes()[..tau.dim() - 1]), (c, "other", &c.sizes()[..c.dim() - 2])]
    {
        ensure!(
            *leading == batch[..],
            "torch.ormqr: Expected batch dimensions of {name} to be equal to input.shape[:-2], but got {leading:?}"
        );
        ensure!(
            t.dtype() == a.dtype(),
            "torch.ormqr: Expected input and {name} to have the same dtype, but input has dtype {} and {name} has dtype {}",
            a.dtype().name(),
            t.dtype().name()
        );
    }
    Ok(())
}
