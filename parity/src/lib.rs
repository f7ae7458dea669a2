//! Replays a parity kit, PyTorch's own answers recorded as data, through the operator table and compares.
//!
//! Every operator is called by name through the one door, so that what is checked is what users reach. The runner knows
//! the kit's format and nothing of its values. One module replays one section; a section is a row of [`SECTIONS`].

#![forbid(unsafe_code)]

mod arguments;
pub mod array;
pub mod call;
pub mod compare;
pub mod coverage;
mod data;
mod errors;
pub mod failure;
pub mod grad;
mod init;
pub mod kit;
pub mod modules;
pub mod ops;
mod optim;
pub mod report;
mod rng;
mod run;
mod sched;
pub mod value;

pub use kit::{Kit, Reason};
pub use report::{Counts, FileReport, Outcome};
pub use run::{Summary, run};

/// A part of the kit and how it is replayed.
#[derive(Debug)]
pub struct Section {
    /// Its files, without extension: `rng`, or every file of the folder `ops/`.
    pub path: &'static str,
    /// Replays one file, named without its extension.
    pub run: fn(&Kit, &str) -> FileReport,
}

/// The parts of a kit that are replayed.
pub static SECTIONS: &[Section] = &[
    Section { path: "ops/", run: ops::run },
    Section { path: "modules/", run: modules::run },
    Section { path: "init", run: init::run },
    Section { path: "optim/", run: optim::run },
    Section { path: "sched", run: sched::run },
    Section { path: "data", run: data::run },
    Section { path: "rng", run: rng::run },
    Section { path: "errors", run: errors::run },
];
