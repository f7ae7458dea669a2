//! Putting samples together to batches, as PyTorch's `default_collate` does.

use std::collections::BTreeMap;

use cresset_core::ops::stack;
use cresset_core::{Result, Tensor, bail};

/// A sample that a batch can be made of.
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

impl<S: Collate> Collate for BTreeMap<String, S> {
    type Batch = BTreeMap<String, S::Batch>;

    fn collate(samples: Vec<BTreeMap<String, S>>) -> Result<Self::Batch> {
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

macro_rules! collate_tuples {
    ($(($($S:ident $part:ident),*);)*) => {$(
        impl<$($S: Collate),*> Collate for ($($S,)*) {
            type Batch = ($($S::Batch,)*);

            fn collate(samples: Vec<Self>) -> Result<Self::Batch> {
                $(let mut $part = Vec::with_capacity(samples.len());)*
                for sample in samples {
                    collate_tuples!(@push sample, $($part),*);
                }
                Ok(($($S::collate($part)?,)*))
            }
        }
    )*};
    (@push $sample:ident, $a:ident, $b:ident) => { $a.push($sample.0); $b.push($sample.1); };
    (@push $sample:ident, $a:ident, $b:ident, $c:ident) => {
        $a.push($sample.0);
        $b.push($sample.1);
        $c.push($sample.2);
    };
    (@push $sample:ident, $a:ident, $b:ident, $c:ident, $d:ident) => {
        $a.push($sample.0);
        $b.push($sample.1);
        $c.push($sample.2);
        $d.push($sample.3);
    };
}

collate_tuples! {
    (A a, B b);
    (A a, B b, C c);
    (A a, B b, C c, D d);
}
