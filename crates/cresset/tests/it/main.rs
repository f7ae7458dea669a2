//! The crate and the `cresset` command as their users run them: the built program, real data, files.

mod bad_input;
mod curves;
mod examples;
mod resume;
mod run;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tempfile::TempDir;

/// A small run: 10 steps per epoch.
const SMALL: [&str; 8] = ["--limit", "160", "--batch-size", "16", "--epochs", "2", "--threads", "1"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The program with those arguments, as if it was called in the root of the repository.
fn cresset<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cresset"));
    command.args(args).current_dir(repository()).env_remove("CARGO");
    command
}

fn output(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// What the program prints when all is well.
fn succeeds<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> String {
    let (code, out, err) = output(cresset(args));
    assert_eq!(code, 0, "{out}{err}");
    out
}

/// `train` with the settings of [`SMALL`] into that folder.
fn train(out: &Path, more: &[&str]) -> Command {
    let mut command = cresset(["train"]);
    command.args(SMALL).arg("--out").arg(out).args(more);
    command
}

/// The folder of a finished run that tests share. It is only read.
fn finished() -> &'static Path {
    static RUN: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    &RUN.get_or_init(|| {
        let temporary = folder();
        let run = temporary.path().join("run");
        let (code, out, err) = output(train(&run, &[]));
        assert_eq!(code, 0, "{out}{err}");
        (temporary, run)
    })
    .1
}

/// Holds the default generator, which all threads share, for one test.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn weights(run: &Path) -> Vec<u8> {
    std::fs::read(run.join("model.safetensors")).expect("the weights of a run")
}
