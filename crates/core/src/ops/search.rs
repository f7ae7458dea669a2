//! Searching sorted sequences, membership and counting into bins.

use cresset_kernels::dtype::Element;
use cresset_kernels::histogram;
use cresset_kernels::sort::search_sorted;
use cresset_macros::op;

use crate::dense::{cast, dense, dense_option, slice, slice_mut};
use crate::op::OpDef;
use crate::ops::unique::refuse_meta;
use crate::pooling::ordered_type;
use crate::promotion::result_type;
use crate::storage::{access, access_lists};
use crate::supported::require;
use crate::{DType, Device, Result, Scalar, Tensor, bail, op_list, with_float};

pub(crate) static OPS: &[&OpDef] = op_list![
    searchsorted,
    searchsorted_scalar,
    bucketize,
    bucketize_scalar,
    isin,
    isin_tensor_scalar,
    isin_scalar_tensor,
    histc,
    bincount,
];

/// Where the result of both goes: a number is in main memory wherever the other tensor is.
fn common_device(a: &Tensor, b: &Tensor) -> Device {
    if a.device() == Device::Meta { Device::Meta } else { b.device() }
}

/// Positions of `values` in the rows of `sorted`.
fn positions(
    sorted: &Tensor,
    values: &Tensor,
    sorter: Option<&Tensor>,
    right: bool,
    out_int32: bool,
) -> Result<Tensor> {
    let compute = ordered_type(result_type(&[sorted, values]));
    let (s, v, order) = (dense(sorted, compute)?, dense(values, compute)?, dense_option(sorter, DType::I64)?);
    let result = Tensor::empty_of(&v.sizes(), DType::I64, common_device(&s, &v))?;
    let n = s.sizes().last().map_or(1, |n| *n as usize);
    let mut ins = vec![s.raw(), v.raw()];
    ins.extend(order.iter().map(|t| t.raw()));
    let o = result.raw();
    let bad = access_lists(&[&o], &ins.iter().collect::<Vec<_>>(), |o, i| {
        // SAFETY: all are locked, row-major and of the types that they are read as; the output is fresh.
        unsafe {
            let sorter: Option<&[i64]> = i.get(2).map(|r| slice(r));
            if sorter.is_some_and(|s| s.iter().any(|i| !(0..n as i64).contains(i))) {
                return true;
            }
            let out = slice_mut(&o[0]);
            match compute {
                DType::F32 => search_sorted::<f32>(n, slice(&i[0]), sorter, slice(&i[1]), right, out),
                DType::F64 => search_sorted::<f64>(n, slice(&i[0]), sorter, slice(&i[1]), right, out),
                _ => search_sorted::<i64>(n, slice(&i[0]), sorter, slice(&i[1]), right, out),
            }
        }
        false
    });
    if bad {
        bail!("torch.searchsorted(): sorter index out of range");
    }
    cast(result, if out_int32 { DType::I32 } else { DType::I64 })
}

fn right_side(right: bool, side: Option<&str>) -> Result<bool> {
    match side {
        None => Ok(right),
        Some("right") => Ok(true),
        Some("left") if right => bail!(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True"
        ),
        Some("left") => Ok(false),
        Some(other) => bail!("torch.searchsorted(): side can only be 'left' or 'right' but got {other}"),
    }
}

/// A sorter has a place for each element of the sequence.
fn check_sorter(sorted: &Tensor, sorter: Option<&Tensor>) -> Result<()> {
    let Some(sorter) = sorter else { return Ok(()) };
    if sorter.sizes() != sorted.sizes() {
        bail!(
            "torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor {:?}and got sorter tensor {:?}",
            sorted.sizes().as_slice(),
            sorter.sizes().as_slice()
        );
    }
    if sorter.dtype() != DType::I64 {
        bail!(
            "torch.searchsorted(): sorter must be a tensor of long dtype but got dtype {}",
            sorter.dtype().scalar_type()
        );
    }
    Ok(())
}

/// For each element of `self` the position in the sorted sequence (or its row of them) at which it could be inserted.
#[op(
    "searchsorted.Tensor(Tensor sorted_sequence, Tensor self, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) -> Tensor",
    no_grad = "integers",
    out = "Tensor_out",
    no_method
)]
mod searchsorted {
    fn kernel(
        sorted_sequence: &Tensor,
        this: &Tensor,
        out_int32: bool,
        right: bool,
        side: Option<&str>,
        sorter: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (s, v) = (sorted_sequence.sizes(), this.sizes());
        if s.is_empty() {
            bail!(
                "torch.searchsorted(): boundaries tensor should have positive dimension, but got 0 dimension"
            );
        }
        if s.len() != 1 && (s.len() != v.len() || s[..s.len() - 1] != v[..v.len() - 1]) {
            bail!(
                "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value tensor must match, but we got boundaries tensor {:?} and input value tensor {:?}",
                s.as_slice(),
                v.as_slice()
            );
        }
        check_sorter(sorted_sequence, sorter)?;
        positions(sorted_sequence, this, sorter, right_side(right, side)?, out_int32)
    }
}

