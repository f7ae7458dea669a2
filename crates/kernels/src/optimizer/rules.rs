//! The algorithms, each the update of one element. What depends on the number of the step is computed once per parameter,
//! by whoever makes the rule.

use super::{Formula, STATES, chunk};
use crate::math::Real;

macro_rules! rules {
    ($($name:ident),*) => {
        /// An algorithm at one step of one parameter.
        #[allow(missing_docs)] // each is the algorithm of its name
        #[derive(Clone, Copy, Debug)]
        pub enum Rule { $($name($name)),* }

        impl Rule {
            /// Runs over elements of one parameter.
            pub(super) fn run<T: Real>(&self, p: &mut [T], g: &[T], states: &mut [Option<&mut [T]>; STATES]) {
                match self {
                    $(Rule::$name(rule) => chunk(rule, p, g, states),)*
                }
            }
        }

        $(impl From<$name> for Rule {
            fn from(rule: $name) -> Rule {
                Rule::$name(rule)
            }
        })*
    };
}

rules!(Adadelta, Adagrad, Adam, Adamax, Asgd, Muon, Nadam, Radam, Rmsprop, Rprop, Sgd, SparseAdam);

/// Where a gradient points: downhill, with the parameter's decay added.
#[derive(Clone, Copy, Debug)]
pub struct Direction {
    /// Ascend instead of descend.
    pub maximize: bool,
    /// Part of the parameter that is added to the gradient.
    pub decay: f64,
    /// Factor of the parameter before the step, for decay that is decoupled from the gradient.
    pub shrink: f64,
}

impl Default for Direction {
    fn default() -> Self {
        Direction { maximize: false, decay: 0.0, shrink: 1.0 }
    }
}

impl Direction {
    /// Weight decay through the gradient, or with a learning rate decoupled from it.
    pub fn new(maximize: bool, weight_decay: f64, decoupled: Option<f64>) -> Direction {
        match decoupled {
            Some(lr) => Direction { maximize, decay: 0.0, shrink: 1.0 - lr * weight_decay },
            None => Direction { maximize, decay: weight_decay, shrink: 1.0 },
        }
    }

    #[inline(always)]
    fn of<T: Real>(&self, p: &mut T, g: T) -> T {
        let g = if self.maximize { -g } else { g };
        *p = *p * T::real(self.shrink);
        if self.decay == 0.0 { g } else { T::real(self.decay).mul_add(*p, g) }
    }
}

/// From `a` to `b` with weight `w`, as PyTorch's `lerp` rounds.
#[inline(always)]
pub(super) fn lerp<T: Real>(a: T, b: T, w: f64) -> T {
    let near = T::real(w) < T::real(0.5);
    let (weight, base) = if near { (T::real(w), a) } else { (T::real(w) - T::ONE, b) };
    weight.mul_add(b - a, base)
}

/// `decay v + (1 - decay) g^2`.
#[inline(always)]
fn average_square<T: Real>(v: T, g: T, decay: f64) -> T {
    v * T::real(decay) + T::real(1.0 - decay) * g * g
}

/// Adam and AdamW; states: the moments, and with AMSGrad the largest second moment.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    direction: Direction,
    beta1: f64,
    beta2: f64,
    eps: f64,
    amsgrad: bool,
    rate: f64,
    root: f64,
}

impl Adam {
    /// Step number `step`, from 1.
    pub fn new(direction: Direction, lr: f64, betas: (f64, f64), eps: f64, amsgrad: bool, step: f64) -> Adam {
        let (beta1, beta2) = betas;
        let rate = lr / (1.0 - beta1.powf(step));
        Adam { direction, beta1, beta2, eps, amsgrad, rate, root: (1.0 - beta2.powf(step)).sqrt() }
    }
}

impl Formula for Adam {
    #[inline(always)]
    fn update<T: Real>(&self, p: &mut T, g: T, [m, v, largest]: [&mut T; STATES]) {
        let g = self.direction.of(p, g);
        *m = lerp(*m, g, 1.0 - self.beta1);
        *v = average_square(*v, g, self.beta2);
        let mut square = *v;
        if self.amsgrad {
            *largest = largest.max_nan(*v);
            square = *largest;
        }
        *p = *p + T::real(-self.rate) * *m / (square.sqrt() / T::real(self.root) + T::real(self.eps));
    }
}

/// Stochastic gradient descent; state: the velocity, if there is momentum.
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    /// Where the gradient points.
    pub direction: Direction,
    /// Learning rate.
    pub lr: f64,
    /// Factor of the previous velocity.
    pub momentum: f64,
    /// Part of the gradient kept out of the velocity.
    pub dampening: f64,
    /// Look ahead along the velocity.
    pub nesterov: bool,
    /// Whether the velocity has no value yet and starts as the gradient.
    pub first: bool,
}

