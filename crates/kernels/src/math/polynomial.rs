//! Orthogonal polynomials by their three-term recurrences, in the type of their argument.
//!
//! Inside of the interval where Chebyshev polynomials are cosines of multiples they are computed as such from some degree
//! on; which degree, and the values at the ends, are PyTorch's.

use super::Real;
use super::bessel::{cos, sin};

/// Chebyshev polynomial of the first kind: `cos(n acos x)`.
pub fn chebyshev_t<T: Real>(x: T, n: T) -> T {
    kind(x, x.abs() == T::ONE, degree(n), FIRST)
}

/// Chebyshev polynomial of the second kind: `sin((n + 1) acos x) / sin(acos x)`.
pub fn chebyshev_u<T: Real>(x: T, n: T) -> T {
    kind(x, x.abs() == T::ONE, degree(n), Kind { waves_above: 8, ..SECOND })
}

/// Chebyshev polynomial of the third kind: `cos((n + 1/2) acos x) / cos(acos x / 2)`.
pub fn chebyshev_v<T: Real>(x: T, n: T) -> T {
    kind(x, x.abs() == T::ONE, degree(n), Kind { waves_above: 8, ..THIRD })
}

/// Chebyshev polynomial of the fourth kind: `sin((n + 1/2) acos x) / sin(acos x / 2)`.
pub fn chebyshev_w<T: Real>(x: T, n: T) -> T {
    kind(x, x.abs() == T::ONE, degree(n), Kind { waves_above: 8, ..FOURTH })
}

/// [`chebyshev_t`] of `2 x - 1`.
pub fn shifted_chebyshev_t<T: Real>(x: T, n: T) -> T {
    shifted(x, n, FIRST)
}

/// [`chebyshev_u`] of `2 x - 1`.
pub fn shifted_chebyshev_u<T: Real>(x: T, n: T) -> T {
    shifted(x, n, SECOND)
}

/// [`chebyshev_v`] of `2 x - 1`.
pub fn shifted_chebyshev_v<T: Real>(x: T, n: T) -> T {
    shifted(x, n, THIRD)
}

/// [`chebyshev_w`] of `2 x - 1`.
pub fn shifted_chebyshev_w<T: Real>(x: T, n: T) -> T {
    shifted(x, n, FOURTH)
}

fn shifted<T: Real>(x: T, n: T, of: Kind) -> T {
    kind(x + x - T::ONE, x == T::ONE || x == T::ZERO, degree(n), of)
}

/// What tells the four kinds of Chebyshev polynomials apart.
#[derive(Clone, Copy)]
struct Kind {
    /// The polynomial of degree 1 is `first.0 x + first.1`.
    first: (f64, f64),
    /// Values at 1 and, but for the sign, at -1: `a n + b`.
    ends: [(f64, f64); 2],
    /// Degree above which cosines take over.
    waves_above: i64,
    wave: Wave,
}

#[derive(Clone, Copy)]
enum Wave {
    Cosine,
    /// `sin((n + 1) t) / sin(t)`.
    Sines,
    HalfCosines,
    HalfSines,
}

const FIRST: Kind =
    Kind { first: (1.0, 0.0), ends: [(0.0, 1.0), (0.0, 1.0)], waves_above: 6, wave: Wave::Cosine };
const SECOND: Kind =
    Kind { first: (2.0, 0.0), ends: [(1.0, 1.0), (1.0, 1.0)], waves_above: 6, wave: Wave::Sines };
const THIRD: Kind =
    Kind { first: (2.0, -1.0), ends: [(0.0, 1.0), (2.0, 1.0)], waves_above: 6, wave: Wave::HalfCosines };
const FOURTH: Kind =
    Kind { first: (2.0, 1.0), ends: [(2.0, 1.0), (0.0, 1.0)], waves_above: 4, wave: Wave::HalfSines };

/// The polynomial of degree `n`; `at_end` says that `x` is one of the ends of the interval.
fn kind<T: Real>(x: T, at_end: bool, n: i64, of: Kind) -> T {
    if n < 0 {
        return T::ZERO;
    }
    if at_end {
        return end(x > T::ZERO, n, of);
    }
    if n > of.waves_above && x.abs() < T::ONE {
        return wave(x, n, of);
    }
    let first = if of.first.0 == 1.0 { x } else { x + x + T::real(of.first.1) };
    recur(n, first, |_, q, p| (x + x) * q - p)
}

fn end<T: Real>(upper: bool, n: i64, of: Kind) -> T {
    let (slope, base) = of.ends[usize::from(!upper)];
    let value = T::real(slope * n as f64 + base);
    if upper || n % 2 == 0 { value } else { -value }
}

fn wave<T: Real>(x: T, n: i64, of: Kind) -> T {
    let t = x.acos();
    let half = t / T::real(2.0);
    let steps = T::real(n as f64);
    match of.wave {
        Wave::Cosine => cos(steps * t),
        Wave::Sines if sin(t) != T::ZERO => sin((steps + T::ONE) * t) / sin(t),
        Wave::Sines => (steps + T::ONE) * cos((steps + T::ONE) * t) / x,
        // Where rounding brought the angle to an end of its range, so is the value.
        Wave::HalfCosines if sin(half) != T::ONE => cos((steps + T::real(0.5)) * t) / cos(half),
        Wave::HalfSines if cos(half) != T::ONE => sin((steps + T::real(0.5)) * t) / sin(half),
        Wave::HalfCosines => end(false, n, of),
        Wave::HalfSines => end(x > T::ZERO, n, of),
    }
}

