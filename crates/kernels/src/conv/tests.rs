use super::*;

fn numbers(n: usize, seed: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729 + 13) / 7 % 9) as f64 - 4.0).collect()
}

/// Calls `f` with the indices into input, weight and output of every product of the convolution.
fn products_of(c: &Conv, mut f: impl FnMut(usize, usize, usize)) {
    let (og, ig) = (c.out_channels / c.groups, c.in_channels / c.groups);
    let index = |[z, y, x]: [usize; 3], [_, h, w]: [usize; 3]| (z * h + y) * w + x;
    let all = |[d, h, w]: [usize; 3]| (0..d * h * w).map(move |i| [i / (h * w), i / w % h, i % w]);
    for (n, o) in (0..c.batch * c.out_channels).map(|i| (i / c.out_channels, i % c.out_channels)) {
        for (out, i, k) in
            all(c.output).flat_map(|o| (0..ig).flat_map(move |i| all(c.kernel).map(move |k| (o, i, k))))
        {
            let at =
                [0, 1, 2].map(|d| (out[d] * c.stride[d] + k[d] * c.dilation[d]).wrapping_sub(c.padding[d]));
            if (0..3).all(|d| at[d] < c.input[d]) {
                let channel = n * c.in_channels + o / og * ig + i;
                f(
                    channel * c.input.iter().product::<usize>() + index(at, c.input),
                    (o * ig + i) * c.kernel.iter().product::<usize>() + index(k, c.kernel),
                    (n * c.out_channels + o) * c.output.iter().product::<usize>() + index(out, c.output),
                );
            }
        }
    }
}

fn conv(
    batch: usize,
    [i, o, groups]: [usize; 3],
    input: [usize; 3],
    kernel: [usize; 3],
    other: [[usize; 3]; 3],
) -> Conv {
    let [stride, padding, dilation] = other;
    let output = [0, 1, 2].map(|d| {
        Conv::output_extent(input[d], kernel[d], stride[d], padding[d], dilation[d]).expect("the kernel fits")
    });
    Conv { batch, groups, in_channels: i, out_channels: o, input, output, kernel, stride, padding, dilation }
}

fn check(c: Conv) {
    let (i, w, o) = c.sizes();
    let (input, weight, grad, bias) =
        (numbers(i, 1), numbers(w, 2), numbers(o, 3), numbers(c.out_channels, 4));
    let plane: usize = c.output.iter().product();
    let mut out: Vec<f64> = (0..o).map(|p| bias[p / plane % c.out_channels]).collect();
    let (mut d_input, mut d_weight) = (vec![0.0; i], vec![0.0; w]);
    products_of(&c, |i, w, o| {
        out[o] += input[i] * weight[w];
        d_input[i] += grad[o] * weight[w];
        d_weight[w] += grad[o] * input[i];
    });
    let (mut a, mut b, mut d) = (vec![9.0; o], vec![9.0; i], vec![9.0; w]);
    c.forward(&input, &weight, Some(&bias), &mut a);
    c.backward_input(&grad, &weight, None, &mut b);
    c.backward_weight(&grad, &input, &mut d);
    assert!(a == out, "forward of {c:?}");
    assert!(b == d_input, "gradient of the input of {c:?}");
    assert!(d == d_weight, "gradient of the weight of {c:?}");
    let single = |x: &[f64]| -> Vec<f32> { x.iter().map(|x| *x as f32).collect() };
    let mut a = vec![9.0; o];
    c.forward(&single(&input), &single(&weight), Some(&single(&bias)), &mut a);
    assert!(a == single(&out), "forward in f32 of {c:?}");
    let ints = |x: &[f64]| -> Vec<i64> { x.iter().map(|x| *x as i64).collect() };
    let (mut shifted, each) = (vec![9.0; i], numbers(c.in_channels, 5));
    c.backward_input(&grad, &weight, Some(&each), &mut shifted);
    let plane: usize = c.input.iter().product();
    assert!(
        (0..i).all(|p| shifted[p] == b[p] + each[p / plane % c.in_channels]),
        "transposed form with a bias of {c:?}"
    );
    let (mut a, mut b, mut d) = (vec![9; o], vec![9; i], vec![9; w]);
    c.forward_general(&ints(&input), &ints(&weight), Some(&ints(&bias)), &mut a);
    c.backward_input_general(&ints(&grad), &ints(&weight), None, &mut b);
    c.backward_weight_general(&ints(&grad), &ints(&input), &mut d);
    assert!(a == ints(&out) && b == ints(&d_input) && d == ints(&d_weight), "in i64 of {c:?}");
}

const ONE: [usize; 3] = [1; 3];
const NONE: [usize; 3] = [0; 3];

