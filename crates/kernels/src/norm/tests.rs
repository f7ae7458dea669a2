use super::*;
use crate::dtype::DType;

fn noise(n: usize, salt: usize) -> Vec<f64> {
    (0..n).map(|i| (((i + salt) * 7919 + salt * 31) % 1009) as f64 / 300.0 - 1.5).collect()
}

/// Checks gradients of `f` for each of `inputs` against differences, given `sum(g y)` as the loss.
fn check(inputs: &[Vec<f64>], got: &[Vec<f64>], g: &[f64], f: impl Fn(&[Vec<f64>]) -> Vec<f64>) {
    let loss = |inputs: &[Vec<f64>]| f(inputs).iter().zip(g).map(|(y, g)| y * g).sum::<f64>();
    for (k, input) in inputs.iter().enumerate() {
        for i in 0..input.len() {
            let mut near = inputs.to_vec();
            near[k][i] += 1e-5;
            let above = loss(&near);
            near[k][i] -= 2e-5;
            let want = (above - loss(&near)) / 2e-5;
            assert!(
                (got[k][i] - want).abs() < 1e-5 * want.abs().max(1.0),
                "input {k} [{i}]: {} {want}",
                got[k][i]
            );
        }
    }
}

#[test]
fn layer_norm_and_its_gradients() {
    for (rows, n) in [(3, 5), (1, 70), (2, 33)] {
        let inputs = [noise(rows * n, 1), noise(n, 2), noise(n, 3)];
        let g = noise(rows * n, 4);
        let run = |v: &[Vec<f64>]| {
            let (mut y, mut mean, mut rstd) = (v[0].clone(), vec![0.0; rows], vec![0.0; rows]);
            layer_norm(n, 1e-5, &v[0], &v[1], &v[2], &mut y, &mut mean, &mut rstd);
            (y, mean, rstd)
        };
        let (y, mean, rstd) = run(&inputs);
        let first = (inputs[0][0] - mean[0]) * rstd[0] * inputs[1][0] + inputs[2][0];
        assert!((y[0] - first).abs() < 1e-12);
        let mut got = inputs.to_vec();
        let [gx, gw, gb] = &mut got[..] else { unreachable!() };
        layer_norm_backward(n, &g, &inputs[0], &mean, &rstd, &inputs[1], gx, gw, gb);
        check(&inputs, &got, &g, |v| run(v).0);
    }
}

#[test]
fn group_norm_and_its_gradients() {
    for (n, c, s, groups) in [(2, 4, 5, 2), (1, 3, 1, 3), (2, 6, 7, 1)] {
        let shape = GroupShape { n, c, s, groups };
        let inputs = [noise(n * c * s, 1), noise(c, 2), noise(c, 3)];
        let g = noise(n * c * s, 4);
        let run = |v: &[Vec<f64>]| {
            let (mut y, mut mean, mut rstd) = (v[0].clone(), vec![0.0; n * groups], vec![0.0; n * groups]);
            group_norm(shape, 1e-5, &v[0], &v[1], &v[2], &mut y, &mut mean, &mut rstd);
            (y, mean, rstd)
        };
        let (_, mean, rstd) = run(&inputs);
        let mut got = inputs.to_vec();
        let [gx, gw, gb] = &mut got[..] else { unreachable!() };
        group_norm_backward(shape, &g, &inputs[0], &mean, &rstd, &inputs[1], gx, gw, gb);
        check(&inputs, &got, &g, |v| run(v).0);
    }
}

#[test]
fn batch_norm_and_its_gradients() {
    for (n, c, s) in [(3, 2, 5), (7, 3, 1), (2, 1, 40)] {
        let shape = BatchShape { n, c, s };
        let inputs = [noise(n * c * s, 1), noise(c, 2), noise(c, 3)];
        let g = noise(n * c * s, 4);
        let run = |v: &[Vec<f64>], fixed: Option<&(Vec<f64>, Vec<f64>)>| {
            let (mut mean, mut var) = (vec![0.0; c], vec![0.0; c]);
            // SAFETY: `v[0]` has as many elements as the shape.
            unsafe {
                batch_statistics(shape, v[0].as_ptr().cast_mut().cast(), DType::F64, &mut mean, &mut var)
            };
            let mut rstd: Vec<f64> = var.iter().map(|v| 1.0 / (v + 1e-5).sqrt()).collect();
            if let Some(fixed) = fixed {
                (mean, rstd) = fixed.clone();
            }
            let scale: Vec<f64> = (0..c).map(|k| rstd[k] * v[1][k]).collect();
            let shift: Vec<f64> = (0..c).map(|k| v[2][k] - mean[k] * scale[k]).collect();
            let mut y = v[0].clone();
            batch_norm(shape, 0, &v[0], &scale, &shift, &mut y);
            (y, mean, rstd)
        };
        for train in [true, false] {
            let (_, mean, rstd) = run(&inputs, None);
            let fixed = (mean.clone(), rstd.clone());
            let mut got = inputs.to_vec();
            let [gx, gw, gb] = &mut got[..] else { unreachable!() };
            batch_norm_backward(shape, train, &g, &inputs[0], &mean, &rstd, &inputs[1], gx, gw, gb);
            check(&inputs, &got, &g, |v| run(v, (!train).then_some(&fixed)).0);
        }
    }
}

#[test]
fn rows_far_from_zero_keep_their_variance() {
    let x: Vec<f32> = noise(1000, 1).iter().map(|v| *v as f32 + 4096.0).collect();
    let (mut y, mut mean, mut rstd) = (x.clone(), [0.0], [0.0]);
    layer_norm(1000, 0.0, &x, &[], &[], &mut y, &mut mean, &mut rstd);
    let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / 1000.0;
    let var = x.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / 1000.0;
    assert!((f64::from(rstd[0]) * var.sqrt() - 1.0).abs() < 1e-6);
}
