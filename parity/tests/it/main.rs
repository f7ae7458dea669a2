//! What holds for every operator of the table, whatever PyTorch says about its values.
//!
//! Inputs are those of the shipped kit; what is compared are two ways of computing the same thing in Cresset.

mod gradients;
mod layouts;
mod sample;
mod schemas;
mod variants;

#[test]
fn the_shipped_kit_passes() {
    let kit = cresset_parity::Kit::shipped().unwrap();
    let mut failures = Vec::new();
    let summary = cresset_parity::run(&kit, &[], |file, report| {
        failures.extend(report.failures.iter().map(|(case, reason)| format!("{file} {case}: {reason}")));
    });
    sample::assert_none(failures);
    assert!(summary.counts.passed > 0, "nothing was replayed");
}
