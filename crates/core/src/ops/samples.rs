//! Functions of equally or freely spaced samples, and products of all pairs.

use super::*;
use crate::layout::{Dims, wrap_dim};
use crate::op::OpDef;
use crate::{DType, Result, Scalar, Tensor, bail, ensure, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] =
    op_list![diff, trapezoid, trapezoid_x, trapz, trapz_x, vander, kron, allclose, linalg_diagonal];

/// Differences of neighbours along `dim`, `n` times.
#[op(
    "diff(Tensor self, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None) -> Tensor",
    composite,
    out = "out"
)]
mod diff {
    fn kernel(
        this: &Tensor,
        n: i64,
        dim: i64,
        prepend: Option<&Tensor>,
        append: Option<&Tensor>,
    ) -> Result<Tensor> {
        ensure!(this.dim() >= 1, "diff expects input to be at least one-dimensional");
        let d = wrap_dim(dim, this.dim())?;
        ensure!(n >= 0, "order must be non-negative but got {n}");
        let mut parts = Vec::new();
        for part in [prepend, Some(this), append].into_iter().flatten() {
            check_diff_shape(this, part, d)?;
            parts.push(part.clone());
        }
        if n == 0 {
            return this.clone_tensor();
        }
        let mut samples = if parts.len() == 1 { this.clone() } else { cat::call(&parts, d as i64)? };
        for _ in 0..n.min(samples.sizes()[d]) {
            let (later, sooner) = neighbours(&samples, d as i64)?;
            samples = if samples.dtype() == DType::Bool {
                later.logical_xor(&sooner)?
            } else {
                later.sub(&sooner)?
            };
        }
        Ok(samples)
    }
}

fn check_diff_shape(this: &Tensor, part: &Tensor, d: usize) -> Result<()> {
    let (a, b) = (this.sizes(), part.sizes());
    ensure!(a.len() == b.len(), "diff expects prepend or append to be the same dimension as input");
    if let Some(i) = (0..a.len()).find(|&i| i != d && a[i] != b[i]) {
        bail!(
            "diff expects the shape of tensor to prepend or append to match that of input except along the differencing dimension; input.size({i}) = {}, but got tensor.size({i}) = {}",
            a[i],
            b[i]
        );
    }
    Ok(())
}

/// All samples but the first, and all but the last.
fn neighbours(t: &Tensor, d: i64) -> Result<(Tensor, Tensor)> {
    Ok((slice::call(t, d, Some(1), None, 1)?, slice::call(t, d, Some(0), Some(-1), 1)?))
}

/// Zeros for a dimension without two samples.
fn no_area(y: &Tensor, d: usize) -> Result<Tensor> {
    let mut sizes = y.sizes();
    sizes.remove(d);
    new_zeros::call(y, &sizes, None, None)
}

/// Integral by the trapezoid rule over samples at distance `dx`.
#[op("trapezoid.dx(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor", composite)]
mod trapezoid {
    fn kernel(y: &Tensor, dx: Scalar, dim: i64) -> Result<Tensor> {
        let d = wrap_dim(dim, y.dim())?;
        ensure!(y.dim() > 0, Index, "Dimension specified as {dim} but tensor has no dimensions");
        if y.sizes()[d] == 0 {
            return no_area(y, d);
        }
        ensure!(
            y.dtype() != DType::Bool,
            NotImplemented,
            "trapezoid: received a bool input for `y`, but bool is not supported"
        );
        let ends = select::call(y, dim, 0)?.add(&select::call(y, dim, -1)?)?;
        let whole = sum_dim::call(y, Some(&[dim]), false, None)?;
        whole.mul_scalar(2)?.sub(&ends)?.mul_scalar(dx)?.div_scalar(2)
    }
}

/// Integral by the trapezoid rule over samples at the positions `x`.
#[op("trapezoid.x(Tensor y, Tensor x, *, int dim=-1) -> Tensor", composite)]
mod trapezoid_x {
    fn kernel(y: &Tensor, x: &Tensor, dim: i64) -> Result<Tensor> {
        let d = wrap_dim(dim, y.dim())?;
        ensure!(y.dim() > 0, Index, "Dimension specified as {dim} but tensor has no dimensions");
        if y.sizes()[d] == 0 {
            return no_area(y, d);
        }
        let bools = y.dtype() == DType::Bool || x.dtype() == DType::Bool;
        ensure!(
            !bools,
            NotImplemented,
            "trapezoid: received a bool input for `x` or `y`, but bool is not supported"
        );
        let x = if x.dim() == 1 {
            ensure!(
                x.sizes()[0] == y.sizes()[d],
                "trapezoid: There must be one `x` value for each sample point"
            );
            let mut sizes = Dims::from_elem(1, y.dim());
            sizes[d] = x.sizes()[0];
            x.view(sizes)?
        } else if x.dim() < y.dim() {
            let missing = y.dim() - x.dim();
            let sizes: Vec<i64> = std::iter::repeat_n(1, missing).chain(x.sizes().iter().copied()).collect();
            x.view(sizes)?
        } else {
            x.clone()
        };
        let along = d as i64 - y.dim() as i64;
        let ((right, left), (later, sooner)) = (neighbours(&x, along)?, neighbours(y, along)?);
        let areas = later.add(&sooner)?.mul(&right.sub(&left)?)?;
        sum_dim::call(&areas, Some(&[along]), false, None)?.div_scalar(2)
    }
}

