//! `cargo xtask parity [--kit DIR] [--only GLOB] [--coverage] [-v]`.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use cresset_parity::{FileReport, Kit, Reason, coverage, run};

const USAGE: &str = "\
Replays PyTorch's recorded answers through the operator table and compares.

Usage: cargo xtask parity [OPTIONS]

  --kit DIR     a kit in the format of parity/kit/README.md (default: the compact kit of this repository)
  --only GLOB   only these files, such as 'ops/add*' or 'conv2d'; several with commas or by repeating
  --coverage    also say how many overloads of the kit's index are declared and pass
  -v            also give the reason of each failure

The last line is `N passed, N failed, N skipped`; skipped means that the operator is not declared.
";

#[derive(Default)]
struct Options {
    kit: Option<String>,
    only: Vec<String>,
    coverage: bool,
    verbose: bool,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|a| a == "-h" || a == "--help") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match parse(args).and_then(replay) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("parity: {reason}");
            ExitCode::from(2)
        }
    }
}

fn parse(args: Vec<String>) -> Result<Options, Reason> {
    let mut options = Options::default();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--kit" => options.kit = Some(value()?),
            "--only" => options.only.extend(value()?.split(',').map(str::to_string)),
            "--coverage" => options.coverage = true,
            "-v" | "--verbose" => options.verbose = true,
            _ => return Err(format!("unknown option {arg}; see --help")),
        }
    }
    Ok(options)
}

/// Whether nothing failed.
fn replay(options: Options) -> Result<bool, Reason> {
    let kit = options.kit.map_or_else(Kit::shipped, Kit::open)?;
    let summary = run(&kit, &options.only, |file, report| tell(file, report, options.verbose));
    if summary.stride_differences > 0 {
        println!(
            "{} fresh outputs have other strides than PyTorch's (not a failure)",
            summary.stride_differences
        );
    }
    if options.coverage {
        println!("{}", coverage::describe(&kit, &summary)?);
    }
    println!("{}", summary.counts);
    Ok(summary.counts.failed == 0)
}

/// Prints a file's line; a reader that went away (`| head`) is no reason to complain.
fn tell(file: &str, report: &FileReport, verbose: bool) {
    let mut text = format!("{file}: {}\n", report.counts.short());
    if verbose {
        for (case, reason) in &report.failures {
            text += &format!("    {case}: {reason}\n");
        }
        for line in &report.strides {
            text += &format!("    other strides: {line}\n");
        }
    }
    let _ = std::io::stdout().write_all(text.as_bytes());
}
