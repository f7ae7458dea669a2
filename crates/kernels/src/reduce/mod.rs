//! Reductions over any set of dimensions of a strided input.
//!
//! Every reduction is a `Fold`: how to fold a block of elements of one result, or a few rows of elements of
//! neighbouring results, and how to merge two states. One driver cuts the work, converts elements block-wise to the compute type
//! and shares pieces among threads. Pieces are cut by shape alone and merged pairwise, so sums are as accurate as
//! PyTorch's cascade and do not depend on the number of threads.

mod drive;
mod index;
mod lanes;
mod moments;
mod plan;
#[cfg(test)]
mod tests;

use self::drive::{AnyFold, drive};
use self::index::Extreme;
use self::lanes::{
    All, Any, Count, Lane, Lanes, Max, Min, NanSum, Norm1, Norm2, NormMax, NormMin, NormP, Number, Ordered,
    Prod, Real, Sum,
};
use self::moments::{Deviations, Moments, Wide};
use self::plan::Plan;
use crate::block::Compute;
use crate::dtype::{C32, C64, DType};
use crate::strided::Operand;

/// What to compute over the reduced dimensions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reduce {
    /// Sum, in the output's dtype (half types in `f32`, integers in `i64`).
    Sum,
    /// Sum over the number of elements, in the output's dtype.
    Mean,
    /// Sum of the elements that are not NaN.
    NanSum,
    /// Product, in the output's dtype.
    Prod,
    /// Largest element, NaN if there is one.
    Max,
    /// Smallest element, NaN if there is one.
    Min,
    /// Whether any element is not zero.
    Any,
    /// Whether no element is zero.
    All,
    /// Number of elements that are not zero.
    CountNonzero,
    /// Vector norm of that order (any number, infinities included) of real elements, in the output's dtype.
    Norm(f64),
}

/// Memory and loops of one reduction.
struct Task<'a> {
    plan: Plan,
    input: Operand<'a>,
    output: Operand<'a>,
}

impl Task<'_> {
    /// Folds, turns each state into a result, writes it.
    ///
    /// # Safety
    /// As [`reduce`].
    unsafe fn run<C: Compute, A: Copy + Send + Sync, O: Compute>(
        &self,
        f: AnyFold<C, A>,
        finish: impl Fn(A) -> O + Sync,
    ) {
        let emit = |offset: isize, stride: isize, acc: &[A]| {
            let results: Vec<O> = acc.iter().map(|acc| finish(*acc)).collect();
            // SAFETY: each result of the output is emitted once, and the caller vouches for the output's memory.
            unsafe { store(&self.output, offset, stride, &results) };
        };
        // SAFETY: the caller vouches for the input's memory.
        unsafe { drive(f, &self.plan, self.input.ptr, self.input.dtype, &emit) };
    }

    /// As [`Task::run`] for states that are results.
    ///
    /// # Safety
    /// As [`reduce`].
    unsafe fn lanes<L: Lane<Acc: Compute>>(&self, f: L) {
        // SAFETY: as the caller promises.
        unsafe { self.states(&Lanes(f)) }
    }

    /// # Safety
    /// As [`reduce`].
    unsafe fn states<C: Compute, A: Compute>(&self, f: AnyFold<C, A>) {
        // SAFETY: as the caller promises.
        unsafe { self.run(f, |acc| acc) }
    }
}

/// Writes results `stride` elements apart from `offset` on.
///
/// # Safety
/// The elements lie in memory that this call alone may write.
unsafe fn store<O: Compute>(output: &Operand, offset: isize, stride: isize, results: &[O]) {
    // SAFETY: as the caller promises.
    unsafe {
        let at = output.ptr.offset(offset * output.dtype.size() as isize);
        O::scatter(at, output.dtype, stride, results);
    }
}

