//! Discrete Fourier transforms along one dimension of strided operands.
//!
//! Every line along the dimension is transformed on its own, in place where it lies in one piece; lines that do not are
//! brought into a buffer a few neighbours at a time, so that whole cache lines are moved. Transforms along several
//! dimensions are one such pass each.

mod line;

#[cfg(test)]
mod tests;

use num_complex::Complex;

use crate::dtype::DType;
use crate::parallel::for_ranges;
use crate::strided::{Operand, Plan};
use line::{Length, RealLine};

/// Lines that are moved together: a cache line of `complex64`.
const BLOCK: usize = 8;

/// Elements that are worth a thread.
const GRAIN: usize = 8_192;

/// What a pass makes of each line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Complex to complex, with `e^-i` if forward.
    Complex {
        /// The sign of the exponent is negative.
        forward: bool,
    },
    /// Real to complex, forward: as many frequencies as the output has, half of them or all.
    FromReal,
    /// The first half of a Hermitian line to real, inverse.
    ToReal,
}

/// Transforms along dimension `dim` and multiplies with `scale`.
///
/// `sizes` are those of both operands but for `dim`, where the input has `lengths.1` elements and the output `lengths.0`.
///
/// # Safety
/// The operands are valid for their sizes and have the dtypes of `kind`, of one precision; the output has no two indices
/// at one address and is the input itself (of `Kind::Complex`) or does not overlap it.
pub unsafe fn transform(
    kind: Kind,
    scale: f64,
    dim: usize,
    sizes: &[i64],
    lengths: (usize, usize),
    out: Operand,
    x: Operand,
) {
    let along = (out.strides[dim] as isize, x.strides[dim] as isize);
    let without = |list: &[i64]| [&list[..dim], &list[dim + 1..]].concat();
    let (outer, o, i) = (without(sizes), without(out.strides), without(x.strides));
    if outer.contains(&0) {
        // A plan for a length that nothing has would cost all the same.
        return;
    }
    let operands = [Operand::new(out.ptr, out.dtype, &o), Operand::new(x.ptr, x.dtype, &i)];
    let pass = Pass { kind, scale, lengths, along, plan: Plan::new(&outer, &operands) };
    // SAFETY: the caller's promise.
    unsafe {
        match out.dtype {
            DType::F32 | DType::Complex64 => pass.run::<f32>(),
            _ => pass.run::<f64>(),
        }
    }
}

/// One pass over all lines.
struct Pass {
    kind: Kind,
    scale: f64,
    /// Elements of a line of the output and of the input.
    lengths: (usize, usize),
    /// Distance between the elements of a line, likewise.
    along: (isize, isize),
    plan: Plan<2>,
}

