//! `cargo xtask test`: every check of the repository, one after the other, and a line of totals.
//!
//! A failing step does not stop the later ones. Tests, doctests and parity cases count one by one; the format, the lints
//! and the training run count as one each.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use crate::{cargo, root};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Totals {
    passed: usize,
    failed: usize,
}

impl Totals {
    const PASS: Totals = Totals { passed: 1, failed: 0 };
    const FAIL: Totals = Totals { passed: 0, failed: 1 };

    fn plus(self, other: Totals) -> Totals {
        Totals { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }
}

struct Step {
    name: &'static str,
    run: fn() -> Totals,
}

static STEPS: &[Step] = &[
    Step { name: "format", run: format },
    Step { name: "lints", run: lints },
    Step { name: "tests and doctests", run: tests },
    Step { name: "parity", run: parity },
    Step { name: "a short training run", run: training },
];

/// Runs all steps; fails when one did.
pub fn run() -> ExitCode {
    let mut lines = Vec::new();
    let mut totals = Totals::default();
    for step in STEPS {
        println!("== {}", step.name);
        let start = Instant::now();
        let t = (step.run)();
        lines.push(format!(
            "{:22} {:6} passed {:4} failed {:7.1} s",
            step.name,
            t.passed,
            t.failed,
            start.elapsed().as_secs_f64()
        ));
        totals = totals.plus(t);
    }
    println!("== totals\n{}", lines.join("\n"));
    println!("{} passed, {} failed", totals.passed, totals.failed);
    if totals.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn format() -> Totals {
    if !component("rustfmt", "fmt") {
        return Totals::FAIL;
    }
    succeeds(cargo().args(["fmt", "--all", "--check"]))
}

fn lints() -> Totals {
    if !component("clippy", "clippy") {
        return Totals::FAIL;
    }
    succeeds(cargo().args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// Makes sure that a part of the toolchain is there.
fn component(name: &str, subcommand: &str) -> bool {
    let there = || cargo().args([subcommand, "--version"]).output().is_ok_and(|o| o.status.success());
    if there() {
        return true;
    }
    println!("{name} is missing: rustup component add {name}");
    let _ = Command::new("rustup").args(["component", "add", name]).status();
    there() || {
        println!("{name} could not be installed; it comes with the Rust toolchain (https://rustup.rs)");
        false
    }
}

fn tests() -> Totals {
    let (ok, totals) = counted(cargo().args(["test", "--workspace", "--no-fail-fast"]), test_result);
    // A test program that does not build or dies prints no result.
    if ok || totals.failed > 0 { totals } else { totals.plus(Totals::FAIL) }
}

/// Reads `test result: ok. 3 passed; 0 failed; …`.
fn test_result(line: &str) -> Option<Totals> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    Some(Totals { passed: before(counts, " passed")?, failed: before(counts, " failed")? })
}

fn parity() -> Totals {
    let args = ["run", "--quiet", "--release", "--package", "cresset-parity", "--", "-v"];
    let (ok, totals) = counted(cargo().args(args), parity_result);
    if ok || totals.failed > 0 { totals } else { totals.plus(Totals::FAIL) }
}

/// Reads the runner's last line, `3 passed, 0 failed, 1 skipped`.
fn parity_result(line: &str) -> Option<Totals> {
    line.strip_suffix(" skipped").filter(|l| l.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(Totals { passed: before(line, " passed")?, failed: before(line, " failed")? })
}

/// The number that stands before `word`.
fn before(text: &str, word: &str) -> Option<usize> {
    text.split_once(word)?.0.rsplit(' ').next()?.parse().ok()
}

/// Trains on a part of the data that the repository ships, into a folder under the target directory.
fn training() -> Totals {
    let out = root().join("target").join("xtask-train");
    let _ = std::fs::remove_dir_all(&out);
    let args = [
        "run",
        "--quiet",
        "--release",
        "--package",
        "cresset",
        "--",
        "train",
        "--epochs",
        "1",
        "--limit",
        "2000",
    ];
    let totals = succeeds(cargo().args(args).arg("--out").arg(&out));
    if totals.failed == 0 && !out.join("model.safetensors").is_file() {
        println!("the training run wrote no model.safetensors");
        return Totals::FAIL;
    }
    totals
}

fn succeeds(command: &mut Command) -> Totals {
    match command.current_dir(root()).status() {
        Ok(status) if status.success() => Totals::PASS,
        Ok(_) => Totals::FAIL,
        Err(e) => {
            println!("{e}");
            Totals::FAIL
        }
    }
}

/// Runs a command, passes its output on and adds up the lines that `read` understands.
fn counted(command: &mut Command, read: fn(&str) -> Option<Totals>) -> (bool, Totals) {
    let mut totals = Totals::default();
    let mut child = match command.current_dir(root()).stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(e) => {
            println!("{e}");
            return (false, totals);
        }
    };
    for line in
        child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok)
    {
        println!("{line}");
        totals = read(&line).map_or(totals, |t| totals.plus(t));
    }
    (child.wait().is_ok_and(|status| status.success()), totals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_read() {
        let line = "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(test_result(line), Some(Totals { passed: 3, failed: 1 }));
        assert_eq!(parity_result("12 passed, 2 failed, 3 skipped"), Some(Totals { passed: 12, failed: 2 }));
        assert_eq!(parity_result("ops/add: 2 passed, 3 skipped"), None);
        assert_eq!(test_result("running 3 tests"), None);
    }
}
