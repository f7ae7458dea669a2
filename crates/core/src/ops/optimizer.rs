//! PyTorch's fused steps of optimizers.
//!
//! They write to lists of tensors and are not differentiable; the pass itself is [`crate::optimizer`].

use cresset_macros::op;

use crate::op::OpDef;
use crate::optimizer::{self, Adagrad, Adam, Direction, Rule, Sgd};
use crate::supported::{floats, require};
use crate::{DType, Result, Scalar, Tensor, copy, ensure, op_list};

/// Declares steps on lists of tensors. Each is two operators: with a learning rate that is a number, and one that is a tensor.
/// After their schemas stand the lists, the arguments before and after the learning rate, and the rules of all tensors with
/// their states.
macro_rules! fused_steps {
    ($($(#[$doc:meta])* $name:ident, $tensor_lr:ident: $schema:literal, $tensor_schema:literal,
        ($this:ident, $grads:ident $(, $list:ident)*) ($($before:ident: $before_type:ident),*) $lr:ident
        ($($after:ident: $after_type:ident),*) $rules:block)*) => {
        pub(crate) static OPS: &[&OpDef] = op_list![
            _amp_foreach_non_finite_check_and_unscale_,
            _amp_update_scale_,
            $($name, $tensor_lr),*
        ];
        $(
            $(#[$doc])*
            #[op($schema, no_grad = "a step of an optimizer")]
            mod $name {
                fn kernel(
                    $this: &[Tensor],
                    $grads: &[Tensor],
                    $($list: &[Tensor],)*
                    $($before: $before_type,)*
                    $lr: f64,
                    $($after: $after_type,)*
                    grad_scale: Option<&Tensor>,
                    found_inf: Option<&Tensor>,
                ) -> Result<()> {
                    if proceed($grads, grad_scale, found_inf)? {
                        let (rules, states) = $rules;
                        optimizer::run(&rules, $this, $grads, states)?;
                    }
                    Ok(())
                }
            }

            /// The same with a learning rate that is a tensor.
            #[op($tensor_schema, composite)]
            mod $tensor_lr {
                fn kernel(
                    $this: &[Tensor],
                    $grads: &[Tensor],
                    $($list: &[Tensor],)*
                    $($before: $before_type,)*
                    $lr: &Tensor,
                    $($after: $after_type,)*
                    grad_scale: Option<&Tensor>,
                    found_inf: Option<&Tensor>,
                ) -> Result<()> {
                    let $lr = $lr.item()?.to_f64();
                    $name::call($this, $grads, $($list,)* $($before,)* $lr, $($after,)* grad_scale, found_inf)
                }
            }
        )*
    };
}

fused_steps! {
    /// One step of Adam on all tensors of a list.
    _fused_adam_, _fused_adam_tensor_lr_:
        "_fused_adam_(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] exp_avgs, Tensor(d!)[] exp_avg_sqs, Tensor(e!)[] max_exp_avg_sqs, Tensor[] state_steps, *, float lr, float beta1, float beta2, float weight_decay, float eps, bool amsgrad, bool maximize, Tensor? grad_scale=None, Tensor? found_inf=None) -> ()",
        "_fused_adam_.tensor_lr(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] exp_avgs, Tensor(d!)[] exp_avg_sqs, Tensor(e!)[] max_exp_avg_sqs, Tensor[] state_steps, *, Tensor lr, float beta1, float beta2, float weight_decay, float eps, bool amsgrad, bool maximize, Tensor? grad_scale=None, Tensor? found_inf=None) -> ()",
        (this, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, state_steps) () lr (beta1: f64, beta2: f64, weight_decay: f64, eps: f64, amsgrad: bool, maximize: bool)
        {
            let direction = Direction::new(maximize, weight_decay, None);
            let rule = |step| Adam::new(direction, lr, (beta1, beta2), eps, amsgrad, step);
            let largest = if amsgrad { max_exp_avg_sqs } else { &[] };
            (by_step(grads, state_steps, rule)?, [exp_avgs, exp_avg_sqs, largest])
        }

    /// One step of AdamW on all tensors of a list.
    _fused_adamw_, _fused_adamw_tensor_lr_:
        "_fused_adamw_(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] exp_avgs, Tensor(d!)[] exp_avg_sqs, Tensor(e!)[] max_exp_avg_sqs, Tensor[] state_steps, *, float lr, float beta1, float beta2, float weight_decay, float eps, bool amsgrad, bool maximize, Tensor? grad_scale=None, Tensor? found_inf=None) -> ()",
        "_fused_adamw_.tensor_lr(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] exp_avgs, Tensor(d!)[] exp_avg_sqs, Tensor(e!)[] max_exp_avg_sqs, Tensor[] state_steps, *, Tensor lr, float beta1, float beta2, float weight_decay, float eps, bool amsgrad, bool maximize, Tensor? grad_scale=None, Tensor? found_inf=None) -> ()",
        (this, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, state_steps) () lr (beta1: f64, beta2: f64, weight_decay: f64, eps: f64, amsgrad: bool, maximize: bool)
        {
            let direction = Direction::new(maximize, weight_decay, Some(lr));
            let rule = |step| Adam::new(direction, lr, (beta1, beta2), eps, amsgrad, step);
            let largest = if amsgrad { max_exp_avg_sqs } else { &[] };
            (by_step(grads, state_steps, rule)?, [exp_avgs, exp_avg_sqs, largest])
        }

    /// One step of Adagrad on all tensors of a list.
    _fused_adagrad_, _fused_adagrad_tensor_lr_:
        "_fused_adagrad_(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] state_sums, Tensor(d!)[] state_steps, *, float lr, float lr_decay, float weight_decay, float eps, bool maximize, Tensor? grad_scale=None, Tensor? found_inf=None) -> ()",
        "_fused_adagrad_.tensor_lr(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] state_sums, Tensor[] state_steps, *, Tensor lr, float lr_decay, float weight_decay, float eps, bool maximize, Tensor? grad_scale=None, Tensor? found_inf=None) -> ()",
        (this, grads, state_sums, state_steps) () lr (lr_decay: f64, weight_decay: f64, eps: f64, maximize: bool)
        {
            let direction = Direction::new(maximize, weight_decay, None);
            let rule = |step: f64| Adagrad { direction, rate: lr / (1.0 + (step - 1.0) * lr_decay), eps };
            (by_step(grads, state_steps, rule)?, [state_sums, &[], &[]])
        }

    /// One step of stochastic gradient descent on all tensors of a list.
    _fused_sgd_, _fused_sgd_tensor_lr_:
        "_fused_sgd_(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] momentum_buffer_list, *, float weight_decay, float momentum, float lr, float dampening, bool nesterov, bool maximize, bool is_first_step, Tensor? grad_scale=None, Tensor? found_inf=None) -> ()",
        "_fused_sgd_.tensor_lr(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] momentum_buffer_list, *, float weight_decay, float momentum, Tensor lr, float dampening, bool nesterov, bool maximize, bool is_first_step, Tensor? grad_scale=None, Tensor? found_inf=None) -> ()",
        (this, grads, momentum_buffer_list) (weight_decay: f64, momentum: f64) lr (dampening: f64, nesterov: bool, maximize: bool, is_first_step: bool)
        {
            let direction = Direction::new(maximize, weight_decay, None);
            let rule = Sgd { direction, lr, momentum, dampening, nesterov, first: is_first_step };
            let velocities = if momentum == 0.0 { &[] } else { momentum_buffer_list };
            (vec![rule.into(); grads.len()], [velocities, &[], &[]])
        }
}

/// Multiplies gradients by `inv_scale`, and sets `found_inf` to 1 if an element was infinite or NaN before.
#[op(
    "_amp_foreach_non_finite_check_and_unscale_(Tensor(a!)[] self, Tensor(b!) found_inf, Tensor inv_scale) -> ()",
    no_grad = "a step of a scaler of gradients"
)]
mod _amp_foreach_non_finite_check_and_unscale_ {
    fn kernel(this: &[Tensor], found_inf: &Tensor, inv_scale: &Tensor) -> Result<()> {
        if this.is_empty() {
            return Ok(());
        }
        for (name, t) in [("inv_scale", inv_scale), ("found_inf", found_inf)] {
            ensure!(t.numel() == 1, "{name} must be a 1-element tensor.");
        }
        for (name, t) in [("inv_scale", inv_scale), ("found_inf", found_inf)] {
            ensure!(t.dtype() == DType::F32, "{name} must be a float tensor.");
        }
        for t in this {
            require("_amp_foreach_non_finite_check_and_unscale_cpu", t, floats)?;
            copy::check_internal_overlap(&t.layout())?;
        }
        if !optimizer::unscale(this, inv_scale.item()?.to_f64() as f32)? {
            copy::fill(found_inf, Scalar::Float(1.0));
        }
        Ok(())
    }
}

