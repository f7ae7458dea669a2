//! Steps of the cells and their gradients, elementwise over groups of `L` sequences.
//!
//! Gates lie one after another, each `size` rows of `L`; so does what is saved. The state and the gradients that enter
//! products have rows of `stride`. Only the first `active` sequences are changed.

use super::Mode;
use crate::math::Real;

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
    pub active: usize,
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
    /// With `Gru` those of the gates as the input sees them.
    pub gates: &'a mut [T],
    pub size: usize,
    pub stride: usize,
    pub active: usize,
}

#[inline(always)]
fn row<T: Copy, const L: usize>(x: &[T], at: usize) -> [T; L] {
    *x[at..].first_chunk().expect("rows hold a group")
}

#[inline(always)]
fn put<T: Copy, const L: usize>(x: &mut [T], at: usize, row: [T; L]) {
    *x[at..].first_chunk_mut().expect("rows hold a group") = row;
}

#[inline(always)]
fn map<T: Real, const L: usize>(f: impl Fn(usize) -> T) -> [T; L] {
    let mut out = [T::ZERO; L];
    for (i, o) in out.iter_mut().enumerate() {
        *o = f(i);
    }
    out
}

/// `new` where a sequence is active, `old` elsewhere.
#[inline(always)]
fn choose<T: Real, const L: usize>(active: usize, new: [T; L], old: [T; L]) -> [T; L] {
    map(|i| if i < active { new[i] } else { old[i] })
}

/// The cell of `Lstm` from its gates.
#[inline(always)]
fn cell_lanes<T: Real, const L: usize>(f: &mut Forward<T>) {
    for j in 0..f.size {
        let at = |gate: usize| (gate * f.size + j) * L;
        let [i, forget, g] = [0, 1, 2].map(|k| row::<T, L>(f.work, at(k)));
        let before: [T; L] = row(f.cell, j * L);
        let cell = map(|l| forget[l] * before[l] + i[l] * g[l]);
        put(f.work, at(5), before);
        put(f.cell, j * L, choose(f.active, cell, before));
    }
}

/// The state from what is in `work`.
#[inline(always)]
fn state_lanes<T: Real, const L: usize>(mode: Mode, f: &mut Forward<T>) {
    for j in 0..f.size {
        let at = |gate: usize| (gate * f.size + j) * L;
        let old: [T; L] = row(f.state, j * f.stride);
        let new = match mode {
            Mode::Relu => {
                let a: [T; L] = row(f.gates, at(0));
                let h = map(|i| a[i].max_nan(T::ZERO));
                put(f.work, at(0), h);
                h
            }
            Mode::Tanh => row(f.work, at(0)),
            Mode::Lstm => {
                let [o, shown] = [3, 4].map(|k| row::<T, L>(f.work, at(k)));
                map(|l| o[l] * shown[l])
            }
            Mode::Gru => {
                let [z, n] = [1, 2].map(|k| row::<T, L>(f.work, at(k)));
                put::<T, L>(f.work, at(3), row(f.hidden, at(2)));
                put(f.work, at(4), old);
                map(|l| n[l] + z[l] * (old[l] - n[l]))
            }
        };
        put(f.state, j * f.stride, choose(f.active, new, old));
    }
}

