//! Distances between rows, similarity, and limits on norms.

use cresset_kernels::distance::{self as kernels, Metric, Pairs};
use cresset_macros::op;

use super::{cat_with, linalg_vector_norm, triu_indices_with, where_self};
use crate::layout::{broadcast_shapes, wrap_dim};
use crate::op::{Grads, OpDef};
use crate::promotion::result_type;
use crate::storage::{Raw, access};
use crate::{DType, Result, Scalar, Tensor, bail, copy, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    cdist,
    _cdist_forward,
    _cdist_backward,
    _euclidean_dist,
    pdist,
    _pdist_forward,
    _pdist_backward,
    cosine_similarity,
    renorm,
];

/// Distances in the p-norm between each row of `x1` and each of `x2`: `[*, P, M]`, `[*, R, M]` -> `[*, P, R]`.
///
/// For the Euclidean norm of many rows (`compute_mode` 0), or always (1), or never (2), by a matrix product.
#[op(
    "cdist(Tensor x1, Tensor x2, float p=2., int? compute_mode=None) -> Tensor",
    autocast = "fp32",
    composite
)]
mod cdist {
    fn kernel(x1: &Tensor, x2: &Tensor, p: f64, compute_mode: Option<i64>) -> Result<Tensor> {
        check_matrices(x1, x2)?;
        let many = x1.size(-2)? > 25 || x2.size(-2)? > 25;
        let mode = compute_mode.unwrap_or(0);
        if p != 2.0 || !(mode == 1 || mode == 0 && many) {
            return _cdist_forward(x1, x2, p, compute_mode);
        }
        let (x1, x2) = batched(x1, x2, p, mode)?;
        if x1.numel() == 0 || x2.numel() == 0 {
            return _cdist_forward(&x1, &x2, p, compute_mode);
        }
        _euclidean_dist(&x1, &x2)
    }
}

fn check_matrices(x1: &Tensor, x2: &Tensor) -> Result<()> {
    for (name, x) in [("X1", x1), ("X2", x2)] {
        ensure!(x.dim() >= 2, "cdist only supports at least 2D tensors, {name} got: {}D", x.dim());
    }
    let (c1, c2) = (x1.size(-1)?, x2.size(-1)?);
    ensure!(c1 == c2, "X1 and X2 must have the same number of columns. X1: {c1} X2: {c2}");
    Ok(())
}

/// The matrices, with their batches broadcast against each other, after PyTorch's checks.
fn batched(x1: &Tensor, x2: &Tensor, p: f64, mode: i64) -> Result<(Tensor, Tensor)> {
    check_matrices(x1, x2)?;
    for (name, x) in [("X1", x1), ("X2", x2)] {
        ensure!(
            x.is_floating_point(),
            "cdist only supports floating-point dtypes, {name} got: {}",
            x.dtype().scalar_type()
        );
    }
    ensure!(p >= 0.0, "cdist only supports non-negative p values");
    ensure!((0..=2).contains(&mode), "possible modes: 0, 1, 2, but was: {mode}");
    ensure!(
        x1.dtype() == x2.dtype(),
        "expected scalar type {} but found {}",
        x1.dtype().scalar_type(),
        x2.dtype().scalar_type()
    );
    let (s1, s2) = (x1.sizes(), x2.sizes());
    let (b1, m1) = s1.split_at(s1.len() - 2);
    let (b2, m2) = s2.split_at(s2.len() - 2);
    let batch = broadcast_shapes(b1, b2)?;
    Ok((x1.expand([&*batch, m1].concat())?, x2.expand([&*batch, m2].concat())?))
}

/// The elements of a row-major operand.
///
/// # Safety
/// The operand is locked, row-major and of type `T`; the slice is used while it stays locked.
unsafe fn elements<'a, T>(raw: &Raw<'a>) -> &'a [T] {
    let n = raw.sizes.iter().product::<i64>() as usize;
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(raw.cast(), n) }
}

