//! Optimizer steps that update all parameters of a group in one pass.
//!
//! They write to lists of tensors and are not differentiable; `cresset-optim` calls them.

use cresset_kernels::math::Real;
use cresset_kernels::optimizer::{self, AdamTensor, SgdTensor};
use cresset_macros::op;

use crate::op::OpDef;
use crate::storage::{Raw, View, access_lists};
use crate::{DType, Element, Result, Tensor, bail, copy, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![_fused_adam_, _fused_adamw_, _fused_sgd_];

/// One step of Adam on all tensors of a list.
#[op(
    "_fused_adam_(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] exp_avgs, Tensor(d!)[] exp_avg_sqs, Tensor(e!)[] max_exp_avg_sqs, Tensor[] state_steps, *, float lr, float beta1, float beta2, float weight_decay, float eps, bool amsgrad, bool maximize, Tensor? grad_scale=None, Tensor? found_inf=None) -> ()",
    no_grad = "a step of an optimizer"
)]
mod _fused_adam_ {
    fn kernel(
        this: &[Tensor],
        grads: &[Tensor],
        exp_avgs: &[Tensor],
        exp_avg_sqs: &[Tensor],
        max_exp_avg_sqs: &[Tensor],
        state_steps: &[Tensor],
        lr: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        amsgrad: bool,
        maximize: bool,
        grad_scale: Option<&Tensor>,
        found_inf: Option<&Tensor>,
    ) -> Result<()> {
        let options = optimizer::Adam { lr, beta1, beta2, eps, weight_decay, decoupled: false, maximize };
        let lists = [this, exp_avgs, exp_avg_sqs, if amsgrad { max_exp_avg_sqs } else { &[] }];
        if proceed(grads, grad_scale, found_inf)? {
            adam(&options, lists, grads, state_steps)
        } else {
            Ok(())
        }
    }
}

/// One step of AdamW on all tensors of a list.
#[op(
    "_fused_adamw_(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] exp_avgs, Tensor(d!)[] exp_avg_sqs, Tensor(e!)[] max_exp_avg_sqs, Tensor[] state_steps, *, float lr, float beta1, float beta2, float weight_decay, float eps, bool amsgrad, bool maximize, Tensor? grad_scale=None, Tensor? found_inf=None) -> ()",
    no_grad = "a step of an optimizer"
)]
mod _fused_adamw_ {
    fn kernel(
        this: &[Tensor],
        grads: &[Tensor],
        exp_avgs: &[Tensor],
        exp_avg_sqs: &[Tensor],
        max_exp_avg_sqs: &[Tensor],
        state_steps: &[Tensor],
        lr: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        amsgrad: bool,
        maximize: bool,
        grad_scale: Option<&Tensor>,
        found_inf: Option<&Tensor>,
    ) -> Result<()> {
        let options = optimizer::Adam { lr, beta1, beta2, eps, weight_decay, decoupled: true, maximize };
        let lists = [this, exp_avgs, exp_avg_sqs, if amsgrad { max_exp_avg_sqs } else { &[] }];
        if proceed(grads, grad_scale, found_inf)? {
            adam(&options, lists, grads, state_steps)
        } else {
            Ok(())
        }
    }
}

