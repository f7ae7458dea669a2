//! Sorting and selecting along a dimension.

use cresset_kernels::sort::{self as kernels, Found, RowsOf, Select};
use cresset_macros::op;

use crate::autograd::Meta;
use crate::layout::wrap_dim;
use crate::op::OpDef;
use crate::reduction::{place, share};
use crate::storage::access;
use crate::supported::{numbers, require};
use crate::{DType, Result, Tensor, bail, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    sort,
    sort_stable,
    argsort,
    argsort_stable,
    msort,
    topk,
    kthvalue,
    median,
    median_dim,
    nanmedian,
    nanmedian_dim,
    mode,
];

/// A tensor's elements in rows along one dimension.
struct Lines {
    /// Row-major, with the dimension last.
    rows: Tensor,
    dim: usize,
    n: usize,
}

impl Lines {
    fn new(name: &str, this: &Tensor, dim: i64) -> Result<Lines> {
        if this.is_complex() {
            match name {
                "sort" => bail!(Type, " Sort does not support complex dtypes on CPU"),
                "topk_out" => bail!(Type, " topk does not support complex dtypes on CPU"),
                _ => bail!(NotImplemented, "\"{name}\" not implemented for '{}'", this.dtype().scalar_type()),
            }
        }
        let dim = wrap_dim(dim, this.dim())?;
        if this.dim() == 0 {
            return Ok(Lines { rows: this.contiguous_copy()?, dim, n: 1 });
        }
        let n = this.sizes()[dim];
        if n > i64::from(u32::MAX) {
            bail!("{name}: a dimension of {n} elements is too long");
        }
        let last = this.detach().transpose(dim as i64, -1)?;
        Ok(Lines { rows: last.contiguous_copy()?, dim, n: n as usize })
    }

    /// Runs a kernel that finds `width` elements of each row; values and indices, with the dimension in its place.
    fn find(&self, width: usize, kernel: impl FnOnce(RowsOf, Found)) -> Result<(Tensor, Tensor)> {
        let mut sizes = self.rows.sizes();
        if let Some(last) = sizes.len().checked_sub(1) {
            sizes[last] = width as i64;
        }
        let values = Tensor::empty_of(&sizes, self.rows.dtype(), self.rows.device())?;
        let indices = Tensor::empty_of(&sizes, DType::I64, self.rows.device())?;
        let (v, i, x) = (values.raw(), indices.raw(), self.rows.raw());
        let rows = self.rows.numel() / self.n.max(1);
        access([&v, &i], [&x], |[v, i], [x]| {
            if rows > 0 {
                kernel(
                    RowsOf { dtype: x.dtype, ptr: x.ptr, rows, n: self.n },
                    Found { values: v.ptr, indices: i.cast() },
                );
            }
        });
        Ok((self.back(values)?, self.back(indices)?))
    }

    fn back(&self, t: Tensor) -> Result<Tensor> {
        if self.dim + 1 >= t.dim() { Ok(t) } else { t.transpose(self.dim as i64, -1)?.contiguous_copy() }
    }
}

fn sorted(this: &Tensor, dim: i64, descending: bool) -> Result<(Tensor, Tensor)> {
    let lines = Lines::new("sort", this, dim)?;
    // SAFETY: the rows are locked and row-major, the outputs fresh and as large.
    let (values, indices) =
        lines.find(lines.n, |rows, found| unsafe { kernels::sort(rows, descending, found) })?;
    if this.is_contiguous() {
        return Ok((values, indices));
    }
    let ordered = |t: Tensor| -> Result<Tensor> {
        let out = crate::copy::empty_like(this, t.dtype())?;
        crate::copy::copy_into(&out, &t)?;
        Ok(out)
    };
    Ok((ordered(values)?, ordered(indices)?))
}

/// Sorts along `dim`; equal elements keep their order, NaN counts as the largest.
#[op(
    "sort(Tensor self, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)",
    out("values", values, indices),
    tags(core)
)]
mod sort {
    fn kernel(this: &Tensor, dim: i64, descending: bool) -> Result<(Tensor, Tensor)> {
        sorted(this, dim, descending)
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: i64, out1: &Tensor) -> Result<Tensor> {
        place(g, dim, out1, this.sizes(), true)
    }
}

/// As [`sort`], which is stable whether asked or not.
#[op(
    "sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)",
    out("values_stable", values, indices)
)]
mod sort_stable {
    fn kernel(this: &Tensor, stable: Option<bool>, dim: i64, descending: bool) -> Result<(Tensor, Tensor)> {
        let _ = stable;
        sorted(this, dim, descending)
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: i64, out1: &Tensor) -> Result<Tensor> {
        place(g, dim, out1, this.sizes(), true)
    }
}

/// Indices that sort along `dim`.
#[op("argsort(Tensor self, int dim=-1, bool descending=False) -> Tensor", composite)]
mod argsort {
    fn kernel(this: &Tensor, dim: i64, descending: bool) -> Result<Tensor> {
        Ok(sorted(&this.detach(), dim, descending)?.1)
    }
}

/// As [`argsort`], which is stable whether asked or not.
#[op(
    "argsort.stable(Tensor self, *, bool stable, int dim=-1, bool descending=False) -> Tensor",
    composite,
    out = "stable_out"
)]
mod argsort_stable {
    fn kernel(this: &Tensor, stable: bool, dim: i64, descending: bool) -> Result<Tensor> {
        Ok(sort_stable::call(&this.detach(), Some(stable), dim, descending)?.1)
    }
}

/// Sorts along the first dimension.
#[op("msort(Tensor self) -> Tensor", composite, out = "out")]
mod msort {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        Ok(sort::call(this, 0, false)?.0)
    }
}