impl Pass {
    /// # Safety
    /// As [`transform`], with operands of the precision `T`.
    unsafe fn run<T: Length>(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.kind {
                Kind::Complex { forward } => self.complex::<T>(forward),
                Kind::FromReal => {
                    let real = RealLine::<T>::new(self.lengths.1, true);
                    self.lines(|x: &[T], y: &mut [Complex<T>], work| real.forward(x, y, work, self.scale))
                }
                Kind::ToReal => {
                    let real = RealLine::<T>::new(self.lengths.0, false);
                    self.lines(|x: &[Complex<T>], y: &mut [T], work| real.inverse(x, y, work, self.scale))
                }
            }
        }
    }

    /// # Safety
    /// As [`Pass::run`].
    unsafe fn complex<T: Length>(&self, forward: bool) {
        let n = self.lengths.0;
        let fft = T::plan(n, forward);
        let factor = T::real(self.scale);
        let finish = |line: &mut [Complex<T>], scratch: &mut Vec<Complex<T>>| {
            scratch.resize(fft.get_inplace_scratch_len(), Complex::default());
            fft.process_with_scratch(line, scratch);
            if self.scale != 1.0 {
                line.iter_mut().for_each(|v| *v = v.scale(factor));
            }
        };
        if self.along.0 != 1 && n > 1 {
            let each = |x: &[Complex<T>], y: &mut [Complex<T>], scratch: &mut Vec<Complex<T>>| {
                y.copy_from_slice(x);
                finish(y, scratch);
            };
            // SAFETY: the caller's promise.
            return unsafe { self.lines(each) };
        }
        for_ranges(self.plan.total(), self.grain(), |range| {
            let (mut scratch, steps) = (Vec::new(), self.plan.dims()[0].strides);
            self.plan.runs(range, |ptrs, count| {
                for i in 0..count {
                    let [to, from] = at(ptrs, steps, i);
                    // SAFETY: the line is the caller's to write and no other call's.
                    let line = unsafe { std::slice::from_raw_parts_mut(to.cast::<Complex<T>>(), n) };
                    if to != from {
                        let from = Lines { at: from.cast::<Complex<T>>(), along: self.along.1, between: 0 };
                        // SAFETY: the input has `n` elements here and does not overlap the output.
                        unsafe { from.load(line, n) };
                    }
                    finish(line, &mut scratch);
                }
            });
        });
    }

    /// Calls `each(input, output, work)` for every line, read and written through buffers.
    ///
    /// # Safety
    /// As [`Pass::run`], with operands of the types `X` and `Y`.
    unsafe fn lines<X: Copy + Default, Y: Copy + Default, W>(
        &self,
        each: impl Fn(&[X], &mut [Y], &mut Vec<W>) + Sync,
    ) {
        let (n, m) = self.lengths;
        for_ranges(self.plan.total(), self.grain(), |range| {
            let steps = self.plan.dims()[0].strides;
            let (mut x, mut y) = (vec![X::default(); BLOCK * m], vec![Y::default(); BLOCK * n]);
            let mut work = Vec::new();
            self.plan.runs(range, |ptrs, count| {
                for start in (0..count).step_by(BLOCK) {
                    let rows = BLOCK.min(count - start);
                    let [to, from] = at(ptrs, steps, start);
                    let from = Lines::<X>::new(from, self.along.1, steps[1]);
                    // SAFETY: the lines exist and nobody writes them meanwhile.
                    unsafe { from.load(&mut x[..rows * m], m) };
                    for (x, y) in x.chunks_exact(m).zip(y.chunks_exact_mut(n)).take(rows) {
                        each(x, y, &mut work);
                    }
                    // SAFETY: the lines are this call's to write.
                    unsafe { Lines::<Y>::new(to, self.along.0, steps[0]).store(&y[..rows * n], n) };
                }
            });
        });
    }

    fn grain(&self) -> usize {
        (GRAIN / self.lengths.0.max(self.lengths.1).max(1)).max(1)
    }
}

/// The addresses of line number `i` of a run.
fn at(ptrs: [*mut u8; 2], steps: [isize; 2], i: usize) -> [*mut u8; 2] {
    std::array::from_fn(|k| ptrs[k].wrapping_offset(i as isize * steps[k]))
}

/// Neighbouring lines: distances in elements.
struct Lines<T> {
    at: *mut T,
    along: isize,
    between: isize,
}

impl<T: Copy> Lines<T> {
    fn new(at: *mut u8, along: isize, step: isize) -> Lines<T> {
        Lines { at: at.cast(), along, between: step / size_of::<T>() as isize }
    }

    /// Whether neighbours lie closer to each other than the elements of a line do.
    fn across(&self) -> bool {
        self.between.unsigned_abs() < self.along.unsigned_abs() && self.between != 0
    }

    /// Reads lines of `n` elements into `buf`, one after another.
    ///
    /// # Safety
    /// The lines are readable, and `buf` lies elsewhere.
    unsafe fn load(&self, buf: &mut [T], n: usize) {
        let rows = buf.len() / n;
        let get = |row: usize, i: usize| {
            // SAFETY: the caller's promise.
            unsafe { *self.at.wrapping_offset(row as isize * self.between + i as isize * self.along) }
        };
        if self.across() {
            for i in 0..n {
                for row in 0..rows {
                    buf[row * n + i] = get(row, i);
                }
            }
        } else {
            for (row, line) in buf.chunks_exact_mut(n).enumerate() {
                line.iter_mut().enumerate().for_each(|(i, v)| *v = get(row, i));
            }
        }
    }

    /// Writes `buf`, lines of `n` elements one after another.
    ///
    /// # Safety
    /// The lines are the caller's to write.
    unsafe fn store(&self, buf: &[T], n: usize) {
        let rows = buf.len() / n;
        let put = |row: usize, i: usize| {
            let to = self.at.wrapping_offset(row as isize * self.between + i as isize * self.along);
            // SAFETY: the caller's promise.
            unsafe { *to = buf[row * n + i] };
        };
        if self.across() {
            (0..n).for_each(|i| (0..rows).for_each(|row| put(row, i)));
        } else {
            (0..rows).for_each(|row| (0..n).for_each(|i| put(row, i)));
        }
    }
}
