//! The command: trains a digit classifier on MNIST, continues, evaluates and uses it, and looks into model files.
//!
//! Results go to the standard output, progress to the standard error. Whatever goes wrong with the input is one line on
//! the standard error and the exit status 1; files are written whole or not at all.

mod args;
mod batches;
mod checkpoint;
mod evaluate;
mod export;
mod history;
mod inspect;
mod interrupt;
mod net;
mod picture;
mod plots;
mod predict;
mod progress;
mod run_folder;
mod train;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::time::Instant;

use clap::{CommandFactory, Parser};
use cresset::{Error, Result};

use args::{Args, Command};

/// What a shell expects of a program that a signal ended: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// Runs the command that the arguments say.
pub fn main() -> ExitCode {
    let start = Instant::now();
    let outcome = match Args::parse().command {
        None => help(),
        Some(Command::Train(args)) => train::start(&args, start),
        Some(Command::Resume(args)) => train::resume(&args, start),
        Some(Command::Evaluate(args)) => evaluate::command(&args),
        Some(Command::Predict(args)) => predict::command(&args),
        Some(Command::Inspect(args)) => inspect::command(&args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(INTERRUPTED),
        // Who reads the output has read enough, as `head` does.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let line: Vec<&str> = error.message().split_whitespace().collect();
            // Nothing is left to be told when even this fails.
            let _ = writeln!(std::io::stderr(), "error: {}", line.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn help() -> Result<bool> {
    let text = Args::command().render_long_help();
    write!(std::io::stdout(), "{text}")?;
    Ok(true)
}

fn is_broken_pipe(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|e| e.downcast_ref::<std::io::Error>());
    source.is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}
