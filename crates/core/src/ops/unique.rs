//! Distinct elements and slices.

use cresset_kernels::dtype::Element;
use cresset_kernels::with_element;
use cresset_macros::op;

use crate::dense::{dense, slice};
use crate::op::OpDef;
use crate::pooling::ordered_type;
use crate::storage::access;
use crate::supported::require;
use crate::{DType, Device, Result, Tensor, bail, op_list};

pub(crate) static OPS: &[&OpDef] =
    op_list![_unique, _unique2, unique_consecutive, unique_dim, unique_dim_consecutive];

/// Where runs of equal elements begin.
struct Runs {
    starts: Vec<i64>,
    total: usize,
}

impl Runs {
    /// Of `n` elements, `same(i)` telling whether element `i` equals the one before it.
    fn new(n: usize, same: impl Fn(usize) -> bool) -> Runs {
        let starts = (0..n).filter(|&i| i == 0 || !same(i)).map(|i| i as i64).collect();
        Runs { starts, total: n }
    }

    /// For every element its run, elements being where `order` took them from.
    fn inverse<I: Copy>(&self, order: &[I], place: impl Fn(I) -> usize) -> Vec<i64> {
        let mut inverse = vec![0; order.len()];
        for (run, (start, length)) in self.starts.iter().zip(self.counts()).enumerate() {
            let (start, length) = (*start as usize, length as usize);
            order[start..start + length].iter().for_each(|at| inverse[place(*at)] = run as i64);
        }
        inverse
    }

    fn counts(&self) -> Vec<i64> {
        let ends = self.starts.iter().skip(1).copied().chain([self.total as i64]);
        self.starts.iter().zip(ends).map(|(s, e)| e - s).collect()
    }
}

/// Refuses a tensor whose elements decide the shape of the result and do not exist.
pub(crate) fn refuse_meta(name: &str, this: &Tensor) -> Result<()> {
    if this.device() == Device::Meta {
        bail!(
            NotImplemented,
            "{name}: the shape of the result depends on data, which a meta tensor does not have"
        );
    }
    Ok(())
}

/// A tensor of those integers.
pub(crate) fn integers(values: &[i64], sizes: &[i64]) -> Result<Tensor> {
    Tensor::from_slice(values, sizes)
}

/// Distinct elements of a flat row-major tensor whose equal elements are neighbours, with each one's run and counts.
fn distinct(flat: &Tensor) -> Result<(Tensor, Runs)> {
    let x = flat.raw();
    let runs = access([], [&x], |[], [x]| {
        let n = x.sizes.iter().product::<i64>() as usize;
        with_element!(x.dtype, T => {
            // SAFETY: the tensor is locked, row-major and of that dtype.
            let x: &[T] = unsafe { slice(&x) };
            Some(Runs::new(n, |i| x[i] == x[i - 1]))
        })
    });
    let runs = runs.unwrap_or_else(|| Runs::new(0, |_| false));
    let starts = integers(&runs.starts, &[runs.starts.len() as i64])?;
    Ok((flat.index_select(0, &starts)?, runs))
}

/// Sorted distinct elements, for each element the position of its equal if `inverse`, and counts.
fn unique_sorted(this: &Tensor, inverse: bool) -> Result<(Tensor, Tensor, Tensor)> {
    refuse_meta("unique", this)?;
    let flat = this.contiguous_copy()?.detach().view([this.numel() as i64])?;
    let (sorted, order) = flat.sort()?;
    let (values, runs) = distinct(&sorted)?;
    let inverse = match inverse {
        true => integers(&runs.inverse(&order.to_vec::<i64>()?, |at| at as usize), &this.sizes())?,
        false => integers(&[], &[0])?,
    };
    let counts = runs.counts();
    Ok((values, inverse, integers(&counts, &[counts.len() as i64])?))
}

fn optional(t: Tensor, wanted: bool) -> Result<Tensor> {
    if wanted { Ok(t) } else { Tensor::empty_of(&[0], DType::I64, t.device()) }
}

/// Distinct elements in ascending order, and for each element the position of its equal.
#[op(
    "_unique(Tensor self, bool sorted=True, bool return_inverse=False) -> (Tensor, Tensor)",
    no_grad = "the derivative of a choice of elements is not defined in PyTorch either",
    tags(dynamic_shape)
)]
mod _unique {
    fn kernel(this: &Tensor, sorted: bool, return_inverse: bool) -> Result<(Tensor, Tensor)> {
        let _ = sorted;
        let (values, inverse, _) = unique_sorted(this, return_inverse)?;
        Ok((values, inverse))
    }
}

/// Distinct elements in ascending order, for each element the position of its equal, and how often each occurs.
#[op(
    "_unique2(Tensor self, bool sorted=True, bool return_inverse=False, bool return_counts=False) -> (Tensor, Tensor, Tensor)",
    no_grad = "the derivative of a choice of elements is not defined in PyTorch either",
    tags(dynamic_shape)
)]
mod _unique2 {
    fn kernel(
        this: &Tensor,
        sorted: bool,
        return_inverse: bool,
        return_counts: bool,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let _ = sorted;
        let (values, inverse, counts) = unique_sorted(this, return_inverse)?;
        Ok((values, inverse, optional(counts, return_counts)?))
    }
}

