//! Strided operands, and the order in which loops visit their elements.
//!
//! A [`Plan`] is made once per operation: dimensions of size 1 are dropped, the rest sorted so that the output (then
//! the first input, …) is walked in memory order, and neighbours that form one longer run are merged. What is left is
//! one dimension for contiguous operands of any rank and rarely more than three. Plans of tensors with at most
//! eight dimensions live on the stack.

use crate::dtype::DType;
use crate::parallel::for_ranges;
use std::ops::{Deref, DerefMut, Range};

/// One operand: address of its first element, element type, strides in elements.
///
/// Strides may be 0 (broadcast) or negative. Sizes are passed beside, as operands of one loop share them.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    /// Address of the element at index `[0, 0, …]`.
    pub ptr: *mut u8,
    /// Type of the elements.
    pub dtype: DType,
    /// Distance between neighbours of each dimension, in elements.
    pub strides: &'a [i64],
}

// SAFETY: an operand is an address; the loops that read or write through it say what they need.
unsafe impl Send for Operand<'_> {}
// SAFETY: as above.
unsafe impl Sync for Operand<'_> {}

impl<'a> Operand<'a> {
    /// Operand that starts at `ptr`.
    pub fn new(ptr: *mut u8, dtype: DType, strides: &'a [i64]) -> Operand<'a> {
        Operand { ptr, dtype, strides }
    }

    /// Whether the elements of all `sizes` lie one after another, last dimension fastest.
    #[inline]
    pub fn is_contiguous(&self, sizes: &[i64]) -> bool {
        let mut expected = 1;
        for (&size, &stride) in sizes.iter().zip(self.strides).rev() {
            if size != 1 {
                if stride != expected {
                    return false;
                }
                expected *= size;
            }
        }
        true
    }

    /// Whether every index reads the same element.
    pub(crate) fn is_constant(&self, sizes: &[i64]) -> bool {
        sizes.iter().zip(self.strides).all(|(&size, &stride)| size == 1 || stride == 0)
    }
}

/// Number of elements of a shape.
#[inline]
pub fn numel(sizes: &[i64]) -> usize {
    sizes.iter().map(|&size| size as usize).product()
}

/// Dimensions that fit without a heap allocation.
const INLINE: usize = 8;

/// A short list of plain values, on the stack up to [`INLINE`] of them.
#[derive(Clone)]
enum Small<T> {
    Inline([T; INLINE], usize),
    Heap(Vec<T>),
}

impl<T: Copy> Small<T> {
    #[inline]
    fn new(value: T, len: usize) -> Small<T> {
        if len <= INLINE { Small::Inline([value; INLINE], len) } else { Small::Heap(vec![value; len]) }
    }

    fn truncate(&mut self, len: usize) {
        match self {
            Small::Inline(_, n) => *n = len,
            Small::Heap(values) => values.truncate(len),
        }
    }
}

impl<T> Deref for Small<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Small::Inline(values, len) => &values[..*len],
            Small::Heap(values) => values,
        }
    }
}

impl<T> DerefMut for Small<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Small::Inline(values, len) => &mut values[..*len],
            Small::Heap(values) => values,
        }
    }
}

/// One dimension of a plan: its size and each operand's stride, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Dim<const N: usize> {
    /// Number of elements along the dimension, at least 1.
    pub size: usize,
    /// Bytes from one element to the next, for each operand.
    pub strides: [isize; N],
}

/// The loop nest over `N` operands of one shape, innermost dimension first.
pub struct Plan<const N: usize> {
    bases: [*mut u8; N],
    dims: Small<Dim<N>>,
    total: usize,
}

// SAFETY: a plan only describes addresses; whoever dereferences them answers for the accesses.
unsafe impl<const N: usize> Sync for Plan<N> {}
// SAFETY: as above.
unsafe impl<const N: usize> Send for Plan<N> {}

impl<const N: usize> Plan<N> {
    /// Orders and merges the dimensions `sizes` of the operands, the output first.
    pub fn new(sizes: &[i64], operands: &[Operand; N]) -> Plan<N> {
        let bases = std::array::from_fn(|i| operands[i].ptr);
        if sizes.contains(&0) {
            // The other sizes of an empty shape may have no product.
            return Plan { bases, dims: Small::new(Dim { size: 0, strides: [0; N] }, 1), total: 0 };
        }
        let mut dims = Small::new(Dim { size: 1, strides: [0; N] }, sizes.len().max(1));
        let mut len = 0;
        for d in (0..sizes.len()).rev().filter(|&d| sizes[d] != 1) {
            let strides = std::array::from_fn(|i| {
                (operands[i].strides[d] as isize).wrapping_mul(operands[i].dtype.size() as isize)
            });
            dims[len] = Dim { size: sizes[d] as usize, strides };
            len += 1;
        }
        sort(&mut dims[..len]);
        let len = merge(&mut dims[..len]);
        dims.truncate(len.max(1));
        let total = dims.iter().map(|d| d.size).product();
        Plan { bases, dims, total }
    }

