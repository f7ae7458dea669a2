//! Sharing a loop among threads.
//!
//! One pool serves the process. The calling thread always takes part, so a loop costs no hand-over: idle workers join
//! while it is already running, and if none comes in time the caller has done it all. A call from inside a parallel
//! loop, or while another thread's loop holds the pool, runs on the caller alone.
//!
//! Work stealing (rayon) is not used here: entering its pool from outside parks the caller and wakes two workers,
//! which costs more than most kernels of a small network.

use std::any::Any;
use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// How long a worker polls for the next loop before it sleeps, in polls of a few nanoseconds.
const POLLS: usize = 8_000;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

/// The number of threads that loops use, the caller included.
pub fn num_threads() -> usize {
    match THREADS.load(Ordering::Relaxed) {
        0 => default_threads(),
        n => n,
    }
}

/// Sets the number of threads that loops use; 0 restores the default.
pub fn set_num_threads(threads: usize) {
    THREADS.store(threads, Ordering::Relaxed);
}

/// What the affinity mask and the container's CPU quota allow.
pub fn default_threads() -> usize {
    static DEFAULT: OnceLock<usize> = OnceLock::new();
    *DEFAULT.get_or_init(|| std::thread::available_parallelism().map_or(1, |n| n.get()))
}

/// Calls `f` with disjoint ranges that cover `0..n`, at most one a thread and none shorter than `grain` but the last.
///
/// The cuts depend on the number of threads: for loops whose elements do not depend on each other.
pub fn for_ranges(n: usize, grain: usize, f: impl Fn(Range<usize>) + Sync) {
    let pieces = num_threads().min(n / grain.max(1)).max(1);
    if pieces == 1 {
        if n > 0 {
            f(0..n);
        }
        return;
    }
    let step = n.div_ceil(pieces);
    for_tasks(pieces, |i| {
        let range = (i * step).min(n)..((i + 1) * step).min(n);
        if !range.is_empty() {
            f(range);
        }
    });
}

/// Calls `f(i)` once for each `i` in `0..tasks`, on whichever thread is free, and returns when all are done.
///
/// # Panics
/// With the first panic of `f`, after the others have finished.
pub fn for_tasks(tasks: usize, f: impl Fn(usize) + Sync) {
    let threads = num_threads().min(tasks);
    if threads <= 1 || INSIDE.get() || !pool().run(threads, tasks, &f) {
        for i in 0..tasks {
            f(i);
        }
    }
}

/// A run of tasks: the next one to take, and where the run ends.
struct Share {
    next: AtomicUsize,
    end: usize,
}

impl Share {
    fn take(&self) -> Option<usize> {
        let task = self.next.fetch_add(1, Ordering::Relaxed);
        (task < self.end).then_some(task)
    }
}

/// One parallel loop: the function, a share of the tasks for each thread, and the number of tasks not yet finished.
///
/// A thread starts with its own share and then helps with the others. So each core meets the same part of a tensor in
/// one loop after the other, and finds it in its own cache.
struct Job {
    call: *const (dyn Fn(usize) + Sync),
    shares: Box<[Share]>,
    pending: AtomicUsize,
    helpers: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `call` points to a `Sync` closure that outlives the job's use: `Pool::run` returns only when no task is left,
// and a worker calls it only for a task it has taken.
unsafe impl Send for Job {}
// SAFETY: as above; the other fields are atomics and a mutex.
unsafe impl Sync for Job {}

impl Job {
    fn new(call: *const (dyn Fn(usize) + Sync), threads: usize, tasks: usize) -> Job {
        let cut = |i: usize| i * tasks / threads;
        Job {
            call,
            shares: (0..threads).map(|i| Share { next: AtomicUsize::new(cut(i)), end: cut(i + 1) }).collect(),
            pending: AtomicUsize::new(tasks),
            helpers: AtomicUsize::new(threads - 1),
            panic: Mutex::new(None),
        }
    }

