//! The loop nest under the indexing kernels: dimensions merged where they can be, shared among threads, run by run.

use std::ops::Range;

use crate::parallel::{for_ranges, num_threads};
use crate::strided::Operand;

/// Elements below which a loop stays on one thread.
const GRAIN: usize = 16 * 1024;

/// Indices along one dimension of an operand, which there has stride 0 in the loop.
///
/// The element is `index * stride` elements further on; a negative index counts from `size`.
#[derive(Clone, Copy)]
pub struct Index<'a> {
    /// The first index.
    pub ptr: *const i64,
    /// Strides of the indices, in elements, for each dimension of the loop.
    pub strides: &'a [i64],
    /// Size of the indexed dimension; indices lie in `-size..size`.
    pub size: i64,
    /// Stride of the indexed dimension, in elements.
    pub stride: i64,
}

/// One dimension of the nest: its size and the strides, in elements, of both operands and of the indices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dim {
    pub size: usize,
    pub dst: isize,
    pub src: isize,
    pub index: isize,
}

impl Dim {
    /// Whether stepping `outer` once equals stepping `self` to its end.
    fn continues(&self, outer: &Dim) -> bool {
        let n = self.size as isize;
        outer.dst == self.dst * n && outer.src == self.src * n && outer.index == self.index * n
    }
}

/// The innermost dimension at one position of the others.
pub(super) struct Run {
    pub dst: *mut u8,
    pub src: *const u8,
    pub index: *const i64,
    pub dim: Dim,
}

/// What an index stands for.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    size: i64,
    stride: i64,
}

impl Rule {
    /// The offset in elements.
    #[inline(always)]
    pub fn offset(self, index: i64) -> isize {
        ((index + (self.size & (index >> 63))) * self.stride) as isize
    }

    /// Calls `f(i, offset)` for every index of a run, with the offset in an operand that has the stride `step` beside.
    ///
    /// Offsets are computed a block at a time, so that neither waits for what `f` writes.
    ///
    /// # Safety
    /// The run's indices are valid.
    #[inline(always)]
    pub unsafe fn each_place(self, run: &Run, step: isize, mut f: impl FnMut(isize, isize)) {
        let mut places = [0_isize; PLACES];
        for start in (0..run.dim.size).step_by(PLACES) {
            let places = &mut places[..PLACES.min(run.dim.size - start)];
            let (first, start) = (run.index.wrapping_offset(start as isize * run.dim.index), start as isize);
            if run.dim.index == 1 {
                // SAFETY: so many indices lie side by side.
                let indices = unsafe { std::slice::from_raw_parts(first, places.len()) };
                offsets(self, indices, start * step, step, places);
            } else {
                for (i, place) in (0..).zip(places.iter_mut()) {
                    // SAFETY: index number `start + i` of the run.
                    let index = unsafe { *first.offset(i * run.dim.index) };
                    *place = (start + i) * step + self.offset(index);
                }
            }
            (start..).zip(places.iter()).for_each(|(i, place)| f(i, *place));
        }
    }
}

/// Offsets that are computed at a time.
const PLACES: usize = 64;

crate::multiversion! {
    /// `places[i] = first + i step`, and the offset that index `i` stands for.
    fn offsets(rule: Rule, indices: &[i64], first: isize, step: isize, places: &mut [isize]) {
        for (i, (place, index)) in places.iter_mut().zip(indices).enumerate() {
            *place = first + i as isize * step + rule.offset(*index);
        }
    }
}

/// A loop nest over two operands of one element size and the indices of one of them.
#[derive(Clone)]
pub(super) struct Walk {
    dst: *mut u8,
    src: *const u8,
    index: *const i64,
    item: usize,
    size: i64,
    stride: i64,
    dims: Vec<Dim>,
}

// SAFETY: the pointers are used only inside the kernels' own loops, whose callers vouch for the memory.
unsafe impl Sync for Walk {}

static NO_INDEX: i64 = 0;

