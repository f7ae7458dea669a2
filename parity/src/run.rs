//! Runs the files of a kit on all threads and reports them in order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::kit::Kit;
use crate::report::{Counts, FileReport};
use crate::{SECTIONS, Section};

/// What came of a whole run.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// All cases.
    pub counts: Counts,
    /// By subject.
    pub by_subject: BTreeMap<String, Counts>,
    /// By source.
    pub by_source: BTreeMap<String, Counts>,
    /// How many fresh outputs have other strides than PyTorch's.
    pub stride_differences: usize,
}

impl Summary {
    fn add(&mut self, file: &FileReport) {
        let merge = |into: &mut BTreeMap<String, Counts>, from: &BTreeMap<String, Counts>| {
            for (name, counts) in from {
                let sum = into.entry(name.clone()).or_default();
                *sum = sum.plus(*counts);
            }
        };
        self.counts = self.counts.plus(file.counts);
        self.stride_differences += file.strides.len();
        merge(&mut self.by_subject, &file.by_subject);
        merge(&mut self.by_source, &file.by_source);
    }
}

/// Replays the files whose name matches a glob of `only` (none: all), telling each to `on_file` in the kit's order.
pub fn run(kit: &Kit, only: &[String], mut on_file: impl FnMut(&str, &FileReport)) -> Summary {
    let jobs = jobs(kit, only);
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut summary = Summary::default();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let (jobs, next, sender) = (&jobs, &next, sender.clone());
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((section, file)) = jobs.get(index) else { return };
                    if sender.send((index, (section.run)(kit, file))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut told = 0;
        for (index, report) in receiver {
            waiting.insert(index, report);
            while let Some(report) = waiting.remove(&told) {
                summary.add(&report);
                on_file(&jobs[told].1, &report);
                told += 1;
            }
        }
    });
    summary
}

fn jobs(kit: &Kit, only: &[String]) -> Vec<(&'static Section, String)> {
    let mut jobs = Vec::new();
    for section in SECTIONS {
        let files = match section.path.strip_suffix('/') {
            Some(folder) => kit.names(folder).iter().map(|name| format!("{folder}/{name}")).collect(),
            None if ["safetensors", "json"].iter().any(|e| kit.has(&format!("{}.{e}", section.path))) => {
                vec![section.path.to_string()]
            }
            None => Vec::new(),
        };
        let wanted = |file: &String| only.is_empty() || only.iter().any(|glob| selects(glob, file));
        jobs.extend(files.into_iter().filter(wanted).map(|file| (section, file)));
    }
    jobs
}

/// A glob without a slash is about the last part of the name.
fn selects(glob: &str, file: &str) -> bool {
    let name = if glob.contains('/') { file } else { file.rsplit('/').next().unwrap_or(file) };
    matches(glob.as_bytes(), name.as_bytes())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_select_by_name_or_path() {
        assert!(selects("add*", "ops/add_") && selects("ops/add", "ops/add") && selects("*", "rng"));
        assert!(!selects("add", "ops/add_") && !selects("modules/*", "ops/add") && selects("ad?", "ops/add"));
    }
}
