//! Arithmetic, sums and products with sparse tensors.

use super::{Sparse, add_rows, coalesce, coalesced, coordinates, expect, summed, values_at};
use crate::layout::{Dims, checked_numel, wrap_dims};
use crate::op::Out;
use crate::ops::{raw, sum_dim};
use crate::promotion::{can_cast, result_type};
use crate::{DType, Result, Scalar, Tensor, bail, ensure};

/// `t` with other values.
pub(crate) fn with_values(t: &Tensor, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let parts = expect(t, "values")?;
    Sparse { values: f(&parts.values)?, ..parts }.into_tensor(&t.sizes())
}

/// `this + alpha * other` where at least one is sparse.
pub(crate) fn add(this: &Tensor, other: &Tensor, alpha: Scalar, out: Out) -> Result<Tensor> {
    match (this.sparse(), other.sparse()) {
        (Some(a), Some(b)) => add_sparse((this, &a), (other, &b), alpha),
        (None, Some(parts)) => add_to_dense(this, other, &parts, alpha, out),
        _ => bail!("add(sparse, dense) is not supported. Use add(dense, sparse) instead."),
    }
}

fn add_sparse(
    (this, a): (&Tensor, &Sparse),
    (other, b): (&Tensor, &Sparse),
    alpha: Scalar,
) -> Result<Tensor> {
    let sizes = this.sizes();
    ensure!(
        sizes == other.sizes(),
        "add: expected sizes of 'self' and 'other' to match, but {:?} != {:?}",
        sizes.as_slice(),
        other.sizes().as_slice()
    );
    ensure!(
        a.sparse_dim() == b.sparse_dim(),
        "add: expected 'self' and 'other' to have same density, but 'self' has {} sparse dimensions while 'other' has {} sparse dimensions",
        a.sparse_dim(),
        b.sparse_dim()
    );
    let dtype = result_type(&[this, other]);
    let sparse_sizes = &sizes[..a.sparse_dim()];
    let merged = Merged::of(&a.positions(sparse_sizes)?, &b.positions(sparse_sizes)?);
    let n = merged.positions.len() as i64;
    let values = summed(&a.values.to_dtype(dtype)?, merged.first, n)?;
    add_rows(&values, merged.second, &scaled(&b.values.to_dtype(dtype)?, alpha)?)?;
    let indices = coordinates(&merged.positions, sparse_sizes)?;
    Sparse { indices, values, coalesced: a.coalesced && b.coalesced }.into_tensor(&sizes)
}

/// Two lists of positions walked through side by side: what both are at is taken once.
struct Merged {
    positions: Vec<i64>,
    /// Where each member of the first list went.
    first: Vec<i64>,
    /// Where each member of the second list went.
    second: Vec<i64>,
}

impl Merged {
    fn of(a: &[i64], b: &[i64]) -> Merged {
        let mut merged = Merged { positions: Vec::new(), first: Vec::new(), second: Vec::new() };
        let (mut i, mut j) = (0, 0);
        while i < a.len() || j < b.len() {
            let take_a = j == b.len() || i < a.len() && a[i] <= b[j];
            let take_b = i == a.len() || j < b.len() && b[j] <= a[i];
            let at = merged.positions.len() as i64;
            merged.positions.push(if take_a { a[i] } else { b[j] });
            if take_a {
                merged.first.push(at);
                i += 1;
            }
            if take_b {
                merged.second.push(at);
                j += 1;
            }
        }
        merged
    }
}

fn scaled(values: &Tensor, alpha: Scalar) -> Result<Tensor> {
    if alpha == Scalar::Int(1) {
        Ok(values.clone())
    } else {
        values.mul_scalar(alpha)?.to_dtype(values.dtype())
    }
}

/// Adds the stored elements to a strided tensor; in place only they are touched.
fn add_to_dense(dense: &Tensor, other: &Tensor, parts: &Sparse, alpha: Scalar, out: Out) -> Result<Tensor> {
    let sizes = dense.sizes();
    ensure!(
        sizes == other.sizes(),
        "add: expected 'self' and 'other' to have same size, but self has size {:?} while other has size {:?} (FYI: dense-sparse addition does not currently support broadcasting)",
        sizes.as_slice(),
        other.sizes().as_slice()
    );
    let dtype = result_type(&[dense, other]);
    let in_place = matches!(out, Out::Inplace(_)) && dense.is_contiguous() && can_cast(dtype, dense.dtype());
    let sum = match in_place {
        true => dense.clone(),
        false => {
            dense.to_dtype(dtype)?.clone_tensor_with(|o| o.memory_format(crate::MemoryFormat::Contiguous))?
        }
    };
    let split = parts.sparse_dim();
    let mut flat = Dims::from_elem(checked_numel(&sizes[..split], 1)? as i64, 1);
    flat.extend(sizes[split..].iter().copied());
    let rows = parts.positions(&sizes[..split])?;
    let values = scaled(&parts.values.to_dtype(sum.dtype())?, alpha)?;
    add_rows(&raw::reshaped(&sum, &flat)?, rows, &values)?;
    Ok(sum)
}

