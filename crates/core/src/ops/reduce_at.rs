//! Reductions by index: `scatter_reduce`, `index_reduce`.

use super::index::{Along, apart, long, strides_of, target, target_as};
use super::index_write::check_index_source;
use super::raw::{self, Visit};
use super::scattering::{Source, send};
use super::*;
use crate::layout::{Dims, wrap_dim};
use crate::op::{Grads, Needs, OpDef, Out};
use crate::{DType, Result, Scalar, Tensor, bail, ensure, op_list};
use cresset_kernels::index::Combine;
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![scatter_reduce, index_reduce];

/// The reductions of `scatter_reduce` and `index_reduce`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reduce {
    Sum,
    Prod,
    Mean,
    Amax,
    Amin,
}

impl Reduce {
    fn parse(name: &str) -> Option<Reduce> {
        Some(match name {
            "sum" => Reduce::Sum,
            "prod" => Reduce::Prod,
            "mean" => Reduce::Mean,
            "amax" => Reduce::Amax,
            "amin" => Reduce::Amin,
            _ => return None,
        })
    }

    fn combine(self) -> Combine {
        match self {
            Reduce::Sum | Reduce::Mean => Combine::Sum,
            Reduce::Prod => Combine::Prod,
            Reduce::Amax => Combine::Max,
            Reduce::Amin => Combine::Min,
        }
    }

    /// What changes nothing when combined.
    fn neutral(self, dtype: DType) -> Scalar {
        let (low, high) = limits(dtype);
        match self {
            Reduce::Sum | Reduce::Mean => Scalar::Int(0),
            Reduce::Prod => Scalar::Int(1),
            Reduce::Amax => low,
            Reduce::Amin => high,
        }
    }
}

/// The smallest and largest values of a dtype.
fn limits(dtype: DType) -> (Scalar, Scalar) {
    let ints = |low: i64, high: i64| (Scalar::Int(low), Scalar::Int(high));
    match dtype {
        DType::Bool => (Scalar::Bool(false), Scalar::Bool(true)),
        DType::U8 => ints(0, u8::MAX.into()),
        DType::I8 => ints(i8::MIN.into(), i8::MAX.into()),
        DType::I16 => ints(i16::MIN.into(), i16::MAX.into()),
        DType::I32 => ints(i32::MIN.into(), i32::MAX.into()),
        DType::I64 => ints(i64::MIN, i64::MAX),
        _ => (Scalar::Float(f64::NEG_INFINITY), Scalar::Float(f64::INFINITY)),
    }
}

/// Indexing of one kind: of all dimensions (`scatter`, `gather`) or of slices (`index_add`, `index_select`).
#[derive(Clone, Copy)]
struct Places<'a> {
    whole: bool,
    dim: i64,
    index: &'a Tensor,
}

impl Places<'_> {
    fn read(&self, from: &Tensor) -> Result<Tensor> {
        if self.whole { from.gather(self.dim, self.index) } else { from.index_select(self.dim, self.index) }
    }

    fn add(&self, to: &Tensor, src: &Tensor) -> Result<Tensor> {
        if self.whole {
            to.scatter_add(self.dim, self.index, src)
        } else {
            to.index_add(self.dim, self.index, src)
        }
    }

    fn fill(&self, to: &Tensor, value: Scalar) -> Result<Tensor> {
        if self.whole {
            to.scatter_value(self.dim, self.index, value)
        } else {
            to.index_fill(self.dim, self.index, value)
        }
    }

    fn reduce(&self, to: &Tensor, src: &Tensor, reduce: &str, include_self: bool) -> Result<Tensor> {
        match self.whole {
            true => scatter_reduce::call(to, self.dim, self.index, src, reduce, include_self),
            false => index_reduce::call(to, self.dim, self.index, src, reduce, include_self),
        }
    }
}

/// Divides sums by how many values went into each.
fn divide_by_count(result: &Tensor, places: Places, src: &Tensor, include_self: bool) -> Result<()> {
    let start = i64::from(include_self);
    let ones = crate::copy::full(&src.sizes(), Scalar::Int(1), DType::I64, src.device())?;
    let counts = crate::copy::full(&result.sizes(), Scalar::Int(start), DType::I64, result.device())?;
    let counts = places.add(&counts, &ones)?.clamp_min(1)?;
    let counts = raw::cast(&counts, result.dtype())?;
    let mean = if result.dtype().is_integral_or_bool() {
        div_tensor_mode::call(result, &counts, Some("floor"))?
    } else {
        result.div(&counts)?
    };
    raw::copy(result, &mean)
}

