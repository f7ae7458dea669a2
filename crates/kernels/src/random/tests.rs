//! Expected numbers are PyTorch 2.15's under the same seed.

use super::*;
use crate::dtype::{bf16, f16};

fn filled<T: Copy>(seed: u64, zero: T, len: usize, fill: impl Fn(&mut Mt19937, &mut [T])) -> Vec<T> {
    let mut out = vec![zero; len];
    fill(&mut Mt19937::new(seed), &mut out);
    out
}

#[test]
fn normal_in_blocks_is_exact() {
    let values = filled(0, 0.0_f32, 20, |g, out| normal(g, out, 0.0, 1.0));
    let at = |i: usize| values[i].to_bits();
    // The first four elements come from the first block, the others from the block drawn anew at the end.
    assert_eq!([at(0), at(1)], [0xbf90_1b85, 0xbf93_808a]);
    assert_eq!([at(8), at(15), at(16), at(19)], [0x3eef_aa55, 0xbf57_fb33, 0x3f6e_8c30, 0x3d5c_1b3a]);
}

#[test]
fn few_normals_come_one_by_one_and_the_spare_is_kept() {
    let mut engine = Mt19937::new(0);
    let mut out = [0.0_f32; 3];
    normal(&mut engine, &mut out, 0.0, 1.0);
    assert_eq!(out.map(|v| (v * 1e4).round()), [15410.0, -2934.0, -21788.0]);
    assert_eq!((engine.normal() * 1e4).round(), 5684.0);
}

#[test]
fn normal_does_not_depend_on_threads() {
    let draw = || filled(3, 0.0_f32, 200_001, |g, out| normal(g, out, 1.0, 2.0));
    let many = draw();
    crate::parallel::set_num_threads(1);
    let one = draw();
    crate::parallel::set_num_threads(0);
    assert_eq!(many, one);
}

#[test]
fn halves_are_the_rounded_single_precision_numbers_of_whole_blocks() {
    let wide = filled(5, 0.0_f32, 64, |g, out| normal(g, out, 0.0, 1.0));
    let half = filled(5, f16::ZERO, 64, |g, out| normal(g, out, 0.0, 1.0));
    let brain = filled(5, bf16::ZERO, 64, |g, out| normal(g, out, 0.0, 1.0));
    for i in 0..64 {
        assert_eq!(half[i], f16::from_f32(wide[i]));
        assert_eq!(brain[i], bf16::from_f32(wide[i]));
    }
}

#[test]
fn uniform_is_exact_and_never_reaches_its_end() {
    let mut engine = Mt19937::new(7);
    let mut single = [0.0_f32; 3];
    uniform(&mut engine, &mut single, 0.0, 1.0);
    assert_eq!(single.map(f32::to_bits), [0x3f08_f0af, 0x3e4b_9310, 0x3f28_c219]);
    let mut double = [0.0_f64; 2];
    uniform(&mut engine, &mut double, 0.0, 1.0);
    assert_eq!(double, [0.2551223938032269, 0.40049158261546125]);
    let coarse = filled(1, bf16::ZERO, 5000, |g, out| uniform(g, out, 1.0, 2.0));
    assert!(coarse.iter().all(|v| v.to_f32() < 2.0));
}

#[test]
fn integers_and_permutations_are_exact() {
    let mut engine = Mt19937::new(1);
    let mut permutation = [0_i64; 10];
    randperm(&mut engine, &mut permutation);
    assert_eq!(permutation, [5, 6, 1, 2, 0, 8, 9, 3, 7, 4]);
    let mut small = [0_i64; 5];
    random_from(&mut engine, &mut small, 100, 0);
    assert_eq!(small, [32, 48, 49, 16, 43]);
    let mut large = [0_i64; 2];
    random_from(&mut engine, &mut large, (1 << 40) + 5, -5);
    assert_eq!(large, [1020754798757, 579510444115]);
}

#[test]
fn full_range_draws_follow_the_type() {
    fn next<T: FromDraw>(engine: &mut Mt19937) -> T {
        let mut out = [T::from_draw(0)];
        random(engine, &mut out);
        out[0]
    }
    let engine = &mut Mt19937::new(1);
    assert!(next::<bool>(engine));
    assert_eq!((next::<u8>(engine), next::<i16>(engine)), (235, 12172));
    assert_eq!((next::<i32>(engine), next::<i64>(engine)), (1857819720, 2109959069025161));
    assert_eq!((next::<f16>(engine).to_f32(), next::<bf16>(engine).to_f32()), (1868.0, 41.0));
    assert_eq!((next::<f32>(engine), next::<f64>(engine)), (9554730.0, 4595684122787501.0));
}

