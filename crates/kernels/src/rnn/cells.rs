//! Steps of the cells and their gradients, elementwise over groups of sequences.
//!
//! Gates lie one after another, each a row of the group's `lanes` for each element of the state; so does what is saved. The
//! state and the gradients that enter products have rows of `stride`. All sequences are computed; those that do not have the
//! step get their state back after it.
//!
//! Each function of the gates has a loop of its own over all of them: in one loop with the rest they would be compiled for
//! every mode and gate.

use super::Mode;
use crate::math::Real;
use std::ops::Range;

/// Memory of a forward step.
pub(super) struct Forward<'a, T> {
    /// Sums of gates; with `Gru` what comes from the input. Overwritten.
    pub gates: &'a mut [T],
    /// With `Gru` what comes from the state. Overwritten, but for the part of the new gate.
    pub hidden: &'a mut [T],
    /// The state, rows of `stride`.
    pub state: &'a mut [T],
    /// The cell of `Lstm`.
    pub cell: &'a mut [T],
    /// What backward needs.
    pub work: &'a mut [T],
    pub size: usize,
    pub stride: usize,
    /// Sequences that do not have this step.
    pub kept: Range<usize>,
}

/// Memory of a backward step.
pub(super) struct Backward<'a, T> {
    /// What forward saved.
    pub work: &'a [T],
    /// The gradient of the state; becomes, with `Gru`, the part that bypasses the weights.
    pub grad_state: &'a mut [T],
    /// The gradient of the cell of `Lstm`.
    pub grad_cell: &'a mut [T],
    /// Gradients of the gates as the weights see them, rows of `stride`.
    pub hidden: &'a mut [T],
    /// Those of the gates as the input sees them.
    pub gates: &'a mut [T],
    /// As large as the state.
    pub spare: &'a mut [T],
    pub size: usize,
    pub stride: usize,
    /// Sequences that do not have this step.
    pub kept: Range<usize>,
}

/// Columns of a matrix with rows of `width`.
fn columns<T: Copy>(x: &[T], width: usize, columns: &Range<usize>) -> Vec<T> {
    if columns.is_empty() {
        return Vec::new();
    }
    x.chunks_exact(width).flat_map(|row| row[columns.clone()].iter().copied()).collect()
}

/// Puts back what [`columns`] took.
fn restore<T: Copy>(x: &mut [T], width: usize, columns: &Range<usize>, kept: &[T]) {
    for (row, kept) in x.chunks_exact_mut(width).zip(kept.chunks_exact(columns.len().max(1))) {
        row[columns.clone()].copy_from_slice(kept);
    }
}

/// Copies rows of `width` to rows of another width, as much of them as both have.
fn copy_rows<T: Copy>(from: &[T], width: usize, to: &mut [T], to_width: usize) {
    let both = width.min(to_width);
    for (from, to) in from.chunks_exact(width).zip(to.chunks_exact_mut(to_width)) {
        to[..both].copy_from_slice(&from[..both]);
    }
}

/// One step of a group of `lanes` sequences.
pub(super) fn forward<T: Real>(mode: Mode, lanes: usize, step: &mut Forward<T>) {
    let Forward { gates, hidden, state, cell, work, stride, .. } = step;
    let (n, stride) = (step.size * lanes, *stride);
    let kept = (columns(state, stride, &step.kept), columns(cell, lanes, &step.kept));
    let gate = |k: usize| k * n..(k + 1) * n;
    let new = match mode {
        Mode::Relu => {
            rectified(&gates[..n], &mut work[..n]);
            &work[..n]
        }
        Mode::Tanh => {
            tanhs(&gates[..n], &mut work[..n]);
            &work[..n]
        }
        Mode::Lstm => {
            sigmoids(&gates[..2 * n], &mut work[..2 * n]);
            tanhs(&gates[gate(2)], &mut work[gate(2)]);
            sigmoids(&gates[gate(3)], &mut work[gate(3)]);
            work[gate(5)].copy_from_slice(&cell[..n]);
            new_cells([0, 1, 2].map(|k| &work[gate(k)]), &mut cell[..n]);
            tanhs(&cell[..n], &mut work[gate(4)]);
            products(&work[gate(3)], &work[gate(4)], &mut gates[..n]);
            &gates[..n]
        }
        Mode::Gru => {
            add(&gates[..2 * n], &mut hidden[..2 * n]);
            sigmoids(&hidden[..2 * n], &mut work[..2 * n]);
            add_products(&work[..n], &hidden[gate(2)], &mut gates[gate(2)]);
            tanhs(&gates[gate(2)], &mut work[gate(2)]);
            work[gate(3)].copy_from_slice(&hidden[gate(2)]);
            copy_rows(state, stride, &mut work[gate(4)], lanes);
            blends([1, 2, 4].map(|k| &work[gate(k)]), &mut gates[..n]);
            &gates[..n]
        }
    };
    copy_rows(new, lanes, state, stride);
    restore(state, stride, &step.kept, &kept.0);
    restore(cell, lanes, &step.kept, &kept.1);
}

