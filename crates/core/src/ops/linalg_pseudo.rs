//! Pseudo-inverses, ranks and least squares.

use cresset_macros::op;

use super::matmul::adjoint;
use super::{
    linalg_eigh, linalg_eigvalsh, linalg_qr, linalg_solve_triangular, linalg_svd, linalg_svdvals, where_self,
};
use crate::matrices::{Stack, by_columns, check_matrix, common_batch, spread};
use crate::op::{Grad, Grads, Needs, OpDef};
use crate::{DType, Error, ErrorKind, Result, Scalar, Tensor, copy, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    linalg_pinv,
    linalg_pinv_tensor,
    linalg_pinv_rcond,
    linalg_pinv_rcond_tensor,
    pinverse,
    linalg_matrix_rank,
    linalg_matrix_rank_tensor,
    linalg_matrix_rank_tol,
    linalg_matrix_rank_tol_tensor,
    linalg_lstsq,
];

/// The distance from 1 to the next number in the type of the singular values.
fn epsilon(t: &Tensor) -> Result<f64> {
    match t.dtype().to_real() {
        DType::F32 => Ok(f32::EPSILON.into()),
        DType::F64 => Ok(f64::EPSILON),
        _ => Err(Error::runtime("This function doesn't handle types other than float and double")),
    }
}

fn number(x: f64, like: &Tensor) -> Result<Tensor> {
    copy::full(&[], Scalar::Float(x), like.dtype().to_real(), like.device())
}

/// Below what singular values `s` count as zero: `max(atol, rtol * max s)`, `rtol` being by default the number of rows or
/// columns times the precision, or 0 where `atol` is positive.
fn tolerance(a: &Tensor, s: &Tensor, atol: Option<&Tensor>, rtol: Option<&Tensor>) -> Result<Tensor> {
    let stack = Stack::of(a);
    let default = number(epsilon(a)? * stack.rows.max(stack.cols) as f64, a)?;
    let rtol = match (rtol, atol) {
        (Some(rtol), _) => rtol.clone(),
        (None, Some(atol)) => where_self(&atol.gt_scalar(0)?, &number(0.0, a)?, &default)?,
        (None, None) => default,
    };
    let relative = rtol.unsqueeze(-1)?.mul(&s.amax_with(|o| o.dim(-1).keepdim(true))?)?;
    match atol {
        Some(atol) => atol.unsqueeze(-1)?.maximum(&relative),
        None => Ok(relative),
    }
}

/// Refuses tolerances that are complex.
fn check_tolerances(name: &str, list: [(&str, Option<&Tensor>); 2]) -> Result<()> {
    for (arg, t) in list {
        ensure!(!t.is_some_and(Tensor::is_complex), "{name}: {arg} tensor of complex type is not supported.");
    }
    Ok(())
}

