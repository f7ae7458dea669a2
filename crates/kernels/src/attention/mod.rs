//! Scaled dot product attention without a matrix of scores: keys are met in blocks, and what was summed so far is
//! scaled down whenever a larger score turns up (online softmax; FlashAttention, Dao et al., 2022).
//!
//! All is done transposed: a panel of queries lies in the columns of a matrix product, keys in its rows. So the maximum
//! and the sum of a query's scores are elementwise over rows, and a block of weights already has the form of a packed
//! operand of the second product. Keys and values of a head are packed once, for all of its queries.

mod backward;
pub use backward::Saved;
mod forward;
#[cfg(test)]
mod tests;

use crate::gemm::{self, Load, Micro, Pack, Save, Strided, Tile};
use crate::isa::isa;
use crate::math;
use half::{bf16, f16};
use std::ops::Range;

/// Keys met at once: a block of weights stays in the first-level cache.
const BLOCK: usize = 128;

/// `f32` or `f64`: the types that attention is computed in.
pub trait Real: math::Real + gemm::Real {}
impl Real for f32 {}
impl Real for f64 {}

/// A type that queries, keys and values are stored in. Its functions are not generic, so that they are compiled once,
/// here, and not in every crate that calls them.
pub trait Stored: gemm::Stored<Sum: Real> {
    /// `out = softmax(scale q k^T + mask) v`, and the logarithm of the sum of each query's exponentials to `logsumexp`
    /// `[batch, heads, queries, 1]`. A query that sees no key gets zeros.
    ///
    /// # Safety
    /// The operands have the sizes of `call`, stay valid, and neither result overlaps anything else.
    unsafe fn forward(
        call: &Attention<Self::Sum>,
        inputs: [Grid<Self>; 3],
        out: Grid<Self>,
        logsumexp: Grid<Self::Sum>,
    );
    /// Gradients of queries, keys and values, in that order.
    ///
    /// # Safety
    /// As [`Stored::forward`]; the results have the sizes of what they are gradients of.
    unsafe fn backward(call: &Attention<Self::Sum>, saved: Saved<Self, Self::Sum>, results: [Grid<Self>; 3]);
}

macro_rules! stored {
    ($($S:ty, $T:ty;)*) => {$(
        impl Stored for $S {
            unsafe fn forward(call: &Attention<$T>, inputs: [Grid<$S>; 3], out: Grid<$S>, logsumexp: Grid<$T>) {
                // SAFETY: the caller's promise.
                unsafe { call.forward_heads(inputs, out, logsumexp) }
            }
            unsafe fn backward(call: &Attention<$T>, saved: Saved<$S, $T>, results: [Grid<$S>; 3]) {
                // SAFETY: the caller's promise.
                unsafe { call.backward_heads(saved, results) }
            }
        }
    )*};
}
stored! { f32, f32; f64, f64; f16, f32; bf16, f32; }

/// A tensor `[batch, heads, rows, columns]` in memory.
#[derive(Clone, Copy, Debug)]
pub struct Grid<S> {
    /// Address of the first element.
    pub ptr: *mut S,
    /// Elements from one index to the next, for each dimension.
    pub strides: [isize; 4],
}

// SAFETY: whoever builds one promises that the memory stays valid; tasks write disjoint heads or rows.
unsafe impl<S: Sync> Sync for Grid<S> {}

impl<S> Grid<S> {
    fn at(&self, [b, h, row, col]: [usize; 4]) -> *mut S {
        let offset = [b, h, row, col].iter().zip(self.strides).map(|(i, s)| *i as isize * s).sum();
        self.ptr.wrapping_offset(offset)
    }

    /// One head with its rows as lines of a packed operand.
    fn lines(&self, b: usize, h: usize) -> Strided<'static, S> {
        let [_, _, line, step] = self.strides;
        Strided { ptr: self.at([b, h, 0, 0]), items: &[0], line, step }
    }

    /// One head with its columns as lines.
    fn columns(&self, b: usize, h: usize) -> Strided<'static, S> {
        let Strided { ptr, items, line, step } = self.lines(b, h);
        Strided { ptr, items, line: step, step: line }
    }
}

/// Sizes and options of a call.
#[derive(Clone, Copy, Debug)]
pub struct Attention<T> {
    /// Size of the batch.
    pub batch: usize,
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of keys and values, a divisor of `heads`: each serves as many neighbouring heads.
    pub kv_heads: usize,
    /// Queries of a head.
    pub queries: usize,
    /// Keys of a head, and values.
    pub keys: usize,
    /// Elements of a query, of a key and of a value.
    pub width: usize,
    /// Factor of the scores.
    pub scale: T,
    /// Whether query `i` sees keys up to `i` only.
    pub causal: bool,
    /// Added to the scores, `[batch, heads, queries, keys]`.
    pub mask: Option<Grid<T>>,
}

