//! All steps of a layer.

use super::cells::{self, Forward};
use super::{Group, Mode, Real, Recurrence, Step, into_columns, into_rows, packed, tile};
use crate::gemm;
use crate::math;
use crate::parallel::for_tasks;
use crate::parts::Parts;

/// A group's memory while it runs.
struct Memory<T> {
    /// The state as packed columns, rows of `nr`.
    state: Vec<T>,
    /// The cell of `Lstm`, rows of a group.
    cell: Vec<T>,
    gates: Vec<T>,
    /// With `Gru` what comes from the state.
    hidden: Vec<T>,
}

/// Where results go.
struct Places<'a, T> {
    out: Parts<'a, T>,
    cells: Parts<'a, T>,
    work: Parts<'a, T>,
}

impl<T: Real> Recurrence<'_, T> {
    /// [`Recurrence::forward`], a group of sequences in each task.
    pub(super) fn forward_groups(
        &self,
        gates: &[T],
        [hx, cx]: [&[T]; 2],
        out: &mut [T],
        cells: &mut [T],
        work: &mut [T],
    ) {
        let (n, size) = (self.mode.gates() * self.size, self.size);
        assert!(self.weight.len() == n * size && work.len() == self.work_len());
        assert!(self.bias.is_empty() || self.bias.len() == n);
        let weight = packed(self.weight.as_ptr(), n, size, size as isize, 1);
        let to = Places { out: Parts::new(out), cells: Parts::new(cells), work: Parts::new(work) };
        for_tasks(self.groups(), |i| {
            let group = self.group(i);
            let mut memory = self.memory(group, hx, cx);
            for step in self.steps_of(group) {
                self.forward_step(&weight, gates, group, step, &mut memory, &to);
            }
        });
    }

    fn memory(&self, group: Group, hx: &[T], cx: &[T]) -> Memory<T> {
        let zeros = |n: usize| vec![<T as math::Real>::ZERO; n];
        let (nr, lanes, size) = (self.micro().nr, self.lanes(), self.size);
        let gates = self.mode.gates() * size * lanes;
        let mut memory = Memory {
            state: zeros(size * nr),
            cell: zeros(if self.mode == Mode::Lstm { size * lanes } else { 0 }),
            gates: zeros(gates),
            hidden: zeros(if self.mode == Mode::Gru { gates } else { 0 }),
        };
        let start = group.first * size;
        // SAFETY: the vectors have a row for each element of the state.
        unsafe {
            into_columns(&hx[start..], group.count, size, nr, memory.state.as_mut_ptr());
            if self.mode == Mode::Lstm {
                into_columns(&cx[start..], group.count, size, lanes, memory.cell.as_mut_ptr());
            }
        }
        memory
    }

    fn forward_step(
        &self,
        weight: &[T],
        gates: &[T],
        group: Group,
        step: Step,
        memory: &mut Memory<T>,
        to: &Places<T>,
    ) {
        let (micro, lanes, size) = (self.micro(), self.lanes(), self.size);
        let n = self.mode.gates() * size;
        let (sums, beta) = if self.mode == Mode::Gru {
            (&mut memory.hidden, <T as math::Real>::ZERO)
        } else {
            (&mut memory.gates, <T as math::Real>::ONE)
        };
        let sums = sums.as_mut_ptr();
        // SAFETY: gates have `n` rows of a group; the weights are packed; the state is `size` rows of `nr`.
        unsafe {
            into_columns(&gates[step.row * n..], step.active, n, lanes, memory.gates.as_mut_ptr());
            let tile = tile(sums, lanes, beta, self.bias);
            let state = memory.state.as_ptr();
            gemm::tiles(micro, (n, step.active), size, (weight.as_ptr(), size), state, &tile);
        }
        let rows = step.row * size..(step.row + step.active) * size;
        // SAFETY: these rows and this part of the work are this group's.
        let (out, work) =
            unsafe { (to.out.part(rows.clone()), to.work.part(self.work_range(group, step.time))) };
        cells::forward(
            self.mode,
            lanes,
            &mut Forward {
                gates: &mut memory.gates,
                hidden: &mut memory.hidden,
                state: &mut memory.state,
                cell: &mut memory.cell,
                work,
                size,
                stride: micro.nr,
                kept: step.active..step.count,
            },
        );
        // SAFETY: as above.
        unsafe {
            into_rows(memory.state.as_ptr(), micro.nr, step.active, size, out);
            if self.mode == Mode::Lstm {
                into_rows(memory.cell.as_ptr(), lanes, step.active, size, to.cells.part(rows));
            }
        }
    }
}