/// The gradient of one step.
pub(super) fn backward<T: Real>(mode: Mode, lanes: usize, step: &mut Backward<T>) {
    let Backward { work, grad_state, grad_cell, hidden, gates, spare, stride, .. } = step;
    let (n, stride) = (step.size * lanes, *stride);
    let kept = (columns(grad_state, lanes, &step.kept), columns(grad_cell, lanes, &step.kept));
    match mode {
        Mode::Relu => relu_gradients(&work[..n], &grad_state[..n], &mut gates[..n]),
        Mode::Tanh => tanh_gradients(&work[..n], &grad_state[..n], &mut gates[..n]),
        Mode::Lstm => lstm_gradients(work, grad_state, grad_cell, gates),
        Mode::Gru => gru_gradients(work, grad_state, gates, spare),
    }
    copy_rows(gates, lanes, hidden, stride);
    if mode == Mode::Gru {
        copy_rows(spare, lanes, &mut hidden[2 * step.size * stride..], stride);
    }
    restore(grad_state, lanes, &step.kept, &kept.0);
    restore(grad_cell, lanes, &step.kept, &kept.1);
}

crate::multiversion! {
    fn rectified<T: Real>(x: &[T], y: &mut [T]) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = x.max_nan(T::ZERO));
    }

    fn sigmoids<T: Real>(x: &[T], y: &mut [T]) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = x.sigmoid());
    }

    fn tanhs<T: Real>(x: &[T], y: &mut [T]) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = x.tanh());
    }

    fn add<T: Real>(x: &[T], sum: &mut [T]) {
        sum.iter_mut().zip(x).for_each(|(sum, x)| *sum = *sum + *x);
    }

    fn products<T: Real>(x: &[T], y: &[T], to: &mut [T]) {
        to.iter_mut().zip(x).zip(y).for_each(|((to, x), y)| *to = *x * *y);
    }

    fn add_products<T: Real>(x: &[T], y: &[T], sum: &mut [T]) {
        sum.iter_mut().zip(x).zip(y).for_each(|((sum, x), y)| *sum = *sum + *x * *y);
    }

    /// The cell of `Lstm` from its gates: input, forget, cell.
    fn new_cells<T: Real>(gates: [&[T]; 3], cell: &mut [T]) {
        let [i, forget, g] = gates;
        for (((cell, i), forget), g) in cell.iter_mut().zip(i).zip(forget).zip(g) {
            *cell = *forget * *cell + *i * *g;
        }
    }

    /// The state of `Gru` from the gates update and new, and from the state before.
    fn blends<T: Real>(from: [&[T]; 3], to: &mut [T]) {
        let [z, new, old] = from;
        for (((to, z), new), old) in to.iter_mut().zip(z).zip(new).zip(old) {
            *to = *new + *z * (*old - *new);
        }
    }

    fn relu_gradients<T: Real>(state: &[T], grad: &[T], to: &mut [T]) {
        for ((to, h), g) in to.iter_mut().zip(state).zip(grad) {
            *to = if *h > T::ZERO { *g } else { T::ZERO };
        }
    }

    fn tanh_gradients<T: Real>(state: &[T], grad: &[T], to: &mut [T]) {
        for ((to, h), g) in to.iter_mut().zip(state).zip(grad) {
            *to = *g * (T::ONE - *h * *h);
        }
    }

    fn lstm_gradients<T: Real>(work: &[T], grad: &[T], grad_cell: &mut [T], gates: &mut [T]) {
        let (one, n) = (T::ONE, grad.len());
        let [i, f, c, o, shown, before]: [&[T]; 6] = std::array::from_fn(|k| &work[k * n..][..n]);
        let (to_i, rest) = gates.split_at_mut(n);
        let (to_f, rest) = rest.split_at_mut(n);
        let (to_c, to_o) = rest.split_at_mut(n);
        let (grad_cell, to_o) = (&mut grad_cell[..n], &mut to_o[..n]);
        for l in 0..n {
            let cell = grad_cell[l] + grad[l] * o[l] * (one - shown[l] * shown[l]);
            to_i[l] = cell * c[l] * i[l] * (one - i[l]);
            to_f[l] = cell * before[l] * f[l] * (one - f[l]);
            to_c[l] = cell * i[l] * (one - c[l] * c[l]);
            to_o[l] = grad[l] * shown[l] * o[l] * (one - o[l]);
            grad_cell[l] = cell * f[l];
        }
    }

    /// `hidden` gets the gradient of what comes from the state in the new gate.
    fn gru_gradients<T: Real>(work: &[T], grad: &mut [T], gates: &mut [T], hidden: &mut [T]) {
        let (one, n) = (T::ONE, grad.len());
        let [r, z, new, from_state, before]: [&[T]; 5] = std::array::from_fn(|k| &work[k * n..][..n]);
        let (to_r, rest) = gates.split_at_mut(n);
        let (to_z, to_new) = rest.split_at_mut(n);
        let (to_new, hidden) = (&mut to_new[..n], &mut hidden[..n]);
        for l in 0..n {
            let d = grad[l] * (one - z[l]) * (one - new[l] * new[l]);
            to_r[l] = d * from_state[l] * r[l] * (one - r[l]);
            to_z[l] = grad[l] * (before[l] - new[l]) * z[l] * (one - z[l]);
            to_new[l] = d;
            hidden[l] = d * r[l];
            grad[l] = grad[l] * z[l];
        }
    }
}