    /// Number of elements visited.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Address of each operand's first element.
    pub fn bases(&self) -> [*mut u8; N] {
        self.bases
    }

    /// The dimensions, innermost first; at least one.
    pub fn dims(&self) -> &[Dim<N>] {
        &self.dims
    }

    /// The innermost dimension, and the plan of the others.
    pub(crate) fn split(&self) -> (Dim<N>, Plan<N>) {
        let (inner, outer) = (self.dims[0], &self.dims[1..]);
        let mut dims = Small::new(Dim { size: 1, strides: [0; N] }, outer.len().max(1));
        dims[..outer.len()].copy_from_slice(outer);
        (inner, Plan { bases: self.bases, total: dims.iter().map(|d| d.size).product(), dims })
    }

    /// The addresses at matrix number `linear` of those that dimensions `0` and `dim` span.
    pub(crate) fn matrix(&self, dim: usize, mut linear: usize) -> [*mut u8; N] {
        let mut ptrs = self.bases;
        for (_, outer) in self.dims.iter().enumerate().filter(|(d, _)| *d != 0 && *d != dim) {
            let index = (linear % outer.size) as isize;
            linear /= outer.size;
            ptrs = std::array::from_fn(|i| ptrs[i].wrapping_offset(index * outer.strides[i]));
        }
        ptrs
    }

    /// Whether the operand's elements, in the order of the loop, lie one after another.
    pub(crate) fn is_flat(&self, operand: usize, element: usize) -> bool {
        let mut expected = element as isize;
        self.dims.iter().all(|d| {
            let flat = d.size == 1 || d.strides[operand] == expected;
            expected *= d.size as isize;
            flat
        })
    }

    /// The position of the element that the loop visits as number `linear`.
    pub(crate) fn cursor(&self, mut linear: usize) -> Cursor<'_, N> {
        let mut index = Small::new(0, self.dims.len());
        let mut ptrs = self.bases;
        for (i, dim) in index.iter_mut().zip(self.dims.iter()) {
            *i = linear % dim.size;
            linear /= dim.size;
            for (ptr, stride) in ptrs.iter_mut().zip(dim.strides) {
                *ptr = ptr.wrapping_offset(*i as isize * stride);
            }
        }
        Cursor { dims: &self.dims, index, ptrs }
    }

    /// Calls `f(addresses, n)` for the runs along the innermost dimension that make up `range`.
    pub(crate) fn runs(&self, range: Range<usize>, mut f: impl FnMut([*mut u8; N], usize)) {
        let mut cursor = self.cursor(range.start);
        let mut left = range.len();
        while left > 0 {
            let n = cursor.run().min(left);
            f(cursor.ptrs, n);
            cursor.step(n);
            left -= n;
        }
    }
}

/// Sorts dimensions by the strides of the first operand that tells them apart (broadcast dimensions do not).
#[inline]
fn sort<const N: usize>(dims: &mut [Dim<N>]) {
    for i in 1..dims.len() {
        let mut at = i;
        for below in (0..i).rev() {
            match order(&dims[below], &dims[at]) {
                Some(true) => {
                    dims.swap(below, at);
                    at = below;
                }
                Some(false) => break,
                None => {}
            }
        }
    }
}

/// Whether `inner` should be outside of `outer`; `None` if no operand tells.
fn order<const N: usize>(inner: &Dim<N>, outer: &Dim<N>) -> Option<bool> {
    for (a, b) in inner.strides.iter().zip(outer.strides) {
        let (a, b) = (a.unsigned_abs(), b.unsigned_abs());
        if a != 0 && b != 0 && a != b {
            return Some(a > b);
        }
        if a != 0 && a == b && inner.size != outer.size {
            return Some(inner.size > outer.size);
        }
    }
    None
}

/// Merges neighbours that form one run in every operand; returns how many dimensions are left.
#[inline]
fn merge<const N: usize>(dims: &mut [Dim<N>]) -> usize {
    let mut last = 0;
    for i in 1..dims.len() {
        let (a, b) = (dims[last], dims[i]);
        if (0..N).all(|k| b.strides[k] == a.strides[k] * a.size as isize) {
            dims[last].size *= b.size;
        } else {
            last += 1;
            dims[last] = b;
        }
    }
    if dims.is_empty() { 0 } else { last + 1 }
}

