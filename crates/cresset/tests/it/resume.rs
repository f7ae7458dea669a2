//! A run that is stopped, by a kill or by Ctrl-C, and continued, ends with the weights of one that was not.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::*;

/// Starts the command and waits until its log shows that text.
fn until(mut command: Command, text: &str) -> Child {
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the program starts");
    let mut log = BufReader::new(child.stderr.take().expect("its log"));
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(log.read_line(&mut line).expect("a log") > 0, "the program ended before '{text}'");
    }
    // Keeps the pipe open: the program must not fail because nobody reads its log.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    child
}

fn resume(run: &Path, more: &[&str]) -> Command {
    let mut command = cresset(["resume"]);
    command.arg(run).args(more);
    command
}

fn kill(mut child: Child) {
    child.kill().expect("SIGKILL");
    assert!(!child.wait().expect("its end").success());
}

#[test]
fn a_killed_run_continues_to_the_same_weights() {
    let temporary = folder();
    let run = temporary.path().join("run");
    kill(until(train(&run, &["--checkpoint-every", "3"]), "epoch 1/2  5/10"));
    // Once more, in the second epoch, with other threads and workers.
    kill(until(resume(&run, &["--threads", "2", "--workers", "2"]), "epoch 2/2  2/10"));
    std::fs::write(run.join(".checkpoint.pt.1-0.tmp"), "what a kill while writing leaves").unwrap();
    let (code, out, err) = output(resume(&run, &[]));
    assert_eq!(code, 0, "{out}{err}");
    assert!(weights(&run) == weights(finished()));
    assert!(!run.join(".checkpoint.pt.1-0.tmp").exists());
    let rows = |run: &Path| {
        let csv = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
        csv.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(rows(&run), rows(finished()));
}

#[test]
fn a_kill_before_the_first_checkpoint_leaves_the_folder_free() {
    let folder = folder();
    let out = folder.path().join("run");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join(".checkpoint.pt.123-0.tmp"), "half of it").unwrap();
    let (code, _, err) = output(train(&out, &[]));
    assert_eq!(code, 0, "{err}");
    assert!(
        std::fs::read_dir(&out)
            .unwrap()
            .flatten()
            .all(|e| !e.file_name().to_string_lossy().ends_with(".tmp"))
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_says_how_to_continue() {
    let temporary = folder();
    let run = temporary.path().join("run");
    let mut command = train(&run, &[]);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the program starts");
    let mut log = BufReader::new(child.stderr.take().expect("its log")).lines();
    let line = log.by_ref().map(|line| line.expect("a log")).find(|line| line.contains("epoch 1/2  4/10"));
    assert!(line.is_some());
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill").success());
    let last = log.map(|line| line.expect("a log")).last().unwrap_or_default();
    assert_eq!(child.wait().expect("its end").code(), Some(130));
    let continued = format!("continue with: cresset resume {}", run.display());
    assert!(last.starts_with("interrupted after step ") && last.ends_with(&continued), "{last}");
    let (code, out, err) = output(resume(&run, &[]));
    assert_eq!(code, 0, "{out}{err}");
    assert!(weights(&run) == weights(finished()));
}

#[test]
fn a_finished_run_has_nothing_left_to_do() {
    let temporary = folder();
    let run = temporary.path().join("run");
    std::fs::create_dir(&run).unwrap();
    std::fs::copy(finished().join("checkpoint.pt"), run.join("checkpoint.pt")).unwrap();
    let (code, out, err) = output(resume(&run, &[]));
    assert_eq!(code, 0, "{out}{err}");
    assert!(weights(&run) == weights(finished()) && out.contains("test accuracy"), "{out}");
}
