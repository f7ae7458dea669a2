//! Datasets made of others: parts, chains, transformed ones.

use std::sync::Arc;

use cresset_core::random::{Generator, default_generator};
use cresset_core::{Result, ensure, options};

use crate::dataset::check_index;
use crate::sampler::permutation;
use crate::{Batch, Collate, Dataset};

/// The samples of a dataset at given numbers.
#[derive(Clone, Debug)]
pub struct Subset<D> {
    dataset: Arc<D>,
    indices: Vec<usize>,
}

impl<D: Dataset> Subset<D> {
    /// The samples of `dataset` at `indices`.
    pub fn new(dataset: Arc<D>, indices: Vec<usize>) -> Subset<D> {
        Subset { dataset, indices }
    }

    /// The numbers of the samples in the whole dataset.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    fn whole(&self, index: usize) -> Result<usize> {
        check_index(index, self.indices.len())?;
        Ok(self.indices[index])
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    type Sample = D::Sample;

    fn len(&self) -> usize {
        self.indices.len()
    }

    fn get(&self, index: usize) -> Result<D::Sample> {
        self.dataset.get(self.whole(index)?)
    }

    fn get_batch(&self, indices: &[usize]) -> Result<Batch<D>>
    where
        D::Sample: Collate,
    {
        let whole = indices.iter().map(|i| self.whole(*i)).collect::<Result<Vec<_>>>()?;
        self.dataset.get_batch(&whole)
    }
}

options! {
    /// Optional settings of [`random_split_with`].
    SplitOptions {
        /// What the order is drawn from (default: the default generator).
        generator: Option<Generator> = None,
    }
}

/// Cuts a dataset at random into parts of those lengths: `torch.utils.data.random_split`.
///
/// # Errors
/// `Value` unless the lengths add up to that of the dataset.
pub fn random_split<D: Dataset>(dataset: &Arc<D>, lengths: &[usize]) -> Result<Vec<Subset<D>>> {
    random_split_with(dataset, lengths, |o| o)
}

/// [`random_split`] with optional settings.
///
/// # Errors
/// As there.
pub fn random_split_with<D: Dataset>(
    dataset: &Arc<D>,
    lengths: &[usize],
    options: impl FnOnce(SplitOptions) -> SplitOptions,
) -> Result<Vec<Subset<D>>> {
    ensure!(
        lengths.iter().try_fold(0, |sum: usize, n| sum.checked_add(*n)) == Some(dataset.len()),
        Value,
        "Sum of input lengths does not equal the length of the input dataset!"
    );
    let SplitOptions { generator } = options(SplitOptions::default());
    let order = permutation(dataset.len(), generator.as_ref().unwrap_or(default_generator()));
    let mut rest = order.as_slice();
    let part = |length: &usize| {
        let (part, tail) = rest.split_at(*length);
        rest = tail;
        Subset::new(dataset.clone(), part.to_vec())
    };
    Ok(lengths.iter().map(part).collect())
}

/// [`random_split`] by fractions that add up to 1; what rounding down leaves goes to the first parts.
///
/// # Errors
/// `Value` unless each fraction is between 0 and 1 and they add up to 1.
pub fn random_split_fractions<D: Dataset>(dataset: &Arc<D>, fractions: &[f64]) -> Result<Vec<Subset<D>>> {
    random_split_fractions_with(dataset, fractions, |o| o)
}

/// [`random_split_fractions`] with optional settings.
///
/// # Errors
/// As there.
pub fn random_split_fractions_with<D: Dataset>(
    dataset: &Arc<D>,
    fractions: &[f64],
    options: impl FnOnce(SplitOptions) -> SplitOptions,
) -> Result<Vec<Subset<D>>> {
    let sum: f64 = fractions.iter().sum();
    ensure!(
        (sum - 1.0).abs() <= 1e-9 && sum <= 1.0,
        Value,
        "Sum of input lengths does not equal the length of the input dataset!"
    );
    if let Some(i) = fractions.iter().position(|f| !(0.0..=1.0).contains(f)) {
        cresset_core::bail!(Value, "Fraction at index {i} is not between 0 and 1");
    }
    let mut lengths: Vec<usize> =
        fractions.iter().map(|f| (dataset.len() as f64 * f).floor() as usize).collect();
    let remainder = dataset.len() - lengths.iter().sum::<usize>();
    for i in 0..remainder {
        let part = i % lengths.len();
        lengths[part] += 1;
    }
    random_split_with(dataset, &lengths, options)
}

/// Datasets one behind the other.
#[derive(Clone, Debug)]
pub struct ConcatDataset<D> {
    datasets: Vec<D>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl<D: Dataset> ConcatDataset<D> {
    /// The samples of the first dataset, then those of the second one, ….
    ///
    /// # Errors
    /// `Value` if there is no dataset.
    pub fn new(datasets: Vec<D>) -> Result<ConcatDataset<D>> {
        ensure!(!datasets.is_empty(), Value, "datasets should not be an empty iterable");
        let mut end = 0;
        let ends = datasets.iter().map(|d| {
            end += d.len();
            end
        });
        let ends = ends.collect();
        Ok(ConcatDataset { datasets, ends })
    }
}

impl<D: Dataset> Dataset for ConcatDataset<D> {
    type Sample = D::Sample;

    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn get(&self, index: usize) -> Result<D::Sample> {
        check_index(index, self.len())?;
        let which = self.ends.partition_point(|end| *end <= index);
        let start = if which == 0 { 0 } else { self.ends[which - 1] };
        self.datasets[which].get(index - start)
    }
}

/// A dataset whose samples go through a function.
pub struct MapDataset<D, F> {
    dataset: D,
    transform: F,
}

impl<D: Dataset, T: Send + 'static, F: Fn(D::Sample) -> Result<T> + Send + Sync> MapDataset<D, F> {
    /// The samples of `dataset`, each given to `transform`.
    pub fn new(dataset: D, transform: F) -> MapDataset<D, F> {
        MapDataset { dataset, transform }
    }
}

impl<D: Dataset, T: Send + 'static, F: Fn(D::Sample) -> Result<T> + Send + Sync> Dataset
    for MapDataset<D, F>
{
    type Sample = T;

    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn get(&self, index: usize) -> Result<T> {
        (self.transform)(self.dataset.get(index)?)
    }
}