/// As [`elements`], to be written.
///
/// # Safety
/// As [`elements`]; nothing else reaches the elements.
unsafe fn elements_mut<'a, T>(raw: &Raw<'a>) -> &'a mut [T] {
    let n = raw.sizes.iter().product::<i64>() as usize;
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(raw.cast(), n) }
}

/// Runs the body with the elements of the operands as slices of `f32` or `f64`: the output, then the inputs.
macro_rules! with_slices {
    ($out:expr, [$($x:expr),*], |$o:ident, [$($i:ident),*]| $body:expr) => {{
        let (dtype, out) = ($out.dtype(), $out.raw());
        access([&out], [$(&$x.raw()),*], |[o], [$($i),*]| {
            macro_rules! run {
                ($T:ty) => {{
                    // SAFETY: all are locked and row-major, of this type; the output is fresh.
                    let ($o, $($i),*) = unsafe { (elements_mut::<$T>(&o), $(elements::<$T>(&$i)),*) };
                    $body
                }};
            }
            if dtype == DType::F64 { run!(f64) } else { run!(f32) }
        });
    }};
}

fn only_single_and_double(name: &str, t: &Tensor) -> Result<()> {
    if !matches!(t.dtype(), DType::F32 | DType::F64) {
        bail!(NotImplemented, "\"{name}\" not implemented for '{}'", t.dtype().scalar_type());
    }
    Ok(())
}

/// [`cdist`] pair by pair.
#[op("_cdist_forward(Tensor x1, Tensor x2, float p, int? compute_mode) -> Tensor", out = "out", no_method)]
mod _cdist_forward {
    fn kernel(x1: &Tensor, x2: &Tensor, p: f64, compute_mode: Option<i64>) -> Result<Tensor> {
        ensure!(
            x1.dim() >= 2 && x2.dim() >= 2 && x1.size(-1)? == x2.size(-1)?,
            "X1 and X2 must be matrices with the same number of columns"
        );
        let (x1, x2) = batched(&x1.detach(), &x2.detach(), p, compute_mode.unwrap_or(0))?;
        only_single_and_double("cdist", &x1)?;
        let mut sizes = x1.sizes();
        let rows = (x1.size(-2)?, x2.size(-2)?);
        *sizes.last_mut().expect("a matrix") = rows.1;
        let (x1, x2, width) = (x1.contiguous_copy()?, x2.contiguous_copy()?, x1.size(-1)?);
        let result = Tensor::empty_of(&sizes, x1.dtype(), x1.device())?;
        with_slices!(result, [x1, x2], |out, [x, y]| {
            let pairs = Pairs { x, y, rows: (rows.0 as usize, rows.1 as usize), width: width as usize };
            kernels::between(Metric::new(p), pairs, out);
        });
        Ok(result)
    }
    fn grad_x1(g: &Tensor, x1: &Tensor, x2: &Tensor, p: f64, out: &Tensor) -> Result<Tensor> {
        _cdist_backward(&g.contiguous()?, x1, x2, p, out)
    }
    fn grad_x2(g: &Tensor, x1: &Tensor, x2: &Tensor, p: f64, out: &Tensor) -> Result<Tensor> {
        _cdist_backward(&g.mt()?.contiguous()?, x2, x1, p, &out.mt()?)
    }
}

