//! Same seed, same data: the losses of 100 steps are PyTorch's, as `tests/curves/make.py` recorded them.

use cresset::data::{Dataset, Mnist, read_unpacked};
use cresset::nn::functional::cross_entropy;
use cresset::nn::{Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential};
use cresset::optim::{Adam, AdamW, Optimizer, SGD, Update};
use cresset::prelude::*;

use crate::examples::{char_lstm, gpt};
use crate::{alone, repository};

const STEPS: usize = 100;

/// Trains one step a batch and compares each loss.
fn follows<U: Update>(
    name: &str,
    model: &impl Forward,
    optimizer: &mut Optimizer<U>,
    batches: Vec<(Tensor, Tensor)>,
    loss_of: fn(&Tensor, &Tensor) -> Result<Tensor>,
) {
    let path = format!("{}/tests/curves/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let expected: Vec<f64> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!((expected.len(), batches.len()), (STEPS, STEPS));
    for (step, ((x, y), expected)) in batches.iter().zip(expected).enumerate() {
        let loss = loss_of(&model.forward(x).unwrap(), y).unwrap();
        optimizer.zero_grad();
        loss.backward().unwrap();
        optimizer.step().unwrap();
        let loss = loss.item().unwrap().to_f64();
        assert!(
            (loss - expected).abs() <= 1e-4 * expected,
            "{name}, step {step}: {loss}, PyTorch has {expected}"
        );
    }
}

fn digits(batch: usize) -> Vec<(Tensor, Tensor)> {
    let mnist = Mnist::open(repository().join("data/mnist"), true).unwrap();
    let rows = |step: usize| (step * batch..(step + 1) * batch).collect::<Vec<_>>();
    (0..STEPS).map(|step| mnist.get_batch(&rows(step)).unwrap()).collect()
}

/// Passages of the corpus one after the other, and the letters that follow.
fn text(batch: i64, length: i64) -> Vec<(Tensor, Tensor)> {
    let bytes = read_unpacked(repository().join("data/text/tinyshakespeare.txt.gz")).unwrap();
    let letters = Tensor::from_slice(&bytes, [bytes.len() as i64]).unwrap().to_dtype(DType::I64).unwrap();
    let passage = |start: i64| letters.narrow(0, start, batch * length)?.view([batch, length]);
    let starts = (0..STEPS as i64).map(|step| step * batch * length);
    starts.map(|start| (passage(start).unwrap(), passage(start + 1).unwrap())).collect()
}

#[test]
fn the_mlp_learns_as_in_pytorch() {
    let _alone = alone();
    manual_seed(1);
    let linear = |m, n| Linear::new(m, n).unwrap();
    let model =
        Sequential::new().push(Flatten::new()).push(linear(784, 128)).push(ReLU::new()).push(linear(128, 10));
    let mut optimizer = SGD::new(model.parameters(), 0.1).unwrap();
    follows("mlp", &model, &mut optimizer, digits(32), cross_entropy);
}

#[test]
fn lenet_learns_as_in_pytorch() {
    let _alone = alone();
    manual_seed(2);
    let linear = |m, n| Linear::new(m, n).unwrap();
    let conv = Sequential::new()
        .push(Conv2d::with(1, 6, 5, |o| o.padding(2)).unwrap())
        .push(ReLU::new())
        .push(MaxPool2d::new(2))
        .push(Conv2d::new(6, 16, 5).unwrap())
        .push(ReLU::new())
        .push(MaxPool2d::new(2));
    let model = conv
        .push(Flatten::new())
        .push(linear(400, 120))
        .push(ReLU::new())
        .push(linear(120, 84))
        .push(ReLU::new())
        .push(linear(84, 10));
    let mut optimizer = Adam::new(model.parameters(), 1e-3).unwrap();
    follows("lenet", &model, &mut optimizer, digits(16), cross_entropy);
}

#[test]
fn an_lstm_learns_as_in_pytorch() {
    let _alone = alone();
    manual_seed(3);
    let model = char_lstm::CharLstm::new(32, 64, 2).unwrap();
    let mut optimizer = Adam::new(model.parameters(), 2e-3).unwrap();
    follows("lstm", &model, &mut optimizer, text(8, 32), gpt::next_letter_loss);
}

#[test]
fn a_gpt_learns_as_in_pytorch() {
    let _alone = alone();
    manual_seed(4);
    let model = gpt::Gpt::new(32, 32, 2, 2).unwrap();
    let mut optimizer = AdamW::new(model.parameters(), 1e-3).unwrap();
    follows("gpt", &model, &mut optimizer, text(8, 32), gpt::next_letter_loss);
}
