//! The one driver of all reductions: cuts the work into pieces at places that only the shape decides, folds each piece,
//! merges the pieces pairwise.

use std::ops::Range;

use super::plan::Plan;
use crate::block::Compute;
use crate::dtype::DType;
use crate::isa::prefetch;
use crate::parallel::for_tasks;

/// Elements that are folded in one go; a longer row is a balanced tree of such blocks.
pub(super) const BLOCK: usize = 4096;
/// Elements of a row from which it pays to ask for the next one early.
const LONG: usize = 1024;
/// Rows that are folded in one go when going by columns.
pub(super) const ROWS: usize = 64;
/// Columns that one task handles.
const TILE: usize = 4096;
/// Elements of a piece of a row that is shared among threads.
const SEGMENT: usize = 1 << 16;
/// Tasks that are enough to keep all threads busy to the end.
const TASKS: usize = 128;
/// Elements below which threads are not worth waking.
const GRAIN: usize = 1 << 15;

/// What a reduction computes. The driver calls it through a pointer: then there is one driver for each type of element and
/// state, and not one for each reduction.
pub(super) trait Fold: Sync {
    /// Type in which elements arrive.
    type C: Compute;
    /// State of one result.
    type Acc: Copy + Send + Sync;

    /// State of a result over no elements.
    fn empty(&self) -> Self::Acc;
    /// State over `x`, at least one and at most [`BLOCK`] elements, the first of which has index `base`.
    fn block(&self, x: &[Self::C], base: usize) -> Self::Acc;
    /// States of neighbouring results over at least one and at most [`ROWS`] rows, the first of which has index `base`.
    fn columns(&self, rows: &mut Rows<'_, Self::C>, base: usize, acc: &mut [Self::Acc]);
    /// Joins the states of two pieces, `a` before `b`.
    fn merge(&self, a: Self::Acc, b: Self::Acc) -> Self::Acc;
    /// Joins states of neighbouring results, each of `a` with one of `b`.
    fn merge_all(&self, a: &mut [Self::Acc], b: &[Self::Acc]) {
        a.iter_mut().zip(b).for_each(|(a, b)| *a = self.merge(*a, *b));
    }
}

/// Any reduction of elements `C` to states `A`.
pub(super) type AnyFold<'a, C, A> = &'a dyn Fold<C = C, Acc = A>;

/// A few rows of input below one another.
pub(super) struct Rows<'a, C> {
    ptr: *const u8,
    dtype: DType,
    stride: isize,
    offsets: &'a [isize],
    width: usize,
    buf: &'a mut Vec<C>,
}

impl<C: Compute> Rows<'_, C> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// The elements of row `k`.
    pub fn row(&mut self, k: usize) -> &[C] {
        self.buf.resize(self.width, C::default());
        // SAFETY: the driver's caller vouches for every element of the input.
        unsafe {
            let at = self.ptr.offset(self.offsets[k] * self.dtype.size() as isize);
            C::view(at, self.dtype, self.stride, self.width, self.buf)
        }
    }
}

/// Writes the results of a run: output offset of the first, output stride, states.
pub(super) type Emit<'a, A> = &'a (dyn Fn(isize, isize, &[A]) + Sync);

/// How the results are cut into tasks.
struct Cuts {
    outer: usize,
    tile: usize,
    tiles: usize,
    segment: usize,
    segments: usize,
}

impl Cuts {
    fn new(plan: &Plan) -> Cuts {
        let (outer, run) = (plan.outer_len(), plan.run.0);
        let all = outer * run * plan.total;
        let tile = if plan.columns { TILE } else { GRAIN / plan.total.max(1) };
        let tile = tile.clamp(1, run.max(1));
        let tiles = run.div_ceil(tile);
        let few = outer * tiles < 32 && all >= 4 * SEGMENT;
        let segment = match (few, plan.columns) {
            (false, _) => plan.total,
            (true, true) => (SEGMENT / tile).next_multiple_of(ROWS),
            (true, false) => SEGMENT,
        }
        .clamp(1, plan.total.max(1));
        Cuts { outer, tile, tiles, segment, segments: plan.total.div_ceil(segment).max(1) }
    }
}

struct Driver<'a, C, A> {
    f: AnyFold<'a, C, A>,
    plan: &'a Plan,
    ptr: *const u8,
    dtype: DType,
}

// SAFETY: the pointer is only read from, at elements that the caller of `drive` vouches for.
unsafe impl<C, A> Sync for Driver<'_, C, A> {}

