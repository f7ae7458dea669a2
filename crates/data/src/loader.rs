//! [`DataLoader`]: batches of a dataset in the order of a sampler.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cresset_core::random::{Generator, default_generator};
use cresset_core::{Result, ensure};

use crate::sampler::{BatchSampler, Indices, RandomSampler, Sampler, SequentialSampler, draw_seed};
use crate::workers::{Fetch, Init, Workers, fetch};
use crate::{Batch, Collate, Dataset};

/// How a loader goes through its dataset. The defaults are PyTorch's.
pub struct LoaderOptions {
    pub(crate) batch_size: usize,
    pub(crate) shuffle: bool,
    pub(crate) sampler: Option<Box<dyn Sampler>>,
    pub(crate) batch_sampler: Option<Box<dyn Sampler<Vec<usize>>>>,
    pub(crate) num_workers: usize,
    pub(crate) prefetch_factor: usize,
    pub(crate) drop_last: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) init: Option<Init>,
    pub(crate) persistent_workers: bool,
    generator: Option<Generator>,
}

impl Default for LoaderOptions {
    fn default() -> LoaderOptions {
        LoaderOptions {
            batch_size: 1,
            shuffle: false,
            sampler: None,
            batch_sampler: None,
            num_workers: 0,
            prefetch_factor: 2,
            drop_last: false,
            timeout: None,
            init: None,
            persistent_workers: false,
            generator: None,
        }
    }
}

impl LoaderOptions {
    /// Samples in a batch.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// A new random order for each epoch.
    pub fn shuffle(mut self, on: bool) -> Self {
        self.shuffle = on;
        self
    }

    /// The order of the samples, instead of `shuffle`.
    pub fn sampler(mut self, sampler: impl Sampler + 'static) -> Self {
        self.sampler = Some(Box::new(sampler));
        self
    }

    /// The batches themselves, such as a list of lists of numbers, instead of `batch_size`, `shuffle`, `sampler` and
    /// `drop_last`.
    pub fn batch_sampler(mut self, batches: impl Sampler<Vec<usize>> + 'static) -> Self {
        self.batch_sampler = Some(Box::new(batches));
        self
    }

    /// Threads that fetch ahead; with 0 each batch is fetched when it is asked for. The batches are the same for any
    /// number.
    pub fn num_workers(mut self, num_workers: usize) -> Self {
        self.num_workers = num_workers;
        self
    }

    /// Batches that each worker fetches ahead.
    pub fn prefetch_factor(mut self, batches: usize) -> Self {
        self.prefetch_factor = batches;
        self
    }

    /// Leaves out a smaller batch at the end.
    pub fn drop_last(mut self, on: bool) -> Self {
        self.drop_last = on;
        self
    }

    /// The longest wait for a batch from the workers; without it the wait has no end.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = (!timeout.is_zero()).then_some(timeout);
        self
    }

    /// Keeps the workers from epoch to epoch instead of starting them anew.
    pub fn persistent_workers(mut self, on: bool) -> Self {
        self.persistent_workers = on;
        self
    }

    /// Called with its number in each worker before it fetches; its error takes the place of the worker's first batch.
    pub fn worker_init(mut self, init: impl Fn(usize) -> Result<()> + Send + Sync + 'static) -> Self {
        self.init = Some(Arc::new(init));
        self
    }

    /// Refuses settings of workers that contradict each other.
    pub(crate) fn check_workers(&self) -> Result<()> {
        ensure!(self.prefetch_factor > 0, Value, "prefetch_factor option should be positive");
        ensure!(
            !self.persistent_workers || self.num_workers > 0,
            Value,
            "persistent_workers option needs num_workers > 0"
        );
        Ok(())
    }

    /// Draws seeds and orders from that generator instead of the default one.
    pub fn generator(mut self, generator: Generator) -> Self {
        self.generator = Some(generator);
        self
    }

    /// The order of the batches.
    fn batches(&mut self, len: usize) -> Result<Box<dyn Sampler<Vec<usize>>>> {
        if let Some(batches) = self.batch_sampler.take() {
            let alone = self.batch_size == 1 && !self.shuffle && self.sampler.is_none() && !self.drop_last;
            ensure!(
                alone,
                Value,
                "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
            );
            return Ok(batches);
        }
        let sampler: Box<dyn Sampler> = match self.sampler.take() {
            Some(sampler) => {
                ensure!(!self.shuffle, Value, "sampler option is mutually exclusive with shuffle");
                sampler
            }
            None if self.shuffle => {
                Box::new(RandomSampler::with(len, |o| o.generator(self.generator.clone()))?)
            }
            None => Box::new(SequentialSampler::new(len)),
        };
        Ok(Box::new(BatchSampler::new(sampler, self.batch_size, self.drop_last)?))
    }
}