/// A 0-dim strided tensor, which multiplies and divides like a number.
fn is_number(t: &Tensor) -> bool {
    t.dim() == 0 && !t.is_sparse()
}

/// `this * other` where at least one is sparse.
pub(crate) fn mul(this: &Tensor, other: &Tensor) -> Result<Tensor> {
    match (this.sparse(), other.sparse()) {
        (Some(_), None) if is_number(other) => with_values(this, |v| v.mul(&promoting(other)?)),
        (None, Some(_)) if is_number(this) => with_values(other, |v| v.mul(&promoting(this)?)),
        (Some(_), Some(_)) => mul_sparse(this, other),
        (Some(_), None) => mul_dense(this, other),
        _ => mul_dense(other, this),
    }
}

/// A 0-dim operand of a sparse tensor, whose values have dimensions: one that promotes as it would beside the tensor.
fn promoting(number: &Tensor) -> Result<Tensor> {
    if number.is_wrapped_number() { Tensor::wrapped(number.item()?) } else { Ok(number.clone()) }
}

fn mul_sparse(this: &Tensor, other: &Tensor) -> Result<Tensor> {
    let (a, b) = (coalesced(this, "mul")?, coalesced(other, "mul")?);
    let sizes = this.sizes();
    ensure!(
        sizes == other.sizes() && a.sparse_dim() == b.sparse_dim(),
        "sparse_binary_op_intersection_cpu(): expects sparse inputs with equal dimensionality, number of sparse dimensions, and shape of sparse dimensions"
    );
    let sparse_sizes = &sizes[..a.sparse_dim()];
    let (p, q) = (a.positions(sparse_sizes)?, b.positions(sparse_sizes)?);
    let common = |(i, p): (usize, &i64)| q.binary_search(p).ok().map(|j| (i as i64, j as i64));
    let (i, j): (Vec<i64>, Vec<i64>) = p.iter().enumerate().filter_map(common).unzip();
    let (i, j) = (index(i)?, index(j)?);
    let values = a.values.index_select(0, &i)?.mul(&b.values.index_select(0, &j)?)?;
    Sparse { indices: a.indices.index_select(1, &i)?, values, coalesced: true }.into_tensor(&sizes)
}

pub(super) fn index(positions: Vec<i64>) -> Result<Tensor> {
    let n = positions.len() as i64;
    Tensor::from_vec(positions, [n])
}

fn mul_dense(this: &Tensor, other: &Tensor) -> Result<Tensor> {
    let parts = expect(this, "mul")?;
    let factors = values_at(&other.expand(this.sizes())?, &parts.indices)?;
    Sparse { values: parts.values.mul(&factors)?, ..parts }.into_tensor(&this.sizes())
}

/// `this / other` where at least one is sparse: only a number divides.
pub(crate) fn div(
    this: &Tensor,
    other: &Tensor,
    f: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    ensure!(
        is_number(other),
        "Sparse division requires a scalar or zero-dim dense tensor divisor (got shape {:?} for divisor)",
        other.sizes().as_slice()
    );
    with_values(this, |v| f(v, &promoting(other)?))
}

/// The sum over `dims` (all, if none are given): strided where no sparse dimension is left.
pub(crate) fn sum(this: &Tensor, dims: &[i64], keepdim: bool, dtype: Option<DType>) -> Result<Tensor> {
    let parts = expect(this, "sum")?;
    let dims = wrap_dims(dims, this.dim())?;
    let split = parts.sparse_dim();
    let all: Vec<usize> = if dims.is_empty() { (0..this.dim()).collect() } else { dims.to_vec() };
    let dense: Vec<i64> = all.iter().filter(|d| **d >= split).map(|d| (d - split) as i64 + 1).collect();
    let kept: Vec<i64> = (0..split).filter(|d| !all.contains(d)).map(|d| d as i64).collect();
    let values = match (dense.is_empty(), dtype) {
        (true, dtype) => parts.values.to_dtype(dtype.unwrap_or(integral_sum(this.dtype())))?,
        (false, dtype) => sum_over(&parts.values, &dense, dtype)?,
    };
    let mut result = match kept.is_empty() {
        true => sum_over(&values, &[0], None)?,
        false => {
            let sizes: Dims = (0..this.dim()).filter(|d| !all.contains(d)).map(|d| this.sizes()[d]).collect();
            let indices = parts.indices.index_select(0, &index(kept)?)?;
            let summed = coalesce(&Sparse { indices, values, coalesced: false }, &sizes)?;
            summed.into_tensor(&sizes)?
        }
    };
    let mut again = all;
    again.sort_unstable();
    for d in again.into_iter().filter(|_| keepdim) {
        result = result.unsqueeze(d as i64)?;
    }
    Ok(result)
}

