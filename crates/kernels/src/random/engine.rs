//! The Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998) with PyTorch's seeding and saved state.

use crate::multiversion;

const N: usize = 624;
const M: usize = 397;

/// Size of a saved state in bytes, as `torch.get_rng_state()` returns it.
pub const STATE_BYTES: usize = 5056;
/// Size of the states that PyTorch wrote before version 1.0: without the cached `f32` normal.
const OLD_STATE_BYTES: usize = 5048;

/// A saved state that cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateError {
    /// The number of bytes is neither of the two that exist.
    Size(usize),
    /// The engine's position lies outside its words.
    Invalid,
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StateError::Size(got) => write!(
                f,
                "Expected either a CPUGeneratorImplStateLegacy of size {OLD_STATE_BYTES} or a CPUGeneratorImplState of \
                 size {STATE_BYTES} but found the input RNG state size to be {got}"
            ),
            StateError::Invalid => f.write_str("Invalid mt19937 state"),
        }
    }
}

impl std::error::Error for StateError {}

/// PyTorch's default CPU generator: the engine, and the second value of the last pair of normals.
#[derive(Clone, Debug, PartialEq)]
pub struct Mt19937 {
    words: [u32; N],
    seed: u64,
    /// One more than the number of words that are left.
    left: u32,
    next: u32,
    cached_normal: Option<f64>,
    cached_normal_f32: Option<f32>,
}

impl Mt19937 {
    /// An engine seeded as `torch.manual_seed(seed)` does: the low 32 bits decide.
    pub fn new(seed: u64) -> Mt19937 {
        let mut words = [seed as u32; N];
        for i in 1..N {
            let last = words[i - 1];
            words[i] = 1_812_433_253_u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(i as u32);
        }
        Mt19937 { words, seed, left: 1, next: 0, cached_normal: None, cached_normal_f32: None }
    }

    /// The seed that the engine was made from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The next 32 random bits.
    #[inline]
    pub fn u32(&mut self) -> u32 {
        let word = self.available()[0];
        self.consume(1);
        temper(word)
    }

    /// The next 64 random bits: two draws, the first one high.
    #[inline]
    pub fn u64(&mut self) -> u64 {
        let high = self.u32();
        pair(high, self.u32())
    }

    /// A number in `[0, 1)` with 53 random bits.
    #[inline]
    pub fn f64(&mut self) -> f64 {
        unit_f64(self.u64())
    }

    /// A standard normal in double precision; the second value of each pair is kept for the next call.
    pub fn normal(&mut self) -> f64 {
        if let Some(value) = self.cached_normal.take() {
            return value;
        }
        let (u1, u2) = (self.f64(), self.f64());
        let radius = (-2.0 * (-u2).ln_1p()).sqrt();
        let theta = 2.0 * std::f64::consts::PI * u1;
        self.cached_normal = Some(radius * theta.sin());
        radius * theta.cos()
    }

    /// Sets `out[i]` to `f` of the next 32 bits.
    #[inline(always)]
    pub(super) fn fill<T>(&mut self, mut out: &mut [T], f: impl Fn(u32) -> T) {
        while !out.is_empty() {
            let words = self.available();
            let (block, rest) = out.split_at_mut(words.len().min(out.len()));
            for (value, &word) in block.iter_mut().zip(words) {
                *value = f(temper(word));
            }
            let used = block.len();
            self.consume(used);
            out = rest;
        }
    }

    /// Sets `out[i]` to `f` of the next 64 bits.
    #[inline(always)]
    pub(super) fn fill_wide<T>(&mut self, mut out: &mut [T], f: impl Fn(u64) -> T) {
        while !out.is_empty() {
            let words = self.available();
            let pairs = (words.len() / 2).min(out.len());
            if pairs == 0 {
                // One word is left: the pair straddles two blocks.
                out[0] = f(self.u64());
                out = &mut out[1..];
                continue;
            }
            let (block, rest) = out.split_at_mut(pairs);
            for (value, word) in block.iter_mut().zip(words.chunks_exact(2)) {
                *value = f(pair(temper(word[0]), temper(word[1])));
            }
            self.consume(2 * pairs);
            out = rest;
        }
    }

