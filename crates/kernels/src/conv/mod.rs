//! Convolutions over one to three dimensions of contiguous `[N, C, (D, (H,)) W]` images.
//!
//! A convolution is a matrix product of weights and of patches, one for each output pixel. Patches are never stored:
//! the product reads them from the image itself ([`gather`]). That needs registers full of channels; where channels are few,
//! they are full of pixels instead, which are neighbours in the image ([`direct`]) or copied straight into the panels that
//! the product reads ([`patches`]).
//! The gradient of the input (and a transposed convolution) is the same gathering with the taps reversed; with a stride
//! it falls apart into one such product for each residue of the position, none of which multiplies by inserted zeros.
//! Where most taps would meet no output pixel, patches are added up instead ([`scatter`]).
//! The gradient of the weight sums over pixels, read in the same ways ([`gather_grad`], or else [`weight_grad`]). Groups of one channel have loops of their own ([`depthwise`]).

mod axis;
mod depthwise;
mod direct;
mod gather;
mod gather_grad;
mod general;
mod patches;
mod scatter;
#[cfg(test)]
mod tests;
mod weight_grad;
mod window;

use crate::dtype::{C32, C64, Element};
use crate::gemm::{Bias, Gemm, Pack, Real, Sink, Strided};
use axis::{Axis, Field};
use direct::{Frame, Framed};
use gather::Gather;
use patches::{Patches, Place};
use std::borrow::Cow;

/// Sizes of a convolution; missing leading dimensions have extent 1, kernel 1, stride 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Images.
    pub batch: usize,
    /// Groups of channels.
    pub groups: usize,
    /// Channels of the input, all groups together.
    pub in_channels: usize,
    /// Channels of the output, all groups together.
    pub out_channels: usize,
    /// Extents of the input.
    pub input: [usize; 3],
    /// Extents of the output.
    pub output: [usize; 3],
    /// Extents of the kernel.
    pub kernel: [usize; 3],
    /// Distance of neighbouring patches.
    pub stride: [usize; 3],
    /// Zeros assumed before and after the input.
    pub padding: [usize; 3],
    /// Distance of a patch's elements.
    pub dilation: [usize; 3],
}

impl Conv {
    /// Extent of the output along a dimension, `None` if the kernel does not fit or the stride is 0.
    pub fn output_extent(
        input: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        dilation: usize,
    ) -> Option<usize> {
        let reach = dilation.checked_mul(kernel.checked_sub(1)?)?.checked_add(1)?;
        (input + 2 * padding).checked_sub(reach)?.checked_div(stride).map(|n| n + 1)
    }

    fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    fn in_group(&self) -> usize {
        self.in_channels / self.groups
    }

