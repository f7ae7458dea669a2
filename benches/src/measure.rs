//! How a workload is built, timed and told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use cresset_core::{DType, Result, Tensor};
use serde_json::json;

/// What one run returns.
#[derive(Debug)]
pub enum Output {
    /// A tensor, of which the mean absolute value is the checksum.
    Tensor(Tensor),
    /// A number, which is its own checksum.
    Number(f64),
}

impl From<Tensor> for Output {
    fn from(t: Tensor) -> Self {
        Output::Tensor(t)
    }
}

impl From<f64> for Output {
    fn from(x: f64) -> Self {
        Output::Number(x)
    }
}

/// One timed run.
pub type Run = Box<dyn FnMut() -> Result<Output>>;

/// A name, how exact its checksum is, and what builds its inputs.
pub struct Workload {
    /// Its name in both suites.
    pub name: String,
    /// Relative tolerance of the checksum.
    pub tol: f64,
    build: Box<dyn Fn() -> Result<Run>>,
}

impl Workload {
    /// A workload whose `build` makes the inputs and returns the timed function.
    pub fn new<T, F>(name: impl Into<String>, build: impl Fn() -> Result<F> + 'static) -> Workload
    where
        T: Into<Output>,
        F: FnMut() -> Result<T> + 'static,
    {
        let build = move || -> Result<Run> {
            let mut run = build()?;
            Ok(Box::new(move || run().map(Into::into)))
        };
        Workload { name: name.into(), tol: 1e-3, build: Box::new(build) }
    }

    /// With another tolerance of the checksum.
    pub fn tol(mut self, tol: f64) -> Workload {
        self.tol = tol;
        self
    }
}

/// The line for a workload: measured, or why not. A panic is told like an error.
pub fn measure(workload: &Workload, budget: f64) -> String {
    match catch_unwind(AssertUnwindSafe(|| timed(workload, budget))) {
        Ok(Ok(line)) => line,
        Ok(Err(e)) => error(&workload.name, &format!("{e:?}")),
        Err(_) => error(&workload.name, "panicked"),
    }
}

/// The line for a workload that cannot be measured.
pub fn error(name: &str, reason: &str) -> String {
    json!({ "name": name, "error": reason }).to_string()
}

fn timed(workload: &Workload, budget: f64) -> Result<String> {
    let mut run = (workload.build)()?;
    let check = checksum(run()?)?;
    let once = seconds(&mut run)?;
    for _ in 0..((0.2 / once.max(1e-6)) as usize).min(5) {
        run()?;
    }
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < 3 || (start.elapsed().as_secs_f64() < budget && times.len() < 2000) {
        times.push(seconds(&mut run)?);
    }
    times.sort_by(f64::total_cmp);
    let n = times.len();
    let median = (times[(n - 1) / 2] + times[n / 2]) / 2.0;
    let line = json!({
        "name": workload.name, "median_s": median, "min_s": times[0], "runs": n, "check": check, "tol": workload.tol,
    });
    Ok(line.to_string())
}

/// Seconds of one run, freeing its result included.
fn seconds(run: &mut Run) -> Result<f64> {
    let start = Instant::now();
    drop(run()?);
    Ok(start.elapsed().as_secs_f64())
}

fn checksum(output: Output) -> Result<f64> {
    match output {
        Output::Number(x) => Ok(x),
        Output::Tensor(t) => Ok(t.detach().to_dtype(DType::F32)?.abs()?.mean()?.item()?.to_f64()),
    }
}
