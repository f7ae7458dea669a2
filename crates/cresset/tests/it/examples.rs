//! The examples do what they show, with fewer steps.

use cresset::prelude::*;

use crate::{alone, folder};

#[path = "../../../../examples/char_lstm.rs"]
pub mod char_lstm;
#[path = "../../../../examples/checkpointing.rs"]
mod checkpointing;
#[path = "../../../../examples/early_stopping.rs"]
mod early_stopping;
#[path = "../../../../examples/gpt.rs"]
pub mod gpt;
#[path = "../../../../examples/gradient_accumulation.rs"]
mod gradient_accumulation;

#[test]
fn a_checkpoint_continues_to_the_same_weights() {
    let _alone = alone();
    let folder = folder();
    let (whole, resumed) = checkpointing::run(&folder.path().join("run.pt")).unwrap();
    assert_eq!(whole, resumed);
}

#[test]
fn early_stopping_keeps_the_best_weights() {
    let _alone = alone();
    let (best, kept) = early_stopping::run(12).unwrap();
    assert!(best < 0.7);
    assert_eq!(best, kept);
}

#[test]
fn accumulated_gradients_are_those_of_the_whole_batch() {
    let _alone = alone();
    let (whole, parts) =
        (gradient_accumulation::train(20, 1).unwrap(), gradient_accumulation::train(20, 4).unwrap());
    assert!(whole.allclose_with(&parts, |o| o.atol(1e-5)).unwrap());
    let start = gradient_accumulation::train(0, 1).unwrap();
    assert!(!whole.allclose_with(&start, |o| o.atol(1e-2)).unwrap());
}

#[test]
fn a_gpt_learns_letters_and_writes() {
    let _alone = alone();
    manual_seed(0);
    let model = gpt::Gpt::new(16, 16, 2, 1).unwrap();
    let losses = gpt::train(&model, 60, 8).unwrap();
    assert!(losses[59] < losses[0] - 0.5, "{losses:?}");
    let text = model.write("ROMEO:", 20).unwrap();
    assert!(text.starts_with("ROMEO:") && text.len() == 26);
}

#[test]
fn a_recurrent_network_learns_letters_and_writes() {
    let _alone = alone();
    manual_seed(0);
    let model = char_lstm::CharLstm::new(16, 32, 1).unwrap();
    let losses = char_lstm::train(&model, 60, 8, 16).unwrap();
    assert!(losses[59] < losses[0] - 0.5, "{losses:?}");
    let text = model.write("ROMEO:", 20).unwrap();
    assert!(text.starts_with("ROMEO:") && text.len() == 26);
}
