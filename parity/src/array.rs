//! [`Array`]: the elements of a tensor, expected or got, in a form that is compared.
//!
//! Expected values are decoded here and not by the library, so that a fault in its strided copies cannot hide itself.

use cresset_core::{C32, C64, DType, Tensor};
use half::{bf16, f16};

use crate::kit::{Pack, Reason, Stored};
use crate::value::TensorRef;

/// Elements in row-major order.
#[derive(Clone, Debug)]
pub struct Array {
    /// PyTorch's name of the dtype, such as `float32`.
    pub dtype: String,
    /// Sizes.
    pub sizes: Vec<i64>,
    /// The elements.
    pub elements: Elements,
}

/// Elements by kind of number.
#[derive(Clone, Debug)]
pub enum Elements {
    /// Integers and booleans.
    Int(Vec<i64>),
    /// Floats.
    Float(Vec<f64>),
    /// Complex numbers.
    Complex(Vec<[f64; 2]>),
}

impl Elements {
    fn permuted(&self, positions: &[usize]) -> Option<Elements> {
        fn pick<T: Copy>(from: &[T], positions: &[usize]) -> Option<Vec<T>> {
            positions.iter().map(|&i| from.get(i).copied()).collect()
        }
        Some(match self {
            Elements::Int(x) => Elements::Int(pick(x, positions)?),
            Elements::Float(x) => Elements::Float(pick(x, positions)?),
            Elements::Complex(x) => Elements::Complex(pick(x, positions)?),
        })
    }

    /// Whether all are zero.
    pub fn is_zero(&self) -> bool {
        match self {
            Elements::Int(x) => x.iter().all(|&x| x == 0),
            Elements::Float(x) => x.iter().all(|&x| x == 0.0),
            Elements::Complex(x) => x.iter().all(|&z| z == [0.0, 0.0]),
        }
    }
}

impl Array {
    /// What a reference into a file stands for.
    ///
    /// # Errors
    /// When the file does not hold it.
    pub fn expected(pack: &Pack, reference: &TensorRef) -> Result<Array, Reason> {
        let stored = pack.stored(&reference.key)?;
        let (elements, sizes) = decode(&stored, reference.dtype.as_deref())?;
        let dtype = dtype_name(&stored, reference)?;
        let Some((view_sizes, strides, offset)) = &reference.view else {
            return Ok(Array { dtype, sizes, elements });
        };
        let positions = positions(view_sizes, strides, *offset);
        let elements = elements.permuted(&positions).ok_or("the kit's view leaves its storage")?;
        Ok(Array { dtype, sizes: view_sizes.clone(), elements })
    }

    /// What a tensor holds.
    ///
    /// # Errors
    /// When it cannot be read (a tensor on the meta device).
    pub fn got(t: &Tensor) -> Result<Array, Reason> {
        let elements = read(t).map_err(|e| e.to_string())?;
        Ok(Array { dtype: t.dtype().name().into(), sizes: t.sizes().to_vec(), elements })
    }

    /// `self[.., indices, ..]` along `dim`: what `gather` gives.
    ///
    /// # Errors
    /// When shapes do not fit or an index is out of range.
    pub fn gather(&self, dim: usize, indices: &Array) -> Result<Array, Reason> {
        let Elements::Int(index) = &indices.elements else { return Err("indices are not integers".into()) };
        let strides = row_major(&self.sizes);
        let mut positions = Vec::with_capacity(index.len());
        let mut coordinate = vec![0i64; indices.sizes.len()];
        for &i in index {
            let at = |d: usize| if d == dim { i } else { coordinate[d] };
            if (0..self.sizes.len()).any(|d| at(d) < 0 || at(d) >= self.sizes[d]) {
                return Err(format!("index {i} is out of range"));
            }
            positions.push((0..self.sizes.len()).map(|d| at(d) * strides[d]).sum::<i64>() as usize);
            step(&mut coordinate, &indices.sizes);
        }
        let elements = self.elements.permuted(&positions).ok_or("index out of range")?;
        Ok(Array { dtype: self.dtype.clone(), sizes: indices.sizes.clone(), elements })
    }
}

