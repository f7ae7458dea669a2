//! Gradients of queries, keys and values; the weights are computed again from the saved logarithms of their sums.

use super::{Attention, BLOCK, Grid, Panel, Real, Scratch, pack, plain, scratch_len, store_columns};
use crate::gemm::{self, Load, Save, Strided, buffer};
use crate::parallel::for_tasks;

/// What [`super::Stored::backward`] reads.
#[derive(Clone, Copy, Debug)]
pub struct Saved<S, T> {
    /// The gradient of the output.
    pub grad: Grid<S>,
    /// Queries, keys and values.
    pub inputs: [Grid<S>; 3],
    /// The output.
    pub out: Grid<S>,
    /// Logarithms of the sums of exponentials, `[batch, heads, queries, 1]`.
    pub logsumexp: Grid<T>,
}

/// Scratch memory of one head of keys.
struct Work<T> {
    /// Keys and values, packed with keys as lines; keys packed with elements as lines.
    keys: *mut T,
    values: *mut T,
    turned: *mut T,
    /// Queries and gradients of a panel, packed with queries as lines and with elements as lines.
    queries: *mut T,
    grads: *mut T,
    turned_queries: *mut T,
    turned_grads: *mut T,
    /// Weights and their gradients, a row of queries for each key of a block; the same with keys as lines.
    weights: *mut T,
    slopes: *mut T,
    lines: *mut T,
    /// Gradients: of the panel's queries with elements as rows, of all keys and values.
    grad_queries: *mut T,
    grad_keys: *mut T,
    grad_values: *mut T,
    /// For each query the logarithm and the sum over its output times its gradient.
    log: *mut T,
    dot: *mut T,
}

crate::multiversion! {
    /// `weights = e^(weights - log)`, `slopes = weights (slopes - dot) scale`, row by row of queries.
    fn slope<T: Real>(weights: &mut [T], slopes: &mut [T], log: &[T], dot: &[T], scale: T) {
        let n = log.len();
        for (w, s) in weights.chunks_exact_mut(n).zip(slopes.chunks_exact_mut(n)) {
            for (((w, s), log), dot) in w.iter_mut().zip(s).zip(log).zip(dot) {
                *w = (*w - *log).exp();
                *s = *w * (*s - *dot) * scale;
            }
        }
    }
}

impl<T: Real> Attention<T> {
    /// [`super::Stored::backward`], a head of keys in each task.
    pub(super) unsafe fn backward_heads<S: Load<T> + Save<T>>(
        &self,
        saved: Saved<S, T>,
        results: [Grid<S>; 3],
    ) {
        for_tasks(self.batch * self.kv_heads, |task| {
            let (b, kv) = (task / self.kv_heads, task % self.kv_heads);
            // SAFETY: the caller's promise; tasks have different heads.
            unsafe { self.backward_head(b, kv, saved, results) }
        });
    }

    unsafe fn backward_head<S: Load<T> + Save<T>>(
        &self,
        b: usize,
        kv: usize,
        saved: Saved<S, T>,
        [grad_q, grad_k, grad_v]: [Grid<S>; 3],
    ) {
        let ([q, k, v], group) = (saved.inputs, self.heads / self.kv_heads);
        let (mr, nr, n, width) = (self.micro().mr, self.micro().nr, self.keys, self.width);
        let parts = self.parts();
        buffer::with(buffer::A, scratch_len(&parts), |start: *mut T| {
            let work = Work::new(start, parts);
            // SAFETY: the parts are as long as their use says; the operands are the caller's promise.
            unsafe {
                pack(k.lines(b, kv), 0..n, 0..width, mr, work.keys);
                pack(v.lines(b, kv), 0..n, 0..width, mr, work.values);
                pack(k.columns(b, kv), 0..width, 0..n, mr, work.turned);
                let zero = <T as crate::math::Real>::ZERO;
                std::slice::from_raw_parts_mut(work.grad_keys, n * width).fill(zero);
                std::slice::from_raw_parts_mut(work.grad_values, n * width).fill(zero);
                for head in kv * group..(kv + 1) * group {
                    for start in (0..self.queries).step_by(nr) {
                        let panel = Panel { batch: b, head, start, count: nr.min(self.queries - start) };
                        self.prepare(panel, &saved, q, &work);
                        self.backward_panel(panel, &work);
                        store_columns(work.grad_queries, nr, &grad_q, panel, width, |_| T::real(1.0));
                    }
                }
                self.store_rows(work.grad_keys, &grad_k, b, kv);
                self.store_rows(work.grad_values, &grad_v, b, kv);
            }
        });
    }

