//! Where the elements of a tensor lie in its storage: sizes, strides and offset, all in elements.

use smallvec::SmallVec;

use crate::{MemoryFormat, Result, bail};

pub use crate::dims::Dims;

/// Sizes, strides and offset of a strided tensor, in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Length of each dimension.
    pub sizes: Dims,
    /// Step of each dimension.
    pub strides: Dims,
    /// Position of the first element.
    pub offset: usize,
}

impl Layout {
    /// The row-major layout of those sizes.
    pub fn contiguous(sizes: &[i64]) -> Layout {
        Layout { sizes: Dims::from_slice(sizes), strides: contiguous_strides(sizes), offset: 0 }
    }

    /// A layout from its parts.
    pub fn new(sizes: &[i64], strides: &[i64], offset: usize) -> Layout {
        Layout { sizes: Dims::from_slice(sizes), strides: Dims::from_slice(strides), offset }
    }

    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.sizes.iter().product::<i64>() as usize
    }

    /// Number of dimensions.
    pub fn dim(&self) -> usize {
        self.sizes.len()
    }

    /// Whether the elements lie in row-major order without gaps.
    pub fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        for (&size, &stride) in self.sizes.iter().zip(&self.strides).rev() {
            if size == 0 {
                return true;
            }
            if size != 1 {
                if stride != expected {
                    return self.sizes.contains(&0);
                }
                expected *= size;
            }
        }
        true
    }

    /// Whether the elements lie in channels-last order (4 or 5 dimensions) without gaps.
    pub fn is_channels_last(&self) -> bool {
        if self.dim() != 4 && self.dim() != 5 {
            return false;
        }
        let strides = channels_last_strides(&self.sizes);
        self.sizes.iter().zip(&self.strides).zip(&strides).all(|((&size, a), b)| size == 1 || a == b)
            && !self.sizes.contains(&0)
    }

    /// The memory format that PyTorch takes the strides for (`suggest_memory_format`): channels last if sizes and strides
    /// allow no other reading, else row-major.
    pub fn suggested_format(&self) -> MemoryFormat {
        let (order, format): (&[usize], _) = match self.dim() {
            4 => (&[1, 3, 2, 0], MemoryFormat::ChannelsLast),
            5 => (&[1, 4, 3, 2, 0], MemoryFormat::ChannelsLast3d),
            _ => return MemoryFormat::Contiguous,
        };
        let mut least = 0;
        for &d in order {
            let (size, stride) = (self.sizes[d], self.strides[d]);
            let ambiguous = d == 0 && least == self.strides[1];
            if self.strides[1] == 0 || size == 0 || stride < least || ambiguous {
                return MemoryFormat::Contiguous;
            }
            least = stride * size.max(1);
        }
        format
    }

    /// One past the largest element position, relative to the storage; 0 when there are no elements.
    pub fn end(&self) -> usize {
        if self.sizes.contains(&0) {
            return 0;
        }
        let step = |(n, s): (&i64, &i64)| i128::from(n - 1) * i128::from(*s.max(&0));
        let reach: i128 = self.sizes.iter().zip(&self.strides).map(step).sum();
        // No storage is that long, so that a sum which does not fit stays out of reach.
        usize::try_from(reach + self.offset as i128 + 1).unwrap_or(usize::MAX)
    }

    /// Whether no two positions name the same element and no gaps are between them.
    pub fn is_non_overlapping_and_dense(&self) -> bool {
        if self.is_contiguous() {
            return true;
        }
        let mut dims: SmallVec<[(i64, i64); 5]> =
            self.sizes.iter().zip(&self.strides).filter(|(n, _)| **n != 1).map(|(n, s)| (*s, *n)).collect();
        dims.sort_unstable();
        let mut expected = 1;
        dims.iter().all(|&(stride, size)| {
            let fits = stride == expected;
            expected *= size;
            fits
        })
    }
}

/// Row-major strides, as PyTorch computes them (a dimension of size 0 counts as 1).
pub fn contiguous_strides(sizes: &[i64]) -> Dims {
    let mut strides = Dims::from_elem(1, sizes.len());
    for i in (0..sizes.len().saturating_sub(1)).rev() {
        strides[i] = strides[i + 1].wrapping_mul(sizes[i + 1].max(1));
    }
    strides
}

/// Strides of `[N, C, spatial…]` stored as `[N, spatial…, C]`.
pub fn channels_last_strides(sizes: &[i64]) -> Dims {
    let mut strides = Dims::from_elem(1, sizes.len());
    let mut step = 1;
    for d in std::iter::once(1).chain((2..sizes.len()).rev()).chain(std::iter::once(0)) {
        strides[d] = step;
        step = step.wrapping_mul(sizes[d].max(1));
    }
    strides
}

/// Wraps a dimension that counts from the end.
///
/// # Errors
/// `Index` with PyTorch's text when it is out of range; a 0-dim tensor accepts -1 and 0.
pub fn wrap_dim(dim: i64, ndim: usize) -> Result<usize> {
    let n = (ndim as i64).max(1);
    if dim < -n || dim >= n {
        bail!(
            Index,
            "Dimension out of range (expected to be in range of [{}, {}], but got {dim})",
            -n,
            n - 1
        );
    }
    Ok(if dim < 0 { dim + n } else { dim } as usize)
}

/// Wraps several dimensions and refuses repeated ones.
///
/// # Errors
/// As [`wrap_dim`], and `Runtime` when one appears twice.
pub fn wrap_dims(dims: &[i64], ndim: usize) -> Result<SmallVec<[usize; 5]>> {
    let mut wrapped = SmallVec::new();
    for &d in dims {
        let w = wrap_dim(d, ndim)?;
        if wrapped.contains(&w) {
            bail!("dim {w} appears multiple times in the list of dims");
        }
        wrapped.push(w);
    }
    Ok(wrapped)
}

/// The shape that two shapes broadcast to.
///
/// # Errors
/// `Runtime` with PyTorch's text when they do not broadcast.
pub fn broadcast_shapes(a: &[i64], b: &[i64]) -> Result<Dims> {
    let n = a.len().max(b.len());
    let mut out = Dims::from_elem(1, n);
    for i in 0..n {
        let x = if i + a.len() >= n { a[i + a.len() - n] } else { 1 };
        let y = if i + b.len() >= n { b[i + b.len() - n] } else { 1 };
        out[i] = match (x, y) {
            _ if x == y || y == 1 => x,
            _ if x == 1 => y,
            _ => bail!(
                "The size of tensor a ({x}) must match the size of tensor b ({y}) at non-singleton dimension {i}"
            ),
        };
    }
    Ok(out)
}

/// Number of elements of those sizes.
///
/// # Errors
/// `Runtime` when a size is negative or the product overflows.
pub fn checked_numel(sizes: &[i64], element_size: usize) -> Result<usize> {
    let mut n: i64 = 1;
    for &s in sizes {
        if s < 0 {
            bail!("Trying to create tensor with negative dimension {s}: {}", shape(sizes));
        }
    }
    for &s in sizes {
        n = match n.checked_mul(s).filter(|n| n.checked_mul(element_size as i64).is_some()) {
            Some(n) => n,
            None => bail!("Storage size calculation overflowed with sizes={}", shape(sizes)),
        };
    }
    if n == 0 && sizes[1..].iter().try_fold(1_i64, |n, s| n.checked_mul((*s).max(1))).is_none() {
        bail!("Stride calculation overflowed");
    }
    Ok(n as usize)
}

/// A shape as PyTorch prints it: `[2, 3]`.
pub fn shape(sizes: &[i64]) -> String {
    format!("{sizes:?}")
}