/// Batches of a dataset: iterate it once for each epoch.
///
/// ```
/// use cresset_core::Tensor;
/// use cresset_data::{DataLoader, TensorDataset};
///
/// # fn main() -> cresset_core::Result<()> {
/// let (x, y) = (Tensor::from_slice(&[1.0_f32, 2.0, 3.0], [3])?, Tensor::from_slice(&[0_i64, 1, 0], [3])?);
/// let loader = DataLoader::with(TensorDataset::new([x, y])?, |o| o.batch_size(2))?;
/// for batch in &loader {
///     let [x, y] = batch?;
///     assert_eq!(x.sizes(), y.sizes());
/// }
/// # Ok(())
/// # }
/// ```
pub struct DataLoader<B> {
    fetch: Fetch<B>,
    batches: Box<dyn Sampler<Vec<usize>>>,
    num_workers: usize,
    prefetch_factor: usize,
    timeout: Option<Duration>,
    init: Option<Init>,
    /// With `persistent_workers`, those that wait for the next epoch.
    kept: Option<Mutex<Option<Workers<B>>>>,
    generator: Option<Generator>,
}

/// Where an epoch is: enough to go on from there in another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoaderState {
    /// The state of the generator before the epoch drew its order.
    pub generator: Vec<u8>,
    /// Batches handed out.
    pub taken: usize,
}

impl<B: Send + 'static> DataLoader<B> {
    /// Batches of `batch_size` samples in order.
    ///
    /// # Errors
    /// `Value` for a batch size of 0.
    pub fn new<D>(dataset: D, batch_size: usize) -> Result<DataLoader<B>>
    where
        D: Dataset + 'static,
        D::Sample: Collate<Batch = B>,
    {
        DataLoader::with(dataset, |o| o.batch_size(batch_size))
    }

    /// Batches as the options say.
    ///
    /// # Errors
    /// `Value` for options that contradict each other or a batch size of 0.
    pub fn with<D>(dataset: D, options: impl FnOnce(LoaderOptions) -> LoaderOptions) -> Result<DataLoader<B>>
    where
        D: Dataset + 'static,
        D::Sample: Collate<Batch = B>,
    {
        let len = dataset.len();
        DataLoader::build(
            len,
            Arc::new(move |indices: &[usize]| -> Result<Batch<D>> { dataset.get_batch(indices) }),
            options,
        )
    }

    /// Batches that `collate` makes of the samples.
    ///
    /// # Errors
    /// As [`DataLoader::with`].
    pub fn with_collate<D, C>(
        dataset: D,
        collate: C,
        options: impl FnOnce(LoaderOptions) -> LoaderOptions,
    ) -> Result<DataLoader<B>>
    where
        D: Dataset + 'static,
        C: Fn(Vec<D::Sample>) -> Result<B> + Send + Sync + 'static,
    {
        let len = dataset.len();
        let get = move |indices: &[usize]| {
            collate(indices.iter().map(|i| dataset.get(*i)).collect::<Result<Vec<_>>>()?)
        };
        DataLoader::build(len, Arc::new(get), options)
    }

    fn build(
        len: usize,
        fetch: Fetch<B>,
        options: impl FnOnce(LoaderOptions) -> LoaderOptions,
    ) -> Result<DataLoader<B>> {
        let mut options = options(LoaderOptions::default());
        options.check_workers()?;
        Ok(DataLoader {
            fetch,
            batches: options.batches(len)?,
            num_workers: options.num_workers,
            prefetch_factor: options.prefetch_factor,
            timeout: options.timeout,
            init: options.init,
            kept: options.persistent_workers.then(Mutex::default),
            generator: options.generator,
        })
    }

    /// Batches in an epoch.
    pub fn len(&self) -> usize {
        self.batches.len()
    }

    /// Whether an epoch has no batches.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Starts an epoch.
    pub fn iter(&self) -> DataLoaderIter<'_, B> {
        let start = self.source().get_state();
        // PyTorch draws the seed of the workers in any case, before the order.
        let seed = draw_seed(self.source());
        DataLoaderIter {
            loader: self,
            order: self.batches.visit(),
            start,
            seed,
            place: 0,
            taken: 0,
            workers: None,
            finished: false,
        }
    }

    /// Goes on in an epoch where another loader of the same dataset and options was: the batches before are not
    /// fetched. The default generator is left as it is; a generator of the loader's own goes on as in that epoch.
    /// Generators given to samplers are the caller's to restore.
    ///
    /// # Errors
    /// `Type` when the state is none of a generator; what drawing the order gives.
    pub fn iter_from(&self, state: &LoaderState) -> Result<DataLoaderIter<'_, B>> {
        let before = self.source().get_state();
        self.source().set_state(&state.generator)?;
        let mut epoch = self.iter();
        let skipped = (0..state.taken).try_for_each(|_| match epoch.order.next() {
            Some(Err(error)) => Err(error),
            _ => Ok(()),
        });
        if self.generator.is_none() {
            self.source().set_state(&before)?;
        }
        (epoch.place, epoch.taken) = (state.taken as u64, state.taken);
        skipped.map(|()| epoch)
    }

    /// The generator of seeds and orders.
    fn source(&self) -> &Generator {
        self.generator.as_ref().unwrap_or(default_generator())
    }

    /// Workers that wait from the epoch before, or new ones.
    fn workers(&self) -> Result<Workers<B>> {
        let kept =
            self.kept.as_ref().and_then(|kept| kept.lock().unwrap_or_else(PoisonError::into_inner).take());
        match kept {
            Some(workers) => Ok(workers),
            None => Workers::start(self.num_workers, &self.fetch, self.init.as_ref(), self.timeout),
        }
    }
}