/// [`trapezoid`] under NumPy's old name.
#[op("trapz.dx(Tensor y, *, float dx=1., int dim=-1) -> Tensor", composite)]
mod trapz {
    fn kernel(y: &Tensor, dx: f64, dim: i64) -> Result<Tensor> {
        trapezoid::call(y, Scalar::Float(dx), dim)
    }
}

/// [`trapezoid_x`] under NumPy's old name.
#[op("trapz.x(Tensor y, Tensor x, *, int dim=-1) -> Tensor", composite)]
mod trapz_x {
    fn kernel(y: &Tensor, x: &Tensor, dim: i64) -> Result<Tensor> {
        trapezoid_x::call(y, x, dim)
    }
}

/// Powers of a vector's elements as the rows of a matrix, highest first unless `increasing`.
#[op("vander(Tensor x, int? N=None, bool increasing=False) -> Tensor", composite)]
mod vander {
    #[allow(non_snake_case)] // the schema's name
    fn kernel(x: &Tensor, N: Option<i64>, increasing: bool) -> Result<Tensor> {
        ensure!(x.dim() == 1, "x must be a one-dimensional tensor.");
        let n = N.unwrap_or(x.sizes()[0]);
        ensure!(n >= 0, "N must be non-negative.");
        // The result is allocated first, so that an absurd `N` is an error and not an endless loop.
        drop(new_empty::call(x, &[x.sizes()[0], n], None, None)?);
        let ints = x.dtype().is_integral_or_bool();
        let x = if ints { x.to_dtype(DType::I64)? } else { x.clone() };
        let mut powers: Vec<Tensor> = Vec::new();
        for i in 0..n {
            powers.push(match i {
                0 => ones_like::call(&x, None, None, None)?,
                _ => powers[i as usize - 1].mul(&x)?,
            });
        }
        if !increasing {
            powers.reverse();
        }
        if n == 0 {
            return new_empty::call(&x, &[x.sizes()[0], 0], None, None);
        }
        stack::call(&powers, 1)
    }
}

/// Products of every element of one tensor with every one of the other, in blocks.
#[op("kron(Tensor self, Tensor other) -> Tensor", composite, out = "out")]
mod kron {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        let n = this.dim().max(other.dim());
        let padded = |t: &Tensor| -> Vec<i64> {
            std::iter::repeat_n(1, n - t.dim()).chain(t.sizes().iter().copied()).collect()
        };
        let (a, b) = (padded(this), padded(other));
        let weave = |first: &[i64], second: &[i64]| -> Vec<i64> {
            first.iter().zip(second).flat_map(|(x, y)| [*x, *y]).collect()
        };
        let ones = vec![1; n];
        let product = this.reshape(weave(&a, &ones))?.mul(&other.reshape(weave(&ones, &b))?)?;
        product.reshape(a.iter().zip(&b).map(|(x, y)| x * y).collect::<Vec<_>>())
    }
}

/// Whether all elements are close to those of `other`.
#[op(
    "allclose(Tensor self, Tensor other, float rtol=1.0000000000000001e-05, float atol=1e-08, bool equal_nan=False) -> bool",
    no_grad = "not a tensor"
)]
mod allclose {
    fn kernel(this: &Tensor, other: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Result<bool> {
        Ok(isclose::call(this, other, rtol, atol, equal_nan)?.to_vec::<bool>()?.iter().all(|close| *close))
    }
}

/// [`diagonal`] of the last two dimensions.
#[op("linalg_diagonal(Tensor(a) A, *, int offset=0, int dim1=-2, int dim2=-1) -> Tensor(a)", composite)]
mod linalg_diagonal {
    #[allow(non_snake_case)] // the schema's name
    fn kernel(A: &Tensor, offset: i64, dim1: i64, dim2: i64) -> Result<Tensor> {
        diagonal::call(A, offset, dim1, dim2)
    }
}
