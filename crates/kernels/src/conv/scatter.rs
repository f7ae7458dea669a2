//! The gradient of the input by patches: that of each output pixel is computed whole and added where it lies.
//!
//! Gathering meets each input through all taps, also those whose output pixel does not exist. Where a large kernel stands
//! on a small image, as in the first layer of a generator, that is nearly all of them. And what it packs for an input it
//! uses for each channel once: of few channels, as in a generator's last layer, packing is all that it does.

use super::axis::{Axis, Field};
use super::patches::Patches;
use super::{Conv, OWN_PRODUCT};
use crate::gemm::{Bias, Gemm, Real, Rows, Strided, buffer};
use crate::parts::each_row;

/// How many times as many products gathering has to have: adding patches costs more passes over memory.
const GAIN: usize = 2;
/// Channels of a group that are few.
const FEW: usize = 8;
/// Elements of planes that are worth a task.
const GRAIN: usize = 1 << 12;
/// Elements of the patches that are kept at a time.
const KEPT: usize = 1 << 20;

/// Whether [`scatter`] beats gathering.
pub(super) fn pays(conv: &Conv) -> bool {
    let gathered = |d: usize| -> usize {
        (0..conv.stride[d]).map(|phase| Axis::backward(conv, d, phase)).map(|a| a.n * a.taps.len()).sum()
    };
    let scattered = |d: usize| conv.output[d] * conv.kernel[d];
    let small = conv.output.iter().product::<usize>() < OWN_PRODUCT;
    let wasteful =
        || (0..3).map(gathered).product::<usize>() > GAIN * (0..3).map(scattered).product::<usize>();
    conv.in_group() < FEW && conv.out_group() >= 2 * FEW || small && wasteful()
}

/// [`Conv::backward_input`], some images at a time.
pub(super) fn scatter<T: Real>(conv: &Conv, grad: &[T], weight: &[T], bias: Option<&[T]>, input: &mut [T]) {
    let pixels = conv.output.iter().product::<usize>();
    let patch = conv.in_channels * conv.taps();
    let [from, to] = [grad, input].map(|side: &[T]| side.len() / conv.batch.max(1));
    let images = (KEPT / (pixels * patch).max(1)).clamp(1, conv.batch.max(1));
    for (grad, input) in grad.chunks(images * from).zip(input.chunks_mut(images * to)) {
        let rows = input.len() / to * pixels;
        buffer::with(buffer::IMAGE, rows * patch, |patches: *mut T| {
            products(conv, grad, weight, rows, patches);
            // SAFETY: the product has written all of them.
            let patches = unsafe { std::slice::from_raw_parts(patches, rows * patch) };
            each_row(input, to / conv.in_channels, GRAIN, |i, plane| {
                let (image, channel) = (i / conv.in_channels, i % conv.in_channels);
                plane.fill(bias.map_or(T::ZERO, |b| b[channel]));
                let patches = &patches[(image * pixels * conv.in_channels + channel) * conv.taps()..];
                add_patches(conv, patches, plane);
            });
        });
    }
}

/// `patches[image, pixel] [in_channels, taps] = sum of grad[image, o, pixel] * weight[o]`.
fn products<T: Real>(conv: &Conv, grad: &[T], weight: &[T], rows: usize, patches: *mut T) {
    let here = |n: usize| Axis { n, step: 1, taps: vec![(0, 0)], first: 0, spread: 1 };
    let field = Field::new(conv.output, conv.output, conv.output.map(here));
    let (n, k) = (conv.in_group() * conv.taps(), conv.out_group());
    let starts = |step: usize| -> Vec<isize> { (0..conv.groups).map(|g| (g * step) as isize).collect() };
    let (of_weight, of_patch) = (starts(k * n), starts(n));
    let gemm = Gemm {
        items: conv.groups,
        m: rows,
        n,
        k,
        a: &Patches { field: &field, groups: conv.groups, channels: k, source: grad.as_ptr() },
        b: &Strided { ptr: weight.as_ptr(), items: &of_weight, line: 1, step: n as isize },
        c: &Rows { ptr: patches, items: &of_patch, row: (conv.groups * n) as isize, col: 1 },
        alpha: T::ONE,
        beta: T::ZERO,
        bias: Bias::None,
    };
    // SAFETY: `Conv` has checked the sizes of the slices; `patches` holds `rows` patches of all groups.
    unsafe { gemm.run() }
}

/// Adds a channel's part of each pixel's patch to the channel's plane.
fn add_patches<T: Real>(conv: &Conv, patches: &[T], plane: &mut [T]) {
    let [_, height, width] = conv.input;
    let [_, ky, kx] = conv.kernel;
    let [_, ny, nx] = conv.output;
    // The input that an output meets through an element of the kernel, if there is one.
    let place = |d: usize, o: usize, k: usize| {
        let i = (o * conv.stride[d] + k * conv.dilation[d]).checked_sub(conv.padding[d])?;
        (i < conv.input[d]).then_some(i)
    };
    for (pixel, patch) in
        patches.chunks(conv.in_channels * conv.taps()).enumerate().take(ny * nx * conv.output[0])
    {
        let (oz, oy, ox) = (pixel / (ny * nx), pixel / nx % ny, pixel % nx);
        for (line, row) in patch[..conv.taps()].chunks_exact(kx).enumerate() {
            let (Some(z), Some(y)) = (place(0, oz, line / ky), place(1, oy, line % ky)) else { continue };
            let to = &mut plane[(z * height + y) * width..][..width];
            for (k, value) in row.iter().enumerate() {
                if let Some(x) = place(2, ox, k) {
                    to[x] = to[x] + *value;
                }
            }
        }
    }
}
