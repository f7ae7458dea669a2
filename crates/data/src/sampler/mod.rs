//! The order in which a dataset is visited.
//!
//! Samplers are lazy as PyTorch's generators are: a random one draws when the first number is asked for, and again at
//! the end where PyTorch does, so that the streams stay in step.

mod batch;
mod distributed;
mod random;

pub use batch::BatchSampler;
pub use distributed::{DistributedOptions, DistributedSampler};
pub use random::{
    RandomOptions, RandomSampler, SubsetRandomOptions, SubsetRandomSampler, WeightedRandomOptions,
    WeightedRandomSampler,
};

use cresset_core::Result;
use cresset_core::random::Generator;

/// What a sampler gives: numbers of samples, or lists of them.
pub type Indices<'a, T = usize> = Box<dyn Iterator<Item = Result<T>> + Send + 'a>;

/// An order of visit: of samples (`T = usize`) or batches (`T = Vec<usize>`).
pub trait Sampler<T = usize>: Send + Sync {
    /// How many one visit gives.
    fn len(&self) -> usize;

    /// A new visit.
    fn visit(&self) -> Indices<'_, T>;

    /// Whether a visit gives nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Sampler<T> for Box<dyn Sampler<T>> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn visit(&self) -> Indices<'_, T> {
        (**self).visit()
    }
}

/// A list is visited as it is.
impl<T: Clone + Send + Sync> Sampler<T> for Vec<T> {
    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn visit(&self) -> Indices<'_, T> {
        Box::new(self.iter().cloned().map(Ok))
    }
}

/// From the first to the last.
#[derive(Clone, Copy, Debug)]
pub struct SequentialSampler {
    len: usize,
}

impl SequentialSampler {
    /// All of `len` samples in order.
    pub fn new(len: usize) -> SequentialSampler {
        SequentialSampler { len }
    }
}

impl Sampler for SequentialSampler {
    fn len(&self) -> usize {
        self.len
    }

    fn visit(&self) -> Indices<'_> {
        Box::new((0..self.len).map(Ok))
    }
}

/// A permutation of `0..n`: `torch.randperm(n, generator=generator)`.
pub(crate) fn permutation(n: usize, generator: &Generator) -> Vec<usize> {
    let mut order = vec![0_i64; n];
    cresset_kernels::random::randperm(&mut generator.lock(), &mut order);
    order.into_iter().map(|i| i as usize).collect()
}

/// A number of 63 bits: `torch.empty((), dtype=torch.int64).random_(generator=generator)`.
pub(crate) fn draw_seed(generator: &Generator) -> u64 {
    generator.lock().u64() & (u64::MAX >> 1)
}

/// Chunks of a visit, each made when the one before it is used up.
pub(crate) fn lazily<'a>(mut next: impl FnMut() -> Option<Result<Vec<usize>>> + Send + 'a) -> Indices<'a> {
    let mut chunk: std::vec::IntoIter<usize> = Vec::new().into_iter();
    Box::new(std::iter::from_fn(move || {
        loop {
            if let Some(index) = chunk.next() {
                return Some(Ok(index));
            }
            match next()? {
                Ok(indices) => chunk = indices.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }))
}