/// The position in the sorted sequence at which a number could be inserted.
#[op(
    "searchsorted.Scalar(Tensor sorted_sequence, Scalar self, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) -> Tensor",
    no_grad = "integers",
    out = "Scalar_out",
    no_method
)]
mod searchsorted_scalar {
    fn kernel(
        sorted_sequence: &Tensor,
        this: Scalar,
        out_int32: bool,
        right: bool,
        side: Option<&str>,
        sorter: Option<&Tensor>,
    ) -> Result<Tensor> {
        let value = Tensor::wrapped(this)?;
        if sorted_sequence.dim() != 1 {
            bail!(
                "torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1, but we got boundaries tensor dim({}) and input value's dim(0) numel(1)",
                sorted_sequence.dim()
            );
        }
        check_sorter(sorted_sequence, sorter)?;
        positions(sorted_sequence, &value, sorter, right_side(right, side)?, out_int32)
    }
}

fn check_boundaries(boundaries: &Tensor) -> Result<()> {
    if boundaries.dim() != 1 {
        bail!("boundaries tensor must be 1 dimension, but got dim({})", boundaries.dim());
    }
    Ok(())
}

/// For each element the number of the bucket between `boundaries` that it falls into.
#[op(
    "bucketize.Tensor(Tensor self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
    no_grad = "integers",
    out = "Tensor_out"
)]
mod bucketize {
    fn kernel(this: &Tensor, boundaries: &Tensor, out_int32: bool, right: bool) -> Result<Tensor> {
        check_boundaries(boundaries)?;
        positions(boundaries, this, None, right, out_int32)
    }
}

/// The number of the bucket between `boundaries` that a number falls into.
#[op(
    "bucketize.Scalar(Scalar self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
    no_grad = "integers",
    no_method
)]
mod bucketize_scalar {
    fn kernel(this: Scalar, boundaries: &Tensor, out_int32: bool, right: bool) -> Result<Tensor> {
        check_boundaries(boundaries)?;
        positions(boundaries, &Tensor::wrapped(this)?, None, right, out_int32)
    }
}

/// Whether each of `elements` occurs in `tests`.
fn members(elements: &Tensor, tests: &Tensor, invert: bool) -> Result<Tensor> {
    let common = result_type(&[elements, tests]);
    if common == DType::Bool || common.is_complex() {
        bail!("Unsupported input type encountered for isin(): {}", common.scalar_type());
    }
    let compute = ordered_type(common);
    let (e, t) = (dense(elements, compute)?, dense(tests, compute)?);
    let result = Tensor::empty_of(&e.sizes(), DType::Bool, common_device(&e, &t))?;
    let (o, e, t) = (result.raw(), e.raw(), t.raw());
    access([&o], [&e, &t], |[o], [e, t]| {
        // SAFETY: all are locked, row-major and of the types that they are read as; the output is fresh.
        unsafe {
            match compute {
                DType::F32 => mark::<f32>(slice(&e), slice(&t), invert, slice_mut(&o)),
                DType::F64 => mark::<f64>(slice(&e), slice(&t), invert, slice_mut(&o)),
                _ => mark::<i64>(slice(&e), slice(&t), invert, slice_mut(&o)),
            }
        }
    });
    Ok(result)
}

fn mark<T: Element + PartialOrd>(elements: &[T], tests: &[T], invert: bool, out: &mut [bool]) {
    let mut tests: Vec<T> = tests.iter().copied().filter(|t| t.partial_cmp(t).is_some()).collect();
    tests.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    for (out, e) in out.iter_mut().zip(elements) {
        let at = tests.partition_point(|t| t < e);
        *out = tests.get(at).is_some_and(|t| t == e) != invert;
    }
}

/// Whether each element occurs in `test_elements`.
#[op(
    "isin.Tensor_Tensor(Tensor elements, Tensor test_elements, *, bool assume_unique=False, bool invert=False) -> Tensor",
    no_grad = "truth values",
    out = "Tensor_Tensor_out",
    no_method
)]
mod isin {
    fn kernel(
        elements: &Tensor,
        test_elements: &Tensor,
        assume_unique: bool,
        invert: bool,
    ) -> Result<Tensor> {
        let _ = assume_unique;
        members(elements, test_elements, invert)
    }
}

/// Whether each element equals a number.
#[op(
    "isin.Tensor_Scalar(Tensor elements, Scalar test_element, *, bool assume_unique=False, bool invert=False) -> Tensor",
    no_grad = "truth values",
    out = "Tensor_Scalar_out",
    no_method
)]
mod isin_tensor_scalar {
    fn kernel(elements: &Tensor, test_element: Scalar, assume_unique: bool, invert: bool) -> Result<Tensor> {
        let _ = assume_unique;
        members(elements, &Tensor::wrapped(test_element)?, invert)
    }
}

