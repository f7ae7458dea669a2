//! Expected numbers are PyTorch 2.15's under the same seed.

use cresset_core::ops::{
    dropout, multinomial, normal_float, poisson, rand, randint, randn, randn_generator, randperm,
};
use cresset_core::random::{Generator, get_rng_state, manual_seed, set_rng_state};
use cresset_core::{DType, Tensor};

/// Tests that use the default generator run one at a time.
fn seeded(seed: u64) -> std::sync::MutexGuard<'static, ()> {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    manual_seed(seed);
    guard
}

#[test]
fn the_default_generator_gives_pytorchs_numbers() {
    let _one = seeded(0);
    let values = randn([20]).unwrap().to_vec::<f32>().unwrap();
    assert_eq!(values[0].to_bits(), 0xbf90_1b85);
    manual_seed(1);
    assert_eq!(randperm(10).unwrap().to_vec::<i64>().unwrap(), [5, 6, 1, 2, 0, 8, 9, 3, 7, 4]);
    assert_eq!(randint(100, [5]).unwrap().to_vec::<i64>().unwrap(), [32, 48, 49, 16, 43]);
}

#[test]
fn a_state_is_continued_and_a_generator_keeps_its_own() {
    let _one = seeded(3);
    rand([1000]).unwrap();
    let state = get_rng_state();
    let generator = Generator::new(3);
    let own = randn_generator([4], Some(&generator)).unwrap();
    let first = rand([3]).unwrap().to_vec::<f32>().unwrap();
    set_rng_state(&state).unwrap();
    assert_eq!(rand([3]).unwrap().to_vec::<f32>().unwrap(), first);
    manual_seed(3);
    assert_eq!(randn([4]).unwrap().to_vec::<f32>().unwrap(), own.to_vec::<f32>().unwrap());
    assert!(set_rng_state(&state[1..]).is_err());
}

#[test]
fn a_transposed_tensor_is_filled_in_the_order_of_memory() {
    let generator = Generator::new(5);
    let t = Tensor::empty_strided_of(&[3, 2], &[1, 3], DType::F32, Default::default()).unwrap();
    t.uniform_with_(|o| o.generator(Some(&generator))).unwrap();
    let straight = Tensor::empty_of(&[6], DType::F32, Default::default()).unwrap();
    straight.uniform_with_(|o| o.generator(Some(&Generator::new(5)))).unwrap();
    let s = straight.to_vec::<f32>().unwrap();
    assert_eq!(t.to_vec::<f32>().unwrap(), [s[0], s[3], s[1], s[4], s[2], s[5]]);
}

#[test]
fn a_tensor_with_gaps_keeps_what_lies_between() {
    let base = Tensor::from_slice(&[9.0_f32; 8], [8]).unwrap();
    let every_second = base.as_strided([4], [2]).unwrap();
    every_second.bernoulli_().unwrap();
    let values = base.to_vec::<f32>().unwrap();
    assert!(values.iter().skip(1).step_by(2).all(|v| *v == 9.0));
    assert!(values.iter().step_by(2).all(|v| *v == 0.0 || *v == 1.0));
}

#[test]
fn dropout_zeroes_scales_and_passes_gradients() {
    let _one = seeded(2);
    let x = Tensor::from_slice(&[1.0_f32; 1000], [1000]).unwrap();
    x.requires_grad_(true).unwrap();
    let y = dropout(&x, 0.25, true).unwrap();
    let values = y.to_vec::<f32>().unwrap();
    assert!(values.iter().all(|v| *v == 0.0 || *v == 1.0_f32 / 0.75));
    let kept = values.iter().filter(|v| **v != 0.0).count();
    assert!((700..800).contains(&kept), "{kept}");
    y.backward_with(&Tensor::from_slice(&[1.0_f32; 1000], [1000]).unwrap()).unwrap();
    assert_eq!(x.grad().unwrap().to_vec::<f32>().unwrap(), values);
    assert!(dropout(&x, 0.5, false).unwrap().same(&x));
}

#[test]
fn wrong_parameters_give_pytorchs_errors() {
    let weights = |w: &[f32]| Tensor::from_slice(w, [w.len() as i64]).unwrap();
    let text = |r: cresset_core::Result<Tensor>| r.expect_err("it is wrong").message().to_owned();
    assert_eq!(
        text(multinomial(&weights(&[1.0, -1.0]), 1)),
        "probability tensor contains either `inf`, `nan` or element < 0"
    );
    assert_eq!(text(multinomial(&weights(&[1.0]), 0)), "cannot sample n_sample <= 0 samples");
    assert_eq!(text(randint(0, [2])), "random_ expects 'from' to be less than 'to', but got from=0 >= to=0");
    assert_eq!(text(normal_float(0.0, -1.0, [2])), "normal expects std >= 0.0, but found std -1");
    assert_eq!(text(poisson(&weights(&[-1.0]))), "invalid Poisson rate, expected rate to be non-negative");
    assert_eq!(
        text(weights(&[0.0]).random_to_(0)),
        "random_ expects 'from' to be less than 'to', but got from=0 >= to=0"
    );
    let bytes = Tensor::from_slice(&[0_u8], [1]).unwrap();
    assert_eq!(text(bytes.random_to_(300)), "to - 1 is out of bounds for unsigned char");
    assert_eq!(text(bytes.normal_()), "\"normal_kernel_cpu\" not implemented for 'Byte'");
}
