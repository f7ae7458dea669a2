//! Datasets without numbers: streams of samples, and the loader of their batches.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use cresset_core::{Error, Result, bail, ensure};

use crate::Collate;
use crate::loader::LoaderOptions;
use crate::workers::{Init, caught, receive};

/// The samples of a stream, one after the other.
pub type Stream<S> = Box<dyn Iterator<Item = Result<S>> + Send>;

/// Which of how many workers reads a stream: it gives only the part of it that is this worker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerInfo {
    /// The number of the worker, from 0.
    pub id: usize,
    /// How many there are.
    pub num_workers: usize,
}

/// Samples that come in an order of their own, as `torch.utils.data.IterableDataset`.
pub trait IterableDataset: Send + Sync {
    /// One sample.
    type Sample: Send + 'static;

    /// A new pass over the samples. Several workers each call it, so it must divide the stream among them if no sample
    /// is to come more than once; without workers there is one of one.
    fn stream(&self, worker: WorkerInfo) -> Stream<Self::Sample>;
}

impl<D: IterableDataset + ?Sized> IterableDataset for Box<D> {
    type Sample = D::Sample;

    fn stream(&self, worker: WorkerInfo) -> Stream<D::Sample> {
        (**self).stream(worker)
    }
}

/// Streams one behind the other, as `torch.utils.data.ChainDataset`.
#[derive(Clone, Debug)]
pub struct ChainDataset<D>(Arc<Vec<D>>);

impl<D: IterableDataset> ChainDataset<D> {
    /// The samples of the first dataset, then those of the second one, ….
    pub fn new(datasets: Vec<D>) -> ChainDataset<D> {
        ChainDataset(Arc::new(datasets))
    }
}

impl<D: IterableDataset + 'static> IterableDataset for ChainDataset<D> {
    type Sample = D::Sample;

    fn stream(&self, worker: WorkerInfo) -> Stream<D::Sample> {
        let datasets = self.0.clone();
        Box::new((0..datasets.len()).flat_map(move |i| datasets[i].stream(worker)))
    }
}

/// Batches of a stream of samples.
///
/// ```
/// use cresset_data::{IterableDataset, IterableLoader, Stream, WorkerInfo};
///
/// /// The numbers below a limit.
/// struct Below(i64);
///
/// impl IterableDataset for Below {
///     type Sample = i64;
///
///     fn stream(&self, worker: WorkerInfo) -> Stream<i64> {
///         Box::new((0..self.0).skip(worker.id).step_by(worker.num_workers).map(Ok))
///     }
/// }
///
/// # fn main() -> cresset_core::Result<()> {
/// let loader = IterableLoader::with(Below(5), |o| o.batch_size(2))?;
/// let batches = loader.iter()?.map(|batch| batch?.to_vec::<i64>());
/// assert_eq!(batches.collect::<cresset_core::Result<Vec<_>>>()?, [vec![0, 1], vec![2, 3], vec![4]]);
/// # Ok(())
/// # }
/// ```
///
/// Without workers the stream is read when a batch is asked for. Each of several workers reads its own part ahead, and
/// the batches come from them in turn, so that their order depends on the number of workers only.
pub struct IterableLoader<B> {
    start: Arc<dyn Fn(WorkerInfo) -> Stream<B> + Send + Sync>,
    num_workers: usize,
    prefetch_factor: usize,
    timeout: Option<Duration>,
    init: Option<Init>,
}

