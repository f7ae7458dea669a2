//! Connectionist temporal classification (Graves et al., 2006): the probability of a label sequence summed over all
//! ways to stretch it, with blanks between, over the time steps.
//!
//! States are the labels with a blank before, between and after them, `2 length + 1` in all. A row of the forward
//! variable is one loop over the states: of the row before it needs the elements at the same state, one and two
//! before; skipping two is forbidden (`-inf` is added) onto a blank and onto a label equal to the last one.

use crate::math::Real;
use crate::parallel::for_tasks;
use crate::parts::Parts;

/// Rows of working memory start with so many `-inf`, which stand for the states before the first.
const PAD: usize = 2;

/// A batch of `[time, batch, classes]` logarithms of probabilities and its label sequences.
#[derive(Clone, Copy, Debug)]
pub struct Ctc<'a, T> {
    /// Row-major logarithms of probabilities.
    pub log_probs: &'a [T],
    /// Time steps in `log_probs`.
    pub time: usize,
    /// Label sequences.
    pub batch: usize,
    /// Number of classes.
    pub classes: usize,
    /// All labels.
    pub targets: &'a [i64],
    /// For each sequence where its labels start in `targets` and how many there are.
    pub spans: &'a [(usize, usize)],
    /// Time steps of each sequence.
    pub input_lengths: &'a [i64],
    /// The class that stands for no label.
    pub blank: usize,
    /// States of the longest sequence: the width of a row of the forward variable.
    pub states: usize,
}

/// One sequence of the batch.
struct Sequence<T> {
    /// The class of each state.
    classes: Vec<usize>,
    /// For each state 0 if it may be entered from two before, else `-inf`; two more states follow.
    skip: Vec<T>,
    steps: usize,
}

crate::multiversion! {
    /// `out[s] = ln(e^a[s] + e^b[s] + e^(c[s] + skip[s])) + emit[s]`.
    fn step<T: Real>(out: &mut [T], a: &[T], b: &[T], c: &[T], skip: &[T], emit: &[T]) {
        let lowest = -T::INFINITY;
        for (((((o, a), b), c), skip), emit) in out.iter_mut().zip(a).zip(b).zip(c).zip(skip).zip(emit) {
            let c = *c + *skip;
            let max = if *a > *b { *a } else { *b };
            let max = if max > c { max } else { c };
            let max = if max == lowest { T::ZERO } else { max };
            *o = ((*a - max).exp() + (*b - max).exp() + (c - max).exp()).ln() + max + *emit;
        }
    }

    /// `out[s] = e^(a[s] + b[s] + by - emit[s])`.
    fn occupancy<T: Real>(out: &mut [T], a: &[T], b: &[T], emit: &[T], by: T) {
        for (((o, a), b), emit) in out.iter_mut().zip(a).zip(b).zip(emit) {
            *o = (*a + *b + by - *emit).exp();
        }
    }

    /// `gx[c] = (e^lp[c] - gx[c]) g`.
    fn finish<T: Real>(gx: &mut [T], lp: &[T], g: T) {
        for (gx, lp) in gx.iter_mut().zip(lp) {
            *gx = (lp.exp() - *gx) * g;
        }
    }
}

