//! Expected orders are PyTorch 2.15's under the same seeds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cresset_core::Result;
use cresset_core::ops::randint;
use cresset_core::random::{Generator, manual_seed};
use cresset_data::{
    BatchSampler, ConcatDataset, DataLoader, Dataset, DistributedSampler, MapDataset, RandomSampler, Sampler,
    Subset, SubsetRandomSampler, WeightedRandomSampler, random_split, random_split_fractions_with,
    random_split_with,
};

/// Sample `i` is `i`.
struct Numbers(usize);

impl Dataset for Numbers {
    type Sample = usize;

    fn len(&self) -> usize {
        self.0
    }

    fn get(&self, index: usize) -> Result<usize> {
        Ok(index)
    }
}

/// Tests that use the default generator run one at a time.
fn seeded(seed: u64) -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    manual_seed(seed);
    guard
}

fn visit<T>(sampler: &impl Sampler<T>) -> Vec<T> {
    let order: Vec<T> = sampler.visit().collect::<Result<_>>().unwrap();
    assert_eq!(order.len(), sampler.len());
    order
}

/// What the default generator gives next.
fn next_numbers() -> Vec<i64> {
    randint(1 << 31, [3]).unwrap().to_vec::<i64>().unwrap()
}

fn epoch(loader: &DataLoader<cresset_core::Tensor>) -> Vec<Vec<i64>> {
    loader.iter().map(|batch| batch.unwrap().to_vec::<i64>().unwrap()).collect()
}

#[test]
fn a_shuffling_loader_draws_what_pytorch_draws() {
    let _one = seeded(0);
    let loader = DataLoader::with(Numbers(23), |o| o.batch_size(4).shuffle(true)).unwrap();
    assert_eq!(loader.len(), 6);
    let first = epoch(&loader);
    assert_eq!(first[0], [3, 22, 17, 13]);
    assert_eq!(first[5], [18, 8, 2]);
    assert_eq!(epoch(&loader)[0], [4, 11, 16, 8]);
    assert_eq!(epoch(&loader)[5], [2, 16, 1]);
    assert_eq!(next_numbers(), [1277901399, 243580376, 1171049868]);
}

#[test]
fn a_loader_with_its_own_generator_leaves_the_default_one_alone() {
    let _one = seeded(3);
    let options = |o: cresset_data::LoaderOptions| o.batch_size(4).shuffle(true).generator(Generator::new(0));
    let loader = DataLoader::with(Numbers(23), options).unwrap();
    assert_eq!(epoch(&loader)[0], [4, 15, 3, 22]);
    assert_eq!(epoch(&loader)[0], [20, 22, 15, 12]);
    assert_eq!(next_numbers(), [303761048, 1460070019, 521102280]);
}

#[test]
fn random_samplers_agree() {
    let _one = seeded(0);
    let picks = SubsetRandomSampler::new(vec![3, 1, 4, 15, 9, 2, 6]);
    assert_eq!(visit(&picks), [9, 3, 2, 15, 4, 6, 1]);
    assert_eq!(visit(&picks), [6, 4, 9, 3, 15, 2, 1]);
    manual_seed(0);
    let weights = vec![0.1, 0.9, 0.4, 0.7, 3.0, 0.6];
    let weighted = WeightedRandomSampler::new(weights.clone(), 12).unwrap();
    assert_eq!(visit(&weighted), [5, 4, 4, 5, 4, 4, 2, 3, 4, 3, 4, 2]);
    let own = WeightedRandomSampler::with(weights, 5, |o| o.replacement(false).generator(Generator::new(0)))
        .unwrap();
    assert_eq!(visit(&own), [4, 1, 2, 5, 3]);
    let inner = RandomSampler::with(10, |o| o.generator(Generator::new(0))).unwrap();
    let batches = BatchSampler::new(inner, 3, false).unwrap();
    assert_eq!(visit(&batches), [vec![4, 1, 7], vec![5, 3, 9], vec![0, 8, 6], vec![2]]);
    assert_eq!(visit(&batches)[0], [4, 0, 8]);
}

#[test]
fn distributed_parts_follow_the_epoch() {
    let sampler = DistributedSampler::with(23, 3, 0, |o| o.drop_last(true)).unwrap();
    assert_eq!(visit(&sampler), [19, 3, 22, 7, 9, 12, 11]);
    sampler.set_epoch(2);
    assert_eq!(visit(&sampler), [1, 7, 0, 6, 9, 22, 16]);
}

#[test]
fn random_split_cuts_one_permutation() {
    let all = Arc::new(Numbers(23));
    let parts = random_split_with(&all, &[15, 5, 3], |o| o.generator(Generator::new(0))).unwrap();
    assert_eq!(parts[1].indices(), [12, 5, 17, 11, 2]);
    assert_eq!(parts[2].indices(), [18, 0, 21]);
    let lengths: Vec<usize> =
        random_split_fractions_with(&all, &[0.3, 0.3, 0.4], |o| o.generator(Generator::new(0)))
            .unwrap()
            .iter()
            .map(Dataset::len)
            .collect();
    assert_eq!(lengths, [7, 7, 9].map(|n: usize| n).as_slice());
    assert!(random_split(&all, &[1, 2]).is_err());
}

#[test]
fn combined_datasets_give_the_samples_of_their_parts() {
    let subset = Subset::new(Arc::new(Numbers(10)), vec![7, 2]);
    assert_eq!((subset.len(), subset.get(1).unwrap()), (2, 2));
    assert!(subset.get(2).is_err());
    let chain = ConcatDataset::new(vec![Numbers(3), Numbers(0), Numbers(2)]).unwrap();
    let all: Vec<usize> = (0..chain.len()).map(|i| chain.get(i).unwrap()).collect();
    assert_eq!(all, [0, 1, 2, 0, 1]);
    let squares = MapDataset::new(Numbers(4), |i| Ok((i * i) as i64));
    assert_eq!(squares.get(3).unwrap(), 9);
    let loader = DataLoader::new(squares, 4).unwrap();
    assert_eq!(epoch(&loader), [[0, 1, 4, 9]]);
}