/// The gradient of [`_cdist_forward`] by `x1`.
#[op("_cdist_backward(Tensor grad_output, Tensor x1, Tensor x2, float p, Tensor cdist) -> Tensor", no_method)]
mod _cdist_backward {
    fn kernel(grad_output: &Tensor, x1: &Tensor, x2: &Tensor, p: f64, cdist: &Tensor) -> Result<Tensor> {
        let given = x1.sizes();
        let (x1, x2) = batched(&x1.detach(), &x2.detach(), p, 0)?;
        if x1.numel() == 0 || x2.numel() == 0 {
            return copy::zeros(&given, x1.dtype(), x1.device());
        }
        only_single_and_double("cdist_backward", &x1)?;
        let rows = (x1.size(-2)?, x2.size(-2)?);
        let mut sizes = x1.sizes();
        *sizes.last_mut().expect("a matrix") = rows.1;
        let dense = |t: &Tensor| t.detach().expand(&*sizes)?.to_dtype(x1.dtype())?.contiguous_copy();
        let (grad, dist) = (dense(grad_output)?, dense(cdist)?);
        let (x1, x2, width) = (x1.contiguous_copy()?, x2.contiguous_copy()?, x1.size(-1)?);
        let result = Tensor::empty_of(&x1.sizes(), x1.dtype(), x1.device())?;
        with_slices!(result, [x1, x2, grad, dist], |out, [x, y, g, d]| {
            let pairs = Pairs { x, y, rows: (rows.0 as usize, rows.1 as usize), width: width as usize };
            kernels::between_gradient(Metric::new(p), pairs, g, d, out);
        });
        Ok(result)
    }
    fn grad(
        g: &Tensor,
        grad_output: &Tensor,
        x1: &Tensor,
        x2: &Tensor,
        p: f64,
        cdist: &Tensor,
    ) -> Result<Grads> {
        // What `cdist` depends on is counted with `x1` and `x2`.
        let (by_grad, by_pair) = second(g, grad_output, x1, x2, p, cdist)?;
        let (by_x1, by_x2) = (by_pair.sum_dim([-2])?, by_pair.sum_dim([-3])?.neg()?);
        Ok(vec![by_grad.into(), by_x1.into(), by_x2.into(), None.into()])
    }
}

/// Gradients of [`_cdist_backward`], times `u`: by `grad_output`, and by the difference of each pair of rows.
fn second(
    u: &Tensor,
    grad: &Tensor,
    x1: &Tensor,
    x2: &Tensor,
    p: f64,
    dist: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let d = x1.unsqueeze(-2)?.sub(&x2.unsqueeze(-3)?)?;
    let (u, dist) = (u.unsqueeze(-2)?, dist.unsqueeze(-1)?);
    let size = d.abs()?;
    // The direction of steepest ascent of each distance; none where points coincide.
    let slope = match p {
        0.0 => d.zeros_like()?,
        1.0 => d.sgn()?,
        f64::INFINITY => d.sgn()?.mul(&size.eq(&dist)?)?,
        _ => d.sgn()?.mul(&size.div(&dist)?.pow_scalar(p - 1.0)?)?,
    };
    let slope = slope.masked_fill(&d.eq_scalar(0)?, 0)?;
    let along = u.mul(&slope)?.sum_dim_with([-1], |o| o.keepdim(true))?;
    let by_grad = along.squeeze_dim(-1)?;
    if p == 0.0 || p == 1.0 || p == f64::INFINITY {
        return Ok((by_grad, d.zeros_like()?));
    }
    let mut own = size.div(&dist)?.pow_scalar(p - 2.0)?;
    if p < 2.0 {
        own = own.masked_fill(&d.eq_scalar(0)?, 0)?;
    }
    let bend = own.mul(&u)?.sub(&slope.mul(&along)?)?.div(&dist)?.masked_fill(&dist.eq_scalar(0)?, 0)?;
    Ok((by_grad, bend.mul(&grad.unsqueeze(-1)?)?.mul_scalar(p - 1.0)?))
}

/// Euclidean distances by one matrix product: `|x|^2 - 2 x y + |y|^2`.
#[op("_euclidean_dist(Tensor x1, Tensor x2) -> Tensor", out = "out", no_method)]
mod _euclidean_dist {
    fn kernel(x1: &Tensor, x2: &Tensor) -> Result<Tensor> {
        let (x1, x2) = (x1.detach(), x2.detach());
        let square = |x: &Tensor| x.mul(x)?.sum_dim_with([-1], |o| o.keepdim(true));
        let (n1, n2) = (square(&x1)?, square(&x2)?);
        let left = cat_with(&[x1.mul_scalar(-2)?, n1.clone(), n1.ones_like()?], |o| o.dim(-1))?;
        let right = cat_with(&[x2, n2.ones_like()?, n2], |o| o.dim(-1))?;
        left.matmul(&right.mt()?)?.clamp_min_(0)?.sqrt_()
    }
    fn grad_x1(g: &Tensor, x1: &Tensor, x2: &Tensor, out: &Tensor) -> Result<Tensor> {
        pulled(&ratio(g, out)?, x1, x2)
    }
    fn grad_x2(g: &Tensor, x1: &Tensor, x2: &Tensor, out: &Tensor) -> Result<Tensor> {
        pulled(&ratio(g, out)?.mt()?, x2, x1)
    }
}

