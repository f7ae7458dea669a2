use super::*;
use crate::dtype::DType;

fn scale(input: usize, output: usize) -> Scale {
    Scale { input, output, align_corners: false, factor: None }
}

fn run(taps: &[Taps<f32>; 3], planes: Planes, x: &[f32]) -> Vec<f32> {
    let n = taps.iter().map(Taps::outputs).product::<usize>() * planes.batch * planes.inner;
    let mut y = vec![0.0; n];
    // SAFETY: the slices have the sizes that the taps say.
    unsafe { resample(taps, planes, DType::F32, x.as_ptr().cast(), y.as_mut_ptr().cast()) };
    y
}

#[test]
fn linear_by_two_has_quarters() {
    let taps = [Taps::identity(1), Taps::identity(1), Taps::linear(scale(2, 4))];
    assert_eq!(run(&taps, Planes { batch: 1, inner: 1 }, &[0.0, 4.0]), [0.0, 1.0, 3.0, 4.0]);
}

#[test]
fn nearest_repeats() {
    let taps: [Taps<f32>; 3] =
        [Taps::identity(1), Taps::nearest(scale(1, 2), false, true), Taps::nearest(scale(2, 3), true, false)];
    let (x, mut y) = ([1_u16, 2], [0_u16; 6]);
    // SAFETY: the arrays have the sizes that the taps say.
    unsafe { pick(&taps, Planes { batch: 1, inner: 1 }, 2, x.as_ptr().cast(), y.as_mut_ptr().cast()) };
    assert_eq!(y, [1, 2, 2, 1, 2, 2]);
}

#[test]
fn transposed_taps_give_the_gradient() {
    for taps in [Taps::<f64>::cubic(scale(5, 7)), Taps::antialiased(scale(9, 4), Filter::Lanczos)] {
        let back = taps.transposed();
        for o in 0..taps.outputs() {
            for i in 0..taps.inputs as u32 {
                let sum = |t: &Taps<f64>, row: usize, column: u32| -> f64 {
                    let (index, weight) = t.at(row);
                    index.iter().zip(weight).filter(|(i, _)| **i == column).map(|(_, w)| w).sum()
                };
                assert_eq!(sum(&taps, o, i), sum(&back, i as usize, o as u32));
            }
        }
    }
}

#[test]
fn channels_last_is_the_same() {
    let taps: [Taps<f32>; 3] =
        [Taps::linear(scale(2, 3)), Taps::cubic(scale(3, 2)), Taps::antialiased(scale(5, 3), Filter::Linear)];
    let (input, output) = (2 * 3 * 5, 3 * 2 * 3);
    let x: Vec<f32> = (0..2 * input).map(|i| (i * i % 37) as f32).collect();
    let last: Vec<f32> = (0..2 * input).map(|i| x[i % 2 * input + i / 2]).collect();
    let first = run(&taps, Planes { batch: 2, inner: 1 }, &x);
    let second = run(&taps, Planes { batch: 1, inner: 2 }, &last);
    for (i, y) in second.iter().enumerate() {
        assert!((y - first[i % 2 * output + i / 2]).abs() < 1e-4);
    }
}

#[test]
fn bytes_keep_constants() {
    let taps = [Taps::antialiased(scale(6, 4), Filter::Cubic), Taps::linear(scale(4, 9))];
    let mut y = [0; 36];
    resample_bytes([&taps[0], &taps[1]], Planes { batch: 1, inner: 1 }, &[200; 24], &mut y);
    assert_eq!(y, [200; 36]);
}
