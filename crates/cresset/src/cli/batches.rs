//! The images of a run, and batches of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cresset::data::{DataLoader, Dataset, Mnist};
use cresset::prelude::*;
use cresset::{Error, bail};

use super::args::Machine;
use super::picture::SIDE;

/// Where the images are unless `--data` says otherwise.
const DATA: &str = "data/mnist";

/// Mean and standard deviation of the training images' pixels.
const MEAN: f32 = 0.1307;
const STD: f32 = 0.3081;

/// Images `[N, 1, 28, 28]`, normalised, and labels `[N]`.
pub type Batch = (Tensor, Tensor);

/// Which images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Split {
    Train,
    Test,
}

/// The images of one split, or the first of them.
pub struct Digits {
    mnist: Arc<Mnist>,
    len: usize,
}

impl Digits {
    /// Reads the images of one split.
    pub fn open(folder: Option<&Path>, split: Split, limit: Option<u32>) -> Result<Digits> {
        Ok(Digits::new(Mnist::open(folder_of(folder)?, split == Split::Train)?, limit))
    }

    /// Reads the training and the test images.
    pub fn open_both(folder: Option<&Path>, limit: Option<u32>) -> Result<(Digits, Digits)> {
        let (train, test) = Mnist::open_both(folder_of(folder)?)?;
        Ok((Digits::new(train, limit), Digits::new(test, limit)))
    }

    fn new(mnist: Mnist, limit: Option<u32>) -> Digits {
        let len = limit.map_or(usize::MAX, |limit| limit as usize).min(mnist.len());
        Digits { mnist: Arc::new(mnist.normalize(MEAN, STD)), len }
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The images of those numbers in batches, fetched ahead by `workers` threads.
    pub fn batches(&self, order: &[usize], batch_size: usize, workers: u16) -> Result<Batches> {
        let lists: Vec<Vec<usize>> = order.chunks(batch_size).map(<[usize]>::to_vec).collect();
        // A generator of its own: the loader's draws must not move the stream that dropout continues after a resume.
        let own = Generator::new(0);
        let mnist = self.mnist.clone();
        DataLoader::with(mnist, |o| o.batch_sampler(lists).num_workers(workers.into()).generator(own))
    }
}

/// An epoch's batches.
pub type Batches = DataLoader<Batch>;

/// A random order of `n` images.
pub fn shuffled(n: usize, generator: &Generator) -> Result<Vec<usize>> {
    let order = randperm_generator(n as i64, Some(generator))?.to_vec::<i64>()?;
    Ok(order.into_iter().map(|i| i as usize).collect())
}

/// Grey values of images of 28x28, as the network takes them: `[N, 1, 28, 28]`.
pub fn normalized(grey: &[u8]) -> Result<Tensor> {
    let pixels: Vec<f32> = grey.iter().map(|v| (f32::from(*v) / 255.0 - MEAN) / STD).collect();
    let side = i64::from(SIDE);
    Tensor::from_vec(pixels, [grey.len() as i64 / (side * side), 1, side, side])
}

fn folder_of(named: Option<&Path>) -> Result<PathBuf> {
    let folder = named.unwrap_or(Path::new(DATA));
    match folder.metadata() {
        Ok(_) => Ok(folder.to_owned()),
        Err(_) if named.is_none() => {
            bail!(Io, "there is no {DATA} here: run in the root of the repository, or say --data DIR")
        }
        Err(e) => Err(Error::from(e).context(folder.display())),
    }
}

impl Machine {
    /// Uses as many threads as asked for.
    pub fn apply(&self) {
        if let Some(threads) = self.threads {
            set_num_threads(threads.into());
        }
    }
}