/// `g / dist`, 0 where points coincide.
fn ratio(g: &Tensor, dist: &Tensor) -> Result<Tensor> {
    g.div(dist)?.masked_fill(&dist.eq_scalar(0)?, 0)
}

/// The sum over the rows of `y` of `ratio (x - y)`.
fn pulled(ratio: &Tensor, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    x.mul(&ratio.sum_dim_with([-1], |o| o.keepdim(true))?)?.sub(&ratio.matmul(y)?)
}

/// Distances in the p-norm between all pairs of rows `(0, 1), (0, 2), …, (1, 2), …`.
#[op("pdist(Tensor self, float p=2.) -> Tensor", composite)]
mod pdist {
    fn kernel(this: &Tensor, p: f64) -> Result<Tensor> {
        ensure!(this.dim() == 2, "pdist only supports 2D tensors, got: {}D", this.dim());
        ensure!(this.is_floating_point(), "pdist only supports floating-point dtypes");
        ensure!(p >= 0.0, "pdist only supports non-negative p values");
        _pdist_forward::call(&this.contiguous()?, p)
    }
}

/// [`pdist`] of a row-major matrix.
#[op("_pdist_forward(Tensor self, float p=2.) -> Tensor", out = "out", no_method)]
mod _pdist_forward {
    fn kernel(this: &Tensor, p: f64) -> Result<Tensor> {
        ensure!(this.dim() == 2, "_pdist_forward expects a matrix, got {} dimensions", this.dim());
        only_single_and_double("pdist", this)?;
        let (n, width) = (this.sizes()[0], this.sizes()[1]);
        let result = Tensor::empty_of(&[n * (n - 1).max(0) / 2], this.dtype(), this.device())?;
        let dense = this.contiguous_copy()?;
        with_slices!(result, [dense], |out, [x]| {
            kernels::within(Metric::new(p), x, n as usize, width as usize, out);
        });
        Ok(result)
    }
    fn grad_this(g: &Tensor, this: &Tensor, p: f64, out: &Tensor) -> Result<Tensor> {
        _pdist_backward(g, this, p, out)
    }
}

/// The gradient of [`_pdist_forward`].
#[op(
    "_pdist_backward(Tensor grad_output, Tensor self, float p, Tensor pdist) -> Tensor",
    out = "out",
    wrt(grad_output, this, pdist),
    no_method
)]
mod _pdist_backward {
    fn kernel(grad_output: &Tensor, this: &Tensor, p: f64, pdist: &Tensor) -> Result<Tensor> {
        ensure!(this.dim() == 2, "_pdist_backward expects a matrix, got {} dimensions", this.dim());
        only_single_and_double("pdist_backward", this)?;
        let n = this.sizes()[0];
        let pairs = [n * (n - 1).max(0) / 2];
        let dense = |t: &Tensor| t.detach().expand(pairs)?.to_dtype(this.dtype())?.contiguous_copy();
        let (grad, dist, x) = (dense(grad_output)?, dense(pdist)?, this.contiguous_copy()?);
        let result = Tensor::empty_of(&this.sizes(), this.dtype(), this.device())?;
        with_slices!(result, [x, grad, dist], |out, [x, g, d]| {
            kernels::within_gradient(Metric::new(p), x, n as usize, g, d, out);
        });
        Ok(result)
    }
    fn grad(g: &Tensor, grad_output: &Tensor, this: &Tensor, p: f64, pdist: &Tensor) -> Result<Grads> {
        // As the gradient of the distances of all rows to all rows, of which each pair is two.
        let n = this.sizes()[0];
        let pairs = triu_indices_with(n, n, |o| o.offset(1))?;
        let (i, j) = (pairs.select(0, 0)?, pairs.select(0, 1)?);
        let flat = i.mul_scalar(n)?.add(&j)?;
        let square = |t: &Tensor| {
            let half = t.new_zeros([n * n])?.index_add(0, &flat, t)?.reshape([n, n])?;
            half.add(&half.t()?)
        };
        let (by_grad, by_pair) = second(g, &square(grad_output)?, this, this, p, &square(pdist)?)?;
        let by_grad = by_grad.add(&by_grad.t()?)?.reshape([-1])?.index_select(0, &flat)?;
        let by_rows = by_pair.sum_dim([-2])?.sub(&by_pair.sum_dim([-3])?)?;
        Ok(vec![by_grad.into(), by_rows.into(), None.into()])
    }
}

