//! Extremes together with where they are: the first of equals, and the first NaN before everything else.

use super::drive::{Fold, Rows};
use super::lanes::{Lane, Lanes, Max, Min, Ordered};
use crate::multiversion;

/// The [`Fold`] to the largest (`MAX`) or smallest element and its index.
#[derive(Clone, Copy)]
pub(super) struct Extreme<T, const MAX: bool>(pub T);

/// `x` replaces `best`, which came before it.
#[inline(always)]
fn beats<T: Ordered>(x: T, best: T, max: bool) -> bool {
    let further = if max { x > best } else { x < best };
    further || x.unordered() && !best.unordered()
}

multiversion! {
    /// The first position of `best` in `x`; `best` is NaN or occurs.
    fn position<T: Ordered>(x: &[T], best: T) -> usize {
        let nan = best.unordered();
        let (chunks, rest) = x.as_chunks::<64>();
        for (i, chunk) in chunks.iter().enumerate() {
            let mut hit = false;
            for x in chunk {
                hit |= *x == best || nan && x.unordered();
            }
            if hit {
                return i * 64 + scan(chunk, best);
            }
        }
        x.len() - rest.len() + scan(rest, best)
    }

    fn improve<T: Ordered>(x: &[T], index: u32, max: bool, best: &mut [T], at: &mut [u32]) {
        for ((x, best), at) in x.iter().zip(best).zip(at) {
            let better = beats(*x, *best, max);
            *best = if better { *x } else { *best };
            *at = if better { index } else { *at };
        }
    }
}

fn scan<T: Ordered>(x: &[T], best: T) -> usize {
    x.iter().position(|x| *x == best || best.unordered() && x.unordered()).unwrap_or(0)
}

impl<T: Ordered, const MAX: bool> Fold for Extreme<T, MAX> {
    type C = T;
    type Acc = (T, usize);

    fn empty(&self) -> (T, usize) {
        (if MAX { T::LOWEST } else { T::HIGHEST }, usize::MAX)
    }

    fn block(&self, x: &[T], base: usize) -> (T, usize) {
        let best = if MAX { fold(Max(self.0), x, base) } else { fold(Min(self.0), x, base) };
        (best, base + position(x, best))
    }

    fn columns(&self, rows: &mut Rows<'_, T>, base: usize, acc: &mut [(T, usize)]) {
        let mut best = rows.row(0).to_vec();
        let mut at = vec![0_u32; best.len()];
        for k in 1..rows.len() {
            improve(rows.row(k), k as u32, MAX, &mut best, &mut at);
        }
        for (i, acc) in acc.iter_mut().enumerate() {
            *acc = (best[i], base + at[i] as usize);
        }
    }

    fn merge(&self, a: (T, usize), b: (T, usize)) -> (T, usize) {
        if a.1 == usize::MAX || b.1 != usize::MAX && beats(b.0, a.0, MAX) { b } else { a }
    }
}

fn fold<L: Lane>(f: L, x: &[L::C], base: usize) -> L::Acc {
    Lanes(f).block(x, base)
}