    /// Elements of each part of [`Work`].
    fn parts(&self) -> [usize; 15] {
        let (mr, nr, n, width) = (self.micro().mr, self.micro().nr, self.keys, self.width);
        let (lines, turned) = (n.next_multiple_of(mr) * width, width.next_multiple_of(mr) * n);
        let (panel, columns) = (nr * width, width.next_multiple_of(nr) * nr);
        let block = BLOCK * nr;
        [
            lines,
            lines,
            turned,
            panel,
            panel,
            columns,
            columns,
            block,
            block,
            block,
            panel,
            n * width,
            n * width,
            nr,
            nr,
        ]
    }

    /// Packs a panel's queries and gradients, and works out what each query needs.
    unsafe fn prepare<S: Load<T>>(&self, panel: Panel, saved: &Saved<S, T>, q: Grid<S>, work: &Work<T>) {
        let Panel { batch, head, start, count } = panel;
        let (nr, width, end) = (self.micro().nr, self.width, start + count);
        // SAFETY: the caller's promise.
        unsafe {
            for (from, lines, turned) in
                [(q, work.queries, work.turned_queries), (saved.grad, work.grads, work.turned_grads)]
            {
                pack(from.lines(batch, head), start..end, 0..width, nr, lines);
                pack(from.columns(batch, head), 0..width, start..end, nr, turned);
            }
            for i in 0..nr {
                let (mut log, mut dot) = (T::real(0.0), T::real(0.0));
                if i < count {
                    log = *saved.logsumexp.at([batch, head, start + i, 0]);
                    for d in 0..width {
                        let (g, o) = (
                            saved.grad.at([batch, head, start + i, d]),
                            saved.out.at([batch, head, start + i, d]),
                        );
                        dot = dot + (*g).get() * (*o).get();
                    }
                }
                *work.log.add(i) = log;
                *work.dot.add(i) = dot;
            }
        }
    }

    unsafe fn backward_panel(&self, panel: Panel, work: &Work<T>) {
        let (micro, width, count) = (self.micro(), self.width, panel.count);
        let (nr, one, zero) = (micro.nr, T::real(1.0), T::real(0.0));
        // SAFETY: the parts of `work` are that long.
        let (log, dot) = unsafe {
            std::slice::from_raw_parts_mut(work.grad_queries, width * nr).fill(zero);
            (std::slice::from_raw_parts(work.log, nr), std::slice::from_raw_parts(work.dot, nr))
        };
        self.blocks(panel, |block| {
            let size = (block.len(), count);
            // SAFETY: blocks lie within the packed keys; the parts of `work` hold a block.
            unsafe {
                self.scores(panel, &block, work.keys, work.queries, work.weights);
                let values = (work.values.add(block.start * width).cast_const(), width);
                gemm::tiles(micro, size, width, values, work.grads, &plain(work.slopes, nr, one, zero));
                let n = block.len() * nr;
                let weights = std::slice::from_raw_parts_mut(work.weights, n);
                slope(weights, std::slice::from_raw_parts_mut(work.slopes, n), log, dot, self.scale);
                let turned = (work.turned.add(block.start * micro.mr).cast_const(), self.keys);
                let tile = plain(work.grad_queries, nr, one, one);
                gemm::tiles(micro, (width, count), block.len(), turned, work.slopes, &tile);
                for (from, by, to) in [
                    (work.weights, work.turned_grads, work.grad_values),
                    (work.slopes, work.turned_queries, work.grad_keys),
                ] {
                    let from = Strided { ptr: from.cast_const(), items: &[0], line: nr as isize, step: 1 };
                    pack(from, 0..block.len(), 0..count, micro.mr, work.lines);
                    let tile = plain(to.add(block.start * width), width, one, one);
                    gemm::tiles(micro, (block.len(), width), count, (work.lines, count), by, &tile);
                }
            }
        });
    }

    unsafe fn store_rows<S: Save<T>>(&self, from: *const T, to: &Grid<S>, b: usize, head: usize) {
        for row in 0..self.keys {
            for d in 0..self.width {
                // SAFETY: the caller's promise.
                unsafe { *to.at([b, head, row, d]) = S::put(*from.add(row * self.width + d)) };
            }
        }
    }
}

impl<T> Work<T> {
    fn new(start: *mut T, parts: [usize; 15]) -> Work<T> {
        let mut scratch = Scratch { next: start };
        let [
            keys,
            values,
            turned,
            queries,
            grads,
            turned_queries,
            turned_grads,
            weights,
            slopes,
            lines,
            grad_queries,
            grad_keys,
            grad_values,
            log,
            dot,
        ] = parts.map(|n| scratch.take(n));
        Work {
            keys,
            values,
            turned,
            queries,
            grads,
            turned_queries,
            turned_grads,
            weights,
            slopes,
            lines,
            grad_queries,
            grad_keys,
            grad_values,
            log,
            dot,
        }
    }
}