impl Array {
    /// Whether an integer appears twice in a row along `dim`.
    pub fn repeats_along(&self, dim: usize) -> bool {
        let Elements::Int(x) = &self.elements else { return false };
        let length = self.sizes.get(dim).map_or(1, |&n| n as usize);
        let stride = row_major(&self.sizes).get(dim).map_or(1, |&s| s as usize);
        (0..x.len()).filter(|i| (i / stride).is_multiple_of(length.max(1))).any(|start| {
            let mut row: Vec<i64> = (0..length).map(|j| x[start + j * stride]).collect();
            row.sort_unstable();
            row.windows(2).any(|w| w[0] == w[1])
        })
    }
}

/// The dtype that the bytes of a file stand for.
///
/// # Errors
/// When Cresset has no such dtype.
pub fn dtype(stored: &Stored<'_>, reference: &TensorRef) -> Result<DType, Reason> {
    named(&dtype_name(stored, reference)?)
}

/// The dtype of that name.
///
/// # Errors
/// When Cresset has no such dtype.
pub fn named(name: &str) -> Result<DType, Reason> {
    DType::ALL.into_iter().find(|d| d.name() == name).ok_or_else(|| format!("dtype {name} is not supported"))
}

fn dtype_name(stored: &Stored<'_>, reference: &TensorRef) -> Result<String, Reason> {
    if let Some(name) = &reference.dtype {
        return Ok(name.clone());
    }
    let name = match stored.dtype {
        "BOOL" => "bool",
        "U8" => "uint8",
        "I8" => "int8",
        "I16" => "int16",
        "I32" => "int32",
        "I64" => "int64",
        "U16" => "uint16",
        "U32" => "uint32",
        "U64" => "uint64",
        "F16" => "float16",
        "BF16" => "bfloat16",
        "F32" => "float32",
        "F64" => "float64",
        other => return Err(format!("dtype {other} of the kit is not known")),
    };
    Ok(name.into())
}

/// The elements of a stored tensor; a complex one loses its last dimension of size 2.
fn decode(stored: &Stored<'_>, dtype: Option<&str>) -> Result<(Elements, Vec<i64>), Reason> {
    let mut sizes = stored.sizes.to_vec();
    let elements = numbers(stored)?;
    match (elements, dtype.is_some_and(|d| d.starts_with("complex"))) {
        (Elements::Float(x), true) => {
            sizes.pop();
            Ok((Elements::Complex(x.chunks_exact(2).map(|z| [z[0], z[1]]).collect()), sizes))
        }
        (elements, _) => Ok((elements, sizes)),
    }
}

fn numbers(stored: &Stored<'_>) -> Result<Elements, Reason> {
    macro_rules! each {
        ($kind:ident, $n:literal, |$b:ident| $e:expr) => {
            Elements::$kind(
                stored
                    .bytes
                    .chunks_exact($n)
                    .map(|c| {
                        let $b: [u8; $n] = c.try_into().unwrap_or([0; $n]);
                        $e
                    })
                    .collect(),
            )
        };
    }
    Ok(match stored.dtype {
        "BOOL" | "U8" => each!(Int, 1, |b| i64::from(b[0])),
        "I8" => each!(Int, 1, |b| i64::from(b[0] as i8)),
        "I16" => each!(Int, 2, |b| i64::from(i16::from_le_bytes(b))),
        "I32" => each!(Int, 4, |b| i64::from(i32::from_le_bytes(b))),
        "I64" | "U64" => each!(Int, 8, |b| i64::from_le_bytes(b)),
        "U16" => each!(Int, 2, |b| i64::from(u16::from_le_bytes(b))),
        "U32" => each!(Int, 4, |b| i64::from(u32::from_le_bytes(b))),
        "F16" => each!(Float, 2, |b| f16::from_le_bytes(b).to_f64()),
        "BF16" => each!(Float, 2, |b| bf16::from_le_bytes(b).to_f64()),
        "F32" => each!(Float, 4, |b| f64::from(f32::from_le_bytes(b))),
        "F64" => each!(Float, 8, |b| f64::from_le_bytes(b)),
        other => return Err(format!("dtype {other} of the kit is not known")),
    })
}

