//! The blocked loops around the register tiles.
//!
//! Of a block of C (at most [`BLOCK_ROWS`] rows, as many columns as keep a block of B in L2) one thread does
//! everything: for each block of `k` it packs the columns of B, then runs the tiles, a panel of A at a time (it stays
//! in L1). Panels of A are packed beforehand, once for all blocks, in parallel. Packing B again for each
//! [`BLOCK_ROWS`] rows costs less than a barrier between packing and computing.
//!
//! An element of C is always the sum over the same blocks of `k` in the same order, so the cut into blocks of C may
//! follow the number of threads.

use super::micro::{Micro, Out, Real};
use super::{Bias, Gemm, buffer};
use crate::parallel::{for_tasks, num_threads};
use std::ops::Range;

/// Rows of C in one block.
const BLOCK_ROWS: usize = 512;
/// Bytes of a panel column: a block of `k` holds this many bytes of one row of A.
const K_BYTES: usize = 2048;
/// Bytes of a packed block of B, half of a common L2 cache.
const B_BYTES: usize = 512 * 1024;
/// Elements of A packed at a time.
const A_ELEMENTS: usize = 4 << 20;
/// Longest sum done without going through C.
const K_WAVE: usize = 8192;
/// Multiplications below which it is cheaper for each thread to pack all of B than to wait for the others.
const SMALL: usize = 320 * 320 * 320;
/// Multiplications below which threads are not worth their start.
const SERIAL: usize = 48 * 48 * 48;

/// What part of the sum a pass does.
#[derive(Clone, Copy)]
struct Pass {
    start: usize,
    end: usize,
    first: bool,
    last: bool,
}

/// A block of C: an item, its rows and columns.
struct Block {
    item: usize,
    rows: Range<usize>,
    cols: Range<usize>,
}

