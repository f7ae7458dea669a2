//! Random generators as values, and the default one that `manual_seed` sets.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cresset_kernels::random::Mt19937;

use crate::{Error, Result};

/// PyTorch's seed of a generator that was never seeded.
const DEFAULT_SEED: u64 = 67_280_421_310_721;

/// A stream of random numbers, equal to PyTorch's CPU generator bit for bit. Clones share the stream.
#[derive(Clone)]
pub struct Generator(Arc<Mutex<Mt19937>>);

impl Default for Generator {
    fn default() -> Self {
        Generator::new(DEFAULT_SEED)
    }
}

impl std::fmt::Debug for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<torch.Generator seed={}>", self.initial_seed())
    }
}

impl Generator {
    /// A generator of its own with that seed.
    pub fn new(seed: u64) -> Generator {
        Generator(Arc::new(Mutex::new(Mt19937::new(seed))))
    }

    /// Starts the stream anew from a seed.
    pub fn manual_seed(&self, seed: u64) {
        *self.lock() = Mt19937::new(seed);
    }

    /// The seed that the stream started from.
    pub fn initial_seed(&self) -> u64 {
        self.lock().seed()
    }

    /// The state in PyTorch's layout of 5056 bytes.
    pub fn get_state(&self) -> Vec<u8> {
        self.lock().state().to_vec()
    }

    /// Continues from a state of PyTorch's layout.
    ///
    /// # Errors
    /// `Type` when the bytes are not such a state.
    pub fn set_state(&self, state: &[u8]) -> Result<()> {
        let engine = Mt19937::from_state(state).map_err(|e| Error::type_error(e.to_string()))?;
        *self.lock() = engine;
        Ok(())
    }

    /// The engine, locked.
    pub fn lock(&self) -> MutexGuard<'_, Mt19937> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The generator that calls without one of their own draw from.
pub fn default_generator() -> &'static Generator {
    static DEFAULT: OnceLock<Generator> = OnceLock::new();
    DEFAULT.get_or_init(Generator::default)
}

/// Seeds the default generator, as `torch.manual_seed`.
pub fn manual_seed(seed: u64) {
    default_generator().manual_seed(seed);
}

/// The state of the default generator.
pub fn get_rng_state() -> Vec<u8> {
    default_generator().get_state()
}

/// Sets the state of the default generator.
///
/// # Errors
/// As [`Generator::set_state`].
pub fn set_rng_state(state: &[u8]) -> Result<()> {
    default_generator().set_state(state)
}

/// Runs `f` with the default generator in that state and puts the present one back afterwards.
pub(crate) fn with_state<T>(state: &[u8], f: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = get_rng_state();
    set_rng_state(state)?;
    let result = f();
    set_rng_state(&before)?;
    result
}