impl<B: Send + 'static> IterableLoader<B> {
    /// Batches as the options say: of them `batch_size`, `drop_last`, `num_workers`, `prefetch_factor`, `timeout` and
    /// `worker_init` apply to a stream, whose workers start anew with each pass.
    ///
    /// # Errors
    /// `Value` for options that do not apply, and for a batch size of 0.
    pub fn with<D>(
        dataset: D,
        options: impl FnOnce(LoaderOptions) -> LoaderOptions,
    ) -> Result<IterableLoader<B>>
    where
        D: IterableDataset + 'static,
        D::Sample: Collate<Batch = B>,
    {
        let o = options(LoaderOptions::default());
        o.check_stream()?;
        let (size, drop_last) = (o.batch_size, o.drop_last);
        let start = move |worker| -> Stream<B> {
            let mut samples = dataset.stream(worker);
            Box::new(std::iter::from_fn(move || {
                let batch: Result<Vec<D::Sample>> = samples.by_ref().take(size).collect();
                match batch {
                    Ok(batch) if batch.is_empty() || drop_last && batch.len() < size => None,
                    Ok(batch) => Some(Collate::collate(batch)),
                    Err(error) => Some(Err(error)),
                }
            }))
        };
        Ok(IterableLoader {
            start: Arc::new(start),
            num_workers: o.num_workers,
            prefetch_factor: o.prefetch_factor,
            timeout: o.timeout,
            init: o.init,
        })
    }

    /// Starts a pass.
    ///
    /// # Errors
    /// `Io` when the system refuses a thread.
    pub fn iter(&self) -> Result<IterableIter<B>> {
        if self.num_workers == 0 {
            return Ok(IterableIter::Here((self.start)(WorkerInfo { id: 0, num_workers: 1 })));
        }
        let (mut sources, mut threads) = (Vec::new(), Vec::new());
        for id in 0..self.num_workers {
            let (sender, receiver) = sync_channel(self.prefetch_factor);
            let worker = WorkerInfo { id, num_workers: self.num_workers };
            let (start, init) = (self.start.clone(), self.init.clone());
            let read = move || {
                if let Some(Err(error)) = init.map(|init| caught(id, || init(id))) {
                    // Nobody reads any more: the pass was given up.
                    return drop(sender.send(Err(error)));
                }
                let mut batches = start(worker);
                while let Some(batch) = caught(id, || batches.next().transpose()).transpose() {
                    if sender.send(batch).is_err() {
                        return;
                    }
                }
            };
            threads.push(std::thread::Builder::new().name(format!("stream-{id}")).spawn(read)?);
            sources.push(receiver);
        }
        Ok(IterableIter::Workers(Turns { sources, turn: 0, timeout: self.timeout, threads }))
    }
}

/// One pass over the batches of a stream.
pub enum IterableIter<B> {
    /// Read by the caller.
    Here(Stream<B>),
    /// Read by workers.
    Workers(Turns<B>),
}

/// Workers that are asked in turn.
pub struct Turns<B> {
    sources: Vec<Receiver<Result<B>>>,
    turn: usize,
    timeout: Option<Duration>,
    threads: Vec<JoinHandle<()>>,
}

impl<B> Turns<B> {
    fn next(&mut self) -> Option<Result<B>> {
        while !self.sources.is_empty() {
            self.turn %= self.sources.len();
            match receive(&self.sources[self.turn], self.timeout) {
                Ok(Some(batch)) => {
                    self.turn += 1;
                    return Some(batch);
                }
                // This worker's part is read.
                Ok(None) => drop(self.sources.remove(self.turn)),
                Err(error) => return Some(Err(error)),
            }
        }
        None
    }
}

impl<B> Drop for Turns<B> {
    fn drop(&mut self) {
        self.sources.clear();
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

impl<B> Iterator for IterableIter<B> {
    type Item = Result<B>;

    fn next(&mut self) -> Option<Result<B>> {
        match self {
            IterableIter::Here(batches) => batches.next(),
            IterableIter::Workers(turns) => turns.next(),
        }
    }
}

impl LoaderOptions {
    /// Whether the options mean something for a stream.
    fn check_stream(&self) -> Result<()> {
        if self.shuffle {
            bail!(
                Value,
                "DataLoader with IterableDataset: expected unspecified shuffle option, but got shuffle=True"
            );
        }
        ensure!(
            self.sampler.is_none() && self.batch_sampler.is_none(),
            Value,
            "DataLoader with IterableDataset: expected unspecified sampler option"
        );
        ensure!(
            !self.persistent_workers,
            Value,
            "DataLoader with IterableDataset: expected unspecified persistent_workers option"
        );
        if self.batch_size == 0 {
            return Err(Error::value("batch_size should be a positive integer value, but got batch_size=0"));
        }
        self.check_workers()
    }
}