/// The pseudo-inverse of Moore and Penrose; singular values up to `max(atol, rtol * largest)` count as zero.
#[op(
    "linalg_pinv.atol_rtol_tensor(Tensor self, *, Tensor? atol=None, Tensor? rtol=None, bool hermitian=False) -> Tensor",
    wrt(this),
    nondiff(atol, rtol),
    out = "atol_rtol_tensor_out"
)]
mod linalg_pinv_tensor {
    fn kernel(
        this: &Tensor,
        atol: Option<&Tensor>,
        rtol: Option<&Tensor>,
        hermitian: bool,
    ) -> Result<Tensor> {
        let known = matches!(this.dtype(), DType::F32 | DType::F64 | DType::Complex64 | DType::Complex128);
        ensure!(
            known && this.dim() >= 2,
            "linalg.pinv({}{{{:?}}}): expected a tensor with 2 or more dimensions of float, double, cfloat or cdouble types",
            this.dtype().scalar_type(),
            &this.sizes()[..]
        );
        check_tolerances("torch.linalg.pinv", [("atol", atol), ("rtol", rtol)])?;
        let stack = Stack::of(this);
        if this.numel() == 0 {
            return stack.empty(&[stack.cols, stack.rows], this.dtype(), this);
        }
        if hermitian {
            let (values, vectors) = linalg_eigh::call(this, "L")?;
            let inverse = invert(this, &values, &values.abs()?, atol, rtol)?;
            return vectors.mul(&inverse.unsqueeze(-2)?)?.matmul(&adjoint(&vectors)?);
        }
        let (u, s, vh) = linalg_svd::call(this, false, None)?;
        let inverse = invert(this, &s, &s, atol, rtol)?;
        adjoint(&vh)?.mul(&inverse.unsqueeze(-2)?)?.matmul(&adjoint(&u)?)
    }
    fn grad(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Grads> {
        Ok(vec![pinv_gradient(g, out, this)?.into()])
    }
}

/// Reciprocals of values, zero where their size counts as zero.
fn invert(
    a: &Tensor,
    values: &Tensor,
    sizes: &Tensor,
    atol: Option<&Tensor>,
    rtol: Option<&Tensor>,
) -> Result<Tensor> {
    let kept = sizes.gt(&tolerance(a, sizes, atol, rtol)?)?;
    where_self(&kept, &values.reciprocal()?, &Tensor::wrapped(Scalar::Int(0))?)?.to_dtype(a.dtype().to_real())
}

/// Gradient of the pseudo-inverse `p` of `a` (Golub and Pereyra), the smaller products first.
fn pinv_gradient(g: &Tensor, p: &Tensor, a: &Tensor) -> Result<Tensor> {
    let (ph, gh) = (adjoint(p)?, adjoint(g)?);
    if a.size(-2)? <= a.size(-1)? {
        let k = gh.matmul(p)?;
        let kp = k.matmul(&ph)?;
        let outer = kp.sub(&adjoint(&p.matmul(&k)?)?)?.sub(&a.matmul(p)?.matmul(&kp)?)?;
        return outer.add(&ph.matmul(p)?.matmul(&gh.sub(&k.matmul(a)?)?)?);
    }
    let k = p.matmul(&gh)?;
    let pk = ph.matmul(&k)?;
    let outer = pk.sub(&adjoint(&k.matmul(p)?)?)?.sub(&pk.matmul(p)?.matmul(a)?)?;
    outer.add(&gh.sub(&a.matmul(&k)?)?.matmul(p)?.matmul(&ph)?)
}

/// [`linalg_pinv_tensor`] with numbers.
#[op(
    "linalg_pinv.atol_rtol_float(Tensor self, *, float? atol=None, float? rtol=None, bool hermitian=False) -> Tensor",
    composite,
    out = "atol_rtol_float_out"
)]
mod linalg_pinv {
    fn kernel(this: &Tensor, atol: Option<f64>, rtol: Option<f64>, hermitian: bool) -> Result<Tensor> {
        let (atol, rtol) = tensors(this, atol, rtol)?;
        linalg_pinv_tensor::call(this, atol.as_ref(), rtol.as_ref(), hermitian)
    }
}

/// Tolerances as tensors.
fn tensors(a: &Tensor, atol: Option<f64>, rtol: Option<f64>) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let tensor =
        |x: Option<f64>| x.map(|x| copy::full(&[], Scalar::Float(x), DType::F64, a.device())).transpose();
    Ok((tensor(atol)?, tensor(rtol)?))
}

/// The pseudo-inverse; singular values up to `rcond` times the largest count as zero.
#[op("linalg_pinv(Tensor self, float rcond, bool hermitian=False) -> Tensor", composite, out = "out")]
mod linalg_pinv_rcond {
    fn kernel(this: &Tensor, rcond: f64, hermitian: bool) -> Result<Tensor> {
        linalg_pinv::call(this, Some(0.0), Some(rcond), hermitian)
    }
}

