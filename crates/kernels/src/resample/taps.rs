//! The sparse matrices of resampling.

use crate::dtype::DType;
use crate::math::Real;

/// How positions of the output map to positions of the input along one dimension.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Elements of the input, fewer than 2^32.
    pub input: usize,
    /// Elements of the output.
    pub output: usize,
    /// Whether first and last elements coincide; else the edges of their areas do.
    pub align_corners: bool,
    /// The factor from input to output, where it was given rather than derived from the sizes.
    pub factor: Option<f64>,
}

/// A filter that weighs inputs by their distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Triangle of two inputs.
    Linear,
    /// Cubic convolution of four inputs.
    Cubic,
    /// Windowed sinc of six inputs.
    Lanczos,
}

impl Scale {
    /// Inputs an output apart.
    fn step<T: Real>(&self) -> T {
        match self.factor {
            _ if self.align_corners && self.output > 1 => {
                T::real((self.input - 1) as f64) / T::real((self.output - 1) as f64)
            }
            _ if self.align_corners => T::ZERO,
            Some(factor) if factor > 0.0 => T::real(1.0 / factor),
            _ => T::real(self.input as f64) / T::real(self.output as f64),
        }
    }

    /// Position of output `o` among the inputs: the element at or before it, and the distance from there.
    fn place<T: Real>(&self, o: usize, step: T, bounded: bool) -> (i64, T) {
        let o = T::real(o as f64);
        let half = T::real(0.5);
        let mut x = if self.align_corners { step * o } else { step * (o + half) - half };
        if bounded && x < T::ZERO {
            x = T::ZERO;
        }
        // The floor of the value as `f32`, whatever `T` is: PyTorch's positions.
        let at = ((x.wide() as f32).floor() as i64).min(self.input as i64 - 1);
        let rest = x - T::real(at as f64);
        (
            at,
            if rest < T::ZERO {
                T::ZERO
            } else if rest > T::ONE {
                T::ONE
            } else {
                rest
            },
        )
    }
}

/// Cubic convolution with parameter `a` at distance `x`.
fn cubic<T: Real>(x: T, a: T) -> T {
    let (two, three, x) = (T::real(2.0), T::real(3.0), x.abs());
    if x < T::ONE {
        ((a + two) * x - (a + three)) * x * x + T::ONE
    } else if x < two {
        ((a * x - T::real(5.0) * a) * x + T::real(8.0) * a) * x - T::real(4.0) * a
    } else {
        T::ZERO
    }
}

fn sinc(x: f64) -> f64 {
    let x = x * std::f64::consts::PI;
    if x == 0.0 { 1.0 } else { x.sin() / x }
}

impl Filter {
    /// Inputs that an output is made of, where nothing is shrunk.
    fn width(self) -> usize {
        match self {
            Filter::Linear => 2,
            Filter::Cubic => 4,
            Filter::Lanczos => 6,
        }
    }

    /// The weight at distance `x`, for antialiasing.
    fn weight<T: Real>(self, x: T) -> T {
        match self {
            Filter::Linear => T::ONE - T::ONE.min_nan(x.abs()),
            Filter::Cubic => cubic(x, T::real(-0.5)),
            Filter::Lanczos if x.abs() < T::real(3.0) => T::real(sinc(x.wide()) * sinc(x.wide() / 3.0)),
            Filter::Lanczos => T::ZERO,
        }
    }
}

/// The inputs of one output and their weights.
pub(super) type Row<'a, T> = (&'a [u32], &'a [T]);

/// As [`Row`], of all outputs, `WIDTH` each.
type Uniform<'a, T, const WIDTH: usize> = (&'a [[u32; WIDTH]], &'a [[T; WIDTH]]);

/// Which inputs each output is made of, and their weights.
#[derive(Clone, Debug)]
pub struct Taps<T> {
    /// Elements of the input.
    pub inputs: usize,
    first: Vec<usize>,
    index: Vec<u32>,
    weight: Vec<T>,
    uniform: Option<usize>,
}