impl Formula for Sgd {
    #[inline(always)]
    fn update<T: Real>(&self, p: &mut T, g: T, [v, ..]: [&mut T; STATES]) {
        let g = self.direction.of(p, g);
        let mut along = g;
        if self.momentum != 0.0 {
            let momentum = T::real(self.momentum);
            *v = if self.first { g } else { T::real(1.0 - self.dampening).mul_add(g, *v * momentum) };
            along = if self.nesterov { momentum.mul_add(*v, g) } else { *v };
        }
        *p = T::real(-self.lr).mul_add(along, *p);
    }
}

/// RMSprop; states: the mean square, the mean if it is centred, the velocity if there is momentum.
#[derive(Clone, Copy, Debug)]
pub struct Rmsprop {
    /// Where the gradient points.
    pub direction: Direction,
    /// Learning rate.
    pub lr: f64,
    /// Decay of the means.
    pub alpha: f64,
    /// Added to divisors.
    pub eps: f64,
    /// Factor of the previous step.
    pub momentum: f64,
    /// Whether the variance is used instead of the mean square.
    pub centered: bool,
}

impl Formula for Rmsprop {
    #[inline(always)]
    fn update<T: Real>(&self, p: &mut T, g: T, [v, m, step]: [&mut T; STATES]) {
        let g = self.direction.of(p, g);
        *v = average_square(*v, g, self.alpha);
        let mut variance = *v;
        if self.centered {
            *m = lerp(*m, g, 1.0 - self.alpha);
            variance = *v - *m * *m;
        }
        let root = variance.sqrt() + T::real(self.eps);
        if self.momentum > 0.0 {
            *step = *step * T::real(self.momentum) + g / root;
            *p = T::real(-self.lr).mul_add(*step, *p);
        } else {
            *p = *p + T::real(-self.lr) * g / root;
        }
    }
}

/// Adagrad; state: the sum of squares.
#[derive(Clone, Copy, Debug)]
pub struct Adagrad {
    /// Where the gradient points.
    pub direction: Direction,
    /// Learning rate of this step.
    pub rate: f64,
    /// Added to divisors.
    pub eps: f64,
}

impl Formula for Adagrad {
    #[inline(always)]
    fn update<T: Real>(&self, p: &mut T, g: T, [sum, ..]: [&mut T; STATES]) {
        let g = self.direction.of(p, g);
        *sum = *sum + g * g;
        *p = *p + T::real(-self.rate) * g / (sum.sqrt() + T::real(self.eps));
    }
}

/// Adadelta; states: the mean squares of gradients and of changes.
#[derive(Clone, Copy, Debug)]
pub struct Adadelta {
    /// Where the gradient points.
    pub direction: Direction,
    /// Learning rate.
    pub lr: f64,
    /// Decay of the means.
    pub rho: f64,
    /// Added to divisors.
    pub eps: f64,
}

impl Formula for Adadelta {
    #[inline(always)]
    fn update<T: Real>(&self, p: &mut T, g: T, [v, u, _]: [&mut T; STATES]) {
        let (g, eps) = (self.direction.of(p, g), T::real(self.eps));
        *v = average_square(*v, g, self.rho);
        let change = (*u + eps).sqrt() / (*v + eps).sqrt() * g;
        *u = average_square(*u, change, self.rho);
        *p = T::real(-self.lr).mul_add(change, *p);
    }
}

/// Adamax; states: the mean and the largest size.
#[derive(Clone, Copy, Debug)]
pub struct Adamax {
    /// Where the gradient points.
    pub direction: Direction,
    /// Learning rate, corrected for the bias of the mean at this step.
    pub rate: f64,
    /// Decay rates.
    pub betas: (f64, f64),
    /// Added to sizes.
    pub eps: f64,
}

impl Formula for Adamax {
    #[inline(always)]
    fn update<T: Real>(&self, p: &mut T, g: T, [m, u, _]: [&mut T; STATES]) {
        let g = self.direction.of(p, g);
        *m = lerp(*m, g, 1.0 - self.betas.0);
        *u = (*u * T::real(self.betas.1)).max_nan(g.abs() + T::real(self.eps));
        *p = *p + T::real(-self.rate) * *m / *u;
    }
}

/// NAdam; states: the moments.
#[derive(Clone, Copy, Debug)]
pub struct Nadam {
    /// Where the gradient points.
    pub direction: Direction,
    /// Decay rates of the moments.
    pub betas: (f64, f64),
    /// Added to divisors.
    pub eps: f64,
    /// Correction of the second moment at this step.
    pub correction: f64,
    /// Factors of gradient and momentum at this step.
    pub rates: (f64, f64),
}

impl Formula for Nadam {
    #[inline(always)]
    fn update<T: Real>(&self, p: &mut T, g: T, [m, v, _]: [&mut T; STATES]) {
        let g = self.direction.of(p, g);
        *m = lerp(*m, g, 1.0 - self.betas.0);
        *v = average_square(*v, g, self.betas.1);
        let root = (*v / T::real(self.correction)).sqrt() + T::real(self.eps);
        *p = *p + T::real(self.rates.0) * g / root + T::real(self.rates.1) * *m / root;
    }
}

