//! Batches of another order.

use cresset_core::{Result, ensure};

use super::{Indices, Sampler};

/// The numbers of a sampler in groups of equal size.
#[derive(Clone, Debug)]
pub struct BatchSampler<S> {
    sampler: S,
    batch_size: usize,
    drop_last: bool,
}

impl<S: Sampler> BatchSampler<S> {
    /// Groups of `batch_size`; a smaller one at the end is left out if `drop_last`.
    ///
    /// # Errors
    /// `Value` for a batch size of 0.
    pub fn new(sampler: S, batch_size: usize, drop_last: bool) -> Result<BatchSampler<S>> {
        ensure!(
            batch_size > 0,
            Value,
            "batch_size should be a positive integer value, but got batch_size={batch_size}"
        );
        Ok(BatchSampler { sampler, batch_size, drop_last })
    }
}

impl<S: Sampler> Sampler<Vec<usize>> for BatchSampler<S> {
    fn len(&self) -> usize {
        match self.drop_last {
            true => self.sampler.len() / self.batch_size,
            false => self.sampler.len().div_ceil(self.batch_size),
        }
    }

    fn visit(&self) -> Indices<'_, Vec<usize>> {
        let mut indices = self.sampler.visit();
        Box::new(std::iter::from_fn(move || {
            let batch = indices.by_ref().take(self.batch_size).collect::<Result<Vec<usize>>>();
            match batch {
                Ok(batch) if batch.is_empty() || (self.drop_last && batch.len() < self.batch_size) => None,
                other => Some(other),
            }
        }))
    }
}
