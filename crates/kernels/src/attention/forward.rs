//! The weighted values, panel of queries by panel of queries.

use super::{Attention, BLOCK, Grid, Panel, Real, Scratch, pack, plain, scratch_len, store_columns};
use crate::gemm::{self, Load, Save, buffer};
use crate::math;
use crate::parallel::for_tasks;

/// Queries of a task where there are too few heads for all threads; a multiple of every panel's width.
const QUERIES: usize = 192;
/// Heads that keep all threads busy.
const HEADS: usize = 8;

/// Largest score so far, sum of exponentials so far, and the factor of what was summed before, for each query.
struct Running<'a, T> {
    max: &'a mut [T],
    sum: &'a mut [T],
    decay: &'a mut [T],
}

/// Turns `L` columns of scores into weights.
#[inline(always)]
fn weigh_columns<T: math::Real, const L: usize>(
    scores: &mut [T],
    nr: usize,
    at: usize,
    run: &mut Running<T>,
) {
    let old: [T; L] = std::array::from_fn(|i| run.max[at + i]);
    let mut max = old;
    for row in scores.chunks_exact(nr) {
        let row: &[T; L] = row[at..].first_chunk().expect("a row has whole groups of columns");
        for i in 0..L {
            max[i] = if row[i] > max[i] { row[i] } else { max[i] };
        }
    }
    let base = max.map(|m| if m == -T::INFINITY { <T as math::Real>::ZERO } else { m });
    let mut sum = [<T as math::Real>::ZERO; L];
    for row in scores.chunks_exact_mut(nr) {
        let row: &mut [T; L] = row[at..].first_chunk_mut().expect("a row has whole groups of columns");
        for i in 0..L {
            row[i] = (row[i] - base[i]).exp();
            sum[i] = sum[i] + row[i];
        }
    }
    for i in 0..L {
        let decay = (old[i] - base[i]).exp();
        run.max[at + i] = max[i];
        run.decay[at + i] = decay;
        run.sum[at + i] = run.sum[at + i] * decay + sum[i];
    }
}

crate::multiversion! {
    /// Turns a block of scores (rows of `nr` queries) into weights, relative to the largest score so far.
    fn weigh<T: Real>(scores: &mut [T], nr: usize, max: &mut [T], sum: &mut [T], decay: &mut [T]) {
        let mut run = Running { max, sum, decay };
        let group = [16, 8].into_iter().find(|n| nr.is_multiple_of(*n)).unwrap_or(4);
        for at in (0..nr).step_by(group) {
            match group {
                16 => weigh_columns::<T, 16>(scores, nr, at, &mut run),
                8 => weigh_columns::<T, 8>(scores, nr, at, &mut run),
                _ => weigh_columns::<T, 4>(scores, nr, at, &mut run),
            }
        }
    }

    /// Scales each row by `decay`.
    fn shrink<T: Real>(rows: &mut [T], decay: &[T]) {
        for row in rows.chunks_exact_mut(decay.len()) {
            row.iter_mut().zip(decay).for_each(|(x, d)| *x = *x * *d);
        }
    }
}

impl<T: Real> Attention<T> {
    /// [`super::Stored::forward`], some queries of a head in each task.
    pub(super) unsafe fn forward_heads<S: Load<T> + Save<T>>(
        &self,
        [q, k, v]: [Grid<S>; 3],
        out: Grid<S>,
        logsumexp: Grid<T>,
    ) {
        let whole = self.batch * self.heads >= HEADS || self.queries <= QUERIES;
        let each = if whole { self.queries } else { QUERIES };
        let chunks = self.queries.div_ceil(each.max(1));
        for_tasks(self.batch * self.heads * chunks, |task| {
            let (head, chunk) = (task / chunks, task % chunks);
            let start = chunk * each;
            let panel = Panel {
                batch: head / self.heads,
                head: head % self.heads,
                start,
                count: each.min(self.queries - start),
            };
            // SAFETY: the caller's promise; tasks have different queries.
            unsafe { self.forward_task(panel, [q, k, v], out, logsumexp) }
        });
    }