impl Walk {
    /// The nest of `sizes`, outermost first, without dimensions of size 1 and with neighbours merged.
    pub fn new(sizes: &[i64], dst: Operand, src: Operand, index: Option<Index>) -> Walk {
        debug_assert_eq!(dst.dtype.size(), src.dtype.size());
        let mut dims: Vec<Dim> = Vec::with_capacity(sizes.len());
        for d in (0..sizes.len()).filter(|&d| sizes[d] != 1) {
            let along = index.map_or(0, |i| i.strides[d] as isize);
            let dim = Dim {
                size: sizes[d] as usize,
                dst: dst.strides[d] as isize,
                src: src.strides[d] as isize,
                index: along,
            };
            match dims.last_mut() {
                Some(outer) if dim.continues(outer) => *outer = Dim { size: outer.size * dim.size, ..dim },
                _ => dims.push(dim),
            }
        }
        if dims.is_empty() {
            dims.push(Dim { size: 1, dst: 0, src: 0, index: 0 });
        }
        let (ptr, size, stride) = index.map_or((&raw const NO_INDEX, 0, 0), |i| (i.ptr, i.size, i.stride));
        Walk { dst: dst.ptr, src: src.ptr, index: ptr, item: dst.dtype.size(), size, stride, dims }
    }

    /// How indices become offsets; a copy, so that loops that write keep it in registers.
    #[inline(always)]
    pub fn rule(&self) -> Rule {
        Rule { size: self.size, stride: self.stride }
    }

    fn len(&self) -> usize {
        self.dims.iter().map(|d| d.size).product()
    }

    /// Calls `f` with parts of the nest on several threads, cut along a dimension that `free` allows.
    pub fn share(&self, free: impl Fn(&Dim) -> bool, f: impl Fn(&Walk) + Sync) {
        let len = self.len();
        if len == 0 {
            return;
        }
        let threads = num_threads();
        let wide = (0..self.dims.len()).filter(|&d| free(&self.dims[d]));
        let cut = wide.clone().find(|&d| self.dims[d].size >= 4 * threads);
        match cut.or_else(|| wide.max_by_key(|&d| self.dims[d].size)) {
            Some(d) if threads > 1 && len >= 2 * GRAIN => {
                let size = self.dims[d].size;
                for_ranges(size, (GRAIN * size / len).max(1), |range| f(&self.part(d, range)));
            }
            _ => f(self),
        }
    }

    /// The nest with dimension `d` restricted to `range`.
    fn part(&self, d: usize, range: Range<usize>) -> Walk {
        let mut part = self.clone();
        let Dim { dst, src, index, .. } = self.dims[d];
        let (start, item) = (range.start as isize, self.item as isize);
        part.dst = self.dst.wrapping_offset(start * dst * item);
        part.src = self.src.wrapping_offset(start * src * item);
        part.index = self.index.wrapping_offset(start * index);
        part.dims[d].size = range.len();
        part
    }

    /// Calls `f` for every run of the innermost dimension, in logical order.
    pub fn runs(&self, mut f: impl FnMut(Run)) {
        let Some((&dim, outer)) = self.dims.split_last() else { return };
        let item = self.item as isize;
        let mut at = vec![0_usize; outer.len()];
        let (mut dst, mut src, mut index) = (self.dst, self.src, self.index);
        loop {
            f(Run { dst, src, index, dim });
            let mut d = outer.len();
            loop {
                if d == 0 {
                    return;
                }
                d -= 1;
                let Dim { size, dst: ds, src: ss, index: is } = outer[d];
                at[d] += 1;
                let back = if at[d] == size { size as isize - 1 } else { -1 };
                dst = dst.wrapping_offset(-back * ds * item);
                src = src.wrapping_offset(-back * ss * item);
                index = index.wrapping_offset(-back * is);
                if at[d] < size {
                    break;
                }
                at[d] = 0;
            }
        }
    }
}