#[inline(always)]
fn backward_lanes<T: Real, const L: usize>(mode: Mode, b: &mut Backward<T>) {
    let one = T::ONE;
    for j in 0..b.size {
        let at = |gate: usize| (gate * b.size + j) * L;
        let to = |gate: usize| (gate * b.size + j) * b.stride;
        let g: [T; L] = row(b.grad_state, j * L);
        match mode {
            Mode::Relu | Mode::Tanh => {
                let h: [T; L] = row(b.work, at(0));
                let relu = |i: usize| if h[i] > T::ZERO { g[i] } else { T::ZERO };
                let a = if mode == Mode::Tanh { map(|i| g[i] * (one - h[i] * h[i])) } else { map(relu) };
                put::<T, L>(b.hidden, to(0), a);
            }
            Mode::Lstm => {
                let [i, f, c, o] = [0, 1, 2, 3].map(|k| row::<T, L>(b.work, at(k)));
                let [shown, before] = [4, 5].map(|k| row::<T, L>(b.work, at(k)));
                let after: [T; L] = row(b.grad_cell, j * L);
                let cell: [T; L] = map(|l| after[l] + g[l] * o[l] * (one - shown[l] * shown[l]));
                put::<T, L>(b.hidden, to(0), map(|l| cell[l] * c[l] * i[l] * (one - i[l])));
                put::<T, L>(b.hidden, to(1), map(|l| cell[l] * before[l] * f[l] * (one - f[l])));
                put::<T, L>(b.hidden, to(2), map(|l| cell[l] * i[l] * (one - c[l] * c[l])));
                put::<T, L>(b.hidden, to(3), map(|l| g[l] * shown[l] * o[l] * (one - o[l])));
                put(b.grad_cell, j * L, choose(b.active, map(|l| cell[l] * f[l]), after));
            }
            Mode::Gru => {
                let [r, z, n] = [0, 1, 2].map(|k| row::<T, L>(b.work, at(k)));
                let [hn, before] = [3, 4].map(|k| row::<T, L>(b.work, at(k)));
                let new: [T; L] = map(|l| g[l] * (one - z[l]) * (one - n[l] * n[l]));
                let reset: [T; L] = map(|l| new[l] * hn[l] * r[l] * (one - r[l]));
                let update: [T; L] = map(|l| g[l] * (before[l] - n[l]) * z[l] * (one - z[l]));
                for (k, grad) in [reset, update, map(|l| new[l] * r[l])].into_iter().enumerate() {
                    put(b.hidden, to(k), grad);
                }
                for (k, grad) in [reset, update, new].into_iter().enumerate() {
                    put(b.gates, at(k), grad);
                }
                put(b.grad_state, j * L, choose(b.active, map(|l| g[l] * z[l]), g));
            }
        }
    }
}

/// One step of a group of `lanes` sequences. Each function of the gates has a loop of its own over all of them: in one loop with
/// the rest they would be most of the code of this crate.
pub(super) fn forward<T: Real>(mode: Mode, lanes: usize, step: &mut Forward<T>) {
    let n = step.size * lanes;
    let gate = |k: usize| k * n..(k + 1) * n;
    match mode {
        Mode::Relu => {}
        Mode::Tanh => tanhs(&step.gates[gate(0)], &mut step.work[gate(0)]),
        Mode::Lstm => {
            sigmoids(&step.gates[..2 * n], &mut step.work[..2 * n]);
            tanhs(&step.gates[gate(2)], &mut step.work[gate(2)]);
            sigmoids(&step.gates[gate(3)], &mut step.work[gate(3)]);
            cells(lanes, step);
            tanhs(&step.cell[..n], &mut step.work[gate(4)]);
        }
        Mode::Gru => {
            add(&mut step.hidden[..2 * n], &step.gates[..2 * n]);
            sigmoids(&step.hidden[..2 * n], &mut step.work[..2 * n]);
            add_product(&mut step.gates[gate(2)], &step.work[..n], &step.hidden[gate(2)]);
            tanhs(&step.gates[gate(2)], &mut step.work[gate(2)]);
        }
    }
    states(mode, lanes, step);
}

crate::multiversion! {
    fn sigmoids<T: Real>(x: &[T], y: &mut [T]) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = x.sigmoid());
    }

    fn tanhs<T: Real>(x: &[T], y: &mut [T]) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = x.tanh());
    }

    fn add<T: Real>(sum: &mut [T], x: &[T]) {
        sum.iter_mut().zip(x).for_each(|(sum, x)| *sum = *sum + *x);
    }

    fn add_product<T: Real>(sum: &mut [T], x: &[T], y: &[T]) {
        sum.iter_mut().zip(x).zip(y).for_each(|((sum, x), y)| *sum = *sum + *x * *y);
    }

    fn cells<T: Real>(lanes: usize, step: &mut Forward<T>) {
        match lanes {
            16 => cell_lanes::<T, 16>(step),
            8 => cell_lanes::<T, 8>(step),
            _ => cell_lanes::<T, 4>(step),
        }
    }

    fn states<T: Real>(mode: Mode, lanes: usize, step: &mut Forward<T>) {
        match lanes {
            16 => state_lanes::<T, 16>(mode, step),
            8 => state_lanes::<T, 8>(mode, step),
            _ => state_lanes::<T, 4>(mode, step),
        }
    }

    /// The gradient of one step.
    pub(super) fn backward<T: Real>(mode: Mode, lanes: usize, step: &mut Backward<T>) {
        match lanes {
            16 => backward_lanes::<T, 16>(mode, step),
            8 => backward_lanes::<T, 8>(mode, step),
            _ => backward_lanes::<T, 4>(mode, step),
        }
    }
}
