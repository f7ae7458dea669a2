//! Recurrent layers over all time steps: what comes from the input is given, the rest is done here.
//!
//! A group of sequences runs through all steps on one thread, so threads never wait for each other. Its state lies
//! transposed, a sequence in each column: that is the form of a packed operand, so the product with the weights, which
//! are packed once, needs no copy of the state, and gates are whole vectors of sequences.

mod backward;
mod cells;
mod forward;
#[cfg(test)]
mod tests;

pub use backward::Gradients;

use crate::gemm::{self, Load, Micro, Pack, Strided, Tile};
use crate::isa::isa;
use crate::math;
use std::ops::Range;

/// Most sequences of a group.
const GROUP: usize = 16;

/// `f32` or `f64`: the types that layers are computed in.
pub trait Real: math::Real + gemm::Real {}
impl Real for f32 {}
impl Real for f64 {}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `h = max(a, 0)`.
    Relu,
    /// `h = tanh(a)`.
    Tanh,
    /// Long short-term memory; gates are input, forget, cell, output.
    Lstm,
    /// Gated recurrent unit; gates are reset, update, new.
    Gru,
}

impl Mode {
    /// Gates of a step.
    pub fn gates(self) -> usize {
        match self {
            Mode::Relu | Mode::Tanh => 1,
            Mode::Lstm => 4,
            Mode::Gru => 3,
        }
    }

    /// Rows that backward needs of a step, for each element of the state.
    fn saved(self) -> usize {
        match self {
            Mode::Relu | Mode::Tanh => 1,
            // Four gates, tanh of the new cell, the old cell.
            Mode::Lstm => 6,
            // Three gates, the hidden part of the new one, the old state.
            Mode::Gru => 5,
        }
    }
}

/// One direction of one layer.
#[derive(Clone, Copy, Debug)]
pub struct Recurrence<'a, T> {
    /// What a step does.
    pub mode: Mode,
    /// Elements of the state.
    pub size: usize,
    /// Sequences that have each step: never more than have the step before.
    pub batch_sizes: &'a [i64],
    /// Whether the last step is first.
    pub reverse: bool,
    /// `[gates * size, size]`, row-major.
    pub weight: &'a [T],
    /// `gates * size` or empty.
    pub bias: &'a [T],
}

/// Neighbouring sequences that run together.
#[derive(Clone, Copy)]
struct Group {
    index: usize,
    first: usize,
    count: usize,
}

/// One step of a group: how many of its `count` sequences have it, and the first one's row in packed data.
#[derive(Clone, Copy)]
struct Step {
    time: usize,
    count: usize,
    active: usize,
    row: usize,
}

macro_rules! entries {
    ($($T:ty)*) => {$(
        /// Not generic, so that it is compiled once, here, and not in every crate that calls it.
        impl Recurrence<'_, $T> {
            /// Runs all steps: `gates` `[rows, gates * size]` is what comes from the input, `hx` and (with `Lstm`) `cx`
            /// `[batch, size]` are the first state. Writes the states `[rows, size]`, with `Lstm` the cells likewise, and what
            /// backward needs ([`Recurrence::work_len`] elements).
            ///
            /// # Panics
            /// If the lengths do not fit.
            pub fn forward(
                &self,
                gates: &[$T],
                [hx, cx]: [&[$T]; 2],
                out: &mut [$T],
                cells: &mut [$T],
                work: &mut [$T],
            ) {
                self.forward_groups(gates, [hx, cx], out, cells, work);
            }

            /// Gradients from those of the states and, with [`Mode::Lstm`], of the cells (either may be empty: zeros), and
            /// from what forward saved.
            ///
            /// # Panics
            /// If the lengths do not fit.
            pub fn backward(&self, grad_out: &[$T], grad_cells: &[$T], work: &[$T], to: Gradients<'_, $T>) {
                self.backward_groups(grad_out, grad_cells, work, to);
            }
        }
    )*};
}
entries!(f32 f64);

