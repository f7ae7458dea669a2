//! The scaler of gradients: a run of PyTorch's with overflow (`data/make.py` made it), and what is refused.

use cresset_core::{DType, ErrorKind, Result, Tensor, ops};
use cresset_io::PyValue;
use cresset_optim::*;

use crate::files::{NAMES, Net, assert_alike, fixture, through_a_file};

fn leaf(values: Vec<f32>) -> Result<Tensor> {
    let n = values.len() as i64;
    Tensor::from_vec(values, [n])?.requires_grad_(true)
}

fn refused<T>(result: Result<T>) -> (ErrorKind, String) {
    let error = result.map(drop).unwrap_err();
    (error.kind(), error.message().to_owned())
}

/// A scaler after backward, and the optimizer of the only parameter.
fn scaled(scaler: &mut GradScaler) -> Result<(Tensor, SGD)> {
    let w = leaf(vec![3.0])?;
    scaler.scale(&w.mul(&w)?.sum()?)?.backward()?;
    let sgd = SGD::new([w.clone()], 0.25)?;
    Ok((w, sgd))
}

#[test]
fn training_through_an_overflow_equals_pytorchs() -> Result<()> {
    let (file, wanted) = (fixture("optimizers.pt")?, fixture("scaler.pt")?);
    let part = |key: &str| wanted.get(key).expect("a part of the file");
    let net = Net::new(file.get("start").expect("the start"), DType::F32, false)?;
    let [w1, b1, w2, b2] = &net.params[..] else { unreachable!("four parameters") };
    let mut adamw = AdamW::with([w1.clone(), w2.clone()], 0.1, |o| o.eps(0.1))?;
    let mut sgd = SGD::with([b1.clone(), b2.clone()], 0.01, |o| o.momentum(0.9))?;
    let make = |growth: f64, backoff: f64, interval: i64| {
        GradScaler::with(|o| {
            let o = o.init_scale(2_f64.powi(127)).growth_factor(growth);
            o.backoff_factor(backoff).growth_interval(interval)
        })
    };
    let mut scaler = make(4.0, 0.25, 3)?;
    for (i, scale) in part("scales").items().expect("a list").iter().enumerate() {
        adamw.zero_grad();
        sgd.zero_grad();
        scaler.scale(&net.loss(&file)?.mul_scalar(16)?)?.backward()?;
        scaler.unscale_(&adamw)?;
        assert_eq!(scaler.step(&mut adamw)?, scaler.step(&mut sgd)?);
        scaler.update()?;
        assert_eq!(Some(scaler.get_scale()?), scale.as_float(), "iteration {i}");
        // Another scaler goes on from there.
        if i == 6 {
            let state = through_a_file(&scaler.state_dict()?)?;
            scaler = make(2.0, 0.5, 7)?;
            scaler.load_state_dict(&state)?;
        }
    }
    assert_alike(&through_a_file(&scaler.state_dict()?)?, part("state"), "state")?;
    let model = NAMES.iter().zip(&net.params).map(|(name, p)| (*name, PyValue::Tensor(p.detach())));
    assert_alike(&PyValue::dict(model), part("final"), "parameters")
}

#[test]
fn settings_that_do_not_grow_or_shrink_are_refused() -> Result<()> {
    let growth = GradScaler::with(|o| o.growth_factor(1.0));
    assert_eq!(refused(growth), (ErrorKind::Assertion, "The growth factor must be > 1.0.".into()));
    let backoff = GradScaler::with(|o| o.backoff_factor(1.0));
    assert_eq!(refused(backoff), (ErrorKind::Assertion, "The backoff factor must be < 1.0.".into()));
    GradScaler::with(|o| o.backoff_factor(1.0).enabled(false)).map(drop)
}