impl<T: Real> Gemm<'_, T> {
    /// Computes every item with the given tiles.
    ///
    /// # Safety
    /// The processor has their instructions; operands and sink are valid for the sizes named.
    pub(super) unsafe fn drive(&self, micro: &'static Micro<T>) {
        if self.items * self.m * self.n == 0 {
            return;
        }
        // SAFETY: the caller's promise is passed on.
        unsafe {
            if self.k <= K_WAVE {
                return self.pass(micro, Pass { start: 0, end: self.k, first: true, last: true });
            }
            if self.c.direct(0, 0..self.m, 0..self.n).is_none() {
                return self.through_scratch(micro);
            }
            for start in (0..self.k).step_by(K_WAVE) {
                let end = self.k.min(start + K_WAVE);
                self.pass(micro, Pass { start, end, first: start == 0, last: end == self.k });
            }
        }
    }

    /// One part of the sum for all items and all of C.
    unsafe fn pass(&self, micro: &'static Micro<T>, pass: Pass) {
        let k = (pass.end - pass.start).max(1);
        let work = self.m * self.n * k;
        let threads = if work * self.items < SERIAL { 1 } else { num_threads() };
        let own_rows = self.own_rows(work, threads, micro.mr);
        let own_tasks = self.items * self.m.div_ceil(own_rows);
        // SAFETY: the caller's promise is passed on.
        unsafe {
            let enough = threads == 1 || own_tasks >= 4 * threads || own_rows < BLOCK_ROWS;
            if enough && self.m.min(own_rows) * k <= A_ELEMENTS / 4 {
                self.tasks_with_own_panels(micro, pass, threads, own_rows);
            } else {
                let span = (A_ELEMENTS / k).max(BLOCK_ROWS).next_multiple_of(micro.mr);
                for item in 0..self.items {
                    for start in (0..self.m).step_by(span) {
                        self.shared_panels(micro, pass, threads, item, start..self.m.min(start + span));
                    }
                }
            }
        }
    }

    /// Rows of a task that packs its own panels: of a small square product, two tasks a thread.
    fn own_rows(&self, work: usize, threads: usize, mr: usize) -> usize {
        let split = threads > 1 && self.items < 4 * threads && self.m >= self.n && work * self.items <= SMALL;
        let share = self.m.div_ceil(2 * threads).next_multiple_of(mr);
        if split { share.min(BLOCK_ROWS - 1) } else { BLOCK_ROWS }
    }

    /// Enough row blocks for all threads: each packs its rows of A and computes all its columns.
    unsafe fn tasks_with_own_panels(&self, micro: &'static Micro<T>, pass: Pass, threads: usize, own: usize) {
        let k = pass.end - pass.start;
        let row_blocks = self.m.div_ceil(own);
        let step = self.m.div_ceil(row_blocks).next_multiple_of(micro.mr);
        let cut = column_step(self.n, k, micro, 1);
        let task = |i: usize| {
            let (item, start) = (i / row_blocks, i % row_blocks * step);
            let rows = start.min(self.m)..self.m.min(start + step);
            buffer::with(buffer::A, rows.len().next_multiple_of(micro.mr) * k, |panels: *mut T| {
                // SAFETY: the buffer holds the padded rows; the rest is the caller's promise.
                unsafe {
                    self.a.pack(item, rows.clone(), pass.start..pass.end, micro.mr, panels);
                    for start in (0..self.n).step_by(cut) {
                        let cols = start..self.n.min(start + cut);
                        self.block(micro, pass, panels, &Block { item, rows: rows.clone(), cols });
                    }
                }
            });
        };
        run_tasks(self.items * row_blocks, threads, task);
    }

    /// Packs rows of A in parallel, then computes their blocks of C in parallel.
    unsafe fn shared_panels(
        &self,
        micro: &'static Micro<T>,
        pass: Pass,
        threads: usize,
        item: usize,
        rows: Range<usize>,
    ) {
        let k = pass.end - pass.start;
        let row_blocks = rows.len().div_ceil(BLOCK_ROWS);
        let row_step = rows.len().div_ceil(row_blocks).next_multiple_of(micro.mr);
        let col_step = column_step(self.n, k, micro, (3 * threads).div_ceil(row_blocks));
        let col_blocks = self.n.div_ceil(col_step);
        buffer::with(buffer::SHARED, rows.len().next_multiple_of(micro.mr) * k, |panels: *mut T| {
            let panels = Shared(panels);
            let chunk = rows.len().div_ceil(4 * threads).next_multiple_of(micro.mr);
            run_tasks(rows.len().div_ceil(chunk), threads, |i| {
                let some = rows.start + i * chunk..rows.end.min(rows.start + (i + 1) * chunk);
                // SAFETY: chunks are whole panels, so their places in the buffer do not overlap.
                unsafe { self.a.pack(item, some, pass.start..pass.end, micro.mr, panels.at(i * chunk * k)) }
            });
            run_tasks(row_blocks * col_blocks, threads, |i| {
                let (row, col) = (i % row_blocks * row_step, i / row_blocks * col_step);
                let block = Block {
                    item,
                    rows: rows.start + row..rows.end.min(rows.start + row + row_step),
                    cols: col..self.n.min(col + col_step),
                };
                // SAFETY: the panels of these rows start at `row * k`; blocks of C do not overlap.
                unsafe { self.block(micro, pass, panels.at(row * k), &block) }
            });
        });
    }

    /// Computes one block of C from packed rows of A.
    unsafe fn block(&self, micro: &'static Micro<T>, pass: Pass, panels: *const T, block: &Block) {
        let (rows, cols) = (block.rows.clone(), block.cols.clone());
        if rows.is_empty() || cols.is_empty() {
            return;
        }
        if let Some((c, row)) = self.c.direct(block.item, rows.clone(), cols.clone()) {
            // SAFETY: the sink says that the block can be written there.
            return unsafe { self.sums(micro, pass, panels, block, (c, row, self.beta)) };
        }
        buffer::with(buffer::C, rows.len() * cols.len(), |c: *mut T| {
            // SAFETY: the buffer holds the block.
            unsafe {
                self.sums(micro, pass, panels, block, (c, cols.len() as isize, T::ZERO));
                self.c.store(block.item, rows.clone(), cols.clone(), c, cols.len(), self.beta);
            }
        });
    }

    /// Sums over `k`, block by block, into `c`.
    unsafe fn sums(
        &self,
        micro: &'static Micro<T>,
        pass: Pass,
        panels: *const T,
        block: &Block,
        (c, row, beta): (*mut T, isize, T),
    ) {
        let k = pass.end - pass.start;
        let size = (block.rows.len(), block.cols.len());
        if let Some((b, steps)) = self.b.in_place(block.item) {
            let out = self.out(pass.first, pass.last, block, (c, row, beta));
            let b = Lines::InPlace(b.wrapping_add(block.cols.start), &steps[pass.start..pass.end]);
            // SAFETY: the caller's promise; the panels hold `k` steps each.
            return unsafe { tiles(micro, size, (panels, k), b, &out) };
        }
        let blocks = k.div_ceil(K_BYTES / size_of::<T>()).max(1);
        let k_step = k.div_ceil(blocks);
        let padded = block.cols.len().next_multiple_of(micro.nr);
        buffer::with(buffer::B, padded * k_step, |b: *mut T| {
            for i in 0..blocks {
                let (from, to) = (i * k_step, k.min((i + 1) * k_step));
                let (first, last) = (pass.first && i == 0, pass.last && i + 1 == blocks);
                let out = self.out(first, last, block, (c, row, beta));
                // SAFETY: the buffer holds the padded columns; the panels hold `k` steps each.
                unsafe {
                    self.b.pack(
                        block.item,
                        block.cols.clone(),
                        pass.start + from..pass.start + to,
                        micro.nr,
                        b,
                    );
                    tiles(micro, size, (panels.add(from * micro.mr), k), Lines::Packed(b, to - from), &out);
                }
            }
        });
    }

    /// What is done to the block's sums on their way to `c`.
    fn out(&self, first: bool, last: bool, block: &Block, (c, row, beta): (*mut T, isize, T)) -> Out<T> {
        let beta = if first { beta } else { T::ONE };
        let (row_bias, col_bias) =
            if last { self.bias_at(block) } else { (std::ptr::null(), std::ptr::null()) };
        Out { c, row, cols: 0, alpha: self.alpha, beta, row_bias, col_bias }
    }

    /// The biases of the block's first row and column.
    fn bias_at(&self, block: &Block) -> (*const T, *const T) {
        match self.bias {
            Bias::None => (std::ptr::null(), std::ptr::null()),
            Bias::Rows(bias, item) => {
                (bias[block.item * item + block.rows.start..].as_ptr(), std::ptr::null())
            }
            Bias::Cols(bias) => (std::ptr::null(), bias[block.cols.start..].as_ptr()),
        }
    }

    /// A long sum into a sink that cannot hold partial sums: they go to a matrix of their own first.
    unsafe fn through_scratch(&self, micro: &'static Micro<T>) {
        let (m, n) = (self.m, self.n);
        let mut sums = vec![T::ZERO; m * n];
        let ptr = Shared(sums.as_mut_ptr());
        for item in 0..self.items {
            let a = Item(self.a, item);
            let b = Item(self.b, item);
            let c = super::Rows { ptr: ptr.at(0), items: &[0], row: n as isize, col: 1 };
            let bias = match self.bias {
                Bias::Rows(bias, step) => Bias::Rows(&bias[item * step..], 0),
                other => other,
            };
            let one = Gemm { items: 1, a: &a, b: &b, c: &c, beta: T::ZERO, bias, ..*self };
            // SAFETY: the caller's promise for this item; `sums` is `m x n`.
            unsafe { one.drive(micro) };
            let step = 65_536_usize.div_ceil(n);
            for_tasks(m.div_ceil(step), |i| {
                let rows = i * step..m.min((i + 1) * step);
                // SAFETY: rows of different tasks do not overlap.
                unsafe { self.c.store(item, rows.clone(), 0..n, ptr.at(rows.start * n), n, self.beta) }
            });
        }
    }
}

