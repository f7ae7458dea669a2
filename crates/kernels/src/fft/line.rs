//! Transforms of one line: plans, and real lines by complex transforms of half their length.

use std::collections::HashMap;
use std::f64::consts::PI;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use num_complex::Complex;
use rustfft::{Fft, FftNum, FftPlanner};

use crate::math::Real;

/// Lengths whose plans are kept.
const KEPT: usize = 128;

/// The plans of one precision that are kept for the next call.
pub struct Plans<T: FftNum> {
    planner: FftPlanner<T>,
    twiddles: HashMap<usize, Arc<[Complex<T>]>>,
    made: usize,
}

impl<T: Length> Plans<T> {
    fn new() -> Self {
        Plans { planner: FftPlanner::new(), twiddles: HashMap::new(), made: 0 }
    }

    /// Forgets everything now and then, so that a program that goes through many lengths does not fill the memory.
    fn bounded(&mut self) -> &mut Self {
        self.made += 1;
        if self.made > KEPT {
            *self = Plans::new();
        }
        self
    }
}

/// A precision that transforms are computed in.
pub trait Length: FftNum + Real + Default {
    #[doc(hidden)]
    fn plans() -> &'static Mutex<Plans<Self>>;

    /// The complex transform of `n` elements.
    fn plan(n: usize, forward: bool) -> Arc<dyn Fft<Self>> {
        let mut plans = Self::plans().lock().unwrap_or_else(PoisonError::into_inner);
        let planner = &mut plans.bounded().planner;
        if forward { planner.plan_fft_forward(n) } else { planner.plan_fft_inverse(n) }
    }

    /// `-i e^(-2 pi i k / n)` for `k` up to `n / 2`.
    fn twiddles(n: usize) -> Arc<[Complex<Self>]> {
        let mut plans = Self::plans().lock().unwrap_or_else(PoisonError::into_inner);
        let factor = |k: usize| {
            let (sin, cos) = (-2.0 * PI * k as f64 / n as f64).sin_cos();
            Complex::new(Self::real(sin), Self::real(-cos))
        };
        plans.bounded().twiddles.entry(n).or_insert_with(|| (0..n / 2).map(factor).collect()).clone()
    }
}

macro_rules! lengths {
    ($($ty:ty),*) => {$(
        impl Length for $ty {
            fn plans() -> &'static Mutex<Plans<$ty>> {
                static PLANS: LazyLock<Mutex<Plans<$ty>>> = LazyLock::new(|| Mutex::new(Plans::new()));
                &PLANS
            }
        }
    )*};
}

lengths!(f32, f64);

/// The transform between `n` real numbers and the first half of their frequencies.
///
/// An even number of them is taken as half as many complex numbers (even places are real parts): the frequencies of both
/// parts are told apart by their symmetry. An odd number goes through the complex transform.
pub struct RealLine<T: Length> {
    n: usize,
    fft: Arc<dyn Fft<T>>,
    twiddles: Arc<[Complex<T>]>,
}

impl<T: Length> RealLine<T> {
    pub fn new(n: usize, forward: bool) -> Self {
        let even = n.is_multiple_of(2);
        let fft = T::plan(if even { n / 2 } else { n }, forward);
        RealLine { n, fft, twiddles: if even { T::twiddles(n) } else { Arc::new([]) } }
    }

    /// Transforms `work[..length]` in place; the rest is scratch.
    fn process(&self, work: &mut [Complex<T>]) {
        let (line, scratch) = work.split_at_mut(self.fft.len());
        self.fft.process_with_scratch(line, scratch);
    }

    fn prepare(&self, work: &mut Vec<Complex<T>>) {
        work.resize(self.fft.len() + self.fft.get_inplace_scratch_len(), Complex::default());
    }

    /// The frequencies of `x`, times `scale`: the first `n / 2 + 1`, or all if `y` has room for `n`.
    pub fn forward(&self, x: &[T], y: &mut [Complex<T>], work: &mut Vec<Complex<T>>, scale: f64) {
        self.prepare(work);
        let half = self.n / 2 + 1;
        if self.n.is_multiple_of(2) {
            work.iter_mut().zip(x.chunks_exact(2)).for_each(|(w, x)| *w = Complex::new(x[0], x[1]));
            self.process(work);
            self.untangle(work, y, T::real(scale));
        } else {
            work.iter_mut().zip(x).for_each(|(w, x)| *w = Complex::new(*x, T::ZERO));
            self.process(work);
            y.iter_mut().zip(&*work).take(half).for_each(|(y, w)| *y = w.scale(T::real(scale)));
            y[0].im = T::ZERO;
        }
        for k in half..y.len() {
            y[k] = y[self.n - k].conj();
        }
    }

    /// The frequencies of the line from those of its complex half.
    fn untangle(&self, work: &[Complex<T>], y: &mut [Complex<T>], scale: T) {
        let m = self.n / 2;
        let first = work[0];
        y[0] = Complex::new((first.re + first.im) * scale, T::ZERO);
        y[m] = Complex::new((first.re - first.im) * scale, T::ZERO);
        let half = T::real(0.5) * scale;
        for k in 1..m {
            let (a, b) = (work[k], work[m - k].conj());
            y[k] = ((a + b) + self.twiddles[k] * (a - b)).scale(half);
        }
    }

    /// The real line whose first frequencies are `x`, times `scale`; the imaginary parts of the first and, if `n` is even,
    /// of the last one count as 0.
    pub fn inverse(&self, x: &[Complex<T>], y: &mut [T], work: &mut Vec<Complex<T>>, scale: f64) {
        self.prepare(work);
        let scale = T::real(scale);
        if self.n.is_multiple_of(2) {
            self.tangle(x, work);
            self.process(work);
            for (y, w) in y.chunks_exact_mut(2).zip(&*work) {
                (y[0], y[1]) = (w.re * scale, w.im * scale);
            }
        } else {
            work[0] = Complex::new(x[0].re, T::ZERO);
            for k in 1..=self.n / 2 {
                (work[k], work[self.n - k]) = (x[k], x[k].conj());
            }
            self.process(work);
            y.iter_mut().zip(&*work).for_each(|(y, w)| *y = w.re * scale);
        }
    }

    /// Twice the frequencies of the complex half from those of the line.
    fn tangle(&self, x: &[Complex<T>], work: &mut [Complex<T>]) {
        let m = self.n / 2;
        work[0] = Complex::new(x[0].re + x[m].re, x[0].re - x[m].re);
        for k in 1..m {
            let (a, b) = (x[k], x[m - k].conj());
            work[k] = (a + b) + self.twiddles[k].conj() * (a - b);
        }
    }
}
