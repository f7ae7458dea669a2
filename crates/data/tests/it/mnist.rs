use std::path::{Path, PathBuf};

use cresset_core::{DType, ErrorKind};
use cresset_data::{DataLoader, Dataset, Mnist, read_idx};

/// The files that the repository ships.
fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/mnist")
}

#[test]
fn the_shipped_files_are_read() {
    let (train, test) = Mnist::open_both(shipped()).unwrap();
    assert_eq!((train.len(), test.len()), (60_000, 10_000));
    assert_eq!(train.labels()[..5], [5, 0, 4, 1, 9]);
    assert_eq!(test.labels()[..5], [7, 2, 1, 0, 4]);
    let sum = |m: &Mnist| m.images().iter().map(|p| u64::from(*p)).sum::<u64>();
    // From the means that are known for MNIST: 0.1307 and 0.1325.
    assert!((sum(&train) as f64 / 255.0 / (60_000.0 * 784.0) - 0.1307).abs() < 5e-5);
    assert!((sum(&test) as f64 / 255.0 / (10_000.0 * 784.0) - 0.1325).abs() < 5e-5);
}

#[test]
fn batches_are_the_samples_one_by_one() {
    let test = std::sync::Arc::new(Mnist::open(shipped(), false).unwrap().normalize(0.1307, 0.3081));
    let loader = DataLoader::new(test.clone(), 3).unwrap();
    let (images, labels) = loader.iter().next().unwrap().unwrap();
    assert_eq!(images.sizes().as_slice(), [3, 1, 28, 28]);
    assert_eq!((images.dtype(), labels.to_vec::<i64>().unwrap()), (DType::F32, vec![7, 2, 1]));
    let pixels = images.to_vec::<f32>().unwrap();
    for i in 0..3 {
        let (image, label) = test.get(i).unwrap();
        assert_eq!(image.to_vec::<f32>().unwrap(), pixels[i * 784..(i + 1) * 784]);
        assert_eq!(label, test.labels()[i]);
    }
    // What torchvision's ToTensor and Normalize make of 0 and 255.
    assert_eq!(pixels[0], -0.424_212_96);
    assert!(test.get(10_000).is_err());
}

fn write(folder: &Path, name: &str, content: &[u8]) {
    std::fs::write(folder.join(name), content).unwrap();
}

#[test]
fn missing_truncated_and_damaged_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Mnist::open(folder.path(), true).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Io);
    assert!(missing.message().contains("train-images-idx3-ubyte.gz"), "{missing}");

    let (images, labels) = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz");
    let good = std::fs::read(shipped().join(labels)).unwrap();
    std::fs::copy(shipped().join(images), folder.path().join(images)).unwrap();
    for len in [0, 1, 9, 10, 17, 18, 100, good.len() / 2, good.len() - 1] {
        write(folder.path(), labels, &good[..len]);
        let error = Mnist::open(folder.path(), false).unwrap_err();
        assert!(error.message().contains(labels), "{len} bytes: {error}");
    }
    let mut damaged = good.clone();
    damaged[2000] ^= 0x10;
    write(folder.path(), labels, &damaged);
    assert!(Mnist::open(folder.path(), false).unwrap_err().message().contains("damaged"));
    write(folder.path(), labels, &[0, 0, 8, 1, 0, 0, 0, 2, 5, 6]);
    let other = Mnist::open(folder.path(), false).unwrap_err();
    assert!(other.message().contains("expected 10000 labels"), "{other}");
}

#[test]
fn plain_idx_files_of_all_types_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("numbers.idx");
    std::fs::write(&path, [0, 0, 0x0b, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 0xff, 0xfe]).unwrap();
    let numbers = read_idx(&path).unwrap();
    assert_eq!(
        (numbers.sizes().as_slice(), numbers.to_vec::<i16>().unwrap()),
        ([1, 2].as_slice(), vec![258, -2])
    );
    std::fs::write(&path, [0, 0, 0x0d, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]).unwrap();
    assert!(read_idx(&path).unwrap_err().message().contains("truncated or damaged"));
    std::fs::write(&path, b"hello").unwrap();
    assert!(read_idx(&path).unwrap_err().message().contains("no idx file"));
}