    /// The words not yet drawn, at least one.
    #[inline(always)]
    fn available(&mut self) -> &[u32] {
        if self.left == 1 {
            twist(&mut self.words);
            self.left = N as u32 + 1;
            self.next = 0;
        }
        let start = self.next as usize;
        &self.words[start..start + self.left as usize - 1]
    }

    #[inline(always)]
    fn consume(&mut self, words: usize) {
        self.left -= words as u32;
        self.next += words as u32;
    }

    /// The state in the bytes of `torch.get_rng_state()`.
    pub fn state(&self) -> [u8; STATE_BYTES] {
        let mut bytes = [0; STATE_BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &self.seed.to_le_bytes());
        put(8, &self.left.to_le_bytes());
        put(12, &1_u32.to_le_bytes());
        put(16, &u64::from(self.next).to_le_bytes());
        for (i, word) in self.words.iter().enumerate() {
            put(24 + 8 * i, &u64::from(*word).to_le_bytes());
        }
        // 5016: a field of older versions, always zero; so is 5032.
        put(5024, &self.cached_normal.unwrap_or(0.0).to_le_bytes());
        put(5040, &u32::from(self.cached_normal.is_some()).to_le_bytes());
        put(5048, &self.cached_normal_f32.unwrap_or(0.0).to_le_bytes());
        put(5052, &[u8::from(self.cached_normal_f32.is_some())]);
        bytes
    }

    /// The engine whose [`state`](Self::state) gave these bytes.
    ///
    /// # Errors
    /// If the size is wrong or the position lies outside the words.
    pub fn from_state(bytes: &[u8]) -> Result<Mt19937, StateError> {
        if bytes.len() != STATE_BYTES && bytes.len() != OLD_STATE_BYTES {
            return Err(StateError::Size(bytes.len()));
        }
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let wide = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let (left, seeded, next) = (word(8), word(12), wide(16));
        // Before the first draw after seeding `left` is 1 and `next` 0; from then on they add up to 625 at least.
        let fits = (1..=N as u32).contains(&left) && next + u64::from(left) <= N as u64 + 1;
        if seeded == 0 || !fits {
            return Err(StateError::Invalid);
        }
        let new_format = bytes.len() == STATE_BYTES;
        Ok(Mt19937 {
            words: std::array::from_fn(|i| word(24 + 8 * i)),
            seed: wide(0),
            left,
            next: next as u32,
            cached_normal: (word(5040) != 0).then(|| f64::from_bits(wide(5024))),
            cached_normal_f32: (new_format && bytes[5052] != 0).then(|| f32::from_bits(word(5048))),
        })
    }
}

/// A number in `[0, 1)` from the low 24 bits.
#[inline(always)]
pub(super) fn unit_f32(bits: u32) -> f32 {
    // As a signed number: processors before AVX-512 convert only those.
    (bits & 0xff_ffff) as i32 as f32 * (1.0 / 16_777_216.0)
}

/// A number in `[0, 1)` from the low 53 bits.
#[inline(always)]
pub(super) fn unit_f64(bits: u64) -> f64 {
    (bits & ((1 << 53) - 1)) as i64 as f64 * (1.0 / 9_007_199_254_740_992.0)
}

#[inline(always)]
fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

#[inline(always)]
fn temper(mut y: u32) -> u32 {
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c_5680;
    y ^= (y << 15) & 0xefc6_0000;
    y ^ (y >> 18)
}

/// The next word from one word, its successor and the word `M` further on.
#[inline(always)]
fn mix(word: u32, successor: u32, far: u32) -> u32 {
    let joined = (word & 0x8000_0000) | (successor & 0x7fff_ffff);
    far ^ (joined >> 1) ^ (0x9908_b0df & (successor & 1).wrapping_neg())
}

multiversion! {
    /// Replaces the words by the next 624.
    fn twist(words: &mut [u32; N]) {
        for i in 0..N - M {
            words[i] = mix(words[i], words[i + 1], words[i + M]);
        }
        for i in N - M..N - 1 {
            words[i] = mix(words[i], words[i + 1], words[i - (N - M)]);
        }
        words[N - 1] = mix(words[N - 1], words[0], words[M - 1]);
    }
}