impl<T: Copy> Taps<T> {
    fn build(inputs: usize, outputs: usize, mut f: impl FnMut(usize, &mut Vec<u32>, &mut Vec<T>)) -> Taps<T> {
        let (mut first, mut index, mut weight) = (vec![0], Vec::new(), Vec::new());
        for o in 0..outputs {
            f(o, &mut index, &mut weight);
            first.push(index.len());
        }
        Taps::of(inputs, first, index, weight)
    }

    fn of(inputs: usize, first: Vec<usize>, index: Vec<u32>, weight: Vec<T>) -> Taps<T> {
        assert!(index.iter().all(|i| (*i as usize) < inputs) && index.len() == weight.len());
        let width = first.get(1).copied().unwrap_or(0);
        let uniform = first.windows(2).all(|w| w[1] - w[0] == width).then_some(width);
        Taps { inputs, first, index, weight, uniform }
    }

    /// Elements of the output.
    pub fn outputs(&self) -> usize {
        self.first.len() - 1
    }

    /// The inputs of output `o` and their weights.
    #[inline]
    pub(super) fn at(&self, o: usize) -> Row<'_, T> {
        let range = self.first[o]..self.first[o + 1];
        (&self.index[range.clone()], &self.weight[range])
    }

    /// Inputs and weights of all outputs, `width` each, where all have `width`.
    #[inline]
    pub(super) fn uniform<const WIDTH: usize>(&self) -> Option<Uniform<'_, T, WIDTH>> {
        (self.uniform == Some(WIDTH)).then(|| (self.index.as_chunks().0, self.weight.as_chunks().0))
    }

    /// The inputs of outputs that are made of one input each.
    pub(super) fn sources(&self) -> &[u32] {
        &self.index
    }

    /// The transposed matrix, for gradients.
    pub fn transposed(&self) -> Taps<T> {
        let mut first = vec![0; self.inputs + 1];
        self.index.iter().for_each(|i| first[*i as usize + 1] += 1);
        (0..self.inputs).for_each(|i| first[i + 1] += first[i]);
        let mut next = first.clone();
        let mut order = vec![(0, 0); self.index.len()];
        for o in 0..self.outputs() {
            for k in self.first[o]..self.first[o + 1] {
                let slot = &mut next[self.index[k] as usize];
                order[*slot] = (o as u32, k);
                *slot += 1;
            }
        }
        let index = order.iter().map(|(o, _)| *o).collect();
        let weight = order.iter().map(|(_, k)| self.weight[*k]).collect();
        Taps::of(self.outputs(), first, index, weight)
    }
}

impl Taps<f64> {
    /// The same in fixed point: inputs that are named twice in a row are merged, then weights rounded by `round`.
    pub(super) fn fixed(&self, round: impl Fn(f64) -> i32) -> Taps<i32> {
        Taps::build(self.inputs, self.outputs(), |o, index, weight| {
            for (i, w) in merged(self.at(o)) {
                index.push(i);
                weight.push(round(w));
            }
        })
    }

    /// The largest weight once inputs that are named twice in a row are merged.
    pub(super) fn largest(&self) -> f64 {
        (0..self.outputs()).flat_map(|o| merged(self.at(o))).fold(0.0, |m, (_, w)| w.max(m))
    }
}

fn merged((index, weight): Row<'_, f64>) -> Vec<(u32, f64)> {
    let mut merged: Vec<(u32, f64)> = Vec::with_capacity(index.len());
    for (i, w) in index.iter().zip(weight) {
        match merged.last_mut() {
            Some(last) if last.0 == *i => last.1 += w,
            _ => merged.push((*i, *w)),
        }
    }
    merged
}