/// One item of a batch, as a batch of one.
struct Item<'a, T>(&'a dyn super::Pack<T>, usize);

impl<T> super::Pack<T> for Item<'_, T> {
    unsafe fn pack(&self, _: usize, lines: Range<usize>, ks: Range<usize>, width: usize, dst: *mut T) {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.0.pack(self.1, lines, ks, width, dst) }
    }
}

/// A pointer that tasks write disjoint parts of.
struct Shared<T>(*mut T);

// SAFETY: whoever makes one gives each task its own part.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn at(&self, offset: usize) -> *mut T {
        self.0.wrapping_add(offset)
    }
}

fn run_tasks(tasks: usize, threads: usize, f: impl Fn(usize) + Sync) {
    if threads == 1 { (0..tasks).for_each(f) } else { for_tasks(tasks, f) }
}

/// Columns of a block: what fits in L2, evenly spread, in at least `blocks` pieces where they are wide enough.
fn column_step<T>(n: usize, k: usize, micro: &Micro<T>, blocks: usize) -> usize {
    let k_step = k.min(K_BYTES / size_of::<T>()).max(1);
    let most = (B_BYTES / size_of::<T>() / k_step / micro.nr).clamp(1, 64) * micro.nr;
    let blocks = n.div_ceil(most).max(blocks.min(n / (2 * micro.lanes))).max(1);
    n.div_ceil(blocks).next_multiple_of(micro.lanes)
}

