//! Files that want to run code, exhaust memory or time, or end too early. None may panic.

use cresset_io::{LoadOptions, PyValue, load_bytes, load_with, save_to};

use crate::data;

/// An archive with that pickle.
fn archive(pickle: &[u8]) -> Vec<u8> {
    zip(&[("archive/data.pkl", pickle)])
}

/// A zip archive with entries stored as they are.
fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let offset = out.len() as u32;
        let sizes = [content.len() as u32; 2].map(u32::to_le_bytes).concat();
        let common = [
            &[20, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &sizes,
            &(name.len() as u16).to_le_bytes(),
            &[0; 2],
        ];
        let common = common.concat();
        out.extend([b"PK\x03\x04", &common[..], name.as_bytes(), content].concat());
        directory.extend(
            [b"PK\x01\x02\x14\0", &common[..], &[0; 10], &offset.to_le_bytes(), name.as_bytes()].concat(),
        );
    }
    let count = (entries.len() as u16).to_le_bytes();
    let (start, size) = (out.len() as u32, directory.len() as u32);
    out.extend(directory);
    out.extend(
        [b"PK\x05\x06\0\0\0\0", &count[..], &count, &size.to_le_bytes(), &start.to_le_bytes(), &[0; 2]]
            .concat(),
    );
    out
}

fn refused(pickle: &[u8], part: &str) {
    let error = load_bytes(&archive(pickle)).expect_err(part);
    assert!(error.message().contains(part), "expected '{part}' in: {error}");
}

#[test]
fn files_that_end_early_are_errors_at_every_length() {
    for name in ["values.pt", "views-legacy.pt"] {
        let file = std::fs::read(data(name)).expect(name);
        for len in 0..file.len() {
            assert!(load_bytes(&file[..len]).is_err(), "{name} cut to {len} bytes");
        }
    }
}

#[test]
fn changed_bytes_never_panic() {
    let mut random = 1_u64;
    let mut next = |limit: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % limit
    };
    for name in ["values.pt", "views-legacy.pt"] {
        let file = std::fs::read(data(name)).expect(name);
        for _ in 0..2000 {
            let mut changed = file.clone();
            for _ in 0..3 {
                changed[next(file.len())] = next(256) as u8;
            }
            let _ = load_bytes(&changed);
        }
    }
}