impl<T: Real> Taps<T> {
    /// A dimension that stays as it is.
    pub fn identity(n: usize) -> Taps<T> {
        Taps::build(n, n, |o, index, weight| {
            index.push(o as u32);
            weight.push(T::ONE);
        })
    }

    /// The nearest input: the one that holds the centre of the output's area, or its left edge unless `exact`.
    ///
    /// `doubling` takes an output of the input's size, or of twice that, for a copy whatever factor was given.
    pub fn nearest(scale: Scale, exact: bool, doubling: bool) -> Taps<T> {
        let Scale { input, output, .. } = scale;
        let step = Scale { align_corners: false, ..scale }.step::<T>();
        let position = |o: usize| match exact {
            true => T::real((o as f64 + 0.5) * step.wide()),
            false => T::real(o as f64) * step,
        };
        let source = |o: usize| match output {
            _ if doubling && !exact && output == input => o,
            _ if doubling && !exact && output == 2 * input => o / 2,
            _ => (position(o).wide() as usize).min(input - 1),
        };
        Taps::build(input, output, |o, index, weight| {
            index.push(source(o) as u32);
            weight.push(T::ONE);
        })
    }

    /// The same with weights of another type.
    pub fn to<U: Real>(&self) -> Taps<U> {
        let weight = self.weight.iter().map(|w| U::real(w.wide())).collect();
        Taps::of(self.inputs, self.first.clone(), self.index.clone(), weight)
    }

    /// The same with weights that are rounded to a narrower type.
    pub fn rounded(mut self, dtype: DType) -> Taps<T> {
        self.weight.iter_mut().for_each(|w| *w = T::real(dtype.round_half(w.wide())));
        self
    }

    /// The two inputs around each output.
    pub fn linear(scale: Scale) -> Taps<T> {
        if scale.input == scale.output {
            return Taps::identity(scale.input);
        }
        let step = scale.step::<T>();
        Taps::build(scale.input, scale.output, |o, index, weight| {
            let (at, rest) = scale.place(o, step, true);
            let next = (at + 1).min(scale.input as i64 - 1);
            index.extend([at as u32, next as u32]);
            weight.extend([T::ONE - rest, rest]);
        })
    }

    /// The four inputs around each output; beyond the ends the last one counts again.
    pub fn cubic(scale: Scale) -> Taps<T> {
        let (step, a) = (scale.step::<T>(), T::real(-0.75));
        Taps::build(scale.input, scale.output, |o, index, weight| {
            let (at, rest) = scale.place(o, step, false);
            let last = scale.input as i64 - 1;
            index.extend((at - 1..=at + 2).map(|i| i.clamp(0, last) as u32));
            let other = T::ONE - rest;
            weight.extend([rest + T::ONE, rest, other, other + T::ONE].map(|x| cubic(x, a)));
        })
    }

    /// All inputs under a filter that is widened by the factor of shrinking.
    pub fn antialiased(scale: Scale, filter: Filter) -> Taps<T> {
        let step = scale.step::<T>();
        let grow = if step > T::ONE { step } else { T::ONE };
        let support = T::real(filter.width() as f64 * 0.5) * grow;
        let shrink = T::ONE / grow;
        let widest = (support.wide().ceil() as i64).saturating_mul(2).saturating_add(1);
        Taps::build(scale.input, scale.output, |o, index, weight| {
            let center = T::real(step.wide() * (o as f64 + 0.5));
            let low = ((center - support).wide() + 0.5).max(0.0) as i64;
            let high = (((center + support).wide() + 0.5) as i64).min(scale.input as i64);
            let start = weight.len();
            let mut total = T::ZERO;
            for i in low..high.min(low.saturating_add(widest)) {
                let w = filter.weight((T::real(i as f64) - center + T::real(0.5)) * shrink);
                index.push(i as u32);
                weight.push(w);
                total = total + w;
            }
            if total != T::ZERO {
                weight[start..].iter_mut().for_each(|w| *w = *w / total);
            }
        })
    }
}