/// Whether the transposed product is faster: the rows of A are packed all at once and go through memory, the columns of B
/// block by block in cache, so A should be the smaller one, unless storing C transposed costs more.
pub(super) fn swap_pays(m: usize, n: usize, k: usize) -> bool {
    m >= 2 * n && k >= 2 * n && m * k > A_ELEMENTS / 8
}

/// The columns of B that a block reads.
#[derive(Clone, Copy)]
enum Lines<'a, T> {
    /// Panels of so many steps.
    Packed(*const T, usize),
    /// The first column, and the offset of each step.
    InPlace(*const T, &'a [isize]),
}

/// The product of packed panels: those of A are `k_full` steps long, of which `k` are used.
///
/// # Safety
/// The panels hold that many rows, columns and steps, `out` describes memory for the block, and the processor has the
/// instruction set of `micro`.
pub(crate) unsafe fn packed_tiles<T: Real>(
    micro: &'static Micro<T>,
    size: (usize, usize),
    k: usize,
    (a, k_full): (*const T, usize),
    b: *const T,
    out: &Out<T>,
) {
    // SAFETY: the caller's promise is passed on.
    unsafe { tiles(micro, size, (a, k_full), Lines::Packed(b, k), out) }
}

/// Runs the tiles of a block: panels of A are `k` steps long.
unsafe fn tiles<T: Real>(
    micro: &'static Micro<T>,
    (rows, cols): (usize, usize),
    (a, k): (*const T, usize),
    b: Lines<T>,
    out: &Out<T>,
) {
    for i in (0..rows).step_by(micro.mr) {
        let r = micro.mr.min(rows - i) - 1;
        for j in (0..cols).step_by(micro.nr) {
            let width = micro.nr.min(cols - j);
            let at = |p: *const T, i: usize| if p.is_null() { p } else { p.wrapping_add(i) };
            let tile = Out {
                c: out.c.wrapping_offset(i as isize * out.row).wrapping_add(j),
                cols: width,
                row_bias: at(out.row_bias, i),
                col_bias: at(out.col_bias, j),
                ..*out
            };
            let v = width.div_ceil(micro.lanes) - 1;
            // SAFETY: the panels lie at these places; the tile is within the block.
            unsafe {
                match b {
                    Lines::Packed(b, steps) => {
                        micro.kernels[r][v](steps, a.add(i * k), b.add(j * steps), &tile)
                    }
                    Lines::InPlace(b, steps) => {
                        micro.in_place[r][v](steps, a.add(i * k), b.wrapping_add(j), &tile)
                    }
                }
            }
        }
    }
}