/// Adjusts the scale of a loss: down if something infinite was found, up after `growth_interval` steps without.
#[op(
    "_amp_update_scale_(Tensor(a!) self, Tensor(b!) growth_tracker, Tensor found_inf, float scale_growth_factor, float scale_backoff_factor, int growth_interval) -> Tensor(a!)",
    no_grad = "a step of a scaler of gradients"
)]
mod _amp_update_scale_ {
    fn kernel(
        this: &Tensor,
        growth_tracker: &Tensor,
        found_inf: &Tensor,
        scale_growth_factor: f64,
        scale_backoff_factor: f64,
        growth_interval: i64,
    ) -> Result<Tensor> {
        for (name, t) in
            [("growth_tracker", growth_tracker), ("current_scale", this), ("found_inf", found_inf)]
        {
            ensure!(t.numel() == 1, "{name} must be a 1-element tensor.");
        }
        ensure!(growth_tracker.dtype() == DType::I32, "growth_tracker must be an int tensor.");
        ensure!(this.dtype() == DType::F32, "current_scale must be a float tensor.");
        ensure!(found_inf.dtype() == DType::F32, "found_inf must be a float tensor.");
        let scale = this.item()?.to_f64();
        let mut successes = 0;
        if found_inf.item()?.to_f64() != 0.0 {
            copy::fill(this, Scalar::Float(scale * scale_backoff_factor));
        } else {
            successes = growth_tracker.item()?.to_i64() + 1;
            if successes == growth_interval {
                successes = 0;
                let grown = (scale * scale_growth_factor) as f32;
                copy::fill(this, Scalar::Float(if grown.is_finite() { grown.into() } else { scale }));
            }
        }
        copy::fill(growth_tracker, Scalar::Int(successes));
        Ok(this.clone())
    }
}

/// Divides the gradients by the scale; whether they are all finite, as the grad scaler found.
fn proceed(grads: &[Tensor], grad_scale: Option<&Tensor>, found_inf: Option<&Tensor>) -> Result<bool> {
    if let Some(found) = found_inf
        && found.item()?.to_f64() == 1.0
    {
        return Ok(false);
    }
    if let Some(scale) = grad_scale {
        let factor = Tensor::wrapped(Scalar::Float(1.0 / scale.item()?.to_f64()))?;
        grads.iter().try_for_each(|g| g.mul_(&factor).map(|_| ()))?;
    }
    Ok(true)
}

/// The rule of each tensor by the number of its step.
fn by_step<R: Into<Rule>>(grads: &[Tensor], steps: &[Tensor], rule: impl Fn(f64) -> R) -> Result<Vec<Rule>> {
    ensure!(steps.len() == grads.len(), "expected {} state_steps, got {}", grads.len(), steps.len());
    steps.iter().map(|t| Ok(rule(t.item()?.to_f64()).into())).collect()
}
