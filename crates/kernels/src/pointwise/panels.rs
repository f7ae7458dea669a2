//! Operands that lie transposed to the output: `a + b.t()`.
//!
//! Gathering one row of such an operand touches a cache line per element. Here a few rows at a time are transposed into
//! a panel, square by square, so that each line is read once.

use super::Loop;
use super::blocks::ROW;
use crate::dtype::DType;
use crate::parallel::for_tasks;
use crate::strided::{Operand, Plan};
use crate::transpose::{Rows, transpose};
use std::mem::MaybeUninit;

/// Rows of a panel: a cache line of `f32`.
const ROWS: usize = 16;

/// Columns of a panel.
const BLOCK: usize = 512;

/// A panel of one operand, for elements of up to 8 bytes.
#[repr(align(64))]
struct Panel(#[allow(dead_code)] MaybeUninit<[u8; ROWS * BLOCK * 8]>);

/// How an operand reaches the kernel.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    Direct,
    Transposed,
}

/// Runs the operation if some operands lie transposed and all others can be used in place; `false` otherwise.
///
/// # Safety
/// As [`run`](super::run).
pub(super) unsafe fn run<const N: usize>(
    plan: &Plan<N>,
    operands: &[Operand; N],
    compute: [DType; N],
    kernel: Loop<N>,
) -> bool {
    let Some(dim) = transposed_dim(plan, compute) else { return false };
    let mut access = [Access::Direct; N];
    for i in 0..N {
        let step = |d: usize| plan.dims()[d].strides[i] == compute[i].size() as isize;
        let in_place = i > 0 && operands[i].ptr == operands[0].ptr;
        access[i] = if step(0) { Access::Direct } else { Access::Transposed };
        if operands[i].dtype != compute[i] || in_place || !(step(0) || (step(dim) && i > 0)) {
            return false;
        }
    }
    let groups = plan.dims()[dim].size.div_ceil(ROWS);
    let outer = plan.total() / (plan.dims()[0].size * plan.dims()[dim].size);
    for_tasks(outer * groups, |task| {
        let base = plan.matrix(dim, task / groups);
        // SAFETY: the caller's promise, for rows of one matrix of the operation.
        unsafe { group(plan, dim, base, task % groups * ROWS, access, compute.map(DType::size), kernel) }
    });
    true
}

/// The dimension along which some input is contiguous while the output is along dimension 0, if both are long.
fn transposed_dim<const N: usize>(plan: &Plan<N>, compute: [DType; N]) -> Option<usize> {
    let dims = plan.dims();
    let size = |i: usize| compute[i].size();
    let along = |d: usize, i: usize| dims[d].strides[i] == size(i) as isize;
    let turned = |i: usize| size(i) <= 8 && !along(0, i) && dims[0].strides[i] != 0;
    let dim = (1..dims.len()).find(|&d| (1..N).any(|i| turned(i) && along(d, i)))?;
    (along(0, 0) && dims[0].size >= ROW && dims[dim].size >= ROWS).then_some(dim)
}

/// Computes up to [`ROWS`] rows from `row` on of the matrix at `base`.
///
/// # Safety
/// As [`run`], for these rows.
unsafe fn group<const N: usize>(
    plan: &Plan<N>,
    dim: usize,
    base: [*mut u8; N],
    row: usize,
    access: [Access; N],
    element: [usize; N],
    kernel: Loop<N>,
) {
    let (cols, rows) = (plan.dims()[0], plan.dims()[dim]);
    let height = ROWS.min(rows.size - row);
    let mut panels: [Panel; N] = std::array::from_fn(|_| Panel(MaybeUninit::uninit()));
    let panels: [*mut u8; N] = std::array::from_fn(|i| (&raw mut panels[i]).cast());
    for col in (0..cols.size).step_by(BLOCK) {
        let width = BLOCK.min(cols.size - col);
        let at: [Rows; N] = std::array::from_fn(|i| {
            let offset = row as isize * rows.strides[i] + col as isize * cols.strides[i];
            let ptr = base[i].wrapping_offset(offset);
            if access[i] == Access::Direct {
                return Rows { ptr, stride: rows.strides[i] };
            }
            let panel = Rows { ptr: panels[i], stride: (BLOCK * element[i]) as isize };
            let src = Rows { ptr, stride: cols.strides[i] };
            // SAFETY: the panel holds `ROWS` rows of `BLOCK` elements; the operand has `height` by `width` here.
            unsafe { transpose(element[i], panel, src, height, width, false) };
            panel
        });
        for r in 0..height {
            kernel(at.map(|rows| rows.at(r, 0).ptr), width);
        }
    }
}