/// One step of stochastic gradient descent on all tensors of a list.
#[op(
    "_fused_sgd_(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] momentum_buffer_list, *, float weight_decay, float momentum, float lr, float dampening, bool nesterov, bool maximize, bool is_first_step, Tensor? grad_scale=None, Tensor? found_inf=None) -> ()",
    no_grad = "a step of an optimizer"
)]
mod _fused_sgd_ {
    fn kernel(
        this: &[Tensor],
        grads: &[Tensor],
        momentum_buffer_list: &[Tensor],
        weight_decay: f64,
        momentum: f64,
        lr: f64,
        dampening: f64,
        nesterov: bool,
        maximize: bool,
        is_first_step: bool,
        grad_scale: Option<&Tensor>,
        found_inf: Option<&Tensor>,
    ) -> Result<()> {
        let options = optimizer::Sgd { lr, momentum, dampening, weight_decay, nesterov, maximize };
        if !proceed(grads, grad_scale, found_inf)? {
            return Ok(());
        }
        let velocities = if momentum == 0.0 { &[] } else { momentum_buffer_list };
        step([this, velocities], grads, |outs, ins| match outs[0].dtype {
            DType::F64 => sgd_typed::<f64>(&options, outs, ins, is_first_step),
            _ => sgd_typed::<f32>(&options, outs, ins, is_first_step),
        })
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
        let factor = Tensor::wrapped(crate::Scalar::Float(1.0 / scale.item()?.to_f64()))?;
        grads.iter().try_for_each(|g| g.mul_(&factor).map(|_| ()))?;
    }
    Ok(true)
}

fn adam(options: &optimizer::Adam, lists: [&[Tensor]; 4], grads: &[Tensor], steps: &[Tensor]) -> Result<()> {
    ensure!(
        steps.len() == grads.len(),
        "_fused_adam_: {} state_steps for {} tensors",
        steps.len(),
        grads.len()
    );
    let steps: Vec<f64> = steps.iter().map(|t| Ok(t.item()?.to_f64())).collect::<Result<_>>()?;
    step(lists, grads, |outs, ins| match outs[0].dtype {
        DType::F64 => adam_typed::<f64>(options, outs, ins, &steps),
        _ => adam_typed::<f32>(options, outs, ins, &steps),
    })
}

/// Runs `f` with parameters and states, list after list, and the gradients, all of one floating-point type and each
/// parameter's tensors in one dense layout. Others are copied there and back.
fn step<const N: usize>(
    lists: [&[Tensor]; N],
    grads: &[Tensor],
    f: impl FnOnce(&[Raw<'_>], &[Raw<'_>]),
) -> Result<()> {
    check(&lists, grads)?;
    if grads.is_empty() {
        return Ok(());
    }
    let dtype = if lists[0][0].dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let dense = |t: &Tensor| {
        if is_plain(t, dtype) { Ok(t.clone()) } else { copy::contiguous_copy(&t.to_dtype(dtype)?) }
    };
    let plain: Vec<bool> = (0..grads.len()).map(|i| alike(&lists, grads, i, dtype)).collect();
    let place = |(i, t): (usize, &Tensor)| if plain[i] { Ok(t.clone()) } else { dense(t) };
    let outs: Vec<Vec<Tensor>> =
        lists.iter().map(|l| l.iter().enumerate().map(place).collect()).collect::<Result<_>>()?;
    let ins: Vec<Tensor> = grads.iter().enumerate().map(place).collect::<Result<_>>()?;
    let out_views: Vec<View> = outs.iter().flatten().map(Tensor::raw).collect();
    let in_views: Vec<View> = ins.iter().map(Tensor::raw).collect();
    check_apart(&out_views, &in_views)?;
    access_lists(&out_views.iter().collect::<Vec<_>>(), &in_views.iter().collect::<Vec<_>>(), f);
    for (target, result) in lists.iter().copied().flatten().zip(outs.iter().flatten()) {
        if !target.same(result) {
            copy::copy_into(target, result)?;
        }
    }
    Ok(())
}

fn check(lists: &[&[Tensor]], grads: &[Tensor]) -> Result<()> {
    let params = lists[0];
    ensure!(
        grads.len() == params.len(),
        "expected one gradient per tensor, got {} and {}",
        params.len(),
        grads.len()
    );
    for list in lists.iter().filter(|l| !l.is_empty()) {
        ensure!(
            list.len() == params.len(),
            "expected one state per tensor, got {} and {}",
            params.len(),
            list.len()
        );
    }
    for (i, p) in params.iter().enumerate() {
        if !p.is_floating_point() || p.dtype() == DType::F64 && params[0].dtype() != DType::F64 {
            bail!("fused optimizer steps take floating-point tensors of one precision, got {}", p.dtype());
        }
        for t in lists.iter().filter_map(|l| l.get(i)).chain([&grads[i]]) {
            ensure!(t.sizes() == p.sizes(), "expected sizes {:?}, got {:?}", &p.sizes()[..], &t.sizes()[..]);
        }
    }
    Ok(())
}