/// Hermite polynomial (physicists'); NaN beyond the degree that its type can hold.
pub fn hermite_h<T: Real>(x: T, n: T) -> T {
    let n = degree(n);
    if n > limit::<T>() { T::NAN } else { recur(n, x + x, |k, q, p| (x + x) * q - (k + k) * p) }
}

/// Hermite polynomial (probabilists'); NaN beyond the degree that its type can hold.
pub fn hermite_he<T: Real>(x: T, n: T) -> T {
    let n = degree(n);
    if n > limit::<T>() { T::NAN } else { recur(n, x, |k, q, p| x * q - k * p) }
}

/// The largest degree that is evaluated by recurrence.
const LARGEST: i64 = 1 << 24;

fn limit<T: Real>() -> i64 {
    if size_of::<T>() == 4 { 128 } else { 512 }
}

/// Laguerre polynomial.
pub fn laguerre_l<T: Real>(x: T, n: T) -> T {
    let n = degree(n);
    if n >= 0 && x == T::ZERO {
        return T::ONE;
    }
    recur(n, T::ONE - x, |k, q, p| ((k + k + (T::ONE - x)) * q - k * p) / (k + T::ONE))
}

/// Legendre polynomial.
pub fn legendre_p<T: Real>(x: T, n: T) -> T {
    let n = degree(n);
    if n >= 0 && x.abs() == T::ONE {
        return if x > T::ZERO || n % 2 == 0 { T::ONE } else { -T::ONE };
    }
    recur(n, x, |k, q, p| ((k + k + T::ONE) * x * q - k * p) / (k + T::ONE))
}

/// Degree `n` from degrees 0 (which is 1) and 1: `step(k, q, p)` gives degree `k + 1` from `q` (`k`) and `p` (`k - 1`).
/// 0 for a negative degree; NaN for one beyond [`LARGEST`], where a recurrence has lost all digits (and takes minutes).
fn recur<T: Real>(n: i64, first: T, step: impl Fn(T, T, T) -> T) -> T {
    let (mut p, mut q) = (T::ONE, first);
    match n {
        ..0 => return T::ZERO,
        0 => return p,
        _ if n > LARGEST => return T::NAN,
        _ => {}
    }
    for k in 1..n {
        if q.is_nan() {
            break;
        }
        (p, q) = (q, step(T::real(k as f64), q, p));
    }
    q
}

/// A degree given as a floating-point number: cut to an integer; what is none counts as negative.
fn degree<T: Real>(n: T) -> i64 {
    let n = n.wide();
    if n.abs() < 9e18 { n as i64 } else { -1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_degrees_are_their_formulas() {
        for x in [-1.5_f64, -1.0, -0.3, 0.0, 0.7, 1.0, 2.0] {
            let close = |got: f64, want: f64| assert!((got - want).abs() < 1e-12, "{x}: {got} {want}");
            close(chebyshev_t(x, 3.0), 4.0 * x.powi(3) - 3.0 * x);
            close(chebyshev_u(x, 2.0), 4.0 * x * x - 1.0);
            close(chebyshev_v(x, 2.0), 4.0 * x * x - 2.0 * x - 1.0);
            close(chebyshev_w(x, 2.0), 4.0 * x * x + 2.0 * x - 1.0);
            close(hermite_h(x, 3.0), 8.0 * x.powi(3) - 12.0 * x);
            close(hermite_he(x, 3.0), x.powi(3) - 3.0 * x);
            close(laguerre_l(x, 2.0), 1.0 - 2.0 * x + x * x / 2.0);
            close(legendre_p(x, 2.0), 1.5 * x * x - 0.5);
            close(shifted_chebyshev_t(x, 2.0), chebyshev_t(2.0 * x - 1.0, 2.0));
        }
    }

    #[test]
    fn waves_and_recurrences_agree() {
        type Function = fn(f64, f64) -> f64;
        for f in [chebyshev_t as Function, chebyshev_u, chebyshev_v, chebyshev_w] {
            for x in [-0.9, -0.2, 0.4, 0.999] {
                // Degree 20 is a wave; the recurrence from two degrees below is not.
                let next = 2.0 * x * f(x, 19.0) - f(x, 18.0);
                assert!((f(x, 20.0) - next).abs() < 1e-11);
            }
        }
    }

    #[test]
    fn degrees_that_are_no_number() {
        assert_eq!(chebyshev_t(0.3_f32, f32::NAN), 0.0);
        assert_eq!(legendre_p(2.0_f32, f32::INFINITY), 0.0);
        assert_eq!(laguerre_l(0.0, -1.0), 0.0);
        assert!(hermite_h(2.0_f64, 600.0).is_nan());
    }
}
