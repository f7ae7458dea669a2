//! The general case of [`run`](super::run): operands that need converting, gathering or scattering.

use super::{Loop, panels};
use crate::cast::{Convert, converter};
use crate::dtype::DType;
use crate::parallel::for_ranges;
use crate::strided::{Cursor, Operand, Plan};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Elements of a block: buffers of this many elements stay in the first-level cache.
const BLOCK: usize = 1024;

/// Bytes of a block of elements of up to 8 bytes.
const BYTES: usize = 4096;

/// Rows at least this long are walked one at a time, so that operands can be used in place within a row.
pub(super) const ROW: usize = 96;

/// Outputs of at least so many bytes bypass the caches: they would evict everything and not stay themselves.
pub(crate) const STREAM: usize = 24 << 20;

/// One block of one operand, in the type that the kernel computes in.
#[repr(align(64))]
struct Buffer(#[allow(dead_code)] MaybeUninit<[u8; BLOCK * 16]>);

const _: () = assert!(BYTES <= BLOCK * 16);

/// How a block of an operand reaches the kernel.
#[derive(Clone, Copy)]
enum Access {
    /// In place.
    Direct,
    /// Through a buffer that was filled once.
    Constant,
    /// Through a buffer, with this conversion.
    Buffered(Convert),
    /// Written to a buffer that is then copied past the caches.
    Stream,
}

/// Everything about an operation that does not change from block to block.
struct Job<'a, const N: usize> {
    plan: Plan<N>,
    access: [Access; N],
    element: [usize; N],
    compute: [DType; N],
    types: [DType; N],
    by_rows: bool,
    kernel: Loop<'a, N>,
}

/// # Safety
/// As [`run`](super::run).
#[inline(never)]
pub(super) unsafe fn run<const N: usize>(
    sizes: &[i64],
    operands: &[Operand; N],
    compute: [DType; N],
    grain: usize,
    kernel: Loop<N>,
) {
    let plan = Plan::new(sizes, operands);
    // SAFETY: the caller's promise.
    if unsafe { panels::run(&plan, operands, compute, kernel) } {
        return;
    }
    let by_rows = plan.dims().len() == 1 || plan.dims()[0].size >= ROW;
    let types = operands.map(|o| o.dtype);
    let access = std::array::from_fn(|i| access(&plan, operands, i, compute[i], by_rows, sizes));
    let job = Job { access, element: compute.map(DType::size), compute, types, by_rows, kernel, plan };
    for_ranges(job.plan.total(), grain, |range| {
        // SAFETY: the caller's promise, for the elements of this range.
        unsafe { job.range(range) }
    });
}

fn access<const N: usize>(
    plan: &Plan<N>,
    operands: &[Operand; N],
    i: usize,
    compute: DType,
    by_rows: bool,
    sizes: &[i64],
) -> Access {
    let operand = &operands[i];
    let size = compute.size();
    let in_order = plan.is_flat(i, size) || (by_rows && plan.dims()[0].strides[i] == size as isize);
    let is_output_too = i > 0 && operand.ptr == operands[0].ptr;
    if operand.dtype == compute && in_order && !is_output_too {
        let stream = i == 0 && plan.total() * size >= STREAM && operand.ptr.addr().is_multiple_of(size);
        return if stream { Access::Stream } else { Access::Direct };
    }
    if i == 0 {
        return Access::Buffered(converter(compute, operand.dtype));
    }
    if operand.is_constant(sizes) && !is_output_too {
        return Access::Constant;
    }
    Access::Buffered(converter(operand.dtype, compute))
}

