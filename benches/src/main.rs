//! The native speed suite: the workloads of the Python suite, with the same inputs, timed in the same way.
//!
//! `suite --serve` reads workload names from standard input, one a line, and answers each with one line of JSON:
//! `{"name", "median_s", "min_s", "runs", "check", "tol"}` or `{"name", "error"}`. `check` is the mean of the absolute
//! values of the result in float32, so that another implementation can be seen to do the same work.

#![forbid(unsafe_code)]

mod measure;
mod workloads;

use std::io::{BufRead, Write};
use std::process::ExitCode;

use measure::{Workload, measure};

const USAGE: &str = "\
Usage: suite [OPTIONS]

  --list         names of the workloads
  --serve        reads names from standard input, one a line, and answers each with a line of JSON
  --only GLOBS   only workloads whose name matches one of these, separated by commas (default *)
  --budget S     seconds of timing for each workload (default 1)
  --threads N    threads (default 2)
";

struct Options {
    list: bool,
    serve: bool,
    only: String,
    budget: f64,
    threads: usize,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(Some(options)) => run(&options),
        Ok(None) => print!("{USAGE}"),
        Err(e) => {
            eprintln!("suite: {e}\n{USAGE}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options { list: false, serve: false, only: "*".into(), budget: 1.0, threads: 2 };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "-h" | "--help" => return Ok(None),
            "--list" => options.list = true,
            "--serve" => options.serve = true,
            "--only" => options.only = value()?,
            "--budget" => options.budget = value()?.parse().map_err(|e| format!("--budget: {e}"))?,
            "--threads" => options.threads = value()?.parse().map_err(|e| format!("--threads: {e}"))?,
            _ => return Err(format!("unknown option {arg}")),
        }
    }
    Ok(Some(options))
}

fn run(options: &Options) {
    let all = workloads::all();
    let wanted =
        |w: &&Workload| options.only.split(',').any(|glob| matches(glob.as_bytes(), w.name.as_bytes()));
    if options.list {
        all.iter().filter(wanted).for_each(|w| println!("{}", w.name));
        return;
    }
    cresset_core::set_num_threads(options.threads);
    if !options.serve {
        all.iter().filter(wanted).for_each(|w| answer(&measure(w, options.budget)));
        return;
    }
    for name in std::io::stdin().lock().lines().map_while(Result::ok) {
        let name = name.trim();
        match all.iter().find(|w| w.name == name) {
            Some(workload) => answer(&measure(workload, options.budget)),
            None => answer(&measure::error(name, "there is no such workload")),
        }
    }
}

/// Prints a line at once: whoever asked waits for it.
fn answer(line: &str) {
    println!("{line}");
    let _ = std::io::stdout().flush();
}

/// `*` stands for any text, `?` for one character.
fn matches(glob: &[u8], text: &[u8]) -> bool {
    match (glob.first(), text.first()) {
        (None, None) => true,
        (Some(b'*'), _) => matches(&glob[1..], text) || (!text.is_empty() && matches(glob, &text[1..])),
        (Some(b'?'), Some(_)) => matches(&glob[1..], &text[1..]),
        (Some(a), Some(b)) if a == b => matches(&glob[1..], &text[1..]),
        _ => false,
    }
}
