//! Bad input is one clear line and a non-zero exit, and leaves nothing half-written.

use crate::*;
use cresset::Tensor;
use cresset::io::{PyValue, save};

/// The one line of an error that ends the command before it prints anything.
fn refused(command: Command) -> String {
    let (code, out, err) = output(command);
    assert!(code == 1 && out.is_empty(), "{code} {out}{err}");
    assert!(err.starts_with("error: ") && err.ends_with('\n') && err.lines().count() == 1, "{err}");
    err
}

fn refused_with(command: Command, parts: &[&str]) {
    let line = refused(command);
    for part in parts {
        assert!(line.contains(part), "expected '{part}' in: {line}");
    }
}

/// The MNIST files, one of them changed by `damage`.
fn damaged(folder: &Path, name: &str, damage: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    for entry in std::fs::read_dir(repository().join("data/mnist")).unwrap() {
        let file = entry.unwrap().path();
        std::fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
    }
    let bytes = std::fs::read(folder.join(name)).unwrap();
    std::fs::write(folder.join(name), damage(bytes)).unwrap();
}

#[test]
fn images_that_are_missing_or_damaged() {
    let temporary = folder();
    let (data, run) = (temporary.path().join("data"), temporary.path().join("run"));
    let with_data = || {
        let mut command = train(&run, &["--data"]);
        command.arg(&data);
        command
    };
    refused_with(with_data(), &["data: No such file or directory"]);
    std::fs::create_dir(&data).unwrap();
    refused_with(with_data(), &["there is no", "ubyte"]);
    let images = "train-images-idx3-ubyte.gz";
    damaged(&data, images, |bytes| bytes[..bytes.len() / 2].to_vec());
    refused_with(with_data(), &[images, "truncated"]);
    damaged(&data, images, |mut bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        bytes
    });
    refused_with(with_data(), &[images, "damaged"]);
    damaged(&data, images, |_| b"not a gzip file".to_vec());
    refused_with(with_data(), &[images]);
    damaged(&data, "t10k-labels-idx1-ubyte.gz", |bytes| bytes[..20].to_vec());
    refused_with(with_data(), &["t10k-labels-idx1-ubyte.gz"]);
    assert!(!run.exists(), "nothing is left behind");
}

#[test]
fn folders_that_cannot_be_written_or_hold_something_else() {
    refused_with(train(Path::new("/dev/null/run"), &[]), &["/dev/null/run", "Not a directory"]);
    refused_with(train(finished(), &[]), &["already holds a run", "resume"]);
    let temporary = folder();
    std::fs::write(temporary.path().join("letter.txt"), "dear").unwrap();
    refused_with(train(temporary.path(), &[]), &["is not empty"]);
    refused_with(cresset(["resume".as_ref(), temporary.path().as_os_str()]), &["holds no run"]);
    refused_with(cresset(["evaluate".as_ref(), temporary.path().as_os_str()]), &["holds no model"]);
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_last_checkpoint_whole() {
    let temporary = folder();
    let run = temporary.path().join("run");
    // A limit on the size of files stands in for a full disk: writing fails half-way.
    let limited = |blocks: u32| {
        let mut command = Command::new("sh");
        let script = format!("ulimit -f {blocks}; trap '' XFSZ; exec \"$@\"");
        let inner = train(&run, &["--checkpoint-every", "3"]);
        command
            .args(["-c", &script, "sh"])
            .arg(inner.get_program())
            .args(inner.get_args())
            .current_dir(repository());
        command
    };
    refused_with(limited(100), &["cannot write", "checkpoint.pt", "File too large"]);
    assert!(!run.exists(), "the folder is taken away again");
    // The first checkpoint, without the optimizer's state, fits; the next does not.
    let (code, _, err) = output(limited(3000));
    assert_eq!(code, 1, "{err}");
    assert!(err.lines().last().is_some_and(|line| line.starts_with("error: cannot write")), "{err}");
    let files: Vec<_> = std::fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["checkpoint.pt"]);
    assert_eq!(output(cresset(["resume".as_ref(), run.as_os_str()])).0, 0);
    assert!(weights(&run) == weights(finished()));
}

