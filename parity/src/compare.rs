//! When two arrays count as equal, and how a difference is told.

use crate::array::{Array, Elements};
use crate::kit::Reason;

/// How an output is checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Check {
    /// Equal; NaN equals NaN.
    Exact,
    /// Floats and complex numbers within tolerances, everything else equal.
    Close(Tolerance),
    /// Shape and dtype only.
    Shape,
    /// Indices that may differ where the indexed elements are equal.
    Index,
    /// A multiset along the last dimension, within tolerances.
    Unordered(Tolerance),
}

/// `|got - want| <= atol + rtol * |want|`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Relative to the expected value.
    pub rtol: f64,
    /// Absolute.
    pub atol: f64,
}

impl Check {
    /// The check of that name in the kit.
    ///
    /// # Errors
    /// When the format has no such check.
    pub fn named(name: &str, tolerance: Tolerance) -> Result<Check, Reason> {
        Ok(match name {
            "exact" => Check::Exact,
            "close" => Check::Close(tolerance),
            "shape" => Check::Shape,
            "index" => Check::Index,
            "unordered" => Check::Unordered(tolerance),
            _ => return Err(format!("the kit asks for an unknown check {name}")),
        })
    }
}

/// Compares by `check`; `Check::Index` is compared exactly (resolve it with [`Array::gather`] first).
///
/// # Errors
/// The difference, when there is one.
pub fn compare(got: &Array, want: &Array, check: Check) -> Result<(), Reason> {
    if got.dtype != want.dtype {
        return Err(format!("dtype {}, expected {}", got.dtype, want.dtype));
    }
    if got.sizes != want.sizes {
        return Err(format!("shape {:?}, expected {:?}", got.sizes, want.sizes));
    }
    let exact = Tolerance { rtol: 0.0, atol: 0.0 };
    match check {
        Check::Shape => Ok(()),
        Check::Exact | Check::Index => elements(got, want, exact),
        Check::Close(tolerance) => elements(got, want, tolerance),
        Check::Unordered(tolerance) => multisets(got, want, tolerance),
    }
}

fn elements(got: &Array, want: &Array, tolerance: Tolerance) -> Result<(), Reason> {
    match (&got.elements, &want.elements) {
        (Elements::Int(a), Elements::Int(b)) => difference(a, b, &got.sizes, |x, y| x == y),
        (Elements::Float(a), Elements::Float(b)) => {
            difference(a, b, &got.sizes, |&x, &y| close(x, y, tolerance))
        }
        (Elements::Complex(a), Elements::Complex(b)) => {
            difference(a, b, &got.sizes, |&x, &y| complex_close(x, y, tolerance))
        }
        _ => Err("another kind of number".into()),
    }
}

/// Whether a number is near enough; NaN equals NaN and infinities equal themselves.
pub fn close(got: f64, want: f64, t: Tolerance) -> bool {
    got == want
        || (got.is_nan() && want.is_nan())
        || (got.is_finite() && want.is_finite() && (got - want).abs() <= t.atol + t.rtol * want.abs())
}

fn complex_close(got: [f64; 2], want: [f64; 2], t: Tolerance) -> bool {
    let finite = got.iter().chain(&want).all(|x| x.is_finite());
    if finite {
        let distance = (got[0] - want[0]).hypot(got[1] - want[1]);
        return got == want || distance <= t.atol + t.rtol * want[0].hypot(want[1]);
    }
    let is_nan = |z: [f64; 2]| z[0].is_nan() || z[1].is_nan();
    (is_nan(got) && is_nan(want)) || (close(got[0], want[0], t) && close(got[1], want[1], t))
}

/// Names the first position that differs and how many do.
fn difference<T: Copy + std::fmt::Debug>(
    got: &[T],
    want: &[T],
    sizes: &[i64],
    equal: impl Fn(&T, &T) -> bool,
) -> Result<(), Reason> {
    let wrong: Vec<usize> = (0..want.len()).filter(|&i| !equal(&got[i], &want[i])).collect();
    let Some(&first) = wrong.first() else { return Ok(()) };
    let at = coordinate(first, sizes);
    let (n, of, got, want) = (wrong.len(), want.len(), got[first], want[first]);
    Err(format!("{n} of {of} elements differ, first at {at:?}: got {got:?}, expected {want:?}"))
}

