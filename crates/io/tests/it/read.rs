use cresset_core::DType;
use cresset_io::{LoadOptions, PyValue, load, load_bytes, load_with};
use sha2::{Digest, Sha256};

use crate::{bytes_of, data};

#[test]
fn real_files_have_the_tensors_that_pytorch_sees() {
    let expected = std::fs::read(data("expected.json")).expect("the list of tensors");
    let expected: serde_json::Value = serde_json::from_slice(&expected).expect("JSON");
    for (file, tensors) in expected.as_object().expect("a map of files") {
        for mmap in [true, false] {
            let value = load_with(data(file), &LoadOptions { mmap, ..LoadOptions::default() }).expect(file);
            let found = value.tensors();
            let tensors = tensors.as_array().expect("a list");
            assert_eq!(found.len(), tensors.len(), "{file}");
            for ((path, tensor), want) in found.iter().zip(tensors) {
                assert_eq!(serde_json::json!(path), want["path"], "{file}");
                assert_eq!(tensor.dtype().name(), want["dtype"], "{path:?}");
                assert_eq!(serde_json::json!(tensor.sizes().as_slice()), want["shape"], "{path:?}");
                assert_eq!(serde_json::json!(tensor.strides().as_slice()), want["stride"], "{path:?}");
                assert_eq!(format!("{:x}", Sha256::digest(bytes_of(tensor))), want["sha256"], "{path:?}");
            }
        }
    }
}

#[test]
fn every_kind_of_value_is_read() {
    let value = load(data("values.pt")).expect("values.pt");
    let get = |key: &str| value.get(key).expect(key);
    assert!(matches!(get("none"), PyValue::None));
    assert_eq!(
        (get("n").as_int(), get("f").as_float(), get("b").as_bool()),
        (Some(-1), Some(1.5), Some(true))
    );
    assert_eq!(get("t").items().map(<[_]>::len), Some(4));
    let list: Vec<_> = get("l").items().expect("a list").iter().map(PyValue::as_int).collect();
    assert_eq!(list, [Some(1), Some(300), Some(70000)]);
    assert_eq!(get("big").as_int(), Some(1 << 40));
    assert!(matches!(get("huge"), PyValue::BigInt(bytes) if bytes[..] == [0, 0, 0, 0, 0, 0, 0, 0, 64]));
    assert!(matches!(get("dt"), PyValue::DType(DType::F16)));
    assert!(matches!(get("sz"), PyValue::Size(sizes) if sizes[..] == [2, 3]));
    assert!(matches!(get("dev"), PyValue::Device(name) if name == "cuda:1"));
    assert!(matches!(get("c"), PyValue::Complex(re, im) if (*re, *im) == (1.0, 2.0)));
    assert!(matches!(get("set"), PyValue::Set(items) if items.len() == 1));
    assert!(matches!(get("by"), PyValue::Bytes(bytes) if bytes[..] == [b'a', 255]));
    assert_eq!((get("np").as_float(), get("ni").as_int()), (Some(2.5), Some(-3)));
    let array = get("arr").as_tensor().expect("an array");
    assert_eq!((array.dtype(), array.strides().as_slice()), (DType::F64, [1, 2].as_slice()));
    assert!(get("dd").get("k").is_some());
}

#[test]
fn parameters_views_and_truths_keep_their_form() {
    let value = load(data("values.pt")).expect("values.pt");
    let state = value.get("state").expect("a state");
    let tensor = |key: &str| state.get(key).and_then(PyValue::as_tensor).expect(key).clone();
    assert!(matches!(state.get("w"), Some(PyValue::Parameter(w)) if w.requires_grad() && w.is_leaf()));
    assert!(tensor("w").shares_storage_with(&tensor("v")));
    assert_eq!(tensor("v").strides().as_slice(), [1, 3]);
    assert_eq!(tensor("flag").to_vec::<bool>().expect("bools"), [true, false]);
    assert_eq!(tensor("s").to_vec::<i64>().expect("a number"), [3]);
}

#[test]
fn legacy_files_keep_shared_storages() {
    let value = load(data("views-legacy.pt")).expect("views-legacy.pt");
    let tensor = |key: &str| value.get(key).and_then(PyValue::as_tensor).expect(key).clone();
    assert!(tensor("a").shares_storage_with(&tensor("rows")));
    assert_eq!(tensor("rows").to_vec::<f32>().expect("floats"), [3.0, 4.0, 5.0]);
    assert_eq!(tensor("i").to_vec::<i64>().expect("ints"), [1, 2]);
}

/// `(key, 'cpu', class)` as the tar files have it.
fn record(key: u8, second: &[u8], class: &str) -> Vec<u8> {
    [b"\x80\x02K", &[key][..], second, b"ctorch\n", class.as_bytes(), b"\n\x87."].concat()
}

fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content) in files {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[257..262].copy_from_slice(b"ustar");
        out.extend(header);
        out.extend(content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

#[test]
fn tar_files_of_2016_are_read() {
    let numbers: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let storages = [
        b"\x80\x02K\x01.".to_vec(),
        record(9, b"X\x03\0\0\0cpu", "FloatStorage"),
        6_i64.to_le_bytes().to_vec(),
        numbers,
        b"\x80\x02].".to_vec(),
    ];
    // A transposed tensor [3, 2] over the storage: dimensions, sizes, strides, offset.
    let layout = [2_i64, 3, 2, 1, 3, 0].map(i64::to_le_bytes).concat();
    let tensors = [b"\x80\x02K\x01.".to_vec(), record(5, b"K\x09", "FloatTensor"), layout];
    let pickle = b"\x80\x02}X\x01\0\0\0wX\x01\0\0\x005Qs.".to_vec();
    let file = tar(&[("pickle", pickle), ("tensors", tensors.concat()), ("storages", storages.concat())]);
    let value = load_bytes(&file).expect("a tar file");
    let w = value.get("w").and_then(PyValue::as_tensor).expect("w");
    assert_eq!(w.to_vec::<f32>().expect("floats"), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
}