/// RAdam; states: the moments.
#[derive(Clone, Copy, Debug)]
pub struct Radam {
    /// Where the gradient points.
    pub direction: Direction,
    /// Learning rate.
    pub lr: f64,
    /// Decay rates of the moments.
    pub betas: (f64, f64),
    /// Added to divisors.
    pub eps: f64,
    /// Corrections of the moments at this step; of the second its root.
    pub corrections: (f64, f64),
    /// Rectification at this step, if the second moment is reliable.
    pub rectified: Option<f64>,
}

impl Formula for Radam {
    #[inline(always)]
    fn update<T: Real>(&self, p: &mut T, g: T, [m, v, _]: [&mut T; STATES]) {
        let g = self.direction.of(p, g);
        *m = lerp(*m, g, 1.0 - self.betas.0);
        *v = average_square(*v, g, self.betas.1);
        let mut change = *m / T::real(self.corrections.0) * T::real(self.lr);
        if let Some(rectified) = self.rectified {
            let root = v.sqrt() + T::real(self.eps);
            change = change * (T::ONE / root * T::real(self.corrections.1)) * T::real(rectified);
        }
        *p = *p - change;
    }
}

/// Averaged stochastic gradient descent; state: the average.
#[derive(Clone, Copy, Debug)]
pub struct Asgd {
    /// Where the gradient points.
    pub direction: Direction,
    /// Learning rate of this step.
    pub rate: f64,
    /// Factor of the parameter at this step.
    pub decay: f64,
    /// Weight of the new parameter in the average.
    pub weight: f64,
}

impl Formula for Asgd {
    #[inline(always)]
    fn update<T: Real>(&self, p: &mut T, g: T, [average, ..]: [&mut T; STATES]) {
        let g = self.direction.of(p, g);
        *p = T::real(-self.rate).mul_add(g, *p * T::real(self.decay));
        let moved = *average + (*p - *average) * T::real(self.weight);
        *average = if self.weight == 1.0 { *p } else { moved };
    }
}

/// Resilient backpropagation; states: the previous gradient, and the step sizes.
#[derive(Clone, Copy, Debug)]
pub struct Rprop {
    /// Ascend instead of descend.
    pub maximize: bool,
    /// Factors by which step sizes shrink and grow.
    pub etas: (f64, f64),
    /// Limits of the step sizes.
    pub step_sizes: (f64, f64),
}

impl Formula for Rprop {
    #[inline(always)]
    fn update<T: Real>(&self, p: &mut T, g: T, [previous, size, _]: [&mut T; STATES]) {
        let g = if self.maximize { -g } else { g };
        let product = g * *previous;
        let (shrinks, grows) = (product < T::ZERO, product > T::ZERO);
        let grown = if grows { T::real(self.etas.1) } else { T::ONE };
        let factor = if shrinks { T::real(self.etas.0) } else { grown };
        *size = (*size * factor).max_nan(T::real(self.step_sizes.0)).min_nan(T::real(self.step_sizes.1));
        let g = if shrinks { T::ZERO } else { g };
        let up = if g > T::ZERO { T::ONE } else { T::ZERO };
        let down = if g < T::ZERO { T::ONE } else { T::ZERO };
        *p = *p - (up - down) * *size;
        *previous = g;
    }
}

/// What Muon makes orthogonal, written to the place of the parameter; state: the momentum.
#[derive(Clone, Copy, Debug)]
pub struct Muon {
    /// Factor of the previous momentum.
    pub momentum: f64,
    /// Look ahead along the momentum.
    pub nesterov: bool,
}

impl Formula for Muon {
    #[inline(always)]
    fn update<T: Real>(&self, p: &mut T, g: T, [m, ..]: [&mut T; STATES]) {
        *m = lerp(*m, g, 1.0 - self.momentum);
        *p = if self.nesterov { lerp(g, *m, self.momentum) } else { *m };
    }
}

/// SparseAdam; states: the moments.
#[derive(Clone, Copy, Debug)]
pub struct SparseAdam {
    /// Ascend instead of descend.
    pub maximize: bool,
    /// Decay rates of the moments.
    pub betas: (f64, f64),
    /// Added to divisors.
    pub eps: f64,
    /// Learning rate, corrected for the bias of the moments at this step.
    pub rate: f64,
}

impl Formula for SparseAdam {
    #[inline(always)]
    fn update<T: Real>(&self, p: &mut T, g: T, [m, v, _]: [&mut T; STATES]) {
        let g = if self.maximize { -g } else { g };
        *m = *m + (g - *m) * T::real(1.0 - self.betas.0);
        *v = *v + (g * g - *v) * T::real(1.0 - self.betas.1);
        *p = *p + T::real(-self.rate) * (*m / (v.sqrt() + T::real(self.eps)));
    }
}
