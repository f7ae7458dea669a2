//! Pooling to a given size, of which `None` keeps that of the input.

use cresset_core::{IntList, Result, Tensor, ensure, ops};

/// The size of the output in each dimension; `None` keeps that of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputSize(Vec<Option<i64>>);

impl From<i64> for OutputSize {
    fn from(size: i64) -> Self {
        OutputSize(vec![Some(size)])
    }
}

impl<const N: usize> From<[i64; N]> for OutputSize {
    fn from(sizes: [i64; N]) -> Self {
        OutputSize(sizes.map(Some).to_vec())
    }
}

impl From<IntList> for OutputSize {
    fn from(sizes: IntList) -> Self {
        OutputSize(sizes.iter().copied().map(Some).collect())
    }
}

impl<const N: usize> From<[Option<i64>; N]> for OutputSize {
    fn from(sizes: [Option<i64>; N]) -> Self {
        OutputSize(sizes.to_vec())
    }
}

impl From<Vec<Option<i64>>> for OutputSize {
    fn from(sizes: Vec<Option<i64>>) -> Self {
        OutputSize(sizes)
    }
}

impl OutputSize {
    /// The sizes for an input whose last `dims` dimensions are pooled.
    pub(crate) fn of(&self, input: &Tensor, dims: usize) -> Result<Vec<i64>> {
        let (sizes, wanted) = (input.sizes(), &self.0);
        if let ([Some(one)], true) = (&wanted[..], dims > 1) {
            return Ok(vec![*one; dims]);
        }
        if dims == 1 && wanted.iter().all(Option::is_some) {
            return Ok(wanted.iter().flatten().copied().collect());
        }
        let n = if wanted.len() == 1 { dims } else { wanted.len() };
        ensure!(sizes.len() > n, Value, "Input dimension should be at least {}", n + 1);
        let spatial = &sizes[sizes.len() - n..];
        let of = |d: usize| wanted.get(d).or(wanted.first()).copied().flatten().unwrap_or(spatial[d]);
        Ok((0..n).map(of).collect())
    }

    pub(crate) fn text(&self) -> String {
        let size = |s: &Option<i64>| s.map_or("None".to_string(), |s| s.to_string());
        match &self.0[..] {
            [one] => format!("output_size={}", size(one)),
            many => format!("output_size=({})", many.iter().map(size).collect::<Vec<_>>().join(", ")),
        }
    }
}

macro_rules! adaptive {
    ($($dims:literal: $average:ident, $max:ident, $both:ident;)*) => { $(
        #[doc = concat!("Means over windows that divide the last ", $dims, " dimensions evenly.")]
        ///
        /// # Errors
        /// `Value` or `Runtime` when shapes do not fit.
        pub fn $average(input: &Tensor, output_size: impl Into<OutputSize>) -> Result<Tensor> {
            ops::$average(input, output_size.into().of(input, $dims)?)
        }

        #[doc = concat!("Largest elements of windows that divide the last ", $dims, " dimensions evenly, and their places.")]
        ///
        /// # Errors
        /// `Value` or `Runtime` when shapes do not fit.
        pub fn $both(input: &Tensor, output_size: impl Into<OutputSize>) -> Result<(Tensor, Tensor)> {
            ops::$max(input, output_size.into().of(input, $dims)?)
        }

        #[doc = concat!("Largest elements of windows that divide the last ", $dims, " dimensions evenly.")]
        ///
        /// # Errors
        /// `Value` or `Runtime` when shapes do not fit.
        pub fn $max(input: &Tensor, output_size: impl Into<OutputSize>) -> Result<Tensor> {
            Ok($both(input, output_size)?.0)
        }
    )* };
}

adaptive! {
    1: adaptive_avg_pool1d, adaptive_max_pool1d, adaptive_max_pool1d_with_indices;
    2: adaptive_avg_pool2d, adaptive_max_pool2d, adaptive_max_pool2d_with_indices;
    3: adaptive_avg_pool3d, adaptive_max_pool3d, adaptive_max_pool3d_with_indices;
}
