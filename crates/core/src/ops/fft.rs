//! Discrete Fourier transforms along any dimensions: what the named transforms ([`super::spectral`]) are made of.
//!
//! `normalization` is 0 for none, 1 for the root of the number of points, 2 for the number of points.

use cresset_kernels::fft::{self as kernels, Kind};
use cresset_macros::op;

use crate::autograd::Meta;
use crate::layout::{Dims, wrap_dim};
use crate::op::OpDef;
use crate::storage::access;
use crate::{DType, Result, Tensor, bail, copy, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![_fft_c2c, _fft_r2c, _fft_c2r];

/// Complex to complex.
#[op(
    "_fft_c2c(Tensor self, SymInt[] dim, int normalization, bool forward) -> Tensor",
    out = "out",
    no_method
)]
mod _fft_c2c {
    fn kernel(this: &Tensor, dim: &[i64], normalization: i64, forward: bool) -> Result<Tensor> {
        ensure!(this.is_complex(), "Only supports complex dtypes, but found: {}", this.dtype().scalar_type());
        let dims = wrapped(dim, this.dim())?;
        let scale = factor(normalization, &this.sizes(), &dims)?;
        if dims.is_empty() {
            return copy::duplicate(this);
        }
        all_complex(this, &dims, forward, scale)
    }
    fn grad_this(g: &Tensor, dim: &[i64], normalization: i64, forward: bool) -> Result<Tensor> {
        _fft_c2c(g, dim, normalization, !forward)
    }
}

/// Real to complex, forward: along the last of the dimensions the first half of the frequencies, or all of them.
#[op("_fft_r2c(Tensor self, int[] dim, int normalization, bool onesided) -> Tensor", out = "out", no_method)]
mod _fft_r2c {
    fn kernel(this: &Tensor, dim: &[i64], normalization: i64, onesided: bool) -> Result<Tensor> {
        if !this.is_floating_point() {
            bail!(Type, "Only supports floating-point dtypes, but found: {}", this.dtype().scalar_type());
        }
        if matches!(this.dtype(), DType::F16 | DType::BF16) {
            bail!(NotImplemented, "MKL FFT doesn't support tensors of type: {}", this.dtype().scalar_type());
        }
        let dims = wrapped(dim, this.dim())?;
        let scale = factor(normalization, &this.sizes(), &dims)?;
        let Some((&last, rest)) = dims.split_last() else {
            bail!("_fft_r2c must transform at least one axis");
        };
        let mut sizes = this.sizes();
        if onesided {
            sizes[last] = sizes[last] / 2 + 1;
        }
        let inner = [&by_stride(this, rest)[..], &[last]].concat();
        let result = empty_around(this, &sizes, &inner, this.dtype().to_complex())?;
        pass(Kind::FromReal, if rest.is_empty() { scale } else { 1.0 }, last, &result, this);
        each_complex(&result, rest, true, scale);
        Ok(result)
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: &[i64], normalization: i64, onesided: bool) -> Result<Tensor> {
        if !onesided {
            return _fft_c2c(g, dim, normalization, false)?.real();
        }
        let last = wrap_dim(dim[dim.len() - 1], this.dim())?;
        let n = this.sizes()[last];
        // The inverse counts all but the first and the middle frequency twice.
        _fft_c2r(&weighted(g, last, n, 0.5)?, dim, normalization, n)
    }
}

/// The first half (along the last of the dimensions) of Hermitian frequencies to real numbers, inverse.
#[op(
    "_fft_c2r(Tensor self, int[] dim, int normalization, SymInt last_dim_size) -> Tensor",
    out = "out",
    no_method
)]
mod _fft_c2r {
    fn kernel(this: &Tensor, dim: &[i64], normalization: i64, last_dim_size: i64) -> Result<Tensor> {
        ensure!(this.is_complex(), "Only supports complex dtypes, but found: {}", this.dtype().scalar_type());
        let dims = wrapped(dim, this.dim())?;
        let Some((&last, rest)) = dims.split_last() else {
            bail!("_fft_c2r must transform at least one axis");
        };
        ensure!(last_dim_size > 0, "Invalid number of data points ({last_dim_size}) specified");
        let mut sizes = this.sizes();
        ensure!(
            sizes[last] > last_dim_size / 2,
            "expected at least {} frequencies along dimension {last}, but got {}",
            last_dim_size / 2 + 1,
            sizes[last]
        );
        sizes[last] = last_dim_size;
        let scale = factor(normalization, &sizes, &dims)?;
        let half = if rest.is_empty() { this.clone() } else { all_complex(this, rest, false, 1.0)? };
        let result = empty_around(&half, &sizes, &[last], this.dtype().to_real())?;
        pass(Kind::ToReal, scale, last, &result, &half);
        Ok(result)
    }
    fn grad_this(g: &Tensor, this: &Meta, dim: &[i64], normalization: i64) -> Result<Tensor> {
        let last = wrap_dim(dim[dim.len() - 1], this.dim())?;
        let n = g.sizes()[last];
        let half = weighted(&_fft_r2c(g, dim, normalization, true)?, last, n, 2.0)?;
        match this.sizes()[last] - half.sizes()[last] {
            0 => Ok(half),
            unused => {
                let mut pad = vec![0; 2 * (this.dim() - last)];
                pad[2 * (this.dim() - last) - 1] = unused;
                half.constant_pad_nd(pad)
            }
        }
    }
}