fn coordinate(mut position: usize, sizes: &[i64]) -> Vec<usize> {
    let mut at: Vec<usize> = sizes
        .iter()
        .rev()
        .map(|&n| {
            let c = position % n as usize;
            position /= n as usize;
            c
        })
        .collect();
    at.reverse();
    at
}

/// Each row of `want` is matched with the nearest unused number of the same row of `got`: rounding may order
/// conjugate pairs in either way, so sorting would not do.
fn multisets(got: &Array, want: &Array, tolerance: Tolerance) -> Result<(), Reason> {
    let width = want.sizes.last().copied().unwrap_or(1).max(1) as usize;
    let (got, want) = (complex(&got.elements), complex(&want.elements));
    for (row, (g, w)) in got.chunks(width).zip(want.chunks(width)).enumerate() {
        let mut free = g.to_vec();
        for &z in w {
            let distance = |x: &[f64; 2]| (x[0] - z[0]).hypot(x[1] - z[1]);
            let nearest = (0..free.len()).min_by(|&a, &b| distance(&free[a]).total_cmp(&distance(&free[b])));
            let found = nearest.map(|i| free.swap_remove(i));
            if !found.is_some_and(|x| complex_close(x, z, tolerance)) {
                return Err(format!("row {row}: nothing equals {z:?}, nearest is {found:?}"));
            }
        }
    }
    Ok(())
}

fn complex(elements: &Elements) -> Vec<[f64; 2]> {
    match elements {
        Elements::Int(x) => x.iter().map(|&x| [x as f64, 0.0]).collect(),
        Elements::Float(x) => x.iter().map(|&x| [x, 0.0]).collect(),
        Elements::Complex(x) => x.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Tolerance = Tolerance { rtol: 1e-3, atol: 1e-3 };

    fn floats(x: &[f64]) -> Array {
        Array { dtype: "float32".into(), sizes: vec![x.len() as i64], elements: Elements::Float(x.to_vec()) }
    }

    #[test]
    fn nan_and_infinities_equal_themselves_only() {
        assert!(close(f64::NAN, f64::NAN, T) && close(f64::INFINITY, f64::INFINITY, T));
        assert!(!close(f64::NAN, 1.0, T) && !close(1.0, f64::NAN, T));
        assert!(!close(f64::INFINITY, f64::NEG_INFINITY, T) && !close(1e30, f64::INFINITY, T));
    }

    #[test]
    fn differences_name_shape_dtype_and_position() {
        let e = compare(&floats(&[1.0]), &floats(&[1.0, 2.0]), Check::Exact).unwrap_err();
        assert_eq!(e, "shape [1], expected [2]");
        let e = compare(&floats(&[1.0, 2.1]), &floats(&[1.0, 2.0]), Check::Close(T)).unwrap_err();
        assert!(e.contains("1 of 2") && e.contains("[1]"), "{e}");
        assert!(compare(&floats(&[1.0, 9.9]), &floats(&[1.0, 2.0]), Check::Shape).is_ok());
        let mut int = floats(&[1.0]);
        int.dtype = "float64".into();
        assert_eq!(
            compare(&int, &floats(&[1.0]), Check::Shape).unwrap_err(),
            "dtype float64, expected float32"
        );
    }

    #[test]
    fn unordered_rows_are_multisets() {
        assert!(compare(&floats(&[2.0, 1.0, 1.0]), &floats(&[1.0, 2.0, 1.0]), Check::Unordered(T)).is_ok());
        assert!(compare(&floats(&[2.0, 2.0, 1.0]), &floats(&[1.0, 2.0, 1.0]), Check::Unordered(T)).is_err());
    }
}