impl<const N: usize> Job<'_, N> {
    /// # Safety
    /// As [`run`], for the elements of `range`.
    unsafe fn range(&self, range: Range<usize>) {
        let mut buffers: [Buffer; N] = std::array::from_fn(|_| Buffer(MaybeUninit::uninit()));
        let buffers: [*mut u8; N] = std::array::from_fn(|i| (&raw mut buffers[i]).cast());
        // SAFETY: buffers hold so many elements of the types computed in.
        unsafe { self.fill_constants(buffers, range.len().min(self.buffered())) };
        let mut cursor = self.plan.cursor(range.start);
        let mut done = range.start;
        while done < range.end {
            let limit = if self.by_rows { cursor.run() } else { usize::MAX };
            let n = limit.min(self.block()).min(range.end - done);
            // SAFETY: the block lies in `range`.
            unsafe { self.one_block(&mut cursor, buffers, done, n) };
            done += n;
        }
    }

    /// Elements of a block that a buffer holds.
    fn buffered(&self) -> usize {
        let widest = self.element.into_iter().max().unwrap_or(1);
        (BYTES / widest).max(BLOCK)
    }

    /// Elements of a block: no limit where no buffer is used.
    fn block(&self) -> usize {
        if self.access.iter().all(|a| matches!(a, Access::Direct)) { usize::MAX } else { self.buffered() }
    }

    /// # Safety
    /// `n` is at most [`buffered`](Self::buffered), and constant operands have an element.
    unsafe fn fill_constants(&self, buffers: [*mut u8; N], n: usize) {
        for (i, buffer) in buffers.into_iter().enumerate() {
            if let Access::Constant = self.access[i] {
                let element = self.element[i] as isize;
                // SAFETY: one element is converted into the buffer, then repeated there.
                unsafe {
                    let (load, repeat) = (
                        converter(self.types[i], self.compute[i]),
                        converter(self.compute[i], self.compute[i]),
                    );
                    load.run(buffer, element, self.plan.bases()[i], 0, 1);
                    repeat.run(buffer.offset(element), element, buffer, 0, n - 1);
                }
            }
        }
    }

    /// Loads, computes and stores the `n` elements from `cursor` on, and moves the cursor past them.
    ///
    /// # Safety
    /// The elements exist, and a block that needs buffers is no longer than they are.
    #[inline]
    unsafe fn one_block(&self, cursor: &mut Cursor<N>, buffers: [*mut u8; N], linear: usize, n: usize) {
        let ptrs = std::array::from_fn(|i| match self.access[i] {
            Access::Direct if self.by_rows => cursor.ptrs[i],
            Access::Direct => self.plan.bases()[i].wrapping_add(linear * self.element[i]),
            _ => buffers[i],
        });
        let start = cursor.clone();
        // SAFETY: as this function.
        unsafe {
            self.transfer(cursor, buffers, n, |i| i > 0);
            (self.kernel)(ptrs, n);
            match self.access[0] {
                Access::Stream if self.by_rows => stream(start.ptrs[0], buffers[0], n * self.element[0]),
                Access::Stream => {
                    let out = self.plan.bases()[0].wrapping_add(linear * self.element[0]);
                    stream(out, buffers[0], n * self.element[0]);
                }
                Access::Buffered(_) => self.transfer(&mut { start }, buffers, n, |i| i == 0),
                _ => {}
            }
        }
    }

    /// Moves the cursor past `n` elements and converts them between memory and the buffers of the chosen operands.
    ///
    /// # Safety
    /// As [`one_block`](Self::one_block).
    #[inline]
    unsafe fn transfer(
        &self,
        cursor: &mut Cursor<N>,
        buffers: [*mut u8; N],
        n: usize,
        chosen: impl Fn(usize) -> bool,
    ) {
        let mut done = 0;
        let strides = self.plan.dims()[0].strides;
        while done < n {
            let run = cursor.run().min(n - done);
            for i in (0..N).filter(|&i| chosen(i)) {
                let Access::Buffered(convert) = self.access[i] else { continue };
                let element = self.element[i] as isize;
                let buffer = buffers[i].wrapping_add(done * self.element[i]);
                let memory = cursor.ptrs[i];
                // SAFETY: the run lies in the operand, and `done + run <= n` in the buffer.
                unsafe {
                    if i == 0 {
                        convert.run(memory, strides[i], buffer, element, run);
                    } else {
                        convert.run(buffer, element, memory, strides[i], run);
                    }
                }
            }
            cursor.step(run);
            done += run;
        }
    }
}

/// Copies `bytes` from a cache-resident buffer to memory without bringing the target into the caches.
///
/// # Safety
/// As [`std::ptr::copy_nonoverlapping`]; `src` is aligned to 64 bytes.
#[cfg(target_arch = "x86_64")]
unsafe fn stream(dst: *mut u8, src: *const u8, bytes: usize) {
    use std::arch::x86_64::{__m128i, _mm_load_si128, _mm_sfence, _mm_stream_si128};
    if !dst.addr().is_multiple_of(16) {
        // SAFETY: the caller's promise.
        return unsafe { std::ptr::copy_nonoverlapping(src, dst, bytes) };
    }
    let vectors = bytes / 16;
    // SAFETY: both sides are valid for `bytes` and aligned to 16.
    unsafe {
        for i in 0..vectors {
            _mm_stream_si128(dst.cast::<__m128i>().add(i), _mm_load_si128(src.cast::<__m128i>().add(i)));
        }
        std::ptr::copy_nonoverlapping(src.add(vectors * 16), dst.add(vectors * 16), bytes % 16);
        _mm_sfence();
    }
}

/// Copies `bytes` from a cache-resident buffer to memory.
///
/// # Safety
/// As [`std::ptr::copy_nonoverlapping`].
#[cfg(not(target_arch = "x86_64"))]
unsafe fn stream(dst: *mut u8, src: *const u8, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(src, dst, bytes) }
}
