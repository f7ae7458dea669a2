use super::*;

fn noise(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + 13) % 101) as f32 - 50.0).collect()
}

fn cases() -> Vec<Windows> {
    let mut all = Vec::new();
    for (input, kernel, stride, padding, dilation) in [
        ([1, 6, 8], [1, 2, 2], [1, 2, 2], [0, 0, 0], [1, 1, 1]),
        ([1, 7, 9], [1, 3, 3], [1, 2, 2], [0, 1, 1], [1, 1, 1]),
        ([5, 7, 9], [3, 2, 3], [2, 1, 3], [1, 1, 1], [1, 1, 1]),
        ([1, 1, 20], [1, 1, 4], [1, 1, 3], [0, 0, 2], [1, 1, 1]),
        ([1, 9, 11], [1, 2, 3], [1, 1, 1], [0, 1, 1], [1, 3, 4]),
        ([1, 1, 5], [1, 1, 5], [1, 1, 5], [0, 0, 2], [1, 1, 1]),
    ] {
        let size = |a: usize| (input[a] + 2 * padding[a] - dilation[a] * (kernel[a] - 1) - 1) / stride[a] + 1;
        let mut windows = Windows { input, output: [0, 1, 2].map(size), kernel, stride, padding, dilation };
        all.push(windows);
        // One more window along the row, as `ceil_mode` may ask for.
        if windows.output[2] * stride[2] < input[2] + padding[2] {
            windows.output[2] += 1;
            all.push(windows);
        }
    }
    all
}

/// Indices inside the plane of window `[d, h, w]`.
fn members(windows: &Windows, o: [usize; 3]) -> Vec<usize> {
    let mut all = Vec::new();
    for kd in 0..windows.kernel[0] {
        for kh in 0..windows.kernel[1] {
            for kw in 0..windows.kernel[2] {
                let at = [kd, kh, kw];
                let inside: Option<Vec<usize>> = (0..3).map(|a| windows.at(a, o[a], at[a])).collect();
                if let Some(i) = inside {
                    all.push((i[0] * windows.input[1] + i[1]) * windows.input[2] + i[2]);
                }
            }
        }
    }
    all
}

#[test]
fn max_pool_finds_the_first_largest() {
    for windows in cases() {
        let (plane, results) = (windows.plane(), windows.results());
        let mut x = noise(2 * plane);
        x[plane / 2] = f32::NAN;
        x[plane..].iter_mut().take(4).for_each(|v| *v = f32::NEG_INFINITY);
        let (mut y, mut at) = (vec![0.0; 2 * results], vec![0; 2 * results]);
        max_pool(&windows, &x, &mut y, &mut at);
        let [_, oh, ow] = windows.output;
        for p in 0..2 {
            for o in 0..results {
                let members = members(&windows, [o / (oh * ow), o / ow % oh, o % ow]);
                let x = &x[p * plane..];
                let mut best = members[0];
                for i in members {
                    if x[i] > x[best] || x[i].is_nan() {
                        best = i;
                    }
                }
                assert_eq!(at[p * results + o], best as i64, "{windows:?} {o}");
                assert_eq!(y[p * results + o].to_bits(), x[best].to_bits());
            }
        }
        let mut gx = vec![0.0; 2 * plane];
        scatter_gradient(plane, results, &vec![1.0_f32; 2 * results], &at, &mut gx);
        assert_eq!(gx.iter().sum::<f32>(), 2.0 * results as f32);
    }
}

#[test]
fn average_pool_and_its_gradient_are_transposes() {
    for windows in cases().into_iter().filter(|w| w.dilation == [1; 3]) {
        for (count_padding, divisor) in [(true, None), (false, None), (true, Some(3))] {
            let average = Average { count_padding, divisor };
            let (plane, results) = (windows.plane(), windows.results());
            let (x, g) = (noise(2 * plane), noise(2 * results));
            let (mut y, mut gx) = (vec![0.0; 2 * results], vec![0.0; 2 * plane]);
            average_pool(&windows, average, &x, &mut y);
            average_pool_backward(&windows, average, &g, &mut gx);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            assert!((dot(&x, &gx) - dot(&y, &g)).abs() < 1e-1, "{windows:?}");
            let first = members(&windows, [0; 3]);
            let count = if count_padding { windows.kernel.iter().product() } else { first.len() };
            let want = first.iter().map(|i| x[*i]).sum::<f32>() / divisor.map_or(count as f32, |d| d as f32);
            assert!((y[0] - want).abs() < 1e-4);
        }
    }
}

#[test]
fn adaptive_windows_cover_the_plane() {
    let (input, output) = ([1, 5, 7], [1, 3, 2]);
    let x = noise(2 * 35);
    let (mut y, mut gx) = (vec![0.0; 12], vec![0.0; 70]);
    adaptive_average(input, output, &x, &mut y);
    assert!((y[0] - [0, 1, 2, 3, 7, 8, 9, 10].map(|i| x[i]).iter().sum::<f32>() / 8.0).abs() < 1e-5);
    adaptive_average_backward(input, output, &[1.0; 12], &mut gx);
    assert!((gx.iter().sum::<f32>() - 12.0).abs() < 1e-5);
    let mut at = vec![0; 12];
    adaptive_max(input, output, &x, &mut y, &mut at);
    for o in 0..12 {
        assert_eq!(y[o], x[o / 6 * 35 + at[o] as usize]);
    }
}
