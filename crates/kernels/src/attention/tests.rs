//! Against the definition, in double precision.

use super::backward::Saved;
use super::{Attention, Grid, Stored};

const SIZES: (usize, usize, usize, usize) = (2, 70, 150, 9);

fn noise(n: usize, seed: usize) -> Vec<f64> {
    (0..n).map(|i| (((i + seed) * 7919 + 13) % 1009) as f64 / 500.0 - 1.0).collect()
}

fn grid(x: &mut [f64], rows: usize, columns: usize) -> Grid<f64> {
    let head = (rows * columns) as isize;
    Grid { ptr: x.as_mut_ptr(), strides: [2 * head, head, columns as isize, 1] }
}

/// Output and the sum of `g` times it, for the gradient by differences.
fn reference(causal: bool, mask: &[f64], [q, k, v]: [&[f64]; 3]) -> Vec<f64> {
    let (heads, n, m, d) = SIZES;
    let mut out = vec![0.0; heads * n * d];
    for (h, i) in (0..heads).flat_map(|h| (0..n).map(move |i| (h, i))) {
        let score = |j: usize| {
            let dot: f64 = (0..d).map(|c| q[(h * n + i) * d + c] * k[(h * m + j) * d + c]).sum();
            if causal && j > i { f64::NEG_INFINITY } else { 0.5 * dot + mask[i * m + j] }
        };
        let e: Vec<f64> = (0..m).map(|j| score(j).exp()).collect();
        let sum: f64 = e.iter().sum();
        for c in 0..d {
            out[(h * n + i) * d + c] = (0..m).map(|j| e[j] / sum * v[(h * m + j) * d + c]).sum();
        }
    }
    out
}

#[test]
fn agrees_with_the_definition_and_its_differences() {
    let (heads, n, m, d) = SIZES;
    let (mut q, mut k, mut v) = (noise(heads * n * d, 1), noise(heads * m * d, 5), noise(heads * m * d, 9));
    let (mut mask, mut g) = (noise(n * m, 3), noise(heads * n * d, 4));
    for causal in [false, true] {
        let call = Attention {
            batch: 1,
            heads,
            kv_heads: heads,
            queries: n,
            keys: m,
            width: d,
            scale: 0.5,
            causal,
            mask: Some(Grid { ptr: mask.as_mut_ptr(), strides: [0, 0, m as isize, 1] }),
        };
        let (mut out, mut log) = (vec![9.0; heads * n * d], vec![9.0; heads * n]);
        let inputs = [grid(&mut q, n, d), grid(&mut k, m, d), grid(&mut v, m, d)];
        let (o, logsumexp) = (grid(&mut out, n, d), grid(&mut log, n, 1));
        // SAFETY: the grids have the sizes of the call.
        unsafe { Stored::forward(&call, inputs, o, logsumexp) };
        let want = reference(causal, &mask, [&q, &k, &v]);
        assert!(out.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-12));

        let mut grads = [vec![9.0; heads * n * d], vec![9.0; heads * m * d], vec![9.0; heads * m * d]];
        let saved = Saved { grad: grid(&mut g, n, d), inputs, out: o, logsumexp };
        let [gq, gk, gv] = &mut grads;
        let results = [grid(gq, n, d), grid(gk, m, d), grid(gv, m, d)];
        // SAFETY: as above.
        unsafe { Stored::backward(&call, saved, results) };
        for (which, at) in [(0, 0), (0, 700), (1, 3), (1, 1400), (2, 17), (2, 1300)] {
            let shifted = |by: f64| {
                let mut all = [q.clone(), k.clone(), v.clone()];
                all[which][at] += by;
                let out = reference(causal, &mask, [&all[0], &all[1], &all[2]]);
                out.iter().zip(&g).map(|(o, g)| o * g).sum::<f64>()
            };
            let slope = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
            assert!((grads[which][at] - slope).abs() < 1e-7, "{which} {at}: {} {slope}", grads[which][at]);
        }
    }
}