/// Whether a number occurs in `test_elements`.
#[op(
    "isin.Scalar_Tensor(Scalar element, Tensor test_elements, *, bool assume_unique=False, bool invert=False) -> Tensor",
    no_grad = "truth values",
    out = "Scalar_Tensor_out",
    no_method
)]
mod isin_scalar_tensor {
    fn kernel(element: Scalar, test_elements: &Tensor, assume_unique: bool, invert: bool) -> Result<Tensor> {
        let _ = assume_unique;
        members(&Tensor::wrapped(element)?, test_elements, invert)
    }
}

/// Counts elements into `bins` equal bins between `min` and `max` (the extremes of the data, if these are equal).
#[op(
    "histc(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> Tensor",
    no_grad = "counts",
    out = "out"
)]
mod histc {
    fn kernel(this: &Tensor, bins: i64, min: Scalar, max: Scalar) -> Result<Tensor> {
        if bins <= 0 {
            bail!("torch.histogram(): bins must be > 0, but got {bins} for dimension 0");
        }
        if !this.is_floating_point() {
            bail!(NotImplemented, "\"histogram_cpu\" not implemented for '{}'", this.dtype().scalar_type());
        }
        let compute = crate::dense::float_type(this.dtype());
        let x = dense(this, compute)?;
        let (mut low, mut high) = (min.to_f64(), max.to_f64());
        if low == high && x.numel() > 0 && x.device() != Device::Meta {
            (low, high) = (x.min()?.item()?.to_f64(), x.max()?.item()?.to_f64());
        }
        if !low.is_finite() || !high.is_finite() {
            bail!("torch.histc: range of [{low}, {high}] is not finite");
        }
        if low > high {
            bail!("torch.histc: max must be larger than min");
        }
        if low == high {
            (low, high) = (low - 1.0, high + 1.0);
        }
        let out = Tensor::empty_of(&[bins], compute, x.device())?;
        let (o, i) = (out.raw(), x.raw());
        access([&o], [&i], |[o], [x]| {
            // SAFETY: both are locked and row-major; the output is fresh.
            with_float!(compute, T => unsafe { count_into::<T>(low as T, high as T, slice(&x), slice_mut(&o)) })
        });
        cast(out, this.dtype())
    }
}

fn count_into<T: cresset_kernels::math::Real>(low: T, high: T, x: &[T], bins: &mut [T]) {
    bins.fill(T::ZERO);
    let last = bins.len() - 1;
    for x in x.iter().filter(|x| **x >= low && **x <= high) {
        let at = (*x - low) * T::real(bins.len() as f64) / (high - low);
        let bin = &mut bins[(at.wide() as usize).min(last)];
        *bin = *bin + T::ONE;
    }
}

/// How often (or with which total weight) each number from 0 occurs.
#[op(
    "bincount(Tensor self, Tensor? weights=None, SymInt minlength=0) -> Tensor",
    no_grad = "counts",
    out = "out",
    tags(dynamic_shape)
)]
mod bincount {
    fn kernel(this: &Tensor, weights: Option<&Tensor>, minlength: i64) -> Result<Tensor> {
        require("bincount_cpu", this, |d| d.is_integral_or_bool() && d != DType::Bool)?;
        refuse_meta("bincount", this)?;
        if minlength < 0 {
            bail!("minlength should be >= 0");
        }
        if this.dim() != 1 || !this.dtype().is_integral_or_bool() {
            bail!("bincount only supports 1-d non-negative integral inputs.");
        }
        let values = dense(this, DType::I64)?;
        // SAFETY: the tensor is row-major, locked, and only read.
        let bounds = access([], [&values.raw()], |[], [v]| histogram::bounds(unsafe { slice(&v) }));
        if bounds.is_some_and(|(low, _)| low < 0) {
            bail!("bincount only supports 1-d non-negative integral inputs.");
        }
        if weights.is_some_and(|w| w.sizes() != this.sizes()) {
            bail!("weights should be 1-d and have the same length as input");
        }
        let n = bounds.map_or(0, |(_, high)| high.saturating_add(1)).max(minlength);
        if bounds.is_none() {
            return crate::copy::zeros(&[n], DType::I64, this.device());
        }
        let Some(weights) = weights else {
            let counts = Tensor::empty_of(&[n], DType::I64, this.device())?;
            access([&counts.raw()], [&values.raw()], |[o], [v]| {
                // SAFETY: both are row-major and locked, the output is fresh.
                unsafe { histogram::tally::<i64>(slice(&v), |_| 1, slice_mut(&o)) }
            });
            return Ok(counts);
        };
        let (weights, dtype) = (dense(weights, DType::F64)?, weights.dtype());
        let sums = Tensor::empty_of(&[n], DType::F64, this.device())?;
        access([&sums.raw()], [&values.raw(), &weights.raw()], |[o], [v, w]| {
            // SAFETY: as above.
            let w = unsafe { slice::<f64>(&w) };
            // SAFETY: as above.
            unsafe { histogram::tally::<f64>(slice(&v), |i| w[i], slice_mut(&o)) }
        });
        cast(sums, if dtype == DType::F32 { DType::F32 } else { DType::F64 })
    }
}