fn read(t: &Tensor) -> cresset_core::Result<Elements> {
    fn all<T: cresset_core::Element, U>(t: &Tensor, f: impl Fn(T) -> U) -> cresset_core::Result<Vec<U>> {
        Ok(t.to_vec::<T>()?.into_iter().map(f).collect())
    }
    Ok(match t.dtype() {
        DType::Bool => Elements::Int(all(t, |x: bool| i64::from(x))?),
        DType::U8 => Elements::Int(all(t, |x: u8| i64::from(x))?),
        DType::I8 => Elements::Int(all(t, |x: i8| i64::from(x))?),
        DType::I16 => Elements::Int(all(t, |x: i16| i64::from(x))?),
        DType::I32 => Elements::Int(all(t, |x: i32| i64::from(x))?),
        DType::I64 => Elements::Int(t.to_vec()?),
        DType::F16 => Elements::Float(all(t, |x: f16| x.to_f64())?),
        DType::BF16 => Elements::Float(all(t, |x: bf16| x.to_f64())?),
        DType::F32 => Elements::Float(all(t, |x: f32| f64::from(x))?),
        DType::F64 => Elements::Float(t.to_vec()?),
        DType::Complex64 => Elements::Complex(all(t, |z: C32| [f64::from(z.re), f64::from(z.im)])?),
        DType::Complex128 => Elements::Complex(all(t, |z: C64| [z.re, z.im])?),
    })
}

fn row_major(sizes: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; sizes.len()];
    for d in (1..sizes.len()).rev() {
        strides[d - 1] = strides[d] * sizes[d];
    }
    strides
}

/// The next coordinate in row-major order.
fn step(coordinate: &mut [i64], sizes: &[i64]) {
    for d in (0..sizes.len()).rev() {
        coordinate[d] += 1;
        if coordinate[d] < sizes[d] {
            return;
        }
        coordinate[d] = 0;
    }
}

/// Storage positions of a view's elements, in row-major order.
fn positions(sizes: &[i64], strides: &[i64], offset: usize) -> Vec<usize> {
    let mut coordinate = vec![0i64; sizes.len()];
    let count = sizes.iter().product::<i64>() as usize;
    (0..count)
        .map(|_| {
            let at: i64 = coordinate.iter().zip(strides).map(|(c, s)| c * s).sum();
            step(&mut coordinate, sizes);
            (offset as i64 + at) as usize
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_follow_strides() {
        assert_eq!(positions(&[2, 2], &[1, 3], 1), [1, 4, 2, 5]);
        assert_eq!(positions(&[], &[], 7), [7]);
        assert_eq!(positions(&[0, 2], &[2, 1], 0), [0usize; 0]);
    }

    #[test]
    fn gather_picks_along_the_dimension() {
        let x = Array {
            dtype: "float32".into(),
            sizes: vec![2, 3],
            elements: Elements::Float(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        };
        let i = Array { dtype: "int64".into(), sizes: vec![2, 1], elements: Elements::Int(vec![2, 0]) };
        assert!(matches!(x.gather(1, &i).unwrap().elements, Elements::Float(v) if v == [2.0, 3.0]));
        let bad = Array { dtype: "int64".into(), sizes: vec![2, 1], elements: Elements::Int(vec![3, 0]) };
        assert!(x.gather(1, &bad).is_err());
    }
}
