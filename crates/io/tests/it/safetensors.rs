use cresset_core::{DType, Tensor};
use cresset_io::{load_safetensors_bytes, read_safetensors, save_safetensors};

use crate::bytes_of;

#[test]
fn tensors_of_all_dtypes_survive() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    let dtypes = DType::ALL.into_iter().filter(|d| *d != DType::Complex128);
    let tensors: Vec<(String, Tensor)> = dtypes
        .map(|dtype| {
            let bytes: Vec<u8> = (0..6 * dtype.size()).map(|i| (i % 2) as u8).collect();
            (dtype.name().to_owned(), Tensor::from_bytes(&bytes, dtype, &[2, 3]).expect("a tensor"))
        })
        .collect();
    save_safetensors(tensors.iter().map(|(name, tensor)| (name, tensor)), &path).expect("written");
    let file = read_safetensors(&path).expect("read");
    assert_eq!(file.metadata, [("format".to_owned(), "pt".to_owned())]);
    assert_eq!(file.tensors.len(), tensors.len());
    for (name, tensor) in &file.tensors {
        let (_, original) = tensors.iter().find(|(n, _)| n == name).expect(name);
        assert_eq!((tensor.dtype(), tensor.sizes()), (original.dtype(), original.sizes()));
        assert_eq!(bytes_of(tensor), bytes_of(original), "{name}");
    }
}

#[test]
fn views_are_written_as_what_they_show() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("view.safetensors");
    let base = Tensor::from_slice(&[0.0_f32, 1.0, 2.0, 3.0, 4.0, 5.0], [2, 3]).expect("a tensor");
    let view = base.as_strided_with([3, 1], [1, 3], |o| o.storage_offset(3)).expect("a view");
    save_safetensors([("view", &view)], &path).expect("written");
    let file = read_safetensors(&path).expect("read");
    assert_eq!(file.tensors[0].1.to_vec::<f32>().expect("floats"), [3.0, 4.0, 5.0]);
}

#[test]
fn damaged_files_are_refused() {
    let header = br#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let file = [(header.len() as u64).to_le_bytes().as_slice(), header, &[0; 8]].concat();
    assert_eq!(load_safetensors_bytes(&file).expect("a good file").tensors.len(), 1);
    for len in 0..file.len() {
        assert!(load_safetensors_bytes(&file[..len]).is_err(), "{len} bytes");
    }
    let huge = [u64::MAX.to_le_bytes().as_slice(), header].concat();
    assert!(load_safetensors_bytes(&huge).is_err());
    let unknown = String::from_utf8_lossy(header).replace("F32", "F4");
    let file = [(unknown.len() as u64).to_le_bytes().as_slice(), unknown.as_bytes(), &[0; 8]].concat();
    assert!(load_safetensors_bytes(&file).is_err());
}