#[test]
fn code_is_named_and_not_run() {
    refused(b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.", "GLOBAL os.system was not an allowed global");
    refused(b"c__builtin__\neval\n(S'1'\ntR.", "GLOBAL builtins.eval was not an allowed global");
    refused(b"(S'ls'\nios\nsystem\n.", "GLOBAL os.system");
    refused(b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "GLOBAL os.system");
    refused(b"\x80\x02ctorch.nn.modules.linear\nLinear\n)\x81.", "GLOBAL torch.nn.modules.linear.Linear");
}

#[test]
fn unknown_classes_are_inert_data_where_that_is_asked_for() {
    let file = archive(b"\x80\x02cmy.module\nConfig\n)\x81}X\x01\0\0\0aK\x05sb.");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.pt");
    std::fs::write(&path, file).expect("written");
    let options = LoadOptions { allow: vec!["my.module.Config".to_owned()], ..LoadOptions::default() };
    let value = load_with(&path, &options).expect("allowed");
    assert!(matches!(&value, PyValue::Object(object) if object.class == "my.module.Config"));
    assert_eq!(value.get("a").and_then(PyValue::as_int), Some(5));
    assert!(save_to(&value, Vec::new()).is_err());
    assert!(load_with(&path, &LoadOptions { inert: true, ..LoadOptions::default() }).is_ok());
}

#[test]
fn absurd_lengths_and_stacks_are_errors() {
    refused(b"\x80\x02X\xff\xff\xff\xffabc.", "truncated");
    refused(b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.", "truncated");
    refused(b"\x80\x02\x8b\xff\xff\xff\x7f1.", "truncated");
    refused(b"\x80\x02t.", "could not find MARK");
    refused(b"\x80\x02R.", "stack underflow");
    refused(b"\x80\x02(0.", "stack underflow");
    refused(b"\x80\x02h\x09.", "Memo value not found");
    refused(b"\x80\x09N.", "unsupported pickle protocol: 9");
    refused(b"\x80\x02\xff.", "Unsupported opcode 0xff");
    refused(b"\x80\x02K\x01K\x02\x85R.", "cannot call a int");
}

#[test]
fn nested_and_repeated_containers_are_bounded() {
    refused(&[b"\x80\x02".as_slice(), &[b']'; 5000], &[b'a'; 4999], b"."].concat(), "nested more than");
    // A list that contains itself.
    refused(b"\x80\x02]q\0h\0a.", "contain themselves");
    // 40 levels, each of which holds the one below twice: 2^40 values in the tree.
    let mut pickle = b"\x80\x02]q\0".to_vec();
    for level in 0..40_u8 {
        pickle.extend([b']', b'q', level + 1, b'h', level, b'a', b'h', level, b'a']);
    }
    pickle.push(b'.');
    refused(&pickle, "repeats its parts too often");
    // A megabyte of bytes that is copied again and again.
    let mut pickle = b"\x80\x03B\0\0\x10\0".to_vec();
    pickle.extend(vec![0; 1 << 20]);
    pickle.extend(b"q\0c__builtin__\nbytearray\nq\x01");
    pickle.extend(b"h\x01h\0\x85R0".repeat(2000));
    pickle.push(b'.');
    refused(&pickle, "copies more than");
}

#[test]
fn tensors_must_lie_inside_their_storage() {
    let storage = b"((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x02tQK\0";
    let file = |sizes: &str| {
        let call = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n";
        let pickle = [call.as_slice(), storage, sizes.as_bytes(), b"\x89tR."].concat();
        zip(&[("archive/data.pkl", &pickle), ("archive/data/0", &[0; 8])])
    };
    assert!(load_bytes(&file("(K\u{2}t(K\u{1}t")).is_ok());
    for (sizes, part) in [
        ("(K\u{3}t(K\u{1}t", "are out of bounds for storage of size 8"),
        ("(K\u{2}t(J\0\0\0\u{7f}t", "are out of bounds"),
        ("(I4611686018427387904\nI4611686018427387904\nt(K\0K\0t", "invalid combination of size"),
        ("(I-1\nt(K\u{1}t", "invalid combination of size"),
        ("(K\u{2}t(I-1\nt", "invalid combination of size"),
        ("(K\u{2}t(t", "invalid combination of size"),
    ] {
        let error = load_bytes(&file(sizes)).expect_err(part);
        assert!(error.message().contains(part), "{error}");
    }
}

#[test]
fn archives_that_lie_are_refused() {
    let good = zip(&[("a/data.pkl", b"\x80\x02N."), ("a/x", b"1234")]);
    assert!(load_bytes(&good).is_ok());
    let expect = |file: &[u8], part: &str| {
        let error = load_bytes(file).expect_err(part);
        assert!(error.message().contains(part), "{error}");
    };
    let directory = good.windows(4).position(|w| w == b"PK\x01\x02").expect("a directory");
    // The second entry's data is said to lie where the first one's does.
    let mut overlapping = good.clone();
    let second = good[directory + 4..].windows(4).position(|w| w == b"PK\x01\x02").expect("a second entry")
        + directory
        + 4;
    overlapping[second + 42..second + 46].fill(0);
    expect(&overlapping, "entries overlap");
    let mut long = good.clone();
    long[directory + 20..directory + 28].fill(0x7f);
    expect(&long, "lies outside the file");
    let mut bomb = good.clone();
    bomb[directory + 10] = 8;
    bomb[directory + 24..directory + 28].copy_from_slice(&u32::MAX.to_le_bytes()[..4]);
    bomb[directory + 27] = 0x7f;
    expect(&bomb, "would unpack from");
    let mut locked = good.clone();
    locked[directory + 8] = 1;
    expect(&locked, "is encrypted");
    expect(&zip(&[("a/data.pkl", b"N."), ("a/data.pkl", b"N.")]), "two entries are named");
    expect(&zip(&[("a/b.pkl", b"N.")]), "data.pkl: file not found");
    expect(b"PK\x03\x04 and nothing else", "failed finding central directory");
    expect(b"hello", "Invalid magic number");
    expect(b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer");
    expect(b"", "empty");
}

#[test]
fn missing_files_are_named() {
    let error = cresset_io::load("no/such/file.pt").expect_err("missing");
    assert_eq!(error.kind(), cresset_core::ErrorKind::Io);
    assert!(error.message().contains("no/such/file.pt"), "{error}");
}