/// The pseudo-inverse; singular values up to `rcond` times the largest count as zero.
#[op(
    "linalg_pinv.rcond_tensor(Tensor self, Tensor rcond, bool hermitian=False) -> Tensor",
    composite,
    out = "out_rcond_tensor"
)]
mod linalg_pinv_rcond_tensor {
    fn kernel(this: &Tensor, rcond: &Tensor, hermitian: bool) -> Result<Tensor> {
        linalg_pinv_tensor::call(this, Some(&number(0.0, this)?), Some(rcond), hermitian)
    }
}

/// As [`linalg_pinv_rcond`].
#[op("pinverse(Tensor self, float rcond=1.0000000000000001e-15) -> Tensor", autocast = "fp32", composite)]
mod pinverse {
    fn kernel(this: &Tensor, rcond: f64) -> Result<Tensor> {
        linalg_pinv_rcond::call(this, rcond, false)
    }
}

/// The number of singular values above `max(atol, rtol * largest)`.
#[op(
    "linalg_matrix_rank.atol_rtol_tensor(Tensor input, *, Tensor? atol=None, Tensor? rtol=None, bool hermitian=False) -> Tensor",
    autocast = "fp32",
    no_grad = "a number of values",
    out = "atol_rtol_tensor_out"
)]
mod linalg_matrix_rank_tensor {
    fn kernel(
        input: &Tensor,
        atol: Option<&Tensor>,
        rtol: Option<&Tensor>,
        hermitian: bool,
    ) -> Result<Tensor> {
        check_matrix("torch.linalg.matrix_rank", "input", input)?;
        check_tolerances("torch.linalg.matrix_rank", [("atol", atol), ("rtol", rtol)])?;
        epsilon(input)?;
        if input.numel() == 0 {
            return Stack::of(input).zeros(&[], DType::I64, input);
        }
        let s = if hermitian {
            linalg_eigvalsh::call(input, "L")?.abs()?
        } else {
            linalg_svdvals::call(input, None)?
        };
        s.gt(&tolerance(input, &s, atol, rtol)?)?.sum_dim(-1)
    }
}

/// [`linalg_matrix_rank_tensor`] with numbers.
#[op(
    "linalg_matrix_rank.atol_rtol_float(Tensor self, *, float? atol=None, float? rtol=None, bool hermitian=False) -> Tensor",
    autocast = "fp32",
    composite,
    out = "atol_rtol_float_out"
)]
mod linalg_matrix_rank {
    fn kernel(this: &Tensor, atol: Option<f64>, rtol: Option<f64>, hermitian: bool) -> Result<Tensor> {
        let (atol, rtol) = tensors(this, atol, rtol)?;
        linalg_matrix_rank_tensor::call(this, atol.as_ref(), rtol.as_ref(), hermitian)
    }
}

/// The number of singular values above `tol`.
#[op(
    "linalg_matrix_rank(Tensor self, float tol, bool hermitian=False) -> Tensor",
    autocast = "fp32",
    composite,
    out = "out"
)]
mod linalg_matrix_rank_tol {
    fn kernel(this: &Tensor, tol: f64, hermitian: bool) -> Result<Tensor> {
        linalg_matrix_rank::call(this, Some(tol), Some(0.0), hermitian)
    }
}

/// The number of singular values above `tol`.
#[op(
    "linalg_matrix_rank.tol_tensor(Tensor input, Tensor tol, bool hermitian=False) -> Tensor",
    autocast = "fp32",
    composite,
    out = "out_tol_tensor"
)]
mod linalg_matrix_rank_tol_tensor {
    fn kernel(input: &Tensor, tol: &Tensor, hermitian: bool) -> Result<Tensor> {
        linalg_matrix_rank_tensor::call(input, Some(tol), Some(&number(0.0, input)?), hermitian)
    }
}

