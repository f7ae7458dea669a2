//! Convolutions of integers and complex numbers: the definition, element by element.

use super::Conv;
use crate::dtype::{C32, C64, Element};
use crate::parallel::for_tasks;

/// A type whose products are summed in itself; integers wrap around.
pub(super) trait Term: Element + Default {
    /// `a * b + self`.
    fn add_product(self, a: Self, b: Self) -> Self;
}

impl Term for i64 {
    fn add_product(self, a: i64, b: i64) -> i64 {
        a.wrapping_mul(b).wrapping_add(self)
    }
}

impl Term for C32 {
    fn add_product(self, a: C32, b: C32) -> C32 {
        a * b + self
    }
}

impl Term for C64 {
    fn add_product(self, a: C64, b: C64) -> C64 {
        a * b + self
    }
}

/// A pointer that tasks write disjoint parts of.
struct Out<T>(*mut T);

// SAFETY: each task writes elements of its own.
unsafe impl<T> Sync for Out<T> {}

impl<T: Copy> Out<T> {
    /// # Safety
    /// The element exists and no other thread uses it.
    unsafe fn update(&self, at: usize, f: impl FnOnce(T) -> T) {
        // SAFETY: the caller's promise.
        unsafe { *self.0.add(at) = f(*self.0.add(at)) }
    }
}

impl Conv {
    /// Calls `f` with the indices into input, weight and output of the products of one image and output channel.
    fn each_product(&self, image: usize, channel: usize, mut f: impl FnMut(usize, usize, usize)) {
        let index = |[z, y, x]: [usize; 3], [_, h, w]: [usize; 3]| (z * h + y) * w + x;
        let all = |[d, h, w]: [usize; 3]| (0..d * h * w).map(move |i| [i / (h * w), i / w % h, i % w]);
        let plane = self.input.iter().product::<usize>();
        let first = image * self.in_channels + channel / self.out_group() * self.in_group();
        let out = (image * self.out_channels + channel) * self.output.iter().product::<usize>();
        for o in all(self.output) {
            for k in all(self.kernel) {
                let at = [0, 1, 2]
                    .map(|d| (o[d] * self.stride[d] + k[d] * self.dilation[d]).wrapping_sub(self.padding[d]));
                if (0..3).any(|d| at[d] >= self.input[d]) {
                    continue;
                }
                for i in 0..self.in_group() {
                    f(
                        (first + i) * plane + index(at, self.input),
                        (channel * self.in_group() + i) * self.taps() + index(k, self.kernel),
                        out + index(o, self.output),
                    );
                }
            }
        }
    }

    /// [`super::Number::forward`] for integers and complex numbers.
    pub(super) fn forward_general<T: Term>(
        &self,
        input: &[T],
        weight: &[T],
        bias: Option<&[T]>,
        output: &mut [T],
    ) {
        self.check(input.len(), weight.len(), output.len());
        let pixels = self.output.iter().product::<usize>();
        let out = Out(output.as_mut_ptr());
        for_tasks(self.batch * self.out_channels, |task| {
            let channel = task % self.out_channels;
            let start = bias.map_or(T::default(), |b| b[channel]);
            // SAFETY: a task writes the plane of its image and channel only.
            (0..pixels).for_each(|i| unsafe { out.update(task * pixels + i, |_| start) });
            self.each_product(task / self.out_channels, channel, |i, w, o| {
                // SAFETY: as above.
                unsafe { out.update(o, |sum| sum.add_product(input[i], weight[w])) }
            });
        });
    }

    /// [`super::Number::backward_input`] for integers and complex numbers.
    pub(super) fn backward_input_general<T: Term>(
        &self,
        grad: &[T],
        weight: &[T],
        bias: Option<&[T]>,
        input: &mut [T],
    ) {
        self.check(input.len(), weight.len(), grad.len());
        let pixels = self.input.iter().product::<usize>().max(1);
        for (i, x) in input.iter_mut().enumerate() {
            *x = bias.map_or(T::default(), |b| b[i / pixels % self.in_channels]);
        }
        let out = Out(input.as_mut_ptr());
        for_tasks(self.batch, |image| {
            for channel in 0..self.out_channels {
                self.each_product(image, channel, |i, w, o| {
                    // SAFETY: a task writes its image only.
                    unsafe { out.update(i, |sum| sum.add_product(grad[o], weight[w])) }
                });
            }
        });
    }

    /// [`super::Number::backward_weight`] for integers and complex numbers.
    pub(super) fn backward_weight_general<T: Term>(&self, grad: &[T], input: &[T], weight: &mut [T]) {
        self.check(input.len(), weight.len(), grad.len());
        weight.fill(T::default());
        let out = Out(weight.as_mut_ptr());
        for_tasks(self.out_channels, |channel| {
            for image in 0..self.batch {
                self.each_product(image, channel, |i, w, o| {
                    // SAFETY: a task writes the weights of its channel only.
                    unsafe { out.update(w, |sum| sum.add_product(grad[o], input[i])) }
                });
            }
        });
    }
}
