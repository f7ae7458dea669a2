//! A whole run, and what can be done with it.

use crate::*;
use cresset::data::{Dataset, Mnist};
use cresset::io::load;

#[test]
fn without_arguments_help_names_the_first_step() {
    let out = succeeds::<&str>([]);
    assert!(out.contains("cargo run --release -- train"), "{out}");
    for command in ["train", "resume", "evaluate", "predict", "inspect"] {
        assert!(out.contains(&format!("\n  {command} ")), "{out}");
    }
}

#[test]
fn a_run_leaves_models_metrics_and_drawings() {
    let run = finished();
    let read = |name: &str| std::fs::read_to_string(run.join(name)).expect(name);
    let csv = read("metrics.csv");
    assert!(
        csv.starts_with("epoch,step,lr,train_loss,train_accuracy,test_loss,test_accuracy,seconds\n1,10,"),
        "{csv}"
    );
    assert_eq!((csv.lines().count(), read("metrics.jsonl").lines().count()), (3, 2));
    for line in read("metrics.jsonl").lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(row["test_accuracy"].as_f64().is_some_and(|a| (0.0..=1.0).contains(&a)), "{line}");
    }
    for name in ["loss.svg", "accuracy.svg", "confusion.svg"] {
        let svg = read(name);
        assert!(
            svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>") && svg.contains("<text"),
            "{name}"
        );
    }
    let names =
        std::fs::read_dir(run).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.ends_with(".tmp")).count(), 0);
    let state = load(run.join("model.pt")).unwrap().into_state_dict().unwrap();
    let tensors = cresset::io::load_safetensors(run.join("model.safetensors")).unwrap();
    assert_eq!(state.len(), tensors.len());
    for (name, tensor) in tensors {
        let same = state.iter().find(|(n, _)| *n == name).expect("the same names");
        assert_eq!(same.1.to_vec::<f32>().unwrap(), tensor.to_vec::<f32>().unwrap(), "{name}");
    }
}

#[test]
fn the_weights_do_not_depend_on_threads_and_workers() {
    let temporary = folder();
    for (threads, workers) in [("2", "0"), ("3", "4")] {
        let run = temporary.path().join(threads);
        let (code, out, err) = output({
            let mut command = cresset(["train", "--limit", "160", "--batch-size", "16", "--epochs", "2"]);
            command.args(["--threads", threads, "--workers", workers, "--out"]).arg(&run);
            command
        });
        assert_eq!(code, 0, "{out}{err}");
        assert!(weights(&run) == weights(finished()), "{threads} threads, {workers} workers");
    }
}

#[test]
fn another_seed_gives_other_weights() {
    let temporary = folder();
    let run = temporary.path().join("run");
    assert_eq!(output(train(&run, &["--seed", "1"])).0, 0);
    assert!(weights(&run) != weights(finished()));
}

#[test]
fn a_model_is_evaluated_from_each_of_its_files() {
    let line = |model: &Path| {
        let out = succeeds([&"evaluate".as_ref(), &model.as_os_str(), &"--limit".as_ref(), &"160".as_ref()]);
        out.lines().last().unwrap_or_default().to_owned()
    };
    let run = finished();
    let expected = line(run);
    assert!(expected.starts_with("test accuracy ") && expected.contains(" of 160), loss "), "{expected}");
    for name in ["model.pt", "model.safetensors", "checkpoint.pt"] {
        assert_eq!(line(&run.join(name)), expected, "{name}");
    }
    // What training measured last.
    let csv = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
    let accuracy: f64 = csv.lines().last().unwrap().split(',').nth(6).unwrap().parse().unwrap();
    assert!(
        expected.starts_with(&format!("test accuracy {:.2} %", 100.0 * accuracy)),
        "{expected}: {accuracy}"
    );
}

/// The digit and the ten probabilities that `predict` prints for each image.
fn predicted(images: &[&Path]) -> Vec<(usize, Vec<f64>)> {
    let mut args = vec!["predict".as_ref(), "--model".as_ref(), finished().as_os_str()];
    args.extend(images.iter().map(|image| image.as_os_str()));
    let out = succeeds(args);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2 * images.len(), "{out}");
    let row = |pair: &[&str]| {
        let digit = pair[0].rsplit(' ').next().unwrap().parse().unwrap();
        let parts = pair[1].split('%').filter_map(|part| part.rsplit(": ").next()?.trim().parse().ok());
        (digit, parts.collect())
    };
    lines.chunks(2).map(row).collect()
}

#[test]
fn pictures_of_any_size_and_kind_are_predicted() {
    let temporary = folder();
    let digits = Mnist::open(repository().join("data/mnist"), false).unwrap();
    assert_eq!(digits.len(), 10_000);
    let pixels = digits.images()[..784].to_vec();
    let small = image::GrayImage::from_raw(28, 28, pixels).unwrap();
    let mut large = image::imageops::resize(&small, 280, 280, image::imageops::FilterType::Nearest);
    image::imageops::invert(&mut large);
    let (png, jpeg) = (temporary.path().join("seven.png"), temporary.path().join("seven.jpg"));
    small.save(&png).unwrap();
    large.save(&jpeg).unwrap();

    let rows = predicted(&[&png, &jpeg]);
    for (digit, probabilities) in &rows {
        assert_eq!(probabilities.len(), 10);
        assert!((probabilities.iter().sum::<f64>() - 100.0).abs() < 0.6, "{probabilities:?}");
        let best = (0..10).max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
        assert_eq!(best, Some(*digit));
    }
    // The same digit, light on dark and enlarged dark on light, looks the same to the network up to JPEG's losses.
    let differ = rows[0].1.iter().zip(&rows[1].1).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(rows[0].0 == rows[1].0 && differ < 5.0, "{rows:?}");
}

#[test]
fn inspect_lists_tensors_and_nested_values() {
    let run = finished();
    let out = succeeds(["inspect".as_ref(), run.join("model.safetensors").as_os_str()]);
    assert!(out.contains("conv1.weight: torch.float32 [32, 1, 3, 3], 1.1 KiB\n"), "{out}");
    assert!(
        out.contains("metadata \"format\": \"pt\"\n")
            && out.ends_with("8 tensors, 225034 elements, 879.0 KiB\n"),
        "{out}"
    );
    let out = succeeds(["inspect".as_ref(), run.join("checkpoint.pt").as_os_str()]);
    for line in [
        "  options: dict of 6\n    seed: 0\n",
        "\n    conv2.weight: torch.float32 [64, 32, 3, 3], 72.0 KiB\n",
        "betas: (0.9, 0.999)",
    ] {
        assert!(out.contains(line), "{line} in {out}");
    }
}