/// The dimensions counted from the front, refused when one appears twice.
pub(super) fn wrapped(dims: &[i64], ndim: usize) -> Result<Vec<usize>> {
    let mut wrapped = Vec::with_capacity(dims.len());
    for &d in dims {
        ensure!(ndim > 0, Index, "Dimension specified as {d} but tensor has no dimensions");
        let d = wrap_dim(d, ndim)?;
        ensure!(!wrapped.contains(&d), "FFT dims must be unique");
        wrapped.push(d);
    }
    Ok(wrapped)
}

/// What a transform with those points is multiplied with.
fn factor(normalization: i64, sizes: &[i64], dims: &[usize]) -> Result<f64> {
    let points: f64 = dims.iter().map(|d| sizes[*d] as f64).product();
    ensure!(dims.iter().all(|d| sizes[*d] > 0), "Invalid number of data points (0) specified");
    match normalization {
        0 => Ok(1.0),
        1 => Ok(1.0 / points.sqrt()),
        2 => Ok(1.0 / points),
        other => bail!("Unsupported normalization type {other}"),
    }
}

/// Complex to complex along at least one dimension, into a new tensor.
fn all_complex(this: &Tensor, dims: &[usize], forward: bool, scale: f64) -> Result<Tensor> {
    let result = empty_around(this, &this.sizes(), &by_stride(this, dims), this.dtype())?;
    // Last dimension first: that pass reads the input where it most likely lies in one piece.
    let (&first, rest) = dims.split_last().expect("at least one dimension");
    let kind = Kind::Complex { forward };
    pass(kind, if rest.is_empty() { scale } else { 1.0 }, first, &result, this);
    each_complex(&result, rest, forward, scale);
    Ok(result)
}

/// The dimensions, those with the longest strides first.
fn by_stride(t: &Tensor, dims: &[usize]) -> Vec<usize> {
    let strides = t.strides();
    let mut dims = dims.to_vec();
    dims.sort_by_key(|d| std::cmp::Reverse(strides[*d]));
    dims
}

/// Memory for a transform of `t` in PyTorch's order: the dimensions `inner` inside of the others, which keep their order.
fn empty_around(t: &Tensor, sizes: &[i64], inner: &[usize], dtype: DType) -> Result<Tensor> {
    let outer: Vec<usize> = (0..sizes.len()).filter(|d| !inner.contains(d)).collect();
    let mut strides = Dims::from_elem(1, sizes.len());
    let mut step = 1;
    for &d in by_stride(t, &outer).iter().chain(inner).rev() {
        strides[d] = step;
        step *= sizes[d].max(1);
    }
    Tensor::empty_strided_of(sizes, &strides, dtype, t.device())
}

/// Transforms in place along each dimension; the last pass scales.
fn each_complex(t: &Tensor, dims: &[usize], forward: bool, scale: f64) {
    for (i, &dim) in dims.iter().enumerate() {
        let scale = if i + 1 == dims.len() { scale } else { 1.0 };
        pass(Kind::Complex { forward }, scale, dim, t, t);
    }
}

/// One pass of the kernel along `dim`.
fn pass(kind: Kind, scale: f64, dim: usize, out: &Tensor, x: &Tensor) {
    let (o, i) = (out.raw(), x.raw());
    let n = o.layout.sizes[dim] as usize;
    // All that a transform to real numbers reads.
    let m = if kind == Kind::ToReal { n / 2 + 1 } else { i.layout.sizes[dim] as usize };
    access([&o], [&i], |[o], [i]| {
        // SAFETY: both are locked and have their sizes and dtypes; the output is fresh, or both are the same.
        unsafe { kernels::transform(kind, scale, dim, o.sizes, (n, m), o.operand(), i.operand()) }
    });
}

/// The frequencies of `n` points in half form with those that stand for two multiplied with `by`.
fn weighted(half: &Tensor, dim: usize, n: i64, by: f64) -> Result<Tensor> {
    let m = half.sizes()[dim];
    let weights: Vec<f64> = (0..m).map(|k| if k == 0 || 2 * k == n { 1.0 } else { by }).collect();
    let mut shape = Dims::from_elem(1, half.dim());
    shape[dim] = m;
    half.mul(&Tensor::from_vec(weights, &*shape)?.to_dtype(half.dtype().to_real())?)
}
