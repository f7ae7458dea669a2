//! How far the work is: a bar on a terminal, else a line now and then.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

/// Lines per piece of work where there is no terminal.
const LINES: usize = 10;

/// The progress of one piece of work, on the standard error.
pub struct Progress {
    label: String,
    total: usize,
    done: usize,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Work of `total` steps, `done` of which lie behind.
    pub fn new(label: String, total: usize, done: usize) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| bar(&label, total, done));
        Progress { label, total, done, bar }
    }

    /// One more step; `note` says what is worth knowing.
    pub fn step(&mut self, note: impl FnOnce() -> String) {
        self.done += 1;
        match &self.bar {
            Some(bar) => {
                bar.inc(1);
                // Making the text costs more than a bar that is drawn 20 times a second needs.
                if self.done.is_multiple_of(8) {
                    bar.set_message(note());
                }
            }
            None if self.is_due() => {
                let line = format!("{}  {}/{}  {}", self.label, self.done, self.total, note());
                self.say(line.trim_end());
            }
            None => {}
        }
    }

    /// A line of its own, above the bar if there is one.
    pub fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            // A log that nobody can write is no reason to stop training.
            None => drop(writeln!(std::io::stderr(), "{line}")),
        }
    }

    fn is_due(&self) -> bool {
        let lines = |done: usize| done * LINES / self.total.max(1);
        lines(self.done) > lines(self.done - 1)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(label: &str, total: usize, done: usize) -> ProgressBar {
    let bar = ProgressBar::new(total as u64).with_position(done as u64);
    let template = "{prefix} {bar:32} {pos}/{len} {elapsed}, {eta} left  {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(label.to_owned());
    bar
}