#[test]
fn continuous_distributions_agree() {
    let mut engine = Mt19937::new(1);
    let mut three = [0.0_f32; 3];
    exponential(&mut engine, &mut three, 2.0);
    let mut throws = [0_i32; 4];
    geometric(&mut engine, &mut throws, 0.3);
    assert_eq!(throws, [5, 2, 7, 3]);
    let (mut heavy, mut skewed) = ([0.0_f64; 2], [0.0_f64; 2]);
    cauchy(&mut engine, &mut heavy, 1.0, 2.0);
    log_normal(&mut engine, &mut skewed, 1.0, 2.0);
    let got = [f64::from(three[0]), f64::from(three[1]), heavy[0], heavy[1], skewed[0], skewed[1]];
    let want = [0.0314982682, 0.1271587908, 2.5349729061, 1.5120145082, 0.2491627634, 2.857783556];
    assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-6 * w), "{got:?}");
}

#[test]
fn throws_and_counts_are_exact() {
    let mut engine = Mt19937::new(1);
    let mut flags = [0_u8; 8];
    bernoulli(&mut engine, &mut flags, 0.4, 0, 1);
    assert_eq!(flags, [1, 1, 1, 1, 0, 1, 0, 0]);
    bernoulli_each(&mut engine, &mut flags, &[0.4; 8]);
    assert_eq!(flags, [0, 0, 0, 0, 1, 1, 0, 1]);
    let mut engine = Mt19937::new(1);
    assert_eq!([0.5, 3.0, 20.0, 100.0].map(|rate| poisson(&mut engine, rate)), [0, 2, 21, 99]);
    let counts = [0.1, 0.4, 0.7, 0.95].map(|p| binomial_f32(&mut engine, 50.0, p));
    assert_eq!(counts, [6.0, 15.0, 38.0, 44.0]);
    let shapes = [0.3, 1.5, 9.0].map(|alpha| f64::from(standard_gamma_f32(&mut engine, alpha)));
    assert_eq!(shapes, [2.1934309005737305, 0.9814693927764893, 4.925071716308594]);
}

#[test]
fn weighted_indices_are_exact_and_bad_weights_are_named() {
    let mut sums = [0.0_f32; 4];
    cumulative_from_weights(&[1.0, 0.0, 3.0, 6.0], &mut sums).expect("weights are fine");
    let indices = filled(1, 0, 8, |g, out| sample_cumulative(g, &sums, out));
    assert_eq!(indices, [0, 2, 2, 2, 3, 2, 3, 3]);
    for (bad, part) in [([1.0, -1.0], "< 0"), ([1.0, f32::INFINITY], "infinity"), ([0.0, 0.0], "sum")] {
        assert!(cumulative_from_weights(&bad, &mut sums[..2]).is_err_and(|text| text.contains(part)));
    }
}

#[test]
fn state_has_pytorchs_bytes_and_restores() {
    let mut engine = Mt19937::new(1);
    normal(&mut engine, &mut [0.0_f32; 3], 0.0, 1.0);
    normal(&mut engine, &mut [0.0_f32; 5000], 0.0, 1.0);
    let state = engine.state();
    assert_eq!(state[8..28], [81, 2, 0, 0, 1, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0, 120, 230, 249, 121]);
    assert_eq!(state[5024..5044], [1, 139, 228, 224, 212, 225, 227, 63, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    let mut restored = Mt19937::from_state(&state).expect("a state of its own");
    assert_eq!(restored, engine);
    let mut out = [0.0_f32; 2];
    normal(&mut restored, &mut out, 0.0, 1.0);
    assert!((out[0] - 0.6213173).abs() < 1e-6 && (out[1] + 0.3595969).abs() < 1e-6, "{out:?}");
}

#[test]
fn states_that_do_not_fit_are_refused() {
    assert_eq!(Mt19937::from_state(&[0; 12]), Err(StateError::Size(12)));
    assert_eq!(Mt19937::from_state(&[0; STATE_BYTES]), Err(StateError::Invalid));
    let mut state = Mt19937::new(0).state();
    state[16] = 200;
    state[17] = 200;
    assert_eq!(Mt19937::from_state(&state), Err(StateError::Invalid));
}
