//! Ctrl-C, or the signal with which a machine that shuts down ends programs: asks the run to save and stop. A second
//! one stops at once.

use std::sync::atomic::{AtomicBool, Ordering};

use cresset::{Error, Result};

static ASKED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C is noted instead of ending the program.
pub fn watch() -> Result<()> {
    let handler = || {
        if ASKED.swap(true, Ordering::Relaxed) {
            std::process::exit(super::INTERRUPTED.into());
        }
    };
    ctrlc::set_handler(handler).map_err(|e| Error::runtime(format!("cannot watch for Ctrl-C: {e}")))
}

/// Whether the run shall stop.
pub fn is_asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