/// The panel of queries that a step works on.
#[derive(Clone, Copy)]
struct Panel {
    batch: usize,
    head: usize,
    start: usize,
    count: usize,
}

impl<T: Real> Attention<T> {
    fn micro(&self) -> &'static Micro<T> {
        T::micro(isa())
    }

    /// Keys that the panel's last query sees.
    fn visible(&self, panel: Panel) -> usize {
        if self.causal { self.keys.min(panel.start + panel.count) } else { self.keys }
    }

    /// Scores of a block of keys: `scores[key][query]`, rows `nr` apart.
    ///
    /// # Safety
    /// `keys` are packed keys, `queries` a packed panel; `scores` holds a row of `nr` for each key; the mask is valid.
    unsafe fn scores(
        &self,
        panel: Panel,
        block: &Range<usize>,
        keys: *const T,
        queries: *const T,
        scores: *mut T,
    ) {
        let micro = self.micro();
        // SAFETY: the caller's promise; blocks start at whole panels of keys.
        unsafe {
            let tile = plain(scores, micro.nr, self.scale, math::Real::real(0.0));
            let rows = (block.len(), panel.count);
            gemm::tiles(
                micro,
                rows,
                self.width,
                (keys.add(block.start * self.width), self.width),
                queries,
                &tile,
            );
            if let Some(mask) = &self.mask {
                for query in 0..panel.count {
                    let row = mask.at([panel.batch, panel.head, panel.start + query, block.start]);
                    for i in 0..block.len() {
                        let score = &mut *scores.add(i * micro.nr + query);
                        *score = *score + *row.offset(i as isize * mask.strides[3]);
                    }
                }
            }
            for key in (panel.start + 1).max(block.start)..if self.causal { block.end } else { 0 } {
                let row = scores.add((key - block.start) * micro.nr);
                for query in 0..panel.count.min(key - panel.start) {
                    *row.add(query) = -<T as math::Real>::INFINITY;
                }
            }
        }
    }

    /// Calls `f` with each block of the keys that the panel sees.
    fn blocks(&self, panel: Panel, mut f: impl FnMut(Range<usize>)) {
        let end = self.visible(panel);
        (0..end).step_by(BLOCK).for_each(|start| f(start..end.min(start + BLOCK)));
    }
}

/// A tile of whole rows `row` apart.
fn plain<T>(c: *mut T, row: usize, alpha: T, beta: T) -> Tile<T> {
    let null = std::ptr::null();
    Tile { c, row: row as isize, cols: 0, alpha, beta, row_bias: null, col_bias: null }
}

/// Packs `lines` of a head, all `steps` of them, into panels of `width` lines.
///
/// # Safety
/// As [`Pack::pack`].
unsafe fn pack<T: Real, S: Load<T>>(
    from: Strided<S>,
    lines: Range<usize>,
    steps: Range<usize>,
    width: usize,
    to: *mut T,
) {
    // SAFETY: the caller's promise is passed on.
    unsafe { Pack::<T>::pack(&from, 0, lines, steps, width, to) }
}

/// Hands out parts of one piece of scratch memory.
struct Scratch<T> {
    next: *mut T,
}

impl<T> Scratch<T> {
    /// The next `len` elements, aligned to a cache line.
    fn take(&mut self, len: usize) -> *mut T {
        let start = self.next;
        self.next = start.wrapping_add(len.next_multiple_of(16));
        start
    }
}

/// Elements that [`Scratch`] needs for these parts.
fn scratch_len(parts: &[usize]) -> usize {
    parts.iter().map(|len| len.next_multiple_of(16)).sum()
}

/// Stores `count` columns of `from` (rows `nr` apart, `width` of them), times `by`, as rows of `to`.
///
/// # Safety
/// Both are valid for that many elements.
unsafe fn store_columns<T: Real, S: Save<T>>(
    from: *const T,
    nr: usize,
    to: &Grid<S>,
    panel: Panel,
    width: usize,
    by: impl Fn(usize) -> T,
) {
    for query in 0..panel.count {
        let (row, by) = (to.at([panel.batch, panel.head, panel.start + query, 0]), by(query));
        for d in 0..width {
            // SAFETY: the caller's promise.
            unsafe { *row.offset(d as isize * to.strides[3]) = S::put(*from.add(d * nr + query) * by) };
        }
    }
}