    fn out_group(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Elements of the input, the weight and the output.
    fn sizes(&self) -> (usize, usize, usize) {
        let input: usize = self.input.iter().product();
        let output: usize = self.output.iter().product();
        (
            self.batch * self.in_channels * input,
            self.out_channels * self.in_group() * self.taps(),
            self.batch * self.out_channels * output,
        )
    }

    fn check(&self, input: usize, weight: usize, output: usize) {
        assert_eq!(
            (input, weight, output),
            self.sizes(),
            "convolution: slices do not have the sizes of {self:?}"
        );
    }

    /// [`Number::forward`] of real numbers.
    fn forward<T: Real>(&self, input: &[T], weight: &[T], bias: Option<&[T]>, output: &mut [T]) {
        self.check(input.len(), weight.len(), output.len());
        let (k, taps) = (self.in_group() * self.taps(), self.taps() as isize);
        let field = Field::new(self.input, self.output, [0, 1, 2].map(|d| Axis::forward(self, d)));
        if self.in_group() == 1 && self.groups > 1 && self.out_group() <= 4 {
            let strides = [self.out_group() as isize * taps, taps];
            let sizes = (self.batch, self.groups, self.out_group());
            return depthwise::gather(sizes, (&field, self.kernel), input, (weight, strides), bias, output);
        }
        let weights = Weights { all: weight, group: self.out_group() * k, line: k, channel: taps as usize };
        let channels = Channels { groups: self.groups, source: self.in_group(), out: self.out_group() };
        self.products(channels, vec![field], input, weights, bias, output);
    }

    /// [`Number::backward_input`] of real numbers.
    fn backward_input<T: Real>(&self, grad: &[T], weight: &[T], bias: Option<&[T]>, input: &mut [T]) {
        self.check(input.len(), weight.len(), grad.len());
        let (k, taps) = (self.in_group() * self.taps(), self.taps() as isize);
        if !grad.is_empty() && !input.is_empty() && scatter::pays(self) {
            return scatter::scatter(self, grad, weight, bias, input);
        }
        let [sz, sy, sx] = self.stride;
        let phase = |phase: usize| {
            let phases = [phase / (sy * sx), phase / sx % sy, phase % sx];
            let axes = [0, 1, 2].map(|d| Axis::backward(self, d, phases[d]));
            Field::new(self.output, self.input, axes)
        };
        let phases: Vec<Field> = (0..sz * sy * sx).map(phase).collect();
        if self.in_group() == 1 && self.out_group() == 1 {
            let sizes = (self.batch, self.groups, 1);
            for field in &phases {
                depthwise::gather(sizes, (field, self.kernel), grad, (weight, [taps, taps]), bias, input);
            }
            return;
        }
        let weights = Weights { all: weight, group: self.out_group() * k, line: taps as usize, channel: k };
        let channels = Channels { groups: self.groups, source: self.out_group(), out: self.in_group() };
        self.products(channels, phases, grad, weights, bias, input);
    }

    /// `out[pixel] = sum over taps and channels`, for the pixels of all `phases`.
    fn products<T: Real>(
        &self,
        channels: Channels,
        phases: Vec<Field>,
        source: &[T],
        weights: Weights<T>,
        bias: Option<&[T]>,
        out: &mut [T],
    ) {
        let (batch, kernel) = (self.batch, self.kernel);
        let as_it_lies =
            |f: &Field| Frame::new(f, channels.out).is_some_and(|frame| frame.as_it_lies::<T>(f));
        if gather::pays::<T>(channels.out, &phases) && !phases.iter().all(as_it_lies) {
            let out = out.as_mut_ptr();
            let gather = Gather { batch, channels, kernel, phases, source, weights, bias, out };
            // SAFETY: `check` has compared the sizes; the output is borrowed mutably.
            return unsafe { gather.run() };
        }
        for field in &phases {
            product(batch, channels, field, source, (weights, kernel), bias, out);
        }
    }

    /// [`Number::backward_weight`] of real numbers.
    fn backward_weight<T: Real>(&self, grad: &[T], input: &[T], weight: &mut [T]) {
        self.check(input.len(), weight.len(), grad.len());
        let field = Field::new(self.input, self.output, [0, 1, 2].map(|d| Axis::forward(self, d)));
        if self.in_group() == 1 && self.out_group() == 1 {
            return depthwise::weight_grad((self.batch, self.groups), &field, grad, input, weight);
        }
        weight_grad::weight_grad(self, &field, grad, input, weight);
    }
}

/// A type that convolutions are computed in; integers wrap around, nothing is conjugated. Its functions are not generic, so that
/// they are compiled once, here, and not in every crate that calls them.
///
/// # Panics
/// They do if a slice does not have the size that the convolution says.
pub trait Number: Element {
    /// `output = input * weight + bias`, the weight being `[out_channels, in_channels / groups, kernel]`.
    fn forward(conv: &Conv, input: &[Self], weight: &[Self], bias: Option<&[Self]>, output: &mut [Self]);
    /// The gradient of the input, which is also a transposed convolution of `grad` (with an optional bias).
    fn backward_input(conv: &Conv, grad: &[Self], weight: &[Self], bias: Option<&[Self]>, input: &mut [Self]);
    /// The gradient of the weight.
    fn backward_weight(conv: &Conv, grad: &[Self], input: &[Self], weight: &mut [Self]);
}

macro_rules! numbers {
    ($($T:ty: $forward:ident, $backward_input:ident, $backward_weight:ident;)*) => {$(
        impl Number for $T {
            fn forward(conv: &Conv, input: &[$T], weight: &[$T], bias: Option<&[$T]>, output: &mut [$T]) {
                conv.$forward(input, weight, bias, output);
            }
            fn backward_input(conv: &Conv, grad: &[$T], weight: &[$T], bias: Option<&[$T]>, input: &mut [$T]) {
                conv.$backward_input(grad, weight, bias, input);
            }
            fn backward_weight(conv: &Conv, grad: &[$T], input: &[$T], weight: &mut [$T]) {
                conv.$backward_weight(grad, input, weight);
            }
        }
    )*};
}
numbers! {
    f32: forward, backward_input, backward_weight;
    f64: forward, backward_input, backward_weight;
    i64: forward_general, backward_input_general, backward_weight_general;
    C32: forward_general, backward_input_general, backward_weight_general;
    C64: forward_general, backward_input_general, backward_weight_general;
}

/// How a product finds its weights: strides of groups, of its rows and of the channels summed over.
#[derive(Clone, Copy)]
struct Weights<'a, T> {
    all: &'a [T],
    group: usize,
    line: usize,
    channel: usize,
}

