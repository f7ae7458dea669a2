//! Hooks on modules of any signature.

use std::sync::{Arc, Mutex};

use cresset_core::{Result, Tensor, no_grad, ops};
use cresset_nn::{
    Bilinear, Forward, Hooked, LSTM, Linear, MSELoss, Module, MultiheadAttention, ReLU, Sequential,
    Transformer,
};

type Log<T> = Arc<Mutex<Vec<T>>>;

fn vector(values: &[f32]) -> Result<Tensor> {
    Tensor::from_slice(values, [1, values.len() as i64])
}

fn leaf(values: &[f32]) -> Result<Tensor> {
    vector(values)?.requires_grad_(true)
}

fn numbers(grads: &[Option<Tensor>]) -> Result<Vec<Option<Vec<f32>>>> {
    grads.iter().map(|g| g.as_ref().map(Tensor::to_vec).transpose()).collect()
}

fn ones(module: &impl Module) -> Result<()> {
    module.parameters().iter().try_for_each(|p| p.detach().fill_(1).map(|_| ()))
}

#[test]
fn backward_hooks_see_the_gradients_of_all_arguments() -> Result<()> {
    let layer = Hooked::new(Bilinear::with(2, 2, 1, |o| o.bias(false))?);
    ones(&layer)?;
    let seen: Log<_> = Arc::default();
    let log = seen.clone();
    layer.register_full_backward_hook(move |module, grad_input, grad_output| {
        assert_eq!(module.name(), "Bilinear");
        log.lock().unwrap().push((numbers(grad_input)?, numbers(grad_output)?));
        let doubled = grad_input.iter().map(|g| g.as_ref().map(|g| g.mul_scalar(2)).transpose());
        doubled.collect::<Result<Vec<_>>>().map(Some)
    });
    let (a, b) = (leaf(&[1.0, 2.0])?, vector(&[3.0, 4.0])?);
    let y = layer.call((a.clone(), b), |m, (a, b)| m.forward(&a, &b))?;
    y.sum()?.backward()?;
    assert_eq!(*seen.lock().unwrap(), [(vec![Some(vec![7.0, 7.0]), None], vec![Some(vec![1.0])])]);
    assert_eq!(a.grad().unwrap().to_vec::<f32>()?, [14.0, 14.0]);
    Ok(())
}

#[test]
fn without_inputs_that_need_gradients_hooks_see_those_of_the_output() -> Result<()> {
    let layer = Hooked::new(Linear::with(2, 1, |o| o.bias(false))?);
    let seen: Log<_> = Arc::default();
    let log = seen.clone();
    layer.register_full_backward_pre_hook(|_, grads| {
        Ok(Some(vec![Some(grads[0].clone().unwrap().mul_scalar(3)?)]))
    });
    layer.register_full_backward_hook(move |_, grad_input, grad_output| {
        log.lock().unwrap().push((numbers(grad_input)?, numbers(grad_output)?));
        Ok(None)
    });
    layer.forward(&vector(&[1.0, 2.0])?)?.sum()?.backward()?;
    assert_eq!(*seen.lock().unwrap(), [(vec![None], vec![Some(vec![3.0])])]);
    assert_eq!(layer.module.weight.grad().unwrap().to_vec::<f32>()?, [3.0, 6.0]);
    Ok(())
}

#[test]
fn gradients_behind_hooks_differentiate_again() -> Result<()> {
    let layer = Hooked::new(Bilinear::with(1, 1, 1, |o| o.bias(false))?);
    ones(&layer)?;
    layer.register_full_backward_hook(|_, grads, _| {
        grads.iter().map(|g| g.as_ref().map(|g| g.mul(g)).transpose()).collect::<Result<Vec<_>>>().map(Some)
    });
    let x = leaf(&[3.0])?;
    let y = layer.call((x.clone(), x.clone()), |m, (a, b)| m.forward(&a, &b))?;
    let options = cresset_core::autograd::GradOptions { create_graph: true, ..Default::default() };
    let g = cresset_core::autograd::grad(&[y.sum()?], std::slice::from_ref(&x), &[None], options)?[0]
        .clone()
        .unwrap();
    assert_eq!(g.to_vec::<f32>()?, [18.0]); // x^2 from each side
    g.sum()?.backward()?;
    assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [12.0]); // d(2 x^2)/dx
    Ok(())
}

