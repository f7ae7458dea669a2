//! Quantiles along a dimension.

use cresset_macros::op;

use crate::layout::wrap_dim;
use crate::op::OpDef;
use crate::{DType, Device, Result, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![quantile, quantile_scalar, nanquantile, nanquantile_scalar];

/// The quantiles `q` (0-dim, or 1-dim and then first in the result) along `dim`, by default of all elements.
///
/// `interpolation` between two neighbours is `linear`, `lower`, `higher`, `midpoint` or `nearest`. A NaN makes the
/// quantiles NaN.
#[op(
    "quantile(Tensor self, Tensor q, int? dim=None, bool keepdim=False, *, str interpolation=\"linear\") -> Tensor",
    autocast = "fp32",
    composite,
    out
)]
mod quantile {
    fn kernel(
        this: &Tensor,
        q: &Tensor,
        dim: Option<i64>,
        keepdim: bool,
        interpolation: &str,
    ) -> Result<Tensor> {
        Quantile { dim, keepdim, ignore_nan: false }.of(this, q, interpolation)
    }
}

/// The quantile `q` along `dim`, by default of all elements.
#[op(
    "quantile.scalar(Tensor self, float q, int? dim=None, bool keepdim=False, *, str interpolation=\"linear\") -> Tensor",
    autocast = "fp32",
    composite,
    out = "scalar_out"
)]
mod quantile_scalar {
    fn kernel(this: &Tensor, q: f64, dim: Option<i64>, keepdim: bool, interpolation: &str) -> Result<Tensor> {
        Quantile { dim, keepdim, ignore_nan: false }.of(this, &single(this, q)?, interpolation)
    }
}

/// As [`quantile`], of the elements that are not NaN.
#[op(
    "nanquantile(Tensor self, Tensor q, int? dim=None, bool keepdim=False, *, str interpolation=\"linear\") -> Tensor",
    autocast = "fp32",
    composite,
    out
)]
mod nanquantile {
    fn kernel(
        this: &Tensor,
        q: &Tensor,
        dim: Option<i64>,
        keepdim: bool,
        interpolation: &str,
    ) -> Result<Tensor> {
        Quantile { dim, keepdim, ignore_nan: true }.of(this, q, interpolation)
    }
}

/// As [`quantile_scalar`], of the elements that are not NaN.
#[op(
    "nanquantile.scalar(Tensor self, float q, int? dim=None, bool keepdim=False, *, str interpolation=\"linear\") -> Tensor",
    autocast = "fp32",
    composite,
    out = "scalar_out"
)]
mod nanquantile_scalar {
    fn kernel(this: &Tensor, q: f64, dim: Option<i64>, keepdim: bool, interpolation: &str) -> Result<Tensor> {
        Quantile { dim, keepdim, ignore_nan: true }.of(this, &single(this, q)?, interpolation)
    }
}

/// One quantile as a tensor.
fn single(this: &Tensor, q: f64) -> Result<Tensor> {
    ensure!((0.0..=1.0).contains(&q), "quantile() q must be in the range [0, 1] but got {q}");
    Tensor::scalar(q, this.dtype())
}

/// Where quantiles are taken.
struct Quantile {
    dim: Option<i64>,
    keepdim: bool,
    ignore_nan: bool,
}

impl Quantile {
    fn of(&self, this: &Tensor, q: &Tensor, interpolation: &str) -> Result<Tensor> {
        check(this, q)?;
        let dim = self.dim.map(|d| wrap_dim(d, this.dim())).transpose()?;
        let sorted = sorted_last(this, dim)?;
        let flat = if q.dim() == 0 { q.unsqueeze(0)? } else { q.clone() };
        let (low, high, weights) = neighbours(interpolation, self.ranks(&sorted, &flat)?)?;
        let below = sorted.gather(-1, &low)?;
        let values = match weights {
            Some(weights) => below.lerp(&sorted.gather(-1, &high)?, &weights)?,
            None => below,
        };
        self.placed(&values, this.dim(), dim, q.dim() == 0)
    }

    /// The (fractional) places of the quantiles among the sorted elements.
    fn ranks(&self, sorted: &Tensor, q: &Tensor) -> Result<Tensor> {
        let nan = sorted.isnan()?;
        if self.ignore_nan {
            let last = nan.logical_not()?.sum_dim_with([-1], |o| o.keepdim(true))?.sub_scalar(1)?;
            let ranks = q.mul(&last)?;
            return ranks.masked_fill(&ranks.lt_scalar(0)?, 0);
        }
        let last = sorted.size(-1)? - 1;
        // NaN comes last: a row that has one takes that.
        let has_nan = nan.any_dim_with(-1, |o| o.keepdim(true))?;
        let mut sizes = sorted.sizes();
        sizes[sorted.dim() - 1] = q.numel() as i64;
        q.mul_scalar(last)?.expand(&*sizes)?.masked_fill(&has_nan, last)
    }

    /// The values, quantiles last, in the shape of the result.
    fn placed(&self, values: &Tensor, ndim: usize, dim: Option<usize>, single: bool) -> Result<Tensor> {
        let mut values = values.movedim(-1, 0)?;
        if self.keepdim && ndim > 0 {
            values = match dim {
                Some(dim) => values.unsqueeze(dim as i64 + 1)?,
                None => {
                    let mut sizes = vec![1; ndim + 1];
                    sizes[0] = values.sizes()[0];
                    values.reshape(sizes)?
                }
            };
        }
        if single { values.squeeze_dim(0) } else { Ok(values) }
    }
}

fn check(this: &Tensor, q: &Tensor) -> Result<()> {
    ensure!(this.numel() > 0, "quantile() input tensor must be non-empty");
    ensure!(q.dim() <= 1, "quantile() q must be a scalar or 1D tensor");
    ensure!(
        matches!(this.dtype(), DType::F32 | DType::F64),
        "quantile() input tensor must be either float or double dtype"
    );
    ensure!(this.dtype() == q.dtype(), "quantile() q tensor must be same dtype as the input tensor");
    if q.device() != Device::Meta {
        let inside = q.detach().ge_scalar(0)?.logical_and(&q.detach().le_scalar(1)?)?.all()?;
        ensure!(inside.item()?.to_bool(), "quantile() q values must be in the range [0, 1]");
    }
    Ok(())
}

/// The elements sorted along `dim`, which is moved to the end; of all elements without it.
fn sorted_last(this: &Tensor, dim: Option<usize>) -> Result<Tensor> {
    let rows = match dim {
        Some(dim) if this.dim() > 0 => this.movedim(dim as i64, -1)?,
        _ => this.flatten()?,
    };
    Ok(rows.sort()?.0)
}

/// Indices of the elements on both sides of each rank, and the weight of the upper ones where both count.
fn neighbours(interpolation: &str, ranks: Tensor) -> Result<(Tensor, Tensor, Option<Tensor>)> {
    let ranks = match interpolation {
        "linear" | "midpoint" => ranks,
        "lower" => ranks.floor()?,
        "higher" => ranks.ceil()?,
        "nearest" => ranks.round()?,
        other => bail!(
            "quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {other}"
        ),
    };
    let low = ranks.detach().to_dtype(DType::I64)?;
    let high = ranks.detach().ceil()?.to_dtype(DType::I64)?;
    let weights = match interpolation {
        "linear" => Some(ranks.sub(&low)?),
        "midpoint" => Some(ranks.detach().full_like(0.5)?),
        _ => None,
    };
    Ok((low, high, weights))
}