/// Cosine of the angle between vectors along `dim`; norms below `eps` count as `eps`.
#[op("cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-08) -> Tensor", composite)]
mod cosine_similarity {
    fn kernel(x1: &Tensor, x2: &Tensor, dim: i64, eps: f64) -> Result<Tensor> {
        let dtype = result_type(&[x1, x2]);
        ensure!(
            dtype.is_floating_point(),
            "expected common dtype to be floating point, yet common dtype is {}",
            dtype.scalar_type()
        );
        let sizes = broadcast_shapes(&x1.sizes(), &x2.sizes())?;
        let unit = |x: &Tensor| -> Result<Tensor> {
            let x = x.to_dtype(dtype)?.expand(&*sizes)?;
            let norm = linalg_vector_norm::call(&x, 2.into(), Some(&[dim]), true, None)?;
            // The gradient is that of the norm itself, as in PyTorch.
            let raised = norm.detach().clamp_min(eps)?.sub(&norm.detach())?;
            x.div(&norm.add(&raised)?)
        };
        unit(x1)?.mul(&unit(x2)?)?.sum_dim([dim])
    }
}

/// Scales the slices along `dim` whose p-norm is above `maxnorm` down to it.
#[op("renorm(Tensor self, Scalar p, int dim, Scalar maxnorm) -> Tensor", inplace, out, composite)]
mod renorm {
    fn kernel(this: &Tensor, p: Scalar, dim: i64, maxnorm: Scalar) -> Result<Tensor> {
        ensure!(!matches!(p, Scalar::Complex(_)), "renorm: p must be real-valued");
        ensure!(p.to_f64() > 0.0, "renorm: non-positive-norm not supported");
        ensure!(!matches!(maxnorm, Scalar::Complex(_)), "renorm: maxnorm must be real-valued");
        let most = maxnorm.to_f64();
        ensure!(most >= 0.0, "renorm: expected maxnorm to be >= 0 but got {most}");
        ensure!(this.dim() > 1, "renorm: input needs at least 2 dimensions, got {} dimensions", this.dim());
        let dim = wrap_dim(dim, this.dim())?;
        let others: Vec<i64> = (0..this.dim() as i64).filter(|d| *d != dim as i64).collect();
        let wide = match this.dtype() {
            DType::F16 | DType::BF16 => Some(DType::F32),
            DType::F32 => Some(DType::F64),
            DType::Complex64 => Some(DType::Complex128),
            _ => None,
        };
        let norm = linalg_vector_norm::call(this, p, Some(&others), true, wide)?;
        let factor = norm.add_scalar(1e-7)?.reciprocal()?.mul_scalar(most)?;
        let one = Tensor::scalar(1, factor.dtype())?;
        let factor = where_self(&norm.gt_scalar(most)?, &factor, &one)?;
        this.contiguous()?.mul(&factor.to_dtype(this.dtype().to_real())?)
    }
}
