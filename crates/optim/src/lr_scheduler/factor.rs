//! Schedules that multiply the rate: by a constant now and then, by a ramp, or by a function.

use std::sync::Arc;

use cresset_core::{Result, ensure, options};
use cresset_io::PyValue;

use super::state::{Setting, take};
use super::{Moment, Schedule, Scheduler};
use crate::optimizer::ParamGroups;

/// Declares schedules: what must be said, and after it what may be, with its defaults; then the rule.
macro_rules! schedules {
    ($($(#[$doc:meta])* $name:ident = $schedule:ident ($($(#[$field_doc:meta])* $field:ident: $ty:ty),*)
        $options:ident { $($(#[$option_doc:meta])* $option:ident: $option_ty:ty = $default:expr,)* }
        |$s:ident, $now:ident| $lr:expr $(, check $check:expr)?;)*) => { $(
        $(#[$doc])*
        pub type $name = Scheduler<$schedule>;

        #[doc = concat!("The rule of [`", stringify!($name), "`].")]
        #[derive(Clone, Debug)]
        pub struct $schedule { $($(#[$field_doc])* pub $field: $ty,)* $($(#[$option_doc])* pub $option: $option_ty,)* }

        options! {
            #[doc = concat!("Optional settings of [`", stringify!($name), "`].")]
            $options {
                $($(#[$option_doc])* $option: $option_ty = $default,)*
                /// The epoch that is over, when the schedule goes on (default: -1, none).
                last_epoch: i64 = -1,
            }
        }

        impl Schedule for $schedule {
            fn lr(&self, $now: Moment) -> f64 {
                let $s = self;
                $lr
            }

            $(fn check(&self) -> Result<()> {
                let check: fn(&Self) -> Result<()> = $check;
                check(self)
            })?

            fn settings(&self) -> Vec<(&'static str, PyValue)> {
                vec![$((stringify!($field), self.$field.save()),)* $((stringify!($option), self.$option.save())),*]
            }

            fn set(&mut self, key: &str, value: &PyValue) -> Result<()> {
                match key {
                    $(stringify!($field) => take(&mut self.$field, key, value),)*
                    $(stringify!($option) => take(&mut self.$option, key, value),)*
                    _ => Ok(()),
                }
            }
        }

        impl $name {
            /// Starts the schedule with PyTorch's settings.
            ///
            /// # Errors
            /// `Value` for impossible settings.
            pub fn new(optimizer: &mut dyn ParamGroups $(, $field: impl Into<$ty>)*) -> Result<Self> {
                Self::with(optimizer, $($field,)* |o| o)
            }

            /// Starts the schedule with other settings.
            ///
            /// # Errors
            /// `Value` for impossible settings, `Key` when it is to go on and the groups have no `initial_lr`.
            pub fn with(
                optimizer: &mut dyn ParamGroups,
                $($field: impl Into<$ty>,)*
                options: impl FnOnce($options) -> $options,
            ) -> Result<Self> {
                let o = options($options::default());
                let schedule = $schedule { $($field: $field.into(),)* $($option: o.$option,)* };
                Scheduler::resume(optimizer, schedule, o.last_epoch)
            }
        }
    )* };
}

schedules! {
    /// Multiplies the rate by `gamma` every `step_size` epochs, as `torch.optim.lr_scheduler.StepLR`.
    ///
    /// # Examples
    /// ```
    /// use cresset_core::{Result, ops};
    /// use cresset_optim::{SGD, lr_scheduler::StepLR};
    ///
    /// # fn main() -> Result<()> {
    /// let mut optimizer = SGD::new([ops::zeros([1])?.requires_grad_(true)?], 1.0)?;
    /// let mut scheduler = StepLR::with(&mut optimizer, 2, |o| o.gamma(0.5))?;
    /// let mut rates = Vec::new();
    /// for _epoch in 0..4 {
    ///     rates.push(scheduler.get_last_lr()[0]);
    ///     optimizer.step()?;
    ///     scheduler.step(&mut optimizer)?;
    /// }
    /// assert_eq!(rates, [1.0, 1.0, 0.5, 0.5]);
    /// # Ok(())
    /// # }
    /// ```
    StepLR = StepDecay (
        /// Epochs between changes.
        step_size: i64
    ) StepLROptions {
        /// The factor (default: 0.1).
        gamma: f64 = 0.1,
    } |s, now| if now.epoch == 0 || now.epoch % s.step_size.max(1) != 0 { now.lr } else { now.lr * s.gamma },
    check |s| {
        ensure!(s.step_size != 0, ZeroDivision, "integer modulo by zero");
        Ok(())
    };

    /// Multiplies the rate by `gamma` at given epochs, as `torch.optim.lr_scheduler.MultiStepLR`.
    ///
    #[doc = example!("MultiStepLR", "&mut optimizer, [1, 3], |o| o.gamma(0.5)", "[0.500, 0.500, 0.250]")]
    MultiStepLR = MultiStep (
        /// The epochs; one that is named twice counts twice.
        milestones: Vec<i64>
    ) MultiStepLROptions {
        /// The factor (default: 0.1).
        gamma: f64 = 0.1,
    } |s, now| match s.milestones.iter().filter(|m| **m == now.epoch).count() {
        0 => now.lr,
        n => now.lr * s.gamma.powi(n as i32),
    };

    /// Multiplies the rate by `factor` until epoch `total_iters`, as `torch.optim.lr_scheduler.ConstantLR`.
    ///
    #[doc = example!("ConstantLR", "&mut optimizer, |o| o.factor(0.5).total_iters(2)", "[0.500, 1.000, 1.000]")]
    ConstantLR = ConstantFactor () ConstantLROptions {
        /// The factor (default: a third).
        factor: f64 = 1.0 / 3.0,
        /// The epoch at which the rate is back at its start (default: 5).
        total_iters: i64 = 5,
    } |s, now| match now.epoch {
        0 => now.lr * s.factor,
        epoch if epoch == s.total_iters => now.lr * (1.0 / s.factor),
        _ => now.lr,
    },
    check |s| {
        let possible = !(s.factor > 1.0 || s.factor < 0.0);
        ensure!(possible, Value, "Constant multiplicative factor expected to be between 0 and 1.");
        Ok(())
    };

    /// Multiplies the rate by a factor on a line, as `torch.optim.lr_scheduler.LinearLR`.
    ///
    #[doc = example!("LinearLR", "&mut optimizer, |o| o.start_factor(0.25).total_iters(3)", "[0.500, 0.750, 1.000]")]
    LinearLR = LinearFactor () LinearLROptions {
        /// The factor at epoch 0 (default: a third).
        start_factor: f64 = 1.0 / 3.0,
        /// The factor at the end (default: 1).
        end_factor: f64 = 1.0,
        /// The epoch at which the end is reached (default: 5).
        total_iters: i64 = 5,
    } |s, now| {
        if now.epoch == 0 {
            return now.lr * s.start_factor;
        }
        if now.initial || now.epoch > s.total_iters {
            return now.lr;
        }
        let (slope, total) = (s.end_factor - s.start_factor, s.total_iters as f64);
        now.lr * (1.0 + slope / (total * s.start_factor + (now.epoch - 1) as f64 * slope))
    },
    check |s| {
        ensure!(
            !(s.start_factor > 1.0 || s.start_factor <= 0.0),
            Value,
            "Starting multiplicative factor expected to be greater than 0 and less or equal to 1."
        );
        ensure!(
            !(s.end_factor > 1.0 || s.end_factor < 0.0),
            Value,
            "Ending multiplicative factor expected to be between 0 and 1."
        );
        Ok(())
    };

    /// Multiplies the rate by `gamma` every epoch, as `torch.optim.lr_scheduler.ExponentialLR`.
    ///
    #[doc = example!("ExponentialLR", "&mut optimizer, 0.5, |o| o", "[0.500, 0.250, 0.125]")]
    ExponentialLR = ExponentialDecay (
        /// The factor.
        gamma: f64
    ) ExponentialLROptions {} |s, now| if now.initial { now.lr } else { now.lr * s.gamma };

    /// Lets the rate fall to 0 along a power, as `torch.optim.lr_scheduler.PolynomialLR`.
    ///
    #[doc = example!("PolynomialLR", "&mut optimizer, |o| o.total_iters(4)", "[0.750, 0.500, 0.250]")]
    PolynomialLR = Polynomial () PolynomialLROptions {
        /// The epoch at which the rate is 0 (default: 5).
        total_iters: i64 = 5,
        /// The power (default: 1).
        power: f64 = 1.0,
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
///
#[doc = example!("LambdaLR", "&mut optimizer, |epoch| 1.0 / (1 + epoch) as f64, |o| o", "[0.500, 0.333, 0.250]")]
pub type LambdaLR = Scheduler<Lambda>;

/// The rule of [`LambdaLR`]: one function for all groups, or one for each.
#[derive(Clone)]
pub struct Lambda(Vec<Factor>);

/// The rate times a function of the epoch, as `torch.optim.lr_scheduler.MultiplicativeLR`.
///
#[doc = example!("MultiplicativeLR", "&mut optimizer, |_| 0.5, |o| o", "[0.500, 0.250, 0.125]")]
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

options! {
    /// Optional settings of [`LambdaLR`] and [`MultiplicativeLR`].
    LambdaLROptions {
        /// The epoch that is over, when the schedule goes on (default: -1, none).
        last_epoch: i64 = -1,
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
                Self::with(optimizer, f, |o| o)
            }

            /// Starts the schedule with one function for all groups, and other settings.
            ///
            /// # Errors
            /// `Key` when it is to go on and the groups have no `initial_lr`.
            pub fn with(
                optimizer: &mut dyn ParamGroups,
                f: impl Fn(i64) -> f64 + Send + Sync + 'static,
                options: impl FnOnce(LambdaLROptions) -> LambdaLROptions,
            ) -> Result<Self> {
                let functions: Vec<Factor> = vec![Arc::new(f); optimizer.group_count()];
                Scheduler::resume(optimizer, $schedule(functions), options(LambdaLROptions::default()).last_epoch)
            }

            /// Starts the schedule with a function for each group.
            ///
            /// # Errors
            /// `Value` for another number of functions than groups.
            pub fn per_group(optimizer: &mut dyn ParamGroups, functions: Vec<Factor>) -> Result<Self> {
                let (given, groups) = (functions.len(), optimizer.group_count());
                ensure!(given == groups, Value, "Expected {groups} lr_lambdas, but got {given}");
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
