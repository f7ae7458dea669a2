//! One coordinate of one point: the elements that it touches.

use super::{Interpolation, Padding, Sampler};
use crate::math::Real;

/// Elements along one dimension, their weights, and the derivatives of those by the coordinate.
#[derive(Clone, Copy)]
pub(super) struct Axis<T> {
    /// Index of each element; -1 outside.
    pub index: [i64; 4],
    pub weight: [T; 4],
    pub slope: [T; 4],
}

/// `x` and the derivative of that.
type Placed<T> = (T, T);

/// Clamps to the elements; NaN goes to the first one of a plane, or the last one of a volume, as in PyTorch.
fn clip<T: Real>(x: T, size: usize, rank: usize) -> Placed<T> {
    let last = T::real((size - 1) as f64);
    if x.is_nan() {
        (if rank == 2 { T::ZERO } else { last }, T::ONE)
    } else if x <= T::ZERO {
        (T::ZERO, T::ZERO)
    } else if x >= last {
        (last, T::ZERO)
    } else {
        (x, T::ONE)
    }
}

/// Mirrors at `low / 2` and `high / 2`.
fn reflect<T: Real>(x: T, low: i64, high: i64) -> Placed<T> {
    if low == high {
        return (T::ZERO, T::ZERO);
    }
    let (start, span) = (T::real(low as f64 / 2.0), T::real((high - low) as f64 / 2.0));
    let sign = if x < start { -T::ONE } else { T::ONE };
    let x = (x - start).abs();
    let (rest, flips) = (x % span, (x / span).floor().wide());
    if flips % 2.0 == 0.0 { (rest + start, sign) } else { (span - rest + start, -sign) }
}

impl Sampler {
    /// Elements that a point touches along each dimension.
    pub(super) fn width(&self) -> usize {
        match self.interpolation {
            Interpolation::Linear => 2,
            Interpolation::Nearest => 1,
            Interpolation::Cubic => 4,
        }
    }

    /// A position counted in elements, brought inside if the padding says so.
    fn pad<T: Real>(&self, x: T, size: usize) -> Placed<T> {
        match self.padding {
            Padding::Zeros => (x, T::ONE),
            Padding::Border => clip(x, size, self.rank),
            Padding::Reflection => {
                let n = size as i64;
                let (low, high) = if self.align_corners { (0, 2 * (n - 1)) } else { (-1, 2 * n - 1) };
                let (x, mirrored) = reflect(x, low, high);
                let (x, clipped) = clip(x, size, self.rank);
                (x, mirrored * clipped)
            }
        }
    }

    /// The elements that coordinate `x` touches along a dimension of `size`.
    pub(super) fn axis<T: Real>(&self, x: T, size: usize) -> Axis<T> {
        let (n, two) = (T::real(size as f64), T::real(2.0));
        let (x, scale) = match self.align_corners {
            true => ((x + T::ONE) / two * (n - T::ONE), (n - T::ONE) / two),
            false => (((x + T::ONE) * n - T::ONE) / two, n / two),
        };
        let mut axis = match self.interpolation {
            Interpolation::Linear => self.linear(x, scale, size),
            Interpolation::Nearest => {
                let at = self.pad(x, size).0.round_even();
                Axis { index: [whole(at, size), -1, -1, -1], weight: [T::ONE; 4], slope: [T::ZERO; 4] }
            }
            Interpolation::Cubic => self.cubic(x, scale, size),
        };
        if self.rank == 3 {
            // Outside of a volume nothing is added, not even zero times NaN.
            for k in (0..4).filter(|k| axis.index[*k] < 0) {
                (axis.weight[k], axis.slope[k]) = (T::ZERO, T::ZERO);
            }
        }
        axis
    }

    fn linear<T: Real>(&self, x: T, scale: T, size: usize) -> Axis<T> {
        let (x, slope) = self.pad(x, size);
        let (low, slope) = (x.floor(), slope * scale);
        let rest = x - low;
        Axis {
            index: [whole(low, size), whole(low + T::ONE, size), -1, -1],
            weight: [T::ONE - rest, rest, T::ZERO, T::ZERO],
            slope: [-slope, slope, T::ZERO, T::ZERO],
        }
    }

    fn cubic<T: Real>(&self, x: T, scale: T, size: usize) -> Axis<T> {
        let low = x.floor();
        let t = x - low;
        let at = |i: f64| whole(self.pad(low + T::real(i), size).0.trunc(), size);
        let other = T::ONE - t;
        let weight = [far(t + T::ONE), near(t), near(other), far(other + T::ONE)];
        let slope = [far_slope(t + T::ONE), near_slope(t), -near_slope(other), -far_slope(other + T::ONE)];
        Axis { index: [at(-1.0), at(0.0), at(1.0), at(2.0)], weight, slope: slope.map(|s| s * scale) }
    }
}

/// The element at a whole position; -1 outside.
fn whole<T: Real>(x: T, size: usize) -> i64 {
    let x = x.wide();
    if x >= 0.0 && x < size as f64 { x as i64 } else { -1 }
}

/// The parameter of cubic convolution.
const A: f64 = -0.75;

/// Cubic convolution at a distance below 1.
fn near<T: Real>(x: T) -> T {
    (T::real(A + 2.0) * x - T::real(A + 3.0)) * x * x + T::ONE
}

/// Cubic convolution at a distance from 1 to 2.
fn far<T: Real>(x: T) -> T {
    ((T::real(A) * x - T::real(5.0 * A)) * x + T::real(8.0 * A)) * x - T::real(4.0 * A)
}

fn near_slope<T: Real>(x: T) -> T {
    (T::real(3.0 * (A + 2.0)) * x - T::real(2.0 * (A + 3.0))) * x
}

fn far_slope<T: Real>(x: T) -> T {
    (T::real(3.0 * A) * x - T::real(10.0 * A)) * x + T::real(8.0 * A)
}