/// The `X` that makes `A X - B` least (and of those the least), `A` being `self`; with the sums of squares of what is left (if
/// `A` has more rows than columns and full rank), ranks and singular values as far as the driver knows them.
///
/// `gels` takes `A` to have full rank; `gelsy` (the default), `gelsd` and `gelss` count singular values up to `rcond` times
/// the largest as zero.
#[op(
    "linalg_lstsq(Tensor self, Tensor b, float? rcond=None, *, str? driver=None) -> (Tensor solution, Tensor residuals, Tensor rank, Tensor singular_values)",
    autocast = "fp32",
    wrt(this, b),
    out("out", solution, residuals, rank, singular_values)
)]
mod linalg_lstsq {
    fn kernel(
        this: &Tensor,
        b: &Tensor,
        rcond: Option<f64>,
        driver: Option<&str>,
    ) -> Result<(Tensor, Tensor, Tensor, Tensor)> {
        let (driver, vector) = check_lstsq(this, b, driver)?;
        let columns = if vector { b.unsqueeze(-1)? } else { b.clone() };
        let leading = common_batch(this, &columns)?;
        let (a, y) = (spread(this, &leading)?, spread(&columns, &leading)?);
        let Stack { rows: m, cols: n, .. } = Stack::of(&a);
        let none = |dtype: DType| Tensor::empty_of(&[0], dtype, a.device());
        let real = a.dtype().to_real();
        let (x, rank, s) = if driver == "gels" {
            (by_qr(&a, &y)?, none(DType::I64)?, none(real)?)
        } else {
            let (x, rank, s) = by_svd(&a, &y, rcond.unwrap_or(epsilon(&a)? * m.max(n) as f64))?;
            (x, rank, if driver == "gelsy" { none(real)? } else { s })
        };
        let meta = a.device() == crate::Device::Meta;
        let full = driver == "gels"
            || (driver != "gelsy" && (meta || rank.to_vec::<i64>()?.iter().all(|rank| *rank == n)));
        let residuals = if m > n && full {
            let left = a.matmul(&x)?.sub(&y)?.abs()?;
            left.mul(&left)?.sum_dim(-2)?
        } else {
            none(real)?
        };
        let x = by_columns(&x)?;
        Ok((if vector { x.squeeze_dim(-1)? } else { x }, residuals, rank, s))
    }
    fn grad(
        g0: Option<&Tensor>,
        g1: Option<&Tensor>,
        this: &Tensor,
        b: &Tensor,
        needs: Needs,
    ) -> Result<Grads> {
        let vector = is_vector(this, b);
        let matrix = |t: &Tensor| if vector { t.unsqueeze(-1) } else { Ok(t.clone()) };
        let b = matrix(b)?;
        let p = linalg_pinv::call(this, None, None, false)?;
        let (mut ga, mut gb) = (None, None);
        if let Some(g) = g0 {
            let g = matrix(g)?;
            ga = Some(pinv_gradient(&g.matmul(&adjoint(&b)?)?, &p, this)?);
            gb = Some(adjoint(&p)?.matmul(&g)?);
        }
        if let Some(g) = g1.filter(|g| g.numel() > 0) {
            // X makes the sum of squares stationary, so only A and B count.
            let x = p.matmul(&b)?;
            let left = this.matmul(&x)?.sub(&b)?.mul(&g.unsqueeze(-2)?)?.mul_scalar(2)?;
            let more = left.matmul(&adjoint(&x)?)?;
            ga = Some(ga.map_or(Ok(more.clone()), |ga| ga.add(&more))?);
            gb = Some(gb.map_or_else(|| left.neg(), |gb| gb.sub(&left))?);
        }
        let gb = gb.map(|gb| if vector { gb.squeeze_dim(-1) } else { Ok(gb) }).transpose()?;
        let wanted = |i: usize, g: Option<Tensor>| if needs.get(i) { g.into() } else { Grad::None };
        Ok(vec![wanted(0, ga), wanted(1, gb)])
    }
}