#[test]
fn forward_hooks_replace_states_of_recurrent_layers() -> Result<()> {
    let lstm = Hooked::new(LSTM::new(2, 3)?);
    lstm.register_forward_pre_hook(|_, args| {
        args.iter().map(Tensor::zeros_like).collect::<Result<Vec<_>>>().map(Some)
    });
    lstm.register_forward_hook(|_, _, out| {
        Ok(Some(vec![out[0].clone(), ops::ones([1, 1, 3])?, out[2].clone()]))
    });
    let (x, h) = (ops::randn([4, 1, 2])?, ops::randn([1, 1, 3])?);
    let run = |x: &Tensor, h: &Tensor| {
        lstm.call((x.clone(), Some((h.clone(), h.clone()))), |m, (x, state)| {
            m.forward(&x, state.as_ref().map(|(h, c)| (h, c)))
        })
    };
    let (y, (h_n, _)) = run(&x, &h)?;
    let (want, _) = lstm.module.forward(&x.zeros_like()?, None)?;
    assert_eq!(y.to_vec::<f32>()?, want.to_vec::<f32>()?);
    assert_eq!(h_n.to_vec::<f32>()?, [1.0; 3]);
    Ok(())
}

#[test]
fn attention_transformers_and_losses_take_hooks() -> Result<()> {
    let count: Log<(usize, usize)> = Arc::default();
    let log = count.clone();
    let attention = Hooked::new(MultiheadAttention::new(4, 2)?);
    attention.register_forward_hook(move |_, args, out| {
        log.lock().unwrap().push((args.len(), out.len()));
        Ok(None)
    });
    let x = ops::randn([3, 2, 4])?;
    attention.call((x.clone(), x.clone(), x.clone()), |m, (q, k, v)| m.forward(&q, &k, &v))?;
    attention.call([x.clone(), x.clone(), x.clone()], |m, [q, k, v]| {
        m.forward_with(&q, &k, &v, |o| o.need_weights(false))
    })?;
    assert_eq!(*count.lock().unwrap(), [(3, 2), (3, 1)]);
    let small = |o: cresset_nn::TransformerOptions| {
        o.d_model(4).nhead(2).num_encoder_layers(1).num_decoder_layers(1).dim_feedforward(4)
    };
    let transformer = Hooked::new(Transformer::with(small)?);
    transformer.register_forward_hook(|_, _, out| Ok(Some(vec![out[0].zeros_like()?])));
    let y = transformer.call((x.clone(), x.clone()), |m, (src, tgt)| m.forward(&src, &tgt))?;
    assert_eq!(y.to_vec::<f32>()?, [0.0; 24]);
    let loss = Hooked::new(MSELoss::new());
    loss.register_full_backward_hook(|_, _, _| Ok(Some(vec![None])));
    let input = leaf(&[1.0])?;
    let error = loss.call((input, vector(&[0.0])?), |m, (x, t)| m.forward(&x, &t))?.backward().unwrap_err();
    assert_eq!(
        error.message(),
        "Backward hook returned an invalid number of grad_input, got 1, but expected 2"
    );
    Ok(())
}

#[test]
fn writing_in_place_behind_a_backward_hook_is_refused() -> Result<()> {
    let layer = Hooked::new(ReLU::with(|o| o.inplace(true)));
    layer.register_full_backward_hook(|_, _, _| Ok(None));
    let x = leaf(&[1.0])?.mul_scalar(2)?;
    let error = layer.forward(&x).unwrap_err();
    assert!(
        error
            .message()
            .starts_with("Output 0 of BackwardHookFunctionBackward is a view and is being modified inplace."),
        "{error}"
    );
    Ok(())
}

#[test]
fn state_hooks_change_what_is_saved_and_loaded() -> Result<()> {
    let layer = Hooked::new(Linear::new(2, 1)?);
    let handle =
        layer.register_state_dict_post_hook(|state, prefix| drop(state.remove(&format!("{prefix}bias"))));
    let model = Sequential::new().push(layer.clone());
    let keys = || model.state_dict().keys().map(String::from).collect::<Vec<_>>();
    assert_eq!(keys(), ["0.weight"]);
    assert!(model.load_state_dict(&model.state_dict()).is_err());
    layer.register_load_state_dict_pre_hook(|state, prefix| {
        let weight = state.get(&format!("{prefix}weight")).cloned();
        weight.into_iter().for_each(|w| state.insert(format!("{prefix}old"), w));
    });
    layer.register_load_state_dict_post_hook(|keys| {
        assert_eq!(
            (&keys.missing[..], &keys.unexpected[..]),
            (&["0.bias".into()][..], &["0.old".into()][..])
        );
        *keys = Default::default();
    });
    model.load_state_dict(&model.state_dict())?;
    handle.remove();
    assert_eq!(keys(), ["0.weight", "0.bias"]);
    let before = layer.register_state_dict_pre_hook(|linear, prefix| {
        assert_eq!((linear.weight.numel(), prefix), (2, "0."));
        let _guard = no_grad();
        linear.weight.fill_(7).unwrap();
    });
    assert_eq!(model.state_dict().get("0.weight").unwrap().to_vec::<f32>()?, [7.0; 2]);
    before.remove();
    // A deep copy has hooks of its own.
    let copy = layer.deep_copy()?;
    copy.register_state_dict_post_hook(|state, _| *state = Default::default());
    assert_eq!((copy.state_dict().len(), layer.state_dict().len()), (0, 2));
    Ok(())
}
