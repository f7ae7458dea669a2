//! Numerical gradients of a sampled function, by differences of neighbours.

use cresset_macros::op;

use super::cat_with;
use crate::layout::{wrap_dim, wrap_dims};
use crate::op::OpDef;
use crate::{DType, Result, Scalar, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    gradient,
    gradient_scalararray,
    gradient_array,
    gradient_scalarrayint,
    gradient_scalarrayarray,
    gradient_tensorarrayint,
    gradient_tensorarray,
];

/// Derivatives of a function sampled at distance `spacing` (default 1), along `dim` or along all dimensions.
///
/// Inside, the difference of both neighbours; at the edges a one-sided one of order `edge_order` (1 or 2).
#[op(
    "gradient.scalarint(Tensor self, *, Scalar? spacing=None, int? dim=None, int edge_order=1) -> Tensor[]",
    composite
)]
mod gradient {
    fn kernel(
        this: &Tensor,
        spacing: Option<Scalar>,
        dim: Option<i64>,
        edge_order: i64,
    ) -> Result<Vec<Tensor>> {
        let dims = dims_or_all(this, dim);
        let steps = vec![spacing.unwrap_or(Scalar::Int(1)); dims.len()];
        even(this, &steps, &dims, edge_order)
    }
}

/// Derivatives along several dimensions, all sampled at the same distance.
#[op(
    "gradient.scalararray(Tensor self, *, Scalar spacing, int[] dim, int edge_order=1) -> Tensor[]",
    composite
)]
mod gradient_scalararray {
    fn kernel(this: &Tensor, spacing: Scalar, dim: &[i64], edge_order: i64) -> Result<Vec<Tensor>> {
        even(this, &vec![spacing; dim.len()], dim, edge_order)
    }
}

/// Derivatives along several dimensions, all sampled at distance 1.
#[op("gradient.array(Tensor self, *, int[] dim, int edge_order=1) -> Tensor[]", composite)]
mod gradient_array {
    fn kernel(this: &Tensor, dim: &[i64], edge_order: i64) -> Result<Vec<Tensor>> {
        even(this, &vec![Scalar::Int(1); dim.len()], dim, edge_order)
    }
}

/// Derivatives along one or all dimensions, each sampled at a distance of its own.
#[op(
    "gradient.scalarrayint(Tensor self, *, Scalar[] spacing, int? dim=None, int edge_order=1) -> Tensor[]",
    composite
)]
mod gradient_scalarrayint {
    fn kernel(this: &Tensor, spacing: &[Scalar], dim: Option<i64>, edge_order: i64) -> Result<Vec<Tensor>> {
        check_count(this, spacing.len(), dim)?;
        even(this, spacing, &dims_or_all(this, dim), edge_order)
    }
}

/// Derivatives along several dimensions, each sampled at a distance of its own.
#[op(
    "gradient.scalarrayarray(Tensor self, *, Scalar[] spacing, int[] dim, int edge_order=1) -> Tensor[]",
    composite
)]
mod gradient_scalarrayarray {
    fn kernel(this: &Tensor, spacing: &[Scalar], dim: &[i64], edge_order: i64) -> Result<Vec<Tensor>> {
        even(this, spacing, dim, edge_order)
    }
}

/// Derivatives along one or all dimensions of a function sampled at given coordinates.
#[op(
    "gradient.tensorarrayint(Tensor self, *, Tensor[] spacing, int? dim=None, int edge_order=1) -> Tensor[]",
    composite
)]
mod gradient_tensorarrayint {
    fn kernel(this: &Tensor, spacing: &[Tensor], dim: Option<i64>, edge_order: i64) -> Result<Vec<Tensor>> {
        check_count(this, spacing.len(), dim)?;
        uneven(this, spacing, &dims_or_all(this, dim), edge_order)
    }
}

/// Derivatives along several dimensions of a function sampled at given coordinates.
#[op(
    "gradient.tensorarray(Tensor self, *, Tensor[] spacing, int[] dim, int edge_order=1) -> Tensor[]",
    composite
)]
mod gradient_tensorarray {
    fn kernel(this: &Tensor, spacing: &[Tensor], dim: &[i64], edge_order: i64) -> Result<Vec<Tensor>> {
        uneven(this, spacing, dim, edge_order)
    }
}

fn dims_or_all(this: &Tensor, dim: Option<i64>) -> Vec<i64> {
    dim.map_or_else(|| (0..this.dim() as i64).collect(), |d| vec![d])
}

fn check_count(this: &Tensor, spacing: usize, dim: Option<i64>) -> Result<()> {
    ensure!(
        dim.is_some() || spacing == this.dim(),
        "torch.gradient expected spacing to be unspecified, a scalar, or a list of length equal to 'self.dim() = {}', since dim argument was not given, but got a list of length {spacing}",
        this.dim()
    );
    Ok(())
}

