//! Optimizer updates in one pass over parameters, gradients and state.
//!
//! An update is called with all tensors of a group at once: small ones then share one parallel loop. Formulas and their order of
//! rounding are those of PyTorch's single-tensor optimizers, operation by operation.

use crate::math::Real;
use crate::multiversion;
use crate::parallel::{for_tasks, num_threads};

/// Elements of one task.
const CHUNK: usize = 16_384;

/// Hyper-parameters of one step of Adam or AdamW.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Decay the parameter itself (AdamW) instead of adding to the gradient.
    pub decoupled: bool,
    /// Ascend instead of descend.
    pub maximize: bool,
}

/// One parameter of a step of [`adam`], with its state; all slices have the same length.
pub struct AdamTensor<'a, T> {
    /// The parameter, updated.
    pub param: &'a mut [T],
    /// Its gradient.
    pub grad: &'a [T],
    /// First moment, updated.
    pub exp_avg: &'a mut [T],
    /// Second moment, updated.
    pub exp_avg_sq: &'a mut [T],
    /// Largest second moment so far (AMSGrad), updated.
    pub max_exp_avg_sq: Option<&'a mut [T]>,
    /// Number of this step, from 1.
    pub step: f64,
}

/// Hyper-parameters of one step of stochastic gradient descent.
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Factor of the previous velocity.
    pub momentum: f64,
    /// Part of the gradient kept out of the velocity.
    pub dampening: f64,
    /// Weight decay, added to the gradient.
    pub weight_decay: f64,
    /// Look ahead along the velocity.
    pub nesterov: bool,
    /// Ascend instead of descend.
    pub maximize: bool,
}

/// One parameter of a step of [`sgd`]; all slices have the same length.
pub struct SgdTensor<'a, T> {
    /// The parameter, updated.
    pub param: &'a mut [T],
    /// Its gradient.
    pub grad: &'a [T],
    /// The velocity, updated; present if there is momentum.
    pub velocity: Option<&'a mut [T]>,
    /// Whether the velocity has no value yet and starts as the gradient.
    pub first: bool,
}

/// One step of Adam on all `tensors`.
pub fn adam<T: Real>(options: &Adam, tensors: Vec<AdamTensor<'_, T>>) {
    let pieces = tensors.into_iter().flat_map(|t| {
        let rates = AdamRates::new(options, t.step);
        let mut largest = t.max_exp_avg_sq.map(|s| s.chunks_mut(CHUNK));
        let moments = t.exp_avg.chunks_mut(CHUNK).zip(t.exp_avg_sq.chunks_mut(CHUNK));
        let parts = t.param.chunks_mut(CHUNK).zip(t.grad.chunks(CHUNK)).zip(moments);
        parts.map(move |((p, g), (m, v))| (rates, p, g, m, v, largest.as_mut().and_then(Iterator::next)))
    });
    share(pieces.collect(), |(rates, p, g, m, v, largest)| match largest {
        Some(largest) => amsgrad_chunk::<T>(&rates, p, g, m, v, largest),
        None => adam_chunk::<T>(&rates, p, g, m, v),
    });
}