/// Folds the input behind `ptr` as `plan` says and hands every result to `emit` once.
///
/// # Safety
/// All elements that the plan reaches lie in memory that nobody writes meanwhile.
pub(super) unsafe fn drive<C: Compute, A: Copy + Send + Sync>(
    f: AnyFold<C, A>,
    plan: &Plan,
    ptr: *const u8,
    dtype: DType,
    emit: Emit<A>,
) {
    let cuts = Cuts::new(plan);
    let driver = Driver { f, plan, ptr, dtype };
    if cuts.segments == 1 {
        let tasks = cuts.outer * cuts.tiles;
        driver.share(&cuts, tasks, |task, scratch| {
            let (o, tile) = (task / cuts.tiles, cuts.range(task % cuts.tiles, plan.run.0));
            let (input, output) = plan.outer_offsets(o);
            let start = tile.start as isize;
            driver.fold(input, tile, 0..plan.total, scratch);
            emit(output + start * plan.run.2, plan.run.2, &scratch.acc);
        });
        return;
    }
    let mut parts = vec![f.empty(); cuts.outer * cuts.segments * plan.run.0];
    driver.segments(&cuts, &mut parts);
    for (o, parts) in parts.chunks_mut(cuts.segments * plan.run.0).enumerate() {
        merge_rows(f, parts, plan.run.0);
        emit(plan.outer_offsets(o).1, plan.run.2, &parts[..plan.run.0]);
    }
}

impl Cuts {
    fn range(&self, tile: usize, run: usize) -> Range<usize> {
        tile * self.tile..((tile + 1) * self.tile).min(run)
    }
}

/// Merges rows of `width` states pairwise into the first one.
fn merge_rows<C: Compute, A: Copy + Send + Sync>(f: AnyFold<C, A>, parts: &mut [A], width: usize) {
    let rows = parts.len() / width;
    if rows < 2 {
        return;
    }
    let (a, b) = parts.split_at_mut(rows.div_ceil(2) * width);
    merge_rows(f, a, width);
    merge_rows(f, b, width);
    f.merge_all(&mut a[..width], &b[..width]);
}

/// Buffers of one task.
struct Scratch<C, A> {
    /// The states of the results, filled by `fold`.
    acc: Vec<A>,
    buf: Vec<C>,
    /// Finished pieces, the longest first: piece `i` waits for another one of its length.
    levels: Vec<(u32, Vec<A>)>,
}

