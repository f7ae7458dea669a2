//! Random orders.

use cresset_core::ops::multinomial_with;
use cresset_core::random::{Generator, default_generator};
use cresset_core::{Result, Tensor, ensure, options};

use super::{Indices, Sampler, draw_seed, lazily, permutation};

/// Numbers drawn at a time with replacement.
const CHUNK: usize = 32;

/// All samples in random order, or a number of them drawn with replacement.
///
/// Without a generator of its own, each visit seeds one from the default generator.
#[derive(Clone, Debug)]
pub struct RandomSampler {
    len: usize,
    replacement: bool,
    num_samples: usize,
    generator: Option<Generator>,
}

options! {
    /// Optional settings of [`RandomSampler`].
    RandomOptions {
        /// Whether each number is drawn anew, so that some come twice and others not at all (default: no).
        replacement: bool = false,
        /// How many numbers are given (default: each one once).
        num_samples: Option<usize> = None,
        /// What is drawn from (default: a generator seeded by the default one).
        generator: Option<Generator> = None,
    }
}

impl RandomSampler {
    /// A random order of `len` samples.
    ///
    /// # Errors
    /// `Value` if there are none.
    pub fn new(len: usize) -> Result<RandomSampler> {
        RandomSampler::with(len, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Value` if there are no samples or none are asked for.
    pub fn with(len: usize, options: impl FnOnce(RandomOptions) -> RandomOptions) -> Result<RandomSampler> {
        let RandomOptions { replacement, num_samples, generator } = options(RandomOptions::default());
        let num_samples = num_samples.unwrap_or(len);
        ensure!(
            num_samples > 0 && len > 0,
            Value,
            "num_samples should be a positive integer value, but got num_samples={}",
            num_samples.min(len)
        );
        Ok(RandomSampler { len, replacement, num_samples, generator })
    }
}

impl Sampler for RandomSampler {
    // How many indices it gives, not how many it chooses from.
    #[allow(clippy::misnamed_getters)]
    fn len(&self) -> usize {
        self.num_samples
    }

    fn visit(&self) -> Indices<'_> {
        let mut generator = self.generator.clone();
        let mut left = Some(self.num_samples);
        lazily(move || {
            let remaining = left?;
            let generator = generator.get_or_insert_with(|| Generator::new(draw_seed(default_generator())));
            let size = if self.replacement { CHUNK } else { self.len };
            // The last chunk is drawn even when it is empty: PyTorch's stream has moved on by it.
            let (take, rest) =
                if remaining >= size { (size, Some(remaining - size)) } else { (remaining, None) };
            left = rest;
            Some(Ok(match self.replacement {
                true => draw(take, self.len, generator),
                false => permutation(self.len, generator).into_iter().take(take).collect(),
            }))
        })
    }
}

/// `torch.randint(n, (count,), generator=generator)`.
fn draw(count: usize, n: usize, generator: &Generator) -> Vec<usize> {
    let mut numbers = vec![0_i64; count];
    cresset_kernels::random::random_from(&mut generator.lock(), &mut numbers, n as u64, 0);
    numbers.into_iter().map(|i| i as usize).collect()
}

/// Given samples in random order.
#[derive(Clone, Debug)]
pub struct SubsetRandomSampler {
    indices: Vec<usize>,
    generator: Option<Generator>,
}

options! {
    /// Optional settings of [`SubsetRandomSampler`].
    SubsetRandomOptions {
        /// What is drawn from (default: the default generator).
        generator: Option<Generator> = None,
    }
}

impl SubsetRandomSampler {
    /// A random order of `indices`.
    pub fn new(indices: Vec<usize>) -> SubsetRandomSampler {
        SubsetRandomSampler::with(indices, |o| o)
    }

    /// With optional settings.
    pub fn with(
        indices: Vec<usize>,
        options: impl FnOnce(SubsetRandomOptions) -> SubsetRandomOptions,
    ) -> SubsetRandomSampler {
        SubsetRandomSampler { indices, generator: options(SubsetRandomOptions::default()).generator }
    }
}

impl Sampler for SubsetRandomSampler {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn visit(&self) -> Indices<'_> {
        let mut done = false;
        lazily(move || {
            if std::mem::replace(&mut done, true) {
                return None;
            }
            let generator = self.generator.as_ref().unwrap_or(default_generator());
            let order = permutation(self.indices.len(), generator);
            Some(Ok(order.into_iter().map(|i| self.indices[i]).collect()))
        })
    }
}

/// Samples drawn by weight.
#[derive(Clone, Debug)]
pub struct WeightedRandomSampler {
    weights: Vec<f64>,
    num_samples: usize,
    replacement: bool,
    generator: Option<Generator>,
}

options! {
    /// Optional settings of [`WeightedRandomSampler`].
    WeightedRandomOptions {
        /// Whether a sample can be drawn twice (default: yes).
        replacement: bool = true,
        /// What is drawn from (default: the default generator).
        generator: Option<Generator> = None,
    }
}

impl WeightedRandomSampler {
    /// `num_samples` draws from samples of those weights, which need not add up to 1.
    ///
    /// # Errors
    /// `Value` for no draws.
    pub fn new(weights: Vec<f64>, num_samples: usize) -> Result<WeightedRandomSampler> {
        WeightedRandomSampler::with(weights, num_samples, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Value` for no draws.
    pub fn with(
        weights: Vec<f64>,
        num_samples: usize,
        options: impl FnOnce(WeightedRandomOptions) -> WeightedRandomOptions,
    ) -> Result<WeightedRandomSampler> {
        let WeightedRandomOptions { replacement, generator } = options(WeightedRandomOptions::default());
        ensure!(
            num_samples > 0,
            Value,
            "num_samples should be a positive integer value, but got num_samples={num_samples}"
        );
        Ok(WeightedRandomSampler { weights, num_samples, replacement, generator })
    }

    fn draw(&self) -> Result<Vec<usize>> {
        let weights = Tensor::from_slice(&self.weights, [self.weights.len() as i64])?;
        let drawn = multinomial_with(&weights, self.num_samples as i64, |o| {
            o.replacement(self.replacement).generator(self.generator.as_ref())
        })?;
        Ok(drawn.to_vec::<i64>()?.into_iter().map(|i| i as usize).collect())
    }
}

impl Sampler for WeightedRandomSampler {
    // How many indices it gives, not how many it chooses from.
    #[allow(clippy::misnamed_getters)]
    fn len(&self) -> usize {
        self.num_samples
    }

    fn visit(&self) -> Indices<'_> {
        let mut done = false;
        lazily(move || (!std::mem::replace(&mut done, true)).then(|| self.draw()))
    }
}
