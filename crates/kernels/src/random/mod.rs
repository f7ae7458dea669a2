//! PyTorch's CPU random streams, bit for bit: the engine and every distribution that is drawn from it.
//!
//! A distribution is a function of the engine and the slice that it fills. The order in which numbers are drawn is
//! part of the result (the same seed gives PyTorch's values), so an engine is never shared among threads: numbers are
//! drawn in one sweep, in whole blocks of the engine's state, and only what follows from them (the Box-Muller
//! transform) is cut among threads.
//!
//! Where PyTorch's answer depends on the processor, that of its AVX2 and AVX-512 builds is given.

mod bernoulli;
mod continuous;
mod dirichlet_gradient;
mod discrete;
mod engine;
mod gamma_gradient;
mod integer;
mod multinomial;
mod normal;
mod uniform;

pub use bernoulli::{bernoulli, bernoulli_each, bernoulli_each_f64};
pub use continuous::{cauchy, exponential, geometric, log_normal, standard_gamma_f32, standard_gamma_f64};
pub use dirichlet_gradient::dirichlet_gradient;
pub use discrete::{binomial_f32, binomial_f64, poisson};
pub use engine::{Mt19937, STATE_BYTES, StateError};
pub use gamma_gradient::standard_gamma_gradient;
pub use integer::{FromDraw, random, random_from, random_full_range, randperm};
pub use multinomial::{cumulative_from_weights, sample_cumulative};
pub use normal::{normal, normal_serial};
pub use uniform::{Real, uniform};

#[cfg(test)]
mod tests;
