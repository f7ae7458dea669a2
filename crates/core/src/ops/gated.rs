//! Gated linear units.

use cresset_macros::op;

use crate::layout::wrap_dim;
use crate::op::OpDef;
use crate::{Result, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![glu];

/// The first half along `dim` times the sigmoid of the second.
#[op("glu(Tensor self, int dim=-1) -> Tensor", composite)]
mod glu {
    fn kernel(this: &Tensor, dim: i64) -> Result<Tensor> {
        ensure!(this.dim() > 0, "glu does not support 0-dimensional tensors");
        let d = wrap_dim(dim, this.dim())?;
        let n = this.sizes()[d];
        if n % 2 != 0 {
            bail!("Halving dimension must be even, but dimension {d} is size {n}");
        }
        let (first, second) = (this.narrow(dim, 0, n / 2)?, this.narrow(dim, n / 2, n / 2)?);
        first.mul(&second.sigmoid()?)
    }
}
