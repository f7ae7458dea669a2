//! Clipping and flattening.

use cresset_core::{Result, Tensor};
use cresset_nn::Parameter;
use cresset_nn::utils::{clip_grad_norm_with_, clip_grad_value_, parameters_to_vector, vector_to_parameters};

fn parameter(values: Vec<f32>, grad: Vec<f32>) -> Result<Parameter> {
    let n = values.len() as i64;
    let p = Parameter::new(Tensor::from_vec(values, [n])?)?;
    p.set_grad(Some(Tensor::from_vec(grad, [n])?))?;
    Ok(p)
}

fn grad(p: &Parameter) -> Result<Vec<f32>> {
    p.grad().map_or(Ok(Vec::new()), |g| g.to_vec())
}

#[test]
fn the_total_norm_is_that_of_all_gradients() -> Result<()> {
    let params = [parameter(vec![0.0; 2], vec![0.0, 3.0])?, parameter(vec![0.0], vec![4.0])?];
    let norm = clip_grad_norm_with_(&params, 1.0, |o| o.error_if_nonfinite(true))?;
    assert_eq!(norm.item()?.to_f64(), 5.0);
    // 1 / (5 + 1e-6) of each.
    assert!((grad(&params[0])?[1] - 0.6).abs() < 1e-6 && (grad(&params[1])?[0] - 0.8).abs() < 1e-6);
    let norm = clip_grad_norm_with_(&params, 10.0, |o| o.norm_type(f64::INFINITY))?;
    assert!((norm.item()?.to_f64() - 0.8).abs() < 1e-6 && (grad(&params[1])?[0] - 0.8).abs() < 1e-6);
    Ok(())
}

#[test]
fn a_norm_that_is_not_finite_is_an_error_on_demand() -> Result<()> {
    let params = [parameter(vec![0.0], vec![f32::NAN])?];
    let error = clip_grad_norm_with_(&params, 1.0, |o| o.error_if_nonfinite(true)).unwrap_err();
    assert!(
        error
            .message()
            .starts_with("The total norm of order 2.0 for gradients from `parameters` is non-finite"),
        "{error}"
    );
    Ok(())
}

#[test]
fn values_are_cut() -> Result<()> {
    let params = [parameter(vec![0.0; 3], vec![-5.0, 0.5, 2.0])?];
    clip_grad_value_(&params, 1.0)?;
    assert_eq!(grad(&params[0])?, [-1.0, 0.5, 1.0]);
    Ok(())
}

#[test]
fn a_vector_of_parameters_goes_there_and_back() -> Result<()> {
    let params = [parameter(vec![1.0, 2.0], vec![0.0; 2])?, parameter(vec![3.0], vec![0.0])?];
    assert_eq!(parameters_to_vector(&params)?.to_vec::<f32>()?, [1.0, 2.0, 3.0]);
    vector_to_parameters(&Tensor::from_vec(vec![4.0_f32, 5.0, 6.0], [3])?, &params)?;
    assert_eq!(params[1].to_vec::<f32>()?, [6.0]);
    assert!(vector_to_parameters(&Tensor::from_vec(vec![4.0_f32], [1])?, &params).is_err());
    Ok(())
}
