//! Between reducing operators and their kernels: which dimensions go, what shape remains, and how a gradient comes back.

use cresset_kernels::reduce::{self as kernels, Reduce};
use cresset_kernels::strided::Operand;

use crate::layout::{Dims, wrap_dim};
use crate::op::Out;
use crate::storage::access;
use crate::{DType, Result, Scalar, Tensor, bail, pointwise};

/// Dimensions to reduce; none given means all.
pub(crate) type DimList<'a> = Option<&'a [i64]>;

/// For each dimension whether it is reduced.
///
/// # Errors
/// `Index` for a dimension that does not exist, `Runtime` for one given twice.
pub(crate) fn mask(dims: DimList, ndim: usize) -> Result<Vec<bool>> {
    let dims = match dims {
        None | Some([]) => return Ok(vec![true; ndim]),
        Some(dims) => dims,
    };
    if ndim > 64 {
        bail!("only tensors with up to 64 dims are supported");
    }
    let mut mask = vec![false; ndim.max(1)];
    for dim in dims {
        let d = wrap_dim(*dim, ndim)?;
        if mask[d] {
            bail!("dim {d} appears multiple times in the list of dims");
        }
        mask[d] = true;
    }
    mask.truncate(ndim);
    Ok(mask)
}

/// The sizes that remain.
pub(crate) fn reduced_sizes(sizes: &[i64], mask: &[bool], keepdim: bool) -> Dims {
    let kept = sizes.iter().zip(mask).filter(|(_, m)| keepdim || !**m);
    kept.map(|(n, m)| if *m { 1 } else { *n }).collect()
}

/// The stride of the result for each dimension of the input.
pub(crate) fn spread_strides(strides: &[i64], mask: &[bool], keepdim: bool) -> Dims {
    let mut left = strides.iter();
    let stride = |m: &bool| match (*m, keepdim) {
        (true, false) => 0,
        (true, true) => left.next().map_or(0, |_| 0),
        (false, _) => left.next().copied().unwrap_or(0),
    };
    mask.iter().map(stride).collect()
}

/// Number of elements behind one result.
pub(crate) fn count(sizes: &[i64], mask: &[bool]) -> i64 {
    sizes.iter().zip(mask).filter(|(_, m)| **m).map(|(n, _)| *n).product()
}

/// Reduces `dims` of `this` to a result of `dtype`.
pub(crate) fn reduce(
    op: Reduce,
    this: &Tensor,
    dims: DimList,
    keepdim: bool,
    dtype: DType,
    out: Out,
) -> Result<Tensor> {
    let mask = mask(dims, this.dim())?;
    let sizes = reduced_sizes(&this.sizes(), &mask, keepdim);
    let result = match out {
        Out::New => Tensor::empty_of(&sizes, dtype, this.device())?,
        given => pointwise::output(given, &sizes, dtype, &[this])?,
    };
    let (o, x) = (result.raw(), this.raw());
    let strides = spread_strides(&o.layout.strides, &mask, keepdim);
    access([&o], [&x], |[o], [x]| {
        let output = Operand { strides: &strides, ..o.operand() };
        // SAFETY: both are locked; the output has an element for each kept index.
        unsafe { kernels::reduce(op, x.sizes, &mask, x.operand(), output) }
    });
    Ok(result)
}

/// The dtype of the place that a result is written to, if it is given.
pub(crate) fn given_dtype(out: &Out) -> Option<DType> {
    match out {
        Out::Into([t, ..]) => Some(t.dtype()),
        _ => None,
    }
}

/// The dtype of a sum or product: integers widen to `int64`.
pub(crate) fn sum_dtype(this: &Tensor, dtype: Option<DType>, out: &Out) -> DType {
    let own = this.dtype();
    dtype.or(given_dtype(out)).unwrap_or(if own.is_integral_or_bool() { DType::I64 } else { own })
}

/// A reduced tensor with its dimensions of size 1 back.
pub(crate) fn restore(t: &Tensor, sizes: &[i64], dims: DimList, keepdim: bool) -> Result<Tensor> {
    let mask = mask(dims, sizes.len())?;
    if keepdim || mask.iter().all(|m| *m) && t.dim() == 0 {
        return Ok(t.clone());
    }
    let mut t = t.clone();
    for d in (0..mask.len()).filter(|d| mask[*d]) {
        t = t.unsqueeze(d as i64)?;
    }
    Ok(t)
}

/// The gradient of a sum: `g` repeated along the reduced dimensions.
pub(crate) fn spread(g: &Tensor, sizes: &[i64], dims: DimList, keepdim: bool) -> Result<Tensor> {
    restore(g, sizes, dims, keepdim)?.expand(sizes)
}

/// The gradient of an extreme: `g` shared evenly among the elements that equal the result.
///
/// A NaN equals itself only if `nan` says so; else its gradient is NaN, as that of `amax` is in PyTorch.
pub(crate) fn share(
    g: &Tensor,
    this: &Tensor,
    result: &Tensor,
    dims: DimList,
    keepdim: bool,
    nan: bool,
) -> Result<Tensor> {
    let sizes = this.sizes();
    let (g, result) = (restore(g, &sizes, dims, keepdim)?, restore(result, &sizes, dims, keepdim)?);
    let mut hit = this.eq(&result)?;
    if nan {
        hit = hit.logical_or(&this.isnan()?.logical_and(&result.isnan()?)?)?;
    }
    let number = crate::ops::sum_dim::call(&hit, dims, true, None)?;
    g.mul(&hit)?.div(&number)
}

/// The gradient of a selection: `g` at the chosen indices along `dim`, zero elsewhere.
pub(crate) fn place(g: &Tensor, dim: i64, indices: &Tensor, sizes: &[i64], keepdim: bool) -> Result<Tensor> {
    let zeros = crate::copy::zeros(sizes, g.dtype(), g.device())?;
    if sizes.is_empty() {
        return zeros.add(g);
    }
    if keepdim {
        return zeros.scatter(dim, indices, g);
    }
    zeros.scatter(dim, &indices.unsqueeze(dim)?, &g.unsqueeze(dim)?)
}

/// `t` times a number.
pub(crate) fn scale(t: &Tensor, by: f64) -> Result<Tensor> {
    t.mul(&Tensor::wrapped(Scalar::Float(by))?)
}

/// `t` plus a number.
pub(crate) fn offset(t: &Tensor, by: f64) -> Result<Tensor> {
    t.add(&Tensor::wrapped(Scalar::Float(by))?)
}

/// `t` to the power `p`.
pub(crate) fn power(t: &Tensor, p: f64) -> Result<Tensor> {
    t.pow_scalar(Scalar::Float(p))
}

/// The name of a dtype in the texts that PyTorch makes from C++ types.
pub(crate) fn c_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "bool",
        DType::U8 => "unsigned char",
        DType::I8 => "signed char",
        DType::I16 => "short int",
        DType::I32 => "int",
        DType::I64 => "long int",
        DType::F16 => "c10::Half",
        DType::BF16 => "c10::BFloat16",
        DType::F32 => "float",
        DType::F64 => "double",
        DType::Complex64 => "c10::complex<float>",
        DType::Complex128 => "c10::complex<double>",
    }
}
