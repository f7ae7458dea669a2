//! Datasets, samplers and loaders, as `torch.utils.data` has them.
//!
//! A [`Dataset`] is `len` and `get`; combinators are small datasets over others. A [`Sampler`] says in which order it is
//! visited, drawing PyTorch's random numbers. A [`DataLoader`] joins them: it fetches batches, with worker threads if
//! asked, and hands them out in the sampler's order whatever the number of workers.
#![forbid(unsafe_code)]

// The derive names this crate as others do.
extern crate self as cresset_data;

mod collate;
mod combine;
mod dataset;
mod gzip;
mod idx;
mod iterable;
mod loader;
mod mnist;
mod sampler;
mod stack;
mod workers;

pub use collate::Collate;
pub use combine::{
    ConcatDataset, MapDataset, SplitOptions, Subset, random_split, random_split_fractions,
    random_split_fractions_with, random_split_with,
};
/// The result of the derived functions.
pub use cresset_core::Result;
/// Derives [`trait@Collate`] for a struct.
pub use cresset_macros::Collate;
pub use dataset::{Batch, Dataset, TensorDataset};
pub use gzip::read_unpacked;
pub use idx::read_idx;
pub use iterable::{ChainDataset, IterableDataset, IterableIter, IterableLoader, Stream, Turns, WorkerInfo};
pub use loader::{DataLoader, DataLoaderIter, LoaderOptions, LoaderState};
pub use mnist::Mnist;
pub use sampler::{
    BatchSampler, DistributedOptions, DistributedSampler, Indices, RandomOptions, RandomSampler, Sampler,
    SequentialSampler, SubsetRandomOptions, SubsetRandomSampler, WeightedRandomOptions,
    WeightedRandomSampler,
};
pub use stack::StackDataset;
pub use workers::batch_generator;