fn integral_sum(dtype: DType) -> DType {
    if dtype.is_integral_or_bool() { DType::I64 } else { dtype }
}

pub(super) fn sum_over(values: &Tensor, dims: &[i64], dtype: Option<DType>) -> Result<Tensor> {
    sum_dim::call(values, Some(dims), false, dtype)
}

/// The matrix product where at least one factor is sparse; it is sparse if both are.
pub(crate) fn mm(this: &Tensor, mat2: &Tensor) -> Result<Tensor> {
    ensure!(
        this.dim() == 2 && mat2.dim() == 2,
        "mm: expected matrices, got {}D and {}D tensors",
        this.dim(),
        mat2.dim()
    );
    ensure!(
        this.sizes()[1] == mat2.sizes()[0],
        "mat1 and mat2 shapes cannot be multiplied ({}x{} and {}x{})",
        this.sizes()[0],
        this.sizes()[1],
        mat2.sizes()[0],
        mat2.sizes()[1]
    );
    ensure!(
        this.dtype() == mat2.dtype(),
        "expected mat1 and mat2 to have the same dtype, but got: {} != {}",
        crate::scalar::type_name(this.dtype()),
        crate::scalar::type_name(mat2.dtype())
    );
    let dtype = this.dtype();
    if matches!(dtype, DType::F16 | DType::BF16) {
        // Sums in single precision, rounded once.
        return mm(&this.to_dtype(DType::F32)?, &mat2.to_dtype(DType::F32)?)?.to_dtype(dtype);
    }
    match (this.is_sparse(), mat2.is_sparse()) {
        (true, true) => mm_sparse(this, mat2),
        (true, false) => mm_dense(this, mat2),
        _ => mm_dense(&super::shape::transpose(mat2, 0, 1)?, &this.t()?)?.t(),
    }
}

fn mm_dense(this: &Tensor, dense: &Tensor) -> Result<Tensor> {
    let parts = expect(this, "mm")?;
    ensure!(parts.sparse_dim() == 2, "mm: expected a matrix with two sparse dimensions");
    let columns = parts.indices.select(0, 1)?;
    let products = dense.index_select(0, &columns)?.mul(&parts.values.unsqueeze(1)?)?;
    let rows = parts.indices.select(0, 0)?.to_vec::<i64>()?;
    summed(&products, rows, this.sizes()[0])
}

/// Each element of the first meets the row of the second that its column names.
fn mm_sparse(this: &Tensor, mat2: &Tensor) -> Result<Tensor> {
    let (a, b) = (coalesced(this, "mm")?, coalesced(mat2, "mm")?);
    ensure!(a.sparse_dim() == 2 && b.sparse_dim() == 2, "mm: expected matrices with two sparse dimensions");
    let (n, m) = (a.nnz() as usize, b.nnz() as usize);
    let (left, right) = (a.indices.to_vec::<i64>()?, b.indices.to_vec::<i64>()?);
    let (mut i, mut j, mut rows, mut columns) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for element in 0..n {
        let k = left[n + element];
        let start = right[..m].partition_point(|row| *row < k);
        for other in (start..m).take_while(|o| right[*o] == k) {
            i.push(element as i64);
            j.push(other as i64);
            rows.push(left[element]);
            columns.push(right[m + other]);
        }
    }
    let values = a.values.index_select(0, &index(i)?)?.mul(&b.values.index_select(0, &index(j)?)?)?;
    let nnz = rows.len() as i64;
    rows.extend(columns);
    let sizes = [this.sizes()[0], mat2.sizes()[1]];
    let product = Sparse { indices: Tensor::from_vec(rows, [2, nnz])?, values, coalesced: false };
    coalesce(&product, &sizes)?.into_tensor(&sizes)
}

/// `beta * this + alpha * mat1 mat2` where a factor is sparse.
pub(crate) fn addmm(
    this: &Tensor,
    mat1: &Tensor,
    mat2: &Tensor,
    beta: Scalar,
    alpha: Scalar,
) -> Result<Tensor> {
    let product = mm(mat1, mat2)?.mul_scalar(alpha)?;
    if product.is_sparse() || this.is_sparse() {
        return this.mul_scalar(beta)?.add(&product);
    }
    this.expand(product.sizes())?.mul_scalar(beta)?.add(&product)
}