#[test]
fn calls_out_of_order_are_refused_in_pytorchs_words() -> Result<()> {
    let mut scaler = GradScaler::new();
    let mut idle = SGD::new([leaf(vec![1.0])?], 0.1)?;
    let hint =
        "This may indicate your script did not use scaler.scale(loss or outputs) earlier in the iteration.";
    let early = |name: &str| (ErrorKind::Assertion, format!("Attempted {name} but _scale is None.  {hint}"));
    assert_eq!(refused(scaler.unscale_(&idle)), early("unscale_"));
    assert_eq!(refused(scaler.step(&mut idle)), early("step"));
    assert_eq!(refused(scaler.update()), early("update"));
    let (_, mut sgd) = scaled(&mut scaler)?;
    let none = (ErrorKind::Assertion, "No inf checks were recorded prior to update.".into());
    assert_eq!(refused(scaler.update()), none);
    let none = (ErrorKind::Assertion, "No inf checks were recorded for this optimizer.".into());
    assert_eq!(refused(scaler.step(&mut idle)), none);
    scaler.unscale_(&sgd)?;
    let twice = "unscale_() has already been called on this optimizer since the last update().";
    assert_eq!(refused(scaler.unscale_(&sgd)), (ErrorKind::Runtime, twice.into()));
    assert!(scaler.step(&mut sgd)?);
    let late = "unscale_() is being called after step().";
    assert_eq!(refused(scaler.unscale_(&sgd)), (ErrorKind::Runtime, late.into()));
    let again = "step() has already been called since the last update().";
    assert_eq!(refused(scaler.step(&mut sgd)), (ErrorKind::Runtime, again.into()));
    let closure = "Closure use is not currently supported if GradScaler is enabled.";
    let with_closure = scaler.step_with(&mut sgd, || Tensor::scalar(0, DType::F32));
    assert_eq!(refused(with_closure), (ErrorKind::Runtime, closure.into()));
    scaler.update()
}

#[test]
fn half_precision_is_refused_and_sparse_gradients_are_unscaled() -> Result<()> {
    let mut scaler = GradScaler::with(|o| o.init_scale(4.0))?;
    scaler.scale(&Tensor::scalar(1, DType::F32)?)?;
    let half = ops::zeros_with([2], |o| o.dtype(DType::F16))?.requires_grad_(true)?;
    half.set_grad(Some(half.detach()))?;
    let refusal = (ErrorKind::Value, "Attempting to unscale FP16 gradients.".into());
    assert_eq!(refused(scaler.unscale_(&SGD::new([half], 0.1)?)), refusal);
    let table = ops::zeros([4, 2])?.requires_grad_(true)?;
    let rows = Tensor::from_slice(&[1_i64, 3], [1, 2])?;
    let values = Tensor::from_slice(&[4_f32, 8.0, 12.0, 16.0], [2, 2])?;
    table.set_grad(Some(ops::sparse_coo_tensor_indices_size(&rows, &values, [4, 2])?))?;
    scaler.step(&mut SGD::new([table.clone()], 1.0)?)?;
    assert_eq!(table.to_vec::<f32>()?, [0.0, 0.0, -1.0, -2.0, 0.0, 0.0, -3.0, -4.0]);
    Ok(())
}

#[test]
fn a_nan_leaves_the_step_out_and_lowers_the_scale() -> Result<()> {
    let mut scaler = GradScaler::new();
    let (w, mut sgd) = scaled(&mut scaler)?;
    w.set_grad(Some(Tensor::from_vec(vec![f32::NAN], [1])?))?;
    assert!(!scaler.step(&mut sgd)?);
    assert_eq!(w.to_vec::<f32>()?, [3.0]);
    scaler.update()?;
    assert_eq!(scaler.get_scale()?, 32768.0);
    scaler.update_to(8.0)?;
    assert_eq!(scaler.get_scale()?, 8.0);
    scaler.update_to(&Tensor::scalar(16, DType::F32)?)?;
    assert_eq!(scaler.get_scale()?, 16.0);
    let (kind, text) = refused(scaler.update_to(&leaf(vec![1.0])?));
    assert!(kind == ErrorKind::Assertion && text.starts_with("new_scale should be a float or a 1-element"));
    let too_large = GradScaler::with(|o| o.init_scale(1e39))?.scale(&w);
    assert_eq!(refused(too_large).1, "value cannot be converted to type float without overflow");
    Ok(())
}

#[test]
fn a_scaler_that_is_not_enabled_does_nothing() -> Result<()> {
    let mut scaler = GradScaler::with(|o| o.enabled(false))?;
    let (w, mut sgd) = scaled(&mut scaler)?;
    scaler.unscale_(&sgd)?;
    assert!(scaler.step(&mut sgd)? && scaler.step(&mut sgd)?);
    assert_eq!((w.to_vec::<f32>()?, scaler.get_scale()?), (vec![0.0], 1.0));
    scaler.update()?;
    let state = scaler.state_dict()?;
    scaler.load_state_dict(&state)?;
    let text = "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler.";
    assert_eq!(refused(GradScaler::new().load_state_dict(&state)), (ErrorKind::Runtime, text.into()));
    Ok(())
}