/// A position in a plan's loop.
#[derive(Clone)]
pub(crate) struct Cursor<'p, const N: usize> {
    dims: &'p [Dim<N>],
    index: Small<usize>,
    /// Address of each operand's current element.
    pub ptrs: [*mut u8; N],
}

impl<const N: usize> Cursor<'_, N> {
    /// Elements left in the current run along the innermost dimension.
    #[inline]
    pub fn run(&self) -> usize {
        self.dims[0].size - self.index[0]
    }

    /// Moves on by `n` elements, not beyond the end of the current run.
    #[inline]
    pub fn step(&mut self, n: usize) {
        self.add(0, n);
        let mut d = 0;
        while self.index[d] == self.dims[d].size && d + 1 < self.dims.len() {
            let size = self.dims[d].size as isize;
            for (ptr, stride) in self.ptrs.iter_mut().zip(self.dims[d].strides) {
                *ptr = ptr.wrapping_offset(-size * stride);
            }
            self.index[d] = 0;
            d += 1;
            self.add(d, 1);
        }
    }

    #[inline]
    fn add(&mut self, d: usize, n: usize) {
        self.index[d] += n;
        for (ptr, stride) in self.ptrs.iter_mut().zip(self.dims[d].strides) {
            *ptr = ptr.wrapping_offset(n as isize * stride);
        }
    }
}

/// Calls `f(addresses, byte strides, n)` for runs that together visit every element once, shared among threads in
/// pieces of at least `grain` elements.
///
/// The order is that of memory as far as the first operand goes: for loops whose elements do not depend on each other.
pub fn for_each_run<const N: usize>(
    sizes: &[i64],
    operands: &[Operand; N],
    grain: usize,
    f: impl Fn([*mut u8; N], [isize; N], usize) + Sync,
) {
    let plan = Plan::new(sizes, operands);
    let strides = plan.dims[0].strides;
    for_ranges(plan.total, grain, |range| plan.runs(range, |ptrs, n| f(ptrs, strides, n)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn offsets(sizes: &[i64], a: &[i64], b: &[i64]) -> Vec<(i64, i64)> {
        let base = 1 << 20;
        let operands =
            [Operand::new(base as *mut u8, DType::F32, a), Operand::new(base as *mut u8, DType::I64, b)];
        let seen = Mutex::new(Vec::new());
        for_each_run(sizes, &operands, 4, |ptrs, strides, n| {
            for i in 0..n as i64 {
                let at = |k: usize, size| (ptrs[k] as i64 - base + i * strides[k] as i64) / size;
                seen.lock().unwrap().push((at(0, 4), at(1, 8)));
            }
        });
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        seen
    }

    fn expected(sizes: &[i64], a: &[i64], b: &[i64]) -> Vec<(i64, i64)> {
        let mut all = vec![(0, 0)];
        for d in 0..sizes.len() {
            let step = |&(x, y): &(i64, i64), i| (x + i * a[d], y + i * b[d]);
            all = all.iter().flat_map(|p| (0..sizes[d]).map(move |i| step(p, i))).collect();
        }
        all.sort_unstable();
        all
    }

    #[test]
    fn visits_every_element_once() {
        let cases: [(&[i64], &[i64], &[i64]); 7] = [
            (&[], &[], &[]),
            (&[5], &[1], &[-2]),
            (&[3, 4], &[4, 1], &[1, 3]),
            (&[3, 0, 2], &[0, 2, 1], &[1, 1, 1]),
            (&[2, 3, 4], &[12, 4, 1], &[0, 1, 0]),
            (&[2, 1, 3, 5], &[15, 7, 1, 3], &[15, 99, 5, 1]),
            (
                &[2, 1, 2, 1, 2, 1, 2, 1, 2, 3],
                &[48, 0, 24, 0, 12, 0, 6, 0, 3, 1],
                &[1, 0, 2, 0, 4, 0, 8, 0, 16, 32],
            ),
        ];
        for (sizes, a, b) in cases {
            assert_eq!(offsets(sizes, a, b), expected(sizes, a, b), "{sizes:?}");
        }
    }

    #[test]
    fn contiguous_operands_merge_to_one_run() {
        let strides = [12, 4, 1];
        let operands = [Operand::new(std::ptr::null_mut(), DType::F32, &strides); 2];
        let plan = Plan::new(&[2, 3, 4], &operands);
        assert_eq!((plan.dims().len(), plan.dims()[0].size), (1, 24));
        let permuted = [1, 8, 2];
        let plan = Plan::new(&[2, 3, 4], &[Operand::new(std::ptr::null_mut(), DType::F32, &permuted); 2]);
        assert_eq!((plan.dims().len(), plan.dims()[0].size), (1, 24));
    }
}
