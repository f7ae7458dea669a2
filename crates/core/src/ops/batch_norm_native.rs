//! Batch norm under the names that it has below autograd.

use super::*;
use crate::op::OpDef;
use crate::{DType, Result, Tensor, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    _native_batch_norm_legit,
    _native_batch_norm_legit_no_stats,
    _native_batch_norm_legit_no_training,
    _batch_norm_with_update,
    _batch_norm_no_update,
    batch_norm_backward,
];

/// Batch norm that says in its schema that it updates the running statistics.
#[op(
    "_native_batch_norm_legit(Tensor input, Tensor? weight, Tensor? bias, Tensor(a!) running_mean, Tensor(b!) running_var, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
    composite,
    out("out", out, save_mean, save_invstd),
    no_method,
    no_fn
)]
mod _native_batch_norm_legit {
    fn kernel(
        input: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        running_mean: &Tensor,
        running_var: &Tensor,
        training: bool,
        momentum: f64,
        eps: f64,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let (mean, var) = (Some(running_mean), Some(running_var));
        native_batch_norm::call(input, weight, bias, mean, var, training, momentum, eps)
    }
}

/// Batch norm by the batch's statistics, none being kept.
#[op(
    "_native_batch_norm_legit.no_stats(Tensor input, Tensor? weight, Tensor? bias, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
    composite,
    no_method,
    no_fn
)]
mod _native_batch_norm_legit_no_stats {
    fn kernel(
        input: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        training: bool,
        momentum: f64,
        eps: f64,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        native_batch_norm::call(input, weight, bias, None, None, training, momentum, eps)
    }
}

/// Batch norm by the running statistics.
#[op(
    "_native_batch_norm_legit_no_training(Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor running_var, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
    composite,
    no_method,
    no_fn
)]
mod _native_batch_norm_legit_no_training {
    fn kernel(
        input: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        running_mean: &Tensor,
        running_var: &Tensor,
        momentum: f64,
        eps: f64,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        native_batch_norm::call(
            input,
            weight,
            bias,
            Some(running_mean),
            Some(running_var),
            false,
            momentum,
            eps,
        )
    }
}

/// What the newer operators return beside the results: memory for backward, of which nothing is needed here.
fn reserve(results: (Tensor, Tensor, Tensor)) -> Result<(Tensor, Tensor, Tensor, Tensor)> {
    let (y, mean, rstd) = results;
    let reserve = Tensor::empty_of(&[0], DType::U8, y.device())?;
    Ok((y, mean, rstd, reserve))
}

/// Batch norm in training: by the batch's statistics, which the running ones move towards.
#[op(
    "_batch_norm_with_update(Tensor input, Tensor? weight, Tensor? bias, Tensor(a!) running_mean, Tensor(b!) running_var, float momentum, float eps) -> (Tensor, Tensor, Tensor, Tensor)",
    composite,
    out("out", out, save_mean, save_invstd, reserve),
    no_method,
    no_fn
)]
mod _batch_norm_with_update {
    fn kernel(
        input: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        running_mean: &Tensor,
        running_var: &Tensor,
        momentum: f64,
        eps: f64,
    ) -> Result<(Tensor, Tensor, Tensor, Tensor)> {
        let (mean, var) = (Some(running_mean), Some(running_var));
        reserve(native_batch_norm::call(input, weight, bias, mean, var, true, momentum, eps)?)
    }
}

/// Batch norm in evaluation: by the running statistics.
#[op(
    "_batch_norm_no_update(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, float momentum, float eps) -> (Tensor, Tensor, Tensor, Tensor)",
    composite,
    no_method,
    no_fn
)]
mod _batch_norm_no_update {
    fn kernel(
        input: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        running_mean: Option<&Tensor>,
        running_var: Option<&Tensor>,
        momentum: f64,
        eps: f64,
    ) -> Result<(Tensor, Tensor, Tensor, Tensor)> {
        reserve(native_batch_norm::call(
            input,
            weight,
            bias,
            running_mean,
            running_var,
            false,
            momentum,
            eps,
        )?)
    }
}

/// Gradients of [`_batch_norm_with_update`], or with `update` false of [`_batch_norm_no_update`].
#[op(
    "batch_norm_backward(Tensor grad_out, Tensor input, Tensor weight, Tensor? running_mean, Tensor? running_var, Tensor? save_mean, Tensor? save_var, bool update, float eps, bool[3] output_mask, Tensor reserve) -> (Tensor, Tensor, Tensor)",
    composite,
    no_method
)]
mod batch_norm_backward {
    fn kernel(
        grad_out: &Tensor,
        input: &Tensor,
        weight: &Tensor,
        running_mean: Option<&Tensor>,
        running_var: Option<&Tensor>,
        save_mean: Option<&Tensor>,
        save_var: Option<&Tensor>,
        update: bool,
        eps: f64,
        output_mask: &[bool],
        reserve: &Tensor,
    ) -> Result<norm::Given> {
        let _ = reserve;
        native_batch_norm_backward::call(
            grad_out,
            input,
            Some(weight),
            running_mean,
            running_var,
            save_mean,
            save_var,
            update,
            eps,
            output_mask,
        )
    }
}