fn model(path: &Path) -> Command {
    cresset(["evaluate".as_ref(), path.as_os_str()])
}

#[test]
fn models_that_are_not_this_network() {
    let temporary = folder();
    let file = temporary.path().join("other.pt");
    let tensor = |sizes: &[i64]| {
        Tensor::from_slice(&vec![0.0_f32; sizes.iter().product::<i64>() as usize], sizes).unwrap()
    };
    save(&PyValue::from_state_dict([("fc.weight", tensor(&[2, 2]))]), &file).unwrap();
    refused_with(
        model(&file),
        &[
            "other.pt",
            "Missing key(s) in state_dict: \"conv1.weight\"",
            "Unexpected key(s) in state_dict: \"fc.weight\"",
        ],
    );
    let mut state = cresset::io::load(finished().join("model.pt")).unwrap().into_state_dict().unwrap();
    state[0].1 = tensor(&[32, 1, 5, 5]);
    save(&PyValue::from_state_dict(state), &file).unwrap();
    refused_with(model(&file), &["size mismatch for conv1.weight", "torch.Size([32, 1, 5, 5])"]);
    save(&PyValue::List(vec![PyValue::Int(1)]), &file).unwrap();
    refused_with(model(&file), &["Expected state_dict to be dict-like"]);
    let run = temporary.path().join("run");
    std::fs::create_dir(&run).unwrap();
    std::fs::copy(finished().join("model.pt"), run.join("checkpoint.pt")).unwrap();
    refused_with(
        cresset(["resume".as_ref(), run.as_os_str()]),
        &["checkpoint.pt", "not the checkpoint of a run"],
    );
}

#[test]
fn files_that_are_truncated_or_hostile() {
    let temporary = folder();
    let file = temporary.path().join("model.pt");
    for name in ["model.pt", "model.safetensors"] {
        let whole = std::fs::read(finished().join(name)).unwrap();
        for len in [0, 5, 9, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&file, &whole[..len]).unwrap();
            refused_with(model(&file), &["model.pt"]);
            refused_with(cresset(["inspect".as_ref(), file.as_os_str()]), &["model.pt"]);
        }
    }
    // The format before PyTorch 1.6: magic number, protocol, facts about the machine, and then a call of os.system.
    let legacy = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}X\x0d\0\0\0little_endian\x88s.\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.";
    std::fs::write(&file, legacy).unwrap();
    refused_with(model(&file), &["os.system"]);
    refused_with(model(Path::new("/nowhere/model.pt")), &["/nowhere/model.pt: No such file or directory"]);
    refused_with(model(Path::new("/dev/null")), &["/dev/null"]);
}

#[test]
fn pictures_that_cannot_be_read() {
    let temporary = folder();
    let picture = temporary.path().join("digit.png");
    let predict = || {
        let mut command = cresset(["predict", "--model"]);
        command.arg(finished()).arg(&picture);
        command
    };
    refused_with(predict(), &["digit.png", "No such file or directory"]);
    std::fs::write(&picture, "not a picture").unwrap();
    refused_with(predict(), &["digit.png"]);
    image::GrayImage::new(40, 40).save(&picture).unwrap();
    let whole = std::fs::read(&picture).unwrap();
    std::fs::write(&picture, &whole[..whole.len() / 2]).unwrap();
    refused_with(predict(), &["digit.png"]);
    // A header that promises more pixels than memory.
    let mut huge = whole;
    huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    std::fs::write(&picture, &huge).unwrap();
    refused_with(predict(), &["digit.png"]);
}

#[test]
fn options_that_make_no_sense() {
    for args in [["--epochs", "0"], ["--lr", "-1"], ["--batch-size", "x"], ["--threads", "0"]] {
        let (code, out, err) = output(cresset(["train"].into_iter().chain(args)));
        assert!(code == 2 && out.is_empty() && err.starts_with("error: "), "{args:?}: {err}");
    }
}