#[test]
fn convolutions_and_their_gradients_equal_the_definition() {
    let plain = [ONE, NONE, ONE];
    check(conv(2, [3, 5, 1], [1, 9, 11], [1, 3, 3], plain));
    check(conv(3, [4, 10, 2], [1, 12, 7], [1, 3, 2], [[1, 2, 3], [0, 1, 1], [1, 1, 2]]));
    check(conv(1, [2, 3, 1], [5, 6, 7], [2, 3, 4], [[2, 1, 3], [1, 0, 2], [1, 2, 1]]));
    check(conv(2, [3, 2, 1], [1, 1, 30], [1, 1, 5], [[1, 1, 4], [0, 0, 3], ONE]));
    check(conv(2, [8, 17, 1], [1, 6, 6], ONE, plain));
    check(conv(1, [3, 2, 1], [1, 6, 6], ONE, [[1, 3, 3], [0, 1, 1], ONE]));
    check(conv(20, [1, 3, 1], [1, 8, 9], [1, 3, 3], plain));
    check(conv(1, [2, 9, 1], [1, 30, 40], [1, 3, 3], [ONE, [0, 1, 1], ONE]));
    check(conv(1, [2, 2, 1], [1, 5, 5], [1, 2, 2], [[1, 4, 4], NONE, ONE]));
    check(conv(2, [3, 2, 1], [1, 16, 32], ONE, [ONE, NONE, ONE]));
    check(conv(2, [4, 6, 2], [1, 40, 44], [1, 3, 5], [ONE, [0, 2, 1], [1, 2, 1]]));
    check(conv(1, [2, 3, 1], [1, 70, 80], [1, 4, 4], [[1, 2, 2], [0, 1, 1], ONE]));
    check(conv(5, [4, 6, 2], [1, 7, 7], [1, 7, 7], plain));
    check(conv(2, [2, 3, 1], [3, 4, 5], [3, 5, 5], [[1, 2, 1], [0, 1, 2], ONE]));
    check(conv(1, [2, 1, 1], [3, 40, 50], [2, 1, 3], [ONE, [0, 0, 1], ONE]));
}

#[test]
fn registers_full_of_channels_equal_the_definition() {
    let plain = [ONE, NONE, ONE];
    let padded = [ONE, [0, 1, 1], ONE];
    // Few pixels and many channels: a panel at a time. The others are cut into bands of rows, slices or columns.
    check(conv(3, [16, 208, 1], [1, 5, 7], [1, 3, 3], padded));
    check(conv(1, [64, 16, 1], [1, 7, 7], [1, 3, 3], [[1, 2, 2], [0, 1, 1], ONE]));
    check(conv(2, [16, 80, 1], [1, 23, 21], [1, 3, 3], padded));
    check(conv(19, [32, 64, 2], [1, 13, 30], [1, 4, 4], [[1, 2, 2], [0, 1, 1], ONE]));
    check(conv(2, [16, 16, 1], [5, 12, 14], [3, 2, 3], [[1, 2, 1], [1, 0, 2], [1, 1, 2]]));
    check(conv(2, [16, 31, 1], [1, 1, 2000], [1, 1, 5], [[1, 1, 3], NONE, ONE]));
    check(conv(2, [16, 32, 1], [1, 9, 9], ONE, [[1, 2, 2], NONE, ONE]));
    check(conv(1, [16, 16, 1], [1, 1, 9], [1, 1, 2], [[1, 1, 4], [0, 0, 1], ONE]));
    check(conv(1, [80, 16, 1], [1, 6, 6], [1, 5, 5], plain));
    // A window would be mostly zeros.
    let far = [1, 100_000, 100_000];
    check(conv(1, [16, 16, 1], [1, 4, 4], [1, 3, 3], [ONE, [0, 100_000, 100_000], far]));
    check(conv(40, [16, 16, 1], [1, 4, 4], [1, 3, 3], [ONE, [0, 100_000, 100_000], far]));
}

#[test]
fn groups_of_one_channel_equal_the_definition() {
    check(conv(2, [6, 6, 6], [1, 9, 40], [1, 3, 3], [ONE, [0, 1, 1], ONE]));
    check(conv(2, [3, 6, 3], [1, 9, 11], [1, 3, 5], [[1, 2, 3], [0, 1, 2], [1, 1, 2]]));
    check(conv(1, [3, 3, 3], [5, 6, 20], [2, 3, 4], [[2, 1, 2], [1, 0, 1], [1, 2, 1]]));
    check(conv(1, [2, 2, 2], [1, 4, 70], [1, 1, 2], [[1, 1, 3], NONE, ONE]));
    check(conv(1, [2, 2, 2], [1, 7, 7], [1, 1, 1], [[1, 2, 2], [0, 2, 2], ONE]));
}

#[test]
fn empty_batches_give_empty_outputs_and_zero_gradients() {
    check(conv(0, [3, 5, 1], [1, 9, 11], [1, 3, 3], [ONE, NONE, ONE]));
    check(conv(0, [3, 5, 1], [1, 7, 7], [1, 7, 7], [ONE, NONE, ONE]));
    check(conv(0, [16, 256, 1], [1, 7, 7], [1, 3, 3], [ONE, NONE, ONE]));
}
