//! Covariance and correlation of variables (rows) over observations (columns).

use cresset_macros::op;

use super::complex::complex;
use crate::op::OpDef;
use crate::{DType, Device, Result, Scalar, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![cov, corrcoef];

/// Covariance matrix of the rows, observations being counted `fweights` times and weighted with `aweights`.
///
/// The sum of products is divided by the number of observations less `correction`.
#[op(
    "cov(Tensor self, *, int correction=1, Tensor? fweights=None, Tensor? aweights=None) -> Tensor",
    composite
)]
mod cov {
    fn kernel(
        this: &Tensor,
        correction: i64,
        fweights: Option<&Tensor>,
        aweights: Option<&Tensor>,
    ) -> Result<Tensor> {
        ensure!(
            this.dim() <= 2,
            "cov(): expected input to have two or fewer dimensions but got an input with {} dimensions",
            this.dim()
        );
        if this.dtype() == DType::Bool {
            bail!(NotImplemented, "cov(): bool dtype is not supported for input");
        }
        let rows = if this.dim() < 2 { this.reshape([1, -1])? } else { this.clone() };
        let n = rows.sizes()[1];
        let weights = weights(n, fweights, aweights)?;
        let weighted = |t: &Tensor| weights.as_ref().map_or(Ok(t.clone()), |w| t.mul(w));
        let total = match &weights {
            Some(w) => w.sum()?,
            None => Tensor::scalar(n, DType::I64)?,
        };
        if weights.is_some() && known(&total) {
            ensure!(total.item()?.to_f64() != 0.0, "cov(): weights sum to zero, can't be normalized");
        }
        let average = weighted(&rows)?.sum_dim([1])?.div(&total)?;
        let centred = rows.sub(&average.unsqueeze(1)?)?;
        let products = centred.mm(&weighted(&centred)?.t()?.conj()?)?;
        products.div(&degrees(&total, weights.as_ref(), aweights, correction)?)?.squeeze()
    }
}

/// Correlation coefficients of the rows: [`cov`] divided by both standard deviations, limited to `[-1, 1]`.
#[op("corrcoef(Tensor self) -> Tensor", composite)]
mod corrcoef {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        ensure!(
            this.dim() <= 2,
            "corrcoef(): expected input to have two or fewer dimensions but got an input with {} dimensions",
            this.dim()
        );
        let c = this.cov()?;
        if c.dim() == 0 {
            return c.div(&c);
        }
        let diagonal = c.diag()?;
        let deviation = if c.is_complex() { diagonal.real()? } else { diagonal }.sqrt()?;
        let c = c.div(&deviation.reshape([-1, 1])?)?.div(&deviation.reshape([1, -1])?)?;
        let limited = |t: &Tensor| t.clamp_with(|o| o.min(-1).max(1));
        if !c.is_complex() {
            return limited(&c);
        }
        complex(&limited(&c.real()?)?, &limited(&c.imag()?)?)
    }
}

/// Whether the elements may be looked at.
fn known(t: &Tensor) -> bool {
    t.device() != Device::Meta
}

/// The weight of each observation, if there are any weights.
fn weights(n: i64, fweights: Option<&Tensor>, aweights: Option<&Tensor>) -> Result<Option<Tensor>> {
    if let Some(w) = fweights {
        let integral = w.dtype().is_integral_or_bool() && w.dtype() != DType::Bool;
        check(n, w, "fweights", "integral dtype", integral)?;
    }
    if let Some(w) = aweights {
        check(n, w, "aweights", "floating point dtype", w.is_floating_point())?;
    }
    match (fweights, aweights) {
        (Some(f), Some(a)) => f.mul(a).map(Some),
        (w, None) | (None, w) => Ok(w.cloned()),
    }
}

fn check(n: i64, w: &Tensor, name: &str, kind: &str, suits: bool) -> Result<()> {
    ensure!(
        w.dim() <= 1,
        "cov(): expected {name} to have one or fewer dimensions but got {name} with {} dimensions",
        w.dim()
    );
    ensure!(
        suits,
        "cov(): expected {name} to have {kind} but got {name} with {} dtype",
        w.dtype().scalar_type()
    );
    ensure!(
        w.numel() as i64 == n,
        "cov(): expected {name} to have the same numel as there are observations in the input but got {} != {n}",
        w.numel()
    );
    if n > 0 && known(w) {
        ensure!(w.detach().min()?.item()?.to_f64() >= 0.0, "cov(): {name} cannot be negative");
    }
    Ok(())
}

/// What the sum of products is divided by; 0 if no degrees of freedom are left.
fn degrees(
    total: &Tensor,
    weights: Option<&Tensor>,
    aweights: Option<&Tensor>,
    correction: i64,
) -> Result<Tensor> {
    let lost = match (weights, aweights) {
        (Some(w), Some(a)) if correction != 0 => w.mul(a)?.sum()?.mul_scalar(correction)?.div(total)?,
        _ => Tensor::wrapped(Scalar::Int(correction))?,
    };
    let left = total.sub(&lost)?;
    left.masked_fill(&left.le_scalar(0)?, 0)
}
