//! Special functions that are computed element by element in double precision.

use cresset_kernels::math::special;
use cresset_macros::op;

use crate::op::{OpDef, Out};
use crate::{Result, Tensor, bail, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![polygamma];

/// The `n`-th derivative of `digamma`.
#[op("polygamma(int n, Tensor self) -> Tensor", out, tags(pointwise))]
mod polygamma {
    fn kernel(n: i64, this: &Tensor, out: Out) -> Result<Tensor> {
        if n < 0 {
            bail!("polygamma(n, x) does not support negative n.");
        }
        pointwise::float_map1("polygamma", this, out, |x| special::polygamma(n, x))
    }
    fn grad_this(g: &Tensor, n: i64, this: &Tensor) -> Result<Tensor> {
        g.mul(&polygamma(n + 1, this)?)
    }
}
