//! Optimizer updates in one pass over parameters, gradients and state.
//!
//! An algorithm is a [`Rule`]: what becomes of one element. A step runs over all tensors of a group at once, so that small
//! ones share one parallel loop. A few vectors are loaded, updated and stored at a time: what is loaded cannot alias, so
//! that a rule is vectorised however many states it has. (Blocks as long as a memory page were tried: half as fast.) Formulas and their order of rounding are those of
//! PyTorch's single-tensor optimizers, operation by operation.
//!
//! Algorithms that look at more than an element stand beside: [`Adafactor`], and [`axpy_dot_f32`] for L-BFGS. [`Table`] is for
//! gradients that few rows have.

mod adafactor;
mod rows;
mod rules;
mod unscale;
mod vectors;

pub use adafactor::{Adafactor, Variance};
pub use rows::{Table, step_rows_f32, step_rows_f64};
pub use rules::{
    Adadelta, Adagrad, Adam, Adamax, Asgd, Direction, Muon, Nadam, Radam, Rmsprop, Rprop, Rule, Sgd,
    SparseAdam,
};
pub use unscale::{Floats, unscale};
pub use vectors::{axpy_dot_f32, axpy_dot_f64};

use crate::math::Real;
use crate::multiversion;
use crate::parallel::{for_tasks, num_threads};

/// Elements of one task.
const CHUNK: usize = 16_384;

/// Elements that are in registers at a time.
const LANES: usize = 32;

/// States that an algorithm can have.
pub const STATES: usize = 3;

/// What an algorithm does to one element.
trait Formula {
    /// Updates the parameter `p` that has the gradient `g`, and its states. What is written to a state that the algorithm
    /// does not have is lost.
    fn update<T: Real>(&self, p: &mut T, g: T, s: [&mut T; STATES]);
}

/// One parameter with its state; all slices have the same length.
pub struct Item<'a, T> {
    /// What is done to it, which may depend on the number of its step.
    pub rule: Rule,
    /// The parameter, updated.
    pub param: &'a mut [T],
    /// Its gradient.
    pub grad: &'a [T],
    /// Its states, updated.
    pub states: [Option<&'a mut [T]>; STATES],
}

/// One step on all `items`, in single precision.
pub fn step_f32(items: Vec<Item<'_, f32>>) {
    step(items);
}

/// One step on all `items`, in double precision.
pub fn step_f64(items: Vec<Item<'_, f64>>) {
    step(items);
}

fn step<T: Real>(items: Vec<Item<'_, T>>) {
    let pieces = items.into_iter().flat_map(|item| {
        let rule = item.rule;
        let mut states = item.states.map(|s| s.map(|s| s.chunks_mut(CHUNK)));
        let parts = item.param.chunks_mut(CHUNK).zip(item.grad.chunks(CHUNK));
        parts.map(move |(p, g)| (rule, p, g, states.each_mut().map(|s| s.as_mut().and_then(Iterator::next))))
    });
    share(pieces.collect(), |(rule, p, g, mut states)| rule.run(p, g, &mut states));
}

/// Calls `f` once with each piece, shared among threads.
fn share<P: Send>(pieces: Vec<P>, f: impl Fn(P) + Sync) {
    if pieces.len() < 2 || num_threads() == 1 {
        return pieces.into_iter().for_each(f);
    }
    let pieces: Vec<_> = pieces.into_iter().map(|piece| std::sync::Mutex::new(Some(piece))).collect();
    for_tasks(pieces.len(), |i| {
        let piece = pieces[i].lock().map_or_else(|e| e.into_inner().take(), |mut p| p.take());
        if let Some(piece) = piece {
            f(piece);
        }
    });
}

/// A state's elements that are updated together.
type Block<'a, T> = Option<&'a mut [T; LANES]>;

