//! Threads that fetch batches ahead of their use.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use cresset_core::random::Generator;
use cresset_core::{Error, Result, bail};

/// Gets the batch of the samples of those numbers.
pub(crate) type Fetch<B> = Arc<dyn Fn(&[usize]) -> Result<B> + Send + Sync>;

/// Prepares the worker of that number.
pub(crate) type Init = Arc<dyn Fn(usize) -> Result<()> + Send + Sync>;

thread_local! {
    static GENERATOR: RefCell<Option<Generator>> = const { RefCell::new(None) };
}

/// The generator for what a dataset draws while a loader fetches a batch; none outside of that.
///
/// It is seeded from the loader's seed of the epoch and the place of the batch in it, so that random transforms give
/// the same samples for any number of workers.
pub fn batch_generator() -> Option<Generator> {
    GENERATOR.with_borrow(Clone::clone)
}

/// Fetches one batch with its own generator.
pub(crate) fn fetch<B>(fetch: &Fetch<B>, indices: &[usize], seed: u64) -> Result<B> {
    GENERATOR.set(Some(Generator::new(seed)));
    let result = fetch(indices);
    GENERATOR.set(None);
    result
}

struct Task {
    place: u64,
    indices: Vec<usize>,
    seed: u64,
}

struct Done<B> {
    place: u64,
    batch: Result<B>,
}

/// Worker threads, the batches under way, and those that came early.
pub(crate) struct Workers<B> {
    tasks: Option<Sender<Task>>,
    done: Receiver<Done<B>>,
    early: BTreeMap<u64, Result<B>>,
    threads: Vec<JoinHandle<()>>,
    timeout: Option<Duration>,
    sent: u64,
    received: u64,
}

impl<B: Send + 'static> Workers<B> {
    /// Starts the threads.
    ///
    /// # Errors
    /// `Io` when the system refuses one.
    pub(crate) fn start(
        count: usize,
        fetch: &Fetch<B>,
        init: Option<&Init>,
        timeout: Option<Duration>,
    ) -> Result<Workers<B>> {
        let (task_sender, task_receiver) = channel();
        let (done_sender, done) = channel();
        let tasks = Arc::new(Mutex::new(task_receiver));
        let mut workers = Workers {
            tasks: Some(task_sender),
            done,
            early: BTreeMap::new(),
            threads: Vec::new(),
            timeout,
            sent: 0,
            received: 0,
        };
        for id in 0..count {
            let (tasks, done, fetch, init) =
                (tasks.clone(), done_sender.clone(), fetch.clone(), init.cloned());
            let thread = std::thread::Builder::new().name(format!("loader-{id}"));
            workers.threads.push(thread.spawn(move || serve(id, &tasks, &done, &fetch, init))?);
        }
        Ok(workers)
    }

    /// How many batches are asked for and not yet handed out.
    pub(crate) fn under_way(&self) -> u64 {
        self.sent - self.received
    }

    /// Asks for a batch.
    pub(crate) fn ask(&mut self, indices: Vec<usize>, seed: u64) {
        if let Some(tasks) = &self.tasks {
            // Workers never hang up first: the receiver lives as long as any of them.
            let _ = tasks.send(Task { place: self.sent, indices, seed });
            self.sent += 1;
        }
    }

    /// The next batch in the order of asking.
    pub(crate) fn next(&mut self) -> Result<B> {
        let place = self.received;
        self.received += 1;
        loop {
            if let Some(batch) = self.early.remove(&place) {
                return batch;
            }
            match receive(&self.done, self.timeout)? {
                Some(done) => drop(self.early.insert(done.place, done.batch)),
                None => bail!("DataLoader worker threads exited unexpectedly"),
            }
        }
    }
}

impl<B> Drop for Workers<B> {
    fn drop(&mut self) {
        // Tasks not yet begun are thrown away by the workers, whose channel for results is closed below.
        self.tasks = None;
        let (_, closed) = channel();
        self.done = closed;
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// What comes next, `None` when nothing more will.
///
/// # Errors
/// `Runtime` when nothing comes in time.
pub(crate) fn receive<T>(source: &Receiver<T>, timeout: Option<Duration>) -> Result<Option<T>> {
    let Some(timeout) = timeout else { return Ok(source.recv().ok()) };
    match source.recv_timeout(timeout) {
        Ok(got) => Ok(Some(got)),
        Err(RecvTimeoutError::Disconnected) => Ok(None),
        Err(RecvTimeoutError::Timeout) => {
            bail!("DataLoader timed out after {} seconds", timeout.as_secs_f64())
        }
    }
}

/// Runs `f` in worker `id`: an error names it, and a panic is an error.
pub(crate) fn caught<T>(id: usize, f: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result.map_err(|error| error.context(format!("Caught in DataLoader worker {id}"))),
        Err(panic) => {
            Err(Error::runtime(format!("DataLoader worker {id} panicked: {}", panic_text(&*panic))))
        }
    }
}

fn serve<B>(
    id: usize,
    tasks: &Mutex<Receiver<Task>>,
    done: &Sender<Done<B>>,
    get: &Fetch<B>,
    init: Option<Init>,
) {
    let mut failed = init.and_then(|init| caught(id, || init(id)).err());
    loop {
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Task { place, indices, seed }) = task else { return };
        let batch = match failed.take() {
            Some(error) => Err(error),
            None => caught(id, || fetch(get, &indices, seed)),
        };
        if done.send(Done { place, batch }).is_err() {
            return;
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