impl<'a, B: Send + 'static> IntoIterator for &'a DataLoader<B> {
    type Item = Result<B>;
    type IntoIter = DataLoaderIter<'a, B>;

    fn into_iter(self) -> DataLoaderIter<'a, B> {
        self.iter()
    }
}

/// One epoch: the batches in order. An error of the dataset, or a panic in a worker, takes the place of its batch.
pub struct DataLoaderIter<'a, B> {
    loader: &'a DataLoader<B>,
    order: Indices<'a, Vec<usize>>,
    /// The state of the generator before the epoch.
    start: Vec<u8>,
    seed: u64,
    /// Batches asked for.
    place: u64,
    /// Batches handed out.
    taken: usize,
    workers: Option<Workers<B>>,
    finished: bool,
}

impl<B: Send + 'static> DataLoaderIter<'_, B> {
    /// Where the epoch is, for [`DataLoader::iter_from`].
    pub fn state(&self) -> LoaderState {
        LoaderState { generator: self.start.clone(), taken: self.taken }
    }

    fn next_here(&mut self) -> Option<Result<B>> {
        let indices = match self.order.next()? {
            Ok(indices) => indices,
            Err(error) => return Some(Err(error)),
        };
        self.place += 1;
        Some(fetch(&self.loader.fetch, &indices, self.seed.wrapping_add(self.place - 1)))
    }

    fn next_from_workers(&mut self) -> Option<Result<B>> {
        let loader = self.loader;
        let workers = match &mut self.workers {
            Some(workers) => workers,
            none => match loader.workers() {
                Ok(started) => none.insert(started),
                Err(error) => {
                    self.finished = true;
                    return Some(Err(error));
                }
            },
        };
        let ahead = (loader.num_workers * loader.prefetch_factor) as u64;
        while !self.finished && workers.under_way() < ahead {
            match self.order.next() {
                Some(Ok(indices)) => {
                    workers.ask(indices, self.seed.wrapping_add(self.place));
                    self.place += 1;
                }
                Some(Err(error)) => {
                    self.finished = true;
                    return Some(Err(error));
                }
                None => self.finished = true,
            }
        }
        if workers.under_way() == 0 {
            let idle = self.workers.take();
            if let Some(kept) = &loader.kept {
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = idle;
            }
            return None;
        }
        Some(workers.next())
    }
}

impl<B: Send + 'static> Iterator for DataLoaderIter<'_, B> {
    type Item = Result<B>;

    fn next(&mut self) -> Option<Result<B>> {
        let batch = if self.loader.num_workers == 0 { self.next_here() } else { self.next_from_workers() };
        self.taken += usize::from(batch.is_some());
        batch
    }
}
