//! The folder of a run: where it is, what it is called, and that it belongs to one run only.

use std::fs;
use std::path::{Path, PathBuf};

use cresset::{Error, Result, bail};

/// Where runs go unless `--out` says otherwise.
const RUNS: &str = "runs";

/// A folder that holds, or is about to hold, one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// A folder for a new run; nothing is made yet.
    pub fn fresh(out: Option<&Path>) -> Result<RunFolder> {
        let Some(path) = out else { return Ok(RunFolder { path: next_free() }) };
        let named = |e: std::io::Error| Error::from(e).context(path.display());
        match fs::read_dir(path).map(|entries| entries.flatten().filter(|e| !is_leftover(e)).count()) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(named(e)),
            Ok(_) if path.join("checkpoint.pt").exists() => bail!(
                "{0} already holds a run: continue it with `{1} resume {0}`, or give another --out",
                path.display(),
                program()
            ),
            Ok(entries) if entries > 0 => {
                bail!("{} is not empty: give --out another folder", path.display())
            }
            Ok(_) => {}
        }
        Ok(RunFolder { path: path.to_owned() })
    }

    /// The folder of a run that was started: that one, or the newest.
    pub fn existing(path: Option<&Path>) -> Result<RunFolder> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => newest()?,
        };
        let folder = RunFolder { path };
        match folder.checkpoint().try_exists() {
            Ok(true) => Ok(folder),
            Ok(false) => bail!("{} holds no run: it has no checkpoint.pt", folder.path.display()),
            Err(e) => Err(Error::from(e).context(folder.path.display())),
        }
    }

    /// Makes the folder and lets `fill` write its first file; if that fails, the folder is taken away again.
    pub fn make(&self, fill: impl FnOnce() -> Result<()>) -> Result<()> {
        let existed = self.path.is_dir();
        let cannot =
            |e: std::io::Error| Error::from(e).context(format!("cannot make {}", self.path.display()));
        fs::create_dir_all(&self.path).map_err(cannot)?;
        let outcome = self.clean().and_then(|()| fill());
        if outcome.is_err() && !existed {
            // Fails if something is in it, which then stays.
            let _ = fs::remove_dir(&self.path);
        }
        outcome
    }

    /// Removes what a writer that was killed has left: temporary files that were never renamed.
    pub fn clean(&self) -> Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if is_leftover(&entry) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn checkpoint(&self) -> PathBuf {
        self.file("checkpoint.pt")
    }

    /// The command that continues the run.
    pub fn resume_command(&self) -> String {
        format!("{} resume {}", program(), self.path.display())
    }
}

/// Whether a writer that was killed has left this file: `.NAME.PROCESS-COUNT.tmp`.
fn is_leftover(entry: &fs::DirEntry) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let name = entry.file_name();
    name.to_str()
        .and_then(|name| name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?.1.split_once('-'))
        .is_some_and(|(process, count)| is_number(process) && is_number(count))
}

/// How the user calls this program.
pub fn program() -> &'static str {
    // Cargo says so to the programs that it runs.
    if std::env::var_os("CARGO").is_some() { "cargo run --release --" } else { "cresset" }
}

/// The newest folder below `runs/` that holds a run.
pub fn newest() -> Result<PathBuf> {
    let written =
        |path: PathBuf| Some((fs::metadata(path.join("checkpoint.pt")).ok()?.modified().ok()?, path));
    let runs = fs::read_dir(RUNS).into_iter().flatten().flatten();
    match runs.filter_map(|entry| written(entry.path())).max() {
        Some((_, path)) => Ok(path),
        None => bail!("there is no run below {RUNS}/: start one with `{} train`, or name a model", program()),
    }
}

fn next_free() -> PathBuf {
    let numbers = fs::read_dir(RUNS)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("mnist-")?.parse::<u32>().ok());
    Path::new(RUNS).join(format!("mnist-{}", numbers.max().map_or(1, |n| n.saturating_add(1))))
}
