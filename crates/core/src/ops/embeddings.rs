//! Rows of a table by index.

use super::index::{is_index, long};
use super::raw;
use super::*;
use crate::autograd::Meta;
use crate::op::{OpDef, Out};
use crate::{DType, Result, Tensor, bail, ensure, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    embedding,
    embedding_backward,
    embedding_dense_backward,
    embedding_sparse_backward,
    embedding_renorm_,
];

/// Rows of `weight` by index.
#[op(
    "embedding(Tensor weight, Tensor indices, SymInt padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) -> Tensor",
    nondiff(indices),
    tags(core)
)]
mod embedding {
    fn kernel(
        weight: &Tensor,
        indices: &Tensor,
        padding_idx: i64,
        scale_grad_by_freq: bool,
        sparse: bool,
    ) -> Result<Tensor> {
        // Only backward looks at these.
        let _ = (padding_idx, scale_grad_by_freq, sparse);
        ensure!(weight.dim() == 2, "'weight' must be 2-D");
        check_embedding_indices(indices)?;
        let mut sizes = indices.sizes();
        sizes.push(weight.sizes()[1]);
        raw::reshaped(&index_select::kernel(weight, 0, &raw::flat(indices)?, Out::New)?, &sizes)
    }
    fn grad_weight(
        g: &Tensor,
        weight: &Meta,
        indices: &Tensor,
        padding_idx: i64,
        scale_grad_by_freq: bool,
        sparse: bool,
    ) -> Result<Tensor> {
        embedding_backward::call(g, indices, weight.sizes()[0], padding_idx, scale_grad_by_freq, sparse)
    }
}

fn check_embedding_indices(indices: &Tensor) -> Result<()> {
    ensure!(
        is_index(indices.dtype()),
        "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got torch.{}Tensor instead (while checking arguments for embedding)",
        indices.dtype().scalar_type()
    );
    Ok(())
}

/// Gradient of [`embedding`], sparse or not.
#[op(
    "embedding_backward(Tensor grad, Tensor indices, SymInt num_weights, SymInt padding_idx, bool scale_grad_by_freq, bool sparse) -> Tensor",
    composite
)]
mod embedding_backward {
    fn kernel(
        grad: &Tensor,
        indices: &Tensor,
        num_weights: i64,
        padding_idx: i64,
        scale_grad_by_freq: bool,
        sparse: bool,
    ) -> Result<Tensor> {
        let backward = if sparse { embedding_sparse_backward::call } else { embedding_dense_backward::call };
        backward(grad, indices, num_weights, padding_idx, scale_grad_by_freq)
    }
}

/// Gradient of [`embedding`] as a sparse tensor: the rows of `grad` beside their indices.
#[op(
    "embedding_sparse_backward(Tensor grad, Tensor indices, SymInt num_weights, SymInt padding_idx, bool scale_grad_by_freq) -> Tensor",
    composite
)]
mod embedding_sparse_backward {
    fn kernel(
        grad: &Tensor,
        indices: &Tensor,
        num_weights: i64,
        padding_idx: i64,
        scale_grad_by_freq: bool,
    ) -> Result<Tensor> {
        ensure!(
            !scale_grad_by_freq,
            "embedding_backward: scale_grad_by_freq not supported with sparse gradients"
        );
        let width = grad.size(-1)?;
        let (mut rows, mut grad) = (indices.reshape(-1)?, grad.reshape([indices.numel() as i64, width])?);
        if padding_idx != -1 {
            let kept = rows.ne_scalar(padding_idx)?.nonzero()?.reshape(-1)?;
            (rows, grad) = (rows.index_select(0, &kept)?, grad.index_select(0, &kept)?);
        }
        sparse_coo_tensor_indices_size(&rows.unsqueeze(0)?, &grad, [num_weights, width])
    }
}