impl<C: Compute, A: Copy + Send + Sync> Driver<'_, C, A> {
    /// Runs `tasks` tasks, several at a time where they are small.
    fn share(&self, cuts: &Cuts, tasks: usize, f: impl Fn(usize, &mut Scratch<C, A>) + Sync) {
        let size = cuts.tile * cuts.segment;
        let group = (GRAIN / size.max(1)).max(tasks / TASKS).max(1);
        for_tasks(tasks.div_ceil(group), |g| {
            let mut scratch = Scratch { acc: Vec::new(), buf: Vec::new(), levels: Vec::new() };
            for task in g * group..((g + 1) * group).min(tasks) {
                f(task, &mut scratch);
            }
        });
    }

    /// Fills `parts`, `[outer, segments, run]`.
    fn segments(&self, cuts: &Cuts, parts: &mut [A]) {
        let (run, base) = (self.plan.run.0, Shared(parts.as_mut_ptr()));
        self.share(cuts, cuts.outer * cuts.segments * cuts.tiles, |task, scratch| {
            let base = &base;
            let (row, tile) = (task / cuts.tiles, cuts.range(task % cuts.tiles, run));
            let first = row % cuts.segments * cuts.segment;
            let (input, _) = self.plan.outer_offsets(row / cuts.segments);
            let start = tile.start;
            self.fold(input, tile, first..(first + cuts.segment).min(self.plan.total), scratch);
            // SAFETY: each task has its own tile of its own row of `parts`.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    scratch.acc.as_ptr(),
                    base.0.add(row * run + start),
                    scratch.acc.len(),
                );
            }
        });
    }

    /// Folds `elements` of each result of `tile` into `scratch.acc`.
    fn fold(&self, input: isize, tile: Range<usize>, elements: Range<usize>, scratch: &mut Scratch<C, A>) {
        scratch.acc.clear();
        if elements.is_empty() {
            scratch.acc.resize(tile.len(), self.f.empty());
        } else if self.plan.columns {
            self.fold_columns(input + tile.start as isize * self.plan.run.1, tile.len(), elements, scratch);
        } else {
            scratch.buf.resize(BLOCK.min(elements.len()), C::default());
            for j in tile {
                let acc = self.fold_row(input + j as isize * self.plan.run.1, elements.clone(), scratch);
                scratch.acc.push(acc);
            }
        }
    }

    fn fold_row(&self, input: isize, elements: Range<usize>, scratch: &mut Scratch<C, A>) -> A {
        if elements.len() <= BLOCK {
            return self
                .f
                .block(self.load(input, elements.start, elements.len(), &mut scratch.buf), elements.start);
        }
        let (mut at, mut stack) = (elements.start, Stack::new());
        while at < elements.end {
            let n = BLOCK.min(elements.end - at);
            stack.push(self.f, self.f.block(self.load(input, at, n, &mut scratch.buf), at));
            at += n;
        }
        stack.finish(self.f)
    }

    /// Elements `at..at + n` of the reduced dimensions.
    fn load<'a>(&self, input: isize, at: usize, n: usize, buf: &'a mut [C]) -> &'a [C] {
        let (inner, stride) = self.plan.reduced.last().copied().unwrap_or((1, 1));
        let size = self.dtype.size() as isize;
        if at + n <= inner || at % inner + n <= inner {
            let offset = input + self.plan.reduced_offset(at);
            // SAFETY: the caller of `drive` vouches for every element of the input.
            let elements = unsafe { C::view(self.ptr.offset(offset * size), self.dtype, stride, n, buf) };
            if n >= LONG {
                // Most likely what comes next; the processor waits for it at the end of each row otherwise.
                prefetch(elements.as_ptr_range().end);
            }
            return elements;
        }
        let mut done = 0;
        while done < n {
            let part = (n - done).min(inner - (at + done) % inner);
            let offset = input + self.plan.reduced_offset(at + done);
            let to = &mut buf[done..done + part];
            // SAFETY: as above.
            unsafe { C::gather(self.ptr.offset(offset * size), self.dtype, stride, to) };
            done += part;
        }
        &buf[..n]
    }

    fn fold_columns(&self, input: isize, width: usize, elements: Range<usize>, scratch: &mut Scratch<C, A>) {
        let mut offsets = [0_isize; ROWS];
        let Scratch { acc, buf, levels } = scratch;
        levels.clear();
        for at in elements.clone().step_by(ROWS) {
            let n = ROWS.min(elements.end - at);
            for (k, offset) in offsets[..n].iter_mut().enumerate() {
                *offset = input + self.plan.reduced_offset(at + k);
            }
            let mut piece = vec![self.f.empty(); width];
            let (ptr, dtype, stride) = (self.ptr, self.dtype, self.plan.run.1);
            self.f.columns(
                &mut Rows { ptr, dtype, stride, offsets: &offsets[..n], width, buf },
                at,
                &mut piece,
            );
            let mut level = 0;
            while let Some((_, before)) = levels.pop_if(|l| l.0 == level) {
                piece = self.merged(before, &piece);
                level += 1;
            }
            levels.push((level, piece));
        }
        while let Some((_, piece)) = levels.pop() {
            *acc = if acc.is_empty() { piece } else { self.merged(piece, acc) };
        }
    }

    fn merged(&self, mut a: Vec<A>, b: &[A]) -> Vec<A> {
        self.f.merge_all(&mut a, b);
        a
    }
}

/// Merges pieces as they come into a balanced tree.
struct Stack<A> {
    levels: [Option<A>; 48],
    height: usize,
}

impl<A: Copy + Send + Sync> Stack<A> {
    fn new() -> Self {
        Stack { levels: [None; 48], height: 0 }
    }

    fn push<C: Compute>(&mut self, f: AnyFold<C, A>, mut piece: A) {
        let mut level = 0;
        while let Some(before) = self.levels[level].take() {
            piece = f.merge(before, piece);
            level += 1;
        }
        self.levels[level] = Some(piece);
        self.height = self.height.max(level + 1);
    }

    fn finish<C: Compute>(&self, f: AnyFold<C, A>) -> A {
        let pieces = self.levels[..self.height].iter().flatten().copied();
        pieces.reduce(|after, before| f.merge(before, after)).unwrap_or_else(|| f.empty())
    }
}

/// An address that tasks write to, each to its own part.
struct Shared<T>(*mut T);
// SAFETY: see the uses; no two tasks write to the same element.
unsafe impl<T: Send> Sync for Shared<T> {}
