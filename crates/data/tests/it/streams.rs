//! Datasets without numbers, side by side, and what loaders do with their workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cresset_core::random::Generator;
use cresset_core::{Result, Tensor};
use cresset_data::{
    ChainDataset, Collate, DataLoader, Dataset, IterableDataset, IterableLoader, StackDataset, Stream,
    WorkerInfo,
};

/// The numbers from `start` to before `end`, every worker its own ones.
struct Numbers(i64, i64);

impl IterableDataset for Numbers {
    type Sample = i64;

    fn stream(&self, worker: WorkerInfo) -> Stream<i64> {
        Box::new((self.0..self.1).skip(worker.id).step_by(worker.num_workers).map(Ok))
    }
}

impl Dataset for Numbers {
    type Sample = i64;

    fn len(&self) -> usize {
        (self.1 - self.0) as usize
    }

    fn get(&self, index: usize) -> Result<i64> {
        Ok(self.0 + index as i64)
    }
}

fn batches(batches: impl Iterator<Item = Result<Tensor>>) -> Vec<Vec<i64>> {
    batches.map(|b| b.unwrap().to_vec().unwrap()).collect()
}

#[test]
fn streams_are_chained_and_read_in_turn() -> Result<()> {
    let chain = || ChainDataset::new(vec![Numbers(0, 3), Numbers(10, 12)]);
    let here = IterableLoader::with(chain(), |o| o.batch_size(2))?;
    assert_eq!(batches(here.iter()?), [vec![0, 1], vec![2, 10], vec![11]]);
    let dropped = IterableLoader::with(chain(), |o| o.batch_size(2).drop_last(true))?;
    assert_eq!(batches(dropped.iter()?).len(), 2);
    let workers = IterableLoader::with(chain(), |o| o.batch_size(2).num_workers(2))?;
    assert_eq!(batches(workers.iter()?), [vec![0, 2], vec![1, 11], vec![10]]);
    let shuffled = IterableLoader::<Tensor>::with(chain(), |o| o.shuffle(true)).err().unwrap();
    assert!(
        shuffled
            .message()
            .starts_with("DataLoader with IterableDataset: expected unspecified shuffle option")
    );
    assert!(IterableLoader::<Tensor>::with(chain(), |o| o.num_workers(1).persistent_workers(true)).is_err());
    Ok(())
}

#[test]
fn datasets_stand_side_by_side() -> Result<()> {
    let stacked = StackDataset::<(_, _)>::new((Numbers(0, 3), Numbers(5, 8)))?;
    assert_eq!((stacked.len(), stacked.get(1)?), (3, (1, 6)));
    let error = StackDataset::<(_, _)>::new((Numbers(0, 3), Numbers(5, 7))).err().unwrap();
    assert_eq!(error.message(), "Size mismatch between datasets");
    Ok(())
}

#[test]
fn persistent_workers_are_started_once_and_initialised() -> Result<()> {
    let started = Arc::new(AtomicUsize::new(0));
    let counter = started.clone();
    let loader = DataLoader::with(Numbers(0, 10), |o| {
        let o = o.batch_size(2).num_workers(2).persistent_workers(true);
        o.worker_init(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    })?;
    for _ in 0..3 {
        assert_eq!(batches(loader.iter()), [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]);
    }
    // One of them may have done all the work before the other was there.
    assert!((1..=2).contains(&started.load(Ordering::Relaxed)));
    let alone = DataLoader::with(Numbers(0, 10), |o| o.persistent_workers(true)).err().unwrap();
    assert_eq!(alone.message(), "persistent_workers option needs num_workers > 0");
    Ok(())
}

#[test]
fn a_slow_worker_times_out() -> Result<()> {
    struct Slow;
    impl Dataset for Slow {
        type Sample = i64;
        fn len(&self) -> usize {
            1
        }
        fn get(&self, _: usize) -> Result<i64> {
            std::thread::sleep(Duration::from_millis(300));
            Ok(0)
        }
    }
    let loader = DataLoader::with(Slow, |o| o.num_workers(1).timeout(Duration::from_millis(20)))?;
    let error = loader.iter().next().unwrap().unwrap_err();
    assert_eq!(error.message(), "DataLoader timed out after 0.02 seconds");
    Ok(())
}

#[test]
fn an_epoch_goes_on_from_its_state() -> Result<()> {
    let make = |workers| {
        DataLoader::with(Numbers(0, 20), |o| {
            o.batch_size(3).shuffle(true).num_workers(workers).generator(Generator::new(7))
        })
    };
    let whole = make(0)?;
    let (first, second) = (batches(whole.iter()), batches(whole.iter()));
    for workers in [0, 2] {
        let loader = make(workers)?;
        let mut epoch = loader.iter();
        let taken = batches(epoch.by_ref().take(3));
        let state = epoch.state();
        let resumed = make(workers)?;
        let rest = batches(resumed.iter_from(&state)?);
        assert_eq!([taken, rest].concat(), first);
        assert_eq!(batches(resumed.iter()), second);
    }
    Ok(())
}

/// A picture with what is known of it.
#[derive(Clone, Debug, Collate)]
struct Picture {
    pixels: Tensor,
    label: i64,
    name: String,
}

#[test]
fn structs_become_structs_of_batches() -> Result<()> {
    let picture = |i: i64| -> Result<Picture> {
        Ok(Picture { pixels: Tensor::from_slice(&[i as f32; 2], [2])?, label: i, name: format!("p{i}") })
    };
    let batch = Picture::collate(vec![picture(0)?, picture(1)?])?;
    assert_eq!(batch.pixels.sizes().as_slice(), [2, 2]);
    assert_eq!((batch.label.to_vec::<i64>()?, batch.name), (vec![0, 1], vec!["p0".into(), "p1".into()]));
    Ok(())
}