#[inline(always)]
fn block<T: Real, F: Formula>(rule: &F, p: &mut [T; LANES], g: &[T; LANES], states: [Block<'_, T>; STATES]) {
    let mut x = *p;
    let [mut a, mut b, mut c] = states.each_ref().map(|s| s.as_ref().map_or([T::ZERO; LANES], |s| **s));
    for i in 0..LANES {
        rule.update(&mut x[i], g[i], [&mut a[i], &mut b[i], &mut c[i]]);
    }
    *p = x;
    for (state, new) in states.into_iter().zip([a, b, c]) {
        if let Some(state) = state {
            *state = new;
        }
    }
}

/// What is left at the end, filled up with zeros to a whole block.
fn padded<T: Real>(from: &[T]) -> [T; LANES] {
    let mut block = [T::ZERO; LANES];
    block[..from.len()].copy_from_slice(from);
    block
}

multiversion! {
    fn chunk<T: Real, F: Formula>(rule: &F, p: &mut [T], g: &[T], states: &mut [Option<&mut [T]>; STATES]) {
        let (p, p_rest) = p.as_chunks_mut::<LANES>();
        let (g, g_rest) = g.as_chunks::<LANES>();
        let mut states = states.each_mut().map(|s| s.as_mut().map(|s| s.as_chunks_mut::<LANES>()));
        let (mut p_last, g_last) = (padded(p_rest), padded(g_rest));
        let mut s_last = states.each_ref().map(|s| s.as_ref().map_or([T::ZERO; LANES], |s| padded(s.1)));
        let whole = p.len();
        // The last block goes through the same loop, so that the rule is compiled once.
        for i in 0..whole + usize::from(!p_rest.is_empty()) {
            let last = i == whole;
            let mut pads = s_last.iter_mut();
            let places = states.each_mut().map(|s| {
                let pad = pads.next();
                s.as_mut().and_then(|s| if last { pad } else { Some(&mut s.0[i]) })
            });
            let (p, g) = if last { (&mut p_last, &g_last) } else { (&mut p[i], &g[i]) };
            block(rule, p, g, places);
        }
        p_rest.copy_from_slice(&p_last[..p_rest.len()]);
        for (state, last) in states.into_iter().zip(&s_last) {
            if let Some((_, rest)) = state {
                rest.copy_from_slice(&last[..rest.len()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_adam_step_is_the_learning_rate() {
        // After one step both corrected moments are the gradient's, so each element moves by lr g / (|g| + eps).
        let grad: Vec<f64> = (0..40_001).map(|i| (i % 7) as f64 - 3.0).collect();
        let mut state = vec![vec![0.0; grad.len()]; 3];
        let rule = Adam::new(Direction::default(), 0.1, (0.9, 0.999), 0.0, false, 1.0).into();
        let [param, exp_avg, exp_avg_sq] = &mut state[..] else { unreachable!() };
        step(vec![Item { rule, param, grad: &grad, states: [Some(exp_avg), Some(exp_avg_sq), None] }]);
        for (p, g) in state[0].iter().zip(&grad) {
            assert!(*g == 0.0 || (p + 0.1 * g.signum()).abs() < 1e-12, "{g} {p}");
        }
    }

    #[test]
    fn nesterov_momentum_by_hand() {
        let (mut param, mut velocity) = (vec![1.0_f32; 3], vec![0.0_f32; 3]);
        for first in [true, false] {
            let sgd = Sgd {
                direction: Direction::default(),
                lr: 0.5,
                momentum: 0.5,
                dampening: 0.0,
                nesterov: true,
                first,
            };
            let states = [Some(&mut velocity[..]), None, None];
            step(vec![Item { rule: sgd.into(), param: &mut param, grad: &[1.0; 3], states }]);
        }
        // v: 1, 1.5; steps 0.5 (1 + 0.5) and 0.5 (1 + 0.75).
        assert_eq!((param[0], velocity[0]), (1.0 - 0.75 - 0.875, 1.5));
    }

    #[test]
    fn rprop_ignores_what_is_no_number() {
        let (mut param, mut prev, mut size) = (vec![1.0_f32; 3], vec![1.0, 1.0, f32::NAN], vec![0.1_f32; 3]);
        let rule = Rprop { maximize: false, etas: (0.5, 2.0), step_sizes: (0.0, 1.0) }.into();
        let states = [Some(&mut prev[..]), Some(&mut size[..]), None];
        step(vec![Item { rule, param: &mut param, grad: &[3.0, f32::NAN, 3.0], states }]);
        assert_eq!((param, size), (vec![0.8, 1.0, 0.9], vec![0.2, 0.1, 0.1]));
    }
}