/// Gradient of [`embedding`]: the rows of `grad_output` summed by index.
#[op(
    "embedding_dense_backward(Tensor grad_output, Tensor indices, SymInt num_weights, SymInt padding_idx, bool scale_grad_by_freq) -> Tensor",
    nondiff(indices)
)]
mod embedding_dense_backward {
    fn kernel(
        grad_output: &Tensor,
        indices: &Tensor,
        num_weights: i64,
        padding_idx: i64,
        scale_grad_by_freq: bool,
    ) -> Result<Tensor> {
        check_embedding_indices(indices)?;
        let width = grad_output.sizes().last().copied().unwrap_or(1);
        let grad = raw::reshaped(grad_output, &[indices.numel() as i64, width])?;
        let indices = raw::dense(&long(indices)?)?;
        raw::embedding_backward(
            &grad,
            &indices,
            num_weights,
            (padding_idx >= 0).then_some(padding_idx),
            scale_grad_by_freq,
        )
    }
    fn grad_grad_output(
        g: &Tensor,
        indices: &Tensor,
        padding_idx: i64,
        scale_grad_by_freq: bool,
    ) -> Result<Tensor> {
        ensure!(
            !scale_grad_by_freq,
            "embedding_backward: double backward is not supported with scale_grad_by_freq"
        );
        let rows = g.index_select(0, &indices.reshape(-1)?)?;
        let mut sizes = indices.sizes();
        sizes.push(g.sizes()[1]);
        let rows = rows.reshape(sizes)?;
        if padding_idx < 0 {
            return Ok(rows);
        }
        let padding: Vec<bool> = long(indices)?.to_vec::<i64>()?.iter().map(|i| *i == padding_idx).collect();
        let mask = Tensor::from_slice(&padding, indices.sizes())?.unsqueeze(-1)?;
        rows.masked_scatter(&mask, &crate::copy::zeros(&rows.sizes(), rows.dtype(), rows.device())?)
    }
}

/// Scales those rows of `self` that `indices` name and whose norm is larger than `max_norm` down to it.
#[op(
    "embedding_renorm_(Tensor(a!) self, Tensor indices, float max_norm, float norm_type) -> Tensor(a!)",
    no_grad = "works on the parameter, as in PyTorch"
)]
mod embedding_renorm_ {
    fn kernel(this: &Tensor, indices: &Tensor, max_norm: f64, norm_type: f64) -> Result<Tensor> {
        ensure!(this.dim() == 2, "'self' must be 2-D");
        check_embedding_indices(indices)?;
        if this.dtype().is_integral_or_bool() {
            bail!(
                "norm(): input dtype should be either floating point or complex. Got {} instead.",
                this.dtype().scalar_type()
            );
        }
        let mut rows = long(indices)?.to_vec::<i64>()?;
        rows.sort_unstable();
        rows.dedup();
        let n = rows.len() as i64;
        let index = Tensor::from_slice(&rows, [n])?;
        let picked = index_select::kernel(this, 0, &index, Out::New)?;
        let width = this.sizes()[1].max(1) as usize;
        let sizes = if picked.is_complex() { picked.abs()? } else { picked.clone() };
        let scales: Vec<f64> = raw::cast(&sizes, DType::F64)?
            .to_vec::<f64>()?
            .chunks(width)
            .map(|row| row_norm(row, norm_type))
            .map(|norm| if norm > max_norm { max_norm / (norm + 1e-7) } else { 1.0 })
            .collect();
        let scales = raw::cast(&Tensor::from_vec(scales, [n, 1])?, this.dtype())?;
        index_copy::kernel(this, 0, &index, &picked.mul(&scales)?, Out::Inplace(this))
    }
}

fn row_norm(row: &[f64], p: f64) -> f64 {
    match p {
        f64::INFINITY => row.iter().fold(0.0, |m, x| x.abs().max(m)),
        2.0 => row.iter().map(|x| x * x).sum::<f64>().sqrt(),
        _ => row.iter().map(|x| x.abs().powf(p)).sum::<f64>().powf(1.0 / p),
    }
}
