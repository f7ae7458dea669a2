//! The one pass over parameters and states: any dtype, any layout, several parameters, PyTorch's operators beside it.

use std::slice::from_ref;

use cresset_core::{DType, Result, Tensor, ops};
use cresset_optim::*;

/// Numbers between -1 and 1 that do not repeat.
fn values(n: usize, seed: f64) -> Vec<f64> {
    (0..n).map(|i| ((i as f64 * 0.7 + seed) * 12.9898).sin()).collect()
}

/// Three steps on a parameter of shape `[4, 100]` that `shape` brings into another dtype or layout, beside a small one.
fn trained<U: Update>(
    options: fn(U::Options) -> U::Options,
    shape: fn(Tensor) -> Result<Tensor>,
) -> Result<Vec<f64>> {
    let make = |seed: f64| shape(Tensor::from_vec(values(400, seed), [4, 100])?);
    let small = Tensor::from_vec(vec![1.0_f64; 3], [3])?.requires_grad_(true)?;
    let param = make(0.1)?.requires_grad_(true)?;
    let mut optimizer = Optimizer::<U>::with([param.clone(), small.clone()], 0.05, options)?;
    for step in 0..3 {
        param.set_grad(Some(make(1.0 + step as f64)?))?;
        small.set_grad(Some(small.detach().clone_tensor()?))?;
        let version = param.version();
        optimizer.step()?;
        assert!(param.version() > version);
    }
    let real = if param.is_complex() { param.detach().view_as_real()? } else { param.detach() };
    real.contiguous()?.to_dtype(DType::F64)?.reshape(-1)?.to_vec()
}

fn any_form<U: Update>(options: fn(U::Options) -> U::Options) -> Result<()> {
    let double = trained::<U>(options, Ok)?;
    let check = |name: &str, got: Vec<f64>, tolerance: f64| {
        let worst = got.iter().zip(&double).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst <= tolerance, "{} {name}: {worst}", std::any::type_name::<U>());
    };
    check("float32", trained::<U>(options, |t| t.to_dtype(DType::F32))?, 2e-5);
    check("bfloat16", trained::<U>(options, |t| t.to_dtype(DType::BF16))?, 0.05);
    check("float16", trained::<U>(options, |t| t.to_dtype(DType::F16))?, 0.01);
    check("columns", trained::<U>(options, |t| t.t()?.contiguous()?.t())?, 0.0);
    let gaps = |t: Tensor| Ok(ops::stack_with(&[t.clone(), t], |o| o.dim(-1))?.select(-1, 0)?.detach());
    check("gaps", trained::<U>(options, gaps)?, 0.0);
    check("complex128", trained::<U>(options, |t| t.reshape([4, 50, 2])?.view_as_complex())?, 0.0);
    Ok(())
}

#[test]
fn any_dtype_and_layout() -> Result<()> {
    any_form::<SGDUpdate>(|o| o.momentum(0.9).nesterov(true).weight_decay(0.1))?;
    any_form::<SGDUpdate>(|o| o.maximize(true))?;
    any_form::<AdamUpdate>(|o| o.amsgrad(true).weight_decay(0.1).eps(1e-4))?;
    any_form::<AdamWUpdate>(|o| o.eps(1e-4))?;
    any_form::<RMSpropUpdate>(|o| o.centered(true).momentum(0.5).eps(1e-2))?;
    any_form::<RMSpropUpdate>(|o| o.weight_decay(0.1).eps(1e-2))?;
    any_form::<AdagradUpdate>(|o| o.lr_decay(0.1).weight_decay(0.1).eps(1e-4))?;
    any_form::<AdadeltaUpdate>(|o| o.weight_decay(0.1).eps(1e-3))?;
    any_form::<AdamaxUpdate>(|o| o.weight_decay(0.1).eps(1e-3))?;
    any_form::<NAdamUpdate>(|o| o.weight_decay(0.1).decoupled_weight_decay(true).eps(1e-3))?;
    any_form::<RAdamUpdate>(|o| o.betas((0.5, 0.6)).eps(1e-3))?;
    any_form::<ASGDUpdate>(|o| o.t0(1.0).lambd(0.01))
}