/// Slices along `dim` as rows, in the order given.
fn slices(this: &Tensor, dim: i64) -> Result<Tensor> {
    if this.dim() == 0 {
        bail!(Index, "Dimension specified as {dim} but tensor has no dimensions");
    }
    let front = this.detach().movedim(dim, 0)?;
    let n = front.sizes()[0];
    let width = if n == 0 { 0 } else { front.numel() as i64 / n };
    front.contiguous_copy()?.view([n, width])
}

/// The order that sorts rows lexicographically (the row order itself if `sort` is off), and runs of equal rows in it.
fn row_order(rows: &Tensor, sort: bool) -> Result<(Vec<usize>, Runs)> {
    let compute = ordered_type(rows.dtype());
    let (n, width, rows) = (rows.sizes()[0] as usize, rows.sizes()[1] as usize, dense(rows, compute)?);
    let x = rows.raw();
    let found = access([], [&x], |[], [x]| {
        // SAFETY: the tensor is locked, row-major and of the compute type.
        Some(unsafe {
            match compute {
                DType::F32 => arrange::<f32>(slice(&x), n, width, sort),
                DType::F64 => arrange::<f64>(slice(&x), n, width, sort),
                _ => arrange::<i64>(slice(&x), n, width, sort),
            }
        })
    });
    Ok(found.unwrap_or_else(|| (Vec::new(), Runs::new(0, |_| false))))
}

fn arrange<T: Element + PartialOrd>(x: &[T], n: usize, width: usize, sort: bool) -> (Vec<usize>, Runs) {
    let row = |i: usize| &x[i * width..(i + 1) * width];
    let mut order: Vec<usize> = (0..n).collect();
    if sort {
        order.sort_by(|a, b| row(*a).partial_cmp(row(*b)).unwrap_or(std::cmp::Ordering::Equal));
    }
    let runs = Runs::new(n, |i| row(order[i - 1]) == row(order[i]));
    (order, runs)
}

/// Distinct slices along `dim`, each slice's run, and counts.
fn unique_slices(this: &Tensor, dim: i64, sort: bool) -> Result<(Tensor, Tensor, Tensor)> {
    refuse_meta("unique_dim", this)?;
    let rows = slices(this, dim)?;
    let (order, runs) = row_order(&rows, sort)?;
    let first: Vec<i64> = runs.starts.iter().map(|s| order[*s as usize] as i64).collect();
    let inverse = runs.inverse(&order, |at| at);
    let values = this.detach().index_select(dim, &integers(&first, &[first.len() as i64])?)?;
    let counts = runs.counts();
    Ok((values, integers(&inverse, &[inverse.len() as i64])?, integers(&counts, &[counts.len() as i64])?))
}

/// Elements (or slices along `dim`) without immediate repetitions, each one's run, and the lengths of runs.
#[op(
    "unique_consecutive(Tensor self, bool return_inverse=False, bool return_counts=False, int? dim=None) -> (Tensor, Tensor, Tensor)",
    no_grad = "the derivative of a choice of elements is not defined in PyTorch either",
    tags(dynamic_shape)
)]
mod unique_consecutive {
    fn kernel(
        this: &Tensor,
        return_inverse: bool,
        return_counts: bool,
        dim: Option<i64>,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        require("unique_dim", this, |d| !d.is_complex())?;
        let (values, inverse, counts) = match dim {
            Some(dim) if dim != 0 || this.dim() != 1 => return unique_slices(this, dim, false),
            _ => {
                refuse_meta("unique_consecutive", this)?;
                let flat = this.contiguous_copy()?.detach().view([this.numel() as i64])?;
                let (values, runs) = distinct(&flat)?;
                let counts = runs.counts();
                let order: Vec<usize> = (0..runs.total).collect();
                let inverse = integers(&runs.inverse(&order, |at| at), &this.sizes())?;
                (values, inverse, integers(&counts, &[counts.len() as i64])?)
            }
        };
        Ok((values, optional(inverse, return_inverse)?, optional(counts, return_counts)?))
    }
}

/// Distinct slices along `dim` in lexicographic order, each slice's position among them, and counts.
#[op(
    "unique_dim(Tensor self, int dim, bool sorted=True, bool return_inverse=False, bool return_counts=False) -> (Tensor, Tensor, Tensor)",
    no_grad = "the derivative of a choice of elements is not defined in PyTorch either",
    tags(dynamic_shape)
)]
mod unique_dim {
    fn kernel(
        this: &Tensor,
        dim: i64,
        sorted: bool,
        return_inverse: bool,
        return_counts: bool,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        require("unique_dim", this, |d| !d.is_complex())?;
        let _ = (sorted, return_inverse, return_counts);
        unique_slices(this, dim, true)
    }
}

/// Slices along `dim` without immediate repetitions, each slice's run, and the lengths of runs.
#[op(
    "unique_dim_consecutive(Tensor self, int dim, bool return_inverse=False, bool return_counts=False) -> (Tensor, Tensor, Tensor)",
    no_grad = "the derivative of a choice of elements is not defined in PyTorch either",
    tags(dynamic_shape)
)]
mod unique_dim_consecutive {
    fn kernel(
        this: &Tensor,
        dim: i64,
        return_inverse: bool,
        return_counts: bool,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        require("unique_dim", this, |d| !d.is_complex())?;
        let _ = (return_inverse, return_counts);
        unique_slices(this, dim, false)
    }
}
