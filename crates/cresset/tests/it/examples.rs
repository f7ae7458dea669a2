//! The examples do what they show, with fewer steps.

use cresset::prelude::*;

use crate::{alone, folder};

#[path = "../../../../examples/char_lstm.rs"]
pub mod char_lstm;
#[path = "../../../../examples/checkpointing.rs"]
mod checkpointing;
#[path = "../../../../examples/cifar.rs"]
mod cifar;
#[path = "../../../../examples/cnn_to_rnn.rs"]
mod cnn_to_rnn;
#[path = "../../../../examples/ctc.rs"]
mod ctc;
#[path = "../../../../examples/early_stopping.rs"]
mod early_stopping;
#[path = "../../../../examples/gpt.rs"]
pub mod gpt;
#[path = "../../../../examples/gradient_accumulation.rs"]
mod gradient_accumulation;
#[path = "../../../../examples/word_vectors.rs"]
mod word_vectors;

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

#[test]
fn word_vectors_change_only_for_words_that_were_seen() {
    let _alone = alone();
    manual_seed(0);
    let (text, words) = word_vectors::words(300).unwrap();
    let model = word_vectors::WordVectors::new(words.len() as i64 + 3, 8).unwrap();
    let start = model.centre.weight.detach().clone_tensor().unwrap();
    let losses = word_vectors::train(&model, &text, 120, 64).unwrap();
    assert!(losses[119] < 0.6 * losses[0], "{losses:?}");
    let same = model.centre.weight.eq(&start).unwrap().all_dim(1).unwrap().to_vec::<bool>().unwrap();
    assert!(!same[0] && same[301] && same[302]);
}

#[test]
fn labels_are_learnt_without_their_places() {
    let _alone = alone();
    manual_seed(0);
    let model = ctc::Listener::new(16).unwrap();
    let losses = ctc::train(&model, 120, 16).unwrap();
    assert!(losses[119] < 0.3 * losses[0], "{losses:?}");
    assert!(ctc::accuracy(&model, 50).unwrap() > 0.5);
}

#[test]
fn features_of_frames_are_read_in_order() {
    let _alone = alone();
    manual_seed(0);
    let right = cnn_to_rnn::train(&cnn_to_rnn::Watcher::new().unwrap(), 60, 16).unwrap();
    assert!(right > 0.6, "{right}");
}

/// Noisy pictures: in class 0 the left half is bright, in class 1 the upper half.
fn pictures(folder: &std::path::Path, each: u32) {
    let side = cifar::SIDE as u32;
    for class in 0..2 {
        std::fs::create_dir_all(folder.join(class.to_string())).unwrap();
        for n in 0..each {
            let picture = image::RgbImage::from_fn(side, side, |x, y| {
                let bright = if class == 0 { x < side / 2 } else { y < side / 2 };
                let noise = x.wrapping_mul(37) ^ y.wrapping_mul(101) ^ n.wrapping_mul(7919);
                image::Rgb([if bright { 150 } else { 70 } + (noise % 60) as u8; 3])
            });
            picture.save(folder.join(format!("{class}/{n:04}.jpg"))).unwrap();
        }
    }
}

#[test]
fn a_convolutional_network_learns_from_jpeg_files() {
    let _alone = alone();
    let folder = folder();
    pictures(&folder.path().join("train"), 24);
    pictures(&folder.path().join("test"), 8);
    manual_seed(0);
    let known = cifar::Pictures::read(&folder.path().join("train")).unwrap();
    let unknown = cifar::Pictures::read(&folder.path().join("test")).unwrap();
    let model = cifar::network(4, 2).unwrap();
    let losses = cifar::train(&model, &known, 4, 8).unwrap();
    assert!(losses[3] < losses[0], "{losses:?}");
    assert!(cifar::accuracy(&model, &unknown).unwrap() > 0.8);
    let error = cifar::Pictures::read(&folder.path().join("none")).err().unwrap();
    assert!(error.message().contains("none: "), "{error}");
}
