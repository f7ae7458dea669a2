//! Schedules that multiply the rate: by a constant now and then, by a ramp, or by a function.

use std::sync::Arc;

use cresset_core::Result;
use cresset_io::PyValue;

use super::state::{Setting, take};
use super::{Moment, Schedule, Scheduler};
use crate::optimizer::ParamGroups;

macro_rules! schedules {
    ($($(#[$doc:meta])* $name:ident = $schedule:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty),* }
        |$s:ident, $now:ident| $lr:expr;)*) => { $(
        $(#[$doc])*
        pub type $name = Scheduler<$schedule>;

        #[doc = concat!("The rule of [`", stringify!($name), "`].")]
        #[derive(Clone, Debug)]
        pub struct $schedule { $($(#[$field_doc])* pub $field: $ty),* }

        impl Schedule for $schedule {
            fn lr(&self, $now: Moment) -> f64 {
                let $s = self;
                $lr
            }

            fn settings(&self) -> Vec<(&'static str, PyValue)> {
                vec![$((stringify!($field), self.$field.save())),*]
            }

            fn set(&mut self, key: &str, value: &PyValue) -> Result<()> {
                match key {
                    $(stringify!($field) => take(&mut self.$field, key, value),)*
                    _ => Ok(()),
                }
            }
        }

        impl $name {
            /// Starts the schedule.
            ///
            /// # Errors
            /// None for optimizers of this crate.
            pub fn new(optimizer: &mut dyn ParamGroups $(, $field: $ty)*) -> Result<Self> {
                Scheduler::start(optimizer, $schedule { $($field),* })
            }
        }
    )* };
}

schedules! {
    /// Multiplies the rate by `gamma` every `step_size` epochs, as `torch.optim.lr_scheduler.StepLR`.
    StepLR = StepDecay {
        /// Epochs between changes.
        step_size: i64,
        /// The factor.
        gamma: f64
    } |s, now| if now.epoch == 0 || now.epoch % s.step_size.max(1) != 0 { now.lr } else { now.lr * s.gamma };

    /// Multiplies the rate by `gamma` at given epochs, as `torch.optim.lr_scheduler.MultiStepLR`.
    MultiStepLR = MultiStep {
        /// The epochs; one that is named twice counts twice.
        milestones: Vec<i64>,
        /// The factor.
        gamma: f64
    } |s, now| match s.milestones.iter().filter(|m| **m == now.epoch).count() {
        0 => now.lr,
        n => now.lr * s.gamma.powi(n as i32),
    };

    /// Multiplies the rate by `factor` until epoch `total_iters`, as `torch.optim.lr_scheduler.ConstantLR`.
    ConstantLR = ConstantFactor {
        /// The factor.
        factor: f64,
        /// The epoch at which the rate is back at its start.
        total_iters: i64
    } |s, now| match now.epoch {
        0 => now.lr * s.factor,
        epoch if epoch == s.total_iters => now.lr * (1.0 / s.factor),
        _ => now.lr,
    };

    /// Multiplies the rate by a factor on a line, as `torch.optim.lr_scheduler.LinearLR`.
    LinearLR = LinearFactor {
        /// The factor at epoch 0.
        start_factor: f64,
        /// The factor at the end.
        end_factor: f64,
        /// The epoch at which the end is reached.
        total_iters: i64
    } |s, now| {
        if now.epoch == 0 {
            return now.lr * s.start_factor;
        }
        if now.initial || now.epoch > s.total_iters {
            return now.lr;
        }
        let (slope, total) = (s.end_factor - s.start_factor, s.total_iters as f64);
        now.lr * (1.0 + slope / (total * s.start_factor + (now.epoch - 1) as f64 * slope))
    };

    /// Multiplies the rate by `gamma` every epoch, as `torch.optim.lr_scheduler.ExponentialLR`.
    ExponentialLR = ExponentialDecay {
        /// The factor.
        gamma: f64
    } |s, now| if now.initial { now.lr } else { now.lr * s.gamma };

    /// Lets the rate fall to 0 along a power, as `torch.optim.lr_scheduler.PolynomialLR`.
    PolynomialLR = Polynomial {
        /// The epoch at which the rate is 0.
        total_iters: i64,
        /// The power.
        power: f64
    } |s, now| {
        if now.initial || now.epoch > s.total_iters {
            return now.lr;
        }
        let left = |epoch: i64| 1.0 - epoch as f64 / s.total_iters as f64;
        now.lr * (left(now.epoch) / left(now.epoch - 1)).powf(s.power)
    };
}

/// A function of the epoch; one for all groups.
type Factor = Arc<dyn Fn(i64) -> f64 + Send + Sync>;

/// The rate at the start times a function of the epoch, as `torch.optim.lr_scheduler.LambdaLR`.
pub type LambdaLR = Scheduler<Lambda>;

/// The rule of [`LambdaLR`]: one function for all groups, or one for each.
#[derive(Clone)]
pub struct Lambda(Vec<Factor>);

/// The rate times a function of the epoch, as `torch.optim.lr_scheduler.MultiplicativeLR`.
pub type MultiplicativeLR = Scheduler<Multiplicative>;

/// The rule of [`MultiplicativeLR`]: one function for all groups, or one for each.
#[derive(Clone)]
pub struct Multiplicative(Vec<Factor>);

fn factor(functions: &[Factor], now: Moment) -> f64 {
    functions.get(now.group).or(functions.last()).map_or(1.0, |f| f(now.epoch))
}

/// Functions are not saved: PyTorch writes `None` for each.
fn no_functions(functions: &[Factor]) -> Vec<(&'static str, PyValue)> {
    vec![("lr_lambdas", PyValue::List(vec![PyValue::None; functions.len()]))]
}

impl Schedule for Lambda {
    fn lr(&self, now: Moment) -> f64 {
        now.base_lr * factor(&self.0, now)
    }

    fn settings(&self) -> Vec<(&'static str, PyValue)> {
        no_functions(&self.0)
    }
}

impl Schedule for Multiplicative {
    fn lr(&self, now: Moment) -> f64 {
        if now.initial { now.lr } else { now.lr * factor(&self.0, now) }
    }

    fn restarted(&self, now: Moment) -> f64 {
        now.lr * factor(&self.0, now)
    }

    fn settings(&self) -> Vec<(&'static str, PyValue)> {
        no_functions(&self.0)
    }
}

macro_rules! by_function {
    ($($name:ident: $schedule:ident),*) => { $(
        impl $name {
            /// Starts the schedule with one function for all groups.
            ///
            /// # Errors
            /// None for optimizers of this crate.
            pub fn new(optimizer: &mut dyn ParamGroups, f: impl Fn(i64) -> f64 + Send + Sync + 'static) -> Result<Self> {
                let functions: Vec<Factor> = vec![Arc::new(f); optimizer.group_count()];
                Scheduler::start(optimizer, $schedule(functions))
            }

            /// Starts the schedule with a function for each group.
            ///
            /// # Errors
            /// None for optimizers of this crate.
            pub fn per_group(optimizer: &mut dyn ParamGroups, functions: Vec<Factor>) -> Result<Self> {
                Scheduler::start(optimizer, $schedule(functions))
            }
        }

        impl std::fmt::Debug for $schedule {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({} functions)", stringify!($schedule), self.0.len())
            }
        }
    )* };
}

by_function!(LambdaLR: Lambda, MultiplicativeLR: Multiplicative);