    /// Some queries of a head.
    unsafe fn forward_task<S: Load<T> + Save<T>>(
        &self,
        all: Panel,
        [q, k, v]: [Grid<S>; 3],
        out: Grid<S>,
        logsumexp: Grid<T>,
    ) {
        let (micro, width) = (self.micro(), self.width);
        let (mr, nr) = (micro.mr, micro.nr);
        let keys = self.visible(all);
        let parts = [
            keys.next_multiple_of(mr) * width,
            width.next_multiple_of(mr) * keys,
            nr * width,
            BLOCK * nr,
            width * nr,
            3 * nr,
        ];
        let kv = all.head / (self.heads / self.kv_heads);
        buffer::with(buffer::A, scratch_len(&parts), |start: *mut T| {
            let mut scratch = Scratch { next: start };
            let [packed_keys, packed_values, queries, weights, sums, state] = parts.map(|n| scratch.take(n));
            // SAFETY: each part is as long as its use says; the operands are the caller's promise.
            unsafe {
                pack(k.lines(all.batch, kv), 0..keys, 0..width, mr, packed_keys);
                pack(v.columns(all.batch, kv), 0..width, 0..keys, mr, packed_values);
                let state = std::slice::from_raw_parts_mut(state, 3 * nr);
                for start in (all.start..all.start + all.count).step_by(nr) {
                    let panel = Panel { start, count: nr.min(all.start + all.count - start), ..all };
                    pack(q.lines(all.batch, all.head), start..start + panel.count, 0..width, nr, queries);
                    let packed = [packed_keys, packed_values];
                    self.forward_panel(panel, keys, packed, queries, weights, sums, state);
                    let (max, sum) = (&state[..nr], &state[nr..2 * nr]);
                    let divisor = |i: usize| {
                        if sum[i] == <T as math::Real>::ZERO { <T as math::Real>::ONE } else { sum[i] }
                    };
                    store_columns(sums, nr, &out, panel, width, |i| <T as math::Real>::ONE / divisor(i));
                    for (i, max) in max.iter().enumerate().take(panel.count) {
                        let base = if *max == -T::INFINITY { <T as math::Real>::ZERO } else { *max };
                        *logsumexp.at([panel.batch, panel.head, start + i, 0]) = base + divisor(i).ln();
                    }
                }
            }
        });
    }

    /// Sums the values of one panel: `sums[d][query]`; `state` holds the maxima and sums of the queries.
    #[allow(clippy::too_many_arguments)]
    unsafe fn forward_panel(
        &self,
        panel: Panel,
        keys: usize,
        [packed_keys, packed_values]: [*mut T; 2],
        queries: *const T,
        weights: *mut T,
        sums: *mut T,
        state: &mut [T],
    ) {
        let micro = self.micro();
        let (max, rest) = state.split_at_mut(micro.nr);
        let (sum, decay) = rest.split_at_mut(micro.nr);
        max.fill(-T::INFINITY);
        sum.fill(<T as math::Real>::ZERO);
        // SAFETY: `sums` has a row of `nr` for each element of a value.
        let rows = unsafe { std::slice::from_raw_parts_mut(sums, self.width * micro.nr) };
        rows.fill(<T as math::Real>::ZERO);
        self.blocks(panel, |block| {
            // SAFETY: the caller's promise; `weights` holds `BLOCK` rows.
            unsafe {
                self.scores(panel, &block, packed_keys, queries, weights);
                let block_weights = std::slice::from_raw_parts_mut(weights, block.len() * micro.nr);
                weigh(block_weights, micro.nr, max, sum, decay);
                if block.start > 0 {
                    shrink(rows, decay);
                }
                let tile = plain(sums, micro.nr, T::real(1.0), T::real(1.0));
                let values = packed_values.add(block.start * micro.mr);
                let size = (self.width, panel.count);
                gemm::tiles(micro, size, block.len(), (values, keys), weights, &tile);
            }
        });
    }
}