fn is_vector(a: &Tensor, b: &Tensor) -> bool {
    let sizes = a.sizes();
    b.dim() == 1 || (a.dim() == b.dim() + 1 && b.sizes()[..] == sizes[..sizes.len() - 1])
}

/// The driver, and whether `b` is a vector.
fn check_lstsq<'a>(a: &Tensor, b: &Tensor, driver: Option<&'a str>) -> Result<(&'a str, bool)> {
    let name = "torch.linalg.lstsq";
    epsilon(a)?;
    ensure!(a.dim() >= 2, "{name}: input must have at least 2 dimensions.");
    ensure!(b.dim() >= 1, "{name}: other must have at least 1 dimension.");
    ensure!(
        a.dtype() == b.dtype(),
        "{name}: Expected input and other to have the same dtype, but got input's dtype {} and other's dtype {}",
        a.dtype().scalar_type(),
        b.dtype().scalar_type()
    );
    let vector = is_vector(a, b);
    ensure!(vector || b.dim() >= 2, "{name}: other must have at least 2 dimensions.");
    let rows = b.size(if vector { -1 } else { -2 })?;
    ensure!(a.size(-2)? == rows, "{name}: input.size(-2) should match other.size(-2)");
    let driver = driver.unwrap_or("gelsy");
    ensure!(
        matches!(driver, "gels" | "gelsy" | "gelsd" | "gelss"),
        "{name}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"
    );
    Ok((driver, vector))
}

/// By the triangular factor of `A`, or of `A^H`, which has full rank.
fn by_qr(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let wide = a.size(-2)? < a.size(-1)?;
    let (q, r) = linalg_qr::call(&if wide { adjoint(a)? } else { a.clone() }, "reduced")?;
    check_rank(&r)?;
    if wide {
        return q.matmul(&linalg_solve_triangular::call(&adjoint(&r)?, b, false, true, false)?);
    }
    linalg_solve_triangular::call(&r, &adjoint(&q)?.matmul(b)?, true, true, false)
}

fn check_rank(r: &Tensor) -> Result<()> {
    if r.device() == crate::Device::Meta || r.numel() == 0 {
        return Ok(());
    }
    let sizes = r.diagonal_with(|o| o.dim1(-2).dim2(-1))?.abs()?;
    let small = sizes.le(&sizes.amax_with(|o| o.dim(-1).keepdim(true))?.mul_scalar(epsilon(r)?)?)?;
    let small = small.to_vec::<bool>()?;
    let Some(at) = small.iter().position(|small| *small) else { return Ok(()) };
    let n = sizes.size(-1)? as usize;
    let place = if sizes.dim() == 1 { String::new() } else { format!("(Batch element {}): ", at / n) };
    let text = format!(
        "torch.linalg.lstsq: {place}The least squares solution could not be computed because the input matrix does not have full rank (error code: {}).",
        at % n + 1
    );
    Err(Error::new(ErrorKind::LinAlg, text))
}

/// The least solution, rank and singular values.
fn by_svd(a: &Tensor, b: &Tensor, rcond: f64) -> Result<(Tensor, Tensor, Tensor)> {
    let stack = Stack::of(a);
    if a.numel() == 0 {
        let x = stack.zeros(&[stack.cols, b.size(-1)?], a.dtype(), a)?;
        let s = stack.zeros(&[stack.steps()], a.dtype().to_real(), a)?;
        return Ok((x, stack.zeros(&[], DType::I64, a)?, s));
    }
    let (u, s, vh) = linalg_svd::call(a, false, None)?;
    let kept = s.gt(&s.narrow(-1, 0, 1)?.mul_scalar(rcond)?)?;
    let inverse = where_self(&kept, &s.reciprocal()?, &s.zeros_like()?)?;
    let x = adjoint(&vh)?.matmul(&adjoint(&u)?.matmul(b)?.mul(&inverse.unsqueeze(-1)?)?)?;
    Ok((x, kept.sum_dim(-1)?, s))
}
