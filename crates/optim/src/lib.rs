//! Optimizers and learning-rate schedules with PyTorch's numbers and state.
//!
//! An algorithm is its hyper-parameters and one update of one parameter ([`Update`]); groups, state, `state_dict` and
//! its checks are written once, in [`Optimizer`]. Schedules change the learning rates of any optimizer through
//! [`ParamGroups`]; they are in [`lr_scheduler`]. [`GradScaler`] stands between losses and optimizers in mixed precision.

#![forbid(unsafe_code)]

mod algorithms;
mod display;
mod file;
mod hyper;
pub mod lr_scheduler;
mod optimizer;
mod scaler;
mod state;

pub use algorithms::*;
pub use hyper::{Betas, Hyper, HyperValue};
pub use optimizer::{Group, Item, Optimizer, ParamGroups, Update, ZeroGradOptions};
pub use scaler::{GradScaler, GradScalerOptions, NewScale};
pub use state::{OptimizerState, State};
