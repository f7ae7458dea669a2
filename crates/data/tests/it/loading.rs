use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cresset_core::{Result, Tensor, bail};
use cresset_data::{Collate, DataLoader, Dataset, TensorDataset, batch_generator};

/// Sample `i` is `i`; some fail, panic, or take long.
struct Moody(usize);

impl Dataset for Moody {
    type Sample = i64;

    fn len(&self) -> usize {
        self.0
    }

    fn get(&self, index: usize) -> Result<i64> {
        match index {
            7 => bail!(Value, "sample 7 is damaged"),
            13 => panic!("sample 13 is unlucky"),
            _ if index.is_multiple_of(5) => std::thread::sleep(Duration::from_millis(3)),
            _ => {}
        }
        Ok(index as i64)
    }
}

#[test]
fn workers_keep_the_order_and_report_errors_and_panics_in_place() {
    let loader = DataLoader::with(Moody(20), |o| o.batch_size(2).num_workers(3)).unwrap();
    for _ in 0..2 {
        let batches: Vec<Result<Tensor>> = loader.iter().collect();
        assert_eq!(batches.len(), 10);
        for (i, batch) in batches.iter().enumerate() {
            match (i, batch) {
                (3, Err(error)) => assert!(error.message().contains("sample 7 is damaged"), "{error}"),
                (6, Err(error)) => {
                    assert!(error.message().contains("panicked: sample 13 is unlucky"), "{error}")
                }
                (_, Ok(batch)) => {
                    assert_eq!(batch.to_vec::<i64>().unwrap(), [2 * i as i64, 2 * i as i64 + 1])
                }
                (_, Err(error)) => panic!("batch {i}: {error}"),
            }
        }
    }
}

#[test]
fn an_epoch_left_early_stops_its_workers() {
    let loader = DataLoader::with(Moody(5), |o| o.num_workers(4).prefetch_factor(8)).unwrap();
    for _ in 0..3 {
        assert!(loader.iter().next().unwrap().is_ok());
    }
}

/// Samples that draw random numbers.
struct Noisy;

impl Dataset for Noisy {
    type Sample = f64;

    fn len(&self) -> usize {
        12
    }

    fn get(&self, index: usize) -> Result<f64> {
        let generator = batch_generator().expect("a loader is fetching");
        Ok(index as f64 + generator.lock().f64())
    }
}

#[test]
fn random_transforms_do_not_depend_on_the_number_of_workers() {
    let epoch = |workers: usize| -> Vec<Vec<f64>> {
        let options = |o: cresset_data::LoaderOptions| {
            o.batch_size(3)
                .shuffle(true)
                .num_workers(workers)
                .generator(cresset_core::random::Generator::new(1))
        };
        let loader = DataLoader::with(Noisy, options).unwrap();
        loader.iter().map(|b| b.unwrap().to_vec::<f64>().unwrap()).collect()
    };
    assert_eq!(epoch(0), epoch(1));
    assert_eq!(epoch(0), epoch(4));
    assert!(batch_generator().is_none());
}

#[test]
fn tensor_datasets_give_rows_and_batches_of_rows() {
    let x = Tensor::from_slice(&[0.0_f32, 1.0, 2.0, 3.0, 4.0, 5.0], [3, 2]).unwrap();
    let y = Tensor::from_slice(&[7_i64, 8, 9], [3]).unwrap();
    let data = TensorDataset::new([x.clone(), y]).unwrap();
    let [row, label] = data.get(1).unwrap();
    assert_eq!((row.to_vec::<f32>().unwrap(), label.to_vec::<i64>().unwrap()), (vec![2.0, 3.0], vec![8]));
    assert!(data.get(3).is_err());
    let loader = DataLoader::with(data, |o| o.batch_sampler(vec![vec![2, 0], vec![1]])).unwrap();
    let first = loader.iter().next().unwrap().unwrap();
    let [rows, labels] = first;
    assert_eq!(rows.to_vec::<f32>().unwrap(), [4.0, 5.0, 0.0, 1.0]);
    assert_eq!(labels.to_vec::<i64>().unwrap(), [9, 7]);
    assert_eq!(loader.len(), 2);
    assert!(TensorDataset::new([x, Tensor::from_slice(&[1_i64], [1]).unwrap()]).is_err());
    assert!(DataLoader::with(Moody(4), |o| o.batch_size(0)).is_err());
    assert!(DataLoader::with(Moody(4), |o| o.batch_size(2).batch_sampler(vec![vec![0]])).is_err());
}

#[test]
fn samples_of_several_parts_are_collated_part_by_part() -> Result<()> {
    let samples = vec![(1_i64, [0.5_f32, 1.5], "a".to_owned()), (2, [2.5, 3.5], "b".to_owned())];
    let (numbers, [left, right], names) = Collate::collate(samples).unwrap();
    assert_eq!(numbers.to_vec::<i64>().unwrap(), [1, 2]);
    assert_eq!(
        (left.to_vec::<f32>().unwrap(), right.to_vec::<f32>().unwrap()),
        (vec![0.5, 2.5], vec![1.5, 3.5])
    );
    assert_eq!(names, ["a", "b"]);
    let (numbers,) = Collate::collate(vec![(1_i64,), (2,)])?;
    assert_eq!(numbers.to_vec::<i64>()?, [1, 2]);
    let map = |x| HashMap::from([("x".to_owned(), x)]);
    assert_eq!(Collate::collate(vec![map(1_u8), map(2)])?["x"].to_vec::<u8>()?, [1, 2]);
    let missing = Collate::collate(vec![map(1_u8), HashMap::new()]).unwrap_err();
    assert_eq!(missing.message(), "collate: 'x' is not in every sample");
    let ragged = Collate::collate(vec![vec![1_i64], vec![1, 2]]);
    assert_eq!(ragged.unwrap_err().message(), "each element in list of batch should be of equal size");
    let shapes = [2, 3].map(|n| Tensor::from_vec(vec![0.0_f32; n], [n as i64]).unwrap());
    assert!(Tensor::collate(shapes.to_vec()).is_err());
    Ok(())
}

#[test]
fn a_loader_may_have_its_own_collate() {
    let calls = std::sync::Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let sum = move |samples: Vec<i64>| {
        seen.fetch_add(1, Ordering::Relaxed);
        Ok(samples.iter().sum::<i64>())
    };
    let loader = DataLoader::with_collate(Moody(6), sum, |o| o.batch_size(4).drop_last(true)).unwrap();
    assert_eq!(loader.iter().collect::<Result<Vec<_>>>().unwrap(), [6]);
    assert_eq!((loader.len(), calls.load(Ordering::Relaxed)), (1, 1));
}