/// Checks what all overloads are given.
fn check(this: &Tensor, spacing: usize, dims: &[i64], edge_order: i64) -> Result<()> {
    if this.dtype() == DType::U8 {
        bail!(NotImplemented, "torch.gradient does not support uint8 input.");
    }
    ensure!(
        spacing == dims.len(),
        "torch.gradient expected spacing to be unspecified, a scalar or it's spacing and dim arguments to have the same length, but got a spacing argument of length {spacing} and a dim argument of length {}.",
        dims.len()
    );
    ensure!(matches!(edge_order, 1 | 2), "torch.gradient only supports edge_order=1 and edge_order=2.");
    for d in wrap_dims(dims, this.dim())? {
        ensure!(
            this.sizes().get(d).copied().unwrap_or(1) > edge_order,
            "torch.gradient expected each dimension size to be at least edge_order+1"
        );
    }
    Ok(())
}

/// Samples at one distance along each dimension.
fn even(this: &Tensor, steps: &[Scalar], dims: &[i64], edge_order: i64) -> Result<Vec<Tensor>> {
    check(this, steps.len(), dims, edge_order)?;
    dims.iter()
        .zip(steps)
        .map(|(&dim, &step)| {
            let n = this.size(dim)?;
            let part = |start, length| this.narrow(dim, start, length);
            let middle = part(2, n - 2)?.sub(&part(0, n - 2)?)?.div_scalar(2)?.div_scalar(step)?;
            // The slope at the end of the line or of the parabola through the outermost points, left to right.
            let edge = |start: i64, factors: &[f64]| -> Result<Tensor> {
                if edge_order == 1 {
                    return part(start + 1, 1)?.sub(&part(start, 1)?)?.div_scalar(step);
                }
                let term = |k: usize| part(start + k as i64, 1)?.mul_scalar(factors[k]);
                term(0)?.add(&term(1)?)?.add(&term(2)?)?.div_scalar(step)
            };
            let (first, last) = (edge(0, &[-1.5, 2.0, -0.5])?, edge(n - 1 - edge_order, &[0.5, -2.0, 1.5])?);
            cat_with(&[first, middle, last], |o| o.dim(dim))
        })
        .collect()
}

/// Samples at given coordinates along each dimension.
fn uneven(this: &Tensor, coordinates: &[Tensor], dims: &[i64], edge_order: i64) -> Result<Vec<Tensor>> {
    check(this, coordinates.len(), dims, edge_order)?;
    for t in coordinates {
        ensure!(
            t.dim() == 1,
            "torch.gradient expected each element of spacing to have one dimension, but got an element with {} dimensions!",
            t.dim()
        );
    }
    dims.iter().zip(coordinates).map(|(&dim, x)| along(this, x, dim, edge_order)).collect()
}

/// The derivative along `dim` of samples at the coordinates `x`.
fn along(this: &Tensor, x: &Tensor, dim: i64, edge_order: i64) -> Result<Tensor> {
    let n = this.size(dim)?;
    let axis = wrap_dim(dim, this.dim())?;
    let mut shape = vec![1; this.dim()];
    shape[axis] = -1;
    let gaps = x.diff()?.reshape(shape)?;
    let m = gaps.sizes()[axis];
    let (f, gap) = (|i, k| this.narrow(dim, i, k), |i: i64, k: i64| gaps.narrow(dim, i, k));
    // The parabola through three neighbours, `b` behind and `a` ahead of the middle one.
    let (b, a) = (gap(0, (m - 1).max(0))?, gap(1.min(m), (m - 1).max(0))?);
    let sum = b.add(&a)?;
    let middle = weighted([
        (f(0, n - 2)?, a.div(&b.mul(&sum)?)?.neg()?),
        (f(1, n - 2)?, a.sub(&b)?.div(&b.mul(&a)?)?),
        (f(2, n - 2)?, b.div(&a.mul(&sum)?)?),
    ])?;
    // Numbers, so that the edges keep the dtype of the samples.
    let lone = |i: i64| gaps.reshape([-1])?.select(0, i);
    let edge = |start: i64, (near, far): (i64, i64), sign: f64| -> Result<Tensor> {
        let h = lone(near)?;
        if edge_order == 1 {
            return f(start + 1, 1)?.sub(&f(start, 1)?)?.div(&h);
        }
        let next = lone(far)?;
        let sum = h.add(&next)?;
        let mut factors = [
            h.add(&sum)?.div(&h.mul(&sum)?)?.mul_scalar(-sign)?,
            sum.div(&h.mul(&next)?)?.mul_scalar(sign)?,
            h.div(&next.mul(&sum)?)?.mul_scalar(-sign)?,
        ];
        if sign < 0.0 {
            factors.reverse();
        }
        let [a, b, c] = factors;
        weighted([(f(start, 1)?, a), (f(start + 1, 1)?, b), (f(start + 2, 1)?, c)])
    };
    let (first, last) = (edge(0, (0, 1), 1.0)?, edge(n - 1 - edge_order, (m - 1, m - 2), -1.0)?);
    cat_with(&[first, middle, last], |o| o.dim(dim))
}

/// The sum of products.
fn weighted([x, y, z]: [(Tensor, Tensor); 3]) -> Result<Tensor> {
    x.0.mul(&x.1)?.add(&y.0.mul(&y.1)?)?.add(&z.0.mul(&z.1)?)
}