impl<T: Real> Ctc<'_, T> {
    /// The first label that is no class.
    pub fn bad_label(&self) -> Option<i64> {
        let labels = self.spans.iter().flat_map(|(start, n)| &self.targets[*start..start + n]);
        labels.copied().find(|l| !(0..self.classes as i64).contains(l))
    }

    fn sequence(&self, b: usize) -> Sequence<T> {
        let (start, n) = self.spans[b];
        let mut classes = vec![self.blank; 2 * n + 1];
        for (i, label) in self.targets[start..start + n].iter().enumerate() {
            classes[2 * i + 1] = *label as usize;
        }
        let allowed = |s: usize| s >= 2 && s < classes.len() && classes[s] != classes[s - 2];
        let skip = |s| if allowed(s) { T::ZERO } else { -T::INFINITY };
        let skip = (0..classes.len() + PAD).map(skip).collect();
        Sequence { classes, skip, steps: self.input_lengths[b] as usize }
    }

    fn probs(&self, t: usize, b: usize) -> &[T] {
        let start = (t * self.batch + b) * self.classes;
        &self.log_probs[start..start + self.classes]
    }

    fn gather(&self, t: usize, b: usize, classes: &[usize], emit: &mut [T]) {
        let probs = self.probs(t, b);
        emit.iter_mut().zip(classes).for_each(|(e, c)| *e = probs[*c]);
    }

    /// The negative logarithm of each sequence's probability, and the forward variable `[batch, time, states]`, `-inf` where
    /// a sequence has no such state. There must be no [`Ctc::bad_label`].
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn forward(&self, loss: &mut [T], log_alpha: &mut [T]) {
        let (loss, log_alpha) = (Parts::new(loss), Parts::new(log_alpha));
        let size = self.time * self.states;
        for_tasks(self.batch, |b| {
            // SAFETY: each sequence is one task's.
            let (loss, alpha) = unsafe { (loss.part(b..b + 1), log_alpha.part(b * size..(b + 1) * size)) };
            loss[0] = self.forward_one(b, alpha);
        });
    }

    fn forward_one(&self, b: usize, alpha: &mut [T]) -> T {
        let seq = self.sequence(b);
        let n = seq.classes.len();
        alpha.fill(-T::INFINITY);
        let mut last = vec![-T::INFINITY; n + PAD];
        let (mut row, mut emit) = (last.clone(), vec![T::ZERO; n]);
        for t in 0..seq.steps {
            self.gather(t, b, &seq.classes, &mut emit);
            if t == 0 {
                row[PAD..(PAD + 2).min(PAD + n)].copy_from_slice(&emit[..n.min(2)]);
            } else {
                step(&mut row[PAD..], &last[PAD..], &last[PAD - 1..], &last, &seq.skip, &emit);
            }
            alpha[t * self.states..t * self.states + n].copy_from_slice(&row[PAD..]);
            std::mem::swap(&mut row, &mut last);
        }
        if seq.steps == 0 {
            return if n == 1 { T::ZERO } else { T::INFINITY };
        }
        let (a, b) = (last[PAD + n - 1], last[PAD + n - 2]);
        let max = if a > b { a } else { b };
        let max = if max == -T::INFINITY { T::ZERO } else { max };
        -(((a - max).exp() + (b - max).exp()).ln() + max)
    }

    /// Gradient of the losses in `log_probs`, from the gradients `g` and both results of [`Ctc::forward`]. Sequences of
    /// infinite loss get zeros if `zero_infinity`, else NaN.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn backward(&self, g: &[T], loss: &[T], log_alpha: &[T], zero_infinity: bool, gx: &mut [T]) {
        let gx = Parts::new(gx);
        let row = |t: usize, b: usize| {
            let start = (t * self.batch + b) * self.classes;
            // SAFETY: each sequence is one task's, and its rows are written one after another.
            unsafe { gx.part(start..start + self.classes) }
        };
        for_tasks(self.batch, |b| {
            (0..self.time).for_each(|t| row(t, b).fill(T::ZERO));
            if !(zero_infinity && loss[b] == T::INFINITY) {
                let alpha = &log_alpha[b * self.time * self.states..(b + 1) * self.time * self.states];
                self.backward_one(b, g[b], loss[b], alpha, |t| row(t, b));
            }
        });
    }

    /// The backward variable runs over states from the last to the first, so reversed rows make it the same loop as the
    /// forward one.
    fn backward_one<'g>(&self, b: usize, g: T, loss: T, alpha: &[T], gx: impl Fn(usize) -> &'g mut [T])
    where
        T: 'g,
    {
        let mut seq = self.sequence(b);
        let n = seq.classes.len();
        // From state s back to s + 2 is as forbidden as from s to s + 2.
        seq.skip = (0..n).map(|r| seq.skip[n + 1 - r]).collect();
        seq.classes.reverse();
        let mut last = vec![-T::INFINITY; n + PAD];
        let (mut row, mut emit) = (last.clone(), vec![T::ZERO; n]);
        let (mut forward, mut weights) = (emit.clone(), emit.clone());
        for t in (0..seq.steps).rev() {
            self.gather(t, b, &seq.classes, &mut emit);
            if t + 1 == seq.steps {
                row[PAD..(PAD + 2).min(PAD + n)].copy_from_slice(&emit[..n.min(2)]);
            } else {
                step(&mut row[PAD..], &last[PAD..], &last[PAD - 1..], &last, &seq.skip, &emit);
            }
            let known = &alpha[t * self.states..t * self.states + n];
            forward.iter_mut().zip(known.iter().rev()).for_each(|(f, a)| *f = *a);
            occupancy(&mut weights, &forward, &row[PAD..], &emit, loss);
            let gx = gx(t);
            gx.fill((loss - T::INFINITY).exp());
            seq.classes.iter().zip(&weights).for_each(|(c, w)| gx[*c] = gx[*c] + *w);
            finish(gx, self.probs(t, b), g);
            std::mem::swap(&mut row, &mut last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums over all paths of three steps that collapse to the labels `[1]` with blank 0.
    #[test]
    fn probability_is_the_sum_over_all_paths() {
        let p = [0.2_f64, 0.5, 0.3, 0.6, 0.1, 0.3, 0.3, 0.3, 0.4];
        let log_probs = p.map(f64::ln);
        let ctc = Ctc {
            log_probs: &log_probs,
            time: 3,
            batch: 1,
            classes: 3,
            targets: &[1],
            spans: &[(0, 1)],
            input_lengths: &[3],
            blank: 0,
            states: 3,
        };
        let at = |t: usize, c: usize| p[t * 3 + c];
        let paths = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 1, 1]];
        let sum: f64 = paths.iter().map(|q| at(0, q[0]) * at(1, q[1]) * at(2, q[2])).sum();
        let (mut loss, mut alpha, mut gx) = ([0.0], [0.0; 9], [0.0; 9]);
        ctc.forward(&mut loss, &mut alpha);
        assert!((loss[0] + sum.ln()).abs() < 1e-12);
        ctc.backward(&[1.0], &loss, &alpha, false, &mut gx);
        // The gradient of PyTorch: probabilities less the share of paths through the class.
        let through: f64 =
            paths.iter().filter(|q| q[0] == 1).map(|q| at(0, 1) * at(1, q[1]) * at(2, q[2])).sum();
        assert!((gx[1] - (0.5 - through / sum)).abs() < 1e-12);
        assert!((gx[2] - 0.3).abs() < 1e-12);
    }
}
