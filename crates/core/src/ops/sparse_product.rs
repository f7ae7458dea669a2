//! Products and sums of `torch.sparse`.

use cresset_macros::op;

use super::{addmm, sum_dim};
use crate::op::OpDef;
use crate::sparse::math;
use crate::{DType, Result, Scalar, Tensor, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    _sparse_mm,
    _sparse_addmm,
    _sparse_sum,
    _sparse_sum_dim,
    _sparse_sum_dtype,
    _sparse_sum_dim_dtype,
];

/// The product of a sparse matrix with a matrix, as `torch.sparse.mm`: the gradient of a sparse factor is sparse.
#[op("_sparse_mm(Tensor sparse, Tensor dense) -> Tensor", composite)]
mod _sparse_mm {
    fn kernel(sparse: &Tensor, dense: &Tensor) -> Result<Tensor> {
        if sparse.is_sparse() && dense.is_sparse() {
            return sparse.mm(dense);
        }
        let (rows, columns) = (sparse.size(0)?, dense.size(-1)?);
        let (left, right) = (sparse.is_sparse(), dense.is_sparse());
        if !left && right {
            return _sparse_mm::call(&dense.t()?, &sparse.t()?)?.t();
        }
        let zeros = crate::copy::zeros(&[rows, columns], dense.dtype(), dense.device())?;
        _sparse_addmm::call(&zeros, sparse, dense, Scalar::Int(1), Scalar::Int(1))
    }
}

/// `beta * self + alpha * mat1 mat2` with a sparse `mat1`, as `torch.sparse.addmm`.
#[op("_sparse_addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor")]
mod _sparse_addmm {
    fn kernel(this: &Tensor, mat1: &Tensor, mat2: &Tensor, beta: Scalar, alpha: Scalar) -> Result<Tensor> {
        addmm::call(this, mat1, mat2, beta, alpha)
    }
    fn sparse(this: &Tensor, mat1: &Tensor, mat2: &Tensor, beta: Scalar, alpha: Scalar) -> Result<Tensor> {
        math::addmm(this, mat1, mat2, beta, alpha)
    }
    fn grad_this(g: &Tensor, beta: Scalar) -> Result<Tensor> {
        g.mul_scalar(beta)
    }
    fn grad_mat1(g: &Tensor, mat1: &Tensor, mat2: &Tensor, alpha: Scalar) -> Result<Tensor> {
        let dense = g.mm(&mat2.t()?.conj()?)?.mul_scalar(alpha)?;
        if mat1.is_sparse() { dense.sparse_mask(&mat1.detach().coalesce()?) } else { Ok(dense) }
    }
    fn grad_mat2(g: &Tensor, mat1: &Tensor, alpha: Scalar) -> Result<Tensor> {
        mat1.t()?.conj()?.mm(g)?.mul_scalar(alpha)
    }
}

/// The sum of all elements.
#[op("_sparse_sum(Tensor self) -> Tensor", composite)]
mod _sparse_sum {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        this.coalesce()?.values()?.sum()
    }
}

/// The sum of all elements, in `dtype`.
#[op("_sparse_sum.dtype(Tensor self, *, ScalarType dtype) -> Tensor", composite)]
mod _sparse_sum_dtype {
    fn kernel(this: &Tensor, dtype: DType) -> Result<Tensor> {
        this.coalesce()?.values()?.sum_with(|o| o.dtype(dtype))
    }
}

/// The sum over some dimensions: sparse unless no sparse dimension is left.
#[op("_sparse_sum.dim(Tensor self, int[1] dim) -> Tensor", composite)]
mod _sparse_sum_dim {
    fn kernel(this: &Tensor, dim: &[i64]) -> Result<Tensor> {
        sum_dim::call(this, Some(dim), false, Some(this.dtype()))
    }
}

/// The sum over some dimensions, in `dtype`.
#[op("_sparse_sum.dim_dtype(Tensor self, int[1] dim, *, ScalarType dtype) -> Tensor", composite)]
mod _sparse_sum_dim_dtype {
    fn kernel(this: &Tensor, dim: &[i64], dtype: DType) -> Result<Tensor> {
        sum_dim::call(this, Some(dim), false, Some(dtype))
    }
}