    /// Works as the thread of number `who`, the caller being 0, until no task is left to take.
    fn work(&self, who: usize) {
        INSIDE.set(true);
        let first = who % self.shares.len();
        let (later, earlier) = (&self.shares[first..], &self.shares[..first]);
        for task in later.iter().chain(earlier).flat_map(|share| std::iter::from_fn(|| share.take())) {
            // SAFETY: a task was taken, so `pending` is not yet 0 and the caller still keeps the closure alive.
            let outcome = catch_unwind(AssertUnwindSafe(|| unsafe { (*self.call)(task) }));
            if let Err(panic) = outcome {
                lock(&self.panic).get_or_insert(panic);
            }
            self.pending.fetch_sub(1, Ordering::Release);
        }
        INSIDE.set(false);
    }
}

struct Pool {
    /// Held by the thread whose loop is running.
    busy: Mutex<()>,
    job: Mutex<Option<Arc<Job>>>,
    /// Counts the jobs published, so that workers can poll without the lock.
    published: AtomicU64,
    wake: Condvar,
    sleepers: AtomicUsize,
    workers: AtomicUsize,
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool {
        busy: Mutex::new(()),
        job: Mutex::new(None),
        published: AtomicU64::new(0),
        wake: Condvar::new(),
        sleepers: AtomicUsize::new(0),
        workers: AtomicUsize::new(0),
    })
}

impl Pool {
    /// Runs the loop with up to `threads - 1` workers helping; `false` if another loop holds the pool.
    fn run(&'static self, threads: usize, tasks: usize, f: &(dyn Fn(usize) + Sync)) -> bool {
        let Ok(_busy) = self.busy.try_lock() else { return false };
        self.grow(threads - 1);
        // SAFETY: only the lifetime changes; `run` waits below until no thread can call the closure any more.
        let call =
            unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(f) };
        let job = Arc::new(Job::new(call, threads, tasks));
        *lock(&self.job) = Some(job.clone());
        self.published.fetch_add(1, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            let _guard = lock(&self.job);
            self.wake.notify_all();
        }
        job.work(0);
        let mut polls = 0_usize;
        while job.pending.load(Ordering::Acquire) > 0 {
            polls += 1;
            if polls.is_multiple_of(1024) { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
        *lock(&self.job) = None;
        if let Some(panic) = lock(&job.panic).take() {
            resume_unwind(panic);
        }
        true
    }

    fn grow(&'static self, wanted: usize) {
        while self.workers.load(Ordering::Relaxed) < wanted {
            let n = self.workers.fetch_add(1, Ordering::Relaxed);
            let spawned =
                std::thread::Builder::new().name(format!("cresset-{n}")).spawn(move || self.serve(n + 1));
            if spawned.is_err() {
                self.workers.fetch_sub(1, Ordering::Relaxed);
                return;
            }
        }
    }

    fn serve(&self, who: usize) {
        let mut seen = 0;
        loop {
            seen = self.wait(seen);
            let job = lock(&self.job).clone();
            let Some(job) = job else { continue };
            let admitted =
                job.helpers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
            if admitted.is_ok() {
                job.work(who);
            }
        }
    }

    /// Returns the count of published jobs once it differs from `seen`: polls for a while, then sleeps.
    fn wait(&self, seen: u64) -> u64 {
        for _ in 0..POLLS {
            let now = self.published.load(Ordering::SeqCst);
            if now != seen {
                return now;
            }
            std::hint::spin_loop();
        }
        let mut guard = lock(&self.job);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        loop {
            let now = self.published.load(Ordering::SeqCst);
            if now != seen {
                self.sleepers.fetch_sub(1, Ordering::SeqCst);
                return now;
            }
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        for tasks in [0, 1, 2, 3, 1000] {
            let hits: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            for_tasks(tasks, |i| {
                hits[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(hits.iter().all(|h| h.load(Ordering::Relaxed) == 1));
        }
    }

    #[test]
    fn nested_loops_and_panics_reach_the_caller() {
        let sum = AtomicUsize::new(0);
        for_tasks(4, |_| {
            for_ranges(100, 10, |r| {
                sum.fetch_add(r.len(), Ordering::Relaxed);
            })
        });
        assert_eq!(sum.load(Ordering::Relaxed), 400);
        assert!(catch_unwind(|| for_tasks(8, |i| assert!(i != 5))).is_err());
        for_tasks(2, |_| ());
    }
}