/// Reduces the dimensions whose `mask` is set; `output` has a stride for every dimension, those of reduced ones unused.
///
/// Over no elements, sums are 0, products 1, extremes the lowest or highest value.
///
/// # Safety
/// Every element that `sizes` and the strides reach lies in readable (`input`) or exclusively writable (`output`)
/// memory of its dtype, and the two do not overlap.
pub unsafe fn reduce(op: Reduce, sizes: &[i64], mask: &[bool], input: Operand, output: Operand) {
    let plan = Plan::new(sizes, mask, &input, &output);
    if plan.run.0 == 0 || plan.outer_len() == 0 {
        return;
    }
    let task = Task { plan, input, output };
    // SAFETY: as the caller promises.
    unsafe {
        match op {
            Reduce::Sum | Reduce::Mean | Reduce::NanSum | Reduce::Prod => arithmetic(op, &task),
            Reduce::Max | Reduce::Min => extreme(op, &task),
            Reduce::Any => task.lanes(Any(0_u8)),
            Reduce::All => task.lanes(All(0_u8)),
            Reduce::CountNonzero => task.lanes(Count(0_u8)),
            Reduce::Norm(p) if output.dtype == DType::F64 => {
                norm(&task, p, p, |sum: f64| sum.powf(1.0 / p), f64::sqrt)
            }
            Reduce::Norm(p) => norm(&task, p, p as f32, |sum: f32| sum.powf(1.0 / p as f32), f32::sqrt),
        }
    }
}

/// # Safety
/// As [`reduce`].
unsafe fn arithmetic(op: Reduce, task: &Task) {
    // SAFETY: as the caller promises.
    unsafe {
        match task.output.dtype {
            DType::F64 => arithmetic_in(op, task, 0.0_f64),
            DType::F16 | DType::BF16 | DType::F32 => arithmetic_in(op, task, 0.0_f32),
            DType::Complex64 => arithmetic_in(op, task, C32::default()),
            DType::Complex128 => arithmetic_in(op, task, C64::default()),
            _ => arithmetic_in(op, task, 0_i64),
        }
    }
}

/// # Safety
/// As [`reduce`].
unsafe fn arithmetic_in<T: Number>(op: Reduce, task: &Task, zero: T) {
    let n = task.plan.total;
    // SAFETY: as the caller promises.
    unsafe {
        match op {
            Reduce::Mean => task.run(&Lanes(Sum(zero)), |sum| sum.over(n)),
            Reduce::NanSum => task.lanes(NanSum(zero)),
            Reduce::Prod => task.lanes(Prod(zero)),
            _ => task.lanes(Sum(zero)),
        }
    }
}

/// # Safety
/// As [`reduce`].
unsafe fn extreme(op: Reduce, task: &Task) {
    // SAFETY: as the caller promises.
    unsafe {
        match task.input.dtype {
            DType::F64 => extreme_in(op, task, 0.0_f64),
            DType::F16 | DType::BF16 | DType::F32 => extreme_in(op, task, 0.0_f32),
            DType::I64 => extreme_in(op, task, 0_i64),
            DType::I32 => extreme_in(op, task, 0_i32),
            _ => extreme_in(op, task, 0_i16),
        }
    }
}

/// # Safety
/// As [`reduce`].
unsafe fn extreme_in<T: Ordered>(op: Reduce, task: &Task, zero: T) {
    // SAFETY: as the caller promises.
    unsafe { if op == Reduce::Max { task.lanes(Max(zero)) } else { task.lanes(Min(zero)) } }
}

/// # Safety
/// As [`reduce`].
unsafe fn norm<T: Real>(task: &Task, p: f64, power: T, root: impl Fn(T) -> T + Sync, sqrt: fn(T) -> T) {
    // SAFETY: as the caller promises.
    unsafe {
        match p {
            0.0 => task.lanes(Count(0_u8)),
            1.0 => task.lanes(Norm1(power)),
            2.0 => task.run(&Lanes(Norm2(power)), sqrt),
            f64::INFINITY => task.lanes(NormMax(power)),
            f64::NEG_INFINITY => task.lanes(NormMin(power)),
            _ => task.run(&Lanes(NormP(power)), root),
        }
    }
}

