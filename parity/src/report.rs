//! What came of the cases of a file, and how a panic becomes a failure.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use crate::kit::Reason;

/// What came of one case.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Everything that the kit says holds.
    Passed,
    /// Something does not, or the case could not be run.
    Failed(Reason),
    /// The operator is not declared.
    Skipped,
}

/// Numbers of cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Cases that hold.
    pub passed: usize,
    /// Cases that do not.
    pub failed: usize,
    /// Cases of things that are not there yet.
    pub skipped: usize,
}

impl Counts {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Skipped => self.skipped += 1,
        }
    }

    /// The sum of two.
    pub fn plus(self, other: Counts) -> Counts {
        Counts {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }

    /// The counts that are not zero, in words: `20 passed, 1 failed`.
    pub fn short(&self) -> String {
        let parts = [(self.passed, "passed"), (self.failed, "failed"), (self.skipped, "skipped")];
        let parts: Vec<String> =
            parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if parts.is_empty() { "no cases".into() } else { parts.join(", ") }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// What came of the cases of one file.
#[derive(Clone, Debug, Default)]
pub struct FileReport {
    /// The sums.
    pub counts: Counts,
    /// `(case, reason)` of each failure.
    pub failures: Vec<(String, Reason)>,
    /// Sums by subject: the qualified name of an operator, or what else the cases are about.
    pub by_subject: BTreeMap<String, Counts>,
    /// Sums by source: the entry of PyTorch's own test database.
    pub by_source: BTreeMap<String, Counts>,
    /// The fresh outputs that have other strides than PyTorch's, a line each.
    pub strides: Vec<String>,
}

impl FileReport {
    /// Enters the outcome of a case.
    pub fn add(&mut self, subject: String, source: &str, case: String, outcome: Outcome) {
        self.counts.add(&outcome);
        if !source.is_empty() {
            self.by_source.entry(source.into()).or_default().add(&outcome);
        }
        self.by_subject.entry(subject.clone()).or_default().add(&outcome);
        if let Outcome::Failed(reason) = outcome {
            self.failures.push((format!("{case} {subject}"), reason));
        }
    }

    /// A report of a single failure that concerns the whole file.
    pub fn broken(reason: Reason) -> FileReport {
        let mut report = FileReport::default();
        report.add("the file".into(), "", String::new(), Outcome::Failed(reason));
        report
    }
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a case; an error or a panic inside it is a failure.
pub fn guarded(f: impl FnOnce() -> Result<(), Reason>) -> Outcome {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                return usual(info);
            }
            let place = info.location().map_or(String::new(), |l| format!(" at {}:{}", l.file(), l.line()));
            let text = info.payload_as_str().unwrap_or("?");
            PANIC.with(|slot| *slot.borrow_mut() = Some(format!("panic{place}: {text}")));
        }));
    });
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    GUARDED.set(outer);
    match result {
        Ok(Ok(())) => Outcome::Passed,
        Ok(Err(reason)) => Outcome::Failed(reason),
        Err(_) => {
            Outcome::Failed(PANIC.with(|slot| slot.borrow_mut().take()).unwrap_or_else(|| "panic".into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_with_its_message() {
        let outcome = guarded(|| panic!("out of cheese"));
        assert!(matches!(outcome, Outcome::Failed(r) if r.contains("out of cheese")));
    }

    #[test]
    fn counts_are_told_in_words() {
        let counts = Counts { passed: 2, failed: 0, skipped: 1 };
        assert_eq!(counts.short(), "2 passed, 1 skipped");
        assert_eq!(counts.to_string(), "2 passed, 0 failed, 1 skipped");
    }
}
