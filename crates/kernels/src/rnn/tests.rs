//! Gradients against differences, for sequences of different lengths in both directions.

use super::{Gradients, Mode, Recurrence};

fn noise(n: usize, seed: usize) -> Vec<f64> {
    (0..n).map(|i| (((i + seed) * 7919 + 13) % 1009) as f64 / 500.0 - 1.0).collect()
}

/// The sum of states and cells times fixed weights.
fn objective(layer: &Recurrence<f64>, gates: &[f64], hx: &[f64], cx: &[f64]) -> (f64, Vec<f64>) {
    let len = layer.rows() * layer.size;
    let cells = if layer.mode == Mode::Lstm { len } else { 0 };
    let (mut out, mut cell, mut work) = (vec![0.0; len], vec![0.0; cells], vec![0.0; layer.work_len()]);
    layer.forward(gates, [hx, cx], &mut out, &mut cell, &mut work);
    let weigh = |x: &[f64], seed| x.iter().zip(noise(x.len(), seed)).map(|(x, w)| x * w).sum::<f64>();
    (weigh(&out, 1) + weigh(&cell, 2), work)
}

#[test]
fn gradients_are_the_differences() {
    let (size, batch_sizes) = (5, [19_i64, 19, 7, 2]);
    for (mode, reverse) in [(Mode::Lstm, false), (Mode::Lstm, true), (Mode::Gru, true), (Mode::Tanh, false)] {
        let n = mode.gates() * size;
        let (weight, bias) = (noise(n * size, 3), noise(n, 4));
        let layer =
            Recurrence { mode, size, batch_sizes: &batch_sizes, reverse, weight: &weight, bias: &bias };
        let (gates, hx, cx) = (noise(47 * n, 5), noise(19 * size, 6), noise(19 * size, 7));
        let (_, work) = objective(&layer, &gates, &hx, &cx);
        let hidden_len = if mode == Mode::Gru { gates.len() } else { 0 };
        let (mut g, mut hidden) = (vec![9.0; gates.len()], vec![9.0; hidden_len]);
        let (mut g_hx, mut g_cx) = (vec![9.0; hx.len()], vec![9.0; hx.len()]);
        let to = Gradients { gates: &mut g, hidden: &mut hidden, hx: &mut g_hx, cx: &mut g_cx };
        let cells = if mode == Mode::Lstm { noise(47 * size, 2) } else { Vec::new() };
        layer.backward(&noise(47 * size, 1), &cells, &work, to);
        let check = |got: f64, with: &dyn Fn(f64) -> f64| {
            let slope = (with(1e-5) - with(-1e-5)) / 2e-5;
            assert!((got - slope).abs() < 1e-7, "{mode:?} {reverse}: {got} {slope}");
        };
        for at in [0, 17, gates.len() - 1, gates.len() / 2] {
            let moved = |by| {
                gates.iter().enumerate().map(|(i, x)| if i == at { x + by } else { *x }).collect::<Vec<_>>()
            };
            check(g[at], &|by| objective(&layer, &moved(by), &hx, &cx).0);
        }
        for at in [0, 33, hx.len() - 1] {
            let moved = |x: &[f64], by| {
                x.iter().enumerate().map(|(i, x)| if i == at { x + by } else { *x }).collect::<Vec<_>>()
            };
            check(g_hx[at], &|by| objective(&layer, &gates, &moved(&hx, by), &cx).0);
            if mode == Mode::Lstm {
                check(g_cx[at], &|by| objective(&layer, &gates, &hx, &moved(&cx, by)).0);
            }
        }
    }
}