/// Variance (or its root if `sqrt`) with `correction` taken off the count, and the mean; either may be left out.
///
/// Both outputs have the same strides. Input and outputs are real floating point.
///
/// # Safety
/// As [`reduce`].
pub unsafe fn moments(
    sizes: &[i64],
    mask: &[bool],
    input: Operand,
    correction: f64,
    sqrt: bool,
    var: Option<Operand>,
    mean: Option<Operand>,
) {
    let Some(shape) = var.or(mean) else { return };
    let plan = Plan::new(sizes, mask, &input, &shape);
    if plan.run.0 == 0 || plan.outer_len() == 0 {
        return;
    }
    let finish = |m: Moments| {
        let var = m.m2 / (m.n - correction).max(0.0);
        let mean = if m.n == 0.0 { f64::NAN } else { m.mean };
        (if sqrt { var.sqrt() } else { var }, mean)
    };
    let emit = |offset: isize, stride: isize, acc: &[Moments]| {
        let (vars, means): (Vec<f64>, Vec<f64>) = acc.iter().map(|m| finish(*m)).unzip();
        for (output, results) in [(&var, vars), (&mean, means)] {
            if let Some(output) = output {
                // SAFETY: as for `reduce`.
                unsafe { store(output, offset, stride, &results) };
            }
        }
    };
    // SAFETY: as the caller promises.
    unsafe {
        match input.dtype {
            DType::F64 => drive_moments(Deviations(0.0_f64), &plan, &input, &emit),
            _ => drive_moments(Deviations(0.0_f32), &plan, &input, &emit),
        }
    }
}

/// # Safety
/// As [`reduce`].
unsafe fn drive_moments<T: Wide>(f: Deviations<T>, plan: &Plan, input: &Operand, emit: drive::Emit<Moments>) {
    // SAFETY: as the caller promises.
    unsafe { drive(&f, plan, input.ptr, input.dtype, emit) }
}

/// Largest (`max`) or smallest element along `dim` and its index: the first of equals, the first NaN if there is one.
///
/// Both outputs (either may be left out) have the same strides, one for every dimension. `sizes[dim]` is not 0.
///
/// # Safety
/// As [`reduce`].
pub unsafe fn extreme_index(
    max: bool,
    sizes: &[i64],
    dim: Option<usize>,
    input: Operand,
    values: Option<Operand>,
    indices: Option<Operand>,
) {
    let Some(shape) = values.or(indices) else { return };
    let mask: Vec<bool> = (0..sizes.len()).map(|d| Some(d) == dim).collect();
    let plan = Plan::new(sizes, &mask, &input, &shape);
    if plan.run.0 == 0 || plan.outer_len() == 0 {
        return;
    }
    // SAFETY: as the caller promises.
    unsafe {
        match (input.dtype, max) {
            (DType::F64, true) => drive_index(&Extreme::<_, true>(0.0_f64), &plan, &input, values, indices),
            (DType::F64, false) => drive_index(&Extreme::<_, false>(0.0_f64), &plan, &input, values, indices),
            (d, true) if d.is_floating_point() => {
                drive_index(&Extreme::<_, true>(0.0_f32), &plan, &input, values, indices)
            }
            (d, false) if d.is_floating_point() => {
                drive_index(&Extreme::<_, false>(0.0_f32), &plan, &input, values, indices)
            }
            (_, true) => drive_index(&Extreme::<_, true>(0_i64), &plan, &input, values, indices),
            (_, false) => drive_index(&Extreme::<_, false>(0_i64), &plan, &input, values, indices),
        }
    }
}

/// # Safety
/// As [`reduce`].
unsafe fn drive_index<T: Ordered>(
    f: AnyFold<T, (T, usize)>,
    plan: &Plan,
    input: &Operand,
    values: Option<Operand>,
    indices: Option<Operand>,
) {
    let emit = |offset: isize, stride: isize, acc: &[(T, usize)]| {
        // SAFETY: as for `reduce`.
        unsafe {
            if let Some(output) = &values {
                store(output, offset, stride, &acc.iter().map(|a| a.0).collect::<Vec<T>>());
            }
            if let Some(output) = &indices {
                store(output, offset, stride, &acc.iter().map(|a| a.1 as i64).collect::<Vec<i64>>());
            }
        }
    };
    // SAFETY: as the caller promises.
    unsafe { drive(f, plan, input.ptr, input.dtype, &emit) }
}
