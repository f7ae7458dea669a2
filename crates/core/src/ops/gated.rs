//! Gated linear units and the renormalisation of looked-up rows: bodies made of other operators.

use cresset_macros::op;

use crate::layout::wrap_dim;
use crate::op::OpDef;
use crate::{Result, Scalar, Tensor, bail, ensure, op_list, ops};

pub(crate) static OPS: &[&OpDef] = op_list![glu, embedding_renorm_];

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

/// Scales the rows that `indices` name down to a norm of at most `max_norm`, in place.
#[op(
    "embedding_renorm_(Tensor(a!) self, Tensor indices, float max_norm, float norm_type) -> Tensor(a!)",
    no_grad = "it renormalises weights outside of training steps, as PyTorch's"
)]
mod embedding_renorm_ {
    fn kernel(this: &Tensor, indices: &Tensor, max_norm: f64, norm_type: f64) -> Result<Tensor> {
        ensure!(this.dim() == 2, "'self' must be 2-dimensional");
        let rows = ops::_unique(&indices.reshape([-1])?)?.0;
        let selected = this.index_select(0, &rows)?;
        let norms = selected.linalg_vector_norm_with(|o| o.ord(norm_type).dim([1]).keepdim(true))?;
        // PyTorch's constant, which keeps the result below the limit.
        let scale = norms.add_scalar(1e-7)?.reciprocal()?.mul_scalar(max_norm)?;
        let too_long = norms.gt_scalar(max_norm)?;
        let factor = ops::where_scalar_other(&too_long, &scale, Scalar::Int(1))?;
        this.index_copy_(0, &rows, &selected.mul(&factor)?)
    }
}
