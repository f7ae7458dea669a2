//! [`Dataset`], and the one over tensors.

use cresset_core::ops::index_select;
use cresset_core::{Result, Tensor, bail};

use crate::Collate;

/// What a batch of samples of `D` is.
pub type Batch<D> = <<D as Dataset>::Sample as Collate>::Batch;

/// Samples by number.
pub trait Dataset: Send + Sync {
    /// One sample.
    type Sample: Send + 'static;

    /// The number of samples.
    fn len(&self) -> usize;

    /// The sample of that number, which is below [`len`](Self::len).
    ///
    /// # Errors
    /// `Index` for a number beyond the end; what reading the sample gives.
    fn get(&self, index: usize) -> Result<Self::Sample>;

    /// The batch of the samples of those numbers. Datasets that can get them all at once override this.
    ///
    /// # Errors
    /// As [`get`](Self::get), and when the samples do not fit together.
    fn get_batch(&self, indices: &[usize]) -> Result<Batch<Self>>
    where
        Self::Sample: Collate,
    {
        Collate::collate(indices.iter().map(|i| self.get(*i)).collect::<Result<Vec<_>>>()?)
    }

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<D: Dataset + ?Sized> Dataset for std::sync::Arc<D> {
    type Sample = D::Sample;

    fn len(&self) -> usize {
        (**self).len()
    }

    fn get(&self, index: usize) -> Result<D::Sample> {
        (**self).get(index)
    }

    fn get_batch(&self, indices: &[usize]) -> Result<Batch<D>>
    where
        D::Sample: Collate,
    {
        (**self).get_batch(indices)
    }
}

/// The rows of tensors of equal first size: sample `i` is row `i` of each.
#[derive(Clone, Debug)]
pub struct TensorDataset<const N: usize> {
    tensors: [Tensor; N],
    len: usize,
}

impl<const N: usize> TensorDataset<N> {
    /// The dataset of the rows of `tensors`.
    ///
    /// # Errors
    /// `Value` if there is no tensor, or their first sizes differ.
    pub fn new(tensors: [Tensor; N]) -> Result<TensorDataset<N>> {
        let lengths: Vec<Option<i64>> = tensors.iter().map(|t| t.sizes().first().copied()).collect();
        match lengths.first() {
            Some(Some(len)) if lengths.iter().all(|l| l == &lengths[0]) => {
                Ok(TensorDataset { len: *len as usize, tensors })
            }
            _ => bail!(Value, "Size mismatch between tensors: first sizes are {lengths:?}"),
        }
    }

    /// The tensors.
    pub fn tensors(&self) -> &[Tensor; N] {
        &self.tensors
    }
}

impl<const N: usize> Dataset for TensorDataset<N> {
    type Sample = [Tensor; N];

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> Result<[Tensor; N]> {
        check_index(index, self.len)?;
        each(&self.tensors, |t| t.select(0, index as i64))
    }

    fn get_batch(&self, indices: &[usize]) -> Result<Batch<Self>> {
        let indices: Vec<i64> = indices.iter().map(|i| *i as i64).collect();
        let indices = Tensor::from_slice(&indices, [indices.len() as i64])?;
        each(&self.tensors, |t| index_select(t, 0, &indices))
    }
}

/// `f` of each tensor, or its first error.
fn each<const N: usize>(tensors: &[Tensor; N], f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<[Tensor; N]> {
    let mut results = tensors.clone();
    for (result, tensor) in results.iter_mut().zip(tensors) {
        *result = f(tensor)?;
    }
    Ok(results)
}

pub(crate) fn check_index(index: usize, len: usize) -> Result<()> {
    cresset_core::ensure!(index < len, Index, "index {index} is out of range for a dataset of {len} samples");
    Ok(())
}