/// Sums, multiplies, averages or takes extremes of `src` by the places whose coordinate along `dim` is the index.
#[op(
    "scatter_reduce.two(Tensor self, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> Tensor",
    inplace,
    out = "two_out",
    nondiff(index),
    wrt(this, src)
)]
mod scatter_reduce {
    fn kernel(
        this: &Tensor,
        dim: i64,
        index: &Tensor,
        src: &Tensor,
        reduce: &str,
        include_self: bool,
        out: Out,
    ) -> Result<Tensor> {
        let Some(how) = Reduce::parse(reduce) else {
            bail!("reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
        };
        let result = target(this, out)?;
        if index.numel() == 0 {
            return Ok(result);
        }
        if !include_self {
            let neutral = Source::Number(how.neutral(this.dtype()));
            send(Visit::Put, &result, dim, index, neutral, Out::Inplace(&result))?;
        }
        send(Visit::Combine(how.combine()), &result, dim, index, Source::Tensor(src), Out::Inplace(&result))?;
        if how == Reduce::Mean {
            divide_by_count(&result, Places { whole: true, dim, index }, src, include_self)?;
        }
        Ok(result)
    }
    fn grad(
        g: &Tensor,
        this: &Tensor,
        dim: i64,
        index: &Tensor,
        src: &Tensor,
        reduce: &str,
        include_self: bool,
        out: &Tensor,
        needs: Needs,
    ) -> Result<Grads> {
        reduce_grads(Places { whole: true, dim, index }, g, this, src, (reduce, include_self), out, needs)
    }
}

/// Multiplies, averages or takes extremes of slices of `source` by position along `dim`.
#[op(
    "index_reduce(Tensor self, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True) -> Tensor",
    inplace,
    out = "out",
    nondiff(index),
    wrt(this, source)
)]
mod index_reduce {
    fn kernel(
        this: &Tensor,
        dim: i64,
        index: &Tensor,
        source: &Tensor,
        reduce: &str,
        include_self: bool,
        out: Out,
    ) -> Result<Tensor> {
        let Some(how) = Reduce::parse(reduce).filter(|r| *r != Reduce::Sum) else {
            bail!("index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.")
        };
        let d = wrap_dim(dim, this.dim())?;
        check_index_source("index_reduce_()", this, d, index, source)?;
        let result = target_as(this, out)?;
        let (index, source) = (long(index)?, apart(source, &result)?);
        let along = Along::new(&result, d, index.numel() as i64);
        let indexed = [along.index(&result, &index, false)];
        let neutral = Tensor::scalar(how.neutral(this.dtype()), this.dtype())?;
        let zeros = Dims::from_elem(0, along.sizes.len());
        let dst = (&result, &along.strides[..]);
        let mut bad = None;
        if !include_self {
            bad = raw::visit(Visit::Put, &along.sizes, dst, (&neutral, &zeros), &indexed);
        }
        let combine = Visit::Combine(how.combine());
        bad =
            bad.or_else(|| raw::visit(combine, &along.sizes, dst, (&source, &strides_of(&source)), &indexed));
        ensure!(bad.is_none(), Index, "index out of range in self");
        if how == Reduce::Mean {
            divide_by_count(&result, Places { whole: false, dim, index: &index }, &source, include_self)?;
        }
        Ok(result)
    }
    fn grad(
        g: &Tensor,
        this: &Tensor,
        dim: i64,
        index: &Tensor,
        source: &Tensor,
        reduce: &str,
        include_self: bool,
        out: &Tensor,
        needs: Needs,
    ) -> Result<Grads> {
        reduce_grads(Places { whole: false, dim, index }, g, this, source, (reduce, include_self), out, needs)
    }
}

fn reduce_grads(
    at: Places,
    g: &Tensor,
    this: &Tensor,
    src: &Tensor,
    (reduce, include_self): (&str, bool),
    out: &Tensor,
    needs: Needs,
) -> Result<Grads> {
    let (of_self, of_src) = match Reduce::parse(reduce) {
        Some(Reduce::Prod) => prod_grads(at, g, this, src, include_self, out)?,
        Some(Reduce::Mean) => mean_grads(at, g, src, include_self)?,
        Some(Reduce::Amax | Reduce::Amin) => extreme_grads(at, g, this, src, out)?,
        _ => (g.clone(), at.read(g)?),
    };
    let of_self = || if include_self { Ok(of_self) } else { at.fill(&of_self, Scalar::Int(0)) };
    Ok(vec![needs.when(0, of_self)?, needs.when(1, || Ok(of_src))?])
}

/// The product of the others: result over value, except where a value is the only zero of its place.
fn prod_grads(
    at: Places,
    g: &Tensor,
    this: &Tensor,
    src: &Tensor,
    include: bool,
    out: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let whole = this.masked_fill(&this.eq_scalar(0)?, 1)?;
    let of_self = g.mul(&at.reduce(&whole, src, "prod", include)?)?.div(&whole)?;
    let zero = src.eq_scalar(0)?;
    let zeros = crate::copy::zeros(&this.sizes(), this.dtype(), this.device())?;
    let count = at.read(&at.add(&zeros, &zero.to_dtype(this.dtype())?)?)?;
    let only = zero.logical_and(&count.eq_scalar(1)?)?;
    let others = at.reduce(this, &src.masked_fill(&only, 1)?, "prod", include)?;
    let plain = at.read(&g.mul(out)?)?.div(&src.masked_fill(&zero, 1)?)?;
    let of_src = where_self::call(&only, &at.read(&g.mul(&others)?)?, &plain)?;
    Ok((of_self, of_src))
}

fn mean_grads(at: Places, g: &Tensor, src: &Tensor, include: bool) -> Result<(Tensor, Tensor)> {
    let start = crate::copy::full(&g.sizes(), Scalar::Int(i64::from(include)), g.dtype(), g.device())?;
    let ones = crate::copy::full(&src.sizes(), Scalar::Int(1), g.dtype(), g.device())?;
    let count = at.add(&start, &ones)?.clamp_min(1)?;
    Ok((g.div(&count)?, at.read(g)?.div(&at.read(&count)?)?))
}

/// The gradient is shared equally by all values that are the extreme.
fn extreme_grads(
    at: Places,
    g: &Tensor,
    this: &Tensor,
    src: &Tensor,
    out: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let self_is = this.eq(out)?.to_dtype(g.dtype())?;
    let src_is = src.eq(&at.read(out)?)?.to_dtype(g.dtype())?;
    let shared = g.div(&at.add(&self_is, &src_is)?)?;
    Ok((self_is.mul(&shared)?, src_is.mul(&at.read(&shared)?)?))
}
