//! Products of vectors and matrices with a rule of their own.

use cresset_macros::op;

use super::cat_with;
use crate::layout::{broadcast_shapes, wrap_dim};
use crate::op::OpDef;
use crate::scalar::type_name;
use crate::{DType, Result, Scalar, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] =
    op_list![linalg_cross, cross, linalg_vander, _trilinear, _int_mm, _addmm_activation];

/// The cross product along a dimension of size 3.
#[op("linalg_cross(Tensor self, Tensor other, *, int dim=-1) -> Tensor", composite, out = "out")]
mod linalg_cross {
    fn kernel(this: &Tensor, other: &Tensor, dim: i64) -> Result<Tensor> {
        let n = this.dim();
        ensure!(n == other.dim(), "linalg.cross: inputs must have the same number of dimensions.");
        let at = wrap_dim(dim, n)?;
        let (a, b) = (this.size(dim)?, other.size(dim)?);
        ensure!(a == 3 && b == 3, "linalg.cross: inputs dimension {dim} must have length 3. Got {a} and {b}");
        let sizes = broadcast_shapes(&this.sizes(), &other.sizes())?;
        let at = at as i64;
        let (x, y) = (this.expand(sizes.clone())?, other.expand(sizes)?);
        let next = |t: &Tensor| t.roll_with(-1, |o| o.dims(at));
        let previous = |t: &Tensor| t.roll_with(1, |o| o.dims(at));
        next(&x)?.mul(&previous(&y)?)?.sub(&previous(&x)?.mul(&next(&y)?)?)
    }
}

/// The cross product along `dim`, or along the first dimension of size 3.
#[op("cross(Tensor self, Tensor other, int? dim=None) -> Tensor", composite, out = "out")]
mod cross {
    fn kernel(this: &Tensor, other: &Tensor, dim: Option<i64>) -> Result<Tensor> {
        let found = || this.sizes().iter().position(|n| *n == 3).map(|d| d as i64);
        let Some(dim) = dim.or_else(found) else { bail!("no dimension of size 3 in input") };
        linalg_cross::call(this, other, dim)
    }
}

/// The powers 0 to `N - 1` (by default as many as there are elements) of each element of vectors.
#[op("linalg_vander(Tensor x, *, SymInt? N=None) -> Tensor", composite)]
#[allow(non_snake_case)] // the schema's names
mod linalg_vander {
    fn kernel(x: &Tensor, N: Option<i64>) -> Result<Tensor> {
        let x = if x.dim() == 0 { x.unsqueeze(0)? } else { x.clone() };
        let n = N.unwrap_or(x.size(-1)?);
        ensure!(n > 1, "N must be greater than 1.");
        let mut sizes = x.sizes();
        sizes.push(n - 1);
        let powers = x.unsqueeze(-1)?.expand(sizes)?.cumprod(-1)?;
        let ones = powers.narrow(-1, 0, 1)?.ones_like()?;
        cat_with(&[ones, powers], |o| o.dim(-1))
    }
}

/// The sum over dimensions `sumdim` of the product of three tensors, into which dimensions of size 1 are put at `expand1`,
/// `expand2` and `expand3`.
#[op(
    "_trilinear(Tensor i1, Tensor i2, Tensor i3, int[] expand1, int[] expand2, int[] expand3, int[] sumdim, int unroll_dim=1) -> Tensor",
    composite,
    no_method
)]
mod _trilinear {
    fn kernel(
        i1: &Tensor,
        i2: &Tensor,
        i3: &Tensor,
        expand1: &[i64],
        expand2: &[i64],
        expand3: &[i64],
        sumdim: &[i64],
        unroll_dim: i64,
    ) -> Result<Tensor> {
        let n = i1.dim() + expand1.len();
        ensure!((0..n as i64).contains(&unroll_dim), "unroll_dim must be in [0,{}]", n.saturating_sub(1));
        let [a, b, c] = [expanded(i1, expand1)?, expanded(i2, expand2)?, expanded(i3, expand3)?];
        let product = a.mul(&b)?.mul(&c)?;
        if sumdim.is_empty() { Ok(product) } else { product.sum_dim(sumdim.to_vec()) }
    }
}

fn expanded(t: &Tensor, dims: &[i64]) -> Result<Tensor> {
    let mut dims = dims.to_vec();
    dims.sort_unstable();
    dims.iter().try_fold(t.clone(), |t, d| t.unsqueeze(*d))
}

/// The product of two matrices of bytes, as `int32`.
#[op("_int_mm(Tensor self, Tensor mat2) -> Tensor", no_grad = "integers", no_method, out = "out")]
mod _int_mm {
    fn kernel(this: &Tensor, mat2: &Tensor) -> Result<Tensor> {
        for (name, t) in [("self", this), ("mat2", mat2)] {
            ensure!(t.dim() == 2, "int_mm_out_cpu: Expected {name} to be of dimension 2 but got {}", t.dim());
            ensure!(
                matches!(t.dtype(), DType::I8 | DType::U8),
                "int_mm_out_cpu: Expected {name} dtype to be int8 or uint8 but got {}",
                type_name(t.dtype())
            );
        }
        let (k, rows) = (this.size(1)?, mat2.size(0)?);
        ensure!(k == rows, "int_mm_out_cpu: self.size(1) needs to match mat2.size(0) but got {k} and {rows}");
        this.to_dtype(DType::I32)?.mm(&mat2.to_dtype(DType::I32)?)
    }
}

/// `relu` or `gelu` of `beta * self + alpha * mat1 mat2`.
#[op(
    "_addmm_activation(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1, bool use_gelu=False) -> Tensor",
    autocast = "lower",
    composite,
    no_method,
    out = "out"
)]
mod _addmm_activation {
    fn kernel(
        this: &Tensor,
        mat1: &Tensor,
        mat2: &Tensor,
        beta: Scalar,
        alpha: Scalar,
        use_gelu: bool,
    ) -> Result<Tensor> {
        let sum = this.addmm_with(mat1, mat2, |o| o.beta(beta).alpha(alpha))?;
        if use_gelu { sum.gelu() } else { sum.relu() }
    }
}
