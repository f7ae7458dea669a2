//! What quasi-Newton methods do to long vectors.

use super::{CHUNK, share};
use crate::math::Real;
use crate::multiversion;

/// Elements that are summed side by side.
const LANES: usize = 32;

/// `y <- a x + y`, and the dot product of the result with `z`, in single precision.
pub fn axpy_dot_f32(a: f64, x: &[f32], y: &mut [f32], z: &[f32]) -> f64 {
    axpy_dot(a, x, y, z)
}

/// [`axpy_dot_f32`] in double precision.
pub fn axpy_dot_f64(a: f64, x: &[f64], y: &mut [f64], z: &[f64]) -> f64 {
    axpy_dot(a, x, y, z)
}

fn axpy_dot<T: Real>(a: f64, x: &[T], y: &mut [T], z: &[T]) -> f64 {
    let mut sums = vec![0.0; y.len().div_ceil(CHUNK)];
    let parts = x.chunks(CHUNK).zip(y.chunks_mut(CHUNK)).zip(z.chunks(CHUNK)).zip(&mut sums);
    share(parts.collect(), |(((x, y), z), sum)| *sum = chunk(T::real(a), x, y, z).wide());
    sums.iter().sum()
}

multiversion! {
    fn chunk<T: Real>(a: T, x: &[T], y: &mut [T], z: &[T]) -> T {
        let ((x, x_rest), (y, y_rest), (z, z_rest)) =
            (x.as_chunks::<LANES>(), y.as_chunks_mut::<LANES>(), z.as_chunks::<LANES>());
        let mut sums = [T::ZERO; LANES];
        for ((x, y), z) in x.iter().zip(y).zip(z) {
            for i in 0..LANES {
                y[i] = a.mul_add(x[i], y[i]);
                sums[i] = y[i].mul_add(z[i], sums[i]);
            }
        }
        let mut sum = sums.into_iter().fold(T::ZERO, |sum, x| sum + x);
        for ((x, y), z) in x_rest.iter().zip(y_rest).zip(z_rest) {
            *y = a.mul_add(*x, *y);
            sum = sum + *y * *z;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_whole_numbers_are_exact() {
        for n in [0, 1, LANES, CHUNK + LANES + 3] {
            let x: Vec<f64> = (0..n).map(|i| (i % 5) as f64).collect();
            let mut y = vec![1.0; n];
            let sum = axpy_dot_f64(2.0, &x, &mut y, &x);
            assert_eq!(sum, x.iter().map(|x| (1.0 + 2.0 * x) * x).sum::<f64>());
            assert!(y.iter().zip(&x).all(|(y, x)| *y == 1.0 + 2.0 * x));
        }
    }
}