#[test]
fn a_gradient_may_be_the_parameter() -> Result<()> {
    let values = Tensor::from_vec(vec![1_f32, 2.0], [2])?;
    let leaf = values.detach().requires_grad_(true)?;
    leaf.set_grad(Some(values.clone()))?;
    SGD::new([leaf], 0.25)?.step()?;
    assert_eq!(values.to_vec::<f32>()?, [0.75, 1.5]);
    let twice = [values.detach().requires_grad_(true)?, values.detach().requires_grad_(true)?];
    twice.iter().try_for_each(|p| p.set_grad(Some(p.detach().clone_tensor()?)))?;
    let error = SGD::new(twice, 0.25)?.step().unwrap_err();
    assert!(error.message().starts_with("unsupported operation: some elements of the input tensor"));
    Ok(())
}

#[test]
fn pytorchs_operators_do_the_same() -> Result<()> {
    let make = || Tensor::from_vec(vec![1_f32, -2.0, 3.0], [3]);
    let grad = Tensor::from_vec(vec![0.5_f32, 0.25, -1.0], [3])?;
    let p = make()?.requires_grad_(true)?;
    p.set_grad(Some(grad.clone()))?;
    let mut adagrad = Adagrad::with([p.clone()], 0.1, |o| o.weight_decay(0.5).lr_decay(0.1))?;
    adagrad.step()?;
    let step = Tensor::scalar(1, DType::F32)?;
    let lr = Tensor::scalar(0.1, DType::F64)?;
    let (q, sum) = (make()?, make()?.zero()?);
    ops::_fused_adagrad_tensor_lr_(
        from_ref(&q),
        from_ref(&grad),
        &[sum],
        from_ref(&step),
        &lr,
        0.1,
        0.5,
        1e-10,
        false,
    )?;
    assert_eq!(p.to_vec::<f32>()?, q.to_vec::<f32>()?);
    let r = make()?.requires_grad_(true)?;
    r.set_grad(Some(grad.clone()))?;
    AdamW::with([r.clone()], 0.1, |o| o.weight_decay(0.5))?.step()?;
    let (s, m, v) = (make()?, make()?.zero()?, make()?.zero()?);
    let (m, v) = (&[m], &[v]);
    ops::_fused_adamw_tensor_lr_(
        from_ref(&s),
        &[grad],
        m,
        v,
        &[],
        &[step],
        &lr,
        0.9,
        0.999,
        0.5,
        1e-8,
        false,
        false,
    )?;
    assert_eq!(r.to_vec::<f32>()?, s.to_vec::<f32>()?);
    Ok(())
}

#[test]
fn bags_have_sparse_gradients() -> Result<()> {
    let table = Tensor::from_vec((0..12).map(f64::from).collect(), [6, 2])?.requires_grad_(true)?;
    let ids = Tensor::from_slice(&[1_i64, 2, 2, 5, 0], [5])?;
    let offsets = Tensor::from_slice(&[0_i64, 2, 4], [3])?;
    let factors = Tensor::from_slice(&[1_f64, 10.0, 2.0, 20.0, 3.0, 30.0], [3, 2])?;
    // Modes 0 and 1 are sum and mean; the rows are PyTorch's.
    for (mode, padding, rows, values) in [
        (0, None, vec![1, 2, 2, 5, 0], vec![1.0, 10.0, 1.0, 10.0, 2.0, 20.0, 2.0, 20.0, 3.0, 30.0]),
        (1, None, vec![1, 2, 2, 5, 0], vec![0.5, 5.0, 0.5, 5.0, 1.0, 10.0, 1.0, 10.0, 3.0, 30.0]),
        (1, Some(2), vec![1, 5, 0], vec![1.0, 10.0, 2.0, 20.0, 3.0, 30.0]),
    ] {
        table.set_grad(None)?;
        let bags =
            ops::embedding_bag_padding_idx(&table, &ids, &offsets, false, mode, true, None, false, padding)?;
        bags.0.mul(&factors)?.sum()?.backward()?;
        let grad = table.grad().expect("a gradient");
        assert_eq!(grad._indices()?.to_vec::<i64>()?, rows);
        assert_eq!(grad._values()?.to_vec::<f64>()?, values);
    }
    let before = table.to_vec::<f64>()?;
    SparseAdam::new([table.clone()], 0.1)?.step()?;
    let moved: Vec<bool> = table.to_vec::<f64>()?.iter().zip(before).map(|(a, b)| *a != b).collect();
    let untouched = [2, 3, 4].map(|row| &moved[2 * row..2 * row + 2]);
    assert!(untouched.iter().all(|row| *row == [false, false]) && moved.iter().filter(|m| **m).count() == 6);
    Ok(())
}