/// The `k` largest (or smallest) elements along `dim`, in order, and their indices.
#[op(
    "topk(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)",
    out("values", values, indices),
    tags(core),
    onnx = "TopK"
)]
mod topk {
    fn kernel(this: &Tensor, k: i64, dim: i64, largest: bool, sorted: bool) -> Result<(Tensor, Tensor)> {
        if this.dtype() == DType::Bool {
            bail!("topk does not support bool dtypes on CPU");
        }
        // The order is unspecified unless `sorted`; sorted is one such order.
        let _ = sorted;
        let lines = Lines::new("topk_out", this, dim)?;
        if k < 0 || k > lines.n as i64 {
            bail!("selected index k out of range");
        }
        // SAFETY: the rows are locked and row-major, the outputs fresh with room for `k` a row.
        lines.find(k as usize, |rows, found| unsafe { kernels::top(k as usize, largest, rows, found) })
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: i64, out1: &Tensor) -> Result<Tensor> {
        place(g, dim, out1, this.sizes(), true)
    }
}

/// One element of each row and its index.
fn selected(name: &str, which: Select, this: &Tensor, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
    let lines = Lines::new(name, this, dim)?;
    if lines.n == 0 {
        bail!(Index, "{name}(): Expected reduction dim {} to have non-zero size.", lines.dim);
    }
    // SAFETY: the rows are locked, row-major and not empty, the outputs fresh with room for one a row.
    let found = lines.find(1, |rows, found| unsafe { kernels::select(which, rows, found) })?;
    reduced(found, this, lines.dim, keepdim)
}

/// Takes the dimension of size 1 away.
fn reduced(found: (Tensor, Tensor), this: &Tensor, dim: usize, keepdim: bool) -> Result<(Tensor, Tensor)> {
    if keepdim || this.dim() == 0 {
        return Ok(found);
    }
    let mut sizes = this.sizes();
    sizes.remove(dim);
    Ok((found.0.view(&sizes)?, found.1.view(&sizes)?))
}

/// The `k`-th smallest element along `dim` and its index.
#[op(
    "kthvalue(Tensor self, SymInt k, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)",
    out("values", values, indices)
)]
mod kthvalue {
    fn kernel(this: &Tensor, k: i64, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
        require("kthvalue_cpu", this, numbers)?;
        let d = wrap_dim(dim, this.dim())?;
        let n = this.sizes().get(d).copied().unwrap_or(1);
        if this.numel() == 0 && n == 0 {
            bail!(Index, "kthvalue(): Expected reduction dim {d} to have non-zero size.");
        }
        if k < 1 || k > n {
            bail!("kthvalue(): selected number k out of range for dimension {d}");
        }
        selected("kthvalue", Select::Kth(k as usize - 1), this, dim, keepdim)
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: i64, keepdim: bool, out1: &Tensor) -> Result<Tensor> {
        place(g, dim, out1, this.sizes(), keepdim)
    }
}

/// The median of all elements; NaN for none, as in PyTorch.
fn median_of_all(which: Select, this: &Tensor) -> Result<Tensor> {
    let flat = this.contiguous_copy()?.detach().view([this.numel() as i64])?;
    if flat.numel() == 0 {
        return crate::copy::full(&[], crate::Scalar::Float(f64::NAN), this.dtype(), this.device());
    }
    Ok(selected("median", which, &flat, 0, false)?.0)
}

/// The lower median of all elements; NaN if there is one.
#[op("median(Tensor self) -> Tensor")]
mod median {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        require("median_cpu", this, numbers)?;
        median_of_all(Select::Median, this)
    }
    fn grad_this(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Tensor> {
        share(g, this, out, None, false, true)
    }
}

/// The lower median along `dim` and its index; NaN if there is one.
#[op(
    "median.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
    out("dim_values", values, indices)
)]
mod median_dim {
    fn kernel(this: &Tensor, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
        require("median_out", this, numbers)?;
        selected("median", Select::Median, this, dim, keepdim)
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: i64, keepdim: bool, out1: &Tensor) -> Result<Tensor> {
        place(g, dim, out1, this.sizes(), keepdim)
    }
}

/// The lower median of all elements that are not NaN.
#[op("nanmedian(Tensor self) -> Tensor")]
mod nanmedian {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        require("median_cpu", this, numbers)?;
        median_of_all(Select::NanMedian, this)
    }
    fn grad_this(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Tensor> {
        share(g, this, out, None, false, true)
    }
}

/// The lower median along `dim` of the elements that are not NaN, and its index.
#[op(
    "nanmedian.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
    out("dim_values", values, indices)
)]
mod nanmedian_dim {
    fn kernel(this: &Tensor, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
        require("median_out", this, numbers)?;
        selected("nanmedian", Select::NanMedian, this, dim, keepdim)
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: i64, keepdim: bool, out1: &Tensor) -> Result<Tensor> {
        place(g, dim, out1, this.sizes(), keepdim)
    }
}

/// The most frequent element along `dim` (the smallest of those) and an index of it.
#[op(
    "mode(Tensor self, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)",
    out("values", values, indices)
)]
mod mode {
    fn kernel(this: &Tensor, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
        let lines = Lines::new("mode", this, dim)?;
        if lines.n == 0 {
            bail!(Index, "mode(): Expected reduction dim {} to have non-zero size.", lines.dim);
        }
        // SAFETY: the rows are locked, row-major and not empty, the outputs fresh with room for one a row.
        let found = lines.find(1, |rows, found| unsafe { kernels::mode(rows, found) })?;
        reduced(found, this, lines.dim, keepdim)
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: i64, keepdim: bool, out1: &Tensor) -> Result<Tensor> {
        place(g, dim, out1, this.sizes(), keepdim)
    }
}
