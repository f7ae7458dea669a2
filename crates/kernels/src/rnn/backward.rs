//! The gradient of all steps of a layer.

use super::cells::{self, Backward};
use super::{Group, Mode, Real, Recurrence, Step, into_columns, into_rows, packed, tile};
use crate::gemm;
use crate::math;
use crate::parallel::for_tasks;
use crate::parts::Parts;

/// What [`Recurrence::backward`] writes.
#[derive(Debug)]
pub struct Gradients<'a, T> {
    /// Of what comes from the input, `[rows, gates * size]`.
    pub gates: &'a mut [T],
    /// With [`Mode::Gru`] of what comes from the state, likewise; else empty, as it is the same.
    pub hidden: &'a mut [T],
    /// Of the first state, `[batch, size]`.
    pub hx: &'a mut [T],
    /// With [`Mode::Lstm`] of the first cell.
    pub cx: &'a mut [T],
}

/// A group's memory while it runs.
struct Memory<T> {
    grad_state: Vec<T>,
    grad_cell: Vec<T>,
    /// What the step itself adds to them.
    given: Vec<T>,
    /// Gradients of gates, packed columns with rows of `nr`.
    hidden: Vec<T>,
    /// As the input sees them, rows of a group.
    gates: Vec<T>,
}

/// Where results go.
struct Places<'a, T> {
    gates: Parts<'a, T>,
    hidden: Parts<'a, T>,
    hx: Parts<'a, T>,
    cx: Parts<'a, T>,
}

impl<T: Real> Recurrence<'_, T> {
    /// [`Recurrence::backward`], a group of sequences in each task.
    pub(super) fn backward_groups(&self, grad_out: &[T], grad_cells: &[T], work: &[T], to: Gradients<'_, T>) {
        let (n, size) = (self.mode.gates() * self.size, self.size);
        assert!(self.weight.len() == n * size && work.len() == self.work_len());
        let weight = packed(self.weight.as_ptr(), size, n, 1, size as isize);
        let Gradients { gates, hidden, hx, cx } = to;
        let to = Places {
            gates: Parts::new(gates),
            hidden: Parts::new(hidden),
            hx: Parts::new(hx),
            cx: Parts::new(cx),
        };
        for_tasks(self.groups(), |i| {
            let group = self.group(i);
            let mut memory = self.zeros();
            for step in self.steps_of(group).into_iter().rev() {
                self.give(grad_out, step, &mut memory, false);
                self.give(grad_cells, step, &mut memory, true);
                self.backward_step(&weight, &work[self.work_range(group, step.time)], step, &mut memory, &to);
            }
            self.finish(group, &memory, &to);
        });
    }

    fn zeros(&self) -> Memory<T> {
        let zeros = |n: usize| vec![<T as math::Real>::ZERO; n];
        let (nr, lanes, size) = (self.micro().nr, self.lanes(), self.size);
        let n = self.mode.gates() * size;
        Memory {
            grad_state: zeros(size * lanes),
            grad_cell: zeros(if self.mode == Mode::Lstm { size * lanes } else { 0 }),
            given: zeros(size * lanes),
            hidden: zeros(n * nr),
            gates: zeros(n * lanes),
        }
    }

    /// Adds the gradient of this step's state, or cell, to what came from the step after.
    fn give(&self, grads: &[T], step: Step, memory: &mut Memory<T>, cell: bool) {
        let (lanes, size) = (self.lanes(), self.size);
        if grads.is_empty() {
            return;
        }
        // SAFETY: there is a row for each element; columns that are not active become zeros.
        unsafe {
            into_columns(&grads[step.row * size..], step.active, size, lanes, memory.given.as_mut_ptr())
        };
        let to = if cell { &mut memory.grad_cell } else { &mut memory.grad_state };
        to.iter_mut().zip(&memory.given).for_each(|(to, g)| *to = *to + *g);
    }

    fn backward_step(&self, weight: &[T], work: &[T], step: Step, memory: &mut Memory<T>, to: &Places<T>) {
        let (micro, lanes, size, mode) = (self.micro(), self.lanes(), self.size, self.mode);
        let n = mode.gates() * size;
        let mut cell = Backward {
            work,
            grad_state: &mut memory.grad_state,
            grad_cell: &mut memory.grad_cell,
            hidden: &mut memory.hidden,
            gates: &mut memory.gates,
            spare: &mut memory.given,
            size,
            stride: micro.nr,
            kept: step.active..step.count,
        };
        cells::backward(mode, lanes, &mut cell);
        let rows = step.row * n..(step.row + step.active) * n;
        let (one, zero) = (<T as math::Real>::ONE, <T as math::Real>::ZERO);
        // SAFETY: these rows are this group's; the weights are packed; the gradients are `n` rows of `nr`.
        unsafe {
            let (hidden, stride) = (memory.hidden.as_ptr(), micro.nr);
            if mode == Mode::Gru {
                into_rows(memory.gates.as_ptr(), lanes, step.active, n, to.gates.part(rows.clone()));
                into_rows(hidden, stride, step.active, n, to.hidden.part(rows));
            } else {
                into_rows(hidden, stride, step.active, n, to.gates.part(rows));
            }
            let beta = if mode == Mode::Gru { one } else { zero };
            let tile = tile(memory.grad_state.as_mut_ptr(), lanes, beta, &[]);
            gemm::tiles(micro, (size, step.active), n, (weight.as_ptr(), n), hidden, &tile);
        }
    }

    fn finish(&self, group: Group, memory: &Memory<T>, to: &Places<T>) {
        let (lanes, size) = (self.lanes(), self.size);
        let rows = group.first * size..(group.first + group.count) * size;
        // SAFETY: these rows are this group's; the memory has a row for each element.
        unsafe {
            into_rows(memory.grad_state.as_ptr(), lanes, group.count, size, to.hx.part(rows.clone()));
            if self.mode == Mode::Lstm {
                into_rows(memory.grad_cell.as_ptr(), lanes, group.count, size, to.cx.part(rows));
            }
        }
    }
}
