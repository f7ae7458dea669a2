//! The gradient of an embedding table.

use super::accumulate::Accumulate;
use crate::parallel::for_ranges;
use crate::strided::Operand;
use crate::with_element;

/// What [`embedding_backward`] needs to know besides the gradient.
pub struct EmbeddingGrad<'a> {
    /// The row that each gradient belongs to.
    pub indices: &'a [i64],
    /// Rows of the table.
    pub rows: usize,
    /// Elements in a row.
    pub width: usize,
    /// A row that gets no gradient.
    pub padding: Option<i64>,
    /// Whether a row's gradient is divided by the number of times that the row was looked up.
    pub by_frequency: bool,
}

struct Table(*mut u8);
// SAFETY: threads write disjoint rows.
unsafe impl Sync for Table {}

impl Table {
    fn row<T>(&self, row: usize, width: usize) -> *mut T {
        self.0.cast::<T>().wrapping_add(row * width)
    }
}

/// Lookups grouped by row: those of row `r` are `order[starts[r]..starts[r + 1]]`, in their original order.
struct Groups {
    starts: Vec<u32>,
    order: Vec<u32>,
}

impl Groups {
    fn new(indices: &[i64], rows: usize) -> Groups {
        let mut starts = vec![0_u32; rows + 2];
        for &row in indices {
            starts[row as usize + 2] += 1;
        }
        for r in 2..starts.len() {
            starts[r] += starts[r - 1];
        }
        let mut order = vec![0_u32; indices.len()];
        for (i, &row) in indices.iter().enumerate() {
            let next = &mut starts[row as usize + 1];
            order[*next as usize] = i as u32;
            *next += 1;
        }
        Groups { starts, order }
    }

    fn of(&self, row: usize) -> &[u32] {
        &self.order[self.starts[row] as usize..self.starts[row + 1] as usize]
    }
}

/// Writes the whole gradient of a table of `rows x width` to `dst`, which need not be initialised.
///
/// `grad` has one row of `width` for each index, with strides of its own (0 where it is broadcast). Each row of the
/// table is summed by one thread in the order of the indices.
///
/// # Safety
/// `dst` is contiguous, of `grad`'s dtype, apart from `grad`; `grad` is valid over `[indices.len(), width]`; there are
/// fewer than 2^32 indices, all in `0..rows`.
pub unsafe fn embedding_backward(dst: *mut u8, grad: Operand, spec: &EmbeddingGrad) {
    let (table, groups) = (Table(dst), Groups::new(spec.indices, spec.rows));
    let source = Source { ptr: grad.ptr, strides: [grad.strides[0] as isize, grad.strides[1] as isize] };
    with_element!(grad.dtype, T => for_ranges(spec.rows, (64 * 1024 / spec.width.max(1)).max(1), |range| for row in range {
        let lookups = if spec.padding == Some(row as i64) { &[][..] } else { groups.of(row) };
        // SAFETY: the row is one of the table's, and the lookups are below the number of indices.
        unsafe { sum_row::<T>(table.row(row, spec.width), &source, lookups, spec) }
    }));
}

struct Source {
    ptr: *mut u8,
    strides: [isize; 2],
}
// SAFETY: only read.
unsafe impl Sync for Source {}

/// # Safety
/// `dst` is a row of `width`, each lookup a row of `source`.
unsafe fn sum_row<T: Scaled>(dst: *mut T, source: &Source, lookups: &[u32], spec: &EmbeddingGrad) {
    let [across, along] = source.strides;
    let row = |i: u32| source.ptr.cast::<T>().wrapping_offset(i as isize * across).cast_const();
    // SAFETY: zero bytes are a zero of every dtype; the rest is the caller's promise.
    unsafe {
        let Some((&first, rest)) = lookups.split_first() else { return dst.write_bytes(0, spec.width) };
        if along == 1 {
            std::ptr::copy_nonoverlapping(row(first), dst, spec.width);
        } else {
            (0..spec.width).for_each(|c| dst.add(c).write(*row(first).offset(c as isize * along)));
        }
        let sums = std::slice::from_raw_parts_mut(dst, spec.width);
        for &lookup in rest {
            add_row(sums, row(lookup), along);
        }
        if spec.by_frequency && lookups.len() > 1 {
            sums.iter_mut().for_each(|v| *v = v.over(lookups.len()));
        }
    }
}

/// # Safety
/// `row` is valid for `sums.len()` elements at that stride.
#[inline(always)]
unsafe fn add_row<T: Accumulate>(sums: &mut [T], row: *const T, stride: isize) {
    // SAFETY: the caller's promise.
    unsafe {
        if stride == 1 {
            let row = std::slice::from_raw_parts(row, sums.len());
            sums.iter_mut().zip(row).for_each(|(s, v)| *s = s.sum(*v));
        } else {
            sums.iter_mut().enumerate().for_each(|(c, s)| *s = s.sum(*row.offset(c as isize * stride)));
        }
    }
}

/// Division by a count.
trait Scaled: Accumulate {
    fn over(self, count: usize) -> Self;
}

macro_rules! scaled {
    ($($T:ty, $self:ident, $n:ident => $value:expr;)*) => { $(impl Scaled for $T {
        #[inline]
        fn over($self, $n: usize) -> Self { $value }
    })* };
}

scaled! {
    bool, self, _n => self;
    u8, self, n => (self as usize / n) as u8;
    i8, self, n => (self as i64 / n as i64) as i8;
    i16, self, n => (self as i64 / n as i64) as i16;
    i32, self, n => (self as i64 / n as i64) as i32;
    i64, self, n => self / n as i64;
    half::f16, self, n => half::f16::from_f32(self.to_f32() / n as f32);
    half::bf16, self, n => half::bf16::from_f32(self.to_f32() / n as f32);
    f32, self, n => self / n as f32;
    f64, self, n => self / n as f64;
    crate::dtype::C32, self, n => self / n as f32;
    crate::dtype::C64, self, n => self / n as f64;
}
