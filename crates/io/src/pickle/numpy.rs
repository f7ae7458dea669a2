//! numpy's scalars and arrays.

use super::node::{Array, Node};
use cresset_core::{DType, Result, bail};

/// The dtype of a numpy type code such as `f8`.
fn dtype(code: &str) -> Result<DType> {
    Ok(match code.trim_start_matches(['<', '=', '|', '>']) {
        "b1" | "?" => DType::Bool,
        "u1" => DType::U8,
        "i1" => DType::I8,
        "i2" => DType::I16,
        "i4" => DType::I32,
        "i8" => DType::I64,
        "f2" => DType::F16,
        "f4" => DType::F32,
        "f8" => DType::F64,
        "c8" => DType::Complex64,
        "c16" => DType::Complex128,
        other => bail!(NotImplemented, "numpy arrays of type '{other:.20}' are not supported"),
    })
}

/// Bytes that are swapped as one: a complex number is two.
fn width(dtype: DType) -> usize {
    dtype.to_real().size()
}

fn little_endian(bytes: &[u8], dtype: DType, big_endian: bool) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if big_endian {
        bytes.chunks_exact_mut(width(dtype)).for_each(<[u8]>::reverse);
    }
    bytes
}

/// An array of that type, shape and content. 16- and 32-bit unsigned numbers come as the next wider signed ones.
pub(super) fn array(
    code: &str,
    big_endian: bool,
    sizes: Vec<i64>,
    column_major: bool,
    bytes: &[u8],
) -> Result<Array> {
    let stem = code.trim_start_matches(['<', '=', '|', '>']);
    if let "u2" | "u4" = stem {
        let signed = if stem == "u2" { "i2" } else { "i4" };
        let big_endian = big_endian || code.starts_with('>');
        return Ok(widened(array(signed, big_endian, sizes, column_major, bytes)?));
    }
    let dtype = dtype(code)?;
    let big_endian = big_endian || code.starts_with('>');
    let numel = sizes.iter().try_fold(1_usize, |n, size| n.checked_mul(usize::try_from(*size).ok()?));
    if numel.and_then(|n| n.checked_mul(dtype.size())) != Some(bytes.len()) {
        bail!("UnpicklingError: a numpy array of shape {sizes:?} and type {code} has {} bytes", bytes.len());
    }
    Ok(Array { dtype, sizes, column_major, bytes: little_endian(bytes, dtype, big_endian) })
}

/// The array of numbers twice as wide whose lower halves are the (unsigned) elements.
fn widened(array: Array) -> Array {
    let width = array.dtype.size();
    let dtype = if width == 2 { DType::I32 } else { DType::I64 };
    let mut bytes = Vec::with_capacity(2 * array.bytes.len());
    for element in array.bytes.chunks_exact(width) {
        bytes.extend_from_slice(element);
        bytes.extend(std::iter::repeat_n(0, width));
    }
    Array { dtype, bytes, ..array }
}

/// The Python number that a scalar of that type stands for.
pub(super) fn scalar(code: &str, big_endian: bool, bytes: &[u8]) -> Result<Node> {
    let one = array(code, big_endian, Vec::new(), false, bytes)?;
    let b = &one.bytes;
    let f64_at = |at: usize| f64::from_le_bytes(b[at..at + 8].try_into().unwrap_or_default());
    let f32_at = |at: usize| f64::from(f32::from_le_bytes(b[at..at + 4].try_into().unwrap_or_default()));
    Ok(match one.dtype {
        DType::Bool => Node::Bool(b[0] != 0),
        DType::U8 => Node::Int(i64::from(b[0])),
        DType::I8 => Node::Int(i64::from(b[0] as i8)),
        DType::I16 => Node::Int(i64::from(i16::from_le_bytes([b[0], b[1]]))),
        DType::I32 => Node::Int(i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
        DType::I64 => Node::Int(i64::from_le_bytes(b[..8].try_into().unwrap_or_default())),
        DType::F16 => Node::Float(half::f16::from_le_bytes([b[0], b[1]]).to_f64()),
        DType::BF16 => Node::Float(half::bf16::from_le_bytes([b[0], b[1]]).to_f64()),
        DType::F32 => Node::Float(f32_at(0)),
        DType::F64 => Node::Float(f64_at(0)),
        DType::Complex64 => Node::Complex(f32_at(0), f32_at(4)),
        DType::Complex128 => Node::Complex(f64_at(0), f64_at(8)),
    })
}