impl<T: Real> Recurrence<'_, T> {
    fn micro(&self) -> &'static Micro<T> {
        T::micro(isa())
    }

    fn batch(&self) -> usize {
        self.batch_sizes.first().map_or(0, |n| *n as usize)
    }

    fn steps(&self) -> usize {
        self.batch_sizes.len()
    }

    /// Rows of packed data.
    pub fn rows(&self) -> usize {
        self.batch_sizes.iter().sum::<i64>() as usize
    }

    /// Columns of a group's memory: a power of two that a panel has room for.
    fn lanes(&self) -> usize {
        GROUP.min(1 << self.micro().nr.ilog2())
    }

    fn groups(&self) -> usize {
        self.batch().div_ceil(self.lanes())
    }

    fn group(&self, index: usize) -> Group {
        let each = self.batch().div_ceil(self.groups());
        let first = (index * each).min(self.batch());
        Group { index, first, count: each.min(self.batch() - first) }
    }

    /// Elements that forward keeps for backward.
    pub fn work_len(&self) -> usize {
        self.groups() * self.steps() * self.step_len()
    }

    fn step_len(&self) -> usize {
        self.mode.saved() * self.size * self.lanes()
    }

    fn work_range(&self, group: Group, time: usize) -> Range<usize> {
        let start = (group.index * self.steps() + time) * self.step_len();
        start..start + self.step_len()
    }

    /// The group's steps in the order of time, or of `reverse`.
    fn steps_of(&self, group: Group) -> Vec<Step> {
        let mut offset = 0;
        let step = |(time, n): (usize, &i64)| {
            let active = (*n as usize).saturating_sub(group.first).min(group.count);
            let step = Step { time, count: group.count, active, row: offset + group.first };
            offset += *n as usize;
            step
        };
        let mut steps: Vec<Step> =
            self.batch_sizes.iter().enumerate().map(step).filter(|s| s.active > 0).collect();
        if self.reverse {
            steps.reverse();
        }
        steps
    }
}

/// Brings `count` rows of `width` elements into columns: `to[element * stride + row]`.
///
/// # Safety
/// `to` holds `width` rows of `stride` elements, at least `count`.
unsafe fn into_columns<T: Real>(from: &[T], count: usize, width: usize, stride: usize, to: *mut T) {
    let from = Strided { ptr: from[..count * width].as_ptr(), items: &[0], line: width as isize, step: 1 };
    // SAFETY: the slice holds these rows; the caller promises `to`.
    unsafe { Pack::<T>::pack(&from, 0, 0..count, 0..width, stride, to) }
}

/// The other way: `to[row * width + element] = from[element * stride + row]`.
///
/// # Safety
/// `from` is valid for `width` rows of `stride` elements.
unsafe fn into_rows<T: Real>(from: *const T, stride: usize, count: usize, width: usize, to: &mut [T]) {
    let from = Strided { ptr: from, items: &[0], line: stride as isize, step: 1 };
    let to = to[..count * width].as_mut_ptr();
    // SAFETY: the slice holds `count` rows; the caller promises `from`.
    unsafe { Pack::<T>::pack(&from, 0, 0..width, 0..count, width, to) }
}

/// Packs a matrix for the left side of products: `rows` lines of `steps`, by their distances.
fn packed<T: Real + Load<T>>(ptr: *const T, lines: usize, steps: usize, line: isize, step: isize) -> Vec<T> {
    let mr = T::micro(isa()).mr;
    let zero = <T as math::Real>::ZERO;
    let mut panels = vec![zero; lines.next_multiple_of(mr) * steps];
    let from = Strided { ptr, items: &[0], line, step };
    // SAFETY: callers pass a matrix of that size; the vector holds whole panels.
    unsafe { Pack::<T>::pack(&from, 0, 0..lines, 0..steps, mr, panels.as_mut_ptr()) };
    panels
}

/// A tile of rows `row` apart, times 1, on top of `beta` times what is there.
fn tile<T: Real>(c: *mut T, row: usize, beta: T, bias: &[T]) -> Tile<T> {
    let row_bias = if bias.is_empty() { std::ptr::null() } else { bias.as_ptr() };
    let alpha = <T as math::Real>::ONE;
    Tile { c, row: row as isize, cols: 0, alpha, beta, row_bias, col_bias: std::ptr::null() }
}