/// One step of stochastic gradient descent on all `tensors`.
pub fn sgd<T: Real>(options: &Sgd, tensors: Vec<SgdTensor<'_, T>>) {
    let rates = SgdRates::new(options);
    let pieces = tensors.into_iter().flat_map(|t| {
        let mut velocity = t.velocity.map(|s| s.chunks_mut(CHUNK));
        let parts = t.param.chunks_mut(CHUNK).zip(t.grad.chunks(CHUNK));
        parts.map(move |(p, g)| (t.first, p, g, velocity.as_mut().and_then(Iterator::next)))
    });
    share(pieces.collect(), |(first, p, g, velocity)| match velocity {
        Some(v) if first => first_momentum_chunk::<T>(&rates, p, g, v),
        Some(v) => momentum_chunk::<T>(&rates, p, g, v),
        None => sgd_chunk::<T>(&rates, p, g),
    });
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

/// The factors of Adam's formulas, in the type of the parameter.
#[derive(Clone, Copy)]
struct AdamRates<T> {
    sign: T,
    decay: T,
    shrink: T,
    grad: T,
    beta2: T,
    square: T,
    root: T,
    eps: T,
    step: T,
}

impl<T: Real> AdamRates<T> {
    fn new(o: &Adam, step: f64) -> AdamRates<T> {
        let (correction1, correction2) = (1.0 - o.beta1.powf(step), 1.0 - o.beta2.powf(step));
        let (decay, shrink) =
            if o.decoupled { (0.0, 1.0 - o.lr * o.weight_decay) } else { (o.weight_decay, 1.0) };
        AdamRates {
            sign: T::real(if o.maximize { -1.0 } else { 1.0 }),
            decay: T::real(decay),
            shrink: T::real(shrink),
            grad: T::real(1.0 - o.beta1),
            beta2: T::real(o.beta2),
            square: T::real(1.0 - o.beta2),
            root: T::real(correction2.sqrt()),
            eps: T::real(o.eps),
            step: T::real(-(o.lr / correction1)),
        }
    }

    /// The new first and second moments, and the decayed parameter.
    #[inline(always)]
    fn moments(&self, p: T, g: T, m: T, v: T) -> (T, T, T) {
        let g = self.decay.mul_add(p, g * self.sign);
        (lerp(m, g, self.grad), v * self.beta2 + self.square * g * g, p * self.shrink)
    }

    /// The new parameter.
    #[inline(always)]
    fn update(&self, p: T, m: T, v: T) -> T {
        p + self.step * m / (v.sqrt() / self.root + self.eps)
    }
}

/// From `a` to `b` with weight `w`, as PyTorch's `lerp` rounds.
#[inline(always)]
fn lerp<T: Real>(a: T, b: T, w: T) -> T {
    let near = w < T::real(0.5);
    let (weight, base) = if near { (w, a) } else { (w - T::ONE, b) };
    weight.mul_add(b - a, base)
}

/// The factors of the descent's formulas, in the type of the parameter.
#[derive(Clone, Copy)]
struct SgdRates<T> {
    sign: T,
    decay: T,
    momentum: T,
    grad: T,
    /// Factors of gradient and velocity in the step.
    along: (T, T),
    step: T,
}

impl<T: Real> SgdRates<T> {
    fn new(o: &Sgd) -> SgdRates<T> {
        SgdRates {
            sign: T::real(if o.maximize { -1.0 } else { 1.0 }),
            decay: T::real(o.weight_decay),
            momentum: T::real(o.momentum),
            grad: T::real(1.0 - o.dampening),
            along: if o.nesterov { (T::ONE, T::real(o.momentum)) } else { (T::ZERO, T::ONE) },
            step: T::real(-o.lr),
        }
    }

    #[inline(always)]
    fn gradient(&self, p: T, g: T) -> T {
        self.decay.mul_add(p, g * self.sign)
    }

    #[inline(always)]
    fn update(&self, p: T, g: T, v: T) -> T {
        let along = if self.along.0 == T::ZERO { v } else { self.along.1.mul_add(v, g) };
        self.step.mul_add(along, p)
    }
}

multiversion! {
    fn adam_chunk<T: Real>(r: &AdamRates<T>, p: &mut [T], g: &[T], m: &mut [T], v: &mut [T]) {
        for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            let shrunk;
            (*m, *v, shrunk) = r.moments(*p, *g, *m, *v);
            *p = r.update(shrunk, *m, *v);
        }
    }

    fn amsgrad_chunk<T: Real>(
        r: &AdamRates<T>,
        p: &mut [T],
        g: &[T],
        m: &mut [T],
        v: &mut [T],
        largest: &mut [T],
    ) {
        for ((((p, g), m), v), largest) in p.iter_mut().zip(g).zip(m).zip(v).zip(largest) {
            let shrunk;
            (*m, *v, shrunk) = r.moments(*p, *g, *m, *v);
            *largest = largest.max_nan(*v);
            *p = r.update(shrunk, *m, *largest);
        }
    }

    fn sgd_chunk<T: Real>(r: &SgdRates<T>, p: &mut [T], g: &[T]) {
        for (p, g) in p.iter_mut().zip(g) {
            *p = r.step.mul_add(r.gradient(*p, *g), *p);
        }
    }

    fn first_momentum_chunk<T: Real>(r: &SgdRates<T>, p: &mut [T], g: &[T], v: &mut [T]) {
        for ((p, g), v) in p.iter_mut().zip(g).zip(v) {
            let g = r.gradient(*p, *g);
            *v = g;
            *p = r.update(*p, g, g);
        }
    }

    fn momentum_chunk<T: Real>(r: &SgdRates<T>, p: &mut [T], g: &[T], v: &mut [T]) {
        for ((p, g), v) in p.iter_mut().zip(g).zip(v) {
            let g = r.gradient(*p, *g);
            *v = r.grad.mul_add(g, *v * r.momentum);
            *p = r.update(*p, g, *v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_adam_step_is_the_learning_rate() {
        // After one step both corrected moments are the gradient's, so each element moves by lr g / (|g| + eps).
        let grad: Vec<f64> = (0..40_000).map(|i| (i % 7) as f64 - 3.0).collect();
        let mut state = vec![vec![0.0; grad.len()]; 3];
        let options = Adam {
            lr: 0.1,
            beta1: 0.9,
            beta2: 0.999,
            eps: 0.0,
            weight_decay: 0.0,
            decoupled: false,
            maximize: false,
        };
        let [param, exp_avg, exp_avg_sq] = &mut state[..] else { unreachable!() };
        adam(
            &options,
            vec![AdamTensor { param, grad: &grad, exp_avg, exp_avg_sq, max_exp_avg_sq: None, step: 1.0 }],
        );
        for (p, g) in state[0].iter().zip(&grad) {
            assert!(*g == 0.0 || (p + 0.1 * g.signum()).abs() < 1e-12, "{g} {p}");
        }
    }

    #[test]
    fn nesterov_momentum_by_hand() {
        let options = Sgd {
            lr: 0.5,
            momentum: 0.5,
            dampening: 0.0,
            weight_decay: 0.0,
            nesterov: true,
            maximize: false,
        };
        let (mut param, mut velocity) = (vec![1.0_f32; 3], vec![0.0_f32; 3]);
        for first in [true, false] {
            let t = SgdTensor { param: &mut param, grad: &[1.0; 3], velocity: Some(&mut velocity), first };
            sgd(&options, vec![t]);
        }
        // v: 1, 1.5; steps 0.5 (1 + 0.5) and 0.5 (1 + 0.75).
        assert_eq!((param[0], velocity[0]), (1.0 - 0.75 - 0.875, 1.5));
    }
}
