use cresset_core::{DType, Tensor};
use cresset_io::{PyValue, load, load_bytes, save, save_to, write_atomically};

use crate::{bytes_of, data};

fn file(value: &PyValue) -> Vec<u8> {
    let mut out = Vec::new();
    save_to(value, &mut out).expect("a file in memory");
    out
}

/// The content of a stored entry, found by its local header.
fn entry<'a>(file: &'a [u8], name: &str) -> (usize, &'a [u8]) {
    let at = file.windows(name.len()).position(|w| w == name.as_bytes()).expect(name);
    let number = |from: usize, len: usize| {
        file[from..from + len].iter().rev().fold(0, |n, b| n << 8 | usize::from(*b))
    };
    let header = at - 30;
    let start = at + name.len() + number(header + 28, 2);
    (start, &file[start..start + number(header + 18, 4)])
}

#[test]
fn the_pickle_is_what_pytorch_loads_with_weights_only() {
    let weight = Tensor::from_slice(&[1.0_f32, 2.0], [2]).expect("a tensor");
    let file = file(&PyValue::from_state_dict([("w", weight)]));
    // Loaded by torch.load(weights_only=True) of PyTorch 2.15 when this text was written.
    let pickle = b"\x80\x02ccollections\nOrderedDict\nq\x00)R(X\x01\0\0\0w\
        ctorch._utils\n_rebuild_tensor_v2\nq\x01((X\x07\0\0\0storageq\x02ctorch\nFloatStorage\nq\x03\
        X\x01\0\0\x000X\x03\0\0\0cpuq\x04K\x02tQK\0(K\x02t(K\x01t\x89h\0)RtRu.";
    assert_eq!(entry(&file, "archive/data.pkl").1, pickle);
    assert_eq!(entry(&file, "archive/byteorder").1, b"little");
    assert_eq!(entry(&file, "archive/version").1, b"3\n");
    let (start, bytes) = entry(&file, "archive/data/0");
    assert_eq!((start % 64, bytes), (0, [0, 0, 0x80, 0x3f, 0, 0, 0, 0x40].as_slice()));
}

#[test]
fn everything_that_is_read_can_be_written_and_read_again() {
    let value = load(data("values.pt")).expect("values.pt");
    let again = load_bytes(&file(&value)).expect("the file just written");
    let text = |v: &PyValue| format!("{v:?}");
    assert_eq!(text(&value), text(&again));
    let (before, after) = (value.tensors(), again.tensors());
    for ((path, a), (_, b)) in before.iter().zip(&after) {
        assert_eq!(bytes_of(a), bytes_of(b), "{path:?}");
        assert_eq!((a.strides(), a.requires_grad()), (b.strides(), b.requires_grad()), "{path:?}");
    }
    let tensor = |i: usize| after[i].1;
    assert!(tensor(0).shares_storage_with(tensor(1)));
}

#[test]
fn equal_values_give_equal_files() {
    let value = load(data("ppo-lunarlander.pth")).expect("a real file");
    assert_eq!(file(&value), file(&value));
}

#[test]
fn a_failed_write_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.pt");
    save(&PyValue::Int(1), &path).expect("the first version");
    let failed = write_atomically(&path, |_| Err(cresset_core::Error::runtime("disk full")));
    assert_eq!(
        failed.expect_err("it fails").message(),
        format!("cannot write {}: disk full", path.display())
    );
    assert_eq!(load(&path).expect("the first version").as_int(), Some(1));
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 1);
    let missing = save(&PyValue::None, folder.path().join("no/such/model.pt")).expect_err("no such folder");
    assert!(missing.message().contains("no/such/model.pt"), "{missing}");
}

#[test]
fn a_loaded_file_may_be_replaced_while_its_tensors_live() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.pt");
    let old = Tensor::from_vec(vec![1.0_f32; 1 << 15], [1 << 15]).expect("a tensor");
    save(&PyValue::Tensor(old), &path).expect("a large file");
    let loaded = load(&path).expect("mapped");
    save(&PyValue::Int(0), &path).expect("replaced");
    let tensor = loaded.as_tensor().expect("a tensor");
    assert!(tensor.to_vec::<f32>().expect("floats").iter().all(|x| *x == 1.0));
}

#[test]
fn what_the_format_cannot_hold_is_an_error() {
    let bytes = Tensor::from_slice(&[0_u8; 8], [8]).expect("bytes");
    let floats =
        Tensor::from_storage(bytes.storage(), cresset_core::layout::Layout::contiguous(&[2]), DType::F32)
            .expect("the same bytes as floats");
    let both = PyValue::List(vec![PyValue::Tensor(bytes), PyValue::Tensor(floats)]);
    let error = save_to(&both, Vec::new()).expect_err("two dtypes");
    assert!(error.message().contains("view the same data as different types"));
}
