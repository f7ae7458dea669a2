//! Putting samples together to batches, as PyTorch's `default_collate` does.

use std::collections::{BTreeMap, HashMap};

use cresset_core::ops::stack;
use cresset_core::{Result, Tensor, bail};

/// A sample that a batch can be made of: a tensor, a number, a text, or tuples, lists, maps and structs of samples.
///
/// ```
/// use cresset_core::Tensor;
/// use cresset_data::Collate;
///
/// #[derive(Collate)]
/// struct Picture {
///     pixels: Tensor,
///     label: i64,
///     name: String,
/// }
///
/// # fn main() -> cresset_core::Result<()> {
/// let picture = |label| -> cresset_core::Result<Picture> {
///     Ok(Picture { pixels: Tensor::from_slice(&[0_f32; 4], [2, 2])?, label, name: format!("{label}.png") })
/// };
/// let batch = Picture::collate(vec![picture(3)?, picture(5)?])?; // a struct of batches
/// assert_eq!(batch.pixels.sizes().as_slice(), [2, 2, 2]);
/// assert_eq!((batch.label.to_vec::<i64>()?, batch.name[1].as_str()), (vec![3, 5], "5.png"));
/// # Ok(())
/// # }
/// ```
pub trait Collate: Sized + Send {
    /// The batch.
    type Batch: Send + 'static;

    /// The batch of those samples, of which there is at least one.
    ///
    /// # Errors
    /// When the samples do not fit together, such as tensors of different shapes.
    fn collate(samples: Vec<Self>) -> Result<Self::Batch>;
}

impl Collate for Tensor {
    type Batch = Tensor;

    fn collate(samples: Vec<Tensor>) -> Result<Tensor> {
        stack(&samples)
    }
}

macro_rules! collate_numbers {
    ($($ty:ty),*) => {$(
        impl Collate for $ty {
            type Batch = Tensor;

            fn collate(samples: Vec<$ty>) -> Result<Tensor> {
                Tensor::from_slice(&samples, [samples.len() as i64])
            }
        }
    )*};
}

collate_numbers!(bool, u8, i8, i16, i32, i64, f32, f64);

impl Collate for usize {
    type Batch = Tensor;

    fn collate(samples: Vec<usize>) -> Result<Tensor> {
        Collate::collate(samples.into_iter().map(|i| i as i64).collect::<Vec<_>>())
    }
}

impl Collate for String {
    type Batch = Vec<String>;

    fn collate(samples: Vec<String>) -> Result<Vec<String>> {
        Ok(samples)
    }
}

impl<S: Collate, const N: usize> Collate for [S; N] {
    type Batch = [S::Batch; N];

    fn collate(samples: Vec<[S; N]>) -> Result<[S::Batch; N]> {
        let columns = transposed(samples.into_iter().map(Vec::from).collect())?;
        match <[S::Batch; N]>::try_from(columns) {
            Ok(batch) => Ok(batch),
            Err(columns) => bail!("collate: expected {N} parts, got {}", columns.len()),
        }
    }
}

impl<S: Collate> Collate for Vec<S> {
    type Batch = Vec<S::Batch>;

    fn collate(samples: Vec<Vec<S>>) -> Result<Vec<S::Batch>> {
        transposed(samples)
    }
}

/// The batch of the first parts, that of the second ones, ….
fn transposed<S: Collate>(samples: Vec<Vec<S>>) -> Result<Vec<S::Batch>> {
    let width = samples.first().map_or(0, Vec::len);
    if samples.iter().any(|sample| sample.len() != width) {
        bail!("each element in list of batch should be of equal size");
    }
    let mut columns: Vec<Vec<S>> = (0..width).map(|_| Vec::with_capacity(samples.len())).collect();
    for sample in samples {
        columns.iter_mut().zip(sample).for_each(|(column, part)| column.push(part));
    }
    columns.into_iter().map(S::collate).collect()
}

macro_rules! collate_maps {
    ($($map:ident),*) => {$(
        impl<S: Collate> Collate for $map<String, S> {
            type Batch = $map<String, S::Batch>;

            fn collate(samples: Vec<Self>) -> Result<Self::Batch> {
                let mut columns: BTreeMap<String, Vec<S>> = BTreeMap::new();
                let count = samples.len();
                for (key, part) in samples.into_iter().flatten() {
                    columns.entry(key).or_default().push(part);
                }
                if let Some((key, _)) = columns.iter().find(|(_, column)| column.len() != count) {
                    bail!(Key, "collate: '{key}' is not in every sample");
                }
                columns.into_iter().map(|(key, column)| Ok((key, S::collate(column)?))).collect()
            }
        }
    )*};
}

collate_maps!(BTreeMap, HashMap);

macro_rules! collate_tuples {
    ($(($($S:ident $part:ident $i:tt),*);)*) => {$(
        impl<$($S: Collate),*> Collate for ($($S,)*) {
            type Batch = ($($S::Batch,)*);

            fn collate(samples: Vec<Self>) -> Result<Self::Batch> {
                $(let mut $part = Vec::with_capacity(samples.len());)*
                for sample in samples {
                    $($part.push(sample.$i);)*
                }
                Ok(($($S::collate($part)?,)*))
            }
        }
    )*};
}

collate_tuples! {
    (A a 0);
    (A a 0, B b 1);
    (A a 0, B b 1, C c 2);
    (A a 0, B b 1, C c 2, D d 3);
    (A a 0, B b 1, C c 2, D d 3, E e 4);
    (A a 0, B b 1, C c 2, D d 3, E e 4, F f 5);
}
