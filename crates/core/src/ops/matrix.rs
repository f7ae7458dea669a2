//! Diagonals and triangles.

use super::raw;
use super::*;
use crate::layout::{Dims, wrap_dim};
use crate::op::OpDef;
use crate::{Result, Tensor, bail, ensure, op_list};
use cresset_kernels::index::Side;
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![tril, triu, diag, diag_embed, diagflat];

fn triangle(name: &str, this: &Tensor, side: Side, diagonal: i64) -> Result<Tensor> {
    ensure!(this.dim() >= 2, "{name}: input tensor must have at least 2 dimensions");
    let out = raw::dense_copy(this)?;
    raw::triangle(&out, side, diagonal);
    Ok(out)
}

/// The elements on and below a diagonal of each matrix, zeros elsewhere.
#[op("tril(Tensor self, SymInt diagonal=0) -> Tensor", inplace, out = "out", tags(core))]
mod tril {
    fn kernel(this: &Tensor, diagonal: i64) -> Result<Tensor> {
        triangle("tril", this, Side::Lower, diagonal)
    }
    fn grad_this(g: &Tensor, diagonal: i64) -> Result<Tensor> {
        tril::call(g, diagonal)
    }
}

/// The elements on and above a diagonal of each matrix, zeros elsewhere.
#[op("triu(Tensor self, SymInt diagonal=0) -> Tensor", inplace, out = "out", tags(core))]
mod triu {
    fn kernel(this: &Tensor, diagonal: i64) -> Result<Tensor> {
        triangle("triu", this, Side::Upper, diagonal)
    }
    fn grad_this(g: &Tensor, diagonal: i64) -> Result<Tensor> {
        triu::call(g, diagonal)
    }
}

/// The diagonal of a matrix, or a matrix with a vector on its diagonal.
#[op("diag(Tensor self, int diagonal=0) -> Tensor", composite, out = "out")]
mod diag {
    fn kernel(this: &Tensor, diagonal: i64) -> Result<Tensor> {
        match this.dim() {
            1 => diag_embed::call(this, diagonal, 0, 1),
            2 => diagonal_copy::call(this, diagonal, 0, 1),
            n => bail!("diag(): Supports 1D or 2D tensors. Got {n}D"),
        }
    }
}

/// Matrices with the last dimension on a diagonal of dimensions `dim1` and `dim2`, zeros elsewhere.
#[op("diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1) -> Tensor", out = "out")]
mod diag_embed {
    fn kernel(this: &Tensor, offset: i64, dim1: i64, dim2: i64) -> Result<Tensor> {
        let n = this.dim() + 1;
        let (a, b) = (wrap_dim(dim1, n)?, wrap_dim(dim2, n)?);
        ensure!(a != b, "diagonal dimensions cannot be identical {dim1}, {dim2}");
        let last = this.sizes().last().copied();
        let Some(last) = last else {
            bail!(Index, "Dimension specified as -1 but tensor has no dimensions");
        };
        let mut sizes = Dims::from_slice(&this.sizes()[..n - 2]);
        let side = offset.checked_abs().and_then(|n| n.checked_add(last));
        let Some(side) = side else { bail!("diag_embed: an offset of {offset} is out of range") };
        for d in [a.min(b), a.max(b)] {
            sizes.insert(d, side);
        }
        let out = crate::copy::zeros(&sizes, this.dtype(), this.device())?;
        let place = view_layout::diagonal(&out.layout(), offset, a as i64, b as i64)?;
        raw::copy(&raw::window(&out, place)?, this)?;
        Ok(out)
    }
    fn grad_this(g: &Tensor, offset: i64, dim1: i64, dim2: i64) -> Result<Tensor> {
        diagonal::call(g, offset, dim1, dim2)
    }
}

/// A matrix with all elements on its diagonal.
#[op("diagflat(Tensor self, int offset=0) -> Tensor", composite)]
mod diagflat {
    fn kernel(this: &Tensor, offset: i64) -> Result<Tensor> {
        diag::call(&this.reshape(-1)?, offset)
    }
}