fn is_plain(t: &Tensor, dtype: DType) -> bool {
    t.dtype() == dtype && t.is_contiguous()
}

/// Whether parameter, states and gradient can be walked through together as they are.
fn alike(lists: &[&[Tensor]], grads: &[Tensor], i: usize, dtype: DType) -> bool {
    let layout = lists[0][i].layout();
    let fits = |t: &Tensor| t.dtype() == dtype && t.strides() == layout.strides;
    layout.is_non_overlapping_and_dense()
        && lists.iter().filter_map(|l| l.get(i)).chain([&grads[i]]).all(fits)
}

/// What is written must not be written twice or read as a gradient.
fn check_apart(outs: &[View], ins: &[View]) -> Result<()> {
    let range = |v: &View, is_out: bool| {
        let start = v.layout.offset * v.dtype.size();
        (v.storage.id(), start, start + v.layout.numel() * v.dtype.size(), is_out)
    };
    let outs = outs.iter().map(|v| range(v, true));
    let mut ranges: Vec<_> = outs.chain(ins.iter().map(|v| range(v, false))).filter(|r| r.1 < r.2).collect();
    ranges.sort_unstable();
    let (mut storage, mut written, mut read) = (None, 0, 0);
    for (id, start, end, is_out) in ranges {
        if storage.replace(id) != Some(id) {
            (written, read) = (0, 0);
        }
        ensure!(
            start >= written && (!is_out || start >= read),
            "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. Please clone() the tensor before performing the operation."
        );
        let reached = if is_out { &mut written } else { &mut read };
        *reached = end.max(*reached);
    }
    Ok(())
}

/// The elements of one operand, to be written.
///
/// # Safety
/// The operand is dense, of element type `T`, locked for writing, and no other slice over its elements exists.
unsafe fn slice_mut<'a, T>(x: &Raw<'a>) -> &'a mut [T] {
    let n = x.sizes.iter().product::<i64>() as usize;
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(x.cast(), n) }
}

/// The elements of one operand, to be read.
///
/// # Safety
/// The operand is dense, of element type `T`, and nobody writes to its elements.
unsafe fn slice<'a, T>(x: &Raw<'a>) -> &'a [T] {
    let n = x.sizes.iter().product::<i64>() as usize;
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(x.cast(), n) }
}

fn adam_typed<T: Real + Element>(
    options: &optimizer::Adam,
    outs: &[Raw<'_>],
    ins: &[Raw<'_>],
    steps: &[f64],
) {
    let n = ins.len();
    let tensor = |i: usize| {
        // SAFETY: `step` gave dense operands of this type, locked, and `check_apart` found them apart.
        unsafe {
            AdamTensor::<T> {
                param: slice_mut(&outs[i]),
                grad: slice(&ins[i]),
                exp_avg: slice_mut(&outs[n + i]),
                exp_avg_sq: slice_mut(&outs[2 * n + i]),
                max_exp_avg_sq: outs.get(3 * n + i).map(|x| slice_mut(x)),
                step: steps[i],
            }
        }
    };
    optimizer::adam(options, (0..n).map(tensor).collect());
}

fn sgd_typed<T: Real + Element>(options: &optimizer::Sgd, outs: &[Raw<'_>], ins: &[Raw<'_>], first: bool) {
    let n = ins.len();
    let tensor = |i: usize| {
        // SAFETY: `step` gave dense operands of this type, locked, and `check_apart` found them apart.
        unsafe {
            SgdTensor::<T> {
                param: slice_mut(&outs[i]),
                grad: slice(&ins[i]),
                velocity: outs.get(n + i).map(|x| slice_mut(x)),
                first,
            }
        }
    };
    optimizer::sgd(options, (0..n).map(tensor).collect());
}
