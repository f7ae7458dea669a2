//! The part of a dataset that one of several processes visits.

use std::sync::atomic::{AtomicU64, Ordering};

use cresset_core::random::Generator;
use cresset_core::{Result, ensure, options};

use super::{Indices, Sampler, permutation};

/// Every `num_replicas`-th sample of an order that all processes agree on.
#[derive(Debug)]
pub struct DistributedSampler {
    len: usize,
    num_replicas: usize,
    rank: usize,
    shuffle: bool,
    seed: u64,
    drop_last: bool,
    epoch: AtomicU64,
}

options! {
    /// Optional settings of [`DistributedSampler`].
    DistributedOptions {
        /// Whether the order is shuffled (default: yes).
        shuffle: bool = true,
        /// The seed of the order, the same in all processes (default: 0).
        seed: u64 = 0_u64,
        /// Leaves out the tail that does not divide evenly, instead of visiting some samples twice (default: no).
        drop_last: bool = false,
    }
}

impl DistributedSampler {
    /// The part of process `rank` of `num_replicas` in a shuffled order of `len` samples.
    ///
    /// # Errors
    /// `Value` unless `rank` is below `num_replicas`.
    pub fn new(len: usize, num_replicas: usize, rank: usize) -> Result<DistributedSampler> {
        DistributedSampler::with(len, num_replicas, rank, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Value` unless `rank` is below `num_replicas`.
    pub fn with(
        len: usize,
        num_replicas: usize,
        rank: usize,
        options: impl FnOnce(DistributedOptions) -> DistributedOptions,
    ) -> Result<DistributedSampler> {
        ensure!(
            rank < num_replicas,
            Value,
            "Invalid rank {rank}, rank should be in the interval [0, {}]",
            num_replicas.saturating_sub(1)
        );
        let DistributedOptions { shuffle, seed, drop_last } = options(DistributedOptions::default());
        Ok(DistributedSampler { len, num_replicas, rank, shuffle, seed, drop_last, epoch: AtomicU64::new(0) })
    }

    /// Gives the next visits another order.
    pub fn set_epoch(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Relaxed);
    }

    /// All samples in this epoch's order, as many as divide evenly.
    fn order(&self) -> Vec<usize> {
        let seed = self.seed.wrapping_add(self.epoch.load(Ordering::Relaxed));
        let order: Vec<usize> = match self.shuffle {
            true => permutation(self.len, &Generator::new(seed)),
            false => (0..self.len).collect(),
        };
        let total = self.len() * self.num_replicas;
        order.into_iter().cycle().take(if self.len == 0 { 0 } else { total }).collect()
    }
}

impl Sampler for DistributedSampler {
    fn len(&self) -> usize {
        match self.drop_last && !self.len.is_multiple_of(self.num_replicas) {
            // PyTorch's ceil((len - replicas) / replicas).
            true => self.len.saturating_sub(self.num_replicas).div_ceil(self.num_replicas),
            false => self.len.div_ceil(self.num_replicas),
        }
    }

    fn visit(&self) -> Indices<'_> {
        let order = self.order();
        Box::new(order.into_iter().skip(self.rank).step_by(self.num_replicas).map(Ok))
    }
}