impl<T: Real> Weights<'_, T> {
    /// Row by row: the channels summed over, and for each the taps that take part.
    fn lines(&self, channels: Channels, field: &Field, kernel: [usize; 3]) -> Cow<'_, [T]> {
        let taps: Vec<usize> = (0..field.taps())
            .map(|t| {
                let [z, y, x] = field.tap(t).0;
                (z * kernel[1] + y) * kernel[2] + x
            })
            .collect();
        if self.channel == taps.len() && taps.iter().enumerate().all(|(i, t)| i == *t) {
            return Cow::Borrowed(self.all);
        }
        let mut lines = Vec::with_capacity(channels.groups * channels.out * channels.source * taps.len());
        for row in 0..channels.groups * channels.out {
            let start = row / channels.out * self.group + row % channels.out * self.line;
            for channel in 0..channels.source {
                let start = start + channel * self.channel;
                lines.extend(taps.iter().map(|t| self.all[start + t]));
            }
        }
        Cow::Owned(lines)
    }
}

/// Channels of one group on the side that is read and on the side that is written.
#[derive(Clone, Copy)]
struct Channels {
    groups: usize,
    source: usize,
    out: usize,
}

/// Pixels of an image from which it is a product of its own: below, the images stand side by side in one product, so that
/// few columns are wasted at the edges of tiles.
const OWN_PRODUCT: usize = 512;

/// [`Conv::products`] with channels as rows, for the pixels of `field`.
fn product<T: Real>(
    batch: usize,
    channels: Channels,
    field: &Field,
    source: &[T],
    (weights, kernel): (Weights<T>, [usize; 3]),
    bias: Option<&[T]>,
    out: &mut [T],
) {
    let pixels = field.pixels();
    let frame = Frame::new(field, channels.out);
    let joined = frame.is_none() && pixels < OWN_PRODUCT;
    let (items, n) =
        if joined { (channels.groups, batch * pixels) } else { (channels.groups * batch, pixels) };
    let image_out = channels.groups * channels.out * field.out_plane();
    let item_out: Vec<isize> = (0..items)
        .map(|i| {
            (i % channels.groups * channels.out * field.out_plane() + i / channels.groups * image_out)
                as isize
        })
        .collect();
    let place = Place { field, items: &item_out, image: image_out, out: out.as_mut_ptr() };
    let k = channels.source * field.taps();
    let lines = weights.lines(channels, field, kernel);
    let rows: Vec<isize> = (0..items).map(|i| (i % channels.groups * channels.out * k) as isize).collect();
    let a = Strided { ptr: lines.as_ptr(), items: &rows, line: k as isize, step: 1 };
    // The biases of an item's rows: group by group, the same for all images.
    let biases: Option<Vec<T>> = bias.map(|b| b.iter().copied().cycle().take(items * channels.out).collect());
    let run = |n: usize, b: &dyn Pack<T>, c: &dyn Sink<T>| {
        let bias = biases.as_ref().map_or(Bias::None, |b| Bias::Rows(b, channels.out));
        let gemm = Gemm { items, m: channels.out, n, k, a: &a, b, c, alpha: T::ONE, beta: T::ZERO, bias };
        // SAFETY: `Conv` has checked that the slices have the sizes which the field and the channels imply, and `out`
        // is borrowed mutably.
        unsafe { gemm.run() }
    };
    if let Some(frame) = frame {
        let place = Framed { frame: &frame, place };
        return frame.with_source(field, channels, source, |b| run(frame.columns(), b, &place));
    }
    let b = Patches { field, groups: channels.groups, channels: channels.source, source: source.as_ptr() };
    run(n, &b, &place);
}
