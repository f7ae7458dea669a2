//! `load_state_dict`: what fits, what does not, and in which words.

use cresset_core::{DType, Result, Scalar, Tensor};
use cresset_nn::{BatchNorm1d, Linear, Module, StateDict, sequential};

fn zeros(sizes: &[i64]) -> Result<Tensor> {
    Tensor::from_vec(vec![0.0_f32; sizes.iter().product::<i64>() as usize], sizes)
}

#[test]
fn errors_name_all_keys_in_pytorchs_words() -> Result<()> {
    let model = sequential![Linear::new(2, 3)?, Linear::new(3, 1)?];
    let before = model.state_dict().get("0.bias").unwrap().to_vec::<f32>()?;
    let state: StateDict =
        [("0.weight", zeros(&[4, 2])?), ("0.bias", zeros(&[3])?), ("2.weight", zeros(&[1])?)]
            .map(|(n, t)| (n.to_string(), t))
            .into_iter()
            .collect();
    let error = model.load_state_dict(&state).unwrap_err();
    let expected = "Error(s) in loading state_dict for Sequential:\n\tMissing key(s) in state_dict: \"1.weight\", \"1.bias\". \n\t\
                    Unexpected key(s) in state_dict: \"2.weight\". \n\tsize mismatch for 0.weight: copying a param with shape \
                    torch.Size([4, 2]) from checkpoint, the shape in current model is torch.Size([3, 2]).";
    assert_eq!(error.message(), expected);
    assert_eq!(
        model.state_dict().get("0.bias").unwrap().to_vec::<f32>()?,
        before,
        "nothing is changed when it fails"
    );
    Ok(())
}

#[test]
fn without_strict_names_may_differ_but_not_shapes() -> Result<()> {
    let model = Linear::new(2, 1)?;
    let mut state: StateDict =
        [("bias".to_string(), zeros(&[1])?), ("more".to_string(), zeros(&[1])?)].into_iter().collect();
    let keys = model.load_state_dict_with(&state, |o| o.strict(false))?;
    assert_eq!((keys.missing, keys.unexpected), (vec!["weight".to_string()], vec!["more".to_string()]));
    assert_eq!(model.bias.as_ref().unwrap().to_vec::<f32>()?, [0.0]);
    state.insert("weight", zeros(&[2, 2])?);
    assert!(
        model
            .load_state_dict_with(&state, |o| o.strict(false))
            .unwrap_err()
            .message()
            .contains("size mismatch for weight")
    );
    Ok(())
}

#[test]
fn loading_converts_dtypes_and_keeps_requires_grad() -> Result<()> {
    let model = Linear::with(1, 1, |o| o.bias(false))?;
    let state: StateDict =
        [("weight".to_string(), Tensor::from_vec(vec![2.5_f64], [1, 1])?)].into_iter().collect();
    model.load_state_dict(&state)?;
    assert_eq!(model.weight.to_vec::<f32>()?, [2.5]);
    assert!(model.weight.requires_grad() && model.weight.is_leaf());
    Ok(())
}

#[test]
fn old_states_of_batch_norm_lack_the_count() -> Result<()> {
    let norm = BatchNorm1d::new(1)?;
    let mut state = norm.state_dict();
    state.remove("num_batches_tracked");
    norm.load_state_dict(&state)?;
    assert_eq!(norm.num_batches_tracked.as_ref().unwrap().item()?, Scalar::Int(0));
    Ok(())
}

#[test]
fn a_state_loads_into_the_module_that_it_is_of() -> Result<()> {
    let model = Linear::new(2, 2)?;
    let before = model.weight.to_vec::<f32>()?;
    model.load_state_dict(&model.state_dict())?;
    assert_eq!(model.weight.to_vec::<f32>()?, before);
    Ok(())
}

#[test]
fn assigning_takes_the_tensors_themselves() -> Result<()> {
    let model = Linear::with(1, 1, |o| o.bias(false))?;
    let (weight, parameter) = (Tensor::from_vec(vec![2.5_f64], [1, 1])?, model.weight.clone());
    let state: StateDict = [("weight".to_string(), weight.clone())].into_iter().collect();
    model.load_state_dict_with(&state, |o| o.assign(true))?;
    assert!(model.weight.same(&parameter) && model.weight.shares_storage_with(&weight));
    assert!(model.weight.dtype() == DType::F64 && model.weight.requires_grad());
    let wrong: StateDict = [("weight".to_string(), zeros(&[2, 2])?)].into_iter().collect();
    assert!(model.load_state_dict_with(&wrong, |o| o.assign(true)).is_err());
    Ok(())
}
