//! The chores of this repository, run as `cargo xtask <chore>`.
//!
//! This crate depends on nothing, so that it builds at once and can say what is wrong when something else does not.

#![forbid(unsafe_code)]

mod test;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

const USAGE: &str = "\
Usage: cargo xtask <CHORE>

  test                  format, lints, all tests, doctests, the parity kit and a short training run; ends with totals
  parity [OPTIONS]      replays PyTorch's recorded answers (see `cargo xtask parity --help`)
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first().map(|(chore, rest)| (chore.as_str(), rest)) {
        Some(("test", [])) => test::run(),
        Some(("parity", rest)) => parity(rest),
        Some(("-h" | "--help" | "help", _)) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parity(args: &[String]) -> ExitCode {
    let status = cargo()
        .args(["run", "--quiet", "--release", "--package", "cresset-parity", "--"])
        .args(args)
        .status();
    match status {
        Ok(status) => ExitCode::from(status.code().map_or(2, |c| c.clamp(0, 255) as u8)),
        Err(e) => {
            eprintln!("cargo: {e}");
            ExitCode::from(2)
        }
    }
}

/// The cargo that runs this chore.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The root of the repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
